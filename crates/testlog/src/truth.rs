//! The truth about a session, in the JSON form of CONTRACT 4, folded from the facts of the rows that were written.

use serde::Serialize;

use crate::{
    clock::Time,
    fact::{Cipher, Fact, Refused, Side, Verb},
    profile::{Direction, Profile},
    script::Script,
    world::World,
};

/// A session as CONTRACT 4 prints it.
#[derive(Serialize)]
pub(crate) struct SessionTruth<'a> {
    v: u32,
    id: String,
    pub(crate) server: &'a str,
    role: &'static str,
    direction: &'static str,
    session: Id,
    connector: &'a str,
    started: Time,
    ended: Option<Time>,
    pub(crate) complete: bool,
    local: Option<&'a str>,
    remote: Option<&'a str>,
    remote_name: Option<&'a str>,
    helo: Option<&'a str>,
    egress_ip: Option<&'a str>,
    tls: TlsTruth,
    presented: Option<&'a str>,
    received: Option<&'a str>,
    negotiations: Vec<NegotiationTruth<'a>>,
    statuses: Vec<&'static str>,
    codes: Vec<u16>,
    pub(crate) replies: Vec<ReplyTruth<'a>>,
    messages: Vec<MessageTruth<'a>>,
    proxy: Vec<ProxyTruth>,
    records: u64,
    sources: Vec<SourceTruth<'a>>,
}

/// Sixteen hex digits.
#[derive(Clone, Copy)]
struct Id(u64);

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016X}", self.0))
    }
}

#[derive(Serialize, Clone, Copy)]
struct TlsTruth {
    outcome: &'static str,
    version: Option<&'static str>,
    cipher: Option<&'static str>,
    cipher_bits: Option<u32>,
    mac: Option<&'static str>,
    key_exchange: Option<&'static str>,
    error: Option<&'static str>,
    chain_status: Option<&'static str>,
}

#[derive(Serialize)]
struct NegotiationTruth<'a> {
    sequence: u32,
    verb: &'static str,
    outcome: &'static str,
    presented: Option<&'a str>,
    received: Option<&'a str>,
    #[serde(skip)]
    tls: TlsTruth,
}

#[derive(Serialize)]
pub(crate) struct ReplyTruth<'a> {
    pub(crate) time: Time,
    sequence: u32,
    from: &'static str,
    pub(crate) code: u16,
    pub(crate) status: Option<&'static str>,
    text: String,
    attr: Option<&'static str>,
    peer: Option<PeerTruth<'a>>,
    to: Option<&'a str>,
    pub(crate) presented: Option<&'a str>,
    presented_via: Option<Id>,
}

#[derive(Serialize)]
struct PeerTruth<'a> {
    host: &'a str,
    time: Option<Time>,
    session: Option<Id>,
}

#[derive(Serialize)]
struct MessageTruth<'a> {
    message_id: Option<&'a str>,
    from: &'a str,
    to: Vec<&'a str>,
    outcome: &'static str,
    #[serde(skip)]
    is_refused: bool,
    #[serde(skip)]
    recipients_refused: usize,
    #[serde(skip)]
    is_accepted: bool,
}

#[derive(Serialize)]
struct ProxyTruth {
    kind: &'static str,
    role: &'static str,
    session: Id,
    from_sequence: u32,
}

/// Where a session's rows lie in one file.
#[derive(Serialize, Clone)]
pub(crate) struct SourceTruth<'a> {
    pub(crate) file: &'a str,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// What the writer knows of a session: which of its rows a log holds, and where.
pub(crate) struct Written<'a> {
    /// Rows that a log holds are among the first so many.
    pub(crate) rows_end: usize,
    /// The first row that a log holds.
    pub(crate) rows_begin: usize,
    /// Whether a row in between was lost.
    pub(crate) has_gap: bool,
    /// Rows in logs, repeated ones included.
    pub(crate) records: u64,
    pub(crate) sources: Vec<SourceTruth<'a>>,
}

const NO_TLS: TlsTruth = TlsTruth {
    outcome: "none",
    version: None,
    cipher: None,
    cipher_bits: None,
    mac: None,
    key_exchange: None,
    error: None,
    chain_status: None,
};

