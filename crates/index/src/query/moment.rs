//! Times as people type them, and the window of `--since` and `--until`.
//!
//! `2024-03-01T06:00` is a minute, `2024-03-01` a day, `2024-03` a month, `2024` a year; UTC unless an offset follows
//! (RFC 3339). In a range of the query the whole of it counts on both ends. As `--until` a day, month or year
//! counts whole, a time of day is the moment where the window closes.

use std::ops::RangeInclusive;

use smtplog::{Session, Timestamp, civil};

const MINUTE_MS: i64 = 60_000;

/// A time that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` is no time: write 2024-03-01, 2024-03-01T06:00, 2024-03-01T06:00:00+01:00 or -24h, -7d, -30m", .text.escape_debug())]
pub struct TimeError {
    /// What was given.
    pub text: String,
}

/// The half-open time from `since` to before `until`; open where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// The first moment inside.
    pub since: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl Window {
    /// Whether the moment lies inside.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }

    /// Whether a part of the session lies inside; without a `-` row it ends with its last row.
    pub fn overlaps(&self, session: &Session) -> bool {
        let ended = session.ended.unwrap_or(session.last);
        self.since.is_none_or(|since| since <= ended) && self.until.is_none_or(|until| session.started < until)
    }
}

/// The first moment of what `--since` says; `-24h` counts back from `now`.
pub fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let moment = || parse_moment(text).map(|moment| moment.first);
    before_now(text, now).or_else(moment).ok_or_else(|| TimeError { text: text.to_owned() })
}

/// The first moment after what `--until` says: a bare date includes that day.
pub fn parse_until(text: &str, now: Timestamp) -> Result<Timestamp, TimeError> {
    let moment = || parse_moment(text).map(|moment| if moment.has_time { moment.first } else { after(moment.last) });
    before_now(text, now).or_else(moment).ok_or_else(|| TimeError { text: text.to_owned() })
}

/// The moments that a value of `started` or `ended` covers.
pub(super) fn parse_times(text: &str) -> Option<RangeInclusive<Timestamp>> {
    parse_moment(text).map(|moment| moment.first..=moment.last)
}

/// A time as exact as it was written.
struct Moment {
    first: Timestamp,
    last: Timestamp,
    has_time: bool,
}

fn after(time: Timestamp) -> Timestamp {
    Timestamp(time.0 + 1)
}

/// `-90s`, `-30m`, `-24h`, `-7d`, `-2w`, or `now`.
fn before_now(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    Some(Timestamp(now.0 - duration_ms(text.strip_prefix('-')?)?))
}

fn duration_ms(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let unit_ms = match unit {
        's' => 1_000,
        'm' => MINUTE_MS,
        'h' => 60 * MINUTE_MS,
        'd' => civil::DAY_MS,
        'w' => 7 * civil::DAY_MS,
        _ => return None,
    };
    Some(number(&text[..text.len() - 1], 1..=9)? * unit_ms)
}

fn parse_moment(text: &str) -> Option<Moment> {
    match text.find(['T', 't', ' ']) {
        Some(at) => parse_time_of_day(parse_date(&text[..at], 3)?.start, &text[at + 1..]),
        None => {
            let days = parse_date(text, 1)?;
            let last = Timestamp(days.end * civil::DAY_MS - 1);
            Some(Moment { first: Timestamp(days.start * civil::DAY_MS), last, has_time: false })
        }
    }
}

/// The days, since 1970, of a year, month or day of which at least `parts_min` parts are given.
fn parse_date(text: &str, parts_min: usize) -> Option<std::ops::Range<i64>> {
    let parts: Vec<&str> = text.split('-').collect();
    if parts.len() < parts_min || parts.len() > 3 {
        return None;
    }
    let year = number(parts[0], 4..=4)?;
    let month = parts.get(1).map_or(Some(1), |part| number(part, 2..=2).filter(|month| (1..=12).contains(month)))?;
    let length = civil::days_of_month(year, month);
    let day = parts.get(2).map_or(Some(1), |part| number(part, 2..=2).filter(|day| (1..=length).contains(day)))?;
    let first = civil::days_from_civil(year, month, day);
    let end = match parts.len() {
        1 => civil::days_from_civil(year + 1, 1, 1),
        2 => first + length,
        _ => first + 1,
    };
    Some(first..end)
}

/// `06:00`, `06:00:06`, `06:00:06.307`, each with or without an offset.
fn parse_time_of_day(day: i64, text: &str) -> Option<Moment> {
    let (clock, offset_ms) = split_offset(text)?;
    let mut parts = clock.splitn(3, ':');
    let hour = number(parts.next()?, 2..=2).filter(|hour| *hour < 24)?;
    let minute = number(parts.next()?, 2..=2).filter(|minute| *minute < 60)?;
    let (second_ms, exact_ms) = parts.next().map_or(Some((0, MINUTE_MS)), parse_second)?;
    let start = day * civil::DAY_MS + hour * 60 * MINUTE_MS + minute * MINUTE_MS + second_ms - offset_ms;
    Some(Moment { first: Timestamp(start), last: Timestamp(start + exact_ms - 1), has_time: true })
}

/// Milliseconds of a second with or without a fraction, and how long a time this exact lasts. Past milliseconds
/// nothing is logged, so further digits are cut.
fn parse_second(text: &str) -> Option<(i64, i64)> {
    let (second, fraction) = text.split_once('.').map_or((text, None), |(second, fraction)| (second, Some(fraction)));
    let second_ms = 1_000 * number(second, 2..=2).filter(|second| *second < 60)?;
    let Some(fraction) = fraction else {
        return Some((second_ms, 1_000));
    };
    number(fraction, 1..=9)?;
    let (fraction_ms, exact_ms) = match fraction.len() {
        1 => (100 * number(fraction, 1..=1)?, 100),
        2 => (10 * number(fraction, 2..=2)?, 10),
        _ => (number(&fraction[..3], 3..=3)?, 1),
    };
    Some((second_ms + fraction_ms, exact_ms))
}

