//! `csv`: comma-separated values (RFC 4180) with a header line, UTF-8, one record a line.
//!
//! Columns are all fields by their own names, in the order of the table in the crate's README. Lines end in LF, as most
//! programs write them, where the RFC has CRLF. A cell is empty if the event does not have the field. Lists are joined by
//! `;`.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, a tab or CR as a formula, and attackers write log
//! texts. Such a cell, and such an entry of a list, gets a `'` in front, and so does one with blanks before that. Only a
//! plain number like `-1.5` stays as it is.
//! A line end within a cell is written as the two letters `\n`, so that a record is a line for every tool; tabs stay, and
//! other control letters are blanks. A `\n` that the log has itself looks the same.

use csv_core::Writer;

use super::{Item, Sink};
use crate::{
    Field, Value,
    lines::{is_control, put_shortened},
};

/// Comma-separated values.
pub(super) struct Csv;

impl Sink for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn about(&self) -> &'static str {
        "comma-separated values for spreadsheets, one line an event"
    }

    fn extension(&self) -> &'static str {
        "csv"
    }

    fn header(&self, out: &mut Vec<u8>) {
        for (at, field) in Field::all().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(field.name().as_bytes());
        }
        out.push(b'\n');
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        let mut writer = Writer::new();
        let mut cell = String::new();
        for (at, field) in Field::all().enumerate() {
            cell.clear();
            match event.value(field) {
                Value::Text(text) => put_text(&text, &mut cell),
                Value::List(texts) => put_list(&texts, &mut cell),
                value => put_shortened(&value, &mut cell),
            }
            put_cell(&mut writer, at > 0, &cell, out);
        }
        let begin = out.len();
        out.push(0);
        let (_, written) = writer.finish(&mut out[begin..]);
        out.truncate(begin + written);
    }
}

/// Appends a cell, quoted if it has to be.
fn put_cell(writer: &mut Writer, follows: bool, cell: &str, out: &mut Vec<u8>) {
    let begin = out.len();
    // The quote and the comma before it, one that opens it, and every letter may be a quote, which is doubled.
    out.resize(begin + 3 + 2 * cell.len(), 0);
    let mut written = 0;
    if follows {
        written = writer.delimiter(&mut out[begin..]).1;
    }
    written += writer.field(cell.as_bytes(), &mut out[begin + written..]).2;
    out.truncate(begin + written);
}

fn put_list(texts: &[impl AsRef<str>], cell: &mut String) {
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            cell.push(';');
        }
        put_text(text.as_ref(), cell);
    }
}

/// Appends a text such that it is no formula and has no line end.
fn put_text(text: &str, cell: &mut String) {
    // Some programs drop blanks in front.
    let begin = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let is_formula = text.starts_with(['\t', '\r']) || begin.starts_with(['=', '+', '-', '@']);
    if is_formula && !is_plain_number(text) {
        cell.push('\'');
    }
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => cell.push_str("\\n"),
            '\t' => cell.push('\t'),
            c if is_control(c) => cell.push(' '),
            c => cell.push(c),
        }
    }
}

/// Digits with at most one point and one sign.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_formulas_and_no_lines() {
        let check = |text: &str, expected: &str| {
            let mut cell = String::new();
            put_text(text, &mut cell);
            assert_eq!(cell, expected, "{text:?}");
        };
        check("250 OK", "250 OK");
        check("=1+1", "'=1+1");
        check("@SUM(1)", "'@SUM(1)");
        check("+cmd|'/c calc'!A0", "'+cmd|'/c calc'!A0");
        check("-2+3", "'-2+3");
        check("-", "'-");
        check("\tx", "'\tx");
        check("\r=1", "'\\n=1");
        check(" \u{0}=1", "'  =1");
        check("-1", "-1");
        check("+1.5", "+1.5");
        check("-1.5.0", "'-1.5.0");
        check("-1.", "'-1.");
        check("a\r\nb\nc\rd\u{2028}e\u{85}", "a\\nb\\nc\\nd\\ne\\n");
        check("a\u{0}\u{1b}[31m\tb", "a  [31m\tb");
        let mut cell = String::new();
        put_list(&["=1", "b", "", "@c"], &mut cell);
        assert_eq!(cell, "'=1;b;;'@c");
    }
}
