//! The run: discover, probe, read on every core, stitch.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use globset::GlobMatcher;
use rustc_hash::{FxHashMap, FxHashSet};
use smtplog::{Role, Session, SessionId, Stream, Timestamp, certificate::Certificate};

use crate::{
    discover::{Source, Stamp, discover},
    identity::{ContentHash, Identity},
    probe::{self, Log, Probed},
    stitch::{IncompleteSession, Part, Stitched, StoredSession, stitch},
    summary::{Notice, Problem, ProblemKind, Summary},
    worker::{SourceOutcome, Task, Worker},
};

/// How a run reads.
#[derive(Clone, Debug)]
pub struct Options {
    /// Workers; at least one.
    pub threads: usize,
    /// The server of every source.
    pub server: Option<String>,
    /// The role of sources whose path tells none.
    pub role: Option<Role>,
    /// Servers by path relative to PATH, first match first.
    pub servers: Vec<(GlobMatcher, String)>,
    /// Whether finished files may be mapped into memory.
    pub mapping: bool,
    /// What bounds memory.
    pub limits: Limits,
}

/// Limits that tests make small.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of rows that wait to be joined across sources, before the oldest sessions are closed as incomplete. A
    /// healthy fleet keeps under 1 % of its sessions waiting.
    pub waiting_bytes: usize,
    /// Plain mapped files above this are read by several workers, a block of this size each.
    pub block_bytes: usize,
    /// A session without a new row is given up when its stream has rows this much later, in milliseconds.
    pub open_ms: i64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { waiting_bytes: 256 << 20, block_bytes: 16 << 20, open_ms: 48 * 3_600_000 }
    }
}

/// What earlier runs left.
pub trait Known: Sync {
    /// Whether a file is as an earlier run left it, and need not be opened.
    fn is_unchanged(&self, stamp: &Stamp) -> bool;
    /// What is known of a source.
    fn source(&self, identity: &Identity) -> Option<KnownSource>;
    /// Sessions still open, and those given up as incomplete that these keys have.
    fn stored_sessions(&self, keys: &[(Arc<Stream>, SessionId)]) -> Vec<StoredSession>;
    /// Time of the newest row of a stream.
    fn newest(&self, stream: &Stream) -> Option<Timestamp>;
}

/// A source that an earlier run read.
#[derive(Clone, Debug)]
pub struct KnownSource {
    /// Decompressed bytes consumed.
    pub consumed: u64,
    /// Their hash.
    pub hash: ContentHash,
    /// The stream that it counts for.
    pub stream: Arc<Stream>,
}

/// Takes sessions as they are found; each worker has its own.
pub trait Sink: Send {
    /// A whole session.
    fn session(&mut self, session: Session);
    /// A session given up as incomplete, with its rows, so that later rows can still join it.
    fn incomplete(&mut self, session: IncompleteSession);
}

/// How far a run has come; read it from another thread.
#[derive(Default)]
pub struct Progress {
    /// Stored bytes to read.
    pub bytes_total: AtomicU64,
    /// Stored bytes read.
    pub bytes_done: AtomicU64,
}

/// What a run found, to be published.
pub struct Outcome<S> {
    /// The workers' sinks.
    pub sinks: Vec<S>,
    /// Every source looked into, with what is consumed of it now.
    pub sources: Vec<SourceOutcome>,
    /// Files that hold no log, or nothing yet: remembered so that they are not opened again.
    pub others: Vec<Stamp>,
    /// Sessions that are open at the end of the run.
    pub open: Vec<IncompleteSession>,
    /// Stored sessions that the run's sessions replace.
    pub replaced: Vec<u64>,
    /// Newest row by stream.
    pub newest: Vec<(Arc<Stream>, Timestamp)>,
    /// Certificates that the logs name, in order of thumbprint.
    pub certificates: Vec<Certificate>,
    /// What was read, kept and could not be read.
    pub summary: Summary,
}

