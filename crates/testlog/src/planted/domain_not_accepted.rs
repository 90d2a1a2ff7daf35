//! Since 2017 Microsoft 365 relays only if the sender's domain or the certificate's is accepted by the tenant.
//!
//! Here the certificate's never was, which did no harm as long as only `contoso.com` sent; then a company that was
//! bought begins to send through the same servers.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    clock::HOUR_MS,
    evidence::{certificate_name, hcw::Wizard},
    plan::Generation,
};

pub(super) const LISTED: Planted = Planted {
    name: "domain-not-accepted",
    about: "mail of a domain that is not accepted is refused with ATTR36; the accepted domains are exported",
    generation: Generation::Mixed,
    plant: listed,
};

pub(super) const HYBRID: Planted = Planted {
    name: "domain-not-accepted-hcw",
    about: "the same, but the wizard's log warns of it (HCW8103)",
    generation: Generation::Exchange2016,
    plant: hybrid,
};

const CERTIFICATE: &str = "mail.contosogroup.net";
const NEWCOMER: &str = "adventure-works.example";

fn plant(planting: &mut Planting<'_>) {
    let certificate = planting.issue(CERTIFICATE, &[CERTIFICATE]);
    planting.present(certificate, certificate);
    let case = planting.case(Case {
        logs_alone: Some("domain-not-accepted"),
        presented: Some(certificate),
        text: "Relay Access Denied ATTR36. For more information, see KB 3169958.".into(),
        attr: Some("ATTR36"),
        expect: vec![NEWCOMER.into()],
        ..Case::denied("domain-not-accepted")
    });
    for server in 0..planting.world.servers.len() {
        let from = planting.at;
        planting.conduct(server, Conduct { weight: 3, ..Conduct::accepted() });
        let newcomer = Conduct { from, sender_domain: Some(NEWCOMER), ..Conduct::refused(case) };
        planting.conduct(server, newcomer);
    }
    planting.certificate_file(certificate);
    let connector = planting.inbound(CERTIFICATE);
    planting.json("Get-InboundConnector.json", &[connector]);
}

fn listed(planting: &mut Planting<'_>) {
    plant(planting);
    let domains = planting.accepted_domains(&["contoso.com", "contoso.example"]);
    planting.telling_json("Get-AcceptedDomain.json", &domains);
}

fn hybrid(planting: &mut Planting<'_>) {
    plant(planting);
    let run_at = planting.world.begin + 7 * HOUR_MS + 1_443_000;
    let installed = planting.certificate(planting.usual()).clone();
    let mut wizard = Wizard::begin(run_at);
    let domains = ["contoso.com", "contoso.mail.onmicrosoft.com"];
    let domains = domains.map(|domain| {
        format!("AcceptedDomain {{DomainName='{domain}' DomainType='Authoritative' MatchSubDomains=0 Name='{domain}'}}")
    });
    wizard.call("Tenant", "Get-AcceptedDomain", &domains);
    wizard.certificates("EX001", &[&installed]);
    wizard.warning(&format!(
        "HCW8103 The certificate provided ({CERTIFICATE}) does not match a verified domain inside the Office 365 tenant."
    ));
    let name = certificate_name(&installed.issuer, &installed.subject);
    wizard.call("OnPremises", &format!("Set-HybridConfiguration -TLSCertificateName '{name}'"), &[]);
    planting.telling(&format!("hcw/{}", Wizard::file_name(run_at)), wizard.log());
}
