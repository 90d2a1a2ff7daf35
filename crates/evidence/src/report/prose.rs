//! Words for people: replies between quotes, behind a server's name, or on a line of their own.
//!
//! ```text
//! Generating server: ex01.contoso.com
//!
//! user@contoso.com
//! 7/7/2026 3:48:53 PM - Server at mail.contoso.com (203.0.113.9) returned '450 4.4.317 Cannot ...'
//! mail.contoso.com #<mail.contoso.com #5.7.1 smtp;530 5.7.1 Client was not authenticated> #SMTP#
//! SMTPRecipientsRefused: {'user@contoso.com': (550, b'5.7.64 TenantAttribution; Relay Access Denied')}
//! ```
//!
//! The words round a reply are of any language; its form and the names and numbers near it are not.

use std::net::IpAddr;

use super::{
    Found,
    reply::{self, Head},
};

/// Lines that a wrapped reply may have.
const REPLY_LINES_MAX: usize = 20;

/// Lines of a text that is nothing but a reply.
const BARE_LINES_MAX: usize = 3;

/// Bytes of the words before a server's name.
const LABEL_BYTES_MAX: usize = 60;

/// Reads the text.
pub(super) fn read(text: &str, found: &mut Found) {
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        names(lines[at], found);
        at += replies(&lines[at..], found);
    }
    if found.errors.is_empty() {
        bare(&lines, found);
    }
}

/// Recipients and servers that a line names.
fn names(line: &str, found: &mut Found) {
    let trimmed = line.trim();
    let is_alone = !trimmed.contains(char::is_whitespace);
    if is_alone {
        found.recipient(trimmed);
    }
    for part in line.split("<mailto:").skip(1) {
        found.recipient(part.split('>').next().unwrap_or_default());
    }
    // Python: `{'a@b': (550, ...)`.
    for part in line.split("': (").filter(|part| part.contains('\'')) {
        found.recipient(part.rsplit('\'').next().unwrap_or_default());
    }
    // `Generating server: host`, also `Serveur de génération : host`. The receiving one is named after it.
    if let Some((label, host)) = trimmed.rsplit_once(':')
        && found.hosts.is_empty()
        && is_server_label(label)
    {
        found.host(host);
    }
}

/// `Generating server` in many languages: short, and without the numbers of a line that says what a server replied.
fn is_server_label(label: &str) -> bool {
    label.len() <= LABEL_BYTES_MAX
        && label.to_lowercase().contains("serv")
        && !label.contains(|c: char| c.is_ascii_digit())
}

/// Reads the replies of the first line, which may go on in the next ones, and says how many lines that took.
fn replies(lines: &[&str], found: &mut Found) -> usize {
    let line = lines[0];
    let mut from = 0;
    while let Some(head) = begin(line, from) {
        let (text, end, taken) = extent(lines, &head);
        let mut attempts = reply::attempts(&head, &text);
        let near = Near::new(&line[from..head.begin]);
        for attempt in &mut attempts {
            attempt.time_text.clone_from(&near.time);
            attempt.host = near.host.clone().or(attempt.host.take());
            attempt.ip = near.ip.clone().or(attempt.ip.take());
        }
        found.error(attempts);
        match end {
            Some(end) => from = end,
            None => return taken,
        }
    }
    1
}

/// A reply with a status, or one without where it stands right behind a quote or `smtp;`.
fn begin(line: &str, from: usize) -> Option<Head> {
    let certain = reply::find(line, from);
    let marks = line[from..].match_indices(['\'', '"', ';']).map(|(at, _)| from + at);
    let mut marks = marks.take_while(|at| certain.as_ref().is_none_or(|certain| *at < certain.begin));
    let behind = marks.find_map(|at| {
        let is_quote = !line[at..].starts_with(';');
        let begin = line.len() - line[at + 1..].trim_start_matches(' ').len();
        reply::head(line, begin).filter(|_| is_quote || line[..at].ends_with("smtp"))
    });
    behind.or(certain)
}

/// The text of a reply; where in its line it ends, if another may follow; how many lines it takes.
fn extent(lines: &[&str], head: &Head) -> (String, Option<usize>, usize) {
    let line = lines[0];
    let rest = &line[head.end..];
    if let Some(quote) = head.quote {
        // Python writes a line's end as two characters.
        let end = rest.match_indices(quote).map(|(at, _)| at).find(|at| rest[at + 1..].starts_with([')', ',']));
        let end = end.unwrap_or(rest.len());
        return (rest[..end].replace("\\n", " "), Some(head.end + end), 1);
    }
    let Some(quote) = opening(&line[..head.begin]) else {
        let (text, taken) = unquoted(lines, head);
        return (text, None, taken);
    };
    if let Some(end) = closing(rest, quote).or_else(|| last_quote(rest, quote)) {
        return (rest[..end].to_owned(), Some(head.end + end), 1);
    }
    let mut text = rest.to_owned();
    for (at, line) in lines.iter().enumerate().take(REPLY_LINES_MAX).skip(1) {
        // The quote was lost if another reply or paragraph begins.
        if line.trim().is_empty() || reply::find(line, 0).is_some() || text.len() > reply::REPLY_BYTES_MAX {
            break;
        }
        text.push(' ');
        text.push_str(line.trim());
        if let Some(end) = closing(&text, quote) {
            text.truncate(end);
            return (text, None, at + 1);
        }
    }
    let (text, taken) = unquoted(lines, head);
    (text, None, taken)
}