/// Splits `Z`, `+01:00`, `+0100` or `+01` off, in milliseconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some((text, 0));
    };
    let sign = if text[at..].starts_with('-') { -1 } else { 1 };
    let digits: String = text[at + 1..].chars().filter(|&c| c != ':').collect();
    let hours = number(digits.get(..2)?, 2..=2).filter(|hours| *hours < 24)?;
    let minutes = if digits.len() == 2 { 0 } else { number(&digits[2..], 2..=2).filter(|minutes| *minutes < 60)? };
    Some((&text[..at], sign * (hours * 60 + minutes) * MINUTE_MS))
}

/// A number of that many digits and nothing else.
fn number(text: &str, digits: RangeInclusive<usize>) -> Option<i64> {
    let is_number = digits.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_709_272_806_307); // 2024-03-01T06:00:06.307Z

    #[track_caller]
    fn check(text: &str, since: &str, until: &str) {
        let shown = |time: Result<Timestamp, TimeError>| time.map_or_else(|_| "error".to_owned(), |t| t.to_string());
        assert_eq!(shown(parse_since(text, NOW)), since, "since {text:?}");
        assert_eq!(shown(parse_until(text, NOW)), until, "until {text:?}");
    }

    #[test]
    fn dates_count_whole_as_until() {
        check("2024-03-01", "2024-03-01T00:00:00.000Z", "2024-03-02T00:00:00.000Z");
        check("2024-02", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z");
        check("2024-12", "2024-12-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z");
        check("2024", "2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_are_moments() {
        check("2024-03-01T06:00", "2024-03-01T06:00:00.000Z", "2024-03-01T06:00:00.000Z");
        check("2024-03-01 06:00", "2024-03-01T06:00:00.000Z", "2024-03-01T06:00:00.000Z");
        check("2024-03-01T06:00:06.307Z", "2024-03-01T06:00:06.307Z", "2024-03-01T06:00:06.307Z");
        check("2024-03-01T06:00:06.3", "2024-03-01T06:00:06.300Z", "2024-03-01T06:00:06.300Z");
        check("2024-03-01T06:00:06.123456789Z", "2024-03-01T06:00:06.123Z", "2024-03-01T06:00:06.123Z");
        check("2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00.000Z", "2024-02-29T23:30:00.000Z");
        check("2024-03-01T23:30-0130", "2024-03-02T01:00:00.000Z", "2024-03-02T01:00:00.000Z");
    }

    #[test]
    fn distances_count_back_from_now() {
        check("-24h", "2024-02-29T06:00:06.307Z", "2024-02-29T06:00:06.307Z");
        check("-7d", "2024-02-23T06:00:06.307Z", "2024-02-23T06:00:06.307Z");
        check("-30m", "2024-03-01T05:30:06.307Z", "2024-03-01T05:30:06.307Z");
        check("now", "2024-03-01T06:00:06.307Z", "2024-03-01T06:00:06.307Z");
    }

    #[test]
    fn durations() {
        let lengths = ["30d", "2w", "12h", "1m", "90s", "0d"].map(|text| duration_ms(text).unwrap() / 1_000);
        assert_eq!(lengths, [2_592_000, 1_209_600, 43_200, 60, 90, 0]);
        for text in ["", "d", "-30d", "30", "30y", "1.5d", "30 d", "5é"] {
            assert!(duration_ms(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_no_time() {
        for text in [
            "",
            "-",
            "-h",
            "-5y",
            "24h",
            "-1234567890h",
            "-+5h",
            "2024-3-1",
            "2024-02-30",
            "2024-13",
            "24",
            "2024-03-01T",
            "2024-03-01T6",
            "2024-03-01T24:00",
            "2024-03-01T06:60",
            "2024-03-01T06:00:60",
            "2024-03T06:00",
            "2024-03-01T06:00+25:00",
            "2024-03-01T06:00+1é",
            "2024-03-01T06:00+",
            "-5é",
            "٢٠٢٤",
        ] {
            check(text, "error", "error");
        }
    }

    #[track_caller]
    fn check_times(text: &str, first: &str, last: &str) {
        let times = parse_times(text).map(|times| (times.start().to_string(), times.end().to_string()));
        assert_eq!(times, Some((first.to_owned(), last.to_owned())), "{text:?}");
    }

    #[test]
    fn values_cover_what_they_name() {
        check_times("2024-02", "2024-02-01T00:00:00.000Z", "2024-02-29T23:59:59.999Z");
        check_times("2024-03-01", "2024-03-01T00:00:00.000Z", "2024-03-01T23:59:59.999Z");
        check_times("2024-03-01T06:00", "2024-03-01T06:00:00.000Z", "2024-03-01T06:00:59.999Z");
        check_times("2024-03-01T06:00:06", "2024-03-01T06:00:06.000Z", "2024-03-01T06:00:06.999Z");
        check_times("2024-03-01T06:00:06.30", "2024-03-01T06:00:06.300Z", "2024-03-01T06:00:06.309Z");
        check_times("2024-03-01T06:00:06.307Z", "2024-03-01T06:00:06.307Z", "2024-03-01T06:00:06.307Z");
    }

    #[test]
    fn window_is_half_open() {
        let window = Window { since: Some(Timestamp(10)), until: Some(Timestamp(20)) };
        let inside: Vec<i64> = [9, 10, 19, 20].into_iter().filter(|&ms| window.contains(Timestamp(ms))).collect();
        assert_eq!(inside, [10, 19]);
        assert!(Window::default().contains(Timestamp(0)));
    }
}
