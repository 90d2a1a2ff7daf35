//! A query on one split: first what columns and postings can say, as sets of documents, then the few that they cannot
//! decide, session by session.
//!
//! Every expression becomes a [`Verdict`]: documents that surely match and documents that may. Most terms are exact, so
//! both sets are equal; texts of one reply among several, endpoints with ports, certificates behind a proxy and window
//! edges leave a rest, which is asked of the stored records with the query's own definition
//! ([`Query::matches_via`]). So the index can be slow where it knows little, but not wrong.

use std::{
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use smtplog::{Direction, Reply, Session, SessionId, Text, Timestamp};

use crate::{
    StoreError,
    dictionary::Dictionary,
    profile::{Profile, ReplyClass},
    query::{
        Endpoint, Expr, Field, Matcher, Query, Term, Via, Words, address_of_endpoint, fold,
        matches::{
            Side, has, has_certificate, is_endpoint, is_mailbox, is_name, is_phrase, is_text, is_thumbprint, reply_has,
            side,
        },
    },
    sessions::Documents,
    split::{
        read::{SplitReader, Times, WordField},
        schema::{column, message_id_hash_of_key, time_to_column},
    },
};

/// How long a query may take (CONTRACT 5).
pub(crate) const QUERY_SECONDS_MAX: u64 = 30;

/// When a query is stopped.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn start() -> Deadline {
        Deadline(Instant::now() + Duration::from_secs(QUERY_SECONDS_MAX))
    }

    pub(crate) fn check(self) -> Result<(), StoreError> {
        match Instant::now() < self.0 {
            true => Ok(()),
            false => Err(StoreError::TooSlow { seconds: QUERY_SECONDS_MAX }),
        }
    }
}

/// What sets of documents can say about an expression.
#[derive(Clone)]
struct Verdict {
    sure: Documents,
    maybe: Documents,
}

impl Verdict {
    fn exact(documents: Documents) -> Verdict {
        Verdict { sure: documents.clone(), maybe: documents }
    }

    fn and(self, other: &Verdict) -> Verdict {
        Verdict { sure: self.sure.and(&other.sure), maybe: self.maybe.and(&other.maybe) }
    }

    fn or(self, other: &Verdict) -> Verdict {
        Verdict { sure: self.sure.or(&other.sure), maybe: self.maybe.or(&other.maybe) }
    }

    fn not(self) -> Verdict {
        Verdict { sure: self.maybe.not(), maybe: self.sure.not() }
    }
}

/// The documents of a split that match.
pub(crate) struct Matches {
    pub(crate) documents: Documents,
    /// Documents whose record could not be read.
    pub(crate) unreadable: u64,
}

