//! The rows of each stream by day and hour, summed over all runs: what [`coverage`](crate::coverage) is judged by.
//!
//! A day of a stream is one row of the catalog, its hours packed: a fleet has many hours, and a transaction that had
//! to look each of them up would cost as much as what else a run publishes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use smtplog::{Stream, Timestamp, hours::HourRows};

use crate::{
    Store, StoreError, catalog,
    codec::{Decoder, put_number, put_signed},
    writer::SourceRecord,
};

/// Hours of a day.
const HOURS: i64 = 24;

/// What is known of one UTC day of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayRows {
    /// The hours that have rows, in their order.
    pub hours: Vec<HourOfDay>,
}

/// What is known of one hour of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourOfDay {
    /// From 0 to 23.
    pub hour: u8,
    /// Rows that became part of a session.
    pub kept: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// The clock of the run that brought the first of them.
    pub came: Timestamp,
}

/// The days of a stream, by number since 1970-01-01.
pub type StreamDays = BTreeMap<i64, DayRows>;

impl DayRows {
    /// Rows that became part of a session.
    pub fn kept(&self) -> u64 {
        self.hours.iter().map(|hour| hour.kept).sum()
    }

    /// Rows that could not be read.
    pub fn rejected(&self) -> u64 {
        self.hours.iter().map(|hour| hour.rejected).sum()
    }

    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut before = 0;
        for hour in &self.hours {
            out.push(hour.hour);
            put_number(&mut out, hour.kept);
            put_number(&mut out, hour.rejected);
            put_signed(&mut out, hour.came.0 - before); // Mostly one run brings all.
            before = hour.came.0;
        }
        out
    }

    fn decoded(bytes: &[u8]) -> Option<DayRows> {
        let mut decoder = Decoder::new(bytes);
        let mut hours: Vec<HourOfDay> = Vec::new();
        let mut before = 0i64;
        while !decoder.is_empty() {
            let hour = decoder.byte()?;
            let (kept, rejected) = (decoder.number()?, decoder.number()?);
            before = before.checked_add(decoder.signed()?)?;
            let follows = hours.last().is_none_or(|last| last.hour < hour);
            if i64::from(hour) >= HOURS || !follows {
                return None;
            }
            hours.push(HourOfDay { hour, kept, rejected, came: Timestamp(before) });
        }
        Some(DayRows { hours })
    }

    fn hour(&mut self, hour: u8, came: Timestamp) -> &mut HourOfDay {
        let at = self.hours.binary_search_by_key(&hour, |known| known.hour).unwrap_or_else(|at| {
            self.hours.insert(at, HourOfDay { hour, kept: 0, rejected: 0, came });
            at
        });
        &mut self.hours[at]
    }

    /// Adds rows that were not counted before.
    fn add(&mut self, other: &DayRows) {
        for new in &other.hours {
            let hour = self.hour(new.hour, new.came);
            hour.kept = hour.kept.saturating_add(new.kept);
            hour.rejected = hour.rejected.saturating_add(new.rejected);
        }
    }

    /// Takes in rows of which an unknown part was counted before. Mostly a source has its hours for itself, and then
    /// the larger count is right; never is one counted twice.
    fn replace(&mut self, other: &DayRows) {
        for new in &other.hours {
            let hour = self.hour(new.hour, new.came);
            (hour.kept, hour.rejected) = (hour.kept.max(new.kept), hour.rejected.max(new.rejected));
        }
    }
}

/// Days by row number of their stream and number of the day.
type Days = BTreeMap<(i64, i64), DayRows>;

/// Adds the rows of a run, after its newest rows are known.
pub(crate) fn put(transaction: &Transaction<'_>, sources: &[SourceRecord], came: Timestamp) -> Result<(), StoreError> {
    let (mut new, mut replaced) = (Days::new(), Days::new());
    for source in sources {
        let mut hours = source.hours.hours();
        if source.hours.unplaced() > 0 {
            hours.extend(newest_hour(transaction, &source.stream, source.hours.unplaced())?);
        }
        if hours.is_empty() {
            continue;
        }
        let stream = catalog::stream_id(transaction, &source.stream)?;
        let days = if source.replaces { &mut replaced } else { &mut new };
        for rows in hours {
            let (day, hour) = (rows.hour.div_euclid(HOURS), rows.hour.rem_euclid(HOURS) as u8);
            let counted = days.entry((stream, day)).or_default().hour(hour, came);
            counted.kept += rows.kept;
            counted.rejected += rows.rejected;
        }
    }
    for (key, rows) in new {
        change(transaction, key, |known| known.add(&rows))?;
    }
    for (key, rows) in replaced {
        change(transaction, key, |known| known.replace(&rows))?;
    }
    Ok(())
}

