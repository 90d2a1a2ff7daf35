//! Every durable step: a run that ends there, a step that fails there, and the order of them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

use index::fault::POINTS;

use crate::{
    dice::Dice,
    fleet::Fleet,
    incoming::Incoming,
    program::{Program, Sessions, differences},
};

/// A store before and after a run that finds a leftover, and everything that can come between.
struct Scenario {
    folder: tempfile::TempDir,
    before: Sessions,
    after: Sessions,
    /// The points that the first run and the second reach, with what they are about.
    reached: [Vec<(String, String)>; 2],
}

impl Scenario {
    fn new() -> Scenario {
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::tiny(1);
        let path = folder.path();
        Incoming::write_originals(&path.join("whole"), &fleet);
        for log in &mut fleet.logs {
            log.bytes.truncate(log.bytes.len() / 2);
        }
        Incoming::write_originals(&path.join("half"), &fleet);
        let log = |name: &str| path.join(name).to_str().unwrap().to_owned();
        let program = Program::with_store(&path.join("first"));
        let run = |logs: &str, name: &str| {
            let ended = program.index_with(&path.join(logs), &[("SMTPTRAIL_FAULT_LOG", &log(name))]);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
        };
        run("half", "first.log");
        fs::write(program.store.join("splits/LEFTOVER.split"), "half a split").unwrap();
        copy(&program.store, &path.join("base"));
        let before = program.sessions().unwrap().unwrap();
        run("whole", "second.log");
        let after = program.sessions().unwrap().unwrap();
        assert!(!before.is_empty() && before != after);
        assert_eq!(program.leftovers(), Vec::<PathBuf>::new());
        let reached = ["first.log", "second.log"].map(|name| reached(&path.join(name)));
        Scenario { folder, before, after, reached }
    }

    /// The store before the second run, or none at all.
    fn store(&self, base: Option<&str>) -> Program {
        let store = self.folder.path().join("store");
        let _ = fs::remove_dir_all(&store);
        if let Some(base) = base {
            copy(&self.folder.path().join(base), &store);
        }
        Program::with_store(&store)
    }

    fn whole(&self) -> PathBuf {
        self.folder.path().join("whole")
    }
}

fn reached(log: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(log).unwrap();
    let line = |line: &str| line.split_once(' ').map(|(name, of)| (name.to_owned(), of.to_owned())).unwrap();
    text.lines().map(line).collect()
}

