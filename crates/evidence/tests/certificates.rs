//! Files of certificates: which forms are read, what is passed over, and where damage is.

#[allow(dead_code)] // Every test file uses its part of it.
mod authority;

use std::{fmt::Write, sync::LazyLock};

use authority::{authority, element, end, self_signed};
use base64::{Engine, prelude::BASE64_STANDARD};
use evidence::{Document, Fact, KINDS, Reading};
use proptest::prelude::*;

/// Certificates A, B and C of the tests.
static DER: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let root = self_signed(authority("Root"));
    let leaf = root.issue(end("mail.contoso.com"));
    [leaf.der, self_signed(end("EXCH01")).der, root.der]
});

fn a() -> &'static [u8] {
    &DER[0]
}

fn b() -> &'static [u8] {
    &DER[1]
}

fn c() -> &'static [u8] {
    &DER[2]
}

/// Reads the bytes if they are recognised: certificates with their offsets, what was passed, and what is wrong where.
fn read(bytes: &[u8]) -> Option<Reading> {
    let kind = KINDS.iter().find(|kind| kind.name() == "certificates").unwrap();
    let document = Document { name: "file", bytes };
    kind.recognise(&document).then(|| {
        let mut reading = Reading::default();
        kind.read(&document, &mut reading);
        reading
    })
}

/// `A@0 B@812; 1 private key; !3 the Base64 is cut`
fn summary(reading: &Reading) -> String {
    let mut summary = String::new();
    for found in &reading.found {
        let Fact::Certificate(certificate) = &found.fact else {
            panic!("{found:?}");
        };
        let number = DER.iter().position(|der| *der == certificate.der).unwrap();
        write!(summary, "{}@{} ", ["A", "B", "C"][number], found.offset).unwrap();
    }
    for (what, count) in &reading.passed {
        write!(summary, "{count} {what}; ").unwrap();
    }
    assert_eq!(reading.rejected, reading.rejections.len() as u64);
    for (offset, why) in &reading.rejections {
        write!(summary, "!{offset} {why}; ").unwrap();
    }
    summary.trim_end_matches(['!', ';', ' ']).to_owned()
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes).map(|reading| summary(&reading)).as_deref(), Some(expected));
}

#[track_caller]
fn check_none(bytes: &[u8]) {
    assert_eq!(read(bytes), None, "{}", String::from_utf8_lossy(bytes));
}

fn base64(der: &[u8], width: usize, line_end: &str) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(width).map(|line| String::from_utf8(line.to_vec()).unwrap());
    lines.map(|line| line + line_end).collect()
}

fn armour(label: &str, der: &[u8], line_end: &str) -> String {
    format!("-----BEGIN {label}-----{line_end}{}-----END {label}-----{line_end}", base64(der, 64, line_end))
}

fn pem(der: &[u8]) -> String {
    armour("CERTIFICATE", der, "\n")
}

/// Signed data with these fields behind its content.
fn container(fields: &[Vec<u8>]) -> Vec<u8> {
    const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2];
    const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
    let content = element(0x30, &element(0x06, DATA));
    let mut inside = [element(0x02, &[1]), element(0x31, &[]), content].concat();
    inside.extend(fields.concat());
    inside.extend(element(0x31, &[]));
    let outer = [element(0x06, SIGNED_DATA), element(0xA0, &element(0x30, &inside))].concat();
    element(0x30, &outer)
}

fn container_of(certificates: &[&[u8]]) -> Vec<u8> {
    container(&[element(0xA0, &certificates.concat())])
}

/// Bytes before the certificates of such a container.
fn place(container: &[u8], certificate: &[u8]) -> usize {
    container.windows(certificate.len()).position(|window| window == certificate).unwrap()
}

#[test]
fn der() {
    check(a(), "A@0");
    check(&[a(), b"\r\n"].concat(), "A@0");
    check(&[a(), &[0; 9]].concat(), "A@0");
    check(&[a(), b(), c()].concat(), &format!("A@0 B@{} C@{}", a().len(), a().len() + b().len()));
}

