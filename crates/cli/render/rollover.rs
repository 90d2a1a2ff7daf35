//! Renewals of certificates, for people: what is not done comes first, and a fleet fits a screen.
//!
//! ```text
//! To Office 365 (send): 2 of 180 servers lag, 1 mixed, 3 idle, 174 moved
//!   7938CE65… -> 39352341…  since 2024-03-03 19:00:00
//!   name: mail.contoso.com -> owa.contoso.com
//!   old: 31 refusals in 1,204 sessions, mostly 5.7.64 (20)
//!   new: 203 refusals in 1,101 sessions, mostly 5.7.64 (150)
//!   server  state    old last seen        new last seen        sessions
//!   EX017   lagging  2024-03-07 23:59:10                          1,204
//! ```
//! Servers that moved are counted, a few of them named, and with -v listed; a file and a pipe get all the rest.

mod records;

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use index::{Connector, Expiring, Met, Renewal, RenewalServer, Rollover, UseState};
use smtplog::{Thumbprint, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::{
    amount,
    certificates::{common_name, date, servers},
    escape::Escaped,
    sessions::moment,
    table::{Column, Fit, Table, fitted, thumbprint},
};
use crate::{args::Format, console::Console};

/// Renewals shown with their servers; of more a row tells.
const SHOWN_MAX: usize = 3;

/// Servers listed with their times, over all of these.
const LISTED_MAX: usize = 7;

/// Servers listed of each.
const LISTED_MIN: usize = 2;

/// Lines of names of each, for servers that are not listed.
const LINES_OF_NAMES_MAX: usize = 2;

/// Servers that moved are named if there are no more.
const MOVED_NAMED_MAX: usize = 5;

/// Rows of the other tables.
const ROWS_MAX: usize = 5;

/// Of more renewals on one connector that one server has each, their number is told.
const ALONE_MAX: u64 = 2;

/// Renewals and what is told with them.
pub(crate) struct Report<'a> {
    /// Uses and renewals.
    pub(crate) rollover: &'a Rollover,
    /// Certificates whose validity ends.
    pub(crate) expiring: &'a [Expiring],
    /// What has ended before has expired.
    pub(crate) now: Timestamp,
}

