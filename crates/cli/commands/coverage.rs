//! `coverage`: which days of which logs are there, and which are missing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::{Args, ValueEnum};
use index::{
    Store,
    coverage::{Bounds, Coverage, Instance, OVERDUE_MS, State, StreamCoverage, StreamLog, coverage},
    query::Window,
};
use ingest::place::RolledName;
use smtplog::{Direction, Stream, Timestamp, civil::DAY_MS};

use super::{
    open_store,
    window::{WindowArgs, now},
};
use crate::{
    Outcome,
    args::FormatArgs,
    config::Settings,
    console::Console,
    render::{amount, coverage::Report},
};

/// Servers that are named where one is not known.
const SERVERS_NAMED_MAX: usize = 20;

/// Show which days of which logs are missing
///
/// A line for each server, role and direction, a cell for each day, the trouble first; then what was found. A day is
/// missing if it has no rows though four of the seven days before had some, and silent after three such days. A gap is
/// an absent number between two rolled files, or more than three hours without rows where the same hours had rows on
/// four of the seven days before. Late is what came more than 24 hours after the day's end. Instead of missing, a log
/// may have been turned off.
///
/// Days after the newest record of all servers are judged if they are asked for, by --until or by a --since that counts
/// back from now: 'coverage --since -7d --fail-on missing' tells when collecting has stopped.
#[derive(Args)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    window: WindowArgs,
    /// Only these servers; `*` ends a beginning, as in 'EX0*'
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    server: Vec<String>,
    /// Exit with 1 if this is found, or if no day is known at all
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    format: FormatArgs,
}

/// What the exit code may depend on.
#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    /// A day that is missing, or a stream that is silent
    Missing,
}

/// Prints the map and the findings.
pub(crate) fn run(args: &CoverageArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let window = args.window.window()?;
    let store = open_store(&settings.store)?;
    let days = store.days()?;
    args.check_servers(days.keys().map(|stream| &*stream.server).collect())?;
    let mut rolled = rolled_files(&store)?;
    let log = |(stream, days)| {
        let Rolled { instances, rowless, damaged } = rolled.remove(&stream).unwrap_or_default();
        StreamLog { stream, days, instances, rowless, damaged }
    };
    // What the fleet knows decides over each, so that the choice comes after the judgement.
    let bounds =
        Bounds { since: window.since, until: args.window.asked_until(&window), pruned: store.pruned_before()? };
    let Coverage { mut streams, newest } = coverage(days.into_iter().map(log).collect(), &bounds);
    streams.retain(|stream| args.has_server(&stream.stream.server));
    streams.iter_mut().for_each(|stream| stream.days.retain(|day| is_in(&window, day.day)));
    streams.retain(|stream| !stream.days.is_empty());
    if streams.is_empty() {
        settings.console.note(match args.server.is_empty() && window == Window::default() {
            true => "no rows are known by day; what an earlier version has indexed is not counted",
            false => "no day of these servers is known in this time",
        });
    }
    Report { streams: &streams }.print(&settings.console, args.format.format())?;
    if let Some(newest) = newest.filter(|_| bounds.until.is_none()) {
        say_age(&settings.console, newest, now());
    }
    // Where nothing is known at all, everything may be missing.
    let fails = args.fail_on.is_some_and(|FailOn::Missing| streams.is_empty() || streams.iter().any(has_missing));
    Ok(if fails { Outcome::NothingFound } else { Outcome::Done })
}

/// Without a question about the time since, a fleet of which nothing comes any more misses nothing.
fn say_age(console: &Console, newest: Timestamp, now: Timestamp) {
    let age_ms = now.0.saturating_sub(newest.0);
    if age_ms > OVERDUE_MS {
        let days = amount::counted((age_ms / DAY_MS).unsigned_abs(), "day");
        console.note(&format!("the newest record is {days} old; with --since -7d the days since count as missing"));
    }
}

impl CoverageArgs {
    fn has_server(&self, server: &str) -> bool {
        self.server.is_empty() || self.server.iter().any(|name| is_named(server, name))
    }

