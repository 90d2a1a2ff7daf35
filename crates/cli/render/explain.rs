//! Explanations: cases and their causes, as a page for people, as Markdown for a ticket, as JSON.

mod json;
mod lines;
mod markdown;
mod possible;
pub(crate) mod rules;
mod text;

use std::io::Write;

use diagnose::{Background, Case, Cause, Family, Missing, Verdict, argument, open_questions};
use index::query::{Expr, Query, Window};
use smtplog::{Direction, Timestamp};

use self::possible::Possible;
use super::{amount, sessions::moment};
use crate::console::Console;

/// A case with its causes.
pub(crate) struct Explained<'a> {
    pub(crate) case: &'a Case<'a>,
    /// Best first.
    pub(crate) causes: Vec<Cause>,
    /// Causes against which something was seen.
    ruled_out: Vec<Cause>,
    /// Refused sessions.
    sessions: u64,
    /// The refusal's text, without what differs in each.
    text: String,
    /// A name of the certificate.
    name: Option<String>,
    /// What would tell more, if there is no cause.
    open: Vec<Missing>,
    /// The front end's session of the first refusal, if that lies behind a proxy.
    pub(crate) front_end: Option<String>,
    /// The first such refusal, if it was before the time that is looked at.
    pub(crate) first_before: Option<Timestamp>,
}

impl<'a> Explained<'a> {
    /// What is told of a case.
    pub(crate) fn new(case: &'a Case<'a>, verdict: Verdict, background: &Background) -> Explained<'a> {
        let Verdict { causes, ruled_out } = verdict;
        // A report names no server of which something could be exported.
        let is_open = causes.is_empty() && !case.first().is_reported;
        let open = if is_open { open_questions(case, background) } else { Vec::new() };
        let name = case.presented.and_then(|presented| background.certificate(presented).name());
        let (sessions, text) = (case.sessions(), case.text());
        Explained { case, causes, ruled_out, sessions, text, name, open, front_end: None, first_before: None }
    }

    /// What the status means and what may have caused it, if nothing but a report is known and it proves no cause.
    fn possible(&self) -> Option<Possible> {
        (self.case.first().is_reported && self.causes.is_empty()).then(|| Possible::of(self.case))
    }

    /// Code, status and text on one line.
    fn title(&self) -> String {
        let Some(code) = self.case.code else { return "TLS negotiation failed, without a reply".to_owned() };
        let status = self.case.status.map(|status| format!(" {status}")).unwrap_or_default();
        format!("{code}{status} {}", self.text)
    }

    /// What was ruled out, one line a cause. It is told where no cause is proved, and with the weighing.
    fn ruled_out(&self, why: bool) -> Vec<String> {
        let line = |cause: &Cause| {
            let against: Vec<&str> =
                cause.why.iter().filter(|one| one.weight < 0).map(|one| one.seen.as_str()).collect();
            format!("{}: {}", cause.id, against.join("; "))
        };
        if why || self.causes.is_empty() { self.ruled_out.iter().map(line).collect() } else { Vec::new() }
    }

    /// What the refused sessions have in common, as label and value.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let case = self.case;
        if case.first().is_reported {
            let session = &case.first().session;
            let refused_by = session.remote_name.as_deref().or(session.remote.as_deref()).unwrap_or_default();
            let time = if case.from.0 == 0 { String::new() } else { format!("{} UTC", moment(case.from)) };
            return [("refused by", refused_by.to_owned()), ("time", time)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect();
        }
        let presented = match (case.presented, &self.name) {
            (Some(presented), Some(name)) => format!("{presented}  {name}"),
            (Some(presented), None) => presented.to_string(),
            (None, _) => "no certificate known".to_owned(),
        };
        let span = match case.from == case.to {
            true => moment(case.from),
            false => format!("{} to {}", moment(case.from), moment(case.to)),
        };
        let mut facts = vec![
            ("connector", case.connector.to_owned()),
            ("servers", case.servers.join(", ")),
            ("presented", presented),
            ("refused", format!("{}, {span} UTC", amount::counted(self.sessions, "session"))),
        ];
        if let Some(first) = self.first_before {
            facts.push(("first seen", format!("{} UTC, before this window", moment(first))));
        }
        if let Some(front_end) = &self.front_end {
            let hub = case.first().session.id();
            facts.push(("proxy", format!("{front_end} presented it for {hub}, whose log has the refusal")));
        }
        facts.retain(|(_, value)| !value.is_empty());
        facts
    }
}

