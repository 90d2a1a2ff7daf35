//! The program as its users meet it: arguments, output, exit codes (CONTRACT 6).

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

const THUMBPRINT: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

/// A send session that presents a certificate and is refused.
const SEND: &str = "\u{feff}#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: SMTP Send Protocol Log
#Date: 2024-03-01T06:00:00.000Z
#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
2024-03-01T06:00:00.000Z,To Office 365,08DC399000800000,0,,192.0.2.25:25,*,SendRoutingHeaders,Set Session Permissions
2024-03-01T06:00:00.010Z,To Office 365,08DC399000800000,1,,192.0.2.25:25,*,,attempting to connect
2024-03-01T06:00:00.020Z,To Office 365,08DC399000800000,2,10.0.0.10:22289,192.0.2.25:25,+,,
2024-03-01T06:00:00.030Z,To Office 365,08DC399000800000,3,10.0.0.10:22289,192.0.2.25:25,<,220 mx.example ready,
2024-03-01T06:00:00.040Z,To Office 365,08DC399000800000,4,10.0.0.10:22289,192.0.2.25:25,>,EHLO mail.contoso.com,
2024-03-01T06:00:00.050Z,To Office 365,08DC399000800000,5,10.0.0.10:22289,192.0.2.25:25,<,250 mx.example Hello [203.0.113.7] STARTTLS,
2024-03-01T06:00:00.060Z,To Office 365,08DC399000800000,6,10.0.0.10:22289,192.0.2.25:25,>,STARTTLS,
2024-03-01T06:00:00.070Z,To Office 365,08DC399000800000,7,10.0.0.10:22289,192.0.2.25:25,<,220 2.0.0 SMTP server ready,
2024-03-01T06:00:00.080Z,To Office 365,08DC399000800000,8,10.0.0.10:22289,192.0.2.25:25,*, CN=mail.contoso.com CN=Root 0A1B 97355AF6DC2629ECCB2289C931D706332F3CF022 2024-01-01T00:00:00.000Z 2025-01-01T00:00:00.000Z mail.contoso.com,Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names
2024-03-01T06:00:00.090Z,To Office 365,08DC399000800000,9,10.0.0.10:22289,192.0.2.25:25,*, CN=mx.example CN=Root 0A1C 256EE908AD8013D03E2B1BD2B0A954B4C72B7226 2024-01-01T00:00:00.000Z 2025-01-01T00:00:00.000Z mx.example,Remote certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names
2024-03-01T06:00:00.100Z,To Office 365,08DC399000800000,10,10.0.0.10:22289,192.0.2.25:25,>,EHLO mail.contoso.com,
2024-03-01T06:00:00.110Z,To Office 365,08DC399000800000,11,10.0.0.10:22289,192.0.2.25:25,<,250 mx.example Hello [203.0.113.7],
2024-03-01T06:00:00.120Z,To Office 365,08DC399000800000,12,10.0.0.10:22289,192.0.2.25:25,>,MAIL FROM:<user1@contoso.com>,
2024-03-01T06:00:00.130Z,To Office 365,08DC399000800000,13,10.0.0.10:22289,192.0.2.25:25,<,250 2.1.0 Sender OK,
2024-03-01T06:00:00.140Z,To Office 365,08DC399000800000,14,10.0.0.10:22289,192.0.2.25:25,>,RCPT TO:<p@fabrikam.example>,
2024-03-01T06:00:00.150Z,To Office 365,08DC399000800000,15,10.0.0.10:22289,192.0.2.25:25,<,550 5.7.64 TenantAttribution; Relay Access Denied [AM1.example 2024-03-01T06:00:00.148Z 08DC27250BC5691A],
2024-03-01T06:00:00.160Z,To Office 365,08DC399000800000,16,10.0.0.10:22289,192.0.2.25:25,>,QUIT,
2024-03-01T06:00:00.170Z,To Office 365,08DC399000800000,17,10.0.0.10:22289,192.0.2.25:25,<,221 2.0.0 Bye,
2024-03-01T06:00:00.180Z,To Office 365,08DC399000800000,18,10.0.0.10:22289,192.0.2.25:25,-,,Local
";

