//! A store over the years: splits are merged, old days leave and stay away, and verifying finds what is wrong.

mod program;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::program::{Ran, done, generate, run};

/// Every log below a folder with the day in its name.
fn logs_by_day(folder: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut days: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("SEND2") || name.starts_with("RECV2") {
                days.entry(name[4..12].to_owned()).or_default().push(path);
            }
        }
    }
    days.values_mut().for_each(|logs| logs.sort());
    days
}

/// Copies logs to the same place below another folder.
fn deliver(logs: &[PathBuf], from: &Path, to: &Path) {
    for log in logs {
        let target = to.join(log.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(log, target).unwrap();
    }
}

/// Every session as JSON, in an order that does not depend on the store.
fn sessions(folder: &Path, store: &str) -> Vec<String> {
    let found = done(folder, &["--store", store, "search", "*", "--json", "--limit", "0"]);
    let mut sessions: Vec<String> = found.out.lines().map(str::to_owned).collect();
    sessions.sort();
    sessions
}

fn started(session: &str) -> &str {
    let at = session.find("\"started\":\"").unwrap() + 11;
    &session[at..at + 10]
}

fn verify(folder: &Path, store: &str) -> Ran {
    run(folder, &["--store", store, "verify"])
}

fn split_files(store: &Path) -> usize {
    fs::read_dir(store.join("splits")).unwrap().count()
}

#[test]
fn nightly_runs_give_the_store_of_one_run_in_few_splits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "logs", "--seed 11 --servers 2 --days 12 --mib-per-server 2");
    let days = logs_by_day(&path.join("logs"));
    for logs in days.values() {
        deliver(logs, &path.join("logs"), &path.join("incoming"));
        done(path, &["--store", "nightly", "--threads", "2", "index", "incoming"]);
    }
    done(path, &["--store", "once", "index", "incoming"]);
    let nightly = sessions(path, "nightly");
    assert!(nightly.len() > 500 && nightly == sessions(path, "once"), "{} sessions", nightly.len());
    let verified = verify(path, "nightly");
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);

    // Twelve nights wrote a split and one of open sessions each; eight small ones become one.
    let catalog = Connection::open(path.join("nightly/catalog.sqlite")).unwrap();
    let splits: i64 = catalog.query_row("SELECT count(*) FROM splits", [], |row| row.get(0)).unwrap();
    assert!((2..=9).contains(&splits), "{splits} splits");

    // What was replaced stays for ten minutes, for those who opened the catalog before.
    assert!(split_files(&path.join("nightly")) > splits as usize);
    catalog.execute("UPDATE dropped_splits SET dropped_ms = dropped_ms - 600001", []).unwrap();
    drop(catalog);
    done(path, &["--store", "nightly", "prune"]);
    assert_eq!(split_files(&path.join("nightly")), splits as usize);
    assert_eq!(sessions(path, "nightly"), nightly);
}

/// `900d` for a time so many days ago.
fn days_since(date: &str) -> String {
    let ms: i64 = smtplog::Timestamp::from_log(format!("{date}T00:00:00.000Z").as_bytes()).unwrap().0;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    format!("{}d", (now - ms) / 86_400_000)
}

#[test]
fn pruned_days_stay_away_until_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "logs", "--seed 12 --servers 2 --days 6 --mib-per-server 2");
    let days = logs_by_day(&path.join("logs"));
    let late = days["20240302"].clone();
    for (day, logs) in &days {
        if day != "20240302" {
            deliver(logs, &path.join("logs"), &path.join("incoming"));
        }
    }
    done(path, &["index", "incoming"]);
    let before = sessions(path, "smtptrail-store");
    // Said before it is done, and done only on purpose if it is everything.
    let keep = ["prune", "--keep", &days_since("2024-03-04")];
    let planned = done(path, &[&keep[..], &["--dry-run"]].concat());
    let everything = run(path, &["prune", "--keep", "1d"]);
    let says = format!("this would drop all {} sessions of the store, the newest record of 2024-03-06", before.len());
    assert!(everything.code == Some(2) && everything.err.contains(&says), "{says}: {}", everything.err);
    let planned_everything = done(path, &["prune", "--keep", "1d", "--dry-run"]);
    assert!(planned_everything.err.contains("and needs --force"), "{}", planned_everything.err);
    assert_eq!(sessions(path, "smtptrail-store"), before);
    let pruned = done(path, &keep);
    let count = |ran: &Ran| ran.err.split(' ').next().unwrap().to_owned();
    assert!(planned.err.contains("sessions would begin on 2024-03-04"), "{}", planned.err);
    assert_eq!(count(&planned), count(&pruned));
    let again = done(path, &[&keep[..], &["--dry-run"]].concat());
    assert_eq!(again.err, "nothing is too old\n");
    assert!(pruned.err.contains("sessions begin on 2024-03-04"), "{}", pruned.err);
    let young: Vec<String> = before.iter().filter(|one| started(one) >= "2024-03-04").cloned().collect();
    assert!(!young.is_empty() && young.len() < before.len());
    assert_eq!(sessions(path, "smtptrail-store"), young);
    let of_days = |days: [i32; 3], state| days.map(|day| format!("2024-03-0{day} {state}"));
    assert_eq!(states(path), [of_days([1, 2, 3], "pruned"), of_days([4, 5, 6], "there")].concat());
    assert_eq!(verify(path, "smtptrail-store").code, Some(0));

    // Their files are known, whatever becomes of them; others of these days expire.
    fs::rename(path.join("incoming"), path.join("moved")).unwrap();
    assert!(done(path, &["index", "moved"]).out.contains("known already"));
    deliver(&late, &path.join("logs"), &path.join("moved"));
    let expired = done(path, &["index", "moved", "--json"]).out;
    let expired: serde_json::Value = serde_json::from_str(&expired).unwrap();
    assert!(expired["expired"].as_u64().unwrap() > 10, "{expired}");
    let kept: Vec<String> = sessions(path, "smtptrail-store");
    assert!(kept.iter().all(|one| started(one) >= "2024-03-04"));
    let verified = verify(path, "smtptrail-store");
    assert_eq!(verified.code, Some(0), "{}", verified.err);

    // A horizon never moves back by itself.
    done(path, &["prune", "--keep", &days_since("2024-03-02")]);
    assert_eq!(sessions(path, "smtptrail-store"), kept);

    // Taken again, once however often.
    done(path, &["--store", "all", "index", "moved"]);
    for _ in 0..2 {
        done(path, &["index", "moved", "--reindex"]);
        assert_eq!(without_places(&sessions(path, "smtptrail-store")), without_places(&sessions(path, "all")));
        let verified = verify(path, "smtptrail-store");
        assert_eq!(verified.code, Some(0), "{}", verified.err);
    }

    assert!(states(path).iter().all(|state| state.ends_with(" there")), "{:?}", states(path));

    // By size: the newest day stays.
    done(path, &["prune", "--keep-size", "1kB"]);
    let newest = sessions(path, "smtptrail-store");
    let day = newest.iter().map(|one| started(one).to_owned()).max().unwrap();
    assert!(!newest.is_empty() && newest.iter().all(|one| started(one) == day));
    assert_eq!(verify(path, "smtptrail-store").code, Some(0));
}

