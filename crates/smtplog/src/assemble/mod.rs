//! From rows to a session: a state machine over one session's rows in order (CONTRACT 2 to 4).
//!
//! It sees the rows of joined fragments only, never the file, so the answer cannot depend on how the input was cut.
//! Commands wait in a queue for their replies (pipelining); TLS rows belong to the negotiation they lie in.

mod command;
mod information;
mod rebuilt;
mod reply;
#[cfg(test)]
mod tests;
mod tls;

use std::{mem, sync::Arc};

use rustc_hash::FxHashMap;

use self::{
    command::{Command, Commands, Verb},
    rebuilt::Watch,
};
use crate::{
    Auth, AuthOutcome, Direction, Message, MessageOutcome, Negotiation, NegotiationRows, NegotiationVerb, ProxyKind,
    ProxyLink, ProxyRole, Reply, ReplySide, RowMark, Session, SessionId, Stream, Text, Thumbprint, Tls, TlsOutcome,
    certificate::{Certificate, CertificateSide, PartialCertificate},
    fragment::{self, Row, Span, Stretch},
    memo::{LastText, Memo},
    record::Event,
};

/// Certificates remembered at once; a fleet with its partners shows some thousands. Past this a new one is still
/// named by its sessions, but what the log says of it is not kept, and that is counted.
pub const CERTIFICATES_MAX: usize = 262_144;

/// Turns fragments into sessions and collects the certificates that they name.
#[derive(Default)]
pub struct Assembler {
    certificates: FxHashMap<Thumbprint, Certificate>,
    certificates_dropped: u64,
    single_rows: Memo<Option<Thumbprint>>,
    tls_rows: Memo<Tls>,
    last: LastTexts,
    /// Buffers of the session before, empty.
    commands: Commands<'static>,
    progress: Vec<MessageProgress>,
}

/// Texts that the sessions of a stream mostly have in common.
#[derive(Default)]
struct LastTexts {
    connector: LastText,
    local: LastText,
    helo: LastText,
    remote_name: LastText,
    egress_ip: LastText,
    chain_status: LastText,
    domain_capabilities: LastText,
    domain_status: LastText,
}