impl Report<'_> {
    /// Prints everything.
    pub(crate) fn print(&self, console: &Console, format: Format) -> anyhow::Result<()> {
        let mut out = console.results();
        match format {
            Format::Table => self.text(&mut out, console)?,
            Format::Json => self.json(&mut out)?,
            Format::Csv => self.csv(&mut out)?,
        }
        out.flush()?;
        Ok(())
    }

    fn text(&self, out: &mut impl Write, console: &Console) -> io::Result<()> {
        let is_whole = console.verbose || console.width.is_none();
        let most = |limit: usize| if is_whole { usize::MAX } else { limit };
        let (open, done): (Vec<&Renewal>, Vec<&Renewal>) =
            self.rollover.renewals.iter().partition(|renewal| renewal.is_open() || console.verbose);
        let (shown, rest) = open.split_at(open.len().min(most(SHOWN_MAX)));
        let mut page = Page { out, console, sections: 0 };
        let mut left = most(LISTED_MAX);
        for (renewal, after) in shown.iter().zip((0..shown.len()).rev()) {
            page.section()?;
            // A few lines are kept for each of those that follow.
            let listed = left.saturating_sub(LISTED_MIN * after).max(LISTED_MIN);
            self.renewal(&mut page, renewal, listed)?;
            left = left.saturating_sub(renewal.servers.iter().filter(|server| server.is_behind()).count().min(listed));
        }
        let (others, alone) = apart(rest.iter().chain(&done).copied(), if is_whole { u64::MAX } else { ALONE_MAX });
        if !others.is_empty() {
            page.section()?;
            let title = if shown.is_empty() { "renewals" } else { "other renewals" };
            page.table(title, &self.others(console, &others, most(ROWS_MAX)), "")?;
            page.more(others.len(), most(ROWS_MAX), "renewal")?;
        }
        if !alone.is_empty() {
            let renewals = amount::counted(alone.values().sum(), "renewal");
            let connectors = amount::counted(alone.len() as u64, "connector");
            let text = format!("  and {renewals} of one server each, on {connectors}; -v lists them");
            writeln!(page.out, "{}", fitted(&text, console.width))?;
        }
        if !self.expiring.is_empty() {
            page.section()?;
            page.table("still presented, but expired or about to", &self.expiring(console, most(ROWS_MAX)), "")?;
            page.more(self.expiring.len(), most(ROWS_MAX), "certificate")?;
        }
        Ok(())
    }

    fn renewal<W: Write>(&self, page: &mut Page<'_, W>, renewal: &Renewal, listed: usize) -> io::Result<()> {
        let (width, colors) = (page.console.width, page.console.colors);
        let counts = counts(renewal);
        let title = titled(&renewal.connector);
        let title = fitted(&title, width.map(|width| width.saturating_sub(counts.len() + 2)));
        let (heading, refusal) = (colors.heading, colors.refusal);
        let urgent = if renewal.is_open() { refusal } else { colors.faint };
        writeln!(page.out, "{heading}{title}{heading:#}: {urgent}{counts}{urgent:#}")?;
        let [old, new] = [renewal.old, renewal.new]
            .map(|certificate| thumbprint(&certificate.to_string(), width.map(|width| width.saturating_sub(2))));
        let (certificate, since) = (colors.certificate, moment(renewal.began));
        let used = old.chars().count() + new.chars().count() + since.len() + "   ->   , since ".len();
        let names = self.names(renewal);
        let name = match names {
            Names::Same(name) => fitted(name, width.map(|width| width.saturating_sub(used))),
            Names::Changed { .. } => String::new(),
        };
        let name = if name.is_empty() { name } else { format!("{name}, ") };
        writeln!(
            page.out,
            "  {certificate}{old}{certificate:#} -> {certificate}{new}{certificate:#}  {name}since {since}"
        )?;
        if let Names::Changed { .. } = names {
            writeln!(page.out, "{}", fitted(&format!("  name: {names}"), width))?;
        }
        for (label, met) in [("old", &renewal.before), ("new", &renewal.after)] {
            writeln!(page.out, "{}", fitted(&format!("  {label}: {}", met_in_words(met)), width))?;
        }
        if let Some(moved) = moved(renewal).filter(|_| !page.console.verbose) {
            writeln!(page.out, "{}", fitted(&format!("  moved: {moved}"), width))?;
        }
        self.servers(page, renewal, listed)
    }

    /// Servers that have not moved; with -v all.
    fn servers<W: Write>(&self, page: &mut Page<'_, W>, renewal: &Renewal, listed: usize) -> io::Result<()> {
        let is_told = |server: &&RenewalServer| server.is_behind() || page.console.verbose;
        let told: Vec<&RenewalServer> = renewal.servers.iter().filter(is_told).collect();
        if told.is_empty() {
            return Ok(());
        }
        let colors = page.console.colors;
        let mut table = Table::new(vec![
            Column::new("server", Fit::End(8)).styled(colors.key),
            Column::new("state", Fit::Whole),
            Column::new("old last seen", Fit::Whole),
            Column::new("new last seen", Fit::Whole).styled(colors.faint),
            Column::new("old sessions", Fit::Number).dispensable(1),
        ]);
        for server in told.iter().take(listed) {
            let of_old = self.rollover.uses.iter().find(|one| {
                one.thumbprint == renewal.old && one.server == server.server && one.connector == renewal.connector
            });
            table.row([
                server.server.clone(),
                in_words(server).to_owned(),
                moment(server.old_last),
                server.new_last.map(moment).unwrap_or_default(),
                of_old.map(|one| amount::count(one.sessions)).unwrap_or_default(),
            ]);
        }
        page.table("", &table, "  ")?;
        let mut rest: Vec<String> = told.iter().skip(listed).map(|server| name_in_line(server)).collect();
        rest.sort_unstable();
        names_in_lines(&rest, page.console.width.unwrap_or(80)).iter().try_for_each(|line| writeln!(page.out, "{line}"))
    }

    fn others(&self, console: &Console, renewals: &[&Renewal], rows: usize) -> Table {
        let colors = console.colors;
        let mut table = Table::new(vec![
            Column::new("connector", Fit::End(28)).styled(colors.key),
            Column::new("old", Fit::Thumbprint).styled(colors.certificate),
            Column::new("new", Fit::Thumbprint).styled(colors.certificate),
            Column::new("name", Fit::End(8)).dispensable(3),
            Column::new("since", Fit::Whole).styled(colors.faint).dispensable(2),
            Column::new("moved", Fit::Number),
            Column::new("behind", Fit::Number).styled(colors.refusal),
            Column::new("idle", Fit::Number).dispensable(1),
            Column::new("who moved", Fit::End(9)).dispensable(4),
            Column::new("refused", Fit::Number).styled(colors.refusal),
        ]);
        for renewal in renewals.iter().take(rows) {
            let behind = renewal.servers.iter().filter(|server| server.is_behind()).count();
            let idle = renewal.count(UseState::Idle);
            table.row([
                titled(&renewal.connector),
                renewal.old.to_string(),
                renewal.new.to_string(),
                self.names(renewal).to_string(),
                date(renewal.began),
                format!("{}/{}", renewal.count(UseState::Past), renewal.servers.len()),
                if behind > 0 { behind.to_string() } else { String::new() },
                if idle > 0 { idle.to_string() } else { String::new() },
                moved(renewal).unwrap_or_default(),
                format!("{} -> {}", amount::count(renewal.before.refused()), amount::count(renewal.after.refused())),
            ]);
        }
        table
    }

    fn expiring(&self, console: &Console, rows: usize) -> Table {
        let colors = console.colors;
        let mut table = Table::new(vec![
            Column::new("thumbprint", Fit::Thumbprint).styled(colors.certificate),
            Column::new("name", Fit::End(16)),
            Column::new("validity", Fit::Whole).styled(colors.refusal),
            Column::new("last seen", Fit::Whole).styled(colors.faint).dispensable(1),
            Column::new("servers", Fit::End(10)),
            Column::new("connectors", Fit::End(10)).dispensable(2),
        ]);
        for one in self.expiring.iter().take(rows) {
            let verb = if one.not_after < self.now { "expired on" } else { "expires on" };
            let connectors: Vec<String> = one.connectors.iter().map(titled).collect();
            table.row([
                one.certificate.thumbprint.to_string(),
                common_name(&one.certificate.subject).to_owned(),
                format!("{verb} {}", date(one.not_after)),
                date(one.last),
                servers(&one.servers),
                connectors.join(", "),
            ]);
        }
        table
    }

    /// The common names of both certificates.
    fn names(&self, renewal: &Renewal) -> Names<'_> {
        match (self.name(renewal.old), self.name(renewal.new)) {
            (old, new) if old.is_empty() || new.is_empty() || old == new => Names::Same(new),
            (old, new) => Names::Changed { old, new },
        }
    }

    /// A certificate's common name; empty if unknown.
    fn name(&self, thumbprint: Thumbprint) -> &str {
        let known = &self.rollover.certificates;
        let at = known.binary_search_by_key(&thumbprint, |certificate| certificate.thumbprint);
        at.map_or("", |at| common_name(&known[at].subject))
    }
}

