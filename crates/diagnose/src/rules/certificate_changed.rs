//! `certificate-changed`: the refusals begin on a server when it begins to present another certificate.
//!
//! It needs the logs alone. What is wrong with the new certificate is for the other rules to say. When the refusals began
//! is asked of all that the store has, so that the answer does not depend on the time that is asked about.

use smtplog::{Thumbprint, Timestamp};

use super::{
    Documentation, Rule, listed,
    mend::{
        assign, counted, expect, give_back, inbound_identity, is_recipients, presenting, tell_recipient, tenant_name,
        then, wizard,
    },
    missing_inbound,
    wrong_connector_or_route::organisation,
};
use crate::{
    background::{Background, Change, Use},
    case::Case,
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
            mend: "Where other servers are still accepted with the old certificate, present that again; where all have \
                moved, compare the new certificate's names with TlsSenderCertificateName of the inbound connector and \
                set that.",
            evidence: "Which certificate each server presented when, and the first refusal of each.",
        }
    }

    fn judge(&self, case: &Case<'_>, background: &Background) -> Option<Cause> {
        let presented = case.presented?;
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let status = case.status_or_code();
        let firsts = case.first_by_server();
        let mut changes: Vec<Began<'_>> = Vec::new();
        for (&server, first) in &firsts {
            let Some(change) = background.change(case, server) else { continue };
            let onset = background.onset(case, server).map_or(first.time(), |onset| onset.min(first.time()));
            let after = onset.0 - change.now.first.0;
            // The logs may begin long after the change.
            let ever_since = change.now.refused(&status) * 10 >= change.now.sessions * 9;
            if (-60_000..=NEAR_MS).contains(&after) || (after > 0 && ever_since) {
                changes.push(Began { server, onset, change });
            }
        }
        let began = changes.iter().min_by_key(|one| one.onset)?;
        let mut cause = Cause::new(self.id());
        weigh(&mut cause, case, background, &changes, began);
        let first = firsts.get(began.server).copied().unwrap_or(case.first());
        cause.evidence.push(sessions_item(&began.change, began.server));
        cause.evidence.push(first.item());
        let (old, new) = (background.certificate(began.change.before.thumbprint), background.certificate(presented));
        let servers: Vec<&str> = changes.iter().map(|one| one.server).collect();
        cause.says = format!(
            "On {} the refusals began when the certificate changed, at {}: from {} to {}.",
            listed(&servers),
            began.change.now.first,
            called(&old),
            called(&new)
        );
        let others = others(case, background, began.change);
        if !others.is_empty() {
            let who = counted(&others);
            cause.weigh(6, format!("{who} still present the certificate before and are accepted"));
            cause.says.push_str(&format!(" {who} still present the one before on this connector and are accepted."));
        } else if !background.has_inbound_export() {
            cause.missing.push(missing_inbound("whether TlsSenderCertificateName matches the new certificate"));
        }
        cause.mend = mend(case, background, (&old, &new), &others);
        Some(cause)
    }
}

/// When a server's refusals began, and what it changed.
struct Began<'a> {
    server: &'a str,
    onset: Timestamp,
    change: Change<'a>,
}

/// Other servers that are accepted with the certificate before.
fn others<'a>(case: &Case<'_>, background: &'a Background, change: Change<'_>) -> Vec<&'a Use> {
    let Change { before, now } = change;
    let changed = |server: &str| {
        let mut uses = background.recent.iter().filter(|one| one.thumbprint == now.thumbprint);
        uses.any(|one| one.server == server && one.connector.eq_ignore_ascii_case(&now.connector))
    };
    background.accepted_meanwhile(case, |one| {
        one.thumbprint == before.thumbprint
            && one.connector.eq_ignore_ascii_case(&now.connector)
            && !changed(&one.server)
    })
}

