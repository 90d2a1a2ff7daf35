//! What an event says: one table of all fields, which every sink's own table refers to.

use std::borrow::Cow;

use smtplog::{MessageOutcome, ReplySide, SourceSpan, Text, Thumbprint, Timestamp, Tls};

use crate::{CertificateFacts, Event, EventId, Finding, Kind, SessionView, event::mailbox};

/// Entries of a list that an event carries; a session may have thousands of recipients, and its record shall stay one that
/// a receiver takes.
pub(crate) const LIST_MAX: usize = 100;

/// What kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A text that is compared as a whole.
    Keyword,
    /// Any number of such texts.
    Keywords,
    /// A text whose words are searched.
    Text,
    /// A whole number.
    Long,
    /// Yes or no.
    Boolean,
    /// A point in time, to the millisecond, UTC.
    Date,
    /// An address of IP version 4 or 6.
    Ip,
}

impl FieldType {
    /// The type's name.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Keyword => "keyword",
            FieldType::Keywords => "keywords",
            FieldType::Text => "text",
            FieldType::Long => "long",
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::Ip => "ip",
        }
    }
}

/// The value of a field in one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// The event does not have it.
    None,
    /// A text.
    Text(Cow<'a, str>),
    /// Texts.
    List(Vec<Cow<'a, str>>),
    /// A number.
    Long(i64),
    /// Yes or no.
    Flag(bool),
    /// A time.
    Time(Timestamp),
    /// A thumbprint.
    Thumbprint(Thumbprint),
    /// A hash or a session's raw id.
    Hash(u64),
    /// An event's id.
    Id(EventId),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }

    fn option(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::None, Value::text)
    }

    fn known(text: &'a str) -> Value<'a> {
        if text.is_empty() { Value::None } else { Value::text(text) }
    }

    fn time(time: Option<Timestamp>) -> Value<'a> {
        time.map_or(Value::None, Value::Time)
    }

    fn number(number: impl TryInto<i64>) -> Value<'a> {
        Value::Long(number.try_into().unwrap_or(i64::MAX))
    }

    /// A list, shortened; none if it is empty.
    fn list(texts: impl IntoIterator<Item = Cow<'a, str>>) -> Value<'a> {
        let texts: Vec<Cow<'a, str>> = texts.into_iter().take(LIST_MAX).collect();
        if texts.is_empty() { Value::None } else { Value::List(texts) }
    }

    /// A list in which each text stands once.
    fn distinct(texts: impl IntoIterator<Item = &'a str>) -> Value<'a> {
        let mut seen = Vec::new();
        for text in texts {
            if seen.len() == LIST_MAX {
                break;
            }
            if !seen.contains(&text) {
                seen.push(text);
            }
        }
        Value::list(seen.into_iter().map(Cow::Borrowed))
    }

    /// The value as one text; lists are joined by blanks. `None` if there is none.
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Value::None => return None,
            Value::Text(text) => Cow::Borrowed(text.as_ref()),
            Value::List(texts) => Cow::Owned(texts.join(" ")),
            Value::Long(number) => Cow::Owned(number.to_string()),
            Value::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::Time(time) => Cow::Owned(time.to_string()),
            Value::Thumbprint(thumbprint) => Cow::Owned(thumbprint.to_string()),
            Value::Hash(hash) => Cow::Owned(format!("{hash:016X}")),
            Value::Id(id) => Cow::Owned(id.to_string()),
        })
    }
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// When it happened. For TLS: when the negotiation began; for a finding: the last refusal.
    Time,
    /// The event's id; a later revision ends in `-r2`.
    Id,
    /// What the event tells of.
    Kind,
    /// 1, or more if the event was sent before with other content.
    Revision,
    /// The id that a later revision amends.
    Amends,
    /// Rows of the session are missing.
    Incomplete,
    /// How sure it is: of a session whose log has no session ids, `low` or `medium`; of a finding also `high`.
    Confidence,
    /// The session's id, as `show` takes it.
    Session,
    /// The logging server.
    Server,
    /// Its transport role.
    Role,
    /// `send` or `receive`, seen from the logging server.
    Direction,
    /// The connector.
    Connector,
    /// Address of the logging server's end.
    LocalIp,
    /// Its port.
    LocalPort,
    /// Address of the other end.
    RemoteIp,
    /// Its port.
    RemotePort,
    /// The name by which the remote server greets; `send` only.
    RemoteName,
    /// The name that the client gave.
    Helo,
    /// The address that the remote saw; `send` only.
    EgressIp,
    /// `ok`, `failed` or `none`.
    TlsOutcome,
    /// `1.0` to `1.3`, or the log's own number.
    TlsVersion,
    /// The cipher as Windows names it: `CALG_AES_256`.
    Cipher,
    /// Its strength in bits.
    CipherBits,
    /// The MAC as Windows names it.
    Mac,
    /// The key exchange as Windows names it.
    KeyExchange,
    /// Why the negotiation failed.
    TlsError,
    /// What the logging server thinks of the other side's chain.
    ChainStatus,
    /// Thumbprint (SHA-1) of the certificate that the logging server showed; behind a proxy the front end's.
    Presented,
    /// Its subject.
    PresentedSubject,
    /// Its issuer.
    PresentedIssuer,
    /// Its serial number.
    PresentedSerial,
    /// Its alternative names, 100 at most.
    PresentedNames,
    /// Begin of its validity.
    PresentedNotBefore,
    /// End of its validity.
    PresentedNotAfter,
    /// The front end's session that showed it, by its raw id.
    PresentedVia,
    /// Thumbprint (SHA-1) of the certificate that the other side showed.
    Received,
    /// Its subject.
    ReceivedSubject,
    /// Its issuer.
    ReceivedIssuer,
    /// Its serial number.
    ReceivedSerial,
    /// Its alternative names, 100 at most.
    ReceivedNames,
    /// Begin of its validity.
    ReceivedNotBefore,
    /// End of its validity.
    ReceivedNotAfter,
    /// The reply code.
    Code,
    /// The enhanced status code: `5.7.64`.
    Status,
    /// The attribution token: `ATTR36`.
    Attr,
    /// The text of the refusal; of a finding the most frequent one.
    Text,
    /// Who refused: `remote` or `local`.
    Side,
    /// The command that was refused.
    Command,
    /// The host that refused, by its own words.
    PeerHost,
    /// Its clock.
    PeerTime,
    /// Its session id, which the support of the other side asks for.
    PeerSession,
    /// The message that was refused.
    MessageId,
    /// Its envelope sender.
    From,
    /// The recipient that was refused, or all of the message, 100 at most.
    To,
    /// The session's first row; of a finding the first refusal.
    Started,
    /// The row that ended the session.
    Ended,
    /// Milliseconds from the first row to the last.
    DurationMs,
    /// Rows of the session.
    Records,
    /// Messages begun.
    Messages,
    /// Messages that were accepted, all or in part.
    Accepted,
    /// Ids of the messages, 100 at most.
    MessageIds,
    /// Envelope senders, each once, 100 at most.
    Senders,
    /// Envelope recipients, each once, 100 at most.
    Recipients,
    /// Status codes of its refusals, each once.
    Statuses,
    /// Reply codes of its refusals, each once.
    Codes,
    /// Milliseconds that the server made the client wait.
    TarpitMs,
    /// The user that AUTH named.
    User,
    /// Failures that are no replies.
    Errors,
    /// Sequence number of the row that tells of it; of TLS implied by what follows, of the negotiation's first row.
    Sequence,
    /// Hash of that row's content (XXH3, 64 bits); of a session's end, of all its rows (32 bits).
    RowHash,
    /// The log that has the session, relative to what was indexed.
    SourceFile,
    /// Where the session's rows begin in it, in decompressed bytes.
    SourceOffset,
    /// Bytes up to the end of its last row there.
    SourceLength,
    /// The rule that found the cause.
    Rule,
    /// The cause in plain words.
    Says,
    /// What to do, step by step.
    Mend,
    /// Servers that logged the refusals.
    Servers,
    /// Refused sessions.
    Sessions,
    /// Other causes that are possible, the likelier ones first.
    Others,
}

