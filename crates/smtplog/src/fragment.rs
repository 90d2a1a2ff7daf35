//! Fragments: the rows of one session that lie together in one source.
//!
//! A session may cross files, blocks and nights. What is kept of it until it is whole is its rows in a compact form,
//! so that joining is appending and a joined session cannot differ from one read in one go (CONTRACT 2):
//! ```text
//! connector u16 | local u8 | remote u8 | offset u32 | time i64 | sequence u32 | data u32 | context u32 | event u8 | texts
//! ```
//! all little endian; the texts are data, context, connector, local, remote. Connector and endpoints are written where
//! they change, which is mostly once. The offset is where the row begins in its source, in decompressed bytes, of which
//! the upper half follows from where the fragment begins ([`Stretch`]). What does not depend on the rows before nor on
//! the place, from the time to the context, is in one piece, so that it can be hashed as one.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    RowMark, RowPlace, SessionId, Timestamp,
    record::{Event, Record},
};

/// The rows of one session from one source, and what decides whether others continue them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The session's counter.
    pub session: SessionId,
    /// The part of the session that the rows cover.
    pub span: Span,
    /// The source, by the number its reader was given.
    pub source: u32,
    /// Decompressed offset of the first row.
    pub offset: u64,
    /// Decompressed offset after the last row.
    pub end: u64,
    /// The rows in their compact form.
    pub rows: Vec<u8>,
    last_local: (u32, u8),
    last_remote: (u32, u8),
}

/// What of a session some rows cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sequence number of the first row.
    pub first_sequence: u32,
    /// Sequence number of the last row.
    pub last_sequence: u32,
    /// Time of the first row.
    pub first_time: Timestamp,
    /// Time of the last row.
    pub last_time: Timestamp,
    /// Rows.
    pub records: u32,
    /// Rows whose sequence number equals that of the row before.
    pub repeated: u32,
    /// Sequence numbers that no row has, between the first and the last.
    pub missing: u32,
    /// Whether a `+` row is among them.
    pub connected: bool,
    /// Whether all rows are `*`.
    pub only_information: bool,
    /// Whether the last row is `-`, or the fragment was cut because of its size: nothing may follow.
    pub ended: bool,
    /// Whether the `-` is there.
    pub disconnected: bool,
    /// How the rows hang together, if their log has no session ids.
    pub rebuilt: Option<Rebuilt>,
}

/// How rows of a log without session ids hang together (FORMATS 2.1): what a row says by itself of the rows around it,
/// and what the first and the last of several say.
///
/// Rows of one remote are told apart by comparing each with the one before, and by nothing else, so that it does not
/// matter where they were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The first row looks like the beginning of a connection.
    pub opens: bool,
    /// What follows the last row can look like a beginning and be none: a greeting after STARTTLS.
    pub reopens: bool,
    /// The last row ends the connection.
    pub closes: bool,
    /// Every row has a date and a time of its own, in a zone that is known.
    pub exact: bool,
}

impl Rebuilt {
    /// These rows followed by others.
    fn followed_by(self, next: Rebuilt) -> Rebuilt {
        Rebuilt { opens: self.opens, exact: self.exact && next.exact, ..next }
    }
}

/// Milliseconds without a row after which a connection of a log without session ids is over. Servers and clients wait
/// for ten minutes at most (RFC 5321 section 4.5.3.2), and times may be a little off.
pub const REBUILT_IDLE_MS: i64 = 15 * 60_000;

impl Span {
    fn of(record: &Record<'_>) -> Span {
        Span {
            first_sequence: record.sequence,
            last_sequence: record.sequence,
            first_time: record.time,
            last_time: record.time,
            records: 0,
            repeated: 0,
            missing: 0,
            connected: false,
            only_information: true,
            ended: false,
            disconnected: false,
            rebuilt: None,
        }
    }

    /// The span of one row of a log without session ids.
    pub(crate) fn of_rebuilt(record: &Record<'_>, row: Rebuilt) -> Span {
        Span { rebuilt: Some(row), ..Span::of(record) }
    }

    /// Whether the rows are a whole session: from sequence 0 to `-` without a gap, or from what begins a connection to
    /// what ends it, if they have no numbers.
    pub fn is_complete(&self) -> bool {
        match self.rebuilt {
            Some(rebuilt) => rebuilt.opens && self.disconnected,
            None => self.first_sequence == 0 && self.disconnected && self.missing == 0,
        }
    }

