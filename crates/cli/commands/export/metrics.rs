//! Metrics of an export, for Prometheus.

use std::time::Duration;

use export::Kind;

use super::job::Totals;
use crate::{
    commands::window::now,
    render::exposition::{Exposition, Kind as Metric, Labels, seconds},
};

/// An export that is over.
pub(super) struct Ended<'a> {
    pub(super) name: &'a str,
    pub(super) sink: &'static str,
    pub(super) exit_code: u8,
    pub(super) time: Duration,
    /// What was handed over; `None` if it failed before.
    pub(super) totals: Option<&'a Totals>,
}

/// The metrics of an export.
pub(super) fn exposition(ended: &Ended<'_>) -> String {
    let labels = [("name", ended.name), ("sink", ended.sink)];
    let mut text = Exposition::default();
    let mut one = |name: &str, help: &str, value: f64| {
        text.head(name, help, Metric::Gauge);
        text.sample(name, &labels, value);
    };
    one("export_timestamp_seconds", "When the last export ended.", seconds(now()));
    one("export_duration_seconds", "How long it took.", ended.time.as_secs_f64());
    let help = "Its exit code: 0 done, 2 error, 3 done but something could not be read or was refused.";
    one("export_exit_code", help, ended.exit_code.into());
    let Some(totals) = ended.totals else { return text.into_text() };
    let Totals { sessions, amended, bytes, taken, .. } = totals;
    let counts = [
        ("export_sessions", "Sessions whose events it sent.", *sessions),
        ("export_bytes", "Bytes of records that it sent.", *bytes),
        ("export_amended_events", "Events that amend what was sent before.", *amended),
        ("export_known_events", "Events that the receiver had already.", taken.known),
        ("export_dead_letters", "Events that the receiver will never take.", taken.refused),
        ("export_retries", "Tries that failed and were made again.", taken.retries),
    ];
    for (name, help, count) in counts {
        one(name, help, count as f64);
    }
    text.head("export_events", "Events that it sent, by kind.", Metric::Gauge);
    for (kind, count) in Kind::ALL.iter().zip(totals.counts) {
        let labels: Labels<'_> = &[labels[0], labels[1], ("kind", kind.as_str())];
        text.sample("export_events", labels, count);
    }
    text.into_text()
}
