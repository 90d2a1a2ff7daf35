//! Prometheus' text exposition format, for the node exporter's textfile collector.
//!
//! ```text
//! # HELP smtptrail_last_run_rows Rows that the last run read, by what became of them.
//! # TYPE smtptrail_last_run_rows gauge
//! smtptrail_last_run_rows{state="kept"} 151746
//! ```

use std::fmt::{self, Display, Write};

use smtplog::Timestamp;

/// What a metric counts.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// It can go up and down.
    Gauge,
    /// It only goes up, unless the store is another; its name ends with `_total`.
    Counter,
}

/// Labels of a sample with their values.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics as text.
#[derive(Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// A gauge without labels.
    pub(crate) fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, Kind::Gauge);
        self.sample(name, &[], value);
    }

    /// A gauge with a sample for each value of its label.
    pub(crate) fn labelled(&mut self, name: &str, help: &str, label: &str, samples: &[(&str, u64)]) {
        self.head(name, help, Kind::Gauge);
        for (value, count) in samples {
            self.sample(name, &[(label, value)], count);
        }
    }

    /// Says what a metric is.
    pub(crate) fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.push(format_args!("# HELP smtptrail_{name} {help}\n# TYPE smtptrail_{name} {kind}\n"));
    }

    /// A value.
    pub(crate) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
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

/// Seconds since 1970-01-01 UTC.
pub(crate) fn seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        text.sample("x", &[("a", "E\"X\\2\n"), ("b", "")], 1.5);
        text.sample("x", &[], 2_u64);
        assert_eq!(text.0, "smtptrail_x{a=\"E\\\"X\\\\2\\n\",b=\"\"} 1.5\nsmtptrail_x 2\n");
    }
}
