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
        Column::new("stream", Fit::End(32)).styled(colors.key),
        Column::new("day", Fit::Whole),
        Column::new("finding", Fit::Whole).styled(colors.refusal),
        Column::new("kept", Fit::Number).dispensable(2),
        Column::new("rejected", Fit::Number).dispensable(1),
        Column::new("what it is", Fit::End(24)),
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
    // That logging may be off instead is said once, below the map.
    let damaged: Vec<&Instance> = days.iter().flat_map(|day| &day.damaged).collect();
    let why = if damaged.is_empty() { "" } else { "; a file is damaged" };
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
        [one] => told.push(("damaged", format!("{}{} cannot be read", prefix(direction), instance(one)))),
        more => told.push(("damaged", format!("{} files cannot be read", amount::count(more.len() as u64)))),
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

#[cfg(test)]
mod tests {
    use smtplog::{Role, Stream};

    use super::*;
    use crate::console::{Console, OutputOptions};

    #[test]
    fn names_of_streams_go_whole_on_eighty_columns() {
        let empty = DayCoverage {
            day: 19_790,
            kept: 1_234_567,
            rejected: 1,
            state: State::Present,
            came: None,
            is_late: false,
            days_before: 7,
            quiet: Vec::new(),
            absent: Vec::new(),
            damaged: Vec::new(),
        };
        let instance = Instance { stamp: 2_024_030_806, number: 12 };
        let quiet = Timestamp(19_791 * DAY_MS + 10 * HOUR_MS)..Timestamp(19_791 * DAY_MS + 15 * HOUR_MS);
        let days = vec![
            DayCoverage { state: State::Missing, damaged: vec![instance], ..empty.clone() },
            DayCoverage { day: 19_791, state: State::Gap, quiet: vec![quiet], ..empty.clone() },
            DayCoverage {
                day: 19_792,
                state: State::Late,
                is_late: true,
                came: Some(Timestamp(19_795 * DAY_MS)),
                ..empty
            },
        ];
        let stream = Stream { server: "EX001-BERLIN".into(), role: Role::Frontend, direction: Direction::Receive };
        let stream = StreamCoverage { stream, days };
        let console = Console::new(&OutputOptions::default());
        let (table, _) = table(console.colors, &[&stream], usize::MAX);
        let mut out = Vec::new();
        table.write(&mut out, Some(80), console.colors.heading).unwrap();
        let told = String::from_utf8(out).unwrap();
        for (at, ending) in [
            (1, "  missing   next log's rows only; a fi…"),
            (2, "  damaged   RECV2024030806-12 cannot b…"),
            (3, "  gap       no rows 10:00-15:00"),
            (4, "  late      came 48 hours after the da…"),
            (5, "  rejected  1 row cannot be read"),
        ] {
            let line = told.lines().nth(at).unwrap();
            assert!(line.starts_with("EX001-BERLIN/frontend/receive  2024-03-"), "{told}");
            assert!(line.ends_with(ending) && line.chars().count() <= 80, "{told}");
        }
    }
}