/// Reads the paths.
pub fn run<S: Sink>(
    paths: &[PathBuf],
    options: &Options,
    known: &dyn Known,
    progress: &Progress,
    mut sink: impl FnMut() -> S,
) -> Result<Outcome<S>, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build()?;
    let workers: Vec<Mutex<Worker<S>>> =
        (0..pool.current_num_threads()).map(|_| Mutex::new(Worker::new(options, sink()))).collect();
    let mut found = discover(paths, options, &|stamp| known.is_unchanged(stamp));
    let mut summary = Summary { files: found.files, unchanged: found.unchanged, ..Summary::default() };
    summary.problems.append(&mut found.problems);
    let run = Run { options, known, progress, pool: &pool, workers: &workers };
    let (tasks, others) = run.plan(&found.sources, &mut summary);
    let total = tasks.iter().flat_map(|task| &task.sources).map(|source| source.source.stored_bytes).sum();
    progress.bytes_total.store(total, Ordering::Relaxed);
    let mut sources = run.read_stdin(&found.sources, &mut summary);
    sources.extend(run.read(&tasks));
    let stitched = run.stitch(&sources);
    Ok(finish(workers, sources, others, stitched, summary))
}

struct Run<'a, S> {
    options: &'a Options,
    known: &'a dyn Known,
    progress: &'a Progress,
    pool: &'a rayon::ThreadPool,
    workers: &'a [Mutex<Worker<S>>],
}

/// A lock that only a panicked worker can have poisoned; that panic ends the run anyway when the pool joins.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<S: Sink> Run<'_, S> {
    /// Looks into every source and puts those of one identity together, in the order of their first rows: a worker
    /// then meets the days in order, and a split covers few of them.
    fn plan(&self, sources: &[Source], summary: &mut Summary) -> (Vec<Task>, Vec<Stamp>) {
        let probed = self.probe(sources);
        let mut others = Vec::new();
        let mut logs: Vec<(&Source, Box<Log>)> = Vec::new();
        for (source, probed) in sources.iter().zip(probed) {
            match probed {
                Some(Ok(Probed::Log(log))) => logs.push((source, log)),
                Some(Ok(other)) => {
                    count_other(source, &other, summary);
                    others.push(source.stamp.clone());
                }
                Some(Err(error)) => {
                    others.push(source.stamp.clone());
                    summary.problems.push(Problem {
                        file: source.file.to_string(),
                        offset: Some(0),
                        kind: ProblemKind::Damaged,
                        error,
                    });
                }
                None => {} // Standard input.
            }
        }
        let pairs: Vec<(&Source, &Log)> = logs.iter().map(|(source, log)| (*source, &**log)).collect();
        let streams = probe::streams(&pairs);
        summary.notices.extend(foreign_connectors(&pairs));
        (tasks(logs, streams), others)
    }

    fn probe(&self, sources: &[Source]) -> Vec<Option<std::io::Result<Probed>>> {
        let probed: Vec<Mutex<Option<std::io::Result<Probed>>>> = sources.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        self.pool.broadcast(|_| {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(source) = sources.get(at) else { return };
                if !source.is_stdin() {
                    *lock(&probed[at]) = Some(probe::probe(source, self.options.mapping));
                }
            }
        });
        probed.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())).collect()
    }

    fn read_stdin(&self, sources: &[Source], summary: &mut Summary) -> Vec<SourceOutcome> {
        let mut outcomes = Vec::new();
        for source in sources.iter().filter(|source| source.is_stdin()) {
            outcomes.extend(lock(&self.workers[0]).read_stdin(source, self.known, summary));
        }
        outcomes
    }

    fn read(&self, tasks: &[Task]) -> Vec<SourceOutcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        self.pool.broadcast(|context| {
            let mut worker = lock(&self.workers[context.index()]);
            let mut own = Vec::new();
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                worker.read(task, self.known, self.progress, &mut own);
            }
            lock(&outcomes).append(&mut own);
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        outcomes.sort_by(|a, b| (&a.file, a.identity).cmp(&(&b.file, b.identity)));
        outcomes
    }

    /// Joins what no single source had whole, with what earlier runs left.
    fn stitch(&self, sources: &[SourceOutcome]) -> Stitching {
        let mut parts = Vec::new();
        let mut newest: FxHashMap<Arc<Stream>, Timestamp> = FxHashMap::default();
        for worker in self.workers {
            let mut worker = lock(worker);
            parts.append(&mut worker.take_parts());
            for (stream, time) in worker.take_newest() {
                let known = newest.entry(stream).or_insert(time);
                *known = time.max(*known);
            }
        }
        for (stream, time) in &mut newest {
            *time = self.known.newest(stream).map_or(*time, |known| known.max(*time));
        }
        let keys: FxHashSet<(Arc<Stream>, SessionId)> =
            parts.iter().map(|part: &Part| (Arc::clone(&part.stream), part.session)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let stored = self.known.stored_sessions(&keys);
        let newest_of = |stream: &Stream| newest.get(stream).copied().or_else(|| self.known.newest(stream));
        let stitched = stitch(self.pool, self.workers, parts, stored, sources, &newest_of, self.options.limits.open_ms);
        let mut newest: Vec<_> = newest.into_iter().collect();
        newest.sort();
        Stitching { stitched, newest }
    }
}

