//! Renewals: which servers moved from one certificate to another on a connector, and which lag.
//!
//! The rule, in one sentence: *a certificate is renewed on a connector once a server that presented it presents another
//! instead, and a server lags if its last session there presented the old one although the renewal had begun and the
//! server had nowhere moved to the new one since.*
//!
//! ```text
//! EX1  AAAAAAAA|BBBBBBBBB    moved; the renewal A -> B began here
//! EX2  AAAAAAAAAAAAAAAAAA    lags
//! EX3  AAAAAAAAAABABBABAB    mixed: both in turn to the end, as from a cached certificate
//! EX4  AAAA                  idle: nothing since the renewal began
//! EX5  AAAA    BBBB elsewhere    idle: it moved on another connector, and nothing was heard on this one since
//! EX6  CCCCCCCCCCCCCCCCCC    a certificate of its own: it has no part in this renewal
//! ```
//! Thumbprints and times decide; names, which older servers do not log, do not. Since the old certificate has to be the
//! very one that another server gave up, servers with a certificate each never look like laggards.

mod expiring;
mod uses;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use smtplog::{Direction, Thumbprint, Timestamp};

pub use self::{
    expiring::{Expiring, Expiry},
    uses::Rollover,
};

/// Within such a time of a server's newest session both certificates must have been seen to be mixed.
const RECENT_MS: i64 = 24 * HOUR_MS;

/// Two certificates side by side for so long are one change: connections that were open keep the old one, and of
/// several transport services one restarts after the other.
const CHANGE_MS: i64 = HOUR_MS;

/// A server that presented both for longer than this is no proof of a renewal, though it can be part of one.
const PROOF_OVERLAP_MS: i64 = RECENT_MS;

const HOUR_MS: i64 = 3_600_000;

/// A connector over all servers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connector {
    /// Its name without the server's.
    pub name: String,
    /// Whether the servers call or are called.
    pub direction: Direction,
    /// Whether the hops are internal (X-ANONYMOUSTLS), which have certificates of their own.
    pub is_internal: bool,
}

/// A certificate that a server presented on a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateUse {
    /// The connector.
    pub connector: Connector,
    /// The server.
    pub server: String,
    /// The certificate.
    pub thumbprint: Thumbprint,
    /// Start of the first session that presented it.
    pub first: Timestamp,
    /// Start of the last session that presented it.
    pub last: Timestamp,
    /// Sessions that presented it and no other; none if only refusals name it.
    pub sessions: u64,
    /// Refusals that it met, by status, or by code where there is none.
    pub refusals: BTreeMap<String, u64>,
    /// What the server has done with it.
    pub state: UseState,
}

/// What a server has done with a certificate on a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseState {
    /// It is still presented, though others of the connector renewed it.
    Lagging,
    /// Old and new are presented in turn.
    Mixed,
    /// Others of the connector renewed it, and the connector was not used since, or not since the server moved elsewhere.
    Idle,
    /// It is the newest that the server presented.
    Current,
    /// The server presented another since.
    Past,
}

impl UseState {
    /// The state as other programs read it.
    pub fn as_str(self) -> &'static str {
        match self {
            UseState::Lagging => "lagging",
            UseState::Mixed => "mixed",
            UseState::Idle => "idle",
            UseState::Current => "current",
            UseState::Past => "past",
        }
    }
}

/// A certificate in the place of another, on one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The connector.
    pub connector: Connector,
    /// The certificate that servers gave up.
    pub old: Thumbprint,
    /// That to which most of them moved.
    pub new: Thumbprint,
    /// When the first server had given the old one up.
    pub began: Timestamp,
    /// Every server that presented the old one: laggards first, then by the time it was last seen.
    pub servers: Vec<RenewalServer>,
    /// What the old one met, on all servers.
    pub before: Met,
    /// What the new one met.
    pub after: Met,
}

/// A server and a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalServer {
    /// Its name.
    pub server: String,
    /// [`UseState::Past`] if it moved.
    pub state: UseState,
    /// When it last presented the old certificate.
    pub old_last: Timestamp,
    /// When it last presented the new one; a laggard that has, went back.
    pub new_last: Option<Timestamp>,
}

/// Sessions and refusals of a certificate on a connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Sessions that presented it.
    pub sessions: u64,
    /// Refusals by status, or by code where there is none.
    pub refusals: BTreeMap<String, u64>,
}

impl Met {
    /// How many refusals.
    pub fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    /// The most frequent status.
    pub fn most_frequent(&self) -> Option<(&str, u64)> {
        let most = self.refusals.iter().max_by_key(|(status, count)| (**count, Reverse(*status)));
        most.map(|(status, &count)| (status.as_str(), count))
    }
}

