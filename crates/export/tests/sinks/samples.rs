//! Sessions as a reader makes them of rows, and a finding.

use std::sync::Arc;

use export::{CertificateFacts, Certificates, Event, Field, Finding, Resolved, SessionView, Value};
use smtplog::{
    Direction, Role, Session, SessionId, SourceSpan, Stream, Thumbprint, Timestamp,
    assemble::Assembler,
    certificate::Certificate,
    formats::{Columns, LogFormat, exchange::Exchange},
    reader::Fragments,
};

pub(crate) const PRESENTED: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";
pub(crate) const RECEIVED: &str = "256EE908AD8013D03E2B1BD2B0A954B4C72B7226";

const NEGOTIATED: &str = "*,,\"TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm \
                          CALG_AES_256 with strength 256 bits, MAC hash algorithm CALG_SHA_384 with strength 384 bits \
                          and key exchange algorithm CALG_ECDHE with strength 384 bits\"";

/// Rows of a session that Microsoft 365 refused.
pub(crate) fn refused() -> Vec<String> {
    [
        "+,,",
        "<,220 AM1EUR08FT047.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready,",
        ">,EHLO mail0.contoso.com,",
        "<,250  AM1EUR08FT047.mail.protection.outlook.com Hello [203.0.113.7] SIZE,",
        ">,STARTTLS,",
        "<,220 2.0.0 SMTP server ready,",
        &format!("*,CN=mail.contoso.com CN=Contoso CA 01AB {PRESENTED} mail.contoso.com;contoso.com,Sending certificate"),
        "*,,Sending certificate",
        "*,CN=mail.contoso.com,Certificate subject",
        "*,\"CN=\"\"Contoso, CA\"\"\",Certificate issuer name",
        "*,01AB,Certificate serial number",
        &format!("*,{PRESENTED},Certificate thumbprint"),
        "*,mail.contoso.com;contoso.com,Certificate alternate names",
        "*,,Received certificate",
        &format!("*,{RECEIVED},Certificate thumbprint"),
        NEGOTIATED,
        ">,EHLO mail0.contoso.com,",
        "<,250  AM1EUR08FT047.mail.protection.outlook.com Hello [203.0.113.7] SIZE,",
        "*,,sending message with RecordId 1 and InternetMessageId <a1@mail.contoso.com>",
        ">,MAIL FROM:<user1@contoso.com> SIZE=9,",
        "<,250 2.1.0 Sender OK,",
        ">,RCPT TO:<p@fabrikam.example>,",
        "<,550 5.7.64 TenantAttribution; Relay Access Denied ATTR36 [AM1EUR08FT047.eop-EUR08.prod.protection.outlook.com 2024-03-01T06:00:07.100Z 08DC2F52AD76DC43],",
        ">,QUIT,",
        "-,,Local",
    ]
    .iter()
    .filter(|row| !row.contains("01AB 97355AF6"))
    .map(|row| (*row).to_owned())
    .collect()
}

/// Where sessions begin in their log.
const OFFSET: u64 = 512;

/// A session of rows `event,data,context`, numbered from `first`.
pub(crate) fn session(direction: Direction, first: u32, rows: &[String]) -> (Session, Vec<Certificate>) {
    let row = |(at, row): (usize, &String)| {
        let sequence = first as usize + at;
        let (minute, second) = (sequence / 60, sequence % 60);
        format!(
            "2024-03-01T06:{minute:02}:{second:02}.000Z,Outbound to Office 365,08DC399000800000,{sequence},10.0.0.10:22289,104.47.88.42:25,{row}\r\n"
        )
    };
    let log: String = rows.iter().enumerate().map(row).collect();
    let mut fragments = Fragments::default();
    fragments.begin(0);
    Exchange.read(&mut Columns::STANDARD.clone(), log.as_bytes(), OFFSET, &mut fragments);
    let ended = fragments.end();
    assert_eq!(ended.rejected, 0);
    let fragment = fragments.drain_finished().next().unwrap();
    let stream = Arc::new(Stream { server: "EX001".into(), role: Role::Hub, direction });
    let mut assembler = Assembler::default();
    let mut session = assembler.session(&stream, fragment.session, &fragment.span, &[fragment.stretch(0)]);
    session.sources.push(SourceSpan {
        file: "EX001/SmtpSend/SEND2024030106-1.LOG.zst".into(),
        identity: [7; 32],
        offset: OFFSET,
        length: fragment.end - OFFSET,
    });
    (session, assembler.into_certificates())
}

