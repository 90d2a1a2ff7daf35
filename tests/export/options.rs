//! What the command line promises, and what it refuses.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate, run},
};

#[test]
fn what_matches_is_exported_and_counted() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 2 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    let all = Events::of(&done(folder, &["export", "--to", "ecs", "--kinds", "refusal"]).out);
    assert!(all.of_kind("refusal").count() == all.len() && all.len() > 20);
    let some = Events::of(&done(folder, &["export", "--to", "ecs", "--kinds", "refusal", "status:5.7.64"]).out);
    let is_wanted = |event: &&Value| event["event"]["code"] == "5.7.64";
    assert_eq!(some.of_kind("refusal").filter(is_wanted).count(), all.of_kind("refusal").filter(is_wanted).count());
    let day = done(folder, &["export", "--to", "ndjson", "--since", "2024-03-02"]);
    let found = done(folder, &["search", "*", "--json", "--since", "2024-03-02", "--limit", "100000"]);
    assert_eq!(day.out.lines().count(), found.out.lines().count());
    // The form is that of `search`, and one key more.
    let mut session: Value = serde_json::from_str(day.out.lines().next().unwrap()).unwrap();
    let export = session.as_object_mut().unwrap().remove("export").unwrap();
    assert_eq!((export["revision"].as_u64(), export["amends"].is_null()), (Some(1), true));
    let id = session["id"].as_str().unwrap().to_owned();
    let session = session.to_string();
    assert!(found.out.lines().any(|line| line == session), "{id}");
    let dry = done(folder, &["export", "--to", "ecs", "--dry-run", "--name", "x"]);
    assert!(dry.out.is_empty() && dry.err.contains("would export"), "{}{}", dry.out, dry.err);
    assert!(run(folder, &["export", "--status"]).err.contains("no export has a name yet"));
}

#[test]
fn redaction_hides_addresses_and_keeps_joins() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 1 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    fs::write(folder.join("key"), "correct horse battery staple\n").unwrap();
    let redacted =
        |fields: &str| done(folder, &["export", "--to", "ndjson", "--redact", fields, "--redact-key", "key"]).out;
    let open = done(folder, &["export", "--to", "ndjson"]).out;
    let hidden = redacted("from,to,remote,message_id");
    assert_eq!(open.lines().count(), hidden.lines().count());
    let mut pairs = std::collections::BTreeMap::new();
    for (open, hidden) in open.lines().zip(hidden.lines()) {
        let [open, hidden]: [Value; 2] = [open, hidden].map(|line| serde_json::from_str(line).unwrap());
        assert_eq!(open["id"], hidden["id"]);
        assert_ne!(open["export"]["id"], hidden["export"]["id"]);
        let text = hidden.to_string();
        for message in open["messages"].as_array().unwrap() {
            for address in message["to"].as_array().unwrap().iter().chain([&message["from"]]) {
                let address = address.as_str().unwrap();
                assert!(address.is_empty() || !text.contains(address), "{address} in {text}");
            }
        }
        let recipients = |session: &Value| -> Vec<String> {
            let messages = session["messages"].as_array().unwrap().iter();
            messages.flat_map(|one| one["to"].as_array().unwrap()).map(|to| to.as_str().unwrap().to_owned()).collect()
        };
        for (open, hidden) in recipients(&open).into_iter().zip(recipients(&hidden)) {
            let before = pairs.insert(open.to_lowercase(), hidden.clone());
            assert!(before.is_none_or(|before| before == hidden), "{open}");
        }
    }
    assert!(pairs.len() > 20);
    assert_eq!(hidden, redacted("from,to,remote,message_id"), "the same key, the same hashes");
}

#[test]
fn mistakes_are_named() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    let check = |args: &[&str], words: &str| {
        let ran = run(folder, &[&["export"], args].concat());
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    };
    check(&[], "--to <SINK>");
    check(&["--to", "nothing"], "possible values: ");
    check(&["--to", "ecs"], "no store at");
    check(&["--to", "ecs", "--address", "https://127.0.0.1:1"], "ecs goes into files, not to an address");
    check(&["--to", "cef", "--address", "https://127.0.0.1:1"], "cef goes to tcp://, tls:// or udp://");
    check(&["--to", "ecs", "--redact", "from"], "--redact-key");
    check(&["--to", "ndjson", "--kinds", "refusal"], "whole sessions");
    generate(folder, "logs", "--servers 1 --days 1 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    fs::write(folder.join("short"), "key").unwrap();
    fs::write(folder.join("key"), "0123456789abcdef").unwrap();
    check(&["--to", "ecs", "--redact", "from", "--redact-key", "short"], "short is too short for a key");
    check(&["--to", "ecs", "--redact", "sender", "--redact-key", "key"], "'sender' is not one of from, to,");
    check(&["--to", "ecs", "--name", "a/b"], "'a/b' cannot be the name of an export");
    check(&["--to", "ecs", "--output", "out/"], "without --name");
    check(&["--to", "ecs", "stauts:5.7.64"], "stauts");
    let list = done(folder, &["export", "--list"]);
    assert!(list.out.lines().count() >= 6 && list.out.contains("Elastic Common Schema"), "{}", list.out);
}

#[test]
fn metrics_tell_what_was_sent() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 1 --days 1 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    let events = Events::of(&done(folder, &["export", "--to", "ecs", "--metrics", "export.prom", "--name", "a"]).out);
    let text = fs::read_to_string(folder.join("export.prom")).unwrap();
    let value = |start: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let refusals = "smtptrail_export_events{name=\"a\",sink=\"ecs\",kind=\"refusal\"}";
    assert_eq!(value(refusals), events.of_kind("refusal").count() as f64);
    assert_eq!(value("smtptrail_export_exit_code"), 0.0);
    // A receiver that is not there.
    let nowhere = ["--address", "tcp://127.0.0.1:1", "--retry-for", "0s", "--metrics", "export.prom", "--name", "b"];
    let ran = run(folder, &[&["export", "--to", "cef"], &nowhere[..]].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("did not confirm") && ran.err.contains("127.0.0.1:1"), "{}", ran.err);
    let text = fs::read_to_string(folder.join("export.prom")).unwrap();
    assert!(text.contains("smtptrail_export_exit_code{name=\"b\",sink=\"cef\"} 2\n"), "{text}");
}