impl Renewal {
    /// Servers in a state.
    pub fn count(&self, state: UseState) -> usize {
        self.servers.iter().filter(|server| server.state == state).count()
    }

    /// Whether it was not over at a moment: it began later, the old certificate was presented later, or servers still
    /// lag or present both.
    pub fn lasts_beyond(&self, moment: Timestamp) -> bool {
        self.is_open() || self.began >= moment || self.servers.iter().any(|server| server.old_last >= moment)
    }

    /// Whether servers lag or present both.
    pub fn is_open(&self) -> bool {
        self.servers.iter().any(RenewalServer::is_behind)
    }
}

impl RenewalServer {
    /// Whether it lags or presents both.
    pub fn is_behind(&self) -> bool {
        matches!(self.state, UseState::Lagging | UseState::Mixed)
    }
}

/// Finds the renewals: those with most laggards first, then those of the latest day, then of most servers; sets the state of every use.
pub fn renewals(uses: &mut [CertificateUse]) -> Vec<Renewal> {
    let mut connectors: BTreeMap<&Connector, Servers<'_>> = BTreeMap::new();
    for one in uses.iter().filter(|one| one.sessions > 0) {
        connectors.entry(&one.connector).or_default().entry(&one.server).or_default().push(one);
    }
    let begun = begun(uses);
    let mut found: Vec<Renewal> =
        connectors.iter().flat_map(|(connector, servers)| of_connector(connector, servers, &begun)).collect();
    add_met(&mut found, uses);
    found.sort_by_key(|renewal| {
        let open = (renewal.count(UseState::Lagging), renewal.count(UseState::Mixed));
        let size = (renewal.began.day(), renewal.servers.len());
        (Reverse(open), Reverse(size), renewal.connector.clone(), renewal.old)
    });
    set_states(uses, &found);
    found
}

/// What each server presented on one connector.
type Servers<'a> = BTreeMap<&'a str, Vec<&'a CertificateUse>>;

/// The moments at which servers had moved, by old and new certificate.
type Moves = BTreeMap<(Thumbprint, Thumbprint), Vec<Timestamp>>;

/// When each server first presented a certificate, on whatever connector.
type Begun<'a> = BTreeMap<(&'a str, Thumbprint), Timestamp>;

fn begun(uses: &[CertificateUse]) -> Begun<'_> {
    let mut begun = Begun::new();
    for one in uses.iter().filter(|one| one.sessions > 0) {
        let first = begun.entry((&one.server, one.thumbprint)).or_insert(one.first);
        *first = one.first.min(*first);
    }
    begun
}

fn of_connector(connector: &Connector, servers: &Servers<'_>, begun: &Begun<'_>) -> Vec<Renewal> {
    let moves = moves(servers);
    let olds: BTreeSet<Thumbprint> = moves.keys().map(|(old, _)| *old).collect();
    let renewal = |old: Thumbprint| {
        let targets = || moves.iter().filter(|((from, _), _)| *from == old);
        let ((_, new), _) = targets().max_by_key(|(_, moments)| (moments.len(), moments.iter().max().copied()))?;
        let began = targets().flat_map(|(_, moments)| moments).min().copied()?;
        let mut of_renewal: Vec<RenewalServer> = servers
            .iter()
            .filter_map(|(name, uses)| {
                let moved = begun.get(&(*name, *new)).copied();
                server(name, uses, (old, *new), began, moved)
            })
            .collect();
        of_renewal.sort_by(|a, b| (a.state, b.old_last, &a.server).cmp(&(b.state, a.old_last, &b.server)));
        let (before, after) = (Met::default(), Met::default());
        Some(Renewal { connector: connector.clone(), old, new: *new, began, servers: of_renewal, before, after })
    };
    olds.into_iter().filter_map(renewal).collect()
}

/// Who moved from what to what. If servers moved both ways between two certificates, the way that more of them went is
/// the renewal, and the others went back.
fn moves(servers: &Servers<'_>) -> Moves {
    let mut moves = Moves::new();
    for uses in servers.values() {
        for old in uses {
            if let Some(new) = successor(old, uses).filter(|new| overlap_ms(old, new) <= PROOF_OVERLAP_MS) {
                moves.entry((old.thumbprint, new.thumbprint)).or_default().push(old.last.max(new.first));
            }
        }
    }
    let weight = |old, new| {
        let moments = moves.get(&(old, new));
        moments.map(|moments| (moments.len(), Reverse(moments.iter().min().copied()), Reverse(old)))
    };
    let is_main = |(old, new): &(Thumbprint, Thumbprint)| weight(*old, *new) > weight(*new, *old);
    let main: Vec<_> = moves.keys().copied().filter(is_main).collect();
    moves.retain(|pair, _| main.contains(pair));
    moves
}

