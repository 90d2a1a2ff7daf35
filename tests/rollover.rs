//! `certs --rollover` over a generated fleet in which one server keeps the old certificate and another falls silent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use serde_json::Value;

/// The server that keeps the old certificate: its logs are rewritten.
const LAGS: &str = "EX002";

/// The server whose logs after the first day are missing.
const SILENT: &str = "EX003";

/// A connector of five of the servers with the first certificate; EX008 has another.
const CONNECTOR: &str = "Outbound to Office 365";

struct Fleet {
    folder: tempfile::TempDir,
    old: String,
    new: String,
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
    command.env_remove("SMTPTRAIL_STORE").current_dir(folder).args(arguments).output().unwrap()
}

fn fleet() -> &'static Fleet {
    static FLEET: OnceLock<Fleet> = OnceLock::new();
    FLEET.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let size = ["--seed", "3", "--servers", "8", "--days", "6", "--mib-per-server", "4", "--codec", "plain"];
        let kind = ["--generation", "2016", "--refusals", "0.1,0.5", "--proxied", "0.4"];
        let generate = [&["generate", "fleet"][..], &size, &kind].concat();
        assert!(run(folder.path(), &generate).status.success());
        let (old, new) = family(folder.path());
        for file in files(&folder.path().join("fleet").join(LAGS)) {
            let mut bytes = fs::read(&file).unwrap(); // Not all of it is UTF-8.
            let places = bytes.windows(new.len()).enumerate().filter(|(_, found)| *found == new.as_bytes());
            for at in places.map(|(at, _)| at).collect::<Vec<usize>>() {
                bytes[at..at + new.len()].copy_from_slice(old.as_bytes());
            }
            fs::write(&file, bytes).unwrap();
        }
        for file in files(&folder.path().join("fleet").join(SILENT)) {
            if !file.file_name().unwrap().to_str().unwrap().contains("20240301") {
                fs::remove_file(file).unwrap();
            }
        }
        assert!(run(folder.path(), &["index", "fleet", "--store", "store"]).status.success());
        Fleet { folder, old, new }
    })
}

