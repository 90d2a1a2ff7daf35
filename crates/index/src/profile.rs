//! Profiles and reply classes: the parts of a session that many sessions share.
//!
//! A fleet has a few hundred combinations of server, connector, TLS parameters and certificates, and as few of code,
//! status and certificate among its refusals. Each combination is kept once per split and numbered; a session has the
//! number of its profile and those of its [`ReplyClass`]es. A query on these fields is answered on the few
//! combinations first and becomes a handful of postings. The same-reply rule (CONTRACT 5) is exact there: a class
//! *is* the pairing of certificate, code and status.

use std::sync::Arc;

use smtplog::{
    Auth, AuthOutcome, Direction, Negotiation, NegotiationVerb, ReplySide, Role, Session, SessionId, Stream, Text,
    Thumbprint, Timestamp, Tls, TlsOutcome,
};

use crate::{
    codec::{Decoder, put_number, put_text},
    dictionary::Dictionary,
    query::Link,
};

/// What refusals share: who gave it, code, status, attribution, and the certificates of their negotiation.
///
/// Its texts are borrowed: a query looks at each of a split's thousands of classes, and most only once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReplyClass<'a> {
    pub(crate) side: ReplySide,
    pub(crate) code: u16,
    pub(crate) status: Option<&'a str>,
    pub(crate) attr: Option<&'a str>,
    pub(crate) presented: Option<Thumbprint>,
    pub(crate) received: Option<Thumbprint>,
    pub(crate) thumbprint: Option<Thumbprint>,
    /// Whether the certificate has to be looked up at the front end's session.
    pub(crate) via: bool,
}

/// Writes the profile of a session, whose negotiations have these numbers in their own dictionary.
pub(crate) fn put_profile(out: &mut Vec<u8>, session: &Session, negotiations: &[u32]) {
    put_text(out, session.stream.server.as_bytes());
    out.push(session.stream.role as u8);
    out.push(session.stream.direction as u8);
    put_text(out, session.connector.as_bytes());
    out.push(u8::from(session.complete));
    put_number(out, negotiations.len() as u64);
    negotiations.iter().for_each(|&number| put_number(out, number.into()));
    out.push(u8::from(session.auth.is_some()));
    if let Some(auth) = &session.auth {
        out.push(u8::from(auth.outcome == AuthOutcome::Ok));
        put_option(out, auth.mechanism.as_deref());
        put_option(out, auth.error.as_deref());
    }
}

/// Writes a negotiation without its sequence number.
pub(crate) fn put_negotiation(out: &mut Vec<u8>, negotiation: &Negotiation) {
    out.push(negotiation.verb as u8);
    put_tls(out, &negotiation.tls);
    put_thumbprint(out, negotiation.presented);
    put_thumbprint(out, negotiation.received);
}

/// Reads what [`put_profile`] wrote: a session that has nothing but what its profile says. Negotiations come from their
/// dictionary.
pub(crate) fn profile(bytes: &[u8], negotiations: Dictionary<'_>) -> Option<Session> {
    let from = &mut Decoder::new(bytes);
    let server = std::str::from_utf8(from.text()?).ok()?.into();
    let role = *Role::ALL.get(usize::from(from.byte()?))?;
    let direction = *Direction::ALL.get(usize::from(from.byte()?))?;
    let connector = text(from)?;
    let complete = from.byte()? != 0;
    let count = from.number()?;
    let known = |from: &mut Decoder<'_>| negotiation(negotiations.text(from.small()?)?);
    let negotiations = (0..count).map(|_| known(from)).collect::<Option<Vec<_>>>()?;
    let auth = if from.byte()? == 0 { None } else { Some(auth(from)?) };
    Some(Session {
        connector,
        complete,
        tls: negotiations.last().map(|last| last.tls.clone()).unwrap_or_default(),
        negotiations,
        auth,
        ..empty(Arc::new(Stream { server, role, direction }))
    })
}

/// What of a profile tells whether its sessions can be partners behind a proxy: read for thousands of sessions, it costs
/// a twentieth of the whole profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    /// What stands for the stream (see [`Link`]).
    pub(crate) stream: u64,
    pub(crate) direction: Direction,
    /// The certificate presented in the last negotiation.
    pub(crate) presented: Option<Thumbprint>,
}

impl Glance {
    /// Reads part of what [`put_profile`] wrote.
    pub(crate) fn of(bytes: &[u8], negotiations: Dictionary<'_>) -> Option<Glance> {
        let from = &mut Decoder::new(bytes);
        let (server, role, direction) = (from.text()?, from.byte()?, from.byte()?);
        from.text()?; // The connector.
        from.byte()?; // Whether the session is complete.
        let mut last = None;
        for _ in 0..from.number()? {
            last = Some(from.small()?);
        }
        let presented = match last {
            Some(last) => presented(negotiations.text(last)?)?,
            None => None,
        };
        let stream = Link::stream_of(server, role, direction);
        Some(Glance { stream, direction: *Direction::ALL.get(usize::from(direction))?, presented })
    }
}

