//! What an export under a name sends, run after run.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate, run},
};

const TO_FILE: [&str; 7] = ["export", "--to", "ecs", "--name", "siem", "--output", "events.ndjson"];

/// Copies the files of a folder that a test says yes to, with their folders.
fn copy(from: &Path, to: &Path, is_wanted: &dyn Fn(&str) -> bool) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, is_wanted);
        } else if is_wanted(&path.to_string_lossy()) {
            fs::create_dir_all(to).unwrap();
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn runs_bring_what_is_new_and_nothing_twice() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "all", "--servers 3 --days 4 --mib-per-server 1 --codec plain --start 2024-03-01");
    let days = ["20240301", "20240302", "20240303", "20240304"];
    let mut sent = 0;
    for day in days {
        copy(&folder.join("all"), &folder.join("logs"), &|path| path.contains(day));
        done(folder, &["index", "logs"]);
        done(folder, &TO_FILE);
        let events = Events::read(&folder.join("events.ndjson"));
        events.each_once();
        assert!(events.len() > sent, "{day} brought nothing");
        sent = events.len();
        let again = done(folder, &TO_FILE);
        assert!(again.err.contains("nothing new to export"), "{}", again.err);
    }
    // What is left of the files, and all at once.
    copy(&folder.join("all"), &folder.join("logs"), &|_| true);
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let events = Events::read(&folder.join("events.ndjson"));
    events.each_once();
    let whole = Events::of(&done(folder, &["export", "--to", "ecs"]).out);
    let firsts = |events: &Events| -> Vec<String> {
        events.ids().iter().filter(|id| !id.contains("-r")).map(|id| (*id).to_owned()).collect()
    };
    // Findings change with what else is known; what is logged does not.
    let logged = |events: &Events| -> Vec<String> {
        let of_finding = |id: &String| events.0[id][0]["event"]["kind"] == "alert";
        firsts(events).into_iter().filter(|id| !of_finding(id)).collect()
    };
    assert_eq!(logged(&events), logged(&whole));
    // Every revision names what it amends, and that was sent before.
    for (id, found) in events.0.iter().filter(|(id, _)| id.contains("-r")) {
        let amended = found[0]["exchange"]["smtp"]["amends"].as_str().unwrap();
        assert_eq!(id.split("-r").next(), Some(amended));
        assert!(events.0.contains_key(amended), "{id}");
    }
    let status = done(folder, &["export", "--status"]);
    assert!(
        status.out.starts_with("siem: ecs to events.ndjson, ") && status.out.ends_with("has everything\n"),
        "{}",
        status.out
    );
}

/// Rows of a session in a log of its own.
fn log(rows: std::ops::Range<usize>, direction: &str, session: &str, data: &[&str]) -> String {
    let mut text = format!(
        "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP {direction} Protocol Log\r\n\
         #Date: 2024-03-01T06:00:00.000Z\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,\
         remote-endpoint,event,data,context\r\n"
    );
    for (at, row) in data.iter().enumerate().filter(|(at, _)| rows.contains(at)) {
        let minute = at;
        text.push_str(&format!(
            "2024-03-01T06:{minute:02}:00.000Z,Outbound,{session},{at},10.0.0.10:22289,104.47.88.42:25,{row}\r\n"
        ));
    }
    text
}

const PRESENTED: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

fn refused() -> Vec<String> {
    [
        "+,,",
        "<,220 mx.fabrikam.example ready,",
        ">,EHLO mail0.contoso.com,",
        ">,STARTTLS,",
        "<,220 go,",
        "*,,Sending certificate",
        &format!("*,{PRESENTED},Certificate thumbprint"),
        ">,EHLO mail0.contoso.com,",
        ">,MAIL FROM:<a@contoso.com>,",
        "<,550 5.7.64 TenantAttribution; Relay Access Denied,",
        "-,,Local",
    ]
    .map(str::to_owned)
    .into()
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join("logs").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn late_rows_amend_what_was_sent() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    let rows = refused();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let session = "08DC399000800000";
    // The end comes first: the refusal is sent without its certificate, because nobody waits any more.
    put(folder, "EX1/SmtpSend/SEND2024030107-1.LOG", &log(7..11, "Send", session, &rows));
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let first = Events::read(&folder.join("events.ndjson"));
    let refusal = first.of_kind("refusal").next().unwrap();
    assert_eq!(refusal["tls"]["client"], Value::Null);
    assert_eq!(refusal["exchange"]["smtp"]["session"]["complete"], false);
    let id = refusal["event"]["id"].as_str().unwrap();

    put(folder, "EX1/SmtpSend/SEND2024030106-1.LOG", &log(0..7, "Send", session, &rows));
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let all = Events::read(&folder.join("events.ndjson"));
    all.each_once();
    let amended = &all.0[&format!("{id}-r2")][0];
    assert_eq!(amended["tls"]["client"]["hash"]["sha1"], PRESENTED);
    assert_eq!(amended["exchange"]["smtp"]["amends"], id);
    assert_eq!(amended["event"]["code"], "5.7.64");
    // The certificate itself is new, and the session's end has another content.
    assert_eq!(all.of_kind("certificate-presented").count(), 1);
    assert_eq!(all.of_kind("session-end").count(), 2);
    let again = done(folder, &TO_FILE);
    assert!(again.err.contains("nothing new"), "{}", again.err);
}

