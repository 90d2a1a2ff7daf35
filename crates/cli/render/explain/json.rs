//! Cases as JSON, one object a line.

use std::io::Write;

use diagnose::{Cause, Item, Missing, Step};
use serde_json::{Value, json};

use super::{Explained, Page};

/// Writes each case.
pub(super) fn write(out: &mut impl Write, page: &Page<'_>) -> anyhow::Result<()> {
    for case in page.cases.iter().take(page.limit) {
        serde_json::to_writer(&mut *out, &object(case))?;
        writeln!(out)?;
    }
    Ok(())
}

fn object(explained: &Explained<'_>) -> Value {
    let case = explained.case;
    json!({
        "status": case.status, "code": case.code, "attr": case.attr, "text": explained.text,
        "family": case.family.as_str(), "direction": case.direction.as_str(), "connector": case.connector,
        "servers": case.servers, "presented": case.presented.map(|presented| presented.to_string()),
        "front_end": explained.front_end, "from": case.from, "to": case.to, "sessions": explained.sessions,
        "causes": explained.causes.iter().map(cause).collect::<Vec<_>>(),
        "missing": explained.open.iter().map(missing).collect::<Vec<_>>(),
    })
}

fn cause(cause: &Cause) -> Value {
    let why = cause.why.iter();
    json!({
        "id": cause.id, "confidence": cause.confidence().as_str(), "says": cause.says,
        "evidence": cause.evidence.iter().map(item).collect::<Vec<_>>(),
        "missing": cause.missing.iter().map(missing).collect::<Vec<_>>(),
        "mend": cause.mend.iter().map(step).collect::<Vec<_>>(),
        "weight": cause.weight(),
        "why": why.map(|one| json!({ "weight": one.weight, "seen": one.seen })).collect::<Vec<_>>(),
    })
}

fn item(item: &Item) -> Value {
    let session = item.row.as_ref().map(|(session, _)| session);
    json!({
        "kind": item.kind.as_str(), "source": item.source, "offset": item.offset, "text": item.text,
        "session": session,
    })
}

fn missing(missing: &Missing) -> Value {
    json!({ "what": missing.what, "command": missing.command })
}

fn step(step: &Step) -> String {
    match &step.command {
        Some(command) => format!("{} {command}", step.says),
        None => step.says.clone(),
    }
}
