//! The command line: global flags and the list of verbs. Each verb's own arguments stand in its file.

use std::path::PathBuf;

use ::index::Checks;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    commands::{certs, completions, coverage, explain, export, generate, index, prune, search, show, verify},
    console::OutputOptions,
};

/// Finds the sessions behind a certificate and a refusal in Exchange SMTP protocol logs
#[derive(Parser)]
#[command(
    name = "smtptrail",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 found or done, 1 nothing found, 2 error, 3 done, but something could not be read."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    Index(index::IndexArgs),
    Search(search::SearchArgs),
    Show(show::ShowArgs),
    Explain(explain::ExplainArgs),
    Certs(certs::CertsArgs),
    Export(Box<export::ExportArgs>),
    Coverage(coverage::CoverageArgs),
    Verify(verify::VerifyArgs),
    Prune(prune::PruneArgs),
    Generate(generate::GenerateArgs),
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    ///
    /// To read it: smtptrail man | man -l -
    Man,
}

/// How results are printed.
#[derive(Args)]
pub(crate) struct FormatArgs {
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// For spreadsheets.
    Csv,
}

impl FormatArgs {
    /// A table unless a flag says otherwise.
    pub(crate) fn format(&self) -> Format {
        match self {
            FormatArgs { json: true, .. } => Format::Json,
            FormatArgs { csv: true, .. } => Format::Csv,
            _ => Format::Table,
        }
    }
}

/// What is checked before the store is asked.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// Check the store's checksums first
    #[arg(long)]
    verify: bool,
}

impl VerifyArgs {
    /// What to check.
    pub(crate) fn checks(&self) -> Checks {
        if self.verify { Checks::Checksums } else { Checks::Opening }
    }
}

/// Flags of every verb.
#[derive(Args)]
pub(crate) struct Global {
    /// The folder of the store [default: ./smtptrail-store]
    #[arg(long, global = true, value_name = "DIR", env = "SMTPTRAIL_STORE", hide_env_values = true)]
    #[arg(help_heading = "Global options")]
    pub(crate) store: Option<PathBuf>,
    /// Threads to work with [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    #[arg(help_heading = "Global options")]
    pub(crate) threads: Option<u16>,
    /// When to use colors; NO_COLOR in the environment means never [default: auto]
    #[arg(long, global = true, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Option<ColorChoice>,
    /// Print only results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Print everything there is to know
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
    /// Take settings from this TOML file: store, threads, color, keep_transcripts, servers (names by path)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
}

impl Global {
    /// How to print, as far as the flags say; `configured` is the color of the configuration file.
    pub(crate) fn output(&self, configured: Option<ColorChoice>) -> OutputOptions {
        OutputOptions { color: self.color, configured_color: configured, quiet: self.quiet, verbose: self.verbose }
    }
}

/// When to use colors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}
