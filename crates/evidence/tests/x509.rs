//! Certificates read from DER: made for the test, damaged, and real ones from exports of Exchange servers.
//!
//! The exports lie beside the repository, in `../shared/samples/exports` or where `SMTPTRAIL_SAMPLES` says.

#[allow(dead_code)] // Every test file uses its part of it.
mod authority;

use std::{error::Error, path::Path};

use authority::{authority, element, end, key, self_signed, self_signed_with, with_issuer_url};
use base64::{Engine, prelude::BASE64_STANDARD};
use evidence::{
    fact::{Certificate, DER_BYTES_MAX},
    x509::{CertificateError, allows_client_auth, allows_server_auth, certificate, thumbprint},
};
use proptest::prelude::*;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    SanType, SerialNumber, date_time_ymd,
};
use sha1::{Digest, Sha1};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn the_fields_of_a_certificate() {
    let root = self_signed(authority("Root"));
    let mut params = with_issuer_url(end("mail.contoso.com"), "http://root.invalid/root.crt");
    params.distinguished_name.push(DnType::OrganizationName, "Contoso, Ltd.");
    params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xF0, 0x0D]));
    params.subject_alt_names = vec![
        SanType::DnsName("mail.contoso.com".try_into().unwrap()),
        SanType::Rfc822Name("postmaster@contoso.com".try_into().unwrap()),
        SanType::DnsName("*.contoso.com".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = root.issue(params);
    let found = leaf.certificate();

    let expected = Certificate {
        thumbprint: hex(&Sha1::digest(&leaf.der)),
        sha256: hex(&sha2::Sha256::digest(&leaf.der)),
        subject: "O=\"Contoso, Ltd.\", CN=mail.contoso.com".to_owned(),
        issuer: "CN=Root".to_owned(),
        serial: "00F00D".to_owned(),
        not_before_ms: date_time_ymd(2024, 1, 1).unix_timestamp() * 1000,
        not_after_ms: date_time_ymd(2025, 1, 1).unix_timestamp() * 1000,
        common_name: Some("mail.contoso.com".to_owned()),
        names: vec!["mail.contoso.com".to_owned(), "*.contoso.com".to_owned()],
        issuer_urls: vec!["http://root.invalid/root.crt".to_owned()],
        key: "EC P-256".to_owned(),
        usages: Some(vec!["1.3.6.1.5.5.7.3.1".to_owned(), "1.3.6.1.5.5.7.3.2".to_owned()]),
        is_authority: false,
        subject_key: found.subject_key.clone(),
        authority_key: root.certificate().subject_key,
        der: leaf.der.clone(),
        server: None,
        services: None,
    };
    assert_eq!(found, expected);
    assert!(root.certificate().is_authority && root.certificate().subject_key.is_some());

    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Certificate>(&json).unwrap(), found);
}

#[test]
fn keys() {
    for (algorithm, expected) in
        [(&PKCS_ECDSA_P256_SHA256, "EC P-256"), (&PKCS_ECDSA_P384_SHA384, "EC P-384"), (&PKCS_ED25519, "Ed25519")]
    {
        assert_eq!(self_signed_with(end("a"), key(algorithm)).certificate().key, expected);
    }
}

#[test]
fn a_certificate_without_a_subject_has_its_names() {
    let mut params = CertificateParams::new(vec!["mail.contoso.com".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let found = self_signed(params).certificate();
    assert_eq!((&*found.subject, found.common_name), ("", None));
    assert_eq!(found.names, ["mail.contoso.com"]);
}

#[track_caller]
fn check_usages(usages: &[ExtendedKeyUsagePurpose], client: bool, server: bool) {
    let mut params = end("mail.contoso.com");
    params.extended_key_usages = usages.to_vec();
    let found = self_signed(params).certificate();
    assert_eq!((allows_client_auth(&found), allows_server_auth(&found)), (client, server), "{:?}", found.usages);
}

#[test]
fn who_may_present_a_certificate() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    check_usages(&[], true, true);
    check_usages(&[Any], true, true);
    check_usages(&[ServerAuth], false, true);
    check_usages(&[ClientAuth], true, false);
    check_usages(&[ServerAuth, ClientAuth], true, true);
    check_usages(&[CodeSigning], false, false);
}

#[test]
fn usages_that_cannot_be_read_allow_nothing() {
    let mut params = end("mail.contoso.com");
    let damaged = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x04, 1, 9]);
    params.custom_extensions.push(damaged);
    let found = self_signed(params).certificate();
    assert_eq!(found.usages, Some(Vec::new()));
    assert!(!allows_client_auth(&found) && !allows_server_auth(&found));
}

