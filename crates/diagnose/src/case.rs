//! Cases: refused sessions that belong together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smtplog::{
    Direction, Message, MessageOutcome, NegotiationVerb, ProxyRole, Reply, Session, Thumbprint, Timestamp, TlsOutcome,
};

use crate::{
    cause::{Item, ItemKind},
    family::{Family, family},
};

/// Refusals further apart than this are two cases: what was mended and broke again has another reason, or the same one
/// again, and either is worth knowing.
const PAUSE_MS: i64 = 3 * 24 * 3_600_000;

/// A refused session, and the refusal that is asked about.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The session.
    pub session: Arc<Session>,
    /// The refusal's place among the session's replies; `None` if TLS failed without one.
    pub reply: Option<usize>,
    /// The certificate that the other side saw: behind a proxy the front end's.
    pub presented: Option<Thumbprint>,
    /// Whether a front end presented it, or would have: the session itself lies behind a proxy.
    pub is_proxied: bool,
    /// Whether only a report tells of it, so that nothing is known of the session itself.
    pub is_reported: bool,
    /// The refusal's text in lower case; every rule looks for words in it.
    lower_text: String,
}

impl Refused {
    /// A refusal of a session, and the certificate that the other side saw.
    pub fn new(session: Arc<Session>, reply: Option<usize>, presented: Option<Thumbprint>) -> Refused {
        let reply_of = |at: usize| session.replies.get(at);
        let behind = session.proxy.iter().any(|link| link.role == ProxyRole::Origin);
        let is_proxied = reply.and_then(reply_of).map_or(behind, |reply| reply.presented_via.is_some());
        let presented = presented.filter(|_| reply.is_some() || !is_proxied);
        let lower_text = reply.and_then(reply_of).map(|reply| reply.text.to_lowercase().into()).unwrap_or_default();
        Refused { session, reply, presented, is_proxied, is_reported: false, lower_text }
    }

    /// A refusal that only a report tells of.
    pub fn reported(session: Session) -> Refused {
        Refused { is_reported: true, ..Refused::new(Arc::new(session), Some(0), None) }
    }

    /// The refusal.
    pub fn reply(&self) -> Option<&Reply> {
        self.session.replies.get(self.reply?)
    }

    /// When it was refused.
    pub fn time(&self) -> Timestamp {
        self.reply().map_or(self.session.started, |reply| reply.time)
    }

    /// The envelope sender of the message that was refused, as far as that is known: the last one begun before it.
    pub fn sender(&self) -> Option<&str> {
        let command = self.reply().and_then(|reply| reply.to.as_deref()).unwrap_or_default();
        let of_command = mailbox_of(command).filter(|_| command.to_ascii_uppercase().starts_with("MAIL"));
        let refused = |message: &&Message| message.outcome != MessageOutcome::Accepted;
        let message = self.session.messages.iter().find(refused).or(self.session.messages.last());
        of_command.or(message.map(|message| message.from.as_str())).filter(|sender| !sender.is_empty())
    }

    /// The refusal as evidence. Its offset is that of the session's first row until somebody looks the row up.
    pub fn item(&self) -> Item {
        let source = self.session.sources.first();
        let id = self.session.id();
        let (text, sequence) = match self.reply() {
            Some(reply) => (full_text(reply), reply.sequence),
            None => {
                let error = self.session.tls.error.as_deref().unwrap_or("no reason logged");
                let negotiation = self.session.negotiations.last().map_or(0, |negotiation| negotiation.sequence);
                (format!("TLS negotiation failed: {error}"), negotiation)
            }
        };
        Item {
            kind: if self.is_reported { ItemKind::Report } else { ItemKind::Log },
            source: source.map(|source| source.file.to_string()).unwrap_or_default(),
            offset: source.map(|source| source.offset).filter(|_| !self.is_reported),
            text,
            row: (!self.is_reported).then_some((id, sequence)),
        }
    }
}

fn mailbox_of(command: &str) -> Option<&str> {
    let (_, rest) = command.split_once('<')?;
    rest.split_once('>').map(|(mailbox, _)| mailbox)
}

