//! Sessions: one SMTP connection as its log tells it (CONTRACT 2 to 4).
//!
//! A `Session` owns all its texts and is what every later stage works on: the index stores it, queries match
//! it, exports write it. Field names and meanings are those of the JSON form in CONTRACT 4.

use std::{fmt, sync::Arc};

use crate::{Stream, Thumbprint, Timestamp};

/// A short text of a session, decoded lossily from the log's bytes. Most are under 24 bytes and need no allocation.
pub type Text = compact_str::CompactString;

/// The 64-bit counter that names a session within one process of one server; shown as 16 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(pub u64);

impl SessionId {
    /// Exactly 16 hex digits, as the log writes them.
    pub fn from_hex(hex: &[u8]) -> Option<SessionId> {
        let is_id = hex.len() == 16 && hex.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(hex).ok().filter(|_| is_id)?;
        u64::from_str_radix(text, 16).ok().map(SessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// One SMTP connection: all records with one key (stream, session id).
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// Server, role and direction.
    pub stream: Arc<Stream>,
    /// The log's session id.
    pub session: SessionId,
    /// Whether another session of the same key began earlier, so that the id carries `@` and the start.
    pub repeated: bool,
    /// The first row's connector; empty before one was chosen.
    pub connector: Text,
    /// Time of the first row.
    pub started: Timestamp,
    /// Time of the `-` row, if there is one.
    pub ended: Option<Timestamp>,
    /// Time of the last row, whatever it is; not part of the JSON form.
    pub last: Timestamp,
    /// Begins at sequence 0, ends with `-`, no number missing.
    pub complete: bool,
    /// The last local endpoint that is not empty, as logged: `10.0.0.10:22289`, `[2001:db8::5]:53000`.
    pub local: Option<Text>,
    /// The last remote endpoint that is not empty.
    pub remote: Option<Text>,
    /// First word of the remote's last EHLO answer, else of its banner; `None` in `receive`.
    pub remote_name: Option<Text>,
    /// Argument of the client side's last EHLO or HELO.
    pub helo: Option<Text>,
    /// The address that the remote's EHLO answer says it saw; `send` only, not behind a proxy.
    pub egress_ip: Option<Text>,
    /// Parameters of the last TLS negotiation.
    pub tls: Tls,
    /// Every TLS negotiation in order.
    pub negotiations: Vec<Negotiation>,
    /// Refusals (4xx and 5xx) in order.
    pub replies: Vec<Reply>,
    /// One per MAIL FROM, in order.
    pub messages: Vec<Message>,
    /// Raw links to the sessions that this one was proxied for or through (FORMATS 1.8).
    pub proxy: Vec<ProxyLink>,
    /// Outcome of AUTH, if it was tried.
    pub auth: Option<Auth>,
    /// Texts of failures that are no replies: `Failed to connect. ...`, failed authentication of TLS, of proxy set-up.
    pub errors: Vec<Text>,
    /// Sum of the tarpit delays that the server imposed, in milliseconds.
    pub tarpit_ms: u64,
    /// Rows of the session.
    pub records: u64,
    /// Rows that repeat the sequence number before them; they occur in edited logs.
    pub repeated_sequences: u64,
    /// Where the rows lie, in the order of their first row.
    pub sources: Vec<SourceSpan>,
    /// Hash of the session's rows as the assembler saw them; `show` checks the original against it.
    pub rows_hash: u32,
    /// How sure it is that the rows are those of one connection, if their log has no session ids; else `None`.
    pub rebuilt: Option<Confidence>,
}

/// How sure a session is whose log has no session ids, so that it had to be rebuilt from the rows of one remote
/// (FORMATS 2.1). It is never certain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Confidence {
    /// Rows are missing, there are signs of a second connection of the same remote at the same time, or the log does
    /// not say exactly when.
    Low,
    /// The rows are what one connection does from its beginning to its end, and there is no sign of another.
    Medium,
}

/// Parameters and outcome of a TLS negotiation (FORMATS 1.6).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tls {
    /// Whether TLS came about.
    pub outcome: TlsOutcome,
    /// `1.0` to `1.3`, or the log's own number where it has no name.
    pub version: Option<Text>,
    /// `CALG_AES_256`.
    pub cipher: Option<Text>,
    /// Strength of the cipher in bits.
    pub cipher_bits: Option<u32>,
    /// `CALG_SHA_384`.
    pub mac: Option<Text>,
    /// `CALG_ECDHE`.
    pub key_exchange: Option<Text>,
    /// Why the negotiation failed: `UnknownCredentials`.
    pub error: Option<Text>,
    /// What the logging server thinks of the other side's chain: `EmptyCertificate`, `UntrustedRoot`.
    pub chain_status: Option<Text>,
    /// `TlsDomainCapabilities`, as logged: `AcceptCloudServicesMail`, `None`.
    pub domain_capabilities: Option<Text>,
    /// The status beside them: `Success`, `NoRemoteCertificate`.
    pub domain_status: Option<Text>,
}

