//! Events: what a session tells, one thing at a time, each with an id that follows from its content.

use std::{collections::HashSet, fmt};

use smtplog::{
    Direction, Message, MessageOutcome, Negotiation, Reply, RowMark, Session, Thumbprint, Timestamp, TlsOutcome,
};
use xxhash_rust::xxh3::Xxh3;

use crate::{CertificateFacts, Field, Finding, SessionView};

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The logging server showed a certificate.
    CertificatePresented,
    /// The other side showed a certificate.
    CertificateReceived,
    /// A TLS negotiation came about.
    TlsNegotiated,
    /// A TLS negotiation failed.
    TlsFailed,
    /// A refusal: a reply with a 4xx or 5xx code.
    Refusal,
    /// A session ended, or what is known of it is told because no more came.
    SessionEnd,
    /// The rules found why mail was refused.
    Finding,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::CertificatePresented,
        Kind::CertificateReceived,
        Kind::TlsNegotiated,
        Kind::TlsFailed,
        Kind::Refusal,
        Kind::SessionEnd,
        Kind::Finding,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::CertificatePresented => "certificate-presented",
            Kind::CertificateReceived => "certificate-received",
            Kind::TlsNegotiated => "tls-negotiated",
            Kind::TlsFailed => "tls-failed",
            Kind::Refusal => "refusal",
            Kind::SessionEnd => "session-end",
            Kind::Finding => "finding",
        }
    }

    /// What the kind tells, in a few words; for formats that name their events.
    pub fn title(self) -> &'static str {
        match self {
            Kind::CertificatePresented => "SMTP certificate presented",
            Kind::CertificateReceived => "SMTP certificate received",
            Kind::TlsNegotiated => "SMTP TLS negotiated",
            Kind::TlsFailed => "SMTP TLS negotiation failed",
            Kind::Refusal => "SMTP refusal",
            Kind::SessionEnd => "SMTP session ended",
            Kind::Finding => "SMTP refusal explained",
        }
    }
}

/// The id of an event: 16 bytes of BLAKE3, shown as 32 hex digits; from the second revision on `-r2` and so on follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// What all revisions of the event have in common.
    pub base: [u8; 16],
    /// 1 for an event that was never sent with another content.
    pub revision: u32,
}

impl EventId {
    /// The same event's first id, which revisions amend.
    pub fn first(self) -> EventId {
        EventId { revision: 1, ..self }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.base) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&hex).map_err(|_| fmt::Error)?)?;
        match self.revision {
            0 | 1 => Ok(()),
            revision => write!(f, "-r{revision}"),
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What it tells of.
    pub kind: Kind,
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// The row that tells of it; without one for what no single row tells.
    pub row: Option<RowMark>,
    /// Its session; `None` for a finding.
    pub view: Option<&'a SessionView<'a>>,
    /// The negotiation that it tells of, or in which the refusal lies.
    pub negotiation: Option<&'a Negotiation>,
    /// The refusal.
    pub reply: Option<&'a Reply>,
    /// The message that was refused, as far as that is known.
    pub message: Option<&'a Message>,
    /// The certificate that the other side saw.
    pub presented: Option<Thumbprint>,
    /// The certificate that the other side showed.
    pub received: Option<Thumbprint>,
    /// The finding.
    pub finding: Option<&'a Finding>,
    /// What is known of the two certificates.
    pub facts: Facts<'a>,
}

/// What is known of the certificates of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The one that the other side saw.
    pub presented: Option<&'a CertificateFacts>,
    /// The one that the other side showed.
    pub received: Option<&'a CertificateFacts>,
}

