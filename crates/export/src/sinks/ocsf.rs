//! `ocsf`: Open Cybersecurity Schema Framework 1.7, NDJSON.
//!
//! | event | class | activity |
//! |---|---|---|
//! | certificate, negotiated TLS | Network Activity | Other |
//! | failed TLS | Network Activity | Fail |
//! | session's end | Network Activity | Close |
//! | refusal of a message | Email Activity | Send, Receive |
//! | refusal of anything else | Network Activity | Other |
//! | finding | Detection Finding | Create, Update |
//!
//! An email has to have a sender or a recipient, so a refusal of EHLO or AUTH is none. The envelope is what the schema
//! calls `from` and `to`; it has had `smtp_from` and `smtp_to` replaced by them.
//!
//! `tls` has one certificate: the one that the logging server showed, or else the other side's. An email has no `tls`.
//! So that one query finds a certificate in any class, `unmapped.presented` and `unmapped.received` always have the
//! thumbprints of both sides, and `observables` names each. What is required and not known is `Unknown`.

use std::{borrow::Cow, io::Write, net::IpAddr, sync::LazyLock};

use smtplog::{Direction, Thumbprint};

use super::{Item, Sink};
use crate::{
    CertificateFacts, Event, Field, Kind, Value,
    derived::{Severity, code, direction, message, network_type, revision, sent},
    json,
    table::{Line, Take, Template},
};

/// Open Cybersecurity Schema Framework.
pub(super) struct Ocsf;

/// The version of the schema.
const VERSION: &str = "1.7.0";

/// What stands for a required text that no log tells.
const UNKNOWN: &str = "Unknown";

impl Sink for Ocsf {
    fn name(&self) -> &'static str {
        "ocsf"
    }

    fn about(&self) -> &'static str {
        "Open Cybersecurity Schema Framework, one JSON object a line"
    }

    fn extension(&self) -> &'static str {
        "ndjson"
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        static NETWORK: LazyLock<Template> = LazyLock::new(|| template(&[COMMON_TABLE, SESSION_TABLE, NETWORK_TABLE]));
        static EMAIL: LazyLock<Template> = LazyLock::new(|| template(&[COMMON_TABLE, SESSION_TABLE, EMAIL_TABLE]));
        static FINDING: LazyLock<Template> = LazyLock::new(|| template(&[COMMON_TABLE, FINDING_TABLE]));
        let Item::Event(event) = item else { return };
        match Class::of(event) {
            Class::NetworkActivity => NETWORK.put(event, out),
            Class::EmailActivity => EMAIL.put(event, out),
            Class::DetectionFinding => FINDING.put(event, out),
        }
    }
}

fn template(tables: &[&[Line]]) -> Template {
    Template::new(&tables.concat())
}

use Field as F;
use Take::{Const, Field as Get, Millis, Number, Put, With};

/// The mapping of every event.
const COMMON_TABLE: &[Line] = &[
    ("time", Millis(F::Time)),
    ("category_uid", With(|event| Value::Long(Class::of(event).category().0))),
    ("category_name", With(|event| Value::text(Class::of(event).category().1))),
    ("class_uid", With(|event| Value::Long(Class::of(event).uid()))),
    ("class_name", With(|event| Value::text(Class::of(event).caption()))),
    ("activity_id", With(|event| Value::Long(Activity::of(event).id))),
    ("activity_name", With(|event| Value::text(Activity::of(event).name))),
    ("type_uid", With(|event| Value::Long(Class::of(event).uid() * 100 + Activity::of(event).id))),
    ("type_name", With(type_name)),
    ("severity_id", With(|event| Value::Long(severity(event).0))),
    ("severity", With(|event| Value::text(severity(event).1))),
    ("status_id", With(|event| status(event).map_or(Value::None, |(id, _)| Value::Long(id)))),
    ("status", With(|event| status(event).map_or(Value::None, |(_, caption)| Value::text(caption)))),
    ("status_code", With(code)),
    ("status_detail", With(status_detail)),
    ("message", With(message)),
    ("metadata.version", Const(VERSION)),
    ("metadata.product.name", Const("smtptrail")),
    ("metadata.product.vendor_name", Const("smtptrail")),
    ("metadata.product.version", Const(env!("CARGO_PKG_VERSION"))),
    ("metadata.uid", Get(F::Id)),
    ("metadata.event_code", Get(F::Kind)),
    ("start_time", Millis(F::Started)),
    ("observables", Put(put_observables)),
    ("unmapped.presented", Get(F::Presented)),
    ("unmapped.received", Get(F::Received)),
    ("unmapped.direction", Get(F::Direction)),
    ("unmapped.connector", Get(F::Connector)),
    ("unmapped.code", Get(F::Code)),
    ("unmapped.attr", Get(F::Attr)),
    ("unmapped.revision", With(revision)),
    ("unmapped.amends", Get(F::Amends)),
];

