//! Sessions for tests.

use std::sync::Arc;

use smtplog::{
    Direction, Message, MessageOutcome, Negotiation, NegotiationRows, NegotiationVerb, Peer, ProxyKind, ProxyLink,
    ProxyRole, Reply, ReplySide, Role, RowMark, Session, SessionId, Stream, Text, Thumbprint, Timestamp, Tls,
    TlsOutcome,
};

/// 2024-03-01T06:00:00Z.
pub(super) const START: Timestamp = Timestamp(1_709_272_800_000);

/// The certificate whose bytes are all the same: `AAAA...` for 0xAA.
pub(super) fn thumbprint(byte: u8) -> Thumbprint {
    Thumbprint([byte; 20])
}

pub(super) fn text(text: &str) -> Option<Text> {
    Some(text.into())
}

pub(super) fn stream(server: &str, role: Role, direction: Direction) -> Arc<Stream> {
    Arc::new(Stream { server: server.into(), role, direction })
}

/// The last negotiation of a session, with its certificates.
pub(super) fn negotiation(sequence: u32, presented: u8, received: u8) -> Negotiation {
    Negotiation {
        sequence,
        time: START,
        rows: NegotiationRows {
            presented: Some(RowMark { sequence: sequence + 3, hash: presented.into(), place: None }),
            received: None,
            outcome: Some(RowMark { sequence: sequence + 5, hash: u64::MAX, place: None }),
        },
        verb: NegotiationVerb::StartTls,
        tls: Tls { outcome: TlsOutcome::Ok, ..Tls::default() },
        presented: Some(thumbprint(presented)),
        received: Some(thumbprint(received)),
    }
}

/// A refusal that many seconds after [`START`], beside the certificates 0xAA and 0xBB.
pub(super) fn reply(second: i64, code: u16, status: &str, words: &str) -> Reply {
    Reply {
        time: Timestamp(START.0 + second * 1_000),
        sequence: second as u32,
        row_hash: 0xFEDC_BA98_7654_3210,
        row_place: None,
        side: ReplySide::Remote,
        code,
        status: text(status).filter(|status| !status.is_empty()),
        text: words.into(),
        attr: None,
        peer: None,
        thumbprint: None,
        to: None,
        presented: Some(thumbprint(0xAA)),
        received: Some(thumbprint(0xBB)),
        presented_via: None,
    }
}

/// A minute in `send` with one value for every field: certificate 0xAA presented and 0xBB received, one refusal.
pub(crate) fn session() -> Session {
    Session {
        stream: stream("EX001", Role::Hub, Direction::Send),
        session: SessionId(0x08DC_3990_0080_0000),
        repeated: false,
        connector: "Outbound to Office 365".into(),
        started: START,
        ended: Some(Timestamp(START.0 + 60_000)),
        last: Timestamp(START.0 + 60_000),
        complete: true,
        local: text("10.0.0.10:22289"),
        remote: text("104.47.88.42:25"),
        remote_name: text("AM1EUR08.mail.protection.outlook.com"),
        helo: text("mail0.contoso.com"),
        egress_ip: text("203.0.113.7"),
        tls: Tls { outcome: TlsOutcome::Ok, version: text("1.2"), cipher: text("CALG_AES_256"), ..Tls::default() },
        negotiations: vec![negotiation(6, 0xAA, 0xBB)],
        replies: vec![Reply {
            attr: text("ATTR36"),
            peer: Some(Peer { host: "AM1EUR08".into(), time: None, session: Some(SessionId(0x08DC_2F52_AD76_DC43)) }),
            ..reply(17, 550, "5.7.64", "TenantAttribution; Relay Access Denied ATTR36")
        }],
        messages: vec![Message {
            message_id: text("<A1@mail.contoso.com>"),
            from: "User1@contoso.com".into(),
            to: vec!["p@fabrikam.example".into(), "q@fabrikam.example".into()],
            outcome: MessageOutcome::Refused,
        }],
        proxy: vec![ProxyLink {
            kind: ProxyKind::Inbound,
            role: ProxyRole::Relay,
            session: SessionId(0x08DC_3990_0080_0001),
            from_sequence: 4,
        }],
        auth: None,
        errors: vec!["Failed to connect. Winsock error code: 10061".into()],
        tarpit_ms: 0,
        records: 23,
        repeated_sequences: 0,
        sources: Vec::new(),
        rows_hash: 0,
        rebuilt: None,
    }
}
