//! Facts: what evidence says, in the form in which the store keeps it and the rules read it.
//!
//! Times are milliseconds since 1970-01-01 UTC. Thumbprints are 40 upper-case hex digits.

use serde::{Deserialize, Serialize};

/// A fact, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Decompressed byte of the file at which it begins; 0 where it is the whole file.
    pub offset: u64,
    /// What was found.
    pub fact: Fact,
}

/// What evidence says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A certificate itself, not only its names.
    Certificate(Box<Certificate>),
    /// Names that belong to a thumbprint, from a text that shows no certificate itself.
    CertificateNames(CertificateNames),
    /// A connector's settings at the time of the export.
    Connector(Connector),
    /// A domain that a tenant or an organisation accepts mail for.
    AcceptedDomain(AcceptedDomain),
    /// What Windows found when it checked a certificate's chain.
    ChainCheck(ChainCheck),
    /// What the Hybrid Configuration Wizard saw or did.
    Hybrid(Hybrid),
}

/// A certificate, read from its DER (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-1 of the DER.
    pub thumbprint: String,
    /// SHA-256 of the DER, upper-case hex.
    pub sha256: String,
    /// The subject's distinguished name as .NET writes it, for it stands so in the logs: `CN=mail.contoso.com, O=Contoso`.
    pub subject: String,
    /// The issuer's, in the same form.
    pub issuer: String,
    /// Upper-case hex, big-endian.
    pub serial: String,
    /// Begin of validity.
    pub not_before_ms: i64,
    /// End of validity.
    pub not_after_ms: i64,
    /// The subject's common name, the last one if there are several.
    pub common_name: Option<String>,
    /// DNS names of the subject alternative name extension, in order.
    pub names: Vec<String>,
    /// Addresses of the issuer's certificate (authority information access, RFC 5280 section 4.2.2.1).
    pub issuer_urls: Vec<String>,
    /// `RSA 2048`, `EC P-256`.
    pub key: String,
    /// Extended key usages as dotted object identifiers; `None` without the extension, which allows all.
    pub usages: Option<Vec<String>>,
    /// Whether basic constraints make it an authority.
    pub is_authority: bool,
    /// Subject key identifier, upper-case hex.
    pub subject_key: Option<String>,
    /// Authority key identifier, upper-case hex.
    pub authority_key: Option<String>,
    /// The DER itself, at most [`DER_BYTES_MAX`], for signatures.
    #[serde(with = "crate::fact::base64_text")]
    pub der: Vec<u8>,
    /// The server that the export says it is installed on.
    pub server: Option<String>,
    /// Exchange services that it is assigned to, as exported: `IIS, SMTP`.
    pub services: Option<String>,
}

/// What a text says of a certificate: Format-List of `Get-ExchangeCertificate`, the wizard's table of a server's
/// certificates (code 10023), CAPI2 event 90.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CertificateNames {
    /// SHA-1 of the DER.
    pub thumbprint: String,
    /// The subject's distinguished name as written.
    pub subject: String,
    /// The issuer's.
    pub issuer: String,
    /// Upper-case hex, where the text has it.
    pub serial: Option<String>,
    /// Alternate names, where the text has them.
    pub names: Vec<String>,
    /// Begin of validity, if it is written unmistakably: a locale's day and month are not.
    pub not_before_ms: Option<i64>,
    /// End of validity, under the same rule.
    pub not_after_ms: Option<i64>,
    /// The server that has it.
    pub server: Option<String>,
    /// Exchange services that it is assigned to: `IIS, SMTP`.
    pub services: Option<String>,
}

/// Bytes of a certificate. The largest in use, with hundreds of names, have some 16 KiB.
pub const DER_BYTES_MAX: usize = 64 << 10;

/// Which connector an export shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// `Get-InboundConnector`: how Exchange Online attributes mail.
    Inbound,
    /// `Get-OutboundConnector`.
    Outbound,
    /// `Get-SendConnector`.
    Send,
    /// `Get-ReceiveConnector`.
    Receive,
}

/// A connector's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Which cmdlet shows it.
    pub kind: ConnectorKind,
    /// Its name, without a server before it.
    pub name: String,
    /// The server of a receive connector.
    pub server: Option<String>,
    /// Its properties in the export's order. Names are compared without case: the wizard writes `TLS`, exports `Tls`.
    pub properties: Vec<Property>,
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// As exported.
    pub name: String,
    /// What it is set to.
    pub value: Value,
}

/// What a property is set to. Lists say whether the export shows all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Not set: `$null`, an empty cell, `Nil`.
    Empty,
    /// Yes or no.
    Flag(bool),
    /// One text, numbers and dates too: an export's dates have the form of its locale.
    Text(String),
    /// Several.
    List {
        /// In order.
        items: Vec<String>,
        /// The export left items out, as Format-List does after four, or names only the list's type.
        cut: bool,
    },
}

/// A domain of `Get-AcceptedDomain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedDomain {
    /// `contoso.com`, lower case; subdomains count if it begins with `*.`.
    pub domain: String,
    /// `Authoritative`, `InternalRelay`, `ExternalRelay`, where the export says so.
    pub domain_type: Option<String>,
}

