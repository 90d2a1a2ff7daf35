//! `ip-address-mismatch`: the connector goes by the sender's address, and mail came from another.
//!
//! Only where an enabled connector of type OnPremises identifies by address: elsewhere the address does not matter. Without
//! the connectors' export it is possible if the address changed with the refusals.
//! The address that counts is the one that the other side saw; its answer to EHLO says it.

use std::{collections::BTreeSet, net::IpAddr};

use evidence::fact::Connector;

use super::{
    Documentation, Rule, listed,
    mend::{expect, tenant_name, then},
    missing_inbound, named_servers,
    no_certificate_presented::identifies_by_address,
    quoted,
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
        if !background.has_inbound_export() && background.inbound().is_empty() {
            return by_logs(case, background);
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
        let mut cause = Cause::new(self.id());
        if seen.is_empty() {
            return None;
        }
        if strange.is_empty() {
            let seen: Vec<&str> = seen.into_iter().collect();
            cause.weigh(-60, format!("inbound connector {} expects {}", connector.fact.name, listed(&seen)));
            return Some(cause);
        }
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
        say(&mut cause, case, background, (connector, &strange, &addresses));
        Some(cause)
    }
}

/// Refused with the new address and accepted with the one before: all that logs alone can show.
fn by_logs(case: &Case<'_>, background: &Background) -> Option<Cause> {
    let status = case.status_or_code();
    let seen: BTreeSet<&str> = case.refused.iter().filter_map(|one| one.session.egress_ip.as_deref()).collect();
    let of_case: Vec<&EgressUse> = background.egress.iter().filter(|one| is_of_case(one, case)).collect();
    let is_refused = |one: &EgressUse| one.refused(&status) * 10 >= one.sessions * 9;
    let new: Vec<&EgressUse> = of_case.iter().copied().filter(|one| seen.contains(&*one.address)).collect();
    let began = new.iter().map(|one| one.first).min()?;
    let before = of_case
        .iter()
        .copied()
        .filter(|one| !seen.contains(&*one.address) && one.refused(&status) * 10 <= one.sessions && one.first < began);
    let before = before.max_by_key(|one| one.last)?;
    if !new.iter().all(|one| is_refused(one)) {
        return None;
    }
    let addresses: BTreeSet<&str> = new.iter().map(|one| one.address.as_str()).collect();
    let addresses: Vec<&str> = addresses.into_iter().collect();
    let mut cause = Cause::new("ip-address-mismatch");
    cause.weigh(
        45,
        format!(
            "mail from {} was accepted until {}, and from {} it is refused since {began}",
            before.address,
            before.last,
            listed(&addresses)
        ),
    );
    if case.servers.iter().any(|server| background.change(case, server).is_some()) {
        cause.weigh(-10, "the certificate changed, too");
    }
    if case.presented.is_none() {
        cause.weigh(-15, "no certificate was presented, which is a reason of its own");
    }
    cause.evidence.push(came_before(before, &addresses));
    cause.evidence.push(case.first().item());
    cause.missing.push(missing_inbound("whether one goes by SenderIPAddresses, and which it expects"));
    cause.says = format!(
        "{} came from {}; from {} mail was accepted before. An inbound connector may go by the address.",
        named_servers(case),
        listed(&addresses),
        before.address
    );
    cause.mend = vec![
        Step::run(
            "In Exchange Online PowerShell, see whether a connector expects addresses:",
            "Get-InboundConnector | Format-List Name,Enabled,ConnectorType,SenderIPAddresses,TlsSenderCertificateName",
        ),
        Step::run(
            "If one does, and the new address is yours and here to stay, add it:",
            add_addresses("<NAME OF THE CONNECTOR>", &addresses),
        ),
        Step::say(ELSE),
        then(),
    ];
    Some(cause)
}

const ELSE: &str =
    "If not, mend the way out (NAT, proxy, provider), so that mail leaves from the address that is expected.";

fn add_addresses(identity: &str, addresses: &[&str]) -> String {
    let added: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    format!("Set-InboundConnector -Identity {identity} -SenderIPAddresses @{{Add={}}}", added.join(","))
}

