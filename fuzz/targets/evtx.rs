//! Any chunks of a binary event log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("evtx", bytes));
