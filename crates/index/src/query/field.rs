//! The fields of a query: one table for the parser, its errors and the help.

use Kind::*;

/// A field that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "FIELDS describes every one of them")]
pub enum Field {
    Id,
    Session,
    Server,
    Role,
    Direction,
    Connector,
    Presented,
    Received,
    Thumbprint,
    ClientCert,
    ServerCert,
    Subject,
    Issuer,
    Serial,
    San,
    Code,
    Status,
    Attr,
    Text,
    PeerSession,
    ProxySession,
    Helo,
    Remote,
    Local,
    EgressIp,
    From,
    To,
    MessageId,
    Tls,
    TlsVersion,
    Cipher,
    Error,
    Complete,
    Started,
    Ended,
}

/// What a field's values are, and so how they are written and which [`Matcher`](super::Matcher) they give.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A name, compared as a whole and without case.
    Name,
    /// The id of a session of ours, with its stream.
    StreamId,
    /// A server's name; only its first label counts.
    ServerName,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Sixteen hex digits.
    SessionId,
    /// Forty hex digits.
    Thumbprint,
    /// Words of a certificate's names; resolved to thumbprints.
    CertificateWords,
    /// A certificate's serial number in hex; resolved to thumbprints.
    CertificateSerial,
    /// Three digits.
    Code,
    /// An enhanced status code.
    Status,
    /// `ATTR36`.
    Attribution,
    /// Words of a text.
    Phrase,
    /// An IP address, network or endpoint.
    Address,
    /// An envelope address.
    Mailbox,
    /// A message id.
    MessageId,
    /// `ok`, `failed` or `none`.
    Outcome,
    /// `true` or `false`.
    Flag,
    /// A moment, day, month or year, UTC.
    Time,
}

/// A row of [`FIELDS`].
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// The field.
    pub field: Field,
    /// As it is written in a query; case does not matter.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// One line of help.
    pub about: &'static str,
    /// A query that uses it.
    pub example: &'static str,
}

