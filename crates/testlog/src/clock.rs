//! Moments as milliseconds since 1970, UTC, and the forms in which logs and SMTP banners show them.

use std::fmt;

use serde::{Serialize, Serializer};

pub(crate) const SECOND_MS: i64 = 1_000;
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in the log's form, for the truth: `2024-03-01T06:00:06.307Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = log_time(self.0);
        // The 24 bytes are digits and separators.
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&log_time(self.0)).unwrap_or_default())
    }
}

/// The 24 bytes of a log's time. Written digit by digit: it stands in every row, and `write!` costs more than the row.
pub(crate) fn log_time(ms: i64) -> [u8; 24] {
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let (year, month, day) = date(ms);
    let of_day = ms.rem_euclid(DAY_MS);
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], of_day / HOUR_MS);
    digits(&mut text[14..16], of_day / MINUTE_MS % 60);
    digits(&mut text[17..19], of_day / SECOND_MS % 60);
    digits(&mut text[20..23], of_day % SECOND_MS);
    text
}

/// The date of a banner (RFC 5322): `Fri, 1 Mar 2024 07:00:06 +0100`.
pub(crate) fn banner_time(ms: i64, zone_hours: i64) -> String {
    let local = ms + zone_hours * HOUR_MS;
    let (year, month, day) = date(local);
    let of_day = local.rem_euclid(DAY_MS);
    let weekday = WEEKDAYS[local.div_euclid(DAY_MS).rem_euclid(7) as usize];
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (of_day / HOUR_MS, of_day / MINUTE_MS % 60, of_day / SECOND_MS % 60);
    format!("{weekday}, {day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone_hours:+03}00")
}

/// Year, month and day of a moment.
pub(crate) fn date(ms: i64) -> (i64, i64, i64) {
    let days = ms.div_euclid(DAY_MS);
    let mut year = 1970 + days.div_euclid(366);
    while days >= days_before_year(year + 1) {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// The moment at which a day begins.
pub(crate) fn midnight(year: i64, month: i64, day: i64) -> i64 {
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    (days_before_year(year) + months + day - 1) * DAY_MS
}

/// .NET ticks (100 ns since the year 1), which seed the session counters of a process.
pub(crate) fn ticks(ms: i64) -> u64 {
    const MS_BEFORE_1970: i64 = 62_135_596_800_000;
    ((ms + MS_BEFORE_1970) * 10_000) as u64
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_before_year(year: i64) -> i64 {
    let leap_days = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    (year - 1970) * 365 + leap_days(year) - leap_days(1970)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn digits(place: &mut [u8], mut value: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ms: i64, log: &str, banner: &str) {
        assert_eq!(Time(ms).to_string(), log);
        assert_eq!(banner_time(ms, 1), banner);
        let (year, month, day) = date(ms);
        assert_eq!(midnight(year, month, day), ms - ms.rem_euclid(DAY_MS));
    }

    #[test]
    fn moments() {
        check(0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 01:00:00 +0100");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z", "Fri, 1 Mar 2024 00:59:59 +0100");
        check(1_709_272_806_307, "2024-03-01T06:00:06.307Z", "Fri, 1 Mar 2024 07:00:06 +0100");
        check(1_735_689_599_000, "2024-12-31T23:59:59.000Z", "Wed, 1 Jan 2025 00:59:59 +0100");
        check(4_102_444_800_000, "2100-01-01T00:00:00.000Z", "Fri, 1 Jan 2100 01:00:00 +0100");
    }

    #[test]
    fn session_counters_begin_as_real_ones_do() {
        assert!(format!("{:016X}", ticks(1_709_272_806_307)).starts_with("08DC39"));
    }
}