/// A receive session whose client chooses its bytes to do harm.
const RECEIVE: &str = "#Software: Microsoft Exchange Server
#Log-type: SMTP Receive Protocol Log
#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
2024-03-01T07:00:00.000Z,EX001\\Default,08DC399000900000,0,10.0.0.10:25,198.51.100.9:4000,+,,
2024-03-01T07:00:00.010Z,EX001\\Default,08DC399000900000,1,10.0.0.10:25,198.51.100.9:4000,<,EHLO =HYPERLINK(1)\x1b[2J\u{202e}\u{9b}31m,
2024-03-01T07:00:00.020Z,EX001\\Default,08DC399000900000,2,10.0.0.10:25,198.51.100.9:4000,>,501 5.5.4 =Invalid\x1b]0;x\x07 domain\u{2066},
2024-03-01T07:00:00.030Z,EX001\\Default,08DC399000900000,3,10.0.0.10:25,198.51.100.9:4000,-,,Remote
what is this
";

/// A folder with logs to try the program in.
struct Trial {
    folder: TempDir,
}

/// What a run of the program printed and how it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Trial {
    /// With logs and no store.
    fn with_logs() -> Trial {
        let trial = Trial { folder: tempfile::tempdir().unwrap() };
        trial.write("logs/EX001/SmtpSend/SEND20240301-1.LOG", SEND);
        trial.write("logs/EX001/SmtpReceive/RECV20240301-1.LOG", RECEIVE);
        trial
    }

    /// With a store of these logs.
    fn with_store() -> Trial {
        let trial = Trial::with_logs();
        assert_eq!(trial.run(&["index", "logs"]).code, 0);
        trial
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace('\n', "\r\n")).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
        command.args(args).current_dir(self.folder.path());
        command.env_remove("SMTPTRAIL_STORE").env_remove("NO_COLOR").env("COLUMNS", "100");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[track_caller]
fn check(trial: &Trial, args: &[&str], code: i32, err: &str) {
    let ran = trial.run(args);
    assert_eq!((ran.code, ran.err.trim_end()), (code, err), "{args:?}\n{}", ran.out);
}

#[test]
fn help() {
    let trial = Trial::with_logs();
    let verbs = ["index", "search", "show", "certs", "coverage", "generate", "completions", "man"];
    insta::assert_snapshot!("help", trial.run(&["--help"]).out);
    for verb in verbs {
        insta::assert_snapshot!(format!("help_{verb}"), trial.run(&[verb, "--help"]).out);
    }
}

#[test]
fn what_is_for_the_shell() {
    let trial = Trial::with_logs();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = trial.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("certs"), "{shell}");
    }
    let man = trial.run(&["man"]).out;
    assert!(man.contains(".TH smtptrail 1") && man.contains("EXIT STATUS") && man.contains("\\-\\-dry\\-run"), "{man}");
}

#[test]
fn exit_codes() {
    let trial = Trial::with_store();
    check(&trial, &["search", "status:5.7.64"], 0, "1 session");
    check(&trial, &["search", "status:5.7.1"], 1, "no session matches");
    check(&trial, &["show", "08dc399000800000"], 0, "");
    check(&trial, &["show", "08DC3990FFFFFFFF"], 1, "no session is called 08DC3990FFFFFFFF");
    check(&trial, &["certs", "received:256ee908*"], 0, "2 certificates");
    check(&trial, &["certs", "status:5.7.1"], 1, "0 certificates");
    check(&trial, &["index", "logs"], 0, "");
    assert_eq!(trial.run(&["-q", "index", "--strict", "logs"]).code, 3, "nothing new");
}

#[test]
fn errors_say_what_to_do() {
    let trial = Trial::with_logs();
    check(
        &trial,
        &["search", "x"],
        2,
        "error: no store at smtptrail-store; run 'smtptrail index PATH' first, or name a store with --store",
    );
    check(&trial, &["index", "nowhere"], 2, "error: cannot read nowhere: No such file or directory (os error 2)");
    check(
        &trial,
        &["search", "x", "--since", "2024-03-02", "--until", "2024-03-01"],
        2,
        "error: --since 2024-03-02T00:00:00.000Z is not before --until 2024-03-02T00:00:00.000Z",
    );
    insta::assert_snapshot!("bad_query", trial.run(&["search", "presentd:97355AF6*", "status:5.7.64"]).err);
    for args in
        [&["frobnicate"][..], &["search"], &["search", "x", "--by", "colour"], &["index", "logs", "--role", "x"]]
    {
        let ran = trial.run(args);
        assert!(ran.code == 2 && ran.err.starts_with("error: ") && ran.out.is_empty(), "{args:?}: {}", ran.err);
    }
    let unquoted = trial.run(&["search", "status:5.7.64", "-connector:Internet"]).err;
    assert!(
        unquoted.contains("\n  tip: quote the query, as in: smtptrail search 'status:5.7.64 -connector:Internet'\n"),
        "{unquoted}"
    );
    let bare = trial.run(&[]);
    assert!(bare.code == 2 && bare.err.contains("Commands:"), "{}", bare.err);
}

