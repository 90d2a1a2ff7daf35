//! `ip-address-mismatch`: the connector goes by the sender's address, and mail came from another.
//!
//! Only where an enabled connector of type OnPremises identifies by address: elsewhere the address does not matter.
//! The address that counts is the one that the other side saw; its answer to EHLO says it.

use std::{collections::BTreeSet, net::IpAddr};

use evidence::fact::Connector;

use super::{
    Documentation, Rule, listed, named_servers, no_certificate_presented::identifies_by_address, quoted, then,
};
use crate::{
    background::{Background, EgressUse, Shown},
    case::Case,
    cause::{Cause, Item, ItemKind, Step},
    family::Family,
};

/// The rule.
pub(super) struct IpAddressMismatch;

impl Rule for IpAddressMismatch {
    fn id(&self) -> &'static str {
        "ip-address-mismatch"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "Mail came from an address that is not among SenderIPAddresses of the inbound connector.",
            matters: "A connector that identifies its sender by address does not know the new one.",
            mend: "Add the address to SenderIPAddresses, or better, let the connector go by certificate.",
            evidence: "Get-InboundConnector; the address in the other side's answer to EHLO; which address it saw before.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        // Other statuses of the family have reasons of their own.
        let is_plain =
            matches!(case.status, Some("5.7.64" | "5.7.68" | "5.7.1" | "5.7.0") | None) && case.attr.is_none();
        if case.family != Family::Attribution || !is_plain || !case.is_outbound() {
            return None;
        }
        let connectors: Vec<_> =
            background.inbound().into_iter().filter(|one| identifies_by_address(&one.fact)).collect();
        // Of several connectors the one that knew the address before.
        let earlier = |one: &&Shown<'_>| {
            let mut uses =
                background.egress.iter().filter(|egress| is_of_case(egress, case) && egress.first < case.from);
            uses.any(|egress| holds(&one.fact, &egress.address))
        };
        let connector = connectors.iter().find(earlier).or(connectors.first().filter(|_| connectors.len() == 1))?;
        let seen: BTreeSet<&str> = case.refused.iter().filter_map(|one| one.session.egress_ip.as_deref()).collect();
        let known = |address: &str| connectors.iter().any(|one| holds(&one.fact, address));
        let strange: Vec<&str> = seen.iter().copied().filter(|address| !known(address)).collect();
        if seen.is_empty() || strange.is_empty() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let share = case.share(|one| one.session.egress_ip.as_deref().is_some_and(|address| !known(address)));
        let addresses =
            connector.fact.value("SenderIPAddresses").map(|value| value.items().join(", ")).unwrap_or_default();
        cause.weigh(
            if share > 0.9 { 75 } else { 40 },
            format!(
                "{:.0} % of the refused sessions came from {}, and inbound connector {} expects {addresses}",
                share * 100.0,
                listed(&strange),
                connector.fact.name
            ),
        );
        if connector.fact.value("SenderIPAddresses").is_some_and(|value| value.is_cut()) {
            cause.weigh(-60, "the export does not show all of its addresses");
        }
        if other_way(background, &connector.fact) {
            cause.weigh(-15, "another inbound connector goes by certificate");
        }
        before(&mut cause, case, background, &strange, &known);
        cause.evidence.push(connector.item(format!("{}: SenderIPAddresses {addresses}", connector.fact.name)));
        let first =
            case.refused.iter().find(|one| one.session.egress_ip.as_deref().is_some_and(|address| !known(address)));
        cause.evidence.extend(first.map(|one| one.item()));
        say(&mut cause, case, connector, &strange, &addresses);
        Some(cause)
    }
}

/// Whether a connector's list has an address: alone, in a network or in a range.
fn holds(connector: &Connector, address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return true };
    let items = connector.value("SenderIPAddresses").map(|value| value.items()).unwrap_or_default();
    items.iter().any(|item| in_range(item.trim(), address))
}

