//! Feeds: the sessions that some runs brought, in an order that no merge changes, a batch at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smtplog::{Session, SessionId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Checkpoint, Sent, SentKey, Store, StoreError, catalog,
    execute::Deadline,
    exports,
    query::{Expr, Field, Matcher, Place, Query, Term, Via, Window},
    rewrite::DAY_MS,
    split::columns::{column, time_of_column, time_to_column},
    store::{Answer, Hits, MissingSplit, SearchOptions, Sort, note_missing},
};

/// A session's place in the order of feeds: by its start, then by its id and stream, so that it is the same in every
/// split that the session ever lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPlace {
    /// Its first row.
    pub started: Timestamp,
    /// Its id.
    pub session: SessionId,
    /// Hash of its stream's name.
    pub stream: u64,
}

impl FeedPlace {
    /// The place of a session.
    pub fn of(session: &Session) -> FeedPlace {
        let stream = xxh3_64(session.stream.to_string().as_bytes());
        FeedPlace { started: session.started, session: session.session, stream }
    }

    pub(crate) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.started.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.session.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.stream.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<FeedPlace> {
        let (started, rest) = bytes.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        Some(FeedPlace {
            started: Timestamp(i64::from_le_bytes(*started)),
            session: SessionId(u64::from_le_bytes(*session)),
            stream: u64::from_le_bytes(*rest.first_chunk()?),
        })
    }
}

/// Which sessions a feed has.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Those that match.
    pub query: Query,
    /// Those that runs after this one brought.
    pub after_run: u64,
    /// Those that runs up to this one brought.
    pub until_run: u64,
    /// Those behind this place.
    pub after: Option<FeedPlace>,
    /// Whether those that are open, or only those that are not.
    pub open: bool,
}

/// Sessions of a feed with their places.
#[derive(Debug, Default)]
pub struct FeedBatch {
    /// The sessions, in order.
    pub sessions: Vec<Session>,
    /// The place of the last of them.
    pub last: Option<FeedPlace>,
    /// Splits of which some could not be read.
    pub missing: Vec<MissingSplit>,
}

/// Some sessions of a feed, not read yet, so that several threads can read.
pub struct FeedPlaces<'s> {
    store: &'s Store,
    answers: Arc<Vec<Answer<'s>>>,
    places: Vec<(FeedPlace, u32, u32)>,
}

impl FeedPlaces<'_> {
    /// Reads them.
    pub fn read(&self) -> FeedBatch {
        let last = self.places.last().map(|(place, ..)| *place);
        let mut batch = FeedBatch { sessions: Vec::with_capacity(self.places.len()), last, missing: Vec::new() };
        for (_, at, document) in &self.places {
            let answer = &self.answers[*at as usize];
            match answer.split.session(*document, &answer.split.times()) {
                Some(session) => batch.sessions.push(self.store.named(session)),
                None => note_missing(&mut batch.missing, &answer.row.name, "damaged: a record cannot be read"),
            }
        }
        batch
    }
}

/// Sessions in the order of their places.
pub struct Feed<'s> {
    store: &'s Store,
    answers: Arc<Vec<Answer<'s>>>,
    /// The days on which sessions started, the last day first, each with the answers that have some.
    days: Vec<Vec<usize>>,
    day_numbers: Vec<i64>,
    /// The day that is being read, its last session first.
    day: Vec<(FeedPlace, u32, u32)>,
    options: FeedOptions,
    missing: Vec<MissingSplit>,
}

impl Store {
    /// The number of the latest run that the snapshot has.
    pub fn newest_run(&self) -> Result<u64, StoreError> {
        catalog::newest_run(&self.catalog())
    }

    /// The exports that the store knows, by name.
    pub fn exports(&self) -> Result<Vec<Checkpoint>, StoreError> {
        exports::checkpoints(&self.catalog(), None)
    }

    /// What an export had sent of one thing when the snapshot was taken.
    pub fn sent(&self, export: &str, key: &SentKey) -> Result<Option<Sent>, StoreError> {
        exports::sent(&self.catalog(), export, key)
    }

