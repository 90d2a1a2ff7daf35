//! The reader against the truth: fleets whose contents are known, read and compared session by session.
//!
//! The generator shares no type with the reader, so what both say was understood twice.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Mutex,
};

use ingest::compression::{Codec, encode};
use memory::{Memory, Report, check_rows, json, options, write_old};
use serde_json::Value;
use testlog::{FilesPerDay, Generation, Part, Plan, Summary};

struct Fleet {
    folder: tempfile::TempDir,
    sessions: HashMap<String, Value>,
    summary: Summary,
}

/// Writes a fleet in a codec.
fn fleet(plan: &Plan, codec: Codec) -> Fleet {
    let folder = tempfile::tempdir().unwrap();
    let sessions = Mutex::new(HashMap::new());
    let summary = testlog::generate(plan, 2, |part| {
        match part {
            Part::Log(file) => {
                let path = folder.path().join(format!("{}{}", file.path, codec.suffix()));
                write_old(&path, &encode(codec, &file.bytes).unwrap());
            }
            Part::Sessions { ndjson, .. } => {
                for line in ndjson.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    let session: Value = serde_json::from_slice(line).unwrap();
                    let id = session["id"].as_str().unwrap().to_owned();
                    assert!(sessions.lock().unwrap().insert(id, session).is_none());
                }
            }
        }
        Ok::<(), Infallible>(())
    });
    let Ok(summary) = summary;
    Fleet { folder, sessions: sessions.into_inner().unwrap(), summary }
}

#[track_caller]
fn check(plan: &Plan, codec: Codec) {
    let fleet = fleet(plan, codec);
    let mut memory = Memory::default();
    let report = memory.run(&[fleet.folder.path().to_owned()], &options(2));
    check_sessions(&fleet, &memory, codec);
    check_files(&fleet, &report, codec);
    check_certificates(&fleet, &memory);
    let totals = &fleet.summary.totals;
    assert_eq!(memory.rows(), totals.rows);
    let unreadable: u64 = fleet.summary.files.iter().map(|file| file.rejected.len() as u64).sum();
    check_rows(&report.summary, totals.rows + unreadable + totals.cut_tails);
    assert!(report.summary.problems.is_empty(), "{:?}", report.summary.problems);
}

/// Nothing lost, nothing invented, and every key of the truth the same.
#[track_caller]
fn check_sessions(fleet: &Fleet, memory: &Memory, codec: Codec) {
    let mut missing: BTreeMap<&str, &Value> = fleet.sessions.iter().map(|(id, truth)| (id.as_str(), truth)).collect();
    let mut differences = Vec::new();
    for session in memory.sessions() {
        let id = session.id();
        let Some(truth) = missing.remove(id.as_str()) else {
            panic!("{id} is invented, or there twice: {}", json(session));
        };
        let mut found = json(session);
        for source in found["sources"].as_array_mut().unwrap() {
            let file = source["file"].as_str().unwrap();
            source["file"] = file.strip_suffix(codec.suffix()).unwrap().into();
        }
        compare(&id, truth, &found, &mut differences);
    }
    assert!(missing.is_empty(), "{} sessions lost, first {:?}", missing.len(), missing.first_key_value());
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..5.min(differences.len())].join("\n")
    );
}

/// What the truth has and the reader has not; keys that only the reader has are additions.
fn compare(place: &str, truth: &Value, found: &Value, differences: &mut Vec<String>) {
    match (truth, found) {
        (Value::Object(truth), Value::Object(found)) => {
            for (key, value) in truth {
                compare(&format!("{place}.{key}"), value, found.get(key).unwrap_or(&Value::Null), differences);
            }
        }
        (Value::Array(truth), Value::Array(found)) if truth.len() == found.len() => {
            for (at, (truth, found)) in truth.iter().zip(found).enumerate() {
                compare(&format!("{place}[{at}]"), truth, found, differences);
            }
        }
        _ if truth == found => {}
        _ => differences.push(format!("{place}: truth {truth}, reader {found}")),
    }
}

