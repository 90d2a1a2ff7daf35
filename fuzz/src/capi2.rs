//! Any text in an event and before another: the other one is found, and nothing is put in that does not stand there.

use evidence::{Document, Fact, read};

const EVENT: &str = "<Event><System><EventID>30</EventID><TimeCreated SystemTime='1970-01-01T00:00:00Z'/>\
    <Channel>Microsoft-Windows-CAPI2/Operational</Channel></System><UserData><CertVerifyCertificateChainPolicy>\
    <Certificate fileRef='97355AF6DC2629ECCB2289C931D706332F3CF022.cer'/><Result value='800B0109'/>\
    </CertVerifyCertificateChainPolicy></UserData></Event>";

/// The bytes stand within a first event; a good one follows.
pub fn hold(bytes: &[u8]) {
    let mut file = b"<Event>".to_vec();
    file.extend_from_slice(bytes);
    file.extend_from_slice(EVENT.as_bytes());
    let (kind, reading) = read(&Document { name: "events.xml", bytes: &file }).expect("events of CAPI2");
    assert_eq!(kind.name(), "capi2-xml");

    let is_good = |fact: &Fact| matches!(fact, Fact::ChainCheck(check) if check.thumbprint.starts_with("97355AF6"));
    assert!(reading.found.iter().any(|found| is_good(&found.fact)), "the event behind it is lost");
    assert!(
        reading.passed.values().sum::<u64>() + reading.rejected > 0 || reading.found.len() > 1,
        "the first is lost"
    );
    // Characters in the place of broken ones have three bytes, and what is shown of a text has escapes.
    let shown = format!("{reading:?}").len();
    assert!(shown < 16 * file.len() + 4096, "{shown} bytes of {}", file.len());
}