/// Answers a resolved query on one split. `masked` documents were replaced by others.
pub(crate) fn execute(
    split: &SplitReader,
    query: &Query,
    masked: &[u32],
    via: &dyn Via,
    deadline: Deadline,
) -> Result<Matches, StoreError> {
    let Some(times) = split.times() else {
        return Ok(Matches { documents: Documents::none(split.len()), unreadable: u64::from(split.len()) });
    };
    let execution = Execution { split, query, times: &times };
    let verdict = execution.expr(&query.expr)?.and(&execution.window());
    let Verdict { mut sure, mut maybe } = verdict;
    for &document in masked {
        sure.remove(document);
        maybe.remove(document);
    }
    let mut unreadable = 0;
    let open = if sure == maybe { Documents::none(0) } else { maybe.and_not(&sure) };
    for (at, document) in open.iter().enumerate() {
        if at.is_multiple_of(1_024) {
            deadline.check()?;
        }
        match split.session(document, &times) {
            Some(session) if query.matches_via(&session, via) => sure.insert(document),
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    deadline.check()?;
    Ok(Matches { documents: sure, unreadable })
}

struct Execution<'a> {
    split: &'a SplitReader,
    query: &'a Query,
    times: &'a Times,
}

impl Execution<'_> {
    fn none(&self) -> Documents {
        Documents::none(self.split.len())
    }

    fn all(&self) -> Documents {
        Documents::all(self.split.len())
    }

    fn expr(&self, expr: &Expr) -> Result<Verdict, StoreError> {
        match expr {
            Expr::All => Ok(Verdict::exact(self.all())),
            Expr::Words(words) => self.words(words),
            Expr::Term(term) if term.field.is_of_reply() => self.at_replies(&[expr]),
            Expr::Term(term) if term.field.is_certificate() => self.certificate(term),
            Expr::Term(term) => self.term(term),
            Expr::Not(expr) => Ok(self.expr(expr)?.not()),
            Expr::Or(parts) => {
                let none = Verdict::exact(self.none());
                parts.iter().try_fold(none, |verdict, part| Ok(verdict.or(&self.expr(part)?)))
            }
            Expr::And(parts) => self.conjunction(parts),
        }
    }

    /// Parts on certificates and replies that stand together mean one reply; the others are independent of them.
    fn conjunction(&self, parts: &[Expr]) -> Result<Verdict, StoreError> {
        let (scoped, others): (Vec<&Expr>, Vec<&Expr>) = parts.iter().partition(|part| Scope::of(part).is_scoped());
        let mut verdict = Verdict::exact(self.all());
        for part in &others {
            verdict = verdict.and(&self.expr(part)?);
        }
        let has_reply = scoped.iter().any(|part| Scope::of(part).reply);
        if scoped.len() > 1 && has_reply && scoped.iter().all(|part| Scope::of(part).pure) {
            return Ok(verdict.and(&self.at_replies(&scoped)?));
        }
        let interact = scoped.len() > 1 && has_reply;
        let behind_proxy = if interact { self.behind_proxy()? } else { self.none() };
        for part in &scoped {
            let mut one = self.expr(part)?;
            if Scope::of(part).certificate {
                one.maybe = one.maybe.or(&behind_proxy);
            }
            verdict = verdict.and(&one);
        }
        if interact {
            verdict.sure = self.none();
        }
        Ok(verdict)
    }

    /// Sessions with a reply whose certificate stands in a front end's session, so that it can be any.
    fn behind_proxy(&self) -> Result<Documents, StoreError> {
        let numbers = matching(self.split.replies(), |class| class.via);
        let mut documents = self.none();
        self.split.with_replies(&numbers, &mut documents)?;
        Ok(documents)
    }

    /// Sessions that have a reply for which all the parts hold.
    fn at_replies(&self, parts: &[&Expr]) -> Result<Verdict, StoreError> {
        let classes = self.split.replies();
        let mut sure_classes = Vec::new();
        let mut maybe_classes = Vec::new();
        for (number, class) in classes.iter().enumerate() {
            for direction in Direction::ALL {
                let at = all_at_reply(parts.iter().copied(), class, direction);
                if at.with.maybe {
                    maybe_classes.push((number as u32, direction, at.with.sure));
                }
            }
        }
        for &(number, _, sure) in &maybe_classes {
            let both = maybe_classes.iter().filter(|(other, ..)| *other == number).all(|(.., sure)| *sure);
            let count = maybe_classes.iter().filter(|(other, ..)| *other == number).count();
            if sure && both && count == Direction::ALL.len() {
                sure_classes.push(number);
            }
        }
        let (mut sure, mut maybe) = (self.none(), self.none());
        self.split.with_replies(&numbers_of(&sure_classes), &mut sure)?;
        let maybe_numbers: Vec<u32> = maybe_classes.iter().map(|(number, ..)| *number).collect();
        self.split.with_replies(&numbers_of(&maybe_numbers), &mut maybe)?;
        for phrase in parts.iter().filter_map(|part| phrase_of_text(part)) {
            let (documents, exact) = self.split.with_phrase(WordField::Text, phrase)?;
            maybe = maybe.and(&documents);
            if parts.len() == 1 && exact {
                sure = documents;
            }
        }
        sure = sure.and(&self.inside_window());
        if parts.iter().all(|part| has_alternative_without_reply(part)) {
            let mut by_session = Verdict::exact(self.all());
            for part in parts {
                by_session = by_session.and(&self.expr(part)?);
            }
            maybe = maybe.or(&by_session.maybe);
        }
        Ok(Verdict { sure, maybe })
    }

    /// A certificate of any negotiation, or one that a reply names.
    fn certificate(&self, term: &Term) -> Result<Verdict, StoreError> {
        let mut documents = self.profiles(|session| has_certificate(session, term))?;
        if term.field == Field::Thumbprint {
            let named = |class: &ReplyClass| is_thumbprint(&term.matcher, class.thumbprint);
            let numbers: Vec<u32> = matching(self.split.replies(), named);
            self.split.with_replies(&numbers, &mut documents)?;
        }
        Ok(Verdict::exact(documents))
    }

    /// Sessions whose profile, taken for a session, satisfies a predicate.
    fn profiles(&self, predicate: impl Fn(&Session) -> bool) -> Result<Documents, StoreError> {
        let numbers = matching(self.split.profiles(), |profile| predicate(&session_of(profile)));
        let mut documents = self.none();
        if numbers.len() == self.split.profiles().len() {
            return Ok(self.all());
        }
        self.split.with_profiles(&numbers, &mut documents)?;
        Ok(documents)
    }

    fn term(&self, term: &Term) -> Result<Verdict, StoreError> {
        let matcher = &term.matcher;
        match term.field {
            Field::Server | Field::Role | Field::Direction | Field::Connector => self.by_profile(term),
            Field::Tls | Field::TlsVersion | Field::Cipher | Field::Complete => self.by_profile(term),
            Field::Error => self.failures(term),
            Field::Helo => self.dictionary(column::HELO, self.split.names(), |name| is_text(matcher, Some(name))),
            Field::Remote => {
                let name = |name: &str| is_name(matcher, Some(name));
                let by_name = self.dictionary(column::REMOTE_NAME, self.split.names(), name)?;
                Ok(self.endpoint(column::REMOTE, matcher)?.or(&by_name))
            }
            Field::Local => self.endpoint(column::LOCAL, matcher),
            Field::EgressIp => {
                self.dictionary(column::EGRESS, self.split.hosts(), |host| is_endpoint(matcher, Some(host)))
            }
            Field::From => self.dictionary(column::FROM, self.split.mailboxes(), |from| is_mailbox(matcher, from)),
            Field::To => self.dictionary(column::TO, self.split.mailboxes(), |to| is_mailbox(matcher, to)),
            Field::MessageId => Ok(self.message_id(matcher)),
            Field::Session => Ok(self.sessions(column::SESSION, matcher)),
            Field::PeerSession => Ok(self.sessions(column::PEER, matcher)),
            Field::ProxySession => Ok(self.sessions(column::LINK, matcher)),
            Field::Started => Ok(self.started(matcher)),
            Field::Ended => self.ended(matcher),
            Field::Id => self.id(matcher),
            // Resolved to thumbprints before; these hold for no session.
            _ => Ok(Verdict::exact(self.none())),
        }
    }

    fn by_profile(&self, term: &Term) -> Result<Verdict, StoreError> {
        Ok(Verdict::exact(self.profiles(|session| has(session, term))?))
    }

    fn failures(&self, term: &Term) -> Result<Verdict, StoreError> {
        let mut verdict = self.by_profile(term)?;
        if let Matcher::Phrase(phrase) = &term.matcher {
            verdict = verdict.or(&self.phrase(WordField::Failure, phrase)?);
        } else {
            verdict.maybe = self.all(); // Whether there is any failure is not indexed.
        }
        Ok(verdict)
    }

    fn phrase(&self, field: WordField, phrase: &crate::query::Phrase) -> Result<Verdict, StoreError> {
        let (documents, exact) = self.split.with_phrase(field, phrase)?;
        let sure = if exact { documents.clone() } else { self.none() };
        Ok(Verdict { sure, maybe: documents })
    }

    /// Words anywhere: refusals, failures, HELO name, connector, or what the words look like.
    fn words(&self, words: &Words) -> Result<Verdict, StoreError> {
        let phrase = &words.phrase;
        let wanted = Matcher::Phrase(phrase.clone());
        let mut verdict = self.phrase(WordField::Text, phrase)?.or(&self.phrase(WordField::Failure, phrase)?);
        let in_profile = |session: &Session| {
            crate::query::error_texts(session).any(|text| is_phrase(&wanted, text))
                || is_phrase(&wanted, &session.connector)
        };
        verdict = verdict.or(&Verdict::exact(self.profiles(in_profile)?));
        verdict = verdict.or(&self.dictionary(column::HELO, self.split.names(), |name| is_phrase(&wanted, name))?);
        for meaning in &words.meanings {
            verdict = verdict.or(&self.expr(meaning)?);
        }
        Ok(verdict)
    }

    /// Sessions with a value of a column whose dictionary text satisfies a predicate.
    fn dictionary(
        &self,
        name: &str,
        dictionary: Dictionary<'_>,
        predicate: impl Fn(&str) -> bool,
    ) -> Result<Verdict, StoreError> {
        let mut numbers = Documents::none(dictionary.len());
        for (number, text) in dictionary.iter() {
            if std::str::from_utf8(text).is_ok_and(&predicate) {
                numbers.insert(number);
            }
        }
        Ok(Verdict::exact(self.with_values(name, &numbers)))
    }

    /// Documents with one of these values in a column of numbers.
    fn with_values(&self, name: &str, numbers: &Documents) -> Documents {
        let mut documents = self.none();
        let Some(column) = self.split.column(name) else { return documents };
        let count = numbers.len();
        if count == 0 {
            return documents;
        }
        if count <= RANGES_MAX {
            let found = numbers.iter().flat_map(|number| self.split.in_range(name, number.into()..=number.into()));
            found.for_each(|document| documents.insert(document));
            return documents;
        }
        for document in 0..self.split.len() {
            let mut values = column.values_for_doc(document);
            if values.any(|value| u32::try_from(value).is_ok_and(|number| numbers.contains(number))) {
                documents.insert(document);
            }
        }
        documents
    }

    fn in_range(&self, name: &str, range: RangeInclusive<u64>) -> Documents {
        let mut documents = self.none();
        self.split.in_range(name, range).into_iter().for_each(|document| documents.insert(document));
        documents
    }

    /// By the address alone where the question allows; a question with a port leaves its addresses open.
    fn endpoint(&self, name: &str, matcher: &Matcher) -> Result<Verdict, StoreError> {
        let hosts = self.split.hosts();
        if *matcher == Matcher::Present {
            return Ok(Verdict::exact(self.in_range(name, 0..=u64::MAX)));
        }
        let sure = self.dictionary(name, hosts, |host| is_endpoint(matcher, Some(host)))?;
        let open = self.dictionary(name, hosts, |host| may_be_endpoint(matcher, host))?;
        Ok(Verdict { maybe: open.maybe.or(&sure.maybe), sure: sure.sure })
    }

    fn message_id(&self, matcher: &Matcher) -> Verdict {
        let maybe = match matcher {
            Matcher::Exact(key) => {
                let hash = message_id_hash_of_key(key);
                self.in_range(column::MESSAGE_ID, hash..=hash)
            }
            Matcher::Present | Matcher::Prefix(_) => self.in_range(column::MESSAGE_ID, 0..=u64::MAX),
            _ => self.none(),
        };
        Verdict { sure: self.none(), maybe }
    }

    fn sessions(&self, name: &str, matcher: &Matcher) -> Verdict {
        Verdict::exact(match matcher {
            Matcher::Present => self.in_range(name, 0..=u64::MAX),
            Matcher::Sessions(ids) => self.in_range(name, ids.start().0..=ids.end().0),
            _ => self.none(),
        })
    }

    fn started(&self, matcher: &Matcher) -> Verdict {
        Verdict::exact(match matcher {
            Matcher::Present => self.all(),
            Matcher::Times(times) => {
                self.in_range(column::STARTED, time_to_column(times.start().0)..=time_to_column(times.end().0))
            }
            _ => self.none(),
        })
    }

    /// A session that ended did so with its last row; whether it ended is known of complete ones only.
    fn ended(&self, matcher: &Matcher) -> Result<Verdict, StoreError> {
        let complete = self.profiles(|session| session.complete)?;
        let maybe = match matcher {
            Matcher::Present => self.all(),
            Matcher::Times(times) => self.with_last(|last| times.contains(&last)),
            _ => self.none(),
        };
        Ok(Verdict { sure: maybe.clone().and(&complete), maybe })
    }

    fn with_last(&self, predicate: impl Fn(Timestamp) -> bool) -> Documents {
        let mut documents = self.none();
        for document in 0..self.split.len() {
            if self.times.last(document).is_some_and(&predicate) {
                documents.insert(document);
            }
        }
        documents
    }

    /// `EX001/hub/send/08DC399000800000`, perhaps with `@` and a time: the number decides nearly everything.
    fn id(&self, matcher: &Matcher) -> Result<Verdict, StoreError> {
        let wanted = match matcher {
            Matcher::Present => return Ok(Verdict::exact(self.all())),
            Matcher::Exact(id) | Matcher::Prefix(id) => id,
            _ => return Ok(Verdict::exact(self.none())),
        };
        let mut maybe = self.profiles(|session| {
            let stream = fold(&format!("{}/", session.stream));
            wanted.starts_with(&stream) || stream.starts_with(wanted.as_str())
        })?;
        let number = wanted.split('/').nth(3).and_then(|rest| SessionId::from_hex(rest.get(..16)?.as_bytes()));
        if let Some(SessionId(number)) = number {
            maybe = maybe.and(&self.in_range(column::SESSION, number..=number));
        }
        Ok(Verdict { sure: self.none(), maybe })
    }

    /// Sessions of which a part lies in the window.
    fn window(&self) -> Verdict {
        let window = self.query.window;
        if window.since.is_none() && window.until.is_none() {
            return Verdict::exact(self.all());
        }
        let mut documents = match window.until {
            Some(until) if until.0 > i64::MIN => self.in_range(column::STARTED, 0..=time_to_column(until.0 - 1)),
            Some(_) => self.none(),
            None => self.all(),
        };
        if let Some(since) = window.since {
            documents = documents.and(&self.with_last(|last| last >= since));
        }
        Verdict::exact(documents)
    }

    /// Sessions that lie in the window wholly, so that all their replies do.
    fn inside_window(&self) -> Documents {
        let window = self.query.window;
        match (window.since, window.until) {
            (None, None) => self.all(),
            (since, until) => {
                let since = since.map_or(0, |since| time_to_column(since.0));
                let begun = self.in_range(column::STARTED, since..=u64::MAX);
                match until {
                    Some(until) => begun.and(&self.with_last(|last| last < until)),
                    None => begun,
                }
            }
        }
    }
}

