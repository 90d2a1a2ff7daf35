//! Cases as JSON, one object a line.

use std::io::Write;

use diagnose::{Cause, Item, Missing, Step};
use serde_json::{Value, json};

use super::{Explained, Other, Page, Similar};
use crate::render::json::write_line;

/// Writes each case.
pub(super) fn write(out: &mut impl Write, page: &Page<'_>) -> anyhow::Result<()> {
    for case in page.judged().take(page.limit) {
        write_line(out, &object(case, page.similar.as_ref()))?;
    }
    for other in page.others() {
        write_line(out, &other_object(&other))?;
    }
    Ok(())
}

fn object(explained: &Explained<'_>, similar: Option<&Similar>) -> Value {
    let case = explained.case;
    let possible = explained.possible().map(|possible| possible.rules).unwrap_or_default();
    json!({
        "status": case.status, "code": case.code, "attr": case.attr, "text": explained.text,
        "family": case.family.as_str(), "direction": case.direction.as_str(), "connector": case.connector,
        "servers": case.servers, "presented": case.presented.map(|presented| presented.to_string()),
        "front_end": explained.front_end, "from": case.from, "to": case.to, "sessions": explained.sessions,
        "first_before": explained.first_before, "possible": possible.iter().map(|rule| rule.id()).collect::<Vec<_>>(),
        "similar": similar.map(|similar| similar.sessions),
        "causes": explained.causes.iter().map(cause).collect::<Vec<_>>(),
        "ruled_out": explained.ruled_out.iter().map(ruled_out).collect::<Vec<_>>(),
        "missing": explained.open.iter().map(missing).collect::<Vec<_>>(),
    })
}

/// The same keys, so that a program needs to know one form.
fn other_object(other: &Other) -> Value {
    json!({
        "status": other.status, "code": other.code, "attr": null, "text": other.text,
        "family": "other", "direction": other.direction.as_str(), "connector": null,
        "servers": other.servers, "presented": null, "front_end": null,
        "from": other.from, "to": other.to, "sessions": other.sessions, "first_before": null, "possible": [],
        "similar": null, "causes": [], "ruled_out": [], "missing": [],
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

fn ruled_out(cause: &Cause) -> Value {
    json!({
        "id": cause.id, "weight": cause.weight(),
        "why": cause.why.iter().map(|one| json!({ "weight": one.weight, "seen": one.seen })).collect::<Vec<_>>(),
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
