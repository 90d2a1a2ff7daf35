//! A store in memory, for tests that read logs: it keeps what a run's outcome says and answers the next run.

pub(crate) mod log;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use ingest::{
    Identity, IncompleteSession, Known, KnownSource, Limits, Options, Outcome, Progress, Sink, SourceOutcome,
    StoredSession, discover::Stamp, summary::Summary,
};
use serde_json::Value;
use smtplog::{Session, SessionId, Stream, Timestamp, certificate::Certificate};

/// What all runs so far have left.
#[derive(Default)]
pub(crate) struct Memory {
    whole: Vec<Session>,
    open: BTreeMap<u64, IncompleteSession>,
    given_up: BTreeMap<u64, IncompleteSession>,
    next_handle: u64,
    sources: HashMap<Identity, KnownSource>,
    unchanged: HashSet<Stamp>,
    newest: HashMap<Arc<Stream>, Timestamp>,
    certificates: BTreeMap<String, Certificate>,
}

/// What one run said.
pub(crate) struct Report {
    pub(crate) summary: Summary,
    pub(crate) sources: Vec<SourceOutcome>,
    pub(crate) open_changed: bool,
}

/// Keeps everything.
#[derive(Default)]
struct Collected {
    whole: Vec<Session>,
    incomplete: Vec<IncompleteSession>,
}

impl Sink for Collected {
    fn session(&mut self, session: Session) {
        self.whole.push(session);
    }

    fn incomplete(&mut self, session: IncompleteSession) {
        self.incomplete.push(session);
    }
}

impl Known for Memory {
    fn is_unchanged(&self, stamp: &Stamp) -> bool {
        self.unchanged.contains(stamp)
    }

    fn source(&self, identity: &Identity) -> Option<KnownSource> {
        self.sources.get(identity).cloned()
    }

    fn stored_sessions(&self, keys: &[(Arc<Stream>, SessionId)]) -> Vec<StoredSession> {
        let keys: HashSet<_> = keys.iter().cloned().collect();
        let is_asked = |one: &IncompleteSession| keys.contains(&(one.session.stream.clone(), one.session.session));
        let stored = |(handle, one): (&u64, &IncompleteSession), given_up| StoredSession {
            handle: *handle,
            given_up,
            parts: one.parts.clone(),
        };
        let given_up = self.given_up.iter().filter(|(_, one)| is_asked(one)).map(|one| stored(one, true));
        self.open.iter().map(|one| stored(one, false)).chain(given_up).collect()
    }

    fn newest(&self, stream: &Stream) -> Option<Timestamp> {
        self.newest.get(stream).copied()
    }
}

impl Memory {
    /// Reads the paths as one run.
    pub(crate) fn run(&mut self, paths: &[PathBuf], options: &Options) -> Report {
        let mut outcome = ingest::run(paths, options, self, &Progress::default(), Collected::default).unwrap();
        // Nobody is here to read them as evidence.
        outcome.foreign.iter().for_each(|source| outcome.summary.count_foreign(source));
        outcome.summary.sort();
        self.publish(outcome)
    }

    fn publish(&mut self, outcome: Outcome<Collected>) -> Report {
        let Outcome { sinks, sources, others, open, open_changed, replaced, newest, certificates, summary, .. } =
            outcome;
        for handle in replaced {
            let known = self.open.remove(&handle).or_else(|| self.given_up.remove(&handle));
            assert!(known.is_some(), "session {handle} is replaced but not known");
        }
        if open_changed {
            assert!(self.open.is_empty(), "{} open sessions are neither kept nor replaced", self.open.len());
            self.open = open.into_iter().map(|one| (self.handle(), one)).collect();
        }
        for sink in sinks {
            self.whole.extend(sink.whole);
            for one in sink.incomplete {
                let handle = self.handle();
                self.given_up.insert(handle, one);
            }
        }
        let pending: HashSet<_> = sources.iter().filter(|one| one.pending).map(|one| one.stamp.clone()).collect();
        self.unchanged.extend(sources.iter().map(|one| one.stamp.clone()).chain(others));
        self.unchanged.retain(|stamp| !pending.contains(stamp));
        for one in &sources {
            // A copy that brought nothing leaves what is known of the last line.
            let is_read = one.read_from.is_some() || one.provisional > 0;
            let before = self.sources.get(&one.identity).and_then(|known| known.cut_session);
            let cut_session = if is_read { one.cut_session } else { before };
            let (consumed, hash, stream) = (one.consumed, one.hash, Arc::clone(&one.stream));
            self.sources.insert(one.identity, KnownSource { consumed, hash, stream, cut_session });
        }
        self.newest.extend(newest);
        let named = certificates.into_iter().map(|one| (one.thumbprint.to_string(), one));
        self.certificates.extend(named);
        Report { summary, sources, open_changed }
    }

    fn handle(&mut self) -> u64 {
        self.next_handle += 1;
        self.next_handle
    }

    /// Every session, whole or not.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        let incomplete = self.open.values().chain(self.given_up.values()).map(|one| &one.session);
        self.whole.iter().chain(incomplete)
    }

    /// Sessions that are still open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &IncompleteSession> {
        self.open.values()
    }

    /// Sessions given up.
    pub(crate) fn given_up(&self) -> impl Iterator<Item = &IncompleteSession> {
        self.given_up.values()
    }

    /// Every session as JSON without the places of its rows, which differ with the files, in a fixed order.
    pub(crate) fn answers(&self) -> Vec<String> {
        let mut answers: Vec<String> = self.sessions().map(|session| without_sources(json(session))).collect();
        answers.sort();
        answers
    }

    /// Rows of all sessions.
    pub(crate) fn rows(&self) -> u64 {
        self.sessions().map(|session| session.records).sum()
    }

    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }
}

/// A session as the contract shows it.
pub(crate) fn json(session: &Session) -> Value {
    let mut text = Vec::new();
    session.write_json(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn without_sources(mut session: Value) -> String {
    session["sources"].take();
    session.to_string()
}

/// As many threads as asked for, everything else as the program has it.
pub(crate) fn options(threads: usize) -> Options {
    Options { threads, server: None, role: None, servers: Vec::new(), mapping: true, limits: Limits::default() }
}

/// Rows read are kept, rejected or pending, and the kept ones are all in some session.
#[track_caller]
pub(crate) fn check_rows(summary: &Summary, lines: u64) {
    let (kept, rejected, pending) = (summary.kept, summary.rejected, summary.pending);
    assert_eq!(kept + rejected + pending, lines, "{kept} kept, {rejected} rejected, {pending} pending");
    let listed: u64 = summary.rejected_rows.iter().map(|rows| rows.count).sum();
    assert_eq!(listed, rejected, "every rejected row has a file");
}

/// Writes a file that looks as if nobody had touched it for a day, so that it may be mapped.
pub(crate) fn write_old(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let day_ago = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(day_ago).unwrap();
}
