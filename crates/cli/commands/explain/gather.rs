//! Gathering: what the rules need to know beside the refused sessions, in their own words.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use ::index::{
    CertificateUse, MissingSplit, Refusal, Selection, Shortlist, Store,
    query::{Expr, Field, Query, Window},
};
use anyhow::anyhow;
use diagnose::{Background, Case, EgressUse, Exhibit, Family, Onset, Origin, Refused, Route, Shown, Use};
use evidence::{
    Fact,
    fact::{Connector, ConnectorKind, Value},
};
use ingest::transcript::{Original, OriginalRow, Wanted, rows_in, rows_of};
use smtplog::{Direction, Session, SourceSpan, Thumbprint, Timestamp, TlsOutcome};

use crate::render::{
    explain::{Explained, Other},
    sessions::moment,
};

/// How far back it is looked what servers presented before: a certificate that is renewed every year has been there
/// for the last quarter.
const HISTORY_MS: i64 = 92 * 24 * 3_600_000;

/// Recipient domains of a case to which accepted mail is looked for.
const DOMAINS_OF_CASE_MAX: usize = 3;

/// Such domains of all cases.
const DOMAINS_MAX: usize = 12;

/// Accepted sessions that are looked at for each.
const ACCEPTED_MAX: usize = 60;

/// Different refusals of one session that are looked at; a session that has more is an attempt to be looked at.
const DISTINCT_MAX: usize = 64;

/// The refusals of a session, one for each certificate and status.
pub(super) fn refused(refusal: Refusal) -> Vec<Refused> {
    let Refusal { session, replies } = refusal;
    let session = Arc::new(session);
    if replies.is_empty() {
        let presented = session.presented();
        return vec![Refused::new(session, None, presented)];
    }
    let mut seen = BTreeSet::new();
    let mut is_new = |at: usize, presented: Option<Thumbprint>| {
        let reply = &session.replies[at];
        seen.insert((presented, reply.code, reply.status.as_deref(), reply.attr.as_deref()))
    };
    let distinct = replies.into_iter().filter(|(at, presented)| is_new(*at, *presented));
    distinct.take(DISTINCT_MAX).map(|(at, presented)| Refused::new(Arc::clone(&session), Some(at), presented)).collect()
}

/// Refusals that the fleet's own servers gave, by code and status, the most frequent first.
pub(super) fn own_refusals(
    store: &Store,
    query: &Query,
    missing: &mut Vec<MissingSplit>,
) -> anyhow::Result<Vec<Other>> {
    let groups = store.own_refusals(query)?;
    missing.extend(groups.missing);
    let mut others: Vec<Other> = Vec::new();
    for row in groups.rows {
        let [code, status, server] = row.values.as_slice() else { continue };
        let Some(code) = code.as_deref().and_then(|code| code.parse().ok()) else { continue };
        let status = status.clone().filter(|status| !status.is_empty());
        let known = others.iter_mut().find(|one| one.code == Some(code) && one.status == status);
        let server = server.clone().unwrap_or_default();
        match known {
            Some(one) => one.add(server, row.sessions, (row.first, row.last)),
            None => others.push(Other::new(code, status, server, row.sessions, (row.first, row.last))),
        }
    }
    Ok(others)
}

