//! `leef`: Log Event Extended Format, version 2.0, one record a line.
//!
//! ```text
//! LEEF:2.0|smtptrail|smtptrail|0.1.0|refusal|x09|cat=refusal<TAB>devTime=2024-03-01T06:00:22.000Z<TAB>...
//! ```
//! The format and its keys: IBM's "QRadar Log Event Extended Format (LEEF)" guide. The format has no escapes. So what
//! stands between the attributes is a tab, which the header names in hex, and each tab, line end and other control letter
//! within a value is a blank. A `=` within a value is one: the first of an attribute ends its key.
//!
//! `usrName` has only whom the server let log in. An envelope sender is what a stranger claims to be, and the receiver
//! shall not take it for a user of its own. A key of our own must be none of those that the guide has; `role` is one, so
//! it is `serverRole`. Lists are joined by `;`.
//!
//! Limits: see `lines.rs`. The table has the more important first; what does not fit any more is left out.

use std::io::Write;

use super::{
    Item, Sink, Wire,
    ecs::{outcome, reason},
};
use crate::{
    Event, Field, Value,
    derived::{either, message, revision, sent},
    lines::{PAYLOAD_BYTES_MAX, category, put_escaped, put_fitting, severity},
    table::Take,
};

/// Log Event Extended Format.
pub(super) struct Leef;

use Field as F;
use Take::{Const, Field as Get, OfKind, With};

/// The mapping.
const TABLE: &[(&str, Take)] = &[
    // Keys of the guide.
    ("cat", With(category)),
    ("devTime", Get(F::Time)),
    ("devTimeFormat", Const("yyyy-MM-dd'T'HH:mm:ss.SSSX")),
    ("sev", With(severity_of)),
    ("proto", Const("TCP")),
    ("src", With(|event| sent(event, F::LocalIp, F::RemoteIp))),
    ("srcPort", With(|event| sent(event, F::LocalPort, F::RemotePort))),
    ("dst", With(|event| sent(event, F::RemoteIp, F::LocalIp))),
    ("dstPort", With(|event| sent(event, F::RemotePort, F::LocalPort))),
    ("srcPostNAT", Get(F::EgressIp)),
    // Keys of our own.
    ("eventUid", Get(F::Id)),
    ("revision", With(revision)),
    ("amends", Get(F::Amends)),
    ("presentedSha1", Get(F::Presented)),
    ("receivedSha1", Get(F::Received)),
    ("replyCode", Get(F::Code)),
    ("sequence", Get(F::Sequence)),
    ("enhancedStatus", Get(F::Status)),
    ("session", Get(F::Session)),
    ("server", Get(F::Server)),
    ("serverRole", Get(F::Role)),
    ("direction", Get(F::Direction)),
    ("outcome", OfKind(outcome)),
    ("usrName", Get(F::User)), // A key of the guide, but it can be long.
    ("started", Get(F::Started)),
    ("ended", Get(F::Ended)),
    ("durationMs", Get(F::DurationMs)),
    ("presentedNotBefore", Get(F::PresentedNotBefore)),
    ("presentedNotAfter", Get(F::PresentedNotAfter)),
    ("msg", With(message)),
    ("connector", Get(F::Connector)),
    ("presentedSubject", Get(F::PresentedSubject)),
    ("helo", Get(F::Helo)),
    ("remoteName", Get(F::RemoteName)),
    ("sender", With(|event| either(event, F::From, F::Senders))),
    ("recipient", With(|event| either(event, F::To, F::Recipients))),
    ("reason", With(reason)),
    ("incomplete", Get(F::Incomplete)),
    ("confidence", Get(F::Confidence)),
    ("rowHash", Get(F::RowHash)),
    ("sourceOffset", Get(F::SourceOffset)),
    ("sourceLength", Get(F::SourceLength)),
    ("cipherBits", Get(F::CipherBits)),
    ("tlsOutcome", Get(F::TlsOutcome)),
    ("presentedVia", Get(F::PresentedVia)),
    ("receivedNotBefore", Get(F::ReceivedNotBefore)),
    ("receivedNotAfter", Get(F::ReceivedNotAfter)),
    ("side", Get(F::Side)),
    ("peerTime", Get(F::PeerTime)),
    ("peerSession", Get(F::PeerSession)),
    ("records", Get(F::Records)),
    ("messages", Get(F::Messages)),
    ("accepted", Get(F::Accepted)),
    ("tarpitMs", Get(F::TarpitMs)),
    ("rule", Get(F::Rule)),
    ("sessions", Get(F::Sessions)),
    ("messageId", Get(F::MessageId)),
    ("attr", Get(F::Attr)),
    ("peerHost", Get(F::PeerHost)),
    ("tlsVersion", Get(F::TlsVersion)),
    ("tlsError", Get(F::TlsError)),
    ("chainStatus", Get(F::ChainStatus)),
    ("cipher", Get(F::Cipher)),
    ("mac", Get(F::Mac)),
    ("keyExchange", Get(F::KeyExchange)),
    ("receivedSubject", Get(F::ReceivedSubject)),
    ("presentedIssuer", Get(F::PresentedIssuer)),
    ("receivedIssuer", Get(F::ReceivedIssuer)),
    ("presentedSerial", Get(F::PresentedSerial)),
    ("receivedSerial", Get(F::ReceivedSerial)),
    ("command", Get(F::Command)),
    ("statuses", Get(F::Statuses)),
    ("codes", Get(F::Codes)),
    ("servers", Get(F::Servers)),
    ("others", Get(F::Others)),
    ("sourceFile", Get(F::SourceFile)),
    ("errors", Get(F::Errors)),
    ("messageIds", Get(F::MessageIds)),
    ("mend", Get(F::Mend)),
    ("presentedNames", Get(F::PresentedNames)),
    ("receivedNames", Get(F::ReceivedNames)),
];

impl Sink for Leef {
    fn name(&self) -> &'static str {
        "leef"
    }

    fn about(&self) -> &'static str {
        "Log Event Extended Format of QRadar, one record a line"
    }

    fn extension(&self) -> &'static str {
        "leef"
    }

    fn wire(&self) -> Wire {
        Wire::Syslog { has_header: false }
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        let end = out.len() + PAYLOAD_BYTES_MAX;
        // A vector takes whatever is written to it.
        let _ = write!(out, "LEEF:2.0|smtptrail|smtptrail|{}|{}|x09|", env!("CARGO_PKG_VERSION"), event.kind.as_str());
        put_fitting(event, TABLE.iter().copied(), end, out, |out, key, text| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            put_escaped(text, out, |_| None);
            out.push(b'\t');
        });
        out.pop(); // The tab behind the last value; the category always is one.
    }
}

fn severity_of<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::Long(severity(event.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::not_taken;

    #[test]
    fn every_field_has_a_key() {
        let with = [
            "kind",
            "revision",
            "local_ip",
            "local_port",
            "remote_ip",
            "remote_port",
            "text",
            "from",
            "to",
            "senders",
            "recipients",
            "says",
        ];
        assert_eq!(not_taken(TABLE.iter().map(|line| line.1)), with, "and these have one by a function");
    }

    #[test]
    fn keys_are_words_and_differ() {
        // What the guide uses otherwise.
        let taken = ["role", "domain", "policy", "realm", "resource", "url", "groupID", "accountName"];
        for (key, _) in TABLE {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !taken.contains(key), "{key}");
            assert_eq!(TABLE.iter().filter(|line| line.0 == *key).count(), 1, "{key}");
        }
    }
}