/// Name, type, kinds (one bit each, in the order of [`Kind::ALL`]) and meaning of each field.
const TABLE: &[(Field, &str, FieldType, u8, &str)] = {
    use FieldType::*;
    &[
        (
            Field::Time,
            "time",
            Date,
            0b1111111,
            "When it happened. For TLS: when the negotiation began; for a finding: the last refusal.",
        ),
        (Field::Id, "id", Keyword, 0b1111111, "The event's id; a later revision ends in `-r2`."),
        (Field::Kind, "kind", Keyword, 0b1111111, "What the event tells of."),
        (Field::Revision, "revision", Long, 0b1111111, "1, or more if the event was sent before with other content."),
        (Field::Amends, "amends", Keyword, 0b1111111, "The id that a later revision amends."),
        (Field::Incomplete, "incomplete", Boolean, 0b0111111, "Rows of the session are missing."),
        (
            Field::Confidence,
            "confidence",
            Keyword,
            0b1111111,
            "How sure it is: of a session whose log has no session ids, `low` or `medium`; of a finding also `high`.",
        ),
        (Field::Session, "session", Keyword, 0b0111111, "The session's id, as `show` takes it."),
        (Field::Server, "server", Keyword, 0b0111111, "The logging server."),
        (Field::Role, "role", Keyword, 0b0111111, "Its transport role."),
        (Field::Direction, "direction", Keyword, 0b1111111, "`send` or `receive`, seen from the logging server."),
        (Field::Connector, "connector", Keyword, 0b1111111, "The connector."),
        (Field::LocalIp, "local_ip", Ip, 0b0111111, "Address of the logging server's end."),
        (Field::LocalPort, "local_port", Long, 0b0111111, "Its port."),
        (Field::RemoteIp, "remote_ip", Ip, 0b0111111, "Address of the other end."),
        (Field::RemotePort, "remote_port", Long, 0b0111111, "Its port."),
        (
            Field::RemoteName,
            "remote_name",
            Keyword,
            0b0111111,
            "The name by which the remote server greets; `send` only.",
        ),
        (Field::Helo, "helo", Keyword, 0b0111111, "The name that the client gave."),
        (Field::EgressIp, "egress_ip", Ip, 0b0111111, "The address that the remote saw; `send` only."),
        (Field::TlsOutcome, "tls_outcome", Keyword, 0b0111111, "`ok`, `failed` or `none`."),
        (Field::TlsVersion, "tls_version", Keyword, 0b0111111, "`1.0` to `1.3`, or the log's own number."),
        (Field::Cipher, "cipher", Keyword, 0b0111111, "The cipher as Windows names it: `CALG_AES_256`."),
        (Field::CipherBits, "cipher_bits", Long, 0b0111111, "Its strength in bits."),
        (Field::Mac, "mac", Keyword, 0b0111111, "The MAC as Windows names it."),
        (Field::KeyExchange, "key_exchange", Keyword, 0b0111111, "The key exchange as Windows names it."),
        (Field::TlsError, "tls_error", Text, 0b0111111, "Why the negotiation failed."),
        (
            Field::ChainStatus,
            "chain_status",
            Keyword,
            0b0111111,
            "What the logging server thinks of the other side's chain.",
        ),
        (
            Field::Presented,
            "presented",
            Keyword,
            0b1111101,
            "Thumbprint (SHA-1) of the certificate that the logging server showed; behind a proxy the front end's.",
        ),
        (Field::PresentedSubject, "presented_subject", Keyword, 0b1010001, "Its subject."),
        (Field::PresentedIssuer, "presented_issuer", Keyword, 0b1010001, "Its issuer."),
        (Field::PresentedSerial, "presented_serial", Keyword, 0b1010001, "Its serial number."),
        (Field::PresentedNames, "presented_names", Keywords, 0b0000001, "Its alternative names, 100 at most."),
        (Field::PresentedNotBefore, "presented_not_before", Date, 0b1010001, "Begin of its validity."),
        (Field::PresentedNotAfter, "presented_not_after", Date, 0b1010001, "End of its validity."),
        (
            Field::PresentedVia,
            "presented_via",
            Keyword,
            0b0010000,
            "The front end's session that showed it, by its raw id.",
        ),
        (
            Field::Received,
            "received",
            Keyword,
            0b0111110,
            "Thumbprint (SHA-1) of the certificate that the other side showed.",
        ),
        (Field::ReceivedSubject, "received_subject", Keyword, 0b0000010, "Its subject."),
        (Field::ReceivedIssuer, "received_issuer", Keyword, 0b0000010, "Its issuer."),
        (Field::ReceivedSerial, "received_serial", Keyword, 0b0000010, "Its serial number."),
        (Field::ReceivedNames, "received_names", Keywords, 0b0000010, "Its alternative names, 100 at most."),
        (Field::ReceivedNotBefore, "received_not_before", Date, 0b0000010, "Begin of its validity."),
        (Field::ReceivedNotAfter, "received_not_after", Date, 0b0000010, "End of its validity."),
        (Field::Code, "code", Long, 0b1010000, "The reply code."),
        (Field::Status, "status", Keyword, 0b1010000, "The enhanced status code: `5.7.64`."),
        (Field::Attr, "attr", Keyword, 0b1010000, "The attribution token: `ATTR36`."),
        (Field::Text, "text", Text, 0b1010000, "The text of the refusal; of a finding the most frequent one."),
        (Field::Side, "side", Keyword, 0b0010000, "Who refused: `remote` or `local`."),
        (Field::Command, "command", Text, 0b0010000, "The command that was refused."),
        (Field::PeerHost, "peer_host", Keyword, 0b0010000, "The host that refused, by its own words."),
        (Field::PeerTime, "peer_time", Date, 0b0010000, "Its clock."),
        (
            Field::PeerSession,
            "peer_session",
            Keyword,
            0b0010000,
            "Its session id, which the support of the other side asks for.",
        ),
        (Field::MessageId, "message_id", Keyword, 0b0010000, "The message that was refused."),
        (Field::From, "from", Keyword, 0b0010000, "Its envelope sender."),
        (Field::To, "to", Keywords, 0b0010000, "The recipient that was refused, or all of the message, 100 at most."),
        (Field::Started, "started", Date, 0b1100000, "The session's first row; of a finding the first refusal."),
        (Field::Ended, "ended", Date, 0b0100000, "The row that ended the session."),
        (Field::DurationMs, "duration_ms", Long, 0b0100000, "Milliseconds from the first row to the last."),
        (Field::Records, "records", Long, 0b0100000, "Rows of the session."),
        (Field::Messages, "messages", Long, 0b0100000, "Messages begun."),
        (Field::Accepted, "accepted", Long, 0b0100000, "Messages that were accepted, all or in part."),
        (Field::MessageIds, "message_ids", Keywords, 0b0100000, "Ids of the messages, 100 at most."),
        (Field::Senders, "senders", Keywords, 0b0100000, "Envelope senders, each once, 100 at most."),
        (Field::Recipients, "recipients", Keywords, 0b0100000, "Envelope recipients, each once, 100 at most."),
        (Field::Statuses, "statuses", Keywords, 0b0100000, "Status codes of its refusals, each once."),
        (Field::Codes, "codes", Keywords, 0b0100000, "Reply codes of its refusals, each once."),
        (Field::TarpitMs, "tarpit_ms", Long, 0b0100000, "Milliseconds that the server made the client wait."),
        (Field::User, "user", Keyword, 0b0100000, "The user that AUTH named."),
        (Field::Errors, "errors", Keywords, 0b0100000, "Failures that are no replies."),
        (
            Field::Sequence,
            "sequence",
            Long,
            0b0011111,
            "Sequence number of the row that tells of it; of TLS implied by what follows, of the negotiation's first row.",
        ),
        (
            Field::RowHash,
            "row_hash",
            Keyword,
            0b0111111,
            "Hash of that row's content (XXH3, 64 bits); of a session's end, of all its rows (32 bits).",
        ),
        (
            Field::SourceFile,
            "source_file",
            Keyword,
            0b0111111,
            "The log that has that row, relative to what was indexed; of a session's end, its first row.",
        ),
        (
            Field::SourceOffset,
            "source_offset",
            Long,
            0b0111111,
            "Where that row begins in it, in decompressed bytes; of a session's end, where its first row does.",
        ),
        (Field::SourceLength, "source_length", Long, 0b0100000, "Bytes up to the end of the session's last row there."),
        (Field::Rule, "rule", Keyword, 0b1000000, "The rule that found the cause."),
        (Field::Says, "says", Text, 0b1000000, "The cause in plain words."),
        (Field::Mend, "mend", Keywords, 0b1000000, "What to do, step by step."),
        (Field::Servers, "servers", Keywords, 0b1000000, "Servers that logged the refusals."),
        (Field::Sessions, "sessions", Long, 0b1000000, "Refused sessions."),
        (Field::Others, "others", Keywords, 0b1000000, "Other causes that are possible, the likelier ones first."),
    ]
};

