//! The page for people: it can be read on a terminal and pasted into a ticket.

use std::io::{self, Write};

use clap::builder::styling::Style;
use diagnose::{Cause, Item, ItemKind, Missing, argument};

use super::{
    Explained, Page, Possible,
    lines::{cut, of_command, of_path},
    other_lines, rest_lines,
};
use crate::{
    console::{Console, Palette},
    render::{amount, escape::Escaped},
};

/// Columns of a page that goes to a file or pipe.
const COLUMNS: usize = 100;

/// The least columns that text is wrapped to; a narrower terminal breaks the lines itself.
const COLUMNS_MIN: usize = 40;

/// Blanks before the further lines of a heading.
const HANG: usize = 8;

/// Other refusals that are named.
const OTHERS_MAX: usize = 8;

/// Writes the page.
pub(super) fn write(out: &mut impl Write, page: &Page<'_>, console: &Console) -> io::Result<()> {
    let columns = console.width.unwrap_or(COLUMNS).clamp(COLUMNS_MIN, COLUMNS);
    let mut writer = Writer { out, columns, fits: console.width.map(|_| columns), colors: console.colors };
    writer.paragraph("", &page.summary())?;
    writer.paragraph("", &format!("Looked at: {}.", page.span()))?;
    page.notes.iter().try_for_each(|note| writer.paragraph("", note))?;
    for (number, case) in page.judged().take(page.limit).enumerate() {
        writer.blank()?;
        writer.case(number + 1, case, page.why)?;
    }
    if let Some((says, command)) = page.similar() {
        writer.blank()?;
        writer.paragraph("", &says)?;
        writer.command("  ", &command)?;
    }
    writer.rest(page)?;
    writer.others(page)
}

struct Writer<'a, W> {
    out: &'a mut W,
    columns: usize,
    /// Columns that commands and paths have to fit into, too; files and pipes have room for them.
    fits: Option<usize>,
    colors: Palette,
}