impl<'a> Event<'a> {
    /// What a session tells, in order. Ids come with `secret` hashed in, if there is one, so that nobody can try out
    /// what a redacted text said.
    pub fn of_session(view: &'a SessionView<'a>, secret: Option<&[u8; 32]>) -> Vec<Event<'a>> {
        let session = view.session;
        let mut events = Vec::with_capacity(3 * session.negotiations.len() + session.replies.len() + 1);
        for negotiation in &session.negotiations {
            negotiated(view, negotiation, &mut events);
        }
        events.extend(session.replies.iter().map(|reply| refused(view, reply)));
        events.sort_by_key(|event| event.row.map_or(0, |row| row.sequence));
        events.push(ended(view));
        for event in &mut events {
            let known = |thumbprint: Option<Thumbprint>| view.certificates.get(thumbprint?);
            event.facts = Facts { presented: known(event.presented), received: known(event.received) };
        }
        give_ids(&mut events, secret);
        events
    }

    /// A finding.
    pub fn of_finding(finding: &'a Finding) -> Event<'a> {
        Event {
            kind: Kind::Finding,
            id: EventId { base: finding.id, revision: 1 },
            time: finding.to,
            row: None,
            view: None,
            negotiation: None,
            reply: None,
            message: None,
            presented: finding.presented,
            received: None,
            finding: Some(finding),
            facts: Facts { presented: finding.certificate.as_ref(), received: None },
        }
    }

    /// Hash of what the event says happened. Another one under the same id is news; where the rows lie, and that a
    /// session became whole without a change to what this event tells, is none.
    pub fn content(&self) -> u64 {
        let mut hash = Xxh3::new();
        let mut put = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u32).to_le_bytes());
            hash.update(bytes);
        };
        if let Some(finding) = self.finding {
            finding.put_content(&mut put);
            return hash.digest();
        }
        let is_end = self.kind == Kind::SessionEnd;
        let tells = |field: &Field| !field.is_about_sending() && (is_end || *field != Field::Incomplete);
        for field in Field::all().filter(tells) {
            if let Some(text) = self.value(field).to_text() {
                put(field.name().as_bytes());
                put(text.as_bytes());
            }
        }
        hash.digest()
    }

    /// Whether rows of its session are missing.
    pub fn is_incomplete(&self) -> bool {
        self.view.is_some_and(|view| !view.session.complete)
    }
}

fn negotiated<'a>(view: &'a SessionView<'a>, negotiation: &'a Negotiation, events: &mut Vec<Event<'a>>) {
    let Negotiation { presented, received, rows, .. } = negotiation;
    let event = |kind, row: Option<RowMark>, presented, received| Event {
        kind,
        id: EventId { base: [0; 16], revision: 1 },
        time: negotiation.time,
        // A store from before rows were kept has the number of the first.
        row: Some(row.unwrap_or(RowMark { sequence: negotiation.sequence, hash: 0, place: None })),
        view: Some(view),
        negotiation: Some(negotiation),
        reply: None,
        message: None,
        presented,
        received,
        finding: None,
        facts: Facts::default(),
    };
    if presented.is_some() {
        events.push(event(Kind::CertificatePresented, rows.presented, *presented, None));
    }
    if received.is_some() {
        events.push(event(Kind::CertificateReceived, rows.received, None, *received));
    }
    match negotiation.tls.outcome {
        TlsOutcome::Ok => events.push(event(Kind::TlsNegotiated, rows.outcome, *presented, *received)),
        TlsOutcome::Failed => events.push(event(Kind::TlsFailed, rows.outcome, *presented, *received)),
        TlsOutcome::None => {}
    }
}

fn refused<'a>(view: &'a SessionView<'a>, reply: &'a Reply) -> Event<'a> {
    let session = view.session;
    let before = |negotiation: &&Negotiation| negotiation.sequence <= reply.sequence;
    Event {
        kind: Kind::Refusal,
        id: EventId { base: [0; 16], revision: 1 },
        time: reply.time,
        row: Some(RowMark { sequence: reply.sequence, hash: reply.row_hash, place: reply.row_place }),
        view: Some(view),
        negotiation: session.negotiations.iter().rfind(before),
        reply: Some(reply),
        message: message_of(session, reply),
        presented: reply.presented.or_else(|| view.via(reply.presented_via?)),
        received: reply.received,
        finding: None,
        facts: Facts::default(),
    }
}

