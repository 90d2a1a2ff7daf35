//! `index --watch`: runs again and again, says what came, and outlives what fails.

use std::{collections::BTreeSet, io::Write, time::Duration};

use index::StoreError;

use super::{
    files::RunFiles,
    job::{Job, Ran},
    report::{Findings, Report},
    waiting,
};
use crate::{Outcome, render::amount};

/// Runs until a signal comes. What cannot heal by waiting is an error.
pub(super) fn watch(job: &Job<'_>, files: &RunFiles<'_>, interval: Duration) -> anyhow::Result<Outcome> {
    let mut said = Said::default();
    loop {
        let ran = job.run();
        if ran.is_stopped() {
            return Ok(Outcome::Done);
        }
        let report = ran.report(job);
        let is_news = said.findings(job, &ran) || ran.summary.read > 0;
        let written = match is_news || said.is_first {
            true => files.write(&report),
            false => files.write_metrics(&report),
        };
        said.file_error(job, written);
        if ran.summary.read > 0 && ran.result.is_ok() {
            print(job, &report)?;
        }
        if let Err(error) = ran.result
            && is_final(&error)
        {
            return Err(error);
        }
        said.is_first = false;
        if !waiting::sleep(interval, &job.stop) {
            return Ok(Outcome::Done);
        }
    }
}

/// A line for a run that found something.
fn print(job: &Job<'_>, report: &Report<'_>) -> anyhow::Result<()> {
    let mut out = job.settings.console.results();
    if job.args.json {
        writeln!(out, "{}", report.json())?;
    } else if !job.settings.console.quiet {
        writeln!(out, "{}", line(report))?;
    }
    Ok(out.flush()?)
}

/// `2024-03-01 06:00:06  2 files, 1,234 rows, 56 new sessions, 1.20 MB in 0.03 s`
fn line(report: &Report<'_>) -> String {
    let summary = report.summary;
    let ended = report.ended().to_string().replace('T', " ");
    let ended = ended.split_once('.').map_or(&*ended, |(seconds, _)| seconds);
    let (files, rows) = (amount::counted(summary.read, "file"), amount::counted(summary.rows(), "row"));
    let sessions = amount::counted(report.new_sessions(), "new session");
    let (bytes, time) = (amount::bytes(summary.bytes), amount::seconds(report.time));
    format!("{ended}  {files}, {rows}, {sessions}, {bytes} in {time}")
}

/// Another version's store does not become ours by waiting.
fn is_final(error: &anyhow::Error) -> bool {
    let is_other = |error: &StoreError| matches!(error, StoreError::Newer { .. } | StoreError::Older { .. });
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_other)
}

/// What was said already, and is not said again every few seconds.
struct Said {
    is_first: bool,
    /// Why runs have failed since the last one that did not.
    errors: BTreeSet<String>,
    /// What the run before could not read, rejected or noticed.
    findings: BTreeSet<String>,
    /// Why the summary or the metrics could not be written.
    file_error: Option<String>,
}

impl Default for Said {
    fn default() -> Said {
        Said { is_first: true, errors: BTreeSet::new(), findings: BTreeSet::new(), file_error: None }
    }
}

impl Said {
    /// Says what is new about a run; whether there was anything.
    fn findings(&mut self, job: &Job<'_>, ran: &Ran) -> bool {
        let console = &job.settings.console;
        if let Err(error) = &ran.result {
            // Between the two stand names of files that are others each time.
            let is_new = self.errors.insert(format!("{error}: {}", error.root_cause()));
            if is_new {
                console.warn(&format!("{error:#}; trying again"));
            }
            return is_new; // What it read, it will read again.
        }
        let has_recovered = !std::mem::take(&mut self.errors).is_empty();
        if has_recovered {
            console.note("working again");
        }
        let report = ran.report(job);
        let Findings { warnings, notes } = report.findings(console);
        let is_new = |text: &&String| !self.findings.contains(*text);
        let said = warnings.iter().filter(is_new).inspect(|text| console.warn(text)).count()
            + notes.iter().filter(is_new).inspect(|text| console.note(text)).count();
        self.findings = warnings.into_iter().chain(notes).collect();
        has_recovered || said > 0
    }

    fn file_error(&mut self, job: &Job<'_>, written: anyhow::Result<()>) {
        let error = written.err().map(|error| format!("{error:#}"));
        if let Some(text) = error.as_ref().filter(|_| error != self.file_error) {
            job.settings.console.warn(text);
        }
        self.file_error = error;
    }
}
