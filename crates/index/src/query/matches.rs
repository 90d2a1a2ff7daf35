//! What a query means for one session: the obvious, slow twin of the index.
//!
//! An expression is written out as alternatives of terms joined by AND. An alternative holds
//! * with a term on code, status, attr or text in it: if one reply, inside the window, has all of these, and the
//!   certificates that the alternative names are those beside that reply;
//! * without one: if the session has each; a certificate in any of its negotiations, or named in a reply.
//!
//! Everything else, NOT included, is decided by session. So `presented:A status:5.7.64` asks for the reply that A
//! got, `(presented:A OR presented:B) status:5.7.64` the same for either, and `-status:5.7.64` for sessions without
//! such a reply. Writing the alternatives out would take exponential time; what is computed for a reply below is
//! whether an alternative holds that has, or has not yet, a term on replies.

use smtplog::{Direction, Reply, Session, SessionId, Text, Thumbprint, Timestamp, TlsOutcome};

use super::{
    Endpoint, Expr, Field, Matcher, Query, Term, address_of_endpoint, connector_names, fold, message_id_key,
    moment::Window, split_endpoint,
};

/// Finds the certificate behind a proxy (CONTRACT 3).
pub trait Via {
    /// The certificate that the front end's session presented: the partner of `session` by [`Reply::presented_via`].
    fn presented(&self, session: &Session, link: SessionId) -> Option<Thumbprint>;
}

/// No other session is known.
#[derive(Clone, Copy, Debug)]
pub struct NoVia;

impl Via for NoVia {
    fn presented(&self, _: &Session, _: SessionId) -> Option<Thumbprint> {
        None
    }
}

impl Query {
    /// Whether the session is an answer. Terms on names of certificates hold for none before [`Query::resolve`].
    pub fn matches(&self, session: &Session) -> bool {
        self.matches_via(session, &NoVia)
    }

    /// The same with certificates behind a proxy.
    pub fn matches_via(&self, session: &Session, via: &dyn Via) -> bool {
        let candidate = Candidate { session, window: self.window, via };
        self.window.overlaps(session) && candidate.holds(&candidate.settle(&self.expr))
    }

    /// Indexes of the replies that satisfy the reply terms; empty if there are none or the session is an answer for
    /// another reason.
    pub fn matching_replies(&self, session: &Session) -> Vec<usize> {
        self.matching_replies_via(session, &NoVia)
    }

    /// The same with certificates behind a proxy.
    pub fn matching_replies_via(&self, session: &Session, via: &dyn Via) -> Vec<usize> {
        let candidate = Candidate { session, window: self.window, via };
        if !self.window.overlaps(session) {
            return Vec::new();
        }
        let expr = candidate.settle(&self.expr);
        let replies = session.replies.iter().enumerate();
        replies.filter(|(_, reply)| candidate.answers(&expr, reply)).map(|(at, _)| at).collect()
    }
}

/// The texts that bare words search: refusals, failures, HELO name and connector. Names of certificates are resolved.
pub fn full_texts(session: &Session) -> impl Iterator<Item = &str> {
    let replies = session.replies.iter().map(|reply| reply.text.as_str());
    replies.chain(error_texts(session)).chain(session.helo.as_deref()).chain([session.connector.as_str()])
}

/// The texts that `error` searches: failed TLS of any negotiation, failures that are no replies, failed AUTH.
pub fn error_texts(session: &Session) -> impl Iterator<Item = &str> {
    let negotiations = session.negotiations.iter().filter_map(|negotiation| negotiation.tls.error.as_deref());
    let last = session.tls.error.as_deref().filter(|_| session.negotiations.is_empty());
    let auth = session.auth.iter().filter_map(|auth| auth.error.as_deref());
    negotiations.chain(last).chain(session.errors.iter().map(Text::as_str)).chain(auth)
}

