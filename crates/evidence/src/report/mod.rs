//! Delivery reports: what a sender was told when mail was refused (FORMATS sections 6 and 7).
//!
//! A report is a message with parts for people and for programs (RFC 3464), the text of one, the last error of a
//! queue, or a reply line that somebody pasted:
//!
//! ```text
//! 7/7/2026 3:48:53 PM - Server at mail.contoso.com (203.0.113.9) returned '450 4.4.317 Cannot connect to ...'
//! Diagnostic-Code: smtp; 550 5.7.64 TenantAttribution; Relay Access Denied [FE1.contoso.com 2026-08-13T13:12:35.600Z 08DEF8E545D8505D]
//! LastError : [{LED=451 4.4.395 Target host responded with error. -> 421 4.4.1 Timed out};{FQDN=mx.contoso.com}]
//! ```
//!
//! Certificates are not in it, so it is what leads to a session: a reply, the server that gave it, message ids.

mod fields;
mod mail;
mod prose;
mod queue;
mod reply;

use serde::{Deserialize, Serialize};

/// Bytes of a report that are read. One with the whole original message may be larger, but what it says of the fault
/// stands before that.
pub const REPORT_BYTES_MAX: usize = 2 << 20;

/// Attempts of a report. One to hundreds of recipients has as many, most of them equal.
pub const ATTEMPTS_MAX: usize = 200;

/// Recipients, message ids and hosts of a report, of each kind.
pub const NAMES_MAX: usize = 500;

/// What a delivery report says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Replies and errors, the most telling first: an error that only says that time ran out comes after the one that
    /// says why, and a reply that another one quotes comes before it. Equal ones are one.
    pub attempts: Vec<Attempt>,
    /// Message ids with their angle brackets, the original message's first and the report's own last.
    pub message_ids: Vec<String>,
    /// Addresses that the mail could not be delivered to.
    pub recipients: Vec<String>,
    /// Servers that wrote the report: `Reporting-MTA`, `Generating server`.
    pub reporting_hosts: Vec<String>,
    /// Attempts and names past [`ATTEMPTS_MAX`] and [`NAMES_MAX`].
    pub dropped: u64,
    /// Bytes past [`REPORT_BYTES_MAX`].
    pub bytes_dropped: u64,
}

/// A reply or an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// `550`; `None` where only a status is given.
    pub code: Option<u16>,
    /// The enhanced status (RFC 3463): `5.7.64`. Its class may differ from the code's: `550 4.4.4` is real.
    pub status: Option<String>,
    /// What follows code and status, white space collapsed. It includes the reply that it quotes, if it does.
    pub text: String,
    /// `ATTR36`, `PRX2`: where Exchange Online's attribution of the sender failed.
    pub attr: Option<String>,
    /// The server that names itself at the reply's end.
    pub peer: Option<Peer>,
    /// `Thumbprint: ...` of a certificate, 40 upper-case hex digits.
    pub thumbprint: Option<String>,
    /// The server that the attempt was made to.
    pub host: Option<String>,
    /// Its address, without a port.
    pub ip: Option<String>,
    /// When, as written: reports have the locale and the zone of whoever wrote them.
    pub time_text: Option<String>,
    /// How many replies quote this one: 0 is the outermost, what the reporting server says itself.
    pub depth: usize,
}

/// A server that signs its reply: `[FE1.contoso.com 2026-08-13T13:12:35.600Z 08DEF8E545D8505D]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub host: String,
    /// Its clock, in milliseconds since 1970-01-01 UTC.
    pub time_ms: Option<i64>,
    /// Its own id of the session, 16 upper-case hex digits. It is not the id that the sending server logs.
    pub session: Option<String>,
}

/// Reads a delivery report. Text without any reply gives a report without attempts.
pub fn report(text: &[u8]) -> Report {
    let read = &text[..text.len().min(REPORT_BYTES_MAX)];
    let mut report = Report { bytes_dropped: (text.len() - read.len()) as u64, ..Report::default() };
    let mut found = Found::default();
    match mail::parts(read) {
        Some(parts) => found.mail(&parts),
        None => found.text(&crate::text::decode(read).text),
    }
    found.finish(&mut report);
    report
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// One for each error: what one server said, and what it quotes.
    errors: Vec<Vec<Attempt>>,
    /// Ids of the original message, of the one that this answers, and of this one.
    original_ids: Vec<String>,
    answered_ids: Vec<String>,
    own_ids: Vec<String>,
    recipients: Vec<String>,
    hosts: Vec<String>,
    dropped: u64,
}