#[test]
fn damaged_der() {
    check(&a()[..a().len() - 1], "!0 cut, or neither a certificate nor a container of them");
    check(&a()[..32], "!0 cut, or neither a certificate nor a container of them");
    let junk = [a(), b"junk"].concat();
    check(&junk, &format!("A@0 !{} cut, or neither a certificate nor a container of them", a().len()));
    let other = [a(), &element(0x30, &[5, 0]), b()].concat();
    let (at, next) = (a().len(), a().len() + 4);
    check(&other, &format!("A@0 B@{next} !{at} neither a certificate nor a container of them"));
}

#[test]
fn pem_blocks() {
    check(pem(a()).as_bytes(), "A@0");
    let text = format!("{}{}{}", pem(a()), pem(b()), pem(c()));
    check(text.as_bytes(), &format!("A@0 B@{} C@{}", pem(a()).len(), pem(a()).len() + pem(b()).len()));
    check(text.replace('\n', "\r\n").as_bytes(), &{
        let length = |der| armour("CERTIFICATE", der, "\r\n").len();
        format!("A@0 B@{} C@{}", length(a()), length(a()) + length(b()))
    });
    let noted = format!("Bag Attributes\n  friendlyName: x\n{}\n0 s:CN=Root\n{}done", pem(a()), pem(c()));
    check(noted.as_bytes(), &format!("A@33 C@{}", 33 + pem(a()).len() + 13));
}

#[test]
fn pem_that_was_copied() {
    let one_line = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", BASE64_STANDARD.encode(a()));
    check(one_line.as_bytes(), "A@0");
    let indented = pem(a()).replace('\n', "\n\t  ");
    check(indented.as_bytes(), "A@0");
    let marks = pem(a()).replace('\n', "\u{200E}\u{A0}\n\n");
    check(marks.as_bytes(), "A@0");
    check(pem(a()).replace('=', "").as_bytes(), "A@0");
    let without_last_line = pem(a()).replace("-----END CERTIFICATE-----\n", "");
    check(without_last_line.as_bytes(), "A@0");
    let twice = format!("{without_last_line}{}", pem(b()));
    check(twice.as_bytes(), &format!("A@0 B@{}", without_last_line.len()));
}

#[test]
fn labels() {
    check(armour("X509 CERTIFICATE", a(), "\n").as_bytes(), "A@0");
    let trusted = [a(), &element(0x30, &element(0x0C, b"alias"))].concat();
    check(armour("TRUSTED CERTIFICATE", &trusted, "\n").as_bytes(), "A@0 1 trust settings");
    check(armour("PKCS7", &container_of(&[a(), c()]), "\n").as_bytes(), "A@0 C@0");
    check(armour("CERTIFICATE", &container_of(&[a(), c()]), "\n").as_bytes(), "A@0 C@0");
}

#[test]
fn keys_are_passed_over() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x,y\n\nsecret!\n-----END RSA PRIVATE KEY-----\n";
    check(format!("{key}{}", pem(a())).as_bytes(), &format!("A@{} 1 private key", key.len()));
    let keys = format!("{}{key}{}", pem(a()), armour("ENCRYPTED PRIVATE KEY", b"secret", "\n"));
    check(keys.as_bytes(), "A@0 2 private key");
    let others = [
        armour("X509 CRL", b"x", "\n"),
        armour("CERTIFICATE REQUEST", b"x", "\n"),
        armour("DH PARAMETERS", b"x", "\n"),
    ];
    let text = format!("{}{}", pem(a()), others.concat());
    check(text.as_bytes(), "A@0 1 certificate request; 1 other block; 1 revocation list");
    let container = element(0x30, &[element(0x02, &[3]), element(0x30, b"secret")].concat());
    check(&container, "1 key container");
}