/// An expression for one session, in which everything is decided that does not depend on the reply. Each NOT is
/// decided once: asked again for every reply, nested ones would take exponential time.
enum Settled<'q> {
    Known(bool),
    Certificate(&'q Term),
    Reply(&'q Term),
    And(Vec<Settled<'q>>),
    Or(Vec<Settled<'q>>),
}

/// Whether an alternative holds for one reply.
#[derive(Clone, Copy)]
struct AtReply {
    /// One without a term on replies.
    without: bool,
    /// One with such a term.
    with: bool,
}

/// A session that may be an answer.
struct Candidate<'s> {
    session: &'s Session,
    window: Window,
    via: &'s dyn Via,
}

impl<'s> Candidate<'s> {
    fn settle<'q>(&self, expr: &'q Expr) -> Settled<'q> {
        let settle_all = |parts: &'q [Expr]| parts.iter().map(|part| self.settle(part)).collect();
        match expr {
            Expr::All => Settled::Known(true),
            Expr::Words(words) => {
                let in_text = full_texts(self.session).any(|text| words.phrase.is_in(text));
                let meanings = words.meanings.iter().map(|meaning| self.settle(meaning));
                Settled::Or([Settled::Known(in_text)].into_iter().chain(meanings).collect())
            }
            Expr::Term(term) if term.field.is_of_reply() => Settled::Reply(term),
            Expr::Term(term) if term.field.is_certificate() => Settled::Certificate(term),
            Expr::Term(term) => Settled::Known(has(self.session, term)),
            Expr::Not(expr) => Settled::Known(!self.holds(&self.settle(expr))),
            Expr::And(parts) => Settled::And(settle_all(parts)),
            Expr::Or(parts) => Settled::Or(settle_all(parts)),
        }
    }

    fn holds(&self, expr: &Settled<'_>) -> bool {
        self.holds_by_session(expr) || self.session.replies.iter().any(|reply| self.answers(expr, reply))
    }

    /// Whether an alternative without a term on replies holds.
    fn holds_by_session(&self, expr: &Settled<'_>) -> bool {
        match expr {
            Settled::Known(holds) => *holds,
            Settled::Certificate(term) => has_certificate(self.session, term),
            Settled::Reply(_) => false,
            Settled::And(parts) => parts.iter().all(|part| self.holds_by_session(part)),
            Settled::Or(parts) => parts.iter().any(|part| self.holds_by_session(part)),
        }
    }

    /// Whether an alternative with a term on replies holds for this one.
    fn answers(&self, expr: &Settled<'_>, reply: &Reply) -> bool {
        self.window.contains(reply.time) && self.at_reply(expr, reply).with
    }

    fn at_reply(&self, expr: &Settled<'_>, reply: &Reply) -> AtReply {
        let each =
            |parts: &[Settled<'_>]| -> Vec<AtReply> { parts.iter().map(|part| self.at_reply(part, reply)).collect() };
        match expr {
            Settled::Known(holds) => AtReply { without: *holds, with: false },
            Settled::Certificate(term) => AtReply { without: self.has_certificate_at(term, reply), with: false },
            Settled::Reply(term) => AtReply { without: false, with: reply_has(reply, term) },
            Settled::And(parts) => {
                let parts = each(parts);
                let all_hold = parts.iter().all(|part| part.without || part.with);
                AtReply {
                    without: parts.iter().all(|part| part.without),
                    with: all_hold && parts.iter().any(|part| part.with),
                }
            }
            Settled::Or(parts) => {
                let parts = each(parts);
                AtReply { without: parts.iter().any(|part| part.without), with: parts.iter().any(|part| part.with) }
            }
        }
    }

    fn has_certificate_at(&self, term: &Term, reply: &Reply) -> bool {
        let via = || reply.presented_via.and_then(|link| self.via.presented(self.session, link));
        let presented = || is_thumbprint(&term.matcher, reply.presented.or_else(via));
        let received = || is_thumbprint(&term.matcher, reply.received);
        match side(term.field, self.session.stream.direction) {
            Side::Presented => presented(),
            Side::Received => received(),
            Side::Any => presented() || received() || is_thumbprint(&term.matcher, reply.thumbprint),
        }
    }
}

/// Which certificate of a negotiation a field means.
enum Side {
    Presented,
    Received,
    Any,
}

/// The client is who sends: in `send` the logging server, which presents its own certificate.
fn side(field: Field, direction: Direction) -> Side {
    match (field, direction) {
        (Field::Presented, _) | (Field::ClientCert, Direction::Send) | (Field::ServerCert, Direction::Receive) => {
            Side::Presented
        }
        (Field::Received, _) | (Field::ClientCert, Direction::Receive) | (Field::ServerCert, Direction::Send) => {
            Side::Received
        }
        _ => Side::Any,
    }
}

fn has_certificate(session: &Session, term: &Term) -> bool {
    let presented = || session.negotiations.iter().any(|one| is_thumbprint(&term.matcher, one.presented));
    let received = || session.negotiations.iter().any(|one| is_thumbprint(&term.matcher, one.received));
    let named = || session.replies.iter().any(|reply| is_thumbprint(&term.matcher, reply.thumbprint));
    match side(term.field, session.stream.direction) {
        Side::Presented => presented(),
        Side::Received => received(),
        Side::Any => presented() || received() || named(),
    }
}

fn is_thumbprint(matcher: &Matcher, thumbprint: Option<Thumbprint>) -> bool {
    let Some(thumbprint) = thumbprint else {
        return false;
    };
    match matcher {
        Matcher::Present => true,
        Matcher::Thumbprint(wanted) => thumbprint == *wanted,
        Matcher::ThumbprintPrefix(digits) => thumbprint.to_string().starts_with(digits.as_str()),
        Matcher::Thumbprints(wanted) => wanted.contains(&thumbprint),
        _ => false,
    }
}

fn reply_has(reply: &Reply, term: &Term) -> bool {
    match term.field {
        Field::Code => is_code(&term.matcher, reply.code),
        Field::Status => is_text(&term.matcher, reply.status.as_deref()),
        Field::Attr => is_text(&term.matcher, reply.attr.as_deref()),
        Field::Text => is_phrase(&term.matcher, &reply.text),
        _ => false,
    }
}

/// A term that is neither on a reply nor on a certificate.
fn has(session: &Session, term: &Term) -> bool {
    let matcher = &term.matcher;
    match term.field {
        Field::Id => is_text(matcher, Some(&session.id())),
        Field::Session => is_session(matcher, session.session),
        Field::Server => is_text(matcher, Some(&session.stream.server)),
        Field::Role => is_text(matcher, Some(session.stream.role.as_str())),
        Field::Direction => is_text(matcher, Some(session.stream.direction.as_str())),
        Field::Connector => connector_names(&session.connector).any(|name| is_text(matcher, Some(name))),
        Field::PeerSession => peer_sessions(session).any(|id| is_session(matcher, id)),
        Field::ProxySession => proxy_sessions(session).any(|id| is_session(matcher, id)),
        Field::Helo => is_text(matcher, session.helo.as_deref()),
        Field::Remote => {
            is_endpoint(matcher, session.remote.as_deref()) || is_name(matcher, session.remote_name.as_deref())
        }
        Field::Local => is_endpoint(matcher, session.local.as_deref()),
        Field::EgressIp => is_endpoint(matcher, session.egress_ip.as_deref()),
        Field::From => session.messages.iter().any(|message| is_mailbox(matcher, &message.from)),
        Field::To => recipients(session).any(|to| is_mailbox(matcher, to)),
        Field::MessageId => message_ids(session).any(|id| is_text(matcher, Some(&message_id_key(id)))),
        Field::Tls => is_outcome(matcher, session),
        Field::TlsVersion => is_text(matcher, session.tls.version.as_deref()),
        Field::Cipher => is_text(matcher, session.tls.cipher.as_deref()),
        Field::Error => error_texts(session).any(|text| is_phrase(matcher, text)),
        Field::Complete => matches!(matcher, Matcher::Present) || *matcher == Matcher::Flag(session.complete),
        Field::Started => is_time(matcher, Some(session.started)),
        Field::Ended => is_time(matcher, session.ended),
        // The first four wait for `resolve`; the others are decided with the reply.
        Field::Subject | Field::Issuer | Field::Serial | Field::San => false,
        Field::Presented | Field::Received | Field::Thumbprint | Field::ClientCert | Field::ServerCert => false,
        Field::Code | Field::Status | Field::Attr | Field::Text => false,
    }
}

fn peer_sessions(session: &Session) -> impl Iterator<Item = SessionId> {
    session.replies.iter().filter_map(|reply| reply.peer.as_ref()?.session)
}

fn proxy_sessions(session: &Session) -> impl Iterator<Item = SessionId> {
    let links = session.proxy.iter().map(|link| link.session);
    links.chain(session.replies.iter().filter_map(|reply| reply.presented_via))
}

fn recipients(session: &Session) -> impl Iterator<Item = &str> {
    session.messages.iter().flat_map(|message| &message.to).map(Text::as_str)
}

fn message_ids(session: &Session) -> impl Iterator<Item = &str> {
    session.messages.iter().filter_map(|message| message.message_id.as_deref())
}

fn is_text(matcher: &Matcher, text: Option<&str>) -> bool {
    let Some(text) = text else {
        return false;
    };
    match matcher {
        Matcher::Present => !text.is_empty(),
        Matcher::Exact(wanted) => fold(text) == *wanted,
        Matcher::Prefix(beginning) => fold(text).starts_with(beginning.as_str()),
        _ => false,
    }
}

fn is_phrase(matcher: &Matcher, text: &str) -> bool {
    match matcher {
        Matcher::Present => !text.is_empty(),
        Matcher::Phrase(phrase) => phrase.is_in(text),
        _ => false,
    }
}

fn is_code(matcher: &Matcher, code: u16) -> bool {
    match matcher {
        Matcher::Present => true,
        Matcher::Codes(codes) => codes.contains(&code),
        _ => false,
    }
}

fn is_session(matcher: &Matcher, id: SessionId) -> bool {
    match matcher {
        Matcher::Present => true,
        Matcher::Sessions(ids) => ids.contains(&id),
        _ => false,
    }
}

fn is_time(matcher: &Matcher, time: Option<Timestamp>) -> bool {
    match (matcher, time) {
        (Matcher::Present, Some(_)) => true,
        (Matcher::Times(times), Some(time)) => times.contains(&time),
        _ => false,
    }
}

fn is_outcome(matcher: &Matcher, session: &Session) -> bool {
    match matcher {
        Matcher::Present => session.tls.outcome != TlsOutcome::None,
        Matcher::Outcome(outcome) => session.tls.outcome == *outcome,
        _ => false,
    }
}

/// The name of the other side, which `remote` finds as well; whether it is there is asked of the endpoint.
fn is_name(matcher: &Matcher, name: Option<&str>) -> bool {
    *matcher != Matcher::Present && is_text(matcher, name)
}

/// By address where the endpoint has one, and as text with or without the port.
fn is_endpoint(matcher: &Matcher, endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else {
        return false;
    };
    match matcher {
        Matcher::Network(network) => address_of_endpoint(endpoint).is_some_and(|address| network.contains(address)),
        Matcher::Endpoint(wanted) => Endpoint::parse(endpoint) == Some(*wanted),
        _ => is_text(matcher, Some(endpoint)) || is_text(matcher, Some(split_endpoint(endpoint).0)),
    }
}

/// An address without case; its domain is what follows the last `@`.
fn is_mailbox(matcher: &Matcher, address: &str) -> bool {
    match matcher {
        Matcher::Domain(wanted) => address.rsplit_once('@').is_some_and(|(_, domain)| fold(domain) == *wanted),
        _ => is_text(matcher, Some(address)),
    }
}
