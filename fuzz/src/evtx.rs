//! Any bytes as the chunks of a binary event log: they ask for no more than they are worth.

use evidence::{Document, Fact, read};

/// Bytes of a log before its first chunk.
const HEADER_BYTES: usize = 4096;

/// The bytes are chunks, of which the last may be cut.
pub fn hold(bytes: &[u8]) {
    let mut file = b"ElfFile\0".to_vec();
    file.resize(HEADER_BYTES, 0);
    file.extend_from_slice(bytes);
    let (kind, reading) = read(&Document { name: "log", bytes: &file }).expect("a binary log");
    assert_eq!(kind.name(), "capi2-evtx");

    let events = |fact: &Fact| match fact {
        Fact::ChainCheck(check) => check.count,
        _ => 0,
    };
    let records = reading.found.iter().map(|found| events(&found.fact)).sum::<u64>() + reading.rejected;
    // A record has 28 bytes at least, and between two damaged ones there is one.
    assert!(records <= bytes.len() as u64 / 14 + 2, "{records} records in {} bytes", bytes.len());
    assert!(reading.rejections.iter().all(|(at, _)| *at <= file.len() as u64));
    // A template can place a value again and again, up to eight times the bytes of a chunk.
    let shown = format!("{reading:?}").len();
    assert!(shown < (1 << 22) * (1 + bytes.len() / 65_536), "{shown} bytes of {}", bytes.len());
}
