//! Any bytes as a stored file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("decompression", bytes));