#[track_caller]
fn check_error(der: &[u8], expected: CertificateError, text: &str) {
    let error = certificate(der).unwrap_err();
    assert_eq!((&error, &*error.to_string()), (&expected, text));
    assert_eq!(error.source().is_some(), matches!(error, CertificateError::Malformed(_)));
}

#[test]
fn what_is_no_certificate() {
    let der = self_signed(end("a")).der;
    let length = der.len();
    check_error(&[], CertificateError::Cut, "the certificate is cut, or no DER");
    check_error(&der[..length - 1], CertificateError::Cut, "the certificate is cut, or no DER");
    let text = format!("the certificate ends at byte {length}, more follows");
    check_error(&[&*der, b"\n"].concat(), CertificateError::Trailing { offset: length }, &text);
    let text = "65537 bytes of certificate, 65536 are read at most";
    check_error(&[0x30; DER_BYTES_MAX + 1], CertificateError::TooLong { bytes: DER_BYTES_MAX + 1 }, text);
    let error = certificate(&element(0x30, &element(0x30, &[]))).unwrap_err();
    assert!(matches!(error, CertificateError::Malformed(_)) && error.source().is_some());
}

/// Places of a certificate at which a value of any depth can stand.
const DEEP_PLACES: [&str; 5] = ["certificate", "inside", "parameters", "name", "extension"];

/// Extensions whose content is read (RFC 5280, section 4.2): alternative names, constraints, policies and more.
const EXTENSIONS: [&[u8]; 9] = [
    &[0x55, 29, 14],
    &[0x55, 29, 17],
    &[0x55, 29, 19],
    &[0x55, 29, 30],
    &[0x55, 29, 31],
    &[0x55, 29, 32],
    &[0x55, 29, 35],
    &[0x55, 29, 37],
    &[0x2B, 6, 1, 5, 5, 7, 1, 1],
];

/// A certificate with `deep` at one place.
fn certificate_with(deep: &[u8], place: &str, extension: &[u8]) -> Vec<u8> {
    let at = |this: &str, usual: &[u8]| if place == this { deep.to_vec() } else { usual.to_vec() };
    let algorithm = element(0x30, &[element(0x06, &[0x2A, 3]), at("parameters", &[0x05, 0])].concat());
    let attribute = [element(0x06, &[0x55, 4, 3]), at("name", &element(0x0C, b"a"))].concat();
    let name = element(0x30, &element(0x31, &element(0x30, &attribute)));
    let validity = element(0x30, &element(0x17, b"240101000000Z").repeat(2));
    let key = element(0x30, &[algorithm.clone(), element(0x03, &[0, 1])].concat());
    let extension = element(0x30, &[element(0x06, extension), element(0x04, &at("extension", &[0x30, 0]))].concat());
    let extensions = element(0xA3, &element(0x30, &extension));
    let fields = [
        element(0xA0, &[0x02, 1, 2]),
        element(0x02, &[1]),
        algorithm.clone(),
        name.clone(),
        validity,
        name,
        key,
        extensions,
    ];
    let to_be_signed = at("inside", &fields.concat());
    element(0x30, &at("certificate", &[element(0x30, &to_be_signed), algorithm, element(0x03, &[0, 1])].concat()))
}

/// A value in a value, as deep as the largest certificate allows that has it in three places.
fn nested(tags: &[u8], indefinite: bool) -> Vec<u8> {
    if indefinite {
        let open: Vec<u8> = tags.iter().cycle().take(5_000).flat_map(|&tag| [tag, 0x80]).collect();
        return [open, vec![0; 10_000]].concat();
    }
    let mut value = vec![0x05, 0];
    for &tag in tags.iter().cycle().take(5_000) {
        value = element(tag, &value);
    }
    value
}

