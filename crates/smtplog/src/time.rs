//! Timestamps: milliseconds since 1970-01-01 UTC, as protocol logs write them.
//!
//! `2023-01-11T15:59:51.433Z`: always 24 bytes, always UTC (FORMATS 1.3).

use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, UTC, without leap seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp(pub i64);

/// Milliseconds in a UTC day.
pub const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// The 24 bytes `yyyy-MM-ddTHH:mm:ss.fffZ` and nothing else.
    pub fn from_log(text: &[u8]) -> Option<Timestamp> {
        let text: &[u8; 24] = text.try_into().ok()?;
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
        if separators.iter().any(|&(at, byte)| text[at] != byte) {
            return None;
        }
        let year = digits(&text[0..4])?;
        let month = digits(&text[5..7])?;
        let day = digits(&text[8..10])?;
        let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
        let millisecond = digits(&text[20..23])?;
        let in_range = (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        in_range.then_some(Timestamp(seconds * 1_000 + millisecond))
    }

    /// UTC days since 1970-01-01.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// The moment without separators, as session ids carry it: `20240301T060006307Z`.
    pub fn compact(self) -> String {
        self.to_string().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect()
    }

    /// Year, month and day of month, UTC.
    pub fn date(self) -> (i64, i64, i64) {
        civil_from_days(self.day())
    }
}

/// The log's own form: `2024-03-01T06:00:06.307Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// Length of a month in days; 0 for a month that does not exist.
pub fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years begin in March here, so that the
/// leap day is the last of its year and months have a regular pattern of 153 days in five.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        let time = Timestamp::from_log(text.as_bytes());
        assert_eq!(time.map(|t| t.0), expected, "{text:?}");
        if let Some(time) = time {
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn log_times() {
        check("1970-01-01T00:00:00.000Z", Some(0));
        check("2024-03-01T06:00:06.307Z", Some(1_709_272_806_307));
        check("2024-02-29T23:59:59.999Z", Some(1_709_251_199_999));
        check("1969-12-31T23:59:59.999Z", Some(-1));
        check("2023-02-29T00:00:00.000Z", None); // no such day
        check("2024-13-01T00:00:00.000Z", None);
        check("2024-03-01T24:00:00.000Z", None);
        check("2024-03-01T06:00:06.307", None); // cut
        check("2024-03-01 06:00:06.307Z", None);
        check("016-07-19T12:13:14.863Z", None); // first character lost by a web page
        check("Date/Time", None);
    }

    #[test]
    fn compact_form_is_for_ids() {
        assert_eq!(Timestamp(1_709_272_806_307).compact(), "20240301T060006307Z");
    }

    proptest::proptest! {
        #[test]
        fn civil_dates_round_trip(days in -1_000_000i64..1_000_000) {
            let (year, month, day) = civil_from_days(days);
            proptest::prop_assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
