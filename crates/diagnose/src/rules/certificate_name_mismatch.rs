//! `certificate-name-mismatch`: no inbound connector expects a name that the presented certificate has.
//!
//! Subject and alternate names are held against `TlsSenderCertificateName`: equal, or one label behind `*.` on either
//! side (FORMATS 5.3). Without the connectors' export it is a matter of the logs: the certificate before had a name
//! that this one does not have.

use evidence::{
    fact::Connector,
    names::{CertificateName, certificate_matches, same_dn},
};

use super::{
    Documentation, Rule, listed, missing_certificate, missing_inbound, named_servers,
    no_certificate_presented::is_on_premises, quoted, then, wizard,
};
use crate::{
    background::{Background, Shown},
    case::Case,
    cause::{Cause, Step},
    certificate::CertificateView,
    family::Family,
};

/// The rule.
pub(super) struct CertificateNameMismatch;

impl Rule for CertificateNameMismatch {
    fn id(&self) -> &'static str {
        "certificate-name-mismatch"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "No name of the presented certificate is the one that the inbound connector expects.",
            matters: "Exchange Online finds the organisation by the certificate's name. Under a new name it finds none.",
            mend: "Set TlsSenderCertificateName of the inbound connector to the new name, by hand or with the Hybrid \
                Configuration Wizard.",
            evidence: "Names of the presented certificate; TlsSenderCertificateName of enabled inbound connectors; names \
                of the certificate presented before; SubjectMismatch in replies.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        by_reply(&mut cause, case);
        if let Some(presented) = case.presented.filter(|_| case.family == Family::Attribution) {
            let view = background.certificate(presented);
            let names = view.dns_names();
            if names.is_empty() {
                cause
                    .missing
                    .push(missing_certificate(&presented.to_string(), "its names, which the logs do not show"));
            } else {
                by_connectors(&mut cause, case, background, &view, &names);
                by_predecessor(&mut cause, case, background, &view, &names);
            }
        }
        Some(cause).filter(|cause| !cause.why.is_empty())
    }
}

fn by_reply(cause: &mut Cause, case: &Case<'_>) {
    let by_status = case.first_if_status(&["5.7.325", "4.7.325"]);
    let Some(one) = case.saying("subjectmismatch").or(by_status) else { return };
    cause.weigh(80, "the reply says that the certificate's name is another than expected");
    cause.evidence.push(one.item());
    let text = one.reply().map(|reply| reply.text.replace('\n', " ")).unwrap_or_default();
    let between = |from: &str, to: &str| {
        let (_, rest) = text.split_once(from)?;
        Some(rest.split(to).next().unwrap_or(rest).trim().trim_end_matches(['.', ',']).to_owned())
    };
    let expected = between("Expected Subject: ", "Presented Subject");
    let presented = between("Presented Subject: ", "Thumbprint");
    cause.says = match (expected, presented) {
        (Some(expected), Some(presented)) => {
            format!("The certificate that was shown is for {presented}, and {expected} was expected.")
        }
        _ => "The reply says that the certificate that was shown is for another name.".into(),
    };
    cause.mend.push(Step::say(
        "If it is the other side's certificate, tell its administrator; if the name that is expected is wrong, set \
         TlsDomain or the smart host of the connector to the right one.",
    ));
}

