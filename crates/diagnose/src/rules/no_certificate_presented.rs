//! `no-certificate-presented`: TLS came about, but the server offered no certificate of its own.
//!
//! If the certificate object is null Exchange logs nothing at all, so a negotiation of a send session without a
//! `Sending certificate` record is one in which no client certificate was offered (FORMATS 1.5).

use smtplog::{NegotiationVerb, TlsOutcome};

use super::{
    Documentation, Rule,
    mend::{SOME_THUMBPRINT, assign, pin, then},
    missing_send, named_servers,
};
use crate::{
    background::Background,
    case::{Case, Refused},
    cause::{Cause, Item, ItemKind, Step},
    family::Family,
};

/// The rule.
pub(super) struct NoCertificatePresented;

impl Rule for NoCertificatePresented {
    fn id(&self) -> &'static str {
        "no-certificate-presented"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The sending server negotiated TLS and presented no certificate.",
            matters: "A connector that identifies its sender by certificate cannot attribute such a session.",
            mend: "Assign the certificate to SMTP on every source server of the connector, check that its private key \
                is there and that Network Service may read it, and that TlsCertificateName names a certificate that \
                exists.",
            evidence: "Negotiations of the refused sessions without a Sending certificate record; what the same server \
                presented before.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let concerns = matches!(case.family, Family::Attribution | Family::Tls) && case.is_outbound();
        let share = case.share(presented_nothing);
        if !concerns || case.presented.is_some() || share < 0.5 {
            return None;
        }
        let credentials = ["NoCredentials", "UnknownCredentials"];
        let error = |one: &Refused| one.session.tls.error.as_deref().is_some_and(|error| credentials.contains(&error));
        let lacks_credentials = case.share(error) > 0.5;
        // A negotiation fails for many reasons; this one says so.
        if !lacks_credentials && case.share(|one| one.session.tls.outcome == TlsOutcome::Failed) > 0.5 {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let servers = named_servers(case);
        cause.weigh(75, "the refused sessions have a TLS negotiation and no certificate of the sending server in it");
        cause.evidence.push(case.first().item());
        if lacks_credentials {
            cause.weigh(10, "the negotiation failed because there are no credentials");
        }
        let before = background.outbound_uses().filter(|one| {
            one.connector.eq_ignore_ascii_case(case.connector)
                && case.servers.iter().any(|server| server.eq_ignore_ascii_case(&one.server))
                && one.first < case.from
        });
        let mut named = "the certificate".to_owned();
        let before = before.max_by_key(|one| one.last);
        if let Some(before) = before {
            let view = background.certificate(before.thumbprint);
            named = format!("certificate {}", before.thumbprint);
            cause.weigh(10, format!("{} presented {named} on this connector until {}", before.server, before.last));
            cause.evidence.push(Item {
                kind: ItemKind::Sessions,
                source: format!("server:{} presented:{}", before.server, before.thumbprint),
                offset: None,
                text: format!("presented before: {}", view.name().unwrap_or_default()),
                row: None,
            });
        }
        if background.inbound().iter().any(|one| identifies_by_address(&one.fact)) {
            cause.weigh(-40, "an inbound connector identifies its sender by address, which needs no certificate");
        }
        cause.says =
            format!("{servers} negotiated TLS but presented no certificate, so nothing identified the sender.");
        if background.send_connector(case.connector).is_none() {
            cause.missing.push(missing_send("TlsCertificateName may name a certificate that the server does not have"));
        }
        let thumbprint = before.map_or(SOME_THUMBPRINT.to_owned(), |before| before.thumbprint.to_string());
        cause.mend = vec![
            Step::run(
                format!("On {servers} (Exchange Management Shell), check that {named} is there with its private key:"),
                "Get-ExchangeCertificate | Format-List Thumbprint,Services,HasPrivateKey,NotAfter",
            ),
            assign(&case.servers, &thumbprint),
        ];
        let view = before.map(|before| background.certificate(before.thumbprint));
        cause.mend.extend(pin(case, background, &thumbprint, view.as_ref()));
        cause.mend.push(then());
        Some(cause)
    }
}

fn presented_nothing(one: &Refused) -> bool {
    let session = &one.session;
    let last = session.negotiations.last();
    // Without its beginning nobody knows what a negotiation had; one that begins with a certificate had that.
    let is_public = last.is_some_and(|negotiation| negotiation.verb == NegotiationVerb::StartTls);
    let took_place = session.tls.outcome != TlsOutcome::None;
    session.rebuilt.is_none()
        && !one.is_reported
        && is_public
        && took_place
        && !one.is_proxied
        && session.presented().is_none()
}

/// Whether an inbound connector is for the organisation's own servers. Windows PowerShell 5.1 writes the type as a number
/// into JSON, in which a partner's is 2.
pub(crate) fn is_on_premises(connector: &evidence::fact::Connector) -> bool {
    connector.text("ConnectorType").is_none_or(|kind| !kind.eq_ignore_ascii_case("Partner") && kind != "2")
}

/// Whether an inbound connector goes by the sender's address.
pub(crate) fn identifies_by_address(connector: &evidence::fact::Connector) -> bool {
    let is_on_premises = is_on_premises(connector);
    let has_addresses = connector.value("SenderIPAddresses").is_some_and(|value| !value.items().is_empty());
    // An export of some properties does not say that the others are empty.
    let no_certificate = connector.value("TlsSenderCertificateName").is_some_and(|value| value.text().is_none());
    is_on_premises && has_addresses && no_certificate
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{judged, session};

    /// Whether it is found, of a negotiation without credentials that begins like this.
    fn is_found(verb: NegotiationVerb) -> bool {
        let mut session = session("EX1", 1, None);
        let last = session.negotiations.last_mut().unwrap();
        last.verb = verb;
        (last.tls.outcome, last.tls.error) = (TlsOutcome::Failed, Some("UnknownCredentials".into()));
        session.tls = last.tls.clone();
        let verdict = judged(&[Refused::new(Arc::new(session), None, None)], Background::default());
        verdict.causes.iter().any(|cause| cause.id == "no-certificate-presented")
    }

    #[test]
    fn a_negotiation_without_its_beginning_says_nothing() {
        assert!(is_found(NegotiationVerb::StartTls));
        assert!(!is_found(NegotiationVerb::Unknown));
    }
}
