//! The columns of a split: numbers by session, by refusal, or by pair, each a file of packed numbers.
//!
//! * **Dense** columns have a number for every session. Those into dictionaries that a session may lack are one higher,
//!   and 0 stands for none.
//! * **Refusals** have rows of their own, in order of session: class, phrase, time and session of each. So what must
//!   hold for the same reply is decided here, without a session's record.
//! * **Pairs** hold what a session or a refusal may have any number of: two files, keys in order and their values.
//! * **Followed** pairs have the profile and times of their session beside them, so that links are followed from split
//!   to split without touching the dense columns all over each. Those that are looked up by value are in its order.
//! * **Runs** are sessions of one stream that follow one another, as one file has them: their ids and times lie close
//!   together, so that a session is looked up by its id in a few of them.
//! * **Lists** turn a column round: the sessions of each profile, the refusals of each class.
//!
//! They hold numbers only: of dictionary entries, times, ids, hashes. What is unique to a session (its id, message ids)
//! is a column and never a term: a term for each would triple the store.

use std::sync::Arc;

use smtplog::{Direction, ProxyKind, ProxyRole, Session, Stream, Timestamp};

use super::record::Numbers;
use crate::packed::{self, Packed, pack, pack_small};

/// Names of dense columns and of those of refusals.
pub(crate) mod column {
    pub(crate) const PROFILE: &str = "profile";
    pub(crate) const STARTED: &str = "started";
    pub(crate) const DURATION: &str = "duration";
    pub(crate) const SESSION: &str = "session";
    /// The run that brought the session; absent from splits of before layout 5.
    pub(crate) const BROUGHT: &str = "brought";
    pub(crate) const HELO: &str = "helo";
    pub(crate) const REMOTE_NAME: &str = "remote_name";
    pub(crate) const LOCAL: &str = "local";
    pub(crate) const REMOTE: &str = "remote";
    pub(crate) const EGRESS: &str = "egress";
    /// Of each refusal: its session.
    pub(crate) const REPLY_DOCUMENT: &str = "reply.document";
    pub(crate) const REPLY_CLASS: &str = "reply.class";
    pub(crate) const REPLY_PHRASE: &str = "reply.phrase";
    /// Milliseconds after the session's start, as [`super::time_to_column`] writes them.
    pub(crate) const REPLY_TIME: &str = "reply.time";
    /// Of each refusal whose certificate stands in another session, in the order of [`super::followed::VIA`]: its class,
    /// and by how much the link is greater than its session's own id, which it mostly is.
    pub(crate) const VIA_CLASS: &str = "via.class";
    pub(crate) const VIA_BEYOND: &str = "via.beyond";
    /// Of each run of sessions of one stream: its first session, its least and greatest id, its earliest start and its
    /// latest row.
    pub(crate) const RUN_FIRST: &str = "run.first";
    pub(crate) const RUN_LEAST: &str = "run.least";
    pub(crate) const RUN_GREATEST: &str = "run.greatest";
    pub(crate) const RUN_STARTED: &str = "run.started";
    pub(crate) const RUN_LAST: &str = "run.last";
    /// Of each phrase: its text, and one more than the peer's name that follows.
    pub(crate) const PHRASE_TEXT: &str = "phrase.text";
    pub(crate) const PHRASE_HOST: &str = "phrase.host";
}

/// Names of pairs: the files of their keys and values.
pub(crate) mod pair {
    pub(crate) type Name = (&'static str, &'static str);
    pub(crate) const FROM: Name = ("from.key", "from.value");
    pub(crate) const TO: Name = ("to.key", "to.value");
    pub(crate) const MESSAGE_ID: Name = ("message_id.key", "message_id.value");
    /// Proxy links of a session, of any kind.
    pub(crate) const LINK: Name = ("link.key", "link.value");
    /// Phrases of failures that are no replies.
    pub(crate) const FAILURE: Name = ("failure.key", "failure.value");
    /// Of refusals: the remote's session id, and the session that has the certificate.
    pub(crate) const PEER: Name = ("peer.key", "peer.value");
    pub(crate) const VIA: Name = super::followed::VIA.pairs;
}

/// Names of pairs with the profile, start and duration of the session of each.
pub(crate) mod followed {
    pub(crate) struct Name {
        pub(crate) pairs: super::pair::Name,
        pub(in super::super) profile: &'static str,
        pub(in super::super) started: &'static str,
        pub(in super::super) duration: &'static str,
    }