/// Values looked up one by one in a column; with more, one pass over all documents is faster.
const RANGES_MAX: u64 = 4;

fn numbers_of(numbers: &[u32]) -> Vec<u32> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn matching<T>(entries: &[T], predicate: impl Fn(&T) -> bool) -> Vec<u32> {
    entries.iter().enumerate().filter(|(_, entry)| predicate(entry)).map(|(number, _)| number as u32).collect()
}

/// Whether an address with some port could be what is asked for.
fn may_be_endpoint(matcher: &Matcher, host: &str) -> bool {
    match matcher {
        Matcher::Endpoint(Endpoint { address, .. }) => address_of_endpoint(host) == Some(*address),
        Matcher::Exact(text) | Matcher::Prefix(text) => text.starts_with(&fold(host)),
        _ => false,
    }
}

/// What an expression is about.
#[derive(Clone, Copy)]
struct Scope {
    /// A certificate, outside of NOT.
    certificate: bool,
    /// A reply, outside of NOT.
    reply: bool,
    /// Nothing else.
    pure: bool,
}

impl Scope {
    fn is_scoped(self) -> bool {
        self.certificate || self.reply
    }

    fn of(expr: &Expr) -> Scope {
        let other = Scope { certificate: false, reply: false, pure: false };
        match expr {
            Expr::All | Expr::Not(_) => other,
            Expr::Term(term) => Scope {
                certificate: term.field.is_certificate(),
                reply: term.field.is_of_reply(),
                pure: term.field.is_certificate() || term.field.is_of_reply(),
            },
            Expr::Words(words) => Scope { pure: false, ..Scope::of_all(&words.meanings) },
            Expr::And(parts) | Expr::Or(parts) => Scope::of_all(parts),
        }
    }

