//! `certificate-usage`: the certificate may not be used by a TLS client.
//!
//! Public authorities have begun to leave client authentication out of the extended key usage (RFC 5280 section
//! 4.2.1.12) of certificates for servers. Without a status that says so it is only possible that this is the reason.

use super::{
    Documentation, Rule,
    chain_incomplete::is_computer,
    mend::{self, SOME_THUMBPRINT, assign, pin, then},
    missing_certificate, named_servers,
};
use crate::{
    background::{Background, Exhibited},
    case::Case,
    cause::{Cause, ItemKind, Step},
    family::Family,
};

/// `CERT_E_WRONG_USAGE` and `CERT_E_PURPOSE`.
const USAGE_RESULTS: [u32; 2] = [0x800B_0110, 0x800B_0106];

/// The rule.
pub(super) struct CertificateUsage;

impl Rule for CertificateUsage {
    fn id(&self) -> &'static str {
        "certificate-usage"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The certificate that was presented does not allow client authentication.",
            matters: "A server that sends is a TLS client. A certificate whose extended key usage names server \
                authentication alone may be turned down in that place.",
            mend: "Get a certificate whose extended key usage has client authentication (1.3.6.1.5.5.7.3.2), and present \
                that one.",
            evidence: "Certificate files and exports; WrongUsage in chain statuses; CAPI2 results 800B0110 and 800B0106.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let presented = case.presented?;
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let view = background.certificate(presented);
        let mut cause = Cause::new(self.id());
        if let Some(file) = view.file.filter(|file| !evidence::x509::allows_client_auth(file.fact)) {
            cause.weigh(36, "the extended key usage of the certificate has no client authentication");
            let usages = file.fact.usages.as_deref().unwrap_or_default().join(", ");
            cause.evidence.push(file.item(ItemKind::Certificate, format!("extended key usage: {usages}")));
        }
        let hex = presented.to_string();
        let presenting = background.servers_presenting(case);
        let is_usage = |one: &Exhibited<'_, evidence::fact::ChainCheck>| {
            one.fact.thumbprint == hex
                && USAGE_RESULTS.contains(&one.fact.result)
                && presenting.iter().any(|server| is_computer(one.fact, server))
        };
        if let Some(check) = background.checks().find(is_usage) {
            cause.weigh(50, format!("Windows found the usage wrong on {}", check.fact.computer));
            cause
                .evidence
                .push(check.item(ItemKind::Capi2, format!("event {}: {:08X}", check.fact.event, check.fact.result)));
        }
        if let Some(one) = case.saying("wrongusage").or_else(|| case.saying("wrong usage")) {
            cause.weigh(75, "the reply says so");
            cause.evidence.push(one.item());
        }
        if cause.why.is_empty() {
            view.file?;
            cause.weigh(-30, "the certificate allows client authentication");
            return Some(cause);
        }
        match background.accepted_share(case) {
            Some(share) if share > 0.5 => {
                cause.weigh(-60, format!("{:.0} % of the sessions that presented it were not refused", share * 100.0));
            }
            _ => {}
        }
        if view.file.is_none() {
            cause.missing.push(missing_certificate(&hex, "its extended key usage"));
        }
        let servers = named_servers(case);
        let name = view.name().unwrap_or_default();
        cause.evidence.push(case.first().item());
        cause.says = format!(
            "{servers} presented certificate {name} ({presented}), whose extended key usage does not allow client \
             authentication; the other side may turn it down for that."
        );
        cause.mend = vec![
            Step::say(format!(
                "Ask the authority for a certificate for {name} that allows client and server authentication."
            )),
            Step::say("Import it with its private key on each server that sends."),
            assign(&mend::presenting(case, background), SOME_THUMBPRINT),
        ];
        cause.mend.extend(pin(case, background, SOME_THUMBPRINT, None));
        cause.mend.push(then());
        Some(cause)
    }
}
