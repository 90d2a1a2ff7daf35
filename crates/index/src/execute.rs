//! A query on one split: first what columns and postings can say, as sets of documents, then the few that they cannot
//! decide, session by session.
//!
//! Every expression becomes a [`Verdict`]: documents that surely match and documents that may. Most terms are exact, so
//! both sets are equal; endpoints with ports, message ids and a few others leave a rest, which is asked of the stored
//! records with the query's own definition ([`Query::matches_via`]). So the index can be slow where it knows little, but
//! not wrong. What has to hold for one reply is decided in `replies.rs`.

mod replies;

use std::{
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use smtplog::{Session, SessionId, Thumbprint, Timestamp};

pub(crate) use self::replies::reply_of;
use self::replies::{Phrases, may_be_in_bracket};
use crate::{
    StoreError,
    dictionary::Dictionary,
    packed::Numbers,
    profile::ReplyClass,
    query::{
        Asking, Endpoint, Expr, Field, Link, Matcher, Query, Term, Via, Window, Words, address_of_endpoint, fold,
        matches::{has, has_certificate, is_endpoint, is_mailbox, is_name, is_phrase, is_text, is_thumbprint},
    },
    sessions::Documents,
    split::{
        columns::{column, message_id_hash_of_key, pair, time_to_column},
        read::{SplitReader, Times},
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
    let times = split.times();
    let execution = Execution { split, query, times, via };
    let mut verdict = execution.expr(&query.expr)?;
    if query.window != Window::default() {
        verdict = verdict.and(&execution.window());
    }
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
        // A record alone does not say whether the id carries the start.
        match split.session(document, &times).map(|session| via.named(session)) {
            Some(session) if query.matches_via(&session, via) => sure.insert(document),
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    deadline.check()?;
    Ok(Matches { documents: sure, unreadable })
}

/// The refusals of a split that a query is about, in order (see [`Query::matching_replies`]); `None` if columns cannot
/// tell which they are. Those of sessions that do not match may be among them.
pub(crate) fn matching_rows(split: &SplitReader, query: &Query, via: &dyn Via) -> Result<Option<Vec<u32>>, StoreError> {
    let execution = Execution { split, query, times: split.times(), via };
    let parts = match &query.expr {
        Expr::And(parts) => parts.iter().collect(),
        expr => vec![expr],
    };
    let (scoped, others): (Vec<&Expr>, Vec<&Expr>) = parts.into_iter().partition(|part| Scope::of(part).is_scoped());
    // What has no term on replies holds for the whole session, and so for each of its refusals.
    if !scoped.iter().all(|part| Scope::of(part).pure) || others.iter().any(|part| part.has_reply_term()) {
        return Ok(None);
    }
    let mut rows = replies::rows_at(&execution, &scoped)?;
    rows.sure.sort_unstable();
    Ok(rows.maybe.is_empty().then_some(rows.sure))
}

/// The links behind which the query will look for certificates: asked for over all splits together, they cost one search
/// instead of one for each split.
pub(crate) fn wanted_links(split: &SplitReader, query: &Query) -> Result<Vec<Link>, StoreError> {
    let parts = match &query.expr {
        Expr::And(parts) => parts.as_slice(),
        _ => return Ok(Vec::new()),
    };
    let scoped: Vec<&Expr> = parts.iter().filter(|part| Scope::of(part).is_scoped()).collect();
    if !scoped.iter().all(|part| Scope::of(part).pure) || !scoped.iter().any(|part| Scope::of(part).certificate) {
        return Ok(Vec::new());
    }
    let recorder = Recorder::default();
    let execution = Execution { split, query, times: split.times(), via: &recorder };
    replies::proxied_rows_at(&execution, &scoped)?;
    Ok(recorder.links.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Notes what it is asked for, and knows nothing.
#[derive(Default)]
struct Recorder {
    links: Mutex<Vec<Link>>,
}

impl Via for Recorder {
    fn presented(&self, _: &Asking, _: SessionId) -> Option<Thumbprint> {
        None
    }

    fn prepare(&self, links: &[Link]) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(links);
    }
}

/// A query at work on a split.
struct Execution<'a> {
    split: &'a SplitReader,
    query: &'a Query,
    times: Times<'a>,
    via: &'a dyn Via,
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
            Expr::Term(term) if term.field.is_certificate() => Ok(self.certificate(term)),
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
        let (scoped, mut others): (Vec<&Expr>, Vec<&Expr>) = parts.iter().partition(|part| Scope::of(part).is_scoped());
        others.sort_by_key(|part| cost(part));
        let mut verdict = None;
        for part in &others {
            let so_far = joined(verdict, self.expr(part)?);
            if so_far.maybe.is_empty() {
                return Ok(so_far); // Nothing that follows brings any back.
            }
            verdict = Some(so_far);
        }
        let has_reply = scoped.iter().any(|part| Scope::of(part).reply);
        if scoped.len() > 1 && has_reply && scoped.iter().all(|part| Scope::of(part).pure) {
            return Ok(joined(verdict, self.at_replies(&scoped)?));
        }
        let interact = scoped.len() > 1 && has_reply;
        let behind_proxy = if interact { self.behind_proxy() } else { self.none() };
        for part in &scoped {
            let mut one = self.expr(part)?;
            if Scope::of(part).certificate {
                one.maybe = one.maybe.or(&behind_proxy);
            }
            verdict = Some(joined(verdict, one));
        }
        let mut verdict = verdict.unwrap_or_else(|| Verdict::exact(self.all()));
        if interact {
            verdict.sure = self.none();
        }
        Ok(verdict)
    }

    /// Sessions with a reply whose certificate stands in a front end's session, so that it can be any.
    fn behind_proxy(&self) -> Documents {
        let classes = self.split.reply_classes_with(|class| class.via);
        let mut documents = self.none();
        self.split.with_replies(&classes, &mut documents);
        documents
    }

    /// Sessions that have a reply for which all the parts hold.
    fn at_replies(&self, parts: &[&Expr]) -> Result<Verdict, StoreError> {
        let mut verdict = replies::at_replies(self, parts)?;
        if parts.iter().all(|part| has_alternative_without_reply(part)) {
            let mut by_session = Verdict::exact(self.all());
            for part in parts {
                by_session = by_session.and(&self.expr(part)?);
            }
            verdict.maybe = verdict.maybe.or(&by_session.maybe);
        }
        Ok(verdict)
    }

    /// A certificate of any negotiation, or one that a reply names.
    fn certificate(&self, term: &Term) -> Verdict {
        let mut documents = self.profiles(|session| has_certificate(session, term));
        if term.field == Field::Thumbprint {
            let named = |class: &ReplyClass<'_>| is_thumbprint(&term.matcher, class.thumbprint);
            let numbers = self.split.reply_classes_with(named);
            self.split.with_replies(&numbers, &mut documents);
        }
        Verdict::exact(documents)
    }

    /// Sessions whose profile, taken for a session, satisfies a predicate.
    fn profiles(&self, predicate: impl Fn(&Session) -> bool) -> Documents {
        let mut numbers = Vec::new();
        let mut matches_all = true;
        for (number, profile) in (0..).zip(self.split.profiles()) {
            match profile.is_some_and(&predicate) {
                true => numbers.push(number),
                false => matches_all = false,
            }
        }
        if matches_all {
            return self.all();
        }
        let mut documents = self.none();
        self.split.with_profiles(&numbers, &mut documents);
        documents
    }

    fn term(&self, term: &Term) -> Result<Verdict, StoreError> {
        let matcher = &term.matcher;
        Ok(match term.field {
            Field::Server | Field::Role | Field::Direction | Field::Connector => self.by_profile(term),
            Field::Tls | Field::TlsVersion | Field::Cipher | Field::Complete => self.by_profile(term),
            Field::Error => self.failures(term)?,
            Field::Helo => self.of_dictionary(column::HELO, self.split.names(), |name| is_text(matcher, Some(name))),
            Field::Remote => {
                let name = |name: &str| is_name(matcher, Some(name));
                let by_name = self.of_dictionary(column::REMOTE_NAME, self.split.names(), name);
                self.endpoint(column::REMOTE, matcher).or(&by_name)
            }
            Field::Local => self.endpoint(column::LOCAL, matcher),
            Field::EgressIp => {
                self.of_dictionary(column::EGRESS, self.split.hosts(), |host| is_endpoint(matcher, Some(host)))
            }
            Field::From => self.mailboxes(pair::FROM, |from| is_mailbox(matcher, from)),
            Field::To => self.mailboxes(pair::TO, |to| is_mailbox(matcher, to)),
            Field::MessageId => self.message_id(matcher),
            Field::Session => self.session_ids(matcher, |range, documents| {
                self.split.column(column::SESSION).in_range(range, |document, _| documents.insert(document));
            }),
            Field::PeerSession => self.session_ids(matcher, |range, documents| {
                self.insert_rows(pair::PEER, range, documents);
            }),
            Field::ProxySession => self.session_ids(matcher, |range, documents| {
                self.insert_rows(pair::VIA, range.clone(), documents);
                self.split.pairs(pair::LINK).in_range(range, |document| documents.insert(document));
            }),
            Field::Started => self.started(matcher),
            Field::Ended => self.ended(matcher),
            Field::Id => self.id(matcher),
            // Resolved to thumbprints before; these hold for no session.
            _ => Verdict::exact(self.none()),
        })
    }

    fn by_profile(&self, term: &Term) -> Verdict {
        Verdict::exact(self.profiles(|session| has(session, term)))
    }

    fn failures(&self, term: &Term) -> Result<Verdict, StoreError> {
        let phrases = self.phrases(&term.matcher)?.sure;
        Ok(self.by_profile(term).or(&Verdict::exact(self.with_failure(&phrases))))
    }

    /// Sessions with a failure that has one of these phrases.
    fn with_failure(&self, phrases: &Documents) -> Documents {
        let mut documents = self.none();
        self.split.pairs(pair::FAILURE).for_each(|document, phrase| {
            if phrases.contains(phrase as u32) {
                documents.insert(document);
            }
        });
        documents
    }

    /// The phrases that a matcher of texts means.
    fn phrases(&self, matcher: &Matcher) -> Result<Phrases, StoreError> {
        let none = Documents::none(self.split.phrases());
        Ok(match matcher {
            Matcher::Phrase(phrase) => {
                Phrases { sure: self.split.with_words(phrase)?, in_bracket: may_be_in_bracket(phrase) }
            }
            Matcher::Present => {
                let mut sure = none;
                let has_text = |&number: &u32| self.split.phrase(number).is_some_and(|text| !text.is_empty());
                (0..self.split.phrases()).filter(has_text).for_each(|number| sure.insert(number));
                Phrases { sure, in_bracket: false }
            }
            _ => Phrases { sure: none, in_bracket: false },
        })
    }

    /// Words anywhere: refusals, failures, HELO name, connector, or what the words look like.
    fn words(&self, words: &Words) -> Result<Verdict, StoreError> {
        let wanted = Matcher::Phrase(words.phrase.clone());
        let phrases = self.phrases(&wanted)?;
        let mut verdict = replies::with_phrases(self, &phrases);
        verdict = verdict.or(&Verdict::exact(self.with_failure(&phrases.sure)));
        let profiles = self.split.profiles_with_text(|text| is_phrase(&wanted, text));
        let mut in_profile = self.none();
        self.split.with_profiles(&profiles, &mut in_profile);
        verdict = verdict.or(&Verdict::exact(in_profile));
        verdict = verdict.or(&self.of_dictionary(column::HELO, self.split.names(), |name| is_phrase(&wanted, name)));
        for meaning in &words.meanings {
            verdict = verdict.or(&self.expr(meaning)?);
        }
        Ok(verdict)
    }

    /// Sessions with a number in a dense column whose dictionary text satisfies a predicate.
    fn of_dictionary(&self, name: &str, dictionary: Dictionary<'_>, predicate: impl Fn(&str) -> bool) -> Verdict {
        // In a column that a session may lack a number in, numbers are one higher.
        let numbers = numbers_with(dictionary, predicate, 1);
        let mut documents = self.none();
        if !numbers.is_empty() {
            self.split.column(name).among(&numbers, |document, _| documents.insert(document));
        }
        Verdict::exact(documents)
    }

    /// Sessions with a sender or recipient that satisfies a predicate.
    fn mailboxes(&self, name: pair::Name, predicate: impl Fn(&str) -> bool) -> Verdict {
        let numbers = numbers_with(self.split.mailboxes(), predicate, 0);
        let mut documents = self.none();
        if !numbers.is_empty() {
            self.split.pairs(name).among(&numbers, |document, _| documents.insert(document));
        }
        Verdict::exact(documents)
    }

    /// Inserts the sessions of refusals that have a value in a range.
    fn insert_rows(&self, name: pair::Name, range: RangeInclusive<u64>, documents: &mut Documents) {
        let of_row = self.split.column(column::REPLY_DOCUMENT);
        self.split.pairs(name).in_range(range, |row| {
            if let Some(document) = of_row.get(row) {
                documents.insert(document as u32);
            }
        });
    }

    /// By the address alone where the question allows; a question with a port leaves its addresses open.
    fn endpoint(&self, name: &str, matcher: &Matcher) -> Verdict {
        if *matcher == Matcher::Present {
            let mut documents = self.none();
            self.split.column(name).in_range(1..=u64::MAX, |document, _| documents.insert(document));
            return Verdict::exact(documents);
        }
        let sure = self.of_dictionary(name, self.split.hosts(), |host| is_endpoint(matcher, Some(host)));
        let open = self.of_dictionary(name, self.split.hosts(), |host| may_be_endpoint(matcher, host));
        Verdict { maybe: open.maybe.or(&sure.maybe), sure: sure.sure }
    }

    fn message_id(&self, matcher: &Matcher) -> Verdict {
        let mut maybe = self.none();
        let ids = self.split.pairs(pair::MESSAGE_ID);
        match matcher {
            Matcher::Exact(key) => {
                let hash = message_id_hash_of_key(key);
                ids.in_range(hash..=hash, |document| maybe.insert(document));
            }
            Matcher::Present | Matcher::Prefix(_) => ids.for_each_key(|document| maybe.insert(document)),
            _ => {}
        }
        Verdict { sure: self.none(), maybe }
    }

    fn session_ids(&self, matcher: &Matcher, insert: impl Fn(RangeInclusive<u64>, &mut Documents)) -> Verdict {
        let mut documents = self.none();
        match matcher {
            Matcher::Present => insert(0..=u64::MAX, &mut documents),
            Matcher::Sessions(ids) => insert(ids.start().0..=ids.end().0, &mut documents),
            _ => {}
        }
        Verdict::exact(documents)
    }

    fn started(&self, matcher: &Matcher) -> Verdict {
        Verdict::exact(match matcher {
            Matcher::Present => self.all(),
            Matcher::Times(times) => self.started_in(times.start().0, times.end().0),
            _ => self.none(),
        })
    }

    /// Sessions that started between two moments, both included.
    fn started_in(&self, first: i64, last: i64) -> Documents {
        let mut documents = self.none();
        let range = time_to_column(first)..=time_to_column(last);
        self.times.started.in_range(range, |document, _| documents.insert(document));
        documents
    }

    /// A session that ended did so with its last row; whether it ended is known of complete ones only.
    fn ended(&self, matcher: &Matcher) -> Verdict {
        let complete = self.profiles(|session| session.complete);
        let maybe = match matcher {
            Matcher::Present => self.all(),
            Matcher::Times(times) => self.with_last(|last| times.contains(&last)),
            _ => self.none(),
        };
        Verdict { sure: maybe.clone().and(&complete), maybe }
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

    /// Sessions whose last row is not before a moment: those that started since, and of the others those that were long
    /// enough, which are looked for where the split's longest one can have begun.
    fn lasting_to(&self, since: Timestamp) -> Documents {
        let mut documents = self.started_in(since.0, i64::MAX);
        if since.0 == i64::MIN {
            return documents;
        }
        let earliest = since.0.saturating_sub_unsigned(self.times.longest());
        let before = time_to_column(earliest)..=time_to_column(since.0 - 1);
        self.times.started.in_range(before, |document, _| {
            if self.times.last(document).is_some_and(|last| last >= since) {
                documents.insert(document);
            }
        });
        documents
    }

    /// `EX001/hub/send/08DC399000800000`, perhaps with `@` and a time: the number decides nearly everything.
    fn id(&self, matcher: &Matcher) -> Verdict {
        let wanted = match matcher {
            Matcher::Present => return Verdict::exact(self.all()),
            Matcher::Exact(id) | Matcher::Prefix(id) => id,
            _ => return Verdict::exact(self.none()),
        };
        let number = wanted.split('/').nth(3).and_then(|rest| SessionId::from_hex(rest.get(..16)?.as_bytes()));
        let maybe = match number {
            // Few sessions have it, and their records tell the rest.
            Some(SessionId(number)) => {
                let mut with_number = self.none();
                self.times.session.in_range(number..=number, |document, _| with_number.insert(document));
                with_number
            }
            None => self.profiles(|session| {
                let stream = fold(&format!("{}/", session.stream));
                wanted.starts_with(&stream) || stream.starts_with(wanted.as_str())
            }),
        };
        Verdict { sure: self.none(), maybe }
    }

    /// Sessions of which a part lies in the window.
    fn window(&self) -> Verdict {
        let window = self.query.window;
        if window.since.is_none() && window.until.is_none() {
            return Verdict::exact(self.all());
        }
        let mut documents = match window.until {
            Some(until) if until.0 > i64::MIN => self.started_in(i64::MIN, until.0 - 1),
            Some(_) => self.none(),
            None => self.all(),
        };
        if let Some(since) = window.since {
            documents = documents.and(&self.lasting_to(since));
        }
        Verdict::exact(documents)
    }
}

/// In which order independent parts are asked: first what few sessions have and columns alone tell, last what goes
/// through all refusals.
fn cost(expr: &Expr) -> u8 {
    match expr {
        Expr::Term(term) => match term.field {
            Field::Session | Field::Id | Field::From | Field::To | Field::MessageId | Field::PeerSession => 0,
            _ => 1,
        },
        Expr::All | Expr::Or(_) | Expr::And(_) => 1,
        Expr::Not(_) | Expr::Words(_) => 2,
    }
}

/// What holds if both hold, of which there may be no first.
fn joined(first: Option<Verdict>, second: Verdict) -> Verdict {
    match first {
        Some(first) => first.and(&second),
        None => second,
    }
}

/// Numbers of the texts that satisfy a predicate, each higher by `above`.
fn numbers_with(dictionary: Dictionary<'_>, predicate: impl Fn(&str) -> bool, above: u64) -> Numbers {
    let is_wanted = |text: &[u8]| std::str::from_utf8(text).is_ok_and(&predicate);
    let wanted = dictionary.iter().filter(|(_, text)| is_wanted(text));
    Numbers::new(wanted.map(|(number, _)| u64::from(number) + above).collect())
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
