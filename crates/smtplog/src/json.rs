//! Sessions as JSON (CONTRACT 4): one object, every key always there, in a fixed order.
//!
//! `{"v":1,"id":"EX001/hub/send/08DC399000800000","server":"EX001",...}`
//!
//! What CONTRACT 4 does not name stands last in its object. A negotiation that no command began has `"verb":null`.
//! Nothing is built in between: every struct here borrows from the session and names its keys.

use std::io;

use serde::{Serialize, Serializer};

use crate::{
    Auth, AuthOutcome, Confidence, Direction, Message, MessageOutcome, Negotiation, NegotiationVerb, Peer, ProxyKind,
    ProxyLink, ProxyRole, Reply, ReplySide, Role, Session, SessionId, SourceSpan, Text, Thumbprint, Timestamp, Tls,
    TlsOutcome,
};

/// Version of the form: rises when a key changes its meaning or goes away, not when one is added.
pub const VERSION: u32 = 1;

impl Session {
    /// Writes the session as one JSON object, without a line end.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        serde_json::to_writer(out, self).map_err(io::Error::from)
    }
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SessionJson {
            v: VERSION,
            id: self.id(),
            server: &self.stream.server,
            role: self.stream.role,
            direction: self.stream.direction,
            session: self.session,
            connector: &self.connector,
            started: self.started,
            ended: self.ended,
            complete: self.complete,
            local: self.local.as_deref(),
            remote: self.remote.as_deref(),
            remote_name: self.remote_name.as_deref(),
            helo: self.helo.as_deref(),
            egress_ip: self.egress_ip.as_deref(),
            tls: &self.tls,
            presented: self.presented(),
            received: self.received(),
            negotiations: &self.negotiations,
            statuses: self.statuses(),
            codes: self.codes(),
            replies: &self.replies,
            messages: &self.messages,
            proxy: &self.proxy,
            records: self.records,
            sources: &self.sources,
            auth: self.auth.as_ref(),
            errors: Texts(&self.errors),
            tarpit_ms: self.tarpit_ms,
            last: self.last,
            repeated_sequences: self.repeated_sequences,
            confidence: self.rebuilt.map(Confidence::as_str),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct SessionJson<'s> {
    v: u32,
    id: String,
    server: &'s str,
    role: Role,
    direction: Direction,
    session: SessionId,
    connector: &'s str,
    started: Timestamp,
    ended: Option<Timestamp>,
    complete: bool,
    local: Option<&'s str>,
    remote: Option<&'s str>,
    remote_name: Option<&'s str>,
    helo: Option<&'s str>,
    egress_ip: Option<&'s str>,
    tls: &'s Tls,
    presented: Option<Thumbprint>,
    received: Option<Thumbprint>,
    negotiations: &'s [Negotiation],
    statuses: Vec<&'s str>,
    codes: Vec<u16>,
    replies: &'s [Reply],
    messages: &'s [Message],
    proxy: &'s [ProxyLink],
    records: u64,
    sources: &'s [SourceSpan],
    auth: Option<&'s Auth>,
    errors: Texts<'s>,
    tarpit_ms: u64,
    last: Timestamp,
    repeated_sequences: u64,
    confidence: Option<&'static str>,
}

