//! The causes of a refusal, one file each. Adding one is a file here and a line in [`RULES`].

mod certificate_changed;
mod certificate_expired;
mod certificate_name_mismatch;
mod certificate_usage;
mod chain_incomplete;
mod domain_not_accepted;
mod ip_address_mismatch;
mod no_certificate_presented;
mod no_inbound_connector;
mod not_a_certificate_fault;
mod old_tls_version;
mod send_connector_pins_another_certificate;
mod tls_not_negotiated;
mod wrong_connector_or_route;

use std::cmp::Reverse;

use evidence::fact::ConnectorKind;

use crate::{
    background::Background,
    case::Case,
    cause::{Cause, Item, Missing, Step},
    family::Family,
    mend, next_hop,
};

pub(crate) use self::no_certificate_presented::{identifies_by_address, is_on_premises};

/// A cause of refusals.
pub trait Rule: Sync {
    /// Its stable id: `certificate-name-mismatch`.
    fn id(&self) -> &'static str;

    /// What it is about.
    fn documentation(&self) -> Documentation;

    /// What speaks for it in this case; `None` if nothing does.
    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause>;
}

/// What `explain --rule` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Documentation {
    /// What it finds, in one sentence.
    pub finds: &'static str,
    /// Why that leads to refusals.
    pub matters: &'static str,
    /// What to do.
    pub mend: &'static str,
    /// Which evidence it weighs.
    pub evidence: &'static str,
}

/// Every rule. Of causes with equal weight the earlier one is named first.
pub const RULES: &[&dyn Rule] = &[
    &not_a_certificate_fault::NotACertificateFault,
    &no_certificate_presented::NoCertificatePresented,
    &tls_not_negotiated::TlsNotNegotiated,
    &certificate_expired::CertificateExpired,
    &chain_incomplete::ChainIncomplete,
    &send_connector_pins_another_certificate::SendConnectorPinsAnotherCertificate,
    &no_inbound_connector::NoInboundConnector,
    &certificate_name_mismatch::CertificateNameMismatch,
    &certificate_usage::CertificateUsage,
    &wrong_connector_or_route::WrongConnectorOrRoute,
    &ip_address_mismatch::IpAddressMismatch,
    &domain_not_accepted::DomainNotAccepted,
    &old_tls_version::OldTlsVersion,
    &certificate_changed::CertificateChanged,
];

/// What the rules say of a case.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Causes, best first.
    pub causes: Vec<Cause>,
    /// Causes against which something was seen, and too little for them.
    pub ruled_out: Vec<Cause>,
}

/// The causes of a case, best first.
pub fn judge(case: &Case<'_>, background: &Background) -> Vec<Cause> {
    verdict(case, background).causes
}

/// The causes of a case, and what was ruled out.
pub fn verdict(case: &Case<'_>, background: &Background) -> Verdict {
    let weighed = RULES.iter().filter_map(|rule| rule.judge(case, background));
    let (mut causes, rest): (Vec<Cause>, Vec<Cause>) = weighed.partition(Cause::is_claimed);
    let speaks_against = |cause: &Cause| cause.why.iter().any(|observation| observation.weight < 0);
    let ruled_out = rest.into_iter().filter(speaks_against).collect();
    let claimed_ids: Vec<&str> = causes.iter().map(|cause| cause.id).collect();
    // That the certificate changed is told after what is known to be wrong with the one that came.
    let is_general = |cause: &Cause| {
        let specific = ["certificate-usage", "chain-incomplete", "certificate-expired"];
        cause.id == certificate_changed::ID && claimed_ids.iter().any(|id| specific.contains(id))
    };
    causes.sort_by_key(|cause| (is_general(cause), Reverse(cause.weight())));
    for cause in &mut causes {
        let mut seen: Vec<Item> = Vec::new();
        cause.evidence.retain(|item| {
            !seen.contains(item) && {
                seen.push(item.clone());
                true
            }
        });
        capitalise(&mut cause.says);
        cause.missing.sort();
        cause.missing.dedup();
    }
    point_to_same_mends(&mut causes);
    Verdict { causes, ruled_out }
}

/// Of causes with the same commands the first tells what to do.
fn point_to_same_mends(causes: &mut [Cause]) {
    let commands =
        |cause: &Cause| -> Vec<String> { cause.mend.iter().filter_map(|step| step.command.clone()).collect() };
    for at in 1..causes.len() {
        let (earlier, rest) = causes.split_at_mut(at);
        let Some(cause) = rest.first_mut() else { return };
        let wanted = commands(cause);
        let same = |one: &Cause| {
            let known = commands(one);
            !wanted.is_empty() && wanted.iter().all(|command| known.contains(command))
        };
        if let Some(first) = earlier.iter().position(same) {
            cause.mend = vec![Step::say(format!("The same mend as {} ({}).", first + 1, earlier[first].id))];
        }
    }
}

