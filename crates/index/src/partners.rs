//! Partners: the front end's sessions that have the certificate of a refusal behind a proxy (CONTRACT 3).
//!
//! A partner lies in another stream, its time overlaps, and its own id is the link's or it relays for the session that
//! the link names. It may lie in any split, so links are looked up together: blocks of sessions are passed over by their
//! times and ids, which in one stream's log lie close together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use smtplog::{Direction, Session, SessionId, Thumbprint, Timestamp};

use crate::{
    packed::Numbers,
    parallel,
    profile::Glance,
    query::{Asking, Link, Via},
    split::{
        columns::{FollowedPair, column, followed, time_of_column},
        read::SplitReader,
    },
    store::Store,
};

/// The session of a refusal behind a proxy, by its place among them, as it asks for the certificate, and what it asks
/// for.
pub(crate) fn asking(split: &SplitReader, at: u32) -> Option<(Asking, SessionId)> {
    let FollowedPair { value: link, profile, started, last, .. } = split.followed(&followed::VIA).get(at)?;
    let session = SessionId(link.wrapping_sub(split.column(column::VIA_BEYOND).get(at)?));
    Some((Asking { stream: split.glance(profile)?.stream, session, started, last }, SessionId(link)))
}

/// A session that a link can mean.
struct Partner {
    stream: u64,
    direction: Direction,
    started: Timestamp,
    last: Timestamp,
    /// What it presented in its last negotiation.
    presented: Thumbprint,
    /// Whether the link is its own id.
    is_named: bool,
    /// Whether it carries the outbound mail of the session that the link names.
    relays: bool,
}

/// Partners of the links asked for so far.
#[derive(Default)]
pub(crate) struct Partners {
    found: Mutex<FxHashMap<Link, Vec<Partner>>>,
}

impl Partners {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<Link, Vec<Partner>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Via for Store {
    fn named(&self, session: Session) -> Session {
        Store::named(self, session)
    }

    fn presented(&self, asking: &Asking, link: SessionId) -> Option<Thumbprint> {
        let link = asking.link(link);
        self.prepare(&[link]);
        let partners = self.partners.lock();
        let is_partner = |partner: &&Partner| {
            let overlaps = partner.started <= asking.last && asking.started <= partner.last;
            // A link to the asking session's own id was made by the front end that sends for it.
            let sends_for_it = link.session == asking.session && partner.direction == Direction::Send;
            overlaps && partner.stream != asking.stream && (partner.is_named || partner.relays || sends_for_it)
        };
        // The session of that id itself, then the one nearest in time.
        let rank =
            |partner: &Partner| (!partner.is_named, partner.started.0.abs_diff(asking.started.0), partner.presented);
        let nearest = partners.get(&link)?.iter().filter(is_partner).map(rank).min();
        nearest.map(|(.., presented)| presented)
    }

    fn prepare(&self, links: &[Link]) {
        let mut partners = self.partners.lock();
        let new = links.iter().filter(|link| !partners.contains_key(link)).copied().collect();
        let Some(wanted) = Wanted::new(new) else { return };
        partners.reserve(wanted.by_id.len());
        partners.extend(wanted.by_id.iter().map(|&link| (link, Vec::new())));
        let rows = self.splits.iter().filter(|row| wanted.may_lie_between(row.min_time, row.max_time));
        let found = parallel::each(&rows.collect::<Vec<_>>(), |row| {
            let Ok(split) = self.reader(&row.name) else { return Vec::new() };
            let masked = self.masked.get(&row.name).map_or(&[][..], Vec::as_slice);
            let mut search = Search { split: &split, masked, wanted: &wanted, found: Vec::new() };
            search.run();
            search.found
        });
        for (link, partner) in found.into_iter().flatten() {
            partners.entry(link).or_default().push(partner);
        }
    }
}

/// The links that are looked up together.
struct Wanted {
    /// Those that name a session by its own id, of sessions of ordinary length, and of others: a peer that holds a
    /// connection for days would widen every look-up by as much.
    short: Span,
    long: Span,
    /// In order of id.
    by_id: Vec<Link>,
    ids: Numbers,
    /// Ids of the sessions that ask for a partner by their own.
    own_ids: Numbers,
    /// The first start and the last end.
    first: Timestamp,
    last: Timestamp,
}

/// Links in order of start.
struct Span {
    links: Vec<Link>,
    /// The longest time between a start and an end, in milliseconds.
    longest_ms: i64,
}

/// Sessions up to this length are short: a message takes seconds, a cached connection minutes.
const SHORT_MS: i64 = 600_000;

impl Span {
    fn new(links: Vec<Link>) -> Span {
        let longest_ms = links.iter().map(length_ms).max().unwrap_or(0);
        Span { links, longest_ms }
    }

    /// Links of sessions that may overlap a time, and a few more.
    fn between(&self, first: i64, last: i64) -> &[Link] {
        let begin = self.links.partition_point(|link| link.started.0 < first.saturating_sub(self.longest_ms));
        let end = self.links.partition_point(|link| link.started.0 <= last);
        &self.links[begin..end.max(begin)]
    }
}

fn length_ms(link: &Link) -> i64 {
    link.last.0.saturating_sub(link.started.0)
}

impl Wanted {
    /// `None` if there are none.
    fn new(mut links: Vec<Link>) -> Option<Wanted> {
        links.sort_unstable();
        links.dedup();
        let (first, last) = (links.first()?.started, links.iter().map(|link| link.last).max()?);
        let ids = Numbers::new(links.iter().map(|link| link.session.0).collect());
        let own = links.iter().filter(|link| link.is_own);
        let own_ids = Numbers::new(own.map(|link| link.session.0).collect());
        let mut by_id = links.clone();
        by_id.sort_by_key(|link| link.session);
        let named = links.into_iter().filter(|link| !link.is_own);
        let (short, long) = named.partition(|link| length_ms(link) <= SHORT_MS);
        Some(Wanted { short: Span::new(short), long: Span::new(long), by_id, ids, own_ids, first, last })
    }

