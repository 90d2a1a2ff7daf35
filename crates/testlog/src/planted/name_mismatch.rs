//! The certificate was renewed under a name that the tenant's connector does not know.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    clock::HOUR_MS,
    evidence::{
        connectors::{self, ConnectorType, Inbound},
        hcw::Wizard,
        list,
    },
    plan::Generation,
};

pub(super) const EXACT: Planted = Planted {
    name: "certificate-name-mismatch",
    about: "renewed as smtp.contoso.com, while the inbound connector (JSON) expects mail.contoso.com",
    generation: Generation::Mixed,
    plant: exact,
};

pub(super) const WILDCARD: Planted = Planted {
    name: "certificate-name-mismatch-wildcard",
    about: "renewed as mail.sub.contoso.com, while the connector (Format-List) expects *.contoso.com",
    generation: Generation::Exchange2019,
    plant: wildcard,
};

pub(super) const HYBRID: Planted = Planted {
    name: "certificate-name-mismatch-hcw",
    about: "renewed as smtp.contoso.com; only the wizard's log shows what the inbound connector expects",
    generation: Generation::Exchange2016,
    plant: hybrid,
};

pub(super) const PROXIED: Planted = Planted {
    name: "certificate-name-mismatch-proxied",
    about: "renewed as smtp.contoso.com; the front end presents it, the hub logs the refusal",
    generation: Generation::Exchange2016,
    plant: proxied,
};

pub(super) const PARTNER: Planted = Planted {
    name: "certificate-name-mismatch-partner",
    about: "renewed as smtp.contoso.com, which a partner's connector with RestrictDomainsToCertificate refuses",
    generation: Generation::Exchange2019,
    plant: partner,
};

pub(super) const REPLY: Planted = Planted {
    name: "certificate-name-mismatch-reply",
    about: "Microsoft 365 cannot deliver to a gateway that shows another name; its reply names the certificate",
    generation: Generation::Exchange2019,
    plant: reply,
};

const CAUSE: &str = "certificate-name-mismatch";

/// Renewed under another name everywhere; every session is refused from then on.
fn renamed(planting: &mut Planting<'_>, common_name: &str, names: &[&str], expected: &str) -> Case {
    let old = planting.usual();
    let new = planting.renew(common_name, names);
    planting.present(old, new);
    Case {
        also: &["certificate-changed"],
        logs_alone: Some("certificate-changed"),
        presented: Some(new),
        expect: vec![common_name.into(), expected.into(), planting.thumbprint(new)],
        ..Case::denied(CAUSE)
    }
}

/// [`renamed`] in the way of most variants.
fn renamed_to_smtp(planting: &mut Planting<'_>) -> Case {
    renamed(planting, "smtp.contoso.com", &["smtp.contoso.com", "autodiscover.contoso.com"], "mail.contoso.com")
}

fn plant_everywhere(planting: &mut Planting<'_>, case: Case) {
    let (old, new) = (planting.usual(), case.presented);
    let case = planting.case(case);
    planting.change(|| Conduct::refused(case));
    planting.certificate_file(old);
    new.into_iter().for_each(|new| planting.certificate_file(new));
}

fn exact(planting: &mut Planting<'_>) {
    let case = renamed_to_smtp(planting);
    plant_everywhere(planting, case);
    let connector = planting.inbound("mail.contoso.com");
    planting.telling_json("Get-InboundConnector.json", &[connector]);
    let domains = planting.accepted_domains(&["contoso.com"]);
    planting.json("Get-AcceptedDomain.json", &domains);
}

fn wildcard(planting: &mut Planting<'_>) {
    let old = planting.issue("*.contoso.com", &["*.contoso.com", "contoso.com"]);
    planting.present(old, old);
    let case = renamed(planting, "mail.sub.contoso.com", &["mail.sub.contoso.com"], "*.contoso.com");
    let new = case.presented;
    let case = planting.case(case);
    planting.change(|| Conduct::refused(case));
    let connector = planting.inbound("*.contoso.com");
    let shown = list::console("PS C:\\Users\\admin> ", "Get-InboundConnector | fl", &[connector]);
    planting.telling("Get-InboundConnector.txt", crate::evidence::utf16(&shown));
    let installed = [Some(old), new].into_iter().flatten();
    let services = ["IIS, SMTP", "IMAP, POP, IIS, SMTP"];
    let at = planting.at;
    let objects: Vec<_> = installed
        .zip(services)
        .map(|(id, services)| connectors::exchange_certificate(planting.certificate(id), services, at))
        .collect();
    let shown = list::console("[PS] C:\\Windows\\system32>", "Get-ExchangeCertificate | fl", &objects);
    planting.beside("EX001/Get-ExchangeCertificate.txt", shown.into_bytes());
}