/// What the server presented in the place of a certificate: of those that came later and stayed longer, the one that
/// began nearest to its end.
fn successor<'a>(old: &CertificateUse, uses: &[&'a CertificateUse]) -> Option<&'a CertificateUse> {
    let newest = uses.iter().map(|one| one.last).max()?;
    let succeeds =
        |new: &&&CertificateUse| new.first > old.first && new.last > old.last && !are_mixed(old, new, newest);
    uses.iter().filter(succeeds).min_by_key(|new| (new.first.0.abs_diff(old.last.0), new.thumbprint)).copied()
}

fn overlap_ms(one: &CertificateUse, other: &CertificateUse) -> i64 {
    one.last.min(other.last).0.saturating_sub(one.first.max(other.first).0)
}

/// Whether a server presented both in turn to the end.
fn are_mixed(one: &CertificateUse, other: &CertificateUse, newest: Timestamp) -> bool {
    let is_recent = |one: &CertificateUse| newest.0.saturating_sub(one.last.0) < RECENT_MS;
    overlap_ms(one, other) > CHANGE_MS && is_recent(one) && is_recent(other)
}

/// A server's part in a renewal; `None` if it never presented the old certificate. `moved` is when it first presented
/// the new one anywhere: a connector that was not used since says nothing.
fn server(
    name: &str,
    uses: &[&CertificateUse],
    (old, new): (Thumbprint, Thumbprint),
    began: Timestamp,
    moved: Option<Timestamp>,
) -> Option<RenewalServer> {
    let newest = uses.iter().map(|one| one.last).max()?;
    let with = |thumbprint| uses.iter().copied().find(|one| one.thumbprint == thumbprint);
    let (old, new) = (with(old)?, with(new));
    let state = match new {
        _ if successor(old, uses).is_some() => UseState::Past,
        _ if old.last < began => UseState::Idle,
        Some(new) if are_mixed(old, new, newest) => UseState::Mixed,
        Some(new) if new.last > old.last => UseState::Past,
        None if moved.is_some_and(|moved| old.last < moved) => UseState::Idle,
        _ => UseState::Lagging,
    };
    Some(RenewalServer { server: name.to_owned(), state, old_last: old.last, new_last: new.map(|new| new.last) })
}

fn add_met(renewals: &mut [Renewal], uses: &[CertificateUse]) {
    for renewal in renewals {
        for one in uses.iter().filter(|one| one.connector == renewal.connector) {
            let met = match one.thumbprint {
                thumbprint if thumbprint == renewal.old => &mut renewal.before,
                thumbprint if thumbprint == renewal.new => &mut renewal.after,
                _ => continue,
            };
            met.sessions += one.sessions;
            one.refusals.iter().for_each(|(status, count)| *met.refusals.entry(status.clone()).or_default() += count);
        }
    }
}

fn set_states(uses: &mut [CertificateUse], renewals: &[Renewal]) {
    let mut newest: BTreeMap<(&Connector, &str), Timestamp> = BTreeMap::new();
    for one in uses.iter().filter(|one| one.sessions > 0) {
        let last = newest.entry((&one.connector, &one.server)).or_insert(one.last);
        *last = one.last.max(*last);
    }
    let mut parts: BTreeMap<(&Connector, &str, Thumbprint), UseState> = BTreeMap::new();
    for renewal in renewals {
        for server in &renewal.servers {
            let mut part = |thumbprint| {
                let known = parts.entry((&renewal.connector, &server.server, thumbprint)).or_insert(server.state);
                *known = server.state.min(*known);
            };
            part(renewal.old);
            if server.state == UseState::Mixed {
                part(renewal.new);
            }
        }
    }
    let states: Vec<UseState> = uses
        .iter()
        .map(|one| {
            let is_newest = newest.get(&(&one.connector, one.server.as_str())) == Some(&one.last);
            let otherwise = if is_newest && one.sessions > 0 { UseState::Current } else { UseState::Past };
            let part = parts.get(&(&one.connector, one.server.as_str(), one.thumbprint));
            part.copied().filter(|state| *state != UseState::Past).unwrap_or(otherwise)
        })
        .collect();
    uses.iter_mut().zip(states).for_each(|(one, state)| one.state = state);
}

#[cfg(test)]
mod tests;
