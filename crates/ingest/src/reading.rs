//! Reading one source: its stored bytes become lines, the lines fragments, and what is consumed is hashed.

use std::{
    io::{self, Read},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustc_hash::FxHashSet;
use smtplog::{
    SessionId, Stream,
    formats::{Columns, LogFormat},
    hours::{HOURS_MAX, HourCounts},
    reader::{Counts, Fragments},
    record::Rejection,
};

use crate::{
    compression::{Codec, WholeFrame, decoder},
    discover::{Source, Stamp},
    identity::{ContentHash, Identity},
    lines::Step,
    open::{Stored, with_stored},
    pipeline::{Earlier, KnownSource, Sink},
    probe::{Beginning, HEAD_BYTES, LONG_HEAD_BYTES, Log, Neighbours, Probed, beginning, probe_head},
    stitch::Part,
    summary::{ProblemKind, Summary},
    worker::{LineEnd, SourceOutcome, TaskSource, Worker},
};

/// A file untouched for this long holds its last line whole (CONTRACT 2).
const SETTLED_AFTER: Duration = Duration::from_secs(3_600);

/// Files up to this size are read into memory at once, if they are not mapped; larger ones piece by piece.
pub(crate) const WHOLE_FILE_BYTES_MAX: u64 = 32 << 20;

/// Bytes of standard input that lie in memory if it is a log with both directions, and so has to be read twice. The
/// service of a busy relay logs less in a day.
const STDIN_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a file in memory that are read at once: what is made of them fits into a core's cache beside them.
const PIECE_BYTES: usize = 64 << 10;

/// Least bytes of the buffer that a file is loaded into.
const LOAD_BYTES_MIN: usize = 1 << 20;

/// The source being read.
pub(crate) struct Reading<'a> {
    pub(crate) identity: Identity,
    pub(crate) file: &'a Arc<str>,
    pub(crate) stream: &'a Arc<Stream>,
    pub(crate) format: &'static dyn LogFormat,
    pub(crate) columns: Columns,
    /// As [`Log::counts_file`](crate::probe::Log::counts_file).
    pub(crate) counts_file: bool,
    /// Content before this offset was consumed by an earlier run and is only hashed.
    pub(crate) from: u64,
    pub(crate) known: Option<ContentHash>,
    /// Set once the content before `from` turned out to be another than known.
    pub(crate) changed: bool,
    /// Whether that is why it is read, again and from its beginning.
    pub(crate) replaces: bool,
    /// Sessions that are open before `from`, or in an earlier block. Another of the same key breaks them or, as equal
    /// sequence numbers are kept, continues them, even if it looks whole: it waits, too, and stitching decides.
    pub(crate) open_before: FxHashSet<SessionId>,
    /// End of the last line that was read.
    consumed: u64,
    /// Where an overlong line began whose end is still to come, and the hash of everything before it.
    overlong: Option<(u64, ContentHash)>,
}

/// A file's content in memory.
pub(crate) enum Content<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// A frame, decompressed as far as it is asked for.
    Frame(WholeFrame<'a>),
    /// What is stored, to be decompressed piece by piece.
    Compressed(&'a [u8]),
}

impl<'a> Content<'a> {
    /// The content that is read: all of it, if it can lie in memory.
    pub(crate) fn whole(self) -> Content<'a> {
        let Content::Frame(frame) = self else { return self };
        let file = frame.file();
        frame.whole().map_or(Content::Compressed(file), Content::Whole)
    }
}

/// How reading a source ended.
pub(crate) struct Ending {
    pub(crate) consumed: u64,
    /// Of the bytes consumed.
    pub(crate) hash: ContentHash,
    pub(crate) last_line: LastLine,
    pub(crate) problem: Option<(u64, io::Error)>,
    /// What was counted already.
    pub(crate) counts: Counts,
}

/// What follows the last line end.
pub(crate) enum LastLine {
    /// A line without its end; it may be empty.
    Text(Vec<u8>),
    /// So many bytes of a line that is too long.
    Overlong(u64),
    /// So many bytes of a line whose rest cannot be read.
    Lost(u64),
}

/// What the copies of one source, read one after the other, have given so far.
#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) known: Option<KnownSource>,
    /// The line without an end that was seen last.
    line: Option<SeenLine>,
}