impl Serialize for Tls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct TlsJson<'s> {
            outcome: &'static str,
            version: Option<&'s str>,
            cipher: Option<&'s str>,
            cipher_bits: Option<u32>,
            mac: Option<&'s str>,
            key_exchange: Option<&'s str>,
            error: Option<&'s str>,
            chain_status: Option<&'s str>,
            domain_capabilities: Option<&'s str>,
            domain_status: Option<&'s str>,
        }
        TlsJson {
            outcome: self.outcome.as_str(),
            version: self.version.as_deref(),
            cipher: self.cipher.as_deref(),
            cipher_bits: self.cipher_bits,
            mac: self.mac.as_deref(),
            key_exchange: self.key_exchange.as_deref(),
            error: self.error.as_deref(),
            chain_status: self.chain_status.as_deref(),
            domain_capabilities: self.domain_capabilities.as_deref(),
            domain_status: self.domain_status.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Negotiation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct NegotiationJson {
            sequence: u32,
            verb: Option<&'static str>,
            outcome: &'static str,
            presented: Option<Thumbprint>,
            received: Option<Thumbprint>,
        }
        NegotiationJson {
            sequence: self.sequence,
            verb: self.verb.as_str(),
            outcome: self.tls.outcome.as_str(),
            presented: self.presented,
            received: self.received,
        }
        .serialize(serializer)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ReplyJson<'s> {
            time: Timestamp,
            sequence: u32,
            from: &'static str,
            code: u16,
            status: Option<&'s str>,
            text: &'s str,
            attr: Option<&'s str>,
            peer: Option<&'s Peer>,
            to: Option<&'s str>,
            presented: Option<Thumbprint>,
            presented_via: Option<SessionId>,
            received: Option<Thumbprint>,
            thumbprint: Option<Thumbprint>,
        }
        ReplyJson {
            time: self.time,
            sequence: self.sequence,
            from: self.side.as_str(),
            code: self.code,
            status: self.status.as_deref(),
            text: &self.text,
            attr: self.attr.as_deref(),
            peer: self.peer.as_ref(),
            to: self.to.as_deref(),
            presented: self.presented,
            presented_via: self.presented_via,
            received: self.received,
            thumbprint: self.thumbprint,
        }
        .serialize(serializer)
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct PeerJson<'s> {
            host: &'s str,
            time: Option<Timestamp>,
            session: Option<SessionId>,
        }
        PeerJson { host: &self.host, time: self.time, session: self.session }.serialize(serializer)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct MessageJson<'s> {
            message_id: Option<&'s str>,
            from: &'s str,
            to: Texts<'s>,
            outcome: &'static str,
        }
        MessageJson {
            message_id: self.message_id.as_deref(),
            from: &self.from,
            to: Texts(&self.to),
            outcome: self.outcome.as_str(),
        }
        .serialize(serializer)
    }
}

impl Serialize for ProxyLink {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ProxyLinkJson {
            kind: &'static str,
            role: &'static str,
            session: SessionId,
            from_sequence: u32,
        }
        ProxyLinkJson {
            kind: self.kind.as_str(),
            role: self.role.as_str(),
            session: self.session,
            from_sequence: self.from_sequence,
        }
        .serialize(serializer)
    }
}

impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct AuthJson<'s> {
            outcome: &'static str,
            mechanism: Option<&'s str>,
            user: Option<&'s str>,
            error: Option<&'s str>,
        }
        AuthJson {
            outcome: self.outcome.as_str(),
            mechanism: self.mechanism.as_deref(),
            user: self.user.as_deref(),
            error: self.error.as_deref(),
        }
        .serialize(serializer)
    }
}

impl Serialize for SourceSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct SourceSpanJson<'s> {
            file: &'s str,
            offset: u64,
            length: u64,
        }
        SourceSpanJson { file: &self.file, offset: self.offset, length: self.length }.serialize(serializer)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Texts<'s>(&'s [Text]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Text::as_str))
    }
}

impl TlsOutcome {
    /// The word used in JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsOutcome::Ok => "ok",
            TlsOutcome::Failed => "failed",
            TlsOutcome::None => "none",
        }
    }
}

impl NegotiationVerb {
    /// The SMTP verb; `None` where none was logged.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            NegotiationVerb::StartTls => Some("STARTTLS"),
            NegotiationVerb::AnonymousTls => Some("X-ANONYMOUSTLS"),
            NegotiationVerb::Unknown => None,
        }
    }
}

impl ReplySide {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplySide::Remote => "remote",
            ReplySide::Local => "local",
        }
    }
}

impl MessageOutcome {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageOutcome::Accepted => "accepted",
            MessageOutcome::Refused => "refused",
            MessageOutcome::Partial => "partial",
            MessageOutcome::Unknown => "unknown",
        }
    }
}

impl Confidence {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
        }
    }
}

impl ProxyKind {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyKind::Inbound => "inbound",
            ProxyKind::Outbound => "outbound",
            ProxyKind::Client => "client",
        }
    }
}

impl ProxyRole {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyRole::Origin => "origin",
            ProxyRole::Relay => "relay",
        }
    }
}

impl AuthOutcome {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            AuthOutcome::Ok => "ok",
            AuthOutcome::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::NegotiationRows;
    use crate::Stream;

    fn stream() -> Arc<Stream> {
        Arc::new(Stream { server: "EX001".into(), role: Role::Hub, direction: Direction::Send })
    }

    fn thumbprint(byte: u8) -> Option<Thumbprint> {
        Some(Thumbprint([byte; 20]))
    }

    fn text(text: &str) -> Option<Text> {
        Some(text.into())
    }

