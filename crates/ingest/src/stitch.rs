//! Stitching: sessions whose rows lie in several sources, blocks or runs (CONTRACT 2).
//!
//! Parts of one source are put together first, in the order in which they lie there and by the rule by which the
//! reader itself continues or breaks a session: however a source was cut, the outcome is the same. What results is put
//! in order of time and joined across sources greedily, where the ranges of sequence numbers do not overlap and the
//! times agree. Nothing depends on the order in which the parts came.

use std::sync::{Arc, Mutex};

use rustc_hash::FxHashMap;
use smtplog::{
    Session, SessionId, SourceSpan, Stream, Timestamp,
    fragment::{REBUILT_IDLE_MS, Span, Stretch},
};

use crate::{
    identity::Identity,
    pipeline::{Sink, lock},
    waiting::part_bytes,
    worker::{SourceOutcome, Worker},
};

/// The rows of one session from one stretch of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The stream.
    pub stream: Arc<Stream>,
    /// The session's counter.
    pub session: SessionId,
    /// What the rows cover.
    pub span: Span,
    /// The source.
    pub identity: Identity,
    /// The source's name.
    pub file: Arc<str>,
    /// Decompressed offset of the first row.
    pub offset: u64,
    /// Decompressed offset after the last row.
    pub end: u64,
    /// Whether it is a last line without an end, which a longer line may replace.
    pub provisional: bool,
    /// The rows, as [`smtplog::fragment`] writes them.
    pub rows: Vec<u8>,
}

/// A session that is not whole, with the parts that later rows will join.
#[derive(Clone, Debug)]
pub struct IncompleteSession {
    /// The session as it stands.
    pub session: Session,
    /// Its parts in order.
    pub parts: Vec<Part>,
}

/// Parts that an earlier run left.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// The store's own number for it.
    pub handle: u64,
    /// Whether it was given up, and so is kept only for rows that still come.
    pub given_up: bool,
    /// Its parts.
    pub parts: Vec<Part>,
}

impl Part {
    /// Whether more of its source can belong to it.
    pub(crate) fn is_open(&self) -> bool {
        !self.span.ended
    }
}

/// What happens to a session that is not whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays open.
    Open,
    /// Its stream has gone on for so long that nothing more is expected.
    GivenUp,
    /// Too many wait.
    ClosedEarly,
}

/// Parts that make one session.
pub(crate) struct Group {
    pub(crate) span: Span,
    pub(crate) parts: Vec<Part>,
}

type Key = (Arc<Stream>, SessionId);

/// The parts of every key, in order of key.
pub(crate) type PartsByKey = Vec<(Key, Vec<Part>)>;

/// New and stored parts by key. Stored sessions are replaced, unless they were given up and nothing new came for
/// them; their handles are returned.
pub(crate) fn by_key(
    parts: Vec<Part>,
    stored: Vec<StoredSession>,
    sources: &[SourceOutcome],
) -> (PartsByKey, Vec<u64>) {
    let mut read_from: FxHashMap<Identity, u64> = FxHashMap::default();
    for source in sources {
        if let Some(from) = source.read_from {
            let least = read_from.entry(source.identity).or_insert(from);
            *least = from.min(*least);
        }
    }
    // A last line without an end is read again with what was added to it.
    let is_stale =
        |part: &Part| part.provisional && read_from.get(&part.identity).is_some_and(|&from| part.offset >= from);
    let mut replaced = Vec::new();
    let mut keys = keyed(parts);
    for session in stored {
        let Some(first) = session.parts.first() else { continue };
        let key = (Arc::clone(&first.stream), first.session);
        if session.given_up && !keys.contains_key(&key) {
            continue;
        }
        replaced.push(session.handle);
        keys.entry(key).or_default().extend(session.parts.into_iter().filter(|part| !is_stale(part)));
    }
    (sorted(keys), replaced)
}

