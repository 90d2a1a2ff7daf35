//! The words and signs of a query.
//!
//! What a character means depends on where it stands: `-` negates in front of a term but belongs to `-24h` behind a
//! field, and `:` ends a field's name but belongs to `10.0.0.1:25` and `2001:db8::5`.

use std::ops::Range;

use smtplog::hex_digits_of_paste;

use super::{Network, Place, Problem, QueryError, split_endpoint};

/// A word or sign, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: Range<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A name and the `:` behind it.
    Field(String),
    Word(Word),
    Range(Word, Word),
}

/// A word or a quoted text, its escapes resolved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Word {
    /// Without quotes, and without the `*` behind a closing quote.
    pub(super) text: String,
    /// Whether it was in quotes, so that its characters are only characters.
    pub(super) quoted: bool,
    /// Whether a `*` stands behind the closing quote.
    pub(super) prefix: bool,
    /// Where in `text` and in the query each unquoted `*` stands.
    pub(super) stars: Vec<(usize, usize)>,
    pub(super) at: Place,
}

/// Cuts a query into its words and signs.
pub(super) fn lex(query: &str) -> Result<Vec<Token>, QueryError> {
    let mut lexer = Lexer { query, pos: 0, after_field: false };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        lexer.after_field = matches!(token.kind, TokenKind::Field(_));
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'q> {
    query: &'q str,
    pos: usize,
    /// Whether the last token was a field, so that this one is its value whatever it looks like.
    after_field: bool,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Option<Token>, QueryError> {
        self.pos += self.rest().len() - self.rest().trim_start_matches(is_blank).len();
        if self.rest().starts_with('+') && !self.after_field && begins_term(&self.rest()[1..]) {
            self.pos += 1;
        }
        let start = self.pos;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let kind = match first {
            '(' => self.sign(1, TokenKind::Open),
            ')' => self.sign(1, TokenKind::Close),
            '"' => TokenKind::Word(self.quoted()?),
            '[' | '{' if self.is_range() => self.range()?,
            _ if self.after_field => TokenKind::Word(self.word()),
            '-' | '!' if begins_term(&self.rest()[1..]) => self.sign(1, TokenKind::Not),
            _ => self.operator_or_word(),
        };
        Ok(Some(Token { kind, at: start..self.pos }))
    }

    fn operator_or_word(&mut self) -> TokenKind {
        let raw = self.raw_word();
        let length = raw.len();
        match raw {
            "AND" | "&&" => self.sign(length, TokenKind::And),
            "OR" | "||" => self.sign(length, TokenKind::Or),
            "NOT" => self.sign(length, TokenKind::Not),
            _ => match field_name(raw) {
                Some(name) => self.sign(name.len() + 1, TokenKind::Field(name.to_owned())),
                None => TokenKind::Word(self.word()),
            },
        }
    }

    /// Up to the next blank, parenthesis or quote; escapes are not looked at.
    fn raw_word(&self) -> &str {
        let rest = self.rest();
        &rest[..rest.find(ends_word).unwrap_or(rest.len())]
    }

    fn sign(&mut self, length: usize, kind: TokenKind) -> TokenKind {
        self.pos += length;
        kind
    }

    fn word(&mut self) -> Word {
        let start = self.pos;
        let thumbprint_bytes = grouped_thumbprint_bytes(self.rest());
        if thumbprint_bytes > 0 {
            self.pos += thumbprint_bytes;
            let text = self.query[start..self.pos].to_owned();
            return Word { text, at: Place(start..self.pos), ..Word::default() };
        }
        let mut word = Word::default();
        while let Some(c) = self.rest().chars().next().filter(|&c| !ends_word(c)) {
            let escaped = self.rest()[c.len_utf8()..].chars().next().filter(|&next| c == '\\' && is_escapable(next));
            if c == '*' {
                word.stars.push((word.text.len(), self.pos));
            }
            word.text.push(escaped.unwrap_or(c));
            self.pos += c.len_utf8() + escaped.map_or(0, char::len_utf8);
        }
        word.at = Place(start..self.pos);
        word
    }

    /// In quotes a backslash stands for itself except before `"` and `\`: connectors are called `EX1\Default`.
    fn quoted(&mut self) -> Result<Word, QueryError> {
        let start = self.pos;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        let length = loop {
            match chars.next() {
                None => return Err(self.error(start..start + 1, Problem::UnclosedQuote)),
                Some((at, '"')) => break at + 1,
                Some((_, '\\')) => {
                    text.push(chars.next_if(|&(_, c)| c == '"' || c == '\\').map_or('\\', |(_, c)| c));
                }
                Some((_, c)) => text.push(c),
            }
        };
        self.pos += length;
        let prefix = self.rest().strip_prefix('*').is_some_and(|rest| !begins_term(rest) || rest.starts_with(']'));
        self.pos += usize::from(prefix);
        Ok(Word { text, quoted: true, prefix, stars: Vec::new(), at: Place(start..self.pos) })
    }

    /// A bracket opens a range if ` TO ` follows before it closes. Otherwise it belongs to a word: `[2001:db8::5]:25`,
    /// and pasted replies end with one.
    fn is_range(&self) -> bool {
        let rest = &self.rest()[1..];
        let inside = &rest[..rest.find([']', '}']).unwrap_or(rest.len())];
        inside.split(is_blank).any(|word| word == "TO")
    }

    fn range(&mut self) -> Result<TokenKind, QueryError> {
        let start = self.pos;
        let rest = self.rest();
        let Some(end) = rest.find([']', '}']) else {
            return Err(self.error(start..start + 1, Problem::UnclosedRange));
        };
        if rest.starts_with('{') || rest[end..].starts_with('}') {
            return Err(self.error(start..start + end + 1, Problem::NoRange));
        }
        let low = self.range_end(start + 1)?;
        let to_bytes = to_bytes(&self.query[low.at.0.end..]);
        let high = self.range_end(low.at.0.end + to_bytes)?;
        self.pos = start + end + 1;
        // A quoted end may hold the bracket that was taken for the last one.
        let after = self.query.get(high.at.0.end..self.pos - 1).map(|after| after.trim_matches(is_blank));
        match after {
            Some("") if to_bytes > 0 => Ok(TokenKind::Range(low, high)),
            _ => Err(self.error(start..self.pos, Problem::NoRange)),
        }
    }

    /// The blanks and the word at `start`, up to a blank or `]`.
    fn range_end(&mut self, start: usize) -> Result<Word, QueryError> {
        let rest = &self.query[start..];
        let start = start + rest.len() - rest.trim_start_matches(is_blank).len();
        self.pos = start;
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest();
        let text = rest[..rest.find(|c| is_blank(c) || c == ']').unwrap_or(rest.len())].to_owned();
        Ok(Word { at: Place(start..start + text.len()), text, ..Word::default() })
    }

    fn rest(&self) -> &str {
        &self.query[self.pos..]
    }

    fn error(&self, at: Range<usize>, problem: Problem) -> QueryError {
        QueryError { query: self.query.to_owned(), at, problem }
    }
}