#[test]
fn a_front_end_that_comes_late_amends_the_refusal() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "all", "--scenario certificate-name-mismatch-proxied --evidence none --days 1 --codec plain");
    let is_front_end = |path: &str| path.contains("FrontEnd");
    copy(&folder.join("all"), &folder.join("logs"), &|path| !is_front_end(path));
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let before = Events::read(&folder.join("events.ndjson"));
    let via = |event: &&Value| !event["exchange"]["smtp"]["reply"]["presented_via"].is_null();
    let lacking: Vec<&str> = before
        .of_kind("refusal")
        .filter(via)
        .filter(|event| event["exchange"]["smtp"]["direction"] == "send")
        .filter(|event| event["tls"]["client"]["hash"].is_null())
        .map(|event| event["event"]["id"].as_str().unwrap())
        .collect();
    assert!(lacking.len() > 10, "{} refusals behind the proxy", lacking.len());

    copy(&folder.join("all"), &folder.join("logs"), &|_| true);
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let after = Events::read(&folder.join("events.ndjson"));
    after.each_once();
    for id in lacking {
        let amended = &after.0[&format!("{id}-r2")][0];
        assert!(amended["tls"]["client"]["hash"]["sha1"].is_string(), "{amended}");
    }
    assert!(done(folder, &TO_FILE).err.contains("nothing new"));
}

#[test]
fn an_open_session_waits_for_its_rest() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    let rows = refused();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    put(folder, "EX1/SmtpSend/SEND2024030106-1.LOG", &log(0..10, "Send", "08DC399000800000", &rows));
    done(folder, &["index", "logs"]);
    let years = "999999h";
    let waiting = [&TO_FILE[..], &["--open-after", years]].concat();
    assert!(done(folder, &waiting).err.contains("nothing new"));
    assert_eq!(fs::read_to_string(folder.join("events.ndjson")).unwrap(), "");
    put(folder, "EX1/SmtpSend/SEND2024030106-1.LOG", &log(0..11, "Send", "08DC399000800000", &rows));
    done(folder, &["index", "logs"]);
    done(folder, &waiting);
    let events = Events::read(&folder.join("events.ndjson"));
    let ends: Vec<&Value> = events.of_kind("session-end").collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["exchange"]["smtp"]["session"]["complete"], true);
}

#[test]
fn a_name_can_be_forgotten_and_folders_get_a_file_each_time() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 1 --days 2 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    let to_folder = ["export", "--to", "ecs", "--name", "files", "--output", "out/"];
    done(folder, &to_folder);
    done(folder, &to_folder);
    let files = || -> Vec<String> {
        let entries = fs::read_dir(folder.join("out")).unwrap();
        let mut names: Vec<String> = entries.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(files(), ["files-000000000000.ndjson"]);
    let first = fs::read(folder.join("out").join(&files()[0])).unwrap();
    assert_eq!(run(folder, &["export", "--forget", "none"]).code, Some(1));
    done(folder, &["export", "--forget", "files"]);
    done(folder, &to_folder);
    assert_eq!(fs::read(folder.join("out").join(&files()[0])).unwrap(), first);
    assert_eq!(run(folder, &["export", "--status"]).out.lines().count(), 1);
}

#[test]
fn open_sessions_bring_no_finding_twice() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 3 --mib-per-server 16 --codec plain");
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    let again = done(folder, &TO_FILE);
    assert!(again.err.contains("nothing new"), "{}", again.err);
}

