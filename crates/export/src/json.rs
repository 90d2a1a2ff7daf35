//! JSON, written straight into bytes: events have some forty keys each, and there are millions of them.

use std::io::Write;

use crate::Value;

/// Appends a text as a JSON string.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
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
        Value::Time(time) => drop(write!(out, "\"{time}\"")),
        Value::Thumbprint(thumbprint) => drop(write!(out, "\"{thumbprint}\"")),
        Value::Hash(hash) => drop(write!(out, "\"{hash:016X}\"")),
        Value::Id(id) => drop(write!(out, "\"{id}\"")),
    }
    true
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
}
