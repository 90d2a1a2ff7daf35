//! A worker: one core's buffers, its open sessions, its sink.

use std::{
    io::{self, Read},
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustc_hash::FxHashMap;
use smtplog::{
    Session, SourceSpan, Stream, Timestamp,
    assemble::Assembler,
    certificate::Certificate,
    formats::{Columns, LogFormat},
    fragment::Fragment,
    reader::{Counts, Fragments},
    record::Rejection,
};

use crate::{
    compression::{Codec, WholeFrames, decoder},
    discover::{Source, Stamp},
    identity::{ContentHash, ContentHasher, Identity},
    lines::{LineBlocks, Step},
    open::{Stored, with_stored},
    pipeline::{Known, KnownSource, Options, Progress, Sink},
    probe::{self, Log, Probed},
    stitch::{Group, IncompleteSession, Part},
    summary::{Notice, Problem, ProblemKind, Summary},
};

/// A file untouched for this long holds its last line whole (CONTRACT 2).
const SETTLED_AFTER: Duration = Duration::from_secs(3_600);

/// The sources of one identity.
pub(crate) struct Task {
    pub(crate) identity: Identity,
    pub(crate) sources: Vec<TaskSource>,
}

/// A source that is a log of a stream.
pub(crate) struct TaskSource {
    pub(crate) source: Source,
    pub(crate) log: Log,
    pub(crate) stream: Arc<Stream>,
}

impl Task {
    pub(crate) fn new(identity: Identity) -> Task {
        Task { identity, sources: Vec::new() }
    }

    /// By time of the first row, then stream.
    pub(crate) fn order(&self) -> (Option<&[u8]>, Option<&Stream>, Identity) {
        let first = self.sources.first();
        (first.map(|source| &*source.log.first_row), first.map(|source| &*source.stream), self.identity)
    }
}

/// What became of one source.
#[derive(Clone, Debug)]
pub struct SourceOutcome {
    /// Its identity.
    pub identity: Identity,
    /// Where it lies.
    pub stamp: Stamp,
    /// The archive's member, if it is one.
    pub member: Option<String>,
    /// Its name relative to PATH.
    pub file: Arc<str>,
    /// The stream that its rows count for.
    pub stream: Arc<Stream>,
    /// Decompressed bytes consumed, to the end of the last complete line.
    pub consumed: u64,
    /// Their hash.
    pub hash: ContentHash,
    /// Where reading began; `None` if nothing was new.
    pub read_from: Option<u64>,
    /// Rows kept and rejected by this run.
    pub counts: Counts,
    /// Whether a last line without an end is still waiting.
    pub pending: bool,
}

/// One core's state.
pub(crate) struct Worker<S> {
    sink: S,
    assembler: Assembler,
    fragments: Fragments,
    lines: LineBlocks,
    hasher: ContentHasher,
    frames: Option<WholeFrames>,
    compressed: Vec<u8>,
    parts: Vec<Part>,
    newest: FxHashMap<Arc<Stream>, Timestamp>,
    summary: Summary,
    mapping: bool,
}

/// The source being read.
struct Reading<'a> {
    identity: Identity,
    file: &'a Arc<str>,
    stream: &'a Arc<Stream>,
    format: &'static dyn LogFormat,
    columns: Columns,
    /// Content before this offset was consumed by an earlier run and is only hashed.
    from: u64,
    known: Option<ContentHash>,
    /// Set once the content before `from` turned out to be another than known.
    changed: bool,
    /// Bytes consumed so far.
    consumed: u64,
    /// Whether the bytes before the next line end belong to an overlong line.
    overlong: bool,
}

/// How reading a source ended.
struct Ending {
    consumed: u64,
    last_line: Option<Vec<u8>>,
    problem: Option<(u64, io::Error)>,
}

impl<S: Sink> Worker<S> {
    pub(crate) fn new(options: &Options, sink: S) -> Worker<S> {
        Worker {
            sink,
            assembler: Assembler::default(),
            fragments: Fragments::default(),
            lines: LineBlocks::default(),
            hasher: ContentHasher::default(),
            frames: WholeFrames::new().ok(),
            compressed: Vec::new(),
            parts: Vec::new(),
            newest: FxHashMap::default(),
            summary: Summary::default(),
            mapping: options.mapping,
        }
    }

    pub(crate) fn take_parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    pub(crate) fn take_newest(&mut self) -> FxHashMap<Arc<Stream>, Timestamp> {
        std::mem::take(&mut self.newest)
    }

    pub(crate) fn finish(mut self) -> (S, Summary, Vec<Certificate>) {
        self.summary.certificates_dropped += self.assembler.certificates_dropped();
        (self.sink, self.summary, self.assembler.into_certificates())
    }

