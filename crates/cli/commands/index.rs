//! `index`: adds logs to the store, and says what was read, kept, rejected and pending.

mod files;
mod job;
mod metrics;
mod report;
mod waiting;
mod watch;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use smtplog::Role;

use self::{files::RunFiles, job::Job};
use crate::{Outcome, config::Settings, duration, signals};

/// Add logs to the store
///
/// Reads files, folders and zip archives, plain or compressed with zstd or gzip, whatever their names are. What was
/// read before is not read again; a file that has grown goes on where it ended.
#[derive(Args)]
pub(crate) struct IndexArgs {
    /// Files, folders or zip archives; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The server that wrote the logs, whatever their folders say
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    server: Option<String>,
    /// The transport service of logs whose folders do not say
    #[arg(long, value_name = "ROLE", value_parser = role_parser())]
    role: Option<Role>,
    /// Take sessions from before the store's horizon, too, which `prune` set; the next `prune` drops them again
    #[arg(long, conflicts_with = "dry_run")]
    reindex: bool,
    /// Keep the rows of what is read, so that transcripts outlive the logs; as large as the logs with zstd
    #[arg(long, conflicts_with = "dry_run")]
    keep_transcripts: bool,
    /// Read everything and keep nothing
    #[arg(long)]
    dry_run: bool,
    /// Exit with 3 also for rejected rows, for damage that is known, and if there was nothing new
    #[arg(long)]
    strict: bool,
    /// Never map files into memory
    #[arg(long)]
    no_mmap: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Write the summary as JSON into this file, also if the run fails
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Write metrics of the run and the store for Prometheus into this file, also if the run fails
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// If another run writes to the store, wait until it is done, or so long, instead of failing
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration::parse)]
    wait: Option<Option<Duration>>,
    /// Keep going, and look for new rows this often [default: 5s]
    ///
    /// Prints a line for each run that found something. What fails, a folder that has gone or a full disk, is reported
    /// once and tried again. SIGTERM and SIGINT end it with exit code 0.
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, value_parser = duration::parse)]
    #[arg(conflicts_with = "dry_run")]
    watch: Option<Option<Duration>>,
}

/// How often a watch looks for new rows if nobody says.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Reads the logs and reports.
pub(crate) fn run(args: &IndexArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let files = RunFiles::new(args, &settings.store)?;
    let stop = Arc::new(AtomicBool::new(false));
    // Reading a pipe goes on until the other side ends it. There a signal ends the process, and nothing is published.
    if !args.reads_stdin() {
        signals::stop_on_signals(&stop).context("cannot listen to signals")?;
    } else if args.watch.is_some() {
        bail!("--watch needs files or folders; standard input comes only once");
    }
    let job = Job::new(args, settings, stop);
    match args.watch {
        Some(interval) => watch::watch(&job, &files, interval.unwrap_or(WATCH_INTERVAL)),
        None => once(&job, &files),
    }
}

fn once(job: &Job<'_>, files: &RunFiles<'_>) -> anyhow::Result<Outcome> {
    let ran = job.run();
    let written = files.write(&ran.report(job));
    match ran.result {
        Ok(outcome) => {
            ran.report(job).print(&job.settings.console, job.args.json)?;
            written.map(|()| outcome)
        }
        Err(error) => {
            if let Err(error) = written {
                job.settings.console.warn(&format!("{error:#}"));
            }
            Err(error)
        }
    }
}

impl IndexArgs {
    fn reads_stdin(&self) -> bool {
        self.paths.iter().any(|path| path.as_os_str() == "-")
    }
}

fn role_parser() -> impl TypedValueParser<Value = Role> {
    // Only names of roles pass the first parser.
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).map(|name| name.parse().unwrap_or(Role::Unknown))
}

fn server_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    is_name.then(|| name.to_owned()).ok_or_else(|| "write a host name, as EX001 or ex001.contoso.com".to_owned())
}
