//! Times of exports, where they are written unmistakably.
//!
//! Format-List and CSV write dates as the locale has them, in which day and month cannot be told apart, and without a
//! zone. Only two forms leave no doubt: that of JavaScript, `/Date(1675301001000)/`, and that of RFC 3339 with a zone,
//! `2022-03-23T18:00:30.5+01:00`.

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        // A zone behind the number says only in which the time was shown.
        Some(number) => number.split(['+', ' ']).next()?.parse().ok(),
        None => rfc_3339(text),
    }
}

fn rfc_3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let millisecond = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute - zone_minutes(zone)?) * 60 + second;
    Some(seconds * 1000 + millisecond)
}

/// Numbers of so many digits between the marks.
fn numbers(text: &str, mark: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut found = [0; 3];
    let mut parts = text.split(mark);
    for (number, length) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != length || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(found)
}

/// Minutes that the zone's clocks are ahead.
fn zone_minutes(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{rest}:0"), ':', [2, 2, 1])?;
    Some(sign * (hours * 60 + minutes))
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(moment(text), expected, "{text:?}");
    }

    #[test]
    fn moments() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2022-03-23T18:00:30+01:00", Some(1_648_054_830_000));
        check("2022-03-23T17:00:30Z", Some(1_648_054_830_000));
        check("2022-03-23T12:00:30.123456789-05:00", Some(1_648_054_830_123));
        check("2024-02-29T00:00:00.5Z", Some(1_709_164_800_500));
        check("1969-12-31T23:59:59Z", Some(-1_000));
        check("/Date(1675301001000)/", Some(1_675_301_001_000));
        check("/Date(-1000)/", Some(-1_000));
        check("/Date(1675301001000+0100)/", Some(1_675_301_001_000));
    }

    #[test]
    fn what_leaves_a_doubt_is_no_moment() {
        for text in [
            "02.02.2028 4:22:23",
            "12/02/2018 1:53:00 PM",
            "2022-03-23T18:00:30",
            "2022-03-23 18:00:30Z",
            "2022-13-23T18:00:30Z",
            "2022-03-23T25:00:30Z",
            "2022-03-23T18:00:30.5",
            "2022-3-23T18:00:30Z",
            "2022-03-23T18:00:30+1",
            "2022-03-23T18:00:30é",
            "/Date(x)/",
            "",
        ] {
            check(text, None);
        }
    }
}