impl Assembler {
    /// The session of a key whose joined rows are `parts`, in order. `sources` are left empty for the caller to fill.
    pub fn session(&mut self, stream: &Arc<Stream>, session: SessionId, span: &Span, parts: &[Stretch<'_>]) -> Session {
        let mut state = State::new(self, stream, session, span);
        let mut hash = 0;
        for part in parts {
            state.stretch = *part;
            if span.rebuilt.is_some() {
                hash = state.rebuilt_rows(part.rows, hash);
                continue;
            }
            for row in fragment::rows(part.rows) {
                state.row(&row);
                hash = row.chain_hash(hash);
            }
        }
        state.finish_rebuilt(span);
        state.finish();
        state.session.rows_hash = (hash >> 32) as u32;
        state.session
    }

    /// The certificates seen so far, in order of thumbprint.
    pub fn into_certificates(self) -> Vec<Certificate> {
        let mut certificates: Vec<Certificate> = self.certificates.into_values().collect();
        certificates.sort_unstable_by_key(|certificate| certificate.thumbprint);
        certificates
    }

    /// Certificates whose text was not kept because of [`CERTIFICATES_MAX`].
    pub fn certificates_dropped(&self) -> u64 {
        self.certificates_dropped
    }

    fn remember(&mut self, certificate: Certificate) -> Thumbprint {
        let thumbprint = certificate.thumbprint;
        let has_room = self.certificates.len() < CERTIFICATES_MAX;
        match self.certificates.get_mut(&thumbprint) {
            Some(known) if certificate.is_better_than(known) => *known = certificate,
            Some(_) => {}
            None if has_room => {
                self.certificates.insert(thumbprint, certificate);
            }
            None => self.certificates_dropped += 1,
        }
        thumbprint
    }
}

/// One session while its rows come in.
struct State<'a, 'r> {
    assembler: &'a mut Assembler,
    session: Session,
    /// Where the rows lie that come in now.
    stretch: Stretch<'r>,
    /// Commands without their reply.
    pending: Commands<'r>,
    /// The code of a reply whose last line is still to come.
    reply_code: Option<u16>,
    /// Whether that reply is the refusal last pushed, and so takes further lines.
    reply_is_refusal: bool,
    /// Whether the next reply is the banner.
    banner_due: bool,
    /// Texts of which only the last is kept, as logged: to decode one takes as long as to read a row.
    local: &'r [u8],
    remote: &'r [u8],
    helo: Option<&'r [u8]>,
    banner: Option<&'r [u8]>,
    greeting: Option<&'r [u8]>,
    /// Whether the client's next row is an answer to 334, not a command.
    challenge_open: bool,
    /// The negotiation that each reply lies in, for those in `session.replies`.
    reply_negotiations: Vec<Option<usize>>,
    /// Whether each refusal came while an outbound proxy was in force.
    reply_behind_proxy: Vec<bool>,
    /// Certificates were seen in the current negotiation, so that an EHLO proves that TLS stands.
    certificate_seen: bool,
    certificate_side: CertificateSide,
    partial: Option<PartialCertificate<'r>>,
    /// The row that its thumbprint stands in.
    thumbprint_row: Option<RowMark>,
    /// The row that began the negotiation.
    negotiation_row: Option<RowMark>,
    /// The front end's session by its raw id, while a proxy is in force.
    via: Option<SessionId>,
    proxied_to: bool,
    /// `sending message with ...` comes before its MAIL FROM.
    message_id: Option<Text>,
    progress: Vec<MessageProgress>,
    /// Whether the rows can be those of one connection, if their log has no session ids.
    watch: Option<Watch>,
}

/// Replies to the parts of one message.
#[derive(Clone, Copy, Default)]
struct MessageProgress {
    mail_refused: bool,
    recipients_refused: usize,
    data_accepted: bool,
    data_refused: bool,
}

impl<'a, 'r> State<'a, 'r> {
    fn new(assembler: &'a mut Assembler, stream: &Arc<Stream>, session: SessionId, span: &Span) -> State<'a, 'r> {
        let session = Session {
            stream: Arc::clone(stream),
            session,
            repeated: false,
            connector: Text::default(),
            started: span.first_time,
            ended: None,
            last: span.last_time,
            complete: span.is_complete(),
            local: None,
            remote: None,
            remote_name: None,
            helo: None,
            egress_ip: None,
            tls: Tls::default(),
            negotiations: Vec::new(),
            replies: Vec::new(),
            messages: Vec::new(),
            proxy: Vec::new(),
            auth: None,
            errors: Vec::new(),
            tarpit_ms: 0,
            records: 0,
            repeated_sequences: u64::from(span.repeated),
            sources: Vec::new(),
            rows_hash: 0,
            rebuilt: None,
        };
        let banner_due = match span.rebuilt {
            Some(rebuilt) => rebuilt.opens && stream.direction == Direction::Send,
            None => span.first_sequence == 0,
        };
        State {
            pending: mem::take(&mut assembler.commands),
            progress: mem::take(&mut assembler.progress),
            assembler,
            session,
            stretch: Stretch { rows: b"", offset: 0, source: 0 },
            reply_code: None,
            reply_is_refusal: false,
            banner_due,
            local: b"",
            remote: b"",
            helo: None,
            banner: None,
            greeting: None,
            challenge_open: false,
            reply_negotiations: Vec::new(),
            reply_behind_proxy: Vec::new(),
            certificate_seen: false,
            certificate_side: CertificateSide::Presented,
            partial: None,
            thumbprint_row: None,
            negotiation_row: None,
            via: None,
            proxied_to: false,
            message_id: None,
            watch: span.rebuilt.map(|_| Watch::default()),
        }
    }

    /// Takes note of what every row says, whatever it is.
    #[inline(always)]
    fn note_row(&mut self, row: &Row<'r>) {
        if self.session.records == 0 {
            self.session.connector = self.assembler.last.connector.decode(row.connector);
        }
        self.session.records += 1;
        if !row.local.is_empty() {
            self.local = row.local;
        }
        if !row.remote.is_empty() {
            self.remote = row.remote;
        }
    }

    fn row(&mut self, row: &Row<'r>) {
        self.note_row(row);
        match (row.event, self.session.stream.direction) {
            (Event::Sent, Direction::Send) | (Event::Received, Direction::Receive) => self.command(row),
            (Event::Sent, Direction::Receive) | (Event::Received, Direction::Send) => self.reply(row),
            (Event::Information, _) => self.information(row),
            (Event::Disconnect, _) => self.session.ended = Some(row.time),
            (Event::Connect, _) => {}
        }
    }

