//! A worker: one core's buffers, its waiting parts, its sink.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rustc_hash::FxHashMap;
use smtplog::{
    Session, SessionId, SourceSpan, Stream, Timestamp,
    assemble::Assembler,
    certificate::Certificate,
    fragment::Fragment,
    reader::{Counts, Fragments},
};

use crate::{
    compression::WholeFrames,
    discover::{Source, Stamp},
    identity::{ContentHash, ContentHasher, Identity},
    lines::LineBlocks,
    pipeline::{Earlier, KnownSource, Options, Progress, Sink},
    place::UNKNOWN,
    probe::Log,
    reading::{Copies, Reading},
    stitch::{Fate, Group, IncompleteSession, Part, relieve},
    summary::{Notice, Summary},
    waiting::Waiting,
};

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

/// What became of one source. Copies of one content give one outcome each; the one with the most bytes consumed holds.
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
    /// Whether it was read again from its beginning because what was known of it has changed.
    pub replaces: bool,
    /// Rows kept and rejected by this run; by hour only those that were consumed.
    pub counts: Counts,
    /// Rows among `counts` that were not consumed, because their line has no end: 0 or 1. A later run that reads the
    /// rest of the line counts it again.
    pub provisional: u64,
    /// Those of them that were kept.
    pub provisional_kept: u64,
    /// The session of that row, if it was kept.
    pub cut_session: Option<SessionId>,
    /// Whether a last line without an end is still waiting, or the rest could not be read for a reason that may pass:
    /// the file is to be opened again even if it is unchanged.
    pub pending: bool,
}

/// Whether a row's line has its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    There,
    Missing,
}

/// One core's state.
pub(crate) struct Worker<S> {
    sink: S,
    assembler: Assembler,
    pub(crate) fragments: Fragments,
    pub(crate) lines: LineBlocks,
    pub(crate) hasher: ContentHasher,
    pub(crate) frames: Option<WholeFrames>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) waiting: Waiting,
    /// What all waiting parts may take, and this worker's share of it.
    waiting_bytes_max: usize,
    waiting_bytes_share: usize,
    open_ms: i64,
    newest: FxHashMap<Arc<Stream>, Timestamp>,
    pub(crate) summary: Summary,
    /// Whole sessions of one stream that the summary does not count yet: those of a file follow one another.
    counted: Option<(Arc<Stream>, u64)>,
    pub(crate) mapping: bool,
    stop: Arc<AtomicBool>,
}

impl<S: Sink> Worker<S> {
    pub(crate) fn new(options: &Options, waiting_total: &Arc<AtomicUsize>, progress: &Progress, sink: S) -> Worker<S> {
        Worker {
            sink,
            assembler: Assembler::default(),
            fragments: Fragments::default(),
            lines: LineBlocks::default(),
            hasher: ContentHasher::default(),
            frames: WholeFrames::new(),
            buffer: Vec::new(),
            waiting: Waiting::new(Arc::clone(waiting_total)),
            waiting_bytes_max: options.limits.waiting_bytes,
            open_ms: options.limits.open_ms,
            waiting_bytes_share: options.limits.waiting_bytes / options.threads.max(1),
            newest: FxHashMap::default(),
            summary: Summary::default(),
            counted: None,
            mapping: options.mapping,
            stop: Arc::clone(&progress.stop),
        }
    }

