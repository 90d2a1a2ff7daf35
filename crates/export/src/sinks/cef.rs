//! `cef`: Common Event Format, version 0.1, one record a line.
//!
//! ```text
//! CEF:0|smtptrail|smtptrail|0.1.0|refusal|SMTP refusal|6|rt=1709272827000 externalId=... cat=refusal
//! ```
//! The format and its keys: ArcSight's "Common Event Format: Implementing ArcSight CEF", which writes `CEF:0` for version
//! 0.1. In the extension `\` and `=` get a backslash, and line ends are `\n` and `\r`. In the header `\` and `|` would;
//! what stands there comes from this program and has neither.
//!
//! In this version `src` and `dst` are addresses of IP version 4. Those of version 6 go where most senders put them:
//! `c6a2` has the source and `c6a3` the destination. A key of our own begins with `smtptrail`. Lists are joined by `;`.
//!
//! Limits: see `lines.rs`. The table has the more important first; what does not fit any more is left out.

use std::{io::Write, net::IpAddr};

use super::{
    Item, Sink, Wire,
    ecs::{outcome, reason},
};
use crate::{
    Event, Field, Kind, Value,
    derived::{direction, either, message, revision, sent},
    lines::{PAYLOAD_BYTES_MAX, category, put_escaped, put_fitting, severity},
    table::Take,
};

/// Common Event Format.
pub(super) struct Cef;

use Field as F;
use Take::{Const, Field as Get, OfKind, With};

/// The mapping: key, label of a key that has none of its own, and what stands there.
const TABLE: &[(&str, &str, Take)] = &[
    ("rt", "", With(|event| ms(event, F::Time))),
    ("externalId", "", Get(F::Id)),
    ("cat", "", With(category)),
    ("act", "", With(action)),
    ("outcome", "", OfKind(outcome)),
    ("deviceDirection", "", With(device_direction)),
    ("app", "", Const("smtp")),
    ("proto", "", Const("TCP")),
    ("cs1", "presentedCertificateSha1", Get(F::Presented)),
    ("cs2", "receivedCertificateSha1", Get(F::Received)),
    ("cn1", "replyCode", Get(F::Code)),
    ("cn2", "sequence", Get(F::Sequence)),
    ("smtptrailRevision", "", With(revision)),
    ("smtptrailAmends", "", Get(F::Amends)),
    ("cs3", "enhancedStatus", Get(F::Status)),
    ("cs6", "session", Get(F::Session)),
    ("dvchost", "", Get(F::Server)),
    ("src", "", With(|event| version_4(sent(event, F::LocalIp, F::RemoteIp)))),
    ("c6a2", "Source IPv6 Address", With(|event| version_6(sent(event, F::LocalIp, F::RemoteIp)))),
    ("spt", "", With(|event| sent(event, F::LocalPort, F::RemotePort))),
    ("dst", "", With(|event| version_4(sent(event, F::RemoteIp, F::LocalIp)))),
    ("c6a3", "Destination IPv6 Address", With(|event| version_6(sent(event, F::RemoteIp, F::LocalIp)))),
    ("dpt", "", With(|event| sent(event, F::RemotePort, F::LocalPort))),
    ("sourceTranslatedAddress", "", With(|event| version_4(event.value(F::EgressIp)))),
    ("c6a1", "Source Translated IPv6 Address", With(|event| version_6(event.value(F::EgressIp)))),
    ("start", "", With(|event| ms(event, F::Started))),
    ("end", "", With(|event| ms(event, F::Ended))),
    ("cn3", "durationMs", Get(F::DurationMs)),
    ("deviceCustomDate1", "presentedNotAfter", With(|event| ms(event, F::PresentedNotAfter))),
    ("deviceCustomDate2", "presentedNotBefore", With(|event| ms(event, F::PresentedNotBefore))),
    ("msg", "", With(message)),
    ("cs4", "connector", Get(F::Connector)),
    ("cs5", "presentedSubject", Get(F::PresentedSubject)),
    ("shost", "", With(|event| sent(event, F::Server, F::Helo))),
    ("dhost", "", With(|event| sent(event, F::RemoteName, F::Server))),
    ("suser", "", With(|event| either(event, F::From, F::Senders))),
    ("duser", "", With(|event| either(event, F::To, F::Recipients))),
    ("reason", "", With(reason)),
    ("smtptrailIncomplete", "", Get(F::Incomplete)),
    ("smtptrailConfidence", "", Get(F::Confidence)),
    ("smtptrailRole", "", Get(F::Role)),
    ("smtptrailRowHash", "", Get(F::RowHash)),
    ("smtptrailSourceOffset", "", Get(F::SourceOffset)),
    ("smtptrailSourceLength", "", Get(F::SourceLength)),
    ("smtptrailCipherBits", "", Get(F::CipherBits)),
    ("smtptrailTlsOutcome", "", Get(F::TlsOutcome)),
    ("smtptrailPresentedVia", "", Get(F::PresentedVia)),
    ("smtptrailReceivedNotBefore", "", Get(F::ReceivedNotBefore)),
    ("smtptrailReceivedNotAfter", "", Get(F::ReceivedNotAfter)),
    ("smtptrailSide", "", Get(F::Side)),
    ("smtptrailPeerTime", "", Get(F::PeerTime)),
    ("smtptrailPeerSession", "", Get(F::PeerSession)),
    ("smtptrailRecords", "", Get(F::Records)),
    ("smtptrailMessages", "", Get(F::Messages)),
    ("smtptrailAccepted", "", Get(F::Accepted)),
    ("smtptrailTarpitMs", "", Get(F::TarpitMs)),
    ("smtptrailRule", "", Get(F::Rule)),
    ("smtptrailSessions", "", Get(F::Sessions)),
    ("smtptrailMessageId", "", Get(F::MessageId)),
    ("smtptrailAttr", "", Get(F::Attr)),
    ("smtptrailPeerHost", "", Get(F::PeerHost)),
    ("smtptrailHelo", "", Get(F::Helo)),
    ("smtptrailTlsVersion", "", Get(F::TlsVersion)),
    ("smtptrailTlsError", "", Get(F::TlsError)),
    ("smtptrailChainStatus", "", Get(F::ChainStatus)),
    ("smtptrailCipher", "", Get(F::Cipher)),
    ("smtptrailMac", "", Get(F::Mac)),
    ("smtptrailKeyExchange", "", Get(F::KeyExchange)),
    ("smtptrailReceivedSubject", "", Get(F::ReceivedSubject)),
    ("smtptrailPresentedIssuer", "", Get(F::PresentedIssuer)),
    ("smtptrailReceivedIssuer", "", Get(F::ReceivedIssuer)),
    ("smtptrailPresentedSerial", "", Get(F::PresentedSerial)),
    ("smtptrailReceivedSerial", "", Get(F::ReceivedSerial)),
    ("smtptrailUser", "", Get(F::User)),
    ("smtptrailCommand", "", Get(F::Command)),
    ("smtptrailStatuses", "", Get(F::Statuses)),
    ("smtptrailCodes", "", Get(F::Codes)),
    ("smtptrailServers", "", Get(F::Servers)),
    ("smtptrailOthers", "", Get(F::Others)),
    ("smtptrailSourceFile", "", Get(F::SourceFile)),
    ("smtptrailErrors", "", Get(F::Errors)),
    ("smtptrailMessageIds", "", Get(F::MessageIds)),
    ("smtptrailMend", "", Get(F::Mend)),
    ("smtptrailPresentedNames", "", Get(F::PresentedNames)),
    ("smtptrailReceivedNames", "", Get(F::ReceivedNames)),
];

