//! What is wrong with a query, and where.
//!
//! ```text
//! unknown field `presentd`
//!   presentd:97355AF6* status:5.7.64
//!   ^^^^^^^^
//! did you mean `presented`? Put a word with a colon in quotes to search it as text.
//! ```

use std::{fmt::Write, ops::Range};

use unicode_width::UnicodeWidthChar;

use super::{
    FIELDS, Field,
    parser::{CLAUSES_MAX, DEPTH_MAX, QUERY_BYTES_MAX},
};

/// Characters of the query that are shown on either side of the place.
const EXCERPT_CHARS: usize = 60;

/// A query that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{problem} at byte {}", at.start)]
pub struct QueryError {
    /// The query's text.
    pub query: String,
    /// The bytes that it is about; empty at the end of the query.
    pub at: Range<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a query. Texts are as typed; they are escaped when shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Longer than the limit.
    #[error("the query is longer than {QUERY_BYTES_MAX} bytes")]
    TooLong,
    /// Nested deeper than the limit.
    #[error("the query is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More terms than the limit.
    #[error("the query has more than {CLAUSES_MAX} terms")]
    TooManyClauses,
    /// No field has this name.
    #[error("unknown field `{}`", shown(.0))]
    UnknownField(String),
    /// A `"` without its partner.
    #[error("the quote is never closed")]
    UnclosedQuote,
    /// A `(` without its partner.
    #[error("the parenthesis is never closed")]
    UnclosedGroup,
    /// A `)` without its partner.
    #[error("the parenthesis was never opened")]
    UnopenedGroup,
    /// A `[` without its partner.
    #[error("the range is never closed")]
    UnclosedRange,
    /// Nothing but punctuation, or nothing at all, where a term belongs.
    #[error("there is nothing to search for here")]
    NothingToFind,
    /// A field without value.
    #[error("`{}:` has no value", .0.name())]
    MissingValue(Field),
    /// A field inside the parentheses of a field.
    #[error("a field cannot stand inside `{}:( )`", .0.name())]
    NestedField(Field),
    /// A `*` that is not the end.
    #[error("`*` can stand only at the end of a word")]
    Wildcard,
    /// `[a TO b]` or `{a TO b}` where no range fits.
    #[error("there is no range here")]
    NoRange,
    /// The lower end lies above the upper end.
    #[error("the range runs backwards")]
    BackwardRange,
    /// A value that its field cannot have.
    #[error("`{}` is no value of `{}`", shown(text), field.name())]
    BadValue {
        /// The field.
        field: Field,
        /// The value as typed.
        text: String,
        /// What its values look like.
        expected: &'static str,
    },
}

impl QueryError {
    /// Problem, query with a mark under the place, and advice, in three or four lines for a terminal. Control
    /// characters and everything that would shift the mark are escaped.
    pub fn rendered(&self) -> String {
        let excerpt = Excerpt::new(&self.query, &self.at);
        let mut rendered = format!("{}\n  {}\n  {:indent$}", self.problem, excerpt.text, "", indent = excerpt.indent);
        rendered.extend(std::iter::repeat_n('^', excerpt.width.max(1)));
        if let Some(advice) = self.problem.advice() {
            rendered.push('\n');
            rendered.push_str(&advice);
        }
        rendered
    }
}

impl Problem {
    /// What to write instead, where that can be said.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Problem::UnknownField(name) => unknown_field_advice(name),
            Problem::Wildcard => "put the word in quotes if it has an asterisk; `*@domain` finds a domain".to_owned(),
            Problem::NoRange => "ranges are `[a TO b]` on code, started, ended and the session ids".to_owned(),
            Problem::UnclosedRange => "a range is `[a TO b]`, with `*` for an open end".to_owned(),
            Problem::BadValue { expected, .. } => format!("write {expected}"),
            _ => return None,
        };
        Some(advice)
    }
}

fn unknown_field_advice(name: &str) -> String {
    let quotes = "put a word with a colon in quotes to search it as text";
    match nearest_field(name) {
        Some(field) => format!("did you mean `{}`? Otherwise {quotes}", field.name()),
        None => {
            let names: Vec<&str> = FIELDS.iter().map(|row| row.name).collect();
            format!("fields are {}; {quotes}", names.join(" "))
        }
    }
}

/// What people call a field by other words.
const OTHER_NAMES: [(&str, Field); 12] = [
    ("sender", Field::From),
    ("recipient", Field::To),
    ("ip", Field::Remote),
    ("host", Field::Remote),
    ("ehlo", Field::Helo),
    ("cert", Field::Thumbprint),
    ("certificate", Field::Thumbprint),
    ("reply", Field::Text),
    ("enhanced_status", Field::Status),
    ("time", Field::Started),
    ("date", Field::Started),
    ("protocol", Field::TlsVersion),
];