    /// Whether a row continues these rows within one source: its sequence is not lower, and it is not a second `+`
    /// nor a `+` after rows other than `*` (CONTRACT 2).
    pub fn is_continued_by_row(&self, sequence: u32, event: Event) -> bool {
        let begins_anew = event == Event::Connect && (self.connected || !self.only_information);
        sequence >= self.last_sequence && !begins_anew && !self.ended
    }

    /// Whether `next` continues these rows across a cut of the same source.
    pub fn is_continued_in_source(&self, next: &Span) -> bool {
        if self.rebuilt.is_some() || next.rebuilt.is_some() {
            return self.is_continued_by_rebuilt(next);
        }
        let begins_anew = next.connected && (self.connected || !self.only_information);
        next.first_sequence >= self.last_sequence && !begins_anew && !self.ended
    }

    /// Whether `next` continues these rows, where numbers do not say it: it begins no connection, and soon.
    fn is_continued_by_rebuilt(&self, next: &Span) -> bool {
        let (Some(own), Some(other)) = (self.rebuilt, next.rebuilt) else { return false };
        let idle_ms = next.first_time.0.saturating_sub(self.last_time.0);
        !self.ended && (own.reopens || !other.opens) && idle_ms.saturating_abs() <= REBUILT_IDLE_MS
    }

    /// Whether `next`, from another source, continues these rows: the ranges do not overlap and the times agree.
    pub fn is_continued_across_sources(&self, next: &Span) -> bool {
        let is_behind = next.rebuilt.is_some() || next.first_sequence > self.last_sequence;
        is_behind && next.first_time >= self.last_time && self.is_continued_in_source(next)
    }

    /// The span of these rows followed by those of `next`.
    pub fn joined(&self, next: &Span) -> Span {
        let gap = next.first_sequence.saturating_sub(self.last_sequence);
        let rebuilt = self.rebuilt.zip(next.rebuilt).map(|(rebuilt, next)| rebuilt.followed_by(next));
        Span {
            last_sequence: next.last_sequence,
            last_time: next.last_time,
            records: self.records.saturating_add(next.records),
            repeated: self.repeated + next.repeated + u32::from(gap == 0 && rebuilt.is_none()),
            missing: self.missing.saturating_add(next.missing).saturating_add(gap.saturating_sub(1)),
            connected: self.connected || next.connected,
            only_information: self.only_information && next.only_information,
            ended: next.ended,
            disconnected: next.disconnected,
            rebuilt,
            ..*self
        }
    }
}

/// Rows of a session that lie in one source, and where.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// The rows in their compact form.
    pub rows: &'a [u8],
    /// Decompressed offset of the first row.
    pub offset: u64,
    /// The source's place among those of the session.
    pub source: u32,
}

impl Stretch<'_> {
    /// Where one of the rows lies, if that was kept. Rows of one session that lie together are less than 4 GiB apart.
    pub(crate) fn place(&self, row: &Row<'_>) -> Option<RowPlace> {
        let behind = row.offset?.wrapping_sub(self.offset as u32);
        Some(RowPlace { source: self.source, offset: self.offset + u64::from(behind) })
    }
}

/// The offset of a row of which it was not kept. A row that has this number all the same is not found by it, and that
/// is all.
const OFFSET_UNKNOWN: u32 = u32::MAX;

/// One row of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The lower half of its decompressed offset, where that was kept; see [`Stretch`].
    offset: Option<u32>,
    /// When it was logged.
    pub time: Timestamp,
    /// Its number within the session.
    pub sequence: u32,
    /// What happened.
    pub event: Event,
    /// The connector, if this is a fragment's first row; else empty.
    pub connector: &'a [u8],
    /// The local endpoint, where it changed; else empty.
    pub local: &'a [u8],
    /// The remote endpoint, where it changed; else empty.
    pub remote: &'a [u8],
    /// The protocol line or a value, unquoted.
    pub data: &'a [u8],
    /// What the server says about it, unquoted.
    pub context: &'a [u8],
    /// All of the row that is the same wherever its session was cut: time, sequence, event, data and context.
    own: &'a [u8],
}