    /// Inlined by force, as replies are: the rows of Exchange are handed over in one place, those of logs without session
    /// ids in another, which must cost the first nothing.
    #[inline(always)]
    fn command(&mut self, row: &Row<'r>) {
        if mem::take(&mut self.challenge_open) {
            return;
        }
        let verb = command::verb(row.data);
        let message = match verb {
            Verb::Mail => Some(self.begin_message(row.data)),
            Verb::Recipient => self.add_recipient(row.data),
            Verb::Data | Verb::Chunk { .. } => self.progress.len().checked_sub(1),
            _ => None,
        };
        match verb {
            Verb::Hello => self.hello(row.data),
            Verb::StartTls => self.begin_negotiation(row, NegotiationVerb::StartTls),
            Verb::AnonymousTls => self.begin_negotiation(row, NegotiationVerb::AnonymousTls),
            Verb::Auth => self.auth_mechanism(row.data),
            Verb::ProxyTo | Verb::ProxyFrom | Verb::ProxyClient => self.proxy_command(verb, row.data, row.sequence),
            _ => {}
        }
        self.pending.push(Command { verb, line: row.data, message });
    }

    fn hello(&mut self, line: &'r [u8]) {
        self.helo = Some(command::argument(line));
        if self.certificate_seen
            && let Some(negotiation) = self.session.negotiations.last_mut()
            && negotiation.tls.outcome == TlsOutcome::None
        {
            negotiation.tls.outcome = TlsOutcome::Ok;
            negotiation.rows.outcome = self.negotiation_row;
        }
    }

    #[inline(always)]
    fn begin_message(&mut self, line: &[u8]) -> usize {
        self.session.messages.push(Message {
            message_id: self.message_id.take(),
            from: Text::from_utf8_lossy(command::address(line)),
            to: Vec::new(),
            outcome: MessageOutcome::Unknown,
        });
        self.progress.push(MessageProgress::default());
        self.progress.len() - 1
    }

    #[inline(always)]
    fn add_recipient(&mut self, line: &[u8]) -> Option<usize> {
        let message = self.session.messages.last_mut()?;
        message.to.push(Text::from_utf8_lossy(command::address(line)));
        Some(self.progress.len() - 1)
    }

    fn begin_negotiation(&mut self, row: &Row<'r>, verb: NegotiationVerb) {
        self.finish_certificate();
        self.certificate_seen = false;
        if self.session.negotiations.is_empty() {
            self.session.negotiations.reserve_exact(1); // Most sessions have one, and it is large.
        }
        self.session.negotiations.push(Negotiation {
            sequence: row.sequence,
            time: row.time,
            verb,
            tls: Tls::default(),
            presented: None,
            received: None,
            rows: NegotiationRows::default(),
        });
        self.negotiation_row = Some(row.mark(&self.stretch));
    }

    fn auth_mechanism(&mut self, line: &[u8]) {
        let mechanism = command::argument(line).split(|&byte| byte == b' ').next().filter(|word| !word.is_empty());
        let auth = Auth {
            outcome: AuthOutcome::Failed,
            mechanism: mechanism.map(Text::from_utf8_lossy),
            user: None,
            error: None,
        };
        self.session.auth = Some(auth);
    }

    fn proxy_command(&mut self, verb: Verb, line: &[u8], sequence: u32) {
        let (key, kind): (&[u8], _) = match verb {
            Verb::ProxyTo => (b"SESSIONID", ProxyKind::Outbound),
            Verb::ProxyFrom => (b"SID", ProxyKind::Inbound),
            _ => (b"SID", ProxyKind::Client),
        };
        self.proxied_to |= verb == Verb::ProxyTo;
        let is_origin = verb == Verb::ProxyTo && self.session.stream.direction == Direction::Send;
        let role = if is_origin { ProxyRole::Origin } else { ProxyRole::Relay };
        if let Some(session) = command::parameter(line, key).and_then(SessionId::from_hex) {
            self.link(kind, role, session, sequence);
        }
    }

