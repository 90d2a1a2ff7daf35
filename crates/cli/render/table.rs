//! Tables: columns aligned, and fitted to the terminal where there is one.
//!
//! Into files and pipes every cell goes whole. On a terminal thumbprints are shortened first; then columns that matter
//! less are left out if even the narrowest form of all does not fit; then the widest are cut.

use std::io::{self, Write};

use clap::builder::styling::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape::Escaped;

/// Blanks between columns.
const GAP: usize = 2;

/// Columns of a shortened thumbprint: eight digits and an ellipsis.
const SHORT_THUMBPRINT: usize = 9;

/// A table while it is filled.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column.
#[derive(Clone)]
pub(crate) struct Column {
    name: String,
    fit: Fit,
    /// How early it is left out where there is no room; 0 for never.
    dispensable: u8,
    style: Style,
}

/// What may happen to a column's cells where there is little room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing.
    Whole,
    /// As [`Fit::Whole`], and aligned to the right.
    Number,
    /// Cut at the end, down to so many columns.
    End(usize),
    /// Cut at the beginning, down to so many columns: the end is what tells.
    Start(usize),
    /// Whole, or the first digits.
    Thumbprint,
}

impl Column {
    /// A column of that name.
    pub(crate) fn new(name: &str, fit: Fit) -> Column {
        Column { name: name.to_owned(), fit, dispensable: 0, style: Style::new() }
    }

    /// Printed in this style.
    pub(crate) fn styled(self, style: Style) -> Column {
        Column { style, ..self }
    }

    /// Left out where there is no room; the higher, the earlier.
    pub(crate) fn dispensable(self, rank: u8) -> Column {
        Column { dispensable: rank, ..self }
    }

    fn narrowest(&self, natural: usize) -> usize {
        match self.fit {
            Fit::Whole | Fit::Number => natural,
            Fit::End(least) | Fit::Start(least) => least.min(natural),
            Fit::Thumbprint => SHORT_THUMBPRINT.max(self.name.width()).min(natural),
        }
    }
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: Vec<Column>) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Appends a row; cells are escaped here.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| Escaped::line(&cell).to_string()).collect());
    }

    /// Whether it has no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes header and rows, at most `width` columns wide as far as the columns allow.
    pub(crate) fn write(&self, out: &mut impl Write, width: Option<usize>, heading: Style) -> io::Result<()> {
        let widths = self.widths(width);
        let header: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.write_row(out, &header, &widths, |_| heading)?;
        self.rows.iter().try_for_each(|row| self.write_row(out, row, &widths, |column| column.style))
    }

    /// The width of each column; `None` for those that are left out.
    fn widths(&self, width: Option<usize>) -> Vec<Option<usize>> {
        let mut natural: Vec<usize> = self.columns.iter().map(|column| column.name.width()).collect();
        for row in &self.rows {
            for (most, cell) in natural.iter_mut().zip(row) {
                *most = cell.width().max(*most);
            }
        }
        let mut widths: Vec<Option<usize>> = natural.iter().map(|&width| Some(width)).collect();
        let Some(room) = width.filter(|&room| total(&widths) > room) else { return widths };
        let narrowest: Vec<usize> =
            self.columns.iter().zip(&natural).map(|(column, &natural)| column.narrowest(natural)).collect();
        self.leave_out(&mut widths, &narrowest, room);
        for (at, column) in self.columns.iter().enumerate() {
            if let (Fit::Thumbprint, Some(width)) = (column.fit, &mut widths[at]) {
                *width = narrowest[at];
            }
        }
        shrink(&mut widths, &narrowest, room);
        widths
    }

    fn leave_out(&self, widths: &mut [Option<usize>], narrowest: &[usize], room: usize) {
        loop {
            let least: Vec<_> = widths.iter().zip(narrowest).map(|(width, least)| width.and(Some(*least))).collect();
            let present = self.columns.iter().enumerate().filter(|(at, _)| widths[*at].is_some());
            let next =
                present.filter(|(_, column)| column.dispensable > 0).max_by_key(|(_, column)| column.dispensable);
            match next {
                Some((at, _)) if total(&least) > room => widths[at] = None,
                _ => return,
            }
        }
    }

    fn write_row(
        &self,
        out: &mut impl Write,
        cells: &[String],
        widths: &[Option<usize>],
        style: impl Fn(&Column) -> Style,
    ) -> io::Result<()> {
        let mut pending = 0;
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths) {
            let Some(width) = *width else { continue };
            let text = cut(cell, column.fit, width);
            let room = width - text.width().min(width);
            let (before, after) = if column.fit == Fit::Number { (room, 0) } else { (0, room) };
            // Blanks wait for the next text, so that no line ends in blanks.
            if !text.is_empty() {
                let style = style(column);
                write!(out, "{:1$}{style}{text}{style:#}", "", pending + before)?;
                pending = 0;
            } else {
                pending += before;
            }
            pending += after + GAP;
        }
        writeln!(out)
    }
}

