//! Metrics of a run and of the store.

use index::StoreState;
use ingest::summary::{ProblemKind, Summary};

use super::report::{Report, kind_name};
use crate::render::exposition::{Exposition, Kind, seconds};

/// The metrics of a run, and of the store if it can be read.
pub(super) fn exposition(report: &Report<'_>, state: Option<&StoreState>) -> String {
    let mut text = Exposition::default();
    run(&mut text, report);
    run_counts(&mut text, report.summary);
    if let Some(state) = state {
        store(&mut text, state);
        streams(&mut text, state);
    }
    text.into_text()
}

fn run(text: &mut Exposition, report: &Report<'_>) {
    let ended = seconds(report.ended());
    text.single("last_run_timestamp_seconds", "When the last run ended.", ended);
    text.single("last_run_duration_seconds", "How long the last run took.", report.time.as_secs_f64());
    let help = "Exit code of the last run: 0 done, 2 error, 3 done but something could not be read.";
    text.single("last_run_exit_code", help, report.exit_code);
}

fn run_counts(text: &mut Exposition, summary: &Summary) {
    let files = [
        ("read", summary.read),
        ("known", summary.known),
        ("unchanged", summary.unchanged),
        ("empty", summary.empty),
        ("header_only", summary.header_only),
        ("evidence", summary.evidence),
        ("foreign", summary.foreign),
    ];
    text.labelled("last_run_files", "Files that the last run met, by what they were.", "state", &files);
    let rows = [("kept", summary.kept), ("rejected", summary.rejected), ("pending", summary.pending)];
    text.labelled("last_run_rows", "Rows that the last run read, by what became of them.", "state", &rows);
    let sessions = [("whole", summary.sessions), ("open", summary.open), ("incomplete", summary.incomplete)];
    let help = "Sessions that the last run found, and those open at its end.";
    text.labelled("last_run_sessions", help, "state", &sessions);
    text.single("last_run_read_bytes", "Bytes that the last run read, decompressed.", summary.bytes);
    text.single("last_run_stored_bytes", "Bytes that the last run read, as stored.", summary.stored_bytes);
    let count = |kind| summary.problems.iter().filter(|problem| problem.kind == kind).count() as u64;
    let problems = [ProblemKind::Unreadable, ProblemKind::Damaged, ProblemKind::Refused]
        .map(|kind| (kind_name(kind), count(kind)));
    let help = "Files that the last run could not read to their end, those reported before included.";
    text.labelled("last_run_problems", help, "kind", &problems);
}

fn store(text: &mut Exposition, state: &StoreState) {
    if let Some(published) = state.last_published {
        text.single("last_published_timestamp_seconds", "When a run last published.", seconds(published));
    }
    text.single("store_splits", "Splits of the store.", state.info.splits);
    text.single("store_sessions", "Sessions in the store.", state.info.sessions);
    text.single("store_bytes", "Bytes of the store's splits.", state.info.bytes);
    text.head("runs_total", "Runs that published to the store.", Kind::Counter);
    text.sample("runs_total", &[], state.runs);
    text.head("rows_total", "Rows read into the store, by what became of them.", Kind::Counter);
    text.sample("rows_total", &[("state", "kept")], state.kept);
    text.sample("rows_total", &[("state", "rejected")], state.rejected);
    text.head("consumed_bytes_total", "Decompressed bytes of logs read into the store.", Kind::Counter);
    text.sample("consumed_bytes_total", &[], state.consumed_bytes);
}

fn streams(text: &mut Exposition, state: &StoreState) {
    if state.streams.is_empty() {
        return;
    }
    let name = "stream_newest_row_timestamp_seconds";
    text.head(name, "Time of the newest row of a server's log of one role and direction.", Kind::Gauge);
    for (stream, newest) in &state.streams {
        let (role, direction) = (stream.role.as_str(), stream.direction.as_str());
        let labels = [("server", &*stream.server), ("role", role), ("direction", direction)];
        text.sample(name, &labels, seconds(*newest));
    }
}
