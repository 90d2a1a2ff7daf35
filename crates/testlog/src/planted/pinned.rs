//! The send connector names one certificate, and the servers present another.

use super::{Case, Conduct, OUTBOUND, Planted, Planting};
use crate::{
    clock::DAY_MS,
    evidence::{
        clixml,
        connectors::{self, Send},
        utf8_with_mark,
    },
    plan::Generation,
};

pub(super) const OTHER: Planted = Planted {
    name: "send-connector-pins-another-certificate",
    about: "the send connector (CLIXML) names mail.contoso.com, while exchange.contoso.com is presented",
    generation: Generation::Exchange2019,
    plant: other,
};

fn other(planting: &mut Planting<'_>) {
    let intended = planting.usual();
    let other = planting.renew("exchange.contoso.com", &["exchange.contoso.com", "outlook.contoso.com"]);
    planting.present(intended, other);
    let case = planting.case(Case {
        also: &["certificate-name-mismatch", "certificate-changed"],
        logs_alone: Some("certificate-changed"),
        presented: Some(other),
        expect: vec!["mail.contoso.com".into(), "exchange.contoso.com".into(), planting.thumbprint(other)],
        ..Case::denied("send-connector-pins-another-certificate")
    });
    planting.change(|| Conduct::refused(case));
    let names = planting.server_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let send = Send {
        name: OUTBOUND,
        address_spaces: &["smtp:*;1"],
        smart_hosts: &["contoso-com.mail.protection.outlook.com"],
        certificate: Some(planting.certificate(intended)),
        is_to_cloud: true,
        servers: &names,
        changed_at: planting.world.begin - 90 * DAY_MS,
    };
    let server = planting.world.servers[0].fqdn.clone();
    let exported = clixml::clixml(&[connectors::send(&send)], &server);
    planting.telling("Get-SendConnector.clixml", utf8_with_mark(&exported));
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
    let internal = planting.world.servers[0].certificates.internal;
    let installed = [planting.certificate(internal), planting.certificate(other)];
    let exported = clixml::certificates(&installed, &server);
    planting.beside("EX001/Get-ExchangeCertificate.clixml", utf8_with_mark(&exported));
}
