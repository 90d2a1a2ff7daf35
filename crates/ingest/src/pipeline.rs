//! The run: discover, tell what every source is, read on every core, stitch.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use globset::GlobMatcher;
use rustc_hash::{FxHashMap, FxHashSet};
use smtplog::{Role, Session, SessionId, Stream, Timestamp, certificate::Certificate};

use crate::{
    at_once::AtOnce,
    blocks::is_large,
    discover::{Source, Stamp, discover},
    identity::{ContentHash, Identity},
    plan::{Look, Plan, grouped, parted, plan},
    reading::Copies,
    stitch::{Group, IncompleteSession, Part, StoredSession, by_key, relieve, stitch},
    summary::Summary,
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
    /// healthy fleet keeps under 1 % of its sessions waiting. They are still joined with rows of later runs.
    pub waiting_bytes: usize,
    /// Plain files above this are read by several workers, a block of this size each.
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
    /// Whether a file is as an earlier run left it, and need not be opened. A file of which an earlier run said
    /// [`SourceOutcome::pending`] never is.
    fn is_unchanged(&self, stamp: &Stamp) -> bool;
    /// What is known of a source.
    fn source(&self, identity: &Identity) -> Option<KnownSource>;
    /// Sessions still open, whatever their keys, and those given up as incomplete that these keys have.
    fn stored_sessions(&self, keys: &[(Arc<Stream>, SessionId)]) -> Vec<StoredSession>;
    /// Time of the newest row of a stream.
    fn newest(&self, stream: &Stream) -> Option<Timestamp>;
    /// Whether an earlier run reported that this file could not be read to its end.
    fn is_reported(&self, _: &Stamp) -> bool {
        false
    }
}

/// No run was before this one.
#[derive(Clone, Copy, Debug)]
pub struct NothingKnown;

impl Known for NothingKnown {
    fn is_unchanged(&self, _: &Stamp) -> bool {
        false
    }

    fn source(&self, _: &Identity) -> Option<KnownSource> {
        None
    }

    fn stored_sessions(&self, _: &[(Arc<Stream>, SessionId)]) -> Vec<StoredSession> {
        Vec::new()
    }

    fn newest(&self, _: &Stream) -> Option<Timestamp> {
        None
    }
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
    /// The session of a last line that was read without its end. The whole line takes its place, also if the session
    /// was given up meanwhile.
    pub cut_session: Option<SessionId>,
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
    /// Set it, from another thread or a signal, and the run ends soon with [`Outcome::stopped`].
    pub stop: Arc<AtomicBool>,
}

impl Progress {
    /// Whether the run is to end without reading on.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a run found, to be published.
pub struct Outcome<S> {
    /// The workers' sinks.
    pub sinks: Vec<S>,
    /// Every source looked into, with what is consumed of it now. Of several copies the last says it.
    pub sources: Vec<SourceOutcome>,
    /// Files that hold no log, or nothing yet: remembered so that they are not opened again.
    pub others: Vec<Stamp>,
    /// Those of them that are no logs, for whoever can read them; they are not counted in the summary yet.
    pub foreign: Vec<Source>,
    /// Sessions that are open at the end of the run; all of them, if `open_changed`.
    pub open: Vec<IncompleteSession>,
    /// Whether the open sessions are others than before the run. If not, `open` and `replaced` are empty and the
    /// store's own still hold.
    pub open_changed: bool,
    /// Stored sessions that the run's sessions replace.
    pub replaced: Vec<u64>,
    /// Newest row by stream, of the streams that the run read rows of.
    pub newest: Vec<(Arc<Stream>, Timestamp)>,
    /// Certificates that the logs name, in order of thumbprint.
    pub certificates: Vec<Certificate>,
    /// What was read, kept and could not be read.
    pub summary: Summary,
    /// The run was told to stop. What is here is then neither all nor whole, and must not be published.
    pub stopped: bool,
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
    let waiting = Arc::new(AtomicUsize::new(0));
    let workers: Vec<Mutex<Worker<S>>> =
        (0..pool.current_num_threads()).map(|_| Mutex::new(Worker::new(options, &waiting, progress, sink()))).collect();
    let mut found = discover(paths, options, &progress.stop, &|stamp| known.is_unchanged(stamp));
    let mut summary = Summary { files: found.files, unchanged: found.unchanged, ..Summary::default() };
    summary.problems.append(&mut found.problems);
    let (stdin, files): (Vec<Source>, Vec<Source>) = found.sources.into_iter().partition(Source::is_stdin);
    let (at_once, files) = parted(files, options.limits.block_bytes);
    let look = Look { pool: &pool, mapping: options.mapping, stop: &progress.stop };
    let mut plan = plan(files, &found.neighbours, &look, &mut summary);
    plan.others.append(&mut found.others);
    let planned = plan.tasks.iter().flat_map(|task| &task.sources).map(|source| &source.source);
    let total = planned.chain(&at_once).map(|source| source.stored_bytes).sum();
    progress.bytes_total.store(total, Ordering::Relaxed);
    let earlier = Earlier { known, open: OnceLock::new() };
    let run = Run { options, earlier, progress, pool: &pool, workers: &workers, waiting: &waiting };
    let sources = run.read(&stdin, at_once, &mut plan, &mut summary);
    let stitching = if progress.is_stopped() { Stitching::default() } else { run.stitch(&sources) };
    plan.foreign.sort_by(|a, b| a.file.cmp(&b.file));
    let mut outcome = finish(workers, sources, plan.others, stitching, summary);
    outcome.foreign = plan.foreign;
    for problem in &mut outcome.summary.problems {
        problem.reported = problem.stamp.as_ref().is_some_and(|stamp| known.is_reported(stamp));
    }
    Ok(Outcome { stopped: progress.is_stopped(), ..outcome })
}

pub(crate) struct Run<'a, S> {
    pub(crate) options: &'a Options,
    pub(crate) earlier: Earlier<'a>,
    pub(crate) progress: &'a Progress,
    pub(crate) pool: &'a rayon::ThreadPool,
    pub(crate) workers: &'a [Mutex<Worker<S>>],
    /// What all waiting parts take.
    waiting: &'a AtomicUsize,
}

