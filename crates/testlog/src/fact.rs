//! Facts: what single rows of a session make true. The truth is folded from the facts of the rows that reach a file.
//!
//! Tying facts to rows, instead of stating the truth of a whole script, keeps the truth exact when a session is cut
//! off: the facts of rows that were never written are never folded.

use crate::certificate::CertificateId;

/// What a row makes true from then on.
#[derive(Debug)]
pub(crate) enum Fact {
    /// The row is the first with this local endpoint.
    Local(String),
    /// The row is the first with this remote endpoint.
    Remote(String),
    /// EHLO or HELO of the client side, with its argument.
    Helo(String),
    /// First word of the remote's banner or EHLO answer.
    RemoteName(String),
    /// The address that an EHLO answer says it saw; `None` if it names none.
    SeenAddress(Option<String>),
    /// STARTTLS or X-ANONYMOUSTLS.
    Negotiation(Verb),
    /// The thumbprint of a certificate.
    Thumbprint { side: Side, certificate: CertificateId, logged: Logged },
    /// Alternate names of a certificate, logged in a row of their own.
    Names(CertificateId),
    /// The negotiation succeeded.
    Secured(&'static Cipher),
    /// The negotiation failed.
    TlsError(&'static str),
    /// What the server thinks of the other side's chain.
    ChainStatus(&'static str),
    /// A 4xx or 5xx reply, at its first row.
    Refused(Box<Refused>),
    /// An InternetMessageId of the next message.
    NextMessageId(String),
    /// An InternetMessageId of the current message.
    MessageId(String),
    /// MAIL FROM.
    Mail(String),
    /// RCPT TO.
    Recipient(String),
    /// MAIL FROM was refused.
    MailRefused,
    /// A recipient was refused.
    RecipientRefused,
    /// The end of data was accepted.
    DataAccepted,
    /// DATA, BDAT or the end of data was refused.
    DataRefused,
    /// A link to a session that is proxied.
    Proxy { kind: &'static str, role: &'static str, session: u64 },
}

/// The command that begins a negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    StartTls,
    AnonymousTls,
}

/// Whose certificate a row shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The logging server's.
    Presented,
    /// The other side's.
    Received,
}

/// How much of a certificate a row shows beside the thumbprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Logged {
    /// Subject, issuer and serial number.
    pub(crate) identity: bool,
    /// Validity.
    pub(crate) dates: bool,
    /// Alternate names.
    pub(crate) names: bool,
}

/// Parameters of a TLS connection, as the success row prints them.
#[derive(Debug)]
pub(crate) struct Cipher {
    /// `SP_PROT_TLS1_2`, or the bare number of a version the server has no name for: client's, server's.
    pub(crate) protocol: [&'static str; 2],
    /// The version's name in the truth.
    pub(crate) version: &'static str,
    pub(crate) cipher: &'static str,
    pub(crate) cipher_bits: u32,
    pub(crate) mac: &'static str,
    pub(crate) mac_bits: u32,
    pub(crate) key_exchange: &'static str,
    pub(crate) key_exchange_bits: u32,
}

/// A refusal, and the command that it answers.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// The raw command line; `None` for the banner and for an unsolicited 421.
    pub(crate) to: Option<String>,
}

/// A 4xx or 5xx reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    /// The enhanced status, which every line repeats.
    pub(crate) status: Option<&'static str>,
    /// Texts of the lines, after code and status.
    pub(crate) lines: Vec<String>,
    /// The `ATTRn` in the text.
    pub(crate) attr: Option<&'static str>,
    /// The trailing bracket.
    pub(crate) peer: Option<Peer>,
}

/// The trailing bracket of a reply of Microsoft 365.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) host: String,
    /// Time and session; older replies name the host only.
    pub(crate) moment: Option<(i64, u64)>,
}

impl Refusal {
    /// A reply of one line.
    pub(crate) fn new(code: u16, status: &'static str, text: &str) -> Refusal {
        Refusal {
            code,
            status: Some(status).filter(|status| !status.is_empty()),
            lines: vec![text.into()],
            ..Refusal::default()
        }
    }

    /// The same with the attribution token that its text names.
    pub(crate) fn with_attr(mut self, attr: &'static str) -> Refusal {
        self.attr = Some(attr);
        self
    }

    /// The same with the peer's bracket at the end of its last line.
    pub(crate) fn with_peer(mut self, peer: Peer) -> Refusal {
        let bracket = match peer.moment {
            Some((time, session)) => format!(" [{} {} {session:016X}]", peer.host, crate::clock::Time(time)),
            None => format!(" [{}]", peer.host),
        };
        if let Some(line) = self.lines.last_mut() {
            line.push_str(&bracket);
        }
        self.peer = Some(peer);
        self
    }

    /// The text of the truth: what follows code and status, lines joined.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}
