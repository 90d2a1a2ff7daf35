//! `export`: events for other tools, each once.

mod findings;
mod job;
mod lanes;
mod line;
mod metrics;
mod produce;
mod sending;
mod status;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use ::index::query::{Expr, Query, Window};
use anyhow::{Context, bail};
use clap::{Args, builder::PossibleValuesParser};
use export::{Kind, Redaction, RedactionKey, SINKS, Sink};

use super::{parse_query, window::WindowArgs};
use crate::{
    ERROR_CODE, Outcome,
    config::Settings,
    duration, is_broken_pipe,
    replace::{self, Durable, replace},
    signals,
};

/// Hand events to other tools: certificates, TLS, refusals, session ends and findings
///
/// With --name the store remembers how far the export has come: the next one under that name sends what is new, and one
/// that was killed goes on. Every event has an id that follows from its rows, so what comes twice is known by it.
/// Without --name everything that matches is exported.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// What to export, as in search [default: everything]
    query: Vec<String>,
    /// The format; --list describes each
    #[arg(long, value_name = "SINK", value_parser = sink_names())]
    #[arg(required_unless_present_any = ["list", "status", "forget", "template"])]
    to: Option<String>,
    /// The file to write; - for standard output, a folder (with a / at its end) for a new file each time [default: -]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Remember how far the export has come, and send only what is new
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// Wait so long for the rest of a session that is open or lacks its beginning
    #[arg(long, value_name = "DURATION", default_value = "36h", value_parser = duration::parse)]
    open_after: Duration,
    /// Only events of these kinds, separated by commas
    #[arg(long, value_name = "KIND,..", value_delimiter = ',', value_parser = kind_names())]
    kinds: Vec<String>,
    /// Replace addresses by keyed hashes: from, to, message_id, helo, user, remote, local, egress_ip
    #[arg(long, value_name = "FIELD,..", value_delimiter = ',', requires = "redact_key")]
    redact: Vec<String>,
    /// The file with the key of --redact; equal keys give equal hashes
    #[arg(long, value_name = "FILE")]
    redact_key: Option<PathBuf>,
    #[command(flatten)]
    sending: sending::SendingArgs,
    /// Make everything and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Write metrics of the export for Prometheus into this file
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Describe the formats
    #[arg(long, conflicts_with_all = ["to", "status", "forget", "template"])]
    list: bool,
    /// Say how far each export with a name has come
    #[arg(long, conflicts_with_all = ["to", "forget", "template"])]
    status: bool,
    /// Forget how far an export has come; the next one under that name sends everything
    #[arg(long, value_name = "NAME", conflicts_with_all = ["to", "template"])]
    forget: Option<String>,
    /// Print what a receiver needs to know of the events, as its own tools take it
    #[arg(long, value_name = "RECEIVER", value_parser = ["elasticsearch"], conflicts_with = "to")]
    template: Option<String>,
}

fn sink_names() -> PossibleValuesParser {
    PossibleValuesParser::new(SINKS.iter().map(|sink| sink.name()))
}

fn kind_names() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str))
}

/// Exports.
pub(crate) fn run(args: &ExportArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    if args.list {
        return status::list(settings);
    }
    if args.status {
        return status::status(settings);
    }
    if let Some(name) = &args.forget {
        return status::forget(name, settings);
    }
    if args.template.is_some() {
        return status::template(settings);
    }
    let Some(sink) = args.to.as_deref().and_then(export::sink) else { bail!("--to names no format") };
    let stop = Arc::new(AtomicBool::new(false));
    signals::stop_on_signals(&stop).context("cannot listen to signals")?;
    let job = job::Job {
        sink,
        query: args.query()?,
        open_after: args.open_after,
        kinds: args.kinds(sink)?,
        redaction: args.redaction()?,
        dry_run: args.dry_run,
        settings,
        stop: &stop,
    };
    args.metrics.as_deref().map_or(Ok(()), replace::check)?;
    let begin = Instant::now();
    let mut totals = None;
    let mut ran = job.run(args, &mut totals);
    if args.name.is_some() && ran.as_ref().is_err_and(is_broken_pipe) {
        // Elsewhere nobody who stops reading is at fault, but here the rest is lacking where it should be.
        ran = Err(anyhow::anyhow!("standard output was closed before everything was written"));
    }
    if let Some(path) = &args.metrics {
        let text = metrics::exposition(&metrics::Ended {
            name: args.name.as_deref().unwrap_or_default(),
            sink: sink.name(),
            exit_code: ran.as_ref().map_or(ERROR_CODE, |outcome| outcome.code()),
            time: begin.elapsed(),
            totals: totals.as_ref(),
        });
        let written = replace(path, text.as_bytes(), Durable::No);
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    ran
}

impl ExportArgs {
    fn query(&self) -> anyhow::Result<Query> {
        let query = match self.query.is_empty() {
            true => Query { expr: Expr::All, window: Window::default() },
            false => parse_query(&self.query)?,
        };
        Ok(query.within(self.window.window()?))
    }

    fn kinds(&self, sink: &dyn Sink) -> anyhow::Result<Vec<Kind>> {
        if sink.takes_sessions() && !self.kinds.is_empty() {
            bail!("{} has whole sessions, no kinds of events", sink.name());
        }
        let is_wanted = |kind: &Kind| self.kinds.is_empty() || self.kinds.iter().any(|name| name == kind.as_str());
        Ok(Kind::ALL.into_iter().filter(is_wanted).collect())
    }

    fn redaction(&self) -> anyhow::Result<Option<Redaction>> {
        let Some(path) = &self.redact_key else { return Ok(None) };
        if self.redact.is_empty() {
            bail!("--redact-key without --redact hides nothing; name the fields, as in --redact from,to");
        }
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(key) = RedactionKey::of_file(&content) else {
            bail!("{} is too short for a key; it takes at least 16 bytes that nobody can guess", path.display());
        };
        let names: Vec<&str> = self.redact.iter().map(String::as_str).collect();
        let redaction = Redaction::new(key, &names);
        let known = Redaction::NAMES.join(", ");
        redaction.map(Some).map_err(|name| anyhow::anyhow!("--redact: '{name}' is not one of {known}"))
    }

    /// What is exported, in words that are the same for the same: under one name it must not change, or what the old ones
    /// left out would never come.
    fn selection(&self) -> String {
        let flag = |name, values: &[String]| {
            let mut values = values.to_vec();
            values.sort();
            if values.is_empty() { String::new() } else { format!(" {name} {}", values.join(",")) }
        };
        let query = self.query.join(" ") + &self.window.as_text();
        let all = query + &flag("--kinds", &self.kinds) + &flag("--redact", &self.redact);
        if all.is_empty() { "everything".to_owned() } else { all.trim_start().to_owned() }
    }

    /// Whether each export makes a new file.
    fn writes_into_folder(&self) -> bool {
        let ends_with_slash = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(b"/");
        self.output.as_deref().is_some_and(|path| ends_with_slash(path) || path.is_dir())
    }
}
