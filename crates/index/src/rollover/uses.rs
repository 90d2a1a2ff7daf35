//! Which server presented which certificate on which connector, from columns: profiles say what was presented, classes
//! of refusals what it met.
//!
//! A session that presented several certificates says nothing of a move, so only its refusals are counted. A refusal
//! that stands in the log of a server behind an outbound proxy counts where the front end presented the certificate,
//! for that is the connector on which it is renewed.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use smtplog::{Direction, NegotiationVerb, Role, Session, Thumbprint, Timestamp, certificate::Certificate};

use super::{CertificateUse, Connector, Renewal, UseState, renewals};
use crate::{
    StoreError,
    execute::Deadline,
    group::presented_via,
    query::{Query, Via, fold},
    split::columns::column,
    store::{Answer, MissingSplit, Store},
};

/// What servers presented, and what of it was renewed.
#[derive(Clone, Debug, Default)]
pub struct Rollover {
    /// By connector, server and first session.
    pub uses: Vec<CertificateUse>,
    /// As [`renewals`] has them.
    pub renewals: Vec<Renewal>,
    /// What the logs say of these certificates, in order of thumbprint.
    pub certificates: Vec<Certificate>,
    /// Splits that could not be asked.
    pub missing: Vec<MissingSplit>,
}

impl Rollover {
    /// Leaves out what was over before a moment: renewals, and uses that have no part in the others. Who moved and who
    /// lags is told by what was presented before, so that this is not for the query to do.
    pub fn retain_since(&mut self, moment: Timestamp) {
        let Rollover { uses, renewals, certificates, .. } = self;
        renewals.retain(|renewal| renewal.lasts_beyond(moment));
        let has_part = |one: &CertificateUse| {
            let is_of = |renewal: &Renewal| [renewal.old, renewal.new].contains(&one.thumbprint);
            renewals.iter().any(|renewal| renewal.connector == one.connector && is_of(renewal))
        };
        uses.retain(|one| one.last >= moment || has_part(one));
        let used: BTreeSet<Thumbprint> = uses.iter().map(|one| one.thumbprint).collect();
        certificates.retain(|certificate| used.contains(&certificate.thumbprint));
    }
}

impl Store {
    /// Renewals of the certificates that servers present, as far as the sessions that match tell.
    pub fn rollover(&self, query: &Query) -> Result<Rollover, StoreError> {
        let rollover = self.rollover_once(query)?;
        match self.newer_than(&rollover.missing)? {
            Some(newer) => newer.rollover_once(query),
            None => Ok(rollover),
        }
    }

    fn rollover_once(&self, query: &Query) -> Result<Rollover, StoreError> {
        let query = self.resolve(query);
        let mut rollover = Rollover::default();
        let mut seen = Seen::default();
        for answer in self.answers(&query, Deadline::start(), &mut rollover.missing)? {
            answer.note_unreadable(&mut rollover.missing);
            seen.add_sessions(&answer);
            self.prepare(&answer.links());
            seen.add_refusals(&answer, self);
        }
        seen.settle_refusals();
        rollover.uses = seen.into_uses();
        rollover.renewals = renewals(&mut rollover.uses);
        let used: BTreeSet<Thumbprint> = rollover.uses.iter().map(|one| one.thumbprint).collect();
        rollover.certificates = used.into_iter().map(|thumbprint| self.certificate(thumbprint)).collect();
        Ok(rollover)
    }
}

/// A connector by its folded name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    direction: Direction,
    is_internal: bool,
    server: String,
    thumbprint: Thumbprint,
}

#[derive(Default)]
struct Seen {
    uses: BTreeMap<Key, CertificateUse>,
    /// What front ends send with.
    fronts: BTreeMap<Thumbprint, Vec<Key>>,
    /// Refusals by where they were logged, and whether behind a proxy. Their times are kept apart: a session that
    /// presented several certificates is among them.
    refused: BTreeMap<(Key, bool), CertificateUse>,
}

impl Seen {
    fn add_sessions(&mut self, answer: &Answer<'_>) {
        let (mut profiles, times) = (answer.split.column(column::PROFILE).cursor(), answer.split.times());
        let mut started_of = times.started_in_order();
        let mut counts: FxHashMap<u64, (u64, Timestamp, Timestamp)> = FxHashMap::default();
        for document in answer.documents.iter() {
            let (Some(profile), Some(started)) = (profiles.get(document), started_of(document)) else { continue };
            let (count, first, last) = counts.entry(profile).or_insert((0, started, started));
            (*count, *first, *last) = (*count + 1, started.min(*first), started.max(*last));
        }
        for (number, (count, first, last)) in counts {
            let Some(profile) = answer.split.profile(number) else { continue };
            let Some((thumbprint, verb)) = only_certificate(profile) else { continue };
            let key = key(profile, verb == NegotiationVerb::AnonymousTls, thumbprint);
            if profile.stream.role == Role::Frontend && key.direction == Direction::Send && !key.is_internal {
                let known = self.fronts.entry(thumbprint).or_default();
                if !known.contains(&key) {
                    known.push(key.clone());
                }
            }
            let one = self.uses.entry(key).or_insert_with_key(|key| new_use(key, profile, first, last));
            one.first = one.first.min(first);
            one.last = one.last.max(last);
            one.sessions += count;
        }
    }