/// Which side Windows checked the certificate for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedAs {
    /// `authType="server"`.
    Server,
    /// `authType="client"`.
    Client,
}

/// One or several equal checks of a certificate's chain (CAPI2 events 11, 30, 41, FORMATS section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChainCheck {
    /// `EventID`.
    pub event: u16,
    /// `Computer`, as written.
    pub computer: String,
    /// `ProcessName`: `lsass.exe`, `EdgeTransport.exe`.
    pub process: Option<String>,
    /// The end certificate, not one of its authorities.
    pub thumbprint: String,
    /// `subjectName`: a simple name, not a distinguished one.
    pub subject_name: Option<String>,
    /// `CERT_CHAIN_POLICY_SSL`.
    pub policy: Option<String>,
    /// `authType`.
    pub checked_as: Option<CheckedAs>,
    /// `serverName`, the name that the other side was asked for.
    pub server_name: Option<String>,
    /// `Result/@value`; 0 is good.
    pub result: u32,
    /// The result's name: `CERT_E_UNTRUSTEDROOT`.
    pub result_name: Option<String>,
    /// What Windows says about it, in its own language.
    pub result_text: Option<String>,
    /// Set bits of the trust status of event 11: `CERT_TRUST_IS_PARTIAL_CHAIN`.
    pub trust_status: Vec<String>,
    /// Thumbprints of the chain as far as Windows built it, the end certificate first (event 11).
    pub chain: Vec<String>,
    /// Equal checks that this stands for.
    pub count: u64,
    /// Time of the first.
    pub first_ms: i64,
    /// Time of the last.
    pub last_ms: i64,
}

/// An entry of a log of the Hybrid Configuration Wizard (FORMATS section 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hybrid {
    /// When, as far as its zone is known. The log has local times, and only its first line hints at the zone.
    pub time_ms: Option<i64>,
    /// The time as written.
    pub time: String,
    /// The wizard's name of the zone, if it gave one: `Coordinated Universal Time`.
    pub zone: Option<String>,
    /// What it says.
    pub entry: HybridEntry,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum HybridEntry {
    /// A row of a table that compares what is with what shall be (code 10081).
    Comparison {
        /// The table's title: `Standard Inbound Connector`.
        title: String,
        /// Whether the wizard had applied its changes by then (Phase=ValidateConfiguration).
        after: bool,
        /// The property.
        name: String,
        /// Whether both are equal.
        equals: bool,
        /// What is.
        actual: String,
        /// What shall be.
        expected: String,
    },
    /// A call that changes something: `New-InboundConnector`, `Set-SendConnector`.
    Call {
        /// The cmdlet.
        cmdlet: String,
        /// Whether it went to the tenant; otherwise it went to the organisation's own servers.
        in_tenant: Option<bool>,
        /// Its parameters in order.
        parameters: Vec<Property>,
        /// Whether it finished well; `None` if the log does not say.
        succeeded: Option<bool>,
    },
    /// A warning or an error of the wizard: `HCW8103`.
    Message {
        /// `HCW8103`, or the five-digit code of the line.
        code: String,
        /// `WARNING`, `ERROR`.
        severity: Option<String>,
        /// The text.
        text: String,
    },
}

impl ConnectorKind {
    /// The cmdlet that shows such connectors.
    pub fn cmdlet(self) -> &'static str {
        match self {
            ConnectorKind::Inbound => "Get-InboundConnector",
            ConnectorKind::Outbound => "Get-OutboundConnector",
            ConnectorKind::Send => "Get-SendConnector",
            ConnectorKind::Receive => "Get-ReceiveConnector",
        }
    }
}

impl Connector {
    /// A property's value, by its name without case.
    pub fn value(&self, name: &str) -> Option<&Value> {
        value(&self.properties, name)
    }

    /// The text of a property that is set to one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.text()
    }

    /// A property that is yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.flag()
    }
}

/// A property's value in a list of them, by its name without case.
pub fn value<'a>(properties: &'a [Property], name: &str) -> Option<&'a Value> {
    properties.iter().find(|property| property.name.eq_ignore_ascii_case(name)).map(|property| &property.value)
}

impl Value {
    /// The text, if it is one that is not empty. A list of one is its item.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) if !text.is_empty() => Some(text),
            Value::List { items, cut: false } if items.len() == 1 => Some(&items[0]),
            _ => None,
        }
    }

    /// Yes or no, also as text.
    pub fn flag(&self) -> Option<bool> {
        match self {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The items of a list; one text is a list of one, nothing a list of none.
    pub fn items(&self) -> Vec<&str> {
        match self {
            Value::Empty | Value::Flag(_) => Vec::new(),
            Value::Text(text) if text.is_empty() => Vec::new(),
            Value::Text(text) => vec![text],
            Value::List { items, .. } => items.iter().map(String::as_str).collect(),
        }
    }

    /// Whether the export left items out.
    pub fn is_cut(&self) -> bool {
        matches!(self, Value::List { cut: true, .. })
    }
}

/// Bytes as Base64 in JSON.
pub(crate) mod base64_text {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        BASE64_STANDARD.decode(&*text).map_err(D::Error::custom)
    }
}
