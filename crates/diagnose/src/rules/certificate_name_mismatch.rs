//! `certificate-name-mismatch`: no inbound connector expects a name that the presented certificate has.
//!
//! Subject and alternate names are held against `TlsSenderCertificateName`: equal, or one label behind `*.` on either
//! side (FORMATS 5.3). Without the connectors' export it is a matter of the logs: the certificate before had a name
//! that this one does not have.

use evidence::{fact::Connector, names::certificate_matches};

use super::{
    Documentation, Rule,
    certificate_changed::{accepted_between, mend_of_change},
    listed,
    mend::{
        self, SOME_THUMBPRINT, counted, expect, give_back, is_recipients, tell_recipient, tenant_name, then, wizard,
    },
    missing_certificate, missing_inbound, missing_send, named_servers,
    next_hop::NextHop,
    no_certificate_presented::is_on_premises,
    quoted,
    wrong_connector_or_route::organisation,
};
use crate::{
    background::{Background, Shown, Use},
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
        by_reply(&mut cause, case, background);
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

fn by_reply(cause: &mut Cause, case: &Case<'_>, background: &Background) {
    let by_status = case.first_if_status(&["5.7.325", "4.7.325"]);
    let Some(one) = case.saying("subjectmismatch").or(by_status) else { return };
    cause.weigh(80, "the reply says that the certificate's name is another than expected");
    cause.evidence.push(one.item());
    let hop = NextHop::of(one);
    cause.says = match (&hop.expected, &hop.subject) {
        (Some(expected), Some(subject)) => {
            format!("{} shows a certificate for {subject}, and {expected} was expected.", hop.place())
        }
        _ => "The reply says that the certificate that was shown is for another name.".into(),
    };
    let owner = hop.owner(case, background);
    let expected = hop.expected.as_deref().unwrap_or("the name that is expected");
    cause.mend = match owner {
        Some(owner) => vec![
            Step::say(format!(
                "That is yours: {owner}. Let {} present a certificate for {expected} in place of {}, or, if the expected \
                 name is wrong, set TlsDomain of the outbound connector to the right one.",
                hop.place(),
                hop.certificate(),
            )),
            then(),
        ],
        None => vec![Step::say(format!(
            "Tell the administrator of {}: it shows {}, and {expected} was expected. If the expected name is wrong, set \
             TlsDomain or the smart host of the connector to the right one.",
            hop.place(),
            hop.certificate(),
        ))],
    };
}

/// What the connectors expect.
fn by_connectors(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    names: &[String],
) {
    if !background.has_inbound_export() && background.inbound().is_empty() {
        cause.missing.push(missing_inbound(match is_recipients(case, background) {
            true => "those of the recipient's tenant, from its administrator: which name they expect",
            false => "which name TlsSenderCertificateName expects",
        }));
        return;
    }
    let connectors: Vec<_> = background.inbound().into_iter().filter(|one| concerns(&one.fact, case)).collect();
    let expecting: Vec<(&Shown<'_>, &str)> =
        connectors.iter().filter_map(|one| Some((one, one.fact.text("TlsSenderCertificateName")?))).collect();
    if let Some((one, expected)) = expecting.iter().find(|(_, expected)| view.is_expected(expected)) {
        cause.weigh(-60, format!("inbound connector {} expects {expected}, which the certificate has", one.fact.name));
        return;
    }
    let before = case.servers.iter().find_map(|server| background.change(case, server));
    let old = before.map(|change| background.certificate(change.before.thumbprint));
    let knew = |(_, expected): &&(&Shown<'_>, &str)| old.as_ref().is_some_and(|old| old.is_expected(expected));
    // Of several connectors the one that knew the certificate before; else nobody can say which is meant.
    let meant = expecting.iter().find(knew).or(expecting.first().filter(|_| expecting.len() == 1)).copied();
    let Some((one, expected)) = meant.or(expecting.first().copied()) else { return };
    cause.weigh(
        75,
        format!("inbound connector {} expects {expected}; the certificate is for {}", one.fact.name, listed(names)),
    );
    if tenant_name(background, view).is_none() {
        cause.weigh(
            -20,
            "it is not a certificate that a connector is meant to expect: it has no full name, or issued itself",
        );
    }
    if meant.is_none() {
        cause.weigh(-5, "several inbound connectors expect a certificate, and the logs do not say which is meant");
    }
    for (one, expected) in &expecting {
        let text = format!("{}: TlsSenderCertificateName {expected}", one.fact.name);
        cause.evidence.push(one.item(text));
    }
    cause.evidence.push(view.item(format!("{} is for {}", view.thumbprint, listed(names))));
    cause.evidence.push(case.first().item());
    let expectation = match meant {
        Some(_) => format!("inbound connector {} expects {expected}", one.fact.name),
        None => {
            let expected: Vec<&str> = expecting.iter().map(|(_, expected)| *expected).collect();
            format!("the inbound connectors expect {}", listed(&expected))
        }
    };
    let servers = named_servers(case);
    cause.says =
        format!("{servers} presented certificate {} for {}, but {expectation}.", view.thumbprint, listed(names));
    say_mend(cause, case, background, view, meant);
}

/// Where the expected certificate is in use and accepted, it is the one to present; else the tenant has to expect the new.
fn say_mend(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    meant: Option<(&Shown<'_>, &str)>,
) {
    let accepted = accepted_elsewhere(case, background, meant);
    if let Some(first) = accepted.first() {
        let right = background.certificate(first.thumbprint);
        let name = right.name().unwrap_or_default();
        cause.says.push_str(&format!(
            " Mail of {} over {} with the certificate for {name} ({}) is accepted.",
            counted(&accepted),
            first.connector.trim(),
            first.thumbprint
        ));
        cause.mend = give_back(case, background, &right, Some(&first.server));
        cause.mend.push(Step::say(format!(
            "Leave TlsSenderCertificateName of the tenant as it is: with another name there {} would be refused.",
            counted(&accepted)
        )));
        cause.mend.push(then());
        return;
    }
    let name = tenant_name(background, view);
    let identity = match meant {
        Some((one, _)) => quoted(&one.fact.name),
        None => "<NAME OF THE CONNECTOR FOR THESE SERVERS>".into(),
    };
    if is_recipients(case, background) {
        let expected = meant.map(|(_, expected)| expected);
        cause.mend = tell_recipient(case, view, name.as_deref(), (&identity, expected));
        cause.mend.push(then());
        return;
    }
    let Some(name) = name else {
        let expected = meant.map_or("the name that is expected", |(_, expected)| expected);
        cause.mend = vec![
            Step::say(format!(
                "Get a certificate for {expected} from an authority, or find the one that was used before, and import it \
                 with its private key on {}.",
                named_servers(case)
            )),
            mend::assign(&mend::presenting(case, background), SOME_THUMBPRINT),
        ];
        cause.mend.extend(mend::pin(case, background, SOME_THUMBPRINT, None));
        cause.mend.push(then());
        return;
    };
    cause.mend = vec![
        Step::run("In Exchange Online PowerShell, let the connector expect the new name:", expect(&identity, &name)),
        wizard(&format!("certificate {name} ({})", view.thumbprint)),
        Step::say(format!(
            "The domain of {name} or of the sender has to be an accepted domain of the tenant; otherwise the refusal goes \
             on with ATTR36."
        )),
        then(),
    ];
}

/// Uses of the expected certificate that are accepted.
fn accepted_elsewhere<'a>(
    case: &Case<'_>,
    background: &'a Background,
    meant: Option<(&Shown<'_>, &str)>,
) -> Vec<&'a Use> {
    let side = case.first().session.remote_name.as_deref().and_then(organisation);
    // Elsewhere a certificate counts only if the same other side took it: others do not ask for one.
    let by_same_side = |one: &Use| {
        let mut routes = background.routes.iter().filter(|route| route.presented == Some(one.thumbprint));
        routes.any(|route| {
            route.connector.eq_ignore_ascii_case(&one.connector) && organisation(&route.remote_name) == side
        })
    };
    let is_expected = |one: &Use| {
        meant.is_some_and(|(_, expected)| background.certificate(one.thumbprint).is_expected(expected))
            && (one.connector.eq_ignore_ascii_case(case.connector) || by_same_side(one))
    };
    background.accepted_meanwhile(case, is_expected)
}

/// Whether a connector's certificate name has a part in refusals of this kind.
fn concerns(connector: &Connector, case: &Case<'_>) -> bool {
    match case.status {
        Some("5.7.51") => connector.flag("RestrictDomainsToCertificate") != Some(false),
        _ => is_on_premises(connector),
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
    // An expectation that is met is not undone by what was presented before.
    let weight = match cause.weight() {
        ..0 => return,
        0 => 45,
        _ => 8,
    };
    let onset = case.servers.iter().filter_map(|server| background.onset(case, server)).min().unwrap_or(case.from);
    if weight == 45 && accepted_between(case, background, change.now, onset.min(case.from)) > 0 {
        cause.weigh(-40, "mail was accepted with this certificate's names before the first refusal");
    }
    cause.weigh(
        weight,
        format!("until {} {} presented one for {}", change.before.last, change.now.server, listed(&old)),
    );
    cause.evidence.push(before.item(format!("{} was for {}", before.thumbprint, listed(&old))));
    if background.send_connector(case.connector).is_none() {
        cause.at_most_medium("the send connector may name the certificate before, and its export is not there");
        cause.missing.push(missing_send("whether TlsCertificateName names the certificate before or this one"));
    }
    if !cause.says.is_empty() {
        return;
    }
    let servers = named_servers(case);
    cause.evidence.push(case.first().item());
    cause.says = format!(
        "{servers} presented certificate {} for {}; the one before was for {}, which the inbound connector may still expect.",
        view.thumbprint,
        listed(names),
        listed(&old)
    );
    cause.mend = mend_of_change(case, background, change);
}

#[cfg(test)]
mod tests {
    use evidence::fact::ConnectorKind;

    use super::*;
    use crate::{
        Confidence, Exhibit, Refused,
        rules::Verdict,
        testing::{
            CONNECTOR, RELAY_DENIED, accepted, cause, connector, judged, known, mend, named, refuse, session,
            thumbprint, used,
        },
    };

    const ID: &str = "certificate-name-mismatch";

    fn inbound(kind: &str, expected: &str) -> Exhibit {
        let settings = [("Enabled", "True"), ("ConnectorType", kind), ("TlsSenderCertificateName", expected)];
        connector(ConnectorKind::Inbound, "From on-premises", &settings)
    }

    /// EX1 moved from mail.contoso.com to smtp.contoso.com.
    fn renewed(exhibits: Vec<Exhibit>) -> Background {
        let mut background = known(exhibits, |_| ());
        background.certificates = vec![named(1, "mail.contoso.com"), named(2, "smtp.contoso.com")];
        background.uses = vec![used("EX1", 1, (0, 9), (20, 0)), used("EX1", 2, (10, 60), (30, 30))];
        background.recent = background.uses.clone();
        background
    }

    fn refused(line: &str) -> [Refused; 1] {
        [refuse(session("EX1", 50, Some(thumbprint(2))), line)]
    }

    #[test]
    fn it_is_not_certain_while_the_send_connector_may_name_another() {
        let verdict = judged(&refused(RELAY_DENIED), renewed(vec![inbound("OnPremises", "mail.contoso.com")]));
        let unsure = cause(&verdict, ID);
        assert_eq!(unsure.confidence(), Confidence::Medium);
        assert!(unsure.missing.iter().any(|one| one.command.contains("Get-SendConnector")), "{unsure:?}");
        let sends = connector(ConnectorKind::Send, CONNECTOR, &[("TlsCertificateName", "")]);
        let verdict = judged(&refused(RELAY_DENIED), renewed(vec![inbound("OnPremises", "mail.contoso.com"), sends]));
        let sure = cause(&verdict, ID);
        assert_eq!(sure.confidence(), Confidence::High);
        let mend = mend(sure);
        let command = "Set-InboundConnector -Identity 'From on-premises' -TlsSenderCertificateName 'smtp.contoso.com'";
        assert!(mend.contains(command) && mend.contains("Wizard"), "{mend}");
    }

    #[test]
    fn the_tenant_does_not_expect_what_no_authority_issued() {
        let mut background = renewed(vec![inbound("OnPremises", "mail.contoso.com")]);
        background.certificates[1].subject = "CN=EX1".into();
        background.certificates[1].issuer = "CN=EX1".into();
        background.certificates[1].names = "EX1;ex1.corp.contoso.com".into();
        let verdict = judged(&refused(RELAY_DENIED), background);
        let found = cause(&verdict, ID);
        assert_eq!(found.confidence(), Confidence::Medium);
        let commands = verdict.causes.iter().map(mend).collect::<String>();
        assert!(!commands.contains("Set-InboundConnector"), "{commands}");
    }

    #[test]
    fn what_is_accepted_elsewhere_is_presented_and_the_tenant_left_alone() {
        let mut background = renewed(vec![inbound("OnPremises", "mail.contoso.com")]);
        background.recent.push(used("EX9", 1, (0, 60), (40, 0)));
        // Over another connector other sides may take anything, and EX8 has moved meanwhile.
        background.recent.push(Use { connector: "Internet".into(), ..used("EX7", 1, (0, 60), (40, 0)) });
        background.recent.extend([used("EX8", 1, (0, 52), (40, 0)), used("EX8", 2, (53, 60), (40, 40))]);
        let verdict = judged(&refused(RELAY_DENIED), background);
        let mend: String = verdict.causes.iter().map(mend).collect();
        let old = thumbprint(1);
        assert!(mend.contains(&format!("Enable-ExchangeCertificate -Thumbprint {old}")), "{mend}");
        assert!(
            !mend.contains("Set-InboundConnector") && mend.contains("there EX9 (40 sessions) would be refused"),
            "{mend}"
        );
    }

    #[test]
    fn a_partners_connector_is_for_its_administrator() {
        let line = "550 5.7.51 TenantInboundAttribution; There is a partner connector configured";
        let partner = || inbound("Partner", "mail.contoso.com");
        let theirs = judged(&refused(line), renewed(vec![partner(), accepted("contoso.com")]));
        let text = mend(cause(&theirs, ID));
        assert!(text.contains("belongs to the tenant of fabrikam.example"), "{text}");
        assert!(text.contains("certificate 2222222222222222222222222222222222222222 for smtp.contoso.com"), "{text}");
        assert!(!text.contains("Or run the Hybrid"), "{text}");
        // A tenant that accepts the recipient's domain is one's own.
        let ours = judged(&refused(line), renewed(vec![partner(), accepted("fabrikam.example")]));
        assert!(mend(cause(&ours, ID)).contains("Or run the Hybrid"));
    }

    #[test]
    fn a_name_that_is_expected_is_ruled_out() {
        let verdict = judged(&refused(RELAY_DENIED), renewed(vec![inbound("OnPremises", "*.contoso.com")]));
        let against = |verdict: &Verdict| verdict.ruled_out.iter().find(|cause| cause.id == ID).map(Cause::weight);
        assert_eq!(against(&verdict), Some(-60));
        assert!(verdict.causes.iter().all(|cause| cause.id != ID));
    }

    #[test]
    fn the_same_mend_is_told_once() {
        let verdict = judged(&refused(RELAY_DENIED), renewed(Vec::new()));
        let ids: Vec<&str> = verdict.causes.iter().map(|cause| cause.id).collect();
        assert_eq!(ids, ["certificate-changed", ID]);
        assert_eq!(verdict.causes[1].mend, [Step::say("The same mend as 1 (certificate-changed).")]);
    }
}