/// The mapping of what a session tells, besides.
const SESSION_TABLE: &[Line] = &[
    ("metadata.original_time", Get(F::Time)),
    ("metadata.log_name", Const("SMTP protocol log")),
    ("metadata.log_provider", Const("Microsoft Exchange")),
    ("metadata.log_source", Get(F::SourceFile)),
    ("metadata.sequence", Get(F::Sequence)),
    ("metadata.correlation_uid", Get(F::Session)),
    ("src_endpoint.hostname", With(|event| hostname(event, F::Server, F::Helo))),
    ("src_endpoint.ip", With(|event| sent(event, F::LocalIp, F::RemoteIp))),
    ("src_endpoint.port", With(|event| sent(event, F::LocalPort, F::RemotePort))),
    ("src_endpoint.intermediate_ips", With(intermediate_ips)),
    ("dst_endpoint.hostname", With(|event| hostname(event, F::RemoteName, F::Server))),
    ("dst_endpoint.ip", With(|event| sent(event, F::RemoteIp, F::LocalIp))),
    ("dst_endpoint.port", With(|event| sent(event, F::RemotePort, F::LocalPort))),
    ("unmapped.helo", Get(F::Helo)),
    ("unmapped.role", Get(F::Role)),
    ("unmapped.incomplete", Get(F::Incomplete)),
    ("unmapped.confidence", Get(F::Confidence)),
    ("unmapped.tls_outcome", Get(F::TlsOutcome)),
    ("unmapped.tls_error", Get(F::TlsError)),
    ("unmapped.cipher", Get(F::Cipher)),
    ("unmapped.mac", Get(F::Mac)),
    ("unmapped.key_exchange", Get(F::KeyExchange)),
    ("unmapped.chain_status", Get(F::ChainStatus)),
    ("unmapped.presented_via", Get(F::PresentedVia)),
    ("unmapped.side", Get(F::Side)),
    ("unmapped.peer_host", Get(F::PeerHost)),
    ("unmapped.peer_time", Get(F::PeerTime)),
    ("unmapped.peer_session", Get(F::PeerSession)),
    ("unmapped.row_hash", Get(F::RowHash)),
    ("unmapped.source_offset", Get(F::SourceOffset)),
    ("unmapped.source_length", Get(F::SourceLength)),
];