/// Blanks and the `TO` between the ends of a range; 0 if there is none.
fn to_bytes(text: &str) -> usize {
    let trimmed = text.trim_start_matches(is_blank);
    trimmed.strip_prefix("TO").filter(|rest| rest.starts_with(is_blank)).map_or(0, |rest| text.len() - rest.len())
}

/// Between words, direction marks count as blanks: a thumbprint copied from Windows begins with one (FORMATS 5.2).
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{feff}')
}

fn ends_word(c: char) -> bool {
    is_blank(c) || matches!(c, '(' | ')' | '"')
}

fn is_escapable(c: char) -> bool {
    is_blank(c) || matches!(c, '"' | '\\' | '*' | '(' | ')' | '[' | ']' | '{' | '}' | ':' | '-' | '+' | '!')
}

/// Whether a term stands directly here, so that a sign before it belongs to it.
fn begins_term(rest: &str) -> bool {
    rest.chars().next().is_some_and(|c| !is_blank(c) && c != ')')
}

/// The name before `:`, if this is a field and not an address or a thumbprint with colons.
fn field_name(word: &str) -> Option<&str> {
    let (name, _) = word.split_once(':')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let beginning = word.trim_end_matches('*');
    let is_address = Network::parse(split_endpoint(word).0).is_some();
    let is_thumbprint = name.len() == 2 && beginning.len() > 5 && hex_digits_of_paste(beginning).is_some();
    (is_name && !is_address && !is_thumbprint).then_some(name)
}

