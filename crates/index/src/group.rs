//! Counting: how many sessions and replies there are by field and time.
//!
//! Nearly every field is decided by a session's profile and its refusals' classes or has a column of its own, so columns
//! are counted, each combination's values are written out once, and no record is read. What is left is counted session
//! by session.

use std::{borrow::Cow, rc::Rc};

use rustc_hash::FxHashMap;
use smtplog::{Reply, Session, Text, Thumbprint, Timestamp};

use crate::{
    StoreError,
    dictionary::Dictionary,
    execute::{Deadline, matching_rows, reply_of},
    packed::Cursor,
    partners::asking,
    query::{Asking, Field, Query, Via},
    split::{
        columns::{column, followed, time_of_column},
        read::SplitReader,
    },
    store::{Answer, MissingSplit, Store, note_missing},
};

/// The unit of time in a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UTC hours.
    Hour,
    /// UTC days.
    Day,
}

/// The answer of a count.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// In order of sessions, most first.
    pub rows: Vec<GroupRow>,
    /// Splits that could not be asked.
    pub missing: Vec<MissingSplit>,
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The values, in the order asked for; `None` where a session or reply has none.
    pub values: Vec<Option<String>>,
    /// Beginning of the hour or day, if asked for.
    pub time: Option<Timestamp>,
    /// Sessions.
    pub sessions: u64,
    /// Replies; of a count without reply terms and fields, the refusals of these sessions.
    pub replies: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// The values of one combination, in the order of the fields.
type Values = Vec<Option<String>>;

/// Counts for one question, over all splits.
struct Counter<'a> {
    store: &'a Store,
    query: &'a Query,
    by: &'a [Field],
    over: Option<Over>,
    /// Whether replies are counted, each with its own values, or sessions.
    by_reply: bool,
    numbers: FxHashMap<Values, u32>,
    values: Vec<Values>,
    counts: FxHashMap<(u32, Option<Timestamp>), Count>,
    /// Sessions counted so far.
    session: u64,
}

