//! `wrong-connector-or-route`: mail took another way than the one on which it is accepted.
//!
//! It went over another send connector, with another certificate, while the right one works; or to a host that is not
//! the tenant's.

use super::{
    Documentation, Rule, listed, mend::then, missing_send, named_servers, quoted, tls_not_negotiated::named_connector,
};
use crate::{
    background::{Background, Route},
    case::Case,
    cause::{Cause, Item, ItemKind, Step},
    family::Family,
};

/// The rule.
pub(super) struct WrongConnectorOrRoute;

impl Rule for WrongConnectorOrRoute {
    fn id(&self) -> &'static str {
        "wrong-connector-or-route"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "Mail went over a connector, or to a host, on which it cannot be attributed, while another way works.",
            matters: "Only the connector made for Exchange Online presents the certificate that the tenant knows, and only \
                the tenant's own host knows the tenant.",
            mend: "Mend the address spaces, costs and source servers of the send connectors so that this mail takes the \
                connector for Exchange Online, and send to the tenant's own MX host.",
            evidence: "Accepted sessions to the same remote side over another connector; ATTR35 and 4.4.62; 5.7.57.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        if !case.is_outbound() {
            return None;
        }
        match case.family {
            Family::Attribution if case.status == Some("4.4.62") || case.attr == Some("ATTR35") => {
                Some(wrong_region(case, background))
            }
            Family::Attribution => wrong_connector(case, background),
            Family::Relay => Some(not_a_relay(case)),
            _ => None,
        }
    }
}

fn wrong_region(case: &Case<'_>, background: &Background) -> Cause {
    let mut cause = Cause::new("wrong-connector-or-route");
    cause.weigh(82, "the reply says that the mail went to another region's host than the tenant's");
    cause.evidence.push(case.first().item());
    let host = case.first().session.remote_name.as_deref().unwrap_or("the host").to_owned();
    let connector = named_connector(case.connector);
    cause.says = format!("Mail over {connector} went to {host}, which is not in the region of the tenant.");
    cause.mend = vec![
        Step::run(
            "Look up the MX host of a domain of the tenant; it ends in mail.protection.outlook.com or mx.microsoft:",
            format!("Resolve-DnsName -Type MX {}", tenant_domain(case, background).as_deref().unwrap_or("<DOMAIN>")),
        ),
        Step::run(
            "Let the connector send there:",
            format!("Set-SendConnector {} -SmartHosts <MX HOST>", quoted(case.connector)),
        ),
        then(),
    ];
    cause
}

/// A domain of the tenant: one that its export has, or that of most senders.
fn tenant_domain(case: &Case<'_>, background: &Background) -> Option<String> {
    let senders = case.sender_domains();
    let accepted = background.accepted_domains();
    let is_accepted = |domain: &str| accepted.iter().any(|one| one.fact.domain == domain);
    let sender = senders.iter().find(|(domain, _)| accepted.is_empty() || is_accepted(domain));
    let known = accepted.iter().map(|one| one.fact.domain.as_str()).find(|domain| !domain.starts_with("*."));
    sender.map(|(domain, _)| domain.clone()).or(known.map(str::to_owned))
}

fn not_a_relay(case: &Case<'_>) -> Cause {
    let mut cause = Cause::new("wrong-connector-or-route");
    let status = case.status.unwrap_or_default();
    cause.weigh(50, format!("{status} is what a host says that does not take mail from servers without a login"));
    cause.evidence.push(case.first().item());
    let host = case.first().session.remote_name.as_deref().unwrap_or("the other side").to_owned();
    cause.says = format!("{host} wants a login or does not relay; mail between servers goes to the MX host instead.");
    cause.mend = vec![
        Step::run(
            "Look where the connector sends:",
            format!(
                "Get-SendConnector {} | Format-List SmartHosts,AddressSpaces,SmartHostAuthMechanism",
                quoted(case.connector)
            ),
        ),
        Step::say(
            "Use the tenant's MX host (it ends in mail.protection.outlook.com or mx.microsoft) for a connector with a \
             certificate, and smtp.office365.com only with a login.",
        ),
    ];
    cause
}