/// A reply as it was given, on one line.
pub(crate) fn full_text(reply: &Reply) -> String {
    let status = reply.status.as_deref().map(|status| format!("{status} ")).unwrap_or_default();
    format!("{} {status}{}", reply.code, reply.text.replace('\n', " "))
}

/// What the refusals of a case have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    family: Family,
    status: Option<String>,
    code: Option<u16>,
    attr: Option<String>,
    direction: Direction,
    connector: String,
    presented: Option<Thumbprint>,
}

/// Refused sessions with the same status, connector and certificate, close in time.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// What kind of refusal it is.
    pub family: Family,
    /// The enhanced status code.
    pub status: Option<&'a str>,
    /// The reply code; `None` if TLS failed without a reply.
    pub code: Option<u16>,
    /// The attribution token.
    pub attr: Option<&'a str>,
    /// Whether the fleet sent or received.
    pub direction: Direction,
    /// The connector's name, as the first session has it.
    pub connector: &'a str,
    /// The certificate that the other side saw.
    pub presented: Option<Thumbprint>,
    /// Servers that logged it, in order.
    pub servers: Vec<&'a str>,
    /// Time of the first refusal.
    pub from: Timestamp,
    /// Time of the last.
    pub to: Timestamp,
    /// The refused sessions, by time.
    pub refused: Vec<&'a Refused>,
}

impl<'a> Case<'a> {
    fn new(family: Family, refused: Vec<&'a Refused>) -> Option<Case<'a>> {
        let (first, last) = (refused.first()?, refused.last()?);
        let reply = first.reply();
        let servers: BTreeSet<&str> = refused.iter().map(|one| &*one.session.stream.server).collect();
        Some(Case {
            family,
            status: reply.and_then(|reply| reply.status.as_deref()),
            code: reply.map(|reply| reply.code),
            attr: reply.and_then(|reply| reply.attr.as_deref()),
            direction: first.session.stream.direction,
            connector: &first.session.connector,
            presented: first.presented,
            servers: servers.into_iter().collect(),
            from: first.time(),
            to: last.time(),
            refused,
        })
    }

    /// Sessions, each counted once.
    pub fn sessions(&self) -> u64 {
        let sessions: BTreeSet<*const Session> = self.refused.iter().map(|one| Arc::as_ptr(&one.session)).collect();
        sessions.len() as u64
    }

    /// The status code, or the reply code where there is none, as refusals are counted by.
    pub(crate) fn status_or_code(&self) -> String {
        self.status.map_or_else(|| self.code.unwrap_or(0).to_string(), str::to_owned)
    }

    /// Whether rules have something to say about such a case.
    pub fn is_judged(&self) -> bool {
        self.family != Family::Other
    }

    /// A refusal that shows the case: the first one.
    pub fn first(&self) -> &'a Refused {
        self.refused[0]
    }

    /// The first refusal on each server.
    pub fn first_by_server(&self) -> BTreeMap<&'a str, &'a Refused> {
        let mut first = BTreeMap::new();
        for &one in &self.refused {
            first.entry(&*one.session.stream.server).or_insert(one);
        }
        first
    }

    /// Text of the refusals, the most frequent one.
    pub fn text(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let texts = self.refused.iter().filter_map(|one| Some(strip_bracket(&one.reply()?.text)));
        texts.for_each(|text| *counts.entry(text).or_default() += 1);
        let most = counts.iter().max_by_key(|(text, count)| (**count, std::cmp::Reverse(**text)));
        most.map(|(text, _)| text.replace('\n', " ")).unwrap_or_default()
    }

    /// How many refused sessions have a property, of all.
    pub(crate) fn share(&self, has: impl Fn(&Refused) -> bool) -> f64 {
        let count = self.refused.iter().filter(|one| has(one)).count();
        count as f64 / self.refused.len().max(1) as f64
    }