    /// Of refusals: the session that has the certificate. In order of key.
    pub(crate) const VIA: Name = Name {
        pairs: ("via.key", "via.value"),
        profile: "via.profile",
        started: "via.started",
        duration: "via.duration",
    };
    /// Of sessions that presented a certificate: the one for which they carry outbound mail. In order of value.
    pub(crate) const RELAY: Name = Name {
        pairs: ("relay.key", "relay.value"),
        profile: "relay.profile",
        started: "relay.started",
        duration: "relay.duration",
    };
    /// Of sending sessions that presented a certificate: any other that they name. In order of value.
    pub(crate) const SENDS: Name = Name {
        pairs: ("sends.key", "sends.value"),
        profile: "sends.profile",
        started: "sends.started",
        duration: "sends.duration",
    };
}

/// Names of lists: the files of where each begins, and of what they list.
pub(crate) mod list {
    pub(crate) type Name = (&'static str, &'static str);
    pub(crate) const PROFILES: Name = ("profiles.start", "profiles.document");
    pub(crate) const CLASSES: Name = ("classes.start", "classes.row");
}

/// Keys in order, and values.
#[derive(Default)]
struct PairsBuilder {
    keys: Vec<u32>,
    values: Vec<u64>,
}

impl PairsBuilder {
    fn push(&mut self, key: u32, value: u64) {
        self.keys.push(key);
        self.values.push(value);
    }

    fn bytes(&self) -> usize {
        12 * self.keys.len()
    }
}

/// Pairs, and of each the profile and times of its session.
#[derive(Default)]
struct FollowedBuilder {
    pairs: PairsBuilder,
    profile: Vec<u32>,
    started: Vec<u64>,
    duration: Vec<u64>,
}

impl FollowedBuilder {
    fn push(&mut self, key: u32, value: u64, session: &Session, profile: u32) {
        self.pairs.push(key, value);
        self.profile.push(profile);
        self.started.push(time_to_column(session.started.0));
        self.duration.push(duration_to_column(session));
    }

    /// The same in order of value.
    fn by_value(&self) -> FollowedBuilder {
        let mut places: Vec<usize> = (0..self.profile.len()).collect();
        places.sort_by_key(|&at| self.pairs.values[at]);
        let mut sorted = FollowedBuilder::default();
        for at in places {
            sorted.pairs.push(self.pairs.keys[at], self.pairs.values[at]);
            sorted.profile.push(self.profile[at]);
            sorted.started.push(self.started[at]);
            sorted.duration.push(self.duration[at]);
        }
        sorted
    }

    fn encode(&self, name: &followed::Name, files: &mut Vec<(&'static str, Vec<u8>)>) {
        let (key, value) = name.pairs;
        files.push((key, pack_small(&self.pairs.keys)));
        files.push((value, pack(&self.pairs.values)));
        files.push((name.profile, pack_small(&self.profile)));
        files.push((name.started, pack(&self.started)));
        files.push((name.duration, pack(&self.duration)));
    }

    fn bytes(&self) -> usize {
        self.pairs.bytes() + 20 * self.profile.len()
    }
}

/// Sessions of one run. A large file makes several, so that ids and times stay close.
const RUN_SESSIONS_MAX: u32 = 512;

/// Runs of sessions.
#[derive(Default)]
struct RunsBuilder {
    stream: Option<Arc<Stream>>,
    first: Vec<u32>,
    least: Vec<u64>,
    greatest: Vec<u64>,
    started: Vec<u64>,
    last: Vec<u64>,
}

impl RunsBuilder {
    fn add(&mut self, document: u32, session: &Session) {
        let is_same = self.stream.as_ref().is_some_and(|stream| Arc::ptr_eq(stream, &session.stream));
        let is_full = self.first.last().is_none_or(|&first| document - first >= RUN_SESSIONS_MAX);
        if !is_same || is_full {
            self.stream = Some(Arc::clone(&session.stream));
            self.first.push(document);
            self.least.push(u64::MAX);
            self.greatest.push(0);
            self.started.push(u64::MAX);
            self.last.push(0);
        }
        let (id, started) = (session.session.0, time_to_column(session.started.0));
        let widen = |numbers: &mut Vec<u64>, wider: fn(u64, u64) -> u64, number: u64| {
            if let Some(last) = numbers.last_mut() {
                *last = wider(*last, number);
            }
        };
        widen(&mut self.least, u64::min, id);
        widen(&mut self.greatest, u64::max, id);
        widen(&mut self.started, u64::min, started);
        widen(&mut self.last, u64::max, time_to_column(session.last.0));
    }
}

/// The columns of a split that is being written.
#[derive(Default)]
pub(super) struct ColumnsBuilder {
    runs: RunsBuilder,
    profile: Vec<u32>,
    started: Vec<u64>,
    duration: Vec<u64>,
    session: Vec<u64>,
    brought: Vec<u64>,
    helo: Vec<u32>,
    remote_name: Vec<u32>,
    local: Vec<u32>,
    remote: Vec<u32>,
    egress: Vec<u32>,
    from: PairsBuilder,
    to: PairsBuilder,
    message_id: PairsBuilder,
    link: PairsBuilder,
    relay: FollowedBuilder,
    sends: FollowedBuilder,
    failure: PairsBuilder,
    reply_document: Vec<u32>,
    reply_class: Vec<u32>,
    reply_phrase: Vec<u32>,
    reply_time: Vec<u64>,
    peer: PairsBuilder,
    via: FollowedBuilder,
    via_class: Vec<u32>,
    via_beyond: Vec<u64>,
}

impl ColumnsBuilder {
    /// Adds a session whose texts have these numbers, and returns its document number.
    pub(super) fn add(&mut self, session: &Session, numbers: &Numbers, run: u64) -> u32 {
        let document = self.profile.len() as u32;
        self.runs.add(document, session);
        self.profile.push(numbers.profile);
        self.started.push(time_to_column(session.started.0));
        self.duration.push(duration_to_column(session));
        self.session.push(session.session.0);
        self.brought.push(run);
        let or_none = |number: Option<u32>| number.map_or(0, |number| number + 1);
        self.helo.push(or_none(numbers.helo));
        self.remote_name.push(or_none(numbers.remote_name));
        self.local.push(or_none(numbers.local));
        self.remote.push(or_none(numbers.remote));
        self.egress.push(or_none(numbers.egress));
        self.add_messages(document, session, numbers);
        self.add_replies(document, session, numbers);
        self.add_links(document, session, numbers.profile);
        numbers.failures.iter().for_each(|&phrase| self.failure.push(document, phrase.into()));
        document
    }