/// The mapping of Network Activity, besides.
const NETWORK_TABLE: &[Line] = &[
    ("app_name", Const("smtp")),
    ("duration", Get(F::DurationMs)),
    ("end_time", Millis(F::Ended)),
    ("connection_info.uid", Get(F::Session)),
    ("connection_info.direction_id", With(|event| Value::Long(direction_of(event).0))),
    ("connection_info.direction", With(|event| Value::text(direction_of(event).1))),
    ("connection_info.protocol_name", Const("tcp")),
    ("connection_info.protocol_num", Number(6)),
    ("connection_info.protocol_ver_id", With(|event| ip_version(event).0)),
    ("connection_info.protocol_ver", With(|event| ip_version(event).1)),
    ("tls.version", With(tls_version)),
    ("tls.key_length", Get(F::CipherBits)),
    ("tls.certificate.subject", With(|event| fact(event, |facts| known(&facts.subject)))),
    ("tls.certificate.issuer", With(|event| required(event, |facts| &facts.issuer))),
    ("tls.certificate.serial_number", With(|event| required(event, |facts| &facts.serial))),
    ("tls.certificate.created_time", With(|event| fact(event, |facts| millis(facts.not_before)))),
    ("tls.certificate.expiration_time", With(|event| fact(event, |facts| millis(facts.not_after)))),
    ("tls.certificate.fingerprints[].algorithm_id", With(|event| if_shown(event, Value::Long(2)))),
    ("tls.certificate.fingerprints[].algorithm", With(|event| if_shown(event, Value::text("SHA-1")))),
    ("tls.certificate.fingerprints[].value", With(thumbprint)),
    ("tls.certificate.sans", Put(put_alternative_names)),
    ("unmapped.command", Get(F::Command)),
    ("unmapped.message_id", Get(F::MessageId)),
    ("unmapped.from", Get(F::From)),
    ("unmapped.records", Get(F::Records)),
    ("unmapped.messages", Get(F::Messages)),
    ("unmapped.accepted", Get(F::Accepted)),
    ("unmapped.message_ids", Get(F::MessageIds)),
    ("unmapped.senders", Get(F::Senders)),
    ("unmapped.recipients", Get(F::Recipients)),
    ("unmapped.statuses", Get(F::Statuses)),
    ("unmapped.codes", Get(F::Codes)),
    ("unmapped.tarpit_ms", Get(F::TarpitMs)),
    ("unmapped.user", Get(F::User)),
    ("unmapped.errors", Get(F::Errors)),
];

/// The mapping of Email Activity, besides.
const EMAIL_TABLE: &[Line] = &[
    ("protocol_name", Const("SMTP")),
    ("direction_id", With(|event| Value::Long(direction_of(event).0))),
    ("direction", With(|event| Value::text(direction_of(event).1))),
    ("command", Get(F::Command)),
    ("from", With(sender)),
    ("to", With(recipients)),
    ("email.message_uid", Get(F::MessageId)),
    ("email.from", With(sender)),
    ("email.to", With(recipients)),
    ("unmapped.presented_subject", Get(F::PresentedSubject)),
    ("unmapped.presented_issuer", Get(F::PresentedIssuer)),
    ("unmapped.presented_serial", Get(F::PresentedSerial)),
    ("unmapped.presented_not_before", Get(F::PresentedNotBefore)),
    ("unmapped.presented_not_after", Get(F::PresentedNotAfter)),
    ("unmapped.tls_version", Get(F::TlsVersion)),
    ("unmapped.cipher_bits", Get(F::CipherBits)),
];

/// The mapping of Detection Finding, besides.
const FINDING_TABLE: &[Line] = &[
    ("end_time", Millis(F::Time)),
    ("count", Get(F::Sessions)),
    ("is_alert", With(|_| Value::Flag(true))),
    ("confidence_id", With(|event| Value::Long(confidence(event).0))),
    ("confidence", With(|event| Value::text(confidence(event).1))),
    ("finding_info.uid", With(|event| Value::Id(event.id.first()))),
    ("finding_info.title", With(title)),
    ("finding_info.desc", Get(F::Says)),
    ("finding_info.types", With(|_| Value::List(vec![Cow::Borrowed("Mail refused")]))),
    ("finding_info.first_seen_time", Millis(F::Started)),
    ("finding_info.last_seen_time", Millis(F::Time)),
    ("finding_info.analytic.name", Get(F::Rule)),
    ("finding_info.analytic.type_id", Number(1)),
    ("finding_info.analytic.type", Const("Rule")),
    ("remediation.desc", With(remediation)),
    ("resources", Put(put_resources)),
    ("evidences[].data.direction", Get(F::Direction)),
    ("evidences[].data.connector", Get(F::Connector)),
    ("evidences[].data.code", Get(F::Code)),
    ("evidences[].data.status", Get(F::Status)),
    ("evidences[].data.attr", Get(F::Attr)),
    ("evidences[].data.text", Get(F::Text)),
    ("evidences[].tls.version", With(tls_version)),
    ("evidences[].tls.certificate.subject", With(|event| fact(event, |facts| known(&facts.subject)))),
    ("evidences[].tls.certificate.issuer", With(|event| required(event, |facts| &facts.issuer))),
    ("evidences[].tls.certificate.serial_number", With(|event| required(event, |facts| &facts.serial))),
    ("evidences[].tls.certificate.created_time", With(|event| fact(event, |facts| millis(facts.not_before)))),
    ("evidences[].tls.certificate.expiration_time", With(|event| fact(event, |facts| millis(facts.not_after)))),
    ("evidences[].tls.certificate.fingerprints[].algorithm_id", With(|event| if_shown(event, Value::Long(2)))),
    ("evidences[].tls.certificate.fingerprints[].algorithm", With(|event| if_shown(event, Value::text("SHA-1")))),
    ("evidences[].tls.certificate.fingerprints[].value", With(thumbprint)),
    ("evidences[].tls.certificate.sans", Put(put_alternative_names)),
    ("unmapped.others", Get(F::Others)),
];

