//! Delivery reports, as people have published them.
//!
//! The excerpts lie beside the repository, in `../shared/samples/ndr` or where `SMTPTRAIL_SAMPLES` says.

mod samples;

use evidence::report;

#[test]
fn every_sample_is_read() {
    let Some(files) = samples::files("ndr") else { return };
    for (name, bytes) in files {
        let report = serde_json::to_value(report(&bytes)).unwrap();
        let shown = serde_json::to_string_pretty(&samples::shortened(report)).unwrap();
        insta::assert_snapshot!(format!("sample_{name}"), shown);
    }
}
