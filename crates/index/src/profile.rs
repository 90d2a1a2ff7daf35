//! Profiles and reply classes: the parts of a session that many sessions share.
//!
//! A fleet has a few hundred combinations of server, connector, TLS parameters and certificates, and as few of code,
//! status and certificate among its refusals. Each combination is kept once per split and numbered; a session has the
//! number of its profile and those of its [`ReplyClass`]es. A query on these fields is answered on the few
//! combinations first and becomes a handful of postings. The same-reply rule (CONTRACT 5) is exact there: a class
//! *is* the pairing of certificate, code and status.

use std::sync::Arc;

use smtplog::{
    Auth, AuthOutcome, Direction, Negotiation, NegotiationRows, NegotiationVerb, ReplySide, Role, RowMark, Session,
    SessionId, Stream, Text, Thumbprint, Timestamp, Tls, TlsOutcome,
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

/// Writes a negotiation without its sequence number and time, the parameters by their number in their own dictionary.
pub(crate) fn put_negotiation(out: &mut Vec<u8>, negotiation: &Negotiation, parameters: u32) {
    out.push(negotiation.verb as u8);
    put_number(out, parameters.into());
    for (thumbprint, row) in
        [(negotiation.presented, negotiation.rows.presented), (negotiation.received, negotiation.rows.received)]
    {
        put_thumbprint(out, thumbprint);
        put_row(out, row);
    }
}

/// Writes the parameters of a negotiation with the row that tells its outcome.
pub(crate) fn put_parameters(out: &mut Vec<u8>, negotiation: &Negotiation) {
    put_tls(out, &negotiation.tls);
    put_row(out, negotiation.rows.outcome);
}

fn put_row(out: &mut Vec<u8>, row: Option<RowMark>) {
    out.push(u8::from(row.is_some()));
    if let Some(row) = row {
        out.extend_from_slice(&row.hash.to_le_bytes());
    }
}

/// The negotiations of a split.
#[derive(Clone, Copy)]
pub(crate) struct Negotiations<'a> {
    pub(crate) entries: Dictionary<'a>,
    /// Their parameters. A split of before layout 5 has them in the entries.
    pub(crate) parameters: Option<Dictionary<'a>>,
}

/// What is read of a negotiation first, and where the rest begins.
struct Entry<'a> {
    verb: u8,
    parameters: Decoder<'a>,
    /// Where the certificates begin; in a split of before layout 5 only once the parameters are read.
    certificates: Option<Decoder<'a>>,
}

impl<'a> Negotiations<'a> {
    /// A negotiation. Its time and all sequence numbers are the record's to say.
    pub(crate) fn get(&self, number: u32) -> Option<Negotiation> {
        let Entry { verb, parameters: mut from, certificates } = self.entry(number)?;
        let verb = match verb {
            0 => NegotiationVerb::StartTls,
            1 => NegotiationVerb::AnonymousTls,
            _ => NegotiationVerb::Unknown,
        };
        let tls = tls(&mut from)?;
        let mut rows = NegotiationRows::default();
        let Some(mut rest) = certificates else {
            let (presented, received) = (thumbprint(&mut from)?, thumbprint(&mut from)?);
            return Some(Negotiation { sequence: 0, time: Timestamp(0), verb, tls, presented, received, rows });
        };
        rows.outcome = row(&mut from)?;
        let presented = thumbprint(&mut rest)?;
        rows.presented = row(&mut rest)?;
        let received = thumbprint(&mut rest)?;
        rows.received = row(&mut rest)?;
        Some(Negotiation { sequence: 0, time: Timestamp(0), verb, tls, presented, received, rows })
    }

    fn entry(&self, number: u32) -> Option<Entry<'a>> {
        let mut from = Decoder::new(self.entries.text(number)?);
        let verb = from.byte()?;
        let Some(parameters) = &self.parameters else {
            return Some(Entry { verb, parameters: from, certificates: None });
        };
        let parameters = Decoder::new(parameters.text(from.small()?)?);
        Some(Entry { verb, parameters, certificates: Some(from) })
    }

    /// The certificate presented.
    fn presented(&self, number: u32) -> Option<Option<Thumbprint>> {
        let Entry { parameters: mut from, certificates, .. } = self.entry(number)?;
        if let Some(mut certificates) = certificates {
            return thumbprint(&mut certificates);
        }
        from.byte()?; // The outcome.
        for _ in 0..TLS_TEXTS {
            optional(&mut from)?;
        }
        from.number()?; // The cipher's bits.
        thumbprint(&mut from)
    }

    /// Why TLS failed.
    fn tls_error(&self, number: u32) -> Option<Option<&'a [u8]>> {
        let mut from = self.entry(number)?.parameters;
        from.byte()?; // The outcome.
        for _ in 0..TLS_TEXTS_BEFORE_ERROR {
            optional(&mut from)?;
        }
        optional(&mut from)
    }
}

