//! `chain-incomplete`: the other side could not build a trusted chain from what was presented.
//!
//! A server that lacks the intermediate certificates sends its own certificate alone. On that server Windows says so
//! itself, if CAPI2 logging is on (event 30, result 800B0109 or 800B010A).

use evidence::{chain::Outcome, fact::ChainCheck};

use super::{
    Documentation, Rule,
    mend::{SOME_THUMBPRINT, assign, give_back, pin, presenting, then},
    missing_capi2, missing_certificate, named_servers,
};
use crate::{
    background::{Background, Exhibited},
    case::Case,
    cause::{Cause, ItemKind, Step},
    certificate::CertificateView,
    family::Family,
};

/// Results of a check that mean that the chain is not complete or not trusted (FORMATS sections 1.6 and 3).
const CHAIN_RESULTS: [u32; 4] = [0x800B_0109, 0x800B_010A, 0x800B_010D, 0x800B_0112];

/// The rule.
pub(super) struct ChainIncomplete;

impl Rule for ChainIncomplete {
    fn id(&self) -> &'static str {
        "chain-incomplete"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The certificate was presented without the intermediate certificates that lead to a trusted root, or \
                is self-signed.",
            matters: "Exchange Online does not fetch missing certificates; one whose chain does not end at a root that it \
                trusts identifies nobody.",
            mend: "Import the intermediate certificates of the issuer into Intermediate Certification Authorities of \
                the local machine on every sending server.",
            evidence: "CAPI2 events of the sending server about the certificate that it presented; untrustedroot in the \
                reply; chains built from certificate files.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        by_reply(&mut cause, case);
        let mut intermediate = None;
        match case.presented {
            Some(presented) => {
                let view = background.certificate(presented);
                by_checks(&mut cause, case, background, &view);
                by_files(&mut cause, case, background, &view, &mut intermediate);
                say(&mut cause, case, background, &view, intermediate);
            }
            None => without_thumbprint(&mut cause, case, background),
        }
        Some(cause).filter(|cause| !cause.why.is_empty())
    }
}

fn by_reply(cause: &mut Cause, case: &Case<'_>) {
    if let Some(one) = case.saying("untrustedroot") {
        let share =
            case.share(|one| one.reply().is_some_and(|reply| reply.text.to_lowercase().contains("untrustedroot")));
        let weight = if share > 0.5 { 82 } else { 50 };
        let percent = (share * 100.0).ceil();
        cause.weigh(weight, format!("{percent} % of the replies say that the chain ends at an untrusted root"));
        cause.evidence.push(one.item());
    }
}

/// A check counts only if the certificate was presented by sessions of that computer: it can be about the other side's.
fn by_checks(cause: &mut Cause, case: &Case<'_>, background: &Background, view: &CertificateView<'_>) {
    let presenting = background.servers_presenting(case);
    let hex = view.thumbprint.to_string();
    let of_case = |one: &&Exhibited<'_, ChainCheck>| {
        one.fact.thumbprint == hex
            && is_of_tls(one.fact)
            && presenting.iter().any(|server| is_computer(one.fact, server))
    };
    let all: Vec<_> = background.checks().collect();
    let is_mended = |bad: &ChainCheck| {
        let good = all.iter().filter(of_case).filter(|one| one.fact.result == 0 && one.fact.computer == bad.computer);
        good.map(|one| one.fact).any(|good| good.first_ms > bad.last_ms && good.first_ms < case.from.0)
    };
    let is_bad = |one: &&Exhibited<'_, ChainCheck>| CHAIN_RESULTS.contains(&one.fact.result);
    let mut checks: Vec<_> =
        all.iter().filter(of_case).filter(is_bad).filter(|one| !is_mended(one.fact)).copied().collect();
    checks.sort_by_key(|one| (one.fact.event != 30, one.fact.first_ms));
    let Some(check) = checks.first() else { return };
    cause.weigh(84, format!("Windows itself found so on {}: {}", check.fact.computer, named_result(check.fact)));
    cause.evidence.push(check.item(ItemKind::Capi2, describe(check.fact)));
    cause.evidence.push(case.first().item());
}

/// Whether it is about TLS: other policies check signatures of programs.
fn is_of_tls(check: &ChainCheck) -> bool {
    check.event != 30 || check.policy.as_deref().is_none_or(|policy| policy.contains("SSL"))
}

/// Whether a check was made on a server. Logs name servers by their first label.
pub(super) fn is_computer(check: &ChainCheck, server: &str) -> bool {
    check.computer.split('.').next().unwrap_or_default().eq_ignore_ascii_case(server)
}

fn named_result(check: &ChainCheck) -> String {
    let name = check.result_name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{:08X}{name}", check.result)
}

fn describe(check: &ChainCheck) -> String {
    let process = check.process.as_deref().unwrap_or("a process");
    let of = check.subject_name.as_deref().unwrap_or(&check.thumbprint);
    format!(
        "event {} on {}: {process} checked {of} ({}): {}",
        check.event,
        check.computer,
        check.thumbprint,
        named_result(check)
    )
}

