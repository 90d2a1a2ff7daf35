//! Where reading meets the store: what ingest asks of earlier runs and what it hands on, in the store's terms.
//!
//! ingest knows no store and the store knows no logs, so that either can be used without the other.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use index::{FileRecord, OldSessions, Run, SourceRecord, SplitSink, StoreError, StoredPart, Writer};
use ingest::{
    ContentHash, Identity, IncompleteSession, Known, KnownSource, NothingKnown, Options, Outcome, Part, Progress, Sink,
    StoredSession, discover::Stamp, summary::Summary,
};
use smtplog::{Session, SessionId, Stream, Timestamp};

use crate::{
    beside::{self, Beside},
    keep::keep,
};

/// What a run does beside reading what is new.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras {
    /// Sessions from before the store's horizon are taken like the rest.
    pub(crate) takes_expired: bool,
    /// Rows are kept for transcripts.
    pub(crate) keeps_rows: bool,
}

/// Nothing was published, or only the order that comes after it failed: then the error says so.
pub(crate) struct Failed {
    /// Why.
    pub(crate) error: anyhow::Error,
    /// What was read until then, if reading came to its end.
    pub(crate) summary: Option<Box<Summary>>,
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed { error, summary: None }
    }
}

/// The run was told to stop.
#[derive(Debug)]
pub(crate) struct Stopped;

impl std::error::Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped by a signal; nothing of this run was published")
    }
}

/// What the catalog remembers of a run.
pub(crate) struct Record<'a> {
    /// The summary as the catalog keeps it.
    pub(crate) text: &'a dyn Fn(&Summary) -> String,
    /// Whether a run that found nothing new is remembered, too.
    pub(crate) idle_runs: bool,
}

/// Reads the paths into the store. What could not be read is in the summary; an error says what became of the rest.
pub(crate) fn index(
    mut writer: Writer,
    paths: &[PathBuf],
    options: &Options,
    progress: &Progress,
    extras: Extras,
    record: &Record<'_>,
) -> Result<Summary, Failed> {
    if extras.takes_expired {
        writer.take_expired();
    }
    let earlier = Earlier { writer: &writer, error: Mutex::new(None), failed: AtomicBool::new(false) };
    let mut outcome = ingest::run(paths, options, &earlier, progress, || StoreSink(writer.sink()))
        .with_context(|| format!("cannot start {} threads", options.threads))?;
    if let Some(error) = earlier.error.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(anyhow::Error::new(error).context("cannot ask the store what it holds").into());
    }
    if outcome.stopped {
        return Err(Failed { error: Stopped.into(), summary: Some(Box::new(outcome.summary)) });
    }
    let is_idle = |run: &Run| {
        run.open.is_none() && run.files.is_empty() && run.reported.is_empty() && run.certificates.is_empty()
    };
    let mut beside = read_beside(&writer, &mut outcome, options, progress)?;
    outcome.certificates.append(&mut beside.certificates);
    let rows = match extras.keeps_rows {
        true => keep(&writer, &outcome.sources, options.threads, &mut outcome.summary)?,
        false => Vec::new(),
    };
    let (run, mut summary) = run_of(outcome);
    let is_idle = is_idle(&run) && beside.records.is_empty();
    let written = match record.idle_runs || extras.takes_expired || !is_idle {
        true => write(
            &writer,
            Run { rows, evidence: beside.records, ..run },
            (paths, options, progress),
            extras,
            record,
            &mut summary,
        ),
        false => Ok(()),
    };
    match written.and_then(|()| writer.close().context("cannot close the catalog")) {
        Ok(()) => Ok(summary),
        Err(error) => Err(Failed { error, summary: Some(Box::new(summary)) }),
    }
}

