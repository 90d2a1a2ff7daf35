//! Findings: what the rules say of the days that an export is about.

use ::index::{MissingSplit, Store, query::Query};
use export::{Certificates, Finding, Redaction};
use smtplog::{Timestamp, civil::DAY_MS};

use crate::commands::explain::{self, Accepted};

/// The findings of a UTC day, for refusals that match a query, and the splits that could not be asked. They follow from
/// that day and what was before, so they are the same in any export.
pub(super) fn of_day(
    store: &Store,
    query: &Query,
    day: i64,
    accepted: &Accepted<'_>,
    certificates: &Certificates,
    redaction: Option<&Redaction>,
) -> anyhow::Result<(Vec<Finding>, Vec<MissingSplit>)> {
    let (begin, end) = (Timestamp(day * DAY_MS), Timestamp((day + 1) * DAY_MS));
    let mut window = query.window;
    window.since = Some(window.since.map_or(begin, |since| since.max(begin)));
    window.until = Some(window.until.map_or(end, |until| until.min(end)));
    let (mut findings, mut missing) = (Vec::new(), Vec::new());
    if window.since >= window.until {
        return Ok((findings, missing));
    }
    let query = query.clone().within(window);
    explain::each_judged(store, &query, accepted, &mut missing, &mut |case, causes| {
        let secret = redaction.map(Redaction::secret);
        findings.extend(Finding::of_case(day, case, causes, certificates, secret));
    })?;
    Ok((findings, missing))
}