impl Found {
    fn mail(&mut self, parts: &mail::Parts) {
        for status in &parts.statuses {
            self.text(status);
        }
        for text in &parts.texts {
            self.text(text);
        }
        // What parts say of ids is certain; lines of text may only look like it.
        let ids = |first: &[String], then: &mut Vec<String>| drop(then.splice(0..0, first.iter().cloned()));
        ids(&parts.original_ids, &mut self.original_ids);
        ids(&parts.answered_ids, &mut self.answered_ids);
        ids(&parts.own_ids, &mut self.own_ids);
    }

    /// Reads a text that may have fields for programs, errors of queues, and words for people.
    fn text(&mut self, text: &str) {
        let rest = fields::read(text, self);
        let rest = queue::read(&rest, self);
        prose::read(&rest, self);
    }

    /// Adds an error, unless it is known. Of equal ones each may know something that the others do not.
    fn error(&mut self, attempts: Vec<Attempt>) {
        let room = ATTEMPTS_MAX - self.errors.iter().map(Vec::len).sum::<usize>();
        let mut new = Vec::new();
        for attempt in attempts {
            match self.errors.iter_mut().flatten().find(|known| known.is_same(&attempt)) {
                Some(known) => known.merge(attempt),
                None if new.len() < room => new.push(attempt),
                None => self.dropped += 1,
            }
        }
        if !new.is_empty() {
            self.errors.push(new);
        }
    }

    fn recipient(&mut self, address: &str) {
        let address = address.trim_matches(|c: char| c.is_whitespace() || "<>'\"".contains(c));
        if is_address(address) {
            self.dropped += add(&mut self.recipients, address);
        }
    }

    fn host(&mut self, host: &str) {
        let host = host.trim().trim_end_matches('.');
        if reply::is_host(host) {
            self.dropped += add(&mut self.hosts, host);
        }
    }

    fn finish(mut self, report: &mut Report) {
        self.errors.sort_by_key(|attempts| std::cmp::Reverse(attempts.iter().map(Attempt::telling).max()));
        for attempts in &mut self.errors {
            attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.depth));
        }
        report.attempts = self.errors.into_iter().flatten().collect();
        // Of several in one text the last is the original's: a report stands above what it quotes.
        for ids in [self.original_ids, self.answered_ids, self.own_ids.into_iter().rev().collect()] {
            for id in ids {
                self.dropped += add(&mut report.message_ids, &id);
            }
        }
        report.recipients = self.recipients;
        report.reporting_hosts = self.hosts;
        report.dropped = self.dropped;
    }
}

impl Attempt {
    /// How much it says of the fault.
    fn telling(&self) -> u32 {
        const TIMED_OUT: [&str; 4] = ["4.4.7", "5.4.7", "5.4.300", "5.4.317"];
        let status = self.status.as_deref().unwrap_or_default();
        if TIMED_OUT.contains(&status) {
            return 0;
        }
        let is_attribution = self.attr.is_some() || status.contains(".7.") || self.thumbprint.is_some();
        1 + u32::from(self.peer.is_some()) + 2 * u32::from(is_attribution)
    }

    /// Whether both are the same reply, of which one may be cut or have words of its reporter at the end.
    fn is_same(&self, other: &Attempt) -> bool {
        let peers = self.peer.as_ref().zip(other.peer.as_ref());
        let is_code = self.code.zip(other.code).is_none_or(|(one, another)| one == another);
        let is_peer = peers.is_none_or(|(one, another)| {
            let sessions = one.session.as_ref().zip(another.session.as_ref());
            one.host.eq_ignore_ascii_case(&another.host) && sessions.is_none_or(|(one, another)| one == another)
        });
        let mut both = folded(&self.text).zip(folded(&other.text));
        self.status == other.status && is_code && is_peer && both.all(|(one, another)| one == another)
    }

    fn merge(&mut self, other: Attempt) {
        if other.text.len() > self.text.len() {
            self.text = other.text;
        }
        fn fill<T>(known: &mut Option<T>, other: Option<T>) {
            *known = known.take().or(other);
        }
        fill(&mut self.code, other.code);
        fill(&mut self.attr, other.attr);
        fill(&mut self.peer, other.peer);
        fill(&mut self.thumbprint, other.thumbprint);
        fill(&mut self.host, other.host);
        fill(&mut self.ip, other.ip);
        fill(&mut self.time_text, other.time_text);
        self.depth = self.depth.max(other.depth);
    }
}

/// Adds a name that is new without case; past the limit it is counted instead.
fn add(names: &mut Vec<String>, name: &str) -> u64 {
    if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return 0;
    }
    if names.len() == NAMES_MAX {
        return 1;
    }
    names.push(name.to_owned());
    0
}

/// Letters and digits alone: reporters change quotes, blanks and brackets.
fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_word =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "<>()[]\":;,'".contains(c));
    is_word(local) && is_word(domain) && text.len() <= 320
}

/// `<a@b>` of a field.
fn message_ids(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace()
        .filter(|word| word.starts_with('<') && word.ends_with('>') && word.len() > 2)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
