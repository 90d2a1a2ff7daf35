//! Entries of the wizard's `.log`: a line with a head, and the lines that continue it.
//!
//! ```text
//! 2022.02.19 03:24:02.871               Current Time Zone: Coordinated Universal Time (3:24:02 AM)
//! 2022.02.19 03:26:09.172         10277 [Client=UX, Session=Tenant, Cmdlet=Get-X, Thread=9] FINISH Time=714.0ms Results=1
//!                                       Microsoft.X {Name='a' RequireTls=1}
//! 2022.02.19 03:26:10.002 *ERROR* 10224 [Client=UX, Thread=9] System.NullReferenceException: ...
//! ```
//!
//! Time, severity and code stand in fixed columns, which copies lose with their blanks, so each is known by its form.
//! A long text is cut in the middle of a word, and the rest continues on the next line; other lines end where they end.

use super::moment::stamp;

/// Blanks before a line that continues an entry, and in a copy that lost three of them.
const INDENTS: [&str; 2] = ["                                      ", "                                   "];

/// Blanks that a head may have before it.
const HEAD_INDENT_MAX: usize = 8;

/// Characters of a text, without head or indent, from which on it may have been cut. Texts are cut at 816 characters or
/// more, and hardly any other line is as long.
const CUT_TEXT_MIN: usize = 760;

/// Characters of a whole line from which on it may have been cut: 940 to 1,000 were seen, heads being of any length.
const CUT_LINE_MIN: usize = 900;

/// Lines of an entry. Tables and results of a large organisation have some thousands.
pub(super) const ENTRY_LINES_MAX: usize = 50_000;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The text's byte at which it begins.
    pub(super) at: usize,
    /// As written; empty in a copy without.
    pub(super) time: &'a str,
    /// `ERROR`, `WARNING`, without asterisks.
    pub(super) severity: Option<&'a str>,
    /// Five digits.
    pub(super) code: Option<&'a str>,
    /// What stands in brackets: `Client=UX, Session=OnPremises, Thread=9`.
    keys: &'a str,
    /// What it says.
    pub(super) lines: Vec<Line<'a>>,
    /// Lines past [`ENTRY_LINES_MAX`].
    pub(super) lines_dropped: usize,
}

/// A line of an entry's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without head or indent.
    pub(super) text: &'a str,
    /// Long enough to have been cut, so that the next line continues its last word.
    pub(super) is_cut: bool,
}

/// A part of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// An entry.
    Entry(Entry<'a>),
    /// A line before the first entry, at this byte of the text.
    Stray(usize),
}

/// Parts of a log, in order.
pub(super) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut lines = lines(text).peekable();
    std::iter::from_fn(move || {
        let (at, line) = lines.find(|(_, line)| !line.trim().is_empty())?;
        let Some(mut entry) = head(at, line) else {
            return Some(Part::Stray(at));
        };
        while let Some((_, line)) = lines.next_if(|(at, line)| head(*at, line).is_none()) {
            entry.push(line, continued(line));
        }
        Some(Part::Entry(entry))
    })
}

/// Whether a line is the head of an entry with a code, which nothing else looks like.
pub(super) fn is_coded_head(line: &str) -> bool {
    head(0, line).is_some_and(|entry| entry.code.is_some() && (entry.key("Thread").or(entry.key("Client"))).is_some())
}

impl<'a> Entry<'a> {
    /// What a key in brackets is set to. A key can occur twice; the first counts.
    pub(super) fn key(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.keys;
        loop {
            let (key, after) = rest.split_once('=')?;
            let end = value_end(after);
            if key.eq_ignore_ascii_case(name) {
                return Some(&after[..end]);
            }
            rest = after[end..].strip_prefix(", ")?;
        }
    }

