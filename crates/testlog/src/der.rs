//! Certificates that exist: DER (RFC 5280) under a small authority, signed with keys that follow from the seed.
//!
//! Ed25519 (RFC 8032) throughout: its keys are any 32 bytes and its signatures have no random part, so equal plans give
//! equal certificates. The logs of a planted cause show the true thumbprints of these.

use std::{fmt, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};
use sha1::{Digest, Sha1};

use crate::{
    certificate::Certificate,
    clock::{DAY_MS, SECOND_MS},
    rng::Rng,
};

/// A distinguished name: attributes and values in the order in which .NET prints them, which is the reverse of the
/// order in which they are encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name(Vec<(&'static str, String)>);

impl Name {
    /// A name of `(attribute, value)`; the attributes are `CN`, `OU`, `O`, `L`, `S` and `C`.
    pub(crate) fn new(parts: &[(&'static str, &str)]) -> Name {
        Name(parts.iter().map(|(attribute, value)| (*attribute, value.to_string())).collect())
    }

    fn encoded(&self) -> DistinguishedName {
        let mut encoded = DistinguishedName::new();
        for (attribute, value) in self.0.iter().rev() {
            let kind = match *attribute {
                "OU" => DnType::OrganizationalUnitName,
                "O" => DnType::OrganizationName,
                "L" => DnType::LocalityName,
                "S" => DnType::StateOrProvinceName,
                "C" => DnType::CountryName,
                _ => DnType::CommonName,
            };
            // RFC 5280, appendix A: a country is a PrintableString of two letters.
            let printable = value.as_str().try_into().ok().filter(|_| *attribute == "C");
            encoded.push(kind, printable.map_or_else(|| DnValue::from(value.as_str()), DnValue::PrintableString));
        }
        encoded
    }
}

impl fmt::Display for Name {
    /// As .NET writes it: a value with a separator is quoted, and its quotes are doubled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (turn, (attribute, value)) in self.0.iter().enumerate() {
            let comma = if turn == 0 { "" } else { ", " };
            match value.contains([',', '+', '=', '"', '<', '>', '#', ';', '\n']) {
                true => write!(f, "{comma}{attribute}=\"{}\"", value.replace('"', "\"\""))?,
                false => write!(f, "{comma}{attribute}={value}")?,
            }
        }
        Ok(())
    }
}

/// What a certificate may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Usages {
    /// Both sides of TLS.
    ServerAndClient,
    /// The server's side only.
    ServerOnly,
}

/// A certificate to be made.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) subject: Name,
    /// Alternate names.
    pub(crate) names: Vec<String>,
    /// Begin and end of validity, in whole seconds.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) usages: Usages,
}

/// An authority that signs.
pub(crate) struct Authority {
    name: Name,
    /// Where its own certificate can be fetched, which certificates that it signs tell.
    url: String,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) certificate: Certificate,
}

impl Authority {
    /// An authority that signs itself, valid from nine years before `at`.
    pub(crate) fn root(rng: &mut Rng, name: Name, url: &str, at: i64) -> Authority {
        let (key, serial) = (key(rng), serial(rng));
        let parameters = authority_parameters(&name, &serial, at - 9 * 365 * DAY_MS, 25 * 365);
        // Ed25519 signs anything, and all that is encoded is ASCII.
        let signed = parameters.self_signed(&key).expect("an authority of constant names can be encoded");
        let certificate = logged(&parameters, signed.der(), (&name, &name), &serial, Vec::new());
        Authority { issuer: Issuer::new(parameters, key), name, url: url.into(), certificate }
    }

    /// An authority under this one, valid from two years before `at`.
    pub(crate) fn intermediate(&self, rng: &mut Rng, name: Name, url: &str, at: i64) -> Authority {
        let (key, serial) = (key(rng), serial(rng));
        let mut parameters = authority_parameters(&name, &serial, at - 2 * 365 * DAY_MS, 10 * 365);
        parameters.use_authority_key_identifier_extension = true;
        parameters.custom_extensions.push(issuer_address(&self.url));
        // As above.
        let signed = parameters.signed_by(&key, &self.issuer).expect("an authority of constant names can be encoded");
        let certificate = logged(&parameters, signed.der(), (&name, &self.name), &serial, Vec::new());
        Authority { issuer: Issuer::new(parameters, key), name, url: url.into(), certificate }
    }

