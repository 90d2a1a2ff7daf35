//! Refused sessions with the certificate that each refusal was given under, for whoever asks why.

use smtplog::{Session, SessionId, Thumbprint, Timestamp, TlsOutcome, certificate::Certificate};

use crate::{
    Groups, StoreError,
    query::{Asking, Expr, Field, Link, Matcher, Place, Query, Term, Via, Window},
    store::{MissingSplit, SearchOptions, Sort, Store},
};

/// A refused session.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The session.
    pub session: Session,
    /// The places of the refusals that are asked about among its replies, with the certificate that the other side saw:
    /// behind a proxy that of the front end. Empty if TLS failed without a reply.
    pub replies: Vec<(usize, Option<Thumbprint>)>,
}

/// Refused sessions that match a query.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Sessions that match.
    pub total: u64,
    /// The newest of them.
    pub sessions: Vec<Refusal>,
    /// Splits that could not be asked.
    pub missing: Vec<MissingSplit>,
}

impl Store {
    /// Sessions in which servers of the fleet sent and were refused, or in which TLS failed without a reply: of each the
    /// newest, at most `limit`.
    pub fn refusals(&self, query: &Query, limit: usize) -> Result<Refusals, StoreError> {
        let asked = self.resolve(query);
        let failed = Expr::Term(Term::new(Field::Tls, Matcher::Outcome(TlsOutcome::Failed), &Place::default()));
        let without_reply = Expr::all_of(vec![failed, refused().negated()]);
        let options = SearchOptions { limit: Some(limit), ..SearchOptions::default() };
        let mut refusals = Refusals::default();
        for part in [refused(), without_reply] {
            let expr = Expr::all_of(vec![asked.expr.clone(), direction("send"), part]);
            let part = Query { expr, window: asked.window };
            let mut hits = self.search(&part, &options)?;
            refusals.total += hits.total;
            refusals.missing.append(&mut hits.missing);
            let links: Vec<Link> = hits.sessions.iter().flat_map(links).collect();
            self.prepare(&links);
            let sessions = hits.sessions.into_iter();
            refusals.sessions.extend(sessions.map(|session| self.refusal(&part, session)));
        }
        refusals.missing.sort_by(|a, b| a.name.cmp(&b.name));
        refusals.missing.dedup();
        Ok(refusals)
    }

    /// Refusals that servers of the fleet gave to others, counted by code, status and server.
    pub fn own_refusals(&self, query: &Query) -> Result<Groups, StoreError> {
        let expr = Expr::all_of(vec![query.expr.clone(), direction("receive"), refused()]);
        self.group(&Query { expr, window: query.window }, &[Field::Code, Field::Status, Field::Server], None)
    }

    fn refusal(&self, query: &Query, session: Session) -> Refusal {
        let asking = Asking::of(&session);
        let presented = |at: usize| {
            let reply = &session.replies[at];
            let by_front_end = || self.presented(&asking, reply.presented_via?);
            (at, reply.presented.or_else(by_front_end))
        };
        let replies = query.matching_replies_via(&session, self).into_iter().map(presented).collect();
        Refusal { session, replies }
    }

    /// What the logs, and files beside them, say of every certificate, in order of thumbprint.
    pub fn certificate_texts(&self) -> &[Certificate] {
        self.certificate_names()
    }

    /// Sessions that a proxy joins to this one (CONTRACT 3), by time: the front end's that carries its mail, or the hub's
    /// whose mail it carries.
    pub fn partners(&self, session: &Session) -> Result<Vec<Session>, StoreError> {
        let via = session.replies.iter().filter_map(|reply| reply.presented_via);
        let mut ids: Vec<SessionId> = via.chain(session.proxy.iter().map(|link| link.session)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(PARTNER_IDS_MAX);
        let term = |field, id| Expr::Term(Term::new(field, Matcher::Sessions(id..=id), &Place::default()));
        let named = ids.iter().flat_map(|&id| [term(Field::Session, id), term(Field::ProxySession, id)]);
        let expr = Expr::any_of(named.chain([term(Field::ProxySession, session.session)]).collect());
        let window = Window { since: Some(session.started), until: Some(Timestamp(session.last.0 + 1)) };
        let options = SearchOptions { limit: Some(PARTNERS_MAX), sort: Sort::Oldest };
        let mut found = self.search(&Query { expr, window }, &options)?.sessions;
        found.retain(|one| one.stream != session.stream);
        Ok(found)
    }
}

/// Ids that are followed. A cached connection carries the mail of some hundred sessions; a page has room for fewer.
const PARTNER_IDS_MAX: usize = 20;

/// Partners that are told.
const PARTNERS_MAX: usize = 20;

fn refused() -> Expr {
    Expr::Term(Term::new(Field::Code, Matcher::Codes(400..=599), &Place::default()))
}

fn direction(direction: &str) -> Expr {
    Expr::Term(Term::new(Field::Direction, Matcher::Exact(direction.into()), &Place::default()))
}

fn links(session: &Session) -> Vec<Link> {
    let asking = Asking::of(session);
    session.replies.iter().filter_map(|reply| Some(asking.link(reply.presented_via?))).collect()
}