    /// What it says, cut lines put together again.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            match line.is_cut {
                true => text.push_str(line.text),
                false => {
                    text.push_str(line.text.trim_end());
                    text.push('\n');
                }
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn push(&mut self, line: &str, text: &'a str) {
        if self.lines.len() == ENTRY_LINES_MAX {
            self.lines_dropped += 1;
            return;
        }
        let is_long = |text: &str, length: usize| text.len() >= length && text.chars().count() >= length;
        let is_cut = is_long(text, CUT_TEXT_MIN) || is_long(line, CUT_LINE_MIN);
        if !text.trim().is_empty() || is_cut || !self.lines.is_empty() {
            self.lines.push(Line { text, is_cut });
        }
    }
}

/// Lines without their ends, and where they begin.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let begin = at;
        at += line.len();
        (begin, line.trim_end_matches(['\r', '\n']))
    })
}

/// The entry that the line begins, if it does. Either its time or its code may be missing, not both.
fn head(at: usize, line: &str) -> Option<Entry<'_>> {
    let trimmed = line.trim_start_matches(' ');
    if line.len() - trimmed.len() > HEAD_INDENT_MAX {
        return None;
    }
    let (time, rest) = stamp(trimmed).unwrap_or(("", trimmed));
    let (severity, rest) = severity(rest.trim_start_matches(' '));
    let (code, rest) = code(rest);
    let (keys, rest) = keys(rest);
    if time.is_empty() && (code.is_none() || keys.is_empty()) {
        return None;
    }
    let text = rest.strip_prefix(' ').unwrap_or(rest);
    let text = if code.is_none() { text.trim_start() } else { text };
    let mut entry = Entry { at, time, severity, code, keys, lines: Vec::new(), lines_dropped: 0 };
    entry.push(line, text);
    Some(entry)
}

/// `*ERROR* ` or `WARNING `, which have asterisks or lost them.
fn severity(text: &str) -> (Option<&str>, &str) {
    let word = text.split(' ').next().unwrap_or(text);
    let name = word.trim_matches('*');
    let is_name = (4..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase());
    match is_name {
        true => (Some(name), text[word.len()..].trim_start_matches(' ')),
        false => (None, text),
    }
}

/// `10276 `.
fn code(text: &str) -> (Option<&str>, &str) {
    let word = text.split(' ').next().unwrap_or(text);
    match word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => (Some(word), text[5..].trim_start_matches(' ')),
        false => (None, text),
    }
}

/// `[Client=UX, Thread=9]`: up to the first bracket at the end of a word.
fn keys(text: &str) -> (&str, &str) {
    let Some(inside) = text.strip_prefix('[') else {
        return ("", text);
    };
    let ends = inside.match_indices(']').map(|(end, _)| end);
    let mut ends = ends.filter(|end| matches!(inside.as_bytes().get(end + 1), None | Some(b' ')));
    match ends.next() {
        Some(end) if inside[..end].contains('=') => (&inside[..end], &inside[end + 1..]),
        _ => ("", text),
    }
}

/// Where a value in brackets ends: before `, key=`, for values have commas and blanks of their own.
fn value_end(text: &str) -> usize {
    let is_key = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric());
        end.is_some_and(|end| end > 0 && text[end..].starts_with('='))
    };
    let mut commas = text.match_indices(", ").map(|(at, _)| at);
    commas.find(|at| is_key(&text[at + 2..])).unwrap_or(text.len())
}