    fn of_all(parts: &[Expr]) -> Scope {
        parts.iter().map(Scope::of).fold(Scope { certificate: false, reply: false, pure: true }, |all, part| Scope {
            certificate: all.certificate || part.certificate,
            reply: all.reply || part.reply,
            pure: all.pure && part.pure,
        })
    }
}

/// Whether one of the alternatives that an expression stands for has no term on replies.
fn has_alternative_without_reply(expr: &Expr) -> bool {
    match expr {
        Expr::Term(term) => !term.field.is_of_reply(),
        Expr::And(parts) => parts.iter().all(has_alternative_without_reply),
        Expr::Or(parts) => parts.iter().any(has_alternative_without_reply),
        _ => true,
    }
}

fn phrase_of_text(expr: &Expr) -> Option<&crate::query::Phrase> {
    match expr {
        Expr::Term(Term { field: Field::Text, matcher: Matcher::Phrase(phrase), .. }) => Some(phrase),
        _ => None,
    }
}

/// Whether something holds, as far as a class of replies can tell.
#[derive(Clone, Copy)]
struct Tri {
    sure: bool,
    maybe: bool,
}

/// As in the query's definition: alternatives without and with a term on replies.
#[derive(Clone, Copy)]
struct AtClass {
    without: Tri,
    with: Tri,
}

