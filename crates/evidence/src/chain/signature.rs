//! Whether one certificate's key made the signature on another.
//!
//! Three answers: what cannot be checked (MD5, a key of 1024 bits, P-521) is not wrong.

use x509_parser::{
    oid_registry::{OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
    prelude::{X509Certificate, X509Error},
    public_key::PublicKey,
    signature_algorithm::SignatureAlgorithm,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use crate::x509::bits;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Bad,
    /// It cannot be checked.
    Unknown,
}

/// Checks the signature on `of` with the key of `issuer`.
pub(super) fn signature(of: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Signature {
    let (algorithm, key) = (&of.signature_algorithm, issuer.public_key());
    if let (Some(algorithm), Some(key)) = (family(algorithm), family(&key.algorithm))
        && algorithm != key
    {
        return Signature::Bad;
    }
    match of.verify_signature(Some(key)) {
        Ok(()) => Signature::Good,
        Err(X509Error::SignatureVerificationError) if is_supported(algorithm, key) => Signature::Bad,
        Err(_) => Signature::Unknown,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Rsa,
    Ecdsa,
    Edwards,
}

/// The family that an algorithm's identifier belongs to, be it one of keys or one of signatures.
fn family(algorithm: &AlgorithmIdentifier<'_>) -> Option<Family> {
    let id = algorithm.algorithm.to_id_string();
    match &*id {
        "1.3.101.112" | "1.3.101.113" => Some(Family::Edwards),
        _ if id.starts_with("1.2.840.113549.1.1.") => Some(Family::Rsa),
        _ if id.starts_with("1.2.840.10045.") => Some(Family::Ecdsa),
        _ => None,
    }
}

/// Whether the check can tell a wrong signature from a key that it does not take: `ring` reports both alike.
fn is_supported(algorithm: &AlgorithmIdentifier<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let is_sha1 = [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(&algorithm.algorithm);
            let bits_min = if is_sha1 { 1024 } else { 2048 };
            let exponent = rsa.try_exponent().unwrap_or(0);
            (bits_min..=8192).contains(&bits(rsa.modulus))
                && exponent % 2 == 1
                && (3..1 << 33).contains(&exponent)
                && (algorithm.algorithm != OID_PKCS1_RSASSAPSS || is_usual_pss(algorithm))
        }
        // Points may also be compressed, which `ring` does not read.
        Ok(PublicKey::EC(point)) => point.data().first() == Some(&4),
        _ => true,
    }
}

/// One hash for all, and a salt as long as the hash: what everybody uses, and all that `ring` takes.
fn is_usual_pss(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm) else {
        return false;
    };
    let hash = parameters.hash_algorithm_oid();
    let hash_bytes = match &*hash.to_id_string() {
        "2.16.840.1.101.3.4.2.1" => 32,
        "2.16.840.1.101.3.4.2.2" => 48,
        "2.16.840.1.101.3.4.2.3" => 64,
        _ => return false,
    };
    let mask = parameters.mask_gen_algorithm();
    parameters.salt_length() == hash_bytes && mask.is_ok_and(|mask| mask.hash == *hash)
}
