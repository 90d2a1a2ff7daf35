//! Large plain files: read by all workers at once, a block of whole lines each.
//!
//! A block needs to know two things of those before it: the columns in force where it begins, and the sessions left
//! open there, which a session of the same key may continue or break. Workers take blocks in order and pass both on in
//! turns: first what a quick look at the metadata lines says, later what reading has left open. So every block but the
//! one that is furthest behind waits for somebody who is at work, and nothing has to be read twice or taken back.

use std::{
    fs::File,
    io,
    ops::Range,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use memmap2::Mmap;
use rustc_hash::FxHashSet;
use smtplog::{
    SessionId,
    formats::Columns,
    fragment::Fragment,
    reader::{Counts, LINE_BYTES_MAX},
};

use crate::{
    compression::{Codec, MAGIC_BYTES},
    discover::Source,
    identity::{ContentHash, PIECE_BYTES, hash_of_pieces, hash_piece},
    open::{mapped, read_at, read_head},
    pipeline::{Run, Sink, lock},
    reading::{Copies, Ending, LastLine, Reading, read_metadata},
    worker::{LineEnd, SourceOutcome, Task, TaskSource, Worker},
};

/// Sessions remembered as open at the edges of blocks, before those that were joined meanwhile are forgotten.
const OPEN_AT_EDGES_MAX: usize = 1 << 20;

/// Bytes read at once to find a line's end.
const SEARCH_BYTES: u64 = 64 << 10;

/// Whether a source is read in blocks.
pub(crate) fn is_large(source: &Source, block_bytes: usize) -> bool {
    let may_be = source.member.is_none() && !source.is_stdin() && source.stored_bytes > block_bytes as u64;
    let head = || read_head(&mut File::open(&source.stamp.path)?, MAGIC_BYTES);
    may_be && head().is_ok_and(|head| Codec::of_magic(&head) == Codec::Plain)
}

/// A plain file's bytes.
enum Content {
    Mapped(Mmap),
    Read(File),
}

impl Content {
    fn open(source: &Source, mapping: bool) -> io::Result<(Content, u64)> {
        let file = File::open(&source.stamp.path)?;
        let bytes = file.metadata()?.len();
        Ok(match mapped(&file, source.newest, mapping) {
            Some(map) => {
                let bytes = map.len() as u64;
                (Content::Mapped(map), bytes)
            }
            None => (Content::Read(file), bytes),
        })
    }

    /// Some of the bytes. A file that has become shorter meanwhile is an error.
    fn bytes<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        match self {
            Content::Mapped(map) => Ok(&map[range.start as usize..range.end as usize]),
            Content::Read(file) => {
                buffer.resize((range.end - range.start) as usize, 0);
                let mut filled = 0;
                while filled < buffer.len() {
                    match read_at(file, &mut buffer[filled..], range.start + filled as u64) {
                        Ok(0) => {
                            return Err(io::Error::new(
                                io::ErrorKind::UnexpectedEof,
                                "became shorter while it was read",
                            ));
                        }
                        Ok(read) => filled += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(buffer)
            }
        }
    }

    /// The hash of the piece that begins at `begin`, of content that ends at `end`.
    fn hash_of_piece(&self, begin: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<u128> {
        self.bytes(begin..end.min(begin + PIECE_BYTES), buffer).map(hash_piece)
    }

    /// Where the first line begins at or behind `at`; `end` if none does before.
    fn line_begin(&self, at: u64, end: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
        let mut begin = at.saturating_sub(1);
        while begin < end && at > 0 {
            let bytes = self.bytes(begin..end.min(begin + SEARCH_BYTES), buffer)?;
            if let Some(found) = bytes.iter().position(|&byte| byte == b'\n') {
                return Ok(begin + found as u64 + 1);
            }
            begin += bytes.len() as u64;
        }
        Ok(if at == 0 { 0 } else { end })
    }

    /// Where the last complete line ends.
    fn lines_end(&self, bytes: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
        let mut end = bytes;
        while end > 0 {
            let begin = end.saturating_sub(SEARCH_BYTES);
            let searched = self.bytes(begin..end, buffer)?;
            if let Some(found) = searched.iter().rposition(|&byte| byte == b'\n') {
                return Ok(begin + found as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    }
}

/// Whole lines that one worker reads.
#[derive(Clone, Copy)]
struct Block {
    begin: u64,
    end: u64,
    /// Every line of the block begins before.
    last_begin_max: u64,
}

/// What is done with a stretch of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It was read before: only its hash and its metadata matter.
    Confirm,
    Read,
}

/// A stretch of whole lines.
struct Stretch<'a> {
    content: &'a Content,
    blocks: Vec<Block>,
    purpose: Purpose,
}

impl<'a> Stretch<'a> {
    fn new(
        content: &'a Content,
        range: Range<u64>,
        block_bytes: u64,
        purpose: Purpose,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Stretch<'a>> {
        let mut blocks = Vec::new();
        let mut begin = range.start;
        while begin < range.end {
            let last_begin_max = range.end.min(begin + block_bytes.max(1));
            let end = content.line_begin(last_begin_max, range.end, buffer)?;
            blocks.push(Block { begin, end, last_begin_max });
            begin = end;
        }
        Ok(Stretch { content, blocks, purpose })
    }

    /// Where the pieces begin that the worker of a block hashes: each belongs to the block that its beginning lies in,
    /// and the one that the stretch begins in to the first.
    fn pieces_of(&self, number: usize) -> impl Iterator<Item = u64> {
        let block = self.blocks[number];
        let first = match number {
            0 => block.begin / PIECE_BYTES,
            _ => block.begin.div_ceil(PIECE_BYTES),
        };
        (first..).map(|piece| piece * PIECE_BYTES).take_while(move |&begin| begin < block.end)
    }

    fn hash(&self, number: usize, buffer: &mut Vec<u8>) -> io::Result<Vec<(u64, u128)>> {
        let end = self.blocks.last().map_or(0, |block| block.end);
        let hash = |begin| Ok((begin, self.content.hash_of_piece(begin, end, buffer)?));
        self.pieces_of(number).map(hash).collect()
    }

    /// A block's lines. Only the last can be so long that it is not worth its memory, because all begin within the
    /// block's nominal size.
    fn lines<'b>(&'b self, number: usize, buffer: &'b mut Vec<u8>) -> io::Result<Lines<'b>> {
        let block = self.blocks[number];
        let loaded_end = block.end.min(block.last_begin_max + LINE_BYTES_MAX as u64 + 2);
        let bytes = self.content.bytes(block.begin..loaded_end, buffer)?;
        if loaded_end == block.end {
            return Ok(Lines { whole: bytes, overlong: None });
        }
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let overlong = block.begin + whole as u64;
        Ok(Lines { whole: &bytes[..whole], overlong: Some((overlong, block.end - overlong)) })
    }
}

/// What blocks pass on to those behind them, in their order.
struct Passed {
    /// Blocks of which the metadata is known.
    scanned: usize,
    /// The columns behind them.
    columns: Columns,
    /// Blocks that were read.
    read: usize,
    /// Sessions that they left open.
    open: FxHashSet<SessionId>,
    counts: Counts,
    /// Hashes of pieces, by their beginning.
    pieces: Vec<(u64, u128)>,
    /// Where reading failed: nothing from there on counts.
    failed: Option<(u64, io::Error)>,
    /// A worker has panicked and will not take its turn.
    abandoned: bool,
}

struct Turns {
    passed: Mutex<Passed>,
    moved: Condvar,
}

/// Lets the others go on if this worker does not come to the end of its block.
struct AtWork<'a>(&'a Turns);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.passed).abandoned = true;
            self.0.moved.notify_all();
        }
    }
}

