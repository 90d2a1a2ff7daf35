//! Coverage: which days of which streams are there, which came late, and which are missing.
//!
//! A stream is measured against its own seven days before: what was there on four of them is expected again. So the
//! first days of a stream are never missing, nor what a quiet connector never logs. Nothing is concluded from gaps in
//! session ids, because connectors without logging take ids too; and what is missing here may as well be logging that
//! was turned off.
//!
//! Nobody knows yet what belongs into hours that have only begun, so everything is judged up to the newest hour that
//! the fleet has rows of, or as far as was asked: what all streams miss alike only the asker's clock can tell. The
//! rules see counts and names only, no clock and no store.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use smtplog::{
    Stream, Timestamp,
    civil::{DAY_MS, days_from_civil, days_of_month},
    hours::HOUR_MS,
};

use crate::days::{DayRows, StreamDays};

/// Days before that a day is measured against.
const DAYS_BEFORE: i64 = 7;

/// On so many of them there have to be rows for more to be expected.
const EXPECTED_DAYS: usize = 4;

/// Hours without a row between two with rows: the rows are then more than three hours apart.
const GAP_HOURS: i64 = 3;

/// So many days missing one after the other are silence.
const SILENT_DAYS: usize = 3;

/// A day is late if it comes later than this after its end.
const LATE_MS: i64 = DAY_MS;

/// One in so many rows may straggle: a day has come when the others have, and is missing if it has no more than that.
const STRAGGLERS: u64 = 10;

/// What is queued when a log is rolled is written to the next one, so rows of a day's last hour may stand there.
const LAST_HOUR: u32 = 1 << 23;

/// A day is known of the fleet if it has so many rows; fewer are a damaged date rather than a day.
const KNOWN_ROWS_MIN: u64 = 10;

/// Rows later than this after the run that read them are of a wrong clock, and count in no day.
const AHEAD_MS: i64 = DAY_MS;

/// A fleet whose newest row is older has missed a night's collection and the next.
pub const OVERDUE_MS: i64 = 2 * DAY_MS;

const HOURS: i64 = 24;

/// What bounds the judgement beside the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// What is missing before is not needed.
    pub since: Option<Timestamp>,
    /// Up to when rows are expected, though the fleet may have none so new; not after now.
    pub until: Option<Timestamp>,
    /// Sessions that began before were pruned.
    pub pruned: Option<Timestamp>,
}

/// The days of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// In the order in which they came.
    pub streams: Vec<StreamCoverage>,
    /// Beginning of the newest hour that the fleet has rows of, if any.
    pub newest: Option<Timestamp>,
}

/// What is known of a stream.
#[derive(Clone, Debug)]
pub struct StreamLog {
    /// The stream.
    pub stream: Stream,
    /// Its rows.
    pub days: StreamDays,
    /// The rolled files that have rows.
    pub instances: Vec<Instance>,
    /// Those that have none: no gap begins or ends with them, but they are not absent.
    pub rowless: Vec<Instance>,
    /// Those that could not be read to their end.
    pub damaged: Vec<Instance>,
}

/// A rolled file, as its name tells it: `SEND2024030106-1.LOG` is instance 1 of 2024030106.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Day or hour, written as `yyyyMMdd` or `yyyyMMddHH`.
    pub stamp: u64,
    /// From 1 for each stamp.
    pub number: u32,
}

/// A stream's days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCoverage {
    /// The stream.
    pub stream: Stream,
    /// Days that have rows or miss them, in their order. On others there are none, and none are expected.
    pub days: Vec<DayCoverage>,
}

/// One UTC day of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCoverage {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Rows that became part of a session.
    pub kept: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// What is to say of it.
    pub state: State,
    /// When it had come, but for stragglers; `None` without rows.
    pub came: Option<Timestamp>,
    /// Whether that was late; a day with gaps can be late, too.
    pub is_late: bool,
    /// Of the seven days before, those with rows; counted for days that are missing only.
    pub days_before: usize,
    /// Hours without rows, where some were expected.
    pub quiet: Vec<Range<Timestamp>>,
    /// Instances that are absent between two that are there.
    pub absent: Vec<AbsentInstances>,
    /// Instances that could not be read to their end.
    pub damaged: Vec<Instance>,
}

/// The state of a day; the later ones are worse, and hide the ones before. Only [`State::Pruned`] hides all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// What there was has left the store.
    Pruned,
    /// There is at least one row.
    Present,
    /// It came more than 24 hours after its end, though the stream was being indexed by then.
    Late,
    /// Hours or instances are missing in it, or what is in a damaged file.
    Gap,
    /// There are no rows, or only the few that the next day's log has, though four of the seven days before had some.
    Missing,
    /// As missing, for three days or more, up to the next rows.
    Silent,
}