fn in_range(item: &str, address: IpAddr) -> bool {
    if let Some((network, bits)) = item.split_once('/') {
        let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
        return in_network(network, bits, address);
    }
    if let Some((from, to)) = item.split_once('-') {
        let (Ok(from), Ok(to)) = (from.trim().parse::<IpAddr>(), to.trim().parse::<IpAddr>()) else { return false };
        return from <= address && address <= to;
    }
    item.parse::<IpAddr>() == Ok(address)
}

fn in_network(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - bits.min(32);
            network.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - bits.min(128);
            network.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}

fn other_way(background: &Background, connector: &Connector) -> bool {
    background
        .inbound()
        .iter()
        .any(|one| one.fact.name != connector.name && one.fact.text("TlsSenderCertificateName").is_some())
}

fn is_of_case(egress: &EgressUse, case: &Case<'_>) -> bool {
    egress.connector.eq_ignore_ascii_case(case.connector)
        && case.servers.iter().any(|server| server.eq_ignore_ascii_case(&egress.server))
}

/// Which address the same servers came from before.
fn before(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    strange: &[&str],
    known: &impl Fn(&str) -> bool,
) {
    let before = background
        .egress
        .iter()
        .filter(|one| is_of_case(one, case))
        .filter(|one| known(&one.address) && one.first < case.from);
    let Some(before) = before.max_by_key(|one| one.last) else { return };
    cause.weigh(
        10,
        format!("{} came from {}, which the connector expects, until {}", before.server, before.address, before.last),
    );
    cause.evidence.push(Item {
        kind: ItemKind::Sessions,
        source: format!("server:{} egress_ip:{}", before.server, before.address),
        offset: None,
        text: format!("came from {} until {}, then from {}", before.address, before.last, strange.join(", ")),
        row: None,
    });
}

fn say(cause: &mut Cause, case: &Case<'_>, connector: &Shown<'_>, strange: &[&str], addresses: &str) {
    let servers = named_servers(case);
    let name = &connector.fact.name;
    let added: Vec<String> = strange.iter().map(|address| quoted(address)).collect();
    cause.says = format!(
        "{servers} came from {}, but inbound connector {name} expects mail from {addresses} only.",
        listed(strange)
    );
    cause.mend = vec![
        Step::run(
            "If the address is yours and here to stay, in Exchange Online PowerShell:",
            format!("Set-InboundConnector -Identity {} -SenderIPAddresses @{{Add={}}}", quoted(name), added.join(",")),
        ),
        Step::say(
            "If not, mend the way out (NAT, proxy, provider), so that mail leaves from the address that is expected.",
        ),
        Step::run(
            "An address can change again; a certificate identifies better:",
            format!(
                "Set-InboundConnector -Identity {} -TlsSenderCertificateName 'NAME OF THE CERTIFICATE' -RequireTls $true",
                quoted(name)
            ),
        ),
        then(),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, address: &str, expected: bool) {
        assert_eq!(in_range(item, address.parse().unwrap()), expected, "{item} {address}");
    }

    #[test]
    fn addresses_networks_and_ranges() {
        check("203.0.113.7", "203.0.113.7", true);
        check("203.0.113.7", "203.0.113.8", false);
        check("203.0.113.0/28", "203.0.113.15", true);
        check("203.0.113.0/28", "203.0.113.16", false);
        check("203.0.113.9/24", "203.0.113.200", true);
        check("0.0.0.0/0", "198.51.100.1", true);
        check("203.0.113.1-203.0.113.9", "203.0.113.9", true);
        check("203.0.113.1 - 203.0.113.9", "203.0.113.10", false);
        check("2001:db8::/32", "2001:db8:1::5", true);
        check("2001:db8::/32", "2001:db9::5", false);
        check("2001:db8::/32", "203.0.113.7", false);
        check("203.0.113.0/33", "203.0.113.0", true); // As many bits as there are.
        check("mail.contoso.com", "203.0.113.7", false);
    }
}