impl Sink for Cef {
    fn name(&self) -> &'static str {
        "cef"
    }

    fn about(&self) -> &'static str {
        "Common Event Format of ArcSight, one record a line"
    }

    fn extension(&self) -> &'static str {
        "cef"
    }

    fn wire(&self) -> Wire {
        Wire::Syslog { has_header: false }
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        let end = out.len() + PAYLOAD_BYTES_MAX;
        let (kind, title, severity) = (event.kind.as_str(), event.kind.title(), severity(event.kind));
        // A vector takes whatever is written to it.
        let _ = write!(out, "CEF:0|smtptrail|smtptrail|{}|{kind}|{title}|{severity}|", env!("CARGO_PKG_VERSION"));
        let lines = TABLE.iter().map(|(key, label, take)| ((*key, *label), *take));
        put_fitting(event, lines, end, out, |out, (key, label), text| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            put_escaped(text, out, escape);
            if !label.is_empty() {
                let _ = write!(out, " {key}Label={label}");
            }
            out.push(b' ');
        });
        out.pop(); // The blank behind the last value; the time always is one.
    }
}

fn escape(c: char) -> Option<&'static [u8]> {
    match c {
        '\\' => Some(b"\\\\"),
        '=' => Some(b"\\="),
        '\n' => Some(b"\\n"),
        '\r' => Some(b"\\r"),
        _ => None,
    }
}

/// A time in milliseconds since 1970.
fn ms<'e>(event: &'e Event<'_>, field: Field) -> Value<'e> {
    match event.value(field) {
        Value::Time(time) => Value::Long(time.0),
        _ => Value::None,
    }
}

fn action<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::text(match event.kind {
        Kind::CertificatePresented => "presented",
        Kind::CertificateReceived => "received",
        Kind::TlsNegotiated => "negotiated",
        Kind::TlsFailed => "failed",
        Kind::Refusal => "refused",
        Kind::SessionEnd => "ended",
        Kind::Finding => "explained",
    })
}

/// 0 is inbound and 1 outbound.
fn device_direction<'e>(event: &'e Event<'_>) -> Value<'e> {
    direction(event).map_or(Value::None, |direction| Value::Long(i64::from(direction == smtplog::Direction::Send)))
}

fn version_4(address: Value<'_>) -> Value<'_> {
    if is_version_4(&address) == Some(true) { address } else { Value::None }
}

fn version_6(address: Value<'_>) -> Value<'_> {
    if is_version_4(&address) == Some(false) { address } else { Value::None }
}

fn is_version_4(address: &Value<'_>) -> Option<bool> {
    let Value::Text(address) = address else { return None };
    address.parse::<IpAddr>().ok().map(|address| address.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::not_taken;

    #[test]
    fn every_field_has_a_key() {
        let with = [
            "time",
            "kind",
            "revision",
            "direction",
            "local_ip",
            "local_port",
            "remote_ip",
            "remote_port",
            "remote_name",
            "egress_ip",
            "presented_not_before",
            "presented_not_after",
            "text",
            "from",
            "to",
            "started",
            "ended",
            "senders",
            "recipients",
            "says",
        ];
        assert_eq!(not_taken(TABLE.iter().map(|line| line.2)), with, "and these have one by a function");
    }

    #[test]
    fn keys_are_words_and_differ() {
        for (key, label, _) in TABLE {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
            assert_eq!(TABLE.iter().filter(|line| line.0 == *key).count(), 1, "{key}");
            let has_label = ["cs", "cn", "c6a", "deviceCustomDate"].iter().any(|begin| key.starts_with(begin));
            assert_eq!(has_label, !label.is_empty(), "{key}");
        }
    }
}
