//! `explain`: why was it refused? Cases, their causes and what to do, from all that the store knows.

mod from;
mod gather;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ::index::{
    MissingSplit, Refusals, Store, StoreError,
    query::{Expr, Query, Window},
};
use anyhow::bail;
use clap::Args;
use diagnose::{Background, Case, Cause, RULES, Refused, cases, judge, verdict};
use smtplog::{Thumbprint, Timestamp};

pub(crate) use self::gather::Accepted;
use super::{open_store, parse_query, say_missing, window::WindowArgs};
use crate::{
    Outcome,
    config::Settings,
    render::explain::{Explained, Other, Page, Similar, Style, rules},
};

/// Refused sessions that are looked at, the newest ones. Each takes about 2 kB, and a case does not become clearer with
/// more of them.
const SESSIONS_MAX: usize = 100_000;

/// Cases that a page explains in full if nobody says otherwise; a page with more is not read.
const CASES_SHOWN: usize = 10;

/// The time that is looked at if nobody says: before the newest record of the store.
const DEFAULT_MS: i64 = 24 * 3_600_000;

/// Say why mail was refused, with the evidence and the mend
///
/// Refusals with the same status, connector and certificate are one case. For each case the likely causes are ranked,
/// from what the logs and the evidence beside them show: certificate files, connector exports, CAPI2 events, logs of the
/// Hybrid Configuration Wizard. Index such files with the logs and the answer becomes surer; what is missing is named
/// with the command that exports it. Without --since and --until the 24 hours before the newest record are looked at.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// What to explain, as in search: a query, a thumbprint, a session id, an address [default: all refusals]
    query: Vec<String>,
    /// Explain what you have in hand: a bounce, a queue's last error or a pasted reply; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    from: Option<PathBuf>,
    #[command(flatten)]
    window: WindowArgs,
    /// Explain at most so many cases in full, the largest first; 0 for all. JSON has all unless this says otherwise
    /// [default: 10]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Explain the rules' weighing: what speaks for each cause and what against it
    #[arg(long)]
    why: bool,
    /// Print one JSON object a case
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown, for a ticket or a wiki
    #[arg(long)]
    markdown: bool,
    /// List the causes that can be found
    #[arg(long, conflicts_with_all = ["query", "from", "rule"])]
    list: bool,
    /// Print what a cause means: what it finds, why it matters, what to do
    #[arg(long, value_name = "ID", conflicts_with_all = ["query", "from"])]
    rule: Option<String>,
}

/// Explains.
pub(crate) fn run(args: &ExplainArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    if args.list {
        rules::list(&settings.console)?;
        return Ok(Outcome::Done);
    }
    if let Some(id) = &args.rule {
        let Some(rule) = RULES.iter().find(|rule| rule.id() == id) else {
            let known: Vec<&str> = RULES.iter().map(|rule| rule.id()).collect();
            bail!("there is no rule {id}; the rules are {}", known.join(", "));
        };
        rules::print(&settings.console, *rule)?;
        return Ok(Outcome::Done);
    }
    if let Some(path) = &args.from {
        return explain_report(args, path, settings);
    }
    let query = match args.query.is_empty() {
        true => Query { expr: Expr::All, window: Window::default() },
        false => parse_query(&args.query)?,
    };
    let store = open_store(&settings.store)?;
    let asked = Asked::new(args, &store, query)?;
    let outcome = asked.explain(args, Some(&store), settings);
    // The process ends: to unmap and free everything one by one takes as long as to answer.
    std::mem::forget(store);
    outcome
}

/// Explains what a report leads to. Without a store the report alone has to do.
fn explain_report(args: &ExplainArgs, path: &Path, settings: &Settings) -> anyhow::Result<Outcome> {
    let store = match Store::open(&settings.store) {
        Err(StoreError::NotFound { .. }) => None,
        opened => Some(opened?),
    };
    let window = args.window.window()?;
    let from::Led { refusals, reported, how, similar } = from::lead(path, store.as_ref(), window, settings)?;
    let query = Query { expr: Expr::All, window };
    let asked = Asked { query, refusals, own: Vec::new(), reported, similar, because: Some(how), is_default: false };
    let outcome = asked.explain(args, store.as_ref(), settings)?;
    std::mem::forget(store);
    Ok(outcome)
}

/// What is asked, and of which time.
struct Asked {
    query: Query,
    refusals: Refusals,
    /// Refusals that the fleet's own servers gave.
    own: Vec<Other>,
    /// Refusals that only a report tells of.
    reported: Vec<Refused>,
    /// Refusals like these in the store.
    similar: Option<Similar>,
    /// Why that time, if nobody said so.
    because: Option<String>,
    /// Whether the time is the one that is looked at if nobody says.
    is_default: bool,
}