fn wrong_connector(case: &Case<'_>, background: &Background) -> Option<Cause> {
    // Of a report the way is not known, and IIS has one way only.
    if case.first().is_reported || case.first().session.rebuilt.is_some() {
        return None;
    }
    let remote = case.first().session.remote_name.as_deref().and_then(organisation)?;
    let domains = case.recipient_domains();
    let near = |route: &&Route| {
        organisation(&route.remote_name).as_deref() == Some(&*remote)
            && !route.connector.eq_ignore_ascii_case(case.connector)
            && route.presented.is_some()
            && route.presented != case.presented
            // Many tenants share the hosts of one provider: mail to another of them says nothing.
            && route.recipients.iter().any(|domain| domains.contains(domain))
    };
    let of_server = |route: &&Route| case.servers.iter().any(|server| server.eq_ignore_ascii_case(&route.server));
    let routes: Vec<&Route> = background.routes.iter().filter(near).collect();
    let meanwhile = |route: &&&Route| route.time >= case.from;
    let right = routes.iter().find(meanwhile).or(routes.first()).copied()?;
    let mut cause = Cause::new("wrong-connector-or-route");
    let was_refused_always = !background.routes.iter().any(|route| {
        route.connector.eq_ignore_ascii_case(case.connector)
            && organisation(&route.remote_name).as_deref() == Some(&*remote)
    });
    cause.weigh(
        50,
        format!(
            "{} accepted mail to the same domain over connector {} from {}",
            right.remote_name, right.connector, right.server
        ),
    );
    if routes.iter().any(|route| route.time >= case.from) {
        cause.weigh(8, "it did so while the refusals went on");
    }
    if was_refused_always {
        cause.weigh(10, format!("over {} none was seen to be accepted", named_connector(case.connector)));
    } else {
        cause.weigh(-35, format!("over {} it accepted mail, too", named_connector(case.connector)));
    }
    if routes.iter().any(of_server) {
        cause.weigh(4, "that is so on the same server");
    }
    by_export(&mut cause, case, background, right);
    cause.evidence.push(case.first().item());
    cause.evidence.push(Item {
        kind: ItemKind::Sessions,
        source: right.session.clone(),
        offset: None,
        text: format!(
            "accepted by {} at {} over connector {} with certificate {}",
            right.remote_name,
            right.time,
            right.connector,
            right.presented.map(|presented| presented.to_string()).unwrap_or_default()
        ),
        row: None,
    });
    say(&mut cause, case, background, right, &remote);
    Some(cause)
}

fn by_export(cause: &mut Cause, case: &Case<'_>, background: &Background, right: &Route) {
    let Some(used) = background.send_connector(case.connector) else {
        cause.at_most_medium("the connectors' settings are not known");
        cause.missing.push(missing_send("address spaces, costs and source servers, which decide the way"));
        return;
    };
    let of = |one: &crate::Shown<'_>| {
        let spaces = one.fact.value("AddressSpaces").map(|value| value.items().join(", ")).unwrap_or_default();
        let certificate = one.fact.text("TlsCertificateName").unwrap_or("none");
        format!("{}: AddressSpaces {spaces}; TlsCertificateName {certificate}", one.fact.name)
    };
    cause.evidence.push(used.item(of(&used)));
    let Some(other) = background.send_connector(&right.connector) else { return };
    cause.evidence.push(other.item(of(&other)));
    let pins = |one: &crate::Shown<'_>| one.fact.text("TlsCertificateName").is_some();
    let cloud = |one: &crate::Shown<'_>| one.fact.flag("CloudServicesMailEnabled") == Some(true);
    if (pins(&other) && !pins(&used)) || (cloud(&other) && !cloud(&used)) {
        cause.weigh(
            16,
            format!("connector {} is made for Exchange Online, and {} is not", other.fact.name, used.fact.name),
        );
    }
}

fn say(cause: &mut Cause, case: &Case<'_>, background: &Background, right: &Route, remote: &str) {
    let servers = named_servers(case);
    cause.says = format!(
        "{servers} sent to {remote} over {}, where it is refused; over connector {} it is accepted.",
        named_connector(case.connector),
        right.connector
    );
    cause.mend = vec![Step::run(
        "Compare the ways (Exchange Management Shell):",
        "Get-SendConnector | Format-List Name,Enabled,AddressSpaces,SourceTransportServers,SmartHosts,TlsCertificateName",
    )];
    cause.mend.extend(reroute(case, background, right));
    cause.mend.push(then());
}