/// Instances from `first` to `last` of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsentInstances {
    /// As in [`Instance`].
    pub stamp: u64,
    /// The first that is absent.
    pub first: u32,
    /// The last of them.
    pub last: u32,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] = [State::Pruned, State::Present, State::Late, State::Gap, State::Missing, State::Silent];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pruned => "pruned",
            State::Present => "present",
            State::Late => "late",
            State::Gap => "gap",
            State::Missing => "missing",
            State::Silent => "silent",
        }
    }
}

/// Judges every day of every stream.
pub fn coverage(logs: Vec<StreamLog>, bounds: &Bounds) -> Coverage {
    let files = |log: &StreamLog| Files {
        stream: log.stream.clone(),
        rolled: instances(&log.instances, &[&log.rowless[..], &log.damaged].concat()),
        damaged: log.damaged.clone(),
    };
    let files: Vec<Files> = logs.iter().map(files).collect();
    let rows: Vec<Rows> = logs.into_iter().map(|log| Rows::of(log.days)).collect();
    let known_end = known_end(rows.iter());
    let end = known_end.unwrap_or(i64::MIN).max(asked_end(bounds, known_end));
    let pruned = bounds.pruned.map_or(i64::MIN, |pruned| pruned.0.div_euclid(DAY_MS));
    let first = bounds.since.map_or(i64::MIN, |since| since.0.div_euclid(DAY_MS));
    let judged = |(files, rows): (Files, Rows)| {
        let mut days = rows.present();
        rows.add_missing(first, end, &mut days);
        rows.add_quiet(end, &mut days);
        add_absent(&files.rolled, &mut days);
        add_damaged(files.damaged, &mut days);
        StreamCoverage { stream: files.stream, days: days.into_values().map(|day| day.settled(pruned)).collect() }
    };
    let streams = files.into_iter().zip(rows).map(judged).collect();
    Coverage { streams, newest: known_end.map(|hour| Timestamp(hour.saturating_mul(HOUR_MS))) }
}

/// The first hour that was not asked about. A day that is not over may come as a whole in the night to come, unless
/// everything is overdue.
fn asked_end(bounds: &Bounds, known_end: Option<i64>) -> i64 {
    let Some(until) = bounds.until else { return i64::MIN };
    let hour = until.0.div_euclid(HOUR_MS);
    let is_overdue = known_end.is_none_or(|known| hour.saturating_sub(known) > OVERDUE_MS / HOUR_MS);
    if is_overdue { hour } else { hour.div_euclid(HOURS) * HOURS }
}

/// The first hour of which not everything can be known: the newest that the fleet has rows of.
fn known_end<'r>(streams: impl Iterator<Item = &'r Rows>) -> Option<i64> {
    let mut fleet: BTreeMap<i64, (u64, i64)> = BTreeMap::new();
    for (day, rows) in streams.flat_map(|rows| &rows.days) {
        let newest = rows.hours.iter().filter(|hour| hour.kept > 0).map(|hour| i64::from(hour.hour)).max();
        let known = fleet.entry(*day).or_default();
        *known = (known.0 + rows.kept(), known.1.max(newest.unwrap_or(0)));
    }
    let newest = fleet.iter().rev().find(|(_, (kept, _))| *kept >= KNOWN_ROWS_MIN);
    newest.map(|(day, (_, hour))| day * HOURS + hour)
}

/// A stream's files.
struct Files {
    stream: Stream,
    /// Each once, with whether it has rows.
    rolled: Vec<(Instance, bool)>,
    damaged: Vec<Instance>,
}

/// A stream's rows.
struct Rows {
    days: StreamDays,
    /// Days of which there is only what stands in the next day's log.
    remnants: BTreeSet<i64>,
}

impl Rows {
    fn of(mut days: StreamDays) -> Rows {
        for (day, rows) in &mut days {
            rows.hours.retain(|hour| hour_begin(*day, hour.hour).0 <= hour.came.0.saturating_add(AHEAD_MS));
        }
        days.retain(|_, rows| !rows.hours.is_empty());
        let mut rows = Rows { days, remnants: BTreeSet::new() };
        let days: Vec<i64> = rows.days.keys().copied().collect();
        for day in days {
            if rows.is_remnant(day) {
                rows.remnants.insert(day); // Those after are measured against days without it.
            }
        }
        rows
    }

