//! Coverage of generated fleets of which something was taken away (the program's own runs).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

/// Days and servers of the fleet; the last day's date.
const DAYS: usize = 12;
const LAST_DAY: &str = "20240312";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A fleet's logs and a store beside them.
struct Trial {
    folder: TempDir,
}

impl Trial {
    fn new(more: &[&str]) -> Trial {
        let trial = Trial { folder: tempfile::tempdir().unwrap() };
        let args = ["generate", "logs", "--seed", "3", "--servers", "3", "--days", "12", "--mib-per-server", "12"];
        assert_eq!(trial.run(&[&args[..], &["--codec", "plain"], more].concat()).code, Some(0));
        trial
    }

    fn run(&self, args: &[&str]) -> Ran {
        let program = env!("CARGO_BIN_EXE_smtptrail");
        let output = Command::new(program).current_dir(self.folder.path()).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Indexes the logs and returns the summary.
    fn index(&self, more: &[&str]) -> Value {
        let ran = self.run(&[&["-q", "index", "logs", "--json"][..], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    fn coverage(&self, more: &[&str]) -> Vec<Value> {
        let ran = self.run(&[&["coverage", "--json"][..], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Log files whose path has all of these in it.
    fn files(&self, parts: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.folder.path().join("logs"), &mut found);
        found.retain(|path| parts.iter().all(|part| path.to_str().unwrap().contains(part)));
        found.sort();
        assert!(!found.is_empty(), "{parts:?}");
        found
    }

    /// States by stream and day, of all but the days that are present.
    fn troubles(&self) -> BTreeMap<String, String> {
        let trouble = |day: &Value| {
            let key = format!("{} {} {}", text(day, "server"), text(day, "direction"), text(day, "day"));
            (text(day, "state") != "present").then(|| (key, text(day, "state").to_owned()))
        };
        self.coverage(&[]).iter().filter_map(trouble).collect()
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// A log as text; peers do not always send UTF-8.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

fn sum(days: &[Value], key: &str) -> u64 {
    days.iter().map(|day| day[key].as_u64().unwrap()).sum()
}

/// What does not depend on the clock.
fn without_came(mut days: Vec<Value>) -> Vec<Value> {
    days.iter_mut().for_each(|day| day["came"] = Value::Null);
    days
}

#[test]
fn a_day_that_is_taken_away_is_missing_until_it_comes() {
    let trial = Trial::new(&["--generation", "2010"]);
    let day = trial.files(&["EX002", "20240308"]);
    let kept: Vec<Vec<u8>> = day.iter().map(|path| fs::read(path).unwrap()).collect();
    day.iter().for_each(|path| fs::remove_file(path).unwrap());
    trial.index(&[]);
    let missing: Vec<_> = trial.troubles().into_iter().filter(|(_, state)| state == "missing").collect();
    let expected = ["receive", "send"].map(|direction| (format!("EX002 {direction} 2024-03-08"), "missing".to_owned()));
    assert_eq!(missing, expected);

    let ran = trial.run(&["coverage"]);
    assert_eq!(ran.code, Some(0), "only with --fail-on");
    let first = ran.out.lines().nth(1).unwrap();
    assert!(first.starts_with("EX002/") && first.contains('M'), "trouble first: {}", ran.out);
    assert!(ran.out.contains("what is missing may be logging that is off"), "{}", ran.out);
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing"]).code, Some(1));
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing", "--server", "ex001,EX003"]).code, Some(0));
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing", "--since", "2024-03-09"]).code, Some(0));
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing", "--until", "2024-03-08"]).code, Some(1));
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing", "--server", "EX00*"]).code, Some(1));
    let unknown = trial.run(&["coverage", "--fail-on", "missing", "--server", "EX001,NOPE"]);
    assert_eq!((unknown.code, &*unknown.out), (Some(2), ""));
    assert_eq!(unknown.err, "error: no server is called NOPE; the store knows EX001, EX002, EX003\n");

    day.iter().zip(kept).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    trial.index(&[]);
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing"]).code, Some(0));
    assert!(trial.troubles().values().all(|state| state == "gap"), "the day is there: {:?}", trial.troubles());
}

#[test]
fn a_fleet_of_which_nothing_comes_any_more_is_missing_where_it_is_asked_for() {
    let trial = Trial::new(&["--generation", "2010"]);
    trial.index(&[]);
    let plain = trial.run(&["coverage", "--fail-on", "missing"]);
    let says_age = |ran: &Ran| ran.err.contains("the newest record is ") && ran.err.contains(" days old");
    assert!(plain.code == Some(0) && says_age(&plain), "{}", plain.err);
    for (window, days) in [(&["--since", "-3d"][..], 4), (&["--since", "2024-03-12", "--until", "2024-03-14"], 3)] {
        let ran = trial.run(&[&["coverage", "--fail-on", "missing"], window].concat());
        assert!(ran.code == Some(1) && !says_age(&ran), "{window:?}: {:?} {}", ran.code, ran.err);
        assert_eq!(trial.coverage(window).len(), 3 * 2 * days, "{window:?}");
    }
    let last = trial.coverage(&["--since", "2024-03-13", "--until", "2024-03-14"]);
    assert!(last.iter().all(|day| text(day, "state") == "missing"), "{last:?}");
}

#[test]
fn a_server_that_stops_is_silent_to_the_newest_day() {
    let trial = Trial::new(&["--generation", "2010"]);
    for day in 8..=DAYS {
        let day = format!("202403{day:02}");
        trial.files(&["EX003", &day]).iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    trial.index(&[]);
    let silent = trial.troubles().into_iter().filter(|(_, state)| state == "silent").map(|(key, _)| key);
    let silent: Vec<String> = silent.filter(|key| key.contains(" send ")).collect();
    let expected: Vec<String> = (8..=DAYS).map(|day| format!("EX003 send 2024-03-{day:02}")).collect();
    assert_eq!(silent, expected);
    let table = trial.run(&["coverage"]).out;
    assert!(table.lines().nth(1).unwrap().ends_with("SSSSS"), "{table}");
    assert!(table.contains("no rows for 5 days\n"), "{table}");
    assert_eq!(trial.run(&["coverage", "--fail-on", "missing"]).code, Some(1));
}

/// Cuts a log into instances of so many rows each, the header before each, and returns their paths.
fn roll(path: &Path, count: usize) -> Vec<PathBuf> {
    let log = read(path);
    let (header, rows): (Vec<&str>, Vec<&str>) =
        log.split_inclusive('\n').partition(|line| line.trim_start_matches('\u{feff}').starts_with('#'));
    let parts = rows.chunks(rows.len().div_ceil(count)).enumerate().map(|(n, rows)| {
        let name = path.to_str().unwrap().replace("-1.LOG", &format!("-{}.LOG", n + 1));
        fs::write(&name, [header.concat(), rows.concat()].concat()).unwrap();
        PathBuf::from(name)
    });
    parts.collect()
}

#[test]
fn an_instance_between_two_others_is_a_gap_and_a_mere_header_is_none() {
    for has_header in [false, true] {
        let trial = Trial::new(&["--generation", "2010"]);
        let instances = roll(&trial.files(&["EX001", "SEND20240305"])[0], 4);
        let header: String = read(&instances[1]).split_inclusive('\n').take(5).map(str::to_owned).collect();
        match has_header {
            true => fs::write(&instances[1], header).unwrap(),
            false => fs::remove_file(&instances[1]).unwrap(),
        }
        trial.index(&[]);
        let day = trial
            .coverage(&["--server", "EX001"])
            .into_iter()
            .find(|day| (text(day, "direction"), text(day, "day")) == ("send", "2024-03-05"));
        let absent = day.unwrap()["absent"].to_string();
        let expected = if has_header { "[]" } else { r#"[{"stamp":"20240305","first":2,"last":2}]"# };
        assert_eq!(absent, expected);
        assert_eq!(trial.run(&["coverage"]).out.contains("SEND20240305-2 is absent"), !has_header);
    }
}

#[test]
fn a_damaged_file_is_said_to_be_one_until_it_is_whole() {
    let trial = Trial::new(&["--generation", "2010"]);
    let path = &trial.files(&["EX002", "SEND20240308"])[0];
    let kept = fs::read(path).unwrap();
    fs::write(path, b"\x1f\x8b\x08\0\0\0\0\0\0\xff no gzip at all").unwrap();
    assert_eq!(trial.run(&["index", "logs"]).code, Some(3));
    let day = || {
        let days = trial.coverage(&["--server", "EX002", "--since", "2024-03-08", "--until", "2024-03-08"]);
        days.into_iter().find(|day| text(day, "direction") == "send").unwrap()
    };
    assert_eq!(text(&day(), "state"), "missing");
    assert_eq!(day()["damaged"].to_string(), r#"[{"stamp":"20240308","number":1}]"#);
    let table = trial.run(&["coverage"]).out;
    assert!(table.contains("; a file is damaged") && table.contains("SEND20240308-1 cannot be read"), "{table}");
    assert!(trial.run(&["coverage", "--csv"]).out.contains(",20240308-1\n"));
    fs::write(path, kept).unwrap();
    trial.index(&[]);
    assert_eq!((text(&day(), "state"), day()["damaged"].to_string()), ("present", "[]".to_owned()));
}

#[test]
fn rejected_rows_are_found_and_fail_nothing() {
    let trial = Trial::new(&["--generation", "2010"]);
    let path = &trial.files(&["EX002", "SEND20240308"])[0];
    fs::write(path, [read(path), "what is this\r\nand this\r\n".to_owned()].concat()).unwrap();
    trial.index(&[]);
    let ran = trial.run(&["coverage", "--fail-on", "missing"]);
    let line = ran.out.lines().find(|line| line.contains("  rejected  ") && line.contains("2024-03-08")).unwrap();
    assert!(line.starts_with("EX002/") && line.ends_with("2 rows cannot be read"), "{line}");
    assert_eq!(ran.code, Some(0));
}

#[test]
fn hours_without_rows_are_a_gap() {
    let trial = Trial::new(&["--generation", "2010"]);
    let path = &trial.files(&["EX001", "RECV20240308"])[0];
    let log = read(path);
    let is_cut = |line: &&str| (10..15).any(|hour| line.starts_with(&format!("2024-03-08T{hour}:")));
    fs::write(path, log.split_inclusive('\n').filter(|line| !is_cut(line)).collect::<String>()).unwrap();
    trial.index(&[]);
    let days = trial.coverage(&["--server", "EX001", "--since", "2024-03-08", "--until", "2024-03-08"]);
    let day = days.iter().find(|day| text(day, "direction") == "receive").unwrap();
    assert_eq!((days.len(), text(day, "state")), (2, "gap"));
    let expected = r#"[{"from":"2024-03-08T10:00:00.000Z","until":"2024-03-08T15:00:00.000Z"}]"#;
    assert_eq!(day["quiet"].to_string(), expected);
    let table = trial.run(&["coverage", "--since", "2024-03-08"]).out;
    assert!(table.contains("no rows 10:00-15:00\n"), "{table}");
}

#[test]
fn every_row_counts_once_however_it_comes() {
    let trial = Trial::new(&["--damage", "0.01"]);
    let summary = trial.index(&["--threads", "1"]);
    let whole = without_came(trial.coverage(&[]));
    assert_eq!(sum(&whole, "kept"), summary["kept"].as_u64().unwrap());
    // The end of a log that was cut is rejected, but not consumed: it counts once its line is whole.
    let cut = summary["rejected"].as_u64().unwrap() - sum(&whole, "rejected");
    assert!(sum(&whole, "rejected") > 100 && cut <= summary["read"].as_u64().unwrap(), "{cut}");

    // The same in two runs: first all files without their second half, cut in the middle of a line.
    let again = Trial::new(&["--damage", "0.01"]);
    let files = again.files(&[""]);
    let contents: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, bytes) in files.iter().zip(&contents) {
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }
    again.index(&["--no-mmap"]);
    let half = sum(&again.coverage(&[]), "kept");
    assert!(half > 0 && half < sum(&whole, "kept"));
    files.iter().zip(&contents).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    again.index(&[]);
    again.index(&[]);
    let twice = without_came(again.coverage(&[]));
    assert_eq!(sum(&twice, "kept"), sum(&whole, "kept"));
    assert_eq!(twice, whole);
}

#[test]
fn content_that_has_changed_does_not_count_twice() {
    let trial = Trial::new(&["--generation", "2010"]);
    trial.index(&[]);
    let before = without_came(trial.coverage(&[]));
    let path = &trial.files(&["EX001", "SEND20240305"])[0];
    let log = read(path);
    let (first, rest) = log.split_at(log.len() / 2);
    fs::write(path, format!("{first}{}", rest.replacen(" 250 ", " 251 ", 1).replacen("QUIT", "quit", 1))).unwrap();
    let notices = trial.index(&[])["notices"].to_string();
    assert!(notices.contains("has changed"), "{notices}");
    assert_eq!(without_came(trial.coverage(&[])), before);
}

#[test]
fn every_form_tells_the_same_days() {
    let trial = Trial::new(&["--generation", "2010"]);
    trial.files(&["EX002", LAST_DAY]).iter().for_each(|path| fs::remove_file(path).unwrap());
    trial.index(&[]);
    let days = trial.coverage(&[]);
    assert_eq!(days.len(), 3 * 2 * DAYS);
    let csv = trial.run(&["coverage", "--csv"]).out;
    assert_eq!(csv.lines().count(), days.len() + 1);
    assert_eq!(csv.matches(",missing,").count(), 2, "{csv}");
    let map = trial.run(&["coverage"]).out;
    let lines: Vec<&str> = map.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1 + 3 * 2);
    assert!(lines[0].contains("03-01  03-08"), "{map}");
    assert!(map.lines().take_while(|line| !line.starts_with("stream  ") || *line == lines[0]).all(is_narrow), "{map}");
}

fn is_narrow(line: &str) -> bool {
    line.chars().count() <= 80
}

#[test]
fn a_store_without_rows_has_nothing_to_show() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/SEND20240301-1.LOG"), "").unwrap();
    let trial = Trial { folder };
    trial.index(&[]);
    let ran = trial.run(&["coverage", "--fail-on", "missing"]);
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    assert!(ran.err.contains("no rows are known"), "{}", ran.err);
    assert_eq!(trial.run(&["coverage", "--server", "EX001"]).code, Some(0), "only with --fail-on");
}