    /// A name that no server has would make a check that finds nothing for ever.
    fn check_servers(&self, known: BTreeSet<&str>) -> anyhow::Result<()> {
        let is_unknown = |name: &&String| !known.iter().any(|server| is_named(server, name));
        let Some(unknown) = self.server.iter().find(is_unknown).filter(|_| !known.is_empty()) else { return Ok(()) };
        let mut names: Vec<&str> = known.iter().take(SERVERS_NAMED_MAX).copied().collect();
        let more = match known.len() - names.len() {
            0 => String::new(),
            more => format!("{} more", amount::count(more as u64)),
        };
        names.extend(Some(&*more).filter(|more| !more.is_empty()));
        bail!("no server is called {unknown}; the store knows {}", names.join(", "));
    }
}

fn is_named(server: &str, name: &str) -> bool {
    match name.trim().to_uppercase().strip_suffix('*') {
        Some(beginning) => server.starts_with(beginning),
        None => *server == *ingest::place::server_name(name.trim()),
    }
}

fn has_missing(stream: &StreamCoverage) -> bool {
    stream.days.iter().any(|day| day.state >= State::Missing)
}

fn is_in(window: &Window, day: i64) -> bool {
    let (begin, end) = (Timestamp(day * DAY_MS), Timestamp((day + 1) * DAY_MS));
    window.since.is_none_or(|since| since < end) && window.until.is_none_or(|until| begin < until)
}

/// A stream's rolled files.
#[derive(Default)]
struct Rolled {
    instances: Vec<Instance>,
    rowless: Vec<Instance>,
    damaged: Vec<Instance>,
}

/// The rolled files of each stream, by their names. A file with nothing but a header is no source, but it is there, and
/// so is one that is damaged: it belongs to the stream that the other logs of its folder and direction belong to.
fn rolled_files(store: &Store) -> anyhow::Result<BTreeMap<Stream, Rolled>> {
    let mut rolled: BTreeMap<Stream, Rolled> = BTreeMap::new();
    let mut folders: HashMap<PathBuf, BTreeMap<Direction, Stream>> = HashMap::new();
    store.for_each_source(|stream, path| {
        let Some(instance) = instance(path, stream.direction) else { return };
        match rolled.get_mut(stream) {
            Some(known) => known.instances.push(instance),
            None => _ = rolled.insert(stream.clone(), Rolled { instances: vec![instance], ..Rolled::default() }),
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        if !folders.get(folder).is_some_and(|streams| streams.contains_key(&stream.direction)) {
            folders.entry(folder.to_owned()).or_default().insert(stream.direction, stream.clone());
        }
    })?;
    let streams_of = |path: &Path| {
        let streams = path.parent().and_then(|folder| folders.get(folder)).into_iter().flatten();
        let of = |(direction, stream): (&Direction, _)| Some((instance(path, *direction)?, stream));
        streams.filter_map(of).collect::<Vec<(Instance, &Stream)>>()
    };
    store.for_each_file(|path| {
        for (instance, stream) in streams_of(path) {
            if let Some(known) = rolled.get_mut(stream) {
                known.rowless.push(instance); // Or a source of which the stream knows more.
            }
        }
    })?;
    store.for_each_damaged_file(|path| {
        for (instance, stream) in streams_of(path) {
            if let Some(known) = rolled.get_mut(stream) {
                known.damaged.push(instance);
            }
        }
    })?;
    Ok(rolled)
}

fn instance(path: &Path, direction: Direction) -> Option<Instance> {
    let name = RolledName::of(path.file_name()?.to_str()?).filter(|name| name.direction == direction)?;
    Some(Instance { stamp: name.stamp.parse().ok()?, number: name.instance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_take_every_day_that_they_touch() {
        let time = |ms| Some(Timestamp(ms));
        let window = Window { since: time(DAY_MS + 5), until: time(3 * DAY_MS) };
        let days: Vec<i64> = (0..5).filter(|&day| is_in(&window, day)).collect();
        assert_eq!(days, [1, 2]);
        assert!(is_in(&Window::default(), -9));
    }

    #[test]
    fn instances_are_told_by_name_and_direction() {
        let told = |path| instance(Path::new(path), Direction::Send).map(|found| (found.stamp, found.number));
        assert_eq!(told("EX1/SmtpSend/SEND2024030106-2.LOG.zst"), Some((2_024_030_106, 2)));
        assert_eq!(told("EX1/all.zip/SmtpSend/send20240301-12.log"), Some((20_240_301, 12)));
        assert_eq!([told("RECV20240301-1.LOG"), told("SEND20240301.LOG"), told("..")], [None; 3]);
    }
}
