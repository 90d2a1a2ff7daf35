//! Taking again what was pruned: which sessions from before the horizon the store has all the same.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smtplog::{Session, Stream, Timestamp};

use crate::{
    StoreError, catalog,
    query::Link,
    split::{columns::column, read::SplitReader},
    writer::Writer,
};

/// Sessions from before a time, by their key and start.
#[derive(Clone, Debug, Default)]
pub struct OldSessions {
    horizon: Option<Timestamp>,
    known: Arc<FxHashSet<(u64, u64, i64)>>,
}

impl OldSessions {
    /// Whether a session is from before the time, and is not there.
    pub fn lack(&self, session: &Session) -> bool {
        self.horizon.is_some_and(|horizon| session.started < horizon) && !self.known.contains(&key(session))
    }
}

fn key(session: &Session) -> (u64, u64, i64) {
    (Link::stream(&session.stream), session.session.0, session.started.0)
}

impl Writer {
    /// What the store has from before its horizon; without a horizon there is nothing old. A damaged split has nothing:
    /// what it held comes again.
    pub fn old_sessions(&self) -> Result<OldSessions, StoreError> {
        let Some(horizon) = self.horizon()? else { return Ok(OldSessions::default()) };
        let mut known = FxHashSet::default();
        let masked = catalog::masked(&self.connection())?;
        for row in catalog::splits(&self.connection())?.iter().filter(|row| row.min_time < horizon) {
            let Ok(split) = SplitReader::open(&self.splits_folder(), &row.name) else { continue };
            let masked = masked.get(&row.name).map_or(&[][..], Vec::as_slice);
            let stream = |stream: &Stream| Link::stream(stream);
            let streams: Vec<Option<u64>> =
                split.profiles().map(|profile| profile.map(|profile| stream(&profile.stream))).collect();
            let (times, profiles) = (split.times(), split.column(column::PROFILE));
            for document in (0..split.len()).filter(|document| masked.binary_search(document).is_err()) {
                let key = || {
                    let stream = streams.get(usize::try_from(profiles.get(document)?).ok()?).copied().flatten()?;
                    Some((stream, times.session.get(document)?, times.started(document)?))
                };
                if let Some((stream, session, started)) = key().filter(|(.., started)| *started < horizon) {
                    known.insert((stream, session, started.0));
                }
            }
        }
        Ok(OldSessions { horizon: Some(horizon), known: Arc::new(known) })
    }
}
