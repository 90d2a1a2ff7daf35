//! The verbs, one file each.

pub(crate) mod generate;
pub(crate) mod index;

use crate::{Outcome, args::Command, config::Settings};

/// Runs a verb.
pub(crate) fn run(command: &Command, settings: &Settings) -> anyhow::Result<Outcome> {
    match command {
        Command::Index(args) => index::run(args, settings),
        Command::Generate(args) => generate::run(args, settings),
    }
}