/// What is known beside the cases. If none of them is about certificates or attribution, nothing is asked for.
pub(super) fn background(
    store: &Store,
    query: &Query,
    cases: &[Case<'_>],
    accepted: &Accepted<'_>,
) -> anyhow::Result<Background> {
    if !super::concerns(cases) {
        return Ok(Background::default());
    }
    let mut background = Background::default();
    background.certificates = store.certificate_texts().to_vec();
    let evidence = store.evidence(&super::presented(cases))?;
    background.exhibits = evidence.facts.into_iter().map(exhibit).collect();
    background.prepare();
    let sessions = cases.iter().filter(|case| case.is_judged() && !case.first().is_reported);
    let Some(begin) = sessions.map(|case| case.from.0).min() else { return Ok(background) };
    let end = query.window.until;
    let history = Window { since: Some(Timestamp(begin - HISTORY_MS)), until: end };
    let recent = Window { since: Some(Timestamp(begin)), until: end };
    // Without the connectors' export an address that changed is all there is to go by.
    let by_address = !background.address_connectors().is_empty()
        || (background.inbound().is_empty() && cases.iter().any(|case| case.family == Family::Attribution));
    std::thread::scope(|scope| {
        // Each of the questions about everything takes one core some time; together they take both.
        let recent = scope.spawn(|| uses(store, recent));
        let egress = by_address.then(|| scope.spawn(|| egress(store, history)));
        let uses = scope.spawn(|| uses(store, history));
        background.routes = routes(accepted, cases, history)?;
        background.onsets = onsets(store, cases, history)?;
        background.earlier = earlier(accepted, cases, &background.onsets, history)?;
        background.masked_starttls = masked_starttls(store, cases)?;
        let panicked = |_| anyhow!("a thread panicked");
        background.uses = uses.join().map_err(panicked)??;
        if let Some(egress) = egress {
            background.egress = egress.join().map_err(panicked)??;
        }
        background.recent = recent.join().map_err(panicked)??;
        Ok(background)
    })
}

/// Contradictions that are told.
const CONTRADICTIONS_MAX: usize = 3;

/// Exports in which the same connector names different certificates: which files they are, and which one counts.
pub(super) fn contradictions(background: &Background) -> Vec<String> {
    let kinds = [(ConnectorKind::Inbound, "TlsSenderCertificateName"), (ConnectorKind::Send, "TlsCertificateName")];
    let mut told = Vec::new();
    for (kind, property) in kinds {
        let shown = background.connectors(kind);
        told.extend(shown.iter().filter_map(|shown| contradiction(background, shown, kind, property)));
    }
    told.truncate(CONTRADICTIONS_MAX);
    told
}

fn contradiction(background: &Background, shown: &Shown<'_>, kind: ConnectorKind, property: &str) -> Option<String> {
    let key = |one: &Connector| (one.name.to_lowercase(), one.server.as_deref().map(str::to_lowercase));
    let counts = shown.fact.value(property)?;
    let others = background.exhibits.iter().filter_map(|exhibit| match &exhibit.fact {
        Fact::Connector(one) if one.kind == kind && key(one) == key(&shown.fact) => {
            let value = one.value(property).filter(|value| !is_same(value, counts))?;
            (exhibit.origin.file != shown.origin.file).then_some((&*exhibit.origin, value))
        }
        _ => None,
    });
    let (other, value) = others.max_by_key(|(origin, _)| origin.changed)?;
    let says = |origin: &Origin, value: &Value| {
        let text = value.items().join(", ");
        let text = if text.is_empty() { "none" } else { &text };
        format!("{} ({text}, changed {} UTC)", origin.file, moment(origin.changed))
    };
    let why = match shown.origin.changed > other.changed {
        true => "because it was changed last",
        false => "though both were changed at the same time",
    };
    Some(format!(
        "Two exports contradict each other about {property} of {}: {} and {}. The first counts, {why}; if that is wrong, \
         export the connector again and index it.",
        shown.fact.name,
        says(shown.origin, counts),
        says(other, value)
    ))
}

fn is_same(one: &Value, other: &Value) -> bool {
    let items = |value: &Value| value.items().into_iter().map(str::to_lowercase).collect::<Vec<_>>();
    items(one) == items(other)
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

/// Counts of sessions by server, connector and a third field, and by status where that is asked for.
fn counted(
    store: &Store,
    query: &str,
    window: Window,
    by: &[Field],
    mut with: impl FnMut(&[Option<String>], &::index::GroupRow) -> Option<()>,
) -> anyhow::Result<()> {
    let groups = store.group(&Query::parse(query)?.within(window), by, None)?;
    for row in &groups.rows {
        let _ = with(&row.values, row);
    }
    Ok(())
}

fn egress(store: &Store, window: Window) -> anyhow::Result<Vec<EgressUse>> {
    let mut uses: Vec<EgressUse> = Vec::new();
    let by = [Field::Server, Field::Connector, Field::EgressIp];
    counted(store, "direction:send egress_ip:*", window, &by, |values, row| {
        uses.push(EgressUse {
            server: values.first()?.clone()?,
            connector: values.get(1)?.clone()?,
            address: values.get(2)?.clone()?,
            first: row.first,
            last: row.last,
            sessions: row.sessions,
            refusals: BTreeMap::new(),
        });
        Some(())
    })?;
    let by = [Field::Server, Field::Connector, Field::EgressIp, Field::Status, Field::Code];
    counted(store, "direction:send egress_ip:* code:[400 TO 599]", window, &by, |values, row| {
        let [server, connector, address] =
            [values.first()?.as_ref()?, values.get(1)?.as_ref()?, values.get(2)?.as_ref()?];
        let status = status_of(values.get(3)?, values.get(4)?)?;
        let is_it =
            |one: &&mut EgressUse| one.server == *server && one.connector == *connector && one.address == *address;
        *uses.iter_mut().find(is_it)?.refusals.entry(status).or_default() += row.sessions;
        Some(())
    })?;
    Ok(uses)
}

/// The status, or the code where there is none.
fn status_of(status: &Option<String>, code: &Option<String>) -> Option<String> {
    status.clone().filter(|status| !status.is_empty()).or_else(|| code.clone())
}

/// When servers were first refused for the certificates of the cases.
fn onsets(store: &Store, cases: &[Case<'_>], window: Window) -> anyhow::Result<Vec<Onset>> {
    let presented = super::presented(cases);
    let mut onsets: Vec<Onset> = Vec::new();
    if presented.is_empty() {
        return Ok(onsets);
    }
    let by = [Field::Server, Field::Connector, Field::Presented, Field::Status, Field::Code];
    counted(store, "direction:send code:[400 TO 599] presented:*", window, &by, |values, row| {
        let thumbprint = Thumbprint::from_hex(values.get(2)?.as_ref()?.as_bytes())?;
        let onset = Onset {
            server: values.first()?.clone()?,
            connector: values.get(1)?.clone()?,
            presented: thumbprint,
            status: status_of(values.get(3)?, values.get(4)?)?,
            first: row.first,
        };
        presented.contains(&thumbprint).then(|| onsets.push(onset))
    })?;
    Ok(onsets)
}

/// Cases for which it is asked what was accepted before them.
const EARLIER_MAX: usize = 8;

/// Sessions with the cases' certificates that were accepted before the first refusal, the newest of each case.
fn earlier(
    accepted: &Accepted<'_>,
    cases: &[Case<'_>],
    onsets: &[Onset],
    history: Window,
) -> anyhow::Result<Vec<Route>> {
    let mut asked = BTreeSet::new();
    let mut earlier = Vec::new();
    for case in cases.iter().filter(|case| matches!(case.family, Family::Attribution | Family::Tls)) {
        let Some(presented) = case.presented.filter(|one| asked.len() < EARLIER_MAX && asked.insert(*one)) else {
            continue;
        };
        let is_of_case =
            |one: &&Onset| one.presented == presented && case.status.is_none_or(|status| one.status == status);
        let last = onsets.iter().filter(is_of_case).map(|one| one.first).max().unwrap_or(case.from);
        let before = Window { since: history.since, until: Some(last) };
        earlier.extend(accepted.newest(&format!("presented:{presented}"), before)?);
    }
    Ok(earlier)
}

/// Mail that was accepted over TLS, in all of the store. It is found once, and what is asked of it again and again, by
/// certificate and recipients' domain, once for each of those: the cases of a month ask the same for every day.
pub(crate) struct Accepted<'s> {
    store: &'s Store,
    all: OnceLock<Selection<'s>>,
    lists: Mutex<HashMap<String, Arc<Shortlist<'s>>>>,
}

/// Shortlists that are kept. A session takes 16 bytes of one.
const LISTS_MAX: usize = 1_000;

impl<'s> Accepted<'s> {
    /// Nothing is looked for yet.
    pub(crate) fn of(store: &'s Store) -> Accepted<'s> {
        Accepted { store, all: OnceLock::new(), lists: Mutex::default() }
    }

    /// The newest sessions of a query in which a message was accepted. What a peer chose may make no query; then there
    /// are none.
    fn newest(&self, query: &str, window: Window) -> anyhow::Result<Vec<Route>> {
        let Some(list) = self.list(query)? else { return Ok(Vec::new()) };
        Ok(list.newest(window, ACCEPTED_MAX).into_iter().filter_map(route).collect())
    }

    fn list(&self, query: &str) -> anyhow::Result<Option<Arc<Shortlist<'s>>>> {
        let lists = || self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists().get(query) {
            return Ok(Some(Arc::clone(known)));
        }
        let Ok(parsed) = Query::parse(query) else { return Ok(None) };
        let list = Arc::new(self.all()?.shortlist(&parsed)?);
        let mut lists = lists();
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.insert(query.to_owned(), Arc::clone(&list));
        Ok(Some(list))
    }

    fn all(&self) -> anyhow::Result<&Selection<'s>> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let all = self.store.select(&Query::parse("direction:send tls:ok -code:[400 TO 599]")?)?;
        Ok(self.all.get_or_init(|| all))
    }
}

fn route(session: Session) -> Option<Route> {
    let is_accepted = session.messages.iter().any(|message| message.outcome == smtplog::MessageOutcome::Accepted);
    let remote_name = session.remote_name.as_deref().filter(|_| is_accepted)?;
    Some(Route {
        server: session.stream.server.to_string(),
        connector: session.connector.to_string(),
        presented: session.presented(),
        remote_name: remote_name.to_owned(),
        recipients: recipient_domains(&session),
        session: session.id(),
        time: session.started,
    })
}

/// Cases without TLS whose first session is read again.
const CLEAR_MAX: usize = 8;

/// Sessions without TLS in which a firewall wrote `XXXXXXXA` over STARTTLS. Only the original rows have it.
fn masked_starttls(store: &Store, cases: &[Case<'_>]) -> anyhow::Result<Vec<String>> {
    let is_clear = |case: &&Case<'_>| {
        let session = &case.first().session;
        case.is_judged()
            && case.direction == Direction::Send
            && session.tls.outcome == TlsOutcome::None
            && !case.first().is_reported
    };
    let mut masked = Vec::new();
    for case in cases.iter().filter(is_clear).take(CLEAR_MAX) {
        let session = &case.first().session;
        for span in session.sources.iter().filter(|span| span.offset + span.length <= LOCATED_BYTES_MAX) {
            let mut is_masked = false;
            each_row(store, session, span, |row| is_masked |= is_mask(row.row.data))?;
            if is_masked {
                masked.push(session.id());
                break;
            }
        }
    }
    Ok(masked)
}

/// Whether a row of an answer to EHLO has the mask as a word.
fn is_mask(data: &[u8]) -> bool {
    let words = data.split(|byte| matches!(byte, b' ' | b'-'));
    data.starts_with(b"250") && words.into_iter().any(|word| word.trim_ascii() == b"XXXXXXXA")
}

fn recipient_domains(session: &Session) -> Vec<String> {
    let domain = |to: &smtplog::Text| Some(to.rsplit_once('@')?.1.to_lowercase());
    session.messages.iter().flat_map(|message| message.to.iter().filter_map(domain)).collect()
}

/// Accepted sessions to the domains to which the cases' mail was refused, newest first.
fn routes(accepted: &Accepted<'_>, cases: &[Case<'_>], window: Window) -> anyhow::Result<Vec<Route>> {
    let judged = cases.iter().filter(|case| case.family == Family::Attribution && !case.first().is_reported);
    let domains = judged.flat_map(|case| case.recipient_domains().into_iter().take(DOMAINS_OF_CASE_MAX));
    let domains: BTreeSet<String> = domains.take(DOMAINS_MAX).collect();
    let mut routes = Vec::new();
    for domain in domains {
        routes.extend(accepted.newest(&format!("to:@{domain}"), window)?);
    }
    Ok(routes)
}

/// Cases whose first refusal is followed through its proxy.
const FOLLOWED_MAX: usize = 20;

/// Names the front end's session beside the refusal that stands in the hub's log: the certificate that the other side saw
/// is there.
pub(super) fn follow_proxies(store: &Store, explained: &mut [Explained<'_>]) -> anyhow::Result<()> {
    for one in explained.iter_mut().filter(|one| one.case.first().is_proxied).take(FOLLOWED_MAX) {
        let refused = one.case.first();
        let partners = store.partners(&refused.session)?;
        let saw = |session: &&Session| {
            session.stream.direction == Direction::Send && session.presented() == refused.presented
        };
        one.front_end = partners.iter().find(saw).map(Session::id);
    }
    Ok(())
}

/// Says when such refusals were first seen, if the store has some from before the window.
pub(super) fn look_before(store: &Store, query: &Query, explained: &mut [Explained<'_>]) -> anyhow::Result<()> {
    let Some(since) = query.window.since.filter(|_| explained.iter().any(|one| one.case.is_judged())) else {
        return Ok(());
    };
    let refused = Query::parse("direction:send code:[400 TO 599]")?;
    let expr = Expr::all_of(vec![query.expr.clone(), refused.expr]);
    let before = Query { expr, window: Window { since: None, until: Some(since) } };
    let groups = store.group(&before, &[Field::Status, Field::Connector, Field::Presented], None)?;
    for one in explained.iter_mut().filter(|one| one.case.is_judged() && one.case.code.is_some()) {
        let presented = one.case.presented.map(|presented| presented.to_string());
        let rows = groups.rows.iter().filter(|row| match row.values.as_slice() {
            [status, connector, certificate] => {
                status.as_deref() == one.case.status
                    && connector.as_deref().unwrap_or_default().eq_ignore_ascii_case(one.case.connector)
                    && *certificate == presented
            }
            _ => false,
        });
        one.first_before = rows.map(|row| row.first).filter(|first| *first < since).min();
    }
    Ok(())
}

/// Rows that are looked up in their logs; of the other evidence the session's first row is told.
const LOCATED_MAX: usize = 8;

/// Decompressed bytes of a log up to a row that is looked up. Logs are rolled at 10 MB.
const LOCATED_BYTES_MAX: u64 = 32 << 20;

/// Puts the place of the row itself where the evidence has only that of the session's first row.
pub(super) fn locate_rows(store: &Store, explained: &mut [Explained<'_>]) -> anyhow::Result<()> {
    let rows = explained.iter_mut().flat_map(|one| {
        let case = one.case;
        let items = one.causes.iter_mut().flat_map(|cause| &mut cause.evidence);
        items.filter_map(move |item| Some((find(case, item.row.as_ref()?)?, item)))
    });
    for ((session, sequence), item) in rows.take(LOCATED_MAX) {
        for span in session.sources.iter().filter(|span| span.offset + span.length <= LOCATED_BYTES_MAX) {
            if let Some(offset) = offset_of(store, session, span, sequence)? {
                item.source = span.file.to_string();
                item.offset = Some(offset);
                break;
            }
        }
    }
    Ok(())
}

fn find<'a>(case: &Case<'a>, (id, sequence): &(String, u32)) -> Option<(&'a Session, u32)> {
    let mut sessions = case.refused.iter().map(|one| &*one.session);
    sessions.find(|session| session.id() == *id).map(|session| (session, *sequence))
}

/// Where a row lies, if its log is still there or its rows are kept.
fn offset_of(store: &Store, session: &Session, span: &SourceSpan, sequence: u32) -> anyhow::Result<Option<u64>> {
    let mut offset = None;
    each_row(store, session, span, |row| {
        if row.row.sequence == sequence && offset.is_none() {
            offset = Some(row.offset);
        }
    })?;
    Ok(offset)
}

/// Calls with the rows of a session's span, if its log is still there or its rows are kept.
fn each_row(
    store: &Store,
    session: &Session,
    span: &SourceSpan,
    mut with: impl FnMut(&OriginalRow<'_>),
) -> anyhow::Result<()> {
    let wanted = [Wanted::of(session, span)];
    let mut note = |_: usize, row: &OriginalRow<'_>| with(row);
    if let Some(kept) = store.kept_rows(&span.identity, span.offset, span.offset + span.length)? {
        let _ = rows_in(kept.pieces(), &wanted, &mut note);
    } else if let Some(location) = store.locate(&span.identity)? {
        // A log that is gone leaves the place that the store knows.
        let _ = rows_of(&Original { path: location.path, member: location.member }, &wanted, &mut note);
    }
    Ok(())
}
