//! Durations as options have them: `500ms`, `30s`, `5m`, `24h`, `180d`, `26w`, or a bare number of seconds.

use std::time::Duration;

/// Units by their name; the longer names first.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Parses a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = if unit.is_empty() { "s" } else { unit };
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    let ms = unit_ms.zip(number.parse::<u64>().ok()).and_then(|(unit_ms, number)| number.checked_mul(unit_ms));
    ms.map(Duration::from_millis).ok_or_else(|| "write a number and ms, s, m, h, d or w, as in 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(parse(text).ok(), expected_ms.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn durations() {
        check("5", Some(5_000));
        check("0", Some(0));
        check("250ms", Some(250));
        check("30s", Some(30_000));
        check("5m", Some(300_000));
        check("24h", Some(86_400_000));
        check("180d", Some(15_552_000_000));
        check("2w", Some(1_209_600_000));
        for wrong in ["", "s", "-5", "5 s", "1.5h", "5y", "5sm", "99999999999999999999", "99999999999999999d", "５s"] {
            check(wrong, None);
        }
    }
}