/// Reads what lies beside the logs.
fn read_beside(
    writer: &Writer,
    outcome: &mut Outcome<StoreSink>,
    options: &Options,
    progress: &Progress,
) -> Result<Beside, Failed> {
    let summary = &mut outcome.summary;
    let before = summary.problems.len();
    let beside = beside::read(&outcome.foreign, options, &progress.stop, summary);
    if progress.is_stopped() {
        return Err(Failed { error: Stopped.into(), summary: Some(Box::new(std::mem::take(summary))) });
    }
    outcome.others.retain(|stamp| !beside.unread.contains(stamp));
    if summary.problems.len() > before {
        for problem in summary.problems.iter_mut().filter(|problem| !problem.reported) {
            let Some(stamp) = &problem.stamp else { continue };
            let reported = writer.is_reported(&file_record(stamp));
            problem.reported = reported.context("cannot ask the store what it holds")?;
        }
    }
    Ok(beside)
}

/// Publishes a run, and does what comes after it.
fn write(
    writer: &Writer,
    run: Run,
    (paths, options, progress): (&[PathBuf], &Options, &Progress),
    extras: Extras,
    record: &Record<'_>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let published = writer.publish(run, |published| {
        (summary.expired, summary.kept_bytes) = (published.expired, published.kept_bytes);
        (record.text)(summary)
    });
    let published = published.context("cannot publish what was read")?;
    if extras.takes_expired {
        summary.taken_again = take_again(writer, paths, options, progress)?;
    }
    if published.splits > 0 || published.kept_bytes > 0 || summary.taken_again > 0 {
        writer.merge().context("what was read is published, but splits could not be merged")?;
    }
    Ok(())
}

/// Reads all the paths once more for the sessions from before the horizon that the store does not have. Their sources
/// are known, and no more of these is taken here.
fn take_again(writer: &Writer, paths: &[PathBuf], options: &Options, progress: &Progress) -> anyhow::Result<u64> {
    let lacking = writer.old_sessions().context("cannot ask the store what it holds")?;
    let sink = || OldSink { sink: writer.sink(), lacking: lacking.clone(), sessions: 0, rows: 0 };
    let outcome = ingest::run(paths, options, &NothingKnown, progress, sink)
        .with_context(|| format!("cannot start {} threads", options.threads))?;
    let Outcome { mut sinks, open, certificates, .. } = outcome;
    if let Some(sink) = sinks.first_mut() {
        open.into_iter().for_each(|one| sink.incomplete(one));
    }
    let (sessions, rows) =
        sinks.iter().fold((0, 0), |(sessions, rows), sink| (sessions + sink.sessions, rows + sink.rows));
    let sinks = sinks.into_iter().map(|sink| sink.sink).collect();
    let run = Run { sinks, certificates, rows_again: rows, ..Run::default() };
    writer.publish(run, |_| String::new()).context("cannot publish what was taken again")?;
    Ok(sessions)
}

/// Takes old sessions that the store lacks.
struct OldSink {
    sink: SplitSink,
    lacking: OldSessions,
    sessions: u64,
    rows: u64,
}

impl OldSink {
    fn takes(&mut self, session: &Session) -> bool {
        let is_lacking = self.lacking.lack(session);
        if is_lacking {
            self.sessions += 1;
            self.rows += session.records;
        }
        is_lacking
    }
}

impl Sink for OldSink {
    fn session(&mut self, session: Session) {
        if self.takes(&session) {
            self.sink.add(&session);
        }
    }

    fn incomplete(&mut self, incomplete: IncompleteSession) {
        if self.takes(&incomplete.session) {
            self.sink.add_given_up(&incomplete.session, &stored_parts(incomplete.parts));
        }
    }
}

fn run_of(outcome: Outcome<StoreSink>) -> (Run, Summary) {
    let Outcome { sinks, sources, others, open, replaced, newest, certificates, summary, open_changed, .. } = outcome;
    // A last line that is still waiting may be taken once the file has settled, though it does not change.
    let settled = sources.iter().filter(|source| !source.pending).map(|source| &source.stamp);
    let mut files: Vec<FileRecord> = settled.chain(&others).map(file_record).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    let pending: Vec<&PathBuf> =
        sources.iter().filter(|source| source.pending).map(|source| &source.stamp.path).collect();
    files.retain(|file| !pending.contains(&&file.path));
    let unreported = summary.problems.iter().filter(|problem| !problem.reported);
    let run = Run {
        sinks: sinks.into_iter().map(|sink| sink.0).collect(),
        // With nothing new the open sessions are those of the store, and stay there.
        open: open_changed.then(|| open.into_iter().map(|one| (one.session, stored_parts(one.parts))).collect()),
        replaced: if open_changed { replaced } else { Vec::new() },
        sources: sources.iter().map(source_record).collect(),
        files,
        reported: unreported.filter_map(|problem| problem.stamp.as_ref()).map(file_record).collect(),
        newest,
        certificates,
        ..Run::default()
    };
    (run, summary)
}