#[test]
fn a_folder_without_logs_is_said_to_be_one() {
    let trial = Trial::with_logs();
    fs::create_dir(trial.folder.path().join("empty")).unwrap();
    check(&trial, &["index", "--dry-run", "empty"], 0, "there are no files in empty");
    trial.write("other/notes.txt", "nothing of interest");
    let ran = trial.run(&["index", "--dry-run", "other"]);
    assert!(ran.code == 0 && ran.err.contains("none of the files in other is an SMTP protocol log"), "{}", ran.err);
    let ran = trial.run(&["index", "--dry-run", "empty", "nowhere"]);
    assert!(ran.code == 3 && ran.err.contains("nowhere cannot be read"), "{}", ran.err);
}

#[test]
fn configuration() {
    let trial = Trial::with_store();
    trial.write("bad.toml", "store = 'x'\nthread = 2\n");
    check(
        &trial,
        &["--config", "bad.toml", "search", "*"],
        2,
        "error: bad.toml: line 2: unknown key `thread`, expected one of `store`, `threads`, `color`, `keep_transcripts`, `servers`",
    );
    trial.write("good.toml", "store = 'from-file'\n[servers]\n'**/SmtpSend/*' = 'ex9.contoso.com'\n");
    let store_named = |command: &mut Command| ran(command).err.split(';').next().unwrap().to_owned();
    let with_file = ["--config", "good.toml", "search", "*"];
    assert_eq!(store_named(&mut trial.command(&with_file)), "error: no store at from-file");
    assert_eq!(
        store_named(trial.command(&with_file).env("SMTPTRAIL_STORE", "from-environment")),
        "error: no store at from-environment"
    );
    assert_eq!(
        store_named(trial.command(&["--store", "from-flag", "search", "*"]).env("SMTPTRAIL_STORE", "x")),
        "error: no store at from-flag"
    );
    assert_eq!(trial.run(&["--config", "good.toml", "index", "logs"]).code, 0);
    let ran = trial.run(&["--config", "good.toml", "search", "direction:send", "--json"]);
    assert!(ran.out.contains(r#""server":"EX9""#), "{}", ran.out);
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let trial = Trial::with_store();
    for args in [
        &["search", "*"][..],
        &["search", "*", "--json"],
        &["search", "*", "--csv"],
        &["search", "*", "--by", "server", "--json"],
        &["show", "08DC399000800000"],
        &["certs", "--csv"],
        &["man"],
        &["completions", "bash"],
        &["index", "--dry-run", "logs"],
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = trial.command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(0) && !err.contains("error"), "{args:?}: {:?} {err}", output.status);
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let trial = Trial::with_store();
    let ran = ran(trial.command(&["search", "*", "--json"]).stdout(fs::File::create(full).unwrap()));
    assert!(ran.code == 2 && ran.err.contains("No space left"), "{}", ran.err);
}

#[test]
fn log_text_does_nothing_to_terminals_and_spreadsheets() {
    let trial = Trial::with_store();
    let harmful = |text: &str| text.contains(|c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(c)));
    for args in [
        &["search", "direction:receive"][..],
        &["search", "direction:receive", "--json"],
        &["search", "direction:receive", "--csv"],
        &["search", "direction:receive", "--by", "helo"],
        &["search", "direction:receive", "--rows", "hyperlink"],
        &["show", "08DC399000900000"],
        &["search", "helo:\x1b[2J\u{202e}", "--sort", "newest"],
        &["search", "x:\x1b[2J\u{202e}"],
        &["show", "\x1b[2J\u{202e}"],
        &["index", "\x1b[2J\u{202e}"],
    ] {
        let ran = trial.run(args);
        assert!(!harmful(&ran.out) && !harmful(&ran.err), "{args:?}: {:?} {:?}", ran.out, ran.err);
    }
    let csv = trial.run(&["search", "direction:receive", "--csv"]).out;
    assert!(csv.contains(",'=HYPERLINK(1)\\x1b[2J\\u202e\\x9b31m,"), "{csv}");
    let json = trial.run(&["search", "direction:receive", "--json"]).out;
    assert!(json.contains(r#""helo":"=HYPERLINK(1)\u001b[2J\u202e\u009b31m""#), "{json}");
}

#[test]
fn colors_are_for_terminals() {
    let trial = Trial::with_store();
    let has_colors = |command: &mut Command| ran(command).out.contains('\x1b');
    assert!(!has_colors(&mut trial.command(&["search", "*"])));
    assert!(has_colors(&mut trial.command(&["search", "*", "--color", "always"])));
    assert!(has_colors(trial.command(&["search", "*", "--color", "always"]).env("NO_COLOR", "1")));
    trial.write("color.toml", "color = 'always'\nstore = 'smtptrail-store'\n");
    assert!(has_colors(&mut trial.command(&["--config", "color.toml", "search", "*"])));
    assert!(!has_colors(trial.command(&["--config", "color.toml", "search", "*"]).env("NO_COLOR", "1")));
}

#[test]
fn sessions_are_printed() {
    let trial = Trial::with_store();
    insta::assert_snapshot!("search", trial.run(&["search", "*"]).out);
    insta::assert_snapshot!("search_json", trial.run(&["search", "status:5.7.64", "--json"]).out);
    insta::assert_snapshot!("search_csv", trial.run(&["search", "*", "--csv", "--sort", "oldest"]).out);
    insta::assert_snapshot!("search_rows", trial.run(&["search", "*", "--rows", "sender ok"]).out);
    insta::assert_snapshot!("show", trial.run(&["show", "EX001/unknown/send/08DC399000800000"]).out);
    let limited = trial.run(&["search", "*", "--limit", "1"]);
    assert_eq!(limited.err, "1 of 2 sessions; --limit 0 prints all\n");
    assert_eq!(trial.run(&["-q", "search", "*"]).err, "");
}

#[test]
fn counts_and_certificates_are_printed() {
    let trial = Trial::with_store();
    let count = ["search", "status:5.7.64", "--by", "presented,status,code"];
    insta::assert_snapshot!("count", trial.run(&count).out);
    insta::assert_snapshot!("count_json", trial.run(&[&count[..], &["--over", "hour", "--json"]].concat()).out);
    insta::assert_snapshot!("count_csv", trial.run(&["search", "*", "--over", "day", "--csv"]).out);
    insta::assert_snapshot!("certs", trial.run(&["certs"]).out);
    insta::assert_snapshot!("certs_json", trial.run(&["certs", THUMBPRINT, "--json"]).out);
}

#[test]
fn a_transcript_is_checked_against_the_store() {
    let trial = Trial::with_store();
    let raw = trial.run(&["show", "08DC399000800000", "--raw"]);
    let rows: Vec<&str> = SEND.lines().filter(|line| line.starts_with('2')).collect();
    assert_eq!(raw.out.lines().collect::<Vec<_>>(), rows);

    trial.write("logs/EX001/SmtpSend/SEND20240301-1.LOG", &SEND.replace("Relay Access Denied", "Relay Access Granted"));
    let changed = trial.run(&["show", "08DC399000800000"]);
    assert!(changed.code == 3 && changed.err.contains("has changed since it was indexed"), "{}", changed.err);

    fs::remove_file(trial.folder.path().join("logs/EX001/SmtpSend/SEND20240301-1.LOG")).unwrap();
    let gone = trial.run(&["show", "08DC399000800000"]);
    assert!(gone.code == 3 && gone.err.contains("the original is gone: "), "{}", gone.err);
    assert!(gone.out.contains("550 5.7.64 TenantAttribution; Relay Access Denied"), "{}", gone.out);
}

#[test]
fn an_ambiguous_id_lists_the_candidates() {
    let trial = Trial::with_store();
    check(
        &trial,
        &["show", "EX001/unknown"],
        2,
        "error: EX001/unknown is the id of several sessions; name one of them:\n  \
         EX001/unknown/receive/08DC399000900000\n  EX001/unknown/send/08DC399000800000",
    );
}

#[test]
fn a_session_is_found_by_the_beginning_of_its_id() {
    let trial = Trial::with_store();
    let id = "EX001/unknown/send/08DC399000800000";
    for beginning in [
        "08DC3990008",
        "08dc3990008",
        " 08DC399000800000 ",
        "EX001/unknown/send",
        "ex001/unknown/send/08dc",
        "EX001/unknown/send/08DC399000800000",
    ] {
        let ran = trial.run(&["show", beginning, "--json"]);
        assert!(ran.code == 0 && ran.out.contains(id), "{beginning}: {} {}", ran.out, ran.err);
    }
    let candidates = "is the id of several sessions; name one of them:\n  \
                      EX001/unknown/receive/08DC399000900000\n  EX001/unknown/send/08DC399000800000";
    for beginning in ["08DC3990", "0", "EX001", "EX001/unknown/"] {
        check(&trial, &["show", beginning], 2, &format!("error: {beginning} {candidates}"));
    }
    for other in
        ["18DC", "EX001/unknown/send/08DC4", "EX001/unknown/send/x", "EX001/unknown/send/08DC399000800000@", "EX0012"]
    {
        check(&trial, &["show", other], 1, &format!("no session is called {other}"));
    }
    for empty in ["", " "] {
        check(&trial, &["show", empty], 2, "error: name a session by its id, or by the beginning of it");
    }
    let search = trial.run(&["search", "status:5.7.64", "--json"]).out;
    assert_eq!(trial.run(&["show", id, "--json"]).out, search);
}

#[test]
fn the_report_counts_every_row() {
    let trial = Trial::with_logs();
    let ran = trial.run(&["index", "--dry-run", "logs"]);
    assert!(ran.out.contains("24   23 kept, 1 rejected, 0 pending"), "{}", ran.out);
    let at = RECEIVE.replace('\n', "\r\n").find("what is this").unwrap();
    let rejected = format!("EX001/SmtpReceive/RECV20240301-1.LOG: 1 row rejected: too few fields at byte {at}");
    assert_eq!(ran.err.trim_end(), rejected);
    let json = trial.run(&["index", "--dry-run", "logs", "--json"]).out;
    assert!(json.starts_with(r#"{"v":1,"files":2,"read":2,"#) && json.contains(r#""sessions":2,"whole":2,"#), "{json}");
    assert_eq!(trial.run(&["-q", "index", "--dry-run", "logs"]).out, "");
    assert_eq!(trial.run(&["-q", "index", "--dry-run", "--strict", "logs"]).code, 3);
}

#[test]
fn generated_fleets_are_equal_and_read_back_whole() {
    let trial = Trial { folder: tempfile::tempdir().unwrap() };
    let plan = ["--servers", "2", "--days", "2", "--mib-per-server", "1", "--codec", "mix", "--damage", "0.001"];
    for (out, threads) in [("a", "1"), ("b", "2")] {
        let generated = trial.run(&[&["generate", out, "--threads", threads], &plan[..]].concat());
        assert_eq!(generated.code, 0, "{}", generated.err);
    }
    let folder = trial.folder.path();
    for name in ["sessions.ndjson", "certificates.ndjson", "files.ndjson", "totals.json"] {
        let text = |fleet: &str| fs::read(folder.join(fleet).join(name)).unwrap();
        assert!(text("a.truth") == text("b.truth"), "{name}");
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let truth = json(&fs::read_to_string(folder.join("a.truth/totals.json")).unwrap());
    let report = json(&trial.run(&["index", "--dry-run", "--json", "a"]).out);
    for (key, of_report) in [("rows", "kept"), ("sessions", "sessions"), ("complete", "whole")] {
        assert_eq!(truth[key], report[of_report], "{key}");
    }
    check(&trial, &["generate", "a"], 2, "error: a is not empty; name another folder, or remove it first");
}

#[test]
fn scenarios_are_listed() {
    let trial = Trial { folder: tempfile::tempdir().unwrap() };
    let ran = trial.run(&["generate", "--list-scenarios"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!("scenarios", ran.out);
    assert_eq!(trial.run(&["generate"]).code, 2);
    assert_eq!(trial.run(&["generate", "a", "--scenario", "no-such-cause"]).code, 2);
    assert_eq!(trial.run(&["generate", "a", "--scenario", "all", "--refusals", "0.1"]).code, 2);
}

#[test]
fn scenarios_have_the_refusals_that_their_truth_tells() {
    let trial = Trial { folder: tempfile::tempdir().unwrap() };
    let names = ["certificate-name-mismatch-proxied", "old-tls-version-reply"];
    let scenarios = ["--scenario", names[0], "--scenario", names[1], "--evidence", "partial"];
    let ran = trial.run(&[&["generate", "fleets", "--mib-per-server", "1"], &scenarios[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for name in names {
        let folder = trial.folder.path();
        assert!(folder.join("fleets").join(name).join("evidence/certificates/mail.contoso.com.cer").exists());
        let cases = fs::read_to_string(folder.join("fleets.truth").join(name).join("cases.ndjson")).unwrap();
        assert_eq!(trial.run(&["-q", "--store", name, "index", &format!("fleets/{name}")]).code, 0);
        let mut planted = 0;
        for case in cases.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            planted += u64::from(case["cause"].is_string());
            let Some(status) = case["status"].as_str() else {
                continue;
            };
            let query =
                format!("status:{status} code:{} direction:{}", case["code"], case["direction"].as_str().unwrap());
            let found = trial.run(&["--store", name, "search", &query, "--limit", "0", "--json"]).out.lines().count();
            assert_eq!(found as u64, case["sessions"], "{case}");
        }
        assert_eq!(planted, 1, "{name}");
    }
    assert!(!trial.folder.path().join("fleets").join(names[0]).join("evidence/Get-InboundConnector.json").exists());
}
