//! What a query means for one session: the obvious, slow twin of the index.
//!
//! An expression is written out as alternatives of terms joined by AND. An alternative holds
//! * with a term on code, status, attr or text in it: if one reply, inside the window, has all of these, and the
//!   certificates that the alternative names are those beside that reply;
//! * without one: if the session has each; a certificate in any of its negotiations, or named in a reply.
//!
//! Everything else, NOT included, is decided by session; two NOTs are none. So `presented:A status:5.7.64` asks for the reply that A
//! got, `(presented:A OR presented:B) status:5.7.64` the same for either, and `-status:5.7.64` for sessions without
//! such a reply. Writing the alternatives out would take exponential time; what is computed for a reply below is
//! whether an alternative holds that has, or has not yet, a term on replies.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;
use smtplog::{Direction, Reply, Session, SessionId, Stream, Text, Thumbprint, Timestamp, TlsOutcome};

use super::{
    Endpoint, Expr, Field, Matcher, Query, Term, address_of_endpoint, connector_names, fold, message_id_key,
    moment::Window, split_endpoint,
};

/// A session whose replies have their certificate in another one.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// Its stream, by its hash; the partner's is another.
    pub stream: u64,
    /// Its id.
    pub session: SessionId,
    /// Its first row; the partner's time overlaps.
    pub started: Timestamp,
    /// Its last row.
    pub last: Timestamp,
}

impl Asking {
    /// A whole session as the one that asks.
    pub fn of(session: &Session) -> Asking {
        let stream = Link::stream(&session.stream);
        Asking { stream, session: session.session, started: session.started, last: session.last }
    }

    /// What it asks for.
    pub fn link(&self, session: SessionId) -> Link {
        Link { started: self.started, last: self.last, session, stream: self.stream, is_own: session == self.session }
    }
}

/// A link to another session, from the time of the session that asks: ids repeat over the years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// The first row of the session that asks.
    pub started: Timestamp,
    /// Its last row.
    pub last: Timestamp,
    /// The id that the link names.
    pub session: SessionId,
    /// The stream of the session that asks, by its hash: no partner lies in it.
    pub stream: u64,
    /// Whether it is the id of the session that asks. Its partner then names it, and a session of another stream that
    /// has the same id is a stranger.
    pub is_own: bool,
}

impl Link {
    /// What stands for a stream.
    pub(crate) fn stream(stream: &Stream) -> u64 {
        Link::stream_of(stream.server.as_bytes(), stream.role as u8, stream.direction as u8)
    }

    /// The same from its parts.
    pub(crate) fn stream_of(server: &[u8], role: u8, direction: u8) -> u64 {
        FxBuildHasher.hash_one((server, role, direction))
    }
}

/// What only other sessions tell of one: the certificate behind a proxy (CONTRACT 3), and whether another session of its
/// key was before it (CONTRACT 2). Several splits are asked at once.
pub trait Via: Sync {
    /// The certificate that the front end's session presented: the partner of the asking one by
    /// [`Reply::presented_via`].
    fn presented(&self, asking: &Asking, link: SessionId) -> Option<Thumbprint>;

    /// Says which links will be asked for, so that they can be looked up together.
    fn prepare(&self, links: &[Link]) {
        let _ = links;
    }

    /// The session with [`Session::repeated`], and so its id, as they are among all others.
    fn named(&self, session: Session) -> Session {
        session
    }
}

/// No other session is known.
#[derive(Clone, Copy, Debug)]
pub struct NoVia;

