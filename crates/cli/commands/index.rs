//! `index`: adds logs to the store, and says what was read, kept, rejected and pending.

mod report;

use std::{path::PathBuf, sync::atomic::Ordering, time::Instant};

use anyhow::Context;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use index::Writer;
use ingest::{IncompleteSession, Limits, NothingKnown, Options, Progress, Sink, summary::Summary};
use smtplog::{Role, Session};

use self::report::Report;
use crate::{
    Outcome,
    config::Settings,
    progress::{self, Done},
    store::{self, Extras},
};

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
}

/// Reads the logs and reports.
pub(crate) fn run(args: &IndexArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    check_paths(&args.paths)?;
    let options = Options {
        threads: settings.threads,
        server: args.server.clone(),
        role: args.role,
        servers: settings.servers.clone(),
        mapping: !args.no_mmap,
        limits: Limits::default(),
    };
    let progress = Progress::default();
    let done = || Done {
        bytes: progress.bytes_done.load(Ordering::Relaxed),
        total: progress.bytes_total.load(Ordering::Relaxed),
    };
    let begin = Instant::now();
    let summary = progress::shown(&settings.console, done, || match args.dry_run {
        true => dry_run(&args.paths, &options, &progress),
        false => index(args, settings, &options, &progress),
    })?;
    let report = Report { summary: &summary, time: begin.elapsed(), paths: &args.paths };
    report.print(&settings.console, args.json)?;
    Ok(outcome(&summary, args.strict))
}

/// If nothing that was named can be looked at, nothing is done; otherwise the rest is read and the report names it.
fn check_paths(paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut error = None;
    for path in paths.iter().filter(|path| path.as_os_str() != "-") {
        match path.metadata() {
            Ok(_) => return Ok(()),
            Err(cause) => error = error.or(Some((path, cause))),
        }
    }
    match error {
        Some((path, cause)) if !paths.iter().any(|path| path.as_os_str() == "-") => {
            Err(cause).with_context(|| format!("cannot read {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn outcome(summary: &Summary, strict: bool) -> Outcome {
    let is_lax = summary.problems.is_empty();
    let is_strict = summary.rejected == 0 && summary.read > 0;
    if is_lax && (is_strict || !strict) { Outcome::Done } else { Outcome::Partial }
}

fn index(args: &IndexArgs, settings: &Settings, options: &Options, progress: &Progress) -> anyhow::Result<Summary> {
    let writer = Writer::open(&settings.store)?;
    let keeps_rows = args.keep_transcripts || settings.keep_transcripts;
    let extras = Extras { takes_expired: args.reindex, keeps_rows };
    store::index(writer, &args.paths, options, progress, extras)
}

fn dry_run(paths: &[PathBuf], options: &Options, progress: &Progress) -> anyhow::Result<Summary> {
    let outcome = ingest::run(paths, options, &NothingKnown, progress, || Discarded)
        .with_context(|| format!("cannot start {} threads", options.threads))?;
    Ok(outcome.summary)
}

/// Takes sessions and keeps none; the summary counts them.
struct Discarded;

impl Sink for Discarded {
    fn session(&mut self, _: Session) {}

    fn incomplete(&mut self, _: IncompleteSession) {}
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
