//! Steps that several rules propose, with the names that are known filled in.
//!
//! A command has to be safe to paste: what is not known stands in it as `<NAME>`, at which PowerShell stops before it
//! runs anything.

use crate::{
    background::{Background, Use},
    case::Case,
    cause::Step,
    certificate::CertificateView,
    rules::{is_on_premises, listed, quoted},
};

/// The certificate that somebody has to choose or get first.
pub(crate) const SOME_THUMBPRINT: &str = "<THUMBPRINT>";

/// The steps of the Hybrid Configuration Wizard.
pub(crate) fn wizard(certificate: &str) -> Step {
    Step::say(format!(
        "Or run the Hybrid Configuration Wizard again (Exchange admin center of Exchange Online, hybrid, configure) and \
         choose {certificate} on the page Transport Certificate; it sets both sides, and overwrites what was changed by \
         hand."
    ))
}

/// The last step: mail flows again only when the change has spread.
pub(crate) fn then() -> Step {
    Step::say(
        "Allow some minutes for the change to take effect, send a test message, then run smtptrail index and smtptrail \
         explain again.",
    )
}

/// Assigns a certificate to SMTP on servers. Exchange asks whether it shall also take the place of the default one, which
/// servers of the organisation use among themselves.
pub(crate) fn assign(servers: &[&str], thumbprint: &str) -> Step {
    let known: Vec<&str> = servers.iter().copied().filter(|server| !server.eq_ignore_ascii_case("unknown")).collect();
    let place = if known.is_empty() { "each server that sends".to_owned() } else { listed(&known) };
    Step::run(
        format!(
            "In the Exchange Management Shell, assign it to SMTP on {place}; answer No when asked whether to overwrite \
             the default SMTP certificate:"
        ),
        on_each(&known, &format!("Enable-ExchangeCertificate -Thumbprint {thumbprint} -Services SMTP")),
    )
}

/// A command of the Exchange Management Shell for each of some servers.
fn on_each(servers: &[&str], command: &str) -> String {
    match servers {
        [] => command.to_owned(),
        [server] => format!("{command} -Server {}", quoted(server)),
        _ => {
            let servers: Vec<String> = servers.iter().map(|server| quoted(server)).collect();
            format!("{} | ForEach-Object {{ {command} -Server $_ }}", servers.join(","))
        }
    }
}

/// Names a certificate on the case's send connector, unless that names it already.
pub(crate) fn pin(
    case: &Case<'_>,
    background: &Background,
    thumbprint: &str,
    view: Option<&CertificateView<'_>>,
) -> Option<Step> {
    let connector = background.send_connector(case.connector);
    let named = connector.as_ref().map(|one| one.fact.text("TlsCertificateName"));
    let says = match named {
        Some(Some(text)) if view.is_some_and(|view| view.is_named(text)) => return None,
        Some(Some(_)) => "The send connector names another certificate (TlsCertificateName); let it name this one:",
        Some(None) => {
            "The send connector names no certificate, so each server picks one by the connector's Fqdn; to be sure, name \
             this one:"
        }
        None => "If the send connector names a certificate (TlsCertificateName), let it name this one:",
    };
    Some(Step::run(says, pin_command(thumbprint, case.connector)))
}

/// Nothing is set if the certificate is not there.
pub(crate) fn pin_command(thumbprint: &str, connector: &str) -> String {
    let connector = match connector.trim() {
        "" => "<NAME OF THE SEND CONNECTOR>".to_owned(),
        name => quoted(name),
    };
    format!(
        "$c = Get-ExchangeCertificate -Thumbprint {thumbprint}; if ($c) {{ Set-SendConnector {connector} \
         -TlsCertificateName \"<I>$($c.Issuer)<S>$($c.Subject)\" }}"
    )
}

/// Servers that present the case's certificate to others: those of the case, or the front ends behind which they lie.
pub(crate) fn presenting<'a>(case: &Case<'a>, background: &'a Background) -> Vec<&'a str> {
    if !case.first().is_proxied {
        return case.servers.clone();
    }
    let mut servers: Vec<&str> = Vec::new();
    for one in background.outbound_uses().filter(|one| Some(one.thumbprint) == case.presented) {
        if !servers.contains(&one.server.as_str()) {
            servers.push(&one.server);
        }
    }
    servers
}

