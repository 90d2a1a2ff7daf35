//! `search`: the sessions that match a query, or how many there are by field and time.

mod rows;

use std::cmp::Reverse;

use ::index::{
    GroupRow, Over, SearchOptions, Sort, Store,
    query::{FIELDS, Field, Query},
};
use clap::{Args, ValueEnum};

use super::{open_store_with, outcome, parse_query, say_missing, window::WindowArgs};
use crate::{
    Outcome,
    args::{Format, FormatArgs, VerifyArgs},
    config::Settings,
    console::Console,
    render::{
        amount,
        groups::Grouping,
        sessions::{self, Row},
    },
};

/// Rows of a table if nobody says; more would scroll away.
const TABLE_LIMIT: usize = 50;

/// Columns that lines of the help keep to.
const HELP_COLUMNS: usize = 80;

/// Find the sessions that match a query
///
/// Terms are joined by AND unless OR or parentheses say otherwise, `-` or NOT negates, quotes make phrases, `*` ends a
/// beginning. Words without a field search all texts; an address, message id, thumbprint or session id is looked up as
/// such. Terms on code, status, attr, text and certificates hold for the same refusal.
#[derive(Args)]
#[command(after_long_help = fields_help())]
pub(crate) struct SearchArgs {
    /// What to find, as in 'presented:97355AF6* status:5.7.64'; '*' is everything (quote it for the shell)
    #[arg(required = true)]
    query: Vec<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// Print at most so many rows, 0 for all [default: 50 in a table, all with --json and --csv]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Which sessions come first; with --by and --over, which counts
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<SortOrder>,
    /// Count by these fields instead, most frequent first
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',', value_parser = field)]
    by: Vec<Field>,
    /// Count by time as well
    #[arg(long, value_name = "SPAN")]
    over: Option<OverTime>,
    /// Of these sessions, those with this text in any row of the original log
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["by", "over"])]
    rows: Option<String>,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Which sessions come first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortOrder {
    #[value(alias = "-started")]
    Newest,
    #[value(alias = "started")]
    Oldest,
}

/// Spans to count over.
#[derive(Clone, Copy, ValueEnum)]
enum OverTime {
    Hour,
    Day,
}

/// Searches or counts.
pub(crate) fn run(args: &SearchArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let query = parse_query(&args.query)?.within(args.window.window()?);
    let store = open_store_with(&settings.store, args.verify.checks())?;
    if store.info().sessions == 0 {
        let dir = settings.store.display();
        settings.console.note(&format!("the store at {dir} is empty; run 'smtptrail index PATH' first"));
    }
    let outcome = if args.by.is_empty() && args.over.is_none() {
        args.search(&store, &query, settings)
    } else {
        args.count(&store, &query, settings)
    };
    // The process ends: to unmap and free everything one by one takes as long as to answer.
    std::mem::forget(store);
    outcome
}

impl SearchArgs {
    fn limit(&self) -> Option<usize> {
        match (self.limit, self.format.format()) {
            (Some(limit), _) => Some(limit).filter(|limit| *limit > 0),
            (None, Format::Table) => Some(TABLE_LIMIT),
            (None, Format::Json | Format::Csv) => None,
        }
    }

    fn search(&self, store: &Store, query: &Query, settings: &Settings) -> anyhow::Result<Outcome> {
        let sort = match self.sort {
            Some(SortOrder::Oldest) => Sort::Oldest,
            _ => Sort::Newest,
        };
        let limit = self.limit().filter(|_| self.rows.is_none());
        let hits = store.search(query, &SearchOptions { limit, sort })?;
        let (mut rows, mut total, mut is_whole) = (Vec::new(), hits.total, hits.missing.is_empty());
        match &self.rows {
            None => rows.extend(hits.sessions.into_iter().map(|session| Row { session, text: None })),
            Some(text) => {
                let found = rows::search(store, hits.sessions, text, settings)?;
                is_whole &= found.is_whole;
                rows = found.rows;
                total = rows.len() as u64;
                rows.truncate(self.limit().unwrap_or(usize::MAX));
            }
        }
        let console = &settings.console;
        if total > 0 || self.format.format() != Format::Table {
            sessions::print(console, self.format.format(), &rows, query)?;
        }
        say_missing(console, &hits.missing);
        say_count(console, rows.len() as u64, total, "session");
        Ok(outcome(total, is_whole))
    }

    fn count(&self, store: &Store, query: &Query, settings: &Settings) -> anyhow::Result<Outcome> {
        let over = self.over.map(|span| match span {
            OverTime::Hour => Over::Hour,
            OverTime::Day => Over::Day,
        });
        let grouping = Grouping { by: &self.by, over };
        let mut groups = store.group(query, &self.by, over)?;
        self.order(&mut groups.rows);
        let total = groups.rows.len() as u64;
        groups.rows.truncate(self.limit().unwrap_or(usize::MAX));
        let console = &settings.console;
        if total > 0 || self.format.format() != Format::Table {
            grouping.print(console, self.format.format(), &groups.rows)?;
        }
        say_missing(console, &groups.missing);
        say_count(console, groups.rows.len() as u64, total, "row");
        Ok(outcome(total, groups.missing.is_empty()))
    }

    fn order(&self, rows: &mut [GroupRow]) {
        match self.sort {
            Some(SortOrder::Newest) => rows.sort_by_key(|row| Reverse((row.time, row.last))),
            Some(SortOrder::Oldest) => rows.sort_by_key(|row| (row.time, row.first)),
            // Values last, so that equal counts have an order.
            None => rows.sort_by(|a, b| {
                (a.time, b.sessions, b.replies, &a.values).cmp(&(b.time, a.sessions, a.replies, &b.values))
            }),
        }
    }
}

fn say_count(console: &Console, shown: u64, total: u64, noun: &str) {
    let text = match (shown, total) {
        (_, 0) => format!("no {noun} matches"),
        _ if shown < total => {
            format!("{} of {}; --limit 0 prints all", amount::count(shown), amount::counted(total, noun))
        }
        _ => amount::counted(total, noun),
    };
    console.note(&text);
}

fn field(name: &str) -> Result<Field, String> {
    Field::named(name.trim()).ok_or_else(|| {
        let names: Vec<&str> = FIELDS.iter().map(|row| row.name).collect();
        format!("fields are {}", names.join(" "))
    })
}

/// The fields of the query language, for `--help`.
fn fields_help() -> String {
    let mut help = String::from("Fields:\n");
    for row in &FIELDS {
        let (about, example) = (row.about, row.example);
        let is_short = about.len() + example.len() <= HELP_COLUMNS - "  field           , as in ".len();
        let separator = if is_short { " " } else { "\n                 " };
        help.push_str(&format!("  {:<14} {about},{separator}as in {example}\n", row.name));
    }
    help.push_str("\nCells of --csv that a spreadsheet would take for a formula begin with '.");
    help
}