impl<'a> Row<'a> {
    /// The same row under another number, for logs whose rows have none.
    pub fn numbered(self, sequence: u32) -> Row<'a> {
        Row { sequence, ..self }
    }

    /// Hash of what the row says, whatever its time and number: XXH3 (64 bits, no seed) of the lengths of data and context
    /// as two 32-bit numbers, least byte first, the event's number, the data and the context, both without their
    /// quotes. Rows that say the same have the same hash, on any machine.
    #[inline]
    pub fn content_hash(&self) -> u64 {
        xxh3_64(&self.own[ROW_CONTENT..])
    }

    /// The row's number, the hash of its content, and its place in the stretch that it was read from.
    pub(crate) fn mark(&self, stretch: &Stretch<'_>) -> RowMark {
        RowMark { sequence: self.sequence, hash: self.content_hash(), place: stretch.place(self) }
    }

    /// The hash of this row and those before it, whose hash is `before`. Connector and endpoints are left out, because
    /// whether a row carries them depends on where its session was cut.
    #[inline]
    pub(crate) fn chain_hash(&self, before: u64) -> u64 {
        before.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ xxh3_64(self.own)
    }
}

/// Where in [`Row::own`] the content begins: after time and sequence.
const ROW_CONTENT: usize = 8 + 4;

/// Where in a row its offset stands, where what is hashed begins, and where the texts do.
const ROW_OFFSET: usize = 2 + 1 + 1;
const ROW_OWN: usize = ROW_OFFSET + 4;
const ROW_HEAD: usize = ROW_OWN + 8 + 4 + 4 + 4 + 1;

/// What is known of a row's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoints {
    /// They are those of the row before in the same session.
    AsBefore,
    /// They may be any.
    Any,
}

/// Endpoints longer than this are cut; the longest real one, IPv6 with zone and port, has under 70 bytes.
const ENDPOINT_BYTES_MAX: usize = 255;

impl Fragment {
    /// An empty fragment that `record` will be the first row of.
    pub(crate) fn begin(record: &Record<'_>, source: u32, offset: u64, rows: Vec<u8>) -> Fragment {
        Fragment {
            session: record.session,
            span: Span::of(record),
            source,
            offset,
            end: offset,
            rows,
            last_local: (0, 0),
            last_remote: (0, 0),
        }
    }

    /// A fragment read back from where [`Fragment::rows`] was stored.
    pub fn restore(session: SessionId, span: Span, source: u32, (offset, end): (u64, u64), rows: Vec<u8>) -> Fragment {
        Fragment { session, span, source, offset, end, rows, last_local: (0, 0), last_remote: (0, 0) }
    }

    /// The rows, which lie in the source that is at this place among those of the session.
    pub fn stretch(&self, source: u32) -> Stretch<'_> {
        Stretch { rows: &self.rows, offset: self.offset, source }
    }

    /// Appends a row at this decompressed offset and of this length.
    #[inline(always)]
    pub(crate) fn push(&mut self, record: &Record<'_>, endpoints: Endpoints, (offset, length): (u64, u64)) {
        let span = &mut self.span;
        if span.records > 0 {
            let gap = record.sequence - span.last_sequence;
            span.repeated += u32::from(gap == 0);
            span.missing = span.missing.saturating_add(gap.saturating_sub(1));
        }
        span.records += 1;
        span.last_sequence = record.sequence;
        span.last_time = record.time;
        match record.event {
            Event::Information => {}
            Event::Connect => (span.connected, span.only_information) = (true, false),
            Event::Disconnect => {
                (span.ended, span.disconnected, span.only_information) = (true, true, false);
            }
            Event::Sent | Event::Received => span.only_information = false,
        }
        self.end = offset + length;
        self.append(record, endpoints, offset as u32);
    }

    /// Appends a row of a log without session ids, whose number means nothing.
    pub(crate) fn push_rebuilt(&mut self, record: &Record<'_>, row: Rebuilt, position: (u64, u64)) {
        let before = self.span.rebuilt;
        self.push(record, Endpoints::Any, position);
        let span = &mut self.span;
        span.rebuilt = Some(before.map_or(row, |before| before.followed_by(row)));
        span.repeated = 0;
        (span.ended, span.disconnected) = (row.closes, row.closes);
    }

    #[inline(always)]
    fn append(&mut self, record: &Record<'_>, endpoints: Endpoints, offset: u32) {
        let start = self.rows.len();
        let mut head = [0; ROW_HEAD];
        head[4..8].copy_from_slice(&offset.to_le_bytes());
        head[8..16].copy_from_slice(&record.time.0.to_le_bytes());
        head[16..20].copy_from_slice(&record.sequence.to_le_bytes());
        head[20..24].copy_from_slice(&(record.data.raw.len() as u32).to_le_bytes());
        head[24..28].copy_from_slice(&(record.context.raw.len() as u32).to_le_bytes());
        head[28] = record.event as u8;
        self.rows.extend_from_slice(&head);
        let data_len = record.data.append_to(&mut self.rows);
        let context_len = record.context.append_to(&mut self.rows);
        if record.data.doubled || record.context.doubled {
            self.rows[start + 20..start + 24].copy_from_slice(&(data_len as u32).to_le_bytes());
            self.rows[start + 24..start + 28].copy_from_slice(&(context_len as u32).to_le_bytes());
        }
        if start == 0 {
            let connector = record.connector.bytes();
            let connector = &connector[..connector.len().min(usize::from(u16::MAX))];
            self.rows.extend_from_slice(connector);
            self.rows[0..2].copy_from_slice(&(connector.len() as u16).to_le_bytes());
        } else if endpoints == Endpoints::AsBefore {
            return;
        }
        if let Some(len) = append_changed(&mut self.rows, &mut self.last_local, record.local) {
            self.rows[start + 2] = len;
        }
        if let Some(len) = append_changed(&mut self.rows, &mut self.last_remote, record.remote) {
            self.rows[start + 3] = len;
        }
    }
}

