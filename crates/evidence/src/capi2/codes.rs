//! Names of the results and of the trust status bits that CAPI2 writes as numbers (FORMATS sections 1.6 and 3).
//!
//! The text beside a result is in the server's language, so it is the number that says what happened.

/// What a result is called; `None` for 0, which is good, and for numbers that certificate checks do not give.
pub(super) fn result_name(result: u32) -> Option<&'static str> {
    let at = RESULTS.binary_search_by_key(&result, |(code, _)| *code).ok()?;
    Some(RESULTS[at].1)
}

/// The names of the bits that are set in an `ErrorStatus`, lowest first. A bit without a name is shown as its number.
pub(super) fn trust_status(mask: u32) -> impl Iterator<Item = String> {
    let set = (0..u32::BITS).map(|bit| 1 << bit).filter(move |bit| mask & bit != 0);
    set.map(|bit| match TRUST_STATUS.iter().find(|(known, _)| *known == bit) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{bit:X}"),
    })
}

/// Sorted, for they are searched by halves.
const RESULTS: &[(u32, &str)] = &[
    (0x0000_0057, "ERROR_INVALID_PARAMETER"),
    (0x0000_05B4, "ERROR_TIMEOUT"),
    (0x8009_0302, "SEC_E_UNSUPPORTED_FUNCTION"),
    (0x8009_0304, "SEC_E_INTERNAL_ERROR"),
    (0x8009_0308, "SEC_E_INVALID_TOKEN"),
    (0x8009_030C, "SEC_E_LOGON_DENIED"),
    (0x8009_030D, "SEC_E_UNKNOWN_CREDENTIALS"),
    (0x8009_030E, "SEC_E_NO_CREDENTIALS"),
    (0x8009_030F, "SEC_E_MESSAGE_ALTERED"),
    (0x8009_0317, "SEC_E_CONTEXT_EXPIRED"),
    (0x8009_0318, "SEC_E_INCOMPLETE_MESSAGE"),
    (0x8009_0322, "SEC_E_WRONG_PRINCIPAL"),
    (0x8009_0325, "SEC_E_UNTRUSTED_ROOT"),
    (0x8009_0326, "SEC_E_ILLEGAL_MESSAGE"),
    (0x8009_0327, "SEC_E_CERT_UNKNOWN"),
    (0x8009_0328, "SEC_E_CERT_EXPIRED"),
    (0x8009_0331, "SEC_E_ALGORITHM_MISMATCH"),
    (0x8009_0349, "SEC_E_CERT_WRONG_USAGE"),
    (0x8009_2004, "CRYPT_E_NOT_FOUND"),
    (0x8009_2010, "CRYPT_E_REVOKED"),
    (0x8009_2011, "CRYPT_E_NO_REVOCATION_DLL"),
    (0x8009_2012, "CRYPT_E_NO_REVOCATION_CHECK"),
    (0x8009_2013, "CRYPT_E_REVOCATION_OFFLINE"),
    (0x8009_2014, "CRYPT_E_NOT_IN_REVOCATION_DATABASE"),
    (0x8009_6004, "TRUST_E_CERT_SIGNATURE"),
    (0x8009_6005, "TRUST_E_TIME_STAMP"),
    (0x8009_6010, "TRUST_E_BAD_DIGEST"),
    (0x8009_6019, "TRUST_E_BASIC_CONSTRAINTS"),
    (0x8009_601E, "TRUST_E_FINANCIAL_CRITERIA"),
    (0x800B_0004, "TRUST_E_SUBJECT_NOT_TRUSTED"),
    (0x800B_0100, "TRUST_E_NOSIGNATURE"),
    (0x800B_0101, "CERT_E_EXPIRED"),
    (0x800B_0102, "CERT_E_VALIDITYPERIODNESTING"),
    (0x800B_0103, "CERT_E_ROLE"),
    (0x800B_0104, "CERT_E_PATHLENCONST"),
    (0x800B_0105, "CERT_E_CRITICAL"),
    (0x800B_0106, "CERT_E_PURPOSE"),
    (0x800B_0107, "CERT_E_ISSUERCHAINING"),
    (0x800B_0108, "CERT_E_MALFORMED"),
    (0x800B_0109, "CERT_E_UNTRUSTEDROOT"),
    (0x800B_010A, "CERT_E_CHAINING"),
    (0x800B_010B, "TRUST_E_FAIL"),
    (0x800B_010C, "CERT_E_REVOKED"),
    (0x800B_010D, "CERT_E_UNTRUSTEDTESTROOT"),
    (0x800B_010E, "CERT_E_REVOCATION_FAILURE"),
    (0x800B_010F, "CERT_E_CN_NO_MATCH"),
    (0x800B_0110, "CERT_E_WRONG_USAGE"),
    (0x800B_0111, "TRUST_E_EXPLICIT_DISTRUST"),
    (0x800B_0112, "CERT_E_UNTRUSTEDCA"),
    (0x800B_0113, "CERT_E_INVALID_POLICY"),
    (0x800B_0114, "CERT_E_INVALID_NAME"),
];

