//! The map: a line for each stream, a cell for each day.
//!
//! ```text
//! stream              rejected  03-01  03-08
//! EX002/unknown/send         0  ▓▓▒█▓▓▓M▓▓▓▓
//! EX001/unknown/send        12  ▓▓▒█▓▓▓▓▓▓▓▓
//! ```

use std::io::{self, Write};

use clap::builder::styling::Style;
use index::coverage::{DayCoverage, State, StreamCoverage};
use unicode_width::UnicodeWidthStr;

use super::{amount, date, name};
use crate::{
    console::Palette,
    render::{
        escape::Escaped,
        table::{self, Fit},
    },
};

/// Days of a map where no terminal bounds it. A damaged date may lie centuries before the others.
const DAYS_MAX: usize = 400;

/// Columns that a stream's name has at most, if a terminal bounds the map.
const NAME_COLUMNS_MAX: usize = 32;

/// Columns between two dates above the cells: a week apart, and a blank or two behind each.
const WEEK: usize = 7;

const GAP: &str = "  ";

/// From few rows to as many as on the stream's busiest day.
const SHADES: [char; 4] = ['░', '▒', '▓', '█'];

/// A map while it is written.
pub(super) struct HeatMap<'a> {
    streams: &'a [&'a StreamCoverage],
    names: Vec<String>,
    name_columns: usize,
    /// Rejected rows of each stream on the days that are shown.
    rejected: Vec<String>,
    rejected_columns: usize,
    first_known: i64,
    /// The days that are shown.
    first: i64,
    last: i64,
}

const REJECTED: &str = "rejected";

impl<'a> HeatMap<'a> {
    /// Of streams with at least one day each, the newest days that fit.
    pub(super) fn new(streams: &'a [&'a StreamCoverage], width: Option<usize>) -> HeatMap<'a> {
        let names: Vec<String> = streams.iter().map(|stream| Escaped::line(&name(stream)).to_string()).collect();
        let widest = names.iter().map(|name| name.width()).max().unwrap_or(0).max("stream".len());
        let name_columns = if width.is_some() { widest.min(NAME_COLUMNS_MAX) } else { widest };
        let days = || streams.iter().flat_map(|stream| &stream.days).map(|day| day.day);
        let (first_known, last) = (days().min().unwrap_or(0), days().max().unwrap_or(0));
        let total = |first: i64| {
            let rejected = |stream: &&StreamCoverage| {
                amount::count(stream.days.iter().filter(|day| day.day >= first).map(|day| day.rejected).sum())
            };
            streams.iter().map(rejected).collect::<Vec<String>>()
        };
        let widest = |rejected: &[String]| rejected.iter().map(String::len).max().unwrap_or(0).max(REJECTED.len());
        let rejected_columns = widest(&total(first_known));
        let others = name_columns + rejected_columns + 2 * GAP.len();
        let room = width.map_or(DAYS_MAX, |width| width.saturating_sub(others).max(1)).min(DAYS_MAX);
        let first = first_known.max(last + 1 - room as i64);
        let rejected = total(first);
        HeatMap { streams, names, name_columns, rejected, rejected_columns, first_known, first, last }
    }

    /// Days before those that are shown.
    pub(super) fn days_left_out(&self) -> u64 {
        (self.first - self.first_known).unsigned_abs()
    }

    /// Writes it, with its legend.
    pub(super) fn write(&self, out: &mut impl Write, colors: Palette) -> io::Result<()> {
        let Palette { heading, key, .. } = colors;
        let (names, numbers) = (self.name_columns, self.rejected_columns);
        let header = format!("{:names$}{GAP}{REJECTED:>numbers$}{GAP}{}", "stream", self.dates());
        writeln!(out, "{heading}{}{heading:#}", header.trim_end())?;
        for ((stream, name), rejected) in self.streams.iter().zip(&self.names).zip(&self.rejected) {
            let name = table::cut(name, Fit::End(0), names);
            let blanks = names - name.width().min(names);
            write!(out, "{key}{name}{key:#}{:blanks$}{GAP}{rejected:>numbers$}{GAP}", "")?;
            self.write_cells(out, stream, colors)?;
            writeln!(out)?;
        }
        writeln!(out)?;
        writeln!(out, "{} to {}, UTC; what is missing may be logging that is off", date(self.first), date(self.last))?;
        writeln!(out, "░▒▓█ few to most rows  · none  S silent  M missing  G gap  L late  P pruned")
    }

    /// A date above the first day of each week, as far as it ends above a cell.
    fn dates(&self) -> String {
        let cells = (self.last - self.first + 1) as usize;
        let mut line = String::new();
        for at in (0..cells).step_by(WEEK) {
            let date = date(self.first + at as i64);
            let date = date.split_once('-').map_or("", |(_, date)| date);
            if at == 0 || at + date.len() <= cells {
                line.push_str(&" ".repeat(at - line.len()));
                line.push_str(date);
            }
        }
        line
    }

    fn write_cells(&self, out: &mut impl Write, stream: &StreamCoverage, colors: Palette) -> io::Result<()> {
        let most = stream.days.iter().filter(|day| day.day >= self.first).map(|day| day.kept).max().unwrap_or(0);
        let mut days = stream.days.iter().filter(|day| day.day >= self.first).peekable();
        let cells: Vec<(char, Style)> = (self.first..=self.last)
            .map(|day| match days.next_if(|known| known.day == day) {
                Some(day) => cell(day, most, colors),
                None => ('·', colors.faint),
            })
            .collect();
        for run in cells.chunk_by(|a, b| a.1 == b.1) {
            let (style, text) = (run[0].1, run.iter().map(|cell| cell.0).collect::<String>());
            write!(out, "{style}{text}{style:#}")?;
        }
        Ok(())
    }
}

fn cell(day: &DayCoverage, most: u64, colors: Palette) -> (char, Style) {
    match day.state {
        State::Pruned => ('P', colors.faint),
        State::Silent => ('S', colors.refusal),
        State::Missing => ('M', colors.refusal),
        State::Gap => ('G', colors.heading),
        State::Late => ('L', colors.heading),
        State::Present => {
            let quarter = (u128::from(day.kept) * SHADES.len() as u128).div_ceil(u128::from(most.max(1)));
            (SHADES[(quarter as usize).clamp(1, SHADES.len()) - 1], Style::new())
        }
    }
}
