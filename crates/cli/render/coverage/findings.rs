//! What coverage found, a row each: the stream, the day, and what is to say of it.

use index::coverage::{AbsentInstances, DayCoverage, State, StreamCoverage};
use smtplog::{Direction, Timestamp, civil::DAY_MS, hours::HOUR_MS};

use super::{amount, date, name};
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
    for stream in streams {
        for finding in findings(stream) {
            count += 1;
            if count <= most {
                table.row(finding);
            }
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

fn told(days: &[DayCoverage], direction: Direction) -> Vec<(&'static str, String)> {
    let day = &days[0];
    let mut told = Vec::new();
    match day.state {
        State::Missing if day.kept > 0 => told.push(("missing", "next log's rows only, or logging off".to_owned())),
        State::Missing => told.push(("missing", "no rows, or logging off".to_owned())),
        State::Silent => {
            told.push(("silent", format!("no rows for {}, or logging off", amount::counted(days.len() as u64, "day"))));
        }
        State::Present | State::Late | State::Gap => {}
    }
    for quiet in &day.quiet {
        let hour = |time: Timestamp| (time.0 - day.day * DAY_MS) / HOUR_MS;
        let (from, until) = (hour(quiet.start), hour(quiet.end));
        told.push(("gap", format!("no rows {from:02}:00-{until:02}:00, or logging off")));
    }
    told.extend(day.absent.iter().map(|absent| ("gap", absent_text(absent, direction))));
    if let Some(came) = day.came.filter(|_| day.is_late) {
        let hours = (came.0 - (day.day + 1) * DAY_MS) / HOUR_MS;
        told.push(("late", format!("came {} after the day's end", amount::counted(hours.unsigned_abs(), "hour"))));
    }
    told
}

fn absent_text(absent: &AbsentInstances, direction: Direction) -> String {
    let prefix = match direction {
        Direction::Send => "SEND",
        Direction::Receive => "RECV",
    };
    let AbsentInstances { stamp, first, last } = absent;
    match first == last {
        true => format!("{prefix}{stamp}-{first} is absent"),
        false => format!("{prefix}{stamp}-{first} to -{last} are absent"),
    }
}