    /// A certificate signed by this authority.
    pub(crate) fn issue(&self, rng: &mut Rng, request: &Request) -> Certificate {
        let (key, serial) = (key(rng), serial(rng));
        let mut parameters = parameters(request, &serial);
        parameters.use_authority_key_identifier_extension = true;
        parameters.custom_extensions.push(issuer_address(&self.url));
        let list = self.url.replace(".crt", ".crl");
        parameters.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list] }];
        // As above.
        let signed = parameters.signed_by(&key, &self.issuer).expect("a certificate of ASCII names can be encoded");
        logged(&parameters, signed.der(), (&request.subject, &self.name), &serial, request.names.clone())
    }
}

/// A certificate that signs itself, as Exchange makes one at setup.
pub(crate) fn self_signed(rng: &mut Rng, request: &Request) -> Certificate {
    let (key, serial) = (key(rng), serial(rng));
    let parameters = parameters(request, &serial);
    // As above.
    let signed = parameters.self_signed(&key).expect("a certificate of ASCII names can be encoded");
    logged(&parameters, signed.der(), (&request.subject, &request.subject), &serial, request.names.clone())
}

fn parameters(request: &Request, serial: &[u8]) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = request.subject.encoded();
    parameters.serial_number = Some(SerialNumber::from_slice(serial));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + seconds(request.not_before);
    parameters.not_after = epoch + seconds(request.not_after);
    let names = request.names.iter().filter_map(|name| name.as_str().try_into().ok());
    parameters.subject_alt_names = names.map(SanType::DnsName).collect();
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = match request.usages {
        Usages::ServerAndClient => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Usages::ServerOnly => vec![ExtendedKeyUsagePurpose::ServerAuth],
    };
    parameters
}

fn authority_parameters(name: &Name, serial: &[u8], not_before: i64, days: i64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name.encoded();
    parameters.serial_number = Some(SerialNumber::from_slice(serial));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + seconds(not_before);
    parameters.not_after = epoch + seconds(not_before + days * DAY_MS);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// What logs show of a certificate that was signed.
fn logged(
    parameters: &CertificateParams,
    der: &[u8],
    (subject, issuer): (&Name, &Name),
    serial: &[u8],
    names: Vec<String>,
) -> Certificate {
    // A DER integer is signed: a first bit that is set has an octet 00 before it, and .NET prints that, too.
    let sign = if serial[0] >= 0x80 { "00" } else { "" };
    Certificate {
        subject: subject.to_string(),
        issuer: issuer.to_string(),
        serial: format!("{sign}{}", hex(serial)),
        thumbprint: hex(&Sha1::digest(der)),
        not_before: parameters.not_before.unix_timestamp() * SECOND_MS,
        not_after: parameters.not_after.unix_timestamp() * SECOND_MS,
        names,
        der: der.to_vec(),
    }
}

/// PKCS#8 (RFC 8410, section 7) of a key that is 32 random bytes.
fn key(rng: &mut Rng) -> KeyPair {
    const HEAD: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let mut pkcs8 = HEAD.to_vec();
    (0..4).for_each(|_| pkcs8.extend(rng.bits().to_be_bytes()));
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &PKCS_ED25519);
    // The head is constant, and every 32 bytes are a key.
    key.expect("a key of 32 bytes under a constant head can be read")
}

/// Sixteen bytes of which the first is not 0.
fn serial(rng: &mut Rng) -> Vec<u8> {
    let mut serial = [rng.bits().to_be_bytes(), rng.bits().to_be_bytes()].concat();
    serial[0] |= 1;
    serial
}

/// Whole seconds since 1970.
fn seconds(ms: i64) -> Duration {
    Duration::from_secs((ms / SECOND_MS).max(0) as u64)
}

/// Authority information access (RFC 5280, section 4.2.2.1) with one `caIssuers` address.
fn issuer_address(url: &str) -> CustomExtension {
    const AUTHORITY_INFORMATION_ACCESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    const CA_ISSUERS: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    // Addresses are constants of fewer than 100 bytes, so one octet holds every length.
    let tagged = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let location = tagged(0x86, url.as_bytes());
    let description = tagged(0x30, &[&CA_ISSUERS[..], &location].concat());
    CustomExtension::from_oid_content(&AUTHORITY_INFORMATION_ACCESS, tagged(0x30, &description))
}

/// Upper-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
