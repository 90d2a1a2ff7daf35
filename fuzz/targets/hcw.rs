//! Any bytes as a log of the Hybrid Configuration Wizard.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("hcw", bytes));