    /// Reads the sources of one identity: the first gives the content, the others only what they have more.
    pub(crate) fn read(
        &mut self,
        task: &Task,
        known: &dyn Known,
        progress: &Progress,
        outcomes: &mut Vec<SourceOutcome>,
    ) {
        let mut known = known.source(&task.identity);
        for source in &task.sources {
            let outcome = self.read_source(source, known.as_ref());
            progress.bytes_done.fetch_add(source.source.stored_bytes, Ordering::Relaxed);
            if outcome.read_from.is_some() {
                let KnownSource { consumed, hash, .. } = outcome.known();
                known = Some(KnownSource { consumed, hash, stream: Arc::clone(&outcome.stream) });
            }
            outcomes.push(outcome);
        }
    }

    fn read_source(&mut self, task: &TaskSource, known: Option<&KnownSource>) -> SourceOutcome {
        let source = &task.source;
        let stream = self.stream_of(task, known);
        let mut reading = Reading::of(task, &stream, known);
        let mut ending = self.read_stored(source, &mut reading);
        if reading.changed {
            self.notice(source, "what was read of it before has changed; it is read again as a new log");
            reading = Reading::of(task, &stream, None);
            ending = self.read_stored(source, &mut reading);
        }
        self.end_source(source, reading, ending)
    }

    /// The stream that a source counts for: content known under another server counts once, under the name that is
    /// not `unknown`, else the one published (CONTRACT 1).
    fn stream_of(&mut self, task: &TaskSource, known: Option<&KnownSource>) -> Arc<Stream> {
        let Some(known) = known else { return Arc::clone(&task.stream) };
        if known.stream.server != task.stream.server {
            let text = format!("the same content is known from server {}; it counts once", known.stream.server);
            self.notice(&task.source, &text);
        }
        Arc::clone(&known.stream)
    }

    fn notice(&mut self, source: &Source, text: &str) {
        self.summary.notices.push(Notice { file: source.file.to_string(), text: text.to_owned() });
    }

    fn read_stored(&mut self, source: &Source, reading: &mut Reading<'_>) -> Ending {
        self.hasher.reset();
        self.fragments.begin(0);
        let bytes = source.stored_bytes;
        let read = with_stored(source, self.mapping, |stored| match stored {
            Stored::Mapped(mapped) if Codec::of_magic(mapped) == Codec::Plain => Ok(self.read_whole(mapped, reading)),
            Stored::Mapped(mapped) => self.read_compressed(mapped, reading),
            Stored::Stream(stream) if source.member.is_none() && bytes <= WHOLE_FILE_BYTES_MAX => {
                let mut compressed = std::mem::take(&mut self.compressed);
                compressed.clear();
                stream.read_to_end(&mut compressed)?;
                let ending = match Codec::of_magic(&compressed) {
                    Codec::Plain => Ok(self.read_whole(&compressed, reading)),
                    _ => self.read_compressed(&compressed, reading),
                };
                self.compressed = compressed;
                ending
            }
            Stored::Stream(stream) => Ok(self.read_lines(&mut decoder(stream, bytes)?, reading)),
        });
        read.unwrap_or_else(|error| Ending { consumed: 0, last_line: None, problem: Some((0, error)) })
    }

    fn read_compressed(&mut self, compressed: &[u8], reading: &mut Reading<'_>) -> io::Result<Ending> {
        let mut frames = self.frames.take();
        let ending = match frames.as_mut().and_then(|frames| frames.decompress(compressed)) {
            Some(content) => Ok(self.read_whole(content, reading)),
            None => {
                decoder(compressed, compressed.len() as u64).map(|mut stream| self.read_lines(&mut stream, reading))
            }
        };
        self.frames = frames;
        ending
    }

    /// Content that lies in memory as a whole.
    fn read_whole(&mut self, content: &[u8], reading: &mut Reading<'_>) -> Ending {
        let end = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        self.block(&content[..end], 0, reading);
        Ending { consumed: end as u64, last_line: Some(content[end..].to_vec()), problem: None }
    }

