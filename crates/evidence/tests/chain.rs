//! Chains of certificates: complete ones, and what is told of those that are not.

#[allow(dead_code)] // Every test file uses its part of it.
mod authority;

use authority::{Issued, authority, copy, end, key, self_signed, self_signed_with, valid, with_issuer_url};
use base64::{Engine, prelude::BASE64_STANDARD};
use evidence::{
    chain::{CHECKS_MAX, Certificates, Chain, LINKS_MAX, Outcome, chain, chain_at},
    fact::Certificate,
    x509::certificate,
};
use rcgen::{DnType, DnValue, IsCa, KeyIdMethod, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd};

#[track_caller]
fn check(found: &Chain, links: &[&Issued], outcome: Outcome) {
    let expected: Vec<String> = links.iter().map(|link| link.thumbprint()).collect();
    assert_eq!((&found.links, &found.outcome), (&expected, &outcome), "{found:#?}");
}

fn known(certificates: &[&Issued]) -> Certificates {
    let mut known = Certificates::default();
    for issued in certificates {
        known.insert(issued.certificate()).unwrap();
    }
    known
}

fn missing(of: &Issued, issuer: &str, urls: &[&str]) -> Outcome {
    let urls = urls.iter().map(|url| (*url).to_owned()).collect();
    Outcome::Missing { issuer: issuer.to_owned(), urls, of: of.thumbprint() }
}

/// Midday of a year's first of July, or so.
fn july(year: i32) -> i64 {
    date_time_ymd(year, 7, 1).unix_timestamp() * 1000
}

struct Family {
    root: Issued,
    intermediate: Issued,
    leaf: Issued,
}

fn family() -> Family {
    let root = self_signed(authority("Root"));
    let intermediate = root.issue(with_issuer_url(authority("Intermediate"), "http://root.invalid/root.crt"));
    let leaf = intermediate.issue(with_issuer_url(end("mail.contoso.com"), "http://root.invalid/intermediate.crt"));
    Family { root, intermediate, leaf }
}

#[test]
fn a_chain_is_complete_if_every_issuer_is_known() {
    let Family { root, intermediate, leaf } = family();
    let known = known(&[&leaf, &root, &intermediate]);
    let found = chain(&leaf.certificate(), &known);
    check(&found, &[&leaf, &intermediate, &root], Outcome::Complete);
    assert!(found.unchecked.is_empty() && found.outside_validity.is_empty() && !found.cut);
    check(&chain(&intermediate.certificate(), &known), &[&intermediate, &root], Outcome::Complete);
    check(&chain(&root.certificate(), &known), &[&root], Outcome::SelfSigned);
}

#[test]
fn the_issuer_that_is_missing_is_named() {
    let Family { root, intermediate, leaf } = family();
    let without_intermediate = chain(&leaf.certificate(), &known(&[&root]));
    let urls = ["http://root.invalid/intermediate.crt"];
    check(&without_intermediate, &[&leaf], missing(&leaf, "CN=Intermediate", &urls));

    let without_root = chain(&leaf.certificate(), &known(&[&intermediate]));
    let urls = ["http://root.invalid/root.crt"];
    check(&without_root, &[&leaf, &intermediate], missing(&intermediate, "CN=Root", &urls));
}

#[test]
fn a_certificate_that_signed_itself_has_no_issuer_to_look_for() {
    let alone = self_signed(end("EXCH01"));
    check(&chain(&alone.certificate(), &Certificates::default()), &[&alone], Outcome::SelfSigned);
}

#[test]
fn keys_of_several_kinds() {
    let root = self_signed_with(authority("Root"), key(&PKCS_ED25519));
    let intermediate = root.issue_for(authority("Intermediate"), key(&PKCS_ECDSA_P384_SHA384));
    let leaf = intermediate.issue(end("mail.contoso.com"));
    let found = chain(&leaf.certificate(), &known(&[&root, &intermediate]));
    check(&found, &[&leaf, &intermediate, &root], Outcome::Complete);
    assert!(found.unchecked.is_empty());
}

#[test]
fn a_changed_certificate_is_told_from_a_missing_issuer() {
    let Family { root, intermediate, leaf } = family();
    let known = known(&[&root, &intermediate]);
    for (which, of) in [("end", &leaf), ("intermediate", &intermediate)] {
        let mut der = of.der.clone();
        let at = der.windows(7).position(|window| window == b"invalid").unwrap();
        der[at] ^= 0x20;
        let changed = certificate(&der).unwrap();
        let issuer = if which == "end" { &intermediate } else { &root };
        let found = chain(&changed, &known);
        let bad = Outcome::BadSignature { of: changed.thumbprint.clone(), issuer: issuer.thumbprint() };
        assert_eq!((&found.links, &found.outcome), (&vec![changed.thumbprint], &bad), "{which}");
    }
}

