//! Any bytes as a file of certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("x509", bytes));
