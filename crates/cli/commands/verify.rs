//! `verify`: every checksum and every count, the catalog against the splits, the splits against the logs.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use ::index::{RecordedSource, Store, Verified};
use anyhow::Context;
use clap::Args;
use ingest::{
    ContentHash,
    originals::{Recorded, State, check},
    transcript::Original,
};
use serde_json::json;

use super::open_store;
use crate::{
    Outcome,
    config::Settings,
    progress::{self, Done},
    render::amount,
};

/// Logs that are named without `--verbose`.
const NAMED_MAX: usize = 5;

/// Check the store: every checksum, count and session, and the logs behind it
///
/// A damaged store gives exit code 2. Logs that are gone or have changed since they were read are counted and do no
/// harm to the store.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// Leave out the logs, which takes as long as decompressing them
    #[arg(long)]
    store_only: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks and reports.
pub(crate) fn run(args: &VerifyArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let store = open_store(&settings.store)?;
    let verified = store.verify()?;
    let logs = if args.store_only { Logs::default() } else { check_logs(&store, settings)? };
    print(&verified, &logs, args, settings)?;
    for fault in &verified.faults {
        settings.console.warn(&format!("{}: {}", fault.place, fault.text));
    }
    let most = if settings.console.verbose { usize::MAX } else { NAMED_MAX };
    logs.findings.iter().take(most).for_each(|finding| settings.console.note(finding));
    if logs.findings.len() > most {
        let more = amount::counted((logs.findings.len() - most) as u64, "more log");
        settings.console.note(&format!("... and {more}; -v names all"));
    }
    match verified.faults.len() {
        0 => Ok(Outcome::Done),
        faults => anyhow::bail!("the store at {} is damaged: {}", settings.store.display(), damage(faults as u64)),
    }
}

fn damage(faults: u64) -> String {
    format!("{} found", amount::counted(faults, "fault"))
}

/// What became of the logs.
#[derive(Default)]
struct Logs {
    same: u64,
    gone: u64,
    changed: u64,
    unreadable: u64,
    findings: Vec<String>,
}

fn check_logs(store: &Store, settings: &Settings) -> anyhow::Result<Logs> {
    // What came from standard input can be read only once.
    let sources: Vec<RecordedSource> =
        store.sources()?.into_iter().filter(|source| source.path.as_os_str() != "-").collect();
    let recorded: Vec<Recorded> = sources.iter().map(recorded).collect();
    let (total, bytes) = (recorded.iter().map(|one| one.consumed).sum(), AtomicU64::new(0));
    let done = || Done { bytes: bytes.load(Ordering::Relaxed), total };
    let states = progress::shown(&settings.console, done, || check(&recorded, settings.threads, &bytes))
        .with_context(|| format!("cannot start {} threads", settings.threads))?;
    let mut logs = Logs::default();
    for (source, state) in sources.iter().zip(states) {
        let path = source.path.display();
        let path = source.member.as_ref().map_or_else(|| path.to_string(), |member| format!("{path}, {member}"));
        match state {
            State::Same => logs.same += 1,
            State::Gone => {
                logs.gone += 1;
                logs.findings.push(format!("{path} is gone"));
            }
            State::Changed => {
                logs.changed += 1;
                logs.findings.push(format!("{path} has changed since it was read"));
            }
            State::Unreadable(error) => {
                logs.unreadable += 1;
                logs.findings.push(format!("{path} cannot be read: {error}"));
            }
        }
    }
    Ok(logs)
}

fn recorded(source: &RecordedSource) -> Recorded {
    Recorded {
        original: Original { path: source.path.clone(), member: source.member.clone() },
        consumed: source.consumed,
        hash: ContentHash(source.hash),
    }
}

fn print(verified: &Verified, logs: &Logs, args: &VerifyArgs, settings: &Settings) -> anyhow::Result<()> {
    let console = &settings.console;
    let mut out = console.results();
    if args.json {
        let faults = verified.faults.iter().map(|fault| json!({ "place": fault.place, "text": fault.text }));
        let object = json!({
            "v": 1, "splits": verified.splits, "bytes": verified.bytes, "sessions": verified.sessions,
            "rows": verified.rows, "rows_of_sources": verified.rows_of_sources,
            "kept_bytes": verified.kept_bytes, "rows_comparable": verified.rows_comparable, "leftovers": verified.leftovers,
            "faults": faults.collect::<Vec<_>>(),
            "logs": if args.store_only { json!(null) } else { json!({
                "same": logs.same, "gone": logs.gone, "changed": logs.changed, "unreadable": logs.unreadable,
            }) },
        });
        serde_json::to_writer(&mut out, &object)?;
        writeln!(out)?;
    } else if !console.quiet {
        for (name, total, parts) in lines(verified, logs, args.store_only) {
            let label = console.colors.heading;
            writeln!(out, "{}", format!("{label}{name:<8}{label:#} {total:>13}   {parts}").trim_end())?;
        }
    }
    out.flush()?;
    Ok(())
}

fn lines(verified: &Verified, logs: &Logs, store_only: bool) -> Vec<(&'static str, String, String)> {
    let leftovers = match verified.leftovers {
        0 => String::new(),
        count => format!(", {} that the next run sweeps", amount::counted(count, "leftover file")),
    };
    let at_sources = match verified.rows_comparable {
        true => format!("{} read from the logs", amount::count(verified.rows_of_sources)),
        false => "not to be compared: a log had changed, or a damaged split was pruned".to_owned(),
    };
    let faults = verified.faults.len() as u64;
    let whole = if faults == 0 { "all whole".to_owned() } else { damage(faults) };
    let bytes = format!("{}{leftovers}, {whole}", amount::bytes(verified.bytes));
    let mut lines = vec![
        ("splits", amount::count(verified.splits), bytes),
        ("sessions", amount::count(verified.sessions), "read back".to_owned()),
        ("rows", amount::count(verified.rows), at_sources),
    ];
    if verified.kept_bytes > 0 {
        lines.push(("kept", amount::bytes(verified.kept_bytes), "of transcripts, read back".to_owned()));
    }
    if !store_only {
        let Logs { same, gone, changed, unreadable, .. } = logs;
        let parts = [(same, "as they were read"), (gone, "gone"), (changed, "changed"), (unreadable, "unreadable")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| **count > 0)
            .map(|(count, what)| format!("{} {what}", amount::count(**count)))
            .collect();
        lines.push(("logs", amount::count(same + gone + changed + unreadable), parts.join(", ")));
    }
    lines
}