    /// A session of which nothing is known but its key.
    fn bare_session() -> Session {
        Session {
            stream: stream(),
            session: SessionId(0x08DC_3990_0080_0000),
            repeated: false,
            connector: Text::default(),
            started: Timestamp(1_709_272_806_307),
            ended: None,
            last: Timestamp(1_709_272_806_307),
            complete: false,
            local: None,
            remote: None,
            remote_name: None,
            helo: None,
            egress_ip: None,
            tls: Tls::default(),
            negotiations: Vec::new(),
            replies: Vec::new(),
            messages: Vec::new(),
            proxy: Vec::new(),
            auth: None,
            errors: Vec::new(),
            tarpit_ms: 0,
            records: 1,
            repeated_sequences: 0,
            sources: Vec::new(),
            rows_hash: 7,
            rebuilt: None,
        }
    }

    fn tls() -> Tls {
        Tls {
            outcome: TlsOutcome::Ok,
            version: text("1.2"),
            cipher: text("CALG_AES_256"),
            cipher_bits: Some(256),
            mac: text("CALG_SHA_384"),
            key_exchange: text("CALG_ECDHE"),
            error: None,
            chain_status: text("Valid"),
            domain_capabilities: text("None"),
            domain_status: text("NoRemoteCertificate"),
        }
    }

    fn refusal() -> Reply {
        Reply {
            time: Timestamp(1_709_272_807_100),
            sequence: 17,
            row_hash: 0,
            row_place: None,
            side: ReplySide::Remote,
            code: 550,
            status: text("5.7.64"),
            text: "TenantAttribution; \"Relay\"\nAccess Denied".into(),
            attr: text("ATTR36"),
            peer: Some(Peer {
                host: "AM1.example".into(),
                time: Some(Timestamp(1_709_272_807_099)),
                session: Some(SessionId(0x08DE_D272_50BC_5691)),
            }),
            to: text("RCPT TO:<p@fabrikam.example>"),
            presented: thumbprint(0x97),
            received: thumbprint(0x25),
            thumbprint: None,
            presented_via: Some(SessionId(1)),
        }
    }

    fn full_session() -> Session {
        let negotiation = |sequence, verb| Negotiation {
            sequence,
            time: Timestamp(1_709_272_806_400),
            rows: NegotiationRows::default(),
            verb,
            tls: tls(),
            presented: thumbprint(0x97),
            received: thumbprint(0x25),
        };
        Session {
            repeated: true,
            connector: "Outbound to Office 365".into(),
            ended: Some(Timestamp(1_709_272_808_024)),
            last: Timestamp(1_709_272_808_024),
            complete: true,
            local: text("10.0.0.10:22289"),
            remote: text("104.47.88.42:25"),
            remote_name: text("AM1.example"),
            helo: text("mail0.contoso.com"),
            egress_ip: text("203.0.113.7"),
            tls: tls(),
            negotiations: vec![negotiation(6, NegotiationVerb::StartTls), negotiation(9, NegotiationVerb::Unknown)],
            replies: vec![refusal(), Reply { peer: None, status: None, ..refusal() }],
            messages: vec![Message {
                message_id: text("<a@b>"),
                from: Text::default(),
                to: vec!["p@fabrikam.example".into()],
                outcome: MessageOutcome::Refused,
            }],
            proxy: vec![ProxyLink {
                kind: ProxyKind::Inbound,
                role: ProxyRole::Relay,
                session: SessionId(0x08DC_3990_0080_0001),
                from_sequence: 4,
            }],
            auth: Some(Auth {
                outcome: AuthOutcome::Failed,
                mechanism: text("LOGIN"),
                user: None,
                error: text("LogonDenied"),
            }),
            errors: vec!["Failed to connect.".into()],
            tarpit_ms: 5_000,
            records: 23,
            repeated_sequences: 2,
            sources: vec![SourceSpan {
                file: "EX001/SmtpSend/SEND2024030106-1.LOG.zst".into(),
                identity: [0; 32],
                offset: 512,
                length: 4096,
            }],
            rebuilt: Some(Confidence::Medium),
            ..bare_session()
        }
    }

    #[track_caller]
    fn check(session: &Session, expected: &[&str]) {
        let mut json = Vec::new();
        session.write_json(&mut json).expect("a vector takes every byte");
        assert_eq!(String::from_utf8_lossy(&json), expected.concat());
    }