/// Domains of a case that are named in commands.
const DOMAINS_MAX: usize = 3;

/// Lets the mail take the right connector. Of address spaces the one that says most of a domain decides, and among equal
/// ones the lower cost.
fn reroute(case: &Case<'_>, background: &Background, right: &Route) -> Vec<Step> {
    let domains: Vec<String> = case
        .recipient_domains()
        .into_iter()
        .filter(|domain| right.recipients.contains(domain))
        .take(DOMAINS_MAX)
        .collect();
    let (wrong_name, right_name) = (quoted(case.connector), quoted(&right.connector));
    let used = background.send_connector(case.connector);
    let other = background.send_connector(&right.connector);
    let spaces = |one: &Option<crate::Shown<'_>>| one.as_ref().map(|one| Space::all_of(&one.fact)).unwrap_or_default();
    let (of_used, of_other) = (spaces(&used), spaces(&other));
    let exact =
        |spaces: &[Space], domain: &str| spaces.iter().find(|one| one.domain.eq_ignore_ascii_case(domain)).cloned();
    let lacking: Vec<String> = domains
        .iter()
        .filter(|domain| exact(&of_other, domain).is_none())
        .map(|domain| quoted(&format!("SMTP:{domain};1")))
        .collect();
    let mut steps = Vec::new();
    if !lacking.is_empty() {
        let known = if other.is_some() { "" } else { ", unless it has it" };
        steps.push(Step::run(
            format!(
                "Give connector {} the address space of {}{known}; it goes before one for all domains, whatever its cost:",
                right.connector,
                listed(&domains)
            ),
            format!("Set-SendConnector {right_name} -AddressSpaces @{{Add={}}}", lacking.join(",")),
        ));
    }
    let remove: Vec<String> =
        domains.iter().filter_map(|domain| exact(&of_used, domain)).map(|space| quoted(&space.text)).collect();
    if !remove.is_empty() {
        steps.push(Step::run(
            format!("Take the same address space from {}, so that no cost decides:", named_connector(case.connector)),
            format!("Set-SendConnector {wrong_name} -AddressSpaces @{{Remove={}}}", remove.join(",")),
        ));
    }
    steps.extend(source_servers(case, other.as_ref(), &right_name));
    steps
}

/// Adds the servers of the case that the right connector does not have yet.
fn source_servers(case: &Case<'_>, other: Option<&crate::Shown<'_>>, right_name: &str) -> Option<Step> {
    let sources = other.and_then(|one| one.fact.value("SourceTransportServers"));
    let has = |server: &str| {
        let items = sources.map(|value| value.items()).unwrap_or_default();
        let label = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        items.iter().any(|item| label(item).eq_ignore_ascii_case(server))
    };
    let lacking: Vec<String> = case
        .servers
        .iter()
        .filter(|server| !has(server) && !server.eq_ignore_ascii_case("unknown"))
        .map(|server| quoted(server))
        .collect();
    let is_known = sources.is_some_and(|value| !value.is_cut());
    let says = match is_known {
        true => "Let it send from these servers, too:",
        false => "If they are not among its source servers, add them:",
    };
    let command = format!("Set-SendConnector {right_name} -SourceTransportServers @{{Add={}}}", lacking.join(","));
    (!lacking.is_empty()).then(|| Step::run(says, command))
}

/// An address space: `SMTP:contoso.com;5`, `*.contoso.com` with the cost 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Space {
    text: String,
    domain: String,
}

impl Space {
    fn all_of(connector: &evidence::fact::Connector) -> Vec<Space> {
        let items = connector.value("AddressSpaces").map(|value| value.items()).unwrap_or_default();
        items.into_iter().map(Space::of).collect()
    }

    fn of(text: &str) -> Space {
        let text = text.trim();
        let rest = text.split_once(':').map_or(text, |(_, rest)| rest);
        let domain = rest.split(';').next().unwrap_or_default().trim().to_owned();
        Space { text: text.to_owned(), domain }
    }
}

