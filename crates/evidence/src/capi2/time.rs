//! Times of events, in the forms in which the tools that export them write them.
//!
//! Windows writes `2016-12-01T03:09:55.456180600Z`, `evtx_dump` six digits or none, and older dumps
//! `2017-05-19 02:02:36.046875 UTC`.

/// Hundreds of nanoseconds from 1601, where a `FILETIME` begins, to 1970.
const FILETIME_OF_1970: i64 = 116_444_736_000_000_000;

/// Milliseconds since 1970 of a `FILETIME`.
pub(super) fn of_filetime(filetime: u64) -> i64 {
    // The largest FILETIME is the year 60056: as a signed number it is wrong, but no event has it.
    (filetime.cast_signed().saturating_sub(FILETIME_OF_1970)).div_euclid(10_000)
}

/// Milliseconds since 1970 of a text; without a zone it is UTC, for events are.
pub(super) fn of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let days = days(date)?;
    let (clock, rest) = time.split_at_checked(8)?;
    let seconds = seconds(clock)?;
    let (fraction_ms, zone) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    Some((days * 86_400 + seconds - zone_seconds(zone.trim())?) * 1000 + fraction_ms)
}

/// Days from 1970-01-01 to `2016-12-01`. Years are counted from March, so that the leap day is the last of its year.
fn days(date: &str) -> Option<i64> {
    let (year, month, day) = (number(date, 0..4)?, number(date, 5..7)?, number(date, 8..10)?);
    let has_dashes = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !has_dashes || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - i64::from(month < 3);
    let days_before_month = (153 * ((month + 9) % 12) + 2) / 5;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(365 * year + leap_days + days_before_month + day - 719_469)
}

fn seconds(clock: &str) -> Option<i64> {
    let (hour, minute, second) = (number(clock, 0..2)?, number(clock, 3..5)?, number(clock, 6..8)?);
    let is_clock = clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
    (is_clock && hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// The milliseconds of up to nine digits, and what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, rest) = text.split_at(digits);
    let padded = format!("{fraction:0<3}");
    (digits <= 9).then_some((number(&padded, 0..3)?, rest))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [] | b"Z" | b"z" | b"UTC" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let is_zone = zone.len() == 6 && zone.as_bytes()[3] == b':';
    let seconds = number(zone, 1..3)? * 3600 + number(zone, 4..6)? * 60;
    is_zone.then_some(sign * seconds)
}

fn number(text: &str, digits: std::ops::Range<usize>) -> Option<i64> {
    let digits = text.get(digits)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(of_text(text), expected, "{text:?}");
    }

    #[test]
    fn texts() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2016-12-01T03:09:55.456180600Z", Some(1_480_561_795_456));
        check("2016-12-01T03:09:55.4561806Z", Some(1_480_561_795_456));
        check("2016-12-01T03:09:55.456180Z", Some(1_480_561_795_456));
        check("2016-12-01T03:09:55.4Z", Some(1_480_561_795_400));
        check("2016-12-01T03:09:55.Z", Some(1_480_561_795_000));
        check("2016-12-01T03:09:55Z", Some(1_480_561_795_000));
        check("2016-12-01 03:09:55.456180 UTC", Some(1_480_561_795_456));
        check("2016-12-01 03:09:55.456180+00:00", Some(1_480_561_795_456));
        check("2016-12-01T05:09:55+02:00", Some(1_480_561_795_000));
        check(" 2016-12-01T03:09:55 ", Some(1_480_561_795_000));
        check("2000-02-29T00:00:00Z", Some(951_782_400_000));
        check("1969-12-31T23:59:59.999Z", Some(-1));
        check("0000-01-01T00:00:00Z", Some(-62_167_219_200_000));
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "2016-12-01",
            "2016-12-01T03:09",
            "2016-13-01T03:09:55Z",
            "2016-12-00T03:09:55Z",
            "2016-12-01T24:09:55Z",
            "2016-12-01T03:09:55.4561806001Z",
            "2016-12-01T03:09:55 CET",
            "2016-12-01T03:09:55+0200",
            "2016/12/01T03:09:55Z",
            "2016-12-01x03:09:55Z",
            "2016-12-0éT03:09:55Z",
            "+016-12-01T03:09:55Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn filetimes() {
        assert_eq!(of_filetime(131_396_329_560_000_000), 1_495_159_356_000);
        assert_eq!(of_filetime(0), -11_644_473_600_000);
        assert!(of_filetime(u64::MAX) < 0);
    }
}