/// The names in a renewal: the other side may know the old one only.
#[derive(Clone, Copy)]
enum Names<'a> {
    /// One name, or that of the new certificate where only it can be told.
    Same(&'a str),
    /// Another name than before.
    Changed { old: &'a str, new: &'a str },
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Names::Same(name) => f.write_str(name),
            Names::Changed { old, new } => write!(f, "{old} -> {new}"),
        }
    }
}

/// Where the text goes, section by section.
struct Page<'a, W: Write> {
    out: &'a mut W,
    console: &'a Console,
    sections: usize,
}

impl<W: Write> Page<'_, W> {
    /// Begins a section; an empty line parts it from the one before.
    fn section(&mut self) -> io::Result<()> {
        self.sections += 1;
        if self.sections > 1 { writeln!(self.out) } else { Ok(()) }
    }

    fn table(&mut self, title: &str, table: &Table, indent: &str) -> io::Result<()> {
        let heading = self.console.colors.heading;
        if !title.is_empty() {
            writeln!(self.out, "{heading}{title}{heading:#}")?;
        }
        let mut lines = Vec::new();
        let style = if indent.is_empty() && title.is_empty() { heading } else { self.console.colors.faint };
        table.write(&mut lines, self.console.width.map(|width| width.saturating_sub(indent.len())), style)?;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.out.write_all(indent.as_bytes())?;
            self.out.write_all(line)?;
        }
        Ok(())
    }

    /// Says how many were left out.
    fn more(&mut self, all: usize, shown: usize, noun: &str) -> io::Result<()> {
        match all.saturating_sub(shown) {
            0 => Ok(()),
            rest => writeln!(self.out, "  and {} more; -v lists them", amount::counted(rest as u64, noun)),
        }
    }
}