impl Via for NoVia {
    fn presented(&self, _: &Asking, _: SessionId) -> Option<Thumbprint> {
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
            Expr::Not(expr) => match &**expr {
                Expr::Not(expr) => self.settle(expr),
                expr => Settled::Known(!self.holds(&self.settle(expr))),
            },
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
        let via = || reply.presented_via.and_then(|link| self.via.presented(&Asking::of(self.session), link));
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
pub(crate) enum Side {
    Presented,
    Received,
    Any,
}

/// The client is who sends: in `send` the logging server, which presents its own certificate.
pub(crate) fn side(field: Field, direction: Direction) -> Side {
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

pub(crate) fn has_certificate(session: &Session, term: &Term) -> bool {
    let presented = || session.negotiations.iter().any(|one| is_thumbprint(&term.matcher, one.presented));
    let received = || session.negotiations.iter().any(|one| is_thumbprint(&term.matcher, one.received));
    let named = || session.replies.iter().any(|reply| is_thumbprint(&term.matcher, reply.thumbprint));
    match side(term.field, session.stream.direction) {
        Side::Presented => presented(),
        Side::Received => received(),
        Side::Any => presented() || received() || named(),
    }
}

pub(crate) fn is_thumbprint(matcher: &Matcher, thumbprint: Option<Thumbprint>) -> bool {
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
pub(crate) fn has(session: &Session, term: &Term) -> bool {
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

pub(crate) fn is_text(matcher: &Matcher, text: Option<&str>) -> bool {
    let Some(text) = text else {
        return false;
    };
    match matcher {
        Matcher::Present => !text.is_empty(),
        // What is wanted is folded already, and most texts are plain: they are compared without a copy.
        Matcher::Exact(wanted) if text.is_ascii() => text.eq_ignore_ascii_case(wanted),
        Matcher::Exact(wanted) => fold(text) == *wanted,
        Matcher::Prefix(beginning) => fold(text).starts_with(beginning.as_str()),
        _ => false,
    }
}

pub(crate) fn is_phrase(matcher: &Matcher, text: &str) -> bool {
    match matcher {
        Matcher::Present => !text.is_empty(),
        Matcher::Phrase(phrase) => phrase.is_in(text),
        _ => false,
    }
}

pub(crate) fn is_code(matcher: &Matcher, code: u16) -> bool {
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
pub(crate) fn is_name(matcher: &Matcher, name: Option<&str>) -> bool {
    *matcher != Matcher::Present && is_text(matcher, name)
}

/// By address where the endpoint has one, and as text with or without the port.
pub(crate) fn is_endpoint(matcher: &Matcher, endpoint: Option<&str>) -> bool {
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
pub(crate) fn is_mailbox(matcher: &Matcher, address: &str) -> bool {
    match matcher {
        Matcher::Domain(wanted) => address.rsplit_once('@').is_some_and(|(_, domain)| fold(domain) == *wanted),
        _ => is_text(matcher, Some(address)),
    }
}

#[cfg(test)]
mod tests {
    use smtplog::{Auth, AuthOutcome, Message, MessageOutcome, Role};

    use super::{
        super::samples::{START, negotiation, reply, session, stream, text, thumbprint},
        *,
    };

    fn query(text: &str) -> Query {
        Query::parse(text).expect("the query has no mistake")
    }

    /// Each line is a query; the first are answered by the session, the others are not.
    #[track_caller]
    fn check(session: &Session, answered: &[&str], not_answered: &[&str]) {
        for line in answered {
            assert!(query(line).matches(session), "{line} is not answered");
        }
        for line in not_answered {
            assert!(!query(line).matches(session), "{line} is answered");
        }
    }

    /// What is answered about the sample session, per field, and what is not.
    #[track_caller]
    fn check_sample(answered: &[&str], not_answered: &[&str]) {
        check(&session(), answered, not_answered);
    }

    #[test]
    fn stream_and_ids() {
        check_sample(
            &["id:EX001/hub/send/08DC399000800000", "id:ex001/HUB/send/08dc399000800000", "id:EX001*", "id:*"],
            &["id:EX001/hub/send/08DC399000800001", "id:EX002*"],
        );
        check_sample(
            &[
                "session:08DC399000800000",
                "session:08dc39*",
                "session:[08DC399000000000 TO *]",
                "session:>08DC390000000000",
            ],
            &[
                "session:08DC399000800001",
                "session:08DC38*",
                "session:[* TO 08DC39900000FFFF]",
                "session:08DC2F52AD76DC43",
            ],
        );
        check_sample(
            &["server:EX001", "server:ex0*", "server:EX001.contoso.com", "server:(EX002 OR EX001)"],
            &["server:EX00", "server:EX002", "-server:EX*"],
        );
        check_sample(&["role:hub", "role:HUB", "role:h*", "direction:send"], &["role:frontend", "direction:receive"]);
        check_sample(
            &["peer_session:08DC2F52AD76DC43", "peer_session:08DC2F*", "proxy_session:08DC399000800001"],
            &["peer_session:08DC399000800000", "proxy_session:08DC399000800000"],
        );
    }

    #[test]
    fn names_compare_whole_and_without_case() {
        check_sample(
            &["connector:\"outbound TO office 365\"", "connector:\"Outbound to\"*", "connector:Out*", "connector:*"],
            &["connector:Outbound", "connector:\"to Office\"*", "connector:\"\""],
        );
        check_sample(&["helo:MAIL0.contoso.com", "helo:mail0*"], &["helo:contoso.com", "helo:mail1*"]);
        check_sample(
            &["tls_version:1.2", "tls_version:1*", "cipher:calg_aes*"],
            &["tls_version:1.3", "cipher:CALG_RC4"],
        );
    }

    #[test]
    fn connectors_of_receive_are_found_without_their_server() {
        let session = Session { connector: "EX1\\Default Frontend".into(), ..session() };
        check(
            &session,
            &[
                "connector:\"EX1\\Default Frontend\"",
                "connector:EX1\\Default*",
                "connector:\"Default Frontend\"",
                "connector:Def*",
            ],
            &["connector:EX1", "connector:Frontend", "-connector:Default*"],
        );
    }

    #[test]
    fn refusals() {
        check_sample(
            &["code:550", "code:5*", "code:5xx", "code:55x", "code:[500 TO 550]", "code:>=550", "code:*"],
            &["code:551", "code:4*", "code:<550", "code:>550"],
        );
        check_sample(
            &["status:5.7.64", "status:5.7.*", "status:5.7.6*", "status:5*", "status:5.*"],
            &["status:5.7.6", "status:5.7.640", "status:5.70.*", "status:4.*"],
        );
        check_sample(&["attr:ATTR36", "attr:attr3*", "attr:36", "attr:*"], &["attr:ATTR3", "attr:35"]);
        check_sample(
            &["text:relay", "text:\"relay access denied\"", "text:\"tenantattribution relay\"", "text:\"access den\"*"],
            &["text:rela", "text:\"relay denied\"", "text:550", "text:winsock"],
        );
    }

    #[test]
    fn status_goes_by_level() {
        let with = |status: &str| Session { replies: vec![reply(1, 550, status, "")], ..session() };
        check(&with("5.7.1"), &["status:5.7.*", "status:5.7*"], &["status:5.7.64", "status:5.7.10"]);
        check(&with("5.70.1"), &["status:5.*"], &["status:5.7.*"]);
        check(&with(""), &["code:550", "-status:*"], &["status:*", "status:5.*"]);
    }

    #[test]
    fn addresses() {
        check_sample(
            &[
                "remote:104.47.88.42",
                "remote:104.47.88.42:25",
                "remote:104.47.0.0/16",
                "remote:104.47.*",
                "remote:104.47.88.42:2*",
            ],
            &[
                "remote:104.47.88.42:26",
                "remote:104.47.88.4",
                "remote:104.48.0.0/16",
                "remote:10.0.0.10",
                "remote:104.4.*",
            ],
        );
        check_sample(
            &[
                "remote:AM1EUR08.mail.protection.outlook.com",
                "remote:am1*",
                "local:10.0.0.10:22289",
                "egress_ip:203.0.113.0/24",
            ],
            &["remote:AM1EUR08", "local:AM1*", "egress_ip:203.0.113.7:25"],
        );
    }

    #[test]
    fn masked_endpoints_are_text() {
        let session = Session { local: text("10.**.**.31:25"), remote: text("[2001:db8::5]:53000"), ..session() };
        check(
            &session,
            &["local:\"10.**.**.31:25\"", "local:\"10.**.**.31\"", "local:10.*"],
            &["local:10.0.0.0/8", "local:\"10.**.**.31:26\""],
        );
        check(
            &session,
            &[
                "remote:2001:db8::5",
                "remote:[2001:db8::5]:53000",
                "remote:[2001:db8::5]",
                "remote:2001:db8::/32",
                "remote:2001:db8:*",
            ],
            &["remote:2001:db8::6", "remote:[2001:db8::5]:25"],
        );
    }

    #[test]
    fn mail() {
        check_sample(
            &[
                "from:user1@CONTOSO.com",
                "from:<user1@contoso.com>",
                "from:user1@*",
                "from:@contoso.com",
                "from:*@contoso.com",
                "from:contoso.com",
            ],
            &["from:user1", "from:\"contoso.com\"", "from:@oso.com", "from:p@fabrikam.example", "from:\"\""],
        );
        check_sample(&["to:q@fabrikam.example", "to:@fabrikam.example", "to:q*"], &["to:user1@contoso.com", "to:r*"]);
        check_sample(
            &[
                "message_id:<A1@mail.contoso.com>",
                "message_id:a1@mail.contoso.com",
                "message_id:a1@*",
                "message_id:<a1*",
            ],
            &["message_id:a1", "message_id:mail.contoso.com"],
        );
    }

    #[test]
    fn null_sender_is_empty() {
        let message =
            Message { message_id: None, from: Text::default(), to: Vec::new(), outcome: MessageOutcome::Unknown };
        let session = Session { messages: vec![message], ..session() };
        check(
            &session,
            &["from:\"\"", "from:<>", "-from:*", "-message_id:*"],
            &["from:*", "from:@contoso.com", "to:\"\""],
        );
    }

    #[test]
    fn outcomes_flags_and_times() {
        check_sample(
            &["tls:ok", "tls:OK", "tls:*", "complete:true", "complete:*"],
            &["tls:failed", "tls:none", "complete:false"],
        );
        check_sample(
            &[
                "started:2024-03-01",
                "started:2024-03",
                "started:[2024-03-01 TO 2024-03-07]",
                "started:2024-03-01T06:00",
                "started:[* TO 2024-03-01]",
            ],
            &["started:2024-02-29", "started:[2024-03-02 TO *]", "started:>2024-03-01", "started:<2024-03-01"],
        );
        check_sample(
            &["ended:2024-03-01T06:01:00.000Z", "started:2024-03-01T07:00+01:00", "ended:*"],
            &["ended:2024-03-01T06:00"],
        );
        check(&Session { ended: None, ..session() }, &["-ended:*"], &["ended:[* TO *]"]);
        let tls = smtplog::Tls::default();
        check(&Session { tls, complete: false, ..session() }, &["tls:none", "-tls:*", "-complete:true"], &["tls:*"]);
    }

    #[test]
    fn errors_are_failures_that_are_no_replies() {
        let mut session = session();
        session.negotiations[0].tls.error = text("UnknownCredentials");
        let failed = Auth { outcome: AuthOutcome::Failed, mechanism: None, user: None, error: text("LogonDenied") };
        session.auth = Some(failed);
        check(
            &session,
            &["error:unknowncredentials", "error:\"winsock error\"", "error:10061", "error:logon*", "error:*"],
            &["error:relay", "error:10060"],
        );
    }

    #[test]
    fn client_and_server_go_by_direction() {
        check_sample(
            &[
                "presented:AAAAAA*",
                "received:BBBBBB*",
                "client_cert:AAAAAA*",
                "server_cert:BBBBBB*",
                "thumbprint:BBBBBB*",
            ],
            &["presented:BBBBBB*", "client_cert:BBBBBB*", "server_cert:AAAAAA*", "thumbprint:CC*"],
        );
        let receive = Session { stream: stream("EX001", Role::Frontend, Direction::Receive), ..session() };
        check(
            &receive,
            &["presented:AA*", "server_cert:AA*", "client_cert:BB*", "client_cert:BB* code:550"],
            &["client_cert:AA*", "server_cert:BB*", "server_cert:BB* code:550"],
        );
    }

    #[test]
    fn thumbprints_as_people_paste_them() {
        let pairs = ["aa"; 20].join(" ");
        let colons = ["AA"; 20].join(":");
        check_sample(
            &[
                &format!("thumbprint:{pairs}"),
                &format!("thumbprint:\u{200e}{pairs}"),
                &format!("presented:\"{pairs}\""),
                &format!("client_cert:{colons}"),
                &format!("{pairs} status:5.7.64"),
                &colons,
                "aaaaaaaa*",
            ],
            &[&format!("server_cert:{pairs}"), &["bc"; 20].join(" "), "bbbc*"],
        );
    }

    /// Two negotiations, each with its refusal: 0xAA got 5.7.64, 0xCC got 4.7.0, and that names 0xDD.
    fn two_negotiations() -> Session {
        let second = Reply {
            presented: Some(thumbprint(0xCC)),
            received: Some(thumbprint(0xDD)),
            thumbprint: Some(thumbprint(0xEE)),
            ..reply(40, 451, "4.7.0", "Try again")
        };
        let first = reply(17, 550, "5.7.64", "Relay Access Denied");
        let negotiations = vec![negotiation(6, 0xAA, 0xBB), negotiation(30, 0xCC, 0xDD)];
        Session { negotiations, replies: vec![first, second], ..session() }
    }

    #[test]
    fn reply_terms_hold_for_one_reply() {
        check(
            &two_negotiations(),
            &[
                "presented:AA* received:DD*", // no reply term: any negotiation
                "presented:AA* status:5.7.64",
                "presented:AA* (server:EX001 status:5.7.64)",
                "thumbprint:EE* code:451",
                "thumbprint:EE*",
                "(presented:AA* OR presented:CC*) status:4.7.0",
                "(presented:AA* status:5.7.64) OR code:599",
                "(status:5.7.64 OR server:EX2) presented:AA*",
                "(status:4.7.0 OR server:EX001) presented:AA*", // the alternative on the server
                "status:5.7.64 presented:AA* -status:5.7.1",
                "-(presented:AA* status:4.7.0)",
                "code:550 text:relay",
            ],
            &[
                "presented:AA* status:4.7.0",
                "presented:CC* (server:EX001 status:5.7.64)",
                "status:5.7.64 code:451",
                "status:5.7.64 text:again",
                "(status:4.7.0 OR server:EX2) presented:AA*",
                "(presented:CC* OR received:DD*) status:5.7.64",
                "presented:AA* (code:451 OR text:again)",
                "presented:AA* -status:4.7.0", // by session: another reply has it
                "-(presented:AA* status:5.7.64)",
            ],
        );
    }

    #[track_caller]
    fn check_replies(session: &Session, text: &str, expected: &[usize]) {
        assert_eq!(query(text).matching_replies(session), expected, "{text}");
    }

    #[test]
    fn matching_replies_are_those_that_were_asked_for() {
        let session = two_negotiations();
        check_replies(&session, "code:*", &[0, 1]);
        check_replies(&session, "presented:CC* code:*", &[1]);
        check_replies(&session, "code:550 OR text:again", &[0, 1]);
        check_replies(&session, "NOT NOT code:550", &[0]);
        check_replies(&session, "server:EX001", &[]);
        check_replies(&session, "presented:AA*", &[]);
        check_replies(&session, "-code:599", &[]);
        check_replies(&session, "code:550 server:EX2", &[]);
        check_replies(&session, "server:EX001 OR code:550", &[0]);
    }

    #[test]
    fn window_is_about_replies_where_they_are_asked_for() {
        let session = two_negotiations();
        let seconds = |second: i64| Some(Timestamp(START.0 + second * 1_000));
        let within = |text: &str, since, until| {
            let query = query(text).within(Window { since: seconds(since), until: seconds(until) });
            (query.matches(&session), query.matching_replies(&session))
        };
        assert_eq!(within("code:*", 0, 100), (true, vec![0, 1]));
        assert_eq!(within("code:*", 17, 18), (true, vec![0]));
        assert_eq!(within("code:*", 18, 40), (false, vec![]));
        assert_eq!(within("code:550", 18, 100), (false, vec![]));
        assert_eq!(within("-code:550", 18, 100), (true, vec![]));
        assert_eq!(within("presented:AA*", 18, 19), (true, vec![]));
        assert_eq!(within("*", 60, 61), (true, vec![]));
        assert_eq!(within("*", 61, 99), (false, vec![]));
        assert_eq!(within("*", -9, 0), (false, vec![]));
        assert_eq!(within("*", -9, 1), (true, vec![]));
    }

    /// The front end's session presented 0xFF.
    struct FrontEnd;

    impl Via for FrontEnd {
        fn presented(&self, _: &Asking, link: SessionId) -> Option<Thumbprint> {
            (link == SessionId(7)).then(|| thumbprint(0xFF))
        }
    }

    #[test]
    fn proxied_replies_belong_to_the_certificate_of_the_front_end() {
        let proxied = Reply {
            presented: None,
            received: None,
            presented_via: Some(SessionId(7)),
            ..reply(17, 550, "5.7.64", "Relay Access Denied")
        };
        let session = Session { replies: vec![proxied], ..session() };
        let check = |text: &str, expected: bool| {
            assert_eq!(query(text).matches_via(&session, &FrontEnd), expected, "{text}");
            assert_eq!(query(text).matching_replies_via(&session, &FrontEnd).len(), usize::from(expected), "{text}");
        };
        check("presented:FF* status:5.7.64", true);
        check("client_cert:FF* status:5.7.64", true);
        check("thumbprint:FF* status:5.7.64", true);
        check("received:FF* status:5.7.64", false);
        check("presented:AA* status:5.7.64", false);
        check("presented:FF*", false); // this session did not present it
        assert!(!query("presented:FF* status:5.7.64").matches(&session));
        assert!(query("proxy_session:0000000000000007").matches(&session));
    }

    #[test]
    fn bare_words_search_the_full_text() {
        check_sample(
            &[
                "relay",
                "RELAY denied",
                "\"relay access denied\"",
                "\"relay acc\"*",
                "winsock",
                "outbound 365",
                "mail0",
                "tenant*",
                "*.contoso.com",
            ],
            &["rela", "\"relay denied\"", "fabrikam", "user1", "ex001", "calg"],
        );
        check_sample(&["*", "", "  ", "relay - denied;", "-nothing"], &["-*", "-relay", "relay nothing"]);
    }

    #[test]
    fn bare_words_are_looked_up_as_what_they_look_like() {
        check_sample(
            &[
                "08DC399000800000",
                "08dc2f52ad76dc43",
                "08DC399000800001",
                "08DC2F52AD76DC43]",
                "EX001/hub/send/08DC399000800000",
                "104.47.88.42",
                "104.47.88.42:25",
                "10.0.0.10",
                "203.0.113.0/24",
                "104.47.*",
                "user1@contoso.com",
                "<p@fabrikam.example>",
                "user1@*",
                "<a1@mail.contoso.com>",
                "fabrikam.example",
                "*@fabrikam.example",
                "AM1EUR08.mail.protection.outlook.com",
                "5.7.64",
                "550",
                "\"550 5.7.64 TenantAttribution; Relay Access Denied\"",
                "550 5.7.64 TenantAttribution; Relay Access Denied",
                "\"550-5.7.64 TenantAttr\"*",
            ],
            &[
                "08DC399000800009",
                "EX001/hub/send/08DC399000800009",
                "104.47.88.43",
                "104.47.88.42:26",
                "user2@contoso.com",
                "fabrikam.org",
                "5.7.1",
                "551",
                "\"550 5.7.1 TenantAttribution\"",
                "\"550 5.7.64 Relay\" text:nothing",
            ],
        );
    }

    #[test]
    fn names_of_certificates_wait_for_the_catalog() {
        check_sample(&["-subject:contoso"], &["subject:contoso", "issuer:*", "serial:01", "san:*.contoso.com"]);
    }
}
