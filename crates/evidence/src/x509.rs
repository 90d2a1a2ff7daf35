//! Certificates (RFC 5280): from DER to what the store keeps of them.
//!
//! The bytes come from strangers. Their length is bounded before anything reads them; the parser descends into the
//! known fields of a certificate only, and into constructed values at most 50 deep.

use std::{error::Error, fmt};

use sha1::{Digest, Sha1};
use sha2::Sha256;
use x509_parser::{
    asn1_rs::Oid,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{
        OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519, OID_X509_COMMON_NAME,
        OID_X509_EXT_EXTENDED_KEY_USAGE,
    },
    prelude::{FromDer, X509Certificate, X509Error, X509Name},
    public_key::PublicKey,
};

use crate::{
    ber,
    fact::{Certificate, DER_BYTES_MAX},
};

mod distinguished;

use distinguished::{attribute_text, distinguished_name};

/// `id-ad-caIssuers` (RFC 5280, section 4.2.2.1): where the issuer's certificate can be had.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// `anyExtendedKeyUsage`, `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, section 4.2.1.12).
const ANY_USAGE: &str = "2.5.29.37.0";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// Why bytes are no certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateError {
    /// More than [`DER_BYTES_MAX`].
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// The bytes end within the certificate, or are no DER at all.
    Cut,
    /// Something follows the certificate.
    Trailing {
        /// Where it begins.
        offset: usize,
    },
    /// A field is not as RFC 5280 has it.
    Malformed(X509Error),
}

/// Reads one certificate from exactly its DER. Extensions that cannot be read are as if they were not there, but for
/// key usages: what cannot be read allows nothing.
pub fn certificate(der: &[u8]) -> Result<Certificate, CertificateError> {
    let parsed = parse(der)?;
    let mut certificate = Certificate {
        thumbprint: thumbprint(der),
        sha256: hex(&Sha256::digest(der)),
        subject: distinguished_name(parsed.subject()),
        issuer: distinguished_name(parsed.issuer()),
        serial: hex(parsed.raw_serial()),
        not_before_ms: parsed.validity().not_before.timestamp() * 1000,
        not_after_ms: parsed.validity().not_after.timestamp() * 1000,
        common_name: common_name(parsed.subject()),
        names: Vec::new(),
        issuer_urls: Vec::new(),
        key: key(&parsed),
        usages: None,
        is_authority: false,
        subject_key: None,
        authority_key: None,
        der: der.to_vec(),
        server: None,
        services: None,
    };
    for extension in parsed.extensions() {
        if extension.oid == OID_X509_EXT_EXTENDED_KEY_USAGE {
            certificate.usages = Some(usages(extension.value));
        }
        add_extension(&mut certificate, extension.parsed_extension());
    }
    Ok(certificate)
}

/// SHA-1 of a certificate's DER, as the logs write it.
pub fn thumbprint(der: &[u8]) -> String {
    hex(&Sha1::digest(der))
}

/// Whether a TLS client may present the certificate: it has no extended key usages, or they name clients or anything.
pub fn allows_client_auth(certificate: &Certificate) -> bool {
    allows(certificate, CLIENT_AUTH)
}

/// Whether a TLS server may present the certificate.
pub fn allows_server_auth(certificate: &Certificate) -> bool {
    allows(certificate, SERVER_AUTH)
}

/// The certificate's fields, borrowed from its DER.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > DER_BYTES_MAX {
        return Err(CertificateError::TooLong { bytes: der.len() });
    }
    let element = ber::element(der, 0).ok_or(CertificateError::Cut)?;
    if element.bytes.len() < der.len() {
        return Err(CertificateError::Trailing { offset: element.bytes.len() });
    }
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        Ok((rest, _)) => Err(CertificateError::Trailing { offset: der.len() - rest.len() }),
        Err(error) => Err(CertificateError::Malformed(error.into())),
    }
}

fn allows(certificate: &Certificate, usage: &str) -> bool {
    match &certificate.usages {
        None => true,
        Some(usages) => usages.iter().any(|allowed| allowed == usage || allowed == ANY_USAGE),
    }
}

fn add_extension(certificate: &mut Certificate, extension: &ParsedExtension<'_>) {
    match extension {
        ParsedExtension::SubjectAlternativeName(alternative) => {
            certificate.names.extend(alternative.general_names.iter().filter_map(dns_name));
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            let issuers = access.iter().filter(|access| access.access_method.to_id_string() == CA_ISSUERS);
            certificate.issuer_urls.extend(issuers.filter_map(|access| url(&access.access_location)));
        }
        ParsedExtension::BasicConstraints(constraints) => certificate.is_authority = constraints.ca,
        ParsedExtension::SubjectKeyIdentifier(key) => certificate.subject_key = Some(hex(key.0)),
        ParsedExtension::AuthorityKeyIdentifier(key) => {
            certificate.authority_key = key.key_identifier.as_ref().map(|key| hex(key.0));
        }
        _ => {}
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    }
}

fn url(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(url) => Some((*url).to_owned()),
        _ => None,
    }
}

fn usages(value: &[u8]) -> Vec<String> {
    let usages = <Vec<Oid<'_>>>::from_der(value).map(|(_, usages)| usages).unwrap_or_default();
    usages.iter().map(Oid::to_id_string).collect()
}

/// Names are encoded from the general to the specific, so the last common name is the certificate's own.
fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let names = subject.iter_attributes().filter(|attribute| *attribute.attr_type() == OID_X509_COMMON_NAME);
    names.last().map(|name| attribute_text(name.attr_value()))
}

fn key(certificate: &X509Certificate<'_>) -> String {
    let info = certificate.public_key();
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", bits(key.modulus)),
        Ok(PublicKey::EC(_)) => {
            format!("EC {}", curve(info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok())))
        }
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        // RFC 8410 has one identifier for the key and for its signatures.
        _ if info.algorithm.algorithm == OID_SIG_ED25519 => "Ed25519".to_owned(),
        _ => info.algorithm.algorithm.to_id_string(),
    }
}

fn curve(curve: Option<Oid<'_>>) -> String {
    match curve {
        None => "of its own parameters".to_owned(),
        Some(curve) if curve == OID_EC_P256 => "P-256".to_owned(),
        Some(curve) if curve == OID_NIST_EC_P384 => "P-384".to_owned(),
        Some(curve) if curve == OID_NIST_EC_P521 => "P-521".to_owned(),
        Some(curve) => curve.to_id_string(),
    }
}

/// Length of a big-endian number without the zeros before it.
pub(crate) fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    match number[zeros..].first() {
        Some(first) => 8 * (number.len() - zeros) - first.leading_zeros() as usize,
        None => 0,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::TooLong { bytes } => {
                write!(f, "{bytes} bytes of certificate, {DER_BYTES_MAX} are read at most")
            }
            CertificateError::Cut => f.write_str("the certificate is cut, or no DER"),
            CertificateError::Trailing { offset } => write!(f, "the certificate ends at byte {offset}, more follows"),
            CertificateError::Malformed(_) => f.write_str("no certificate as RFC 5280 has it"),
        }
    }
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CertificateError::Malformed(error) => Some(error),
            _ => None,
        }
    }
}
