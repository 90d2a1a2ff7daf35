//! `send-connector-pins-another-certificate`: the send connector names one certificate, and another was presented.
//!
//! `TlsCertificateName` holds issuer and subject, not a thumbprint (FORMATS 5.1): after a renewal under the same names
//! nothing differs. Only what was presented is held against it.

use evidence::names::{CertificateName, covers, same_dn};

use super::{
    Documentation, Rule,
    mend::{SOME_THUMBPRINT, assign, pin_command, presenting, then},
    missing_send, named_servers,
};
use crate::{
    background::Background,
    case::Case,
    cause::{Cause, Step},
    certificate::CertificateView,
    family::Family,
};

/// The rule.
pub(super) struct SendConnectorPinsAnotherCertificate;

impl Rule for SendConnectorPinsAnotherCertificate {
    fn id(&self) -> &'static str {
        "send-connector-pins-another-certificate"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "TlsCertificateName of the send connector names another certificate than the one presented.",
            matters: "A server that does not have the named certificate, or not its key, presents another one, which the \
                inbound connector does not know.",
            mend: "Import the named certificate with its private key on every source server, or set TlsCertificateName \
                to the one that shall be presented.",
            evidence: "Get-SendConnector; issuer and subject of the presented certificate.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let presented = case.presented?;
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let connector = background.send_connector(case.connector)?;
        let text = connector.fact.text("TlsCertificateName")?;
        let named = CertificateName::parse(text)?;
        let view = background.certificate(presented);
        let subject = view.subject()?;
        let same_issuer = named.issuer.is_empty() || view.issuer().is_none_or(|issuer| same_dn(issuer, &named.issuer));
        let mut cause = Cause::new(self.id());
        if same_dn(subject, &named.subject) && same_issuer {
            cause
                .weigh(-40, format!("send connector {} names the certificate that was presented", connector.fact.name));
            return Some(cause);
        }
        cause.weigh(82, format!("the connector names {} and {subject} was presented", named.subject));
        match background.accepted_share(case) {
            Some(share) if share > 0.5 => {
                cause.weigh(-40, format!("{:.0} % of the sessions that presented it were not refused", share * 100.0));
            }
            _ => {}
        }
        if same_dn(subject, &named.subject) {
            cause.weigh(-15, "the subject is the same, only the issuer differs");
        }
        let name = evidence::names::common_name(&named.subject).unwrap_or_else(|| named.subject.clone());
        by_inbound(&mut cause, background, &view, &name);
        cause.evidence.push(connector.item(format!("{}: TlsCertificateName {text}", connector.fact.name)));
        cause.evidence.push(view.item(format!("{presented} is of {subject}")));
        cause.evidence.push(case.first().item());
        let servers = named_servers(case);
        cause.says = format!(
            "Send connector {} names certificate {name}, but {servers} presented {subject} ({presented}).",
            connector.fact.name
        );
        let in_files = background
            .certificate_files()
            .find(|file| same_dn(&file.fact.subject, &named.subject) && same_dn(&file.fact.issuer, &named.issuer));
        let thumbprint = in_files.map_or(SOME_THUMBPRINT.to_owned(), |file| file.fact.thumbprint.clone());
        let assigned = assign(&presenting(case, background), &thumbprint);
        cause.mend = vec![
            Step::run(
                format!(
                    "On {servers} (Exchange Management Shell), look whether certificate {name} is there with its private key:"
                ),
                "Get-ExchangeCertificate | Format-List Thumbprint,Subject,Issuer,Services,HasPrivateKey",
            ),
            Step { says: format!("If not, import it first. {}", assigned.says), ..assigned },
            Step::run(
                format!("Or, if {subject} is the one to present, name it on the connector:"),
                pin_command(&presented.to_string(), &connector.fact.name),
            ),
            then(),
        ];
        if background.inbound().is_empty() {
            cause.missing.push(super::missing_inbound("which of both certificates it expects"));
        }
        Some(cause)
    }
}

/// Which of both certificates the inbound connectors expect.
fn by_inbound(cause: &mut Cause, background: &Background, view: &CertificateView<'_>, named: &str) {
    let presented = view.dns_names();
    for one in background.inbound() {
        let Some(expected) = one.fact.text("TlsSenderCertificateName") else { continue };
        if presented.iter().any(|name| covers(expected, name)) {
            cause.weigh(-45, format!("inbound connector {} expects the presented one", one.fact.name));
            return;
        }
        if covers(expected, named) {
            cause.weigh(8, format!("inbound connector {} expects the named one", one.fact.name));
            return;
        }
    }
}

/// What the export of send connectors would show of a case.
pub(super) fn missing_for(case: &Case<'_>, background: &Background) -> Option<crate::cause::Missing> {
    let is_known = background.send_connector(case.connector).is_some();
    (!is_known).then(|| missing_send("which certificate TlsCertificateName names"))
}