impl Turns {
    fn new(columns: Columns, open: FxHashSet<SessionId>) -> Turns {
        let passed = Passed {
            scanned: 0,
            columns,
            read: 0,
            open,
            counts: Counts::default(),
            pieces: Vec::new(),
            failed: None,
            abandoned: false,
        };
        Turns { passed: Mutex::new(passed), moved: Condvar::new() }
    }

    fn wait(&self, is_turn: impl Fn(&Passed) -> bool) -> MutexGuard<'_, Passed> {
        let waits = |passed: &mut Passed| !is_turn(passed) && !passed.abandoned;
        self.moved.wait_while(lock(&self.passed), waits).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The columns where a block begins; `change` is what its metadata makes of them.
    fn columns_at(&self, number: usize, change: Option<Columns>) -> Columns {
        let mut passed = self.wait(|passed| passed.scanned == number);
        let columns = passed.columns.clone();
        if let Some(change) = change {
            passed.columns.change(&change);
        }
        passed.scanned += 1;
        self.moved.notify_all();
        columns
    }

    /// Passes on what a block gave; whether its sessions may be handed out. `reading` learns which of them have to
    /// wait because an earlier block left one of the same key open.
    fn has_read(
        &self,
        number: usize,
        begin: u64,
        pieces: io::Result<Vec<(u64, u128)>>,
        counts: &Counts,
        finished: &[Fragment],
        reading: &mut Reading<'_>,
    ) -> bool {
        let mut passed = self.wait(|passed| passed.read == number);
        passed.read += 1;
        self.moved.notify_all();
        let pieces = match pieces {
            Ok(pieces) => pieces,
            Err(error) => {
                passed.failed.get_or_insert((begin, error));
                return false;
            }
        };
        if passed.failed.is_some() || passed.abandoned {
            return false;
        }
        passed.pieces.extend(pieces);
        passed.counts.add(counts);
        let sessions = finished.iter().map(|fragment| fragment.session);
        reading.open_before = sessions.filter(|session| passed.open.contains(session)).collect();
        passed.open.extend(finished.iter().filter(|fragment| !fragment.span.ended).map(|fragment| fragment.session));
        true
    }
}