/// The truth about a script of which a log holds what `written` says.
pub(crate) fn session_truth<'a>(
    world: &'a World,
    server: &'a Profile,
    script: &'a Script,
    written: Written<'a>,
) -> SessionTruth<'a> {
    let stream = &server.streams[script.stream];
    let (role, direction) = (stream.role.name(), script.direction.name());
    let has_end = script.is_closed && written.rows_end == script.rows.len();
    let mut truth = SessionTruth {
        v: 1,
        id: format!("{}/{role}/{direction}/{:016X}", server.name, script.id),
        server: &server.name,
        role,
        direction,
        session: Id(script.id),
        connector: &script.connector,
        started: Time(script.rows[written.rows_begin].time),
        ended: has_end.then(|| Time(script.rows[written.rows_end - 1].time)),
        complete: has_end && written.rows_begin == 0 && !written.has_gap,
        local: None,
        remote: None,
        remote_name: None,
        helo: None,
        egress_ip: None,
        tls: NO_TLS,
        presented: None,
        received: None,
        negotiations: Vec::new(),
        statuses: Vec::new(),
        codes: Vec::new(),
        replies: Vec::new(),
        messages: Vec::new(),
        proxy: Vec::new(),
        records: written.records,
        sources: written.sources,
    };
    let mut next_message_id = None;
    for (row, fact) in &script.facts {
        if (*row as usize) < written.rows_end {
            truth.fold(world, script, *row, fact, &mut next_message_id);
        }
    }
    truth.settle();
    truth
}

impl<'a> SessionTruth<'a> {
    fn fold(
        &mut self,
        world: &'a World,
        script: &'a Script,
        row: u32,
        fact: &'a Fact,
        next_message_id: &mut Option<&'a str>,
    ) {
        match fact {
            Fact::Local(local) => self.local = Some(local),
            Fact::Remote(remote) => self.remote = Some(remote),
            Fact::Helo(helo) => {
                self.helo = Some(helo);
                self.succeed_silently();
            }
            Fact::RemoteName(name) => self.remote_name = Some(name),
            Fact::SeenAddress(address) => self.egress_ip = address.as_deref(),
            Fact::Negotiation(verb) => self.negotiations.push(negotiation(row, *verb)),
            Fact::Thumbprint { side, certificate, .. } => {
                self.show(*side, &world.certificate(*certificate).thumbprint);
            }
            Fact::Secured(cipher) => self.secure(cipher),
            Fact::TlsError(error) => self.fail(error),
            Fact::ChainStatus(status) => self.last_tls(|tls| tls.chain_status = Some(status)),
            Fact::Refused(refused) => self.refuse(script, row, refused),
            Fact::NextMessageId(id) => *next_message_id = Some(id),
            Fact::Mail(from) => self.messages.push(message(from, next_message_id.take())),
            Fact::Proxy { kind, role, session } => self.link(kind, role, *session, row),
            Fact::Names(_) => {}
            Fact::MessageId(_)
            | Fact::Recipient(_)
            | Fact::MailRefused
            | Fact::RecipientRefused
            | Fact::DataAccepted
            | Fact::DataRefused => self.fold_message(fact),
        }
    }

    fn fold_message(&mut self, fact: &'a Fact) {
        let Some(message) = self.messages.last_mut() else {
            return;
        };
        match fact {
            Fact::MessageId(id) => message.message_id = Some(id),
            Fact::Recipient(address) => message.to.push(address),
            Fact::MailRefused | Fact::DataRefused => message.is_refused = true,
            Fact::RecipientRefused => message.recipients_refused += 1,
            Fact::DataAccepted => message.is_accepted = true,
            _ => {}
        }
    }

    /// A new EHLO after certificates, and no row about failure: the negotiation succeeded, unsaid.
    fn succeed_silently(&mut self) {
        if let Some(last) = self.negotiations.last_mut()
            && last.tls.outcome == "none"
            && (last.presented.is_some() || last.received.is_some())
        {
            last.tls.outcome = "ok";
        }
    }

    fn show(&mut self, side: Side, thumbprint: &'a str) {
        if let Some(last) = self.negotiations.last_mut() {
            match side {
                Side::Presented => last.presented = Some(thumbprint),
                Side::Received => last.received = Some(thumbprint),
            }
        }
    }