/// Calls `each` with the texts of a profile that are searched by their words, without reading the rest: the connector,
/// and why TLS and AUTH failed. `None` if it is damaged.
pub(crate) fn each_text<'a>(
    bytes: &'a [u8],
    negotiations: Dictionary<'a>,
    mut each: impl FnMut(&'a [u8]),
) -> Option<()> {
    let from = &mut Decoder::new(bytes);
    from.text()?; // The server.
    from.take(2)?; // Role and direction.
    each(from.text()?);
    from.byte()?; // Whether the session is complete.
    for _ in 0..from.number()? {
        tls_error(negotiations.text(from.small()?)?)?.into_iter().for_each(&mut each);
    }
    if from.byte()? != 0 {
        from.byte()?; // The outcome of AUTH.
        optional(from)?; // The mechanism.
        optional(from)?.into_iter().for_each(each);
    }
    Some(())
}

/// Why TLS failed in what [`put_negotiation`] wrote.
fn tls_error(bytes: &[u8]) -> Option<Option<&[u8]>> {
    let from = &mut Decoder::new(bytes);
    from.take(2)?; // Verb and outcome.
    for _ in 0..TLS_TEXTS_BEFORE_ERROR {
        optional(from)?;
    }
    optional(from)
}

fn optional<'a>(from: &mut Decoder<'a>) -> Option<Option<&'a [u8]>> {
    if from.byte()? == 0 { Some(None) } else { from.text().map(Some) }
}

/// Optional texts that [`put_tls`] writes before the error: version, cipher, MAC and key exchange.
const TLS_TEXTS_BEFORE_ERROR: usize = 4;

/// The certificate presented in what [`put_negotiation`] wrote.
fn presented(bytes: &[u8]) -> Option<Option<Thumbprint>> {
    let from = &mut Decoder::new(bytes);
    from.byte()?; // The verb.
    from.byte()?; // The outcome.
    for _ in 0..TLS_TEXTS {
        optional(from)?;
    }
    from.number()?; // The cipher's bits.
    thumbprint(from)
}

/// Optional texts that [`put_tls`] writes.
const TLS_TEXTS: usize = 8;

/// A session of which only the stream is known.
fn empty(stream: Arc<Stream>) -> Session {
    Session {
        stream,
        session: SessionId(0),
        repeated: false,
        connector: Text::default(),
        started: Timestamp(0),
        ended: None,
        last: Timestamp(0),
        complete: false,
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
        repeated_sequences: 0,
        sources: Vec::new(),
        rows_hash: 0,
        rebuilt: None,
    }
}

/// Reads what [`put_negotiation`] wrote; its sequence number is the record's to say.
pub(crate) fn negotiation(bytes: &[u8]) -> Option<Negotiation> {
    let from = &mut Decoder::new(bytes);
    let verb = match from.byte()? {
        0 => NegotiationVerb::StartTls,
        1 => NegotiationVerb::AnonymousTls,
        _ => NegotiationVerb::Unknown,
    };
    let (tls, presented, received) = (tls(from)?, thumbprint(from)?, thumbprint(from)?);
    Some(Negotiation { sequence: 0, verb, tls, presented, received })
}

fn auth(from: &mut Decoder<'_>) -> Option<Auth> {
    let outcome = if from.byte()? != 0 { AuthOutcome::Ok } else { AuthOutcome::Failed };
    Some(Auth { outcome, mechanism: option(from)?, user: None, error: option(from)? })
}

fn put_tls(out: &mut Vec<u8>, tls: &Tls) {
    out.push(tls.outcome as u8);
    for value in [&tls.version, &tls.cipher, &tls.mac, &tls.key_exchange, &tls.error, &tls.chain_status] {
        put_option(out, value.as_deref());
    }
    put_option(out, tls.domain_capabilities.as_deref());
    put_option(out, tls.domain_status.as_deref());
    put_number(out, tls.cipher_bits.map_or(0, |bits| u64::from(bits) + 1));
}

fn tls(from: &mut Decoder<'_>) -> Option<Tls> {
    let outcome = match from.byte()? {
        0 => TlsOutcome::Ok,
        1 => TlsOutcome::Failed,
        _ => TlsOutcome::None,
    };
    Some(Tls {
        outcome,
        version: option(from)?,
        cipher: option(from)?,
        mac: option(from)?,
        key_exchange: option(from)?,
        error: option(from)?,
        chain_status: option(from)?,
        domain_capabilities: option(from)?,
        domain_status: option(from)?,
        cipher_bits: from.number()?.checked_sub(1).and_then(|bits| u32::try_from(bits).ok()),
    })
}

