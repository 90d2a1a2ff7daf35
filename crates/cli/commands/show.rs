//! `show`: one session's transcript, read from the compressed original and checked against the store.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
};

use ::index::{
    Hits, SearchOptions, Store,
    query::{Asking, Query, Via},
};
use anyhow::bail;
use clap::Args;
use ingest::transcript::{Original, Transcript};
use smtplog::{Direction, Session, SessionId, SourceSpan};

use super::{open_store, outcome, say_missing};
use crate::{
    Outcome,
    config::Settings,
    console::Console,
    render::{
        certificates::common_name,
        escape::Escaped,
        json,
        transcript::{Seen, write_facts, write_partners, write_rows},
    },
};

/// Candidates that are listed for an ambiguous id.
const CANDIDATES_MAX: usize = 20;

/// Show one session: what is known of it, and its rows from the original log
///
/// Both certificates, each refusal and the command that it answers are marked. The rows are those that the store keeps
/// (`index --keep-transcripts`), or are read from where the log lies now, and checked; if it is gone or has changed,
/// what the store knows is shown all the same, and the exit code is 3.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// The session's id, as in EX001/hub/send/08DC399000800000, or its 16 digits, or an unambiguous beginning of either
    session: String,
    /// Print the original lines and nothing else
    #[arg(long)]
    raw: bool,
    /// Print what is known of it as one JSON object, as `search --json` does, without its rows
    #[arg(long, conflicts_with = "raw")]
    json: bool,
}

fn is_session_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Prints the session.
pub(crate) fn run(args: &ShowArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let id = args.session.trim();
    if id.is_empty() {
        bail!("name a session by its id, or by the beginning of it");
    }
    let store = open_store(&settings.store)?;
    let Hits { mut sessions, mut missing, .. } = store.find(id)?;
    let console = &settings.console;
    if sessions.is_empty() && is_session_id(id) {
        // The id that a bounce has in the bracket at its end is that of the server which refused.
        let by_peer = Query::parse(&format!("peer_session:{id}"))?;
        let found = store.search(&by_peer, &SearchOptions::default())?;
        if !found.sessions.is_empty() {
            console.note(&format!("{id} is what the other side calls this session"));
        }
        (sessions, missing) = (found.sessions, [missing, found.missing].concat());
        missing.dedup();
    }
    say_missing(console, &missing);
    let Some(session) = sessions.pop() else {
        let place = if missing.is_empty() { "" } else { " in what can be read of the store" };
        console.note(&format!("no session{place} is called {id}"));
        return Ok(outcome(0, missing.is_empty()));
    };
    if !sessions.is_empty() {
        sessions.push(session);
        bail!(candidates(id, &sessions));
    }
    if args.json {
        let mut out = console.results();
        json::write_line(&mut out, &session)?;
        out.flush()?;
        return Ok(outcome(1, missing.is_empty()));
    }
    let (transcript, is_whole) = read(&store, &session, console)?;
    let mut out = console.results();
    if args.raw {
        write_raw(&mut out, &transcript)?;
    } else {
        let partners = store.partners(&session)?;
        write_facts(&mut out, &session, &seen(&store, &session, &partners), &console.colors)?;
        write_partners(&mut out, &partners, &console.colors)?;
        writeln!(out)?;
        write_rows(&mut out, &session, &transcript.rows, &console.colors)?;
    }
    out.flush()?;
    Ok(outcome(1, is_whole && missing.is_empty()))
}

/// What front ends presented for a session whose refusals lie behind a proxy.
fn seen(store: &Store, session: &Session, partners: &[Session]) -> Vec<Seen> {
    let asking = Asking::of(session);
    let links: BTreeSet<SessionId> = session.replies.iter().filter_map(|reply| reply.presented_via).collect();
    let seen = |link: SessionId| {
        let thumbprint = store.presented(&asking, link)?;
        let presented = partners
            .iter()
            .filter(|one| one.stream.direction == Direction::Send && one.presented() == Some(thumbprint));
        let by = presented.min_by_key(|one| (one.session != link, one.started.0.abs_diff(session.started.0)));
        let known = store.certificate_texts().iter().find(|known| known.thumbprint == thumbprint);
        let name = known.map(|known| common_name(&known.subject).to_owned()).filter(|name| !name.is_empty());
        Some(Seen { link, thumbprint, name, by: by.map(Session::id) })
    };
    links.into_iter().filter_map(seen).collect()
}

fn candidates(id: &str, sessions: &[Session]) -> String {
    let mut ids: Vec<String> = sessions.iter().map(Session::id).collect();
    ids.sort();
    let more = ids.len().saturating_sub(CANDIDATES_MAX);
    ids.truncate(CANDIDATES_MAX);
    let more = if more > 0 { format!("\n  ... and {more} more") } else { String::new() };
    format!("{id} is the id of several sessions; name one of them:\n  {}{more}", ids.join("\n  "))
}

/// The rows that can still be read, and whether they are all.
fn read(store: &Store, session: &Session, console: &Console) -> anyhow::Result<(Transcript, bool)> {
    let mut transcript = Transcript::default();
    let mut is_whole = true;
    for span in &session.sources {
        if read_kept(store, session, span, &mut transcript, console)? {
            continue;
        }
        let Some(original) = locate(store, span)? else {
            console.warn(&format!("{}: the store does not know where this log lies", span.file));
            is_whole = false;
            continue;
        };
        if let Err(error) = transcript.read(&original, session, span) {
            console.warn(&missing(&original, &error));
            is_whole = false;
        }
    }
    if is_whole && !transcript.is_of(session) {
        let files: Vec<&str> = session.sources.iter().map(|span| &*span.file).collect();
        let files = files.join(", ");
        console.warn(&format!("{files} has changed since it was indexed; its rows are not those of the session"));
        is_whole = false;
    }
    Ok((transcript, is_whole))
}

/// Reads rows that the store keeps, if it does.
fn read_kept(
    store: &Store,
    session: &Session,
    span: &SourceSpan,
    transcript: &mut Transcript,
    console: &Console,
) -> anyhow::Result<bool> {
    let Some(kept) = store.kept_rows(&span.identity, span.offset, span.offset + span.length)? else {
        return Ok(false);
    };
    let before = transcript.rows.len();
    match transcript.read_kept(kept.pieces(), session, span) {
        Ok(()) => Ok(true),
        Err(error) => {
            console.warn(&format!("{error}; the original is read in their place"));
            transcript.rows.truncate(before);
            Ok(false)
        }
    }
}

fn locate(store: &Store, span: &SourceSpan) -> anyhow::Result<Option<Original>> {
    let location = store.locate(&span.identity)?;
    Ok(location.map(|location| Original { path: location.path, member: location.member }))
}

fn missing(original: &Original, error: &io::Error) -> String {
    let member = original.member.as_deref().map(|member| format!(", member {member}")).unwrap_or_default();
    let path = original.path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("the original is gone: {path}{member}"),
        _ => format!("the original cannot be read: {path}{member}: {error}"),
    }
}

/// Bytes as logged into files and pipes; a terminal would act on what is in them.
fn write_raw(out: &mut impl Write, transcript: &Transcript) -> io::Result<()> {
    let is_terminal = io::stdout().is_terminal();
    for row in &transcript.rows {
        match is_terminal {
            true => writeln!(out, "{}", Escaped::line(&String::from_utf8_lossy(&row.raw)))?,
            false => out.write_all(&[&row.raw[..], b"\n"].concat())?,
        }
    }
    Ok(())
}
