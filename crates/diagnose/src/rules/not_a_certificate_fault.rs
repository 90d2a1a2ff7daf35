//! `not-a-certificate-fault`: the other side blocks an address, a sender or the tenant. It says so and stops there.

use super::{Documentation, Rule};
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
            evidence: "The reply's enhanced status code.",
        }
    }

    fn judge(&self, case: &Case<'_>, _: &Background) -> Option<Cause> {
        if case.family != Family::Blocked {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let status = case.status.unwrap_or_default();
        let (what, mend) = block(status);
        cause.weigh(90, format!("{status} means that {what}"));
        cause.says = format!("This is not about a certificate: {status} means that {what}.");
        cause.evidence.push(case.first().item());
        cause.mend.push(Step::say(mend));
        Some(cause)
    }
}

/// What a status says is blocked, and what to do (FORMATS section 6).
fn block(status: &str) -> (&'static str, &'static str) {
    let detail: u16 = status.rsplit('.').next().and_then(|detail| detail.parse().ok()).unwrap_or(0);
    match detail {
        606..=649 => (
            "the sending IP address is banned",
            "Ask for the address to be removed from the list at https://sender.office.com, after the cause is stopped.",
        ),
        506 => ("the HELO name is not accepted", "Set the Fqdn of the send connector to a name that resolves."),
        501..=513 => (
            "the sender or its domain is blocked for spam",
            "Stop what sends the spam, then ask for the sender to be taken off the list of restricted entities.",
        ),
        230 => (
            "the sending Exchange server is so old that mail from it is throttled or blocked",
            "Update the server to a supported build.",
        ),
        232 | 233 => ("the tenant sends to more recipients than its limit", "Wait, or spread the mail over the days."),
        711 => (
            "the inbound connector is blocked, because spam came through it",
            "Secure the connector and its servers, then unblock the connector in Microsoft Defender under restricted \
             entities.",
        ),
        _ => (
            "the tenant is blocked or over its limits",
            "Open a case with Microsoft support and quote the bracket at the end of the reply.",
        ),
    }
}
