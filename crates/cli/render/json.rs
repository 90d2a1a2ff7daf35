//! JSON, one object a line (NDJSON).
//!
//! JSON itself escapes C0 only. What else a terminal acts on is written as `\u202e`, which means the same.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::escape::is_dangerous;

/// Writes a value and a line end.
pub(crate) fn write_line(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless(CompactFormatter)))?;
    writeln!(out)?;
    Ok(())
}

struct Harmless(CompactFormatter);

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_dangerous) {
            self.0.write_string_fragment(out, &rest[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                // None of them lies beyond the four digits.
                write!(out, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        self.0.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_harmless_and_mean_the_same() {
        let text = "a\u{202e}b\x1b\u{9b}\x7f\"\\\u{feff}Grüße";
        let mut line = Vec::new();
        write_line(&mut line, &text).unwrap();
        assert_eq!(String::from_utf8_lossy(&line), "\"a\\u202eb\\u001b\\u009b\\u007f\\\"\\\\\\ufeffGrüße\"\n");
        assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
    }
}