/// Rejected rows of a source that has no others now count for the newest hour of its stream.
fn newest_hour(transaction: &Transaction<'_>, stream: &Stream, rejected: u64) -> Result<Option<HourRows>, StoreError> {
    let Some(id) = catalog::known_stream_id(transaction, stream)? else { return Ok(None) };
    let sql = "SELECT newest FROM streams WHERE id = ?1";
    let newest: Option<i64> = transaction.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    Ok(newest.map(|ms| HourRows { hour: ms.div_euclid(smtplog::hours::HOUR_MS), kept: 0, rejected }))
}

fn change(
    transaction: &Transaction<'_>,
    (stream, day): (i64, i64),
    change: impl FnOnce(&mut DayRows),
) -> Result<(), StoreError> {
    let sql = "SELECT hours FROM days WHERE stream = ?1 AND day = ?2";
    let known: Option<Vec<u8>> =
        transaction.prepare_cached(sql)?.query_row([stream, day], |row| row.get(0)).optional()?;
    // Damage is for `verify` to report; a run goes on with what it knows itself.
    let mut rows = known.and_then(|bytes| DayRows::decoded(&bytes)).unwrap_or_default();
    change(&mut rows);
    let sql = "INSERT OR REPLACE INTO days VALUES (?1, ?2, ?3)";
    transaction.prepare_cached(sql)?.execute(params![stream, day, rows.encoded()])?;
    Ok(())
}

impl Store {
    /// Rows by stream, day and hour. Those that an earlier version brought are not among them.
    pub fn days(&self) -> Result<BTreeMap<Stream, StreamDays>, StoreError> {
        let catalog = self.catalog();
        let mut days: BTreeMap<Stream, StreamDays> = BTreeMap::new();
        if !catalog.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'days'")?.exists([])? {
            return Ok(days);
        }
        let mut statement = catalog.prepare("SELECT stream, day, hours FROM days ORDER BY stream, day")?;
        let mut rows = statement.query([])?;
        let mut of_stream: (i64, StreamDays) = (0, StreamDays::new());
        while let Some(row) = rows.next()? {
            let (stream, day, hours): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if stream != of_stream.0 {
                keep(&catalog, &mut days, std::mem::replace(&mut of_stream, (stream, StreamDays::new())))?;
            }
            let hours = DayRows::decoded(&hours).ok_or(StoreError::Damaged("the hours of a day"))?;
            of_stream.1.insert(day, hours);
        }
        keep(&catalog, &mut days, of_stream)?;
        Ok(days)
    }

    /// Calls `found` with the stream and the place of every source; an archive's members lie below it.
    pub fn for_each_source(&self, mut found: impl FnMut(&Stream, &Path)) -> Result<(), StoreError> {
        let catalog = self.catalog();
        let mut streams: BTreeMap<i64, Stream> = BTreeMap::new();
        let mut statement = catalog.prepare("SELECT stream, path, member FROM sources")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, path, member): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if let std::collections::btree_map::Entry::Vacant(new) = streams.entry(id) {
                new.insert(catalog::stream(&catalog, id)?);
            }
            let path = PathBuf::from(path);
            found(&streams[&id], &member.map_or(path.clone(), |member| path.join(member)));
        }
        Ok(())
    }

    /// Calls `found` with every file that was looked into, whatever is in it.
    pub fn for_each_file(&self, mut found: impl FnMut(&Path)) -> Result<(), StoreError> {
        let catalog = self.catalog();
        let mut statement = catalog.prepare("SELECT path FROM files")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let path: Vec<u8> = row.get(0)?;
            found(Path::new(&*String::from_utf8_lossy(&path)));
        }
        Ok(())
    }
}