    fn may_lie_between(&self, first: Timestamp, last: Timestamp) -> bool {
        self.first <= last && first <= self.last
    }

    fn between(&self, first: i64, last: i64) -> impl Iterator<Item = &Link> {
        self.short.between(first, last).iter().chain(self.long.between(first, last))
    }

    fn with_id(&self, id: u64) -> impl Iterator<Item = Link> + '_ {
        let begin = self.by_id.partition_point(|link| link.session.0 < id);
        self.by_id[begin..].iter().take_while(move |link| link.session.0 == id).copied()
    }

    /// Whether a link names a session by its own id.
    fn has_named(&self) -> bool {
        !self.short.links.is_empty() || !self.long.links.is_empty()
    }
}

/// The search in one split, from columns alone.
struct Search<'a> {
    split: &'a SplitReader,
    masked: &'a [u32],
    wanted: &'a Wanted,
    found: Vec<(Link, Partner)>,
}

impl Search<'_> {
    fn run(&mut self) {
        let (split, wanted) = (self.split, self.wanted);
        self.add_named();
        split.followed(&followed::RELAY).among(&wanted.ids, |pair| {
            wanted.with_id(pair.value).for_each(|link| self.add(&pair, link, false, true));
        });
        split.followed(&followed::SENDS).among(&wanted.own_ids, |pair| {
            let own = wanted.with_id(pair.value).filter(|link| link.is_own);
            own.for_each(|link| self.add(&pair, link, false, false));
        });
    }

    /// Adds the sessions whose own id is a link's. Nearly all runs are passed over by time and id.
    fn add_named(&mut self) {
        if !self.wanted.has_named() {
            return;
        }
        let split = self.split;
        let column = |name: &str| split.column(name).to_vec();
        let (first, mut end) = (column(column::RUN_FIRST), column(column::RUN_FIRST));
        end.push(self.split.len().into());
        let (least, greatest) = (column(column::RUN_LEAST), column(column::RUN_GREATEST));
        let (started, last) = (column(column::RUN_STARTED), column(column::RUN_LAST));
        let ids = split.column(column::SESSION);
        let ends = end.into_iter().skip(1);
        let runs = first.into_iter().zip(ends).zip(least.into_iter().zip(greatest)).zip(started.into_iter().zip(last));
        for (((first, end), (least, greatest)), (started, last)) in runs {
            let near = self.wanted.between(time_of_column(started), time_of_column(last));
            let near: Vec<Link> = near.filter(|link| (least..=greatest).contains(&link.session.0)).copied().collect();
            if near.is_empty() {
                continue;
            }
            ids.each_between(first as u32, end as u32, |document, id| {
                let mut named = near.iter().filter(|link| link.session.0 == id).peekable();
                if named.peek().is_some()
                    && let Some(pair) = self.session(document, id)
                {
                    named.for_each(|&link| self.add(&pair, link, true, false));
                }
            });
        }
    }

    /// A session as if it had a link to itself.
    fn session(&self, document: u32, id: u64) -> Option<FollowedPair> {
        let times = self.split.times();
        Some(FollowedPair {
            key: document,
            value: id,
            profile: u32::try_from(self.split.column(column::PROFILE).get(document)?).ok()?,
            started: times.started(document)?,
            last: times.last(document)?,
        })
    }

    fn add(&mut self, pair: &FollowedPair, link: Link, is_named: bool, relays: bool) {
        let partner = || {
            let Glance { stream, direction, presented } = self.split.glance(pair.profile)?;
            let FollowedPair { started, last, .. } = *pair;
            let partner = Partner { stream, direction, started, last, presented: presented?, is_named, relays };
            (stream != link.stream).then_some(partner)
        };
        if !self.masked.contains(&pair.key)
            && let Some(partner) = partner()
        {
            self.found.push((link, partner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_time_and_id() {
        let link = |started, last, id| Link {
            started: Timestamp(started),
            last: Timestamp(last),
            session: SessionId(id),
            stream: 0,
            is_own: false,
        };
        let days = 5 * 86_400_000;
        let links = vec![link(50, 60, 7), link(0, 40, 9), link(50, 60, 7), link(55, days, 9)];
        let wanted = Wanted::new(links).unwrap();
        let between = |first, last| wanted.between(first, last).copied().collect::<Vec<_>>();
        assert_eq!(between(30, 52), [link(0, 40, 9), link(50, 60, 7)]);
        assert_eq!(between(101, 120), [link(55, days, 9)]);
        assert_eq!(between(days + 60, days + 99), []);
        assert_eq!(wanted.with_id(9).collect::<Vec<_>>(), [link(0, 40, 9), link(55, days, 9)]);
        assert_eq!(wanted.with_id(8).count(), 0);
        assert!(wanted.may_lie_between(Timestamp(-9), Timestamp(0)));
        assert!(!wanted.may_lie_between(Timestamp(-9), Timestamp(-1)));
        assert!(Wanted::new(Vec::new()).is_none());
    }
}
