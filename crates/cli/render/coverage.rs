//! Coverage: the map and the findings for people, and every day as CSV and as JSON.

mod findings;
mod heat_map;

use std::{cmp::Reverse, io::Write};

use index::coverage::{AbsentInstances, DayCoverage, Instance, State, StreamCoverage};
use serde_json::{Value, json};
use smtplog::{Timestamp, civil::DAY_MS};

use self::heat_map::HeatMap;
use super::{amount, csv::CsvRows, json::write_line};
use crate::{args::Format, console::Console};

/// Lines of the map, and rows of the table, that a terminal gets; more would scroll away.
const LINES_MAX: usize = 40;

/// What is known of the streams, each with at least one day.
pub(crate) struct Report<'a> {
    /// In the order of their names.
    pub(crate) streams: &'a [StreamCoverage],
}

impl Report<'_> {
    /// Prints all of it.
    pub(crate) fn print(&self, console: &Console, format: Format) -> anyhow::Result<()> {
        let mut out = console.results();
        match format {
            Format::Table if self.streams.is_empty() => {}
            Format::Table => self.show(console, &mut out)?,
            Format::Json => {
                self.each(|stream, day| write_line(&mut out, &object(stream, day)))?;
            }
            Format::Csv => {
                let mut csv = CsvRows::new(&mut out, &CSV_COLUMNS)?;
                self.each(|stream, day| csv.row(cells(stream, day)))?;
                csv.finish()?;
            }
        }
        out.flush()?;
        Ok(())
    }

    fn each(&self, mut print: impl FnMut(&StreamCoverage, &DayCoverage) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.streams.iter().try_for_each(|stream| stream.days.iter().try_for_each(|day| print(stream, day)))
    }

    fn show(&self, console: &Console, out: &mut impl Write) -> anyhow::Result<()> {
        let is_short = console.width.is_some() && !console.verbose;
        let most = if is_short { LINES_MAX } else { usize::MAX };
        let mut streams: Vec<&StreamCoverage> = self.streams.iter().collect();
        streams.sort_by_key(|stream| Reverse(trouble(stream))); // Equal ones stay in the order of their names.
        let map = HeatMap::new(&streams[..most.min(streams.len())], console.width);
        map.write(out, console.colors)?;
        let (table, left_out) = findings::table(console.colors, &streams, most);
        if !table.is_empty() {
            writeln!(out)?;
            table.write(out, console.width, console.colors.heading)?;
        }
        out.flush()?;
        if map.days_left_out() > 0 {
            let days = amount::counted(map.days_left_out(), "earlier day");
            console.note(&format!("{days} left out of the map; --until shows them, --json has all"));
        }
        if streams.len() > most {
            let more = amount::counted((streams.len() - most) as u64, "more stream");
            console.note(&format!("... and {more} with less to say; -v shows all"));
        }
        if left_out > 0 {
            console.note(&format!("... and {}; -v shows all", amount::counted(left_out as u64, "more finding")));
        }
        console.note(&self.summary());
        Ok(())
    }

    /// `6 streams: 2 days missing, 1 with a gap`.
    fn summary(&self) -> String {
        let days = || self.streams.iter().flat_map(|stream| &stream.days);
        let counted = |state: State| {
            let count = days().filter(|day| day.state == state).count() as u64;
            let text = format!("{} {}", amount::counted(count, "day"), phrase(state));
            (state != State::Present && count > 0).then_some(text)
        };
        let found: Vec<String> = State::ALL.into_iter().rev().filter_map(counted).collect();
        let found = if found.is_empty() { "nothing is missing".to_owned() } else { found.join(", ") };
        format!("{}: {found}", amount::counted(self.streams.len() as u64, "stream"))
    }
}

fn phrase(state: State) -> &'static str {
    match state {
        State::Gap => "with a gap",
        other => other.as_str(),
    }
}

/// How much is amiss: silence that lasts first, then days that are missing, gaps, and what came late.
fn trouble(stream: &StreamCoverage) -> (bool, [usize; 3]) {
    let is_silent = stream.days.last().is_some_and(|day| day.state == State::Silent);
    let count = |is_so: fn(&DayCoverage) -> bool| stream.days.iter().filter(|day| is_so(day)).count();
    let missing = count(|day| day.state >= State::Missing);
    (is_silent, [missing, count(|day| day.state == State::Gap), count(|day| day.is_late)])
}

/// `2024-03-01`.
fn date(day: i64) -> String {
    let text = Timestamp(day * DAY_MS).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// `EX001/hub/send`, as session ids begin.
fn name(stream: &StreamCoverage) -> String {
    let stream = &stream.stream;
    format!("{}/{}/{}", stream.server, stream.role, stream.direction)
}

/// `2024030106-2`.
fn instance(instance: &Instance) -> String {
    format!("{}-{}", instance.stamp, instance.number)
}

/// `2024030106-2`, or `2024030106-2..5`.
fn instances(absent: &AbsentInstances) -> String {
    let AbsentInstances { stamp, first, last } = absent;
    if first == last { format!("{stamp}-{first}") } else { format!("{stamp}-{first}..{last}") }
}

fn object(stream: &StreamCoverage, day: &DayCoverage) -> Value {
    let absent = |absent: &AbsentInstances| json!({ "stamp": absent.stamp.to_string(), "first": absent.first, "last": absent.last });
    json!({
        "v": 1,
        "server": &*stream.stream.server, "role": stream.stream.role.as_str(),
        "direction": stream.stream.direction.as_str(),
        "day": date(day.day), "state": day.state.as_str(),
        "kept": day.kept, "rejected": day.rejected,
        "came": day.came, "late": day.is_late,
        "quiet": day.quiet.iter()
            .map(|quiet| json!({ "from": quiet.start, "until": quiet.end })).collect::<Vec<_>>(),
        "absent": day.absent.iter().map(absent).collect::<Vec<_>>(),
        "damaged": day.damaged.iter()
            .map(|damaged| json!({ "stamp": damaged.stamp.to_string(), "number": damaged.number })).collect::<Vec<_>>(),
    })
}

const CSV_COLUMNS: [&str; 12] =
    ["server", "role", "direction", "day", "state", "kept", "rejected", "came", "late", "quiet", "absent", "damaged"];

fn cells(stream: &StreamCoverage, day: &DayCoverage) -> [String; 12] {
    let quiet = day.quiet.iter().map(|quiet| format!("{}/{}", quiet.start, quiet.end));
    [
        stream.stream.server.to_string(),
        stream.stream.role.as_str().to_owned(),
        stream.stream.direction.as_str().to_owned(),
        date(day.day),
        day.state.as_str().to_owned(),
        day.kept.to_string(),
        day.rejected.to_string(),
        day.came.map(|came| came.to_string()).unwrap_or_default(),
        day.is_late.to_string(),
        quiet.collect::<Vec<_>>().join(" "),
        day.absent.iter().map(instances).collect::<Vec<_>>().join(" "),
        day.damaged.iter().map(instance).collect::<Vec<_>>().join(" "),
    ]
}