/// Outcome of a TLS negotiation (CONTRACT 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum TlsOutcome {
    /// A succeeded row, or certificates and then an EHLO without a failure row.
    Ok,
    /// A failure row; its certificates were presented all the same.
    Failed,
    /// Neither.
    #[default]
    None,
}

/// What began a TLS negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NegotiationVerb {
    /// STARTTLS (RFC 3207).
    StartTls,
    /// X-ANONYMOUSTLS: an internal hop with its self-signed certificate on both sides.
    AnonymousTls,
    /// No command was logged: the negotiation begins at its first certificate row.
    Unknown,
}

/// One TLS negotiation of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiation {
    /// Sequence number of the row that began it.
    pub sequence: u32,
    /// Time of that row.
    pub time: Timestamp,
    /// The command that began it.
    pub verb: NegotiationVerb,
    /// Parameters and outcome.
    pub tls: Tls,
    /// The certificate that the logging server showed.
    pub presented: Option<Thumbprint>,
    /// The certificate that the other side showed.
    pub received: Option<Thumbprint>,
    /// The rows that say so.
    pub rows: NegotiationRows,
}

/// The rows that tell of a negotiation. None of them is known of sessions that a store has from before it kept them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NegotiationRows {
    /// The row with the thumbprint of the certificate that the logging server showed.
    pub presented: Option<RowMark>,
    /// The row with that of the certificate that the other side showed.
    pub received: Option<RowMark>,
    /// The row that says that TLS succeeded, or failed; if only what follows tells that it succeeded, the row that began
    /// the negotiation.
    pub outcome: Option<RowMark>,
}

/// A row of a session, to be found and recognised again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RowMark {
    /// Its sequence number.
    pub sequence: u32,
    /// Hash of its content, see [`Row::content_hash`](crate::fragment::Row::content_hash).
    pub hash: u64,
    /// Where it lies; not known of sessions that a store has from before it kept that.
    pub place: Option<RowPlace>,
}

/// Where a row lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RowPlace {
    /// The source, by its place in [`Session::sources`].
    pub source: u32,
    /// Where the row begins there, in decompressed bytes.
    pub offset: u64,
}

/// Who gave a reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ReplySide {
    /// The other side, in `send`.
    Remote,
    /// The logging server itself, in `receive`.
    Local,
}

/// A refusal: an SMTP reply with a 4xx or 5xx code (RFC 5321 section 4.2), all its lines joined.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// Time of its first row.
    pub time: Timestamp,
    /// Sequence number of its first row.
    pub sequence: u32,
    /// Hash of the content of its first row, see [`Row::content_hash`](crate::fragment::Row::content_hash); 0 in a store
    /// from before it was kept.
    pub row_hash: u64,
    /// Where that row lies.
    pub row_place: Option<RowPlace>,
    /// Who gave it.
    pub side: ReplySide,
    /// The three-digit code.
    pub code: u16,
    /// The enhanced status code (RFC 3463), where there is one: `5.7.64`.
    pub status: Option<Text>,
    /// The text after code and status, lines joined by `\n`.
    pub text: Text,
    /// The attribution token: `ATTR36`.
    pub attr: Option<Text>,
    /// The trailing `[HOST TIME SESSION]`.
    pub peer: Option<Peer>,
    /// A thumbprint that the text itself names (4.4.317).
    pub thumbprint: Option<Thumbprint>,
    /// The raw command line that it answers; `None` for the banner and for an unsolicited 421.
    pub to: Option<Text>,
    /// The certificate presented in the negotiation that the reply lies in; `None` before any, behind an outbound
    /// proxy and under X-ANONYMOUSTLS.
    pub presented: Option<Thumbprint>,
    /// The certificate received in the same negotiation, under the same rule.
    pub received: Option<Thumbprint>,
    /// Behind a proxy: the raw session id by which the front end's session is found. In `send` after XPROXYTO it
    /// is the id that the front end logs as `Proxied session id`; after XPROXYFROM it is the front end's own.
    pub presented_via: Option<SessionId>,
}

