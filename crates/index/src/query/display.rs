//! Queries as text: what is written here parses to the same query.

use std::fmt::{self, Display, Formatter, Write};

use super::{Expr, Field, Kind, Matcher, Phrase, Query, Term, Words};

/// The expression; the window has no place in the text.
impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::All => f.write_char('*'),
            Expr::Words(words) => words.fmt(f),
            Expr::Term(term) => term.fmt(f),
            Expr::Not(expr) => match **expr {
                Expr::And(_) | Expr::Or(_) => write!(f, "-({expr})"),
                _ => write!(f, "-{expr}"),
            },
            Expr::And(parts) => write_joined(f, parts, " ", |part| matches!(part, Expr::Or(_))),
            Expr::Or(parts) => write_joined(f, parts, " OR ", |_| false),
        }
    }
}

fn write_joined(f: &mut Formatter<'_>, parts: &[Expr], sign: &str, in_group: fn(&Expr) -> bool) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        f.write_str(if at > 0 { sign } else { "" })?;
        if in_group(part) { write!(f, "({part})")? } else { part.fmt(f)? }
    }
    Ok(())
}

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_bare(f, &self.phrase.text, star(&self.phrase))
    }
}

/// `thumbprint:(A OR B)` for resolved names; the empty list, which nothing matches, is `-*`.
impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if matches!(&self.matcher, Matcher::Thumbprints(thumbprints) if thumbprints.is_empty()) {
            return f.write_str("-*");
        }
        write!(f, "{}:", self.field.name())?;
        match &self.matcher {
            Matcher::Present => f.write_char('*'),
            Matcher::Exact(text) => write_whole(f, self.field, text),
            Matcher::Prefix(text) => write_text(f, text, "*"),
            Matcher::Domain(domain) => write!(f, "@{}", Escaped(domain)),
            Matcher::Thumbprint(thumbprint) => write!(f, "{thumbprint}"),
            Matcher::ThumbprintPrefix(digits) => write!(f, "{digits}*"),
            Matcher::Thumbprints(thumbprints) => {
                let texts: Vec<String> = thumbprints.iter().map(ToString::to_string).collect();
                write!(f, "({})", texts.join(" OR "))
            }
            Matcher::Sessions(ids) => write_range(f, Some(ids.start()), Some(ids.end())),
            Matcher::Codes(codes) => write_range(f, Some(codes.start()), Some(codes.end())),
            Matcher::Times(times) => {
                let first = Some(times.start()).filter(|time| time.0 != i64::MIN);
                write_range(f, first, Some(times.end()).filter(|time| time.0 != i64::MAX))
            }
            Matcher::Network(network) => write!(f, "{network}"),
            Matcher::Endpoint(endpoint) => write!(f, "{endpoint}"),
            Matcher::Phrase(phrase) => write_text(f, &phrase.text, star(phrase)),
            Matcher::Outcome(outcome) => f.write_str(outcome.as_str()),
            Matcher::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// One value alone, or a range; an end that is not there is open.
fn write_range<T: Display + PartialEq>(f: &mut Formatter<'_>, first: Option<T>, last: Option<T>) -> fmt::Result {
    match (first, last) {
        (Some(first), Some(last)) if first == last => first.fmt(f),
        (first, last) => {
            let end = |end: Option<T>| end.map_or_else(|| "*".to_owned(), |end| end.to_string());
            write!(f, "[{} TO {}]", end(first), end(last))
        }
    }
}

/// A mailbox without quotes may be read as a domain.
fn write_whole(f: &mut Formatter<'_>, field: Field, text: &str) -> fmt::Result {
    match field.kind() {
        Kind::Mailbox if !text.contains('@') => write_quoted(f, text, ""),
        _ => write_text(f, text, ""),
    }
}

/// Bare words are quoted more often: they could be an operator, or with their neighbours a thumbprint in groups.
fn write_bare(f: &mut Formatter<'_>, text: &str, star: &str) -> fmt::Result {
    let is_operator = matches!(text, "AND" | "OR" | "NOT");
    let is_group = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_operator || is_group { write_quoted(f, text, star) } else { write_text(f, text, star) }
}

fn write_text(f: &mut Formatter<'_>, text: &str, star: &str) -> fmt::Result {
    let is_plain = text.starts_with(|c: char| c.is_alphanumeric())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@'));
    if is_plain { write!(f, "{text}{star}") } else { write_quoted(f, text, star) }
}

fn write_quoted(f: &mut Formatter<'_>, text: &str, star: &str) -> fmt::Result {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    write!(f, "\"{text}\"{star}")
}

fn star(phrase: &Phrase) -> &'static str {
    if phrase.prefix { "*" } else { "" }
}

/// A text without quotes, a backslash before every character that could end it or mean something.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' | '"' | '*' | '(' | ')' => write!(f, "\\{c}"),
            c if super::lexer::is_blank(c) => write!(f, "\\{c}"),
            c => f.write_char(c),
        })
    }
}