/// Old and new certificate of the first family, from the truth.
fn family(folder: &Path) -> (String, String) {
    let truth = fs::read_to_string(folder.join("fleet.truth/certificates.ndjson")).unwrap();
    let certificates = truth.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut family: Vec<(String, String)> = certificates
        .filter(|one| one["subject"].as_str().unwrap().starts_with("CN=mail.contoso.com"))
        .map(|one| (one["not_after"].as_str().unwrap().to_owned(), one["thumbprint"].as_str().unwrap().to_owned()))
        .collect();
    family.sort();
    let [(_, old), (_, new)] = family.try_into().unwrap();
    (old, new)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Objects by their kind.
fn rollover(arguments: &[&str]) -> BTreeMap<String, Vec<Value>> {
    let command = ["certs", "--rollover", "--json", "--store", "store"];
    let output = run(fleet().folder.path(), &[&command, arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut objects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        objects.entry(object["kind"].as_str().unwrap().to_owned()).or_default().push(object);
    }
    objects
}

fn renewal(objects: &BTreeMap<String, Vec<Value>>, connector: &str) -> Value {
    let mut found = objects["renewal"]
        .iter()
        .filter(|one| one["connector"] == connector && one["old"] == fleet().old.as_str() && one["internal"] == false);
    let one = found.next().unwrap_or_else(|| panic!("no renewal on {connector}")).clone();
    assert_eq!((one["new"].as_str(), found.next()), (Some(fleet().new.as_str()), None));
    one
}

#[test]
fn one_lags_one_is_idle_the_others_moved() {
    let objects = rollover(&[]);
    let one = renewal(&objects, CONNECTOR);
    let names = |state: &str| {
        let names = one[state].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        names.collect::<BTreeSet<String>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!((names("lagging"), names("idle")), (set(&[LAGS]), set(&[SILENT])), "{one}");
    // A session that is cut off at the end, between two negotiations, can look mixed.
    let moved = &names("moved") | &names("mixed");
    assert_eq!(moved, set(&["EX001", "EX006", "EX007"]), "{one}");
    // On no connector does a server lag that has moved.
    for renewal in &objects["renewal"] {
        for name in renewal["lagging"].as_array().unwrap() {
            assert_eq!(name, LAGS, "{renewal}");
        }
    }
}

#[test]
fn what_it_met_is_what_counting_says() {
    let objects = rollover(&[]);
    for connector in [CONNECTOR, "Outbound Proxy Send Connector"] {
        let one = renewal(&objects, connector);
        for (side, thumbprint) in [("before", &fleet().old), ("after", &fleet().new)] {
            let uses = objects["use"].iter().filter(|one| {
                one["connector"] == connector && one["thumbprint"] == thumbprint.as_str() && one["direction"] == "send"
            });
            let total: u64 = uses.map(|one| one["refusals"].as_u64().unwrap()).sum();
            assert_eq!(one[side]["refusals"], total, "{connector} {side}");
            assert!(total > 0, "{connector} {side}: {one}");
        }
    }
    // Every refusal is on one connector, also those that stand in a hub's log and belong to its front end.
    for thumbprint in [&fleet().old, &fleet().new] {
        let uses = objects["use"].iter().filter(|one| one["thumbprint"] == thumbprint.as_str());
        let total: u64 = uses.map(|one| one["refusals"].as_u64().unwrap()).sum();
        let count = ["search", "code:[400 TO 599]", "--by", "presented", "--json", "--store", "store"];
        let output = run(fleet().folder.path(), &count);
        let rows = String::from_utf8(output.stdout).unwrap();
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let counted: Vec<u64> = rows
            .filter(|row| row["presented"] == thumbprint.as_str())
            .map(|row| row["replies"].as_u64().unwrap())
            .collect();
        assert_eq!(counted, [total], "{thumbprint}");
    }
}

#[test]
fn windows_and_queries_restrict_the_sessions() {
    // Before the renewal nothing was renewed; of one server that lags nothing can be told alone.
    assert!(!rollover(&["--until", "2024-03-02"]).contains_key("renewal"));
    let alone = rollover(&[&format!("server:{LAGS}")]);
    let of_family = |one: &&Value| one["old"] == fleet().old.as_str();
    assert_eq!(alone.get("renewal").into_iter().flatten().filter(of_family).count(), 0);
    // Who changed before the window is not forgotten: the one that lags behind them still does.
    let later = rollover(&["--since", "2024-03-06"]);
    let one = renewal(&later, CONNECTOR);
    assert_eq!(one["lagging"], serde_json::json!([LAGS]), "{one}");
    assert_eq!(one, renewal(&rollover(&[]), CONNECTOR));
    let is_open = |one: &Value| one["lagging"] != serde_json::json!([]) || one["mixed"] != serde_json::json!([]);
    assert!(later["use"].len() < rollover(&[])["use"].len());
    assert!(rollover(&["--since", "2024-04-01"])["renewal"].iter().all(is_open));
    let output = run(fleet().folder.path(), &["certs", "--rollover", "server:NOBODY", "--store", "store"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn text_and_csv_say_the_same() {
    let of = |arguments: &[&str]| {
        let output = run(fleet().folder.path(), &[&["certs", "--rollover", "--store", "store"], arguments].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = of(&[]);
    let lags = text.lines().find(|line| line.starts_with(&format!("{CONNECTOR} (send): "))).unwrap();
    assert!(lags.contains("1 of 5 servers lags") && lags.contains("1 idle"), "{text}");
    assert!(text.contains(&format!("{} -> {}", fleet().old, fleet().new)), "{text}");
    assert!(text.lines().any(|line| line.starts_with(&format!("  {LAGS}   lagging  2024-03-06"))), "{text}");
    let csv = of(&["--csv"]);
    let lagging: Vec<&str> = csv.lines().filter(|line| line.contains(",lagging,")).collect();
    assert!(!lagging.is_empty() && lagging.iter().all(|line| line.contains(LAGS)), "{lagging:?}");
    let uses = rollover(&[])["use"].len();
    assert_eq!(csv.lines().count(), uses + 1);
}

#[test]
fn what_expires_is_judged_by_the_time_of_the_logs() {
    let ends = |arguments: &[&str]| {
        let objects = rollover(&[&["--expires-in", "400d"], arguments].concat());
        let ends = objects.get("expiring").into_iter().flatten();
        ends.map(|one| one["expired"].as_bool().unwrap()).collect::<Vec<bool>>()
    };
    // The logs are of 2024, and all of these certificates end later.
    let by_newest = ends(&[]);
    assert!(!by_newest.is_empty() && by_newest.iter().all(|expired| !expired), "{by_newest:?}");
    let by_until = ends(&["--until", "2024-03-03"]);
    assert!(!by_until.is_empty() && by_until.iter().all(|expired| !expired), "{by_until:?}");
    // Asked up to today, or later, the first to end has.
    assert_eq!(ends(&["--until", "2999-12-31"]).first(), Some(&true));
}