fn ended<'a>(view: &'a SessionView<'a>) -> Event<'a> {
    let session = view.session;
    Event {
        kind: Kind::SessionEnd,
        id: EventId { base: [0; 16], revision: 1 },
        time: session.ended.unwrap_or(session.last),
        row: None,
        view: Some(view),
        negotiation: session.negotiations.last(),
        reply: None,
        message: None,
        presented: session.presented(),
        received: session.received(),
        finding: None,
        facts: Facts::default(),
    }
}

/// The message that a refusal is about: the one that its command names, or the only one.
fn message_of<'a>(session: &'a Session, reply: &Reply) -> Option<&'a Message> {
    let refused = || session.messages.iter().filter(|message| message.outcome != MessageOutcome::Accepted);
    let only = || session.messages.first().filter(|_| session.messages.len() == 1);
    let command = reply.to.as_deref()?;
    let is = |verb: &str| command.get(..verb.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(verb));
    let mailbox = mailbox(command);
    if is("MAIL FROM:") {
        return refused().find(|message| Some(message.from.as_str()) == mailbox).or_else(only);
    }
    if is("RCPT TO:") {
        let names = |message: &&Message| message.to.iter().any(|to| Some(to.as_str()) == mailbox);
        return refused().find(names).or_else(|| session.messages.iter().find(names)).or_else(only);
    }
    if is("DATA") || is("BDAT") || command == "." {
        return refused().find(|message| message.outcome == MessageOutcome::Refused).or_else(only);
    }
    only()
}

/// The address of a MAIL FROM or RCPT TO.
pub(crate) fn mailbox(command: &str) -> Option<&str> {
    let (_, rest) = command.split_once('<')?;
    rest.split_once('>').map(|(mailbox, _)| mailbox)
}

/// Events that are compared each with each.
const FEW: usize = 16;

/// Gives every event its id: BLAKE3 of what it is about and where it stands. What repeats an event is counted, because
/// edited logs have a row twice.
fn give_ids(events: &mut [Event<'_>], secret: Option<&[u8; 32]>) {
    // Nearly all sessions have a handful of events, of which none repeats another.
    let is_few = events.len() <= FEW;
    let mut given: HashSet<[u8; 16]> = HashSet::new();
    for at in 0..events.len() {
        let mut repeat = 0;
        loop {
            let base = id(&events[at], repeat, secret);
            events[at].id.base = base;
            let is_new = match is_few {
                true => events[..at].iter().all(|before| before.id.base != base),
                false => given.insert(base),
            };
            if is_new {
                break;
            }
            repeat += 1;
        }
    }
}

fn id(event: &Event<'_>, repeat: u32, secret: Option<&[u8; 32]>) -> [u8; 16] {
    let mut hash = secret.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
    let mut text = Vec::with_capacity(160);
    text.extend_from_slice(b"smtptrail event 1\0");
    if let Some(view) = event.view {
        let session = view.session;
        text.extend_from_slice(view.stream.as_bytes());
        text.push(0);
        text.extend_from_slice(&session.session.0.to_be_bytes());
        match event.row {
            // Rows of a log without session ids are numbered by what is there of them.
            Some(row) => {
                let sequence = if session.rebuilt.is_some() { 0 } else { row.sequence };
                text.extend_from_slice(&sequence.to_be_bytes());
                text.extend_from_slice(&row.hash.to_be_bytes());
                text.extend_from_slice(&event.time.0.to_be_bytes());
            }
            // The end of a session is its end, whichever row it turns out to be.
            None if session.repeated || session.rebuilt.is_some() => {
                text.extend_from_slice(&session.started.0.to_be_bytes());
            }
            None => {}
        }
    }
    text.extend_from_slice(event.kind.as_str().as_bytes());
    text.extend_from_slice(&repeat.to_be_bytes());
    hash.update(&text);
    let mut base = [0; 16];
    base.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    base
}

/// Which side a certificate is on in the words of TLS.
pub(crate) fn is_client_side(direction: Direction, presented: bool) -> bool {
    (direction == Direction::Send) == presented
}
