//! The cycles: files change, a run begins, and mostly it does not end well. In the end the store says what one clean
//! run says.
//!
//! A fleet takes ten cycles and a run that nothing disturbs. `TORTURE_CYCLES` and `TORTURE_SEED` ask for more, or for a
//! certain fleet again.

use std::{
    collections::BTreeSet,
    env, fmt,
    fs::OpenOptions,
    io::Write,
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use index::fault::POINTS;
use serde_json::Value;

use crate::{
    dice::Dice,
    faults::lose_power,
    fleet::{Fleet, key_of},
    incoming::Incoming,
    program::{Program, Sessions, differences},
};

/// Cycles of one fleet.
const CYCLES: usize = 10;

/// Cycles in the ordinary tests.
const CYCLES_BY_DEFAULT: usize = 20;

const SIGKILL: i32 = 9;

const SIGABRT: i32 = 6;

#[derive(Default)]
struct Tally {
    cycles: usize,
    kills: usize,
    aborts: usize,
    errors: usize,
    finished: usize,
    power_cuts: usize,
    searches: usize,
    sessions: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { cycles, kills, aborts, errors, finished, power_cuts, searches, sessions } = self;
        write!(
            f,
            "{cycles} cycles: {kills} kills, {aborts} aborts and {errors} errors at fault points, {power_cuts} power cuts, \
             {finished} runs finished, {searches} searches, {sessions} sessions: 0 lost, 0 doubled, 0 different"
        )
    }
}

#[test]
fn the_store_says_what_one_clean_run_says() {
    let number = |name: &str, default: usize| {
        env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
    };
    let (cycles, seed) = (number("TORTURE_CYCLES", CYCLES_BY_DEFAULT), number("TORTURE_SEED", 1) as u64);
    let mut tally = Tally::default();
    let seeds = seed..seed + cycles.div_ceil(CYCLES) as u64;
    for seed in seeds.clone() {
        let left = cycles - tally.cycles;
        let nights = panic::catch_unwind(AssertUnwindSafe(|| {
            let fleet = Fleet::small(seed);
            Nights::new(seed, &fleet).all(&fleet, left.min(CYCLES), &mut tally);
        }));
        if let Err(cause) = nights {
            eprintln!("seed {seed} failed; scripts/torture --cycles {CYCLES} --seed {seed} repeats it");
            panic::resume_unwind(cause);
        }
    }
    println!("torture: seeds {} to {}, {tally}", seeds.start, seeds.end - 1);
}

impl Drop for Nights {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what was left, and a diary, are in {}", self.folder.path().display());
        }
    }
}

/// One fleet and its store.
struct Nights {
    /// Stays if a claim fails.
    folder: tempfile::TempDir,
    dice: Dice,
    program: Program,
    /// What one clean run over everything says.
    expected: Sessions,
    /// Keys that a session may have.
    keys: BTreeSet<String>,
    /// How long a run takes, about.
    run_time: Duration,
    /// Whole sessions that were published once: they stay.
    whole: BTreeSet<String>,
    is_published: bool,
}

impl Nights {
    fn new(seed: u64, fleet: &Fleet) -> Nights {
        let folder = tempfile::tempdir().unwrap();
        let originals = folder.path().join("originals");
        Incoming::write_originals(&originals, fleet);
        let clean = Program::with_store(&folder.path().join("clean"));
        let begin = Instant::now();
        clean.index(&originals);
        let run_time = begin.elapsed();
        let expected = clean.sessions().unwrap().unwrap();
        let keys: BTreeSet<String> = expected.keys().map(|id| key_of(id).to_owned()).collect();
        assert_eq!(keys, fleet.keys, "one clean run");
        let program = Program::with_store(&folder.path().join("store"));
        let (dice, whole) = (Dice::new(seed), BTreeSet::new());
        Nights { folder, dice, program, expected, keys, run_time, whole, is_published: false }
    }

    fn all(mut self, fleet: &Fleet, cycles: usize, tally: &mut Tally) {
        let folder = self.folder.path().join("incoming");
        let mut incoming = Incoming::new(&folder, fleet, &mut self.dice);
        for cycle in 0..cycles {
            incoming.change(&mut self.dice, cycles - cycle);
            self.note(&format!("cycle {cycle}\n{}", incoming.listing()));
            self.night(&folder, tally);
            self.look(tally);
            tally.cycles += 1;
        }
        incoming.complete(&mut self.dice);
        self.note(&format!("the clean run\n{}", incoming.listing()));
        self.program.index(&folder);
        let found = self.program.sessions().unwrap().unwrap();
        let differences = differences(&found, &self.expected);
        assert!(
            differences.is_empty(),
            "{} differences of {} sessions:\n{}",
            differences.len(),
            self.expected.len(),
            differences[..differences.len().min(5)].join("\n")
        );
        assert!(self.program.leftovers().is_empty(), "{:?}", self.program.leftovers());
        self.program.verify().unwrap();
        tally.sessions += found.len();
    }

