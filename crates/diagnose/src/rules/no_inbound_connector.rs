//! `no-inbound-connector`: the tenant has no connector that could attribute the mail: the one that would match is switched
//! off, or there is none of type OnPremises.
//!
//! Only an export of the inbound connectors can say so; what the Hybrid Configuration Wizard did to some of them cannot.

use evidence::fact::ConnectorKind;

use super::{
    Documentation, Rule, listed,
    mend::{tenant_name, then},
    named_servers,
    no_certificate_presented::is_on_premises,
    quoted,
};
use crate::{
    background::{Background, Shown},
    case::Case,
    cause::{Cause, Step},
    family::Family,
};

/// The rule.
pub(super) struct NoInboundConnector;

impl Rule for NoInboundConnector {
    fn id(&self) -> &'static str {
        "no-inbound-connector"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The tenant has no enabled inbound connector of type OnPremises that could know the servers.",
            matters: "Exchange Online attributes mail from the organisation's servers by such a connector; a partner's \
                connector does not do it, and one that is switched off counts as none.",
            mend: "Enable the connector, or create one that goes by the certificate that the servers present.",
            evidence: "Get-InboundConnector with Enabled and ConnectorType; the certificate that was presented.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let is_plain =
            matches!(case.status, Some("5.7.64" | "5.7.68" | "5.7.1" | "5.7.0") | None) && case.attr.is_none();
        if case.family != Family::Attribution || !is_plain || !case.is_outbound() || !background.has_inbound_export() {
            return None;
        }
        let connectors = background.connectors(ConnectorKind::Inbound);
        let (on_premises, others): (Vec<_>, Vec<_>) = connectors.into_iter().partition(|one| is_on_premises(&one.fact));
        let is_disabled = |one: &Shown<'_>| one.fact.flag("Enabled") == Some(false);
        let (disabled, enabled): (Vec<_>, Vec<_>) = on_premises.into_iter().partition(is_disabled);
        let view = case.presented.map(|presented| background.certificate(presented));
        let knows = |one: &&Shown<'_>| {
            let expected = one.fact.text("TlsSenderCertificateName");
            view.as_ref().zip(expected).is_some_and(|(view, expected)| view.is_expected(expected))
        };
        let mut cause = Cause::new(self.id());
        let matching = disabled.iter().find(knows);
        if enabled.iter().any(|one| knows(&one)) || (!enabled.is_empty() && matching.is_none()) {
            let names: Vec<&str> = enabled.iter().map(|one| one.fact.name.as_str()).collect();
            cause.weigh(-40, format!("inbound connector {} is enabled", listed(&names)));
            return Some(cause);
        }
        if background.accepted_share(case).is_some_and(|share| share > 0.5) {
            cause.weigh(-40, "most sessions that presented the same certificate were not refused");
        }
        match matching.or(disabled.first()) {
            Some(one) => say_disabled(&mut cause, case, one, matching.is_some()),
            None => say_none(&mut cause, case, background, &others),
        }
        cause.evidence.push(case.first().item());
        cause.mend.push(then());
        Some(cause)
    }
}

fn say_disabled(cause: &mut Cause, case: &Case<'_>, one: &Shown<'_>, is_matching: bool) {
    let name = &one.fact.name;
    let servers = named_servers(case);
    let expected = one.fact.text("TlsSenderCertificateName");
    match is_matching {
        true => {
            cause.weigh(
                90,
                format!("inbound connector {name} expects the certificate that was presented, and is disabled"),
            );
            cause.says =
                format!("The only inbound connector that expects the certificate of {servers}, {name}, is disabled.");
        }
        false => {
            cause.weigh(75, format!("no inbound connector of type OnPremises is enabled; {name} is disabled"));
            cause.says = format!("No inbound connector of type OnPremises is enabled; {name} is disabled.");
        }
    }
    let expects = expected.map(|expected| format!(", TlsSenderCertificateName {expected}")).unwrap_or_default();
    cause.evidence.push(one.item(format!("{name}: Enabled False{expects}")));
    cause.mend.push(Step::run(
        "Find out who disabled it and why; then, in Exchange Online PowerShell:",
        format!("Set-InboundConnector -Identity {} -Enabled $true", quoted(name)),
    ));
}

fn say_none(cause: &mut Cause, case: &Case<'_>, background: &Background, others: &[Shown<'_>]) {
    let what = match others {
        [] => "the tenant has no inbound connector",
        _ => "the tenant has partners' inbound connectors and none of type OnPremises",
    };
    cause.weigh(78, format!("{what}, says the export"));
    cause.says =
        format!("{what}, so nothing tells Exchange Online that mail of {} is the tenant's own.", named_servers(case));
    for one in others.iter().take(2) {
        cause.evidence.push(one.item(format!("{}: ConnectorType Partner", one.fact.name)));
    }
    let view = case.presented.map(|presented| background.certificate(presented));
    let name = view.and_then(|view| tenant_name(background, &view));
    cause.mend.push(Step::run(
        "In Exchange Online PowerShell, create one that goes by the certificate, whose domain has to be accepted by the \
         tenant (in a hybrid organisation run the Hybrid Configuration Wizard instead):",
        format!(
            "New-InboundConnector -Name 'From on-premises' -ConnectorType OnPremises -SenderDomains '*' -RequireTls $true \
             -TlsSenderCertificateName {}",
            name.map_or("<NAME OF THE CERTIFICATE>".to_owned(), |name| quoted(&name))
        ),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Exhibit,
        testing::{RELAY_DENIED, cause, connector, judged, known, mend, named, refuse, session, thumbprint},
    };

    fn inbound(name: &str, enabled: &str, kind: &str, expected: &str) -> Exhibit {
        let settings = [("Enabled", enabled), ("ConnectorType", kind), ("TlsSenderCertificateName", expected)];
        connector(ConnectorKind::Inbound, name, &settings)
    }

    #[track_caller]
    fn check(exports: Vec<Exhibit>, expected: Option<&str>) {
        let mut background = known(exports, |_| ());
        background.certificates = vec![named(1, "mail.contoso.com")];
        let verdict = judged(&[refuse(session("EX1", 50, Some(thumbprint(1))), RELAY_DENIED)], background);
        let claimed = verdict.causes.iter().any(|cause| cause.id == "no-inbound-connector");
        assert_eq!(claimed, expected.is_some(), "{verdict:?}");
        let Some(command) = expected else { return };
        assert_eq!(verdict.causes[0].id, "no-inbound-connector");
        let mend = mend(cause(&verdict, "no-inbound-connector"));
        assert!(mend.contains(command), "{mend}");
    }

    #[test]
    fn a_connector_that_is_off_or_missing() {
        let off = || inbound("Old", "False", "OnPremises", "mail.contoso.com");
        let enable = "Set-InboundConnector -Identity 'Old' -Enabled $true";
        check(vec![off()], Some(enable));
        check(vec![off(), inbound("Other", "True", "OnPremises", "mail.fabrikam.example")], Some(enable));
        check(vec![off(), inbound("New", "True", "OnPremises", "*.contoso.com")], None);
        let create = "-ConnectorType OnPremises -SenderDomains '*' -RequireTls $true -TlsSenderCertificateName 'mail.contoso.com'";
        check(vec![inbound("Bank", "True", "Partner", "mail.bank.example")], Some(create));
        check(vec![], None); // No export was read.
    }
}