    fn add_refusals(&mut self, answer: &Answer<'_>, store: &Store) {
        let split = &*answer.split;
        let (mut profiles, times) = (split.column(column::PROFILE).cursor(), split.times());
        let (mut started_of, mut classes) = (times.started_in_order(), split.column(column::REPLY_CLASS).cursor());
        split.column(column::REPLY_DOCUMENT).for_each(|row, document| {
            let document = document as u32;
            if !answer.documents.contains(document) {
                return;
            }
            let mut refusal = || {
                let class = split.reply_class(u32::try_from(classes.get(row)?).ok()?)?;
                let profile = split.profile(profiles.get(document)?)?;
                let started = started_of(document)?;
                let status = class.status.map_or_else(|| class.code.to_string(), str::to_owned);
                let (thumbprint, is_proxied) = match class.presented {
                    Some(presented) => (presented, false),
                    None if class.via => (presented_via(split, store, row)?, true),
                    None => return None,
                };
                Some((profile, started, status, thumbprint, is_proxied))
            };
            let Some((profile, started, status, thumbprint, is_proxied)) = refusal() else { return };
            let key = key(profile, !is_proxied && is_internal(profile, thumbprint), thumbprint);
            let new = |(key, _): &(Key, bool)| new_use(key, profile, started, started);
            let one = self.refused.entry((key, is_proxied)).or_insert_with_key(new);
            // Whichever split comes first.
            (one.first, one.last) = (one.first.min(started), one.last.max(started));
            *one.refusals.entry(status).or_default() += 1;
        });
    }

    /// Joins refusals to uses; those behind a proxy to that of the front end that presented the certificate, of the same
    /// server if there is one. Those of front ends that are not among the sessions stay where they were logged.
    fn settle_refusals(&mut self) {
        for ((key, is_proxied), refused) in std::mem::take(&mut self.refused) {
            let fronts = self.fronts.get(&key.thumbprint).map_or(&[][..], Vec::as_slice);
            let fronts = if is_proxied { fronts } else { &[] };
            let front = fronts.iter().find(|front| front.server == key.server).or(fronts.first());
            let one = self
                .uses
                .entry(front.cloned().unwrap_or(key))
                .or_insert_with(|| CertificateUse { refusals: BTreeMap::new(), ..refused.clone() });
            for (status, count) in refused.refusals {
                *one.refusals.entry(status).or_default() += count;
            }
        }
    }

    fn into_uses(self) -> Vec<CertificateUse> {
        let mut names: BTreeMap<(String, Direction), String> = BTreeMap::new();
        let mut uses: Vec<CertificateUse> = Vec::new();
        for (key, mut one) in self.uses {
            // Servers may spell a connector in different ways; to all others it is one.
            let name = names.entry((key.name, key.direction)).or_insert_with(|| one.connector.name.clone());
            one.connector.name.clone_from(name);
            uses.push(one);
        }
        uses.sort_by(|a, b| {
            (&a.connector, &a.server, a.first, a.thumbprint).cmp(&(&b.connector, &b.server, b.first, b.thumbprint))
        });
        uses
    }
}

fn new_use(key: &Key, profile: &Session, first: Timestamp, last: Timestamp) -> CertificateUse {
    let name = name_over_servers(&profile.connector, &profile.stream.server).to_owned();
    CertificateUse {
        connector: Connector { name, direction: key.direction, is_internal: key.is_internal },
        server: key.server.clone(),
        thumbprint: key.thumbprint,
        first,
        last,
        sessions: 0,
        refusals: BTreeMap::new(),
        state: UseState::Past,
    }
}

fn key(profile: &Session, is_internal: bool, thumbprint: Thumbprint) -> Key {
    Key {
        name: fold(name_over_servers(&profile.connector, &profile.stream.server)),
        direction: profile.stream.direction,
        is_internal,
        server: profile.stream.server.to_string(),
        thumbprint,
    }
}

/// The one certificate that a session presented, and in answer to what.
fn only_certificate(profile: &Session) -> Option<(Thumbprint, NegotiationVerb)> {
    let last = profile.negotiations.last()?;
    let thumbprint = last.presented?;
    let is_only = profile.negotiations.iter().all(|one| one.presented.is_none_or(|other| other == thumbprint));
    is_only.then_some((thumbprint, last.verb))
}

fn is_internal(profile: &Session, thumbprint: Thumbprint) -> bool {
    let mut with = profile.negotiations.iter().filter(|one| one.presented == Some(thumbprint));
    with.next_back().is_some_and(|one| one.verb == NegotiationVerb::AnonymousTls)
}

/// A connector's name without the server's: `EX1\Default Frontend EX1` is `Default Frontend` on every server.
fn name_over_servers<'a>(connector: &'a str, server: &str) -> &'a str {
    let name = connector.split_once('\\').map_or(connector, |(_, name)| name);
    let Some(at) = name.len().checked_sub(server.len()).filter(|&at| name.is_char_boundary(at)) else { return name };
    let (before, end) = name.split_at(at);
    match before.trim_end() {
        shorter if !shorter.is_empty() && shorter.len() < before.len() && end.eq_ignore_ascii_case(server) => shorter,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_have_one_name_on_all_servers() {
        let check = |connector, expected| assert_eq!(name_over_servers(connector, "EX1"), expected, "{connector}");
        check("EX1\\Default", "Default");
        check("EX1\\Default Frontend EX1", "Default Frontend");
        check("ex1\\Client Proxy ex1", "Client Proxy");
        check("To Office 365", "To Office 365");
        check("EX1", "EX1");
        check(" EX1", " EX1");
        check("Default EX12", "Default EX12");
        check("DefaultEX1", "DefaultEX1");
        check("", "");
        check("日本", "日本");
    }
}
