//! Certificates for tests: an authority that issues what it is told to, and DER by hand.

use evidence::{fact::Certificate, x509::certificate};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm, date_time_ymd,
};

/// A certificate and the key that goes with it.
pub(crate) struct Issued {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: Vec<u8>,
}

impl Issued {
    pub(crate) fn certificate(&self) -> Certificate {
        certificate(&self.der).unwrap()
    }

    pub(crate) fn thumbprint(&self) -> String {
        self.certificate().thumbprint
    }

    /// Issues a certificate for a key of its own.
    pub(crate) fn issue(&self, params: CertificateParams) -> Issued {
        self.issue_for(params, key(&PKCS_ECDSA_P256_SHA256))
    }

    /// Issues a certificate for a key that may have others.
    pub(crate) fn issue_for(&self, params: CertificateParams, key: KeyPair) -> Issued {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Issued { params, key, der }
    }
}

pub(crate) fn self_signed(params: CertificateParams) -> Issued {
    self_signed_with(params, key(&PKCS_ECDSA_P256_SHA256))
}

pub(crate) fn self_signed_with(params: CertificateParams, key: KeyPair) -> Issued {
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Issued { params, key, der }
}

pub(crate) fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

/// The same key once more.
pub(crate) fn copy(key: &KeyPair) -> KeyPair {
    KeyPair::try_from(key.serialize_der()).unwrap()
}

/// An end certificate of 2024 with this common name.
pub(crate) fn end(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    valid(params, 2024, 2025)
}

/// An authority of the years 2020 to 2039.
pub(crate) fn authority(name: &str) -> CertificateParams {
    let mut params = valid(end(name), 2020, 2040);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Valid from the first day of one year to the first of another.
pub(crate) fn valid(mut params: CertificateParams, from: i32, to: i32) -> CertificateParams {
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

/// Says where the issuer's certificate is.
pub(crate) fn with_issuer_url(mut params: CertificateParams, url: &str) -> CertificateParams {
    const ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
    const CA_ISSUERS: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 0x30, 2];
    const OCSP: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 0x30, 1];
    let description =
        |method, url: &str| element(0x30, &[element(0x06, method), element(0x86, url.as_bytes())].concat());
    let content = [description(OCSP, "http://ocsp.invalid"), description(CA_ISSUERS, url)].concat();
    params.custom_extensions.push(CustomExtension::from_oid_content(ACCESS, element(0x30, &content)));
    params
}

/// DER of an element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let header: &[u8] = match content.len() {
        0..=0x7F => &[tag, length[3]],
        0x80..=0xFF => &[tag, 0x81, length[3]],
        0x100..=0xFFFF => &[tag, 0x82, length[2], length[3]],
        _ => &[tag, 0x83, length[1], length[2], length[3]],
    };
    [header, content].concat()
}