    /// Whether reading is to end here, because nobody wants the run any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn newest(&self) -> &FxHashMap<Arc<Stream>, Timestamp> {
        &self.newest
    }

    pub(crate) fn take_newest(&mut self) -> FxHashMap<Arc<Stream>, Timestamp> {
        std::mem::take(&mut self.newest)
    }

    pub(crate) fn finish(mut self) -> (S, Summary, Vec<Certificate>) {
        self.note_counted();
        self.summary.certificates_dropped += self.assembler.certificates_dropped();
        (self.sink, self.summary, self.assembler.into_certificates())
    }

    /// The same stream as this worker knows it.
    pub(crate) fn known_stream(&self, stream: Stream) -> Arc<Stream> {
        let known = self.newest.get_key_value(&stream).map(|(known, _)| Arc::clone(known));
        known.unwrap_or_else(|| Arc::new(stream))
    }

    /// Reads the sources of one identity: the first gives the content, the others only what they have more.
    pub(crate) fn read(
        &mut self,
        task: &Task,
        mut copies: Copies,
        earlier: &Earlier<'_>,
        progress: &Progress,
        outcomes: &mut Vec<SourceOutcome>,
    ) {
        for source in &task.sources {
            outcomes.extend(self.read_source(source, &mut copies, earlier));
            progress.bytes_done.fetch_add(source.source.stored_bytes, Ordering::Relaxed);
        }
        self.summary.pending += u64::from(copies.has_pending_line());
    }

    /// The stream that a source counts for: content known under another server counts once, under the name that is
    /// not `unknown`, else the one published (CONTRACT 1).
    pub(crate) fn stream_of(&mut self, task: &TaskSource, known: Option<&KnownSource>) -> Arc<Stream> {
        let Some(known) = known else { return Arc::clone(&task.stream) };
        if known.stream.server != task.stream.server && !is_unknown(&task.stream) {
            let text = format!(
                "named {} by its place, but the same content is known from server {}; it counts once, for that one",
                task.stream.server, known.stream.server
            );
            self.notice(&task.source, &text);
        }
        Arc::clone(&known.stream)
    }

    pub(crate) fn notice(&mut self, source: &Source, text: &str) {
        self.summary.notices.push(Notice { file: source.file.to_string(), text: text.to_owned() });
    }

    /// Sessions of which this worker read rows that more of their source can continue.
    pub(crate) fn open_here(&self, identity: &Identity) -> Vec<SessionId> {
        let parts = self.waiting.parts().iter();
        parts.filter(|part| part.identity == *identity && part.is_open()).map(|part| part.session).collect()
    }

    /// What the reader has finished.
    pub(crate) fn deliver_finished(&mut self, reading: &Reading<'_>, line_end: LineEnd) {
        let finished: Vec<Fragment> = self.fragments.drain_finished().collect();
        self.deliver_fragments(finished, reading, line_end);
    }

    /// Whole sessions go to the sink; the rest waits to be joined.
    pub(crate) fn deliver_fragments(&mut self, finished: Vec<Fragment>, reading: &Reading<'_>, line_end: LineEnd) {
        let Some(newest) = finished.iter().map(|fragment| fragment.span.last_time).max() else { return };
        let known = self.newest.entry(Arc::clone(reading.stream)).or_insert(newest);
        *known = newest.max(*known);
        for fragment in finished {
            if let Some(rows) = self.deliver_fragment(fragment, reading, line_end) {
                self.fragments.recycle(rows);
            }
        }
    }

    /// Returns the rows' buffer if it is free again.
    fn deliver_fragment(&mut self, fragment: Fragment, reading: &Reading<'_>, line_end: LineEnd) -> Option<Vec<u8>> {
        let is_continuation = || reading.open_before.contains(&fragment.session);
        if fragment.span.is_complete() && line_end == LineEnd::There && !is_continuation() {
            let rows = [fragment.stretch(0)];
            let mut session = self.assembler.session(reading.stream, fragment.session, &fragment.span, &rows);
            session.sources.push(SourceSpan {
                file: Arc::clone(reading.file),
                identity: reading.identity.0,
                offset: fragment.offset,
                length: fragment.end - fragment.offset,
            });
            self.whole(session);
            return Some(fragment.rows);
        }
        self.waiting.push(Part {
            stream: Arc::clone(reading.stream),
            session: fragment.session,
            span: fragment.span,
            identity: reading.identity,
            file: Arc::clone(reading.file),
            offset: fragment.offset,
            end: fragment.end,
            provisional: line_end == LineEnd::Missing,
            rows: fragment.rows,
        });
        None
    }

    #[inline]
    fn whole(&mut self, session: Session) {
        self.summary.sessions += 1;
        match &mut self.counted {
            Some((stream, sessions)) if Arc::ptr_eq(stream, &session.stream) => *sessions += 1,
            _ => {
                self.note_counted();
                self.counted = Some((Arc::clone(&session.stream), 1));
            }
        }
        self.sink.session(session);
    }

    fn note_counted(&mut self) {
        let Some((stream, sessions)) = self.counted.take() else { return };
        *self.summary.streams.entry((*stream).clone()).or_default() += sessions;
    }

    /// A group of joined parts; handed back if it stays open.
    pub(crate) fn deliver(&mut self, group: Group, fate: Fate) -> Option<IncompleteSession> {
        let first = group.parts.first()?;
        let sources = group.sources();
        let mut session = self.assembler.session(&first.stream, first.session, &group.span, &group.stretches(&sources));
        session.sources = sources;
        if group.is_whole() {
            self.whole(session);
            return None;
        }
        let incomplete = IncompleteSession { session, parts: group.parts };
        match fate {
            Fate::Open => return Some(incomplete),
            Fate::GivenUp => {}
            Fate::ClosedEarly => self.summary.closed_early += 1,
        }
        self.summary.incomplete += 1;
        self.sink.incomplete(incomplete);
        None
    }

    /// In the middle of a source that leaves far more open than it should: joins what is whole and closes the oldest.
    /// Between sources that is done over all workers, who together can join more; so here they may be half above.
    pub(crate) fn relieve_if_crowded(&mut self) {
        let is_crowded = self.waiting.total_bytes() > self.waiting_bytes_max.saturating_add(self.waiting_bytes_max / 2);
        if !is_crowded || self.waiting.bytes() <= self.waiting_bytes_share {
            return;
        }
        let (parts, newest, open_ms) = (self.waiting.take(), &self.newest, self.open_ms);
        let is_over = |group: &Group| group.is_over(group.stream().and_then(|stream| newest.get(stream)), open_ms);
        let relief = relieve(parts, self.waiting_bytes_share / 2, is_over);
        relief.kept.into_iter().for_each(|part| self.waiting.push(part));
        for (group, fate) in relief.given_out {
            self.deliver(group, fate);
        }
    }
}

fn is_unknown(stream: &Stream) -> bool {
    &*stream.server == UNKNOWN
}