/// Appends an endpoint if it is neither empty nor the one written last; returns the bytes appended.
#[inline]
fn append_changed(rows: &mut Vec<u8>, last: &mut (u32, u8), endpoint: &[u8]) -> Option<u8> {
    let (at, len) = (last.0 as usize, usize::from(last.1));
    let endpoint = &endpoint[..endpoint.len().min(ENDPOINT_BYTES_MAX)];
    if endpoint.is_empty() || rows.get(at..at + len) == Some(endpoint) {
        return None;
    }
    *last = (rows.len() as u32, endpoint.len() as u8);
    rows.extend_from_slice(endpoint);
    Some(endpoint.len() as u8)
}

/// Rows that were written when they had no offsets, in the form that they have now. Bytes that are no rows end them.
pub fn without_offsets(mut compact: &[u8]) -> Vec<u8> {
    const HEAD: usize = ROW_HEAD - 4;
    let mut rows = Vec::with_capacity(compact.len() + compact.len() / 8);
    while let Some((head, rest)) = compact.split_first_chunk::<HEAD>() {
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let endpoints = usize::from(head[2]) + usize::from(head[3]);
        let texts = word(16) + word(20) + usize::from(u16::from_le_bytes([head[0], head[1]])) + endpoints;
        let Some((texts, rest)) = rest.split_at_checked(texts) else { break };
        rows.extend_from_slice(&head[..ROW_OFFSET]);
        rows.extend_from_slice(&OFFSET_UNKNOWN.to_le_bytes());
        rows.extend_from_slice(&head[ROW_OFFSET..]);
        rows.extend_from_slice(texts);
        compact = rest;
    }
    rows
}

/// The rows in a fragment's compact form, in order. Bytes that are no rows end the iteration.
pub fn rows(mut compact: &[u8]) -> impl Iterator<Item = Row<'_>> {
    std::iter::from_fn(move || {
        let (row, rest) = first_row(compact)?;
        compact = rest;
        Some(row)
    })
}

#[inline]
fn first_row(compact: &[u8]) -> Option<(Row<'_>, &[u8])> {
    let (head, rest) = compact.split_first_chunk::<ROW_HEAD>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let time = i64::from_le_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]);
    let (data, rest) = rest.split_at_checked(word(20) as usize)?;
    let (context, rest) = rest.split_at_checked(word(24) as usize)?;
    let own = &compact[ROW_OWN..ROW_HEAD + data.len() + context.len()];
    let (connector, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[0], head[1]])))?;
    let (local, rest) = rest.split_at_checked(usize::from(head[2]))?;
    let (remote, rest) = rest.split_at_checked(usize::from(head[3]))?;
    let event = Event::from_byte(head[28])?;
    let offset = Some(word(ROW_OFFSET)).filter(|&offset| offset != OFFSET_UNKNOWN);
    let (time, sequence) = (Timestamp(time), word(16));
    Some((Row { offset, time, sequence, event, connector, local, remote, data, context, own }, rest))
}
