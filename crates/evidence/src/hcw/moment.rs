//! Times as the wizard writes them.
//!
//! All are local. A millisecond since 1970 comes of one only where its zone is certain, which is UTC alone: the log
//! names its zone in the language of Windows and without an offset, and daylight saving is not told at all.

use jiff::{civil, tz::TimeZone};

/// Windows' names of UTC: English, German, French.
const UTC: [&str; 5] = [
    "Coordinated Universal Time",
    "(UTC) Coordinated Universal Time",
    "UTC",
    "Koordinierte Weltzeit",
    "Temps universel coordonné",
];

/// Characters of the longest date or time of day.
const PART_LENGTH_MAX: usize = 12;

/// Whether the zone of that name is UTC.
pub(super) fn is_utc(zone: &str) -> bool {
    UTC.iter().any(|name| name.eq_ignore_ascii_case(zone))
}

/// Parts `2022.02.19 03:24:02.871` from what follows it. A copy may have lost the first digit: `017.10.23`.
pub(super) fn stamp(line: &str) -> Option<(&str, &str)> {
    let (date, rest) = line.split_once(' ')?;
    let time = rest.split(' ').next().unwrap_or(rest);
    if date.len() > PART_LENGTH_MAX || time.len() > PART_LENGTH_MAX {
        return None;
    }
    let is_stamp = date.matches('.').count() == 2 && time.matches(':').count() == 2;
    let is_digits = |text: &str, marks: &[char]| text.split(marks).all(is_number);
    if !is_stamp || !is_digits(date, &['.']) || !is_digits(time, &[':', '.']) {
        return None;
    }
    let end = date.len() + 1 + time.len();
    Some((&line[..end], &line[end..]))
}

/// The time of a stamp of the `.log`, as if it were UTC.
pub(super) fn log_ms(stamp: &str) -> Option<i64> {
    let [year, month, day, hour, minute, second, millisecond] = numbers(stamp)?;
    // The wizard is of this century, so a lost first digit was a 2.
    let year = if stamp.find('.') == Some(3) { 2000 + year } else { year };
    milliseconds(civil_date(year, month, day)?, [hour, minute, second, millisecond])
}

/// The time of `02/19/2022 03:26:39.61`, as if it were UTC. Months come first, and milliseconds have no leading
/// zeros: `.61` is 61 of them.
pub(super) fn xhcw_ms(start: &str) -> Option<i64> {
    let [month, day, year, hour, minute, second, millisecond] = numbers(start)?;
    milliseconds(civil_date(year, month, day)?, [hour, minute, second, millisecond])
}

/// A date of the table of certificates: `7/23/2021 12:00:00 AM +00:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableDate {
    parts: [i32; 3],
    order: Option<Order>,
    time: [i32; 4],
    offset_minutes: i32,
}

/// Which part of a date is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
}

impl TableDate {
    /// Reads one; `None` if it is no date with its offset from UTC.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (date, time) = (words.next()?, words.next()?);
        let mut offset = words.next()?;
        let half = ["AM", "PM"].iter().position(|half| half.eq_ignore_ascii_case(offset));
        if half.is_some() {
            offset = words.next()?;
        }
        let parts = three(date, &['/', '.', '-'])?;
        let [hour, minute, second] = three(time, &[':'])?;
        let hour = match half {
            Some(half) => hour % 12 + 12 * half as i32,
            None => hour,
        };
        let order = order(date, parts);
        Some(TableDate { parts, order, time: [hour, minute, second, 0], offset_minutes: offset_minutes(offset)? })
    }

    /// The order of its parts, if its own text proves it.
    pub(super) fn order(&self) -> Option<Order> {
        self.order
    }

    /// The time, its parts being in this order.
    pub(super) fn ms(&self, order: Order) -> Option<i64> {
        let [first, second, third] = self.parts;
        let date = match order {
            Order::MonthDayYear => civil_date(third, first, second),
            Order::DayMonthYear => civil_date(third, second, first),
            Order::YearMonthDay => civil_date(first, second, third),
        };
        Some(milliseconds(date?, self.time)? - i64::from(self.offset_minutes) * 60_000)
    }
}

/// `07.08.2021` has its day first in every locale that writes dots; with slashes only a day after the 12th tells.
fn order(date: &str, [first, second, _]: [i32; 3]) -> Option<Order> {
    match first {
        32.. => Some(Order::YearMonthDay),
        _ if date.contains('.') || first > 12 => Some(Order::DayMonthYear),
        _ if second > 12 => Some(Order::MonthDayYear),
        _ => None,
    }
}