    fn last_tls(&mut self, change: impl FnOnce(&mut TlsTruth)) {
        if let Some(last) = self.negotiations.last_mut() {
            change(&mut last.tls);
        }
    }

    fn secure(&mut self, cipher: &'static Cipher) {
        self.last_tls(|tls| {
            *tls = TlsTruth {
                outcome: "ok",
                version: Some(cipher.version),
                cipher: Some(cipher.cipher),
                cipher_bits: Some(cipher.cipher_bits),
                mac: Some(cipher.mac),
                key_exchange: Some(cipher.key_exchange),
                ..*tls
            }
        });
    }

    fn fail(&mut self, error: &'static str) {
        self.last_tls(|tls| {
            tls.outcome = "failed";
            tls.error = Some(error);
        });
    }

    /// One link a session, from the first row that names it.
    fn link(&mut self, kind: &'static str, role: &'static str, session: u64, row: u32) {
        if !self.proxy.last().is_some_and(|link| link.session.0 == session && link.kind == kind) {
            self.proxy.push(ProxyTruth { kind, role, session: Id(session), from_sequence: row });
        }
    }

    fn refuse(&mut self, script: &'a Script, row: u32, refused: &'a Refused) {
        let refusal = &refused.refusal;
        let via = self.proxy.iter().rev().find(|link| hides_certificate(link)).map(|link| link.session);
        let negotiation = self.negotiations.last().filter(|last| last.verb == Verb::StartTls.command());
        let peer = refusal.peer.as_ref().map(|peer| PeerTruth {
            host: &peer.host,
            time: peer.moment.map(|(time, _)| Time(time)),
            session: peer.moment.map(|(_, session)| Id(session)),
        });
        self.replies.push(ReplyTruth {
            time: Time(script.rows[row as usize].time),
            sequence: row,
            from: if script.direction == Direction::Send { "remote" } else { "local" },
            code: refusal.code,
            status: refusal.status,
            text: refusal.text(),
            attr: refusal.attr,
            peer,
            to: refused.to.as_deref(),
            presented: negotiation.filter(|_| via.is_none()).and_then(|last| last.presented),
            presented_via: via,
        });
        if let Some(status) = refusal.status.filter(|status| !self.statuses.contains(status)) {
            self.statuses.push(status);
        }
        if !self.codes.contains(&refusal.code) {
            self.codes.push(refusal.code);
        }
    }

    /// What can only be said when all facts are known.
    fn settle(&mut self) {
        for negotiation in &mut self.negotiations {
            negotiation.outcome = negotiation.tls.outcome;
        }
        for message in &mut self.messages {
            message.outcome = message.outcome();
        }
        if let Some(last) = self.negotiations.last() {
            (self.tls, self.presented, self.received) = (last.tls, last.presented, last.received);
        }
        // The other side saw a front end or a hub, not this server's way out.
        if self.proxy.iter().any(hides_certificate) {
            self.egress_ip = None;
        }
    }
}

impl MessageTruth<'_> {
    fn outcome(&self) -> &'static str {
        let all_refused = !self.to.is_empty() && self.recipients_refused == self.to.len();
        match (self.is_refused || all_refused, self.is_accepted) {
            (true, _) => "refused",
            (false, true) if self.recipients_refused > 0 => "partial",
            (false, true) => "accepted",
            (false, false) => "unknown",
        }
    }
}

/// Whether the certificate of replies under this link is that of another session.
fn hides_certificate(link: &ProxyTruth) -> bool {
    link.role == "origin" || link.kind == "inbound" || link.kind == "client"
}

fn negotiation<'a>(row: u32, verb: Verb) -> NegotiationTruth<'a> {
    NegotiationTruth {
        sequence: row,
        verb: verb.command(),
        outcome: "none",
        presented: None,
        received: None,
        tls: NO_TLS,
    }
}

fn message<'a>(from: &'a str, message_id: Option<&'a str>) -> MessageTruth<'a> {
    MessageTruth {
        message_id,
        from,
        to: Vec::new(),
        outcome: "unknown",
        is_refused: false,
        recipients_refused: 0,
        is_accepted: false,
    }
}