    /// Adds a link, unless it only names again what is in force, and makes it the one in force.
    fn link(&mut self, kind: ProxyKind, role: ProxyRole, session: SessionId, from_sequence: u32) {
        let in_force = self.session.proxy.iter().rev().find(|link| link.kind == kind);
        if in_force.is_none_or(|link| link.session != session) {
            self.session.proxy.push(ProxyLink { kind, role, session, from_sequence });
        }
        let relays_outbound = kind == ProxyKind::Outbound && role == ProxyRole::Relay;
        // A front end that relays outbound mail shows its own certificate to the remote: nothing stands behind it.
        if !relays_outbound || self.proxied_to {
            self.via = Some(session);
        }
    }

    fn reply(&mut self, row: &Row<'r>) {
        if let Some(line) = reply::line(row.data) {
            self.reply_line(row, line);
        }
    }

    #[inline(always)]
    fn reply_line(&mut self, row: &Row<'r>, line: reply::ReplyLine<'r>) {
        let continues = self.reply_code == Some(line.code);
        if self.reply_code.is_some() && !continues {
            self.end_reply(); // Its last line was lost.
        }
        if !continues {
            self.begin_reply(row, &line);
        } else if self.reply_is_refusal {
            self.continue_refusal(line.text);
        }
        self.reply_code = Some(line.code);
        if line.last {
            self.end_reply();
        }
    }

    /// The command that the reply under way answers.
    fn answered(&self) -> Option<Command<'r>> {
        if self.banner_due { None } else { self.pending.first() }
    }

    #[inline(always)]
    fn begin_reply(&mut self, row: &Row<'r>, line: &reply::ReplyLine<'r>) {
        let answered = self.answered();
        self.challenge_open = line.code == 334;
        self.reply_is_refusal = line.code >= 400;
        if self.reply_is_refusal {
            self.refusal(row, line, answered.map(|command| command.line));
        }
        // Where the first rows are lost, a 220 before any command is the banner all the same.
        let is_banner = self.banner_due || (answered.is_none() && self.helo.is_none());
        if is_banner && line.code == 220 {
            self.banner = Some(line.text);
        }
        let Some(command) = answered else { return };
        match command.verb {
            Verb::Hello if line.code < 300 => self.greeting = Some(line.text),
            Verb::Auth => self.auth_answer(line.code),
            _ => {}
        }
        let Some(message) = command.message else { return };
        if let Some(progress) = self.progress.get_mut(message) {
            progress.answer(command.verb, line.code);
        }
        if let (Some(id), Some(message)) = (reply::queued_message_id(line), self.session.messages.get_mut(message)) {
            message.message_id.get_or_insert_with(|| Text::from_utf8_lossy(id));
        }
    }

    fn auth_answer(&mut self, code: u16) {
        if let Some(auth) = &mut self.session.auth {
            match code {
                200..300 => auth.outcome = AuthOutcome::Ok,
                400.. => auth.outcome = AuthOutcome::Failed,
                _ => {}
            }
        }
    }

    fn refusal(&mut self, row: &Row<'r>, line: &reply::ReplyLine<'_>, to: Option<&[u8]>) {
        let (status, text) = reply::enhanced_status(line.text);
        let side = match self.session.stream.direction {
            Direction::Send => ReplySide::Remote,
            Direction::Receive => ReplySide::Local,
        };
        self.session.replies.push(Reply {
            time: row.time,
            sequence: row.sequence,
            row_hash: row.content_hash(),
            row_place: self.stretch.place(row),
            side,
            code: line.code,
            status: status.map(Text::from),
            text: Text::from_utf8_lossy(text),
            attr: None,
            peer: None,
            thumbprint: None,
            to: to.map(Text::from_utf8_lossy),
            presented: None,
            received: None,
            presented_via: self.via,
        });
        self.reply_negotiations.push(self.session.negotiations.len().checked_sub(1));
        self.reply_behind_proxy.push(self.proxied_to);
    }

    fn continue_refusal(&mut self, text: &[u8]) {
        let Some(refusal) = self.session.replies.last_mut() else { return };
        let (status, text) = reply::enhanced_status(text);
        if refusal.status.is_none() {
            refusal.status = status.map(Text::from);
        }
        refusal.text.push('\n');
        refusal.text.push_str(&String::from_utf8_lossy(text));
    }

    /// The reply is whole: the command it answers leaves the queue, unless more is to come for it.
    fn end_reply(&mut self) {
        let code = self.reply_code.take();
        if mem::take(&mut self.banner_due) || matches!(code, Some(334 | 354)) {
            return;
        }
        self.pending.remove_first();
    }

