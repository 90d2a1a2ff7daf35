//! The producing side: what is due, made on every core, put into the queue in order.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::mpsc::SyncSender,
};

use ::index::{Feed, FeedBatch, FeedOptions, FeedPlace, MissingSplit, Sent, SentKey, Store};
use export::{Columns, Kind};
use smtplog::{Session, Timestamp};

use super::{
    findings,
    job::{Job, Step},
    lanes::in_order,
    produce::{Made, Maker},
};
use crate::{
    commands::{explain::Accepted, window::now},
    deliver::is_stopped,
};

/// Sessions of a batch. Each is some six kilobytes of records.
const BATCH_SESSIONS: usize = 512;

/// What the store got that is to be sent.
pub(super) struct Range<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) after_run: u64,
    pub(super) until_run: u64,
    pub(super) place: Option<FeedPlace>,
    /// Whether each record gets a header of syslog.
    pub(super) needs_header: bool,
}

/// What was sent before and may change.
pub(super) struct Known<'a> {
    store: &'a Store,
    name: Option<&'a str>,
    keys: HashSet<SentKey>,
    waiting: Vec<SentKey>,
}

impl<'a> Known<'a> {
    pub(super) fn new(store: &'a Store, name: Option<&'a str>) -> anyhow::Result<Known<'a>> {
        let (keys, waiting) = match name {
            Some(name) => store.sent_keys(name)?,
            None => Default::default(),
        };
        Ok(Known { store, name, keys: keys.into_iter().collect(), waiting })
    }

    fn has(&self, session: &Session) -> bool {
        self.keys.contains(&SentKey::session(&session.stream, session.session))
    }

    /// What is known of some things.
    fn of(&self, keys: impl Iterator<Item = SentKey>) -> anyhow::Result<HashMap<SentKey, Sent>> {
        let mut known = HashMap::new();
        let Some(name) = self.name.filter(|_| !self.keys.is_empty()) else { return Ok(known) };
        for key in keys.filter(|key| self.keys.contains(key)) {
            if let Some(sent) = self.store.sent(name, &key)? {
                known.insert(key, sent);
            }
        }
        Ok(known)
    }

    fn of_sessions(&self, sessions: &[Session]) -> anyhow::Result<HashMap<SentKey, Sent>> {
        if self.keys.is_empty() {
            return Ok(HashMap::new());
        }
        self.of(sessions.iter().map(|session| SentKey::session(&session.stream, session.session)))
    }
}

/// The producing side. Each step says whether the next is due: not if the export is to end.
pub(super) struct Line<'a, 'b> {
    pub(super) job: &'a Job<'b>,
    pub(super) maker: &'a Maker<'a>,
    pub(super) range: &'a Range<'a>,
    pub(super) known: Known<'a>,
    pub(super) exit: Exit<'a>,
    /// Days of which the findings are due.
    pub(super) days: BTreeSet<i64>,
}

/// Where what is made goes, one after the other.
pub(super) struct Exit<'a> {
    pub(super) maker: &'a Maker<'a>,
    pub(super) queue: &'a SyncSender<Step>,
    /// Columns take what comes in order; anything else is made before.
    pub(super) columns: Option<Box<dyn Columns>>,
    pub(super) missing: Vec<MissingSplit>,
}

/// Sessions on their way.
struct Batch {
    ready: Ready,
    count: u64,
    last: Option<FeedPlace>,
    missing: Vec<MissingSplit>,
    /// Days on which those that are new started, where the feed does not say so.
    days: Vec<i64>,
}

enum Ready {
    Made(Made),
    /// For columns.
    Read(Vec<Session>, HashMap<SentKey, Sent>),
}

impl Exit<'_> {
    /// Nobody listens any more only if the receiver failed, and that says why.
    fn put(&self, made: Made, sessions: u64, place: Option<FeedPlace>, done: Option<u64>) -> bool {
        self.queue.send(Step { made, sessions, place, done }).is_ok()
    }

    fn put_batch(&mut self, batch: Batch) -> bool {
        let Batch { ready, count, last, missing, .. } = batch;
        self.missing.extend(missing);
        let made = match (ready, &mut self.columns) {
            (Ready::Made(made), _) => made,
            (Ready::Read(sessions, known), Some(columns)) => self.maker.columns(sessions, &known, &mut **columns),
            (Ready::Read(sessions, known), None) => self.maker.sessions(sessions, &known),
        };
        self.put(made, count, last, None)
    }
}

impl Line<'_, '_> {
    /// Puts all that is due.
    pub(super) fn run(&mut self) -> anyhow::Result<bool> {
        Ok(self.closed()? && self.open()? && self.waiting()? && self.findings()? && self.end()?)
    }