/// The servers that moved, if they are few.
fn moved(renewal: &Renewal) -> Option<String> {
    let moved = renewal.servers.iter().filter(|server| server.state == UseState::Past);
    let mut names: Vec<&str> = moved.map(|server| server.server.as_str()).collect();
    names.sort_unstable();
    (1..=MOVED_NAMED_MAX).contains(&names.len()).then(|| names.join(" "))
}

/// A server's name, and what it is if it does not lag.
fn name_in_line(server: &RenewalServer) -> String {
    let name = Escaped::line(&server.server);
    match server.state {
        UseState::Lagging => name.to_string(),
        state => format!("{name} ({})", state.as_str()),
    }
}

/// Names of servers side by side, behind `  also`; those for which there is no room are counted.
fn names_in_lines(names: &[String], width: usize) -> Vec<String> {
    const FIRST: &str = "  also";
    const NEXT: &str = "      ";
    let mut lines = vec![FIRST.to_owned()];
    for (at, name) in names.iter().enumerate() {
        let rest = format!(" and {} more; -v lists them", amount::count((names.len() - at) as u64));
        let is_last_line = lines.len() == LINES_OF_NAMES_MAX;
        let Some(line) = lines.last_mut() else { break };
        // On the last line room is kept for the count, unless all the others fit.
        let all: usize = names[at..].iter().map(|name| 1 + name.width()).sum();
        let kept = if is_last_line && line.width() + all > width { rest.len() } else { 0 };
        let fits = line.width() + 1 + name.width() + kept <= width;
        match (fits, is_last_line) {
            (true, _) => line.extend([" ", name]),
            (false, false) => lines.push(format!("{NEXT} {name}")),
            (false, true) => {
                line.push_str(&rest);
                break;
            }
        }
    }
    if names.is_empty() { Vec::new() } else { lines }
}

/// Parts those that one server has alone and that are done, where a connector has many.
fn apart<'a>(
    renewals: impl Iterator<Item = &'a Renewal>,
    alone_max: u64,
) -> (Vec<&'a Renewal>, BTreeMap<&'a Connector, u64>) {
    let is_alone = |renewal: &Renewal| renewal.servers.len() == 1 && !renewal.is_open();
    let all: Vec<&Renewal> = renewals.collect();
    let mut alone: BTreeMap<&Connector, u64> = BTreeMap::new();
    all.iter()
        .filter(|renewal| is_alone(renewal))
        .for_each(|renewal| *alone.entry(&renewal.connector).or_default() += 1);
    alone.retain(|_, count| *count > alone_max);
    let others = all.into_iter().filter(|one| !is_alone(one) || !alone.contains_key(&one.connector)).collect();
    (others, alone)
}

/// `To Office 365 (send)`.
fn titled(connector: &Connector) -> String {
    let name = if connector.name.is_empty() { "no connector" } else { &connector.name };
    let internal = if connector.is_internal { ", internal" } else { "" };
    format!("{name} ({}{internal})", connector.direction)
}

/// `2 of 180 servers lag, 1 mixed, 3 idle, 174 moved`.
fn counts(renewal: &Renewal) -> String {
    let all = amount::counted(renewal.servers.len() as u64, "server");
    let lag = renewal.count(UseState::Lagging);
    let verb = if lag == 1 { "lags" } else { "lag" };
    let mut text = if lag > 0 { format!("{lag} of {all} {verb}") } else { all };
    for (state, word) in [(UseState::Mixed, "mixed"), (UseState::Idle, "idle"), (UseState::Past, "moved")] {
        match renewal.count(state) {
            0 => {}
            count => text.push_str(&format!(", {count} {word}")),
        }
    }
    text
}

/// `31 refusals in 1,204 sessions, mostly 5.7.64 (20)`.
fn met_in_words(met: &Met) -> String {
    let (refused, sessions) = (met.refused(), amount::counted(met.sessions, "session"));
    match met.most_frequent() {
        None => format!("no refusal in {sessions}"),
        Some((status, count)) => {
            let refusals = amount::counted(refused, "refusal");
            format!("{refusals} in {sessions}, mostly {status} ({})", amount::count(count))
        }
    }
}