#[test]
fn a_changed_self_signed_certificate_is_none() {
    let alone = self_signed(end("EXCH01"));
    let mut der = alone.der.clone();
    let at = der.windows(6).rposition(|window| window == b"EXCH01").unwrap();
    der[at + 5] = b'2';
    let at = der.windows(6).position(|window| window == b"EXCH01").unwrap();
    der[at + 5] = b'2';
    let changed = certificate(&der).unwrap();
    assert_eq!((&*changed.subject, &*changed.issuer), ("CN=EXCH02", "CN=EXCH02"));
    let found = chain(&changed, &known(&[&alone]));
    let of = changed.thumbprint.clone();
    assert_eq!(found.outcome, Outcome::BadSignature { of: of.clone(), issuer: of });
}

#[test]
fn a_namesake_with_another_key_is_not_the_issuer() {
    let leaf = self_signed(authority("Root")).issue(end("mail.contoso.com"));
    let namesake = self_signed(authority("Root"));
    check(&chain(&leaf.certificate(), &known(&[&namesake])), &[&leaf], missing(&leaf, "CN=Root", &[]));
}

#[test]
fn without_key_identifiers_the_name_is_what_there_is() {
    let mut params = end("mail.contoso.com");
    params.use_authority_key_identifier_extension = false;
    let root = self_signed(authority("Root"));
    let leaf = root.issue(params);
    let namesake = self_signed(authority("Root"));
    let bad = Outcome::BadSignature { of: leaf.thumbprint(), issuer: namesake.thumbprint() };
    check(&chain(&leaf.certificate(), &known(&[&namesake])), &[&leaf], bad);
    check(&chain(&leaf.certificate(), &known(&[&namesake, &root])), &[&leaf, &root], Outcome::Complete);
}

#[test]
fn key_identifiers_that_lie_do_not_hide_the_issuer() {
    let root = self_signed(authority("Root"));
    let mut renamed = authority("Root");
    renamed.key_identifier_method = KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    let renamed = self_signed_with(renamed, copy(&root.key));
    let leaf = root.issue(end("mail.contoso.com"));
    assert_eq!(renamed.certificate().subject_key.as_deref(), Some("010203"));
    check(&chain(&leaf.certificate(), &known(&[&renamed])), &[&leaf, &renamed], Outcome::Complete);
}

#[test]
fn of_cross_signed_issuers_the_one_that_leads_to_a_known_root_counts() {
    let (known_root, other_root) = (self_signed(authority("Known")), self_signed(authority("Other")));
    let by_known = known_root.issue(valid(authority("Intermediate"), 2020, 2030));
    let by_other = other_root.issue_for(valid(authority("Intermediate"), 2020, 2039), copy(&by_known.key));
    let leaf = by_known.issue(end("mail.contoso.com"));
    let found = chain(&leaf.certificate(), &known(&[&by_other, &by_known, &known_root]));
    check(&found, &[&leaf, &by_known, &known_root], Outcome::Complete);

    let neither = chain(&leaf.certificate(), &known(&[&by_other, &by_known]));
    check(&neither, &[&leaf, &by_other], missing(&by_other, "CN=Other", &[]));
}

#[test]
fn of_complete_chains_the_one_that_is_valid_counts() {
    let old_root = self_signed(valid(authority("Old"), 2000, 2021));
    let new_root = self_signed(valid(authority("New"), 2015, 2035));
    let by_old = old_root.issue(valid(authority("Intermediate"), 2015, 2039));
    let by_new = new_root.issue_for(valid(authority("Intermediate"), 2015, 2030), copy(&by_old.key));
    let leaf = by_new.issue(valid(end("mail.contoso.com"), 2019, 2025));
    let known = known(&[&old_root, &new_root, &by_old, &by_new]);

    let leaf_certificate = leaf.certificate();
    let then = |year| chain_at(&leaf_certificate, &known, july(year));
    check(&chain(&leaf_certificate, &known), &[&leaf, &by_old, &old_root], Outcome::Complete);
    check(&then(2020), &[&leaf, &by_old, &old_root], Outcome::Complete);
    check(&then(2024), &[&leaf, &by_new, &new_root], Outcome::Complete);
    assert!(then(2024).outside_validity.is_empty());
    assert_eq!(then(2026).outside_validity, [leaf.thumbprint(), old_root.thumbprint()]);
    assert_eq!(then(2018).outside_validity, [leaf.thumbprint()]);
}

