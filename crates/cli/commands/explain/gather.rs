//! Gathering: what the rules need to know beside the refused sessions, in their own words.

use std::{collections::BTreeSet, sync::Arc};

use ::index::{
    CertificateUse, Refusal, SearchOptions, Sort, Store,
    query::{Expr, Field, Query, Window},
};
use diagnose::{Background, Case, EgressUse, Exhibit, Origin, Refused, Route, Use};
use smtplog::{Direction, Thumbprint, Timestamp};

use crate::render::explain::Explained;

/// How far back it is looked what servers presented before: a certificate that is renewed every year has been there
/// for the last quarter.
const HISTORY_MS: i64 = 92 * 24 * 3_600_000;

/// Connectors of which accepted sessions are looked at.
const CONNECTORS_MAX: usize = 24;

/// Accepted sessions that are looked at for each.
const ACCEPTED_MAX: usize = 12;

/// The refusals of a session, one for each certificate and status.
pub(super) fn refused(refusal: Refusal) -> Vec<Refused> {
    let Refusal { session, replies } = refusal;
    if replies.is_empty() {
        let presented = session.presented();
        return vec![Refused { session, reply: None, presented, is_proxied: false }];
    }
    let mut seen = BTreeSet::new();
    let mut distinct = replies.into_iter().filter(|(at, presented)| {
        let reply = &session.replies[*at];
        seen.insert((*presented, reply.code, reply.status.clone(), reply.attr.clone()))
    });
    let distinct: Vec<_> = distinct.by_ref().collect();
    let of = |(at, presented): (usize, Option<Thumbprint>)| {
        let is_proxied = session.replies[at].presented_via.is_some();
        Refused { session: session.clone(), reply: Some(at), presented, is_proxied }
    };
    distinct.into_iter().map(of).collect()
}

/// What is known beside the cases. If none of them is about certificates or attribution, nothing is asked for.
pub(super) fn background(store: &Store, query: &Query, cases: &[Case<'_>]) -> anyhow::Result<Background> {
    if !super::concerns(cases) {
        return Ok(Background::default());
    }
    let mut background = Background { certificates: store.certificate_texts().to_vec(), ..Background::default() };
    let evidence = store.evidence(&super::presented(cases))?;
    background.exhibits = evidence.facts.into_iter().map(exhibit).collect();
    background.index_certificates();
    let begin = cases.iter().map(|case| case.from.0).min().unwrap_or(0);
    let end = query.window.until;
    let history = Window { since: Some(Timestamp(begin - HISTORY_MS)), until: end };
    background.uses = uses(store, history)?;
    background.recent = uses(store, Window { since: Some(Timestamp(begin)), until: end })?;
    if !background.address_connectors().is_empty() {
        background.egress = egress(store, history)?;
    }
    background.routes = routes(store, &background.uses, history)?;
    Ok(background)
}

fn exhibit(located: ::index::Located) -> Exhibit {
    let file = &located.file;
    let origin = Origin {
        file: match &file.member {
            Some(member) if !file.file.ends_with(member) => format!("{}/{member}", file.file),
            _ => file.file.clone(),
        },
        server: file.server.clone(),
        changed: file.changed,
    };
    Exhibit { origin: Arc::new(origin), offset: located.found.offset, fact: located.found.fact }
}

fn uses(store: &Store, window: Window) -> anyhow::Result<Vec<Use>> {
    let rollover = store.rollover(&Query { expr: Expr::All, window })?;
    let of = |one: CertificateUse| Use {
        server: one.server,
        connector: one.connector.name,
        direction: one.connector.direction,
        is_internal: one.connector.is_internal,
        thumbprint: one.thumbprint,
        first: one.first,
        last: one.last,
        sessions: one.sessions,
        refusals: one.refusals,
    };
    Ok(rollover.uses.into_iter().map(of).collect())
}

fn egress(store: &Store, window: Window) -> anyhow::Result<Vec<EgressUse>> {
    let query = Query::parse("direction:send egress_ip:*")?.within(window);
    let groups = store.group(&query, &[Field::Server, Field::Connector, Field::EgressIp], None)?;
    let of = |row: ::index::GroupRow| {
        let mut values = row.values.into_iter();
        Some(EgressUse {
            server: values.next()??,
            connector: values.next()??,
            address: values.next()??,
            first: row.first,
            last: row.last,
            sessions: row.sessions,
        })
    };
    Ok(groups.rows.into_iter().filter_map(of).collect())
}

/// Accepted sessions of each connector that sends to others, newest first.
fn routes(store: &Store, uses: &[Use], window: Window) -> anyhow::Result<Vec<Route>> {
    let outbound = uses.iter().filter(|one| one.direction == Direction::Send && !one.is_internal);
    let connectors: BTreeSet<&str> = outbound.map(|one| one.connector.as_str()).collect();
    let mut routes = Vec::new();
    for connector in connectors.into_iter().take(CONNECTORS_MAX) {
        let quoted = connector.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("direction:send connector:\"{quoted}\" tls:ok -code:[400 TO 599]");
        let Ok(query) = Query::parse(&text) else { continue };
        let options = SearchOptions { limit: Some(ACCEPTED_MAX), sort: Sort::Newest, verify: false };
        for session in store.search(&query.within(window), &options)?.sessions {
            let accepted = session.messages.iter().any(|message| message.outcome == smtplog::MessageOutcome::Accepted);
            let Some(remote_name) = session.remote_name.as_deref().filter(|_| accepted) else { continue };
            routes.push(Route {
                server: session.stream.server.to_string(),
                connector: session.connector.to_string(),
                presented: session.presented(),
                remote_name: remote_name.to_owned(),
                session: session.id(),
                time: session.started,
            });
        }
    }
    Ok(routes)
}

/// Puts the place of the row itself where the evidence has only the session's first row.
pub(super) fn locate_rows(_store: &Store, _explained: &mut [Explained<'_>]) {}