    fn read_lines(&mut self, stream: &mut dyn Read, reading: &mut Reading<'_>) -> Ending {
        let mut lines = std::mem::take(&mut self.lines);
        lines.begin();
        let ending = loop {
            match lines.next(stream) {
                Ok(Step::Lines(offset, block)) => {
                    self.block(block, offset, reading);
                }
                Ok(Step::Overlong(offset, part)) => {
                    if !std::mem::replace(&mut reading.overlong, true) {
                        self.fragments.rejected(Rejection::TooLong, (offset, part.len() as u64));
                    }
                    self.hasher.update(part);
                }
                Ok(Step::End(offset, rest)) => {
                    break Ending { consumed: offset, last_line: Some(rest.to_vec()), problem: None };
                }
                Err(error) => {
                    let problem = Some((lines.position(), error));
                    break Ending { consumed: reading.consumed, last_line: None, problem };
                }
            }
            if reading.changed {
                break Ending { consumed: 0, last_line: None, problem: None };
            }
        };
        self.lines = lines;
        ending
    }

    /// A block of whole lines that begins at `offset`.
    fn block(&mut self, block: &[u8], offset: u64, reading: &mut Reading<'_>) {
        let mut fresh = block;
        let mut at = offset;
        if offset < reading.from {
            let known = usize::try_from(reading.from - offset).map_or(block.len(), |known| known.min(block.len()));
            self.hasher.update(&block[..known]);
            (fresh, at) = (&block[known..], offset + known as u64);
            if at == reading.from {
                reading.changed = reading.known != Some(self.hasher.hash());
            }
            if reading.changed {
                return;
            }
        }
        self.hasher.update(fresh);
        if std::mem::take(&mut reading.overlong) {
            let rest = fresh.iter().position(|&byte| byte == b'\n').map_or(fresh.len(), |end| end + 1);
            (fresh, at) = (&fresh[rest..], at + rest as u64);
        }
        reading.format.read(&mut reading.columns, fresh, at, &mut self.fragments);
        reading.consumed = at + fresh.len() as u64;
        self.deliver_finished(reading, false);
    }

    /// Whole sessions go to the sink; the rest waits to be joined.
    fn deliver_finished(&mut self, reading: &Reading<'_>, provisional: bool) {
        let mut fragments = std::mem::take(&mut self.fragments);
        let mut spare = Vec::new();
        for fragment in fragments.drain_finished() {
            spare.extend(self.deliver_fragment(fragment, reading, provisional));
        }
        spare.into_iter().for_each(|rows| fragments.recycle(rows));
        self.fragments = fragments;
    }

    fn deliver_fragment(&mut self, fragment: Fragment, reading: &Reading<'_>, provisional: bool) -> Option<Vec<u8>> {
        let newest = self.newest.entry(Arc::clone(reading.stream)).or_insert(fragment.span.last_time);
        *newest = fragment.span.last_time.max(*newest);
        if fragment.span.is_complete() && !provisional {
            let mut session =
                self.assembler.session(reading.stream, fragment.session, &fragment.span, &[&fragment.rows]);
            session.sources.push(SourceSpan {
                file: Arc::clone(reading.file),
                identity: reading.identity.0,
                offset: fragment.offset,
                length: fragment.end - fragment.offset,
            });
            self.whole(session);
            return Some(fragment.rows);
        }
        self.parts.push(Part {
            stream: Arc::clone(reading.stream),
            session: fragment.session,
            span: fragment.span,
            identity: reading.identity,
            file: Arc::clone(reading.file),
            offset: fragment.offset,
            end: fragment.end,
            provisional,
            rows: fragment.rows,
        });
        None
    }

    fn whole(&mut self, session: Session) {
        self.summary.sessions += 1;
        *self.summary.streams.entry((*session.stream).clone()).or_default() += 1;
        self.sink.session(session);
    }

    /// A group of joined parts: whole, given up, or still open.
    pub(crate) fn deliver(
        &mut self,
        stream: &Arc<Stream>,
        group: &Group<'_>,
        is_over: bool,
    ) -> Option<IncompleteSession> {
        let first = group.parts.first()?;
        let rows: Vec<&[u8]> = group.parts.iter().map(|part| &part.rows[..]).collect();
        let mut session = self.assembler.session(stream, first.session, &group.span, &rows);
        session.sources = group.sources();
        if group.is_whole() {
            self.whole(session);
            return None;
        }
        let parts = group.parts.iter().map(|&part| part.clone()).collect();
        let incomplete = IncompleteSession { session, parts };
        if !is_over {
            return Some(incomplete);
        }
        self.summary.incomplete += 1;
        self.sink.incomplete(incomplete);
        None
    }