    fn add_messages(&mut self, document: u32, session: &Session, numbers: &Numbers) {
        numbers.from.iter().for_each(|&from| self.from.push(document, from.into()));
        numbers.to.iter().for_each(|&to| self.to.push(document, to.into()));
        for id in session.messages.iter().filter_map(|message| message.message_id.as_deref()) {
            self.message_id.push(document, message_id_hash(id));
        }
    }

    fn add_links(&mut self, document: u32, session: &Session, profile: u32) {
        let has_certificate = session.presented().is_some();
        let sends = session.stream.direction == Direction::Send;
        for link in &session.proxy {
            self.link.push(document, link.session.0);
            if has_certificate && link.kind == ProxyKind::Outbound && link.role == ProxyRole::Relay {
                self.relay.push(document, link.session.0, session, profile);
            } else if has_certificate && sends && link.session != session.session {
                self.sends.push(document, link.session.0, session, profile);
            }
        }
    }

    fn add_replies(&mut self, document: u32, session: &Session, numbers: &Numbers) {
        for (reply, &(class, phrase)) in session.replies.iter().zip(&numbers.replies) {
            let row = self.reply_document.len() as u32;
            self.reply_document.push(document);
            self.reply_class.push(class);
            self.reply_phrase.push(phrase);
            self.reply_time.push(time_to_column(reply.time.0.wrapping_sub(session.started.0)));
            if let Some(id) = reply.peer.as_ref().and_then(|peer| peer.session) {
                self.peer.push(row, id.0);
            }
            if let Some(via) = reply.presented_via {
                self.via.push(row, via.0, session, numbers.profile);
                self.via_class.push(class);
                self.via_beyond.push(via.0.wrapping_sub(session.session.0));
            }
        }
    }

    /// Bytes held, for the bound on a split's memory.
    pub(super) fn bytes(&self) -> usize {
        let pairs = [&self.from, &self.to, &self.message_id, &self.link, &self.failure, &self.peer];
        let of_pairs: usize = pairs.into_iter().map(PairsBuilder::bytes).sum();
        let of_followed: usize = [&self.relay, &self.sends, &self.via].into_iter().map(FollowedBuilder::bytes).sum();
        of_pairs + of_followed + self.profile.len() * (6 * 4 + 4 * 8) + self.reply_document.len() * (3 * 4 + 8)
    }

