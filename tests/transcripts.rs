//! Transcripts that outlive the logs: rows kept by `index --keep-transcripts`.

mod program;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use crate::program::{done, generate, run};

fn ids(folder: &Path) -> Vec<String> {
    let found = done(folder, &["search", "*", "--json", "--limit", "0"]).out;
    found.lines().map(|line| line.split('"').nth(5).unwrap().to_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn raw(folder: &Path, id: &str) -> String {
    done(folder, &["show", id, "--raw"]).out
}

#[test]
fn transcripts_are_the_same_without_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "logs", "--seed 21 --servers 2 --days 2 --mib-per-server 1");
    done(path, &["index", "logs"]);
    let ids = ids(path);
    let some: Vec<&String> = ids.iter().step_by(ids.len() / 25).collect();
    let from_logs: Vec<String> = some.iter().map(|id| raw(path, id)).collect();
    let rows = ["search", "*", "--rows", "queued mail for delivery", "--json", "--limit", "0"];
    let found = done(path, &rows).out;
    assert!(found.lines().count() > 10);
    fs::remove_dir_all(path.join("smtptrail-store")).unwrap();

    let indexed = done(path, &["index", "logs", "--keep-transcripts"]);
    assert!(indexed.out.contains("B kept, in"), "{}", indexed.out);
    fs::rename(path.join("logs"), path.join("elsewhere")).unwrap();
    let from_store: Vec<String> = some.iter().map(|id| raw(path, id)).collect();
    assert_eq!(from_store, from_logs);
    assert_eq!(done(path, &rows).out, found);
    assert_eq!(done(path, &["verify", "--store-only"]).code, Some(0));

    // A flipped bit is found; the logs, if they are there again, are read in place of it.
    let kept = files(&path.join("smtptrail-store/transcripts"));
    for file in &kept {
        let mut bytes = fs::read(file).unwrap();
        for at in (100..bytes.len()).step_by(1_000) {
            bytes[at] ^= 4;
        }
        fs::write(file, bytes).unwrap();
    }
    let verified = run(path, &["verify", "--store-only"]);
    assert!(verified.code == Some(2) && verified.err.contains("kept rows are damaged"), "{}", verified.err);
    let shown = run(path, &["show", some[0]]);
    assert!(shown.code == Some(3) && shown.err.contains("damaged"), "{}", shown.err);
    fs::rename(path.join("elsewhere"), path.join("logs")).unwrap();
    let shown = run(path, &["show", some[0], "--raw"]);
    assert_eq!((shown.code, &shown.out), (Some(0), &from_logs[0]), "{}", shown.err);
}

#[test]
fn rows_of_growing_logs_are_kept_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "whole", "--seed 22 --servers 1 --days 1 --mib-per-server 2 --codec plain");
    let whole: Vec<PathBuf> = files(&path.join("whole/EX001"));
    // Two dozen runs, each of which finds every log a little longer, often in the middle of a line.
    for step in 1..=24 {
        for log in &whole {
            let target = path.join("logs").join(log.strip_prefix(path.join("whole")).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            let bytes = fs::read(log).unwrap();
            File::create(&target).unwrap().write_all(&bytes[..bytes.len() * step / 24]).unwrap();
        }
        done(path, &["index", "logs", "--keep-transcripts"]);
    }
    let ids = ids(path);
    assert!(ids.len() > 50);
    let with_logs: Vec<String> = ids.iter().step_by(7).map(|id| raw(path, id)).collect();
    fs::remove_dir_all(path.join("logs")).unwrap();
    let without: Vec<String> = ids.iter().step_by(7).map(|id| raw(path, id)).collect();
    assert_eq!(with_logs, without);
    let verified = done(path, &["verify", "--store-only", "--json"]).out;
    let verified: serde_json::Value = serde_json::from_str(&verified).unwrap();
    // What was merged is compressed as if it had come at once.
    let kept = verified["kept_bytes"].as_u64().unwrap();
    let at_once: u64 = whole.iter().map(|log| fs::read(log).unwrap().len() as u64).sum::<u64>() / 8;
    assert!(kept > 0 && kept < at_once, "{kept} bytes, not {at_once}");
}
