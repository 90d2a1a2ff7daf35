//! Any file that may be an export of a PowerShell cmdlet.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| smtptrail_fuzz::hold("exports", bytes));
