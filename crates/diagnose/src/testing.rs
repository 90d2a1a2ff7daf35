//! Small cases for tests of rules: sessions as a send connector logs them, what else is known beside them, and the one
//! sentence or command that a rule is asked for.

use std::sync::Arc;

use evidence::{
    Fact,
    fact::{AcceptedDomain, Connector, ConnectorKind, Property, Value},
};
use smtplog::{
    Direction, Message, MessageOutcome, Negotiation, NegotiationRows, NegotiationVerb, Reply, ReplySide, Role, Session,
    SessionId, Stream, Thumbprint, Timestamp, Tls, TlsOutcome, certificate::Certificate,
};

use crate::{
    Background, Cause, Exhibit, Origin, Refused, Use, cases,
    rules::{Verdict, verdict},
};

/// The connector of all sessions.
pub(crate) const CONNECTOR: &str = "Outbound to Office 365";

/// An hour of the log.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The host that refuses.
pub(crate) const HOST: &str = "AM1EUR08FT047.mail.protection.outlook.com";

/// A thumbprint of one digit.
pub(crate) fn thumbprint(digit: u8) -> Thumbprint {
    Thumbprint::from_hex(&[b'0' + digit; 40]).unwrap()
}

/// A session that presented a certificate, before anything was refused.
pub(crate) fn session(server: &str, hour: i64, presented: Option<Thumbprint>) -> Session {
    let time = Timestamp(hour * HOUR_MS);
    let tls = Tls { outcome: TlsOutcome::Ok, version: Some("1.2".into()), ..Tls::default() };
    let negotiation = Negotiation {
        sequence: 6,
        time,
        verb: NegotiationVerb::StartTls,
        tls: tls.clone(),
        presented,
        received: None,
        rows: NegotiationRows::default(),
    };
    Session {
        stream: Arc::new(Stream { server: server.into(), role: Role::Hub, direction: Direction::Send }),
        session: SessionId(hour as u64),
        repeated: false,
        connector: CONNECTOR.into(),
        started: time,
        ended: Some(time),
        last: time,
        complete: true,
        local: None,
        remote: None,
        remote_name: Some(HOST.into()),
        helo: None,
        egress_ip: Some("203.0.113.7".into()),
        tls,
        negotiations: vec![negotiation],
        replies: Vec::new(),
        messages: vec![Message {
            message_id: None,
            from: "user1@contoso.com".into(),
            to: vec!["p@fabrikam.example".into()],
            outcome: MessageOutcome::Refused,
        }],
        proxy: Vec::new(),
        auth: None,
        errors: Vec::new(),
        tarpit_ms: 0,
        records: 20,
        repeated_sequences: 0,
        sources: Vec::new(),
        rows_hash: 0,
        rebuilt: None,
    }
}

/// The refusal of a session.
pub(crate) fn refuse(mut session: Session, line: &str) -> Refused {
    let (code, rest) = line.split_once(' ').unwrap();
    let (status, text) = rest.split_once(' ').unwrap();
    let attr = text.split(' ').find(|word| word.starts_with("ATTR"));
    let presented = session.presented();
    session.replies.push(Reply {
        time: session.started,
        sequence: 12,
        row_hash: 0,
        row_place: None,
        side: ReplySide::Remote,
        code: code.parse().unwrap(),
        status: Some(status.into()),
        text: text.into(),
        attr: attr.map(Into::into),
        peer: None,
        thumbprint: None,
        to: Some("MAIL FROM:<user1@contoso.com>".into()),
        presented,
        received: None,
        presented_via: None,
    });
    Refused::new(Arc::new(session), Some(0), presented)
}

/// The refusal that most is about.
pub(crate) const RELAY_DENIED: &str = "550 5.7.64 TenantAttribution; Relay Access Denied";

/// What a server presented on the connector: the hours of its first and last session, sessions, and those refused.
pub(crate) fn used(server: &str, digit: u8, (first, last): (i64, i64), (sessions, refused): (u64, u64)) -> Use {
    Use {
        server: server.into(),
        connector: CONNECTOR.into(),
        direction: Direction::Send,
        is_internal: false,
        thumbprint: thumbprint(digit),
        first: Timestamp(first * HOUR_MS),
        last: Timestamp(last * HOUR_MS),
        sessions,
        refusals: [("5.7.64".to_owned(), refused)].into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

/// A certificate of an authority, as logs name it.
pub(crate) fn named(digit: u8, name: &str) -> Certificate {
    Certificate {
        subject: format!("CN={name}"),
        issuer: "CN=Authority".into(),
        names: name.into(),
        ..Certificate::bare(thumbprint(digit))
    }
}

/// An exported connector. Values with `;` between them are a list.
pub(crate) fn connector(kind: ConnectorKind, name: &str, properties: &[(&str, &str)]) -> Exhibit {
    let value = |text: &str| match text {
        "" => Value::Empty,
        "True" | "False" => Value::Flag(text == "True"),
        _ if text.contains('|') => Value::List {
            items: text.split('|').filter(|item| !item.is_empty()).map(str::to_owned).collect(),
            cut: false,
        },
        _ => Value::Text(text.to_owned()),
    };
    let properties =
        properties.iter().map(|(name, text)| Property { name: (*name).into(), value: value(text) }).collect();
    exhibit(Fact::Connector(Connector { kind, name: name.into(), server: None, properties }))
}

/// An accepted domain.
pub(crate) fn accepted(domain: &str) -> Exhibit {
    exhibit(Fact::AcceptedDomain(AcceptedDomain { domain: domain.into(), domain_type: None }))
}

fn exhibit(fact: Fact) -> Exhibit {
    let origin = Origin { file: "export.json".into(), server: None, changed: Timestamp(0) };
    Exhibit { origin: Arc::new(origin), offset: 0, fact }
}

/// What exports say, and what else is set.
pub(crate) fn known(exhibits: Vec<Exhibit>, set: impl FnOnce(&mut Background)) -> Background {
    let mut background = Background::default();
    background.exhibits = exhibits;
    set(&mut background);
    background
}

/// The verdict on the first case.
#[track_caller]
pub(crate) fn judged(refused: &[Refused], mut background: Background) -> Verdict {
    background.prepare();
    let cases = cases(refused);
    verdict(cases.first().expect("a case"), &background)
}

/// The cause of an id.
#[track_caller]
pub(crate) fn cause<'a>(verdict: &'a Verdict, id: &str) -> &'a Cause {
    let known: Vec<&str> = verdict.causes.iter().map(|cause| cause.id).collect();
    verdict.causes.iter().find(|cause| cause.id == id).unwrap_or_else(|| panic!("{id} is not among {known:?}"))
}

/// All that a cause says to do.
pub(crate) fn mend(cause: &Cause) -> String {
    let step = |step: &crate::Step| format!("{} {}\n", step.says, step.command.as_deref().unwrap_or_default());
    cause.mend.iter().map(step).collect()
}
