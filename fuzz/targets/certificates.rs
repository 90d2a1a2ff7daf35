//! Any names in a certificate that a log shows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("certificates", bytes));