impl<S: Sink> Run<'_, S> {
    /// Reads the sources of one identity of which at least one is large.
    pub(crate) fn read_large_task(&self, task: &Task, mut copies: Copies) -> Vec<SourceOutcome> {
        let mut outcomes = Vec::new();
        for source in &task.sources {
            let outcome = match is_large(&source.source, self.options.limits.block_bytes) {
                true => self.read_large(source, &mut copies),
                false => {
                    let outcome = lock(&self.workers[0]).read_source(source, &mut copies, &self.earlier);
                    self.progress.bytes_done.fetch_add(source.source.stored_bytes, Ordering::Relaxed);
                    outcome
                }
            };
            outcomes.extend(outcome);
        }
        lock(&self.workers[0]).summary.pending += u64::from(copies.has_pending_line());
        outcomes
    }

    fn read_large(&self, task: &TaskSource, copies: &mut Copies) -> Option<SourceOutcome> {
        let stream = lock(&self.workers[0]).stream_of(task, copies.known.as_ref());
        let mut reading = Reading::of(task, &stream, copies.known.as_ref());
        let mut ending = self.read_content(&task.source, &mut reading);
        if reading.changed {
            lock(&self.workers[0]).note_change(&task.source, copies);
            reading = Reading::again(task, &stream);
            ending = self.read_content(&task.source, &mut reading);
        }
        let mut worker = lock(&self.workers[0]);
        let ending = ending.unwrap_or_else(|error| worker.unopened(error));
        worker.end_source(&task.source, reading, ending, copies)
    }

    fn read_content(&self, source: &Source, reading: &mut Reading<'_>) -> io::Result<Ending> {
        let (content, bytes) = Content::open(source, self.options.mapping)?;
        let mut buffer = Vec::new();
        let block_bytes = self.options.limits.block_bytes as u64;
        let end = content.lines_end(bytes, &mut buffer)?;
        let mut pieces = Vec::new();
        if reading.from > 0 && reading.from <= end {
            let known = Stretch::new(&content, 0..reading.from, block_bytes, Purpose::Confirm, &mut buffer)?;
            let passed = self.walk(&known, reading);
            if let Some((_, error)) = passed.failed {
                return Err(error);
            }
            reading.changed = reading.known != Some(hash_of(&passed.pieces));
            reading.columns = passed.columns;
            pieces = passed.pieces;
            pieces.retain(|(begin, _)| begin + PIECE_BYTES <= reading.from);
            reading.open_before.extend(self.earlier.open_in(&reading.identity));
            reading.open_before.extend(self.open_here(reading));
        }
        if reading.changed || reading.from > end {
            // Of an older copy nothing is new.
            let last_line = LastLine::Text(Vec::new());
            let (consumed, hash) = (end.min(reading.from), ContentHash(0));
            return Ok(Ending { consumed, hash, last_line, problem: None, counts: Counts::default() });
        }
        let fresh = Stretch::new(&content, reading.from..end, block_bytes, Purpose::Read, &mut buffer)?;
        let passed = self.walk(&fresh, reading);
        self.progress.bytes_done.fetch_add(source.stored_bytes.saturating_sub(end - reading.from), Ordering::Relaxed);
        pieces.extend(passed.pieces);
        let consumed = passed.failed.as_ref().map_or(end, |(at, _)| *at);
        if consumed < end {
            pieces.retain(|(begin, _)| begin + PIECE_BYTES <= consumed);
            let begin = consumed / PIECE_BYTES * PIECE_BYTES;
            if begin < consumed {
                pieces.push((begin, content.hash_of_piece(begin, consumed, &mut buffer)?));
            }
        }
        let last_line = match bytes - end {
            _ if passed.failed.is_some() => LastLine::Lost(bytes - consumed),
            length if length > LINE_BYTES_MAX as u64 + 1 => LastLine::Overlong(length),
            _ => LastLine::Text(content.bytes(end..bytes, &mut buffer)?.to_vec()),
        };
        reading.columns = passed.columns;
        Ok(Ending { consumed, hash: hash_of(&pieces), last_line, problem: passed.failed, counts: passed.counts })
    }

    /// All workers take one block after the other.
    fn walk(&self, stretch: &Stretch<'_>, reading: &Reading<'_>) -> Passed {
        let turns = Turns::new(reading.columns.clone(), reading.open_before.clone());
        let next = AtomicUsize::new(0);
        let open_max = AtomicUsize::new(OPEN_AT_EDGES_MAX);
        let is_crowded = || self.is_crowded() || lock(&turns.passed).open.len() > open_max.load(Ordering::Relaxed);
        while next.load(Ordering::Relaxed) < stretch.blocks.len() && !self.progress.is_stopped() {
            self.pool.broadcast(|context| {
                let mut worker = lock(&self.workers[context.index()]);
                let _at_work = AtWork(&turns);
                while !is_crowded() && !self.progress.is_stopped() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= stretch.blocks.len() {
                        return;
                    }
                    worker.walk_block(stretch, number, reading, &turns);
                    let block = stretch.blocks[number];
                    if stretch.purpose == Purpose::Read {
                        self.progress.bytes_done.fetch_add(block.end - block.begin, Ordering::Relaxed);
                    }
                }
            });
            if is_crowded() {
                self.relieve();
                let open = self.open_here(reading);
                open_max.store(OPEN_AT_EDGES_MAX.max(2 * open.len()), Ordering::Relaxed);
                lock(&turns.passed).open = open;
            }
        }
        turns.passed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sessions of a source that are open among the parts of all workers.
    fn open_here(&self, reading: &Reading<'_>) -> FxHashSet<SessionId> {
        self.workers.iter().flat_map(|worker| lock(worker).open_here(&reading.identity)).collect()
    }
}

