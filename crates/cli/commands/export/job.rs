//! One export: what is new goes to the receiver, and is noted once that has confirmed it.
//!
//! ```text
//! feed (every core) -> records (every core) -> a short queue -> receiver -> checkpoint
//! ```
//! The queue is short, so a slow receiver slows down what is before it, and memory holds a few batches.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver as Queue, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ::index::{Exporter, FeedOptions, FeedPlace, MissingSplit, Progress, Sent, SentKey, Store, query::Query};
use anyhow::bail;
use export::{Certificates, Columns, Kind, Redaction, Sink, Wire};
use smtplog::{Session, Timestamp};

use super::{
    ExportArgs, findings,
    produce::{Buffers, Made, Maker},
    sending::Target,
    status::Report,
};
use crate::{
    Outcome,
    commands::{open_store, say_missing, window::now},
    config::Settings,
    deliver::{Receiver, Taken, is_stopped},
};

/// Sessions of a batch. Each is some six kilobytes of records.
const BATCH_SESSIONS: usize = 1_024;

/// Batches that wait for the receiver.
const QUEUE_BATCHES: usize = 4;

/// Bytes after which progress is noted: every time costs a sync.
const NOTED_BYTES: u64 = 64 << 20;

/// Time after which it is noted in any case.
const NOTED_AFTER: Duration = Duration::from_secs(5);

/// What is to be exported, and how.
pub(super) struct Job<'a> {
    pub(super) sink: &'static dyn Sink,
    pub(super) query: Query,
    pub(super) open_after: Duration,
    pub(super) kinds: Vec<Kind>,
    pub(super) redaction: Option<Redaction>,
    pub(super) dry_run: bool,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Arc<AtomicBool>,
}

/// A batch on its way, and where the export has come with it.
struct Step {
    made: Made,
    sessions: u64,
    place: Option<FeedPlace>,
    /// Whether the rest of its sessions follows: what is noted now would have to say how far within them it came.
    is_part: bool,
    done: Option<u64>,
}

/// What the receiving side counted.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) sessions: u64,
    pub(super) counts: [u64; Kind::ALL.len()],
    pub(super) amended: u64,
    pub(super) bytes: u64,
    pub(super) taken: Taken,
}

impl Job<'_> {
    /// Exports and reports.
    pub(super) fn run(&self, args: &ExportArgs, ended: &mut Option<Totals>) -> anyhow::Result<Outcome> {
        let begin = Instant::now();
        let target = Target::new(args, self)?;
        let mut exporter = match &args.name {
            Some(name) if !self.dry_run => Some(Exporter::open(&self.settings.store, name)?),
            _ => None,
        };
        // Taken after the name, so that the snapshot has what the export before noted.
        let store = open_store(&self.settings.store)?;
        let newest = store.newest_run()?;
        let checkpoint = match (&mut exporter, &args.name) {
            (Some(exporter), _) => Some(exporter.begin(self.sink.name(), &target.describe(), newest)?),
            (None, Some(name)) => store.exports()?.into_iter().find(|known| known.name == *name),
            (None, None) => None,
        };
        ::index::fault::export_point("export.begin")?;
        let mut receiver = target.open(self, checkpoint.as_ref())?;
        if let Some(exporter) = &mut exporter {
            let place = checkpoint.as_ref().and_then(|checkpoint| checkpoint.place);
            exporter.commit(&Progress { place, length: receiver.settle()?, ..Progress::default() })?;
        }
        let range = Range {
            name: args.name.as_deref(),
            after_run: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.done),
            until_run: checkpoint.as_ref().map_or(newest, |checkpoint| checkpoint.target.max(checkpoint.done)),
            place: checkpoint.as_ref().and_then(|checkpoint| checkpoint.place),
            needs_header: target.is_syslog() && self.sink.wire() == Wire::Syslog { has_header: false },
        };
        let (queue, steps) = sync_channel(QUEUE_BATCHES);
        let buffers = Buffers::default();
        let goes_on = target.goes_on(self.sink);
        let (made, sent) = thread::scope(|scope| {
            let used = buffers.clone();
            let receiving = scope.spawn(move || receive(receiver, exporter, steps, goes_on, &used));
            let made = self.produce(&store, &range, &queue, buffers);
            drop(queue);
            (made, receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // If the receiver failed, that is why nothing more could be made for it.
        let (totals, exporter) = sent?;
        let missing = made?;
        drop(store); // Who still reads the catalog keeps its log from being put away.
        exporter.map(Exporter::close).transpose()?;
        say_missing(&self.settings.console, &missing);
        Report { job: self, target: &target, totals: &totals, time: begin.elapsed() }.print()?;
        let is_whole = missing.is_empty() && totals.taken.refused == 0;
        *ended = Some(totals);
        if range.until_run < newest && !is_stopped(self.stop) && range.name.is_some() && !self.dry_run {
            // It has only finished what was begun before the last runs came.
            if self.run(args, ended)? == Outcome::Partial {
                return Ok(Outcome::Partial);
            }
        }
        if is_stopped(self.stop) {
            bail!("stopped by a signal; what was sent is noted, and the next export goes on there");
        }
        Ok(if is_whole { Outcome::Done } else { Outcome::Partial })
    }

    /// Makes everything and puts it into the queue; gives the splits that could not be read.
    fn produce(
        &self,
        store: &Store,
        range: &Range<'_>,
        queue: &SyncSender<Step>,
        buffers: Buffers,
    ) -> anyhow::Result<Vec<MissingSplit>> {
        let maker = Maker {
            store,
            sink: self.sink,
            certificates: Certificates::new(store.certificate_texts()),
            kinds: &self.kinds,
            redaction: self.redaction.as_ref(),
            remembers: range.name.is_some(),
            newest: store.info().last.unwrap_or(Timestamp(0)),
            threads: self.settings.threads,
            needs_header: range.needs_header,
            buffers,
        };
        let mut line = Line {
            job: self,
            maker: &maker,
            range,
            queue,
            columns: self.sink.columns(),
            known: Known::new(store, range.name)?,
            days: BTreeSet::new(),
            missing: Vec::new(),
        };
        // Nobody listens any more only if the receiver failed, and that says why.
        let _ = line.closed()? && line.open()? && line.waiting()? && line.findings()? && line.end()?;
        let mut missing = line.missing;
        missing.sort_by(|a, b| a.name.cmp(&b.name));
        missing.dedup();
        Ok(missing)
    }
}

/// What the store got that is to be sent.
struct Range<'a> {
    name: Option<&'a str>,
    after_run: u64,
    until_run: u64,
    place: Option<FeedPlace>,
    /// Whether each record gets a header of syslog.
    needs_header: bool,
}