fn keyed(parts: Vec<Part>) -> FxHashMap<Key, Vec<Part>> {
    let mut keys: FxHashMap<Key, Vec<Part>> = FxHashMap::default();
    for part in parts {
        keys.entry((Arc::clone(&part.stream), part.session)).or_default().push(part);
    }
    keys
}

fn sorted(keys: FxHashMap<Key, Vec<Part>>) -> PartsByKey {
    let mut keys: PartsByKey = keys.into_iter().collect();
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    keys
}

/// Joins the parts of every key, hands out what is whole or given up, and returns what stays open.
pub(crate) fn stitch<S: Sink>(
    pool: &rayon::ThreadPool,
    workers: &[Mutex<Worker<S>>],
    keys: PartsByKey,
    newest: &FxHashMap<Arc<Stream>, Timestamp>,
    open_ms: i64,
) -> Vec<IncompleteSession> {
    let open = Mutex::new(Vec::new());
    let keys = Mutex::new(keys.into_iter());
    pool.broadcast(|context| {
        let mut worker = lock(&workers[context.index()]);
        loop {
            let next = lock(&keys).next();
            let Some(((stream, _), parts)) = next else { return };
            let newest = newest.get(&stream);
            for group in groups(parts) {
                let fate = if group.is_over(newest, open_ms) { Fate::GivenUp } else { Fate::Open };
                lock(&open).extend(worker.deliver(group, fate));
            }
        }
    });
    let mut open = open.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    open.sort_by(|a: &IncompleteSession, b| order(&a.session).cmp(&order(&b.session)));
    open
}

fn order(session: &Session) -> (&Stream, SessionId, Timestamp, u32) {
    (&session.stream, session.session, session.started, session.rows_hash)
}

/// What is done if too many parts wait.
pub(crate) struct Relief {
    /// Whole sessions, and the oldest of the others.
    pub(crate) given_out: Vec<(Group, Fate)>,
    /// What goes on waiting.
    pub(crate) kept: Vec<Part>,
}

/// Joins what is whole; if the rest still takes more than `bytes_max`, the oldest sessions are closed. `is_over` says of
/// which nothing more is expected.
pub(crate) fn relieve(parts: Vec<Part>, bytes_max: usize, is_over: impl Fn(&Group) -> bool) -> Relief {
    let mut given_out = Vec::new();
    let mut rest = Vec::new();
    for group in sorted(keyed(parts)).into_iter().flat_map(|(_, parts)| groups(parts)) {
        if group.is_whole() {
            given_out.push((group, Fate::Open));
        } else {
            rest.push(group);
        }
    }
    // Youngest first, so that the oldest are those for which no room is left.
    rest.sort_by_key(|group| std::cmp::Reverse(group.span.last_time));
    let mut kept = Vec::new();
    let mut bytes = 0;
    for group in rest {
        bytes += group.parts.iter().map(part_bytes).sum::<usize>();
        if bytes <= bytes_max {
            kept.extend(group.parts);
        } else {
            let fate = if is_over(&group) { Fate::GivenUp } else { Fate::ClosedEarly };
            given_out.push((group, fate));
        }
    }
    Relief { given_out, kept }
}

/// Joins the parts of one key.
fn groups(parts: Vec<Part>) -> Vec<Group> {
    let mut in_source = joined_in_source(parts);
    in_source.sort_by_key(|group| {
        let first = group.parts.first().map(|part| (part.identity, part.offset));
        (group.span.first_time, group.span.first_sequence, first)
    });
    let mut groups: Vec<Group> = Vec::new();
    for next in in_source {
        let follows = |group: &Group| group.span.last_sequence.checked_add(1) == Some(next.span.first_sequence);
        let continued = groups
            .iter_mut()
            .filter(|group| group.is_continued_elsewhere_by(&next))
            .max_by_key(|group| (follows(group), group.span.last_time));
        match continued {
            Some(group) => group.append(next),
            None => groups.push(next),
        }
    }
    groups
}

