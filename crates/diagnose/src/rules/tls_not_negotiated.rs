//! `tls-not-negotiated`: the session stayed in the clear, so that there was no certificate to go by.

use smtplog::TlsOutcome;

use super::{Documentation, Rule, mend::then, named_servers, no_certificate_presented::identifies_by_address};
use crate::{
    background::Background,
    case::{Case, Refused},
    cause::{Cause, Item, ItemKind, Step},
    family::Family,
};

/// The rule.
pub(super) struct TlsNotNegotiated;

impl Rule for TlsNotNegotiated {
    fn id(&self) -> &'static str {
        "tls-not-negotiated"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The refused sessions never negotiated TLS.",
            matters: "Without TLS no certificate is presented, and a connector that identifies its sender by certificate \
                cannot attribute the session. Often a firewall with SMTP inspection removes STARTTLS from the other \
                side's answer.",
            mend: "Set RequireTLS on the send connector, and take SMTP inspection (fixup, ESMTP inspection) off the way \
                to the other side.",
            evidence: "Sessions without STARTTLS; replies that ask for it; earlier sessions of the same connector with TLS.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let asks = ["starttls is required", "must issue a starttls", "starttls-not-supported"];
        let asks = asks.iter().find_map(|words| case.saying(words));
        let asks = asks.or(case.first_if_status(&["5.7.321", "4.7.321"]));
        let share = case.share(is_clear);
        // A server that cannot do TLS just now says so in its answer to STARTTLS, and takes the mail in the clear.
        if case.family == Family::Tls && asks.is_none() {
            return None;
        }
        if !case.is_outbound() || !matches!(case.family, Family::Attribution | Family::Tls) || share < 0.5 {
            return None;
        }
        let mut cause = Cause::new(self.id());
        cause.weigh(72, "no TLS was negotiated in the refused sessions");
        cause.evidence.push(case.first().item());
        if let Some(one) = asks {
            cause.weigh(13, "the reply asks for STARTTLS");
            cause.evidence.push(one.item());
        }
        let before = background.outbound_uses().filter(|one| one.connector.eq_ignore_ascii_case(case.connector));
        if let Some(before) = before.filter(|one| one.first < case.from).max_by_key(|one| one.last) {
            cause.weigh(10, format!("{} negotiated TLS on this connector until {}", before.server, before.last));
        }
        if background.inbound().iter().any(|one| identifies_by_address(&one.fact)) {
            cause.weigh(-30, "an inbound connector identifies its sender by address, which needs no TLS");
        }
        if case.share(|one| one.session.negotiations.is_empty()) < share {
            cause.weigh(-10, "some of the sessions tried to");
        }
        if case.first().session.rebuilt.is_some() {
            cause.at_most_medium("sessions of an IIS log are rebuilt, and a row of STARTTLS may be another's");
        }
        let masked = case.refused.iter().find(|one| background.masked_starttls.contains(&one.session.id())).copied();
        say(&mut cause, case, masked);
        Some(cause)
    }
}

fn say(cause: &mut Cause, case: &Case<'_>, masked: Option<&Refused>) {
    let servers = named_servers(case);
    cause.says = format!(
        "{servers} sent over {} without TLS, so no certificate identified the sender.",
        named_connector(case.connector)
    );
    cause.mend = match masked {
        Some(one) => {
            cause.weigh(10, "the answer to EHLO has XXXXXXXA where STARTTLS stands");
            cause.says.push_str(" A firewall replaced STARTTLS by XXXXXXXA in the other side's answer to EHLO.");
            cause.evidence.push(Item {
                kind: ItemKind::Sessions,
                source: one.session.id(),
                offset: None,
                text: "the answer to EHLO has XXXXXXXA in the place of STARTTLS".into(),
                row: None,
            });
            vec![Step::say("Switch off SMTP inspection (ESMTP inspection, SMTP fixup) on the firewall for this way.")]
        }
        None => vec![
            Step::run(
                "Look at the other side's answer to EHLO (is 250-STARTTLS there?):",
                format!("smtptrail show {}", super::argument(&case.first().session.id())),
            ),
            Step::say(
                "If STARTTLS is missing there, something between takes it out: switch off SMTP inspection on the \
                 firewall for this way.",
            ),
        ],
    };
    cause.mend.extend([
        Step::run(
            "Let the connector insist on TLS (Exchange Management Shell):",
            format!("Set-SendConnector {} -RequireTLS $true", super::quoted(case.connector)),
        ),
        then(),
    ]);
}

fn is_clear(one: &Refused) -> bool {
    let session = &one.session;
    // Of STARTTLS a log of IIS shows the command and nothing of what followed.
    let may_have = session.rebuilt.is_some() && !session.negotiations.is_empty();
    !may_have
        && !one.is_reported
        && session.tls.outcome == TlsOutcome::None
        && one.session.presented().is_none()
        && !one.is_proxied
}

/// A connector in a sentence.
pub(super) fn named_connector(name: &str) -> String {
    if name.is_empty() { "a connector without a name".into() } else { format!("connector {}", name.trim()) }
}

#[cfg(test)]
mod tests {
    use smtplog::Tls;

    use super::*;
    use crate::testing::{RELAY_DENIED, cause, judged, known, mend, refuse, session};

    #[test]
    fn a_firewall_that_masks_starttls_is_named() {
        let mut clear = session("EX1", 50, None);
        clear.negotiations.clear();
        clear.tls = Tls::default();
        let id = clear.id();
        let refused = [refuse(clear, RELAY_DENIED)];
        let verdict = judged(&refused, Background::default());
        let plain = cause(&verdict, "tls-not-negotiated");
        assert!(!plain.says.contains("XXXXXXXA") && mend(plain).contains("smtptrail show"), "{plain:?}");
        let background = known(Vec::new(), |one| one.masked_starttls = vec![id]);
        let verdict = judged(&refused, background);
        let masked = cause(&verdict, "tls-not-negotiated");
        assert!(masked.says.contains("A firewall replaced STARTTLS by XXXXXXXA"), "{}", masked.says);
    }
}
