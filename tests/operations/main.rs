//! Running it for real: unattended, watched over, waiting for each other, stopped by signals.

mod exposition;
mod trial;
mod units;

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use trial::{Disk, LOG, Trial, sessions_text};

#[test]
fn a_watch_picks_up_rows_outlives_a_lost_folder_and_stops() {
    let trial = Trial::new();
    trial.append(LOG, &sessions_text(0..1));
    let watch = trial.start(&["index", "logs", "--watch=100ms", "--metrics", "run.prom", "--summary", "run.json"]);
    watch.wait_for("the first row", || watch.out().lines().count() == 1);
    trial.append(LOG, &sessions_text(1..3));
    watch.wait_for("appended rows", || watch.out().lines().count() == 2);
    assert!(watch.out().lines().all(|line| line.len() <= 80), "{}", watch.out());
    assert!(watch.out().contains("1 file, 6 rows, 2 new sessions, "), "{}", watch.out());

    // What fails is said once, and tried again.
    trial.rename("logs", "lost");
    watch.wait_for("a warning", || watch.err().contains("cannot read logs: No such file"));
    let lost_at = trial.metric("smtptrail_last_run_timestamp_seconds");
    watch.wait_for("more rounds", || trial.metric("smtptrail_last_run_timestamp_seconds") > lost_at + 0.5);
    assert_eq!(
        (watch.err().lines().count(), trial.metric("smtptrail_last_run_exit_code")),
        (1, 2.0),
        "{}",
        watch.err()
    );
    assert_eq!(trial.summary()["exit_code"], 2);
    trial.rename("lost", "logs");
    trial.append(LOG, &sessions_text(3..4));
    watch.wait_for("the folder again", || watch.out().lines().count() == 3);
    assert!(watch.err().ends_with("working again\n"), "{}", watch.err());
    assert_eq!((trial.summary()["exit_code"].as_u64(), trial.sessions()), (Some(0), 4));

    // Nothing new is nothing published, once the clock's grain has passed, and the store is free between the runs.
    let (published, ended) = ("smtptrail_runs_total", "smtptrail_last_run_timestamp_seconds");
    watch.wait_for("quiet", || {
        let (runs, at) = (trial.metric(published), trial.metric(ended));
        watch.wait_for("more rounds", || trial.metric(ended) > at + 0.5);
        trial.metric(published) == runs
    });
    let runs = trial.metric(published);
    assert_eq!(trial.run(&["index", "logs", "--wait=20s"]).code, Some(0));
    watch.wait_for("the other run's metrics", || trial.metric(published) == runs + 1.0);
    watch.signal("TERM");
    let ran = watch.end();
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 3), "{}", ran.err);
    assert_eq!((trial.run(&["index", "logs"]).code, trial.sessions()), (Some(0), 4));
}