    #[test]
    fn every_key_is_there_in_order() {
        check(
            &full_session(),
            &[
                r#"{"v":1,"id":"EX001/hub/send/08DC399000800000@20240301T060006307Z","#,
                r#""server":"EX001","role":"hub","direction":"send","session":"08DC399000800000","#,
                r#""connector":"Outbound to Office 365","started":"2024-03-01T06:00:06.307Z","#,
                r#""ended":"2024-03-01T06:00:08.024Z","complete":true,"local":"10.0.0.10:22289","#,
                r#""remote":"104.47.88.42:25","remote_name":"AM1.example","helo":"mail0.contoso.com","#,
                r#""egress_ip":"203.0.113.7","tls":{"outcome":"ok","version":"1.2","cipher":"CALG_AES_256","#,
                r#""cipher_bits":256,"mac":"CALG_SHA_384","key_exchange":"CALG_ECDHE","error":null,"#,
                r#""chain_status":"Valid","domain_capabilities":"None","domain_status":"NoRemoteCertificate"},"#,
                r#""presented":"9797979797979797979797979797979797979797","#,
                r#""received":"2525252525252525252525252525252525252525","#,
                r#""negotiations":[{"sequence":6,"verb":"STARTTLS","outcome":"ok","#,
                r#""presented":"9797979797979797979797979797979797979797","#,
                r#""received":"2525252525252525252525252525252525252525"},"#,
                r#"{"sequence":9,"verb":null,"outcome":"ok","#,
                r#""presented":"9797979797979797979797979797979797979797","#,
                r#""received":"2525252525252525252525252525252525252525"}],"#,
                r#""statuses":["5.7.64"],"codes":[550],"#,
                r#""replies":[{"time":"2024-03-01T06:00:07.100Z","sequence":17,"from":"remote","code":550,"#,
                r#""status":"5.7.64","text":"TenantAttribution; \"Relay\"\nAccess Denied","attr":"ATTR36","#,
                r#""peer":{"host":"AM1.example","time":"2024-03-01T06:00:07.099Z","session":"08DED27250BC5691"},"#,
                r#""to":"RCPT TO:<p@fabrikam.example>","presented":"9797979797979797979797979797979797979797","#,
                r#""presented_via":"0000000000000001","received":"2525252525252525252525252525252525252525","#,
                r#""thumbprint":null},{"time":"2024-03-01T06:00:07.100Z","sequence":17,"from":"remote","code":550,"#,
                r#""status":null,"text":"TenantAttribution; \"Relay\"\nAccess Denied","attr":"ATTR36","peer":null,"#,
                r#""to":"RCPT TO:<p@fabrikam.example>","presented":"9797979797979797979797979797979797979797","#,
                r#""presented_via":"0000000000000001","received":"2525252525252525252525252525252525252525","#,
                r#""thumbprint":null}],"messages":[{"message_id":"<a@b>","from":"","to":["p@fabrikam.example"],"#,
                r#""outcome":"refused"}],"proxy":[{"kind":"inbound","role":"relay","session":"08DC399000800001","#,
                r#""from_sequence":4}],"records":23,"#,
                r#""sources":[{"file":"EX001/SmtpSend/SEND2024030106-1.LOG.zst","offset":512,"length":4096}],"#,
                r#""auth":{"outcome":"failed","mechanism":"LOGIN","user":null,"error":"LogonDenied"},"#,
                r#""errors":["Failed to connect."],"tarpit_ms":5000,"last":"2024-03-01T06:00:08.024Z","#,
                r#""repeated_sequences":2,"confidence":"medium"}"#,
            ],
        );
    }

    #[test]
    fn what_is_not_known_is_null_or_empty() {
        check(
            &bare_session(),
            &[
                r#"{"v":1,"id":"EX001/hub/send/08DC399000800000","server":"EX001","role":"hub","direction":"send","#,
                r#""session":"08DC399000800000","connector":"","started":"2024-03-01T06:00:06.307Z","ended":null,"#,
                r#""complete":false,"local":null,"remote":null,"remote_name":null,"helo":null,"egress_ip":null,"#,
                r#""tls":{"outcome":"none","version":null,"cipher":null,"cipher_bits":null,"mac":null,"#,
                r#""key_exchange":null,"error":null,"chain_status":null,"domain_capabilities":null,"#,
                r#""domain_status":null},"presented":null,"received":null,"negotiations":[],"statuses":[],"codes":[],"#,
                r#""replies":[],"messages":[],"proxy":[],"records":1,"sources":[],"auth":null,"errors":[],"#,
                r#""tarpit_ms":0,"last":"2024-03-01T06:00:06.307Z","repeated_sequences":0,"confidence":null}"#,
            ],
        );
    }
}
