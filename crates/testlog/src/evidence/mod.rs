//! What lies beside the logs of a planted cause: exports, certificates, events, as administrators collect them.
//!
//! One file a shape. They all write the same [`Object`]s, so that a reader has to find the same facts in each.

pub(crate) mod capi2;
pub(crate) mod certificate;
pub(crate) mod clixml;
pub(crate) mod connectors;
pub(crate) mod csv;
pub(crate) mod hcw;
pub(crate) mod json;
pub(crate) mod list;

/// A file beside the logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceFile {
    /// Relative to the fleet's folder, with `/`.
    pub path: String,
    /// As the tool that wrote it left it.
    pub bytes: Vec<u8>,
    /// Whether it tells more of the cause than the others.
    pub is_telling: bool,
}

/// How much evidence there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvidenceLevel {
    /// Everything.
    Full,
    /// Everything but what tells most.
    Partial,
    /// Logs alone.
    None,
}

impl EvidenceLevel {
    /// The level's name.
    pub fn name(self) -> &'static str {
        match self {
            EvidenceLevel::Full => "full",
            EvidenceLevel::Partial => "partial",
            EvidenceLevel::None => "none",
        }
    }

    /// Whether a file exists at this level.
    pub(crate) fn keeps(self, file: &EvidenceFile) -> bool {
        match self {
            EvidenceLevel::Full => true,
            EvidenceLevel::Partial => !file.is_telling,
            EvidenceLevel::None => false,
        }
    }
}

/// An object of PowerShell: its type and properties in the order in which the cmdlet shows them.
pub(crate) struct Object {
    /// Full type name.
    pub(crate) type_name: &'static str,
    /// What `ToString()` says.
    pub(crate) text: String,
    pub(crate) properties: Vec<(&'static str, Value)>,
}

/// A property's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Nothing,
    Flag(bool),
    Number(i64),
    Text(String),
    /// A value of an enumeration: type, name, number.
    Choice(&'static str, &'static str, i32),
    List(Vec<String>),
    /// An object of its own: type and what it says.
    Object(&'static str, String),
    /// Several objects of one type.
    Objects(&'static str, Vec<String>),
    /// A moment, UTC.
    Time(i64),
    /// Issuer and subject, `<I>..<S>..`.
    CertificateName(String, String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// A text.
    pub(crate) fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// Several objects of one type.
    pub(crate) fn objects(kind: &'static str, items: &[&str]) -> Value {
        Value::Objects(kind, items.iter().map(|item| item.to_string()).collect())
    }

    /// A list of texts.
    pub(crate) fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| item.to_string()).collect())
    }
}

/// `<I>CN=Issuer<S>CN=Subject`, as `TlsCertificateName` shows it.
pub(crate) fn certificate_name(issuer: &str, subject: &str) -> String {
    format!("<I>{issuer}<S>{subject}")
}

/// As `Out-File` of Windows PowerShell writes it: UTF-16, little-endian, with its mark.
pub(crate) fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// UTF-8 with its mark.
pub(crate) fn utf8_with_mark(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").into_bytes()
}
