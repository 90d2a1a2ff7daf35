//! `ecs`: Elastic Common Schema 9, NDJSON.
//!
//! The logging server's certificate is the client's when it sends and the server's when it receives. What the schema has
//! no field for stands below `exchange.smtp`. Windows' names of ciphers are no IANA names, so `tls.cipher` stays empty;
//! the envelope is no header, so `email.from` does.

use std::{borrow::Cow, sync::LazyLock};

use smtplog::Direction;

use super::{Item, Sink};
use crate::{
    Event, Field, Kind, Value,
    certificates::common_name,
    derived::{code, direction, either, established, message, network_type, revision, sent, side, tls_version},
    table::{Line, Take, Template},
};

/// Elastic Common Schema.
pub(super) struct Ecs;

/// The version of the schema.
const VERSION: &str = "9.4.0";

impl Sink for Ecs {
    fn name(&self) -> &'static str {
        "ecs"
    }

    fn about(&self) -> &'static str {
        "Elastic Common Schema, one JSON object a line"
    }

    fn extension(&self) -> &'static str {
        "ndjson"
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        if let Item::Event(event) = item {
            put_object(event, out);
        }
    }
}

/// Appends the object of an event.
pub(super) fn put_object(event: &Event<'_>, out: &mut Vec<u8>) {
    static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::new(TABLE));
    TEMPLATE.put(event, out);
}

use Field as F;
use Take::{Const, Field as Get, With};