/// `180d` and the like, so that a day is the first that stays.
fn days_since(date: &str) -> String {
    let begin = smtplog::Timestamp::from_log(format!("{date}T00:00:00.000Z").as_bytes()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    format!("{}d", (now - begin.0) / 86_400_000)
}

#[test]
fn pruning_warns_of_what_was_not_sent() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "all", "--servers 1 --days 4 --mib-per-server 2 --codec plain --start 2024-03-01");
    copy(&folder.join("all"), &folder.join("logs"), &|path| path.contains("20240301") || path.contains("20240302"));
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    copy(&folder.join("all"), &folder.join("logs"), &|_| true);
    done(folder, &["index", "logs"]);
    let warning = "export siem has not sent all of that, and then it never will";
    let prune = |first_day: &str, more: &[&str]| {
        done(folder, &[&["prune", "--keep", &days_since(first_day)], more].concat()).err
    };
    let sent = prune("2024-03-02", &[]);
    assert!(sent.contains("dropped") && !sent.contains(warning), "{sent}");
    let unsent = prune("2024-03-04", &["--dry-run"]);
    assert!(unsent.contains(warning), "{unsent}");
    done(folder, &TO_FILE);
    let sent = prune("2024-03-04", &[]);
    assert!(sent.contains("dropped") && !sent.contains(warning), "{sent}");
}

/// Another question would leave out for ever what the first did not ask for.
#[test]
fn a_name_keeps_what_it_selects() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 1 --days 2 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    let refused = [&TO_FILE[..], &["--kinds", "refusal", "status:5.7.64"]].concat();
    done(folder, &refused);
    assert!(done(folder, &refused).err.contains("nothing new"));
    for other in [&TO_FILE[..], &[&refused[..], &["--until", "2024-03-01"]].concat()] {
        let differs = run(folder, other);
        assert_eq!(differs.code, Some(2), "{}", differs.err);
        let was = "was begun with status:5.7.64 --kinds refusal as ecs";
        assert!(differs.err.contains(was) && differs.err.contains("--forget siem"), "{}", differs.err);
    }
    done(folder, &["export", "--forget", "siem"]);
    done(folder, &TO_FILE);
}

#[test]
fn a_dry_run_says_what_a_run_sends() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "all", "--servers 1 --days 2 --mib-per-server 1 --codec plain --start 2024-03-01");
    copy(&folder.join("all"), &folder.join("logs"), &|path| path.contains("20240301"));
    done(folder, &["index", "logs"]);
    done(folder, &TO_FILE);
    copy(&folder.join("all"), &folder.join("logs"), &|_| true);
    done(folder, &["index", "logs"]);
    let events = |said: &str| said.split(" event").next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let planned = done(folder, &[&TO_FILE[..], &["--dry-run"]].concat()).err;
    let sent = done(folder, &TO_FILE).err;
    assert_eq!((events(&planned), planned.starts_with("would export ")), (events(&sent), true), "{planned}{sent}");
}

/// A device or a pipe is written to, a link stays one, and nobody may read more than before.
#[cfg(unix)]
#[test]
fn an_output_stays_what_it_is() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 1 --days 1 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    let expected = done(folder, &["export", "--to", "csv"]).out;
    fs::write(folder.join("file"), "old").unwrap();
    fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("file", folder.join("link")).unwrap();
    done(folder, &["export", "--to", "csv", "--output", "link"]);
    assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(folder.join("file")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), expected);

    assert!(std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    let pipe = folder.join("pipe");
    let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
    done(folder, &["export", "--to", "csv", "--output", "pipe"]);
    assert_eq!(reader.join().unwrap(), expected);
    assert!(fs::metadata(folder.join("pipe")).unwrap().file_type().is_fifo());
    let named = run(folder, &["export", "--to", "csv", "--name", "a", "--output", "pipe"]);
    assert!(named.code == Some(2) && named.err.contains("pipe is no regular file"), "{}", named.err);
}

#[test]
fn a_reader_that_leaves_is_an_error_under_a_name() {
    use std::io::Read;

    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 1 --days 2 --mib-per-server 2 --codec plain");
    done(folder, &["index", "logs"]);
    let code = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_smtptrail"));
        let command = command.current_dir(folder).args(args).stderr(std::process::Stdio::null());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(code(&["export", "--to", "ecs"]), Some(0));
    assert_eq!(code(&["export", "--to", "ecs", "--name", "siem"]), Some(2));
    let rest = done(folder, &["export", "--to", "ecs", "--name", "siem"]).out;
    assert_eq!(Events::of(&rest), Events::of(&done(folder, &["export", "--to", "ecs"]).out));
}
