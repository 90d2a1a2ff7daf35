//! `explain --from`: what a user holds first: a bounce, a delivery status notification, a queue's last error, a pasted
//! reply. It leads to the sessions, and says something even if these are not in the store.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use ::index::{
    MissingSplit, Refusals, Store,
    query::{Query, Window},
};
use anyhow::{Context, bail};
use diagnose::Refused;
use evidence::report::{Attempt, REPORT_BYTES_MAX, Report, report};
use smtplog::{
    Direction, Peer, Reply, ReplySide, Role, Session, SessionId, SourceSpan, Stream, Thumbprint, Timestamp, Tls,
};

use super::SESSIONS_MAX;
use crate::{config::Settings, console::Console, render::explain::Similar};

/// Time around a moment that a report names: clocks differ, and queues try again.
const NEAR_MS: i64 = 3_600_000;

/// Recipients and message ids that are looked for.
const NAMES_MAX: usize = 20;

/// What a report led to.
pub(super) struct Led {
    /// The sessions in the store.
    pub(super) refusals: Refusals,
    /// What the report itself says, if there are none.
    pub(super) reported: Vec<Refused>,
    /// How the sessions were found, or that they were not.
    pub(super) how: String,
    /// Refusals of the store like the one that only the report tells of.
    pub(super) similar: Option<Similar>,
}

/// Reads a report from a file, or from standard input if it is `-`, and finds its sessions.
pub(super) fn lead(path: &Path, store: Option<&Store>, window: Window, settings: &Settings) -> anyhow::Result<Led> {
    let console = &settings.console;
    let report = read(path)?;
    if report.attempts.is_empty() && report.message_ids.is_empty() {
        bail!("{}: no SMTP reply and no message id found in it", path.display());
    }
    let mut missing = Vec::new();
    for (by, query) in queries(&report) {
        let Some(store) = store else { break };
        let times = both(query.window, window);
        let refusals = store.refusals(&query.within(times), SESSIONS_MAX)?;
        missing.extend(refusals.missing.iter().cloned());
        if refusals.total > 0 {
            let how = format!("the sessions found by {by}");
            return Ok(Led { refusals, reported: Vec::new(), how, similar: None });
        }
    }
    let reported: Vec<Refused> = report.attempts.iter().take(1).filter_map(|attempt| refused(attempt, path)).collect();
    if reported.is_empty() {
        bail!("{}: the store has none of its sessions, and no SMTP reply stands in it", path.display());
    }
    let in_time = if window == Window::default() { "" } else { " in this time" };
    let lacks = match store {
        Some(_) => format!("the store has none of these sessions{in_time}"),
        None => format!("there is no store at {}", settings.store.display()),
    };
    console.warn(&format!("{lacks}; what the report itself says is explained"));
    say_others(&report.attempts, console);
    let similar = reported.iter().find_map(Refused::reply).map(|reply| similar(reply, store, window, &mut missing));
    Ok(Led {
        similar: similar.transpose()?,
        refusals: Refusals { missing, ..Refusals::default() },
        reported,
        how: format!("the report {}", named(path)),
    })
}

/// Of several replies the first is explained; the others are named.
fn say_others(attempts: &[Attempt], console: &Console) {
    let name = |attempt: &Attempt| {
        let status = attempt.status.as_deref().map_or(String::new(), |status| format!(" {status}"));
        format!("{}{status}", attempt.code.map_or(String::new(), |code| code.to_string())).trim().to_owned()
    };
    let Some(first) = attempts.first() else { return };
    // What a reply quotes is part of it.
    let others = attempts.iter().filter(|one| one.depth == first.depth).map(name);
    let first = name(first);
    let mut others: Vec<String> = others.filter(|one| *one != first && !one.is_empty()).collect();
    others.sort();
    others.dedup();
    if !others.is_empty() {
        console.warn(&format!("only {first} is explained; also in it: {}", others.join(", ")));
    }
}

/// Sessions of the store that were refused with the same status.
fn similar(
    reply: &Reply,
    store: Option<&Store>,
    window: Window,
    missing: &mut Vec<MissingSplit>,
) -> anyhow::Result<Similar> {
    let text = match &reply.status {
        Some(status) => format!("status:{status}"),
        None => format!("code:{}", reply.code),
    };
    let Some(store) = store else { return Ok(Similar { query: text, sessions: 0, last: None }) };
    let refusals = store.refusals(&Query::parse(&text)?.within(window), 1)?;
    missing.extend(refusals.missing);
    let last = refusals.sessions.iter().map(|one| one.session.last).max();
    Ok(Similar { query: text, sessions: refusals.total, last })
}

/// The time that lies in both windows.
fn both(one: Window, other: Window) -> Window {
    let until = [one.until, other.until].into_iter().flatten().min();
    Window { since: one.since.max(other.since), until }
}

