//! A server knows no TLS newer than 1.0, and Microsoft 365 stops to take that.
//!
//! The negotiation itself still goes well in the server's log, for Microsoft 365 says no only afterwards: as to any
//! session that has no certificate it trusts (5.7.64), or by name (421 4.7.66, which it uses where clients submit).

use super::{Case, Conduct, Planted, Planting, Tls};
use crate::plan::Generation;

pub(super) const DENIED: Planted = Planted {
    name: "old-tls-version",
    about: "an old server with TLS 1.0 is refused, others present the same certificate under TLS 1.2 and are not",
    generation: Generation::Mixed,
    plant: denied,
};

pub(super) const NAMED: Planted = Planted {
    name: "old-tls-version-reply",
    about: "an old server with TLS 1.0 is refused by a reply that says so",
    generation: Generation::Mixed,
    plant: named,
};

const CAUSE: &str = "old-tls-version";

fn denied(planting: &mut Planting<'_>) {
    plant(planting, Case::denied(CAUSE));
}

fn named(planting: &mut Planting<'_>) {
    let text = "TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. Visit \
                https://aka.ms/smtp_auth_tls.";
    plant(planting, Case { code: 421, status: "4.7.66", text: text.into(), ..Case::denied(CAUSE) });
}

fn plant(planting: &mut Planting<'_>, case: Case) {
    let usual = planting.usual();
    // The third of a mixed fleet is an Exchange 2010.
    let old = planting.world.servers.len().min(3) - 1;
    let name = planting.world.servers[old].name.clone();
    let expect = vec!["1.0".into(), name];
    let case = planting.case(Case { logs_alone: Some(CAUSE), presented: Some(usual), expect, ..case });
    let at = planting.at;
    for server in (0..planting.world.servers.len()).filter(|server| *server != old) {
        planting.conduct(server, Conduct::accepted());
    }
    planting.conduct(old, Conduct { until: at, tls: Tls::Old, ..Conduct::accepted() });
    planting.conduct(old, Conduct { from: at, tls: Tls::Old, ..Conduct::refused(case) });
    planting.certificate_file(usual);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}