    fn end_source(&mut self, source: &Source, mut reading: Reading<'_>, ending: Ending) -> SourceOutcome {
        let hash = self.hasher.hash();
        let mut counts = self.fragments.end();
        self.deliver_finished(&reading, false);
        let last_line = ending.last_line.filter(|line| !line.is_empty() && ending.problem.is_none());
        let takes_line = source.takes_last_line() || !source.newest || is_settled(&source.stamp);
        let pending = last_line.is_some() && !takes_line;
        let shorter = ending.consumed < reading.from && ending.problem.is_none();
        if let Some(line) = last_line.filter(|_| takes_line && !shorter) {
            self.fragments.begin(0);
            reading.format.read(&mut reading.columns, &line, ending.consumed, &mut self.fragments);
            counts.add(&self.fragments.end());
            self.deliver_finished(&reading, true);
        }
        if let Some((offset, error)) = ending.problem {
            self.summary.problems.push(Problem {
                file: source.file.to_string(),
                offset: Some(offset),
                kind: problem_kind(&error),
                error,
            });
        }
        let (consumed, hash) = match reading.known {
            Some(known) if ending.consumed <= reading.from => (reading.from, known),
            _ => (ending.consumed, hash),
        };
        self.count(source, &reading, consumed, &counts, pending);
        SourceOutcome {
            identity: reading.identity,
            stamp: source.stamp.clone(),
            member: source.member_name(),
            file: Arc::clone(reading.file),
            stream: Arc::clone(reading.stream),
            consumed,
            hash,
            read_from: (consumed > reading.from || reading.known.is_none()).then_some(reading.from),
            counts,
            pending,
        }
    }

    fn count(&mut self, source: &Source, reading: &Reading<'_>, consumed: u64, counts: &Counts, pending: bool) {
        let summary = &mut self.summary;
        summary.pending += u64::from(pending);
        summary.add_counts(reading.file, counts);
        match reading.known {
            Some(_) if consumed <= reading.from => summary.known += 1,
            known => {
                summary.read += 1;
                summary.grown += u64::from(known.is_some());
                summary.stored_bytes += source.stored_bytes;
                summary.bytes += consumed - reading.from;
            }
        }
    }

    /// Standard input, which can be opened only once: its beginning is looked at while it is read.
    pub(crate) fn read_stdin(
        &mut self,
        source: &Source,
        known: &dyn Known,
        summary: &mut Summary,
    ) -> Option<SourceOutcome> {
        let mut stdin = io::stdin().lock();
        let read = decoder(&mut stdin, u64::MAX).and_then(|mut stream| {
            let head = probe::head_of_stdin(&mut stream)?;
            let log = match probe::probe_head(source, &head) {
                Probed::Log(log) => *log,
                other => {
                    crate::pipeline::count_other(source, &other, summary);
                    return Ok(None);
                }
            };
            let stream_name = Arc::clone(&probe::streams(&[(source, &log)])[0]);
            let known = known.source(&log.identity);
            let task = TaskSource { source: source.clone(), log, stream: stream_name };
            let stream_of = self.stream_of(&task, known.as_ref());
            let mut reading = Reading::of(&task, &stream_of, known.as_ref());
            self.hasher.reset();
            self.fragments.begin(0);
            let ending = self.read_lines(&mut io::Cursor::new(head).chain(stream), &mut reading);
            Ok(Some(self.end_source(source, reading, ending)))
        });
        read.unwrap_or_else(|error| {
            let kind = problem_kind(&error);
            summary.problems.push(Problem { file: "-".to_owned(), offset: Some(0), kind, error });
            None
        })
    }
}

/// Files up to this size are read into memory at once, if they are not mapped; larger ones piece by piece.
const WHOLE_FILE_BYTES_MAX: u64 = 32 << 20;

impl SourceOutcome {
    fn known(&self) -> KnownSource {
        KnownSource { consumed: self.consumed, hash: self.hash, stream: Arc::clone(&self.stream) }
    }
}

impl<'a> Reading<'a> {
    fn of(task: &'a TaskSource, stream: &'a Arc<Stream>, known: Option<&KnownSource>) -> Reading<'a> {
        Reading {
            identity: task.log.identity,
            file: &task.source.file,
            stream,
            format: task.log.format,
            columns: task.log.columns.clone(),
            from: known.map_or(0, |known| known.consumed),
            known: known.map(|known| known.hash),
            changed: false,
            consumed: 0,
            overlong: false,
        }
    }
}

fn problem_kind(error: &io::Error) -> ProblemKind {
    match error.kind() {
        io::ErrorKind::FileTooLarge | io::ErrorKind::Unsupported => ProblemKind::Refused,
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => ProblemKind::Unreadable,
        _ => ProblemKind::Damaged,
    }
}

fn is_settled(stamp: &Stamp) -> bool {
    let mtime = UNIX_EPOCH + Duration::from_nanos(u64::try_from(stamp.mtime_ns).unwrap_or(0));
    SystemTime::now().duration_since(mtime).is_ok_and(|age| age >= SETTLED_AFTER)
}