    /// The sessions that some keys name.
    pub fn sessions_of(&self, keys: &[SentKey]) -> Result<Hits, StoreError> {
        let mut hits = Hits::default();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let named: BTreeSet<(&str, SessionId)> = keys.iter().filter_map(SentKey::as_session).collect();
            let term = |&(_, id): &(&str, SessionId)| {
                Expr::Term(Term::new(Field::Session, Matcher::Sessions(id..=id), &Place::default()))
            };
            let query = Query { expr: Expr::any_of(named.iter().map(term).collect()), window: Window::default() };
            let mut found = self.search(&query, &SearchOptions { sort: Sort::Oldest, ..SearchOptions::default() })?;
            found.sessions.retain(|one| named.contains(&(&*one.stream.to_string(), one.session)));
            hits.total += found.sessions.len() as u64;
            hits.sessions.append(&mut found.sessions);
            hits.missing.append(&mut found.missing);
        }
        Ok(hits)
    }

    /// What an export remembers: the keys of everything, and of what lacks a certificate that another session has.
    pub fn sent_keys(&self, export: &str) -> Result<(Vec<SentKey>, Vec<SentKey>), StoreError> {
        let catalog = self.catalog();
        Ok((exports::keys(&catalog, export, false)?, exports::keys(&catalog, export, true)?))
    }

    /// The sessions that some runs brought.
    pub fn feed(&self, options: FeedOptions) -> Result<Feed<'_>, StoreError> {
        let mut missing = Vec::new();
        let query = self.resolve(&options.query);
        let mut answers = self.answers(&query, Deadline::start(), &mut missing)?;
        answers.retain(|answer| {
            let row = answer.row;
            row.is_open == options.open && (row.newest_run > options.after_run || options.after_run == 0)
        });
        for answer in &mut answers {
            let mut brought = answer.split.column(column::BROUGHT).cursor();
            let mut is_wanted = |document: &u32| {
                let run = brought.get(*document).unwrap_or(0);
                (run > options.after_run || options.after_run == 0) && run <= options.until_run
            };
            let unwanted: Vec<u32> = answer.documents.iter().filter(|document| !is_wanted(document)).collect();
            unwanted.into_iter().for_each(|document| answer.documents.remove(document));
        }
        let links: Vec<_> = answers.iter().flat_map(Answer::links).collect();
        self.prepare(&links);
        let mut by_day: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, answer) in answers.iter().enumerate() {
            let times = answer.split.times();
            let mut started_of = times.started_in_order();
            let mut before = None; // Sessions of a day lie together.
            for day in answer.documents.iter().filter_map(|document| Some(started_of(document)?.day())) {
                if before.replace(day) == Some(day) {
                    continue;
                }
                let places = by_day.entry(day).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        if let Some(after) = options.after {
            by_day = by_day.split_off(&after.started.day());
        }
        let (day_numbers, days) = by_day.into_iter().rev().unzip();
        let answers = Arc::new(answers);
        Ok(Feed { store: self, answers, days, day_numbers, day: Vec::new(), options, missing })
    }
}

/// Keys that are looked up together.
const KEYS_AT_ONCE: usize = 200;

impl<'s> Feed<'s> {
    /// Sessions that are left, and those that were read of the day that is being read.
    pub fn len(&self) -> u64 {
        self.answers.iter().map(|answer| answer.documents.len()).sum()
    }

    /// Whether there is nothing to be read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The UTC days on which its sessions started that were not read yet, the last first.
    pub fn days(&self) -> &[i64] {
        &self.day_numbers
    }

    /// Splits that could not be asked.
    pub fn missing(&self) -> &[MissingSplit] {
        &self.missing
    }