impl Field {
    /// Every field, in the order of records that have columns.
    pub fn all() -> impl Iterator<Item = Field> {
        TABLE.iter().map(|(field, ..)| *field)
    }

    const fn row(self) -> &'static (Field, &'static str, FieldType, u8, &'static str) {
        &TABLE[self as usize]
    }

    /// The field's own name, as in CSV and Parquet.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The type of its values.
    pub const fn kind_of_value(self) -> FieldType {
        self.row().2
    }

    /// What it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        self.row().4
    }

    /// Whether events of a kind can have it.
    pub fn is_of(self, kind: Kind) -> bool {
        self.row().3 >> (kind as u8) & 1 == 1
    }

    /// Whether it says where and how an event was sent, and not what happened.
    pub(crate) fn is_about_sending(self) -> bool {
        use Field::*;
        matches!(self, Id | Revision | Amends | SourceFile | SourceOffset | SourceLength)
    }
}

impl Event<'_> {
    /// The value that the event has in a field.
    pub fn value(&self, field: Field) -> Value<'_> {
        if !field.is_of(self.kind) {
            return Value::None;
        }
        match field {
            Field::Time => Value::Time(self.time),
            Field::Id => Value::Id(self.id),
            Field::Kind => Value::text(self.kind.as_str()),
            Field::Revision => Value::number(self.id.revision),
            Field::Amends if self.id.revision > 1 => Value::Id(self.id.first()),
            Field::Amends => Value::None,
            Field::Presented => self.presented.map_or(Value::None, Value::Thumbprint),
            Field::Received => self.received.map_or(Value::None, Value::Thumbprint),
            Field::PresentedSubject
            | Field::PresentedIssuer
            | Field::PresentedSerial
            | Field::PresentedNames
            | Field::PresentedNotBefore
            | Field::PresentedNotAfter => of_certificate(self.facts.presented, field),
            Field::ReceivedSubject
            | Field::ReceivedIssuer
            | Field::ReceivedSerial
            | Field::ReceivedNames
            | Field::ReceivedNotBefore
            | Field::ReceivedNotAfter => of_certificate(self.facts.received, field),
            _ => match (self.finding, self.view) {
                (Some(finding), _) => of_finding(finding, field),
                (None, Some(view)) => self.of_session_field(view, field),
                (None, None) => Value::None,
            },
        }
    }

    fn of_session_field<'e>(&'e self, view: &'e SessionView<'_>, field: Field) -> Value<'e> {
        let session = view.session;
        match field {
            Field::Incomplete => Value::Flag(!session.complete),
            Field::Confidence => Value::option(session.rebuilt.map(|confidence| confidence.as_str())),
            Field::Session => Value::text(&view.id),
            Field::Server => Value::text(&session.stream.server),
            Field::Role => Value::text(session.stream.role.as_str()),
            Field::Direction => Value::text(session.stream.direction.as_str()),
            Field::Connector => Value::known(&session.connector),
            Field::LocalIp => Value::option(view.local.ip),
            Field::LocalPort => view.local.port.map_or(Value::None, Value::number),
            Field::RemoteIp => Value::option(view.remote.ip),
            Field::RemotePort => view.remote.port.map_or(Value::None, Value::number),
            Field::RemoteName => Value::option(session.remote_name.as_deref()),
            Field::Helo => Value::option(session.helo.as_deref()),
            Field::EgressIp => Value::option(view.egress_ip),
            Field::Sequence => self.row.map_or(Value::None, |row| Value::number(row.sequence)),
            Field::RowHash => match self.row {
                Some(row) if row.hash != 0 => Value::Hash(row.hash),
                Some(_) => Value::None,
                None => Value::Text(format!("{:08X}", session.rows_hash).into()),
            },
            Field::SourceFile => self.source().map_or(Value::None, |source| Value::text(&source.file)),
            Field::SourceOffset => self.offset().map_or(Value::None, Value::number),
            Field::SourceLength => match self.row {
                Some(_) => Value::None,
                None => self.source().map_or(Value::None, |source| Value::number(source.length)),
            },
            _ if self.reply.is_some() && field.is_of(Kind::Refusal) && !field.is_of(Kind::TlsFailed) => {
                self.of_refusal(field)
            }
            _ if self.kind == Kind::SessionEnd && !field.is_of(Kind::TlsFailed) => of_end(view, field),
            _ => self.of_tls(field),
        }
    }

    /// The source with the row that tells of it; where that is not known, and of what no single row tells, the one with
    /// the session's first row.
    fn source(&self) -> Option<&SourceSpan> {
        let sources = &self.view?.session.sources;
        let own = self.row.and_then(|row| sources.get(usize::try_from(row.place?.source).ok()?));
        own.or_else(|| sources.first())
    }

    /// Where the row begins that tells of it, or the session if no single one does.
    fn offset(&self) -> Option<u64> {
        match self.row {
            Some(row) => Some(row.place?.offset),
            None => Some(self.source()?.offset),
        }
    }

    fn of_tls(&self, field: Field) -> Value<'_> {
        let none = Tls::default();
        let Some(tls) = self.negotiation.map(|negotiation| &negotiation.tls) else {
            return if field == Field::TlsOutcome { Value::text(none.outcome.as_str()) } else { Value::None };
        };
        match field {
            Field::TlsOutcome => Value::text(tls.outcome.as_str()),
            Field::TlsVersion => Value::option(tls.version.as_deref()),
            Field::Cipher => Value::option(tls.cipher.as_deref()),
            Field::CipherBits => tls.cipher_bits.map_or(Value::None, Value::number),
            Field::Mac => Value::option(tls.mac.as_deref()),
            Field::KeyExchange => Value::option(tls.key_exchange.as_deref()),
            Field::TlsError => Value::option(tls.error.as_deref()),
            Field::ChainStatus => Value::option(tls.chain_status.as_deref()),
            _ => Value::None,
        }
    }

    fn of_refusal(&self, field: Field) -> Value<'_> {
        let Some(reply) = self.reply else { return Value::None };
        let peer = reply.peer.as_ref();
        match field {
            Field::Code => Value::number(reply.code),
            Field::Status => Value::option(reply.status.as_deref()),
            Field::Attr => Value::option(reply.attr.as_deref()),
            Field::Text => Value::text(&reply.text),
            Field::Side => Value::text(match reply.side {
                ReplySide::Remote => "remote",
                ReplySide::Local => "local",
            }),
            Field::Command => Value::option(reply.to.as_deref()),
            Field::PeerHost => Value::option(peer.map(|peer| peer.host.as_str())),
            Field::PeerTime => Value::time(peer.and_then(|peer| peer.time)),
            Field::PeerSession => peer.and_then(|peer| peer.session).map_or(Value::None, |id| Value::Hash(id.0)),
            Field::PresentedVia => reply.presented_via.map_or(Value::None, |via| Value::Hash(via.0)),
            Field::MessageId => Value::option(self.message.and_then(|message| message.message_id.as_deref())),
            Field::From => Value::option(self.message.map(|message| message.from.as_str())),
            Field::To => self.recipients(),
            _ => Value::None,
        }
    }

    /// The recipient that was refused; if something else was, all of the message.
    fn recipients(&self) -> Value<'_> {
        let command = self.reply.and_then(|reply| reply.to.as_deref()).unwrap_or_default();
        let is_recipient = command.get(..8).is_some_and(|verb| verb.eq_ignore_ascii_case("RCPT TO:"));
        if let Some(recipient) = mailbox(command).filter(|_| is_recipient) {
            return Value::list([recipient.into()]);
        }
        let all: &[Text] = self.message.map_or(&[], |message| &message.to);
        Value::list(all.iter().map(|to| to.as_str().into()))
    }
}