/// Id and caption of a kind of observable.
type Observable = (i64, &'static str);

const HOSTNAME: Observable = (1, "Hostname");
const IP_ADDRESS: Observable = (2, "IP Address");
const EMAIL_ADDRESS: Observable = (5, "Email Address");
const HASH: Observable = (8, "Hash");
const MESSAGE_UID: Observable = (42, "Message UID");

/// What people search for across classes: where it stands, what it is and its value.
const SESSION_OBSERVABLES: &[(&str, Observable, Take)] = &[
    ("src_endpoint.hostname", HOSTNAME, With(|event| hostname(event, F::Server, F::Helo))),
    ("src_endpoint.ip", IP_ADDRESS, With(|event| sent(event, F::LocalIp, F::RemoteIp))),
    ("src_endpoint.intermediate_ips[]", IP_ADDRESS, With(intermediate_ips)),
    ("dst_endpoint.hostname", HOSTNAME, With(|event| hostname(event, F::RemoteName, F::Server))),
    ("dst_endpoint.ip", IP_ADDRESS, With(|event| sent(event, F::RemoteIp, F::LocalIp))),
];

const NETWORK_OBSERVABLES: &[(&str, Observable, Take)] = &[
    ("tls.certificate.fingerprints[].value", HASH, With(thumbprint)),
    (
        "unmapped.received",
        HASH,
        With(|event| if event.presented.is_some() { event.value(F::Received) } else { Value::None }),
    ),
];

const EMAIL_OBSERVABLES: &[(&str, Observable, Take)] = &[
    ("unmapped.presented", HASH, Get(F::Presented)),
    ("unmapped.received", HASH, Get(F::Received)),
    ("email.from", EMAIL_ADDRESS, With(sender)),
    ("email.to[]", EMAIL_ADDRESS, With(recipients)),
    ("email.message_uid", MESSAGE_UID, Get(F::MessageId)),
];

const FINDING_OBSERVABLES: &[(&str, Observable, Take)] = &[
    ("evidences[].tls.certificate.fingerprints[].value", HASH, With(thumbprint)),
    ("resources[].hostname", HOSTNAME, Get(F::Servers)),
];

/// The classes that events fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    NetworkActivity,
    EmailActivity,
    DetectionFinding,
}

impl Class {
    fn of(event: &Event<'_>) -> Class {
        match event.kind {
            Kind::Finding => Class::DetectionFinding,
            Kind::Refusal if sender(event) != Value::None || recipients(event) != Value::None => Class::EmailActivity,
            _ => Class::NetworkActivity,
        }
    }

    fn uid(self) -> i64 {
        match self {
            Class::NetworkActivity => 4001,
            Class::EmailActivity => 4009,
            Class::DetectionFinding => 2004,
        }
    }

