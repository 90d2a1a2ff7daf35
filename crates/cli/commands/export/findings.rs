//! Findings: what the rules say of the days that an export is about.

use ::index::{MissingSplit, Store, query::Query};
use export::{Certificates, Finding, Redaction};
use smtplog::{Timestamp, civil::DAY_MS};

use crate::commands::explain;

/// Days that are looked at together if there are many: most of the time goes into what was before them, and that is
/// nearly the same. Each has its findings all the same.
const DAYS: i64 = 32;

/// Days up to which each is looked at by itself, as it is night after night.
const FEW: usize = 7;

/// Days in the groups in which they are looked at.
pub(super) fn groups(days: &[i64]) -> Vec<&[i64]> {
    let is_few = days.len() <= FEW;
    days.chunk_by(|a, b| !is_few && a.div_euclid(DAYS) == b.div_euclid(DAYS)).collect()
}

/// The findings of UTC days that lie close together, for refusals that match a query.
pub(super) fn of_days(
    store: &Store,
    query: &Query,
    days: &[i64],
    certificates: &Certificates,
    redaction: Option<&Redaction>,
    missing: &mut Vec<MissingSplit>,
) -> anyhow::Result<Vec<Finding>> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(Vec::new()) };
    let (begin, end) = (Timestamp(first * DAY_MS), Timestamp((last + 1) * DAY_MS));
    let mut window = query.window;
    window.since = Some(window.since.map_or(begin, |since| since.max(begin)));
    window.until = Some(window.until.map_or(end, |until| until.min(end)));
    if window.since >= window.until {
        return Ok(Vec::new());
    }
    let query = query.clone().within(window);
    let mut findings = Vec::new();
    explain::each_judged(store, &query, days, missing, &mut |day, case, causes| {
        let secret = redaction.map(Redaction::secret);
        findings.extend(Finding::of_case(day, case, causes, certificates, secret));
    })?;
    Ok(findings)
}