/// What the connectors expect.
fn by_connectors(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    names: &[String],
) {
    let connectors: Vec<_> = background.inbound().into_iter().filter(|one| concerns(&one.fact, case)).collect();
    let expecting: Vec<(&Shown<'_>, &str)> =
        connectors.iter().filter_map(|one| Some((one, one.fact.text("TlsSenderCertificateName")?))).collect();
    if background.inbound().is_empty() {
        cause.missing.push(missing_inbound("which name TlsSenderCertificateName expects"));
        return;
    }
    let matching = expecting.iter().find(|(_, expected)| matches(expected, names, view));
    if let Some((one, expected)) = matching {
        cause.weigh(-60, format!("inbound connector {} expects {expected}, which the certificate has", one.fact.name));
        return;
    }
    let before = case.servers.iter().find_map(|server| background.change(case, server));
    let old = before.map(|change| background.certificate(change.before.thumbprint));
    let knew =
        |(_, expected): &&(&Shown<'_>, &str)| old.as_ref().is_some_and(|old| matches(expected, &old.dns_names(), old));
    // Of several connectors the one that knew the certificate before; else nobody can say which is meant.
    let meant = expecting.iter().find(knew).or(expecting.first().filter(|_| expecting.len() == 1));
    let Some((one, expected)) = meant.or(expecting.first()) else { return };
    let thumbprint = view.thumbprint;
    cause.weigh(
        75,
        format!("inbound connector {} expects {expected}; the certificate is for {}", one.fact.name, listed(names)),
    );
    for (one, expected) in &expecting {
        let text = format!("{}: TlsSenderCertificateName {expected}", one.fact.name);
        cause.evidence.push(one.item(text));
    }
    cause.evidence.push(view.item(format!("{thumbprint} is for {}", listed(names))));
    cause.evidence.push(case.first().item());
    let servers = named_servers(case);
    let name = names.first().map_or("", String::as_str);
    let expectation = match meant {
        Some(_) => format!("inbound connector {} expects {expected}", one.fact.name),
        None => {
            let expected: Vec<&str> = expecting.iter().map(|(_, expected)| *expected).collect();
            format!("the inbound connectors expect {}", listed(&expected))
        }
    };
    cause.says = format!("{servers} presented certificate {thumbprint} for {}, but {expectation}.", listed(names));
    let connector = match meant {
        Some(_) => quoted(&one.fact.name),
        None => "'THE CONNECTOR THAT IS MEANT FOR THESE SERVERS'".into(),
    };
    if meant.is_none() {
        cause.weigh(-5, "several inbound connectors expect a certificate, and the logs do not say which is meant");
    }
    cause.mend = vec![
        Step::run(
            "In Exchange Online PowerShell, let the connector expect the new name:",
            format!("Set-InboundConnector -Identity {connector} -TlsSenderCertificateName {}", quoted(name)),
        ),
        wizard(&format!("certificate {name} ({thumbprint})")),
        Step::say(format!(
            "The domain of {name} or of the sender has to be an accepted domain of the tenant; otherwise the refusal goes \
             on with ATTR36."
        )),
        then(),
    ];
}

/// Whether a connector's certificate name has a part in refusals of this kind.
fn concerns(connector: &Connector, case: &Case<'_>) -> bool {
    match case.status {
        Some("5.7.51") => connector.flag("RestrictDomainsToCertificate") != Some(false),
        _ => is_on_premises(connector),
    }
}

fn matches(expected: &str, names: &[String], view: &CertificateView<'_>) -> bool {
    match CertificateName::parse(expected) {
        Some(named) => {
            view.subject().is_some_and(|subject| same_dn(subject, &named.subject))
                && view.issuer().is_none_or(|issuer| named.issuer.is_empty() || same_dn(issuer, &named.issuer))
        }
        None => certificate_matches(names.iter().map(String::as_str), expected).is_some(),
    }
}

/// The certificate before had a name that this one does not have.
fn by_predecessor(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    names: &[String],
) {
    let mut changes = case.servers.iter().filter_map(|server| background.change(case, server));
    let Some(change) = changes.next() else { return };
    let before = background.certificate(change.before.thumbprint);
    let old = before.dns_names();
    if old.is_empty() || certificate_matches(names.iter().map(String::as_str), &old[0]).is_some() {
        return;
    }
    let weight = if cause.weight() > 0 { 8 } else { 45 };
    cause.weigh(
        weight,
        format!("until {} {} presented one for {}", change.before.last, change.now.server, listed(&old)),
    );
    cause.evidence.push(before.item(format!("{} was for {}", before.thumbprint, listed(&old))));
    if !cause.says.is_empty() {
        return;
    }
    let servers = named_servers(case);
    let name = &names[0];
    cause.evidence.push(case.first().item());
    cause.says = format!(
        "{servers} presented certificate {} for {}; the one before was for {}, which the inbound connector may still expect.",
        view.thumbprint,
        listed(names),
        listed(&old)
    );
    cause.mend = vec![
        Step::run(
            "In Exchange Online PowerShell, see which name is expected:",
            "Get-InboundConnector | Format-List Name,Enabled,TlsSenderCertificateName",
        ),
        Step::run(
            format!("If it is still {}, set the new one:", old[0]),
            format!(
                "Set-InboundConnector -Identity 'NAME OF THE CONNECTOR' -TlsSenderCertificateName {}",
                quoted(name)
            ),
        ),
        wizard(&format!("certificate {name} ({})", view.thumbprint)),
        then(),
    ];
}
