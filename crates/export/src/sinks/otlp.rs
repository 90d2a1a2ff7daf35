//! `otlp`: log records of OpenTelemetry (OTLP 1.x over HTTP, JSON), one list of records a request.
//!
//! ```text
//! {"timeUnixNano":"1709272804000000000","severityNumber":9,...,"attributes":[{"key":"tls.client.hash.sha1",
//!  "value":{"stringValue":"97355AF6..."}}]}
//! ```
//! Attributes have the names of OpenTelemetry's semantic conventions where those have one, and stand below `smtptrail.`
//! otherwise. Numbers of 64 bits are strings, as the JSON of protobuf has them. When a record was observed is for the
//! receiver to say: there is no clock here. Windows' names of ciphers are no IANA names, so `tls.cipher` stays empty.

use std::io::Write;

use super::{Framing, Item, Sink, Wire};
use crate::{
    Event, Field, Kind, Value,
    derived::{Severity, either, established, network_type, revision, sent, side, tls_version},
    json,
    table::{Line, Take},
};

/// OTLP logs.
pub(super) struct Otlp;

const BEGIN: &str = concat!(
    r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"smtptrail"}}]},"#,
    r#""scopeLogs":[{"scope":{"name":"smtptrail","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"logRecords":["#,
);

const END: &str = "]}]}]}";

impl Sink for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn about(&self) -> &'static str {
        "OpenTelemetry log records, OTLP over HTTP as JSON"
    }

    fn framing(&self) -> Framing {
        Framing::List(BEGIN, END)
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    fn wire(&self) -> Wire {
        Wire::Otlp
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        if let Item::Event(event) = item {
            put_record(event, out);
        }
    }
}

use Field as F;
use Take::{Field as Get, With};