const NO: Tri = Tri { sure: false, maybe: false };
const OPEN: Tri = Tri { sure: false, maybe: true };

fn known(holds: bool) -> Tri {
    Tri { sure: holds, maybe: holds }
}

fn all_at_reply<'e>(parts: impl Iterator<Item = &'e Expr>, class: &ReplyClass, direction: Direction) -> AtClass {
    let parts: Vec<AtClass> = parts.map(|part| at_reply(part, class, direction)).collect();
    let all = |holds: fn(&AtClass) -> bool| parts.iter().all(holds);
    let any = |holds: fn(&AtClass) -> bool| parts.iter().any(holds);
    AtClass {
        without: Tri { sure: all(|part| part.without.sure), maybe: all(|part| part.without.maybe) },
        with: Tri {
            sure: all(|part| part.without.sure || part.with.sure) && any(|part| part.with.sure),
            maybe: all(|part| part.without.maybe || part.with.maybe) && any(|part| part.with.maybe),
        },
    }
}

fn at_reply(expr: &Expr, class: &ReplyClass, direction: Direction) -> AtClass {
    match expr {
        Expr::Term(term) if term.field == Field::Text => AtClass { without: NO, with: OPEN },
        Expr::Term(term) if term.field.is_of_reply() => {
            AtClass { without: NO, with: known(reply_has(&reply_of(class), term)) }
        }
        Expr::Term(term) => AtClass { without: certificate_at(term, class, direction), with: NO },
        Expr::And(parts) => all_at_reply(parts.iter(), class, direction),
        Expr::Or(parts) => {
            let parts: Vec<AtClass> = parts.iter().map(|part| at_reply(part, class, direction)).collect();
            let any = |tri: fn(&AtClass) -> Tri| Tri {
                sure: parts.iter().any(|part| tri(part).sure),
                maybe: parts.iter().any(|part| tri(part).maybe),
            };
            AtClass { without: any(|part| part.without), with: any(|part| part.with) }
        }
        _ => AtClass { without: OPEN, with: OPEN },
    }
}

