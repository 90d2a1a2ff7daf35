//! A session as a person reads it: what is known of it, then its rows, with both certificates and refusals marked.
//!
//! ```text
//! ▶ presented  06:00:06.901 *  CN=mail.contoso.com ...  Sending certificate Subject ...
//! → command    06:00:07.001 >  RCPT TO:<p@fabrikam.example>
//! ✗ refused    06:00:07.100 <  550 5.7.64 TenantAttribution; Relay Access Denied
//! ```

use std::io::{self, Write};

use clap::builder::styling::Style;
use ingest::transcript::TranscriptRow;
use smtplog::{Confidence, Direction, ProxyRole, Reply, Session, SessionId, Thumbprint, Tls, record::Event};

use super::escape::Escaped;
use crate::console::Palette;

/// Columns of labels and marks.
const MARGIN: usize = 13;

/// The certificate that the other side saw of a session behind a proxy.
pub(crate) struct Seen {
    /// The id that the session's link names: the front end's, or its own.
    pub(crate) link: SessionId,
    /// The certificate.
    pub(crate) thumbprint: Thumbprint,
    /// A name of it.
    pub(crate) name: Option<String>,
    /// The front end's session that presented it.
    pub(crate) by: Option<String>,
}

/// Prints what the store knows of a session, and what the front ends presented for it.
pub(crate) fn write_facts(out: &mut impl Write, session: &Session, seen: &[Seen], colors: &Palette) -> io::Result<()> {
    writeln!(out, "{0}{1}{0:#}", colors.heading, Escaped::line(&session.id()))?;
    for fact in facts(session, seen, colors) {
        let (label, style) = (colors.faint, fact.style);
        let text = Escaped::line(&fact.text);
        writeln!(out, "{label}{:<MARGIN$}{label:#}{style}{text}{style:#}", fact.label)?;
    }
    Ok(())
}

/// Prints the sessions that a proxy joins to this one, with what the other side saw of them and what it said.
pub(crate) fn write_partners(out: &mut impl Write, partners: &[Session], colors: &Palette) -> io::Result<()> {
    for partner in partners {
        let label = colors.faint;
        writeln!(out, "{label}{:<MARGIN$}{label:#}{}", "joined to", Escaped::line(&partner.id()))?;
        if let Some(presented) = partner.presented() {
            let style = colors.certificate;
            writeln!(out, "{:<MARGIN$}{style}presented {presented}{style:#}", "")?;
        }
        if let Some(reply) = partner.replies.first() {
            let style = colors.refusal;
            let status = reply.status.as_deref().unwrap_or_default();
            let text = format!("{} {status} {}", reply.code, reply.text);
            writeln!(out, "{:<MARGIN$}{style}refused   {}{style:#}", "", Escaped::line(&text))?;
        }
    }
    Ok(())
}

struct Fact {
    label: &'static str,
    text: String,
    style: Style,
}

fn facts(session: &Session, seen: &[Seen], colors: &Palette) -> Vec<Fact> {
    let plain = |label, text| Fact { label, text, style: Style::new() };
    let mut facts = vec![plain("connector", session.connector.to_string()), plain("time", times(session))];
    let egress = session.egress_ip.as_deref().map(|address| format!("seen as {address}"));
    facts.push(plain("local", listed([session.local.as_deref(), egress.as_deref()])));
    facts.push(plain("remote", listed([session.remote.as_deref(), session.remote_name.as_deref()])));
    facts.extend(session.helo.as_deref().map(|helo| plain("helo", helo.to_owned())));
    facts.push(plain("tls", tls(&session.tls)));
    facts.extend(certificates(session, colors));
    let same = |a: &Reply, b: &Reply| (a.code, &a.text, a.presented) == (b.code, &b.text, b.presented);
    facts.extend(session.replies.chunk_by(same).flat_map(|replies| refusals(session, replies, seen, colors)));
    facts.extend(session.errors.iter().map(|error| plain("failed", error.to_string())));
    facts.extend(session.messages.iter().map(|message| {
        let id = message.message_id.as_deref().map(|id| format!("{id} ")).unwrap_or_default();
        let to = message.to.join(", ");
        plain("message", format!("{id}from <{}> to {to}: {}", message.from, message.outcome.as_str()))
    }));
    facts.extend(session.proxy.iter().map(|link| {
        let part = match link.role {
            ProxyRole::Origin => "proxied as",
            ProxyRole::Relay => "carries",
        };
        plain("proxy", format!("{}, {part} session {}", link.kind.as_str(), link.session))
    }));
    facts.extend(session.rebuilt.map(|confidence| plain("rebuilt", rebuilt(confidence).to_owned())));
    if !session.complete {
        facts.push(plain("incomplete", "rows are missing at the beginning, in between, or at the end".to_owned()));
    }
    facts.extend(session.sources.iter().map(|source| {
        let end = source.offset + source.length;
        plain("source", format!("{}, bytes {} to {end}", source.file, source.offset))
    }));
    facts.retain(|fact| !fact.text.is_empty());
    facts
}