impl<W: Write> Writer<'_, W> {
    fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Text that is wrapped, behind an indent; lines after the first are indented by as many blanks.
    fn paragraph(&mut self, indent: &str, text: &str) -> io::Result<()> {
        self.wrapped(indent, indent.chars().count(), text, Style::new())
    }

    fn wrapped(&mut self, indent: &str, hang: usize, text: &str, style: Style) -> io::Result<()> {
        let rest = " ".repeat(hang);
        let options = textwrap::Options::new(self.columns)
            .initial_indent(indent)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        for line in textwrap::wrap(&Escaped::line(text).to_string(), options) {
            writeln!(self.out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }

    /// A command, which is copied: it is broken only where a shell goes on with the next line.
    fn command(&mut self, indent: &str, text: &str) -> io::Result<()> {
        let text = Escaped::line(text).to_string();
        let room = self.fits.map(|columns| columns.saturating_sub(indent.len()));
        let lines = room.map_or_else(|| vec![text.clone()], |room| of_command(&text, room));
        self.lines(indent, &lines, self.colors.key)
    }

    /// A path and what follows it.
    fn place(&mut self, indent: &str, text: &str) -> io::Result<()> {
        let text = Escaped::line(text).to_string();
        let room = self.fits.map(|columns| columns.saturating_sub(indent.len()));
        let lines = room.map_or_else(|| vec![text.clone()], |room| of_path(&text, room));
        self.lines(indent, &lines, self.colors.faint)
    }

    fn lines(&mut self, indent: &str, lines: &[String], style: Style) -> io::Result<()> {
        lines.iter().try_for_each(|line| writeln!(self.out, "{indent}{style}{line}{style:#}"))
    }

    fn heading(&mut self, indent: &str, text: &str) -> io::Result<()> {
        let hang = indent.len() + HANG;
        self.wrapped(indent, hang, text, self.colors.heading)
    }

    fn case(&mut self, number: usize, case: &Explained<'_>, why: bool) -> io::Result<()> {
        self.heading("", &format!("Case {number}: {}", case.title()))?;
        for (label, value) in case.facts() {
            self.paragraph(&format!("  {label:<10} "), &value)?;
        }
        for (rank, cause) in case.causes.iter().enumerate() {
            self.blank()?;
            self.cause(rank + 1, cause, why)?;
        }
        if let Some(possible) = case.possible() {
            return self.possible(&possible);
        }
        if case.causes.is_empty() {
            self.blank()?;
            self.paragraph("  ", "What was seen proves no cause.")?;
        }
        let ruled_out = case.ruled_out(why);
        if !ruled_out.is_empty() {
            self.heading("  ", "Ruled out")?;
        }
        for line in &ruled_out {
            self.paragraph("  - ", line)?;
        }
        self.missing("  ", &case.open)
    }

    fn possible(&mut self, possible: &Possible) -> io::Result<()> {
        self.blank()?;
        self.paragraph("  ", &possible.means)?;
        self.paragraph("  ", "The reply alone proves no cause. Possible are:")?;
        for rule in &possible.rules {
            let text = format!("{}: {}", rule.id(), rule.documentation().finds);
            self.wrapped("    ", HANG, &text, Style::new())?;
        }
        Ok(())
    }

    fn cause(&mut self, rank: usize, cause: &Cause, why: bool) -> io::Result<()> {
        let confidence = cause.confidence();
        let style = self.colors.refusal;
        writeln!(self.out, "  {rank}. {style}{}{style:#} ({confidence} confidence)", cause.id)?;
        self.paragraph("     ", &cause.says)?;
        if why {
            self.heading("     ", &format!("Why it ranks here (weight {})", cause.weight()))?;
            for one in &cause.why {
                self.paragraph(&format!("     {:>+4}  ", one.weight), &one.seen)?;
            }
        }
        if !cause.evidence.is_empty() {
            self.heading("     ", "Seen")?;
        }
        for item in &cause.evidence {
            self.item(item)?;
        }
        if !cause.mend.is_empty() {
            self.heading("     ", "What to do")?;
        }
        for (number, step) in cause.mend.iter().enumerate() {
            self.paragraph(&format!("     {}. ", number + 1), &step.says)?;
            if let Some(command) = &step.command {
                self.command("          ", command)?;
            }
        }
        self.missing("     ", &cause.missing)
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        self.paragraph(&format!("       {}: ", item.kind.as_str()), &item.text)?;
        let (place, command) = place(item);
        if let Some(place) = place {
            self.place("         ", &place)?;
        }
        command.map_or(Ok(()), |command| {
            self.lines("         ", &[Escaped::line(&command).to_string()], self.colors.faint)
        })
    }

    fn missing(&mut self, indent: &str, missing: &[Missing]) -> io::Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        self.heading(indent, "To be surer, export this, index it, and ask again")?;
        for one in missing {
            self.paragraph(&format!("{indent}  - "), &one.what)?;
            self.command(&format!("{indent}      "), &one.command)?;
        }
        Ok(())
    }

    fn rest(&mut self, page: &Page<'_>) -> io::Result<()> {
        let lines = rest_lines(page);
        if lines.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.heading("", "More cases, smaller than these; --limit 0 explains all")?;
        for [status, sessions, connector, cause] in &lines {
            let line = format!("  {status:<12} {sessions:>8}  {cause:<26} {}", Escaped::line(connector));
            writeln!(self.out, "{}", cut(&line, self.columns))?;
        }
        let more = page.judged().count().saturating_sub(page.limit + lines.len());
        if more > 0 {
            writeln!(self.out, "  ... and {} more", amount::count(more as u64))?;
        }
        Ok(())
    }

    fn others(&mut self, page: &Page<'_>) -> io::Result<()> {
        let all = page.others().len();
        let lines = other_lines(page, OTHERS_MAX);
        if lines.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.heading("", "Refused for other reasons, which no certificate or connector mends")?;
        for (status, sessions, text) in &lines {
            let line = format!("  {status:<12} {sessions:>8}  {}", Escaped::line(text));
            writeln!(self.out, "{}", cut(&line, self.columns))?;
        }
        if all > lines.len() {
            let more = amount::count((all - lines.len()) as u64);
            writeln!(self.out, "  ... and {more} more; all are counted by")?;
            self.command("      ", &page.count_all())?;
        }
        Ok(())
    }
}

/// Where a piece of evidence is, and the command that shows it.
fn place(item: &Item) -> (Option<String>, Option<String>) {
    let at = |offset: u64| format!("{} at byte {offset}", item.source);
    match (&item.row, item.offset, item.kind) {
        (Some((session, _)), Some(offset), _) => {
            (Some(at(offset)), Some(format!("smtptrail show {}", argument(session))))
        }
        (_, _, ItemKind::Sessions) if item.source.contains('/') => {
            (None, Some(format!("smtptrail show {}", argument(&item.source))))
        }
        (_, _, ItemKind::Sessions) => (None, Some(format!("smtptrail search {}", argument(&item.source)))),
        (_, Some(offset), _) => (Some(at(offset)), None),
        _ => (Some(item.source.clone()), None),
    }
}