/// What is counted of one combination.
struct Count {
    /// The last session that was counted.
    session: u64,
    sessions: u64,
    replies: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Store {
    /// Counts sessions and replies by fields.
    pub fn group(&self, query: &Query, by: &[Field], over: Option<Over>) -> Result<Groups, StoreError> {
        let groups = self.group_once(query, by, over)?;
        match self.newer_than(&groups.missing)? {
            Some(newer) => newer.group_once(query, by, over),
            None => Ok(groups),
        }
    }

    fn group_once(&self, query: &Query, by: &[Field], over: Option<Over>) -> Result<Groups, StoreError> {
        let deadline = Deadline::start();
        let query = self.resolve(query);
        let mut missing: Vec<MissingSplit> = Vec::new();
        let by_reply = query.has_reply_term() || by.iter().any(|field| field.is_of_reply());
        let mut counter = Counter::new(self, &query, by, over, by_reply);
        for answer in self.answers(&query, deadline, &mut missing)? {
            let rows = if by.iter().all(|&field| is_in_columns(field)) { counter.rows(&answer)? } else { None };
            match rows {
                Some(rows) => counter.count_columns(&answer, &rows),
                None => counter.count_records(&answer, deadline, &mut missing)?,
            }
        }
        Ok(Groups { rows: counter.finish(), missing })
    }
}

impl<'a> Counter<'a> {
    fn new(store: &'a Store, query: &'a Query, by: &'a [Field], over: Option<Over>, by_reply: bool) -> Counter<'a> {
        let (numbers, values, counts) = (FxHashMap::default(), Vec::new(), FxHashMap::default());
        Counter { store, query, by, over, by_reply, numbers, values, counts, session: 0 }
    }

    /// The refusals to count, in order; `None` if columns cannot tell.
    fn rows(&self, answer: &Answer<'_>) -> Result<Option<Vec<u32>>, StoreError> {
        if self.query.has_reply_term() {
            return matching_rows(&answer.split, self.query, self.store);
        }
        Ok(Some((0..answer.split.column(column::REPLY_DOCUMENT).len()).collect()))
    }

    /// Counts by profile and class.
    fn count_columns(&mut self, answer: &Answer<'_>, rows: &[u32]) {
        let split = &*answer.split;
        self.store.prepare(&answer.links());
        let (times, mut of_row) = (split.times(), split.column(column::REPLY_DOCUMENT).cursor());
        let (mut profiles, mut started_of) = (split.column(column::PROFILE).cursor(), times.started_in_order());
        let mut after_of = split.column(column::REPLY_TIME).cursor();
        let mut own_of = Own::of_documents(split, self.by);
        let mut combinations = Combinations { split, sessions: FxHashMap::default(), replies: FxHashMap::default() };
        let mut rows = rows.iter().copied().peekable();
        let mut own = Vec::new();
        for document in answer.documents.iter() {
            while rows.next_if(|&row| of_row.get(row).is_none_or(|of| of < u64::from(document))).is_some() {}
            own.clear();
            own.extend(std::iter::from_fn(|| rows.next_if(|&row| of_row.get(row) == Some(document.into()))));
            let (Some(profile), Some(started)) = (profiles.get(document), started_of(document)) else { continue };
            let group = Group { profile, own: own_of(document) };
            self.session += 1;
            if own.is_empty() || !self.by_reply {
                let refusals = if self.by_reply { 0 } else { own.len() as u64 };
                combinations.session(self, group).iter().for_each(|&number| self.add(number, started, refusals));
                continue;
            }
            for &row in &own {
                let Some(numbers) = combinations.reply(self, group, row) else { continue };
                let after = after_of.get(row).map_or(0, time_of_column);
                let time = Timestamp(started.0.wrapping_add(after));
                numbers.iter().for_each(|&number| self.add(number, time, 1));
            }
        }
    }

    /// Counts what only records tell.
    fn count_records(
        &mut self,
        answer: &Answer<'_>,
        deadline: Deadline,
        missing: &mut Vec<MissingSplit>,
    ) -> Result<(), StoreError> {
        let times = answer.split.times();
        self.store.prepare(&answer.links());
        for (at, document) in answer.documents.iter().enumerate() {
            if at.is_multiple_of(1_024) {
                deadline.check()?;
            }
            match answer.split.session(document, &times) {
                Some(session) => self.count_session(&self.store.named(session)),
                None => note_missing(missing, &answer.row.name, "damaged: a record cannot be read"),
            }
        }
        Ok(())
    }

    fn count_session(&mut self, session: &Session) {
        self.session += 1;
        let replies: Vec<&Reply> = match () {
            _ if self.query.has_reply_term() => {
                let matching = self.query.matching_replies_via(session, self.store);
                matching.into_iter().map(|at| &session.replies[at]).collect()
            }
            _ if self.by_reply => session.replies.iter().collect(),
            _ => Vec::new(),
        };
        if replies.is_empty() {
            let refusals = if self.by_reply { 0 } else { session.replies.len() as u64 };
            let numbers = self.numbers(session, None);
            numbers.iter().for_each(|&number| self.add(number, session.started, refusals));
        }
        for reply in replies {
            let numbers = self.numbers(session, Some(reply));
            numbers.iter().for_each(|&number| self.add(number, reply.time, 1));
        }
    }

    /// The numbers of a session's or a reply's combinations of values.
    fn numbers(&mut self, session: &Session, reply: Option<&Reply>) -> Vec<u32> {
        let rows = self.store.values(self.by, session, reply);
        let number = |values: Values| {
            *self.numbers.entry(values).or_insert_with_key(|values| {
                self.values.push(values.clone());
                self.values.len() as u32 - 1
            })
        };
        rows.into_iter().map(number).collect()
    }

    fn add(&mut self, number: u32, time: Timestamp, replies: u64) {
        let key = (number, self.over.map(|over| over.beginning(time)));
        let new = || Count { session: 0, sessions: 0, replies: 0, first: time, last: time };
        let count = self.counts.entry(key).or_insert_with(new);
        count.sessions += u64::from(std::mem::replace(&mut count.session, self.session) != self.session);
        count.replies += replies;
        count.first = count.first.min(time);
        count.last = count.last.max(time);
    }

    fn finish(self) -> Vec<GroupRow> {
        let Counter { values, counts, over, .. } = self;
        let row = |((number, time), count): ((u32, Option<Timestamp>), Count)| {
            let Count { sessions, replies, first, last, .. } = count;
            GroupRow { values: values[number as usize].clone(), time, sessions, replies, first, last }
        };
        let mut rows: Vec<GroupRow> = counts.into_iter().map(row).collect();
        let by_count = |a: &GroupRow, b: &GroupRow| b.sessions.cmp(&a.sessions).then(b.replies.cmp(&a.replies));
        rows.sort_unstable_by(|a, b| match over {
            Some(_) => a.time.cmp(&b.time).then(b.sessions.cmp(&a.sessions)).then_with(|| a.values.cmp(&b.values)),
            None => by_count(a, b).then_with(|| a.values.cmp(&b.values)),
        });
        rows
    }
}

/// What decides the values of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Group {
    profile: u64,
    own: Own,
}

/// Values that have a column of their own, by their numbers there; 0 where a session has none, and where nobody asks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Own {
    egress: u64,
    helo: u64,
}

