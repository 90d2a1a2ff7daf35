//! Rows by UTC hour, counted while a log is read: they tell later which hours of a stream are missing.
//!
//! A rejected row has no time that can be trusted. It counts for the hour of the last kept row before it, or of the
//! first after it if there is none before.

use crate::Timestamp;

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// Hours of one source that are counted apart. A rolled log covers a day, what somebody joined from a year of them
/// 8,784 hours; past this rows count in no hour, so that a log of random times cannot fill memory.
pub const HOURS_MAX: usize = 10_000;

/// The rows of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HourRows {
    /// Hours since 1970-01-01T00:00:00Z.
    pub hour: i64,
    /// Rows that became part of a session.
    pub kept: u64,
    /// Rows that could not be read.
    pub rejected: u64,
}

/// The rows of a source, or of a part of it, by hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourCounts {
    /// In order of their hours, each once.
    hours: Vec<HourRows>,
    /// Hours of the first and of the last kept row, in the order of the log.
    ends: Option<(i64, i64)>,
    /// Rows that were rejected before the first kept one.
    leading: u64,
    /// Kept rows beyond [`HOURS_MAX`].
    uncounted: u64,
}

impl HourCounts {
    /// The hours that have rows, in their order.
    pub fn hours(&self) -> Vec<HourRows> {
        let mut whole = self.clone();
        if let Some((first, _)) = self.ends {
            whole.count(HourRows { hour: first, kept: 0, rejected: self.leading });
        }
        whole.hours
    }

    /// Rejected rows that no kept one tells an hour for.
    pub fn unplaced(&self) -> u64 {
        if self.ends.is_none() { self.leading } else { 0 }
    }

    /// Kept rows that count in no hour because there are too many.
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Adds the rows that were read after these.
    pub fn add(&mut self, later: &HourCounts) {
        match self.ends {
            Some((_, last)) => self.count(HourRows { hour: last, kept: 0, rejected: later.leading }),
            None => self.leading += later.leading,
        }
        for &rows in &later.hours {
            self.count(rows);
        }
        self.ends = match (self.ends, later.ends) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (own, other) => own.or(other),
        };
        self.uncounted += later.uncounted;
    }

    fn count(&mut self, rows: HourRows) {
        if rows.kept + rows.rejected == 0 {
            return;
        }
        match self.hours.binary_search_by_key(&rows.hour, |known| known.hour) {
            Ok(at) => {
                self.hours[at].kept += rows.kept;
                self.hours[at].rejected += rows.rejected;
            }
            Err(at) if self.hours.len() < HOURS_MAX => self.hours.insert(at, rows),
            Err(_) => self.uncounted += rows.kept,
        }
    }
}

/// Counts rows as they come. Those of one hour follow one another, so that a row costs a comparison and an addition.
pub(crate) struct HourCounter {
    /// When the current hour begins, in milliseconds.
    begin_ms: i64,
    /// Rows of the current hour since it became the current one.
    kept: u64,
    rejected: u64,
    /// Kept rows of the hours before.
    kept_before: u64,
    counts: HourCounts,
}

/// No row has a time within an hour of it: years have four digits.
const NO_HOUR_MS: i64 = i64::MIN;

impl Default for HourCounter {
    fn default() -> Self {
        HourCounter { begin_ms: NO_HOUR_MS, kept: 0, rejected: 0, kept_before: 0, counts: HourCounts::default() }
    }
}

impl HourCounter {
    /// Counts a row that became part of a session.
    #[inline(always)]
    pub(crate) fn kept(&mut self, time: Timestamp) {
        if time.0.wrapping_sub(self.begin_ms) as u64 >= HOUR_MS as u64 {
            self.turn_to(time);
        }
        self.kept += 1;
    }

    /// Counts a line that is no record.
    pub(crate) fn rejected(&mut self) {
        match self.begin_ms {
            NO_HOUR_MS => self.counts.leading += 1,
            _ => self.rejected += 1,
        }
    }

    /// All rows that were kept, and the rows by hour.
    pub(crate) fn end(mut self) -> (u64, HourCounts) {
        self.settle();
        (self.kept_before, self.counts)
    }

    #[cold]
    #[inline(never)]
    fn turn_to(&mut self, time: Timestamp) {
        self.settle();
        let hour = time.0.div_euclid(HOUR_MS);
        self.begin_ms = hour * HOUR_MS;
        self.counts.ends = Some((self.counts.ends.map_or(hour, |(first, _)| first), hour));
    }

    fn settle(&mut self) {
        let (kept, rejected) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.rejected));
        self.kept_before += kept;
        self.counts.count(HourRows { hour: self.begin_ms.div_euclid(HOUR_MS), kept, rejected });
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::Index};

    use super::*;

    /// The minute of a kept row, `None` for a rejected one.
    type Row = Option<i64>;

    fn counted(rows: &[Row]) -> (u64, HourCounts) {
        let mut counter = HourCounter::default();
        for row in rows {
            match row {
                Some(minute) => counter.kept(Timestamp(minute * 60_000)),
                None => counter.rejected(),
            }
        }
        counter.end()
    }

    #[track_caller]
    fn check(rows: &[Row], expected: &[(i64, u64, u64)], unplaced: u64) {
        let (kept, counts) = counted(rows);
        let hours: Vec<_> = counts.hours().iter().map(|rows| (rows.hour, rows.kept, rows.rejected)).collect();
        assert_eq!((&hours[..], counts.unplaced()), (expected, unplaced), "{rows:?}");
        assert_eq!(kept, rows.iter().flatten().count() as u64);
    }

    #[test]
    fn rejected_rows_count_for_a_neighbour() {
        check(&[Some(0), Some(59), Some(60)], &[(0, 2, 0), (1, 1, 0)], 0);
        check(&[Some(0), None, Some(60), None, None], &[(0, 1, 1), (1, 1, 2)], 0);
        check(&[None, None, Some(130), Some(10)], &[(0, 1, 0), (2, 1, 2)], 0);
        check(&[Some(-1), Some(-60), Some(-61)], &[(-2, 1, 0), (-1, 2, 0)], 0);
        check(&[None, None], &[], 2);
        check(&[], &[], 0);
    }

    #[test]
    fn hours_are_limited() {
        let rows: Vec<Row> = (0..HOURS_MAX as i64 + 3).map(|hour| Some(hour * 60)).collect();
        let (kept, counts) = counted(&rows);
        assert_eq!((kept, counts.hours().len(), counts.uncounted()), (rows.len() as u64, HOURS_MAX, 3));
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(rows in vec(option::of(0i64..300), 0..40), cuts in vec(any::<Index>(), 0..4)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).collect();
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let mut sum = HourCounts::default();
            for cut in cuts.windows(2) {
                sum.add(&counted(&rows[cut[0]..cut[1]]).1);
            }
            prop_assert_eq!(sum, counted(&rows).1);
        }
    }
}