/// `dwErrorStatus` of `CERT_TRUST_STATUS`, as the Windows SDK defines it.
const TRUST_STATUS: &[(u32, &str)] = &[
    (0x0000_0001, "CERT_TRUST_IS_NOT_TIME_VALID"),
    (0x0000_0002, "CERT_TRUST_IS_NOT_TIME_NESTED"),
    (0x0000_0004, "CERT_TRUST_IS_REVOKED"),
    (0x0000_0008, "CERT_TRUST_IS_NOT_SIGNATURE_VALID"),
    (0x0000_0010, "CERT_TRUST_IS_NOT_VALID_FOR_USAGE"),
    (0x0000_0020, "CERT_TRUST_IS_UNTRUSTED_ROOT"),
    (0x0000_0040, "CERT_TRUST_REVOCATION_STATUS_UNKNOWN"),
    (0x0000_0080, "CERT_TRUST_IS_CYCLIC"),
    (0x0000_0100, "CERT_TRUST_INVALID_EXTENSION"),
    (0x0000_0200, "CERT_TRUST_INVALID_POLICY_CONSTRAINTS"),
    (0x0000_0400, "CERT_TRUST_INVALID_BASIC_CONSTRAINTS"),
    (0x0000_0800, "CERT_TRUST_INVALID_NAME_CONSTRAINTS"),
    (0x0000_1000, "CERT_TRUST_HAS_NOT_SUPPORTED_NAME_CONSTRAINT"),
    (0x0000_2000, "CERT_TRUST_HAS_NOT_DEFINED_NAME_CONSTRAINT"),
    (0x0000_4000, "CERT_TRUST_HAS_NOT_PERMITTED_NAME_CONSTRAINT"),
    (0x0000_8000, "CERT_TRUST_HAS_EXCLUDED_NAME_CONSTRAINT"),
    (0x0001_0000, "CERT_TRUST_IS_PARTIAL_CHAIN"),
    (0x0002_0000, "CERT_TRUST_CTL_IS_NOT_TIME_VALID"),
    (0x0004_0000, "CERT_TRUST_CTL_IS_NOT_SIGNATURE_VALID"),
    (0x0008_0000, "CERT_TRUST_CTL_IS_NOT_VALID_FOR_USAGE"),
    (0x0010_0000, "CERT_TRUST_HAS_WEAK_SIGNATURE"),
    (0x0020_0000, "CERT_TRUST_HAS_WEAK_HYGIENE"),
    (0x0100_0000, "CERT_TRUST_IS_OFFLINE_REVOCATION"),
    (0x0200_0000, "CERT_TRUST_NO_ISSUANCE_CHAIN_POLICY"),
    (0x0400_0000, "CERT_TRUST_IS_EXPLICIT_DISTRUST"),
    (0x0800_0000, "CERT_TRUST_HAS_NOT_SUPPORTED_CRITICAL_EXT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_sorted() {
        assert!(RESULTS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn results_have_names() {
        for (result, name) in [
            (0, None),
            (0x800B_0109, Some("CERT_E_UNTRUSTEDROOT")),
            (0x800B_010A, Some("CERT_E_CHAINING")),
            (0x8009_2010, Some("CRYPT_E_REVOKED")),
            (0x8009_0325, Some("SEC_E_UNTRUSTED_ROOT")),
            (0x8009_0326, Some("SEC_E_ILLEGAL_MESSAGE")),
            (0x8009_030D, Some("SEC_E_UNKNOWN_CREDENTIALS")),
            (0xFFFF_FFFF, None),
        ] {
            assert_eq!(result_name(result), name, "{result:X}");
        }
    }

    #[track_caller]
    fn check_trust(mask: u32, expected: &[&str]) {
        assert_eq!(trust_status(mask).collect::<Vec<_>>(), expected, "{mask:X}");
    }

    #[test]
    fn trust_status_has_a_name_a_bit() {
        check_trust(0, &[]);
        check_trust(0x40, &["CERT_TRUST_REVOCATION_STATUS_UNKNOWN"]);
        check_trust(0x1_0020, &["CERT_TRUST_IS_UNTRUSTED_ROOT", "CERT_TRUST_IS_PARTIAL_CHAIN"]);
        check_trust(0x8000_0001, &["CERT_TRUST_IS_NOT_TIME_VALID", "80000000"]);
    }
}
