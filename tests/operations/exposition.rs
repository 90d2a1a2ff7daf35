//! A strict reader of Prometheus' text exposition format: what it accepts, any collector does.

use std::collections::{BTreeMap, BTreeSet};

/// A name and labels, these in the order of the text.
pub(crate) type Series = (String, Vec<(String, String)>);

/// Samples by their series.
pub(crate) type Samples = BTreeMap<Series, f64>;

/// The samples of a text, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Samples, String> {
    let mut samples = Samples::new();
    let mut seen = BTreeSet::new();
    let mut lines = text.lines().peekable();
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    while let Some(line) = lines.next() {
        let (name, help) = comment(line, "HELP")?;
        let (typed, kind) = comment(lines.next().unwrap_or_default(), "TYPE")?;
        let is_counter = match kind {
            "counter" => true,
            "gauge" => false,
            _ => return Err(format!("{kind} is no type")),
        };
        let is_sound = typed == name && !help.is_empty() && is_name(name) && is_counter == name.ends_with("_total");
        if !is_sound || !seen.insert(name.to_owned()) {
            return Err(format!("{name}: wrong head"));
        }
        let before = samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = sample(line).ok_or_else(|| format!("{line}: no sample"))?;
            if series.0 != name || samples.insert(series, value).is_some() {
                return Err(format!("{line}: out of place"));
            }
        }
        if samples.len() == before {
            return Err(format!("{name}: no samples"));
        }
    }
    Ok(samples)
}

fn comment<'t>(line: &'t str, word: &str) -> Result<(&'t str, &'t str), String> {
    let rest = line.strip_prefix("# ").and_then(|line| line.strip_prefix(word)).and_then(|rest| rest.strip_prefix(' '));
    rest.and_then(|rest| rest.split_once(' ')).ok_or_else(|| format!("{line}: expected {word}"))
}

fn is_name(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with("smtptrail_") && name.chars().all(of_name)
}

fn sample(line: &str) -> Option<(Series, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"")?;
            if !label.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                return None;
            }
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => inside = next,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ')?;
    // No timestamp behind it: the node exporter refuses those.
    let is_number = value.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-'));
    Some(((name.to_owned(), labels), value.parse().ok().filter(|_| is_number)?))
}

/// A quoted text up to its end, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                '\\' => '\\',
                '"' => '"',
                'n' => '\n',
                _ => return None,
            }),
            (_, other) => value.push(other),
        }
    }
}

#[test]
fn the_reader_is_strict() {
    let head = "# HELP smtptrail_a Some text.\n# TYPE smtptrail_a gauge\n";
    let good = format!("{head}smtptrail_a{{x=\"a\\\"\\\\\\n\",y=\"\"}} 1.5\nsmtptrail_a 2\n");
    let samples = parse(&good).unwrap();
    let labels = vec![("x".to_owned(), "a\"\\\n".to_owned()), ("y".to_owned(), String::new())];
    assert_eq!(samples[&("smtptrail_a".to_owned(), labels)], 1.5);
    for bad in [
        head.to_owned(),
        format!("{head}smtptrail_a 1"),
        format!("{head}smtptrail_b 1\n"),
        format!("{head}smtptrail_a 1 1700000000\n"),
        format!("{head}smtptrail_a 1\nsmtptrail_a 2\n"),
        format!("{head}smtptrail_a{{x=\"\\t\"}} 1\n"),
        format!("{head}smtptrail_a{{x=\"a\"b\"}} 1\n"),
        format!("{head}smtptrail_a 1\n\n"),
        format!("{head}smtptrail_a 1\n{head}smtptrail_a 1\n"),
        "smtptrail_a 1\n".to_owned(),
        "# HELP smtptrail_a_total Text.\n# TYPE smtptrail_a_total gauge\nsmtptrail_a_total 1\n".to_owned(),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