/// Days with what coverage says of them: pruned, or anything else.
fn states(folder: &Path) -> Vec<String> {
    let told = done(folder, &["coverage", "--json"]).out;
    let state = |line: &str| {
        let day: serde_json::Value = serde_json::from_str(line).unwrap();
        let state = if day["state"] == "pruned" { "pruned" } else { "there" };
        format!("{} {state}", day["day"].as_str().unwrap())
    };
    let mut states: Vec<String> = told.lines().map(state).collect();
    states.sort();
    states.dedup();
    states
}

#[test]
fn a_store_is_emptied_if_it_has_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "logs", "--seed 14 --servers 1 --days 1 --mib-per-server 1");
    done(path, &["index", "logs"]);
    done(path, &["prune", "--keep", "1d", "--force"]);
    assert_eq!(run(path, &["search", "*"]).code, Some(1));
    assert_eq!(verify(path, "smtptrail-store").code, Some(0));
    done(path, &["prune", "--keep", "1d"]); // nothing is left to ask about
}

fn without_places(sessions: &[String]) -> Vec<String> {
    let without = |session: &String| session.split(",\"sources\":").next().unwrap_or_default().to_owned();
    let mut sessions: Vec<String> = sessions.iter().map(without).collect();
    sessions.sort();
    sessions
}

#[test]
fn verify_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "logs", "--seed 13 --servers 1 --days 2 --mib-per-server 1");
    done(path, &["index", "logs"]);
    let whole = verify(path, "smtptrail-store");
    assert_eq!(whole.code, Some(0), "{}", whole.err);
    assert!(whole.out.contains("all whole") && whole.out.contains("as they were read"), "{}", whole.out);

    // Every statement breaks the catalog's word on something; the catalog is put back after each.
    let catalog = path.join("smtptrail-store/catalog.sqlite");
    let kept = fs::read(&catalog).unwrap();
    for (sql, says) in [
        ("UPDATE sources SET kept = kept + 1 WHERE kept > 0", "rows"),
        ("UPDATE splits SET sessions = sessions + 1 WHERE NOT is_open", "the catalog says"),
        ("UPDATE splits SET bytes = bytes + 1", "the catalog says"),
        ("UPDATE splits SET max_time = max_time + 1", "times"),
        ("UPDATE splits SET has_via = NOT has_via", "proxies"),
        ("DELETE FROM certificate_splits", "certificates"),
        ("UPDATE split_streams SET least = least - 1", "streams"),
        ("INSERT INTO superseded SELECT name, 0 FROM splits WHERE NOT is_open", "rows"),
        ("INSERT INTO superseded SELECT name, 99999999 FROM splits", "masks"),
        ("INSERT INTO superseded VALUES ('gone', 1)", "not there"),
        ("INSERT INTO fragments (stream, session, split, document) VALUES (1, 1, 'gone', 1)", "not there"),
        ("INSERT INTO fragments (stream, session, parts) VALUES (1, 1, x'')", "open sessions"),
        ("UPDATE splits SET name = 'gone' WHERE id = (SELECT min(id) FROM splits WHERE NOT is_open)", "missing"),
    ] {
        let connection = Connection::open(&catalog).unwrap();
        connection.execute(sql, []).unwrap();
        drop(connection);
        let found = verify(path, "smtptrail-store");
        assert!(found.code == Some(2) && found.err.contains(says), "{sql}: {:?} {}", found.code, found.err);
        fs::write(&catalog, &kept).unwrap();
    }

    // Logs that are gone or other ones now are said, and do no harm.
    let logs = logs_by_day(&path.join("logs")).into_values().flatten().collect::<Vec<_>>();
    fs::remove_file(&logs[0]).unwrap();
    fs::write(&logs[1], "something else").unwrap();
    let found = verify(path, "smtptrail-store");
    assert!(found.out.contains("1 gone, 1 changed"), "{}", found.out);
    assert_eq!(found.code, Some(0), "{}", found.err);
}