fn came_before(before: &EgressUse, addresses: &[&str]) -> Item {
    Item {
        kind: ItemKind::Sessions,
        source: format!("server:{} egress_ip:{}", before.server, before.address),
        offset: None,
        text: format!("came from {} until {}, then from {}", before.address, before.last, addresses.join(", ")),
        row: None,
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
    cause.evidence.push(came_before(before, strange));
}

fn say(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    (connector, strange, addresses): (&Shown<'_>, &[&str], &str),
) {
    let servers = named_servers(case);
    let name = &connector.fact.name;
    cause.says = format!(
        "{servers} came from {}, but inbound connector {name} expects mail from {addresses} only.",
        listed(strange)
    );
    let identity = quoted(name);
    cause.mend = vec![
        Step::run(
            "If the address is yours and here to stay, in Exchange Online PowerShell:",
            add_addresses(&identity, strange),
        ),
        Step::say(ELSE),
    ];
    let view = case.presented.map(|presented| background.certificate(presented));
    if let Some(name) = view.and_then(|view| tenant_name(background, &view)) {
        cause.mend.push(Step::run(
            "An address can change again; the certificate that the servers present identifies better:",
            format!("{} -RequireTls $true", expect(&identity, &name)),
        ));
    }
    cause.mend.push(then());
}

#[cfg(test)]
mod tests {
    use evidence::fact::ConnectorKind;
    use smtplog::Timestamp;

    use super::*;
    use crate::testing::{
        CONNECTOR, HOUR_MS, RELAY_DENIED, accepted, cause, connector, judged, known, mend, named, refuse, session,
        thumbprint,
    };

    fn egress(address: &str, hours: (i64, i64), sessions: u64, refused: u64) -> EgressUse {
        EgressUse {
            server: "EX1".into(),
            connector: CONNECTOR.into(),
            address: address.into(),
            first: Timestamp(hours.0 * HOUR_MS),
            last: Timestamp(hours.1 * HOUR_MS),
            sessions,
            refusals: [("5.7.64".to_owned(), refused)].into(),
        }
    }

    #[test]
    fn an_address_that_changed_with_the_refusals_is_possible_from_logs_alone() {
        let refused = [refuse(session("EX1", 50, Some(thumbprint(1))), RELAY_DENIED)];
        let background = |uses: Vec<EgressUse>| known(Vec::new(), |one| one.egress = uses);
        let old = egress("198.51.100.1", (0, 40), 30, 0);
        let verdict = judged(&refused, background(vec![old.clone(), egress("203.0.113.7", (41, 60), 12, 12)]));
        let found = cause(&verdict, "ip-address-mismatch");
        assert_eq!(found.confidence(), crate::Confidence::Medium);
        assert!(found.says.contains("203.0.113.7; from 198.51.100.1 mail was accepted before"), "{}", found.says);
        assert!(found.missing.iter().any(|one| one.command.contains("Get-InboundConnector")), "{found:?}");
        // The new address is accepted, too, or the old one was refused.
        for uses in [
            vec![old, egress("203.0.113.7", (41, 60), 30, 12)],
            vec![egress("198.51.100.1", (0, 40), 30, 28), egress("203.0.113.7", (41, 60), 12, 12)],
        ] {
            assert!(judged(&refused, background(uses)).causes.is_empty());
        }
    }

    #[test]
    fn the_certificate_that_identifies_better_is_named() {
        let refused = [refuse(session("EX1", 50, Some(thumbprint(1))), RELAY_DENIED)];
        let mut background = Background::default();
        background.certificates = vec![named(1, "mail.contoso.com")];
        let settings = [("SenderIPAddresses", "198.51.100.1|198.51.100.2"), ("TlsSenderCertificateName", "")];
        background.exhibits =
            vec![connector(ConnectorKind::Inbound, "From office", &settings), accepted("contoso.com")];
        let verdict = judged(&refused, background);
        let mend = mend(cause(&verdict, "ip-address-mismatch"));
        let command = "Set-InboundConnector -Identity 'From office' -TlsSenderCertificateName 'mail.contoso.com' -RequireTls $true";
        assert!(mend.contains(command), "{mend}");
    }

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
