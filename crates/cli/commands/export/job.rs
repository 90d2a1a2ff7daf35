//! One export: what is new goes to the receiver, and is noted once that has confirmed it.
//!
//! ```text
//! places -> sessions -> records (a batch for each core) -> in order -> a short queue -> receiver -> checkpoint
//! ```
//! The queue is short, so a slow receiver slows down what is before it, and memory holds a few batches.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver as Queue, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ::index::{Checkpoint, Exporter, FeedPlace, MissingSplit, Progress, Store, query::Query};
use anyhow::bail;
use export::{Certificates, Kind, Redaction, Sink, Wire};
use smtplog::Timestamp;

use super::{
    ExportArgs,
    line::{Exit, Known, Line, Range},
    produce::{Buffers, Made, Maker},
    sending::Target,
    status::Report,
};
use crate::{
    Outcome,
    commands::{open_store, say_missing},
    config::Settings,
    deliver::{Receiver, Taken, is_stopped},
};

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
pub(super) struct Step {
    pub(super) made: Made,
    pub(super) sessions: u64,
    pub(super) place: Option<FeedPlace>,
    pub(super) done: Option<u64>,
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
        let checkpoint = match &mut exporter {
            Some(exporter) => Some(exporter.begin(self.sink.name(), &target.describe(), &args.selection(), newest)?),
            None => planned(&store, args, newest)?,
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
            let begin = Progress { place: range.place, ..Progress::default() };
            let receiving = scope.spawn(move || receive(receiver, exporter, steps, (goes_on, begin), &used));
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
        let is_kept = range.name.is_some() || matches!(target, Target::Standard | Target::Address(..));
        if is_stopped(self.stop) && !is_kept {
            bail!("stopped by a signal; nothing was written, because it is not whole");
        }
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
            match range.name {
                Some(_) => bail!("stopped by a signal; what was sent is noted, and the next export goes on there"),
                None => bail!("stopped by a signal"),
            }
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
        let exit = Exit { maker: &maker, queue, columns: self.sink.columns(), missing: Vec::new() };
        let known = Known::new(store, range.name)?;
        let mut line = Line { job: self, maker: &maker, range, known, exit, days: BTreeSet::new() };
        line.run()?;
        let mut missing = line.exit.missing;
        missing.sort_by(|a, b| a.name.cmp(&b.name));
        missing.dedup();
        Ok(missing)
    }
}

/// Where an export under a name would go on, for one that only says what it would do.
fn planned(store: &Store, args: &ExportArgs, newest: u64) -> anyhow::Result<Option<Checkpoint>> {
    let Some(name) = &args.name else { return Ok(None) };
    let known = store.exports()?.into_iter().find(|known| known.name == *name);
    Ok(known.map(|known| known.continued_to(newest)))
}

/// The receiving side: hands over, and notes what is confirmed.
fn receive(
    mut receiver: Box<dyn Receiver>,
    mut exporter: Option<Exporter>,
    steps: Queue<Step>,
    (goes_on, begin): (bool, Progress),
    used: &Buffers,
) -> anyhow::Result<(Totals, Option<Exporter>)> {
    let mut totals = Totals::default();
    // Where an export before this one came to holds until this one has come further.
    let mut unnoted = begin;
    let (mut bytes, mut noted) = (0, Instant::now());
    let mut is_whole = false;
    for Step { made, sessions, place, done } in steps {
        if !made.batch.bytes.is_empty() {
            match receiver.send(&made.batch) {
                Ok(taken) => totals.taken.add(taken),
                Err(error) => {
                    // What was confirmed before is not sent again. A file knows by itself what it has.
                    let noting = exporter.as_mut().filter(|_| goes_on);
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
        let is_due = bytes >= NOTED_BYTES || noted.elapsed() >= NOTED_AFTER;
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
    if goes_on {
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