/// The field that was meant: by another name, or a typing mistake away (nearest by edits, at most a third of the
/// letters and one), else the first whose name begins so.
fn nearest_field(name: &str) -> Option<Field> {
    let name = name.to_ascii_lowercase();
    if let Some((_, field)) = OTHER_NAMES.iter().find(|(other, _)| *other == name) {
        return Some(*field);
    }
    let length = name.chars().count();
    let nearest = FIELDS.iter().map(|row| (edits(&name, row.name), row.field)).min_by_key(|(edits, _)| *edits)?;
    let begun = || FIELDS.iter().find(|row| length >= 3 && row.name.starts_with(&name)).map(|row| row.field);
    if nearest.0 <= length / 3 + 1 && nearest.0 < length { Some(nearest.1) } else { begun() }
}

/// Optimal string alignment: letters inserted, removed, exchanged, and neighbours swapped.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let exchanged = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut fewest = exchanged.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                fewest = fewest.min(rows[i - 2][j - 2] + 1);
            }
            row.push(fewest);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// The part of the query around a place, escaped, on one line.
struct Excerpt {
    text: String,
    /// Columns before the place.
    indent: usize,
    /// Columns of the place.
    width: usize,
}

impl Excerpt {
    fn new(query: &str, at: &Range<usize>) -> Excerpt {
        let (before, place) = (&query[..at.start], &query[at.start..]);
        let place_chars = query[at.clone()].chars().count().min(EXCERPT_CHARS);
        let skipped = before.chars().count().saturating_sub(EXCERPT_CHARS);
        let mut text = String::new();
        let mut indent = 0;
        if skipped > 0 {
            text.push('…');
            indent += 1;
        }
        indent += push_all_shown(&mut text, before.chars().skip(skipped));
        let width = push_all_shown(&mut text, place.chars().take(place_chars));
        push_all_shown(&mut text, place.chars().skip(place_chars).take(EXCERPT_CHARS));
        if place.chars().nth(place_chars + EXCERPT_CHARS).is_some() {
            text.push('…');
        }
        Excerpt { text, indent, width }
    }
}

fn shown(text: &str) -> String {
    let mut shown = String::new();
    push_all_shown(&mut shown, text.chars().take(EXCERPT_CHARS));
    shown
}

fn push_all_shown(text: &mut String, chars: impl Iterator<Item = char>) -> usize {
    chars.map(|c| push_shown(text, c)).sum()
}

