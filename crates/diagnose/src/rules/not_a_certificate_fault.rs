//! `not-a-certificate-fault`: the other side blocks an address, a sender or the tenant. It says so and stops there.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use super::{Documentation, Rule, listed};
use crate::{
    background::Background,
    case::Case,
    cause::{Cause, Step},
    family::Family,
};

/// The rule.
pub(super) struct NotACertificateFault;

impl Rule for NotACertificateFault {
    fn id(&self) -> &'static str {
        "not-a-certificate-fault"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The other side blocks the sending address, the sender or the whole tenant, or slows it down.",
            matters: "Such a refusal has nothing to do with certificates or connectors; changing them mends nothing.",
            mend: "Find out why it is blocked (a compromised account, a low reputation, a limit), stop that, and ask \
                for the block to be lifted.",
            evidence: "The reply's enhanced status code, and its text.",
        }
    }

    fn judge(&self, case: &Case<'_>, _: &Background) -> Option<Cause> {
        if case.family != Family::Blocked {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let status = case.status.unwrap_or_default();
        // A case's text has lost what stands in brackets at its end.
        let text = case.first().reply().map(|reply| reply.text.replace('\n', " ")).unwrap_or_default();
        let (what, mend) = block(status, &text, &addresses(case));
        cause.weigh(90, format!("{status} means that {what}"));
        cause.says = format!("This is not about a certificate: {status} means that {what}.");
        cause.evidence.push(case.first().item());
        cause.mend.push(Step::say(mend));
        Some(cause)
    }
}

/// Addresses that are told; a list of more is the business of a search.
const ADDRESSES_MAX: usize = 8;

/// The addresses that the replies of a case name, the most frequent first.
fn addresses(case: &Case<'_>) -> Vec<IpAddr> {
    let mut counts: BTreeMap<IpAddr, u64> = BTreeMap::new();
    let replies = case.refused.iter().filter_map(|one| one.reply());
    replies.filter_map(|reply| address_in(&reply.text)).for_each(|address| *counts.entry(address).or_default() += 1);
    let mut addresses: Vec<(IpAddr, u64)> = counts.into_iter().collect();
    addresses.sort_by_key(|&(address, count)| (Reverse(count), address));
    addresses.into_iter().map(|(address, _)| address).take(ADDRESSES_MAX).collect()
}

/// The address that a reply names in brackets: `banned sender[203.0.113.7]`.
fn address_in(text: &str) -> Option<IpAddr> {
    text.split('[').skip(1).find_map(|rest| rest.split(']').next()?.trim().parse().ok())
}

/// Whether a reply asks to forward it.
fn asks_for_bounces(text: &str) -> bool {
    text.to_ascii_lowercase().contains("delist@microsoft.com")
}

/// Addresses are banned.
fn banned(ip: &str, are_several: bool, by_bounce: bool) -> (String, String) {
    let (is, them) = if are_several { ("are", "them") } else { ("is", "it") };
    let then = match by_bounce {
        true => "forward a bounce with this reply to delist@microsoft.com, one for each address".to_owned(),
        false => format!("have {them} taken off the list at https://sender.office.com"),
    };
    (format!("{ip} {is} banned"), format!("Stop what sends the spam from {them}, if any does, then {then}."))
}