/// The mapping: attributes.
const TABLE: &[Line] = &[
    ("log.record.uid", Get(F::Id)),
    ("log.file.path", Get(F::SourceFile)),
    ("host.name", Get(F::Server)),
    ("network.transport", With(|event| of_session(event, "tcp"))),
    ("network.protocol.name", With(|event| of_session(event, "smtp"))),
    ("network.type", With(network_type)),
    ("client.address", With(|event| sent(event, F::LocalIp, F::RemoteIp))),
    ("client.port", With(|event| sent(event, F::LocalPort, F::RemotePort))),
    ("server.address", With(|event| sent(event, F::RemoteIp, F::LocalIp))),
    ("server.port", With(|event| sent(event, F::RemotePort, F::LocalPort))),
    ("tls.established", With(established)),
    ("tls.protocol.name", With(tls_protocol)),
    ("tls.protocol.version", With(tls_version)),
    ("tls.client.hash.sha1", With(|event| side(event, true, F::Presented, F::Received))),
    ("tls.client.subject", With(|event| side(event, true, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.client.issuer", With(|event| side(event, true, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.client.not_before", With(|event| side(event, true, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.client.not_after", With(|event| side(event, true, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("tls.server.hash.sha1", With(|event| side(event, false, F::Presented, F::Received))),
    ("tls.server.subject", With(|event| side(event, false, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.server.issuer", With(|event| side(event, false, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.server.not_before", With(|event| side(event, false, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.server.not_after", With(|event| side(event, false, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("error.message", Get(F::TlsError)),
    ("security_rule.name", Get(F::Rule)),
    ("user.name", Get(F::User)),
    ("smtptrail.session.id", Get(F::Session)),
    ("smtptrail.session.incomplete", Get(F::Incomplete)),
    ("smtptrail.session.started", With(|event| unless_finding(event, F::Started))),
    ("smtptrail.session.ended", Get(F::Ended)),
    ("smtptrail.session.duration_ms", Get(F::DurationMs)),
    ("smtptrail.session.records", Get(F::Records)),
    ("smtptrail.session.messages", Get(F::Messages)),
    ("smtptrail.session.accepted", Get(F::Accepted)),
    ("smtptrail.session.statuses", Get(F::Statuses)),
    ("smtptrail.session.codes", Get(F::Codes)),
    ("smtptrail.session.tarpit_ms", Get(F::TarpitMs)),
    ("smtptrail.session.errors", Get(F::Errors)),
    ("smtptrail.confidence", Get(F::Confidence)),
    ("smtptrail.connector", Get(F::Connector)),
    ("smtptrail.direction", Get(F::Direction)),
    ("smtptrail.role", Get(F::Role)),
    ("smtptrail.helo", Get(F::Helo)),
    ("smtptrail.remote_name", Get(F::RemoteName)),
    ("smtptrail.egress_ip", Get(F::EgressIp)),
    ("smtptrail.presented", Get(F::Presented)),
    ("smtptrail.presented_serial", Get(F::PresentedSerial)),
    ("smtptrail.presented_names", Get(F::PresentedNames)),
    ("smtptrail.presented_via", Get(F::PresentedVia)),
    ("smtptrail.received", Get(F::Received)),
    ("smtptrail.received_serial", Get(F::ReceivedSerial)),
    ("smtptrail.received_names", Get(F::ReceivedNames)),
    ("smtptrail.tls.outcome", Get(F::TlsOutcome)),
    ("smtptrail.tls.version", With(other_tls_version)),
    ("smtptrail.tls.cipher", Get(F::Cipher)),
    ("smtptrail.tls.cipher_bits", Get(F::CipherBits)),
    ("smtptrail.tls.mac", Get(F::Mac)),
    ("smtptrail.tls.key_exchange", Get(F::KeyExchange)),
    ("smtptrail.tls.chain_status", Get(F::ChainStatus)),
    ("smtptrail.reply.code", Get(F::Code)),
    ("smtptrail.reply.status", Get(F::Status)),
    ("smtptrail.reply.text", Get(F::Text)),
    ("smtptrail.reply.attr", Get(F::Attr)),
    ("smtptrail.reply.side", Get(F::Side)),
    ("smtptrail.reply.command", Get(F::Command)),
    ("smtptrail.peer.host", Get(F::PeerHost)),
    ("smtptrail.peer.time", Get(F::PeerTime)),
    ("smtptrail.peer.session", Get(F::PeerSession)),
    ("smtptrail.message_id", Get(F::MessageId)),
    ("smtptrail.message_ids", Get(F::MessageIds)),
    ("smtptrail.envelope.from", Get(F::From)),
    ("smtptrail.envelope.senders", Get(F::Senders)),
    ("smtptrail.envelope.to", With(|event| either(event, F::To, F::Recipients))),
    ("smtptrail.finding.first_refusal", With(|event| of_finding(event, F::Started))),
    ("smtptrail.finding.says", Get(F::Says)),
    ("smtptrail.finding.mend", Get(F::Mend)),
    ("smtptrail.finding.others", Get(F::Others)),
    ("smtptrail.finding.servers", Get(F::Servers)),
    ("smtptrail.finding.sessions", Get(F::Sessions)),
    ("smtptrail.sequence", Get(F::Sequence)),
    ("smtptrail.row_hash", Get(F::RowHash)),
    ("smtptrail.source.offset", Get(F::SourceOffset)),
    ("smtptrail.source.length", Get(F::SourceLength)),
    ("smtptrail.revision", With(revision)),
    ("smtptrail.amends", Get(F::Amends)),
];

fn put_record(event: &Event<'_>, out: &mut Vec<u8>) {
    let nanoseconds = i128::from(event.time.0.max(0)) * 1_000_000;
    let (number, text) = severity(event);
    let kind = event.kind.as_str();
    // A vector takes whatever is written to it.
    let _ = write!(out, r#"{{"timeUnixNano":"{nanoseconds}","severityNumber":{number},"severityText":"{text}","#);
    let _ = write!(out, r#""eventName":"smtptrail.{kind}","#);
    out.extend_from_slice(br#""body":{"stringValue":"#);
    json::put_string(out, &super::summary(event));
    out.extend_from_slice(br#"},"attributes":["#);
    let begin = out.len();
    for (key, take) in TABLE {
        let value = take.value(event);
        if value != Value::None {
            if out.len() > begin {
                out.push(b',');
            }
            put_attribute(key, &value, out);
        }
    }
    out.extend_from_slice(b"]}");
}

/// The number of OpenTelemetry's severity, and the short name of its range.
fn severity(event: &Event<'_>) -> (u8, &'static str) {
    match Severity::of(event) {
        Severity::Informational => (9, "INFO"),
        Severity::Low => (13, "WARN"),
        Severity::Medium => (14, "WARN2"),
        Severity::High => (17, "ERROR"),
    }
}

fn put_attribute(key: &str, value: &Value<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"key":""#);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(br#"","value":{"#);
    match value {
        // 64 bits are more than a JSON number is sure to hold.
        Value::Long(number) => drop(write!(out, r#""intValue":"{number}""#)),
        Value::Flag(flag) => drop(write!(out, r#""boolValue":{flag}"#)),
        Value::List(texts) => {
            out.extend_from_slice(br#""arrayValue":{"values":["#);
            for (at, text) in texts.iter().enumerate() {
                out.extend_from_slice(if at > 0 { br#",{"stringValue":"# } else { br#"{"stringValue":"# });
                json::put_string(out, text);
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
        }
        text => {
            out.extend_from_slice(br#""stringValue":"#);
            json::put_value(out, text);
        }
    }
    out.extend_from_slice(b"}}");
}

/// Only an event of a session has a connection.
fn of_session<'e>(event: &'e Event<'_>, text: &'static str) -> Value<'e> {
    if event.view.is_some() { Value::text(text) } else { Value::None }
}

fn tls_protocol<'e>(event: &'e Event<'_>) -> Value<'e> {
    if tls_version(event) == Value::None { Value::None } else { Value::text("tls") }
}

/// The log's own number, where it stands for no known version.
fn other_tls_version<'e>(event: &'e Event<'_>) -> Value<'e> {
    if tls_version(event) == Value::None { event.value(F::TlsVersion) } else { Value::None }
}

fn of_finding<'e>(event: &'e Event<'_>, field: Field) -> Value<'e> {
    if event.kind == Kind::Finding { event.value(field) } else { Value::None }
}

fn unless_finding<'e>(event: &'e Event<'_>, field: Field) -> Value<'e> {
    if event.kind == Kind::Finding { Value::None } else { event.value(field) }
}
