//! `syslog`: messages of RFC 5424, one a line.
//!
//! ```text
//! <20>1 2024-03-01T06:00:22.000Z EX001 smtptrail - refusal [smtptrail@32473 id="..." code="550"] 550 5.7.64 ...
//! ```
//! | part | is |
//! |---|---|
//! | PRI | facility mail (2); severity error (3) for a finding, warning (4) for a refusal and a failed negotiation, else informational (6) |
//! | TIMESTAMP | `time`, UTC, milliseconds |
//! | HOSTNAME | `server`; what is no printable US-ASCII is `_`, after 255 letters comes nothing; `-` if there is none |
//! | APP-NAME | `smtptrail` |
//! | PROCID | `-` |
//! | MSGID | `kind` |
//! | STRUCTURED-DATA | one element with every field that has a value, by its own name |
//! | MSG | the event in a few words |
//!
//! The element is `smtptrail@32473`. 32473 is the private enterprise number that RFC 5612 sets aside for documentation:
//! this program has none of its own. In a value `"`, `\` and `]` get a backslash; a control letter or line separator is a
//! blank. Lists are joined by `;`. MSG has no byte order mark, which makes it MSG-ANY; it is UTF-8 all the same.
//!
//! Limits: see `lines.rs`. MSG has its room; of the fields the more important come first, and what does not fit any more
//! is left out.

use std::io::Write;

use super::{Item, Sink, Wire};
use crate::{
    Event, Field, Kind,
    derived::message,
    lines::{MESSAGE_BYTES_MAX, put_escaped, put_fitting, put_shortened},
    table::Take,
};

/// Messages of RFC 5424.
pub(super) struct Syslog;

/// The facility that mail systems have.
const MAIL: u8 = 2;

/// Letters of a host's name, by RFC 5424.
const HOSTNAME_MAX: usize = 255;

use Field as F;

/// The fields that come first; the others follow in their own order.
const FIRST: &[Field] = &[
    F::Time,
    F::Id,
    F::Kind,
    F::Revision,
    F::Amends,
    F::Presented,
    F::Received,
    F::Code,
    F::Sequence,
    F::Status,
    F::Session,
    F::Server,
    F::Direction,
    F::LocalIp,
    F::LocalPort,
    F::RemoteIp,
    F::RemotePort,
    F::Started,
    F::Ended,
    F::PresentedNotBefore,
    F::PresentedNotAfter,
];

impl Sink for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn about(&self) -> &'static str {
        "syslog messages of RFC 5424 with structured data, one a line"
    }

    fn extension(&self) -> &'static str {
        "log"
    }

    fn wire(&self) -> Wire {
        Wire::Syslog { has_header: true }
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        let begin = out.len();
        let mut text = String::new();
        put_shortened(&message(event), &mut text);
        let mut words = Vec::with_capacity(text.len());
        put_escaped(&text, &mut words, |_| None);
        put_header(event, out);
        out.extend_from_slice(b"[smtptrail@32473");
        // Behind the fields come `] ` and the words.
        let end = (begin + MESSAGE_BYTES_MAX).saturating_sub(words.len() + 2);
        let others = Field::all().filter(|field| !FIRST.contains(field));
        let lines = FIRST.iter().copied().chain(others).map(|field| (field.name(), Take::Field(field)));
        put_fitting(event, lines, end, out, |out, name, text| {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            put_escaped(text, out, escape);
            out.push(b'"');
        });
        out.extend_from_slice(b"] ");
        out.extend_from_slice(&words);
    }
}

/// Appends a payload with a header of RFC 5424 for its event, without structured data: CEF and LEEF are sent like that.
/// The header has fewer than 384 bytes.
pub fn wrap_syslog(event: &Event<'_>, payload: &[u8], out: &mut Vec<u8>) {
    put_header(event, out);
    out.extend_from_slice(b"- ");
    out.extend_from_slice(payload);
}

/// Appends all that stands before the structured data.
fn put_header(event: &Event<'_>, out: &mut Vec<u8>) {
    // A vector takes whatever is written to it.
    let _ = write!(out, "<{}>1 {} ", MAIL * 8 + severity(event.kind), event.time);
    put_hostname(event.view.map_or("", |view| &view.session.stream.server), out);
    let _ = write!(out, " smtptrail - {} ", event.kind.as_str());
}

fn put_hostname(server: &str, out: &mut Vec<u8>) {
    if server.is_empty() {
        return out.push(b'-');
    }
    let printable = |c: char| if c.is_ascii_graphic() { c as u8 } else { b'_' };
    out.extend(server.chars().take(HOSTNAME_MAX).map(printable));
}

fn severity(kind: Kind) -> u8 {
    match kind {
        Kind::Finding => 3,
        Kind::Refusal | Kind::TlsFailed => 4,
        Kind::CertificatePresented | Kind::CertificateReceived | Kind::TlsNegotiated | Kind::SessionEnd => 6,
    }
}

fn escape(c: char) -> Option<&'static [u8]> {
    match c {
        '"' => Some(b"\\\""),
        '\\' => Some(b"\\\\"),
        ']' => Some(b"\\]"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts() {
        let check = |server: &str, expected: &str| {
            let mut out = Vec::new();
            put_hostname(server, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{server:?}");
        };
        check("EX001", "EX001");
        check("", "-");
        check("a b\n\u{e9}<1>", "a_b__<1>");
        check(&"x".repeat(300), &"x".repeat(255));
    }

    #[test]
    fn names_of_fields_are_names_of_parameters() {
        for field in Field::all() {
            let name = field.name();
            let is_of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
            assert!(name.len() <= 32 && name.bytes().all(is_of_a_name), "{name}");
        }
    }
}