/// Writes the class of a reply.
pub(crate) fn put_reply_class(out: &mut Vec<u8>, reply: &smtplog::Reply) {
    out.push(u8::from(reply.side == ReplySide::Local) | u8::from(reply.presented_via.is_some()) << 1);
    put_number(out, u64::from(reply.code));
    put_option(out, reply.status.as_deref());
    put_option(out, reply.attr.as_deref());
    put_thumbprint(out, reply.presented);
    put_thumbprint(out, reply.received);
    put_thumbprint(out, reply.thumbprint);
}

impl<'a> ReplyClass<'a> {
    /// Reads what [`put_reply_class`] wrote.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<ReplyClass<'a>> {
        let from = &mut Decoder::new(bytes);
        let flags = from.byte()?;
        Some(ReplyClass {
            side: if flags & 1 != 0 { ReplySide::Local } else { ReplySide::Remote },
            via: flags & 2 != 0,
            code: u16::try_from(from.number()?).ok()?,
            status: borrowed(from)?,
            attr: borrowed(from)?,
            presented: thumbprint(from)?,
            received: thumbprint(from)?,
            thumbprint: thumbprint(from)?,
        })
    }
}

fn put_thumbprint(out: &mut Vec<u8>, thumbprint: Option<Thumbprint>) {
    out.push(u8::from(thumbprint.is_some()));
    if let Some(thumbprint) = thumbprint {
        out.extend_from_slice(&thumbprint.0);
    }
}

fn thumbprint(from: &mut Decoder<'_>) -> Option<Option<Thumbprint>> {
    if from.byte()? == 0 { Some(None) } else { Some(Some(Thumbprint(from.array()?))) }
}

fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text.as_bytes());
    }
}

fn option(from: &mut Decoder<'_>) -> Option<Option<Text>> {
    if from.byte()? == 0 { Some(None) } else { Some(Some(text(from)?)) }
}

fn borrowed<'a>(from: &mut Decoder<'a>) -> Option<Option<&'a str>> {
    match optional(from)? {
        Some(text) => std::str::from_utf8(text).ok().map(Some),
        None => Some(None),
    }
}

fn text(from: &mut Decoder<'_>) -> Option<Text> {
    Text::from_utf8(from.text()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::DictionaryBuilder;

    #[test]
    fn a_glance_sees_what_the_profile_says() {
        let tls =
            Tls { version: Some("1.2".into()), cipher_bits: Some(256), error: Some("x".into()), ..Tls::default() };
        let negotiation = |presented| Negotiation {
            sequence: 7,
            verb: NegotiationVerb::StartTls,
            tls: tls.clone(),
            presented,
            received: Some(Thumbprint([2; 20])),
        };
        let stream = Arc::new(Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Receive });
        for shown in [vec![], vec![None], vec![None, Some(Thumbprint([1; 20]))], vec![Some(Thumbprint([1; 20])), None]]
        {
            let negotiations = shown.into_iter().map(negotiation).collect();
            let error = Some("LogonDenied".into());
            let auth = Some(Auth { outcome: AuthOutcome::Failed, mechanism: Some("LOGIN".into()), user: None, error });
            let session = Session { connector: "Default".into(), negotiations, auth, ..empty(Arc::clone(&stream)) };
            let mut known = DictionaryBuilder::default();
            let mut scratch = Vec::new();
            let numbers: Vec<u32> = session
                .negotiations
                .iter()
                .map(|one| {
                    scratch.clear();
                    put_negotiation(&mut scratch, one);
                    known.number(&scratch)
                })
                .collect();
            scratch.clear();
            put_profile(&mut scratch, &session, &numbers);
            let encoded = known.encode();
            let known = Dictionary::open(&encoded).unwrap();
            let whole = profile(&scratch, known).unwrap();
            let glance = Glance::of(&scratch, known).unwrap();
            assert_eq!(whole.presented(), session.presented());
            assert_eq!(glance.presented, session.presented());
            let mut texts = Vec::new();
            each_text(&scratch, known, |text| texts.push(text)).unwrap();
            let errors = session.negotiations.iter().map(|_| &b"x"[..]);
            assert_eq!(
                texts,
                [&b"Default"[..]].into_iter().chain(errors).chain([&b"LogonDenied"[..]]).collect::<Vec<_>>()
            );
            assert_eq!((glance.stream, glance.direction), (Link::stream(&stream), Direction::Receive));
        }
    }
}