/// Joins what follows one another in one source.
fn joined_in_source(mut parts: Vec<Part>) -> Vec<Group> {
    // Of a last line that was read twice the longer reading, and that with the line's end, comes last.
    parts.sort_by_key(|part| (part.identity, part.offset, part.end, !part.provisional));
    let mut groups: Vec<Group> = Vec::new();
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        let is_again = |next: &Part| next.identity == part.identity && next.offset == part.offset;
        if parts.peek().is_some_and(|next| is_again(next) && (part.provisional || part == *next)) {
            continue;
        }
        let next = Group { span: part.span, parts: vec![part] };
        match groups.last_mut() {
            Some(group) if group.is_continued_here_by(&next) => group.append(next),
            Some(group) => {
                group.break_at(&next);
                groups.push(next);
            }
            None => groups.push(next),
        }
    }
    groups
}

impl Group {
    fn is_continued_here_by(&self, next: &Group) -> bool {
        self.lies_before(next) && self.span.is_continued_in_source(&next.span)
    }

    fn lies_before(&self, next: &Group) -> bool {
        let is_before = |a: &Part, b: &Part| a.identity == b.identity && a.end <= b.offset;
        self.parts.last().zip(next.parts.first()).is_some_and(|(a, b)| is_before(a, b))
    }

    /// Rows behind `next` must not continue this session, not even in a run that no longer sees `next`. A line without
    /// its end decides nothing for good.
    fn break_at(&mut self, next: &Group) {
        let is_sure = next.parts.first().is_some_and(|part| !part.provisional);
        if is_sure && self.lies_before(next) {
            self.span.ended = true;
            if let Some(last) = self.parts.last_mut() {
                last.span.ended = true;
            }
        }
    }

    /// Within one source a broken session stays broken, whatever lies between.
    fn is_continued_elsewhere_by(&self, next: &Group) -> bool {
        let has_source_of = |part: &Part| next.parts.iter().any(|other| other.identity == part.identity);
        self.span.is_continued_across_sources(&next.span) && !self.parts.iter().any(has_source_of)
    }

    fn append(&mut self, next: Group) {
        self.span = self.span.joined(&next.span);
        self.parts.extend(next.parts);
    }

    /// Whether the stream's newest row lies so far behind the last one that nothing more is expected (CONTRACT 2).
    /// Without session ids nothing can continue a session after a shorter time.
    pub(crate) fn is_over(&self, newest: Option<&Timestamp>, open_ms: i64) -> bool {
        let open_ms = if self.span.rebuilt.is_some() { open_ms.min(REBUILT_IDLE_MS) } else { open_ms };
        newest.is_some_and(|newest| newest.0 > self.span.last_time.0.saturating_add(open_ms))
    }

    pub(crate) fn stream(&self) -> Option<&Arc<Stream>> {
        self.parts.first().map(|part| &part.stream)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.span.is_complete() && !self.parts.iter().any(|part| part.provisional)
    }

    /// The rows, each with the place of its source among `sources`.
    pub(crate) fn stretches(&self, sources: &[SourceSpan]) -> Vec<Stretch<'_>> {
        let place = |part: &Part| sources.iter().position(|source| source.identity == part.identity.0);
        let source = |part| place(part).and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX);
        let parts = self.parts.iter();
        parts.map(|part| Stretch { rows: &part.rows, offset: part.offset, source: source(part) }).collect()
    }

    /// Where the rows lie: parts of one source that follow one another are one span.
    pub(crate) fn sources(&self) -> Vec<SourceSpan> {
        let mut spans: Vec<SourceSpan> = Vec::new();
        for part in &self.parts {
            match spans.iter_mut().find(|span| span.identity == part.identity.0) {
                Some(span) => {
                    let end = (span.offset + span.length).max(part.end);
                    span.offset = span.offset.min(part.offset);
                    span.length = end - span.offset;
                }
                None => spans.push(SourceSpan {
                    file: Arc::clone(&part.file),
                    identity: part.identity.0,
                    offset: part.offset,
                    length: part.end - part.offset,
                }),
            }
        }
        spans
    }
}