/// A sentence begins with a capital letter, a server's name stays as it is.
fn capitalise(text: &mut String) {
    if text.starts_with("the ") {
        text.replace_range(..1, "T");
    }
}

/// Evidence that would tell more about a case of which no cause is known.
pub fn open_questions(case: &Case<'_>, background: &Background) -> Vec<Missing> {
    if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
        return Vec::new();
    }
    let mut missing = Vec::new();
    if background.connectors(ConnectorKind::Inbound).is_empty() {
        missing.push(missing_inbound("how they identify mail from your servers"));
    }
    missing.extend(send_connector_pins_another_certificate::missing_for(case, background));
    if let Some(presented) = case.presented.filter(|&one| background.certificate(one).file.is_none()) {
        missing.push(missing_certificate(&presented.to_string(), "names, dates, usage, and who issued it"));
    }
    missing.extend(case.servers.iter().take(1).map(|server| missing_capi2(server)));
    missing
}

/// `Get-InboundConnector`.
pub(crate) fn missing_inbound(what: &str) -> Missing {
    Missing {
        what: format!("the inbound connectors of the tenant (Exchange Online PowerShell): {what}"),
        command: "Get-InboundConnector | ConvertTo-Json -Depth 5 | Out-File Get-InboundConnector.json -Encoding utf8"
            .into(),
    }
}

/// `Get-SendConnector`.
pub(crate) fn missing_send(what: &str) -> Missing {
    Missing {
        what: format!("the send connectors (Exchange Management Shell): {what}"),
        command: "Get-SendConnector | Export-Clixml Get-SendConnector.xml".into(),
    }
}

/// `Get-AcceptedDomain`.
pub(crate) fn missing_domains(what: &str) -> Missing {
    Missing {
        what: format!("the accepted domains of the tenant (Exchange Online PowerShell): {what}"),
        command: "Get-AcceptedDomain | ConvertTo-Json | Out-File Get-AcceptedDomain.json -Encoding utf8".into(),
    }
}

/// The certificate's file.
pub(crate) fn missing_certificate(thumbprint: &str, what: &str) -> Missing {
    Missing {
        what: format!("the certificate itself, from the server that presents it: {what}"),
        command: format!("Get-ExchangeCertificate -Thumbprint {thumbprint} | Export-Clixml {thumbprint}.xml"),
    }
}

/// CAPI2's operational log.
pub(crate) fn missing_capi2(server: &str) -> Missing {
    let server = if server.eq_ignore_ascii_case("unknown") { "SERVER" } else { server };
    Missing {
        what: format!(
            "the events of Windows' certificate checks on {server} (switch them on first: wevtutil sl \
             Microsoft-Windows-CAPI2/Operational /e:true)"
        ),
        command: format!(
            "wevtutil epl Microsoft-Windows-CAPI2/Operational {}",
            argument(&format!("{server}-capi2.evtx"))
        ),
    }
}

/// An argument of a command, in quotes if a shell could see more in it than a name.
pub fn argument(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || ['.', '-', '_', '/', '@'].contains(&char);
    if name.chars().all(is_plain) { name.to_owned() } else { quoted(name) }
}

/// The servers of a case in a sentence. A report does not name them, nor does every folder of logs.
pub(crate) fn named_servers(case: &Case<'_>) -> String {
    let is_unknown = case.servers.iter().all(|server| server.eq_ignore_ascii_case("unknown"));
    if is_unknown { "the sending server".into() } else { listed(&case.servers) }
}

/// `a, b and c`; a long list ends with how many more there are.
pub(crate) fn listed<T: AsRef<str>>(items: &[T]) -> String {
    const NAMED_MAX: usize = 4;
    let names: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match names.len() {
        0 => String::new(),
        1 => names[0].to_owned(),
        count if count <= NAMED_MAX => format!("{} and {}", names[..count - 1].join(", "), names[count - 1]),
        count => format!("{} and {} more", names[..NAMED_MAX].join(", "), count - NAMED_MAX),
    }
}

/// A value in a PowerShell command. Names come from logs and exports, and PowerShell ends a text in single quotes at
/// typographic ones as well; each is doubled.
pub(crate) fn quoted(value: &str) -> String {
    let mut quoted = String::from("'");
    for char in value.chars() {
        quoted.push(char);
        if matches!(char, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(char);
        }
    }
    quoted.push('\'');
    quoted
}
