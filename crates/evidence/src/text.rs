//! Text of exports: UTF-8 or UTF-16, with or without a byte order mark.
//!
//! Windows PowerShell 5.1 writes UTF-16 with a mark where PowerShell 7 writes UTF-8 without, so the encoding is told
//! from the bytes. What is not valid becomes U+FFFD: an export with one bad byte is still an export.

use std::borrow::Cow;

/// Text, and how its places map to the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text without a byte order mark.
    pub text: Cow<'a, str>,
    encoding: Encoding,
    /// Bytes of the mark.
    mark: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { big_endian: bool },
}

/// Decodes a file, or its beginning.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (encoding, mark) = encoding(bytes);
    let rest = &bytes[mark..];
    let text = match encoding {
        Encoding::Utf8 => String::from_utf8_lossy(rest),
        Encoding::Utf16 { big_endian } => Cow::Owned(utf16(rest, big_endian)),
    };
    Decoded { text, encoding, mark }
}

/// The file's bytes of places in a text, asked for in rising order: each is counted on from the one before, so that a
/// file of many objects is walked once.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    decoded: &'a Decoded<'a>,
    at: usize,
    offset: u64,
}

impl Places<'_> {
    /// The file's byte at which the text's byte `at` lies, as [`Decoded::offset`] says it.
    pub fn offset(&mut self, at: usize) -> u64 {
        let text: &str = &self.decoded.text;
        match text.get(self.at..at) {
            Some(between) => self.offset += self.decoded.encoding.bytes(between),
            None => self.offset = self.decoded.offset(at), // Back, or not a character's place.
        }
        self.at = at.min(text.len());
        self.offset
    }
}

impl Decoded<'_> {
    /// Places in it, from its beginning.
    pub fn places(&self) -> Places<'_> {
        Places { decoded: self, at: 0, offset: self.mark as u64 }
    }

    /// The file's byte at which the text's byte `at` lies. In a file that is not valid UTF-8 it can be off by the bytes
    /// that were replaced before it.
    pub fn offset(&self, at: usize) -> u64 {
        let before = self.text.get(..at).unwrap_or(&self.text);
        self.mark as u64 + self.encoding.bytes(before)
    }
}

impl Encoding {
    /// Bytes of a file that has the text in this encoding.
    fn bytes(self, text: &str) -> u64 {
        match self {
            Encoding::Utf8 => text.len() as u64,
            Encoding::Utf16 { .. } => 2 * text.chars().map(char::len_utf16).sum::<usize>() as u64,
        }
    }
}

fn encoding(bytes: &[u8]) -> (Encoding, usize) {
    match bytes {
        [0xEF, 0xBB, 0xBF, ..] => (Encoding::Utf8, 3),
        [0xFF, 0xFE, ..] => (Encoding::Utf16 { big_endian: false }, 2),
        [0xFE, 0xFF, ..] => (Encoding::Utf16 { big_endian: true }, 2),
        // The first characters of every export are ASCII.
        [1..=255, 0, 1..=255, 0, ..] => (Encoding::Utf16 { big_endian: false }, 0),
        [0, 1..=255, 0, 1..=255, ..] => (Encoding::Utf16 { big_endian: true }, 0),
        _ => (Encoding::Utf8, 0),
    }
}

fn utf16(bytes: &[u8], big_endian: bool) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match big_endian {
        true => u16::from_be_bytes([pair[0], pair[1]]),
        false => u16::from_le_bytes([pair[0], pair[1]]),
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str, offset_of_last: u64) {
        let decoded = decode(bytes);
        assert_eq!(decoded.text, expected, "{bytes:?}");
        let last = decoded.text.char_indices().last().map_or(0, |(at, _)| at);
        assert_eq!(decoded.offset(last), offset_of_last, "{bytes:?}");
        let mut places = decoded.places();
        for (at, _) in decoded.text.char_indices().chain([(0, '\0')]) {
            assert_eq!(places.offset(at), decoded.offset(at), "{bytes:?} at {at}");
        }
    }

    #[test]
    fn encodings() {
        check(b"Name", "Name", 3);
        check(b"\xEF\xBB\xBFName", "Name", 6);
        check(b"\xFF\xFEN\0a\0", "Na", 4);
        check(b"\xFE\xFF\0N\0a", "Na", 4);
        check(b"N\0a\0m\0", "Nam", 4);
        check(b"\0N\0a\0m", "Nam", 4);
        check("Köln".as_bytes(), "Köln", 4);
        check(b"\xFF\xFE\x3D\xD8\x00\xDEx\0", "\u{1F600}x", 6);
        check(b"\xFF\xFEN\0\x00\xD8", "N\u{FFFD}", 4); // half a pair
        check(b"\xFF\xFEN\0a", "N", 2); // cut within a unit
        check(b"", "", 0);
    }
}
