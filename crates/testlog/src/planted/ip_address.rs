//! The tenant knows the organisation by its addresses, and the organisation's way out got another address.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    evidence::{
        Object,
        connectors::{self, ConnectorType, Inbound},
        csv,
    },
    plan::Generation,
};

pub(super) const LISTED: Planted = Planted {
    name: "ip-address-mismatch",
    about: "the connector (JSON) lists addresses, and the organisation's address changes half way",
    generation: Generation::Mixed,
    plant: listed,
};

pub(super) const NETWORK: Planted = Planted {
    name: "ip-address-mismatch-csv",
    about: "the connector (CSV) names a network, and the organisation's address changes half way",
    generation: Generation::Exchange2019,
    plant: network,
};

/// What the world sees after the change.
const MOVED_TO: &str = "198.51.100.24";

fn listed(planting: &mut Planting<'_>) {
    let addresses = ["203.0.113.7", "203.0.113.8", "203.0.113.9", "203.0.113.10", "203.0.113.11"];
    let connector = plant(planting, &addresses);
    planting.telling_json("Get-InboundConnector.json", &[connector]);
}

fn network(planting: &mut Planting<'_>) {
    let connector = plant(planting, &["203.0.113.0/28", "192.0.2.64/29"]);
    planting.telling("Get-InboundConnector.csv", csv::csv(&[connector]).into_bytes());
}

fn plant(planting: &mut Planting<'_>, addresses: &[&str]) -> Object {
    let usual = planting.usual();
    let case = planting.case(Case {
        presented: Some(usual),
        expect: vec![MOVED_TO.into(), addresses[0].into()],
        ..Case::denied("ip-address-mismatch")
    });
    let at = planting.at;
    planting.change_everywhere(at, || Conduct::refused(case));
    planting.move_to(at, MOVED_TO);
    planting.certificate_file(usual);
    let inbound = Inbound {
        name: "From Contoso head office",
        connector_type: ConnectorType::OnPremises,
        sender_domains: &["smtp:*;1"],
        addresses,
        certificate_name: None,
        restricts_to_certificate: false,
    };
    connectors::inbound(&inbound, planting.world.begin)
}