fn continued(line: &str) -> &str {
    let indented = INDENTS.iter().find_map(|indent| line.strip_prefix(indent));
    indented.unwrap_or_else(|| line.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Entries as `time severity code [keys] text`, `!` for a stray line.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let shown: Vec<String> = parts(text).map(|part| shown(&part)).collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    fn shown(part: &Part<'_>) -> String {
        match part {
            Part::Stray(at) => format!("! {at}"),
            Part::Entry(entry) => format!(
                "{} {} {} [{}] {}",
                entry.time,
                entry.severity.unwrap_or("-"),
                entry.code.unwrap_or("-"),
                entry.keys,
                entry.text()
            ),
        }
    }

    #[test]
    fn heads() {
        check(
            "2022.02.19 03:24:02.871         10276 [Client=UX, Thread=9] START Get-X\r\n",
            &["2022.02.19 03:24:02.871 - 10276 [Client=UX, Thread=9] START Get-X"],
        );
        check(
            "2022.02.19 03:24:02.871 *ERROR* 10224 [Thread=9] a\n2022.02.19 03:24:02.872 WARNING 10086 [Thread=9] b",
            &["2022.02.19 03:24:02.871 ERROR 10224 [Thread=9] a", "2022.02.19 03:24:02.872 WARNING 10086 [Thread=9] b"],
        );
        check("ERROR 10277 [Thread=8] FINISH", &[" ERROR 10277 [Thread=8] FINISH"]);
        check(
            "2022.02.19 03:24:02.871               Current Time Zone: UTC (3:24:02 AM)",
            &["2022.02.19 03:24:02.871 - - [] Current Time Zone: UTC (3:24:02 AM)"],
        );
        check("10277 without keys\n\n  \n", &["! 0"]);
    }

    #[test]
    fn lines_continue_an_entry() {
        let indent = INDENTS[0];
        check(
            &format!("2022.02.19 03:24:02.871         10081 [Thread=9] \r\n{indent}A | B\r\n{indent}   at C()\r\n"),
            &["2022.02.19 03:24:02.871 - 10081 [Thread=9] A | B\n   at C()"],
        );
        check(
            &format!("stray\n017.10.23 11:39:51.552 *ERROR* 10224 [Thread=9] a\n{}b\nc", INDENTS[1]),
            &["! 0", "017.10.23 11:39:51.552 ERROR 10224 [Thread=9] a\nb\nc"],
        );
    }

    #[test]
    fn keys_have_values_with_commas() {
        let line = "2022.02.19 03:24:02.871         10276 [Client=UX, Page=A, B. c, fn=X, fn=Y, Server=, Thread=9] t";
        let entry = head(0, line).unwrap();
        let keys = ["client", "Page", "fn", "Server", "Thread", "Absent"].map(|name| entry.key(name));
        assert_eq!(keys, [Some("UX"), Some("A, B. c"), Some("X"), Some(""), Some("9"), None]);
    }

    #[test]
    fn lines_past_the_limit_are_counted() {
        let text = format!("2022.02.19 03:24:02.871 10081 [Thread=9] 1\n{}", "x\n".repeat(ENTRY_LINES_MAX + 4));
        let Some(Part::Entry(entry)) = parts(&text).next() else { panic!("no entry") };
        assert_eq!((entry.lines.len(), entry.lines_dropped), (ENTRY_LINES_MAX, 5));
    }

    proptest! {
        /// Wherever a long text is cut, and however wide the pieces are, it is read as it was.
        #[test]
        fn wrapping_changes_nothing(
            words in prop::collection::vec("[a-zA-Z0-9ü=.']{1,40}", 1..200),
            head_width in CUT_TEXT_MIN..1_100,
            width in CUT_TEXT_MIN..1_100,
        ) {
            let text = words.join(" ");
            let characters: Vec<char> = text.chars().collect();
            let (first, rest) = characters.split_at(characters.len().min(head_width));
            let mut log = "2022.02.19 03:24:02.871         10276 [Client=UX, Thread=9] ".to_owned();
            log.extend(first);
            for piece in rest.chunks(width) {
                log.push_str("\r\n");
                log.push_str(INDENTS[0]);
                log.extend(piece);
            }
            let Some(Part::Entry(entry)) = parts(&log).next() else { panic!("no entry") };
            prop_assert_eq!(entry.text(), text);
        }

        #[test]
        fn every_line_has_its_place(text in "(2022\\.02\\.19 03:24:02\\.871 |10276 |\\[Thread=9\\] |\\*ERROR\\* |   |[a-z]|\r?\n|ü){0,60}") {
            for part in parts(&text) {
                let at = match &part {
                    Part::Entry(entry) => entry.at,
                    Part::Stray(at) => *at,
                };
                prop_assert!(at == 0 || text.as_bytes()[at - 1] == b'\n');
            }
        }
    }
}