/// What earlier runs left, asked as rarely as can be.
pub(crate) struct Earlier<'a> {
    pub(crate) known: &'a dyn Known,
    open: OnceLock<FxHashMap<Identity, FxHashSet<SessionId>>>,
}

impl Earlier<'_> {
    /// What is known of a log that this run has not read yet.
    pub(crate) fn copies_of(&self, identity: &Identity) -> Copies {
        Copies::of(self.known.source(identity))
    }

    /// Sessions of which a source has rows that more of it can continue.
    pub(crate) fn open_in(&self, identity: &Identity) -> FxHashSet<SessionId> {
        let all = self.open.get_or_init(|| {
            let mut open: FxHashMap<Identity, FxHashSet<SessionId>> = FxHashMap::default();
            let stored = self.known.stored_sessions(&[]);
            for part in stored.iter().flat_map(|session| &session.parts).filter(|part| part.is_open()) {
                open.entry(part.identity).or_default().insert(part.session);
            }
            open
        });
        all.get(identity).cloned().unwrap_or_default()
    }
}

/// A lock that only a panicked worker can have poisoned; that panic ends the run anyway when the pool joins.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<S: Sink> Run<'_, S> {
    /// Reads standard input, then files that need no plan, then every task: small files a worker each, then each large
    /// one with all workers.
    fn read(
        &self,
        stdin: &[Source],
        at_once: Vec<Source>,
        plan: &mut Plan,
        summary: &mut Summary,
    ) -> Vec<SourceOutcome> {
        let mut outcomes = Vec::new();
        // A file may hold the same content as standard input, and then counts once.
        let mut read_before: FxHashMap<Identity, Copies> = FxHashMap::default();
        for source in stdin {
            let read = lock(&self.workers[0]).read_stdin(source, &self.earlier, summary);
            for (outcome, copies) in read {
                summary.pending += u64::from(copies.has_pending_line());
                read_before.insert(outcome.identity, copies);
                outcomes.push(outcome);
            }
        }
        let tasks = std::mem::take(&mut plan.tasks);
        let taken = tasks.iter().map(|task| task.identity).chain(read_before.keys().copied()).collect();
        let AtOnce { outcomes: mut from_files, mut others, mut foreign, copies, read } =
            self.read_at_once(at_once, taken);
        plan.others.append(&mut others);
        plan.foreign.append(&mut foreign);
        read_before.extend(read);
        let tasks = grouped(tasks.into_iter().flat_map(|task| task.sources).chain(copies));
        let block_bytes = self.options.limits.block_bytes;
        let has_large = |task: &Task| task.sources.iter().any(|source| is_large(&source.source, block_bytes));
        let (large, small): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(has_large);
        let read_before = Mutex::new(read_before);
        from_files.append(&mut self.read_tasks(&small, &read_before));
        for task in &large {
            let copies = self.copies_of(task, &read_before);
            from_files.extend(self.read_large_task(task, copies));
        }
        sort_by_log(&mut from_files);
        outcomes.append(&mut from_files);
        outcomes
    }

    fn read_tasks(&self, tasks: &[Task], read_before: &Mutex<FxHashMap<Identity, Copies>>) -> Vec<SourceOutcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        while next.load(Ordering::Relaxed) < tasks.len() && !self.progress.is_stopped() {
            self.pool.broadcast(|context| {
                let mut worker = lock(&self.workers[context.index()]);
                let mut own = Vec::new();
                while !self.is_crowded()
                    && !self.progress.is_stopped()
                    && let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let copies = self.copies_of(task, read_before);
                    worker.read(task, copies, &self.earlier, self.progress, &mut own);
                }
                lock(&outcomes).append(&mut own);
            });
            if self.is_crowded() {
                self.relieve();
            }
        }
        outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is known of a task's content before it is read.
    fn copies_of(&self, task: &Task, read_before: &Mutex<FxHashMap<Identity, Copies>>) -> Copies {
        let copies = lock(read_before).remove(&task.identity);
        copies.unwrap_or_else(|| self.earlier.copies_of(&task.identity))
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > self.options.limits.waiting_bytes
    }

    /// Joins what is whole already, of all workers, and if too much waits, closes the oldest sessions. Half of the
    /// limit is left free then, so that this does not come up again at once.
    pub(crate) fn relieve(&self) {
        let limit = self.options.limits.waiting_bytes;
        let bytes_max = if self.is_crowded() { limit / 2 } else { limit };
        let parts = self.workers.iter().flat_map(|worker| lock(worker).waiting.take()).collect();
        let mut newest: FxHashMap<Arc<Stream>, Timestamp> = FxHashMap::default();
        for worker in self.workers {
            merge_newest(&mut newest, lock(worker).newest().clone());
        }
        let open_ms = self.options.limits.open_ms;
        let is_over = |group: &Group| group.is_over(group.stream().and_then(|stream| newest.get(stream)), open_ms);
        let relief = relieve(parts, bytes_max, is_over);
        relief.kept.into_iter().for_each(|part| lock(&self.workers[0]).waiting.push(part));
        let given_out = Mutex::new(relief.given_out.into_iter());
        self.pool.broadcast(|context| {
            let mut worker = lock(&self.workers[context.index()]);
            loop {
                let next = lock(&given_out).next();
                let Some((group, fate)) = next else { return };
                worker.deliver(group, fate);
            }
        });
    }

    /// Joins what no single source had whole, with what earlier runs left.
    fn stitch(&self, sources: &[SourceOutcome]) -> Stitching {
        let mut parts = Vec::new();
        let mut newest: FxHashMap<Arc<Stream>, Timestamp> = FxHashMap::default();
        for worker in self.workers {
            let mut worker = lock(worker);
            parts.append(&mut worker.waiting.take());
            merge_newest(&mut newest, worker.take_newest());
        }
        let is_new = sources.iter().any(|source| source.read_from.is_some());
        if parts.is_empty() && !is_new {
            return Stitching::default();
        }
        let keys: FxHashSet<_> = parts.iter().map(|part: &Part| (Arc::clone(&part.stream), part.session)).collect();
        let stored = self.earlier.known.stored_sessions(&keys.into_iter().collect::<Vec<_>>());
        if !is_new && parts.iter().all(|part| is_stored(part, &stored)) {
            return Stitching::default();
        }
        let (keys, replaced) = by_key(parts, stored, sources);
        for (stream, time) in &mut newest {
            *time = self.earlier.known.newest(stream).map_or(*time, |known| known.max(*time));
        }
        let read_streams: Vec<(Arc<Stream>, Timestamp)> =
            newest.iter().map(|(stream, time)| (Arc::clone(stream), *time)).collect();
        for ((stream, _), _) in &keys {
            if !newest.contains_key(stream) {
                let known = self.earlier.known.newest(stream).unwrap_or(Timestamp(i64::MIN));
                newest.insert(Arc::clone(stream), known);
            }
        }
        let open = stitch(self.pool, self.workers, keys, &newest, self.options.limits.open_ms);
        Stitching { open, open_changed: true, replaced, newest: read_streams }
    }
}

