//! What several formats work out of an event in the same way.

use smtplog::{Direction, TlsOutcome};

use crate::{Event, Field, Kind, Value, event::is_client_side, sinks};

/// How bad an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// It tells what was.
    Informational,
    /// It may mend itself: a refusal that asks to try again.
    Low,
    /// Something did not work: TLS failed, or mail was refused for good, or for now and the cause is known.
    Medium,
    /// Mail is refused for good, and the cause is known.
    High,
}

impl Severity {
    /// How bad an event is.
    pub(crate) fn of(event: &Event<'_>) -> Severity {
        let is_permanent = !matches!(event.value(Field::Code), Value::Long(..500));
        match (event.kind, is_permanent) {
            (Kind::Finding, true) => Severity::High,
            (Kind::Finding, false) | (Kind::TlsFailed, _) | (Kind::Refusal, true) => Severity::Medium,
            (Kind::Refusal, false) => Severity::Low,
            _ => Severity::Informational,
        }
    }
}

/// The status, which is what people search for; without one the reply code.
pub(crate) fn code<'e>(event: &'e Event<'_>) -> Value<'e> {
    match (event.value(Field::Status), event.value(Field::Code)) {
        (Value::None, Value::Long(code)) => Value::Text(code.to_string().into()),
        (status, _) => status,
    }
}

/// The event in a few words.
pub(crate) fn message<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::Text(sinks::summary(event).into())
}

/// `ipv4` or `ipv6`.
pub(crate) fn network_type<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(Field::RemoteIp) {
        Value::Text(ip) => Value::text(if ip.contains(':') { "ipv6" } else { "ipv4" }),
        _ => Value::None,
    }
}

/// Which way the mail goes, seen from the logging server.
pub(crate) fn direction(event: &Event<'_>) -> Option<Direction> {
    match (event.view, event.finding) {
        (Some(view), _) => Some(view.session.stream.direction),
        (None, Some(finding)) => finding.direction.parse().ok(),
        (None, None) => None,
    }
}

/// A field in `send`, another in `receive`.
pub(crate) fn sent<'e>(event: &'e Event<'_>, send: Field, receive: Field) -> Value<'e> {
    match direction(event) {
        Some(Direction::Send) => event.value(send),
        Some(Direction::Receive) => event.value(receive),
        None => Value::None,
    }
}

/// What belongs to the certificate of the client's or the server's side.
pub(crate) fn side<'e>(event: &'e Event<'_>, client: bool, presented: Field, received: Field) -> Value<'e> {
    let Some(direction) = direction(event) else { return Value::None };
    event.value(if is_client_side(direction, true) == client { presented } else { received })
}

/// Whether the negotiation came about.
pub(crate) fn established<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.negotiation.map(|negotiation| negotiation.tls.outcome) {
        Some(TlsOutcome::Ok) => Value::Flag(true),
        Some(TlsOutcome::Failed) => Value::Flag(false),
        _ => Value::None,
    }
}

/// The version of TLS, if the log's number for it is a known one.
pub(crate) fn tls_version<'e>(event: &'e Event<'_>) -> Value<'e> {
    match event.value(Field::TlsVersion) {
        Value::Text(version) if version.contains('.') => Value::Text(version),
        _ => Value::None,
    }
}

/// A field of a refusal, another of a session's end.
pub(crate) fn either<'e>(event: &'e Event<'_>, of_refusal: Field, of_end: Field) -> Value<'e> {
    event.value(if event.kind == Kind::SessionEnd { of_end } else { of_refusal })
}

/// Only where it says something.
pub(crate) fn revision<'e>(event: &'e Event<'_>) -> Value<'e> {
    if event.id.revision > 1 { event.value(Field::Revision) } else { Value::None }
}