/// What speaks for the change as the reason.
fn weigh(cause: &mut Cause, case: &Case<'_>, background: &Background, changes: &[Began<'_>], began: &Began<'_>) {
    let status = case.status_or_code();
    let now = began.change.now;
    cause.weigh(50, format!("the first of these refusals came {} after the change", span(began.onset, now.first)));
    if changes.len() == case.servers.len() {
        cause.weigh(6, "that is so on every server of the case");
    }
    if changes.iter().all(|one| one.change.before.refused(&status) * 20 <= one.change.before.sessions) {
        cause.weigh(8, format!("with the certificate before, {status} was rare or never came"));
    } else {
        cause.weigh(-30, format!("{status} came with the certificate before, too"));
    }
    let earlier = accepted_between(case, background, now, began.onset);
    if earlier > 0 {
        let sessions = if earlier == 1 { "1 session was".to_owned() } else { format!("{earlier} sessions were") };
        cause.weigh(
            -50,
            format!("after the change and before the first refusal {sessions} accepted with the new certificate"),
        );
    }
    let sessions: u64 = changes.iter().map(|one| one.change.now.sessions).sum();
    let refused: u64 = changes.iter().map(|one| one.change.now.refused(&status)).sum();
    let accepted = sessions.saturating_sub(refused);
    if accepted * 2 > sessions {
        let percent = accepted as f64 / sessions as f64 * 100.0;
        cause.weigh(-35, format!("{percent:.0} % of the sessions that presented the new one were not refused"));
    } else if earlier == 0 && accepted * 10 <= sessions {
        cause.weigh(4, "nearly all sessions with the new certificate are refused");
    }
}

/// Sessions to the same other side that were accepted with the new certificate before the first refusal.
pub(super) fn accepted_between(case: &Case<'_>, background: &Background, now: &Use, onset: Timestamp) -> usize {
    let other_side = |name: &str| organisation(name);
    let refused_by = case.first().session.remote_name.as_deref().and_then(other_side);
    let is_of = |thumbprint: Option<Thumbprint>| thumbprint == Some(now.thumbprint);
    let between = background.earlier.iter().filter(|one| {
        is_of(one.presented)
            && one.server.eq_ignore_ascii_case(&now.server)
            && one.connector.eq_ignore_ascii_case(&now.connector)
            && (now.first..onset).contains(&one.time)
            && (refused_by.is_none() || other_side(&one.remote_name) == refused_by)
    });
    between.count()
}

fn called(view: &CertificateView<'_>) -> String {
    let name = view.name().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{}{name}", view.thumbprint)
}

/// What to do about a server's change.
pub(super) fn mend_of_change(case: &Case<'_>, background: &Background, change: Change<'_>) -> Vec<Step> {
    let view = |one: &Use| background.certificate(one.thumbprint);
    mend(case, background, (&view(change.before), &view(change.now)), &others(case, background, change))
}

fn mend(
    case: &Case<'_>,
    background: &Background,
    (old, new): (&CertificateView<'_>, &CertificateView<'_>),
    others: &[&Use],
) -> Vec<Step> {
    let name = tenant_name(background, new);
    if let [first, ..] = others {
        let mut steps = give_back(case, background, old, Some(&first.server));
        let with_new = match &name {
            Some(_) => " To go on with the new one, give it to all servers first, and change the tenant last.",
            None => "",
        };
        steps.push(Step::say(format!(
            "Leave TlsSenderCertificateName of the tenant as it is: with another name there {} would be refused.{with_new}",
            counted(others)
        )));
        steps.push(then());
        return steps;
    }
    let again = Step {
        says: "Until then the certificate before can be presented again, if it is still valid. ".to_owned(),
        command: None,
    };
    let assigned = assign(&presenting(case, background), &old.thumbprint.to_string());
    let again = Step { says: again.says + &assigned.says, ..assigned };
    if is_recipients(case, background) {
        let mut steps = tell_recipient(case, new, name.as_deref(), ("<NAME OF THE CONNECTOR>", None));
        steps.extend([again, then()]);
        return steps;
    }
    let Some(name) = name else {
        let mut steps = give_back(case, background, old, None);
        steps.push(Step::say(format!(
            "No connector should expect {}: a certificate for mail comes from an authority and has a full name.",
            called(new)
        )));
        steps.push(then());
        return steps;
    };
    vec![
        Step::run(
            format!(
                "In Exchange Online PowerShell, see which name is expected (the new certificate is for {}):",
                listed(&new.dns_names())
            ),
            "Get-InboundConnector | Format-List Name,Enabled,ConnectorType,TlsSenderCertificateName",
        ),
        Step::run("If it is another name, set the new one:", expect(&inbound_identity(background), &name)),
        wizard(&format!("certificate {}", new.thumbprint)),
        again,
        then(),
    ]
}