/// Bytes of a thumbprint that was pasted in groups with blanks between, `97 35 5a f6 ...`; 0 if there is none.
/// The groups are equally long, so that a few hex words in a row are not taken for one.
fn grouped_thumbprint_bytes(rest: &str) -> usize {
    let group = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    if !matches!(group, 2 | 4 | 8 | 10 | 20) {
        return 0;
    }
    let mut end = 0;
    for _ in 0..40 / group {
        let blanks = rest[end..].len() - rest[end..].trim_start_matches(is_blank).len();
        let digits = rest[end + blanks..].bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits != group {
            return 0;
        }
        end += blanks + digits;
    }
    if rest[end..].chars().next().is_none_or(ends_word) { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens in short: fields as `name:`, words in `<>` with their flags.
    fn shown(query: &str) -> String {
        let word = |word: &Word| {
            let quoted = if word.quoted { "\"" } else { "" };
            let prefix = if word.prefix { "*" } else { "" };
            let stars: String = word.stars.iter().map(|(at, _)| format!(" {at}")).collect();
            format!("<{quoted}{}{quoted}{prefix}{stars}>", word.text)
        };
        let token = |token: &Token| match &token.kind {
            TokenKind::Open => "(".to_owned(),
            TokenKind::Close => ")".to_owned(),
            TokenKind::And => "AND".to_owned(),
            TokenKind::Or => "OR".to_owned(),
            TokenKind::Not => "NOT".to_owned(),
            TokenKind::Field(name) => format!("{name}:"),
            TokenKind::Word(text) => word(text),
            TokenKind::Range(low, high) => format!("[{} {}]", word(low), word(high)),
        };
        match lex(query) {
            Ok(tokens) => tokens.iter().map(token).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(query: &str, expected: &str) {
        assert_eq!(shown(query), expected, "{query:?}");
    }

    #[test]
    fn operators_stand_between_terms_only() {
        check("a AND b && c OR d || e", "<a> AND <b> AND <c> OR <d> OR <e>");
        check("-a !b NOT c +d", "NOT <a> NOT <b> NOT <c> <d>");
        check("--a -(b) -\"c\"", "NOT NOT <a> NOT ( <b> ) NOT <\"c\">");
        check("a - b", "<a> <-> <b>");
        check("a-b and or", "<a-b> <and> <or>");
        check("started:-24h role:AND", "started: <-24h> role: <AND>");
    }

    #[test]
    fn fields_begin_with_a_letter_and_are_no_address() {
        check("status:5.7.* x", "status: <5.7.* 4> <x>");
        check("status: 5", "status: <5>");
        check("remote:10.0.0.1:25", "remote: <10.0.0.1:25>");
        check(
            "10.0.0.1:25 2001:db8::5 fe80::1 [2001:db8::5]:25",
            "<10.0.0.1:25> <2001:db8::5> <fe80::1> <[2001:db8::5]:25>",
        );
        check("fe80::1%5 fe80::/10", "<fe80::1%5> <fe80::/10>");
        check("ab:cd:ef:01", "<ab:cd:ef:01>");
        check("ab:cd", "ab: <cd>");
        check("2024-03-01T06:00:00Z", "<2024-03-01T06:00:00Z>");
        check("Message-ID:x", "Message-ID: <x>");
    }

    #[test]
    fn quotes_and_backslashes() {
        check(r#""a \"b\" \\ EX1\Default *""#, r#"<"a "b" \ EX1\Default *">"#);
        check(r#"connector:"Outbound to"*"#, r#"connector: <"Outbound to"*>"#);
        check(r#"EX1\Default a\ b \*\( \"#, r"<EX1\Default> <a b> <*(> <\>");
        check(r#""a"b"#, r#"<"a"> <b>"#);
        check(r#"x "a"#, "the quote is never closed at byte 2");
    }

    #[test]
    fn ranges_have_to_between_their_ends() {
        check("code:[500 TO 559]", "code: [<500> <559>]");
        check("started:[2024-03-01T06:00 TO *] x", "started: [<2024-03-01T06:00> <*>] <x>");
        check(r#"started:[ "2024-03-01 06:00" TO * ]"#, r#"started: [<"2024-03-01 06:00"> <*>]"#);
        check("[AM1.x 2024 08DC]", "<[AM1.x> <2024> <08DC]>");
        check("code:[500 TO 559", "the range is never closed at byte 5");
        check("code:{500 TO 559]", "there is no range here at byte 5");
        check("code:[500 501 TO 559]", "there is no range here at byte 5");
        check("code:[TO 559]", "there is no range here at byte 5");
    }

    #[test]
    fn grouped_thumbprints_are_one_word() {
        let pairs = "97 35 5a f6 dc 26 29 ec cb 22 89 c9 31 d7 06 33 2f 3c f0 22";
        check(&format!("thumbprint:{pairs} x"), &format!("thumbprint: <{pairs}> <x>"));
        check(&format!("\u{200e}{pairs}"), &format!("<{pairs}>"));
        check("97 35 5a", "<97> <35> <5a>");
        check(&format!("{pairs} 12"), &format!("<{pairs}> <12>"));
    }
}
