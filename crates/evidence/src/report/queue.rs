//! Last errors of a queue: `[{LED=451 4.4.395 ...};{MSG=};{FQDN=host};{IP=};{LRT=5/2/2019 6:32:14 AM}]`.
//!
//! The order of the fields changed over the years, copies wrap them, and retyped ones have other brackets.
//! Format-List breaks a record at the console's width, even inside of words, and indents what follows.

use std::borrow::Cow;

use super::{Found, reply};

/// Widths of the lines that a console of 80 or 120 columns breaks.
const CONSOLE_WIDTHS: [usize; 4] = [79, 80, 119, 120];

/// Bytes of a record that are looked at: those that end are far shorter.
const RECORD_BYTES_MAX: usize = 8 << 10;

/// Reads the records, and returns the text without their replies.
pub(super) fn read(text: &str, found: &mut Found) -> String {
    let text = &*unwrapped(text);
    // Only ASCII changes, so places are the same in both.
    let lower = text.to_ascii_lowercase();
    let mut rest = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(begin) = next(&lower, at) {
        let value = begin + "{led=".len();
        let end = value_end(&lower, begin, value);
        let record = record(&lower, at, begin, end);
        error(&text[value..end], &text[record.0..record.1], &lower[record.0..record.1], found);
        rest.push_str(&text[at..begin]);
        at = end;
    }
    rest.push_str(&text[at..]);
    rest
}

/// The text with each record on one line.
fn unwrapped(text: &str) -> Cow<'_, str> {
    let mut lines = text.lines().peekable();
    let mut joined = String::with_capacity(text.len());
    while let Some(line) = lines.next() {
        let mut parts = vec![line.trim_end()];
        while parts.iter().any(|part| has_error(part)) && !parts.last().is_some_and(|last| last.ends_with("}]")) {
            let is_rest = |line: &&str| line.starts_with([' ', '\t']) && !line.trim().is_empty();
            let Some(more) = lines.next_if(is_rest) else { break };
            parts.push(more.trim_end());
        }
        join(&parts, &mut joined);
        joined.push('\n');
    }
    match has_error(text) {
        true => joined.into(),
        false => text.into(),
    }
}

fn has_error(text: &str) -> bool {
    next(&text.to_ascii_lowercase(), 0).is_some()
}

/// Joins the lines of a record. One as wide as the console was broken inside of a word; between words the blank is lost.
fn join(parts: &[&str], joined: &mut String) {
    let width = |part: &str| part.chars().count();
    let wrapped = &parts[..parts.len().saturating_sub(1)];
    let full = wrapped.iter().map(|part| width(part)).max().unwrap_or(0);
    let is_known = CONSOLE_WIDTHS.contains(&full) || wrapped.iter().filter(|part| width(part) == full).count() > 1;
    for (at, part) in parts.iter().enumerate() {
        joined.push_str(if at == 0 { part } else { part.trim_start() });
        if at < wrapped.len() && !(is_known && width(part) == full) {
            joined.push(' ');
        }
    }
}

/// Where the next error begins: `{led=`, or `<led-` as somebody read it.
fn next(lower: &str, from: usize) -> Option<usize> {
    let mut begins = lower[from..].match_indices("led").map(|(at, _)| from + at);
    let begin = begins.find(|at| {
        let before = at.checked_sub(1).and_then(|before| lower.as_bytes().get(before));
        let after = lower.as_bytes().get(at + 3);
        matches!(before, Some(b'{' | b'<' | b'(')) && *at > from && matches!(after, Some(b'=' | b'-' | b':'))
    });
    begin.map(|at| at - 1)
}

/// Where its value ends: at the bracket that fits its first one.
fn value_end(lower: &str, begin: usize, value: usize) -> usize {
    let close = match lower.as_bytes()[begin] {
        b'{' => '}',
        b'<' => '>',
        _ => ')',
    };
    let limit = lower.floor_char_boundary(value + RECORD_BYTES_MAX);
    let next = next(lower, value).unwrap_or(limit).min(limit);
    let ends = lower[value..next].match_indices(close).map(|(at, _)| value + at);
    // `<https://...>` within a reply does not end it, for no other field follows.
    let is_end = |at: &usize| close == '}' || lower[at + 1..].starts_with([';', ']']) || lower[at + 1..].is_empty();
    ends.into_iter().find(is_end).unwrap_or(next)
}

/// The record round an error: from its opening bracket, after the last record, to its closing one.
fn record(lower: &str, from: usize, begin: usize, end: usize) -> (usize, usize) {
    let near = lower.ceil_char_boundary(begin.saturating_sub(RECORD_BYTES_MAX)).max(from);
    let first = lower[near..begin].rfind('[').map_or(begin, |at| near + at);
    let limit = lower.floor_char_boundary(end + RECORD_BYTES_MAX);
    let last = lower[end..limit].find(']').map_or(limit, |at| end + at);
    let next = next(lower, end).unwrap_or(last);
    (first, last.min(next).max(end))
}

fn error(value: &str, record: &str, lower: &str, found: &mut Found) {
    let value = value.trim();
    let Some(head) = reply::head(value, 0).or_else(|| reply::find(value, 0)) else {
        return;
    };
    let mut attempts = reply::attempts(&head, &value[head.end..]);
    let host = field(record, lower, "fqdn").map(str::to_owned);
    let ip = field(record, lower, "ip").map(reply::without_port);
    // A misread `LRT` is a date in the right place.
    let time = field(record, lower, "lrt").or_else(|| field(record, lower, "lri")).map(str::to_owned);
    for attempt in &mut attempts {
        attempt.host = host.clone().or(attempt.host.take());
        attempt.ip = ip.clone().or(attempt.ip.take());
        attempt.time_text.clone_from(&time);
    }
    found.error(attempts);
}

/// The value of a field, if it has one.
fn field<'a>(record: &'a str, lower: &str, name: &str) -> Option<&'a str> {
    let mut places = lower.match_indices(name).map(|(at, _)| at);
    let begin = places.find(|at| {
        let before = at.checked_sub(1).and_then(|before| lower.as_bytes().get(before));
        let after = lower.as_bytes().get(at + name.len());
        matches!(before, Some(b'{' | b'<' | b'(')) && matches!(after, Some(b'=' | b'-' | b':'))
    })?;
    let value = &record[begin + name.len() + 1..];
    let value = value.split(['}', '>', ')', ';']).next().unwrap_or(value).trim();
    (!value.is_empty()).then_some(value)
}
