//! Any bytes as a delivery report: what is said of a reply has its form, and its limits are kept.

use evidence::{Report, report};

/// Reads the bytes.
pub fn hold(bytes: &[u8]) {
    let Report { attempts, message_ids, recipients, reporting_hosts, .. } = report(bytes);
    assert!(attempts.len() <= evidence::report::ATTEMPTS_MAX);
    assert!(recipients.len().max(reporting_hosts.len()) <= evidence::report::NAMES_MAX);
    assert!(message_ids.len() <= evidence::report::NAMES_MAX);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| b"0123456789ABCDEF".contains(&byte));
    for attempt in &attempts {
        assert!(attempt.code.is_none_or(|code| (400..600).contains(&code)), "{attempt:?}");
        assert!(attempt.code.is_some() || attempt.status.is_some() || !attempt.text.is_empty(), "{attempt:?}");
        assert!(attempt.thumbprint.as_deref().is_none_or(|text| is_hex(text, 40)), "{attempt:?}");
        let session = attempt.peer.as_ref().and_then(|peer| peer.session.as_deref());
        assert!(session.is_none_or(|text| is_hex(text, 16)), "{attempt:?}");
    }
}
