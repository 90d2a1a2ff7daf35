//! Thumbprints: the SHA-1 of a certificate's DER, as Windows names certificates.
//!
//! `97355AF6DC2629ECCB2289C931D706332F3CF022`. Copies from the certificate dialog carry blanks,
//! colons, lower case or a leading U+200E (FORMATS 5.2).

use std::fmt;

/// SHA-1 of a certificate's DER, 20 bytes; shown as 40 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(pub [u8; 20]);

impl Thumbprint {
    /// Exactly 40 hex digits, as a log writes them. Odd lengths occur in anonymised logs and are no thumbprint.
    pub fn from_hex(hex: &[u8]) -> Option<Thumbprint> {
        if hex.len() != 40 {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Thumbprint(bytes))
    }

    /// What a person pastes: any case, with blanks, colons, dashes or invisible direction marks between the digits.
    pub fn from_paste(text: &str) -> Option<Thumbprint> {
        let digits = hex_digits_of_paste(text)?;
        Thumbprint::from_hex(digits.as_bytes())
    }
}

/// The upper-case hex digits of a pasted thumbprint or of the beginning of one; `None` if anything else is in it.
pub fn hex_digits_of_paste(text: &str) -> Option<String> {
    let is_noise = |c: char| c.is_whitespace() || matches!(c, ':' | '-' | '\u{200e}' | '\u{200f}' | '\u{feff}');
    let digits: String = text.chars().filter(|&c| !is_noise(c)).map(|c| c.to_ascii_uppercase()).collect();
    let valid = !digits.is_empty() && digits.len() <= 40 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then_some(digits)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut hex = [0; 40];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Thumbprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

    #[track_caller]
    fn check(pasted: &str, expected: Option<&str>) {
        let thumbprint = Thumbprint::from_paste(pasted).map(|t| t.to_string());
        assert_eq!(thumbprint.as_deref(), expected, "{pasted:?}");
    }

    #[test]
    fn pastes() {
        check(HEX, Some(HEX));
        check("97355af6dc2629eccb2289c931d706332f3cf022", Some(HEX));
        check("\u{200e}97 35 5a f6 dc 26 29 ec cb 22 89 c9 31 d7 06 33 2f 3c f0 22", Some(HEX));
        check("97:35:5A:F6:DC:26:29:EC:CB:22:89:C9:31:D7:06:33:2F:3C:F0:22", Some(HEX));
        check("97355AF6DC2629ECCB2289C931D706332F3CF02", None); // 39 digits
        check("97355AF6DC2629ECCB2289C931D706332F3CF0222", None); // 41 digits
        check("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", None); // masked
        check("", None);
    }
}