fn hybrid(planting: &mut Planting<'_>) {
    let case = renamed_to_smtp(planting);
    plant_everywhere(planting, case);
    let run_at = planting.world.begin + 8 * HOUR_MS + 902_000;
    let old = planting.certificate(planting.usual()).clone();
    let mut wizard = Wizard::begin(run_at);
    wizard.certificates("EX001", &[&old]);
    let connector = "Inbound from 4f6c1d0e-93a2-4d7b-8a51-2f0c7be1d966";
    let rows = [
        ("Name", connector, connector),
        ("RequireTLS", "True", "True"),
        ("TLSSenderCertificateName", "*.contoso.com", "mail.contoso.com"),
    ];
    wizard.comparison("CheckConfiguration", "Standard Inbound Connector", &rows);
    wizard.call(
        "Tenant",
        &format!(
            "Set-InboundConnector -Identity '{connector}' -CloudServicesMailEnabled: $true -ConnectorSource \
             HybridWizard -ConnectorType OnPremises -RequireTLS: $true -SenderDomains '*' -SenderIPAddresses $null \
             -RestrictDomainsToIPAddresses: $false -TLSSenderCertificateName 'mail.contoso.com' \
             -AssociatedAcceptedDomains $null"
        ),
        &[],
    );
    wizard.comparison(
        "ValidateConfiguration",
        "Standard Inbound Connector",
        &[rows[0], rows[1], ("TLSSenderCertificateName", "mail.contoso.com", "mail.contoso.com")],
    );
    planting.telling(&format!("hcw/{}", Wizard::file_name(run_at)), wizard.log());
}

fn proxied(planting: &mut Planting<'_>) {
    planting.proxy();
    let case = renamed_to_smtp(planting);
    plant_everywhere(planting, case);
    let connector = planting.inbound("mail.contoso.com");
    planting.telling_json("Get-InboundConnector.json", &[connector]);
}

fn partner(planting: &mut Planting<'_>) {
    let case = renamed_to_smtp(planting);
    let case = Case {
        status: "5.7.51",
        text: "TenantInboundAttribution; There is a partner connector configured that matched the message's \
               recipient domain. The connector had either the RestrictDomainsToIPAddresses or \
               RestrictDomainsToCertificate set"
            .into(),
        ..case
    };
    plant_everywhere(planting, case);
    let inbound = Inbound {
        name: "From Contoso (TLS)",
        connector_type: ConnectorType::Partner,
        sender_domains: &["smtp:contoso.com;1"],
        addresses: &[],
        certificate_name: Some("mail.contoso.com"),
        restricts_to_certificate: true,
    };
    let connector = connectors::inbound(&inbound, planting.world.begin);
    planting.telling_json("from-fabrikam/Get-InboundConnector.json", &[connector]);
}

/// Some mail comes back to a gateway of the organisation whose certificate nobody expects. The certificate in the
/// reply is the gateway's; the servers' own is good.
fn reply(planting: &mut Planting<'_>) {
    let gateway = planting.issue("gw2.corp.contoso.com", &["gw2.corp.contoso.com"]);
    let certificate = planting.certificate(gateway);
    let text = format!(
        "Cannot connect to remote server [Message=SubjectMismatch Expected Subject: inbound.contoso.com. Presented \
         Subject: {}. Thumbprint: {}.] [LastAttemptedServerName=inbound.contoso.com] \
         [LastAttemptedIP=203.0.113.40:25] [SmtpSecurity=-1;-1]",
        certificate.subject, certificate.thumbprint
    );
    let expect = vec![certificate.thumbprint.clone(), "gw2.corp.contoso.com".into(), "inbound.contoso.com".into()];
    let case = planting.case(Case {
        logs_alone: Some(CAUSE),
        code: 450,
        status: "4.4.317",
        text,
        presented: Some(planting.usual()),
        expect,
        ..Case::denied(CAUSE)
    });
    planting.change(|| Conduct { faults: vec![(case, 0.3)], ..Conduct::accepted() });
    planting.telling_certificate_file(gateway);
}