impl<S: Sink> Worker<S> {
    /// One block: its hashes, its metadata, its rows.
    fn walk_block(&mut self, stretch: &Stretch<'_>, number: usize, reading: &Reading<'_>, turns: &Turns) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let pieces = stretch.hash(number, &mut buffer);
        let lines = pieces.and_then(|pieces| Ok((pieces, stretch.lines(number, &mut buffer)?)));
        let change = lines.as_ref().ok().and_then(|(_, lines)| {
            let mut columns = Columns::NONE;
            read_metadata(reading.format, &mut columns, lines.whole);
            (columns != Columns::NONE).then_some(columns)
        });
        let mut reading = reading.of_block(turns.columns_at(number, change));
        let mut counts = Counts::default();
        let mut finished: Vec<Fragment> = Vec::new();
        if let Ok((_, lines)) = &lines
            && stretch.purpose == Purpose::Read
        {
            let begin = stretch.blocks[number].begin;
            self.fragments.begin(0);
            reading.format.read(&mut reading.columns, lines.whole, begin, &mut self.fragments);
            if let Some(position) = lines.overlong {
                self.overlong(&reading, position);
            }
            counts = self.fragments.end();
            finished.extend(self.fragments.drain_finished());
        }
        let pieces = lines.map(|(pieces, _)| pieces);
        self.buffer = buffer;
        if turns.has_read(number, stretch.blocks[number].begin, pieces, &counts, &finished, &mut reading) {
            self.deliver_fragments(finished, &reading, LineEnd::There);
        }
    }
}

/// A block's bytes.
struct Lines<'b> {
    whole: &'b [u8],
    /// Where a last line lies that is too long, and how long it is.
    overlong: Option<(u64, u64)>,
}

fn hash_of(pieces: &[(u64, u128)]) -> ContentHash {
    let mut pieces = pieces.to_vec();
    pieces.sort_unstable();
    hash_of_pieces(&pieces.iter().map(|(_, hash)| *hash).collect::<Vec<_>>())
}