/// What was presented and received. Behind a proxy that is between servers of the fleet, and not what a refusal is about.
fn certificates(session: &Session, colors: &Palette) -> Vec<Fact> {
    let certificates = [("presented", session.presented()), ("received", session.received())];
    let shown = certificates.into_iter().filter_map(|(label, thumbprint)| Some((label, thumbprint?)));
    let fact = |(label, thumbprint): (&'static str, Thumbprint)| match is_proxied(session) {
        true => {
            Fact { label: "internal", text: format!("{label} {thumbprint}, to the front end"), style: colors.faint }
        }
        false => Fact { label, text: thumbprint.to_string(), style: colors.certificate },
    };
    shown.map(fact).collect()
}

/// Whether a front end sends for this session: the TLS of its own rows is that between them.
fn is_proxied(session: &Session) -> bool {
    session.stream.direction == Direction::Send && session.proxy.iter().any(|link| link.role == ProxyRole::Origin)
}

/// What is to be known of a session whose log has no session ids.
fn rebuilt(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Medium => "medium confidence: the log has no session ids, and these rows fit one connection",
        Confidence::Low => {
            "low confidence: the log has no session ids; rows are missing or of several connections, or times are unsure"
        }
    }
}

fn times(session: &Session) -> String {
    let end = session.ended.unwrap_or(session.last);
    let (start_text, end_text) = (session.started.to_string(), end.to_string());
    let end_text = if session.started.day() == end.day() { clock(&end_text) } else { &end_text };
    format!("{start_text} to {end_text}, {} rows", session.records)
}

/// The time of day within a timestamp.
fn clock(time: &str) -> &str {
    time.split_once('T').map_or(time, |(_, clock)| clock).trim_end_matches('Z')
}