    fn finish(&mut self) {
        self.finish_certificate();
        for (reply, negotiation) in self.session.replies.iter_mut().zip(&self.reply_negotiations) {
            finish_refusal(reply);
            let negotiation = negotiation.and_then(|at| self.session.negotiations.get(at));
            if let Some(negotiation) = negotiation.filter(|n| n.verb != NegotiationVerb::AnonymousTls) {
                (reply.presented, reply.received) = (negotiation.presented, negotiation.received);
            }
        }
        for (reply, _) in self.session.replies.iter_mut().zip(&self.reply_behind_proxy).filter(|(_, behind)| **behind) {
            (reply.presented, reply.received) = (None, None);
        }
        for (message, progress) in self.session.messages.iter_mut().zip(&self.progress) {
            message.outcome = progress.outcome(message.to.len());
        }
        self.finish_endpoints();
        if self.session.stream.direction == Direction::Send {
            self.finish_remote();
        }
        self.session.tls = self.session.negotiations.last().map(|last| last.tls.clone()).unwrap_or_default();
        self.assembler.commands = mem::take(&mut self.pending).recycled();
        self.progress.clear();
        self.assembler.progress = mem::take(&mut self.progress);
    }

    fn finish_endpoints(&mut self) {
        let last = &mut self.assembler.last;
        self.session.local = (!self.local.is_empty()).then(|| last.local.decode(self.local));
        self.session.remote = (!self.remote.is_empty()).then(|| Text::from_utf8_lossy(self.remote));
        self.session.helo = self.helo.map(|helo| last.helo.decode(helo));
    }

    fn finish_remote(&mut self) {
        let name = self.greeting.and_then(reply::greeting_name).or(self.banner.and_then(reply::greeting_name));
        let last = &mut self.assembler.last;
        self.session.remote_name = name.map(|name| last.remote_name.decode(name));
        let behind_proxy = |link: &ProxyLink| !(link.kind == ProxyKind::Outbound && link.role == ProxyRole::Relay);
        if !self.proxied_to && !self.session.proxy.iter().any(behind_proxy) {
            let address = self.greeting.and_then(reply::greeted_address);
            self.session.egress_ip = address.map(|address| last.egress_ip.decode(address));
        }
    }
}

/// Fills in what the whole text of a refusal says.
fn finish_refusal(reply: &mut Reply) {
    reply.attr = reply::attribution(&reply.text).map(Text::from);
    reply.peer = reply::peer(&reply.text);
    reply.thumbprint = reply::thumbprint(&reply.text);
}

impl MessageProgress {
    fn answer(&mut self, verb: Verb, code: u16) {
        let refused = code >= 400;
        match verb {
            Verb::Mail => self.mail_refused = refused,
            Verb::Recipient => self.recipients_refused += usize::from(refused),
            Verb::Data | Verb::Chunk { .. } if refused => self.data_refused = true,
            Verb::Data | Verb::Chunk { last: true } if code < 300 => self.data_accepted = true,
            _ => {}
        }
    }

    fn outcome(&self, recipients: usize) -> MessageOutcome {
        let all_refused = recipients > 0 && self.recipients_refused >= recipients;
        match self {
            _ if self.mail_refused || self.data_refused || all_refused => MessageOutcome::Refused,
            _ if !self.data_accepted => MessageOutcome::Unknown,
            _ if self.recipients_refused > 0 => MessageOutcome::Partial,
            _ => MessageOutcome::Accepted,
        }
    }
}

/// Milliseconds of `Tarpit for '0.00:00:05'`: days, hours, minutes, seconds.
fn tarpit_ms(data: &[u8]) -> Option<u64> {
    let inner = data.strip_prefix(b"Tarpit for '")?;
    let inner = std::str::from_utf8(&inner[..memchr::memchr(b'\'', inner)?]).ok()?;
    let (days, clock) = inner.split_once('.').filter(|(days, _)| !days.contains(':')).unwrap_or(("0", inner));
    let mut seconds = days.parse::<u64>().ok()?.checked_mul(24)?;
    let mut parts = clock.split(':');
    seconds = seconds.checked_add(parts.next()?.parse().ok()?)?.checked_mul(60)?;
    seconds = seconds.checked_add(parts.next()?.parse().ok()?)?.checked_mul(60)?;
    let last = parts.next()?.split('.').next()?;
    seconds.checked_add(last.parse().ok()?)?.checked_mul(1_000)
}