    /// Values that refused sessions have, the most frequent first.
    pub(crate) fn values<'s>(&'s self, value: impl Fn(&'a Refused) -> Option<&'s str>) -> Vec<(&'s str, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        self.refused.iter().filter_map(|one| value(one)).for_each(|one| *counts.entry(one).or_default() += 1);
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// Domains of the envelope senders, lower case, the most frequent first.
    pub(crate) fn sender_domains(&self) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let domains = self.refused.iter().filter_map(|one| Some(one.sender()?.rsplit_once('@')?.1.to_lowercase()));
        domains.for_each(|domain| *counts.entry(domain).or_default() += 1);
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// Domains of the envelope recipients of what was refused, lower case, the most frequent first.
    pub fn recipient_domains(&self) -> Vec<String> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let all = || self.refused.iter().flat_map(|one| &one.session.messages);
        // A session can carry other messages, which were accepted.
        let is_refused = |message: &&Message| message.outcome != MessageOutcome::Accepted;
        let none_refused = !all().any(|message| is_refused(&message));
        let messages = all().filter(|message| none_refused || is_refused(message));
        let domain = |to: &smtplog::Text| Some(to.rsplit_once('@')?.1.to_lowercase());
        let domains = messages.flat_map(|message| message.to.iter().filter_map(domain));
        domains.for_each(|domain| *counts.entry(domain).or_default() += 1);
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(domain, _)| domain).collect()
    }

    /// The first refusal with a text, without case.
    pub(crate) fn saying(&self, words: &str) -> Option<&'a Refused> {
        self.refused.iter().find(|one| one.lower_text.contains(words)).copied()
    }

    /// The first refusal, if the case's status is one of these.
    pub(crate) fn first_if_status(&self, statuses: &[&str]) -> Option<&'a Refused> {
        self.status.is_some_and(|status| statuses.contains(&status)).then(|| self.first())
    }

    /// Whether the fleet sent these, to a server that is not its own.
    pub(crate) fn is_outbound(&self) -> bool {
        self.direction == Direction::Send
    }
}

/// A reply's text without the trailing bracket, which differs in each.
fn strip_bracket(text: &str) -> &str {
    let mut text = text;
    while let Some((before, bracket)) = text.rsplit_once(" [")
        && bracket.ends_with(']')
    {
        text = before;
    }
    text
}

/// Puts refused sessions into cases, those that concern certificates and attribution first, then the larger ones.
pub fn cases(refused: &[Refused]) -> Vec<Case<'_>> {
    let mut by_key: BTreeMap<Key, Vec<&Refused>> = BTreeMap::new();
    for one in refused {
        by_key.entry(key(one)).or_default().push(one);
    }
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (key, mut group) in by_key {
        group.sort_by(|a, b| {
            let key = |one: &Refused| (one.time(), one.session.session);
            key(a).cmp(&key(b)).then_with(|| a.session.stream.cmp(&b.session.stream))
        });
        let is_pause = |a: &&Refused, b: &&Refused| b.time().0 - a.time().0 <= PAUSE_MS;
        cases.extend(group.chunk_by(is_pause).filter_map(|chunk| Case::new(key.family, chunk.to_vec())));
    }
    cases.sort_by_key(|case| (case.family, std::cmp::Reverse(case.refused.len()), case.from));
    cases
}

fn key(one: &Refused) -> Key {
    let reply = one.reply();
    let session = &one.session;
    // Hops inside the organisation have their own certificates, and what calls from outside may be a scanner.
    let is_internal = session.negotiations.last().is_some_and(|last| last.verb == NegotiationVerb::AnonymousTls);
    let failed = session.tls.outcome == TlsOutcome::Failed && session.stream.direction == Direction::Send;
    let no_reply = if failed && !is_internal { Family::Tls } else { Family::Other };
    let family = reply.map_or(no_reply, family);
    // Of what has nothing to do with certificates, only the status tells cases apart.
    let tells = family != Family::Other;
    Key {
        family,
        status: reply.and_then(|reply| reply.status.as_deref()).map(str::to_owned),
        code: reply.map(|reply| reply.code),
        attr: reply.and_then(|reply| reply.attr.as_deref()).map(str::to_owned),
        direction: one.session.stream.direction,
        connector: if tells { one.session.connector.to_lowercase().into() } else { String::new() },
        presented: one.presented.filter(|_| tells),
    }
}