/// Lets the servers of a case present a certificate that is accepted elsewhere, or was until now.
pub(crate) fn give_back(
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    holder: Option<&str>,
) -> Vec<Step> {
    let thumbprint = view.thumbprint.to_string();
    let servers = presenting(case, background);
    let import = match holder.filter(|holder| !servers.iter().any(|server| server.eq_ignore_ascii_case(holder))) {
        Some(holder) => format!("; if not, export it from {holder} with its key and import it"),
        None => String::new(),
    };
    let known: Vec<&str> = servers.iter().copied().filter(|server| !server.eq_ignore_ascii_case("unknown")).collect();
    let mut steps = vec![
        Step::run(
            format!(
                "In the Exchange Management Shell, see that certificate {thumbprint}{} is valid and has its private key \
                 on {}{import}:",
                view.name().map(|name| format!(" ({name})")).unwrap_or_default(),
                named_servers_of(&servers),
            ),
            format!(
                "{} | Format-List Identity,Subject,NotAfter,Services,HasPrivateKey",
                on_each(&known, &format!("Get-ExchangeCertificate -Thumbprint {thumbprint}"))
            ),
        ),
        assign(&servers, &thumbprint),
    ];
    steps.extend(pin(case, background, &thumbprint, Some(view)));
    steps
}

fn named_servers_of(servers: &[&str]) -> String {
    let is_unknown = servers.iter().all(|server| server.eq_ignore_ascii_case("unknown"));
    if is_unknown { "the sending server".into() } else { listed(servers) }
}

/// Servers with the sessions that they sent, in a sentence: `EX001 (33 sessions) and EX003 (29 sessions)`.
pub(crate) fn counted(uses: &[&Use]) -> String {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for one in uses {
        match counts.iter_mut().find(|(server, _)| *server == one.server) {
            Some((_, count)) => *count += one.sessions,
            None => counts.push((&one.server, one.sessions)),
        }
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(server, count)| format!("{server} ({count} session{})", if count == 1 { "" } else { "s" }))
        .collect();
    listed(&counts)
}

/// The name of a certificate that the tenant may expect: a full DNS name, of a certificate that an authority issued. A
/// name under an accepted domain comes first.
pub(crate) fn tenant_name(background: &Background, view: &CertificateView<'_>) -> Option<String> {
    if view.is_self_signed() == Some(true) {
        return None;
    }
    let names = view.dns_names();
    let full = names.iter().filter(|name| name.trim_matches('.').contains('.'));
    let accepted = background.accepted_domains();
    let is_ours = |name: &&String| {
        let name = name.trim_start_matches("*.").to_lowercase();
        accepted.iter().any(|one| {
            let domain = one.fact.domain.trim_start_matches("*.");
            name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        })
    };
    full.clone().find(is_ours).or(full.clone().next()).cloned()
}

/// The argument that names the tenant's connector for the case: the only one there is, or a gap to fill in.
pub(crate) fn inbound_identity(background: &Background) -> String {
    let connectors: Vec<_> = background.inbound().into_iter().filter(|one| is_on_premises(&one.fact)).collect();
    match connectors.as_slice() {
        [one] => quoted(&one.fact.name),
        _ => "<NAME OF THE CONNECTOR>".to_owned(),
    }
}

/// Lets the tenant's connector expect another name. Its command is `Set-InboundConnector`.
pub(crate) fn expect(identity: &str, name: &str) -> String {
    format!("Set-InboundConnector -Identity {identity} -TlsSenderCertificateName {}", quoted(name))
}

/// What to send to the administrator of the recipient's tenant, whose connector it is.
pub(crate) fn tell_recipient(
    case: &Case<'_>,
    view: &CertificateView<'_>,
    name: Option<&str>,
    (identity, expected): (&str, Option<&str>),
) -> Vec<Step> {
    let domains = case.recipient_domains();
    let domain = if domains.is_empty() { "the recipient".to_owned() } else { listed(&domains) };
    let expected = match expected {
        Some(expected) => format!("Your inbound connector {identity} expects {expected}"),
        None => "Your inbound connector for our domain expects another one, or another address".into(),
    };
    let senders = case.sender_domains();
    let sender = senders.first().map_or("our domain", |(domain, _)| domain);
    vec![
        Step::say(format!(
            "The connector belongs to the tenant of {domain}; only its administrator can change it. No change in your \
             own tenant helps, nor does the Hybrid Configuration Wizard."
        )),
        Step::run(
            format!(
                "Send him this with the command: \"Since {} your tenant refuses mail from {sender} with {}. Our servers \
                 present certificate {} for {}. {expected}. Please let it expect ours.\"",
                case.from,
                case.status.unwrap_or_default(),
                view.thumbprint,
                listed(&view.dns_names()),
            ),
            expect(identity, name.unwrap_or("<NAME>")),
        ),
    ]
}

/// Whether the connector that refused is the recipient's, not the fleet's own tenant's.
pub(crate) fn is_recipients(case: &Case<'_>, background: &Background) -> bool {
    let accepted = background.accepted_domains();
    let ours = |domain: &String| accepted.iter().any(|one| one.fact.domain.eq_ignore_ascii_case(domain));
    case.status == Some("5.7.51") && !case.recipient_domains().iter().any(ours)
}