/// Sessions of every kind, by name, with the certificates that they name.
pub(crate) fn all() -> (Vec<(&'static str, Session)>, Certificates) {
    let (first, certificates) = session(Direction::Send, 0, &refused());
    let accepted: Vec<String> = [
        "+,,",
        ">,220 EX001 ready,",
        "<,EHLO client.fabrikam.example,",
        ">,250  EX001 Hello,",
        "<,STARTTLS,",
        ">,220 2.0.0 ready,",
        "*,,Sending certificate",
        &format!("*,{RECEIVED},Certificate thumbprint"),
        "*,,Received certificate",
        &format!("*,{PRESENTED},Certificate thumbprint"),
        "*,,\"TLS protocol SP_PROT_TLS1_3_SERVER negotiation succeeded using bulk encryption algorithm CALG_AES_256\"",
        "<,EHLO client.fabrikam.example,",
        ">,250  EX001 Hello,",
        "<,MAIL FROM:<>,",
        ">,250 OK,",
        "<,RCPT TO:<a@contoso.com>,",
        ">,250 OK,",
        "<,RCPT TO:<b@contoso.com>,",
        ">,451 4.7.0 Try again,",
        "<,DATA,",
        ">,354 Go,",
        ">,250 2.6.0 <m@fabrikam.example> Queued,",
        "-,,Remote",
    ]
    .map(str::to_owned)
    .into();
    let failed: Vec<String> = [
        "+,,",
        "<,220 ready,",
        ">,STARTTLS,",
        "<,220 go,",
        "*,,Sending certificate",
        &format!("*,{PRESENTED},Certificate thumbprint"),
        "*,,TLS negotiation failed with error UntrustedRoot",
        "-,,Local",
    ]
    .map(str::to_owned)
    .into();
    let mut proxied = first.clone();
    proxied.session = SessionId(0x08DC_3990_0080_0001);
    proxied.negotiations.clear();
    for reply in &mut proxied.replies {
        (reply.presented, reply.received, reply.presented_via) = (None, None, Some(SessionId(0x08DC_3990_0080_0009)));
    }
    let sessions = vec![
        ("refused", first),
        ("accepted", session(Direction::Receive, 0, &accepted).0),
        ("failed", session(Direction::Send, 0, &failed).0),
        ("proxied", proxied),
        ("late", session(Direction::Send, 16, &refused()[15..]).0),
    ];
    (sessions, Certificates::new(&certificates))
}

/// A view as an export makes it: behind a proxy the certificate is known.
pub(crate) fn view<'a>(session: &'a Session, certificates: &'a Certificates) -> SessionView<'a> {
    let resolved = session
        .replies
        .iter()
        .filter_map(|reply| reply.presented_via)
        .map(|via| Resolved { via, presented: Thumbprint::from_hex(PRESENTED.as_bytes()) })
        .collect();
    SessionView::new(session, resolved, certificates)
}

/// A finding.
pub(crate) fn finding() -> Finding {
    Finding {
        id: [0xAB; 16],
        rule: "certificate-name-mismatch",
        confidence: "high",
        says: "The certificate mail.contoso.com does not carry the name *.contoso.net of the connector.".to_owned(),
        mend: vec![
            "Set the name on the connector:".to_owned(),
            "Set-InboundConnector 'From \"contoso\"' -TlsSenderCertificateName mail.contoso.com".to_owned(),
        ],
        others: vec!["certificate-changed"],
        code: Some(550),
        status: Some("5.7.64".to_owned()),
        attr: None,
        text: "TenantAttribution; Relay Access Denied".to_owned(),
        direction: "send",
        connector: "Outbound to Office 365".to_owned(),
        presented: Thumbprint::from_hex(PRESENTED.as_bytes()),
        certificate: Some(CertificateFacts {
            subject: "CN=mail.contoso.com".to_owned(),
            issuer: "CN=Contoso CA".to_owned(),
            serial: "01AB".to_owned(),
            names: vec!["mail.contoso.com".to_owned()],
            not_before: Some(Timestamp(1_704_067_200_000)),
            not_after: Some(Timestamp(1_735_689_600_000)),
        }),
        servers: vec!["EX001".to_owned(), "EX002".to_owned()],
        from: Timestamp(1_709_272_827_000),
        to: Timestamp(1_709_273_827_000),
        sessions: 17,
    }
}

/// Calls with every event of the samples.
pub(crate) fn each_event(mut with: impl FnMut(&str, &Event<'_>)) {
    let (sessions, certificates) = all();
    for (name, session) in &sessions {
        let view = view(session, &certificates);
        Event::of_session(&view, None).iter().for_each(|event| with(name, event));
    }
    let finding = finding();
    with("finding", &Event::of_finding(&finding));
}

/// Asserts that a JSON document has whatever the event says, wherever it stands.
#[track_caller]
pub(crate) fn assert_tells(name: &str, event: &Event<'_>, document: &serde_json::Value) {
    let mut leaves = Vec::new();
    collect_leaves(document, &mut leaves);
    let tells = |text: &str| leaves.iter().any(|leaf| leaf.eq_ignore_ascii_case(text));
    for field in Field::all() {
        let is_told = match event.value(field) {
            Value::None => true,
            // Every event has one; the first goes without saying.
            Value::Long(1) if field == Field::Revision => true,
            Value::List(texts) => {
                texts.iter().all(|text| tells(text) || leaves.iter().any(|leaf| leaf.contains(&**text)))
            }
            Value::Time(time) => {
                tells(&time.to_string()) || tells(&time.0.to_string()) || tells(&format!("{}000000", time.0))
            }
            value if field == Field::Kind => {
                value.to_text().is_some_and(|kind| leaves.iter().any(|leaf| leaf.ends_with(&*kind)))
            }
            value => value.to_text().is_none_or(|text| text.is_empty() || tells(&text)),
        };
        assert!(is_told, "{name}: {} is lost: {document:#}", field.name());
    }
}

fn collect_leaves(value: &serde_json::Value, leaves: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => object.values().for_each(|value| collect_leaves(value, leaves)),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_leaves(value, leaves)),
        serde_json::Value::String(text) => leaves.push(text.clone()),
        other => leaves.push(other.to_string()),
    }
}
