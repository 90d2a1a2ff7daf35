//! Stored records: what gives a session back without its log.
//!
//! A record holds only what the columns and dictionaries of its split do not: numbers into dictionaries, times relative
//! to the session's start, and the few texts that are unique to a session. It is some 60 bytes before compression.

use std::sync::Arc;

use smtplog::{
    Confidence, Message, MessageOutcome, Negotiation, NegotiationRows, Peer, ProxyKind, ProxyLink, ProxyRole, Reply,
    Session, SessionId, SourceSpan, Text, Timestamp,
};

use super::{
    dictionaries::{Builders, Dictionaries},
    places,
};
use crate::codec::{Decoder, put_number, put_signed, put_text};

/// What the columns hold of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) started: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) session: SessionId,
}

/// The numbers that a session has in the dictionaries, for its columns.
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) profile: u32,
    /// Class and phrase of each refusal.
    pub(crate) replies: Vec<(u32, u32)>,
    /// Phrases of failures that are no replies.
    pub(crate) failures: Vec<u32>,
    pub(crate) helo: Option<u32>,
    pub(crate) remote_name: Option<u32>,
    pub(crate) local: Option<u32>,
    pub(crate) remote: Option<u32>,
    pub(crate) egress: Option<u32>,
    pub(crate) from: Vec<u32>,
    pub(crate) to: Vec<u32>,
}

impl Numbers {
    fn clear(&mut self) {
        let Numbers { replies, failures, from, to, .. } = std::mem::take(self);
        (self.replies, self.failures, self.from, self.to) = (replies, failures, from, to);
        self.replies.clear();
        self.failures.clear();
        self.from.clear();
        self.to.clear();
    }
}

/// Writes a session's record and collects its numbers.
pub(crate) fn encode(session: &Session, builders: &mut Builders, numbers: &mut Numbers, out: &mut Vec<u8>) {
    numbers.clear();
    out.clear();
    numbers.profile = builders.profile(session);
    let is_placed = places::are_known(session);
    put_times(out, session, is_placed);
    put_number(out, session.records);
    put_number(out, session.repeated_sequences);
    put_number(out, session.tarpit_ms);
    out.extend_from_slice(&session.rows_hash.to_le_bytes());
    numbers.local = put_endpoint(out, session.local.as_deref(), builders);
    numbers.remote = put_endpoint(out, session.remote.as_deref(), builders);
    numbers.helo = put_name(out, session.helo.as_deref(), builders);
    numbers.remote_name = put_name(out, session.remote_name.as_deref(), builders);
    numbers.egress = session.egress_ip.as_deref().map(|address| builders.hosts.number(address.as_bytes()));
    put_number(out, numbers.egress.map_or(0, |number| u64::from(number) + 1));
    for negotiation in &session.negotiations {
        put_number(out, negotiation.sequence.into());
        put_signed(out, negotiation.time.0.wrapping_sub(session.started.0));
        put_rows(out, negotiation);
    }
    put_number(out, session.replies.len() as u64);
    session.replies.iter().for_each(|reply| numbers.replies.push(put_reply(out, reply, session, builders)));
    put_number(out, session.messages.len() as u64);
    session.messages.iter().for_each(|message| put_message(out, message, builders, numbers));
    put_rest(out, session, builders, numbers);
    if is_placed {
        places::put(out, session);
    }
}

/// How the first byte of a record says when the session ended: with its last row, never, or at a time that follows.
const ENDED_LAST: u8 = 0;
const ENDED_NEVER: u8 = 1;
const ENDED_ELSE: u8 = 2;

/// The bits of it that say so. Above them stands how sure the session is; records from before that was known have
/// nothing there.
const ENDED_BITS: u8 = 3;

/// Set in the first byte where negotiations have their times and refusals the hashes of their rows, which they have since
/// layout 5.
const MARKED: u8 = 1 << 4;

/// Set in the first byte where the places of these rows stand at the record's end, as they have since layout 6.
const PLACED: u8 = 1 << 5;

fn confidence_bits(rebuilt: Option<Confidence>) -> u8 {
    match rebuilt {
        None => 0,
        Some(Confidence::Low) => 1 << 2,
        Some(Confidence::Medium) => 2 << 2,
    }
}

fn confidence(first_byte: u8) -> Option<Confidence> {
    match first_byte >> 2 & 3 {
        0 => None,
        2 => Some(Confidence::Medium),
        _ => Some(Confidence::Low),
    }
}

fn put_times(out: &mut Vec<u8>, session: &Session, is_placed: bool) {
    // The `-` row is the last one nearly always.
    let ended = session.ended.map_or(ENDED_NEVER, |ended| if ended == session.last { ENDED_LAST } else { ENDED_ELSE });
    let placed = if is_placed { PLACED } else { 0 };
    out.push(ended | confidence_bits(session.rebuilt) | MARKED | placed);
    if let (ENDED_ELSE, Some(time)) = (ended, session.ended) {
        put_signed(out, time.0 - session.started.0);
    }
}

