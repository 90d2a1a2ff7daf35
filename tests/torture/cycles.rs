//! The cycles: files change, a run begins, and mostly it does not end well. In the end the store says what one clean
//! run says.
//!
//! A fleet takes ten cycles and a run that nothing disturbs. `TORTURE_CYCLES` and `TORTURE_SEED` ask for more, or for a
//! certain fleet again.

use std::{
    collections::BTreeSet,
    env, fmt,
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use index::fault::POINTS;

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
        let fleet = panic::catch_unwind(AssertUnwindSafe(|| Nights::new(seed).all(left.min(CYCLES), &mut tally)));
        if let Err(cause) = fleet {
            eprintln!("seed {seed} failed; scripts/torture --cycles {CYCLES} --seed {seed} repeats it");
            panic::resume_unwind(cause);
        }
    }
    println!("torture: seeds {} to {}, {tally}", seeds.start, seeds.end - 1);
}

/// One fleet and its store.
struct Nights {
    folder: tempfile::TempDir,
    fleet: Fleet,
    dice: Dice,
    program: Program,
    /// What one clean run over everything says.
    expected: Sessions,
    /// How long a run takes, about.
    run_time: Duration,
    /// Whole sessions that were published once: they stay.
    whole: BTreeSet<String>,
    is_published: bool,
}

impl Nights {
    fn new(seed: u64) -> Nights {
        let folder = tempfile::tempdir().unwrap();
        let fleet = Fleet::small(seed);
        let originals = folder.path().join("originals");
        Incoming::write_originals(&originals, &fleet);
        let clean = Program::with_store(&folder.path().join("clean"));
        let begin = Instant::now();
        clean.index(&originals);
        let run_time = begin.elapsed();
        let expected = clean.sessions().unwrap().unwrap();
        let keys: BTreeSet<String> = expected.keys().map(|id| key_of(id).to_owned()).collect();
        assert_eq!(keys, fleet.keys, "one clean run");
        let program = Program::with_store(&folder.path().join("store"));
        let (dice, whole) = (Dice::new(seed), BTreeSet::new());
        Nights { folder, fleet, dice, program, expected, run_time, whole, is_published: false }
    }

    fn all(mut self, cycles: usize, tally: &mut Tally) {
        let fleet = std::mem::replace(&mut self.fleet, Fleet { logs: Vec::new(), keys: BTreeSet::new() });
        let folder = self.folder.path().join("incoming");
        let mut incoming = Incoming::new(&folder, &fleet, &mut self.dice);
        for cycle in 0..cycles {
            incoming.change(&mut self.dice, cycles - cycle);
            self.night(&folder, tally);
            self.look(tally);
            tally.cycles += 1;
        }
        incoming.complete(&mut self.dice);
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

    /// One run, which may be disturbed.
    fn night(&mut self, folder: &std::path::Path, tally: &mut Tally) {
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
            let started = session["started"].as_str().unwrap();
            let is_same = |(_, one): &(&String, &serde_json::Value)| {
                one["session"] == session["session"]
                    && one["started"] == session["started"]
                    && key_of(one["id"].as_str().unwrap()) == key_of(id)
            };
            let is_known = self.expected.contains_key(id) || self.expected.keys().any(|one| key_of(one) == key_of(id));
            assert!(is_known, "{id} is invented: {session}");
            if session["complete"] == true {
                let expected = self.expected.get(key_of(id)).filter(|one| is_same(&(id, one)));
                let expected = expected.or_else(|| self.expected.iter().find(is_same).map(|(_, one)| one));
                let expected = expected.unwrap_or_else(|| panic!("{id} is whole and wrong: {session}"));
                let (mut session, mut expected) = (session.clone(), expected.clone());
                for one in [&mut session, &mut expected] {
                    one.as_object_mut().unwrap().remove("id");
                }
                assert_eq!(session, expected, "{id}");
                whole.insert(format!("{} {started}", key_of(id)));
            }
        }
        let lost: Vec<&String> = self.whole.difference(&whole).collect();
        assert!(lost.is_empty(), "{} whole sessions were published once and are gone, first {}", lost.len(), lost[0]);
        self.whole = whole;
    }
}

fn kill_at(child: &mut Child, moment: Instant) {
    while Instant::now() < moment && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
}