    /// Whether a day has few rows and all in its last hour, though there used to be others.
    fn is_remnant(&self, day: i64) -> bool {
        if self.hours(day) != LAST_HOUR {
            return false;
        }
        let before: Vec<i64> = (day - DAYS_BEFORE..day).filter(|&day| self.hours(day) & !LAST_HOUR != 0).collect();
        let kept = |day: i64| self.days.get(&day).map_or(0, DayRows::kept);
        let usual = before.iter().map(|&day| kept(day)).sum::<u64>() / before.len().max(1) as u64;
        before.len() >= EXPECTED_DAYS && kept(day) <= usual / STRAGGLERS
    }

    /// A bit for each hour of a day that has rows.
    fn hours(&self, day: i64) -> u32 {
        if self.remnants.contains(&day) {
            return 0;
        }
        let rows = self.days.get(&day).map_or(&[][..], |rows| &rows.hours);
        rows.iter().filter(|hour| hour.kept > 0).fold(0, |bits, hour| bits | 1 << hour.hour)
    }

    fn hours_before(&self, day: i64) -> [u32; DAYS_BEFORE as usize] {
        std::array::from_fn(|n| self.hours(day - 1 - n as i64))
    }

    fn present(&self) -> BTreeMap<i64, DayCoverage> {
        // What lies further back was there before the stream was indexed for the first time.
        let first_came = self.days.values().flat_map(|rows| &rows.hours).map(|hour| hour.came).min();
        let present = |(&day, rows): (&i64, &DayRows)| {
            let late_from = (day + 1).saturating_mul(DAY_MS).saturating_add(LATE_MS);
            let came = came(rows);
            let is_late =
                came.is_some_and(|came| came.0 > late_from) && first_came.is_some_and(|first| first.0 <= late_from);
            let day_coverage =
                DayCoverage { kept: rows.kept(), rejected: rows.rejected(), came, is_late, ..DayCoverage::empty(day) };
            (day, day_coverage)
        };
        self.days.iter().map(present).collect()
    }

    /// Days without rows, from the first that is needed.
    fn add_missing(&self, first_needed: i64, end: i64, days: &mut BTreeMap<i64, DayCoverage>) {
        let (newest, known_hours) = (end.div_euclid(HOURS), end.rem_euclid(HOURS));
        let Some((&first, _)) = self.days.iter().find(|(day, _)| self.hours(**day) != 0) else { return };
        let (mut day, mut row) = (first + 1, 0);
        while day < newest || (day == newest && known_hours > 0) {
            if self.hours(day) != 0 {
                row = 0;
                day += 1;
                continue;
            }
            // Of the newest day, the hours that are known are compared with the same hours.
            let compared = if day == newest { (1u32 << known_hours) - 1 } else { u32::MAX };
            let days_before = self.hours_before(day).iter().filter(|&&hours| hours & compared != 0).count();
            if days_before >= EXPECTED_DAYS || row >= SILENT_DAYS {
                row += 1;
                let state = if row >= SILENT_DAYS { State::Silent } else { State::Missing };
                for day in day - (row.min(SILENT_DAYS) as i64 - 1)..day {
                    days.entry(day).and_modify(|day| day.state = state);
                }
                // A stream that ended years ago is silent on every day since.
                if day >= first_needed || days.contains_key(&day) {
                    let missing = days.entry(day).or_insert_with(|| DayCoverage::empty(day));
                    (missing.state, missing.days_before) = (state, days_before);
                }
            } else {
                row = 0;
                if days_before == 0 && day < newest {
                    // Between a damaged date and the stream's own days can lie centuries.
                    day = self.days.range(day + 1..).next().map_or(newest, |(&next, _)| next.min(newest)).max(day + 1);
                    continue;
                }
            }
            day += 1;
        }
    }

    /// Hours without rows in days that have some.
    fn add_quiet(&self, end: i64, days: &mut BTreeMap<i64, DayCoverage>) {
        let mut quiet: Vec<i64> = Vec::new();
        for &day in self.days.keys() {
            let (hours, before) = (self.hours(day), self.hours_before(day));
            if hours == 0 {
                continue;
            }
            let is_quiet = |hour: &i64| {
                let bit = 1u32 << hour;
                hours & bit == 0 && before.iter().filter(|&&hours| hours & bit != 0).count() >= EXPECTED_DAYS
            };
            quiet.extend((0..HOURS).filter(is_quiet).map(|hour| day * HOURS + hour).filter(|&hour| hour < end));
        }
        for run in quiet.chunk_by(|a, b| a + 1 == *b).filter(|run| run.len() as i64 >= GAP_HOURS) {
            for part in run.chunk_by(|a, b| a.div_euclid(HOURS) == b.div_euclid(HOURS)) {
                let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
                let range = Timestamp(first * HOUR_MS)..Timestamp((last + 1) * HOUR_MS);
                days.entry(first.div_euclid(HOURS)).and_modify(|day| day.quiet.push(range));
            }
        }
    }
}