#[test]
fn damaged_pem() {
    let good = pem(b());
    let at_star = 100;
    let star = good[..at_star].to_owned() + "*" + &good[at_star + 1..];
    check(
        format!("{star}{}", pem(a())).as_bytes(),
        &format!("A@{} !{at_star} a character that Base64 does not have", good.len()),
    );

    let mut lost = good.clone();
    lost.remove(200);
    lost = lost.replace('=', "");
    let reading = read(lost.as_bytes()).unwrap();
    assert_eq!((reading.found.len(), reading.rejected), (0, 1));

    let cut = &good[..400];
    check(format!("{cut}\n{}", pem(a())).as_bytes(), "A@401 !0 cut, or neither a certificate nor a container of them");
    let odd = "-----BEGIN CERTIFICATE-----\nMIICA\n-----END CERTIFICATE-----\n";
    check(odd.as_bytes(), "!33 the Base64 is cut");
    check("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".as_bytes(), "!27 no Base64");
    check("-----BEGIN CERTIFICATE-----".as_bytes(), "!27 no Base64");
    check("-----BEGIN CERTIFICATE-----AM".as_bytes(), "!0 nothing but padding");
}

#[test]
fn base64_without_armour() {
    check(BASE64_STANDARD.encode(a()).as_bytes(), "A@0");
    check(base64(a(), 64, "\r\n").as_bytes(), "A@0");
    check(format!("\n  {}\n\n{}", base64(a(), 76, "\n"), base64(c(), 76, "\n")).as_bytes(), "A@0 C@0");
    check(base64(&container_of(&[b()]), 64, "\n").as_bytes(), "B@0");
    let cut = &BASE64_STANDARD.encode(a())[..201];
    check(cut.as_bytes(), "!201 the Base64 is cut");
}

#[test]
fn utf_16() {
    for text in [format!("Certificate:\n{}{}", pem(a()), pem(b())), base64(a(), 64, "\r\n")] {
        let utf_8 = read(text.as_bytes()).unwrap();
        for (mark, encode) in
            [(&b"\xFF\xFE"[..], u16::to_le_bytes as fn(u16) -> [u8; 2]), (b"\xFE\xFF", u16::to_be_bytes)]
        {
            let bytes = [mark, &text.encode_utf16().flat_map(encode).collect::<Vec<_>>()].concat();
            let found = read(&bytes).unwrap();
            let places = |reading: &Reading| reading.found.iter().map(|found| found.offset).collect::<Vec<_>>();
            let expected: Vec<u64> = places(&utf_8).iter().map(|offset| 2 + 2 * offset).collect();
            assert_eq!((places(&found), found.rejected), (expected, 0));
        }
    }
    check(&[b"\xEF\xBB\xBF", pem(a()).as_bytes()].concat(), "A@3");
}

#[test]
fn containers() {
    let both = container_of(&[a(), c()]);
    check(&both, &format!("A@{} C@{}", place(&both, a()), place(&both, c())));
    check(&container(&[]), "1 PKCS #7 container without certificates");
    let lists = container(&[element(0xA0, b()), element(0xA1, &element(0x30, &[]).repeat(2))]);
    check(&lists, &format!("B@{} 2 revocation list", place(&lists, b())));
    let attributes = container(&[element(0xA0, &[element(0xA2, &[]), b().to_vec()].concat())]);
    check(&attributes, &format!("B@{} 1 attribute certificate", place(&attributes, b())));
}

#[test]
fn containers_whose_lengths_are_left_open() {
    let whole = container_of(&[a(), c()]);
    let places = [place(&whole, a()), place(&whole, c())];
    // The headers of all that contains the certificates become two bytes, each with its end marker.
    let mut open = [0x30, 0x80, 0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2, 0xA0, 0x80, 0x30, 0x80].to_vec();
    open.extend([element(0x02, &[1]), element(0x31, &[]), vec![0x30, 0x80, 0x06, 1, 0x2A, 0, 0, 0xA0, 0x80]].concat());
    let at = open.len();
    open.extend([a(), c()].concat());
    open.extend([0; 8]);
    check(&open, &format!("A@{at} C@{}", at + a().len()));
    assert_eq!(places[1] - places[0], a().len());
    check(armour("PKCS7", &open, "\n").as_bytes(), "A@0 C@0");
}

