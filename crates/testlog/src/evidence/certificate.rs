//! Certificate files: DER as the certificate console exports it, or its Base64 form (RFC 7468).

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::certificate::Certificate;

/// `-----BEGIN CERTIFICATE-----`, lines of 64 characters, CRLF.
pub(crate) fn pem(certificates: &[&Certificate]) -> Vec<u8> {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\r\n");
        let encoded = BASE64_STANDARD.encode(&certificate.der);
        for line in encoded.as_bytes().chunks(64) {
            // Base64 is ASCII.
            text.push_str(&String::from_utf8_lossy(line));
            text.push_str("\r\n");
        }
        text.push_str("-----END CERTIFICATE-----\r\n");
    }
    text.into_bytes()
}