fn row(from: &mut Decoder<'_>) -> Option<Option<RowMark>> {
    if from.byte()? == 0 {
        return Some(None);
    }
    Some(Some(RowMark { sequence: 0, hash: u64::from_le_bytes(from.array()?), place: None }))
}

/// Reads what [`put_profile`] wrote: a session that has nothing but what its profile says. Negotiations come from their
/// dictionary.
pub(crate) fn profile(bytes: &[u8], negotiations: Negotiations<'_>) -> Option<Session> {
    let from = &mut Decoder::new(bytes);
    let server = std::str::from_utf8(from.text()?).ok()?.into();
    let role = *Role::ALL.get(usize::from(from.byte()?))?;
    let direction = *Direction::ALL.get(usize::from(from.byte()?))?;
    let connector = text(from)?;
    let complete = from.byte()? != 0;
    let count = from.number()?;
    let known = |from: &mut Decoder<'_>| negotiations.get(from.small()?);
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
    pub(crate) fn of(bytes: &[u8], negotiations: Negotiations<'_>) -> Option<Glance> {
        let from = &mut Decoder::new(bytes);
        let (server, role, direction) = (from.text()?, from.byte()?, from.byte()?);
        from.text()?; // The connector.
        from.byte()?; // Whether the session is complete.
        let mut last = None;
        for _ in 0..from.number()? {
            last = Some(from.small()?);
        }
        let presented = match last {
            Some(last) => negotiations.presented(last)?,
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
    negotiations: Negotiations<'a>,
    mut each: impl FnMut(&'a [u8]),
) -> Option<()> {
    let from = &mut Decoder::new(bytes);
    from.text()?; // The server.
    from.take(2)?; // Role and direction.
    each(from.text()?);
    from.byte()?; // Whether the session is complete.
    for _ in 0..from.number()? {
        negotiations.tls_error(from.small()?)?.into_iter().for_each(&mut each);
    }
    if from.byte()? != 0 {
        from.byte()?; // The outcome of AUTH.
        optional(from)?; // The mechanism.
        optional(from)?.into_iter().for_each(each);
    }
    Some(())
}

fn optional<'a>(from: &mut Decoder<'a>) -> Option<Option<&'a [u8]>> {
    if from.byte()? == 0 { Some(None) } else { from.text().map(Some) }
}

/// Optional texts that [`put_tls`] writes before the error: version, cipher, MAC and key exchange.
const TLS_TEXTS_BEFORE_ERROR: usize = 4;

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
            time: Timestamp(1),
            rows: NegotiationRows::default(),
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
            let (mut known, mut parameters) = (DictionaryBuilder::default(), DictionaryBuilder::default());
            let mut scratch = Vec::new();
            let mut numbers = Vec::new();
            for one in &session.negotiations {
                scratch.clear();
                put_parameters(&mut scratch, one);
                let number = parameters.number(&scratch);
                scratch.clear();
                put_negotiation(&mut scratch, one, number);
                numbers.push(known.number(&scratch));
            }
            scratch.clear();
            put_profile(&mut scratch, &session, &numbers);
            let (encoded, parameters) = (known.encode(), parameters.encode());
            let known = Negotiations {
                entries: Dictionary::open(&encoded).unwrap(),
                parameters: Some(Dictionary::open(&parameters).unwrap()),
            };
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

    #[test]
    fn negotiations_of_before_layout_5_are_read() {
        let tls = Tls { error: Some("UntrustedRoot".into()), cipher_bits: Some(256), ..Tls::default() };
        let shown = (Some(Thumbprint([1; 20])), None);
        let mut bytes = vec![NegotiationVerb::AnonymousTls as u8];
        put_tls(&mut bytes, &tls);
        put_thumbprint(&mut bytes, shown.0);
        put_thumbprint(&mut bytes, shown.1);
        let mut entries = DictionaryBuilder::default();
        entries.number(&bytes);
        let encoded = entries.encode();
        let known = Negotiations { entries: Dictionary::open(&encoded).unwrap(), parameters: None };
        let negotiation = known.get(0).unwrap();
        assert_eq!((negotiation.verb, negotiation.tls), (NegotiationVerb::AnonymousTls, tls));
        assert_eq!((negotiation.presented, negotiation.received), shown);
        assert_eq!(negotiation.rows, NegotiationRows::default());
        assert_eq!(known.presented(0), Some(shown.0));
        assert_eq!(known.tls_error(0), Some(Some(&b"UntrustedRoot"[..])));
    }
}