fn certificate_at(term: &Term, class: &ReplyClass, direction: Direction) -> Tri {
    let presented = match class.presented {
        None if class.via => OPEN,
        presented => known(is_thumbprint(&term.matcher, presented)),
    };
    let received = known(is_thumbprint(&term.matcher, class.received));
    let named = known(is_thumbprint(&term.matcher, class.thumbprint));
    match side(term.field, direction) {
        Side::Presented => presented,
        Side::Received => received,
        Side::Any => Tri {
            sure: presented.sure || received.sure || named.sure,
            maybe: presented.maybe || received.maybe || named.maybe,
        },
    }
}

/// A class as a reply, for the query's own predicates.
fn reply_of(class: &ReplyClass) -> Reply {
    Reply {
        time: Timestamp(0),
        sequence: 0,
        side: class.side,
        code: class.code,
        status: class.status.clone(),
        text: Text::default(),
        attr: class.attr.clone(),
        peer: None,
        thumbprint: class.thumbprint,
        to: None,
        presented: class.presented,
        received: class.received,
        presented_via: None,
    }
}

/// A profile as a session, for the query's own predicates.
pub(crate) fn session_of(profile: &Profile) -> Session {
    let negotiation = |shared: &crate::profile::ProfileNegotiation| smtplog::Negotiation {
        sequence: 0,
        verb: shared.verb,
        tls: shared.tls.clone(),
        presented: shared.presented,
        received: shared.received,
    };
    Session {
        stream: Arc::clone(&profile.stream),
        session: SessionId(0),
        repeated: false,
        connector: profile.connector.clone(),
        started: Timestamp(0),
        ended: None,
        last: Timestamp(0),
        complete: profile.complete,
        local: None,
        remote: None,
        remote_name: None,
        helo: None,
        egress_ip: None,
        tls: profile.tls(),
        negotiations: profile.negotiations.iter().map(negotiation).collect(),
        replies: Vec::new(),
        messages: Vec::new(),
        proxy: Vec::new(),
        auth: profile.auth.clone(),
        errors: Vec::new(),
        tarpit_ms: 0,
        records: 0,
        repeated_sequences: 0,
        sources: Vec::new(),
        rows_hash: 0,
    }
}
