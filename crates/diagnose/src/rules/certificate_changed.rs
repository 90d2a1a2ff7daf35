//! `certificate-changed`: the refusals begin on a server when it begins to present another certificate.
//!
//! It needs the logs alone. What is wrong with the new certificate is for the other rules to say.

use smtplog::Timestamp;

use super::{Documentation, Rule, listed, missing_inbound, quoted, then, wizard};
use crate::{
    background::{Background, Change},
    case::{Case, Refused},
    cause::{Cause, Item, ItemKind, Step},
    certificate::CertificateView,
    family::Family,
};

/// The first refusal comes no later after the change than this: a server that sends seldom has a quiet weekend.
const NEAR_MS: i64 = 3 * 24 * 3_600_000;

pub(super) const ID: &str = "certificate-changed";

/// The rule.
pub(super) struct CertificateChanged;

impl Rule for CertificateChanged {
    fn id(&self) -> &'static str {
        ID
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The refusals began on a server when the certificate that it presents changed.",
            matters: "The other side knows the sender by the old certificate's name, or does not trust the new one.",
            mend: "Compare the new certificate's names with TlsSenderCertificateName of the inbound connector and set \
                that, or present the old certificate again until it is done.",
            evidence: "Which certificate each server presented when, and the first refusal of each.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let presented = case.presented?;
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let status = case.status.map_or_else(|| case.code.unwrap_or(0).to_string(), str::to_owned);
        let changes: Vec<(&str, &Refused, Change<'_>)> = case
            .first_by_server()
            .into_iter()
            .filter_map(|(server, first)| {
                let change = background.change(case, server)?;
                let after = first.time().0 - change.now.first.0;
                // The time that is asked about may begin long after the change.
                let ever_since = change.now.refused(&status) * 10 >= change.now.sessions * 9;
                let is_near = (-60_000..=NEAR_MS).contains(&after) || (after > 0 && ever_since);
                is_near.then_some((server, first, change))
            })
            .collect();
        let (_, first, change) = changes.iter().min_by_key(|(_, first, _)| first.time())?;
        let mut cause = Cause::new(self.id());
        cause.weigh(
            50,
            format!("the first of these refusals came {} after the change", span(first.time(), change.now.first)),
        );
        weigh(&mut cause, case, background, &changes);
        for (server, first, change) in changes.iter().take(1) {
            cause.evidence.push(sessions_item(change, server));
            cause.evidence.push(first.item());
        }
        let (old, new) = (background.certificate(change.before.thumbprint), background.certificate(presented));
        let servers: Vec<&str> = changes.iter().map(|(server, ..)| *server).collect();
        cause.says = format!(
            "On {} the refusals began when the certificate changed, at {}: from {} to {}.",
            listed(&servers),
            change.now.first,
            called(&old),
            called(&new)
        );
        if background.inbound().is_empty() {
            cause.missing.push(missing_inbound("whether TlsSenderCertificateName matches the new certificate"));
        }
        cause.mend = mend(&new, change);
        Some(cause)
    }
}

/// What speaks for the change as the reason, beside its time.
fn weigh(cause: &mut Cause, case: &Case<'_>, background: &Background, changes: &[(&str, &Refused, Change<'_>)]) {
    let status = case.status.map_or_else(|| case.code.unwrap_or(0).to_string(), str::to_owned);
    if changes.len() == case.servers.len() {
        cause.weigh(6, "that is so on every server of the case");
    }
    if changes.iter().all(|(.., change)| change.before.refused(&status) * 20 <= change.before.sessions) {
        cause.weigh(8, format!("with the certificate before, {status} was rare or never came"));
    } else {
        cause.weigh(-30, format!("{status} came with the certificate before, too"));
    }
    match background.accepted_share(case) {
        Some(share) if share > 0.5 => {
            let percent = share * 100.0;
            cause.weigh(-35, format!("{percent:.0} % of the sessions that presented the new one were not refused"));
        }
        Some(share) if share <= 0.1 => _ = cause.weigh(4, "nearly all sessions with the new certificate are refused"),
        _ => {}
    }
}

fn called(view: &CertificateView<'_>) -> String {
    let name = view.name().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}{name}", view.thumbprint)
}

fn mend(new: &CertificateView<'_>, change: &Change<'_>) -> Vec<Step> {
    let name = new.name().unwrap_or_else(|| "NAME".into());
    vec![
        Step::run(
            format!(
                "In Exchange Online PowerShell, see which name is expected (the new certificate is for {}):",
                listed(&new.dns_names())
            ),
            "Get-InboundConnector | Format-List Name,Enabled,ConnectorType,TlsSenderCertificateName",
        ),
        Step::run(
            "If it is another name, set the new one:",
            format!(
                "Set-InboundConnector -Identity 'NAME OF THE CONNECTOR' -TlsSenderCertificateName {}",
                quoted(&name)
            ),
        ),
        wizard(&format!("certificate {}", new.thumbprint)),
        Step::run(
            "Until then the certificate before can be presented again, if it is still valid:",
            format!("Enable-ExchangeCertificate -Thumbprint {} -Services SMTP", change.before.thumbprint),
        ),
        then(),
    ]
}

fn sessions_item(change: &Change<'_>, server: &str) -> Item {
    Item {
        kind: ItemKind::Sessions,
        source: format!("server:{server} presented:{}", change.before.thumbprint),
        offset: None,
        text: format!(
            "presented {} from {} to {} in {} sessions, then {} from {} on",
            change.before.thumbprint,
            change.before.first,
            change.before.last,
            change.before.sessions,
            change.now.thumbprint,
            change.now.first
        ),
        row: None,
    }
}

/// The time between two moments, roughly.
fn span(later: Timestamp, earlier: Timestamp) -> String {
    let seconds = (later.0 - earlier.0).max(0) / 1_000;
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
