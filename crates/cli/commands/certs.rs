//! `certs`: every certificate that a log shows, when and where it was seen, and what it met.

use std::cmp::Reverse;

use clap::Args;

use super::{open_store, parse_query};
use crate::{
    Outcome,
    args::{Format, FormatArgs},
    config::Settings,
    render::{amount, certificates},
};

/// List the certificates that servers and their peers presented
///
/// "presented" counts the sessions in which the logging server showed the certificate, "received" those in which the
/// other side did, "refusals" the 4xx and 5xx replies to sessions that had presented it.
#[derive(Args)]
pub(crate) struct CertsArgs {
    /// Only those of sessions that match this query; see `search --help`
    query: Vec<String>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Prints the inventory, most presented first.
pub(crate) fn run(args: &CertsArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let query = if args.query.is_empty() { None } else { Some(parse_query(&args.query)?) };
    let store = open_store(&settings.store)?;
    let mut rows = store.certificates(query.as_ref())?;
    rows.sort_by_key(|row| (Reverse((row.presented, row.received)), row.certificate.thumbprint));
    let format = args.format.format();
    if !rows.is_empty() || format != Format::Table {
        certificates::print(&settings.console, format, &rows)?;
    }
    settings.console.note(&amount::counted(rows.len() as u64, "certificate"));
    Ok(if rows.is_empty() { Outcome::NothingFound } else { Outcome::Done })
}