    fn caption(self) -> &'static str {
        match self {
            Class::NetworkActivity => "Network Activity",
            Class::EmailActivity => "Email Activity",
            Class::DetectionFinding => "Detection Finding",
        }
    }

    fn category(self) -> (i64, &'static str) {
        match self {
            Class::NetworkActivity | Class::EmailActivity => (4, "Network Activity"),
            Class::DetectionFinding => (2, "Findings"),
        }
    }

    fn observables(self) -> [&'static [(&'static str, Observable, Take)]; 2] {
        match self {
            Class::NetworkActivity => [NETWORK_OBSERVABLES, SESSION_OBSERVABLES],
            Class::EmailActivity => [EMAIL_OBSERVABLES, SESSION_OBSERVABLES],
            Class::DetectionFinding => [FINDING_OBSERVABLES, &[]],
        }
    }
}

/// What happened, in the words of a class.
struct Activity {
    id: i64,
    caption: &'static str,
    /// The caption, or for `Other` the event's own.
    name: &'static str,
}

impl Activity {
    fn of(event: &Event<'_>) -> Activity {
        let one_of = |id, caption| Activity { id, caption, name: caption };
        match (Class::of(event), event.kind, direction(event)) {
            (Class::DetectionFinding, ..) if event.id.revision > 1 => one_of(2, "Update"),
            (Class::DetectionFinding, ..) => one_of(1, "Create"),
            (Class::EmailActivity, _, Some(Direction::Receive)) => one_of(2, "Receive"),
            (Class::EmailActivity, ..) => one_of(1, "Send"),
            (Class::NetworkActivity, Kind::TlsFailed, _) => one_of(4, "Fail"),
            (Class::NetworkActivity, Kind::SessionEnd, _) => one_of(2, "Close"),
            (Class::NetworkActivity, kind, _) => Activity { id: 99, caption: "Other", name: kind.title() },
        }
    }
}

fn type_name<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::Text(format!("{}: {}", Class::of(event).caption(), Activity::of(event).caption).into())
}

fn severity(event: &Event<'_>) -> (i64, &'static str) {
    match Severity::of(event) {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
    }
}

/// How it went; of a finding, what has become of it.
fn status(event: &Event<'_>) -> Option<(i64, &'static str)> {
    match event.kind {
        Kind::TlsNegotiated => Some((1, "Success")),
        Kind::TlsFailed | Kind::Refusal => Some((2, "Failure")),
        Kind::Finding => Some((1, "New")),
        _ => None,
    }
}

fn status_detail<'e>(event: &'e Event<'_>) -> Value<'e> {
    event.value(if event.kind == Kind::TlsFailed { F::TlsError } else { F::Text })
}

/// Which way it went, seen from the logging server.
fn direction_of(event: &Event<'_>) -> (i64, &'static str) {
    match direction(event) {
        Some(Direction::Receive) => (1, "Inbound"),
        Some(Direction::Send) => (2, "Outbound"),
        None => (0, "Unknown"),
    }
}

fn ip_version<'e>(event: &'e Event<'_>) -> (Value<'e>, Value<'e>) {
    match network_type(event) {
        Value::Text(version) if version == "ipv6" => {
            (Value::Long(6), Value::text("Internet Protocol version 6 (IPv6)"))
        }
        Value::Text(_) => (Value::Long(4), Value::text("Internet Protocol version 4 (IPv4)")),
        _ => (Value::None, Value::None),
    }
}

fn hostname<'e>(event: &'e Event<'_>, send: Field, receive: Field) -> Value<'e> {
    match sent(event, send, receive) {
        Value::Text(name) if name.is_empty() => Value::None,
        name => name,
    }
}

/// The address between the two ends: the one that the other side saw.
fn intermediate_ips<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::EgressIp) {
        Value::Text(ip) if direction(event) == Some(Direction::Send) => Value::List(vec![ip]),
        _ => Value::None,
    }
}

/// The sender; bounces have an empty one.
fn sender<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::From) {
        Value::Text(from) if !from.is_empty() => Value::Text(from),
        _ => Value::None,
    }
}

fn recipients<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::To) {
        Value::List(to) if to.iter().any(|to| !to.is_empty()) => {
            Value::List(to.into_iter().filter(|to| !to.is_empty()).collect())
        }
        _ => Value::None,
    }
}

