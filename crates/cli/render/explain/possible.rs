//! What a refusal means and what may have caused it, if nothing is known but its reply.

use diagnose::{Case, Family, RULES, Rule};

/// What may be behind a refusal.
pub(super) struct Possible {
    /// What its status means.
    pub(super) means: String,
    /// Causes that lead to it, the most frequent first.
    pub(super) rules: Vec<&'static dyn Rule>,
}

/// Causes of a sender that is not attributed to its organisation.
const ATTRIBUTION: &[&str] = &[
    "certificate-name-mismatch",
    "no-certificate-presented",
    "certificate-expired",
    "chain-incomplete",
    "ip-address-mismatch",
    "domain-not-accepted",
    "wrong-connector-or-route",
    "send-connector-pins-another-certificate",
    "tls-not-negotiated",
];

/// Causes of failed TLS.
const TLS: &[&str] = &[
    "tls-not-negotiated",
    "certificate-expired",
    "chain-incomplete",
    "certificate-usage",
    "old-tls-version",
    "send-connector-pins-another-certificate",
];

impl Possible {
    /// What may be behind a case.
    pub(super) fn of(case: &Case<'_>) -> Possible {
        let ids: &[&str] = match case.family {
            Family::Attribution => ATTRIBUTION,
            Family::Tls => TLS,
            Family::Relay => &["wrong-connector-or-route"],
            Family::Blocked => &["not-a-certificate-fault"],
            Family::Other => &[],
        };
        let rules = ids.iter().filter_map(|id| RULES.iter().find(|rule| rule.id() == *id)).copied().collect();
        let status = case.status.map(|status| format!("{status} means: ")).unwrap_or_default();
        Possible { means: format!("{status}{}", meaning(case)), rules }
    }
}

fn meaning(case: &Case<'_>) -> &'static str {
    match (case.family, case.status.unwrap_or_default()) {
        (Family::Attribution, "5.7.51") => {
            "a partner connector of the tenant restricts the sender's domain to a certificate or to addresses, and the \
             mail came with neither."
        }
        (Family::Attribution, "5.7.68") => {
            "the tenant refuses mail in the name of its own domains that no inbound connector identifies."
        }
        (Family::Attribution, "4.4.62") => "the mail reached a region of Office 365 in which the tenant is not.",
        (Family::Attribution, _) => {
            "Exchange Online could not tell whose server this was: neither its certificate nor its address fits an \
             inbound connector of a tenant that accepts the domain."
        }
        (Family::Tls, _) => "TLS, or the check of a certificate, failed.",
        (Family::Relay, _) => "the other side does not relay for whoever this seemed to be.",
        (Family::Blocked, _) => "the other side blocks the address, the sender or the tenant.",
        (Family::Other, _) => "something that no certificate or connector mends.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_possible_cause_is_a_rule() {
        for id in ATTRIBUTION.iter().chain(TLS) {
            assert!(RULES.iter().any(|rule| rule.id() == *id), "{id}");
        }
    }
}
