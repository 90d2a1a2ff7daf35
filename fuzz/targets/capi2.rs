//! Any text around an event of CAPI2.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("capi2", bytes));