impl Own {
    /// Gives what each document has of the fields that are asked for.
    fn of_documents<'a>(split: &'a SplitReader, by: &[Field]) -> impl FnMut(u32) -> Own + use<'a> {
        let column_of = |field, name| by.contains(&field).then(|| split.column(name).cursor());
        let mut egress = column_of(Field::EgressIp, column::EGRESS);
        let mut helo = column_of(Field::Helo, column::HELO);
        move |document| {
            let number = |column: &mut Option<Cursor<'_>>| column.as_mut()?.get(document);
            Own { egress: number(&mut egress).unwrap_or(0), helo: number(&mut helo).unwrap_or(0) }
        }
    }
}

impl Group {
    /// A session that has nothing but these values.
    fn session(self, split: &SplitReader) -> Option<Cow<'_, Session>> {
        let profile = split.profile(self.profile)?;
        if self.own == Own::default() {
            return Some(Cow::Borrowed(profile));
        }
        let text = |dictionary: Dictionary<'_>, number: u64| {
            let text = dictionary.text(u32::try_from(number.checked_sub(1)?).ok()?)?;
            Text::from_utf8(text).ok()
        };
        let egress_ip = text(split.hosts(), self.own.egress);
        Some(Cow::Owned(Session { egress_ip, helo: text(split.names(), self.own.helo), ..profile.clone() }))
    }
}

/// The combinations of a split, each written out once.
struct Combinations<'a> {
    split: &'a SplitReader,
    sessions: FxHashMap<Group, Rc<[u32]>>,
    replies: FxHashMap<(Group, u64, Option<Thumbprint>), Rc<[u32]>>,
}