struct SeenLine {
    offset: u64,
    length: u64,
    state: LineState,
    /// Whether it counts here as long as it is not read.
    counts: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineState {
    Read,
    /// Its end may still come.
    Pending,
    /// Its end lies behind damage, and comes only with another copy.
    Lost,
}

impl Copies {
    /// Nothing read yet in this run.
    pub(crate) fn of(known: Option<KnownSource>) -> Copies {
        Copies { known, line: None }
    }

    /// Whether a last line is left unread, and counts here.
    pub(crate) fn has_pending_line(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.counts && line.state != LineState::Read)
    }

    /// Whether a last line says nothing that another copy has not said.
    fn has_seen(&self, offset: u64, length: u64, state: LineState) -> bool {
        let is_news = |line: &SeenLine| line.length == length && state == LineState::Read && line.state != state;
        self.line.as_ref().is_some_and(|line| line.offset == offset && line.length >= length && !is_news(line))
    }

    fn is_waiting_at(&self, offset: u64) -> bool {
        self.line.as_ref().is_some_and(|line| line.offset == offset && line.state == LineState::Pending)
    }
}

impl<'a> Reading<'a> {
    pub(crate) fn of(task: &'a TaskSource, stream: &'a Arc<Stream>, known: Option<&KnownSource>) -> Reading<'a> {
        Reading {
            identity: task.log.identity,
            file: &task.source.file,
            stream,
            format: task.log.format,
            columns: task.log.columns.clone(),
            counts_file: task.log.counts_file,
            from: known.map_or(0, |known| known.consumed),
            known: known.map(|known| known.hash),
            changed: false,
            replaces: false,
            open_before: known.and_then(|known| known.cut_session).into_iter().collect(),
            consumed: 0,
            overlong: None,
        }
    }

    /// The same source as new, because what was known of it has changed.
    pub(crate) fn again(task: &'a TaskSource, stream: &'a Arc<Stream>) -> Reading<'a> {
        Reading { replaces: true, ..Reading::of(task, stream, None) }
    }

    /// A block of the same source, which is read by itself.
    pub(crate) fn of_block(&self, columns: Columns) -> Reading<'a> {
        Reading { columns, open_before: FxHashSet::default(), overlong: None, ..*self }
    }
}

impl<S: Sink> Worker<S> {
    /// Reads a source from where the known content ends. `None` if it could not be opened at all.
    pub(crate) fn read_source(
        &mut self,
        task: &TaskSource,
        copies: &mut Copies,
        earlier: &Earlier<'_>,
    ) -> Option<SourceOutcome> {
        self.read_by(task, copies, earlier, |worker, reading| worker.read_stored(&task.source, reading))
    }

    /// As [`Worker::read_source`], of a file that lies in memory.
    pub(crate) fn read_in_memory(
        &mut self,
        task: &TaskSource,
        content: &Content<'_>,
        copies: &mut Copies,
        earlier: &Earlier<'_>,
    ) -> Option<SourceOutcome> {
        self.read_by(task, copies, earlier, |worker, reading| {
            worker.begin_source();
            worker.read_content(content, reading).unwrap_or_else(|error| worker.unopened(error))
        })
    }