#[test]
fn who_may_not_issue_ends_the_chain() {
    let root = self_signed(authority("Root"));
    let mut no_authority = end("mail.contoso.com");
    no_authority.is_ca = IsCa::ExplicitNoCa;
    let mut no_signer = authority("Signs lists only");
    no_signer.key_usages = vec![KeyUsagePurpose::CrlSign];
    for params in [end("server.contoso.com"), no_authority, no_signer] {
        let issuer = root.issue(params);
        let leaf = issuer.issue(end("other.contoso.com"));
        let outcome = Outcome::NotAuthority { thumbprint: issuer.thumbprint() };
        check(&chain(&leaf.certificate(), &known(&[&root, &issuer])), &[&leaf, &issuer], outcome);
    }
}

#[test]
fn names_are_compared_as_they_are_encoded() {
    let root = self_signed(authority("Root"));
    let leaf = root.issue(end("mail.contoso.com"));
    let mut params = authority("Root");
    params.distinguished_name.push(DnType::CommonName, DnValue::PrintableString("Root".try_into().unwrap()));
    let printable = self_signed_with(params, copy(&root.key));
    assert_eq!(printable.certificate().subject, root.certificate().subject);
    check(&chain(&leaf.certificate(), &known(&[&printable])), &[&leaf], missing(&leaf, "CN=Root", &[]));
}

#[test]
fn authorities_that_certify_each_other_end_somewhere() {
    let (a, b) = (self_signed(authority("A")), self_signed(authority("B")));
    let a_by_b = b.issue_for(authority("A"), copy(&a.key));
    let b_by_a = a.issue_for(authority("B"), copy(&b.key));
    let leaf = a.issue(end("mail.contoso.com"));
    let found = chain(&leaf.certificate(), &known(&[&a_by_b, &b_by_a]));
    check(&found, &[&leaf, &a_by_b, &b_by_a], missing(&b_by_a, "CN=A", &[]));
}

#[test]
fn a_chain_has_an_end() {
    let mut links = vec![self_signed(authority("0"))];
    for number in 1..=LINKS_MAX {
        let issuer = links.last().unwrap();
        links.push(issuer.issue(authority(&number.to_string())));
    }
    let mut known = Certificates::default();
    for link in &links {
        known.insert(link.certificate()).unwrap();
    }
    let whole = chain(&links[LINKS_MAX - 1].certificate(), &known);
    assert_eq!((whole.links.len(), whole.outcome, whole.cut), (LINKS_MAX, Outcome::Complete, false));
    let cut = chain(&links[LINKS_MAX].certificate(), &known);
    assert_eq!((cut.links.len(), cut.outcome, cut.cut), (LINKS_MAX, missing(&links[1], "CN=0", &[]), true));
}

#[test]
fn hundreds_of_namesakes_are_not_all_tried() {
    let mut params = end("mail.contoso.com");
    params.use_authority_key_identifier_extension = false;
    let leaf = self_signed(authority("localhost")).issue(params);
    let mut known = Certificates::default();
    for _ in 0..=CHECKS_MAX {
        known.insert(self_signed(authority("localhost")).certificate()).unwrap();
    }
    assert_eq!((known.len(), known.dropped()), (CHECKS_MAX + 1, 0));
    let found = chain(&leaf.certificate(), &known);
    assert!(found.cut && matches!(found.outcome, Outcome::BadSignature { .. }), "{found:?}");
}

#[test]
fn an_algorithm_that_cannot_be_checked_is_not_wrong() {
    const WITH_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    let Family { root, intermediate, leaf } = family();
    let mut der = leaf.der.clone();
    for at in 0..der.len() - WITH_SHA256.len() {
        if der[at..].starts_with(WITH_SHA256) {
            der[at + WITH_SHA256.len() - 1] = 4; // with SHA-512
        }
    }
    let leaf = Issued { der, ..leaf };
    let found = chain(&leaf.certificate(), &known(&[&root, &intermediate]));
    check(&found, &[&leaf, &intermediate, &root], Outcome::Complete);
    assert_eq!(found.unchecked, [leaf.thumbprint()]);
}

/// `openssl req -x509 -newkey rsa:1024 -sha256`: a key too short for the check, but not a wrong signature.
const SHORT_RSA: &str = "\
    MIIB9jCCAV+gAwIBAgIUQQ7Pt971Y7H/ydQoLLGDpGx6sF0wDQYJKoZIhvcNAQELBQAwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjcwMjU1MTVaGA\
    8yMTI2MTEwMzAyNTUxNVowDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAxFTyuG7r/ov/vVcOzcGR261BlfLhV6yg\
    RAx94ehw5ULnXy0NBtdIZUg4ahZp6ir/e0WewqJrmxChJQKjcP8GBOFtTXZ4GtQ4H5yb25aFOCfFsKTIRJg1OtikZJ3BS6KIJyiqb4d1B3RE8f\
    ngBOtN24Hz3V0GinJUTeYdbRoOgV8CAwEAAaNTMFEwHQYDVR0OBBYEFCufhg+0XNgV9+41TXsJhurxONdmMB8GA1UdIwQYMBaAFCufhg+0XNgV\
    9+41TXsJhurxONdmMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEAJDOoF6i0HWZWJhQx7wJCHrm51GkxVyqKpZFLmVuyCw4wRi\
    A0bSggBtfpEhUTRis3+Y56qg9ZVNrMe6R1X+Nzqe51sG+3txzI+/Yd4Jn6kbtyYtHj1N1Zm3n1s2yrj0mQb1uX3X5NyRCeg/AWFh8GmU8zocC3\
    Yoqq+sdpFRY5iAU=";

