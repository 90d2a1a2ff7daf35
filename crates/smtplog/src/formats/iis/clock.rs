//! Dates and times as IIS writes them: in whole seconds, and in each layout another way.

use crate::{
    Timestamp,
    civil::{days_from_civil, days_of_month},
};

const SECOND_MS: i64 = 1_000;

/// Rows are written in order, a little apart in busy minutes: one that is this much earlier in the day than the header
/// before it belongs to the day after.
const BEFORE_HEADER_MS_MAX: i64 = 5 * 60_000;

/// `2006-10-09`: milliseconds since 1970.
pub(super) fn iso_date(text: &[u8]) -> Option<i64> {
    let [year, month, day] = numbers(text, b'-')?;
    if text.len() != 10 {
        return None;
    }
    day_ms(year, month, day)
}

/// `05:00:15`: milliseconds since midnight. Fractions of a second are left out.
pub(super) fn time_of_day(text: &[u8]) -> Option<i64> {
    let whole = text.split(|&byte| byte == b'.').next()?;
    let [hour, minute, second] = numbers(whole, b':')?;
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 3_600 + minute * 60 + second) * SECOND_MS)
}

/// `2006-10-09 05:00:15`, the value of `#Date`.
pub(super) fn date_and_time(text: &[u8]) -> Option<Timestamp> {
    let mut words = text.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let date = iso_date(words.next()?)?;
    let time = words.next().map_or(Some(0), time_of_day)?;
    Some(Timestamp(date + time))
}

/// A time of day behind a header: of the header's day, or of the next if it is earlier. It depends on nothing else, so
/// that rows of a log without dates mean the same wherever reading begins.
pub(super) fn behind_header(header: Timestamp, time_ms: i64) -> Timestamp {
    let header_time_ms = header.0.rem_euclid(crate::civil::DAY_MS);
    let is_next_day = time_ms < header_time_ms - BEFORE_HEADER_MS_MAX;
    let days_ms = if is_next_day { crate::civil::DAY_MS } else { 0 };
    Timestamp(header.0 - header_time_ms + days_ms + time_ms)
}

/// `11/Oct/2006:13:16:39 -0600`, the local time with its distance from UTC.
pub(super) fn ncsa(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(text.iter().position(|&byte| byte == b':')?)?;
    let mut words = rest[1..].split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let time = time_of_day(words.next()?)?;
    let zone = zone_ms(&words.collect::<Vec<_>>().concat())?;
    let mut parts = date.split(|&byte| byte == b'/');
    let (day, month, year) = (number(parts.next()?)?, month(parts.next()?)?, number(parts.next()?)?);
    Some(Timestamp(day_ms(year, month, day)? + time - zone))
}

/// `-0600`. Some pages show `- 0800`.
fn zone_ms(text: &[u8]) -> Option<i64> {
    let (sign, digits) = text.split_first()?;
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let zone = number(digits).filter(|zone| digits.len() == 4 && zone % 100 < 60)?;
    Some(sign * (zone / 100 * 3_600 + zone % 100 * 60) * SECOND_MS)
}

fn month(name: &[u8]) -> Option<i64> {
    const NAMES: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let month = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    Some(month as i64 + 1)
}

/// A date as the server's region writes it: `8/18/06`, `18.08.2006`, `2006-08-18`. Between slashes the month comes
/// first, unless it can be none; nothing in the log says more.
pub(super) fn local_date(text: &[u8]) -> Option<i64> {
    let separator = *text.iter().find(|byte| !byte.is_ascii_digit())?;
    let [first, second, third] = numbers(text, separator)?;
    let year_first = text.iter().position(|&byte| byte == separator) == Some(4);
    let (year, month, day) = match separator {
        _ if year_first => (first, second, third),
        b'/' if first <= 12 => (third, first, second),
        b'/' | b'.' | b'-' => (third, second, first),
        _ => return None,
    };
    day_ms(full_year(year), month, day)
}

/// A year of two digits lies between 1970 and 2069.
fn full_year(year: i64) -> i64 {
    match year {
        0..70 => 2_000 + year,
        70..100 => 1_900 + year,
        _ => year,
    }
}

fn day_ms(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_date = (1..=9_999).contains(&year) && (1..=days_of_month(year, month)).contains(&day);
    is_date.then(|| days_from_civil(year, month, day) * crate::civil::DAY_MS)
}

fn numbers(text: &[u8], separator: u8) -> Option<[i64; 3]> {
    let mut parts = text.split(|&byte| byte == separator);
    let found = [number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?];
    parts.next().is_none().then_some(found)
}

/// One to four digits.
fn number(text: &[u8]) -> Option<i64> {
    let digit = |value: i64, byte: &u8| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'));
    if text.is_empty() || text.len() > 4 { None } else { text.iter().try_fold(0, digit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Option<i64>, expected: Option<&str>) {
        assert_eq!(found.map(|ms| Timestamp(ms).to_string()).as_deref(), expected);
    }

    #[test]
    fn dates() {
        check(iso_date(b"2006-10-09"), Some("2006-10-09T00:00:00.000Z"));
        check(iso_date(b"2006-02-29"), None);
        check(iso_date(b"06-10-09"), None);
        check(local_date(b"8/18/06"), Some("2006-08-18T00:00:00.000Z"));
        check(local_date(b"8/18/97"), Some("1997-08-18T00:00:00.000Z"));
        check(local_date(b"18/8/2006"), Some("2006-08-18T00:00:00.000Z"));
        check(local_date(b"3/4/06"), Some("2006-03-04T00:00:00.000Z"));
        check(local_date(b"18.08.2006"), Some("2006-08-18T00:00:00.000Z"));
        check(local_date(b"2006-08-18"), Some("2006-08-18T00:00:00.000Z"));
        check(local_date(b"2006/08/18"), Some("2006-08-18T00:00:00.000Z"));
        check(local_date(b"18 08 2006"), None);
        check(local_date(b"13/13/06"), None);
        check(local_date(b"8/18"), None);
    }

    #[test]
    fn moments() {
        let ncsa = |text: &str| ncsa(text.as_bytes()).map(|time| time.0);
        check(ncsa("11/Oct/2006:13:16:39 -0600"), Some("2006-10-11T19:16:39.000Z"));
        check(ncsa("18/aug/2006:13:17:37 + 0530"), Some("2006-08-18T07:47:37.000Z"));
        check(ncsa("11/Oct/2006:13:16:39"), None);
        check(ncsa("11/Okt/2006:13:16:39 -0600"), None);
        check(ncsa("11/Oct/2006:24:16:39 -0600"), None);
        let header = |text: &str| date_and_time(text.as_bytes()).map(|time| time.0);
        check(header("2006-10-09 05:00:15"), Some("2006-10-09T05:00:15.000Z"));
        check(header("2006-10-09"), Some("2006-10-09T00:00:00.000Z"));
        check(header("today"), None);
    }

    #[test]
    fn a_time_before_the_header_is_of_the_next_day() {
        let header = date_and_time(b"2006-10-09 22:00:00").unwrap();
        let behind = |time: &str| Some(behind_header(header, time_of_day(time.as_bytes()).unwrap()).0);
        check(behind("22:00:00"), Some("2006-10-09T22:00:00.000Z"));
        check(behind("21:59:58"), Some("2006-10-09T21:59:58.000Z"));
        check(behind("23:59:59"), Some("2006-10-09T23:59:59.000Z"));
        check(behind("00:00:00"), Some("2006-10-10T00:00:00.000Z"));
        check(behind("21:00:00"), Some("2006-10-10T21:00:00.000Z"));
    }
}