/// A text on one line, escaped and cut at the end to the width.
pub(crate) fn fitted(text: &str, width: Option<usize>) -> String {
    let text = Escaped::line(text).to_string();
    match width {
        Some(width) => cut(&text, Fit::End(0), width),
        None => text,
    }
}

/// A thumbprint in a line of words: whole where there is room, else its first digits.
pub(crate) fn thumbprint(thumbprint: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if width < LINE_OF_THUMBPRINTS => cut(thumbprint, Fit::Thumbprint, SHORT_THUMBPRINT),
        _ => thumbprint.to_owned(),
    }
}

/// From so many columns on two thumbprints and a name stand whole in one line.
const LINE_OF_THUMBPRINTS: usize = 120;

fn total(widths: &[Option<usize>]) -> usize {
    let present = widths.iter().flatten();
    present.clone().sum::<usize>() + GAP * present.count().saturating_sub(1)
}

/// Takes from the widest column that may still give, one by one, until all fit.
fn shrink(widths: &mut [Option<usize>], narrowest: &[usize], room: usize) {
    let mut excess = total(widths).saturating_sub(room);
    while excess > 0 {
        let giving = widths.iter_mut().zip(narrowest).filter_map(|(width, &least)| width.as_mut().zip(Some(least)));
        let Some((width, _)) = giving.filter(|(width, least)| **width > *least).max_by_key(|(width, _)| **width) else {
            return;
        };
        *width -= 1;
        excess -= 1;
    }
}

/// A text that takes at most so many columns.
pub(super) fn cut(text: &str, fit: Fit, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    match fit {
        Fit::Start(_) => {
            let mut kept: Vec<char> = fitting(text.chars().rev(), width);
            kept.push('…');
            kept.iter().rev().collect()
        }
        Fit::Thumbprint => fitting(text.chars(), SHORT_THUMBPRINT).into_iter().chain(['…']).collect(),
        _ => fitting(text.chars(), width).into_iter().chain(['…']).collect(),
    }
}

/// As many characters as fit beside an ellipsis.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut left = width.saturating_sub(1);
    chars
        .map_while(|c| {
            left = left.checked_sub(c.width().unwrap_or(0))?;
            Some(c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(vec![
            Column::new("time", Fit::Whole),
            Column::new("id", Fit::Start(10)),
            Column::new("remote", Fit::End(6)).dispensable(2),
            Column::new("presented", Fit::Thumbprint),
            Column::new("count", Fit::Number),
            Column::new("text", Fit::End(8)).dispensable(1),
        ]);
        let row = |cells: [&str; 6]| cells.map(str::to_owned);
        let thumbprint = "97355AF6DC2629ECCB2289C931D706332F3CF022";
        table.row(row(["06:00", "EX001/hub/send/08DC3990", "192.0.2.1:25", thumbprint, "7", "Relay Access Denied"]));
        table.row(row(["07:00", "EX1/a/b/08DC3991", "", "", "1,200", "世界世界世界世界\x1b[m"]));
        table
    }

    #[track_caller]
    fn check(width: Option<usize>, expected: &[&str]) {
        let mut out = Vec::new();
        sample().write(&mut out, width, Style::new()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{width:?}");
        assert!(width.is_none_or(|width| text.lines().all(|line| line.width() <= width)));
    }

    #[test]
    fn pipes_get_everything() {
        check(
            None,
            &[
                "time   id                       remote        presented                                 count  text",
                "06:00  EX001/hub/send/08DC3990  192.0.2.1:25  97355AF6DC2629ECCB2289C931D706332F3CF022      7  Relay Access Denied",
                "07:00  EX1/a/b/08DC3991                                                                 1,200  世界世界世界世界\\x1b[m",
            ],
        );
    }

    #[test]
    fn terminals_get_what_fits() {
        check(
            Some(72),
            &[
                "time   id                remote        presented  count  text",
                "06:00  …b/send/08DC3990  192.0.2.1:25  97355AF6…      7  Relay Access D…",
                "07:00  EX1/a/b/08DC3991                           1,200  世界世界世界世…",
            ],
        );
    }

    #[test]
    fn columns_that_matter_less_are_left_out() {
        check(
            Some(40),
            &[
                "time   id               presented  count",
                "06:00  …/send/08DC3990  97355AF6…      7",
                "07:00  …1/a/b/08DC3991             1,200",
            ],
        );
    }
}