/// Signed with RSA-PSS, SHA-256 and a salt of 20 bytes, which the check does not take.
const SHORT_SALT: &str = "\
    MIIDWTCCAhKgAwIBAgIUCZdKVp8dzxG+riA9j0hLJZHZ810wPAYJKoZIhvcNAQEKMC+gDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCD\
    ANBglghkgBZQMEAgEFADAMMQowCAYDVQQDDAFhMCAXDTI2MTEyNzAyNTUxNloYDzIxMjYxMTAzMDI1NTE2WjAMMQowCAYDVQQDDAFhMIIBIjAN\
    BgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA60iw16jT1A8J1kGU/o0y4WJfuwzp+QWSo+s8bhIfFRVcJOxyfS5RqkTt2O7oLdVYVpXjUQZake\
    MpEK/+wlONhFeiBAk5TaUl1lVSDv5u0b1dC4jUUtXDFFcOJ8fpX3D0tQIXLlFkc8Ior/3RX68J/N93nqCv4670UZuUgFlrYO9OrzdOb/W3dvN2\
    5hLF8UqhdX08vLNzqZbXONB+8eYhLKbX1+aidW7TV/xkS8ppbho/v8wI8pJ3qFdyrqvimzvSuTevqApuW1Nr/ZYgGcpN41C0RaJjfsy4ivJD+n\
    ohA2cAfXnJAI/aUSCUQXXCX1rA0ZcM/Uj8eC2eG4xVMA7G7wIDAQABo1MwUTAdBgNVHQ4EFgQU8OA2dfTWtcJLpizCeZ7LFhsM6D0wHwYDVR0j\
    BBgwFoAU8OA2dfTWtcJLpizCeZ7LFhsM6D0wDwYDVR0TAQH/BAUwAwEB/zA8BgkqhkiG9w0BAQowL6APMA0GCWCGSAFlAwQCAQUAoRwwGgYJKo\
    ZIhvcNAQEIMA0GCWCGSAFlAwQCAQUAA4IBAQAjgc8alAqdBaGrTjo2Hnvwwpfs34r3Ktom+7M+InzWCAQdDPW9WrD7T9MDmfEAIofOu6uu0Woi\
    XZeI3L0ZFyqz5yf40L5ayDPzW3F3GzCxEh+Tqn9y77kPbXGnKMSdVIFfOVOFDlcWx66mrycGHqj6xuKiWvUFMcBxR/Pr+5B+cOqi9FPEadYQhn\
    JKMd7atV8dpSVc9m1sWxJE4/q1nWw7tmuZ0SkGD3yqE2ZOwndW2erq9Wo6aXCkgxFaVCd7S2BfTasrVA2UNzP3nJa74KKNu2hjS1EL6zwRt5ea\
    B9i3k1i2LmJ+V8Fo/UXx4FTcTGf7rq74TvO2pjdz9TPxLrMH";

#[test]
fn a_key_that_the_check_does_not_take_is_not_wrong() {
    for (text, key) in [(SHORT_RSA, "RSA 1024"), (SHORT_SALT, "RSA 2048")] {
        let alone = certificate(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(alone.key, key);
        let found = chain(&alone, &Certificates::default());
        assert_eq!((found.outcome, found.unchecked), (Outcome::SelfSigned, vec![alone.thumbprint]), "{key}");
    }
}

#[test]
fn what_lies_beside_the_der_does_not_count() {
    let Family { root, intermediate, leaf } = family();
    let damaged = Certificate { der: vec![0x30, 0], ..leaf.certificate() };
    assert!(known(&[]).is_empty());
    assert!(Certificates::default().insert(damaged.clone()).is_err());
    assert_eq!(chain(&damaged, &known(&[&root, &intermediate])).outcome, Outcome::Unreadable);

    let mut known = known(&[&root, &root]);
    assert_eq!(known.len(), 1);
    known.insert(Certificate { subject: "CN=Intermediate".to_owned(), ..root.certificate() }).unwrap();
    assert_eq!(known.find(&root.thumbprint()).map(|found| &*found.subject), Some("CN=Root"));
    assert_eq!(known.find(&leaf.thumbprint()), None);
}