fn listed<const N: usize>(parts: [Option<&str>; N]) -> String {
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

fn tls(tls: &Tls) -> String {
    let bits = tls.cipher_bits.map(|bits| format!("{bits} bits"));
    listed([
        Some(tls.outcome.as_str()),
        tls.version.as_deref(),
        tls.cipher.as_deref(),
        bits.as_deref(),
        tls.mac.as_deref(),
        tls.key_exchange.as_deref(),
        tls.error.as_deref(),
        tls.chain_status.as_deref(),
    ])
}

/// Refusals that say the same, one behind the other: one to each of many recipients.
fn refusals(session: &Session, replies: &[Reply], seen: &[Seen], colors: &Palette) -> Vec<Fact> {
    let Some(first) = replies.first() else { return Vec::new() };
    let status = first.status.as_deref().map(|status| format!(" {status}")).unwrap_or_default();
    let times = if replies.len() > 1 { format!("{} times ", replies.len()) } else { String::new() };
    let text = format!("{times}{}{status} {}", first.code, first.text.replace('\n', " "));
    let commands: Vec<&str> = replies.iter().filter_map(|reply| reply.to.as_deref()).collect();
    let answered = (!commands.is_empty()).then(|| format!("in answer to {}", commands.join(", ")));
    let other = first.presented.filter(|presented| Some(*presented) != session.presented());
    let other = other.map(|presented| format!("having presented {presented}"));
    let details = answered.into_iter().chain(other);
    let details = details.map(|text| Fact { label: "", text, style: Style::new() });
    let via = first.presented_via.map(|link| certificate_seen(link, seen, colors));
    [Fact { label: "refused", text, style: colors.refusal }].into_iter().chain(details).chain(via).collect()
}

/// The certificate that a refusal behind a proxy is about.
fn certificate_seen(link: SessionId, seen: &[Seen], colors: &Palette) -> Fact {
    let Some(seen) = seen.iter().find(|seen| seen.link == link) else {
        let text = "the front end presented the certificate that the other side saw; the store lacks its session";
        return Fact { label: "", text: text.to_owned(), style: Style::new() };
    };
    let name = seen.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let by = seen.by.as_deref().map(|session| format!(", presented by {session}")).unwrap_or_default();
    let text = format!("the certificate that the other side saw is {}{name}{by}", seen.thumbprint);
    Fact { label: "", text, style: colors.certificate }
}

/// Prints the rows of a session.
pub(crate) fn write_rows(
    out: &mut impl Write,
    session: &Session,
    rows: &[TranscriptRow],
    colors: &Palette,
) -> io::Result<()> {
    let marks = marks(session, rows);
    let mut day = session.started.day();
    for (row, mark) in rows.iter().zip(marks) {
        let time = row.time.to_string();
        if row.time.day() != day {
            day = row.time.day();
            let date = time.split('T').next().unwrap_or_default();
            writeln!(out, "{:MARGIN$}{}{date}{:#}", "", colors.faint, colors.faint)?;
        }
        let (label, style) = mark.shown(colors);
        let (faint, event) = (colors.faint, char::from(row.event as u8));
        write!(out, "{style}{label:<MARGIN$}{style:#}{faint}{}{faint:#} {event}", clock(&time))?;
        let (data, context) = (String::from_utf8_lossy(&row.data), String::from_utf8_lossy(&row.context));
        if !data.is_empty() {
            write!(out, "  {style}{}{style:#}", Escaped::line(&data))?;
        }
        if !context.is_empty() {
            write!(out, "  {faint}{}{faint:#}", Escaped::line(&context))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Why a row is worth looking at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    None,
    Presented,
    Received,
    /// A certificate between the session's server and the front end that sends for it.
    Internal,
    Command,
    Refused,
}

impl Mark {
    fn shown(self, colors: &Palette) -> (&'static str, Style) {
        match self {
            Mark::None => ("", Style::new()),
            Mark::Presented => ("▶ presented", colors.certificate),
            Mark::Received => ("◀ received", colors.certificate),
            Mark::Internal => ("· internal", colors.faint),
            Mark::Command => ("→ command", colors.refusal),
            Mark::Refused => ("✗ refused", colors.refusal),
        }
    }
}

fn marks(session: &Session, rows: &[TranscriptRow]) -> Vec<Mark> {
    let mut marks = vec![Mark::None; rows.len()];
    let mut side = Mark::None;
    for (row, mark) in rows.iter().zip(&mut marks).filter(|(row, _)| row.event == Event::Information) {
        *mark = match certificate_mark(&row.context, &mut side) {
            Mark::None => Mark::None,
            _ if is_proxied(session) => Mark::Internal,
            certificate => certificate,
        };
    }
    let (command, answer) = match session.stream.direction {
        Direction::Send => (Event::Sent, Event::Received),
        // Without session ids a log has the answer in the command's own row.
        Direction::Receive if session.rebuilt.is_some() => (Event::Received, Event::Received),
        Direction::Receive => (Event::Received, Event::Sent),
    };
    for reply in &session.replies {
        let is_refusal = |row: &TranscriptRow| row.sequence == reply.sequence && row.event == answer;
        let Some(at) = rows.iter().position(is_refusal) else { continue };
        marks[at] = Mark::Refused;
        let Some(to) = reply.to.as_deref().filter(|_| command != answer) else { continue };
        let is_command = |row: &TranscriptRow| row.event == command && String::from_utf8_lossy(&row.data) == to;
        if let Some(at) = rows[..at].iter().rposition(is_command) {
            marks[at] = Mark::Command;
        }
    }
    marks
}

/// Certificates stand in one row, or in several of which the first names the side and another the thumbprint.
fn certificate_mark(context: &[u8], side: &mut Mark) -> Mark {
    let begins = |beginning: &str| {
        context.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
    };
    if begins("Certificate thumbprint") {
        return *side;
    }
    *side = match () {
        _ if begins("Sending certificate") => Mark::Presented,
        _ if begins("Remote certificate") || begins("Received certificate") => Mark::Received,
        _ if begins("Validated received certificate") => Mark::Received,
        _ => return Mark::None,
    };
    *side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_marked_in_every_layout() {
        let mut side = Mark::None;
        let contexts = [
            ("Sending certificate", Mark::Presented),
            ("Certificate subject", Mark::None),
            ("Certificate thumbprint", Mark::Presented),
            ("TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded", Mark::None),
            ("Remote certificate Subject Issuer name Serial number Thumbprint", Mark::Received),
            ("Validated received certificate", Mark::Received),
            ("Certificate thumbprint", Mark::Received),
            ("", Mark::None),
        ];
        for (context, expected) in contexts {
            assert_eq!(certificate_mark(context.as_bytes(), &mut side), expected, "{context}");
        }
    }
}