struct Stitching {
    stitched: Stitched,
    newest: Vec<(Arc<Stream>, Timestamp)>,
}

pub(crate) fn count_other(source: &Source, probed: &Probed, summary: &mut Summary) {
    let (count, text) = match probed {
        Probed::Log(_) => return,
        Probed::Empty => (&mut summary.empty, "empty"),
        Probed::HeaderOnly => (&mut summary.header_only, "a header and no complete row yet"),
        Probed::Foreign => (&mut summary.foreign, "not a protocol log"),
    };
    *count += 1;
    summary.notices.push(Notice { file: source.file.to_string(), text: text.to_owned() });
}

/// Receive logs whose connector names another server than their place: worth knowing, never a reason to drop.
fn foreign_connectors(logs: &[(&Source, &Log)]) -> Vec<Notice> {
    let differs = |(source, log): &&(&Source, &Log)| {
        log.server_of_row.is_some() && source.place.server.is_some() && log.server_of_row != source.place.server
    };
    let notice = |(source, log): &(&Source, &Log)| Notice {
        file: source.file.to_string(),
        text: format!(
            "the connector names server {}, the place {}",
            log.server_of_row.as_deref().unwrap_or_default().escape_debug(),
            source.place.server.as_deref().unwrap_or_default().escape_debug()
        ),
    };
    logs.iter().filter(differs).map(notice).collect()
}

/// One task for each identity: copies of one log are read one after the other, those with a known server first.
fn tasks(logs: Vec<(&Source, Box<Log>)>, streams: Vec<Arc<Stream>>) -> Vec<Task> {
    let mut by_identity: FxHashMap<Identity, Task> = FxHashMap::default();
    for ((source, log), stream) in logs.into_iter().zip(streams) {
        let task = by_identity.entry(log.identity).or_insert_with(|| Task::new(log.identity));
        task.sources.push(crate::worker::TaskSource { source: source.clone(), log: *log, stream });
    }
    let mut tasks: Vec<Task> = by_identity.into_values().collect();
    for task in &mut tasks {
        task.sources.sort_by(|a, b| {
            let key =
                |source: &crate::worker::TaskSource| (&*source.stream.server == "UNKNOWN", source.source.file.clone());
            key(a).cmp(&key(b))
        });
    }
    tasks.sort_by(|a, b| a.order().cmp(&b.order()));
    tasks
}

fn finish<S: Sink>(
    workers: Vec<Mutex<Worker<S>>>,
    sources: Vec<SourceOutcome>,
    others: Vec<Stamp>,
    stitching: Stitching,
    mut summary: Summary,
) -> Outcome<S> {
    let mut sinks = Vec::new();
    let mut certificates: FxHashMap<_, Certificate> = FxHashMap::default();
    for worker in workers {
        let worker = worker.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (sink, worker_summary, worker_certificates) = worker.finish();
        sinks.push(sink);
        summary.merge(worker_summary);
        for certificate in worker_certificates {
            let known = certificates.entry(certificate.thumbprint).or_insert_with(|| certificate.clone());
            if certificate.is_better_than(known) {
                *known = certificate;
            }
        }
    }
    let Stitched { open, replaced } = stitching.stitched;
    summary.open += open.len() as u64;
    summary.sort();
    let mut certificates: Vec<Certificate> = certificates.into_values().collect();
    certificates.sort_unstable_by_key(|certificate| certificate.thumbprint);
    Outcome { sinks, sources, others, open, replaced, newest: stitching.newest, certificates, summary }
}
