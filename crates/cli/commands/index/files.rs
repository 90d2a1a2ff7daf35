//! Files that a run leaves for other programs: its summary as JSON, its metrics for Prometheus.

use std::path::Path;

use anyhow::Context;

use super::{IndexArgs, metrics, report::Report};
use crate::replace::{self, Durable, replace};

/// Where a run leaves what.
pub(super) struct RunFiles<'a> {
    summary: Option<&'a Path>,
    metrics: Option<&'a Path>,
    store: &'a Path,
}

impl<'a> RunFiles<'a> {
    /// The files that the arguments name. A folder that is not there is an error now, not after an hour of reading.
    pub(super) fn new(args: &'a IndexArgs, store: &'a Path) -> anyhow::Result<RunFiles<'a>> {
        let (summary, metrics) = (args.summary.as_deref(), args.metrics.as_deref());
        for path in [summary, metrics].into_iter().flatten() {
            replace::check(path)?;
        }
        Ok(RunFiles { summary, metrics, store })
    }

    /// Writes both.
    pub(super) fn write(&self, report: &Report<'_>) -> anyhow::Result<()> {
        self.write_summary(report)?;
        self.write_metrics(report)
    }

    /// Writes the summary.
    pub(super) fn write_summary(&self, report: &Report<'_>) -> anyhow::Result<()> {
        let Some(path) = self.summary else { return Ok(()) };
        let text = format!("{}\n", report.json());
        replace(path, text.as_bytes(), Durable::Yes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the metrics; those of the store only if it can be read.
    pub(super) fn write_metrics(&self, report: &Report<'_>) -> anyhow::Result<()> {
        let Some(path) = self.metrics else { return Ok(()) };
        let state = index::Store::open(self.store).and_then(|store| store.state()).ok();
        let text = metrics::exposition(report, state.as_ref());
        // Metrics that are lost with the power are those of a moment ago.
        replace(path, text.as_bytes(), Durable::No).with_context(|| format!("cannot write {}", path.display()))
    }
}
