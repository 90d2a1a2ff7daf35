//! The page as Markdown, for a ticket or a wiki.
//!
//! Log text is chosen by SMTP peers: it stands in code spans and blocks, where nothing is markup.

use std::io::{self, Write};

use diagnose::{Cause, Item, Missing};

use super::{Explained, Page, Possible, other_lines, rest_lines};
use crate::render::escape::Escaped;

/// Other refusals that are named.
const OTHERS_MAX: usize = 20;

/// Writes the page.
pub(super) fn write(out: &mut impl Write, page: &Page<'_>) -> io::Result<()> {
    writeln!(out, "{}\n\nLooked at: {}.", page.summary(), plain(&page.span()))?;
    page.notes.iter().try_for_each(|note| writeln!(out, "\n{}", plain(note)))?;
    for (number, case) in page.judged().take(page.limit).enumerate() {
        write_case(out, number + 1, case, page.why)?;
    }
    if let Some((says, command)) = page.similar() {
        writeln!(out, "\n{}", plain(&says))?;
        write_command(out, &command)?;
    }
    let rest = rest_lines(page);
    if !rest.is_empty() {
        writeln!(out, "\n## More cases\n\n| status | sessions | cause | connector |\n| --- | ---: | --- | --- |")?;
    }
    for [status, sessions, connector, cause] in rest {
        writeln!(out, "| {} | {sessions} | {cause} | {} |", plain(&status), code(&connector).replace('|', "\\|"))?;
    }
    let lines = other_lines(page, OTHERS_MAX);
    if !lines.is_empty() {
        writeln!(out, "\n## Refused for other reasons\n\n| status | sessions | text |\n| --- | ---: | --- |")?;
    }
    for (status, sessions, text) in lines {
        writeln!(out, "| {} | {sessions} | {} |", plain(&status), code(&text).replace('|', "\\|"))?;
    }
    Ok(())
}

fn write_case(out: &mut impl Write, number: usize, case: &Explained<'_>, why: bool) -> io::Result<()> {
    writeln!(out, "\n## Case {number}: {}\n", code(&case.title()))?;
    for (label, value) in case.facts() {
        writeln!(out, "* {label}: {}", code(&value))?;
    }
    for (rank, cause) in case.causes.iter().enumerate() {
        write_cause(out, rank + 1, cause, why)?;
    }
    match case.possible() {
        Some(possible) => return write_possible(out, &possible),
        None if case.causes.is_empty() => writeln!(out, "\nWhat was seen proves no cause.")?,
        None => {}
    }
    let ruled_out = case.ruled_out(why);
    if !ruled_out.is_empty() {
        writeln!(out, "\nRuled out:\n")?;
    }
    for line in &ruled_out {
        writeln!(out, "* {}", plain(line))?;
    }
    write_missing(out, &case.open)
}

fn write_possible(out: &mut impl Write, possible: &Possible) -> io::Result<()> {
    writeln!(out, "\n{}\n\nThe reply alone proves no cause. Possible are:\n", plain(&possible.means))?;
    possible.rules.iter().try_for_each(|rule| writeln!(out, "* {}: {}", rule.id(), plain(rule.documentation().finds)))
}

fn write_cause(out: &mut impl Write, rank: usize, cause: &Cause, why: bool) -> io::Result<()> {
    writeln!(out, "\n### {rank}. {} ({} confidence)\n", cause.id, cause.confidence())?;
    writeln!(out, "{}", plain(&cause.says))?;
    if why {
        writeln!(out, "\nWhy it ranks here (weight {}):\n", cause.weight())?;
        for one in &cause.why {
            writeln!(out, "* {:+}: {}", one.weight, plain(&one.seen))?;
        }
    }
    if !cause.evidence.is_empty() {
        writeln!(out, "\nSeen:\n")?;
    }
    for item in &cause.evidence {
        write_item(out, item)?;
    }
    if !cause.mend.is_empty() {
        writeln!(out, "\nWhat to do:\n")?;
    }
    for (number, step) in cause.mend.iter().enumerate() {
        writeln!(out, "{}. {}", number + 1, plain(&step.says))?;
        if let Some(command) = &step.command {
            write_command(out, command)?;
        }
    }
    write_missing(out, &cause.missing)
}

fn write_item(out: &mut impl Write, item: &Item) -> io::Result<()> {
    let offset = item.offset.map(|offset| format!(", byte {offset}")).unwrap_or_default();
    let session = item.row.as_ref().map(|(session, _)| format!(", session {}", code(session))).unwrap_or_default();
    writeln!(out, "* {}: {} ({}{offset}{session})", item.kind.as_str(), code(&item.text), code(&item.source))
}

fn write_missing(out: &mut impl Write, missing: &[Missing]) -> io::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nTo be surer, export this, index it, and ask again:\n")?;
    for one in missing {
        writeln!(out, "* {}", plain(&one.what))?;
        write_command(out, &one.command)?;
    }
    Ok(())
}

fn write_command(out: &mut impl Write, command: &str) -> io::Result<()> {
    let fence = "`".repeat(longest_run(command).max(2) + 1);
    writeln!(out, "\n   {fence}powershell\n   {}\n   {fence}\n", Escaped::line(command))
}

/// A text as a code span, whatever backticks it has (CommonMark, code spans).
fn code(text: &str) -> String {
    let text = Escaped::line(text).to_string();
    if text.is_empty() {
        return text; // Two backticks would open a span.
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    match text.contains('`') {
        true => format!("{fence} {text} {fence}"),
        false => format!("{fence}{text}{fence}"),
    }
}

/// A sentence of ours with names of others in it.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in Escaped::line(text).to_string().chars() {
        if matches!(char, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~' | '&') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, as_code: &str, as_sentence: &str) {
        assert_eq!((code(text).as_str(), plain(text).as_str()), (as_code, as_sentence), "{text:?}");
    }

    #[test]
    fn nothing_of_others_is_markup() {
        check("mail.contoso.com", "`mail.contoso.com`", "mail.contoso.com");
        check("<img src=x>", "`<img src=x>`", "\\<img src=x\\>");
        check("a`b``c", "``` a`b``c ```", "a\\`b\\`\\`c");
        check("[x](javascript:1) *b*", "`[x](javascript:1) *b*`", "\\[x\\](javascript:1) \\*b\\*");
        check("\x1b[2J\n# h", "`\\x1b[2J\\n# h`", "\\\\x1b\\[2J\\\\n\\# h");
    }
}