/// Refusals that have nothing to do with certificates or attribution, of one code and status.
pub(crate) struct Other {
    /// The reply code; `None` for a failed negotiation.
    pub(crate) code: Option<u16>,
    /// The enhanced status code.
    pub(crate) status: Option<String>,
    /// Whether the fleet was refused, or refused itself.
    direction: Direction,
    servers: Vec<String>,
    sessions: u64,
    from: Timestamp,
    to: Timestamp,
    text: String,
}

impl Other {
    /// Refusals that a server of the fleet gave.
    pub(crate) fn new(
        code: u16,
        status: Option<String>,
        server: String,
        sessions: u64,
        (from, to): (Timestamp, Timestamp),
    ) -> Other {
        let (direction, text) = (Direction::Receive, "refused by the fleet's own servers".into());
        Other { code: Some(code), status, direction, servers: vec![server], sessions, from, to, text }
    }

    /// More of them, of another server.
    pub(crate) fn add(&mut self, server: String, sessions: u64, (from, to): (Timestamp, Timestamp)) {
        self.servers.push(server);
        self.servers.sort();
        self.sessions += sessions;
        (self.from, self.to) = (self.from.min(from), self.to.max(to));
    }

    fn of(explained: &Explained<'_>) -> Other {
        let case = explained.case;
        Other {
            code: case.code,
            status: case.status.map(str::to_owned),
            direction: case.direction,
            servers: case.servers.iter().map(|&server| server.to_owned()).collect(),
            sessions: explained.sessions,
            from: case.from,
            to: case.to,
            text: explained.text.clone(),
        }
    }
}

/// Refusals of the store like the one that a report tells of.
pub(crate) struct Similar {
    /// The query that finds them.
    pub(crate) query: String,
    /// Sessions.
    pub(crate) sessions: u64,
    /// The last of them.
    pub(crate) last: Option<Timestamp>,
}

/// How a page is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For people.
    Text,
    /// For a ticket or a wiki.
    Markdown,
    /// One object a case.
    Json,
}

/// Everything that is told.
pub(crate) struct Page<'a> {
    /// Those that rules judge first.
    pub(crate) cases: &'a [Explained<'a>],
    /// Refusals that the fleet's own servers gave.
    pub(crate) own: Vec<Other>,
    /// What was asked, and the time that was looked at.
    pub(crate) query: Query,
    /// Why that time, if nobody said so.
    pub(crate) because: Option<String>,
    /// What else is to be known of the evidence.
    pub(crate) notes: Vec<String>,
    /// Refusals of the store like the one that only a report tells of.
    pub(crate) similar: Option<Similar>,
    /// Whether the weighing is told.
    pub(crate) why: bool,
    /// Cases that are explained in full.
    pub(crate) limit: usize,
}

