//! Files that are told and read in one step, because they are small and their place names their server.
//!
//! To look into every file before any is read would open and decompress each beginning twice, a tenth of a run. Here
//! the worker that loads a file also tells which log it is. Copies of one log are still read one after the other and in
//! the same order always, whichever worker is faster: workers take files in order and each waits for its turn to say
//! which log its file is, which is short, since only the beginnings of those before it have to be there. The first file of a log is
//! read at once; its copies, and those of a log that somebody else reads, are left for later.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use rustc_hash::{FxHashMap, FxHashSet};
use smtplog::Stream;

use crate::{
    discover::{Source, Stamp},
    identity::Identity,
    open::with_stored,
    pipeline::{Run, Sink, lock},
    place::UNKNOWN,
    plan::foreign_connector,
    probe::{Log, Probed, probe_content},
    reading::{Content, Copies},
    worker::{SourceOutcome, TaskSource, Worker},
};

/// What reading in one step gave.
#[derive(Default)]
pub(crate) struct AtOnce {
    pub(crate) outcomes: Vec<SourceOutcome>,
    /// Files that hold no log, or nothing yet.
    pub(crate) others: Vec<Stamp>,
    /// Those of them that hold something else.
    pub(crate) foreign: Vec<Source>,
    /// Files whose log is read elsewhere, in order.
    pub(crate) copies: Vec<TaskSource>,
    /// What the first file of their logs has given, if it was among these.
    pub(crate) read: FxHashMap<Identity, Copies>,
}

/// The files' turns.
struct Turns {
    told: Mutex<Told>,
    moved: Condvar,
}

/// What has been said in turn.
struct Told {
    /// Files that have had their turn.
    files: usize,
    /// Their logs, and those that are read elsewhere.
    logs: FxHashSet<Identity>,
    /// A worker has panicked and will not take its turn.
    abandoned: bool,
}

/// A file's turn. Whoever does not come to take it must not keep the others waiting.
struct Turn<'a> {
    turns: &'a Turns,
    number: usize,
}

impl Turn<'_> {
    /// Says which log this file is; whether it is the first to say so.
    fn take(self, log: Identity) -> bool {
        self.turns.wait_for(self.number).logs.insert(log)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut told = match std::thread::panicking() {
            true => lock(&self.turns.told),
            false => self.turns.wait_for(self.number),
        };
        told.files += 1;
        told.abandoned |= std::thread::panicking();
        self.turns.moved.notify_all();
    }
}