/// An endpoint as the number of its address and its port; one that is not `address:port` as a whole, without a port.
fn put_endpoint(out: &mut Vec<u8>, endpoint: Option<&str>, builders: &mut Builders) -> Option<u32> {
    let Some(endpoint) = endpoint else {
        put_number(out, 0);
        return None;
    };
    let (host, port) = match endpoint.rsplit_once(':') {
        Some((host, port)) => match port.parse::<u16>() {
            // Only what is written the same way again may be taken apart.
            Ok(number) if port == "0" || !port.starts_with(['0', '+']) => (host, u32::from(number) + 1),
            _ => (endpoint, 0),
        },
        None => (endpoint, 0),
    };
    let number = builders.hosts.number(host.as_bytes());
    put_number(out, u64::from(number) + 1);
    put_number(out, port.into());
    Some(number)
}

fn put_name(out: &mut Vec<u8>, name: Option<&str>, builders: &mut Builders) -> Option<u32> {
    let number = name.map(|name| builders.names.number(name.as_bytes()));
    put_number(out, number.map_or(0, |number| u64::from(number) + 1));
    number
}

/// Writes a refusal and returns its class and its phrase.
fn put_reply(out: &mut Vec<u8>, reply: &Reply, session: &Session, builders: &mut Builders) -> (u32, u32) {
    let class = builders.reply_class(reply);
    put_number(out, class.into());
    put_signed(out, reply.time.0 - session.started.0);
    put_number(out, reply.sequence.into());
    out.extend_from_slice(&reply.row_hash.to_le_bytes());
    let text = text_without_peer(reply);
    let text_number = builders.texts.number(text.as_bytes());
    put_number(out, text_number.into());
    // 0: no peer; 1: host only; 2: all of it; 3 and 4 the same with the bracket still in the text.
    let kind = reply.peer.as_ref().map_or(0, |peer| if peer.time.is_some() { 2 } else { 1 });
    let in_text = kind > 0 && text.len() == reply.text.len();
    out.push(kind + if in_text { 2 } else { 0 });
    let mut host = None;
    if let Some(peer) = &reply.peer {
        let number = builders.names.number(peer.host.as_bytes());
        put_number(out, number.into());
        host = Some(number).filter(|_| !in_text);
        if let (Some(time), Some(id)) = (peer.time, peer.session) {
            put_signed(out, time.0 - session.started.0);
            out.extend_from_slice(&id.0.to_le_bytes());
        }
    }
    match &reply.to {
        Some(command) => {
            put_number(out, command.len() as u64 + 1);
            out.extend_from_slice(command.as_bytes());
        }
        None => put_number(out, 0),
    }
    if let Some(via) = reply.presented_via {
        put_signed(out, via.0.wrapping_sub(session.session.0) as i64);
    }
    (class, builders.phrase(text_number, host))
}

/// The text before its trailing bracket, if the bracket is written exactly as it will be written again.
fn text_without_peer(reply: &Reply) -> &str {
    let Some(peer) = &reply.peer else { return &reply.text };
    reply.text.strip_suffix(&bracket(peer)).unwrap_or(&reply.text)
}

fn bracket(peer: &Peer) -> String {
    match (peer.time, peer.session) {
        (Some(time), Some(session)) => format!("[{} {time} {session}]", peer.host),
        _ => format!("[{}]", peer.host),
    }
}

fn put_message(out: &mut Vec<u8>, message: &Message, builders: &mut Builders, numbers: &mut Numbers) {
    out.push(message.outcome as u8 | u8::from(message.message_id.is_some()) << 2);
    let from = builders.mailboxes.number(message.from.as_bytes());
    put_number(out, from.into());
    numbers.from.push(from);
    put_number(out, message.to.len() as u64);
    for recipient in &message.to {
        let number = builders.mailboxes.number(recipient.as_bytes());
        put_number(out, number.into());
        numbers.to.push(number);
    }
    if let Some(id) = &message.message_id {
        put_text(out, id.as_bytes());
    }
}

fn put_rest(out: &mut Vec<u8>, session: &Session, builders: &mut Builders, numbers: &mut Numbers) {
    put_number(out, session.proxy.len() as u64);
    for link in &session.proxy {
        out.push(link.kind as u8 | (link.role as u8) << 2);
        put_signed(out, link.session.0.wrapping_sub(session.session.0) as i64);
        put_number(out, link.from_sequence.into());
    }
    put_number(out, session.errors.len() as u64);
    for error in &session.errors {
        let text = builders.texts.number(error.as_bytes());
        put_number(out, text.into());
        numbers.failures.push(builders.phrase(text, None));
    }
    let user = session.auth.as_ref().and_then(|auth| auth.user.as_deref());
    put_number(out, user.map_or(0, |user| user.len() as u64 + 1));
    out.extend_from_slice(user.unwrap_or_default().as_bytes());
    put_number(out, session.sources.len() as u64);
    for source in &session.sources {
        put_number(out, builders.source(source).into());
        put_number(out, source.offset);
        put_number(out, source.length);
    }
}

