//! What coverage found, a row each: the stream, the day, and what is to say of it.

use index::coverage::{AbsentInstances, DayCoverage, Instance, State, StreamCoverage};
use smtplog::{Direction, Timestamp, civil::DAY_MS, hours::HOUR_MS};

use super::{amount, date, instance, name};
use crate::{
    console::Palette,
    render::table::{Column, Fit, Table},
};

/// The findings of these streams, in their order, and how many more there are than `most`.
pub(super) fn table(colors: Palette, streams: &[&StreamCoverage], most: usize) -> (Table, usize) {
    let mut table = Table::new(vec![
        Column::new("stream", Fit::End(21)).styled(colors.key),
        Column::new("day", Fit::Whole),
        Column::new("finding", Fit::Whole).styled(colors.refusal),
        Column::new("kept", Fit::Number).dispensable(2),
        Column::new("rejected", Fit::Number).dispensable(1),
        Column::new("what it is", Fit::End(36)),
    ]);
    let mut count = 0;
    // Rejected rows are told last: nearly every log has some, and what is missing must not drown in them.
    for finding in streams.iter().flat_map(|one| findings(one)).chain(streams.iter().flat_map(|one| rejected(one))) {
        count += 1;
        if count <= most {
            table.row(finding);
        }
    }
    (table, count.saturating_sub(most))
}

fn findings(stream: &StreamCoverage) -> Vec<[String; 6]> {
    let name = name(stream);
    let mut findings = Vec::new();
    let is_silent = |day: &DayCoverage| day.state == State::Silent;
    // Days of one silence follow one another, and are one finding.
    for days in stream.days.chunk_by(|a, b| is_silent(a) && is_silent(b) && a.day + 1 == b.day) {
        let day = &days[0];
        for (word, text) in told(days, stream.stream.direction) {
            let counts = [amount::count(day.kept), amount::count(day.rejected)];
            let [kept, rejected] = counts;
            findings.push([name.clone(), date(day.day), word.to_owned(), kept, rejected, text]);
        }
    }
    findings
}

/// The days with rejected rows.
fn rejected(stream: &StreamCoverage) -> impl Iterator<Item = [String; 6]> {
    let name = name(stream);
    let is_told = |day: &&DayCoverage| day.rejected > 0 && day.state != State::Pruned;
    stream.days.iter().filter(is_told).map(move |day| {
        let text = format!("{} cannot be read", amount::counted(day.rejected, "row"));
        let counts = [day.kept, day.rejected].map(amount::count);
        let [kept, rejected] = counts;
        [name.clone(), date(day.day), "rejected".to_owned(), kept, rejected, text]
    })
}

fn told(days: &[DayCoverage], direction: Direction) -> Vec<(&'static str, String)> {
    let day = &days[0];
    let damaged: Vec<&Instance> = days.iter().flat_map(|day| &day.damaged).collect();
    let why = if damaged.is_empty() { ", or logging off" } else { "; a file is damaged" };
    let mut told = Vec::new();
    match day.state {
        State::Missing if day.kept > 0 => told.push(("missing", format!("next log's rows only{why}"))),
        State::Missing => told.push(("missing", format!("no rows{why}"))),
        State::Silent => {
            told.push(("silent", format!("no rows for {}{why}", amount::counted(days.len() as u64, "day"))));
        }
        State::Pruned | State::Present | State::Late | State::Gap => {}
    }
    for quiet in &day.quiet {
        let hour = |time: Timestamp| (time.0 - day.day * DAY_MS) / HOUR_MS;
        let (from, until) = (hour(quiet.start), hour(quiet.end));
        told.push(("gap", format!("no rows {from:02}:00-{until:02}:00{why}")));
    }
    told.extend(day.absent.iter().map(|absent| ("gap", absent_text(absent, direction))));
    match damaged.as_slice() {
        [] => {}
        [one] => told.push(("damaged", format!("{}{} is damaged or unreadable", prefix(direction), instance(one)))),
        more => told.push(("damaged", format!("{} files are damaged or unreadable", amount::count(more.len() as u64)))),
    }
    if let Some(came) = day.came.filter(|_| day.is_late) {
        let hours = (came.0 - (day.day + 1) * DAY_MS) / HOUR_MS;
        told.push(("late", format!("came {} after the day's end", amount::counted(hours.unsigned_abs(), "hour"))));
    }
    told
}

fn absent_text(absent: &AbsentInstances, direction: Direction) -> String {
    let prefix = prefix(direction);
    let AbsentInstances { stamp, first, last } = absent;
    match first == last {
        true => format!("{prefix}{stamp}-{first} is absent"),
        false => format!("{prefix}{stamp}-{first} to -{last} are absent"),
    }
}

fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Send => "SEND",
        Direction::Receive => "RECV",
    }
}
