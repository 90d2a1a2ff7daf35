//! Generated fleets with one cause each: it is ranked first with full evidence, among the first two with logs alone where
//! these can tell, and innocent refusals get no cause.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use crate::program::{done, generate, run};

/// How much evidence lies beside the logs.
const LEVELS: [&str; 3] = ["full", "partial", "none"];

#[test]
fn planted_causes_are_found_and_nothing_else_is_claimed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for level in LEVELS {
        generate(path, level, &format!("--scenario all --evidence {level} -q"));
    }
    let fleets: Vec<String> = LEVELS.iter().flat_map(|level| names(path, level)).collect();
    let scenarios: BTreeSet<&str> = fleets.iter().filter_map(|fleet| fleet.split('/').nth(1)).collect();
    assert!(scenarios.len() >= 12, "{scenarios:?}");
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(fleet) = fleets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    faults.lock().unwrap().extend(judged(path, fleet));
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn names(path: &Path, level: &str) -> Vec<String> {
    let entries = fs::read_dir(path.join(level)).unwrap();
    entries.map(|entry| format!("{level}/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
}

/// What is wrong with the explanation of a fleet.
fn judged(path: &Path, fleet: &str) -> Vec<String> {
    let store = format!("store-{}", fleet.replace('/', "-"));
    done(path, &["--store", &store, "index", fleet, "-q"]);
    let explained = run(path, &["--store", &store, "explain", "--since", "2024-01-01", "--json"]);
    assert_eq!(explained.code, Some(0), "{fleet}: {}", explained.err);
    let cases: Vec<Value> = explained.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (level, name) = fleet.split_once('/').unwrap();
    let truth = fs::read_to_string(path.join(format!("{level}.truth/{name}/cases.ndjson"))).unwrap();
    let truth: Vec<Value> = truth.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut faults = Vec::new();
    for group in &truth {
        let fault = match group["cause"].is_null() {
            true => innocent(group, &truth, &cases),
            false => planted(group, level, &cases),
        };
        faults.extend(fault.map(|fault| format!("{fleet}: {} {}: {fault}", group["code"], group["status"])));
    }
    faults
}

fn is_of(case: &Value, group: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|&key| group[key].is_null() || case[key] == group[key])
}

fn innocent(group: &Value, truth: &[Value], cases: &[Value]) -> Option<String> {
    let keys = ["status", "code", "direction"];
    if truth.iter().any(|other| !other["cause"].is_null() && is_of(other, group, &keys)) {
        return None; // Not told apart by these.
    }
    let claimed = cases.iter().find(|case| is_of(case, group, &keys) && !ids(case).is_empty())?;
    Some(format!("innocent, and claimed are {:?}", ids(claimed)))
}

fn planted(group: &Value, level: &str, cases: &[Value]) -> Option<String> {
    let keys = ["status", "code", "direction", "connector", "presented"];
    let found: Vec<&Value> = cases.iter().filter(|case| is_of(case, group, &keys)).collect();
    if found.is_empty() {
        return Some("there is no such case".into());
    }
    let wanted = match level {
        "full" => &group["cause"],
        _ => &group["logs_alone"],
    };
    let most = if level == "full" { 1 } else { 2 };
    for case in found {
        let ids = ids(case);
        if !wanted.is_null() && !ids.iter().take(most).any(|id| id == wanted) && !has_cause(group, level, &ids) {
            return Some(format!("{wanted} is not among the first {most} of {ids:?}"));
        }
        if case["sessions"] != group["sessions"] {
            return Some(format!("{} sessions in place of {}", case["sessions"], group["sessions"]));
        }
        let text = case.to_string();
        let expected = group["expect"].as_array().unwrap().iter().filter(|_| level == "full");
        let lacking: Vec<&str> = expected
            .filter_map(Value::as_str)
            .filter(|expected| !text.contains(serde_json::to_string(expected).unwrap().trim_matches('"')))
            .collect();
        if !lacking.is_empty() {
            return Some(format!("the explanation lacks {lacking:?}"));
        }
    }
    None
}

/// With some of the evidence the cause itself may be found.
fn has_cause(group: &Value, level: &str, ids: &[String]) -> bool {
    level == "partial" && ids.first().is_some_and(|id| *id == group["cause"])
}

fn ids(case: &Value) -> Vec<String> {
    let causes = case["causes"].as_array().unwrap();
    causes.iter().map(|cause| cause["id"].as_str().unwrap().to_owned()).collect()
}