/// Appends a character as a terminal may see it and gives its columns. Without a width are control characters,
/// direction marks and accents that combine: escaped, none of them can hide or move what stands beside it.
fn push_shown(text: &mut String, c: char) -> usize {
    match c.width() {
        Some(width) if width > 0 => {
            text.push(c);
            width
        }
        _ => {
            let start = text.len();
            let _ = write!(text, "{}", c.escape_default());
            text.len() - start
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::query::Query;

    #[track_caller]
    fn rendered(query: &str) -> String {
        Query::parse(query).expect_err("the query has a mistake").rendered()
    }

    #[test]
    fn unknown_fields_are_answered_with_the_nearest() {
        assert_snapshot!(rendered("presentd:97355AF6* status:5.7.64"), @r"
        unknown field `presentd`
          presentd:97355AF6* status:5.7.64
          ^^^^^^^^
        did you mean `presented`? Otherwise put a word with a colon in quotes to search it as text
        ");
        assert_snapshot!(rendered("https://x.example"), @r"
        unknown field `https`
          https://x.example
          ^^^^^
        fields are id session server role direction connector presented received thumbprint client_cert server_cert subject issuer serial san code status attr text peer_session proxy_session helo remote local egress_ip from to message_id tls tls_version cipher error complete started ended; put a word with a colon in quotes to search it as text
        ");
    }

    #[track_caller]
    fn check_nearest(name: &str, expected: Option<&str>) {
        assert_eq!(nearest_field(name).map(Field::name), expected, "{name:?}");
    }

    #[test]
    fn nearest_fields() {
        check_nearest("statsu", Some("status"));
        check_nearest("Stauts", Some("status"));
        check_nearest("message-id", Some("message_id"));
        check_nearest("messageid", Some("message_id"));
        check_nearest("egressip", Some("egress_ip"));
        check_nearest("thumb", Some("thumbprint"));
        check_nearest("peer", Some("peer_session"));
        check_nearest("sender", Some("from"));
        check_nearest("xyzzy", None);
        check_nearest("x", None);
        check_nearest(&"x".repeat(4000), None);
    }

    #[test]
    fn mark_stays_under_its_place() {
        assert_snapshot!(rendered("组织内 \u{202e}\tstats:5.7.64 \u{1b}[31m"), @r"
        unknown field `stats`
          组织内 \u{202e}\tstats:5.7.64 \u{1b}[31m
                           ^^^^^
        did you mean `status`? Otherwise put a word with a colon in quotes to search it as text
        ");
        assert_snapshot!(rendered("role:前端"), @r"
        `前端` is no value of `role`
          role:前端
               ^^^^
        write frontend, hub, mailbox-delivery, mailbox-submission, edge or unknown
        ");
        assert_snapshot!(rendered("helo:x AND"), @r"
        there is nothing to search for here
          helo:x AND
                    ^
        ");
    }

    #[test]
    fn long_queries_are_shown_around_the_place() {
        let words = "word ".repeat(40);
        assert_snapshot!(rendered(&format!("{words}status:x {words}")), @r"
        `x` is no value of `status`
          …rd word word word word word word word word word word status:x word word word word word word word word word word word word…
                                                                       ^
        write a status of three numbers or its beginning: 5.7.64, 5.7.*
        ");
    }

    #[test]
    fn signs_without_their_partner() {
        assert_snapshot!(rendered(r#"helo:"mail"#), @r#"
        the quote is never closed
          helo:"mail
               ^
        "#);
        assert_snapshot!(rendered("a (b OR (c"), @r"
        the parenthesis is never closed
          a (b OR (c
                  ^
        ");
        assert_snapshot!(rendered("a) b"), @r"
        the parenthesis was never opened
          a) b
           ^
        ");
        assert_snapshot!(rendered("code:[500 TO 559"), @r"
        the range is never closed
          code:[500 TO 559
               ^
        a range is `[a TO b]`, with `*` for an open end
        ");
    }

    #[test]
    fn terms_that_are_missing() {
        assert_snapshot!(rendered("status: "), @r"
        `status:` has no value
          status: 
          ^^^^^^^
        ");
        assert_snapshot!(rendered("a OR OR b"), @r"
        there is nothing to search for here
          a OR OR b
               ^^
        ");
        assert_snapshot!(rendered("(; -)"), @r"
        there is nothing to search for here
          (; -)
           ^^^
        ");
        assert_snapshot!(rendered("status:(5.7.64 OR from:x)"), @r"
        a field cannot stand inside `status:( )`
          status:(5.7.64 OR from:x)
                            ^^^^
        ");
    }

    #[test]
    fn asterisks_and_ranges_in_the_wrong_place() {
        assert_snapshot!(rendered("helo:*.contoso.com"), @r"
        `*` can stand only at the end of a word
          helo:*.contoso.com
               ^
        put the word in quotes if it has an asterisk; `*@domain` finds a domain
        ");
        assert_snapshot!(rendered("helo:[a TO b]"), @r"
        there is no range here
          helo:[a TO b]
               ^^^^^^^^
        ranges are `[a TO b]` on code, started, ended and the session ids
        ");
        assert_snapshot!(rendered("code:[559 TO 500]"), @r"
        the range runs backwards
          code:[559 TO 500]
               ^^^^^^^^^^^^
        ");
    }

    /// The problem alone, with the text that is marked.
    #[track_caller]
    fn check(query: &str, problem: &str, marked: &str) {
        let error = Query::parse(query).expect_err("the query has a mistake");
        assert_eq!((error.problem.to_string().as_str(), &query[error.at.clone()]), (problem, marked), "{query}");
    }

    #[test]
    fn limits_are_named() {
        check(&"a".repeat(4097), "the query is longer than 4096 bytes", "a");
        let nested = |depth| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        check(&nested(21), "the query is nested deeper than 20", "(");
        check(&format!("{}a", "-".repeat(21)), "the query is nested deeper than 20", "-");
        check(&"a ".repeat(257), "the query has more than 256 terms", "a");
        for fits in [nested(20), format!("{}a", "-".repeat(20)), "a ".repeat(256), "a".repeat(4096)] {
            assert!(Query::parse(&fits).is_ok(), "{fits}");
        }
    }

    #[test]
    fn values_that_a_field_cannot_have() {
        for (query, marked) in [
            ("status:5.7", "5.7"),
            ("status:57*", "57*"),
            ("status:x", "x"),
            ("code:250", "250"),
            ("code:55", "55"),
            ("code:>599", ">599"),
            ("thumbprint:97355AF6", "97355AF6"),
            ("session:08DC", "08DC"),
            ("id:08DC399000800000", "08DC399000800000"),
            ("role:mailbox", "mailbox"),
            ("direction:out", "out"),
            ("tls:maybe", "maybe"),
            ("complete:maybe", "maybe"),
            ("started:-24h", "-24h"),
            ("started:2024-02-30", "2024-02-30"),
            ("remote:104.47.0.0/33", "104.47.0.0/33"),
            ("remote:300.1.1.1", "300.1.1.1"),
            ("from:@contoso*", "@contoso*"),
            ("text:;", ";"),
            ("serial:xyz", "xyz"),
        ] {
            let (field, text) = query.split_once(':').expect("the query has a field");
            check(query, &format!("`{}` is no value of `{field}`", text.trim_end_matches('\n')), marked);
        }
    }
}
