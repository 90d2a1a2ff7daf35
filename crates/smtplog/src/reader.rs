//! From records to fragments: rows of interleaved sessions are put together, one source at a time.
//!
//! A format's reader hands every record of a block to [`Fragments`], which keeps one [`Fragment`] per open session
//! and gives out those that are finished. What is still open at the end of the source is given out as it is; joining
//! across sources is the caller's work.

use rustc_hash::FxHashMap;

use crate::{
    SessionId,
    fragment::{Endpoints, Fragment, Rebuilt, Span},
    hours::{HourCounter, HourCounts},
    record::{Record, Rejection},
};

/// Bytes of a line before it is rejected. The longest row that Exchange writes is a command line of some 32 KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Sessions open at once in one source. A busy front end shows about 4,000; past this all are given out as they are
/// and joined later like those of different files, so damaged logs cannot fill memory.
pub const OPEN_SESSIONS_MAX: usize = 65_536;

/// Rows of one session before it is cut. A peer that holds a connection for days sends some 10,000.
pub const SESSION_ROWS_MAX: u32 = 100_000;

/// Bytes of one session's rows before it is cut; with [`SESSION_ROWS_MAX`] the bound on what one session costs.
pub const SESSION_BYTES_MAX: usize = 16 << 20;

/// Positions of rejected lines that are remembered for the report; all are counted.
pub const REJECTED_POSITIONS_MAX: usize = 20;

/// Row buffers kept for reuse.
const SPARE_BUFFERS_MAX: usize = 4_096;

/// Buffers larger than this are not kept for reuse.
const SPARE_BUFFER_BYTES_MAX: usize = 64 << 10;

/// A line that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Decompressed offset of its first byte.
    pub offset: u64,
    /// What is wrong with it.
    pub rejection: Rejection,
}

/// What was read of a source. Rows read = rows kept + rows rejected, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that became part of a session.
    pub kept: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// The first [`REJECTED_POSITIONS_MAX`] of them.
    pub positions: Vec<Rejected>,
    /// Rows kept and rejected, by hour.
    pub hours: HourCounts,
    /// Sessions cut because they were too large.
    pub sessions_cut: u64,
    /// Times that [`OPEN_SESSIONS_MAX`] was reached.
    pub open_sessions_flushed: u64,
}

impl Counts {
    /// Adds the counts of what was read after these.
    pub fn add(&mut self, other: &Counts) {
        self.kept += other.kept;
        self.rejected += other.rejected;
        let room = REJECTED_POSITIONS_MAX - self.positions.len().min(REJECTED_POSITIONS_MAX);
        self.positions.extend(other.positions.iter().take(room));
        self.hours.add(&other.hours);
        self.sessions_cut += other.sessions_cut;
        self.open_sessions_flushed += other.open_sessions_flushed;
    }
}

/// The open sessions of one source, or of one block of it.
#[derive(Default)]
pub struct Fragments {
    source: u32,
    open: FxHashMap<u64, u32>,
    slots: Vec<Option<Fragment>>,
    free: Vec<u32>,
    /// Session and slot of the row before: rows of a session often follow one another.
    recent: Option<(SessionId, u32)>,
    finished: Vec<Fragment>,
    spare: Vec<Vec<u8>>,
    /// What is kept, and all of it by hour; the other counts stand in `counts`.
    hours: HourCounter,
    counts: Counts,
}

impl Fragments {
    /// Begins a source, or a block of one, under the number that its fragments shall carry.
    pub fn begin(&mut self, source: u32) {
        self.source = source;
        self.counts = Counts::default();
        self.hours = HourCounter::default();
    }

    /// Takes a row that lies at `(offset, length)`.
    pub fn record(&mut self, record: &Record<'_>, position: (u64, u64)) {
        self.row(record, Endpoints::Any, position);
    }

    /// As [`Fragments::record`], for a reader that knows how the row's endpoints stand to those of the row that it
    /// handed over before. Inlined by force like the reader's own helpers: a record that is handed over in memory is
    /// written in small pieces and loaded in large ones.
    #[inline(always)]
    pub(crate) fn row(&mut self, record: &Record<'_>, endpoints: Endpoints, (offset, length): (u64, u64)) {
        self.hours.kept(record.time);
        let slot = self.slot(record, offset);
        let Some(fragment) = &mut self.slots[slot as usize] else { return };
        fragment.push(record, endpoints, (offset, length));
        if fragment.is_ended_or_cut(&mut self.counts) {
            self.finish(record.session, slot);
        }
    }

    /// Takes a row of a log without session ids: `record.session` stands for the remote, and `row` says how the row
    /// stands to those before and behind it.
    pub(crate) fn rebuilt_row(&mut self, record: &Record<'_>, row: Rebuilt, (offset, length): (u64, u64)) {
        self.hours.kept(record.time);
        let next = Span::of_rebuilt(record, row);
        let is_continued = |fragment: &Fragment| fragment.span.is_continued_in_source(&next);
        let slot = match self.open.get(&record.session.0).copied() {
            Some(slot) if self.slots[slot as usize].as_ref().is_some_and(is_continued) => slot,
            Some(broken) => {
                self.break_off(record.session, broken);
                self.open_slot(record, offset)
            }
            None => self.open_slot(record, offset),
        };
        let Some(fragment) = &mut self.slots[slot as usize] else { return };
        fragment.push_rebuilt(record, row, (offset, length));
        if fragment.is_ended_or_cut(&mut self.counts) {
            self.finish(record.session, slot);
        }
    }