/// Logs in order of their files. Copies of one stay in the order in which they were read: the last says what is consumed.
fn sort_by_log(outcomes: &mut [SourceOutcome]) {
    let mut first: FxHashMap<Identity, Arc<str>> = FxHashMap::default();
    for one in outcomes.iter() {
        let file = first.entry(one.identity).or_insert_with(|| Arc::clone(&one.file));
        if one.file < *file {
            *file = Arc::clone(&one.file);
        }
    }
    outcomes.sort_by(|a, b| (&first[&a.identity], a.identity).cmp(&(&first[&b.identity], b.identity)));
}

fn merge_newest(newest: &mut FxHashMap<Arc<Stream>, Timestamp>, more: FxHashMap<Arc<Stream>, Timestamp>) {
    for (stream, time) in more {
        let known = newest.entry(stream).or_insert(time);
        *known = time.max(*known);
    }
}

/// Whether an earlier run left the same part: a last line without an end that was read once more.
fn is_stored(part: &Part, stored: &[StoredSession]) -> bool {
    let mut known = stored.iter().flat_map(|session| &session.parts);
    part.provisional
        && known.any(|known| known.identity == part.identity && known.offset == part.offset && known == part)
}

#[derive(Default)]
struct Stitching {
    open: Vec<IncompleteSession>,
    open_changed: bool,
    replaced: Vec<u64>,
    newest: Vec<(Arc<Stream>, Timestamp)>,
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
        let worker = worker.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
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
    let Stitching { open, open_changed, replaced, mut newest } = stitching;
    newest.sort();
    summary.open += open.len() as u64;
    summary.replaced += replaced.len() as u64;
    summary.sort();
    let mut certificates: Vec<Certificate> = certificates.into_values().collect();
    certificates.sort_unstable_by_key(|certificate| certificate.thumbprint);
    let stopped = false;
    let foreign = Vec::new();
    Outcome { sinks, sources, others, foreign, open, open_changed, replaced, newest, certificates, summary, stopped }
}