    /// The next sessions, about so many at most; `None` at the end.
    pub fn next_places(&mut self, most: usize) -> Option<FeedPlaces<'s>> {
        while self.day.is_empty() {
            self.read_day()?;
        }
        let mut begin = self.day.len().saturating_sub(most);
        // Sessions that have the same place are not told apart by it, so none is left for the next batch.
        while begin > 0 && self.day[begin - 1].0 == self.day[begin].0 {
            begin -= 1;
        }
        let mut places = self.day.split_off(begin);
        places.reverse();
        Some(FeedPlaces { store: self.store, answers: Arc::clone(&self.answers), places })
    }

    fn read_day(&mut self) -> Option<()> {
        let (answers, day) = (self.days.pop()?, self.day_numbers.pop()?);
        for at in answers {
            let split = &self.answers[at].split;
            let times = split.times();
            let profiles = split.column(column::PROFILE);
            // Hashed once a profile; a day has thousands of sessions and a few profiles.
            let mut streams: Vec<Option<u64>> = Vec::new();
            let documents = &self.answers[at].documents;
            let begin = day.saturating_mul(DAY_MS);
            let of_day = time_to_column(begin)..=time_to_column(begin.saturating_add(DAY_MS - 1));
            times.started.in_range(of_day, |document, started| {
                if !documents.contains(document) {
                    return;
                }
                let started = Timestamp(time_of_column(started));
                let profile = profiles.get(document).unwrap_or(0);
                let number = usize::try_from(profile).unwrap_or(0);
                if number >= streams.len() {
                    streams.resize(number + 1, None);
                }
                let hash = || split.profile(profile).map_or(0, |one| xxh3_64(one.stream.to_string().as_bytes()));
                let stream = *streams[number].get_or_insert_with(hash);
                let session = SessionId(times.session.get(document).unwrap_or(0));
                let place = FeedPlace { started, session, stream };
                if self.options.after.is_none_or(|after| place > after) {
                    self.day.push((place, at as u32, document));
                }
            });
        }
        self.day.sort_unstable_by(|a, b| b.cmp(a));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Run, Writer, query::samples};

    fn publish(writer: &Writer, starts: &[i64]) {
        let mut sink = writer.sink();
        for &second in starts {
            let mut session = samples::session();
            session.started = Timestamp(session.started.0 + second * 1_000);
            session.last = Timestamp(session.started.0 + 1_000);
            session.session.0 += second as u64;
            sink.add(&session);
        }
        writer.publish(Run { sinks: vec![sink], ..Run::default() }, |_| String::new()).unwrap();
    }

    fn options(after_run: u64, until_run: u64, after: Option<FeedPlace>) -> FeedOptions {
        FeedOptions { query: Query::parse("*").unwrap(), after_run, until_run, after, open: false }
    }

    /// Seconds of the sessions' starts.
    fn read(store: &Store, options: FeedOptions, most: usize) -> Vec<i64> {
        let mut feed = store.feed(options).unwrap();
        let mut starts = Vec::new();
        while let Some(places) = feed.next_places(most) {
            let batch = places.read();
            assert!(batch.sessions.len() <= most + 1, "two have the same place");
            assert_eq!(batch.last, batch.sessions.last().map(FeedPlace::of));
            // What tells of events comes back as it was.
            let sample = samples::session();
            assert!(batch.sessions.iter().all(|one| one.negotiations == sample.negotiations));
            assert!(batch.sessions.iter().all(|one| one.replies[0].row_hash == sample.replies[0].row_hash));
            let second = |session: &Session| (session.started.0 - samples::session().started.0) / 1_000;
            starts.extend(batch.sessions.iter().map(second));
        }
        starts
    }

    #[test]
    fn what_runs_brought_comes_in_order_whatever_was_merged() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path()).unwrap();
        publish(&writer, &[5, 200_000, 3]);
        publish(&writer, &[100_000, 4]);
        for run in 3..9 {
            publish(&writer, &[run]);
        }
        let check = |store: &Store| {
            assert_eq!(store.newest_run().unwrap(), 8);
            for most in [1, 2, 100] {
                let all = [3, 3, 4, 4, 5, 5, 6, 7, 8, 100_000, 200_000];
                assert_eq!(read(store, options(0, 8, None), most), all);
                assert_eq!(read(store, options(1, 8, None), most), [3, 4, 4, 5, 6, 7, 8, 100_000]);
                assert_eq!(read(store, options(1, 2, None), most), [4, 100_000]);
                assert!(read(store, options(8, 8, None), most).is_empty());
            }
            let after = samples::session();
            let after = Timestamp(after.started.0 + 7_000);
            let place = FeedPlace { started: after, session: SessionId(u64::MAX), stream: 0 };
            assert_eq!(read(store, options(0, 8, Some(place)), 3), [8, 100_000, 200_000]);
        };
        check(&Store::open(dir.path()).unwrap());
        assert!(writer.merge().unwrap().from >= 8);
        check(&Store::open(dir.path()).unwrap());
    }

    #[test]
    fn places_round_trip() {
        let place = FeedPlace { started: Timestamp(-1), session: SessionId(u64::MAX), stream: 7 };
        assert_eq!(FeedPlace::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(FeedPlace::from_bytes(&place.to_bytes()[1..]), None);
    }
}
