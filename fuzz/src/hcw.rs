//! Any bytes as both logs of the Hybrid Configuration Wizard: all is counted, and every place lies in the file.

use evidence::{Document, KINDS, Kind, Reading};

/// Both kinds read the bytes, whether they recognise them or not.
pub fn hold(bytes: &[u8]) {
    for kind in KINDS.iter().filter(|kind| kind.name().starts_with("hcw-")) {
        let reading = read(*kind, bytes);
        let places = reading.found.iter().map(|found| found.offset);
        let mut places = places.chain(reading.rejections.iter().map(|(offset, _)| *offset));
        // Bytes that are not UTF-8 take more room when they are replaced.
        let end = String::from_utf8_lossy(bytes).len() as u64;
        assert!(places.all(|offset| offset <= end), "a place past the end");
        assert!(reading.rejections.len() as u64 <= reading.rejected);
        assert_eq!(reading, read(*kind, bytes), "read twice, it says the same");
    }
}

fn read(kind: &dyn Kind, bytes: &[u8]) -> Reading {
    let document = Document { name: "20220219_032402", bytes };
    let mut reading = Reading::default();
    kind.recognise(&document);
    kind.read(&document, &mut reading);
    reading
}