    /// The files of all columns.
    pub(super) fn encode(&self) -> Vec<(&'static str, Vec<u8>)> {
        let small = [
            (column::PROFILE, &self.profile),
            (column::HELO, &self.helo),
            (column::REMOTE_NAME, &self.remote_name),
            (column::LOCAL, &self.local),
            (column::REMOTE, &self.remote),
            (column::EGRESS, &self.egress),
            (column::REPLY_DOCUMENT, &self.reply_document),
            (column::REPLY_CLASS, &self.reply_class),
            (column::REPLY_PHRASE, &self.reply_phrase),
            (column::VIA_CLASS, &self.via_class),
            (column::RUN_FIRST, &self.runs.first),
        ];
        let wide = [
            (column::STARTED, &self.started),
            (column::DURATION, &self.duration),
            (column::SESSION, &self.session),
            (column::BROUGHT, &self.brought),
            (column::REPLY_TIME, &self.reply_time),
            (column::VIA_BEYOND, &self.via_beyond),
            (column::RUN_LEAST, &self.runs.least),
            (column::RUN_GREATEST, &self.runs.greatest),
            (column::RUN_STARTED, &self.runs.started),
            (column::RUN_LAST, &self.runs.last),
        ];
        let mut files: Vec<(&str, Vec<u8>)> = small.map(|(name, numbers)| (name, pack_small(numbers))).into();
        files.extend(wide.map(|(name, numbers)| (name, pack(numbers))));
        for ((key, value), pairs) in self.pairs() {
            files.push((key, pack_small(&pairs.keys)));
            files.push((value, pack(&pairs.values)));
        }
        self.via.encode(&followed::VIA, &mut files);
        self.relay.by_value().encode(&followed::RELAY, &mut files);
        self.sends.by_value().encode(&followed::SENDS, &mut files);
        for ((start, entry), of) in [(list::PROFILES, &self.profile), (list::CLASSES, &self.reply_class)] {
            let (starts, entries) = lists(of);
            files.push((start, pack_small(&starts)));
            files.push((entry, pack_small(&entries)));
        }
        files
    }

    fn pairs(&self) -> [(pair::Name, &PairsBuilder); 6] {
        [
            (pair::FROM, &self.from),
            (pair::TO, &self.to),
            (pair::MESSAGE_ID, &self.message_id),
            (pair::LINK, &self.link),
            (pair::FAILURE, &self.failure),
            (pair::PEER, &self.peer),
        ]
    }
}

/// For each number that occurs the places that have it, one list after the other, and where each list begins.
fn lists(numbers: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let lists = numbers.iter().max().map_or(0, |&greatest| greatest as usize + 1);
    let mut starts = vec![0; lists + 1];
    numbers.iter().for_each(|&number| starts[number as usize + 1] += 1);
    for number in 0..lists {
        starts[number + 1] += starts[number];
    }
    let mut next = starts.clone();
    let mut entries = vec![0; numbers.len()];
    for (place, &number) in (0..).zip(numbers) {
        let entry = &mut next[number as usize];
        entries[*entry as usize] = place;
        *entry += 1;
    }
    (starts, entries)
}

/// Pairs, read in place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pairs<'a> {
    pub(super) keys: Packed<'a>,
    pub(super) values: Packed<'a>,
}

impl<'a> Pairs<'a> {
    /// Every key.
    pub(crate) fn for_each_key(&self, mut found: impl FnMut(u32)) {
        self.keys.for_each(|_, key| found(key as u32));
    }

    /// Every key and its values.
    pub(crate) fn for_each(&self, mut found: impl FnMut(u32, u64)) {
        self.values.for_each(|at, value| {
            if let Some(key) = self.keys.get(at) {
                found(key as u32, value);
            }
        });
    }

    /// Keys with a value in a range.
    pub(crate) fn in_range(&self, range: std::ops::RangeInclusive<u64>, mut found: impl FnMut(u32)) {
        self.values.in_range(range, |at, _| found(self.keys.get(at).unwrap_or(u64::MAX) as u32));
    }

    /// Keys with one of these values, and the value.
    pub(crate) fn among(&self, wanted: &packed::Numbers, mut found: impl FnMut(u32, u64)) {
        self.values.among(wanted, |at, value| found(self.keys.get(at).unwrap_or(u64::MAX) as u32, value));
    }
}

/// Followed pairs, read in place.
#[derive(Clone, Copy)]
pub(crate) struct Followed<'a> {
    pub(super) pairs: Pairs<'a>,
    pub(super) profile: Packed<'a>,
    pub(super) started: Packed<'a>,
    pub(super) duration: Packed<'a>,
}

/// One of followed pairs.
pub(crate) struct FollowedPair {
    pub(crate) key: u32,
    pub(crate) value: u64,
    /// Number of the session's profile.
    pub(crate) profile: u32,
    /// Times of the session.
    pub(crate) started: Timestamp,
    pub(crate) last: Timestamp,
}

