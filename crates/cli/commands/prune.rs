//! `prune`: drops old days, and what no run has published.

use std::time::Duration;

use ::index::{
    FeedOptions, Merged, MissingSplit, Pruned, SentKey, Store, Writer,
    query::{Expr, Query, Window},
};
use anyhow::{Context, bail};
use clap::Args;
use smtplog::Timestamp;

use super::window::now;
use crate::{Outcome, config::Settings, duration, render::amount};

/// Sessions that are read at once to see whether an export has sent them.
const SESSIONS_AT_ONCE: usize = 512;

/// Milliseconds of a UTC day.
const DAY_MS: i64 = 86_400_000;

/// Drop old days from the store, and what a run that was killed left behind
///
/// Whole UTC days are dropped, by the start of each session. The store remembers up to when: sessions from before do
/// not come back with their logs, which are known and not read again; `index --reindex` takes them all the same.
/// The files themselves are deleted by the next run that comes ten minutes later, so that nobody's search is cut off.
#[derive(Args)]
pub(crate) struct PruneArgs {
    /// Keep so many days, hours or weeks, as in 180d
    #[arg(long, value_name = "TIME", value_parser = age)]
    keep: Option<Duration>,
    /// Keep the newest days that fit into so many bytes, as in 20GB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep_size: Option<u64>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// Drop every session there is, if nothing is young enough to stay
    #[arg(long)]
    force: bool,
}

/// Without its unit a number would be seconds, and drop nearly everything.
fn age(text: &str) -> Result<Duration, String> {
    let has_unit = text.ends_with(|c: char| !c.is_ascii_digit());
    let age = if has_unit { duration::parse(text).ok() } else { None };
    age.ok_or_else(|| "write 180d, 26w or 720h".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "t" | "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes = || text[..digits].parse::<u64>().ok()?.checked_mul(unit?);
    bytes().ok_or_else(|| "write a size as 500MB, 20GB or 20GiB".to_owned())
}

/// Prunes and reports.
pub(crate) fn run(args: &PruneArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    // Read first: an empty store would be made otherwise.
    let store = super::open_store(&settings.store)?;
    let by_age = args.keep.map(|age| day_of(before(now(), age)));
    let by_size = args.keep_size.map(|bytes| store.horizon_for_bytes(bytes)).transpose()?.flatten();
    let horizon = by_age.max(by_size);
    let planned = horizon.map(|horizon| store.would_prune(horizon)).transpose()?.unwrap_or_default();
    if args.dry_run {
        return tell(&store, horizon, &planned, settings);
    }
    if drops_everything(&store, &planned) && !args.force {
        bail!("{}; add --force if that is meant", everything(&store));
    }
    warn_of_exports(&store, horizon.filter(|_| planned.sessions > 0), settings)?;
    drop(store);
    let writer = Writer::open(&settings.store)?;
    let console = &settings.console;
    let mut pruned = Pruned::default();
    if let Some(horizon) = horizon {
        pruned = writer.prune(horizon).context("cannot drop all of the old days")?;
    }
    let merged = writer.merge()?;
    let horizon = writer.horizon()?;
    let swept = writer.swept();
    writer.close()?;
    let (gone, in_bytes) = (amount::counted(pruned.sessions, "session"), amount::bytes(pruned.bytes));
    match horizon {
        Some(horizon) => console.note(&format!("{gone} dropped, {in_bytes}; sessions begin on {}", date(horizon))),
        None => console.note("nothing is too old"),
    }
    if swept > 0 {
        console.note(&format!("{} removed that no run uses any more", amount::counted(swept, "file")));
    }
    Ok(warn_of_damage(&pruned, &merged, settings))
}

/// Says what pruning would do.
fn tell(store: &Store, horizon: Option<Timestamp>, planned: &Pruned, settings: &Settings) -> anyhow::Result<Outcome> {
    let console = &settings.console;
    // The horizon never moves back, and what was left out because of it counts no more.
    let horizon = horizon.max(store.horizon()?);
    match horizon.filter(|_| planned.sessions > 0) {
        Some(horizon) => console.note(&format!(
            "{} would be dropped, about {}; sessions would begin on {}",
            amount::counted(planned.sessions, "session"),
            amount::bytes(planned.bytes),
            date(horizon),
        )),
        None => console.note("nothing is too old"),
    }
    warn_of_exports(store, horizon.filter(|_| planned.sessions > 0), settings)?;
    if drops_everything(store, planned) {
        console.note(&format!("{}, and needs --force", everything(store)));
    }
    let leftovers = store.leftovers()?.len() as u64;
    if leftovers > 0 {
        console.note(&format!("{} that no run uses would be removed", amount::counted(leftovers, "file")));
    }
    Ok(warn_of_damage(planned, &Merged::default(), settings))
}

fn drops_everything(store: &Store, planned: &Pruned) -> bool {
    planned.sessions > 0 && planned.sessions >= store.info().sessions
}

fn everything(store: &Store) -> String {
    let info = store.info();
    let newest = info.last.map(|last| format!(", the newest record of {}", date(last))).unwrap_or_default();
    format!("this would drop all {} of the store{newest}", amount::counted(info.sessions, "session"))
}

/// Says which exports have not sent what goes: they never will.
fn warn_of_exports(store: &Store, horizon: Option<Timestamp>, settings: &Settings) -> anyhow::Result<()> {
    let Some(horizon) = horizon else { return Ok(()) };
    let newest = store.newest_run()?;
    for export in store.exports()? {
        // One that was cut off has sent what started before its place.
        let is_behind = export.place.is_none_or(|place| place.started < horizon);
        let after_run = if is_behind { export.done } else { export.target };
        let query = Query { expr: Expr::All, window: Window { since: None, until: Some(horizon) } };
        let unsent = FeedOptions { query, after_run, until_run: newest, after: None, open: false };
        if after_run < newest && has_unsent(store, &export.name, unsent)? {
            let text = format!("export {} has not sent all of that, and then it never will", export.name);
            settings.console.warn(&text);
        }
    }
    Ok(())
}

/// Whether an export has never sent one of these sessions; one that it sent before it was whole comes again.
fn has_unsent(store: &Store, export: &str, sessions: FeedOptions) -> anyhow::Result<bool> {
    let mut feed = store.feed(sessions)?;
    while let Some(places) = feed.next_places(SESSIONS_AT_ONCE) {
        for session in places.read().sessions {
            if store.sent(export, &SentKey::session(&session.stream, session.session))?.is_none() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn warn_of_damage(pruned: &Pruned, merged: &Merged, settings: &Settings) -> Outcome {
    let damaged: Vec<&MissingSplit> = pruned.damaged.iter().chain(&merged.damaged).collect();
    for split in &damaged {
        settings.console.warn(&format!("split {} stays as it is: {}", split.name, split.reason));
    }
    if damaged.is_empty() { Outcome::Done } else { Outcome::Partial }
}

fn before(time: Timestamp, age: Duration) -> Timestamp {
    Timestamp(time.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

/// The beginning of a moment's UTC day.
fn day_of(time: Timestamp) -> Timestamp {
    Timestamp(time.0.div_euclid(DAY_MS) * DAY_MS)
}

fn date(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("7", 7), ("20GB", 20_000_000_000), ("1 GiB", 1 << 30), ("500mb", 500_000_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1", "1.5GB", "1 parsec", "99999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages() {
        assert!(age("180d").is_ok() && age("2w").is_ok());
        assert!(age("180").is_err() && age("").is_err() && age("-3d").is_err() && age("ow").is_err());
    }
}