impl Page<'_> {
    /// Prints the page.
    pub(crate) fn print(&self, console: &Console, style: Style) -> anyhow::Result<()> {
        let mut out = console.results();
        match style {
            Style::Text => text::write(&mut out, self, console)?,
            Style::Markdown => markdown::write(&mut out, self)?,
            Style::Json => {
                if let Some(because) = &self.because {
                    console.note(&format!("explained is {because}"));
                }
                self.notes.iter().for_each(|note| console.note(note));
                json::write(&mut out, self)?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// Cases that rules judge.
    fn judged(&self) -> impl Iterator<Item = &Explained<'_>> {
        self.cases.iter().filter(|case| case.case.is_judged())
    }

    /// Refusals that have nothing to do with certificates or attribution, the most frequent first.
    fn others(&self) -> Vec<Other> {
        let cases = self.cases.iter().filter(|case| !case.case.is_judged());
        let mut others: Vec<Other> = cases.map(Other::of).collect();
        others.extend(self.own.iter().map(|one| Other {
            status: one.status.clone(),
            servers: one.servers.clone(),
            text: one.text.clone(),
            ..*one
        }));
        others.sort_by(|a, b| (b.sessions, a.code, &a.status).cmp(&(a.sessions, b.code, &b.status)));
        others
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.cases.is_empty() && self.own.is_empty()
    }

    /// What the page is about, in a few sentences.
    fn summary(&self) -> String {
        if self.similar.is_some() {
            return "The report tells of a refusal, and the store has none of its sessions.".to_owned();
        }
        let is_blocked = |one: &&Explained<'_>| one.case.family == Family::Blocked;
        let (blocked, concerned): (Vec<_>, Vec<_>) = self.judged().partition(is_blocked);
        let count = |cases: &[&Explained<'_>]| {
            let sessions = cases.iter().map(|one| one.sessions).sum();
            format!(
                "{} in {}",
                amount::counted(sessions, "refused session"),
                amount::counted(cases.len() as u64, "case")
            )
        };
        let mut sentences = match concerned.is_empty() {
            true => vec!["No refusal is about certificates, TLS or attribution.".to_owned()],
            false => vec![format!("{} about certificates, TLS or attribution.", count(&concerned))],
        };
        if !blocked.is_empty() {
            sentences.push(format!("{} about blocks, which no certificate mends.", count(&blocked)));
        }
        let other_sessions: u64 = self.others().iter().map(|other| other.sessions).sum();
        if other_sessions > 0 {
            sentences.push(format!("{} refused for other reasons.", amount::counted(other_sessions, "session")));
        }
        sentences.join(" ")
    }

    /// How many refusals of the store are like the reported one, and the command that goes on.
    fn similar(&self) -> Option<(String, String)> {
        let Similar { query, sessions, last } = self.similar.as_ref()?;
        let Some(last) = last else {
            let says =
                format!("The store holds no {query}. Index the protocol logs of the servers that send, and ask again:");
            return Some((says, "smtptrail index PATH".to_owned()));
        };
        let sessions = amount::counted(*sessions, "session");
        let says =
            format!("The store holds {sessions} with {query}, the last at {} UTC. To explain them:", moment(*last));
        Some((says, format!("smtptrail explain {query}{}", self.times())))
    }

    /// The command that counts all refusals.
    fn count_all(&self) -> String {
        let refused = "code:[400 TO 599]";
        let query = match &self.query.expr {
            Expr::All => refused.to_owned(),
            expr @ Expr::Or(_) => format!("({expr}) {refused}"),
            expr => format!("{expr} {refused}"),
        };
        format!("smtptrail search {} --by code,status{}", argument(&query), self.times())
    }

    /// The flags that ask about the same time.
    fn times(&self) -> String {
        let Window { since, until } = self.query.window;
        let flags = [("since", since), ("until", until)];
        flags.into_iter().filter_map(|(name, time)| Some(format!(" --{name} {}", time?))).collect()
    }

    /// The time that was looked at.
    fn span(&self) -> String {
        let time = match (self.query.window.since, self.query.window.until) {
            (Some(since), Some(until)) => format!("{} to {} UTC", moment(since), moment(until)),
            (Some(since), None) => format!("since {} UTC", moment(since)),
            (None, Some(until)) => format!("until {} UTC", moment(until)),
            (None, None) => String::new(),
        };
        match &self.because {
            Some(because) if time.is_empty() => because.clone(),
            None if time.is_empty() => "all times".to_owned(),
            Some(because) => format!("{time}: {because}"),
            None => time,
        }
    }
}

/// Cases past the limit: title, sessions, connector, and the likeliest cause.
fn rest_lines(page: &Page<'_>) -> Vec<[String; 4]> {
    let line = |one: &Explained<'_>| {
        let cause = one.causes.first().map_or("no cause proved", |cause| cause.id);
        let status = one.title().split(' ').take(2).collect::<Vec<_>>().join(" ");
        [status, amount::count(one.sessions), one.case.connector.to_owned(), cause.to_owned()]
    };
    page.judged().skip(page.limit).take(REST_MAX).map(line).collect()
}

/// Cases past the limit that are named; the rest is counted.
const REST_MAX: usize = 20;

/// Other refusals in one line each: status, sessions, text.
fn other_lines(page: &Page<'_>, most: usize) -> Vec<(String, String, String)> {
    let line = |one: Other| {
        let code = one.code.map_or("failed TLS".to_owned(), |code| code.to_string());
        let status = one.status.map_or_else(|| code.clone(), |status| format!("{code} {status}"));
        (status, amount::count(one.sessions), one.text)
    };
    page.others().into_iter().take(most).map(line).collect()
}