impl<'a> Followed<'a> {
    /// Every place and its key.
    pub(crate) fn for_each_key(&self, mut found: impl FnMut(u32, u32)) {
        self.pairs.keys.for_each(|at, key| found(at, key as u32));
    }

    /// The pair at a place.
    pub(crate) fn get(&self, at: u32) -> Option<FollowedPair> {
        let started = time_of_column(self.started.get(at)?);
        Some(FollowedPair {
            key: u32::try_from(self.pairs.keys.get(at)?).ok()?,
            value: self.pairs.values.get(at)?,
            profile: u32::try_from(self.profile.get(at)?).ok()?,
            started: Timestamp(started),
            last: Timestamp(started.wrapping_add(self.duration.get(at)? as i64)),
        })
    }

    /// The place of the first pair of a key, where they are in its order.
    pub(crate) fn place_of(&self, key: u32) -> Option<u32> {
        let at = self.pairs.keys.lower_bound(key.into());
        (self.pairs.keys.get(at) == Some(key.into())).then_some(at)
    }

    /// Pairs with one of these values.
    pub(crate) fn among(&self, wanted: &packed::Numbers, mut found: impl FnMut(FollowedPair)) {
        self.pairs.values.among(wanted, |at, _| self.get(at).into_iter().for_each(&mut found));
    }
}

/// Lists, read in place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lists<'a> {
    pub(super) starts: Packed<'a>,
    pub(super) entries: Packed<'a>,
}

impl<'a> Lists<'a> {
    /// What the list of a number has, in order.
    pub(crate) fn of(&self, number: u32) -> impl Iterator<Item = u32> + 'a {
        let bound = |at: Option<u32>| at.and_then(|at| self.starts.get(at)).map_or(0, |bound| bound as u32);
        let (start, end) = (bound(Some(number)), bound(number.checked_add(1)));
        self.entries.between(start, end).map(|entry| entry as u32)
    }
}

/// A time as the columns hold it: they are unsigned, and times before 1970 sort first.
pub(crate) fn time_to_column(ms: i64) -> u64 {
    (ms as u64) ^ (1 << 63)
}

/// The inverse of [`time_to_column`].
pub(crate) fn time_of_column(value: u64) -> i64 {
    (value ^ (1 << 63)) as i64
}

/// Milliseconds from a session's first row to its last, as the columns hold them.
fn duration_to_column(session: &Session) -> u64 {
    session.last.0.wrapping_sub(session.started.0) as u64
}

/// What a message id's column holds: 40 bits of its hash. The record decides in the end, and shorter values make the
/// largest column of a split a third smaller.
fn message_id_hash(message_id: &str) -> u64 {
    message_id_hash_of_key(&crate::query::message_id_key(message_id))
}

/// The same from what message ids are compared by.
pub(crate) fn message_id_hash_of_key(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes()) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_turn_a_column_round() {
        let (starts, entries) = lists(&[1, 0, 1, 3]);
        assert_eq!((starts, entries), (vec![0, 1, 3, 3, 4], vec![1, 0, 2, 3]));
        assert_eq!(lists(&[]), (vec![0], vec![]));
    }

    #[test]
    fn lists_and_pairs_are_read_in_place() {
        let (starts, entries) = lists(&[1, 0, 1, 3]);
        let (starts, entries) = (pack_small(&starts), pack_small(&entries));
        let lists = Lists { starts: Packed::open(&starts).unwrap(), entries: Packed::open(&entries).unwrap() };
        let of = |number| lists.of(number).collect::<Vec<_>>();
        assert_eq!(
            [of(0), of(1), of(2), of(3), of(4), of(u32::MAX)],
            [vec![1], vec![0, 2], vec![], vec![3], vec![], vec![]]
        );
        let (keys, values) = (pack_small(&[2, 2, 5]), pack(&[7, 8, 7]));
        let pairs = Pairs { keys: Packed::open(&keys).unwrap(), values: Packed::open(&values).unwrap() };
        let followed =
            Followed { pairs, profile: Packed::default(), started: Packed::default(), duration: Packed::default() };
        assert_eq!([1, 2, 5, 6].map(|key| followed.place_of(key)), [None, Some(0), Some(2), None]);
        let mut found = Vec::new();
        pairs.among(&packed::Numbers::new(vec![7]), |key, value| found.push((key, value)));
        assert_eq!(found, [(2, 7), (5, 7)]);
    }

    #[test]
    fn times_keep_their_order() {
        let times = [i64::MIN, -1, 0, 1_709_251_200_000, i64::MAX];
        assert!(times.map(time_to_column).is_sorted());
        assert_eq!(times.map(|time| time_of_column(time_to_column(time))), times);
    }
}