/// The mapping.
pub(super) const TABLE: &[Line] = &[
    ("@timestamp", Get(F::Time)),
    ("ecs.version", Const(VERSION)),
    ("event.id", Get(F::Id)),
    ("event.kind", With(kind)),
    ("event.category", With(category)),
    ("event.type", With(type_of)),
    ("event.action", Get(F::Kind)),
    ("event.outcome", With(outcome)),
    ("event.code", With(code)),
    ("event.reason", With(reason)),
    ("event.module", Const("exchange")),
    ("event.dataset", Const("exchange.smtp")),
    ("event.sequence", Get(F::Sequence)),
    ("event.hash", Get(F::RowHash)),
    ("event.start", Get(F::Started)),
    ("event.end", Get(F::Ended)),
    ("event.duration", With(duration)),
    ("message", With(message)),
    ("network.transport", Const("tcp")),
    ("network.protocol", Const("smtp")),
    ("network.type", With(network_type)),
    ("network.direction", With(network_direction)),
    ("host.name", Get(F::Server)),
    ("source.ip", With(|event| sent(event, F::LocalIp, F::RemoteIp))),
    ("source.port", With(|event| sent(event, F::LocalPort, F::RemotePort))),
    ("source.domain", Get(F::Helo)),
    ("source.nat.ip", Get(F::EgressIp)),
    ("destination.ip", With(|event| sent(event, F::RemoteIp, F::LocalIp))),
    ("destination.port", With(|event| sent(event, F::RemotePort, F::LocalPort))),
    ("destination.domain", Get(F::RemoteName)),
    ("tls.established", With(established)),
    ("tls.version", With(tls_version)),
    ("tls.version_protocol", With(tls_protocol)),
    ("tls.client.hash.sha1", With(|event| side(event, true, F::Presented, F::Received))),
    ("tls.client.subject", With(|event| side(event, true, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.client.issuer", With(|event| side(event, true, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.client.x509.subject.common_name", With(|event| name(event, true, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.client.x509.issuer.common_name", With(|event| name(event, true, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.client.x509.serial_number", With(|event| side(event, true, F::PresentedSerial, F::ReceivedSerial))),
    ("tls.client.x509.alternative_names", With(|event| side(event, true, F::PresentedNames, F::ReceivedNames))),
    ("tls.client.x509.not_before", With(|event| side(event, true, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.client.x509.not_after", With(|event| side(event, true, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("tls.server.hash.sha1", With(|event| side(event, false, F::Presented, F::Received))),
    ("tls.server.subject", With(|event| side(event, false, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.server.issuer", With(|event| side(event, false, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.server.x509.subject.common_name", With(|event| name(event, false, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.server.x509.issuer.common_name", With(|event| name(event, false, F::PresentedIssuer, F::ReceivedIssuer))),
    ("tls.server.x509.serial_number", With(|event| side(event, false, F::PresentedSerial, F::ReceivedSerial))),
    ("tls.server.x509.alternative_names", With(|event| side(event, false, F::PresentedNames, F::ReceivedNames))),
    ("tls.server.x509.not_before", With(|event| side(event, false, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.server.x509.not_after", With(|event| side(event, false, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("email.message_id", Get(F::MessageId)),
    ("error.message", Get(F::TlsError)),
    ("rule.id", Get(F::Rule)),
    ("rule.description", Get(F::Says)),
    ("log.file.path", Get(F::SourceFile)),
    ("related.hash", With(related_hash)),
    ("related.ip", With(related_ip)),
    ("related.hosts", With(related_hosts)),
    ("exchange.smtp.session.id", Get(F::Session)),
    ("exchange.smtp.session.complete", With(complete)),
    ("exchange.smtp.session.confidence", With(session_confidence)),
    ("exchange.smtp.session.records", Get(F::Records)),
    ("exchange.smtp.session.statuses", Get(F::Statuses)),
    ("exchange.smtp.session.codes", Get(F::Codes)),
    ("exchange.smtp.session.messages", Get(F::Messages)),
    ("exchange.smtp.session.accepted", Get(F::Accepted)),
    ("exchange.smtp.session.tarpit_ms", Get(F::TarpitMs)),
    ("exchange.smtp.session.errors", Get(F::Errors)),
    ("exchange.smtp.session.user", Get(F::User)),
    ("exchange.smtp.connector", Get(F::Connector)),
    ("exchange.smtp.direction", Get(F::Direction)),
    ("exchange.smtp.role", Get(F::Role)),
    ("exchange.smtp.reply.code", Get(F::Code)),
    ("exchange.smtp.reply.status", Get(F::Status)),
    ("exchange.smtp.reply.text", Get(F::Text)),
    ("exchange.smtp.reply.attr", Get(F::Attr)),
    ("exchange.smtp.reply.side", Get(F::Side)),
    ("exchange.smtp.reply.command", Get(F::Command)),
    ("exchange.smtp.reply.presented_via", Get(F::PresentedVia)),
    ("exchange.smtp.peer.host", Get(F::PeerHost)),
    ("exchange.smtp.peer.time", Get(F::PeerTime)),
    ("exchange.smtp.peer.session", Get(F::PeerSession)),
    ("exchange.smtp.envelope.from", With(|event| either(event, F::From, F::Senders))),
    ("exchange.smtp.envelope.to", With(|event| either(event, F::To, F::Recipients))),
    ("exchange.smtp.message_ids", Get(F::MessageIds)),
    ("exchange.smtp.tls.outcome", Get(F::TlsOutcome)),
    ("exchange.smtp.tls.cipher", Get(F::Cipher)),
    ("exchange.smtp.tls.cipher_bits", Get(F::CipherBits)),
    ("exchange.smtp.tls.mac", Get(F::Mac)),
    ("exchange.smtp.tls.key_exchange", Get(F::KeyExchange)),
    ("exchange.smtp.tls.chain_status", Get(F::ChainStatus)),
    ("exchange.smtp.finding.confidence", With(finding_confidence)),
    ("exchange.smtp.finding.mend", Get(F::Mend)),
    ("exchange.smtp.finding.others", Get(F::Others)),
    ("exchange.smtp.finding.servers", Get(F::Servers)),
    ("exchange.smtp.finding.sessions", Get(F::Sessions)),
    ("exchange.smtp.source.offset", Get(F::SourceOffset)),
    ("exchange.smtp.source.length", Get(F::SourceLength)),
    ("exchange.smtp.revision", With(revision)),
    ("exchange.smtp.amends", Get(F::Amends)),
];

fn kind<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::text(if event.kind == Kind::Finding { "alert" } else { "event" })
}

fn words(words: &[&'static str]) -> Value<'static> {
    Value::List(words.iter().map(|word| Cow::Borrowed(*word)).collect())
}

fn category<'e>(event: &'e Event<'_>) -> Value<'e> {
    words(match event.kind {
        Kind::Refusal => &["email", "network"],
        Kind::SessionEnd => &["network", "session"],
        Kind::Finding => &["email", "intrusion_detection"],
        _ => &["network"],
    })
}

fn type_of<'e>(event: &'e Event<'_>) -> Value<'e> {
    words(match event.kind {
        Kind::CertificatePresented | Kind::CertificateReceived => &["info", "protocol"],
        Kind::TlsNegotiated | Kind::TlsFailed => &["protocol"],
        Kind::Refusal => &["info", "denied"],
        Kind::SessionEnd => &["end"],
        Kind::Finding => &["info"],
    })
}

pub(super) fn outcome<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.kind {
        Kind::TlsNegotiated => Value::text("success"),
        Kind::TlsFailed | Kind::Refusal => Value::text("failure"),
        _ => Value::None,
    }
}

pub(super) fn reason<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.kind {
        Kind::Finding => event.value(F::Says),
        Kind::TlsFailed => event.value(F::TlsError),
        _ => event.value(F::Text),
    }
}

/// Nanoseconds.
fn duration<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::DurationMs) {
        Value::Long(ms) => Value::Long(ms.saturating_mul(1_000_000)),
        _ => Value::None,
    }
}

/// The logging server is a host, and this is its point of view.
fn network_direction<'e>(event: &'e Event<'_>) -> Value<'e> {
    direction(event).map_or(Value::None, |direction| {
        Value::text(match direction {
            Direction::Send => "egress",
            Direction::Receive => "ingress",
        })
    })
}

/// The common name in a subject or issuer.
fn name<'e>(event: &'e Event<'_>, client: bool, presented: Field, received: Field) -> Value<'e> {
    let Value::Text(Cow::Borrowed(subject)) = side(event, client, presented, received) else { return Value::None };
    common_name(subject).map_or(Value::None, |name| Value::List(vec![name]))
}

fn tls_protocol<'e>(event: &'e Event<'_>) -> Value<'e> {
    if tls_version(event) == Value::None { Value::None } else { Value::text("tls") }
}

fn gathered<'e>(event: &'e Event<'_>, fields: &[Field]) -> Value<'e> {
    let mut texts: Vec<Cow<'e, str>> = Vec::new();
    for field in fields {
        let text = match event.value(*field) {
            Value::Text(text) => text,
            Value::Thumbprint(thumbprint) => Cow::Owned(thumbprint.to_string()),
            _ => continue,
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.is_empty() { Value::None } else { Value::List(texts) }
}

fn related_hash<'e>(event: &'e Event<'_>) -> Value<'e> {
    gathered(event, &[F::Presented, F::Received])
}

fn related_ip<'e>(event: &'e Event<'_>) -> Value<'e> {
    gathered(event, &[F::LocalIp, F::RemoteIp, F::EgressIp])
}

fn related_hosts<'e>(event: &'e Event<'_>) -> Value<'e> {
    if event.kind == Kind::Finding {
        return event.value(F::Servers);
    }
    gathered(event, &[F::Server, F::Helo, F::RemoteName, F::PeerHost])
}

fn complete<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::Incomplete) {
        Value::Flag(incomplete) => Value::Flag(!incomplete),
        _ => Value::None,
    }
}

fn session_confidence<'e>(event: &'e Event<'_>) -> Value<'e> {
    if event.kind == Kind::Finding { Value::None } else { event.value(F::Confidence) }
}

fn finding_confidence<'e>(event: &'e Event<'_>) -> Value<'e> {
    if event.kind == Kind::Finding { event.value(F::Confidence) } else { Value::None }
}
