//! `kill -9` in the middle of an export, and the same command again, until it comes to its end.
//!
//! Kills of one that sends over HTTP are in tests/export.

use std::{fs, path::Path, time::Duration};

use crate::{
    collector::{Collector, Conduct},
    fleet::{Fleet, Lines},
    program::run,
    running::Running,
};

/// Bytes at which exports into files are killed, of some 29 million.
const SIZES: [u64; 5] = [0, 1, 6_000_000, 12_000_000, 20_000_000];

fn args<'a>(name: &'a str, output: &'a str) -> [&'a str; 9] {
    ["--threads", "1", "export", "--to", "syslog", "--name", name, "--output", output]
}

/// Kills an export at each size of the file that it writes, and lets the last one end.
fn kill_at_each_size(fleet: &Fleet, args: &[&str], file: &Path) {
    let found = || fs::metadata(file).map_or((None, 0), |found| (found.modified().ok(), found.len()));
    for size in SIZES {
        // What the one before has left is no sign of this one.
        let (left_at, _) = found();
        let has_come_so_far = || {
            let (written_at, length) = found();
            size == 0 || written_at != left_at && length >= size
        };
        let mut export = fleet.start(args);
        assert!(export.is_running_when(has_come_so_far), "it was over before {size} bytes");
        assert!(export.kill(), "it was over before the kill at {size} bytes");
    }
    fleet.done(args);
    let again = fleet.done(args);
    assert!(again.err.contains("nothing new"), "{}", again.err);
}

#[test]
fn a_file_has_everything_once() {
    let fleet = Fleet::large();
    let args = args("file", "events.log");
    kill_at_each_size(&fleet, &args, &fleet.path("events.log"));
    Lines::read(&fleet.path("events.log")).are(&fleet.lines("syslog"));
}

#[test]
fn a_folder_has_everything_once_and_nothing_unfinished() {
    let fleet = Fleet::large();
    let args = args("folder", "parts/");
    kill_at_each_size(&fleet, &args, &fleet.path("parts/.folder-000000000000.log.partial"));
    let mut lines = Lines::default();
    for entry in fs::read_dir(fleet.path("parts")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|extension| extension == "log"), "{} is left over", path.display());
        lines.add(&fs::read(path).unwrap());
    }
    lines.are(&fleet.lines("syslog"));
}

/// The other formats into files, each killed once.
#[test]
fn every_format_has_everything_once() {
    let fleet = Fleet::large();
    for format in ["ecs", "ocsf", "cef", "leef", "csv", "ndjson", "splunk", "elasticsearch", "otlp"] {
        let output = format!("{format}.out");
        let args = ["--threads", "1", "export", "--to", format, "--name", format, "--output", &output];
        let mut export = fleet.start(&args);
        let length = || fs::metadata(fleet.path(&output)).map_or(0, |found| found.len());
        assert!(export.is_running_when(|| length() > 500_000), "{format} was over before the kill");
        assert!(export.kill(), "{format} was over before the kill");
        fleet.done(&args);
        fleet.done(&["export", "--to", format, "--output", "whole"]);
        let mut lines = [Lines::read(&fleet.path(&output)), Lines::read(&fleet.path("whole"))];
        if format == "otlp" {
            // Its requests are as long as batches; events are told by their ids.
            lines = lines.map(|lines| lines.split_at(b"\"log.record.uid\",\"value\":{\"stringValue\":\""));
        }
        assert!(lines[1].0.len() > 3_000, "{format}: {}", lines[1].0.len());
        lines[0].are(&lines[1]);
        fs::remove_file(fleet.path("whole")).unwrap();
    }
}

/// A file of columns is made anew.
#[test]
fn a_parquet_file_is_whole() {
    let fleet = Fleet::large();
    let args = ["--threads", "1", "export", "--to", "parquet", "--name", "lake", "--output", "lake/"];
    let file = fleet.path("lake/lake-000000000000.parquet");
    let partial = fleet.path("lake/.lake-000000000000.parquet.partial");
    let mut export = fleet.start(&args);
    assert!(export.is_running_when(|| partial.exists()), "it was over before the kill");
    assert!(export.kill() && !file.exists());
    fleet.done(&args);
    fleet.done(&["export", "--to", "parquet", "--output", "whole.parquet"]);
    assert!(fs::read(file).unwrap() == fs::read(fleet.path("whole.parquet")).unwrap());
    assert!(!partial.exists());
}

/// An export to a receiver of syslog, in small batches.
fn args_to(collector: &Collector) -> Vec<&str> {
    let export = ["--threads", "1", "export", "--to", "syslog", "--name", "siem"];
    [&export, &["--batch-bytes", "30000"][..], &collector.how()].concat()
}

/// Starts an export, and waits until so many more messages came.
fn start(fleet: &Fleet, collector: &Collector, more: u32) -> Running {
    let before = collector.count();
    let mut export = fleet.start(&args_to(collector));
    assert!(export.is_running_when(|| collector.count() >= before + more), "it was over before {more} more came");
    export
}

/// A receiver of syslog gets some twice, and none of them otherwise than the first time. The last kill is after the
/// export's place was noted, and what came before that comes no more.
#[test]
fn a_receiver_of_syslog_has_everything() {
    let fleet = Fleet::new();
    let expected = fleet.lines("syslog");
    let collector = Collector::start(|_| Conduct::Reads(Duration::from_millis(50)));
    for more in [1, 300, 600] {
        assert!(start(&fleet, &collector, more).kill());
    }
    let is_noted = || !fleet.done(&["export", "--status"]).out.contains(" 0 events so far");
    let mut export = start(&fleet, &collector, 1);
    assert!(export.is_running_when(is_noted), "it was over before anything was noted");
    assert!(export.kill());
    // One that sends nothing leaves the place as it is.
    let nowhere = ["export", "--to", "syslog", "--name", "siem", "--address", "tcp://127.0.0.1:1", "--retry-for", "0s"];
    assert_eq!(run(fleet.folder(), &nowhere).code, Some(2));
    assert!(fleet.done(&["export", "--status"]).out.contains("was cut off"));
    let before = collector.count();
    fleet.done(&args_to(&collector));
    assert!(collector.count() - before < expected.count(), "it began at the beginning");
    collector.end().are_at_least(&expected);
}

#[test]
fn a_receiver_of_syslog_over_tls_has_everything() {
    let fleet = Fleet::new();
    let expected = fleet.lines("syslog");
    let collector = Collector::start_tls(fleet.folder(), |_| Conduct::Reads(Duration::from_millis(20)));
    for more in [1, 300] {
        assert!(start(&fleet, &collector, more).kill());
    }
    let (code, said) = start(&fleet, &collector, 300).stop();
    assert!(code == Some(2) && said.contains("stopped by a signal"), "{said}");
    fleet.done(&args_to(&collector));
    let again = fleet.done(&args_to(&collector));
    assert!(again.err.contains("nothing new"), "{}", again.err);
    collector.end().are_at_least(&expected);
}