/// `+02:00`.
fn offset_minutes(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    Some(sign * (number(hours)? * 60 + number(minutes)?))
}

fn milliseconds(date: civil::Date, [hour, minute, second, millisecond]: [i32; 4]) -> Option<i64> {
    let small = |number: i32| i8::try_from(number).ok();
    let nanosecond = millisecond.checked_mul(1_000_000)?;
    let time = civil::Time::new(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()?;
    Some(date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn civil_date(year: i32, month: i32, day: i32) -> Option<civil::Date> {
    civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// The seven numbers of a date and a time of day; without its last, that is 0.
fn numbers(text: &str) -> Option<[i32; 7]> {
    let mut numbers = [0; 7];
    let mut parts = text.split(['.', '/', ' ', ':']);
    for (at, place) in numbers.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *place = number(part)?,
            None if at == 6 => {}
            None => return None,
        }
    }
    parts.next().is_none().then_some(numbers)
}

fn three(text: &str, marks: &[char]) -> Option<[i32; 3]> {
    let mut parts = text.split(marks).map(number);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str) -> Option<i32> {
    is_number(text).then(|| text.parse().ok()).flatten()
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Option<i64>, expected: Option<&str>) {
        let expected = expected.map(|text| text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(found, expected);
    }

    #[test]
    fn stamps_are_parted_from_the_line() {
        let check = |line, expected| assert_eq!(stamp(line), expected, "{line:?}");
        check("2022.02.19 03:24:02.871  x", Some(("2022.02.19 03:24:02.871", "  x")));
        check("017.10.23 11:39:51.552 10276", Some(("017.10.23 11:39:51.552", " 10276")));
        check("2022.02.19 03:24:02", Some(("2022.02.19 03:24:02", "")));
        check("2022.02.19 10276 [", None);
        check("ERROR 10277 [", None);
        check("", None);
    }

    #[test]
    fn times_of_both_logs() {
        check(log_ms("2022.02.19 03:24:02.871"), Some("2022-02-19T03:24:02.871Z"));
        check(log_ms("017.10.23 11:39:51.552"), Some("2017-10-23T11:39:51.552Z"));
        check(log_ms("2022.02.30 03:24:02.871"), None);
        check(log_ms("2022.02.19 03:24:02.9999"), None);
        check(log_ms(""), None);
        check(xhcw_ms("02/19/2022 03:26:39.61"), Some("2022-02-19T03:26:39.061Z"));
        check(xhcw_ms("02/19/2022 03:26:39"), Some("2022-02-19T03:26:39Z"));
        check(xhcw_ms("19/02/2022 03:26:39"), None);
    }

    #[test]
    fn dates_of_certificates_say_their_order_or_not() {
        let order = |text| TableDate::new(text).and_then(|date| date.order());
        assert_eq!(order("7/23/2021 12:00:00 AM +00:00"), Some(Order::MonthDayYear));
        assert_eq!(order("23/7/2021 12:00:00 AM +00:00"), Some(Order::DayMonthYear));
        assert_eq!(order("07.08.2021 00:00:00 +02:00"), Some(Order::DayMonthYear));
        assert_eq!(order("2021-08-07 00:00:00 +00:00"), Some(Order::YearMonthDay));
        assert_eq!(order("7/8/2021 12:00:00 AM +00:00"), None);
        assert_eq!(TableDate::new("7/23/2021 12:00:00 AM"), None);
        let ms = |text, order| TableDate::new(text).and_then(|date| date.ms(order));
        check(ms("7/23/2021 12:00:00 AM +00:00", Order::MonthDayYear), Some("2021-07-23T00:00:00Z"));
        check(ms("7/8/2021 11:59:59 PM +02:00", Order::DayMonthYear), Some("2021-08-07T21:59:59Z"));
        check(ms("12/1/2021 12:30:00 PM +00:00", Order::MonthDayYear), Some("2021-12-01T12:30:00Z"));
        check(ms("13/1/2021 12:30:00 PM +00:00", Order::MonthDayYear), None);
    }

    #[test]
    fn only_utc_is_a_certain_zone() {
        assert!(is_utc("Coordinated Universal Time") && is_utc("utc"));
        assert!(!is_utc("GMT Standard Time") && !is_utc("Central European Standard Time"));
    }
}