/// What a status says is blocked, and what to do (FORMATS section 6). Where the reply says whom to ask, that holds.
fn block(status: &str, text: &str, addresses: &[IpAddr]) -> (String, String) {
    let detail: u16 = status.rsplit('.').next().and_then(|detail| detail.parse().ok()).unwrap_or(0);
    let named: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let ip = match &named[..] {
        [] => "the sending IP address".to_owned(),
        [one] => format!("the IP address {one}"),
        several => format!("the IP addresses {}", listed(several)),
    };
    let (what, mend) = match detail {
        511 | 606..=649 => banned(&ip, named.len() > 1, detail == 511 || asks_for_bounces(text)),
        501..=503 => (
            "the sender is banned because spam came from the account".into(),
            "Secure the account and reset its password, then ask Microsoft support to lift the ban.".into(),
        ),
        504 | 505 | 507 => (
            "the recipient, or the recipient's organisation, does not take this mail".into(),
            "Check the address; else ask the recipient's administrator to allow the sender.".into(),
        ),
        506 => (
            "the HELO name is not accepted".into(),
            "Set the Fqdn of the send connector to a name that resolves to the sending address.".into(),
        ),
        508 => (format!("mail from {ip} is over the limit of its range"), "Send less from there, or spread the mail.".into()),
        708 => (
            format!("mail from {ip} is not accepted, because the tenant is new or its addresses have no good name"),
            "Send less for now; if it stays, open a case with Microsoft support and quote the bracket at the end of the \
             reply."
                .into(),
        ),
        509 => (
            "the sender's domain does not pass DMARC".into(),
            "Mend SPF and DKIM of the sender's domain, so that one of them passes and is aligned.".into(),
        ),
        510 => (
            "the recipient's domain does not take mail over IPv6".into(),
            "Let the connector send over IPv4.".into(),
        ),
        512 => (
            "the message's From header is not as RFC 5322 wants it".into(),
            "Mend what writes the message: one From header with one valid address.".into(),
        ),
        513 => (
            format!("the recipient's organisation blocks {ip} by a list of its own"),
            "Ask the recipient's administrator to take it off the list.".into(),
        ),
        230 => (
            "the sending Exchange server is so old that mail from it is throttled or blocked".into(),
            "Update the server to a supported build.".into(),
        ),
        232 | 233 => {
            ("the tenant sends to more recipients than its limit".into(), "Wait, or spread the mail over the days.".into())
        }
        711 => (
            "the inbound connector is blocked, because spam came through it".into(),
            "Secure the connector and its servers, then unblock the connector in Microsoft Defender under restricted \
             entities."
                .into(),
        ),
        _ => (
            "the tenant is blocked or over its limits".into(),
            "Find the accounts or servers that send the spam and stop them; look at restricted entities in Microsoft \
             Defender; if the block stays, open a case with Microsoft support and quote the bracket at the end of the reply."
                .into(),
        ),
    };
    (what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cause, judged, mend, refuse, session};

    #[track_caller]
    fn check(line: &str, says: &str, does: &str) {
        let verdict = judged(&[refuse(session("EX1", 1, None), line)], Background::default());
        let cause = cause(&verdict, "not-a-certificate-fault");
        assert!(cause.says.contains(says), "{line}: {}", cause.says);
        assert!(mend(cause).contains(does), "{line}: {}", mend(cause));
    }

    #[test]
    fn what_is_blocked_and_whom_to_ask() {
        check(
            "550 5.7.511 Access denied, banned sender[203.0.113.7]. To request removal from this list please forward \
             this message to delist@microsoft.com.",
            "the IP address 203.0.113.7 is banned",
            "forward a bounce with this reply to delist@microsoft.com",
        );
        check(
            "550 5.7.606 Access denied, banned sending IP [203.0.113.7]",
            "203.0.113.7 is banned",
            "sender.office.com",
        );
        check("550 5.7.501 Access denied, spam abuse detected", "banned because spam", "Secure the account");
        check("550 5.7.509 Access denied, sending domain contoso.com does not pass DMARC", "DMARC", "SPF and DKIM");
        check(
            "550 5.7.705 Access denied, tenant has exceeded threshold",
            "the tenant is blocked",
            "restricted entities",
        );
        check("550 5.7.708 Access denied, traffic not accepted from this IP.", "the sending IP address", "Send less");
        check("550 5.7.711 Access denied, bad inbound connector. AS(2204)", "inbound connector is blocked", "Secure");
    }

    #[test]
    fn every_address_is_named_the_most_frequent_first() {
        let refused = [7, 8, 8, 9, 9, 9].map(|last| {
            let line = format!("550 5.7.606 Access denied, banned sending IP [203.0.113.{last}]");
            refuse(session("EX1", i64::from(last), None), &line)
        });
        let verdict = judged(&refused, Background::default());
        let cause = cause(&verdict, "not-a-certificate-fault");
        assert!(
            cause.says.contains("the IP addresses 203.0.113.9, 203.0.113.8 and 203.0.113.7 are banned"),
            "{}",
            cause.says
        );
    }

    #[test]
    fn addresses_in_brackets() {
        let address = |text| address_in(text).map(|address| address.to_string());
        assert_eq!(address("banned sender[203.0.113.7]. See [x]").as_deref(), Some("203.0.113.7"));
        assert_eq!(address("IP [ 2001:db8::5 ]").as_deref(), Some("2001:db8::5"));
        assert_eq!(address("sender [contoso.com]"), None);
        assert_eq!(address("none ["), None);
    }
}