/// What was sent before and may change.
struct Known<'a> {
    store: &'a Store,
    name: Option<&'a str>,
    keys: HashSet<SentKey>,
    waiting: Vec<SentKey>,
}

impl<'a> Known<'a> {
    fn new(store: &'a Store, name: Option<&'a str>) -> anyhow::Result<Known<'a>> {
        let (keys, waiting) = match name {
            Some(name) => store.sent_keys(name)?,
            None => Default::default(),
        };
        Ok(Known { store, name, keys: keys.into_iter().collect(), waiting })
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
struct Line<'a, 'b> {
    job: &'a Job<'b>,
    maker: &'a Maker<'a>,
    range: &'a Range<'a>,
    queue: &'a SyncSender<Step>,
    columns: Option<Box<dyn Columns>>,
    known: Known<'a>,
    /// Days of which the findings are due.
    days: BTreeSet<i64>,
    missing: Vec<MissingSplit>,
}

impl Line<'_, '_> {
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
        let mut feed = store.feed(self.options(false))?;
        self.days.extend(feed.days());
        while let Some(batch) = feed.next_batch(BATCH_SESSIONS) {
            let known = self.known.of_sessions(&batch.sessions)?;
            if !self.send(batch.sessions, &known, batch.last)? {
                return Ok(false);
            }
        }
        self.missing.extend_from_slice(feed.missing());
        Ok(true)
    }

