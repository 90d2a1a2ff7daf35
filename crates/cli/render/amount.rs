//! Amounts as people read them: `225,000`, `1.05 GB`, `412 MB/s`, `3.9 s`.

use std::time::Duration;

/// A count with its thousands apart.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let first = (digits.len() + 2) % 3 + 1;
    let mut grouped = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        grouped.push(',');
        grouped.extend(group.iter().map(|&digit| char::from(digit)));
    }
    grouped
}

/// A count and its noun: `1 file`, `2 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Bytes with three significant digits, in powers of ten as disks and networks are measured.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1e3;
    let mut unit = 0;
    // What would be rounded to 1000 belongs to the next unit.
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1e3;
        unit += 1;
    }
    format!("{} {}", significant(amount), UNITS[unit])
}

/// Bytes a second.
pub(crate) fn rate(byte_count: u64, time: Duration) -> String {
    format!("{}/s", bytes((byte_count as f64 / time.as_secs_f64().max(1e-9)) as u64))
}

/// A time span.
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 if time.as_millis() < 10 => format!("{} ms", significant(time.as_secs_f64() * 1e3)),
        0..=119 => format!("{} s", significant(time.as_secs_f64())),
        all => format!("{} min {} s", all / 60, all % 60),
    }
}

fn significant(amount: f64) -> String {
    match amount {
        ..9.995 => format!("{amount:.2}"),
        ..99.95 => format!("{amount:.1}"),
        _ => format!("{amount:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let counts = [0, 7, 999, 1_000, 225_000, 1_234_567, u64::MAX].map(count);
        let expected = ["0", "7", "999", "1,000", "225,000", "1,234,567", "18,446,744,073,709,551,615"];
        assert_eq!(counts, expected);
        assert_eq!([counted(0, "file"), counted(1, "file"), counted(2, "file")], ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn sizes() {
        let sizes = [0, 999, 1_000, 9_999, 97_100_000, 999_600_000, 1_050_000_000, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.00 kB", "10.0 kB", "97.1 MB", "1.00 GB", "1.05 GB", "18.4 EB"]);
    }

    #[test]
    fn times() {
        let times = [0, 3, 3_900, 61_000, 125_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(times, ["0.00 ms", "3.00 ms", "3.90 s", "61.0 s", "2 min 5 s"]);
        assert_eq!(rate(1_000_000, Duration::from_millis(500)), "2.00 MB/s");
    }
}
