//! `wrong-connector-or-route`: mail took another way than the one on which it is accepted.
//!
//! It went over another send connector, with another certificate, while the right one works; or to a host that is not
//! the tenant's.

use super::{Documentation, Rule, missing_send, named_servers, quoted, then, tls_not_negotiated::named_connector};
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
                Some(wrong_region(case))
            }
            Family::Attribution => wrong_connector(case, background),
            Family::Relay => Some(not_a_relay(case)),
            _ => None,
        }
    }
}

fn wrong_region(case: &Case<'_>) -> Cause {
    let mut cause = Cause::new("wrong-connector-or-route");
    cause.weigh(82, "the reply says that the mail went to another region's host than the tenant's");
    cause.evidence.push(case.first().item());
    let host = case.first().session.remote_name.as_deref().unwrap_or("the host").to_owned();
    let connector = named_connector(case.connector);
    cause.says = format!("Mail over {connector} went to {host}, which is not in the region of the tenant.");
    cause.mend = vec![
        Step::run(
            "Look up the tenant's own MX host (it has the form contoso-com.mail.protection.outlook.com):",
            "Resolve-DnsName -Type MX TENANT-DOMAIN",
        ),
        Step::run(
            "Let the connector send there:",
            format!(
                "Set-SendConnector {} -SmartHosts 'contoso-com.mail.protection.outlook.com'",
                quoted(case.connector)
            ),
        ),
        then(),
    ];
    cause
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
            "Use the tenant's MX host (contoso-com.mail.protection.outlook.com) for a connector with a certificate, and \
             smtp.office365.com only with a login.",
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
    say(&mut cause, case, right, &remote);
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

fn say(cause: &mut Cause, case: &Case<'_>, right: &Route, remote: &str) {
    let servers = named_servers(case);
    cause.says = format!(
        "{servers} sent to {remote} over {}, where it is refused; over connector {} it is accepted.",
        named_connector(case.connector),
        right.connector
    );
    cause.mend = vec![
        Step::run(
            "Compare the ways:",
            "Get-SendConnector | Format-List \
             Name,Enabled,AddressSpaces,SourceTransportServers,SmartHosts,TlsCertificateName",
        ),
        Step::run(
            format!(
                "Let the mail take connector {}: give it the address space at a lower cost, and add {servers} to its \
                 source servers:",
                right.connector
            ),
            format!(
                "Set-SendConnector {} -AddressSpaces @{{Add='SMTP:DOMAIN;1'}} -SourceTransportServers @{{Add={}}}",
                quoted(&right.connector),
                case.servers.iter().map(|server| quoted(server)).collect::<Vec<_>>().join(",")
            ),
        ),
        then(),
    ];
}

/// The part of a host's name that all hosts of its owner share: the last two labels, or three where the last are short.
fn organisation(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let short = labels.len() > 2 && labels[labels.len() - 2].len() <= 3 && labels[labels.len() - 1].len() == 2;
    let kept = if short { 3 } else { 2 };
    (labels.len() >= 2).then(|| labels[labels.len().saturating_sub(kept)..].join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

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
