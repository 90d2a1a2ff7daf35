//! The names of an event's elements and attributes that matter here.
//!
//! Compared once, when a name is read: a log repeats a few hundred names millions of times.

/// A name of an element or an attribute. What stands where is told by names that lie around it (see `event.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    // Of every event, below `System`.
    Provider,
    EventId,
    TimeCreated,
    Channel,
    Computer,
    // The calls that are kept: the payload's outermost element.
    CertGetCertificateChain,
    CertVerifyCertificateChainPolicy,
    CertVerifyRevocation,
    X509Objects,
    // Below a call.
    AuthType,
    Certificate,
    CertificateChain,
    ChainElement,
    ErrorStatus,
    EventAuxInfo,
    FileRef,
    Policy,
    ProcessName,
    Result,
    ServerName,
    SslAdditionalPolicyInfo,
    SubjectName,
    TrustStatus,
    Type,
    Value,
    // Below a certificate of `X509Objects`.
    DnsName,
    Issuer,
    NotAfter,
    NotBefore,
    SerialNumber,
    Subject,
    SubjectAltName,
    // Attributes of `System`.
    Guid,
    Name,
    Time,
    /// Any other.
    Other,
}

impl Tag {
    /// The tag of a name without its namespace prefix.
    pub(super) fn of(name: &str) -> Tag {
        match name {
            "Provider" => Tag::Provider,
            "EventID" => Tag::EventId,
            "TimeCreated" => Tag::TimeCreated,
            "Channel" => Tag::Channel,
            "Computer" => Tag::Computer,
            "CertGetCertificateChain" => Tag::CertGetCertificateChain,
            "CertVerifyCertificateChainPolicy" => Tag::CertVerifyCertificateChainPolicy,
            "CertVerifyRevocation" => Tag::CertVerifyRevocation,
            "X509Objects" => Tag::X509Objects,
            "authType" => Tag::AuthType,
            "Certificate" => Tag::Certificate,
            "CertificateChain" => Tag::CertificateChain,
            "ChainElement" => Tag::ChainElement,
            "ErrorStatus" => Tag::ErrorStatus,
            "EventAuxInfo" => Tag::EventAuxInfo,
            "fileRef" => Tag::FileRef,
            "Policy" => Tag::Policy,
            "ProcessName" => Tag::ProcessName,
            "Result" => Tag::Result,
            "serverName" => Tag::ServerName,
            "SSLAdditionalPolicyInfo" => Tag::SslAdditionalPolicyInfo,
            "subjectName" => Tag::SubjectName,
            "TrustStatus" => Tag::TrustStatus,
            "type" => Tag::Type,
            "value" => Tag::Value,
            "DNSName" => Tag::DnsName,
            "Issuer" => Tag::Issuer,
            "NotAfter" => Tag::NotAfter,
            "NotBefore" => Tag::NotBefore,
            "SerialNumber" => Tag::SerialNumber,
            "Subject" => Tag::Subject,
            "SubjectAltName" => Tag::SubjectAltName,
            "Guid" => Tag::Guid,
            "Name" => Tag::Name,
            "SystemTime" => Tag::Time,
            _ => Tag::Other,
        }
    }

    /// Whether it is a call whose outcome is a check of one certificate.
    pub(super) fn is_check(self) -> bool {
        matches!(self, Tag::CertGetCertificateChain | Tag::CertVerifyCertificateChainPolicy | Tag::CertVerifyRevocation)
    }
}