fn hour_begin(day: i64, hour: u8) -> Timestamp {
    Timestamp((day * HOURS + i64::from(hour)).saturating_mul(HOUR_MS))
}

/// When all but stragglers had come.
fn came(rows: &DayRows) -> Option<Timestamp> {
    let mut hours: Vec<(Timestamp, u64)> = rows.hours.iter().map(|hour| (hour.came, hour.kept)).collect();
    hours.sort_unstable();
    let stragglers_max = rows.kept() / STRAGGLERS;
    let mut later = 0;
    let straggles = |&&(_, kept): &&(Timestamp, u64)| {
        later += kept;
        later <= stragglers_max
    };
    let stragglers = hours.iter().rev().take_while(straggles).count();
    hours[..hours.len() - stragglers].last().map(|(came, _)| *came)
}

/// Rolled files in their order, each once, with whether it has rows.
fn instances(with_rows: &[Instance], rowless: &[Instance]) -> Vec<(Instance, bool)> {
    let with_rows = with_rows.iter().map(|&instance| (instance, true));
    let mut all: Vec<_> = rowless.iter().map(|&instance| (instance, false)).chain(with_rows).collect();
    all.sort_unstable_by_key(|(instance, has_rows)| (*instance, !has_rows));
    all.dedup_by_key(|(instance, _)| *instance);
    all
}

/// Instances that lie between two others of their stamp.
fn add_absent(files: &[(Instance, bool)], days: &mut BTreeMap<i64, DayCoverage>) {
    for files in files.chunk_by(|(a, _), (b, _)| a.stamp == b.stamp) {
        let has_rows = |(_, has_rows): &(Instance, bool)| *has_rows;
        let (Some(first), Some(last)) = (files.iter().position(has_rows), files.iter().rposition(has_rows)) else {
            continue;
        };
        for pair in files[first..=last].windows(2) {
            let [(before, _), (after, _)] = [pair[0], pair[1]];
            let Some(day) = day_of_stamp(before.stamp).filter(|_| before.number + 1 < after.number) else { continue };
            let absent = AbsentInstances { stamp: before.stamp, first: before.number + 1, last: after.number - 1 };
            days.entry(day).or_insert_with(|| DayCoverage::empty(day)).absent.push(absent);
        }
    }
}

fn add_damaged(mut damaged: Vec<Instance>, days: &mut BTreeMap<i64, DayCoverage>) {
    damaged.sort_unstable();
    damaged.dedup();
    for instance in damaged {
        let Some(day) = day_of_stamp(instance.stamp) else { continue };
        days.entry(day).or_insert_with(|| DayCoverage::empty(day)).damaged.push(instance);
    }
}

/// The day of `yyyyMMdd` or `yyyyMMddHH`.
fn day_of_stamp(stamp: u64) -> Option<i64> {
    let date = i64::try_from(if stamp >= 1_000_000_000 { stamp / 100 } else { stamp }).ok()?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    (1..=days_of_month(year, month)).contains(&day).then(|| days_from_civil(year, month, day))
}

impl DayCoverage {
    fn empty(day: i64) -> DayCoverage {
        DayCoverage {
            day,
            kept: 0,
            rejected: 0,
            state: State::Present,
            came: None,
            is_late: false,
            days_before: 0,
            quiet: Vec::new(),
            absent: Vec::new(),
            damaged: Vec::new(),
        }
    }

    /// With the worst of what was found; days before the first that was not pruned have nothing to tell.
    fn settled(mut self, first_unpruned: i64) -> DayCoverage {
        if self.day < first_unpruned {
            let DayCoverage { day, kept, rejected, came, .. } = self;
            return DayCoverage { kept, rejected, came, state: State::Pruned, ..DayCoverage::empty(day) };
        }
        let has_gap = !(self.quiet.is_empty() && self.absent.is_empty() && self.damaged.is_empty());
        let own = match (has_gap, self.is_late) {
            (true, _) => State::Gap,
            (false, true) => State::Late,
            (false, false) => State::Present,
        };
        self.state = self.state.max(own);
        self
    }
}

#[cfg(test)]
mod tests;
