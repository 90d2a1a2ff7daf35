//! Where events say that their rows lie: there they are.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate},
};

/// Logs as they lie in a folder, by their path relative to it.
fn read_logs(folder: &Path, below: &Path, logs: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_logs(folder, &path, logs);
        } else {
            logs.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
}

/// Fails unless the row is the event's; whether there is one.
#[track_caller]
fn check(event: &Value, logs: &BTreeMap<String, Vec<u8>>) -> bool {
    let smtp = &event["exchange"]["smtp"];
    let Some(id) = smtp["session"]["id"].as_str() else { return false };
    let file = event["log"]["file"]["path"].as_str().unwrap();
    let offset = smtp["source"]["offset"].as_u64().unwrap_or_else(|| panic!("no offset: {event}")) as usize;
    let rest = &logs[file][offset..];
    let line = rest.split(|&byte| byte == b'\n').next().unwrap();
    let line = std::str::from_utf8(line).unwrap();
    let session = id.rsplit('/').next().unwrap();
    let has = |text: &str| assert!(line.contains(text), "no {text} in {line} of {event}");
    let Some(sequence) = event["event"]["sequence"].as_u64() else {
        has(&format!(",{session},"));
        return smtp["source"]["length"].is_u64();
    };
    has(&format!(",{session},{sequence},"));
    let sides = [&event["tls"]["client"], &event["tls"]["server"]];
    match event["event"]["action"].as_str().unwrap() {
        "refusal" => has(&smtp["reply"]["code"].to_string()),
        "tls-failed" => has("fail"),
        "tls-negotiated" => {}
        // Of a certificate only the side is there that showed it.
        _ => has(sides.iter().find_map(|side| side["hash"]["sha1"].as_str()).unwrap()),
    }
    assert!(smtp["source"]["length"].is_null(), "{event}");
    true
}

#[track_caller]
fn check_all(folder: &Path, logs: &BTreeMap<String, Vec<u8>>) -> usize {
    let events = Events::of(&done(folder, &["export", "--to", "ecs"]).out);
    events.0.values().flatten().filter(|event| check(event, logs)).count()
}

/// A run finds the first half of each log, the next one the rest: sessions are cut there as well as between logs.
#[test]
fn events_name_the_rows_that_tell_of_them() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 2 --mib-per-server 2 --codec plain");
    let mut logs = BTreeMap::new();
    read_logs(&folder.join("logs"), &folder.join("logs"), &mut logs);
    for (file, bytes) in &logs {
        fs::write(folder.join("logs").join(file), &bytes[..bytes.len() / 2]).unwrap();
    }
    done(folder, &["index", "logs"]);
    let half = check_all(folder, &logs);
    for (file, bytes) in &logs {
        fs::write(folder.join("logs").join(file), bytes).unwrap();
    }
    done(folder, &["index", "logs"]);
    let found = check_all(folder, &logs);
    assert!(half > 500 && found > half + 500, "{half}, then {found}");

    // The same in one run, so nothing depends on the cut.
    done(folder, &["--store", "other", "index", "logs"]);
    let of =
        |store| done(folder, &["--store", store, "export", "--to", "csv", "--kinds", "refusal,tls-negotiated"]).out;
    let [mut cut, mut whole] =
        ["smtptrail-store", "other"].map(|store| of(store).lines().map(str::to_owned).collect::<Vec<_>>());
    cut.sort();
    whole.sort();
    assert_eq!(cut, whole);
}