/// What a reply of Microsoft 365 says of itself in its trailing bracket; what its support asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The host that refused.
    pub host: Text,
    /// Its clock; `None` in older replies, which name only the host.
    pub time: Option<Timestamp>,
    /// Its session id; not one of ours, though it looks the same.
    pub session: Option<SessionId>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum MessageOutcome {
    /// The end of data was answered 2xx and no recipient was refused.
    Accepted,
    /// MAIL, every RCPT, or the data was refused.
    Refused,
    /// Accepted for some recipients only.
    Partial,
    /// The log does not say.
    Unknown,
}

/// One mail transaction (RFC 5321 section 3.3): MAIL FROM, its recipients, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The InternetMessageId, with its angle brackets, if logged.
    pub message_id: Option<Text>,
    /// The envelope sender without `<>`; empty for the null sender.
    pub from: Text,
    /// The envelope recipients without `<>`, in order.
    pub to: Vec<Text>,
    /// What became of it.
    pub outcome: MessageOutcome,
}

/// What is proxied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ProxyKind {
    /// Inbound mail, from the front end to a hub (XPROXYFROM).
    Inbound,
    /// Outbound mail, from a hub through the front end (XPROXYTO).
    Outbound,
    /// A client submission (XPROXY).
    Client,
}

/// This session's part in a proxy link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ProxyRole {
    /// Its own mail is proxied: a hub that sent XPROXYTO.
    Origin,
    /// It carries the mail of the session that the link names.
    Relay,
}

/// A link to another session by its raw id; the partner is found when asked (CONTRACT 3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyLink {
    /// What is proxied.
    pub kind: ProxyKind,
    /// This session's part.
    pub role: ProxyRole,
    /// The id that the link names. For [`ProxyRole::Origin`] it is the id that the front end will log.
    pub session: SessionId,
    /// Sequence number of the row that set it up; it holds from there.
    pub from_sequence: u32,
}

/// Whether AUTH succeeded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AuthOutcome {
    /// The client was authenticated.
    Ok,
    /// It was not.
    Failed,
}

/// The last AUTH of a session (FORMATS 1.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// Whether it succeeded.
    pub outcome: AuthOutcome,
    /// `LOGIN`, `NTLM`, if logged.
    pub mechanism: Option<Text>,
    /// The user, if logged.
    pub user: Option<Text>,
    /// Why it failed: `LogonDenied`.
    pub error: Option<Text>,
}

/// Where a session's rows lie in one source: decompressed bytes from the first to the last row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSpan {
    /// The source's path relative to the indexed PATH, with `/`.
    pub file: Arc<str>,
    /// The source's identity (CONTRACT 1), by which the catalog knows where it lies now.
    pub identity: [u8; 32],
    /// Offset of the first row.
    pub offset: u64,
    /// Bytes up to the end of the last row.
    pub length: u64,
}

impl Session {
    /// `EX001/hub/send/08DC399000800000`, with `@` and the start where the key alone is ambiguous (CONTRACT 2).
    pub fn id(&self) -> String {
        let mut id = format!("{}/{}", self.stream, self.session);
        if self.repeated {
            id.push('@');
            id.push_str(&self.started.compact());
        }
        id
    }

    /// The certificate that the logging server showed in its last negotiation.
    pub fn presented(&self) -> Option<Thumbprint> {
        self.negotiations.last()?.presented
    }

    /// The certificate that the other side showed in the last negotiation.
    pub fn received(&self) -> Option<Thumbprint> {
        self.negotiations.last()?.received
    }

    /// Enhanced status codes of the refusals, in order, without repeats.
    pub fn statuses(&self) -> Vec<&str> {
        let mut statuses = Vec::new();
        for status in self.replies.iter().filter_map(|reply| reply.status.as_deref()) {
            if !statuses.contains(&status) {
                statuses.push(status);
            }
        }
        statuses
    }

    /// Reply codes of the refusals, in order, without repeats.
    pub fn codes(&self) -> Vec<u16> {
        let mut codes = Vec::new();
        for reply in &self.replies {
            if !codes.contains(&reply.code) {
                codes.push(reply.code);
            }
        }
        codes
    }
}