/// Gives a session back. `None` means that the split is damaged.
pub(crate) fn decode(
    bytes: &[u8],
    profile: &Session,
    columns: Columns,
    dictionaries: &Dictionaries<'_>,
) -> Option<Session> {
    let from = &mut Decoder::new(bytes);
    let first_byte = from.byte()?;
    let is_marked = first_byte & MARKED != 0;
    let ended = match first_byte & ENDED_BITS {
        ENDED_LAST => Some(columns.last),
        ENDED_NEVER => None,
        _ => Some(Timestamp(columns.started.0.checked_add(from.signed()?)?)),
    };
    let records = from.number()?;
    let repeated_sequences = from.number()?;
    let tarpit_ms = from.number()?;
    let rows_hash = u32::from_le_bytes(from.array()?);
    let local = endpoint(from, dictionaries)?;
    let remote = endpoint(from, dictionaries)?;
    let helo = name(from, dictionaries)?;
    let remote_name = name(from, dictionaries)?;
    let egress_ip = match from.number()?.checked_sub(1) {
        Some(number) => Some(text(dictionaries.hosts.text(u32::try_from(number).ok()?)?)?),
        None => None,
    };
    let negotiations = negotiations(from, &profile.negotiations, is_marked, columns.started)?;
    let count = from.number()?;
    let replies = (0..count).map(|_| reply(from, is_marked, columns, dictionaries)).collect::<Option<Vec<_>>>()?;
    let count = from.number()?;
    let messages = (0..count).map(|_| message(from, dictionaries)).collect::<Option<Vec<_>>>()?;
    let mut session = Session {
        stream: Arc::clone(&profile.stream),
        session: columns.session,
        repeated: false, // The store knows: it depends on other splits.
        connector: profile.connector.clone(),
        started: columns.started,
        ended,
        last: columns.last,
        complete: profile.complete,
        local,
        remote,
        remote_name,
        helo,
        egress_ip,
        tls: profile.tls.clone(),
        negotiations,
        replies,
        messages,
        proxy: Vec::new(),
        auth: profile.auth.clone(),
        errors: Vec::new(),
        tarpit_ms,
        records,
        repeated_sequences,
        sources: Vec::new(),
        rows_hash,
        rebuilt: confidence(first_byte),
    };
    rest(from, &mut session, dictionaries)?;
    if first_byte & PLACED != 0 {
        places::read(from, &mut session)?;
    }
    from.is_empty().then_some(session)
}

/// The negotiations of a profile, with what only the record knows of them.
fn negotiations(
    from: &mut Decoder<'_>,
    shared: &[Negotiation],
    is_marked: bool,
    started: Timestamp,
) -> Option<Vec<Negotiation>> {
    let mut negotiations = shared.to_vec();
    for negotiation in &mut negotiations {
        (negotiation.sequence, negotiation.time) = (from.small()?, started);
        if is_marked {
            negotiation.time = Timestamp(started.0.wrapping_add(from.signed()?));
            rows_from(from, negotiation)?;
        }
    }
    Some(negotiations)
}

/// Writes how far each row of a negotiation is behind the one before; mostly one or two.
fn put_rows(out: &mut Vec<u8>, negotiation: &Negotiation) {
    let NegotiationRows { presented, received, outcome } = negotiation.rows;
    let mut before = negotiation.sequence;
    for mark in [presented, received, outcome].into_iter().flatten() {
        put_signed(out, i64::from(mark.sequence) - i64::from(before));
        before = mark.sequence;
    }
}