impl Asked {
    fn new(args: &ExplainArgs, store: &Store, query: Query) -> anyhow::Result<Asked> {
        let window = args.window.window()?;
        if window.since.is_some() || window.until.is_some() {
            return Asked::within(store, query, window, None);
        }
        let day_before = |time: Timestamp| Window { since: Some(Timestamp(time.0 - DEFAULT_MS)), until: None };
        let newest = store.info().last.unwrap_or(Timestamp(0));
        let because = format!("the 24 hours before the newest record, {newest}; --since looks further back");
        let asked = Asked::within(store, query, day_before(newest), Some(because))?;
        if asked.refusals.total > 0 || !asked.own.is_empty() {
            return Ok(asked);
        }
        // Somebody who names a session of last week wants to hear of that one.
        let older = store.refusals(&asked.query.clone().within(Window::default()), 1)?;
        let Some(last) = older.sessions.iter().map(|one| one.session.last).max() else { return Ok(asked) };
        let because =
            format!("the 24 hours before the last refusal, {last}: there is none in the last day of the store");
        Asked::within(store, asked.query, day_before(last), Some(because))
    }

    fn within(store: &Store, query: Query, window: Window, because: Option<String>) -> anyhow::Result<Asked> {
        let query = query.within(window);
        let mut refusals = store.refusals(&query, SESSIONS_MAX)?;
        let own = gather::own_refusals(store, &query, &mut refusals.missing)?;
        let is_default = because.is_some();
        Ok(Asked { query, refusals, own, reported: Vec::new(), similar: None, because, is_default })
    }

    fn explain(self, args: &ExplainArgs, store: Option<&Store>, settings: &Settings) -> anyhow::Result<Outcome> {
        let console = &settings.console;
        let Asked { query, refusals, own, reported, similar, because, is_default } = self;
        let missing = refusals.missing;
        say_missing(console, &missing);
        if refusals.total > refusals.sessions.len() as u64 {
            console.warn(&format!("{} sessions match; the newest {SESSIONS_MAX} are explained", refusals.total));
        }
        let found = refusals.sessions.into_iter().flat_map(gather::refused);
        let refused: Vec<Refused> = found.chain(reported).collect();
        let cases = cases(&refused);
        let background = match store {
            Some(store) => gather::background(store, &query, &cases, &Accepted::of(store))?,
            None => Background::default(),
        };
        let mut explained = judged(&cases, &background);
        if let Some(store) = store {
            if is_default {
                gather::look_before(store, &query, &mut explained)?;
            }
            gather::follow_proxies(store, &mut explained)?;
            gather::locate_rows(store, &mut explained)?;
        }
        let style = match (args.json, args.markdown) {
            (true, _) => Style::Json,
            (_, true) => Style::Markdown,
            _ => Style::Text,
        };
        let limit = match args.limit {
            Some(0) => usize::MAX,
            None if style == Style::Json => usize::MAX,
            limit => limit.unwrap_or(CASES_SHOWN),
        };
        let notes = gather::contradictions(&background);
        let page = Page { cases: &explained, own, query, because, notes, similar, why: args.why, limit };
        let is_empty = page.is_empty();
        match store.is_some_and(|store| store.info().sessions == 0) {
            _ if !is_empty => page.print(console, style)?,
            true => console.note("no logs are indexed yet; run 'smtptrail index PATH' with the servers' protocol logs"),
            false => console.note("no refusal matches, and no failed TLS negotiation"),
        }
        let outcome = match (is_empty, missing.is_empty()) {
            (_, false) => Outcome::Partial,
            (true, true) => Outcome::NothingFound,
            _ => Outcome::Done,
        };
        Ok(outcome)
    }
}

/// Calls with every case of the refusals that match and that rules have something to say about, and with its causes, the
/// likeliest first.
pub(crate) fn each_judged(
    store: &Store,
    query: &Query,
    accepted: &Accepted<'_>,
    missing: &mut Vec<MissingSplit>,
    with: &mut dyn FnMut(&Case<'_>, &[Cause]),
) -> anyhow::Result<()> {
    let refusals = store.refusals(query, SESSIONS_MAX)?;
    missing.extend(refusals.missing);
    let mut refused: Vec<Refused> = refusals.sessions.into_iter().flat_map(gather::refused).collect();
    // A session of which a part lies in the time may have failed before or after it.
    refused.retain(|one| query.window.contains(one.time()));
    let cases: Vec<Case<'_>> = cases(&refused).into_iter().filter(Case::is_judged).collect();
    let background = gather::background(store, query, &cases, accepted)?;
    cases.iter().for_each(|case| with(case, &judge(case, &background)));
    Ok(())
}

/// Judges the cases, on two threads: they are about alike, and a third would find little to do.
fn judged<'a>(cases: &'a [Case<'a>], background: &Background) -> Vec<Explained<'a>> {
    let judge_all = |cases: &'a [Case<'a>]| -> Vec<Explained<'a>> {
        cases.iter().map(|case| Explained::new(case, verdict(case, background), background)).collect()
    };
    // The largest cases come first, those without a rule last.
    let half = cases.iter().filter(|case| case.is_judged()).count().div_ceil(8);
    let (first, rest) = cases.split_at(half.min(cases.len()));
    std::thread::scope(|scope| {
        let rest = scope.spawn(|| judge_all(rest));
        let mut explained = judge_all(first);
        explained.extend(rest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        explained
    })
}

/// Certificates of the cases.
fn presented(cases: &[Case<'_>]) -> BTreeSet<Thumbprint> {
    cases.iter().filter_map(|case| case.presented).collect()
}

/// Whether any case is about certificates or attribution.
fn concerns(cases: &[Case<'_>]) -> bool {
    cases.iter().any(|case| case.is_judged())
}
