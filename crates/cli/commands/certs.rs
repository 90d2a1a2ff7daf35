//! `certs`: every certificate that a log shows, when and where it was seen, and what it met; who renewed it and who lags.

use std::{cmp::Reverse, time::Duration};

use ::index::{
    Certificates, Expiry, Renewal, Rollover, Store, UseState,
    query::{Expr, Query, Window},
};
use clap::Args;
use smtplog::Timestamp;

use super::{
    open_store_with, outcome, parse_query, say_missing,
    window::{self, WindowArgs},
};
use crate::{
    Outcome,
    args::{Format, FormatArgs, VerifyArgs},
    config::Settings,
    duration,
    render::{amount, certificates, rollover},
};

/// List the certificates that servers and their peers presented
///
/// "presented" counts the sessions in which the logging server showed the certificate, "received" those in which the
/// other side did, "refusals" the 4xx and 5xx replies to sessions that had presented it.
///
/// With --rollover: a certificate is renewed on a connector once a server that presented it presents another instead, and
/// a server lags if its last session there presented the old one although the renewal had begun and the server had
/// nowhere moved to the new one since. "mixed" servers present both in turn; "idle" ones have had no session there since.
/// --until tells how it was then; --since leaves out the renewals that were over by then, and counts all the same what
/// was presented before.
#[derive(Args)]
pub(crate) struct CertsArgs {
    /// Only those of sessions that match this query; see `search --help`
    query: Vec<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// Tell which servers moved from which certificate to which on each connector, and which lag
    #[arg(long)]
    rollover: bool,
    /// With --rollover, also tell which certificates still presented expire within this time, counted from --until, or
    /// from the newest record
    #[arg(long, value_name = "DURATION", requires = "rollover", default_value = "30d", value_parser = duration::parse)]
    expires_in: Duration,
    #[command(flatten)]
    verify: VerifyArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Prints the inventory, most presented first, or the renewals.
pub(crate) fn run(args: &CertsArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let window = args.window.window()?;
    let query = match args.query.as_slice() {
        [] => Query { expr: Expr::All, window },
        words => parse_query(words)?.within(window),
    };
    let store = open_store_with(&settings.store, args.verify.checks())?;
    if args.rollover { args.rollover(&store, &query, settings) } else { args.inventory(&store, &query, settings) }
}

impl CertsArgs {
    fn inventory(&self, store: &Store, query: &Query, settings: &Settings) -> anyhow::Result<Outcome> {
        let Certificates { mut rows, missing } = store.certificates(Some(query))?;
        rows.sort_by_key(|row| (Reverse((row.presented, row.received)), row.certificate.thumbprint));
        let format = self.format.format();
        if !rows.is_empty() || format != Format::Table {
            certificates::print(&settings.console, format, &rows)?;
        }
        say_missing(&settings.console, &missing);
        settings.console.note(&amount::counted(rows.len() as u64, "certificate"));
        Ok(outcome(rows.len() as u64, missing.is_empty()))
    }

    fn rollover(&self, store: &Store, query: &Query, settings: &Settings) -> anyhow::Result<Outcome> {
        // Who moved and who lags is told by what was presented before: only what is shown begins with the window.
        let Window { since, until } = query.window;
        let mut rollover =
            store.rollover(&Query { expr: query.expr.clone(), window: Window { since: None, until } })?;
        if let Some(since) = since {
            rollover.retain_since(since);
        }
        let newest = store.info().last.unwrap_or(Timestamp(0));
        // Logs of the past are judged by their own time: what has expired since was not seen to be presented still.
        let now = until.unwrap_or(newest).min(window::now());
        let expires_in = i64::try_from(self.expires_in.as_millis()).unwrap_or(i64::MAX);
        let seen_since = Timestamp(newest.min(now).0.saturating_sub(expires_in));
        let expiry = Expiry {
            before: Timestamp(now.0.saturating_add(expires_in)),
            seen_since: since.map_or(seen_since, |since| since.max(seen_since)),
        };
        let expiring = expiry.among(&rollover.uses, &rollover.certificates);
        let report = rollover::Report { rollover: &rollover, expiring: &expiring, now };
        report.print(&settings.console, self.format.format())?;
        say_missing(&settings.console, &rollover.missing);
        settings.console.note(&summary(&rollover, expiring.len()));
        Ok(outcome(rollover.uses.len() as u64, rollover.missing.is_empty()))
    }
}

/// `12 renewals, 3 servers lag, 1 mixed, 2 certificates expire`.
fn summary(rollover: &Rollover, expiring: usize) -> String {
    if rollover.uses.is_empty() {
        return "no session presented a certificate".to_owned();
    }
    let servers = |state| {
        let all = rollover.renewals.iter().flat_map(|renewal: &Renewal| &renewal.servers);
        let mut names: Vec<&str> =
            all.filter(|server| server.state == state).map(|server| server.server.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        amount::counted(names.len() as u64, "server")
    };
    let verb = if expiring == 1 { "expires" } else { "expire" };
    format!(
        "{}, {} lagging, {} mixed; {} {verb}",
        amount::counted(rollover.renewals.len() as u64, "renewal"),
        servers(UseState::Lagging),
        servers(UseState::Mixed),
        amount::counted(expiring as u64, "certificate"),
    )
}