    /// Counts a line that is no record.
    pub fn rejected(&mut self, rejection: Rejection, (offset, _): (u64, u64)) {
        self.counts.rejected += 1;
        self.hours.rejected();
        if self.counts.positions.len() < REJECTED_POSITIONS_MAX {
            self.counts.positions.push(Rejected { offset, rejection });
        }
    }

    /// Fragments that are finished since the last call.
    pub fn drain_finished(&mut self) -> std::vec::Drain<'_, Fragment> {
        self.finished.drain(..)
    }

    /// Takes a fragment's buffer back for reuse.
    pub fn recycle(&mut self, mut rows: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS_MAX && rows.capacity() <= SPARE_BUFFER_BYTES_MAX {
            rows.clear();
            self.spare.push(rows);
        }
    }

    /// Ends the source: everything still open is finished as it is. Returns what was counted since `begin`.
    pub fn end(&mut self) -> Counts {
        self.flush_open();
        (self.counts.kept, self.counts.hours) = std::mem::take(&mut self.hours).end();
        std::mem::take(&mut self.counts)
    }

    fn flush_open(&mut self) {
        // In order of their first row, so that what comes out does not depend on the hash table.
        let mut open: Vec<Fragment> = self.slots.drain(..).flatten().collect();
        open.sort_unstable_by_key(|fragment| fragment.offset);
        self.finished.append(&mut open);
        self.open.clear();
        self.free.clear();
        self.recent = None;
    }

    /// The slot of the fragment that the row continues, or of a new one.
    #[inline(always)]
    fn slot(&mut self, record: &Record<'_>, offset: u64) -> u32 {
        let known = match self.recent {
            Some((session, slot)) if session == record.session => Some(slot),
            _ => self.open.get(&record.session.0).copied(),
        };
        if let Some(slot) = known {
            let continued = self.slots[slot as usize]
                .as_ref()
                .is_some_and(|fragment| fragment.span.is_continued_by_row(record.sequence, record.event));
            if continued {
                self.recent = Some((record.session, slot));
                return slot;
            }
            self.break_off(record.session, slot);
        }
        self.open_slot(record, offset)
    }

    /// Broken is broken: rows further behind must not continue it, wherever the source is cut.
    #[inline(always)]
    fn break_off(&mut self, session: SessionId, slot: u32) {
        if let Some(broken) = &mut self.slots[slot as usize] {
            broken.span.ended = true;
        }
        self.finish(session, slot);
    }

    #[inline(never)]
    fn open_slot(&mut self, record: &Record<'_>, offset: u64) -> u32 {
        if self.open.len() >= OPEN_SESSIONS_MAX {
            self.flush_open();
            self.counts.open_sessions_flushed += 1;
        }
        let rows = self.spare.pop().unwrap_or_default();
        let fragment = Some(Fragment::begin(record, self.source, offset, rows));
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = fragment;
                slot
            }
            None => {
                self.slots.push(fragment);
                self.slots.len() as u32 - 1
            }
        };
        self.open.insert(record.session.0, slot);
        self.recent = Some((record.session, slot));
        slot
    }

    #[inline(never)]
    fn finish(&mut self, session: SessionId, slot: u32) {
        self.open.remove(&session.0);
        self.recent = None;
        self.free.push(slot);
        self.finished.extend(self.slots[slot as usize].take());
    }
}

impl Fragment {
    /// Whether no more rows follow, because of its last one or because there are too many.
    #[inline(always)]
    fn is_ended_or_cut(&mut self, counts: &mut Counts) -> bool {
        let is_cut = self.span.records >= SESSION_ROWS_MAX || self.rows.len() >= SESSION_BYTES_MAX;
        if is_cut && !self.span.ended {
            self.span.ended = true;
            counts.sessions_cut += 1;
        }
        self.span.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Timestamp,
        record::{Event, Field},
    };

    /// Sequence numbers of the rows of one session, and of each fragment: the first, the last, whether nothing may
    /// follow.
    #[track_caller]
    fn check(rows: &[(u32, Event)], expected: &[(u32, u32, bool)]) {
        let mut fragments = Fragments::default();
        fragments.begin(0);
        for (at, &(sequence, event)) in rows.iter().enumerate() {
            let empty = Field::default();
            let (connector, data, context) = (empty, empty, empty);
            let (local, remote): (&[u8], &[u8]) = (b"", b"");
            let (time, session) = (Timestamp(at as i64), SessionId(7));
            let record = Record { time, connector, session, sequence, local, remote, event, data, context };
            fragments.record(&record, (at as u64, 1));
        }
        fragments.end();
        let found: Vec<_> = fragments
            .drain_finished()
            .map(|fragment| (fragment.span.first_sequence, fragment.span.last_sequence, fragment.span.ended))
            .collect();
        assert_eq!(found, expected, "{rows:?}");
    }

    #[test]
    fn what_breaks_a_session_ends_it() {
        use Event::*;
        check(&[(0, Connect), (1, Sent), (2, Disconnect)], &[(0, 2, true)]);
        check(&[(0, Connect), (1, Sent)], &[(0, 1, false)]);
        check(&[(0, Connect), (4, Sent), (1, Sent)], &[(0, 4, true), (1, 1, false)]);
        check(&[(0, Connect), (1, Sent), (2, Connect)], &[(0, 1, true), (2, 2, false)]);
        check(&[(0, Information), (0, Connect), (0, Sent)], &[(0, 0, false)]);
    }
}
