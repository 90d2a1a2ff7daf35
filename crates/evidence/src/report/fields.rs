//! Fields of a report for programs (RFC 3464), which may stand among other text.
//!
//! ```text
//! Reporting-MTA: dns; googlemail.com
//!
//! Final-Recipient: rfc822; user@contoso.com
//! Status: 4.4.4
//! Remote-MTA: dns; contoso-com.mail.protection.outlook.com.
//!  (2001:db8::2, the server for the domain contoso.com.)
//! Diagnostic-Code: smtp; 451 4.4.4 Mail received as unauthenticated, ...
//! ```

use super::{Attempt, Found, message_ids, reply};

/// Bytes of a field's value.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// What fields say of one recipient.
#[derive(Default)]
struct Recipient {
    status: Option<String>,
    diagnostic: Option<String>,
    remote: Option<String>,
    time: Option<String>,
}

/// Reads the fields, and returns the text without them.
pub(super) fn read(text: &str, found: &mut Found) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut recipient = Recipient::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, begin)) = field(line) else {
            if line.trim().is_empty() {
                std::mem::take(&mut recipient).finish(found);
            }
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut value = begin.trim().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
            if value.len() < VALUE_BYTES_MAX {
                value.push(' ');
                value.push_str(more.trim());
            }
        }
        recipient.field(name, &value, found);
    }
    recipient.finish(found);
    rest
}

/// Fields that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Reporting,
    Recipient,
    Status,
    Diagnostic,
    Remote,
    Time,
    OriginalId,
    AnsweredId,
    Id,
}

const NAMES: [(&str, Name); 10] = [
    ("Reporting-MTA", Name::Reporting),
    ("Final-Recipient", Name::Recipient),
    ("Status", Name::Status),
    ("Diagnostic-Code", Name::Diagnostic),
    ("Remote-MTA", Name::Remote),
    ("Last-Attempt-Date", Name::Time),
    ("X-Original-Message-ID", Name::OriginalId),
    ("Original-Message-ID", Name::OriginalId),
    ("In-Reply-To", Name::AnsweredId),
    ("Message-ID", Name::Id),
];

fn field(line: &str) -> Option<(Name, &str)> {
    let (name, value) = line.split_once(':')?;
    let (_, name) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))?;
    Some((*name, value))
}

impl Recipient {
    fn field(&mut self, name: Name, value: &str, found: &mut Found) {
        match name {
            Name::Reporting => found.host(typed(value)),
            Name::Recipient => {
                // Some write one recipient after the other without an empty line.
                if self.diagnostic.is_some() {
                    std::mem::take(self).finish(found);
                }
                found.recipient(typed(value));
            }
            Name::Status => self.status = reply::status_length(value).map(|length| value[..length].to_owned()),
            Name::Diagnostic => self.diagnostic = Some(typed(value).to_owned()).filter(|text| !text.is_empty()),
            Name::Remote => self.remote = Some(typed(value).to_owned()),
            Name::Time => self.time = Some(value.to_owned()),
            Name::OriginalId => found.original_ids.extend(message_ids(value)),
            Name::AnsweredId => found.answered_ids.extend(message_ids(value)),
            Name::Id => found.own_ids.extend(message_ids(value)),
        }
    }

    fn finish(self, found: &mut Found) {
        let mut attempts = match &self.diagnostic {
            Some(diagnostic) => self.reply(diagnostic),
            // A success has a status as well.
            None if self.status.as_deref().is_some_and(|status| !status.starts_with('2')) => {
                vec![Attempt { status: self.status.clone(), ..Attempt::default() }]
            }
            None => return,
        };
        let (host, ip) = self.remote.as_deref().map(server).unwrap_or_default();
        for attempt in &mut attempts {
            attempt.host = host.clone().or(attempt.host.take());
            attempt.ip = ip.clone().or(attempt.ip.take());
            attempt.time_text.clone_from(&self.time);
        }
        found.error(attempts);
    }

    /// The reply of a diagnostic code; its first words may be the reporter's own.
    fn reply(&self, diagnostic: &str) -> Vec<Attempt> {
        let Some(head) = reply::head(diagnostic, 0).or_else(|| reply::find(diagnostic, 0)) else {
            let text = diagnostic.split_whitespace().collect::<Vec<_>>().join(" ");
            return vec![Attempt { status: self.status.clone(), text, ..Attempt::default() }];
        };
        let mut attempts = reply::attempts(&head, &diagnostic[head.end..]);
        if let Some(outer) = attempts.first_mut() {
            outer.status = outer.status.take().or(self.status.clone());
        }
        attempts
    }
}

/// A value without its type: `smtp; 550`, `dns;host`, `rfc822; a@b`.
fn typed(value: &str) -> &str {
    let is_type =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match value.split_once(';') {
        Some((kind, rest)) if is_type(kind.trim()) && reply::head(kind.trim(), 0).is_none() => rest.trim(),
        _ => value.trim(),
    }
}

/// `host. (2001:db8::2, the server for the domain)`: name and address.
fn server(value: &str) -> (Option<String>, Option<String>) {
    let (name, comment) = value.split_once('(').unwrap_or((value, ""));
    let name = name.trim().trim_end_matches('.');
    let ip = comment.split([',', ')']).next().unwrap_or_default().trim();
    let ip = ip.parse::<std::net::IpAddr>().ok().map(|ip| ip.to_string());
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    (is_name.then(|| name.to_owned()), ip)
}
