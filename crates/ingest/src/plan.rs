//! The plan of a run: what every source is, and which are read together, in which order.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustc_hash::{FxHashMap, FxHashSet};
use smtplog::Stream;

use crate::{
    discover::{Source, Stamp},
    identity::Identity,
    pipeline::lock,
    place::{RolledName, UNKNOWN},
    probe::{self, Log, Neighbourhood, Neighbours, Probed},
    reading::WHOLE_FILE_BYTES_MAX,
    summary::{Notice, Summary},
    worker::{Task, TaskSource},
};

/// What a run reads.
pub(crate) struct Plan {
    /// In the order of their first rows: a worker then meets the days in order, and a split covers few of them.
    pub(crate) tasks: Vec<Task>,
    /// Files that hold no log, or nothing yet.
    pub(crate) others: Vec<Stamp>,
    /// Those of them that hold something else.
    pub(crate) foreign: Vec<Source>,
}

/// Parts sources that need no plan from those that do. A file that is small, and of a server that its place names, can
/// be told and read in one step, unless its rows have to name the server of another in its folder.
pub(crate) fn parted(sources: Vec<Source>, block_bytes: usize) -> (Vec<Source>, Vec<Source>) {
    let is_named = |source: &Source| source.place.server.as_deref().is_some_and(|server| server != UNKNOWN);
    let bytes_max = WHOLE_FILE_BYTES_MAX.min(block_bytes as u64);
    let is_small = |source: &Source| source.member.is_none() && source.stored_bytes <= bytes_max;
    let nameless: FxHashSet<Neighbourhood<'_>> =
        sources.iter().filter(|source| !is_named(source)).map(Source::neighbourhood).collect();
    let needs_no_plan: Vec<bool> = sources
        .iter()
        .map(|source| is_small(source) && is_named(source) && !nameless.contains(&source.neighbourhood()))
        .collect();
    let mut needs_no_plan = needs_no_plan.into_iter();
    let (mut at_once, planned): (Vec<Source>, Vec<Source>) =
        sources.into_iter().partition(|_| needs_no_plan.next() == Some(true));
    at_once.sort_by_cached_key(order);
    (at_once, planned)
}

/// How sources are looked into.
pub(crate) struct Look<'a> {
    pub(crate) pool: &'a rayon::ThreadPool,
    pub(crate) mapping: bool,
    /// Once it is set nothing more is opened.
    pub(crate) stop: &'a AtomicBool,
}

/// Looks into every source and puts those of one identity together.
pub(crate) fn plan(sources: Vec<Source>, neighbours: &[Source], look: &Look<'_>, summary: &mut Summary) -> Plan {
    let probed = probe_all(&sources, look);
    let (mut others, mut foreign) = (Vec::new(), Vec::new());
    let mut logs: Vec<(Source, Log)> = Vec::new();
    for (source, probed) in sources.into_iter().zip(probed) {
        match probed {
            Ok(Probed::Logs(found)) => logs.extend(found.into_iter().map(|log| (source.clone(), log))),
            Ok(Probed::Foreign) => {
                others.push(source.stamp.clone());
                foreign.push(source);
            }
            Ok(other) => {
                summary.count_other(&source, &other);
                others.push(source.stamp);
            }
            Err(error) => {
                if summary.count_unopened(&source, error) {
                    others.push(source.stamp);
                }
            }
        }
    }
    let streams = streams(&logs, neighbours, look);
    summary.notices.extend(logs.iter().filter_map(|(source, log)| foreign_connector(source, log)));
    Plan { tasks: tasks(logs, streams), others, foreign }
}

fn probe_all(sources: &[Source], look: &Look<'_>) -> Vec<io::Result<Probed>> {
    let next = AtomicUsize::new(0);
    let probed = Mutex::new(Vec::new());
    look.pool.broadcast(|_| {
        let mut own = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(source) = sources.get(at) else { break };
            let probed = match look.stop.load(Ordering::Relaxed) {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => probe::probe(source, look.mapping),
            };
            own.push((at, probed));
        }
        lock(&probed).append(&mut own);
    });
    let mut probed = probed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    probed.sort_unstable_by_key(|(at, _)| *at);
    probed.into_iter().map(|(_, probed)| probed).collect()
}

/// The stream of every log. Old receive logs are opened again only for the folders that need them.
fn streams(logs: &[(Source, Log)], neighbours: &[Source], look: &Look<'_>) -> Vec<Arc<Stream>> {
    let mut known = Neighbours::default();
    logs.iter().for_each(|(source, log)| known.add(source, log));
    let lost: FxHashSet<_> = logs
        .iter()
        .filter(|(source, log)| known.is_lost(source, log))
        .map(|(source, _)| source.neighbourhood())
        .collect();
    let asked: Vec<Source> =
        neighbours.iter().filter(|source| lost.contains(&source.neighbourhood())).cloned().collect();
    let answers = probe_all(&asked, look);
    for (source, probed) in asked.iter().zip(answers) {
        if let Ok(Probed::Logs(logs)) = probed {
            logs.iter().for_each(|log| known.add(source, log));
        }
    }
    let logs: Vec<(&Source, &Log)> = logs.iter().map(|(source, log)| (source, log)).collect();
    known.streams(&logs)
}

/// A log whose rows name another server than its place: worth knowing, never a reason to drop.
pub(crate) fn foreign_connector(source: &Source, log: &Log) -> Option<Notice> {
    let (by_row, by_place) = (log.server_of_row.as_deref()?, source.place.server.as_deref()?);
    let who = if log.format.has_both_directions() { "its rows name" } else { "the connector names" };
    (by_row != by_place && log.counts_file).then(|| Notice {
        file: source.file.to_string(),
        text: format!("{who} server {}, the place {}", by_row.escape_debug(), by_place.escape_debug()),
    })
}

/// The tasks of these logs.
fn tasks(logs: Vec<(Source, Log)>, streams: Vec<Arc<Stream>>) -> Vec<Task> {
    let sources = logs.into_iter().zip(streams).map(|((source, log), stream)| TaskSource { source, log, stream });
    grouped(sources)
}

/// One task for each identity: copies of one log are read one after the other, those with a known server first.
pub(crate) fn grouped(sources: impl Iterator<Item = TaskSource>) -> Vec<Task> {
    let mut by_identity: FxHashMap<Identity, Task> = FxHashMap::default();
    for source in sources {
        let identity = source.log.identity;
        by_identity.entry(identity).or_insert_with(|| Task::new(identity)).sources.push(source);
    }
    let mut tasks: Vec<Task> = by_identity.into_values().collect();
    for task in &mut tasks {
        task.sources.sort_by_cached_key(|source| (&*source.stream.server == UNKNOWN, order(&source.source)));
    }
    tasks.sort_by(|a, b| a.order().cmp(&b.order()));
    tasks
}

/// The order in which copies are read, and files that nothing is known of yet: by the day or hour in the name, so that
/// a worker meets the days in order.
fn order(source: &Source) -> (String, Arc<str>) {
    (RolledName::of(source.name()).map(|name| name.stamp).unwrap_or_default(), Arc::clone(&source.file))
}
