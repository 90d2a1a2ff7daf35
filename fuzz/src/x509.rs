//! Any bytes as a file of certificates: what is read is what the bytes hold, whatever armour is round them.

use base64::{Engine, prelude::BASE64_STANDARD};
use evidence::{
    Document, Fact, KINDS, Reading,
    chain::{Certificates, LINKS_MAX, chain},
    fact::Certificate,
    kinds::REJECTED_MAX,
    names::{covers, same_dn},
    x509::certificate,
};
use sha1::{Digest, Sha1};

/// Certificates of one file whose chains are built: enough for every way in which few can be related.
const CHAINS_MAX: usize = 8;

/// The bytes are a file.
pub fn hold(bytes: &[u8]) {
    let Some(reading) = read(bytes) else {
        return;
    };
    check_counts(bytes, &reading);
    let certificates = certificates(&reading);
    for certificate in &certificates {
        check_certificate(certificate);
    }
    check_chains(&certificates);
    if is_der(bytes) {
        check_armour(bytes, &reading);
    }
}

/// A sequence whose length is no letter, and nothing that could be text with a block in it.
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x80..=0xFF, ..]) && !bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

fn read(bytes: &[u8]) -> Option<Reading> {
    let kind = KINDS.iter().find(|kind| kind.name() == "certificates")?;
    let document = Document { name: "file.cer", bytes };
    kind.recognise(&document).then(|| {
        let mut reading = Reading::default();
        kind.read(&document, &mut reading);
        reading
    })
}

fn check_counts(bytes: &[u8], reading: &Reading) {
    let parts = reading.found.len() as u64 + reading.passed.values().sum::<u64>() + reading.rejected;
    assert!(parts > 0, "what is recognised is accounted for");
    assert_eq!(reading.rejections.len(), REJECTED_MAX.min(usize::try_from(reading.rejected).unwrap()));
    let found = reading.found.iter().map(|found| found.offset);
    let rejected = reading.rejections.iter().map(|(offset, _)| *offset);
    assert!(found.chain(rejected).all(|offset| offset <= 3 * bytes.len() as u64), "places lie in the file");
}

fn certificates(reading: &Reading) -> Vec<&Certificate> {
    let certificates = reading.found.iter().map(|found| match &found.fact {
        Fact::Certificate(certificate) => &**certificate,
        fact => panic!("{fact:?}"),
    });
    certificates.collect()
}

fn check_certificate(found: &Certificate) {
    let digest = Sha1::digest(&found.der);
    assert_eq!(found.thumbprint, digest.iter().map(|byte| format!("{byte:02X}")).collect::<String>());
    assert_eq!(certificate(&found.der).as_ref(), Ok(found));
    for name in &found.names {
        assert!(covers(name, name) || name.trim().trim_end_matches('.').is_empty(), "{name:?}");
    }
    assert!(found.subject.is_empty() || same_dn(&found.subject, &found.subject), "{:?}", found.subject);
}

fn check_chains(certificates: &[&Certificate]) {
    let mut known = Certificates::default();
    for certificate in certificates {
        known.insert((*certificate).clone()).expect("what was read can be read");
    }
    for leaf in certificates.iter().take(CHAINS_MAX) {
        let chain = chain(leaf, &known);
        assert_eq!(chain.links[0], leaf.thumbprint);
        assert!(chain.links.len() <= LINKS_MAX);
        assert!((1..chain.links.len()).all(|at| !chain.links[..at].contains(&chain.links[at])), "{chain:?}");
        assert!(chain.links.iter().all(|link| known.find(link).is_some()), "{chain:?}");
    }
}

/// The same bytes in a PEM block are the same certificates.
fn check_armour(bytes: &[u8], plain: &Reading) {
    let text = format!("-----BEGIN PKCS7-----\r\n{}\r\n-----END PKCS7-----\r\n", BASE64_STANDARD.encode(bytes));
    let armoured = read(text.as_bytes()).expect("a block of certificates");
    assert_eq!(certificates(&armoured), certificates(plain));
    assert_eq!((&armoured.passed, armoured.rejected), (&plain.passed, plain.rejected));
}
