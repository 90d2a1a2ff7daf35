//! The verbs, one file each.

pub(crate) mod certs;
pub(crate) mod completions;
pub(crate) mod coverage;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod index;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod verify;
pub(crate) mod window;

use std::path::Path;

use ::index::{Checks, MissingSplit, Store, StoreError, query::Query};
use anyhow::anyhow;

use crate::{Outcome, args::Command, config::Settings, console::Console};

/// Runs a verb.
pub(crate) fn run(command: &Command, settings: &Settings) -> anyhow::Result<Outcome> {
    match command {
        Command::Index(args) => index::run(args, settings),
        Command::Search(args) => search::run(args, settings),
        Command::Show(args) => show::run(args, settings),
        Command::Certs(args) => certs::run(args, settings),
        Command::Explain(args) => explain::run(args, settings),
        Command::Export(args) => export::run(args, settings),
        Command::Coverage(args) => coverage::run(args, settings),
        Command::Verify(args) => verify::run(args, settings),
        Command::Prune(args) => prune::run(args, settings),
        Command::Generate(args) => generate::run(args, settings),
        Command::Completions(args) => completions::run(args, settings),
        Command::Man => man::run(settings),
    }
}

/// Opens the store for reading, and says what to do if there is none.
fn open_store(dir: &Path) -> anyhow::Result<Store> {
    open_store_with(dir, Checks::Opening)
}

/// The same, with a flag for what is checked.
fn open_store_with(dir: &Path, checks: Checks) -> anyhow::Result<Store> {
    Store::open_with(dir, checks).map_err(|error| match error {
        StoreError::NotFound { .. } => {
            anyhow!("no store at {}; run 'smtptrail index PATH' first, or name a store with --store", dir.display())
        }
        other => anyhow!(other),
    })
}

/// Parses a query; the error shows the place.
fn parse_query(words: &[String]) -> anyhow::Result<Query> {
    Query::parse(&words.join(" ")).map_err(|error| anyhow!(error.rendered()))
}

/// Says which parts of the store an answer is without.
fn say_missing(console: &Console, missing: &[MissingSplit]) {
    for split in missing {
        console.warn(&format!("a part of the store is missing from the answer: {}: {}", split.name, split.reason));
    }
}

/// How a question ended: so many were found, and all of the store was asked or not.
fn outcome(total: u64, is_whole: bool) -> Outcome {
    match (total, is_whole) {
        (_, false) => Outcome::Partial,
        (0, true) => Outcome::NothingFound,
        _ => Outcome::Done,
    }
}