fn of_certificate<'a>(facts: Option<&'a CertificateFacts>, field: Field) -> Value<'a> {
    let Some(CertificateFacts { subject, issuer, serial, names, not_before, not_after }) = facts else {
        return Value::None;
    };
    match field {
        Field::PresentedSubject | Field::ReceivedSubject => Value::known(subject),
        Field::PresentedIssuer | Field::ReceivedIssuer => Value::known(issuer),
        Field::PresentedSerial | Field::ReceivedSerial => Value::known(serial),
        Field::PresentedNames | Field::ReceivedNames => Value::list(names.iter().map(|name| name.as_str().into())),
        Field::PresentedNotBefore | Field::ReceivedNotBefore => Value::time(*not_before),
        _ => Value::time(*not_after),
    }
}

fn of_end<'a>(view: &'a SessionView<'_>, field: Field) -> Value<'a> {
    let session = view.session;
    let messages = || session.messages.iter();
    match field {
        Field::Started => Value::Time(session.started),
        Field::Ended => Value::time(session.ended),
        Field::DurationMs => Value::number(session.last.0.saturating_sub(session.started.0)),
        Field::Records => Value::number(session.records),
        Field::Messages => Value::number(session.messages.len() as u64),
        Field::Accepted => {
            let is_accepted = |outcome| matches!(outcome, MessageOutcome::Accepted | MessageOutcome::Partial);
            Value::number(messages().filter(|message| is_accepted(message.outcome)).count() as u64)
        }
        Field::MessageIds => Value::distinct(messages().filter_map(|message| message.message_id.as_deref())),
        Field::Senders => Value::distinct(messages().map(|message| message.from.as_str())),
        Field::Recipients => Value::distinct(messages().flat_map(|message| &message.to).map(Text::as_str)),
        Field::Statuses => Value::list(session.statuses().into_iter().map(Cow::Borrowed)),
        Field::Codes => Value::list(session.codes().into_iter().map(|code| Cow::Owned(code.to_string()))),
        Field::TarpitMs if session.tarpit_ms > 0 => Value::number(session.tarpit_ms),
        Field::User => Value::option(session.auth.as_ref().and_then(|auth| auth.user.as_deref())),
        Field::Errors => Value::list(session.errors.iter().map(|error| error.as_str().into())),
        _ => Value::None,
    }
}

fn of_finding(finding: &Finding, field: Field) -> Value<'_> {
    match field {
        Field::Confidence => Value::text(finding.confidence),
        Field::Direction => Value::text(finding.direction),
        Field::Connector => Value::known(&finding.connector),
        Field::Code => finding.code.map_or(Value::None, Value::number),
        Field::Status => Value::option(finding.status.as_deref()),
        Field::Attr => Value::option(finding.attr.as_deref()),
        Field::Text => Value::known(&finding.text),
        Field::Started => Value::Time(finding.from),
        Field::Rule => Value::text(finding.rule),
        Field::Says => Value::text(&finding.says),
        Field::Mend => Value::list(finding.mend.iter().map(|step| step.as_str().into())),
        Field::Servers => Value::list(finding.servers.iter().map(|server| server.as_str().into())),
        Field::Sessions => Value::number(finding.sessions),
        Field::Others => Value::list(finding.others.iter().map(|&other| other.into())),
        _ => Value::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_differ() {
        for (at, (field, name, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*field as usize, at, "{name}");
            assert_eq!(Field::all().filter(|other| other.name() == *name).count(), 1, "{name}");
        }
    }
}