fn rows_from(from: &mut Decoder<'_>, negotiation: &mut Negotiation) -> Option<()> {
    let NegotiationRows { presented, received, outcome } = &mut negotiation.rows;
    let mut before = negotiation.sequence;
    for mark in [presented, received, outcome].into_iter().flatten() {
        before = u32::try_from(i64::from(before).checked_add(from.signed()?)?).ok()?;
        mark.sequence = before;
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<Text> {
    Text::from_utf8(bytes).ok()
}

fn endpoint(from: &mut Decoder<'_>, dictionaries: &Dictionaries<'_>) -> Option<Option<Text>> {
    let Some(number) = from.small()?.checked_sub(1) else { return Some(None) };
    let mut endpoint = text(dictionaries.hosts.text(number)?)?;
    if let Some(port) = from.small()?.checked_sub(1) {
        endpoint.push_str(&format!(":{port}"));
    }
    Some(Some(endpoint))
}

fn name(from: &mut Decoder<'_>, dictionaries: &Dictionaries<'_>) -> Option<Option<Text>> {
    match from.small()?.checked_sub(1) {
        Some(number) => Some(Some(text(dictionaries.names.text(number)?)?)),
        None => Some(None),
    }
}

fn reply(from: &mut Decoder<'_>, is_marked: bool, columns: Columns, dictionaries: &Dictionaries<'_>) -> Option<Reply> {
    let class = dictionaries.reply_class(from.small()?)?;
    let time = Timestamp(columns.started.0.checked_add(from.signed()?)?);
    let sequence = from.small()?;
    let row_hash = if is_marked { u64::from_le_bytes(from.array()?) } else { 0 };
    let mut reply_text = text(dictionaries.texts.text(from.small()?)?)?;
    let kind = from.byte()?;
    let peer = if kind == 0 { None } else { Some(peer(from, kind, columns, dictionaries)?) };
    if let Some(peer) = peer.as_ref().filter(|_| kind <= 2) {
        reply_text.push_str(&bracket(peer));
    }
    let to = match from.number()?.checked_sub(1) {
        Some(length) => Some(text(from.take(usize::try_from(length).ok()?)?)?),
        None => None,
    };
    let via = if class.via { Some(SessionId(columns.session.0.wrapping_add(from.signed()? as u64))) } else { None };
    Some(Reply {
        time,
        sequence,
        row_hash,
        row_place: None,
        side: class.side,
        code: class.code,
        status: class.status.map(Text::from),
        text: reply_text,
        attr: class.attr.map(Text::from),
        peer,
        thumbprint: class.thumbprint,
        to,
        presented: class.presented,
        received: class.received,
        presented_via: via,
    })
}

fn peer(from: &mut Decoder<'_>, kind: u8, columns: Columns, dictionaries: &Dictionaries<'_>) -> Option<Peer> {
    let host = text(dictionaries.names.text(from.small()?)?)?;
    if kind % 2 == 1 {
        return Some(Peer { host, time: None, session: None });
    }
    let time = Timestamp(columns.started.0.checked_add(from.signed()?)?);
    let session = SessionId(u64::from_le_bytes(from.array()?));
    Some(Peer { host, time: Some(time), session: Some(session) })
}

fn message(from: &mut Decoder<'_>, dictionaries: &Dictionaries<'_>) -> Option<Message> {
    let flags = from.byte()?;
    let outcome = match flags & 3 {
        0 => MessageOutcome::Accepted,
        1 => MessageOutcome::Refused,
        2 => MessageOutcome::Partial,
        _ => MessageOutcome::Unknown,
    };
    let sender = text(dictionaries.mailboxes.text(from.small()?)?)?;
    let count = from.number()?;
    let to = (0..count).map(|_| text(dictionaries.mailboxes.text(from.small()?)?)).collect::<Option<Vec<_>>>()?;
    let message_id = if flags & 4 != 0 { Some(text(from.text()?)?) } else { None };
    Some(Message { message_id, from: sender, to, outcome })
}

fn rest(from: &mut Decoder<'_>, session: &mut Session, dictionaries: &Dictionaries<'_>) -> Option<()> {
    for _ in 0..from.number()? {
        let flags = from.byte()?;
        let kind = match flags & 3 {
            0 => ProxyKind::Inbound,
            1 => ProxyKind::Outbound,
            _ => ProxyKind::Client,
        };
        let role = if flags & 4 == 0 { ProxyRole::Origin } else { ProxyRole::Relay };
        let id = SessionId(session.session.0.wrapping_add(from.signed()? as u64));
        session.proxy.push(ProxyLink { kind, role, session: id, from_sequence: from.small()? });
    }
    for _ in 0..from.number()? {
        session.errors.push(text(dictionaries.texts.text(from.small()?)?)?);
    }
    if let Some(length) = from.number()?.checked_sub(1) {
        let user = text(from.take(usize::try_from(length).ok()?)?)?;
        session.auth.as_mut()?.user = Some(user);
    }
    for _ in 0..from.number()? {
        let (file, identity) = dictionaries.source(from.small()?)?;
        let (offset, length) = (from.number()?, from.number()?);
        session.sources.push(SourceSpan { file, identity, offset, length });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_stands_beside_the_end_and_older_records_have_none() {
        for rebuilt in [None, Some(Confidence::Low), Some(Confidence::Medium)] {
            for ended in [ENDED_LAST, ENDED_NEVER, ENDED_ELSE] {
                let first_byte = ended | confidence_bits(rebuilt);
                assert_eq!((first_byte & ENDED_BITS, confidence(first_byte)), (ended, rebuilt));
            }
        }
        // The first bytes that records had before.
        assert_eq!([0, 1, 2].map(confidence), [None; 3]);
    }
}