fn in_words(server: &RenewalServer) -> &'static str {
    match (server.state, server.new_last) {
        (UseState::Lagging, Some(_)) => "went back",
        (UseState::Past, _) => "moved",
        (state, _) => state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use smtplog::{Direction, certificate::Certificate};

    use super::*;
    use crate::console::OutputOptions;

    /// A renewal from certificate 1 to 2 of servers in these states, with the subjects of both, as a terminal shows it.
    fn told(subjects: [&str; 2], servers: &[(&str, UseState)]) -> String {
        told_in(Some(80), subjects, servers)
    }

    fn told_in(width: Option<usize>, subjects: [&str; 2], servers: &[(&str, UseState)]) -> String {
        let certificate = |digit: u8| Thumbprint([digit; 20]);
        let server = |&(name, state): &(&str, UseState)| RenewalServer {
            server: name.to_owned(),
            state,
            old_last: Timestamp(0),
            new_last: None,
        };
        let renewal = Renewal {
            connector: Connector { name: "Out".to_owned(), direction: Direction::Send, is_internal: false },
            old: certificate(1),
            new: certificate(2),
            began: Timestamp(0),
            servers: servers.iter().map(server).collect(),
            before: Met::default(),
            after: Met::default(),
        };
        let named = |(digit, subject): (u8, &str)| Certificate {
            subject: subject.to_owned(),
            ..Certificate::bare(certificate(digit))
        };
        let certificates = (1..).zip(subjects).map(named).collect();
        let rollover = Rollover { renewals: vec![renewal], certificates, ..Rollover::default() };
        let mut console = Console::new(&OutputOptions::default());
        console.width = width;
        let mut out = Vec::new();
        Report { rollover: &rollover, expiring: &[], now: Timestamp(0) }.text(&mut out, &console).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_name_that_changes_is_told() {
        const LAGS: [(&str, UseState); 2] = [("EX2", UseState::Lagging), ("EX1", UseState::Past)];
        let changed = told(["CN=mail.contoso.com", "CN=owa.contoso.com"], &LAGS);
        assert!(changed.contains("\n  name: mail.contoso.com -> owa.contoso.com\n"), "{changed}");
        assert!(changed.contains("\n  moved: EX1\n"), "{changed}");
        let same = told(["CN=mail.contoso.com", "O=x, CN=mail.contoso.com"], &LAGS);
        assert!(same.contains("  mail.contoso.com, since 1970") && !same.contains("name:"), "{same}");
        let unknown = told(["", "CN=owa.contoso.com"], &LAGS);
        assert!(unknown.contains("  owa.contoso.com, since 1970") && !unknown.contains("name:"), "{unknown}");
        let done = told_in(None, ["CN=mail.contoso.com", "CN=owa.contoso.com"], &LAGS[1..]);
        assert!(done.contains("  mail.contoso.com -> owa.contoso.com  ") && done.contains("  EX1  "), "{done}");
    }

    #[test]
    fn a_few_servers_that_moved_are_named() {
        let six = ["EX6", "EX5", "EX4", "EX3", "EX2", "EX1"].map(|name| (name, UseState::Past));
        let with = |moved: usize| told([""; 2], &[&[("EX9", UseState::Lagging)], &six[..moved]].concat());
        assert!(with(5).contains("\n  moved: EX2 EX3 EX4 EX5 EX6\n"), "{}", with(5));
        assert!(!with(6).contains("moved:") && with(6).contains("6 moved"), "{}", with(6));
        assert!(!with(0).contains("moved"), "{}", with(0));
    }

    #[test]
    fn names_fill_two_lines() {
        let names: Vec<String> = (1..=60).map(|number| format!("EX{number:03}")).collect();
        assert_eq!(names_in_lines(&[], 80), [""; 0]);
        assert_eq!(names_in_lines(&names[..2], 80), ["  also EX001 EX002"]);
        let lines = |count: usize| names_in_lines(&names[..count], 40);
        assert_eq!(lines(6), ["  also EX001 EX002 EX003 EX004 EX005", "       EX006"]);
        assert_eq!(lines(10)[1], "       EX006 EX007 EX008 EX009 EX010");
        assert_eq!(lines(11)[1], "       EX006 and 5 more; -v lists them");
        for (count, width) in [(60, 40), (60, 80), (24, 80), (23, 80), (60, 60)] {
            let lines = names_in_lines(&names[..count], width);
            assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= width), "{count} {width} {lines:?}");
        }
    }
}
