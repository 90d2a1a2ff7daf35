//! `certificate-expired`: the certificate was not valid when it was presented: expired, or not valid yet.

use smtplog::Timestamp;

use super::{
    Documentation, Rule,
    mend::{SOME_THUMBPRINT, assign, pin, presenting, then},
    missing_certificate, named_servers,
    next_hop::NextHop,
};
use crate::{
    background::Background,
    case::Case,
    cause::{Cause, Step},
    certificate::CertificateView,
    family::Family,
};

/// The rule.
pub(super) struct CertificateExpired;

impl Rule for CertificateExpired {
    fn id(&self) -> &'static str {
        "certificate-expired"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The certificate was outside its validity when it was presented.",
            matters: "The other side does not trust it, so it identifies nobody.",
            mend: "Renew the certificate under the same name, assign it to SMTP on every source server, and remove the \
                expired one so that it is not picked again.",
            evidence: "Dates in the logs' certificate records, certificate files, exports and CAPI2 events; what the \
                reply itself says (4.4.317, 5.7.322).",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let by_reply = case.saying("certificateexpired").or_else(|| case.saying("certificate has expired"));
        if let Some(one) = by_reply.or(case.first_if_status(&["5.7.322", "4.7.322"])) {
            cause.weigh(80, "the reply says that a certificate has expired");
            cause.evidence.push(one.item());
            by_next_hop(&mut cause, case, background, &NextHop::of(one));
        }
        if let Some(presented) = case.presented {
            by_dates(&mut cause, case, background, &background.certificate(presented));
        }
        Some(cause).filter(|cause| !cause.why.is_empty())
    }
}

/// The reply is about a certificate that the other side met elsewhere.
fn by_next_hop(cause: &mut Cause, case: &Case<'_>, background: &Background, hop: &NextHop) {
    let (place, certificate) = (hop.place(), hop.certificate());
    cause.says = format!("The reply says that {certificate}, which {place} shows, has expired.");
    let Some(owner) = hop.owner(case, background) else {
        cause.mend = vec![Step::say(format!(
            "Tell the administrator of {place}: {certificate} has expired there, so mail to it fails since {}.",
            case.from
        ))];
        return;
    };
    let servers = hop.servers(background);
    let name = hop.subject.as_deref().or(hop.expected.as_deref()).unwrap_or("its name");
    cause.mend = vec![
        Step::say(format!(
            "That is yours: {owner}. Renew the certificate for {name}, and import it with its private key on what answers \
             as {place}."
        )),
        Step { says: String::new(), ..assign(&servers, SOME_THUMBPRINT) },
        then(),
    ];
    if let [_, step, _] = &mut cause.mend[..] {
        step.says =
            "If that is an Exchange server, assign it there to SMTP (Exchange Management Shell; answer No when \
            asked whether to overwrite the default SMTP certificate):"
                .into();
    }
}

fn by_dates(cause: &mut Cause, case: &Case<'_>, background: &Background, view: &CertificateView<'_>) {
    let (Some(not_after), refused) = (view.not_after_ms(), case.from) else { return };
    let thumbprint = view.thumbprint;
    let name = view.name().unwrap_or_else(|| thumbprint.to_string());
    let expired = not_after < case.to.0;
    let too_young = view.not_before_ms().is_some_and(|not_before| not_before > refused.0);
    if !expired && !too_young {
        if cause.why.is_empty() {
            cause.weigh(-40, format!("certificate {thumbprint} is valid until {}", Timestamp(not_after)));
        }
        return;
    }
    let (verb, date) = match expired {
        true => ("expired on", Timestamp(not_after)),
        false => ("is not valid before", Timestamp(view.not_before_ms().unwrap_or(not_after))),
    };
    cause.weigh(84, format!("certificate {thumbprint} {verb} {date}, and was presented after that"));
    if expired && not_after < refused.0 && refused.0 - not_after < 2 * 24 * 3_600_000 {
        cause.weigh(6, "the refusals begin within two days of that");
    }
    if background.accepted_share(case).is_some_and(|share| share > 0.5) && not_after < refused.0 {
        cause.weigh(-35, "most sessions that presented it were not refused");
    }
    if expired && not_after > refused.0 + 24 * 3_600_000 {
        cause.weigh(-50, format!("the refusals began before that, on {refused}"));
    }
    cause.evidence.push(view.item(format!("{verb} {date}")));
    cause.evidence.push(case.first().item());
    if view.file.is_none() {
        cause.missing.push(missing_certificate(&thumbprint.to_string(), "its dates, beside what the logs say"));
    }
    if !cause.says.is_empty() {
        return; // It is about the other side's certificate.
    }
    let servers = named_servers(case);
    cause.says = format!("{servers} presented certificate {name} ({thumbprint}), which {verb} {date}.");
    let successor = successor(background, view, case.to);
    let new = successor.map_or(SOME_THUMBPRINT.to_owned(), |thumbprint| thumbprint.to_string());
    cause.mend = vec![
        Step::say(match successor {
            Some(new) => {
                format!("Certificate {new} of the same name is valid: present it in place of the expired one.")
            }
            None => format!("Renew the certificate for {name} and import it with its private key on {servers}."),
        }),
        assign(&presenting(case, background), &new),
    ];
    cause.mend.extend(pin(case, background, &new, successor.map(|new| background.certificate(new)).as_ref()));
    cause.mend.push(then());
}

/// A certificate file of the same names that is valid then.
fn successor(background: &Background, view: &CertificateView<'_>, time: Timestamp) -> Option<smtplog::Thumbprint> {
    let names = view.dns_names();
    background.certificate_files().find_map(|file| {
        let is_valid = file.fact.not_before_ms <= time.0 && time.0 < file.fact.not_after_ms;
        let other = smtplog::Thumbprint::from_hex(file.fact.thumbprint.as_bytes())?;
        let has_name = file.fact.names.iter().chain(&file.fact.common_name).any(|name| names.contains(name));
        (is_valid && has_name && other != view.thumbprint && !file.fact.is_authority).then_some(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{accepted, cause, judged, known, mend, refuse, session, thumbprint};

    #[track_caller]
    fn check(background: Background, does: &str) {
        let line = "450 4.4.317 Cannot connect to remote server [Message=CertificateExpired Expected Subject: \
            mx.fabrikam.example. Presented Subject: CN=mx.fabrikam.example. Thumbprint: \
            3333333333333333333333333333333333333333.] [LastAttemptedServerName=mx.fabrikam.example] \
            [LastAttemptedIP=203.0.113.40:25]";
        let verdict = judged(&[refuse(session("EX1", 50, Some(thumbprint(1))), line)], background);
        let found = cause(&verdict, "certificate-expired");
        let place = "certificate 3333333333333333333333333333333333333333 for mx.fabrikam.example, which \
            mx.fabrikam.example (203.0.113.40:25) shows, has expired";
        assert!(found.says.contains(place), "{}", found.says);
        assert!(mend(found).contains(does), "{}", mend(found));
    }

    #[test]
    fn whose_expired_certificate_it_is() {
        check(Background::default(), "Tell the administrator of mx.fabrikam.example (203.0.113.40:25)");
        let exhibits = vec![accepted("fabrikam.example")];
        let tenant = "That is yours: fabrikam.example is an accepted domain of the tenant. Renew";
        check(known(exhibits, |_| ()), tenant);
        let mut presented = crate::testing::used("MX1", 3, (0, 60), (9, 0));
        presented.direction = smtplog::Direction::Receive;
        check(known(Vec::new(), |one| one.uses = vec![presented]), "That is yours: MX1 presents this");
    }
}
