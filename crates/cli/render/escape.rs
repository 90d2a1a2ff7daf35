//! Escapes: log text is chosen by SMTP peers, so nothing in it may move the cursor, change colors or reorder a line.
//!
//! `\x1b[2J` in a HELO name is printed as `\x1b[2J`, U+202E as `\u202e`.

use std::fmt::{self, Write};

/// A text as a terminal may see it.
pub(crate) struct Escaped<'a> {
    text: &'a str,
    keeps_line_ends: bool,
}

impl<'a> Escaped<'a> {
    /// A text that stays on one line.
    pub(crate) fn line(text: &'a str) -> Escaped<'a> {
        Escaped { text, keeps_line_ends: false }
    }

    /// A text of ours whose line ends are meant.
    pub(crate) fn lines(text: &'a str) -> Escaped<'a> {
        Escaped { text, keeps_line_ends: true }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some(at) = rest.find(is_dangerous) {
            f.write_str(&rest[..at])?;
            let mut chars = rest[at..].chars();
            match chars.next() {
                Some('\n') if self.keeps_line_ends => f.write_char('\n')?,
                Some(c) => write_escape(f, c)?,
                None => {}
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// C0, DEL and C1 controls; marks that change the direction of text or break lines; an invisible byte order mark.
pub(crate) fn is_dangerous(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn write_escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\t' => f.write_str("\\t"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        c if u32::from(c) < 0x100 => write!(f, "\\x{:02x}", u32::from(c)),
        c => write!(f, "\\u{:04x}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Escaped::line(text).to_string(), expected, "{text:?}");
    }

    #[test]
    fn nothing_reaches_the_terminal_that_is_not_text() {
        check("mail.contoso.com", "mail.contoso.com");
        check("Grüße, 世界 \\x1b", "Grüße, 世界 \\x1b");
        check("\x1b[2J\x07", "\\x1b[2J\\x07");
        check("a\u{9b}31mb\x7f", "a\\x9b31mb\\x7f"); // C1: the one-byte CSI
        check("exe\u{202e}cod", "exe\\u202ecod");
        check("\u{2066}x\u{2069}\u{200e}\u{200f}", "\\u2066x\\u2069\\u200e\\u200f");
        check("two\r\nlines\tand a tab\0", "two\\r\\nlines\\tand a tab\\x00");
    }

    #[test]
    fn line_ends_of_ours_stay() {
        assert_eq!(Escaped::lines("a\nb\r").to_string(), "a\nb\\r");
    }
}