    /// Sessions that are open, and for whose rest nobody waits any more.
    fn open(&mut self) -> anyhow::Result<bool> {
        let patience = i64::try_from(self.job.open_after.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp(now().0.saturating_sub(patience));
        let mut feed = self.maker.store.feed(self.options(true))?;
        while let Some(mut batch) = feed.next_batch(BATCH_SESSIONS) {
            batch.sessions.retain(|session| session.last <= before);
            // Those that were sent before are looked at for what came since, and that is in the runs' own days.
            let is_known = |one: &Session| self.known.keys.contains(&SentKey::session(&one.stream, one.session));
            let new = batch.sessions.iter().filter(|session| !is_known(session));
            self.days.extend(new.map(|session| session.started.day()));
            let known = self.known.of_sessions(&batch.sessions)?;
            if !batch.sessions.is_empty() && !self.send(batch.sessions, &known, None)? {
                return Ok(false);
            }
        }
        self.missing.extend_from_slice(feed.missing());
        Ok(true)
    }

    /// Sessions that lacked a certificate of another session, if the store has that now.
    fn waiting(&mut self) -> anyhow::Result<bool> {
        let waiting = std::mem::take(&mut self.known.waiting);
        if self.range.after_run == self.range.until_run {
            return Ok(true); // Nothing came that it could be.
        }
        for keys in waiting.chunks(BATCH_SESSIONS) {
            let found = self.maker.store.sessions_of(keys)?;
            self.missing.extend(found.missing);
            let known = self.known.of_sessions(&found.sessions)?;
            if !self.send(found.sessions, &known, None)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn findings(&mut self) -> anyhow::Result<bool> {
        if !self.job.kinds.contains(&Kind::Finding) || self.job.sink.takes_sessions() {
            return Ok(true);
        }
        let days: Vec<i64> = std::mem::take(&mut self.days).into_iter().collect();
        for days in findings::groups(&days) {
            if is_stopped(self.job.stop) {
                return Ok(false);
            }
            let Maker { store, certificates, redaction, .. } = self.maker;
            let mut findings =
                findings::of_days(store, &self.job.query, days, certificates, *redaction, &mut self.missing)?;
            let known = self.known.of(findings.iter().map(|finding| SentKey::finding(finding.id)))?;
            let made = self.maker.findings(&mut findings, &known, self.columns.as_deref_mut());
            if !self.put(made, 0, None, None) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything is made.
    fn end(&mut self) -> anyhow::Result<bool> {
        let mut made = Made::default();
        if let Some(columns) = self.columns.take() {
            made.batch.bytes = columns.finish();
        }
        Ok(self.put(made, 0, None, Some(self.range.until_run)))
    }

    fn send(
        &mut self,
        sessions: Vec<Session>,
        known: &HashMap<SentKey, Sent>,
        place: Option<FeedPlace>,
    ) -> anyhow::Result<bool> {
        if is_stopped(self.job.stop) {
            return Ok(false);
        }
        let count = sessions.len() as u64;
        let mut parts = match &mut self.columns {
            Some(columns) => vec![self.maker.columns(sessions, known, &mut **columns)],
            None => self.maker.sessions(sessions, known),
        };
        // Only with the last of them the place is reached.
        let last = parts.pop().unwrap_or_default();
        let part = |made| Step { made, sessions: 0, place: None, is_part: true, done: None };
        let are_put = parts.into_iter().all(|made| self.queue.send(part(made)).is_ok());
        Ok(are_put && self.put(last, count, place, None))
    }

    fn put(&self, made: Made, sessions: u64, place: Option<FeedPlace>, done: Option<u64>) -> bool {
        self.queue.send(Step { made, sessions, place, is_part: false, done }).is_ok()
    }
}

/// The receiving side: hands over, and notes what is confirmed.
fn receive(
    mut receiver: Box<dyn Receiver>,
    mut exporter: Option<Exporter>,
    steps: Queue<Step>,
    goes_on: bool,
    used: &Buffers,
) -> anyhow::Result<(Totals, Option<Exporter>)> {
    let mut totals = Totals::default();
    let mut unnoted = Progress::default();
    let (mut bytes, mut noted) = (0, Instant::now());
    let mut is_whole = false;
    let mut may_note = true;
    for Step { made, sessions, place, is_part, done } in steps {
        if !made.batch.bytes.is_empty() {
            match receiver.send(&made.batch) {
                Ok(taken) => totals.taken.add(taken),
                Err(error) => {
                    // What was confirmed before is not sent again. A file knows by itself what it has.
                    let noting = exporter.as_mut().filter(|_| goes_on && may_note);
                    if let (Some(exporter), Ok(None)) = (noting, receiver.settle()) {
                        exporter.commit(&unnoted)?;
                    }
                    return Err(error);
                }
            }
        }
        totals.sessions += sessions;
        totals.amended += made.amended;
        totals.counts.iter_mut().zip(made.counts).for_each(|(count, more)| *count += more);
        totals.bytes += made.batch.bytes.len() as u64;
        bytes += made.batch.bytes.len() as u64;
        unnoted.events += made.events();
        unnoted.sent.extend(made.sent);
        used.give(made.batch);
        unnoted.place = place.or(unnoted.place);
        is_whole |= done.is_some();
        may_note = !is_part;
        let is_due = may_note && (bytes >= NOTED_BYTES || noted.elapsed() >= NOTED_AFTER);
        if let Some(exporter) = exporter.as_mut().filter(|_| goes_on && is_due && done.is_none()) {
            unnoted.length = receiver.settle()?;
            exporter.commit(&unnoted)?;
            unnoted = Progress { place: unnoted.place, ..Progress::default() };
            (bytes, noted) = (0, Instant::now());
        }
        unnoted.done = done;
    }
    let Some(mut exporter) = exporter else {
        // Half a file is none.
        if is_whole {
            receiver.finish()?;
        }
        return Ok((totals, None));
    };
    if goes_on && may_note {
        unnoted.length = receiver.settle()?;
        if is_whole {
            (unnoted.place, _) = (None, receiver.finish()?);
        }
        exporter.commit(&unnoted)?;
    } else if is_whole {
        if unnoted.events > 0 {
            receiver.finish()?;
        }
        unnoted.place = None;
        exporter.commit(&unnoted)?;
    }
    Ok((totals, Some(exporter)))
}