fn by_files(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    intermediate: &mut Option<(String, Vec<String>)>,
) {
    if view.is_self_signed() == Some(true) {
        cause.weigh(55, "the certificate is self-signed");
        cause.evidence.push(view.item("issuer and subject are the same"));
        return;
    }
    let Some(chain) = background.chain(view, case.from) else {
        let what = "the intermediate that is missing, and the address where it can be had";
        cause.missing.push(missing_certificate(&view.thumbprint.to_string(), what));
        return;
    };
    match chain.outcome {
        Outcome::Missing { issuer, urls, of } => {
            if background.known.len() > chain.links.len() {
                cause.weigh(12, format!("among the certificate files there is none of {issuer}, which issued {of}"));
            }
            cause.evidence.push(view.item(format!("issued by {issuer}, of which there is no certificate file")));
            *intermediate = Some((issuer, urls));
        }
        Outcome::BadSignature { of, issuer } => {
            cause.weigh(40, format!("the signature on {of} was not made by {issuer}"));
        }
        Outcome::NotAuthority { thumbprint } => {
            cause.weigh(40, format!("{thumbprint} issued it and may not issue certificates"));
        }
        Outcome::Complete if cause.weight() == 0 => {
            cause.weigh(-20, "the chain is complete among the certificate files");
        }
        Outcome::Complete | Outcome::SelfSigned | Outcome::Unreadable => {}
    }
}

fn say(
    cause: &mut Cause,
    case: &Case<'_>,
    background: &Background,
    view: &CertificateView<'_>,
    intermediate: Option<(String, Vec<String>)>,
) {
    let servers = named_servers(case);
    let name = view.name().unwrap_or_else(|| view.thumbprint.to_string());
    let thumbprint = view.thumbprint;
    if view.is_self_signed() == Some(true) {
        cause.says = format!(
            "{servers} presented certificate {name} ({thumbprint}), which is self-signed: nobody else trusts it."
        );
        cause.mend = present_another(case, background);
        return;
    }
    cause.says = format!(
        "{servers} presented certificate {name} ({thumbprint}) without a complete chain: the other side could not get \
         from it to a root that it trusts."
    );
    cause.mend = import_steps(&servers, view.issuer(), intermediate);
    for server in case.servers.iter().take(1).filter(|_| cause.evidence.iter().all(|item| item.kind != ItemKind::Capi2))
    {
        cause.missing.push(missing_capi2(server));
    }
}

/// One that is accepted from the same servers meanwhile is at hand.
fn present_another(case: &Case<'_>, background: &Background) -> Vec<Step> {
    let is_issued = |thumbprint| background.certificate(thumbprint).is_self_signed() == Some(false);
    let of_case = |server: &str| case.servers.iter().any(|one| one.eq_ignore_ascii_case(server));
    let accepted = background.accepted_meanwhile(case, |one| is_issued(one.thumbprint) && of_case(&one.server));
    let mut steps = match accepted.first() {
        Some(one) => give_back(case, background, &background.certificate(one.thumbprint), None),
        None => {
            let mut steps = vec![
                Step::say(
                    "Get a certificate of an authority that the other side trusts, and import it with its private key.",
                ),
                assign(&presenting(case, background), SOME_THUMBPRINT),
            ];
            steps.extend(pin(case, background, SOME_THUMBPRINT, None));
            steps
        }
    };
    steps.push(then());
    steps
}

fn import_steps(servers: &str, issuer: Option<&str>, intermediate: Option<(String, Vec<String>)>) -> Vec<Step> {
    let (issuer, urls) = match intermediate {
        Some((issuer, urls)) => (issuer, urls),
        None => (issuer.unwrap_or("the issuer").to_owned(), Vec::new()),
    };
    let place = match urls.first() {
        Some(url) => format!("it can be had at {url}"),
        None => "from its issuer, or exported from a machine whose certification path shows it".to_owned(),
    };
    vec![
        Step::say(format!("Get the intermediate certificate of {issuer} as a DER file: {place}.")),
        Step::run(
            format!("On {servers}, import it into Intermediate Certification Authorities (elevated PowerShell):"),
            "Get-ChildItem -Path C:\\import\\intermediateca.cer | Import-Certificate -CertStoreLocation \
             Cert:\\LocalMachine\\CA",
        ),
        Step::say(
            "Do so for every intermediate of the certification path, then restart the Microsoft Exchange Transport and \
             Frontend Transport services (or IIS SMTP), so that they build the chain anew.",
        ),
        then(),
    ]
}

/// An IIS server's log has no thumbprint: a check of the certificate that the reply names, or of one that covers the
/// computer's name, is as near as one gets.
fn without_thumbprint(cause: &mut Cause, case: &Case<'_>, background: &Background) {
    let is_rebuilt = case.first().session.rebuilt.is_some();
    let named = case.refused.iter().find_map(|one| smtplog::reply_certificate_name(&one.reply()?.text));
    let covers = |check: &ChainCheck| {
        let subject = check.subject_name.as_deref().unwrap_or_default();
        let computer = check.computer.as_str();
        let is_named = named.is_some_and(|(name, _)| evidence::names::covers(subject, name));
        let label = computer.split('.').next().unwrap_or_default();
        let of_server = case.servers.iter().any(|server| server.eq_ignore_ascii_case(label));
        (is_named || evidence::names::covers(subject, computer)) && of_server
    };
    let checks = background.checks().filter(|one| CHAIN_RESULTS.contains(&one.fact.result) && covers(one.fact));
    if let Some(check) = { checks }.next().filter(|_| is_rebuilt) {
        cause.weigh(60, format!("Windows found so on {}: {}", check.fact.computer, named_result(check.fact)));
        cause.evidence.push(check.item(ItemKind::Capi2, describe(check.fact)));
        cause.at_most_medium("an IIS log does not say which certificate was presented");
    }
    let servers = named_servers(case);
    cause.says = format!(
        "{servers} presented a certificate{} without a complete chain: the other side could not get from it to a root \
         that it trusts.",
        named.map(|(name, _)| format!(" called {name}")).unwrap_or_default()
    );
    cause.mend = import_steps(&servers, None, None);
    cause.evidence.push(case.first().item());
    for server in case.servers.iter().take(1) {
        cause.missing.push(missing_capi2(server));
    }
}
