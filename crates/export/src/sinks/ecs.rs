//! `ecs`: Elastic Common Schema 9, NDJSON.
//!
//! The logging server's certificate is the client's when it sends and the server's when it receives. What the schema has
//! no field for stands below `exchange.smtp`. Windows' names of ciphers are no IANA names, so `tls.cipher` stays empty;
//! the envelope is no header, so `email.from` does.

use std::{borrow::Cow, sync::LazyLock};

use smtplog::Direction;

use super::{Item, Sink};
use crate::{
    Event, Field, FieldType, Kind, Value,
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
    static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
        let lines: Vec<Line> = TABLE.iter().map(|(path, typed)| (*path, typed.take)).collect();
        Template::new(&lines)
    });
    TEMPLATE.put(event, out);
}

/// What stands at a path, and of what type it is.
#[derive(Clone, Copy)]
pub(super) struct Typed {
    take: Take,
    /// The type of each value; whether there are several is no matter of types in the schema.
    pub(super) kind: FieldType,
}

/// A field, of the type that it has.
const fn get(field: Field) -> Typed {
    get_as(field.kind_of_value(), field)
}

/// A field whose type is another one in the schema.
const fn get_as(kind: FieldType, field: Field) -> Typed {
    Typed { take: Take::Field(field), kind }
}

/// What follows from the event's kind.
const fn of_kind(kind: FieldType, value: fn(Kind) -> Value<'static>) -> Typed {
    Typed { take: Take::OfKind(value), kind }
}

/// What follows from the event.
const fn with(kind: FieldType, value: for<'e> fn(&'e Event<'_>) -> Value<'e>) -> Typed {
    Typed { take: Take::With(value), kind }
}

/// What is always the same.
const fn always(text: &'static str) -> Typed {
    Typed { take: Take::Const(text), kind: Keyword }
}

use Field as F;
use FieldType::{Boolean, Date, Ip, Keyword, Keywords, Long, Text};

