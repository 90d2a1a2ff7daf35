//! `certificate-expired`: the certificate was not valid when it was presented: expired, or not valid yet.

use smtplog::Timestamp;

use super::{Documentation, Rule, assign, missing_certificate, named_servers, pin, then};
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
            cause.says = "The reply says that the other side's certificate has expired.".into();
            cause.mend.push(Step::say("Tell the other side's administrator; the reply names the certificate."));
        }
        if let Some(presented) = case.presented {
            by_dates(&mut cause, case, background, &background.certificate(presented));
        }
        Some(cause).filter(|cause| !cause.why.is_empty())
    }
}

fn by_dates(cause: &mut Cause, case: &Case<'_>, background: &Background, view: &CertificateView<'_>) {
    let (Some(not_after), refused) = (view.not_after_ms(), case.from) else { return };
    let thumbprint = view.thumbprint;
    let name = view.name().unwrap_or_else(|| thumbprint.to_string());
    let expired = not_after < case.to.0;
    let too_young = view.not_before_ms().is_some_and(|not_before| not_before > refused.0);
    if !expired && !too_young {
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
    let new = successor.map_or("THUMBPRINT".to_owned(), |thumbprint| thumbprint.to_string());
    cause.mend = vec![
        Step::say(match successor {
            Some(new) => {
                format!("Certificate {new} of the same name is valid: present it in place of the expired one.")
            }
            None => format!("Renew the certificate for {name} and import it with its private key on {servers}."),
        }),
        assign(&new),
        pin(&new, case.connector),
        then(),
    ];
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