/// The last quote of a line that is not an apostrophe.
fn last_quote(text: &str, quote: char) -> Option<usize> {
    let quotes = text.rmatch_indices(if quote == '<' { '>' } else { quote }).map(|(at, _)| at);
    let mut ends = quotes.filter(|at| !text[at + 1..].starts_with(char::is_alphanumeric));
    ends.next()
}

/// Where a quoted reply closes: at the line's end, for replies have quotes of their own.
fn closing(text: &str, quote: char) -> Option<usize> {
    let trimmed = text.trim_end().trim_end_matches("#SMTP#").trim_end();
    let trimmed = match quote {
        '<' => trimmed.trim_end_matches(['\'', '"']).strip_suffix('>')?,
        quote => trimmed.strip_suffix(quote)?.trim_end_matches('>'),
    };
    Some(trimmed.len())
}

/// The quote or bracket before a reply, if there is one: `'`, `"`, `<`.
fn opening(before: &str) -> Option<char> {
    let before = before.trim_end_matches("smtp;").trim_end();
    // `#5.7.1 smtp;550 5.7.1` says the status twice.
    let word = before.rsplit([' ', '<']).next().unwrap_or_default();
    let before = match word.strip_prefix('#').and_then(reply::status_length) {
        Some(_) => before[..before.len() - word.len()].trim_end(),
        None => before,
    };
    let is_bracketed = before.rfind("#<").is_some_and(|open| !before[open..].contains('>'));
    match before.chars().next_back() {
        Some(quote @ ('\'' | '"' | '<')) => Some(quote),
        _ if is_bracketed => Some('<'),
        _ => None,
    }
}

/// A reply without quotes: the rest of its line, and the next ones as far as they plainly belong to it.
fn unquoted(lines: &[&str], head: &Head) -> (String, usize) {
    let mut text = lines[0][head.end..].to_owned();
    let mut taken = 1;
    let mut is_continued = head.is_continued;
    while let Some(line) = lines.get(taken).filter(|_| taken < REPLY_LINES_MAX && text.len() < reply::REPLY_BYTES_MAX) {
        let next = reply::find(line, 0);
        if let Some(next) = next.filter(|_| is_continued).filter(|next| (next.begin, next.code) == (0, head.code)) {
            is_continued = next.is_continued;
            text.push(' ');
            text.push_str(&line[next.end..]);
        } else if reply::find(line, 0).is_none()
            && !line.trim().is_empty()
            && (is_open(&text) || line.starts_with([' ', '\t']))
        {
            text.push(' ');
            text.push_str(line.trim());
        } else {
            break;
        }
        taken += 1;
    }
    (text, taken)
}

/// Whether a bracket of the text is not closed yet.
fn is_open(text: &str) -> bool {
    text.matches('[').count() > text.matches(']').count()
}

/// A text that is nothing but a reply without a status, or a status without a code.
fn bare(lines: &[&str], found: &mut Found) {
    let filled: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    if let [line, ..] = filled[..]
        && filled.len() <= BARE_LINES_MAX
        && let Some(head) = reply::head(line, 0)
    {
        return found.error(reply::attempts(&head, &line[head.end..]));
    }
    for line in filled {
        if let Some(head) = reply::find_status(line, 0) {
            found.error(reply::attempts(&head, &line[head.end..]));
        }
    }
}

/// What stands before a reply.
#[derive(Default)]
struct Near {
    time: Option<String>,
    host: Option<String>,
    ip: Option<String>,
}

impl Near {
    fn new(before: &str) -> Self {
        let mut near = Near::default();
        let mut rest = before.trim();
        // `7/7/2026 3:48:53 PM - Server at ...`
        if let Some((time, words)) = rest.split_once(" - ")
            && time.starts_with(|c: char| c.is_ascii_digit())
            && time.contains(':')
        {
            near.time = Some(time.trim().to_owned());
            rest = words;
        }
        for word in rest.split_whitespace() {
            let word = word.trim_matches(|c: char| "#<>()[]\"',;".contains(c));
            if let Ok(ip) = word.parse::<IpAddr>() {
                near.ip = Some(ip.to_string());
            }
            let is_status = reply::status_length(word) == Some(word.len());
            if reply::is_host(word) && !is_status && (near.host.is_none() || word.parse::<IpAddr>().is_err()) {
                near.host = Some(word.trim_end_matches('.').to_owned());
            }
        }
        near
    }
}