/// The mapping. Index templates take their types from here, too.
pub(super) const TABLE: &[(&str, Typed)] = &[
    ("@timestamp", get(F::Time)),
    ("ecs.version", always(VERSION)),
    ("event.id", get(F::Id)),
    ("event.kind", of_kind(Keyword, kind)),
    ("event.category", of_kind(Keywords, category)),
    ("event.type", of_kind(Keywords, type_of)),
    ("event.action", get(F::Kind)),
    ("event.outcome", of_kind(Keyword, outcome)),
    ("event.code", with(Keyword, code)),
    ("event.reason", with(Keyword, reason)),
    ("event.module", always("exchange")),
    ("event.dataset", always("exchange.smtp")),
    ("event.sequence", get(F::Sequence)),
    ("event.hash", get(F::RowHash)),
    ("event.start", get(F::Started)),
    ("event.end", get(F::Ended)),
    ("event.duration", with(Long, duration)),
    ("message", with(Text, message)),
    ("network.transport", always("tcp")),
    ("network.protocol", always("smtp")),
    ("network.type", with(Keyword, network_type)),
    ("network.direction", with(Keyword, network_direction)),
    ("host.name", get(F::Server)),
    ("source.ip", with(Ip, |event| sent(event, F::LocalIp, F::RemoteIp))),
    ("source.port", with(Long, |event| sent(event, F::LocalPort, F::RemotePort))),
    ("source.domain", get(F::Helo)),
    ("source.nat.ip", get(F::EgressIp)),
    ("destination.ip", with(Ip, |event| sent(event, F::RemoteIp, F::LocalIp))),
    ("destination.port", with(Long, |event| sent(event, F::RemotePort, F::LocalPort))),
    ("destination.domain", get(F::RemoteName)),
    ("tls.established", with(Boolean, established)),
    ("tls.version", with(Keyword, tls_version)),
    ("tls.version_protocol", with(Keyword, tls_protocol)),
    ("tls.client.hash.sha1", with(Keyword, |event| side(event, true, F::Presented, F::Received))),
    ("tls.client.subject", with(Keyword, |event| side(event, true, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.client.issuer", with(Keyword, |event| side(event, true, F::PresentedIssuer, F::ReceivedIssuer))),
    (
        "tls.client.x509.subject.common_name",
        with(Keywords, |event| name(event, true, F::PresentedSubject, F::ReceivedSubject)),
    ),
    (
        "tls.client.x509.issuer.common_name",
        with(Keywords, |event| name(event, true, F::PresentedIssuer, F::ReceivedIssuer)),
    ),
    ("tls.client.x509.serial_number", with(Keyword, |event| side(event, true, F::PresentedSerial, F::ReceivedSerial))),
    (
        "tls.client.x509.alternative_names",
        with(Keywords, |event| side(event, true, F::PresentedNames, F::ReceivedNames)),
    ),
    ("tls.client.x509.not_before", with(Date, |event| side(event, true, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.client.x509.not_after", with(Date, |event| side(event, true, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("tls.server.hash.sha1", with(Keyword, |event| side(event, false, F::Presented, F::Received))),
    ("tls.server.subject", with(Keyword, |event| side(event, false, F::PresentedSubject, F::ReceivedSubject))),
    ("tls.server.issuer", with(Keyword, |event| side(event, false, F::PresentedIssuer, F::ReceivedIssuer))),
    (
        "tls.server.x509.subject.common_name",
        with(Keywords, |event| name(event, false, F::PresentedSubject, F::ReceivedSubject)),
    ),
    (
        "tls.server.x509.issuer.common_name",
        with(Keywords, |event| name(event, false, F::PresentedIssuer, F::ReceivedIssuer)),
    ),
    ("tls.server.x509.serial_number", with(Keyword, |event| side(event, false, F::PresentedSerial, F::ReceivedSerial))),
    (
        "tls.server.x509.alternative_names",
        with(Keywords, |event| side(event, false, F::PresentedNames, F::ReceivedNames)),
    ),
    ("tls.server.x509.not_before", with(Date, |event| side(event, false, F::PresentedNotBefore, F::ReceivedNotBefore))),
    ("tls.server.x509.not_after", with(Date, |event| side(event, false, F::PresentedNotAfter, F::ReceivedNotAfter))),
    ("email.message_id", get(F::MessageId)),
    ("error.message", get(F::TlsError)),
    ("rule.id", get(F::Rule)),
    ("rule.description", get_as(Keyword, F::Says)),
    ("log.file.path", get(F::SourceFile)),
    ("related.hash", with(Keywords, related_hash)),
    ("related.ip", with(Ip, related_ip)),
    ("related.hosts", with(Keywords, related_hosts)),
    ("exchange.smtp.session.id", get(F::Session)),
    ("exchange.smtp.session.complete", with(Boolean, complete)),
    ("exchange.smtp.session.confidence", with(Keyword, session_confidence)),
    ("exchange.smtp.session.records", get(F::Records)),
    ("exchange.smtp.session.statuses", get(F::Statuses)),
    ("exchange.smtp.session.codes", get(F::Codes)),
    ("exchange.smtp.session.messages", get(F::Messages)),
    ("exchange.smtp.session.accepted", get(F::Accepted)),
    ("exchange.smtp.session.tarpit_ms", get(F::TarpitMs)),
    ("exchange.smtp.session.errors", get(F::Errors)),
    ("exchange.smtp.session.user", get(F::User)),
    ("exchange.smtp.connector", get(F::Connector)),
    ("exchange.smtp.direction", get(F::Direction)),
    ("exchange.smtp.role", get(F::Role)),
    ("exchange.smtp.reply.code", get(F::Code)),
    ("exchange.smtp.reply.status", get(F::Status)),
    ("exchange.smtp.reply.text", get(F::Text)),
    ("exchange.smtp.reply.attr", get(F::Attr)),
    ("exchange.smtp.reply.side", get(F::Side)),
    ("exchange.smtp.reply.command", get(F::Command)),
    ("exchange.smtp.reply.presented_via", get(F::PresentedVia)),
    ("exchange.smtp.peer.host", get(F::PeerHost)),
    ("exchange.smtp.peer.time", get(F::PeerTime)),
    ("exchange.smtp.peer.session", get(F::PeerSession)),
    ("exchange.smtp.envelope.from", with(Keywords, |event| either(event, F::From, F::Senders))),
    ("exchange.smtp.envelope.to", with(Keywords, |event| either(event, F::To, F::Recipients))),
    ("exchange.smtp.message_ids", get(F::MessageIds)),
    ("exchange.smtp.tls.outcome", get(F::TlsOutcome)),
    ("exchange.smtp.tls.cipher", get(F::Cipher)),
    ("exchange.smtp.tls.cipher_bits", get(F::CipherBits)),
    ("exchange.smtp.tls.mac", get(F::Mac)),
    ("exchange.smtp.tls.key_exchange", get(F::KeyExchange)),
    ("exchange.smtp.tls.chain_status", get(F::ChainStatus)),
    ("exchange.smtp.finding.confidence", with(Keyword, finding_confidence)),
    ("exchange.smtp.finding.mend", get(F::Mend)),
    ("exchange.smtp.finding.others", get(F::Others)),
    ("exchange.smtp.finding.servers", get(F::Servers)),
    ("exchange.smtp.finding.sessions", get(F::Sessions)),
    ("exchange.smtp.source.offset", get(F::SourceOffset)),
    ("exchange.smtp.source.length", get(F::SourceLength)),
    ("exchange.smtp.revision", with(Long, revision)),
    ("exchange.smtp.amends", get(F::Amends)),
];

fn kind(kind: Kind) -> Value<'static> {
    Value::text(if kind == Kind::Finding { "alert" } else { "event" })
}

fn words(words: &[&'static str]) -> Value<'static> {
    Value::List(words.iter().map(|word| Cow::Borrowed(*word)).collect())
}

fn category(kind: Kind) -> Value<'static> {
    words(match kind {
        Kind::Refusal => &["email", "network"],
        Kind::SessionEnd => &["network", "session"],
        Kind::Finding => &["email", "intrusion_detection"],
        _ => &["network"],
    })
}

fn type_of(kind: Kind) -> Value<'static> {
    words(match kind {
        Kind::CertificatePresented | Kind::CertificateReceived => &["info", "protocol"],
        Kind::TlsNegotiated | Kind::TlsFailed => &["protocol"],
        Kind::Refusal => &["info", "denied"],
        Kind::SessionEnd => &["end"],
        Kind::Finding => &["info"],
    })
}

pub(super) fn outcome(kind: Kind) -> Value<'static> {
    match kind {
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