/// The certificate that stands in `tls`.
fn shown(event: &Event<'_>) -> Option<Thumbprint> {
    event.presented.or(event.received)
}

fn thumbprint<'e>(event: &'e Event<'_>) -> Value<'e> {
    shown(event).map_or(Value::None, Value::Thumbprint)
}

fn if_shown<'e>(event: &'e Event<'_>, value: Value<'e>) -> Value<'e> {
    if shown(event).is_some() { value } else { Value::None }
}

fn facts<'e>(event: &'e Event<'_>) -> Option<&'e CertificateFacts> {
    match (event.view, event.finding) {
        (Some(view), _) => view.certificates.get(shown(event)?),
        (None, finding) => finding?.certificate.as_ref(),
    }
}

fn fact<'e>(event: &'e Event<'_>, take: fn(&'e CertificateFacts) -> Value<'e>) -> Value<'e> {
    facts(event).map_or(Value::None, take)
}

fn required<'e>(event: &'e Event<'_>, take: fn(&'e CertificateFacts) -> &'e str) -> Value<'e> {
    let text = facts(event).map(take).filter(|text| !text.is_empty());
    if_shown(event, Value::text(text.unwrap_or(UNKNOWN)))
}

fn known(text: &str) -> Value<'_> {
    if text.is_empty() { Value::None } else { Value::text(text) }
}

fn millis<'e>(time: Option<smtplog::Timestamp>) -> Value<'e> {
    time.map_or(Value::None, |time| Value::Long(time.0))
}

/// Required where there was any TLS.
fn tls_version<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::TlsVersion) {
        Value::None if event.negotiation.is_some() || shown(event).is_some() => Value::text(UNKNOWN),
        version => version,
    }
}

fn confidence(event: &Event<'_>) -> (i64, &'static str) {
    match event.value(F::Confidence).to_text().as_deref() {
        Some("low") => (1, "Low"),
        Some("medium") => (2, "Medium"),
        Some("high") => (3, "High"),
        _ => (0, "Unknown"),
    }
}

fn title<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::Rule) {
        Value::Text(rule) => Value::Text(format!("Mail refused: {rule}").into()),
        _ => Value::text("Mail refused"),
    }
}

fn remediation<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(F::Mend) {
        Value::List(steps) => Value::Text(steps.join("\n").into()),
        _ => Value::None,
    }
}

fn put_alternative_names(event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    let names = facts(event).map_or(&[][..], |facts| &facts.names);
    put_list(names, out, |name, out| {
        let kind = if name.parse::<IpAddr>().is_ok() { "IP Address" } else { "DNS Name" };
        out.extend_from_slice(b"{\"name\":");
        json::put_string(out, name);
        let _ = write!(out, ",\"type\":\"{kind}\"}}");
    })
}

fn put_resources(event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    let Value::List(servers) = event.value(F::Servers) else { return false };
    put_list(&servers, out, |server, out| {
        out.extend_from_slice(b"{\"name\":");
        json::put_string(out, server);
        out.extend_from_slice(b",\"hostname\":");
        json::put_string(out, server);
        out.extend_from_slice(b",\"type\":\"Mail server\"}");
    })
}

fn put_observables(event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    let mut observables = Vec::new();
    for (name, kind, take) in Class::of(event).observables().into_iter().flatten() {
        match take.value(event) {
            Value::None => {}
            Value::List(texts) => observables.extend(texts.into_iter().map(|text| (name, kind, text))),
            value => observables.extend(value.to_text().map(|text| (name, kind, text.into_owned().into()))),
        }
    }
    put_list(&observables, out, |(name, (id, caption), text), out| {
        let _ = write!(out, "{{\"name\":\"{name}\",\"type_id\":{id},\"type\":\"{caption}\",\"value\":");
        json::put_string(out, text);
        out.push(b'}');
    })
}

/// Appends an array; false if it would be empty.
fn put_list<T>(items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) -> bool {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(item, out);
    }
    out.push(b']');
    !items.is_empty()
}
