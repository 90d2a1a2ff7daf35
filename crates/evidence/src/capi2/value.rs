//! A value of an attribute or a text, as it stands in an event: decoded only if it is wanted.

use std::borrow::Cow;

use quick_xml::escape::unescape;

use super::time;

/// What stands in an attribute or between tags.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Text with references (`&amp;`) as XML has it.
    Escaped(&'a str),
    /// UTF-16, little-endian, as a binary log has it.
    Utf16(&'a [u8]),
    /// An unsigned number.
    Number(u64),
    /// A `FILETIME`.
    FileTime(u64),
    /// Of a type that none of the wanted values has.
    Other,
}

impl<'a> Value<'a> {
    /// As text.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self {
            Value::Text(text) => text.clone(),
            // A reference that is none of XML's own stays as it stands.
            Value::Escaped(text) => unescape(text).unwrap_or(Cow::Borrowed(text)),
            Value::Utf16(bytes) => Cow::Owned(utf16(bytes)),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::FileTime(_) | Value::Other => Cow::Borrowed(""),
        }
    }

    /// As text of its own; `None` if it is empty.
    pub(super) fn filled(&self) -> Option<String> {
        let text = self.text();
        (!text.trim().is_empty()).then(|| text.into_owned())
    }

    /// As a time: milliseconds since 1970.
    pub(super) fn time_ms(&self) -> Option<i64> {
        match self {
            Value::FileTime(filetime) => Some(time::of_filetime(*filetime)),
            _ => time::of_text(&self.text()),
        }
    }

    /// As a hexadecimal number, as CAPI2 writes results and masks.
    pub(super) fn hex(&self) -> Option<u32> {
        match self {
            Value::Number(number) => u32::try_from(*number).ok(),
            _ => hex(&self.text()),
        }
    }
}

fn hex(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Nearly all texts of a log are ASCII, and to decode those character by character took a quarter of the whole time.
fn utf16(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0;
    let mut text = match units.iter().all(|[low, high]| low.is_ascii() && *high == 0) {
        true => units.iter().map(|[low, _]| char::from(*low)).collect(),
        false => characters(units),
    };
    // Strings of a binary log may bring their terminator.
    text.truncate(text.trim_end_matches('\0').len());
    text
}

fn characters(units: &[[u8; 2]]) -> String {
    let characters = char::decode_utf16(units.iter().copied().map(u16::from_le_bytes));
    characters.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &Value<'_>, text: &str) {
        assert_eq!(value.text(), text, "{value:?}");
        assert_eq!(value.filled().unwrap_or_default(), text, "{value:?}");
    }

    #[test]
    fn texts() {
        check(&Value::Text("a&amp;b".into()), "a&amp;b");
        check(&Value::Escaped("a&amp;b&#x2F;&lt;"), "a&b/<");
        check(&Value::Escaped("&bomb;"), "&bomb;");
        check(&Value::Escaped("R&D"), "R&D");
        check(&Value::Utf16(b"a\0b\0\0\0"), "ab");
        check(&Value::Utf16(b"a\0\xF6\0\0\0"), "aö");
        check(&Value::Utf16(b"\x3D\xD8\x00\xDE"), "\u{1F600}");
        check(&Value::Utf16(b"a\0\x00\xD8b"), "a\u{FFFD}");
        check(&Value::Number(53), "53");
        check(&Value::Other, "");
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("800B0109", Some(0x800B_0109)),
            (" 0x800b0109\r\n", Some(0x800B_0109)),
            ("", None),
            ("+1", None),
            ("800B01090", None),
            ("CERT_E_UNTRUSTEDROOT", None),
        ] {
            assert_eq!(Value::Escaped(text).hex(), expected, "{text:?}");
        }
        assert_eq!(Value::Number(0x800B_0109).hex(), Some(0x800B_0109));
        assert_eq!(Value::Number(1 << 32).hex(), None);
    }

    #[test]
    fn times() {
        assert_eq!(Value::FileTime(131_396_329_560_000_000).time_ms(), Some(1_495_159_356_000));
        assert_eq!(Value::Escaped("2017-05-19T02:02:36Z").time_ms(), Some(1_495_159_356_000));
        assert_eq!(Value::Number(1).time_ms(), None);
    }
}