fn copy(from: &Path, to: &Path) {
    for folder in ["", "splits", "transcripts"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        for entry in fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// What a power cut may do to a file that nobody made durable: nothing, a part is missing, or it has its length and
/// no content.
pub(crate) fn lose_power(program: &Program, dice: &mut Dice) {
    for path in program.leftovers() {
        let length = fs::metadata(&path).unwrap().len();
        let file = File::options().write(true).open(&path).unwrap();
        match dice.below(4) {
            0 => fs::remove_file(&path).unwrap(),
            1 => file.set_len(dice.below(length as usize + 1) as u64).unwrap(),
            2 => {
                file.set_len(0).unwrap();
                file.set_len(length).unwrap();
            }
            _ => {}
        }
    }
}

/// Nothing of the catalog's log was made durable, or only its beginning: before the commit it may be lost.
fn lose_log(program: &Program, dice: &mut Dice) {
    let wal = program.store.join("catalog.sqlite-wal");
    let Ok(metadata) = fs::metadata(&wal) else { return };
    let length = dice.below(metadata.len() as usize + 1) as u64;
    File::options().write(true).open(&wal).unwrap().set_len(length).unwrap();
    let _ = fs::remove_file(program.store.join("catalog.sqlite-shm")); // It never was on a disk.
}

#[test]
fn every_point_is_reached_by_two_ordinary_runs() {
    let scenario = Scenario::new();
    let reached: BTreeSet<&str> = scenario.reached.iter().flatten().map(|(name, _)| &**name).collect();
    assert_eq!(reached, POINTS.iter().copied().collect());
}

#[test]
fn what_the_catalog_names_is_durable_before_it_is_named() {
    for reached in &Scenario::new().reached {
        let last = |name: &str, of: &str| reached.iter().rposition(|(n, o)| n == name && o.contains(of));
        let at = |name: &str, of: &str| last(name, of).unwrap_or_else(|| panic!("{name} {of} was not reached"));
        let named: Vec<&str> =
            reached.iter().filter(|(name, _)| name == "catalog.put_split").map(|(_, of)| &**of).collect();
        assert!(!named.is_empty());
        for split in named {
            let steps = ["split.create", "split.write", "split.flush", "split.sync", "split.synced"];
            let places: Vec<usize> = steps.map(|step| at(step, split)).into();
            assert!(places.is_sorted(), "{split}: {places:?}");
            assert!(at("split.synced", split) < at("folder.sync", ""), "{split}");
        }
        let kept: Vec<usize> = ["rows.create", "rows.sync", "rows.synced"].map(|step| at(step, "")).into();
        assert!(kept.is_sorted() && kept[2] < at("folder.sync", ""), "kept rows: {kept:?}");
        let order = [
            "lock.held",
            "catalog.opened",
            "sweep.begin",
            "catalog.read",
            "split.create",
            "folder.sync",
            "folder.synced",
            "catalog.begin",
            "catalog.put_split",
            "catalog.commit",
            "catalog.committed",
            "catalog.checkpointed",
        ];
        let places = order.map(|name| at(name, ""));
        assert!(places.is_sorted(), "{order:?}: {places:?}");
        assert_eq!(places[order.len() - 1], reached.len() - 1, "something follows the checkpoint");
    }
}

/// Every point, the first and the last time that it is reached.
fn turns(reached: &[(String, String)]) -> Vec<(String, usize)> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in reached {
        *times.entry(name).or_default() += 1;
    }
    times
        .into_iter()
        .flat_map(|(name, times)| BTreeSet::from([1, times]).into_iter().map(|turn| (name.to_owned(), turn)))
        .collect()
}

fn is_committed(point: &str) -> bool {
    matches!(point, "catalog.committed" | "catalog.checkpointed")
}

#[track_caller]
fn check(program: &Program, expected: &Sessions, place: &str) {
    let found = program.sessions().unwrap_or_else(|error| panic!("{place}: {error}")).unwrap_or_default();
    let differences = differences(&found, expected);
    assert!(differences.is_empty(), "{place}: {} differences, first {}", differences.len(), differences[0]);
}

#[test]
fn a_run_that_ends_anywhere_is_made_good_by_the_next() {
    let scenario = Scenario::new();
    let mut dice = Dice::new(1);
    let runs = [(None, &scenario.reached[0], &Sessions::new()), (Some("base"), &scenario.reached[1], &scenario.before)];
    for (base, reached, before) in runs {
        for (point, turn) in turns(reached) {
            let place = format!("{point}=abort@{turn}");
            let program = scenario.store(base);
            let ended = program.index_with(&scenario.whole(), &[("SMTPTRAIL_FAULT", &place)]);
            if ended.status.success() && turn > 1 {
                continue; // This run has fewer splits.
            }
            assert_eq!(ended.status.code(), None, "{place}: {}", ended.err);
            if dice.one_in(2) {
                lose_power(&program, &mut dice);
                if !is_committed(&point) {
                    lose_log(&program, &mut dice);
                }
            }
            check(&program, if is_committed(&point) { &scenario.after } else { before }, &place);
            program.index(&scenario.whole());
            check(&program, &scenario.after, &place);
            assert_eq!(program.leftovers(), Vec::<PathBuf>::new(), "{place}");
        }
    }
}

#[test]
fn a_step_that_fails_is_one_clear_error_and_the_store_intact() {
    let scenario = Scenario::new();
    for (point, turn) in turns(&scenario.reached[1]).into_iter().filter(|(_, turn)| *turn == 1) {
        let place = format!("{point}=error@{turn}");
        let program = scenario.store(Some("base"));
        let ended = program.index_with(&scenario.whole(), &[("SMTPTRAIL_FAULT", &place)]);
        assert_eq!(ended.status.code(), Some(2), "{place}: {}", ended.err);
        let is_clear = ended.err.contains("No space left on device") && ended.err.lines().count() == 1;
        assert!(is_clear, "{place}: {}", ended.err);
        check(&program, if is_committed(&point) { &scenario.after } else { &scenario.before }, &place);
        program.index(&scenario.whole());
        check(&program, &scenario.after, &place);
    }
}