impl Combinations<'_> {
    /// Those of a session.
    fn session(&mut self, counter: &mut Counter<'_>, group: Group) -> Rc<[u32]> {
        let Combinations { split, sessions, .. } = self;
        let mut numbers = || group.session(split).map(|session| counter.numbers(&session, None)).unwrap_or_default();
        Rc::clone(sessions.entry(group).or_insert_with(|| numbers().into()))
    }

    /// Those of a refusal, by its class and what its session has.
    fn reply(&mut self, counter: &mut Counter<'_>, group: Group, row: u32) -> Option<Rc<[u32]>> {
        let number = self.split.column(column::REPLY_CLASS).get(row)?;
        let class = self.split.reply_class(u32::try_from(number).ok()?)?;
        let via = || presented_via(self.split, counter.store, row);
        let presented = class.presented.or_else(|| if class.via { via() } else { None });
        let key = (group, number, presented);
        if let Some(numbers) = self.replies.get(&key) {
            return Some(Rc::clone(numbers));
        }
        let session = group.session(self.split)?;
        let numbers = counter.numbers(&session, Some(&Reply { presented, ..reply_of(&class) }));
        let numbers: Rc<[u32]> = numbers.into();
        self.replies.insert(key, Rc::clone(&numbers));
        Some(numbers)
    }
}

/// What the front end presented for a refusal.
pub(crate) fn presented_via(split: &SplitReader, via: &dyn Via, row: u32) -> Option<Thumbprint> {
    let (asking, link) = asking(split, split.followed(&followed::VIA).place_of(row)?)?;
    via.presented(&asking, link)
}

impl Store {
    /// The values of the fields for a session, or for one of its replies; fields with several values give several.
    fn values(&self, by: &[Field], session: &Session, reply: Option<&Reply>) -> Vec<Vec<Option<String>>> {
        let mut rows: Vec<Vec<Option<String>>> = vec![Vec::new()];
        for &field in by {
            let values = self.values_of(field, session, reply);
            rows = rows
                .iter()
                .flat_map(|row| values.iter().map(|value| row.iter().cloned().chain([value.clone()]).collect()))
                .collect();
        }
        rows
    }

    fn values_of(&self, field: Field, session: &Session, reply: Option<&Reply>) -> Vec<Option<String>> {
        let certificates = match reply {
            Some(reply) => {
                let via = || reply.presented_via.and_then(|link| self.presented(&Asking::of(session), link));
                (reply.presented.or_else(via), reply.received)
            }
            None => (session.presented(), session.received()),
        };
        let is_send = session.stream.direction == smtplog::Direction::Send;
        let (client, server) = if is_send { certificates } else { (certificates.1, certificates.0) };
        let thumbprint = |thumbprint: Option<Thumbprint>| vec![thumbprint.map(|thumbprint| thumbprint.to_string())];
        match field {
            Field::Presented => thumbprint(certificates.0),
            Field::Received => thumbprint(certificates.1),
            Field::ClientCert => thumbprint(client),
            Field::ServerCert => thumbprint(server),
            Field::Thumbprint => {
                let both = [certificates.0, certificates.1];
                some_or_none(both.into_iter().flatten().map(|thumbprint| thumbprint.to_string()).collect())
            }
            Field::Code => vec![reply.map(|reply| reply.code.to_string())],
            Field::Status => vec![reply.and_then(|reply| reply.status.as_ref()).map(ToString::to_string)],
            Field::Attr => vec![reply.and_then(|reply| reply.attr.as_ref()).map(ToString::to_string)],
            Field::Text => vec![reply.map(text_without_bracket)],
            _ => self.values_of_session(field, session),
        }
    }

