//! `domain-not-accepted`: neither the sender's domain nor the certificate's is an accepted domain of the tenant.
//!
//! Since 2017 relaying through Exchange Online needs one of both (FORMATS 5.3); the reply then ends with ATTR36. The
//! Hybrid Configuration Wizard warns of it beforehand with HCW8103.

use evidence::fact::{AcceptedDomain, HybridEntry};

use super::{
    Documentation, Rule, listed,
    mend::{expect, inbound_identity, then},
    missing_domains, quoted,
};
use crate::{
    background::{Background, Exhibited},
    case::Case,
    cause::{Cause, ItemKind, Step},
    family::Family,
};

/// The rule.
pub(super) struct DomainNotAccepted;

impl Rule for DomainNotAccepted {
    fn id(&self) -> &'static str {
        "domain-not-accepted"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "Neither the sender's domain nor the certificate's domain is an accepted domain of the tenant.",
            matters: "Exchange Online relays only for domains that the tenant has proved to own, or through a connector \
                whose certificate has such a domain.",
            mend: "Add and verify the sender's domain in the tenant, or let the connector go by a certificate whose \
                domain is accepted.",
            evidence: "ATTR36 in the reply; Get-AcceptedDomain against MAIL FROM and the certificate's names; HCW8103.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        if case.family != Family::Attribution || !case.is_outbound() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        if case.attr == Some("ATTR36") {
            cause.weigh(72, "the reply has ATTR36, which means this");
            cause.evidence.push(case.first().item());
        }
        let accepted = background.accepted_domains();
        let domains = case.sender_domains();
        let strange: Vec<&str> = domains
            .iter()
            .map(|(domain, _)| domain.as_str())
            .filter(|domain| !is_accepted(&accepted, domain))
            .collect();
        by_export(&mut cause, case, background, &accepted, &strange);
        by_wizard(&mut cause, background);
        if cause.weight() <= 0 {
            return Some(cause).filter(|cause| !cause.why.is_empty());
        }
        if accepted.is_empty() {
            cause.missing.push(missing_domains("whether the senders' domains are among them"));
        }
        let names: Vec<&str> = match strange.is_empty() {
            true => domains.iter().map(|(domain, _)| domain.as_str()).collect(),
            false => strange,
        };
        let senders = if names.is_empty() { "the senders' domain".into() } else { listed(&names) };
        cause.says = format!(
            "The tenant does not relay for {senders}: neither the sender's domain nor the certificate's is known to be \
             one of its accepted domains."
        );
        let domain = names.first().copied().unwrap_or("contoso.com");
        cause.mend = vec![
            Step::run(
                format!(
                    "If {domain} is yours, add and verify it in the Microsoft 365 admin center (Settings, Domains), then \
                     check:"
                ),
                format!("Get-AcceptedDomain {}", quoted(domain)),
            ),
            Step::run(
                "If mail of other domains has to be relayed (forwarding, journaling), let an inbound connector of type \
                 OnPremises go by a certificate whose domain is accepted:",
                format!("{} -RequireTls $true", by_certificate(case, background)),
            ),
            then(),
        ];
        Some(cause)
    }
}

/// The tenant's connector goes by the certificate that the servers present, if its domain is accepted.
fn by_certificate(case: &Case<'_>, background: &Background) -> String {
    let accepted = background.accepted_domains();
    let names = case.presented.map(|presented| background.certificate(presented).dns_names()).unwrap_or_default();
    let known = names.iter().find(|name| has_accepted_parent(&accepted, name));
    let identity = inbound_identity(background);
    match known {
        Some(name) => expect(&identity, name),
        None => {
            format!("Set-InboundConnector -Identity {identity} -TlsSenderCertificateName <NAME IN AN ACCEPTED DOMAIN>")
        }
    }
}

/// Whether a certificate's name lies in an accepted domain (FORMATS 5.3).
fn has_accepted_parent(accepted: &[Exhibited<'_, AcceptedDomain>], name: &str) -> bool {
    let name = name.trim_start_matches("*.");
    is_accepted(accepted, name) || name.split_once('.').is_some_and(|(_, parent)| is_accepted(accepted, parent))
}

/// A domain, or a subdomain of one with `*.`.
fn is_accepted(accepted: &[Exhibited<'_, AcceptedDomain>], domain: &str) -> bool {
    accepted.iter().any(|one| {
        let known = one.fact.domain.as_str();
        let wild = known.strip_prefix("*.").is_some_and(|parent| {
            domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        known.eq_ignore_ascii_case(domain) || wild
    })
}

fn by_export(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    accepted: &[Exhibited<'_, AcceptedDomain>],
    strange: &[&str],
) {
    let Some(first) = accepted.first() else { return };
    let domains = case.sender_domains();
    if domains.is_empty() {
        return;
    }
    if strange.is_empty() {
        cause.weigh(-40, "every sender's domain is accepted");
        return;
    }
    let names = case.presented.map(|presented| background.certificate(presented).dns_names()).unwrap_or_default();
    let parent = |name: &String| has_accepted_parent(accepted, name);
    let total: u64 = domains.iter().map(|(_, count)| count).sum();
    let of_strange: u64 =
        domains.iter().filter(|(domain, _)| strange.contains(&domain.as_str())).map(|(_, count)| count).sum();
    let weight = match (case.attr == Some("ATTR36"), names.is_empty() || names.iter().any(parent)) {
        (true, _) => 18,
        // One forwarded message among thousands is not the reason.
        (false, false) if of_strange * 2 > total => 45,
        (false, _) => 0,
    };
    if weight > 0 {
        cause.weigh(weight, format!("{} is not among the accepted domains", listed(strange)));
    }
    let known: Vec<&str> = accepted.iter().map(|one| one.fact.domain.as_str()).collect();
    cause.evidence.push(first.item(ItemKind::Domain, format!("accepted domains: {}", listed(&known))));
}

fn by_wizard(cause: &mut Cause, background: &Background) {
    let warning = background.hybrid().find(|one| match &one.fact.entry {
        HybridEntry::Message { code, text, .. } => code == "HCW8103" || text.contains("HCW8103"),
        _ => false,
    });
    let Some(warning) = warning else { return };
    let HybridEntry::Message { text, .. } = &warning.fact.entry else { return };
    cause.weigh(12, "the Hybrid Configuration Wizard warned of it (HCW8103)");
    cause.evidence.push(warning.item(ItemKind::Hybrid, format!("{} {text}", warning.fact.time)));
}
