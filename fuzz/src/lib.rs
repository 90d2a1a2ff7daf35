//! What must hold for any bytes: one property a fuzz target.
//!
//! libFuzzer searches for bytes that break them (`scripts/fuzz`), and `tests/fuzz_corpus.rs` replays
//! the inputs in `fuzz/corpus` through the same functions.

mod capi2;
mod certificates;
mod decompression;
mod evtx;
mod exports;
mod hcw;
mod logs;
mod queries;
mod records;
mod reports;
mod x509;

/// Fails (panics) if something does not hold for the bytes.
pub type Property = fn(&[u8]);

/// Every property, under the name of its fuzz target and its folder in `fuzz/corpus`.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("capi2", capi2::hold),
    ("certificates", certificates::hold),
    ("decompression", decompression::hold),
    ("evtx", evtx::hold),
    ("exports", exports::hold),
    ("hcw", hcw::hold),
    ("queries", queries::hold),
    ("records", records::hold),
    ("reports", reports::hold),
    ("x509", x509::hold),
];

/// Holds the named property against the bytes.
pub fn hold(name: &str, bytes: &[u8]) {
    let (_, property) = PROPERTIES.iter().find(|(known, _)| *known == name).expect("a property of this name");
    property(bytes);
}
