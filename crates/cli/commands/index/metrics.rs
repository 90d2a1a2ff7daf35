//! Metrics of a run and of the store, in Prometheus' text exposition format, for the node exporter's textfile collector.
//!
//! ```text
//! # HELP smtptrail_last_run_rows Rows that the last run read, by what became of them.
//! # TYPE smtptrail_last_run_rows gauge
//! smtptrail_last_run_rows{state="kept"} 151746
//! ```

use std::fmt::{self, Display, Write};

use index::StoreState;
use ingest::summary::{ProblemKind, Summary};
use smtplog::Timestamp;

use super::report::{Report, kind_name};

/// The metrics of a run, and of the store if it can be read.
pub(super) fn exposition(report: &Report<'_>, state: Option<&StoreState>) -> String {
    let mut text = Exposition(String::new());
    text.run(report);
    text.run_counts(report.summary);
    if let Some(state) = state {
        text.store(state);
        text.streams(state);
    }
    text.0
}

/// What a metric counts.
#[derive(Clone, Copy)]
enum Kind {
    /// It can go up and down.
    Gauge,
    /// It only goes up, unless the store is another; its name ends with `_total`.
    Counter,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

struct Exposition(String);

impl Exposition {
    fn run(&mut self, report: &Report<'_>) {
        let ended = seconds(report.ended());
        self.single("last_run_timestamp_seconds", "When the last run ended.", ended);
        self.single("last_run_duration_seconds", "How long the last run took.", report.time.as_secs_f64());
        let help = "Exit code of the last run: 0 done, 2 error, 3 done but something could not be read.";
        self.single("last_run_exit_code", help, report.exit_code);
    }

    fn run_counts(&mut self, summary: &Summary) {
        let files = [
            ("read", summary.read),
            ("known", summary.known),
            ("unchanged", summary.unchanged),
            ("empty", summary.empty),
            ("header_only", summary.header_only),
            ("evidence", summary.evidence),
            ("foreign", summary.foreign),
        ];
        self.labelled("last_run_files", "Files that the last run met, by what they were.", "state", &files);
        let rows = [("kept", summary.kept), ("rejected", summary.rejected), ("pending", summary.pending)];
        self.labelled("last_run_rows", "Rows that the last run read, by what became of them.", "state", &rows);
        let sessions = [("whole", summary.sessions), ("open", summary.open), ("incomplete", summary.incomplete)];
        let help = "Sessions that the last run found, and those open at its end.";
        self.labelled("last_run_sessions", help, "state", &sessions);
        self.single("last_run_read_bytes", "Bytes that the last run read, decompressed.", summary.bytes);
        self.single("last_run_stored_bytes", "Bytes that the last run read, as stored.", summary.stored_bytes);
        let count = |kind| summary.problems.iter().filter(|problem| problem.kind == kind).count() as u64;
        let problems = [ProblemKind::Unreadable, ProblemKind::Damaged, ProblemKind::Refused]
            .map(|kind| (kind_name(kind), count(kind)));
        let help = "Files that the last run could not read to their end, those reported before included.";
        self.labelled("last_run_problems", help, "kind", &problems);
    }

    fn store(&mut self, state: &StoreState) {
        if let Some(published) = state.last_published {
            self.single("last_published_timestamp_seconds", "When a run last published.", seconds(published));
        }
        self.single("store_splits", "Splits of the store.", state.info.splits);
        self.single("store_sessions", "Sessions in the store.", state.info.sessions);
        self.single("store_bytes", "Bytes of the store's splits.", state.info.bytes);
        self.head("runs_total", "Runs that published to the store.", Kind::Counter);
        self.sample("runs_total", &[], state.runs);
        self.head("rows_total", "Rows read into the store, by what became of them.", Kind::Counter);
        self.sample("rows_total", &[("state", "kept")], state.kept);
        self.sample("rows_total", &[("state", "rejected")], state.rejected);
        self.head("consumed_bytes_total", "Decompressed bytes of logs read into the store.", Kind::Counter);
        self.sample("consumed_bytes_total", &[], state.consumed_bytes);
    }

    fn streams(&mut self, state: &StoreState) {
        if state.streams.is_empty() {
            return;
        }
        let name = "stream_newest_row_timestamp_seconds";
        self.head(name, "Time of the newest row of a server's log of one role and direction.", Kind::Gauge);
        for (stream, newest) in &state.streams {
            let (role, direction) = (stream.role.as_str(), stream.direction.as_str());
            let labels = [("server", &*stream.server), ("role", role), ("direction", direction)];
            self.sample(name, &labels, seconds(*newest));
        }
    }

    /// A gauge without labels.
    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, Kind::Gauge);
        self.sample(name, &[], value);
    }

    /// A gauge with a sample for each value of its label.
    fn labelled(&mut self, name: &str, help: &str, label: &str, samples: &[(&str, u64)]) {
        self.head(name, help, Kind::Gauge);
        for (value, count) in samples {
            self.sample(name, &[(label, value)], count);
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.push(format_args!("# HELP smtptrail_{name} {help}\n# TYPE smtptrail_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.push(format_args!("smtptrail_{name}"));
        for (number, (label, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            self.push(format_args!("{before}{label}=\"{}\"", Escaped(value)));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{after} {value}\n"));
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text); // Writing into a string does not fail.
    }
}

/// A label's value: server names come from folders and logs, and may hold anything.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition(String::new());
        text.sample("x", &[("a", "E\"X\\2\n"), ("b", "")], 1.5);
        text.sample("x", &[], 2_u64);
        assert_eq!(text.0, "smtptrail_x{a=\"E\\\"X\\\\2\\n\",b=\"\"} 1.5\nsmtptrail_x 2\n");
    }
}