fn file_record(stamp: &Stamp) -> FileRecord {
    FileRecord { path: stamp.path.clone(), size: stamp.size, mtime_ns: stamp.mtime_ns, inode: stamp.inode }
}

fn source_record(source: &ingest::SourceOutcome) -> SourceRecord {
    SourceRecord {
        identity: source.identity.0,
        stream: Arc::clone(&source.stream),
        consumed: source.consumed,
        hash: source.hash.0,
        kept: source.counts.kept,
        rejected: source.counts.rejected,
        provisional: source.provisional_kept,
        cut_session: source.cut_session,
        is_read: source.read_from.is_some() || source.provisional > 0,
        hours: source.counts.hours.clone(),
        replaces: source.replaces,
        path: source.stamp.path.clone(),
        member: source.member.clone(),
        file: source.file.to_string(),
    }
}

fn stored_parts(parts: Vec<Part>) -> Vec<StoredPart> {
    let stored = |part: Part| StoredPart {
        span: part.span,
        identity: part.identity.0,
        file: part.file,
        offset: part.offset,
        end: part.end,
        provisional: part.provisional,
        rows: part.rows,
    };
    parts.into_iter().map(stored).collect()
}

/// What earlier runs left. ingest cannot fail on it, so the first error is kept and ends the run before it publishes.
struct Earlier<'a> {
    writer: &'a Writer,
    error: Mutex<Option<StoreError>>,
    failed: AtomicBool,
}

impl Earlier<'_> {
    fn answer<T: Default>(&self, answer: Result<T, StoreError>) -> T {
        answer.unwrap_or_else(|error| {
            if !self.failed.swap(true, Ordering::Relaxed) {
                *self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
            }
            T::default()
        })
    }
}

impl Known for Earlier<'_> {
    fn is_unchanged(&self, stamp: &Stamp) -> bool {
        self.answer(self.writer.is_unchanged(&file_record(stamp)))
    }

    fn source(&self, identity: &Identity) -> Option<KnownSource> {
        let known = self.answer(self.writer.source(&identity.0))?;
        let index::KnownSource { stream, consumed, hash, cut_session } = known;
        Some(KnownSource { consumed, hash: ContentHash(hash), stream, cut_session })
    }

    fn stored_sessions(&self, keys: &[(Arc<Stream>, SessionId)]) -> Vec<StoredSession> {
        let stored = self.answer(self.writer.stored(keys));
        stored
            .into_iter()
            .map(|one| StoredSession {
                handle: one.handle,
                given_up: one.given_up,
                parts: one.parts.into_iter().map(|part| part_of(part, &one.stream, one.session)).collect(),
            })
            .collect()
    }

    fn newest(&self, stream: &Stream) -> Option<Timestamp> {
        self.answer(self.writer.newest(stream))
    }

    fn is_reported(&self, stamp: &Stamp) -> bool {
        self.answer(self.writer.is_reported(&file_record(stamp)))
    }
}

fn part_of(part: StoredPart, stream: &Arc<Stream>, session: SessionId) -> Part {
    Part {
        stream: Arc::clone(stream),
        session,
        span: part.span,
        identity: Identity(part.identity),
        file: part.file,
        offset: part.offset,
        end: part.end,
        provisional: part.provisional,
        rows: part.rows,
    }
}

/// A worker's sessions on their way into its split.
struct StoreSink(SplitSink);

impl Sink for StoreSink {
    fn session(&mut self, session: Session) {
        self.0.add(&session);
    }

    fn incomplete(&mut self, incomplete: IncompleteSession) {
        self.0.add_given_up(&incomplete.session, &stored_parts(incomplete.parts));
    }
}
