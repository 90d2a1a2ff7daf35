//! Stitching: sessions whose rows lie in several sources, blocks or runs (CONTRACT 2).
//!
//! Parts of one key are put in order of time and joined greedily: a part continues a group if it lies behind the
//! group's last part in the same source, or if the ranges of sequence numbers do not overlap and the times agree. What
//! comes out does not depend on the order in which the parts came.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use rustc_hash::FxHashMap;
use smtplog::{Session, SessionId, SourceSpan, Stream, Timestamp, fragment::Span};

use crate::{
    identity::Identity,
    pipeline::{Sink, lock},
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

/// What stitching leaves, beside what went to the sinks.
#[derive(Default)]
pub(crate) struct Stitched {
    pub(crate) open: Vec<IncompleteSession>,
    pub(crate) replaced: Vec<u64>,
}

type Key = (Arc<Stream>, SessionId);

/// Joins the parts of every key and hands out what is whole or given up.
pub(crate) fn stitch<S: Sink>(
    pool: &rayon::ThreadPool,
    workers: &[Mutex<Worker<S>>],
    parts: Vec<Part>,
    stored: Vec<StoredSession>,
    sources: &[SourceOutcome],
    newest_of: &(dyn Fn(&Stream) -> Option<Timestamp> + Sync),
    open_ms: i64,
) -> Stitched {
    let mut stitched = Stitched::default();
    let keys = by_key(parts, stored, sources, &mut stitched);
    let open = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    pool.broadcast(|context| {
        let mut worker = lock(&workers[context.index()]);
        while let Some((stream, parts)) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
            let newest = newest_of(stream);
            for group in groups(parts) {
                let is_over = newest.is_some_and(|newest| newest.0 > group.span.last_time.0.saturating_add(open_ms));
                lock(&open).extend(worker.deliver(stream, &group, is_over));
            }
        }
    });
    stitched.open = open.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    stitched.open.sort_by(|a, b| order(&a.session).cmp(&order(&b.session)));
    stitched
}

fn order(session: &Session) -> (&Stream, SessionId, Timestamp, u32) {
    (&session.stream, session.session, session.started, session.rows_hash)
}

/// New and stored parts by key, in order of key. Stored sessions are replaced, unless they were given up and nothing
/// new came for them.
fn by_key(
    parts: Vec<Part>,
    stored: Vec<StoredSession>,
    sources: &[SourceOutcome],
    stitched: &mut Stitched,
) -> Vec<(Arc<Stream>, Vec<Part>)> {
    let reread: FxHashMap<Identity, u64> =
        sources.iter().filter_map(|source| Some((source.identity, source.read_from?))).collect();
    let mut keys: FxHashMap<Key, Vec<Part>> = FxHashMap::default();
    for part in parts {
        keys.entry((Arc::clone(&part.stream), part.session)).or_default().push(part);
    }
    for session in stored {
        let Some(first) = session.parts.first() else { continue };
        let key = (Arc::clone(&first.stream), first.session);
        if session.given_up && !keys.contains_key(&key) {
            continue;
        }
        stitched.replaced.push(session.handle);
        // A last line without an end is read again with what was added to it.
        let is_reread =
            |part: &Part| part.provisional && reread.get(&part.identity).is_some_and(|&from| part.offset >= from);
        keys.entry(key).or_default().extend(session.parts.into_iter().filter(|part| !is_reread(part)));
    }
    let mut keys: Vec<(Key, Vec<Part>)> = keys.into_iter().collect();
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    keys.into_iter().map(|((stream, _), parts)| (stream, parts)).collect()
}

/// Parts that make one session.
pub(crate) struct Group<'a> {
    pub(crate) span: Span,
    pub(crate) parts: Vec<&'a Part>,
}

/// Joins the parts of one key.
fn groups(parts: &[Part]) -> Vec<Group<'_>> {
    let mut sorted: Vec<&Part> = parts.iter().collect();
    sorted.sort_by_key(|part| (part.span.first_time, part.span.first_sequence, part.identity, part.offset));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for part in sorted {
        let continued = groups.iter_mut().filter(|group| group.is_continued_by(part)).max_by_key(|group| {
            (group.span.last_sequence.checked_add(1) == Some(part.span.first_sequence), group.span.last_time)
        });
        match continued {
            Some(group) => {
                group.span = group.span.joined(&part.span);
                group.parts.push(part);
            }
            None => groups.push(Group { span: part.span, parts: vec![part] }),
        }
    }
    groups
}

impl Group<'_> {
    fn is_continued_by(&self, part: &Part) -> bool {
        let same_source =
            self.parts.last().is_some_and(|last| last.identity == part.identity && last.end <= part.offset);
        match same_source {
            true => self.span.is_continued_in_source(&part.span),
            false => self.span.is_continued_across_sources(&part.span),
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.span.is_complete() && !self.parts.iter().any(|part| part.provisional)
    }

    /// Where the rows lie: parts of one source that follow one another are one stretch.
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