/// The part of a host's name that all hosts of its owner share: the last two labels, or three where the last are short.
pub(super) fn organisation(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let short = labels.len() > 2 && labels[labels.len() - 2].len() <= 3 && labels[labels.len() - 1].len() == 2;
    let kept = if short { 3 } else { 2 };
    (labels.len() >= 2).then(|| labels[labels.len().saturating_sub(kept)..].join("."))
}

#[cfg(test)]
mod tests {
    use evidence::fact::ConnectorKind;
    use smtplog::Timestamp;

    use super::*;
    use crate::{
        Exhibit,
        testing::{
            CONNECTOR, HOST, HOUR_MS, RELAY_DENIED, cause, connector, judged, known, mend, refuse, session, thumbprint,
        },
    };

    /// Mail went over the connector of all sessions, and over `To cloud` it was accepted.
    #[track_caller]
    fn check_mend(exports: Vec<Exhibit>, has: &[&str], has_not: &[&str]) {
        let mut background = known(exports, |_| ());
        background.routes = vec![Route {
            server: "EX1".into(),
            connector: "To cloud".into(),
            presented: Some(thumbprint(2)),
            remote_name: HOST.into(),
            recipients: vec!["fabrikam.example".into()],
            session: "EX1/hub/send/2".into(),
            time: Timestamp(60 * HOUR_MS),
        }];
        let verdict = judged(&[refuse(session("EX1", 50, Some(thumbprint(1))), RELAY_DENIED)], background);
        let mend = mend(cause(&verdict, "wrong-connector-or-route"));
        has.iter().for_each(|text| assert!(mend.contains(text), "{text}: {mend}"));
        has_not.iter().for_each(|text| assert!(!mend.contains(text), "{text}: {mend}"));
    }

    fn send(name: &str, spaces: &str, servers: &str) -> Exhibit {
        connector(ConnectorKind::Send, name, &[("AddressSpaces", spaces), ("SourceTransportServers", servers)])
    }

    #[test]
    fn the_mail_takes_the_other_connector() {
        let add = "Set-SendConnector 'To cloud' -AddressSpaces @{Add='SMTP:fabrikam.example;1'}";
        let sources = "-SourceTransportServers @{Add='EX1'}";
        check_mend(vec![], &[add, ", unless it has it", sources, "If they are not among"], &["DOMAIN"]);
        // Both have the space: one has to give it up.
        let both = vec![
            send(CONNECTOR, "smtp:*;10|smtp:fabrikam.example;1", "EX1|EX2"),
            send("To cloud", "smtp:*;5|smtp:fabrikam.example;5", "EX1|EX2"),
        ];
        let remove = format!("Set-SendConnector '{CONNECTOR}' -AddressSpaces @{{Remove='smtp:fabrikam.example;1'}}");
        check_mend(both, &[&remove], &["@{Add="]);
        // A space for the domain goes before one for all.
        let all = vec![send(CONNECTOR, "SMTP:*;1", "EX1"), send("To cloud", "SMTP:*;1", "EX2.contoso.com|")];
        check_mend(all, &[add, sources, "Let it send from these servers, too"], &["Remove"]);
    }

    #[test]
    fn a_smart_host_is_looked_up_and_not_guessed() {
        let line = "451 4.4.62 Mail sent to the wrong Office 365 region. ATTR35";
        let verdict = judged(&[refuse(session("EX1", 50, None), line)], Background::default());
        let mend = mend(cause(&verdict, "wrong-connector-or-route"));
        assert!(mend.contains("Resolve-DnsName -Type MX contoso.com"), "{mend}");
        assert!(mend.contains("-SmartHosts <MX HOST>"), "{mend}");
    }

    #[track_caller]
    fn check(host: &str, expected: Option<&str>) {
        assert_eq!(organisation(host).as_deref(), expected, "{host}");
    }

    #[test]
    fn hosts_of_one_owner() {
        check("AM1EUR08FT047.mail.protection.outlook.com", Some("outlook.com"));
        check("mx1.fabrikam.example.", Some("fabrikam.example"));
        check("mail.contoso.co.uk", Some("contoso.co.uk"));
        check("outlook.com", Some("outlook.com"));
        check("localhost", None);
        check("", None);
    }
}