    fn read_by(
        &mut self,
        task: &TaskSource,
        copies: &mut Copies,
        earlier: &Earlier<'_>,
        read: impl Fn(&mut Worker<S>, &mut Reading<'_>) -> Ending,
    ) -> Option<SourceOutcome> {
        let stream = self.stream_of(task, copies.known.as_ref());
        let mut reading = Reading::of(task, &stream, copies.known.as_ref());
        if reading.from > 0 {
            reading.open_before.extend(earlier.open_in(&reading.identity));
            reading.open_before.extend(self.open_here(&reading.identity));
        }
        let mut ending = read(self, &mut reading);
        if reading.changed {
            self.note_change(&task.source, copies);
            reading = Reading::again(task, &stream);
            ending = read(self, &mut reading);
        }
        self.end_source(&task.source, reading, ending, copies)
    }

    pub(crate) fn note_change(&mut self, source: &Source, copies: &mut Copies) {
        self.notice(source, "what was read of it before has changed; it is read again as a new log");
        copies.line = None;
    }

    fn read_stored(&mut self, source: &Source, reading: &mut Reading<'_>) -> Ending {
        self.begin_source();
        let bytes = source.stored_bytes;
        let read = with_stored(source, self.mapping, |stored| match stored {
            Stored::Stream(stream) if source.member.is_some() || bytes > WHOLE_FILE_BYTES_MAX => {
                Ok(self.read_lines(&mut decoder(stream, bytes)?, reading))
            }
            stored => self.with_content(stored, |worker, content| worker.read_content(&content.whole(), reading))?,
        });
        read.unwrap_or_else(|error| self.unopened(error))
    }

    fn begin_source(&mut self) {
        self.hasher.reset();
        self.fragments.begin(0);
    }

    pub(crate) fn unopened(&mut self, error: io::Error) -> Ending {
        self.hasher.reset();
        let (hash, last_line) = (self.hasher.hash(), LastLine::Text(Vec::new()));
        Ending { consumed: 0, hash, last_line, problem: Some((0, error)), counts: Counts::default() }
    }

    /// Loads a file that is mapped, or small enough to lie in memory as a whole.
    pub(crate) fn with_content<T>(
        &mut self,
        stored: Stored<'_>,
        read: impl FnOnce(&mut Worker<S>, Content<'_>) -> T,
    ) -> io::Result<T> {
        let stream = match stored {
            Stored::Mapped(mapped) => return Ok(self.with_decompressed(mapped, read)),
            Stored::Stream(stream) => stream,
        };
        let mut file = std::mem::take(&mut self.buffer);
        let read = load(stream, &mut file).map(|bytes| self.with_decompressed(&file[..bytes], read));
        self.buffer = file;
        read
    }

    fn with_decompressed<T>(&mut self, stored: &[u8], read: impl FnOnce(&mut Worker<S>, Content<'_>) -> T) -> T {
        if Codec::of_magic(stored) == Codec::Plain {
            return read(self, Content::Whole(stored));
        }
        let mut frames = self.frames.take();
        let frame = frames.as_mut().and_then(|frames| frames.begin(stored));
        let read = read(self, frame.map_or(Content::Compressed(stored), Content::Frame));
        self.frames = frames;
        read
    }

    fn read_content(&mut self, content: &Content<'_>, reading: &mut Reading<'_>) -> io::Result<Ending> {
        match content {
            Content::Whole(content) => Ok(self.read_whole(content, reading)),
            // What is read is made whole before.
            Content::Frame(frame) => self.read_content(&Content::Compressed(frame.file()), reading),
            Content::Compressed(stored) => {
                decoder(*stored, stored.len() as u64).map(|mut stream| self.read_lines(&mut stream, reading))
            }
        }
    }

    /// Content that lies in memory as a whole. It is read in pieces, because a piece stays in the cache until its
    /// sessions are assembled, and so do the buffers of their rows.
    fn read_whole(&mut self, content: &[u8], reading: &mut Reading<'_>) -> Ending {
        let end = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut at = 0;
        while at < end && !reading.changed && !self.is_stopped() {
            let searched = end.min(at + PIECE_BYTES) - 1;
            let piece_end =
                content[searched..end].iter().position(|&byte| byte == b'\n').map_or(end, |n| searched + n + 1);
            self.block(&content[at..piece_end], at as u64, reading);
            at = piece_end;
        }
        let last_line = LastLine::Text(content[end..].to_vec());
        Ending { consumed: end as u64, hash: self.hasher.hash(), last_line, problem: None, counts: Counts::default() }
    }

    fn read_lines(&mut self, stream: &mut dyn Read, reading: &mut Reading<'_>) -> Ending {
        let mut lines = std::mem::take(&mut self.lines);
        lines.begin();
        let (read, last_line, problem) = loop {
            match lines.next(stream) {
                Ok(Step::Lines(offset, block)) => {
                    self.block(block, offset, reading);
                    self.relieve_if_crowded();
                }
                Ok(Step::Overlong(offset, part)) => {
                    reading.overlong.get_or_insert_with(|| (offset, self.hasher.hash()));
                    self.hasher.update(part);
                }
                Ok(Step::End(offset, rest)) => break (offset + rest.len() as u64, LastLine::Text(rest.to_vec()), None),
                Err(error) => {
                    let read = lines.position();
                    break (read, LastLine::Lost(0), Some((read, error)));
                }
            }
            if reading.changed || self.is_stopped() {
                break (0, LastLine::Lost(0), None);
            }
        };
        self.lines = lines;
        let (consumed, hash) = match reading.overlong.take() {
            Some(begin) => begin,
            None => (reading.consumed, self.hasher.hash()),
        };
        let length = read.saturating_sub(consumed);
        let last_line = match last_line {
            LastLine::Text(text) if text.len() as u64 == length => LastLine::Text(text),
            LastLine::Lost(_) => LastLine::Lost(length),
            _ => LastLine::Overlong(length),
        };
        Ending { consumed, hash, last_line, problem, counts: Counts::default() }
    }

    /// A block of whole lines that begins at `offset`.
    fn block(&mut self, block: &[u8], offset: u64, reading: &mut Reading<'_>) {
        let known = usize::try_from(reading.from.saturating_sub(offset)).map_or(block.len(), |n| n.min(block.len()));
        let (known, mut fresh) = block.split_at(known);
        let mut at = offset + known.len() as u64;
        if !known.is_empty() {
            self.hasher.update(known);
            read_metadata(reading.format, &mut reading.columns, known);
            reading.changed = at == reading.from && reading.known != Some(self.hasher.hash());
        }
        reading.consumed = at;
        let overlong = reading.overlong.take().filter(|(begin, _)| *begin >= reading.from);
        if reading.changed || fresh.is_empty() {
            return;
        }
        self.hasher.update(fresh);
        if let Some((begin, _)) = overlong {
            let rest = fresh.iter().position(|&byte| byte == b'\n').map_or(fresh.len(), |end| end + 1);
            (fresh, at) = (&fresh[rest..], at + rest as u64);
            self.overlong(reading, (begin, at - begin));
        }
        reading.format.read(&mut reading.columns, fresh, at, &mut self.fragments);
        reading.consumed = at + fresh.len() as u64;
        self.deliver_finished(reading, LineEnd::There);
    }

    /// A line that is too long to be looked at.
    pub(crate) fn overlong(&mut self, reading: &Reading<'_>, position: (u64, u64)) {
        if reading.counts_file {
            self.fragments.rejected(Rejection::TooLong, position);
        }
    }

    /// What is left when all lines are read.
    pub(crate) fn end_source(
        &mut self,
        source: &Source,
        mut reading: Reading<'_>,
        mut ending: Ending,
        copies: &mut Copies,
    ) -> Option<SourceOutcome> {
        ending.counts.add(&self.fragments.end());
        self.deliver_finished(&reading, LineEnd::There);
        let last_line = self.last_line(source, &mut reading, &mut ending, copies);
        let mut is_unread = false;
        if let Some((offset, error)) = ending.problem.take() {
            let kind = match reading.counts_file {
                true => self.summary.note_problem(source, offset, error),
                false => ProblemKind::of(&error),
            };
            is_unread = kind == ProblemKind::Unreadable;
        }
        let (consumed, hash) = match reading.known {
            Some(known) if ending.consumed <= reading.from => (reading.from, known),
            _ => (ending.consumed, ending.hash),
        };
        if is_unread && ending.consumed <= reading.from {
            return None;
        }
        self.count(source, &reading, consumed, &ending.counts);
        let read_from = (consumed > reading.from || reading.known.is_none()).then_some(reading.from);
        let cut_session = if last_line.kept > 0 { self.cut_session(&reading.identity) } else { None };
        match &mut copies.known {
            _ if read_from.is_some() => {
                copies.known = Some(KnownSource { consumed, hash, stream: Arc::clone(reading.stream), cut_session });
            }
            Some(known) => known.cut_session = cut_session.or(known.cut_session),
            None => {}
        }
        Some(SourceOutcome {
            identity: reading.identity,
            stamp: source.stamp.clone(),
            member: source.member_name(),
            file: Arc::clone(reading.file),
            stream: Arc::clone(reading.stream),
            consumed,
            hash,
            read_from,
            replaces: reading.replaces,
            counts: ending.counts,
            provisional: last_line.kept + last_line.rejected,
            provisional_kept: last_line.kept,
            cut_session,
            pending: is_unread || copies.is_waiting_at(consumed),
        })
    }

    /// A last line without its end is read if it is surely whole (CONTRACT 2). Returns what was read of it.
    fn last_line(
        &mut self,
        source: &Source,
        reading: &mut Reading<'_>,
        ending: &mut Ending,
        copies: &mut Copies,
    ) -> Counts {
        if copies.line.as_ref().is_some_and(|line| line.offset < ending.consumed) {
            copies.line = None; // It has come whole.
        }
        let offset = ending.consumed;
        let (length, is_row) = match &ending.last_line {
            LastLine::Text(text) => (text.len() as u64, text.first().is_some_and(|&byte| byte != b'#')),
            LastLine::Overlong(length) | LastLine::Lost(length) => (*length, *length > 0),
        };
        let is_whole = || source.takes_last_line() || !source.newest || is_settled(&source.stamp);
        let state = match &ending.last_line {
            LastLine::Lost(_) => LineState::Lost,
            _ if is_whole() => LineState::Read,
            _ => LineState::Pending,
        };
        if !is_row || offset < reading.from || copies.has_seen(offset, length, state) {
            return Counts::default();
        }
        copies.line = Some(SeenLine { offset, length, state, counts: reading.counts_file });
        if state != LineState::Read {
            return Counts::default();
        }
        self.fragments.begin(0);
        match &ending.last_line {
            LastLine::Text(text) => reading.format.read(&mut reading.columns, text, offset, &mut self.fragments),
            _ => self.overlong(reading, (offset, length)),
        }
        let mut counts = self.fragments.end();
        counts.hours = HourCounts::default(); // It counts for its hour once it is consumed, so that it counts once.
        self.deliver_finished(reading, LineEnd::Missing);
        ending.counts.add(&counts);
        counts
    }

    /// The session of the last line that was read without its end: it was the last to begin to wait.
    fn cut_session(&self, identity: &Identity) -> Option<SessionId> {
        let is_cut = |part: &&Part| part.provisional && part.identity == *identity;
        self.waiting.parts().iter().rev().find(is_cut).map(|part| part.session)
    }

    fn count(&mut self, source: &Source, reading: &Reading<'_>, consumed: u64, counts: &Counts) {
        if counts.hours.uncounted() > 0 {
            let rows = counts.hours.uncounted();
            let text = format!("it has rows of more than {HOURS_MAX} hours; {rows} of them are not in `coverage`");
            self.notice(source, &text);
        }
        let summary = &mut self.summary;
        summary.add_counts(reading.file, counts);
        match reading.known {
            _ if !reading.counts_file => {}
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
        earlier: &Earlier<'_>,
        summary: &mut Summary,
    ) -> Vec<(SourceOutcome, Copies)> {
        let mut stdin = io::stdin().lock();
        let read = decoder(&mut stdin, u64::MAX).and_then(|mut stream| {
            let (head, probed) = probe_stdin(source, &mut stream)?;
            let logs = match probed {
                Probed::Logs(logs) => logs,
                other => {
                    summary.count_other(source, &other);
                    return Ok(Vec::new());
                }
            };
            let rest: Box<dyn Read> = match head.error {
                Some(error) => Box::new(Failing(Some(error))),
                None => Box::new(stream),
            };
            let mut content = io::Cursor::new(head.bytes).chain(rest);
            Ok(match &logs[..] {
                [log] => self.read_stdin_log(source, log, &mut content, earlier).into_iter().collect(),
                logs => self.read_stdin_logs(source, logs, &mut content, earlier),
            })
        });
        read.unwrap_or_else(|error| {
            summary.note_problem(source, 0, error);
            Vec::new()
        })
    }

    /// Several logs in one stream: each is read by itself, so that the stream has to lie in memory.
    fn read_stdin_logs(
        &mut self,
        source: &Source,
        logs: &[Log],
        content: &mut dyn Read,
        earlier: &Earlier<'_>,
    ) -> Vec<(SourceOutcome, Copies)> {
        let mut bytes = Vec::new();
        let mut failure = content.take(STDIN_BYTES_MAX + 1).read_to_end(&mut bytes).err();
        if bytes.len() as u64 > STDIN_BYTES_MAX {
            bytes.truncate(STDIN_BYTES_MAX as usize);
            let text = "both directions and more than 256 MiB; store it as a file";
            failure = Some(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let read = |log| {
            let failure = failure.as_ref().map(|error| io::Error::new(error.kind(), error.to_string()));
            self.read_stdin_log(source, log, &mut bytes.as_slice().chain(Failing(failure)), earlier)
        };
        logs.iter().filter_map(read).collect()
    }

    fn read_stdin_log(
        &mut self,
        source: &Source,
        log: &Log,
        content: &mut dyn Read,
        earlier: &Earlier<'_>,
    ) -> Option<(SourceOutcome, Copies)> {
        let mut neighbours = Neighbours::default();
        neighbours.add(source, log);
        let stream_by_row = Arc::clone(&neighbours.streams(&[(source, log)])[0]);
        let mut copies = Copies::of(earlier.known.source(&log.identity));
        let task = TaskSource { source: source.clone(), log: log.clone(), stream: stream_by_row };
        let stream_name = self.stream_of(&task, copies.known.as_ref());
        let mut reading = Reading::of(&task, &stream_name, copies.known.as_ref());
        if reading.from > 0 {
            reading.open_before.extend(earlier.open_in(&reading.identity));
        }
        self.begin_source();
        let mut ending = self.read_lines(content, &mut reading);
        if reading.changed {
            let text = "begins as a log that is known and goes on as another; standard input is read only once";
            ending.problem = Some((0, io::Error::new(io::ErrorKind::Unsupported, text)));
            ending.consumed = 0;
        }
        let outcome = self.end_source(source, reading, ending, &mut copies);
        outcome.map(|outcome| (outcome, copies))
    }
}

/// Reads a stream to its end, into a buffer that only ever grows; returns the bytes read. A file may grow while it is
/// read; the next run reads what is beyond the limit.
fn load(stream: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut filled = 0;
    while filled < 2 * WHOLE_FILE_BYTES_MAX as usize {
        if filled == buffer.len() {
            buffer.resize((2 * filled).max(LOAD_BYTES_MIN), 0);
        }
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Takes note of what metadata lines in these whole lines say about the columns.
///
/// Most of the time is spent looking for line ends before a `#`, four thousand bytes at a time without a branch,
/// which the compiler turns into vector instructions: lines that were read before cost little beside their hash.
pub(crate) fn read_metadata(format: &'static dyn LogFormat, columns: &mut Columns, lines: &[u8]) {
    const CHUNK_BYTES: usize = 4 << 10;
    let mut ignored = Fragments::default();
    let mut at = 0;
    while at < lines.len() {
        let end = (at + CHUNK_BYTES).min(lines.len());
        let befores = lines[at.saturating_sub(1)..end].iter();
        let pairs = befores.zip(&lines[at.saturating_sub(1) + 1..end]);
        let has_metadata = pairs.fold(false, |found, (&before, &byte)| found | ((before == b'\n') & (byte == b'#')));
        if has_metadata || at == 0 {
            for begin in (at..end).filter(|&begin| lines[begin] == b'#' && (begin == 0 || lines[begin - 1] == b'\n')) {
                let length =
                    lines[begin..].iter().position(|&byte| byte == b'\n').map_or(lines.len() - begin, |n| n + 1);
                format.read(columns, &lines[begin..begin + length], 1, &mut ignored);
            }
        }
        at = end;
    }
}

/// Looks at the beginning of standard input, and further if it has to.
fn probe_stdin(source: &Source, stream: &mut dyn Read) -> io::Result<(Beginning, Probed)> {
    let mut head = beginning(stream, HEAD_BYTES)?;
    if let Some(probed) = probe_head(source, &head) {
        return Ok((head, probed));
    }
    let more = beginning(stream, LONG_HEAD_BYTES - HEAD_BYTES);
    match more {
        Ok(more) => {
            head.bytes.extend_from_slice(&more.bytes);
            (head.is_all, head.error) = (more.is_all, more.error);
        }
        Err(error) => (head.is_all, head.error) = (true, Some(error)),
    }
    match probe_head(source, &head) {
        Some(probed) => Ok((head, probed)),
        None => Err(io::Error::new(io::ErrorKind::Unsupported, "no row in the first 2 MiB; store it as a file")),
    }
}

/// A stream that has failed already.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

fn is_settled(stamp: &Stamp) -> bool {
    let mtime = UNIX_EPOCH + Duration::from_nanos(u64::try_from(stamp.mtime_ns).unwrap_or(0));
    SystemTime::now().duration_since(mtime).is_ok_and(|age| age >= SETTLED_AFTER)
}