#[test]
fn damaged_containers() {
    let both = container_of(&[a(), c()]);
    check(&both[..both.len() - 1], "!0 cut, or neither a certificate nor a container of them");
    let mut damaged = both.clone();
    let at = place(&both, c());
    damaged[at + 1] = 0x84;
    check(&damaged, &format!("A@{} !{at} no certificate in a PKCS #7 container", place(&both, a())));
    let empty = element(0x30, &element(0x06, &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2]));
    check(&empty, "!0 a PKCS #7 container without content");
}

#[test]
fn other_files_are_left_alone() {
    check_none(b"");
    check_none(b"0");
    check_none(b"date-time,connector-id,session-id\r\n");
    check_none(b"<Objs Version=\"1.1.0.1\"><Obj RefId=\"0\"><BA N=\"RawData\">MIIDKTCCAhGgAwIBAgIQ</BA></Obj></Objs>");
    check_none(b"PK\x03\x04\x14\0\0\0");
    check_none(b"\x30\x82\x01\x00");
    check_none(&element(0x30, &element(0x30, &element(0x02, &[1]))));
    check_none(b"MIIDKTCCAhGgAwIBAgIQ, and so on");
    check_none(b"SGVsbG8sIHdvcmxkISBUaGlzIGlzIG5vIGNlcnRpZmljYXRlLg==");
    check_none(b"-----BEGIN PGP MESSAGE-----\n\n-----END PGP MESSAGE-----\n");
    check_none(b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n");
    check_none("a".repeat(70_000).as_bytes());
    check_none(format!("{}{}", "text\n".repeat(14_000), pem(a())).as_bytes());
}

#[test]
fn requests_and_lists_are_no_certificates() {
    let name = element(0x30, &element(0x31, &element(0x30, &[])));
    let algorithm = element(0x30, &element(0x06, &[0x2A]));
    let request = element(0x30, &[element(0x02, &[0]), name.clone(), algorithm.clone()].concat());
    check_none(&element(0x30, &request));
    let time = element(0x17, b"240101000000Z");
    let list =
        element(0x30, &[element(0x02, &[1]), algorithm.clone(), name.clone(), time.clone(), time.clone()].concat());
    check_none(&element(0x30, &list));
    let validity = element(0x30, &[time.clone(), time].concat());
    let first_version = element(0x30, &[element(0x02, &[1]), algorithm, name.clone(), validity, name].concat());
    let reading = read(&element(0x30, &first_version)).unwrap();
    assert_eq!((reading.found.len(), reading.rejected), (0, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, text in "(-----(BEGIN|END) (CERTIFICATE|PKCS7)-----|MII|[\n =A-D*é-])*") {
        for bytes in [&bytes, text.as_bytes()] {
            if let Some(reading) = read(bytes) {
                let parts = reading.found.len() as u64 + reading.passed.values().sum::<u64>() + reading.rejected;
                prop_assert!(parts > 0);
                prop_assert!(reading.rejections.iter().all(|(offset, _)| *offset <= bytes.len() as u64));
            }
        }
    }

    #[test]
    fn damage_of_one_certificate_leaves_the_others(at in any::<prop::sample::Index>(), byte: u8) {
        let mut files = [a().to_vec(), b().to_vec(), c().to_vec()];
        let length = files[1].len();
        // Behind the outer header, so that the certificate still ends where it ended.
        files[1][4 + at.index(length - 4)] = byte;
        let reading = read(&files.concat()).unwrap();
        let kept = reading.found.iter().filter(|found| matches!(&found.fact, Fact::Certificate(certificate) if DER.contains(&certificate.der)));
        prop_assert!(kept.count() >= 2);
        prop_assert_eq!(reading.found.len() as u64 + reading.rejected, 3);
    }
}