fn keep(
    catalog: &Connection,
    days: &mut BTreeMap<Stream, StreamDays>,
    (id, of_stream): (i64, StreamDays),
) -> Result<(), StoreError> {
    if !of_stream.is_empty() {
        days.insert(catalog::stream(catalog, id)?, of_stream);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::{collection::btree_map, prelude::*};
    use smtplog::{
        Direction, Role,
        formats::{Columns, FORMATS},
        reader::Fragments,
    };

    use super::*;

    fn day(hours: &[(u8, u64, u64, i64)]) -> DayRows {
        let hour = |&(hour, kept, rejected, came)| HourOfDay { hour, kept, rejected, came: Timestamp(came) };
        DayRows { hours: hours.iter().map(hour).collect() }
    }

    #[test]
    fn rows_add_up_and_keep_when_they_came() {
        let mut known = day(&[(3, 10, 1, 100)]);
        known.add(&day(&[(2, 5, 0, 200), (3, 1, 1, 200)]));
        assert_eq!(known, day(&[(2, 5, 0, 200), (3, 11, 2, 100)]));
        assert_eq!((known.kept(), known.rejected()), (16, 2));
    }

    #[test]
    fn what_is_read_again_counts_once() {
        let mut known = day(&[(3, 10, 1, 100), (4, 7, 0, 100)]);
        known.replace(&day(&[(3, 12, 0, 200), (4, 7, 0, 200), (5, 1, 0, 200)]));
        assert_eq!(known, day(&[(3, 12, 1, 100), (4, 7, 0, 100), (5, 1, 0, 200)]));
    }

    /// A source with these rows: hours of day 0, `-` for a row that cannot be read.
    fn source(hours: &str, replaces: bool) -> SourceRecord {
        let row = |hour: char| match hour {
            '-' => "?\n".to_owned(),
            hour => format!("1970-01-01T0{hour}:00:00.000Z,,0000000000000000,0,,,*,,\n"),
        };
        let mut fragments = Fragments::default();
        fragments.begin(0);
        let log: String = hours.chars().map(row).collect();
        FORMATS[0].read(&mut Columns::STANDARD.clone(), log.as_bytes(), 1, &mut fragments);
        let counts = fragments.end();
        let stream = Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send };
        SourceRecord {
            identity: [0; 32],
            stream: Arc::new(stream),
            consumed: 0,
            hash: 0,
            kept: counts.kept,
            rejected: counts.rejected,
            provisional: 0,
            cut_session: None,
            is_read: true,
            hours: counts.hours,
            replaces,
            path: PathBuf::new(),
            member: None,
            file: String::new(),
        }
    }

    /// What is known after runs that each brought some sources.
    #[track_caller]
    fn check(runs: &[&[SourceRecord]], expected: &[(u8, u64, u64, i64)]) {
        let store = tempfile::tempdir().unwrap();
        let mut catalog = catalog::open_for_writing(store.path()).unwrap();
        for (clock, sources) in runs.iter().enumerate() {
            let transaction = catalog.transaction().unwrap();
            put(&transaction, sources, Timestamp(clock as i64)).unwrap();
            transaction.execute("UPDATE streams SET newest = 5 * 3600000", []).unwrap();
            transaction.commit().unwrap();
        }
        let days = Store::open(store.path()).unwrap().days().unwrap();
        let found: Vec<&DayRows> = days.values().flat_map(BTreeMap::values).collect();
        assert_eq!(found, [&day(expected)]);
    }

    #[test]
    fn runs_add_up() {
        check(&[&[source("334-", false), source("45", false)]], &[(3, 2, 0, 0), (4, 2, 1, 0), (5, 1, 0, 0)]);
        check(&[&[source("33", false)], &[], &[source("34", false)]], &[(3, 3, 0, 0), (4, 1, 0, 2)]);
        // Rejected rows alone belong to what the stream had last.
        check(&[&[source("3", false)], &[source("--", false)]], &[(3, 1, 0, 0), (5, 0, 2, 1)]);
    }

    #[test]
    fn a_source_that_is_read_again_counts_once() {
        check(&[&[source("334", false)], &[source("3345", true)]], &[(3, 2, 0, 0), (4, 1, 0, 0), (5, 1, 0, 1)]);
        check(&[&[source("33", false), source("33", false)], &[source("33", true)]], &[(3, 4, 0, 0)]);
    }

    proptest! {
        #[test]
        fn days_round_trip(hours in btree_map(0u8..24, (any::<u64>(), any::<u64>(), 0i64..1 << 45), 0..24)) {
            let hours: Vec<_> = hours.into_iter().map(|(hour, (a, b, c))| (hour, a, b, c)).collect();
            let day = day(&hours);
            prop_assert_eq!(DayRows::decoded(&day.encoded()), Some(day));
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes: Vec<u8>) {
            let _ = DayRows::decoded(&bytes);
        }
    }
}