/// Rows by file, and where the first unreadable ones are.
#[track_caller]
fn check_files(fleet: &Fleet, report: &Report, codec: Codec) {
    let outcomes: HashMap<&str, _> =
        report.sources.iter().map(|one| (one.file.strip_suffix(codec.suffix()).unwrap(), one)).collect();
    let mut logs = 0;
    for truth in fleet.summary.files.iter().filter(|truth| truth.kind == "log" && truth.rows > 0) {
        let Some(outcome) = outcomes.get(truth.path.as_str()) else { panic!("{} was not read", truth.path) };
        logs += 1;
        let rejected: Vec<u64> = truth.rejected.iter().copied().chain(truth.cut_tail).collect();
        assert_eq!(
            (outcome.counts.kept, outcome.counts.rejected),
            (truth.rows, rejected.len() as u64),
            "{}",
            truth.path
        );
        let positions: Vec<u64> = outcome.counts.positions.iter().map(|one| one.offset).collect();
        assert_eq!(positions, rejected[..positions.len()], "{}", truth.path);
        assert_eq!(outcome.consumed, truth.cut_tail.unwrap_or(truth.bytes), "{}", truth.path);
    }
    assert_eq!(outcomes.len(), logs, "files read that hold no row");
}

/// Every certificate that a log names, with what the log says of it.
#[track_caller]
fn check_certificates(fleet: &Fleet, memory: &Memory) {
    let found: HashMap<String, _> = memory.certificates().map(|one| (one.thumbprint.to_string(), one)).collect();
    let shown: Vec<_> = fleet.summary.certificates.iter().filter(|truth| truth.sessions > 0).collect();
    for truth in &shown {
        let Some(certificate) = found.get(&truth.thumbprint) else { panic!("{} is lost", truth.thumbprint) };
        assert_eq!(certificate.subject, truth.subject.as_deref().unwrap_or_default(), "{truth:?}");
        assert_eq!(certificate.issuer, truth.issuer.as_deref().unwrap_or_default(), "{truth:?}");
        assert_eq!(certificate.serial, truth.serial.as_deref().unwrap_or_default(), "{truth:?}");
    }
    assert_eq!(found.len(), shown.len(), "certificates invented");
}

fn plan(seed: u64) -> Plan {
    Plan { seed, servers: 4, days: 3, bytes_per_server: 6 << 20, proxied: 0.5, ..Plan::default() }
}

#[test]
fn flawless_fleets_are_read_as_they_are() {
    check(&plan(11), Codec::Zstd);
    check(&Plan { files_per_day: FilesPerDay::ByGeneration, ..plan(12) }, Codec::Plain);
}

#[test]
fn every_generation_is_understood() {
    let plan = Plan { servers: 8, days: 1, bytes_per_server: 1 << 20, ..plan(13) };
    check(&plan, Codec::Gzip);
    check(&Plan { generation: Generation::ExchangeSe, ..plan }, Codec::Plain);
}

#[test]
fn damage_costs_what_it_strikes_and_nothing_else() {
    check(&Plan { damage: 0.002, ..plan(14) }, Codec::Plain);
    check(
        &Plan { damage: 0.02, files_per_day: FilesPerDay::Hourly, bytes_per_server: 2 << 20, ..plan(15) },
        Codec::Zstd,
    );
    check(&Plan { damage: 0.2, servers: 2, bytes_per_server: 2 << 20, ..plan(16) }, Codec::Plain);
}

#[test]
fn the_answer_does_not_depend_on_threads_or_nights() {
    let fleet = fleet(&Plan { damage: 0.005, servers: 2, ..plan(17) }, Codec::Zstd);
    let path = fleet.folder.path();
    let mut one = Memory::default();
    one.run(&[path.to_owned()], &options(1));
    let mut many = Memory::default();
    many.run(&[path.to_owned()], &options(8));
    assert!(one.answers() == many.answers(), "1 thread and 8 differ");
    let mut nightly = Memory::default();
    for night in ["0303", "0301", "0302", ""] {
        nightly.run(&files_of(path, night), &options(2));
    }
    assert_eq!(one.answers().len(), nightly.answers().len());
    assert!(one.answers() == nightly.answers(), "one night and three differ");
}

/// Files of a day below a folder that keeps its server's name.
fn files_of(folder: &Path, day: &str) -> Vec<PathBuf> {
    if day.is_empty() {
        return vec![folder.to_owned()];
    }
    let below = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in below(&folder) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.file_name().unwrap().to_string_lossy().contains(day) => found.push(path),
                false => {}
            }
        }
    }
    found
}