    fn options(&self, open: bool) -> FeedOptions {
        FeedOptions {
            query: self.job.query.clone(),
            after_run: if open { 0 } else { self.range.after_run },
            until_run: if open { u64::MAX } else { self.range.until_run },
            after: self.range.place.filter(|_| !open),
            open,
        }
    }

    /// Sessions that are whole, or were given up.
    fn closed(&mut self) -> anyhow::Result<bool> {
        let store = self.maker.store;
        if self.range.place.is_some() {
            // The findings of what was sent before the export was cut off are due all the same.
            let all = store.feed(FeedOptions { after: None, ..self.options(false) })?;
            self.days.extend(all.days());
        }
        let feed = store.feed(self.options(false))?;
        self.days.extend(feed.days());
        self.feed(feed, None)
    }

    /// Sessions that are open, and for whose rest nobody waits any more.
    fn open(&mut self) -> anyhow::Result<bool> {
        let patience = i64::try_from(self.job.open_after.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp(now().0.saturating_sub(patience));
        let feed = self.maker.store.feed(self.options(true))?;
        self.feed(feed, Some(before))
    }

    /// Reads a feed; with a moment only sessions whose last row is not behind it, whose days are noted.
    fn feed(&mut self, mut feed: Feed<'_>, before: Option<Timestamp>) -> anyhow::Result<bool> {
        let Line { job, maker, known, exit, days, .. } = self;
        let is_stopped = || is_stopped(job.stop);
        exit.missing.extend_from_slice(feed.missing());
        let has_columns = exit.columns.is_some();
        let goes_on = in_order(
            maker.threads,
            || feed.next_places(BATCH_SESSIONS).filter(|_| !is_stopped()),
            |places| {
                let FeedBatch { mut sessions, mut last, missing } = places.read();
                let mut days = Vec::new();
                if let Some(before) = before {
                    last = None;
                    sessions.retain(|session| session.last <= before);
                    // Those that were sent before are looked at for what came since, and that is in the runs' own days.
                    let new = sessions.iter().filter(|session| !known.has(session));
                    days.extend(new.map(|session| session.started.day()));
                }
                let (count, sent) = (sessions.len() as u64, known.of_sessions(&sessions)?);
                let ready = match has_columns {
                    true => Ready::Read(sessions, sent),
                    false => Ready::Made(maker.sessions(sessions, &sent)),
                };
                Ok(Batch { ready, count, last, missing, days })
            },
            |batch: Batch| {
                days.extend(&batch.days);
                Ok(exit.put_batch(batch))
            },
        )?;
        Ok(goes_on && !is_stopped())
    }

    /// Sessions that lacked a certificate of another session, if the store has that now.
    fn waiting(&mut self) -> anyhow::Result<bool> {
        let waiting = std::mem::take(&mut self.known.waiting);
        if self.range.after_run == self.range.until_run {
            return Ok(true); // Nothing came that it could be.
        }
        for keys in waiting.chunks(BATCH_SESSIONS) {
            if is_stopped(self.job.stop) {
                return Ok(false);
            }
            let found = self.maker.store.sessions_of(keys)?;
            let (count, known) = (found.sessions.len() as u64, self.known.of_sessions(&found.sessions)?);
            let ready = Ready::Read(found.sessions, known);
            if !self.exit.put_batch(Batch { ready, count, last: None, missing: found.missing, days: Vec::new() }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the rules say of each day that is due, by itself: so it is the same whatever else is exported with it.
    fn findings(&mut self) -> anyhow::Result<bool> {
        if !self.job.kinds.contains(&Kind::Finding) || self.job.sink.takes_sessions() {
            return Ok(true);
        }
        let Line { job, maker, known, exit, days, .. } = self;
        let Maker { store, certificates, redaction, .. } = *maker;
        let accepted = Accepted::of(store);
        let mut days = days.iter();
        let goes_on = in_order(
            maker.threads,
            || days.next().filter(|_| !is_stopped(job.stop)),
            |&day| findings::of_day(store, &job.query, day, &accepted, certificates, *redaction),
            |(mut findings, missing)| {
                exit.missing.extend(missing);
                let known = known.of(findings.iter().map(|finding| SentKey::finding(finding.id)))?;
                let made = maker.findings(&mut findings, &known, exit.columns.as_deref_mut());
                Ok(exit.put(made, 0, None, None))
            },
        )?;
        Ok(goes_on && !is_stopped(job.stop))
    }

    /// Everything is made.
    fn end(&mut self) -> anyhow::Result<bool> {
        let mut made = Made::default();
        if let Some(columns) = self.exit.columns.take() {
            made.batch.bytes = columns.finish();
        }
        Ok(self.exit.put(made, 0, None, Some(self.range.until_run)))
    }
}