    /// Keeps a diary, for a failure that comes from the moment of a kill and so does not repeat.
    fn note(&self, what: &str) {
        let diary = OpenOptions::new().append(true).create(true).open(self.folder.path().join("diary"));
        diary.and_then(|mut diary| diary.write_all(what.as_bytes())).unwrap();
    }

    /// One run, which may be disturbed.
    fn night(&mut self, folder: &Path, tally: &mut Tally) {
        let threads = self.dice.between(1, 3).to_string();
        let mut args = vec!["--threads", &threads];
        if self.dice.one_in(3) {
            args.push("--no-mmap");
        }
        let kill_after = self.run_time.mul_f64(self.dice.below(1_200) as f64 / 1_000.0);
        let fault = match self.dice.below(10) {
            0..=4 => None,
            5 => Some("error"),
            _ => Some("abort"),
        };
        let is_killed = fault.is_none() && !self.dice.one_in(4);
        let fault = fault.filter(|_| index::fault::IS_ON).map(|action| {
            let turn = if self.dice.one_in(3) { 2 } else { 1 };
            format!("{}={action}@{turn}", self.dice.pick(POINTS))
        });
        let environment: Vec<(&str, &str)> = fault.iter().map(|fault| ("SMTPTRAIL_FAULT", &**fault)).collect();
        let begin = Instant::now();
        let mut child = self.program.start(folder, &args, &environment);
        if self.dice.one_in(3) {
            self.look(tally);
        }
        if is_killed {
            kill_at(&mut child, begin + kill_after);
        }
        let ended = self.program.end(child);
        let context = fault.as_deref().unwrap_or("no fault");
        self.note(&format!("{context}, {:?}\n", ended.status));
        match (ended.status.code(), ended.status.signal()) {
            (None, Some(SIGKILL)) => tally.kills += 1,
            (None, Some(SIGABRT)) if fault.is_some() && !ended.err.contains("panicked") => tally.aborts += 1,
            (Some(2), None) if ended.err.contains("No space left") && fault.is_some() => tally.errors += 1,
            (Some(0), None) => {
                tally.finished += 1;
                self.is_published = true;
                self.run_time = (self.run_time + begin.elapsed()) / 2;
            }
            (code, signal) => panic!("a run with {context} ended with {code:?}, {signal:?}: {}", ended.err),
        }
        if !ended.status.success() && self.dice.one_in(2) {
            lose_power(&self.program, &mut self.dice);
            tally.power_cuts += 1;
        }
    }

    /// What is published can be read, whenever, and is true.
    fn look(&mut self, tally: &mut Tally) {
        tally.searches += 1;
        let Some(found) = self.program.sessions().unwrap_or_else(|error| panic!("{error}")) else {
            assert!(!self.is_published, "the store is gone");
            return;
        };
        let mut whole = BTreeSet::new();
        for (id, session) in &found {
            assert!(self.keys.contains(key_of(id)), "{id} is invented: {session}");
            if session["complete"] == true {
                let name = name_of(session);
                let expected = self.expected.values().find(|one| name_of(one) == name);
                let expected = expected.unwrap_or_else(|| panic!("{id} is whole and wrong: {session}"));
                assert_eq!(without_id(session), without_id(expected), "{id}");
                whole.insert(name);
            }
        }
        let lost: Vec<&String> = self.whole.difference(&whole).collect();
        assert!(lost.is_empty(), "{} whole sessions were published once and are gone, first {}", lost.len(), lost[0]);
        self.whole = whole;
    }
}

/// A session's key and start: what tells it from others of its key stands in its id only once they are known.
fn name_of(session: &Value) -> String {
    format!("{} {}", key_of(session["id"].as_str().unwrap()), session["started"])
}

fn without_id(session: &Value) -> Value {
    let mut session = session.clone();
    session.as_object_mut().unwrap().remove("id");
    session
}

fn kill_at(child: &mut Child, moment: Instant) {
    while Instant::now() < moment && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
}