#[test]
fn a_watch_outlives_a_full_disk() {
    let trial = Trial::new();
    let Some(_disk) = Disk::mount(&trial.path("store"), 4 << 20) else { return };
    trial.append(LOG, &sessions_text(0..1));
    let watch = trial.start(&["index", "logs", "--watch=100ms", "--metrics", "run.prom"]);
    watch.wait_for("the first row", || watch.out().lines().count() == 1);
    let filler = trial.path("store/filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    trial.append(LOG, &sessions_text(1..2));
    watch.wait_for("a warning", || !watch.err().is_empty());
    let ended = "smtptrail_last_run_timestamp_seconds";
    let at = trial.metric(ended);
    watch.wait_for("more rounds", || trial.metric(ended) > at + 1.0);
    assert!(watch.err().lines().count() <= 2, "{}", watch.err());
    fs::remove_file(&filler).unwrap();
    drop(file);
    watch.wait_for("room again", || watch.out().lines().count() == 2);
    watch.signal("INT");
    let ended = watch.end();
    assert!(ended.err.contains("trying again") && ended.err.contains("working again"), "{}", ended.err);
    assert_eq!((ended.code, trial.sessions()), (Some(0), 2), "{}", ended.err);
}

#[test]
fn a_failed_run_gives_the_disk_back() {
    let trial = Trial::new();
    let size = ["--servers", "1", "--days", "3", "--mib-per-server", "24"];
    assert_eq!(trial.run(&[&["generate", "logs"][..], &size].concat()).code, Some(0));
    let Some(_disk) = Disk::mount(&trial.path("store"), 512 << 10) else { return };
    let ran = trial.run(&["index", "logs", "--summary", "run.json"]);
    assert!(ran.code == Some(2) && ran.err.contains("No space left"), "{}", ran.err);
    assert_eq!(trial.files("store/splits"), Vec::<PathBuf>::new());
    let summary = trial.summary();
    assert!(summary["kept"].as_u64() > Some(1_000) && summary["exit_code"] == 2, "what was read is told: {summary}");
}

#[test]
fn a_stopped_run_publishes_nothing() {
    let trial = Trial::new();
    let size = ["--servers", "2", "--days", "2", "--mib-per-server", "40", "--codec", "zst"];
    assert_eq!(trial.run(&[&["generate", "logs"][..], &size].concat()).code, Some(0));
    for signal in ["TERM", "INT"] {
        let run = trial.start(&["--threads", "1", "index", "logs", "--summary", "run.json"]);
        run.wait_for("the lock", || fs::read(trial.path("store/lock")).is_ok_and(|text| !text.is_empty()));
        run.signal(signal);
        let ended = run.end();
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", ended.err);
        assert_eq!(ended.err, "error: stopped by a signal; nothing of this run was published\n");
        let summary = trial.summary();
        assert_eq!((summary["exit_code"].as_u64(), summary["error"].is_string()), (Some(2), true), "{summary}");
        assert_eq!(trial.sessions(), 0);
        fs::remove_file(trial.path("store/lock")).unwrap();
    }
    assert_eq!(trial.run(&["index", "logs", "--summary", "run.json"]).code, Some(0));
    assert_eq!(trial.summary()["new_sessions"], trial.sessions());
}

#[test]
fn runs_wait_for_each_other_if_told_to() {
    let trial = Trial::new();
    trial.append(LOG, &sessions_text(0..5));
    fs::create_dir(trial.path("store")).unwrap();
    let lock = trial.path("store/lock");
    fs::write(&lock, "process 1 on elsewhere since 2024-03-01T06:00:06Z").unwrap();
    let held = File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    let holder = "the store at store is being written by process 1 on elsewhere since 2024-03-01T06:00:06Z";

    let refused = trial.run(&["index", "logs", "--summary", "run.json", "--metrics", "run.prom"]);
    assert_eq!(refused.err, format!("error: {holder}; --wait waits until that is done\n"));
    assert_eq!((refused.code, trial.summary()["exit_code"].as_u64()), (Some(2), Some(2)));
    assert_eq!(trial.metric("smtptrail_last_run_exit_code"), 2.0);
    let bounded = trial.run(&["index", "logs", "--wait=300ms"]);
    assert_eq!(bounded.err, format!("{holder}; waiting\nerror: {holder}, after a wait of 0.3 s\n"));
    assert_eq!(bounded.code, Some(2));

    let stopped = trial.start(&["index", "logs", "--wait"]);
    stopped.wait_for("a word", || stopped.err().contains("waiting"));
    stopped.signal("TERM");
    assert_eq!(stopped.end().code, Some(2));
    let waiting = [(); 3].map(|()| trial.start(&["index", "logs", "--wait"]));
    waiting.iter().for_each(|run| run.wait_for("a word", || run.err() == format!("{holder}; waiting\n")));
    drop(held);
    assert_eq!(waiting.map(|run| run.end().code), [Some(0); 3]);
    assert_eq!(trial.sessions(), 5);
}

#[test]
fn a_failed_run_leaves_summary_and_metrics() {
    let trial = Trial::new();
    trial.append(LOG, &sessions_text(0..1));
    let files = ["--summary", "run.json", "--metrics", "run.prom"];
    assert_eq!(trial.run(&[&["index", "logs"], &files[..]].concat()).code, Some(0));
    assert_eq!(trial.run(&[&["index", "nowhere"], &files[..]].concat()).code, Some(2));
    let summary = trial.summary();
    assert_eq!(summary["error"], "cannot read nowhere: No such file or directory (os error 2)", "{summary}");
    assert_eq!(trial.metric("smtptrail_last_run_exit_code"), 2.0);
    assert_eq!(trial.metric("smtptrail_store_sessions"), 1.0, "the store is told of all the same");

    let early = trial.run(&["index", "logs", "--summary", "no/such/folder.json"]);
    assert!(early.code == Some(2) && early.err.contains("cannot write no/such/folder.json"), "{}", early.err);
    let left = fs::read_dir(trial.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.to_string_lossy().contains(".new")).count(), 0);
}

#[test]
fn metrics_are_what_collectors_read() {
    let trial = Trial::new();
    trial.append("logs/EX1/SmtpSend/SEND20240301-1.LOG", &sessions_text(0..3));
    trial.append("logs/E\"X\n/SmtpSend/SEND20240301-1.LOG", &sessions_text(3..4));
    assert_eq!(trial.run(&["index", "logs", "--metrics", "run.prom"]).code, Some(0));
    let labelled = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        trial.metrics()[&(format!("smtptrail_{name}"), labels.collect())]
    };
    assert_eq!(labelled("last_run_rows", &[("state", "kept")]), 12.0, "{:?}", trial.metrics());
    assert_eq!(labelled("rows_total", &[("state", "rejected")]), 0.0);
    for server in ["EX1", "E\"X\n"] {
        let stream = [("server", server), ("role", "unknown"), ("direction", "send")];
        let newest = labelled("stream_newest_row_timestamp_seconds", &stream);
        assert_eq!(newest.floor(), 1_709_272_800.0, "{server:?}");
    }
    assert_eq!(trial.metric("smtptrail_store_splits"), trial.metric("smtptrail_store_splits").floor());
    assert!(trial.metric("smtptrail_store_bytes") > 0.0 && trial.metric("smtptrail_last_run_duration_seconds") > 0.0);
}