/// The report in a sentence.
fn named(path: &Path) -> String {
    if path.as_os_str() == "-" { "on standard input".into() } else { path.display().to_string() }
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let mut bytes = Vec::new();
    let context = || format!("cannot read {}", path.display());
    let limit = REPORT_BYTES_MAX as u64;
    match path.as_os_str() == "-" {
        true => io::stdin().lock().take(limit).read_to_end(&mut bytes).context("cannot read standard input")?,
        false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).with_context(context)?,
    };
    Ok(report(&bytes))
}

/// What the sessions may be found by, the surest first.
fn queries(report: &Report) -> Vec<(String, Query)> {
    let mut queries = Vec::new();
    let mut add = |by: String, text: &str, window: Window| {
        if let Ok(query) = Query::parse(text) {
            queries.push((by, query.within(window)));
        }
    };
    for peer in report.attempts.iter().filter_map(|attempt| attempt.peer.as_ref()) {
        if let Some(session) = &peer.session {
            add(format!("the peer's session id {session}"), &format!("peer_session:{session}"), Window::default());
        }
    }
    for id in report.message_ids.iter().take(NAMES_MAX) {
        add(format!("message id {id}"), &format!("message_id:{}", quoted(id)), Window::default());
    }
    for attempt in &report.attempts {
        let Some(status) = attempt.status.as_deref() else { continue };
        let window = attempt.peer.as_ref().and_then(|peer| peer.time_ms).map_or_else(Window::default, around);
        for recipient in report.recipients.iter().take(NAMES_MAX) {
            let text = format!("status:{status} to:{}", quoted(recipient));
            add(format!("recipient {recipient} and status {status}"), &text, window);
        }
        if let Some(ip) = &attempt.ip {
            add(format!("address {ip} and status {status}"), &format!("status:{status} remote:{}", quoted(ip)), window);
        }
    }
    queries
}

fn around(time_ms: i64) -> Window {
    Window { since: Some(Timestamp(time_ms - NEAR_MS)), until: Some(Timestamp(time_ms + NEAR_MS)) }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A session of which nothing is known but the reply that the report has.
fn refused(attempt: &Attempt, path: &Path) -> Option<Refused> {
    let time = Timestamp(attempt.peer.as_ref().and_then(|peer| peer.time_ms).unwrap_or(0));
    let thumbprint = attempt.thumbprint.as_deref().and_then(Thumbprint::from_paste);
    let peer = attempt.peer.as_ref().map(|peer| Peer {
        host: peer.host.as_str().into(),
        time: peer.time_ms.map(Timestamp),
        session: peer.session.as_deref().and_then(|id| SessionId::from_hex(id.as_bytes())),
    });
    let reply = Reply {
        time,
        sequence: 0,
        row_hash: 0,
        row_place: None,
        side: ReplySide::Remote,
        code: attempt.code.or_else(|| code_of(attempt.status.as_deref()?))?,
        status: attempt.status.as_deref().map(Into::into),
        // The full stop is that of the sentence which quotes it.
        text: attempt.text.strip_suffix("].").map_or_else(|| attempt.text.clone(), |text| format!("{text}]")).into(),
        attr: attempt.attr.as_deref().map(Into::into),
        peer,
        thumbprint,
        to: None,
        presented: None,
        received: None,
        presented_via: None,
    };
    Some(Refused::reported(session(time, reply, attempt, path)))
}

fn session(time: Timestamp, reply: Reply, attempt: &Attempt, path: &Path) -> Session {
    let stream = Stream { server: "unknown".into(), role: Role::Unknown, direction: Direction::Send };
    let file = Arc::from(named(path));
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    Session {
        stream: Arc::new(stream),
        session: SessionId(0),
        repeated: false,
        connector: "".into(),
        started: time,
        ended: None,
        last: time,
        complete: false,
        local: None,
        remote: text(&attempt.ip),
        remote_name: text(&attempt.host),
        helo: None,
        egress_ip: None,
        tls: Tls::default(),
        negotiations: Vec::new(),
        replies: vec![reply],
        messages: Vec::new(),
        proxy: Vec::new(),
        auth: None,
        errors: Vec::new(),
        tarpit_ms: 0,
        records: 0,
        repeated_sequences: 0,
        sources: vec![SourceSpan { file, identity: [0; 32], offset: 0, length: 0 }],
        rows_hash: 0,
        rebuilt: None,
    }
}

/// The reply code that goes with a status whose code is not written.
fn code_of(status: &str) -> Option<u16> {
    match status.as_bytes().first()? {
        b'4' => Some(450),
        b'5' => Some(550),
        _ => None,
    }
}
