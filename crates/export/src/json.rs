//! JSON, written straight into bytes: events have some forty keys each, and there are millions of them.

use std::io::Write;

use smtplog::{Timestamp, civil::DAY_MS};

use crate::Value;

/// Bytes that a string cannot simply be copied with: what JSON escapes, and the first bytes of what
/// [`escape_controls`] does.
static IS_SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        special[byte] = matches!(byte as u8, 0..0x20 | b'"' | b'\\' | 0x7f | 0xc2 | 0xe2);
        byte += 1;
    }
    special
};

/// Appends a text as a JSON string.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|byte| IS_SPECIAL[usize::from(byte)]) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let begin = out.len();
    // A vector takes whatever is written to it.
    let _ = serde_json::to_writer(&mut *out, text);
    escape_controls(out, begin);
}

/// Escapes in JSON what JSON allows and what a terminal or a line reader could take for a command or a line end: DEL, the
/// control letters of Unicode and its line separators.
pub(crate) fn escape_controls(out: &mut Vec<u8>, begin: usize) {
    // All of these begin with one of three bytes, which most texts have none of.
    if !out[begin..].iter().any(|byte| matches!(byte, 0x7f | 0xc2 | 0xe2)) {
        return;
    }
    let written = out.split_off(begin);
    for c in String::from_utf8_lossy(&written).chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a value; false, and nothing written, if there is none.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value<'_>) -> bool {
    match value {
        Value::None => return false,
        Value::Text(text) => put_string(out, text),
        Value::List(texts) => put_list(out, texts.iter().map(AsRef::as_ref)),
        Value::Long(number) => put_number(out, *number),
        Value::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        // What follows has no letter that JSON escapes.
        Value::Time(time) => put_time(out, *time),
        Value::Thumbprint(thumbprint) => put_hex(out, &thumbprint.0),
        Value::Hash(hash) => put_hex(out, &hash.to_be_bytes()),
        Value::Id(id) => drop(write!(out, "\"{id}\"")),
    }
    true
}

/// Appends bytes as a string of upper-case hex digits.
fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
    out.push(b'"');
}

/// Appends a time as a string, as [`Timestamp`] shows it: two or three stand in every event, and the formatter takes as
/// long as the rest of them.
fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    let (year, month, day) = time.date();
    if !(0..=9_999).contains(&year) {
        return drop(write!(out, "\"{time}\""));
    }
    let ms = time.0.rem_euclid(DAY_MS);
    let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
    let mut put = |end: usize, digits: usize, number: i64| {
        let mut number = number;
        for at in (end - digits..end).rev() {
            text[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(5, 4, year);
    put(8, 2, month);
    put(11, 2, day);
    put(14, 2, ms / 3_600_000);
    put(17, 2, ms / 60_000 % 60);
    put(20, 2, ms / 1_000 % 60);
    put(24, 3, ms % 1_000);
    out.extend_from_slice(&text);
}

/// Appends texts as a JSON array.
pub(crate) fn put_list<'a>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = &'a str>) {
    out.push(b'[');
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put_string(out, text);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back() {
        let texts =
            ["", "plain", "a\"b\\c\n\t\u{7f}\u{9b}31m\u{2028}\u{2029}", "\u{e9}\u{20ac}\u{1f600}", "\u{0}\u{c2}\u{85}"];
        for text in texts {
            let mut out = Vec::new();
            put_string(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains(|c: char| c.is_control() || c == '\u{2028}'), "{out:?}");
        }
    }

    #[test]
    fn times_and_hashes_are_as_they_show_themselves() {
        for ms in [0, -1, 1_709_251_227_531, 253_402_300_799_999, 253_402_300_800_000, i64::MIN / 2, 951_782_400_007] {
            let mut out = Vec::new();
            put_value(&mut out, &Value::Time(Timestamp(ms)));
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", Timestamp(ms)));
        }
        let mut out = Vec::new();
        put_value(&mut out, &Value::Hash(0x1F));
        assert_eq!(out, b"\"000000000000001F\"");
    }
}