#[test]
fn new_sessions_are_counted_once() {
    let trial = Trial::new();
    let size = ["--servers", "2", "--days", "3", "--mib-per-server", "2"];
    assert_eq!(trial.run(&[&["generate", "logs"][..], &size].concat()).code, Some(0));
    let mut new = 0;
    for part in ["logs/EX001", "logs", "logs"] {
        assert_eq!(trial.run(&["index", part, "--summary", "run.json"]).code, Some(0));
        new += trial.summary()["new_sessions"].as_u64().unwrap();
    }
    assert_eq!(new, trial.sessions());
}

/// A problem is worth exit code 3 once (CONTRACT 6): damage, that stays, and a lack of permission, that is tried again.
#[test]
fn a_problem_counts_once_as_long_as_its_file_is_the_same() {
    let trial = Trial::new();
    let size = ["--servers", "1", "--days", "1", "--mib-per-server", "1", "--codec", "zst"];
    assert_eq!(trial.run(&[&["generate", "logs"][..], &size].concat()).code, Some(0));
    let files = trial.files("logs");
    let (damaged, forbidden) = (&files[0], &files[1]);
    let bytes = fs::read(damaged).unwrap();
    fs::write(damaged, &bytes[..bytes.len() / 2]).unwrap();
    let codes = |expected: &[i32]| {
        for &code in expected {
            let ran = trial.run_unprivileged(&["index", "logs", "--summary", "run.json"]);
            assert_eq!(ran.code, Some(code), "of {expected:?}: {}", ran.err);
        }
    };
    codes(&[3, 0, 0]);
    fs::write(damaged, &bytes[..bytes.len() / 3]).unwrap();
    codes(&[3, 0]);
    fs::write(damaged, &bytes).unwrap();
    codes(&[0]);

    if trial.forbid(forbidden) {
        codes(&[3, 0, 0]);
        assert_eq!(trial.summary()["problems"][0]["reported"], true);
        assert_eq!(trial.run_unprivileged(&["index", "logs", "--strict"]).code, Some(3));
        let told = trial.run_unprivileged(&["index", "logs"]);
        assert_eq!(told.err, "1 problem reported by an earlier run, of the same files; -v names all\n");
        File::options().append(true).open(forbidden).unwrap().write_all(b"x").unwrap();
        codes(&[3, 0]);
        trial.allow(forbidden);
        codes(&[0, 0]); // It ends with a byte that is none of it, but is the file that was reported.
    }
}

/// Media that cannot be written, or a store of somebody else.
#[test]
fn a_store_that_cannot_be_written_is_searched() {
    let trial = Trial::new();
    trial.append(LOG, &sessions_text(0..3));
    assert_eq!(trial.run(&["index", "logs", "--keep-transcripts"]).code, Some(0));
    if !trial.seal(true) {
        return;
    }
    let files = trial.files("store");
    for (args, lines) in [
        (&["search", "*", "--json"][..], 3),
        (&["search", "*", "--by", "server", "--json"], 1),
        (&["show", "08DC399000800001", "--raw"], 3),
        (&["coverage", "--json"], 1),
        (&["verify"], 5),
    ] {
        let ran = trial.run_unprivileged(args);
        assert_eq!((ran.code, ran.out.lines().count()), (Some(0), lines), "{args:?}: {}{}", ran.out, ran.err);
    }
    for args in [&["index", "logs"][..], &["prune", "--keep", "1d", "--force"]] {
        let ran = trial.run_unprivileged(args);
        let is_clear = ran.err.contains("Permission denied") || ran.err.contains("readonly");
        assert!(ran.code == Some(2) && ran.err.lines().count() == 1 && is_clear, "{args:?}: {}", ran.err);
    }
    assert_eq!(trial.files("store"), files, "nothing is left behind");
    trial.seal(false);
    trial.append(LOG, &sessions_text(3..4));
    assert_eq!((trial.run(&["index", "logs"]).code, trial.sessions()), (Some(0), 4));
}

#[test]
fn intervals_and_their_limits_are_checked() {
    let trial = Trial::new();
    trial.append(LOG, &sessions_text(0..1));
    for (args, says) in [
        (&["index", "logs", "--watch=soon"][..], "write a number and ms, s, m, h, d or w"),
        (&["index", "logs", "--watch", "--dry-run"], "cannot be used with"),
        (&["index", "-", "--watch"], "standard input comes only once"),
    ] {
        let ran = trial.run(args);
        assert!(ran.code == Some(2) && ran.err.contains(says), "{args:?}: {}", ran.err);
    }
}