    fn values_of_session(&self, field: Field, session: &Session) -> Vec<Option<String>> {
        let text = |text: &str| vec![(!text.is_empty()).then(|| text.to_owned())];
        let optional = |text: Option<&smtplog::Text>| vec![text.map(ToString::to_string)];
        let host = |endpoint: Option<&smtplog::Text>| {
            vec![endpoint.map(|endpoint| crate::query::split_endpoint(endpoint).0.to_owned())]
        };
        match field {
            Field::Id => vec![Some(session.id())],
            Field::Session => vec![Some(session.session.to_string())],
            Field::Server => vec![Some(session.stream.server.to_string())],
            Field::Role => vec![Some(session.stream.role.to_string())],
            Field::Direction => vec![Some(session.stream.direction.to_string())],
            Field::Connector => text(&session.connector),
            Field::Helo => optional(session.helo.as_ref()),
            Field::Remote => host(session.remote.as_ref()),
            Field::Local => host(session.local.as_ref()),
            Field::EgressIp => optional(session.egress_ip.as_ref()),
            Field::From => some_or_none(session.messages.iter().map(|message| message.from.to_string()).collect()),
            Field::To => {
                let to = session.messages.iter().flat_map(|message| &message.to).map(ToString::to_string);
                some_or_none(to.collect())
            }
            Field::MessageId => {
                let ids = session.messages.iter().filter_map(|message| message.message_id.as_ref());
                some_or_none(ids.map(ToString::to_string).collect())
            }
            Field::PeerSession => {
                let peers = session.replies.iter().filter_map(|reply| reply.peer.as_ref()?.session);
                some_or_none(peers.map(|id| id.to_string()).collect())
            }
            Field::ProxySession => some_or_none(session.proxy.iter().map(|link| link.session.to_string()).collect()),
            Field::Tls => vec![Some(session.tls.outcome.as_str().to_owned())],
            Field::TlsVersion => optional(session.tls.version.as_ref()),
            Field::Cipher => optional(session.tls.cipher.as_ref()),
            Field::Error => some_or_none(crate::query::error_texts(session).map(str::to_owned).collect()),
            Field::Complete => vec![Some(session.complete.to_string())],
            Field::Started => vec![Some(session.started.to_string())],
            Field::Ended => vec![session.ended.map(|ended| ended.to_string())],
            Field::Subject | Field::Issuer | Field::Serial | Field::San => {
                vec![session.presented().and_then(|thumbprint| self.name_of(thumbprint, field))]
            }
            _ => vec![None],
        }
    }

    /// A name of the presented certificate.
    fn name_of(&self, thumbprint: Thumbprint, field: Field) -> Option<String> {
        let names = self.certificate_names();
        let at = names.binary_search_by_key(&thumbprint, |certificate| certificate.thumbprint).ok()?;
        let certificate = &names[at];
        let name = match field {
            Field::Subject => &certificate.subject,
            Field::Issuer => &certificate.issuer,
            Field::Serial => &certificate.serial,
            _ => &certificate.names,
        };
        (!name.is_empty()).then(|| name.clone())
    }
}

impl Over {
    /// The beginning of the hour or day that a moment lies in.
    pub fn beginning(self, time: Timestamp) -> Timestamp {
        let unit = match self {
            Over::Hour => 3_600_000,
            Over::Day => smtplog::civil::DAY_MS,
        };
        Timestamp(time.0 - time.0.rem_euclid(unit))
    }
}

fn some_or_none(mut values: Vec<String>) -> Vec<Option<String>> {
    values.sort_unstable();
    values.dedup();
    if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
}

/// Refusals differ in nothing else but the remote's own id for them, so they are counted without it.
fn text_without_bracket(reply: &Reply) -> String {
    match (&reply.peer, reply.text.rfind('[')) {
        (Some(_), Some(at)) => reply.text[..at].trim_end().to_owned(),
        _ => reply.text.to_string(),
    }
}

/// Fields whose value a session's profile, a refusal's class or a column of their own decides.
fn is_in_columns(field: Field) -> bool {
    use Field::{
        Attr, Cipher, ClientCert, Code, Complete, Connector, Direction, EgressIp, Helo, Issuer, Presented, Received,
        Role, San, Serial, Server, ServerCert, Status, Subject, Thumbprint, Tls, TlsVersion,
    };
    let of_profile = matches!(field, Server | Role | Direction | Connector | Complete | Tls | TlsVersion | Cipher);
    let of_certificate = matches!(field, Presented | Received | ClientCert | ServerCert | Thumbprint);
    let of_reply = matches!(field, Code | Status | Attr);
    of_profile || of_certificate || of_reply || matches!(field, Subject | Issuer | Serial | San | EgressIp | Helo)
}
