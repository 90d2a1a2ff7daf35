//! What an export says of itself, and of those before it.

use std::{fmt::Write as _, io::Write, time::Duration};

use ::index::{Exporter, Store};
use export::{Kind, SINKS};
use smtplog::Timestamp;

use super::{
    job::{Job, Totals},
    sending::Target,
};
use crate::{
    Outcome,
    commands::open_store,
    config::Settings,
    render::{amount, escape::Escaped},
};

/// What is said of an export once it is over.
pub(super) struct Report<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) target: &'a Target<'a>,
    pub(super) totals: &'a Totals,
    pub(super) time: Duration,
}

impl Report<'_> {
    /// Says it.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let Totals { sessions, counts, amended, bytes, taken } = self.totals;
        let console = &self.job.settings.console;
        let events: u64 = counts.iter().sum();
        if events == 0 {
            console.note("nothing new to export");
        } else {
            let what = if self.job.sink.takes_sessions() { "session" } else { "event" };
            let mut text = match self.job.dry_run {
                true => format!("would export {}", amount::counted(events, what)),
                false => format!("exported {}", amount::counted(events, what)),
            };
            if what == "event" && *sessions > 0 {
                let _ = write!(text, " of {}", amount::counted(*sessions, "session"));
            }
            if !matches!(self.target, Target::Nowhere | Target::Standard) {
                let _ = write!(text, " to {}", self.target.describe());
            }
            let _ = write!(text, ", {}, in {:.1} s", amount::bytes(*bytes), self.time.as_secs_f64());
            console.note(&text);
            if what == "event" {
                console.note(&by_kind(counts));
            }
        }
        let beside = [
            (*amended, "amends what was sent before", "amend what was sent before"),
            (taken.known, "was there already", "were there already"),
            (
                taken.refused,
                "was refused and is in the dead-letter file",
                "were refused and are in the dead-letter file",
            ),
        ];
        for (count, one, several) in beside.into_iter().filter(|(count, ..)| *count > 0) {
            let what = if count == 1 { one } else { several };
            console.note(&format!("{} {what}", amount::counted(count, "event")));
        }
        if taken.retries > 0 {
            console.note(&format!("{} after a failure", amount::counted(taken.retries, "new attempt")));
        }
        Ok(())
    }
}

fn by_kind(counts: &[u64]) -> String {
    let kinds = Kind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    let kinds: Vec<String> =
        kinds.map(|(kind, count)| format!("{} {}", kind.as_str(), amount::count(*count))).collect();
    kinds.join(", ")
}

/// Describes the formats.
pub(super) fn list(settings: &Settings) -> anyhow::Result<Outcome> {
    let mut out = settings.console.results();
    for sink in SINKS {
        writeln!(out, "{:<14} {}", sink.name(), sink.about())?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// Prints the index template for Elasticsearch and OpenSearch.
pub(super) fn template(settings: &Settings) -> anyhow::Result<Outcome> {
    let mut out = settings.console.results();
    out.write_all(export::elasticsearch_template().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// Says how far each export has come.
pub(super) fn status(settings: &Settings) -> anyhow::Result<Outcome> {
    let store: Store = open_store(&settings.store)?;
    let exports = store.exports()?;
    if exports.is_empty() {
        settings.console.note("no export has a name yet");
        return Ok(Outcome::NothingFound);
    }
    let newest = store.newest_run()?;
    let mut out = settings.console.results();
    for one in exports {
        let state = match (one.place, newest.saturating_sub(one.done)) {
            (Some(_), _) => "was cut off; the next export goes on".to_owned(),
            (None, 0) => "has everything".to_owned(),
            (None, behind) => format!("lacks {}", amount::counted(behind, "run")),
        };
        let updated = second(one.updated);
        writeln!(
            out,
            "{}: {} to {}, {} so far, last on {updated}; {state}",
            one.name,
            one.sink,
            Escaped::line(&one.output),
            amount::counted(one.events, "event")
        )?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// Forgets how far an export has come.
pub(super) fn forget(name: &str, settings: &Settings) -> anyhow::Result<Outcome> {
    open_store(&settings.store)?;
    let forgotten = Exporter::open(&settings.store, name)?.forget()?;
    match forgotten {
        true => {
            settings.console.note(&format!("{name} is forgotten; the next export under that name sends everything"))
        }
        false => settings.console.note(&format!("no export is called {name}")),
    }
    Ok(if forgotten { Outcome::Done } else { Outcome::NothingFound })
}

fn second(time: Timestamp) -> String {
    let time = time.to_string();
    time.split_once('.').map_or(time.clone(), |(second, _)| format!("{second}Z"))
}