/// Every field, in the order of [`Field`].
#[rustfmt::skip]
pub static FIELDS: [FieldInfo; 35] = [
    row(Field::Id, "id", StreamId, "id of the session with its stream", "id:EX001/hub/send/08DC399000800000"),
    row(Field::Session, "session", SessionId, "the log's own session id", "session:08DC399000800000"),
    row(Field::Server, "server", ServerName, "server that wrote the log", "server:EX0*"),
    row(Field::Role, "role", Word(&["frontend", "hub", "mailbox-delivery", "mailbox-submission", "edge", "unknown"]), "transport service that wrote the log", "role:frontend"),
    row(Field::Direction, "direction", Word(&["send", "receive"]), "whether the server sent or received", "direction:send"),
    row(Field::Connector, "connector", Name, "connector, with or without SERVER\\", "connector:\"Outbound to Office 365\""),
    row(Field::Presented, "presented", Thumbprint, "certificate that the logging server showed", "presented:97355AF6*"),
    row(Field::Received, "received", Thumbprint, "certificate that the other side showed", "received:256EE908*"),
    row(Field::Thumbprint, "thumbprint", Thumbprint, "either certificate, or one that a reply names", "thumbprint:97355AF6DC2629ECCB2289C931D706332F3CF022"),
    row(Field::ClientCert, "client_cert", Thumbprint, "certificate of the connecting side", "client_cert:97355AF6*"),
    row(Field::ServerCert, "server_cert", Thumbprint, "certificate of the accepting side", "server_cert:256EE908*"),
    row(Field::Subject, "subject", CertificateWords, "words of a certificate's subject", "subject:mail.contoso.com"),
    row(Field::Issuer, "issuer", CertificateWords, "words of a certificate's issuer", "issuer:digicert"),
    row(Field::Serial, "serial", CertificateSerial, "a certificate's serial number", "serial:0D5A1B*"),
    row(Field::San, "san", CertificateWords, "words of a certificate's alternative names", "san:*.contoso.com"),
    row(Field::Code, "code", Code, "reply code of a refusal", "code:[500 TO 559]"),
    row(Field::Status, "status", Status, "enhanced status code of a refusal", "status:5.7.*"),
    row(Field::Attr, "attr", Attribution, "attribution token of a refusal", "attr:ATTR36"),
    row(Field::Text, "text", Phrase, "words of a refusal's text", "text:\"relay access denied\""),
    row(Field::PeerSession, "peer_session", SessionId, "session id that the other side gave in a refusal", "peer_session:08DC2F52AD76DC43"),
    row(Field::ProxySession, "proxy_session", SessionId, "session that this one was proxied for or through", "proxy_session:08DC399000800001"),
    row(Field::Helo, "helo", Name, "name that the client gave in EHLO or HELO", "helo:mail0.contoso.com"),
    row(Field::Remote, "remote", Address, "address or name of the other side", "remote:104.47.0.0/16"),
    row(Field::Local, "local", Address, "address of the logging server", "local:10.0.0.10:25"),
    row(Field::EgressIp, "egress_ip", Address, "address that the other side saw", "egress_ip:203.0.113.7"),
    row(Field::From, "from", Mailbox, "envelope sender", "from:user1@contoso.com"),
    row(Field::To, "to", Mailbox, "envelope recipient", "to:@fabrikam.example"),
    row(Field::MessageId, "message_id", MessageId, "message id, with or without <>", "message_id:<a@b>"),
    row(Field::Tls, "tls", Outcome, "outcome of the last TLS negotiation", "tls:failed"),
    row(Field::TlsVersion, "tls_version", Name, "version of TLS", "tls_version:1.2"),
    row(Field::Cipher, "cipher", Name, "bulk cipher", "cipher:CALG_AES*"),
    row(Field::Error, "error", Phrase, "words of a failure that is no reply: TLS, connection, AUTH", "error:UnknownCredentials"),
    row(Field::Complete, "complete", Flag, "whether the session is logged from beginning to end", "complete:false"),
    row(Field::Started, "started", Time, "time of the first row", "started:[2024-03-01 TO 2024-03-07]"),
    row(Field::Ended, "ended", Time, "time of the disconnect", "ended:2024-03-01"),
];

const fn row(field: Field, name: &'static str, kind: Kind, about: &'static str, example: &'static str) -> FieldInfo {
    FieldInfo { field, name, kind, about, example }
}

impl Field {
    /// The field of this name, in any case.
    pub fn named(name: &str) -> Option<Field> {
        FIELDS.iter().find(|row| row.name.eq_ignore_ascii_case(name)).map(|row| row.field)
    }

    /// The field's row of the table.
    pub fn info(self) -> &'static FieldInfo {
        &FIELDS[self as usize]
    }

    /// As it is written in a query.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// What its values are.
    pub fn kind(self) -> Kind {
        self.info().kind
    }

    /// Whether it says something of one refusal: a reply term of CONTRACT 5.
    pub fn is_of_reply(self) -> bool {
        matches!(self, Field::Code | Field::Status | Field::Attr | Field::Text)
    }

    /// Whether it is a certificate of the session, which beside a reply term means the certificate of that reply.
    pub fn is_certificate(self) -> bool {
        matches!(self, Field::Presented | Field::Received | Field::Thumbprint | Field::ClientCert | Field::ServerCert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    #[test]
    fn table_is_in_the_order_of_the_fields() {
        for (at, row) in FIELDS.iter().enumerate() {
            assert_eq!(row.field as usize, at, "{}", row.name);
            assert_eq!(Field::named(&row.name.to_uppercase()), Some(row.field));
        }
    }

    #[test]
    fn every_example_is_a_query_on_its_field() {
        for row in &FIELDS {
            assert!(row.example.starts_with(&format!("{}:", row.name)), "{}", row.example);
            assert!(Query::parse(row.example).is_ok(), "{}", row.example);
        }
    }
}
