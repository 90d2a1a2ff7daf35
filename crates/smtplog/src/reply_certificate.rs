//! The certificate that a refusal names: Microsoft 365 says at times which one it was shown, and what it thinks of it.
//!
//! `550 5.7.64 TenantAttribution; Relay Access Denied mail.contoso.com is untrustedroot.` (FORMATS 2.1). Where the log
//! itself has no certificates, as the SMTP service of IIS has none, this is all that is known of them.

/// What a chain's check can say (FORMATS 1.6), as replies write it.
const STATES: &[&str] = &[
    "untrustedroot",
    "untrustedtestroot",
    "internalchainfailure",
    "certificateexpired",
    "certificaterevoked",
    "revoked",
    "revocationfailure",
    "revocationoffline",
    "norevocationcheck",
    "signaturefailure",
    "subjectmismatch",
    "nocnmatch",
    "wrongusage",
    "wrongrole",
    "purposeerror",
    "validityperiodnesting",
    "basicconstraintserror",
    "emptycertificate",
];

/// The certificate that a reply's text names, and what is wrong with it: `("mail.contoso.com", "untrustedroot")`.
pub fn reply_certificate_name(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split_whitespace();
    let mut name = words.next()?;
    let mut verb = words.next()?;
    for word in words {
        let state = word.trim_end_matches(['.', ',', ';']);
        let is_state = STATES.iter().any(|known| known.eq_ignore_ascii_case(state));
        if verb.eq_ignore_ascii_case("is") && is_state {
            return Some((name, state));
        }
        (name, verb) = (verb, word);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        assert_eq!(reply_certificate_name(text), expected, "{text:?}");
    }

    #[test]
    fn names_and_states() {
        check("Relay Access Denied  localservername is untrustedroot. ", Some(("localservername", "untrustedroot")));
        check(
            "Denied mail.contoso.com is CertificateExpired [AM1.example]",
            Some(("mail.contoso.com", "CertificateExpired")),
        );
        check("this is that, a is b, *.contoso.com is revoked", Some(("*.contoso.com", "revoked")));
        check("Mail from 192.0.2.1 is refused.", None);
        check("is untrustedroot.", None);
        check("untrustedroot", None);
        check("", None);
    }
}