impl Turns {
    fn wait_for(&self, number: usize) -> MutexGuard<'_, Told> {
        let waits = |told: &mut Told| told.files < number && !told.abandoned;
        self.moved.wait_while(lock(&self.told), waits).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that had its turn.
enum Loaded {
    /// It is the first of its log, and read.
    Read(Box<(Option<SourceOutcome>, Identity, Copies)>),
    /// Its logs are read elsewhere.
    Later(Vec<TaskSource>),
    Other(Stamp),
    Foreign(Box<Source>),
    /// It cannot be read now.
    Unread,
}

impl<S: Sink> Run<'_, S> {
    /// Reads these files in order, but for the logs that are `taken` already.
    pub(crate) fn read_at_once(&self, sources: Vec<Source>, taken: FxHashSet<Identity>) -> AtOnce {
        let told = Told { files: 0, logs: taken, abandoned: false };
        let turns = Turns { told: Mutex::new(told), moved: Condvar::new() };
        let left = Mutex::new(sources.into_iter().enumerate().peekable());
        let loaded = Mutex::new(Vec::new());
        while lock(&left).peek().is_some() && !self.progress.is_stopped() {
            self.pool.broadcast(|context| {
                let mut worker = lock(&self.workers[context.index()]);
                let mut own = Vec::new();
                while !self.is_crowded() && !self.progress.is_stopped() {
                    let next = lock(&left).next();
                    let Some((number, source)) = next else { break };
                    let bytes = source.stored_bytes;
                    own.push((number, worker.load(self, source, Turn { turns: &turns, number })));
                    self.progress.bytes_done.fetch_add(bytes, Ordering::Relaxed);
                }
                lock(&loaded).append(&mut own);
            });
            if self.is_crowded() {
                self.relieve();
            }
        }
        self.sorted(loaded.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn sorted(&self, mut loaded: Vec<(usize, Loaded)>) -> AtOnce {
        loaded.sort_unstable_by_key(|(number, _)| *number);
        let mut at_once = AtOnce::default();
        for (_, loaded) in loaded {
            match loaded {
                Loaded::Read(read) => {
                    let (outcome, identity, copies) = *read;
                    at_once.outcomes.extend(outcome);
                    at_once.read.insert(identity, copies);
                }
                Loaded::Later(sources) => at_once.copies.extend(sources),
                Loaded::Other(stamp) => at_once.others.push(stamp),
                Loaded::Foreign(source) => {
                    at_once.others.push(source.stamp.clone());
                    at_once.foreign.push(*source);
                }
                Loaded::Unread => {}
            }
        }
        // What a log without copies has given is final.
        let copied: FxHashSet<Identity> = at_once.copies.iter().map(|source| source.log.identity).collect();
        let is_copied = |identity: &Identity| copied.contains(identity);
        let final_ones = at_once.read.iter().filter(|(identity, _)| !is_copied(identity));
        let pending = final_ones.filter(|(_, copies)| copies.has_pending_line()).count();
        lock(&self.workers[0]).summary.pending += pending as u64;
        at_once.read.retain(|identity, _| is_copied(identity));
        at_once
    }
}

impl<S: Sink> Worker<S> {
    fn load(&mut self, run: &Run<'_, S>, source: Source, turn: Turn<'_>) -> Loaded {
        let loaded = with_stored(&source, self.mapping, |stored| {
            self.with_content(stored, |worker, content| worker.tell(run, &source, content, turn))?
        });
        match loaded {
            Ok(loaded) => loaded,
            Err(error) => match self.summary.count_unopened(&source, error) {
                true => Loaded::Other(source.stamp),
                false => Loaded::Unread,
            },
        }
    }

    /// Tells which log a file is, says so in its turn, and reads it if it is the first of that log.
    fn tell(
        &mut self,
        run: &Run<'_, S>,
        source: &Source,
        mut content: Content<'_>,
        turn: Turn<'_>,
    ) -> io::Result<Loaded> {
        let mut logs = match probe_content(source, &mut content)? {
            Probed::Logs(logs) => logs,
            Probed::Foreign => return Ok(Loaded::Foreign(Box::new(source.clone()))),
            other => {
                self.summary.count_other(source, &other);
                return Ok(Loaded::Other(source.stamp.clone()));
            }
        };
        self.summary.notices.extend(logs.iter().filter_map(|log| foreign_connector(source, log)));
        let task = |log: Log| TaskSource { stream: self.stream(source, &log), source: source.clone(), log };
        let first = if logs.len() == 1 { logs.pop() } else { None };
        // A file with two logs would be read twice, and the other one has to wait for it anyway.
        let Some(log) = first else { return Ok(Loaded::Later(logs.into_iter().map(task).collect())) };
        let (identity, task) = (log.identity, task(log));
        if !turn.take(identity) {
            return Ok(Loaded::Later(vec![task]));
        }
        let mut copies = run.earlier.copies_of(&identity);
        let outcome = self.read_in_memory(&task, &content.whole(), &mut copies, &run.earlier);
        Ok(Loaded::Read(Box::new((outcome, identity, copies))))
    }

    /// The stream of a log whose place names its server.
    fn stream(&self, source: &Source, log: &Log) -> Arc<Stream> {
        let server = source.place.server.clone().unwrap_or_else(|| UNKNOWN.into());
        let stream = Stream { server, role: source.place.role, direction: log.direction };
        self.known_stream(stream)
    }
}
