//! Any bytes as an export: what is found lies in the file, is made of it, and holds no secret.

use evidence::{
    Document, Fact, KINDS, Kind, Reading,
    fact::{Connector, Value},
    text::decode,
};

/// The names of the file, of which one speaks of a type.
const NAMES: [&str; 2] = ["export", "Get-SendConnector.csv"];

/// The bytes are the file.
pub fn hold(bytes: &[u8]) {
    let kind = *KINDS.iter().find(|kind| kind.name() == "exports").expect("the kind is registered");
    for name in NAMES {
        let document = Document { name, bytes };
        let mut reading = Reading::default();
        kind.read(&document, &mut reading);
        check(kind, &document, &reading);

        let mut again = Reading::default();
        kind.read(&document, &mut again);
        assert_eq!(reading, again, "the same file says the same");
    }
}

fn check(kind: &dyn Kind, document: &Document<'_>, reading: &Reading) {
    assert!(reading.rejections.len() as u64 <= reading.rejected);
    if !kind.recognise(document) {
        assert_eq!((reading.found.len(), reading.rejected), (0, 1), "what is not claimed says nothing");
    }
    // Bytes that are no text are replaced, by which the places behind them are off.
    let is_exact = !decode(document.bytes).text.contains('\u{FFFD}');
    for found in &reading.found {
        assert!(!is_exact || found.offset <= document.bytes.len() as u64);
        match &found.fact {
            Fact::Connector(connector) => check_connector(connector),
            Fact::AcceptedDomain(domain) => assert!(!domain.domain.is_empty()),
            Fact::Certificate(certificate) => assert_eq!(certificate.thumbprint.len(), 40),
            Fact::CertificateNames(names) => {
                assert!(names.thumbprint.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')));
                assert_eq!(names.thumbprint.len(), 40);
            }
            other => panic!("an export does not say {other:?}"),
        }
    }
}

fn check_connector(connector: &Connector) {
    for (at, property) in connector.properties.iter().enumerate() {
        let lower = property.name.to_ascii_lowercase();
        let is_text = !matches!(property.value, Value::Flag(_) | Value::Empty);
        assert!(!is_text || !(lower.contains("password") || lower.contains("serializationdata")), "{}", property.name);
        let is_named = |other: &evidence::fact::Property| other.name.eq_ignore_ascii_case(&property.name);
        assert_eq!(connector.properties.iter().position(is_named), Some(at), "a name occurs once");
    }
}