fn sessions_item(change: &Change<'_>, server: &str) -> Item {
    let Change { before, now } = change;
    Item {
        kind: ItemKind::Sessions,
        source: format!("server:{server} presented:{}", before.thumbprint),
        offset: None,
        text: format!(
            "presented {} from {} to {} in {} sessions, then {} from {} on",
            before.thumbprint, before.first, before.last, before.sessions, now.thumbprint, now.first
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Onset, Refused, Route,
        rules::Verdict,
        testing::{
            CONNECTOR, HOST, HOUR_MS, RELAY_DENIED, cause, judged, mend, named, refuse, session, thumbprint, used,
        },
    };

    /// EX2 moved from certificate 1 to 2 at hour 10, its refusals began at hour 11, and hour 50 is asked about.
    fn moved(others: Vec<Use>) -> (Vec<Refused>, Background) {
        let mut background = Background::default();
        background.certificates = vec![named(1, "mail.contoso.com"), named(2, "owa.contoso.com")];
        background.uses = vec![used("EX2", 1, (0, 9), (20, 0)), used("EX2", 2, (10, 60), (30, 30))];
        background.uses.extend(others);
        background.recent = background.uses.clone();
        background.onsets = vec![Onset {
            server: "EX2".into(),
            connector: CONNECTOR.into(),
            presented: thumbprint(2),
            status: "5.7.64".into(),
            first: Timestamp(11 * HOUR_MS),
        }];
        (vec![refuse(session("EX2", 50, Some(thumbprint(2))), RELAY_DENIED)], background)
    }

    fn why(verdict: &Verdict) -> String {
        let causes = verdict.causes.iter().chain(&verdict.ruled_out).filter(|cause| cause.id == ID);
        causes.flat_map(|cause| &cause.why).map(|one| format!("{:+} {}\n", one.weight, one.seen)).collect()
    }

    #[test]
    fn where_others_are_accepted_the_server_gets_the_old_certificate_back() {
        let (refused, background) = moved(vec![used("EX1", 1, (0, 60), (33, 0)), used("EX3", 1, (0, 60), (29, 1))]);
        let verdict = judged(&refused, background);
        let changed = cause(&verdict, ID);
        assert!(changed.says.contains("EX1 (33 sessions) and EX3 (29 sessions) still present"), "{}", changed.says);
        let mend = mend(changed);
        let old = thumbprint(1);
        let command = format!("Enable-ExchangeCertificate -Thumbprint {old} -Services SMTP -Server 'EX2'");
        assert!(mend.contains(&command), "{mend}");
        assert!(!mend.contains("Set-InboundConnector") && !mend.contains("Wizard"), "{mend}");
        assert!(mend.contains("Leave TlsSenderCertificateName of the tenant as it is"), "{mend}");
    }

    #[test]
    fn where_all_moved_the_tenant_is_changed() {
        let (refused, background) = moved(vec![used("EX1", 1, (0, 9), (33, 0)), used("EX1", 2, (10, 60), (40, 40))]);
        let verdict = judged(&refused, background);
        let mend = mend(cause(&verdict, ID));
        assert!(mend.contains("-TlsSenderCertificateName 'owa.contoso.com'"), "{mend}");
    }

    #[test]
    fn refusals_are_dated_by_the_whole_store() {
        let (refused, background) = moved(Vec::new());
        let verdict = judged(&refused, background);
        assert!(why(&verdict).contains("came 60 minutes after the change"), "{}", why(&verdict));
    }

    #[test]
    fn what_was_accepted_with_the_new_certificate_speaks_against_it() {
        let (refused, mut background) = moved(Vec::new());
        background.uses[1].sessions = 70;
        background.onsets[0].first = Timestamp(49 * HOUR_MS);
        let route = |hour: i64| Route {
            server: "EX2".into(),
            connector: CONNECTOR.into(),
            presented: Some(thumbprint(2)),
            remote_name: HOST.into(),
            recipients: vec!["fabrikam.example".into()],
            session: "EX2/hub/send/1".into(),
            time: Timestamp(hour * HOUR_MS),
        };
        background.earlier = (12..48).map(route).collect();
        let verdict = judged(&refused, background);
        assert!(verdict.causes.is_empty(), "{:?}", verdict.causes);
        let why = why(&verdict);
        assert!(why.contains("36 sessions were accepted with the new certificate"), "{why}");
        assert!(!why.contains("nearly all"), "{why}");
    }
}