#[test]
fn depth_costs_no_stack() {
    let depths =
        [nested(&[0x30], true), nested(&[0xA0, 0x30], true), nested(&[0x30], false), nested(&[0xA4, 0x30], false)];
    // What the parser needs at its known depth, and far less than 5,000 frames would take.
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let mut read = 0;
        for deep in &depths {
            for place in DEEP_PLACES {
                for extension in EXTENSIONS {
                    let der = certificate_with(deep, place, extension);
                    assert!(der.len() <= DER_BYTES_MAX, "{}", der.len());
                    read += usize::from(certificate(&der).is_ok());
                }
            }
        }
        read
    });
    assert!(thread.unwrap().join().unwrap() > 0, "an extension that cannot be read is no reason to refuse");
    assert!(certificate(&certificate_with(&[], "nowhere", EXTENSIONS[0])).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_a_certificate_or_not(bytes: Vec<u8>) {
        if let Ok(found) = certificate(&bytes) {
            prop_assert_eq!(found.thumbprint, hex(&Sha1::digest(&bytes)));
        }
    }

    #[test]
    fn a_changed_certificate_has_another_thumbprint(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut der = REAL.with(Vec::clone);
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        if is_cut {
            der.truncate(cut.index(der.len()));
        }
        prop_assert_eq!(thumbprint(&der), hex(&Sha1::digest(&der)));
        if let Ok(found) = certificate(&der) {
            prop_assert_eq!(&found.thumbprint, &hex(&Sha1::digest(&der)));
            prop_assert_eq!(found.der, der);
        }
    }
}

thread_local! {
    /// One with all that is read.
    static REAL: Vec<u8> = {
        let mut params = with_issuer_url(authority("Root"), "http://root.invalid/root.crt");
        params.subject_alt_names = vec![SanType::DnsName("mail.contoso.com".try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self_signed(params).der
    };
}

/// What `Export-Clixml` wrote for a certificate: its DER, and the text that .NET shows for it.
struct Exported {
    der: Vec<u8>,
    text: String,
}

/// Every certificate of the text: `RawData` follows its `ToString`, or stands before it.
fn exported(export: &str) -> Vec<Exported> {
    let mut found: Vec<Exported> = Vec::new();
    let texts = between(export, "<ToString>[Subject]", "</ToString>");
    let data = between(export, "<BA N=\"RawData\">", "</BA>");
    assert_eq!(texts.len(), data.len());
    for (text, data) in texts.into_iter().zip(data) {
        found.push(Exported { der: BASE64_STANDARD.decode(data).unwrap(), text: format!("[Subject]{text}") });
    }
    found
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split_once(end)).map(|(inside, _)| inside).collect()
}

/// What stands below `[Thumbprint]` in .NET's text.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    const LINE_END: &str = "_x000D__x000A_";
    let (_, rest) = text.split_once(&format!("[{name}]{LINE_END}")).unwrap();
    rest.split_once(LINE_END).unwrap().0.trim()
}

#[test]
fn certificates_of_real_exports_are_as_dot_net_prints_them() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, Into::into).join("exports");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no samples at {}; set SMTPTRAIL_SAMPLES to read them", folder.display());
        return;
    };
    let mut read = 0;
    for path in
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "clixml"))
    {
        for Exported { der, text } in exported(&std::fs::read_to_string(&path).unwrap()) {
            let found = certificate(&der).unwrap();
            for (name, value) in [
                ("Thumbprint", &found.thumbprint),
                ("Subject", &found.subject),
                ("Issuer", &found.issuer),
                ("Serial Number", &found.serial),
            ] {
                assert_eq!(value, field(&text, name), "{name} in {}", path.display());
            }
            assert_eq!(found.key, "RSA 2048", "{}", path.display());
            assert!(found.not_before_ms < found.not_after_ms);
            read += 1;
        }
    }
    assert_eq!(read, 12);
}
