//! Expiry: sessions from before the store's horizon do not come back with their file.
//!
//! What was pruned leaves its sources' identities and a horizon behind. A file that comes late, or again after it was
//! changed, may still hold sessions from before it: they are counted and left out.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rustc_hash::FxHashSet;
use smtplog::{Session, SessionId, Stream, Timestamp};

use crate::rewrite::LeftOut;

/// What of a run has expired.
#[derive(Debug)]
pub(crate) struct Expiry {
    horizon: Timestamp,
    /// Keys of sessions that the store has from before the horizon, because they were taken again on purpose: what
    /// joins them stays with them.
    kept: Mutex<FxHashSet<(Arc<Stream>, SessionId)>>,
    sessions: AtomicU64,
    rows: AtomicU64,
}

impl Expiry {
    /// Expiry of what started before `horizon`; of nothing without one.
    pub(crate) fn before(horizon: Option<Timestamp>) -> Expiry {
        Expiry {
            horizon: horizon.unwrap_or(Timestamp(i64::MIN)),
            kept: Mutex::default(),
            sessions: AtomicU64::new(0),
            rows: AtomicU64::new(0),
        }
    }

    /// The store has a session of this key that began at `started`.
    pub(crate) fn note_stored(&self, stream: &Arc<Stream>, session: SessionId, started: Timestamp) {
        if started < self.horizon {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert((Arc::clone(stream), session));
        }
    }

    /// Whether a session is left out; if so, it is counted.
    pub(crate) fn leaves_out(&self, session: &Session) -> bool {
        if session.started >= self.horizon {
            return false;
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.contains(&(Arc::clone(&session.stream), session.session)) {
            return false;
        }
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(session.records, Ordering::Relaxed);
        true
    }

    /// What was left out so far.
    pub(crate) fn left_out(&self) -> LeftOut {
        LeftOut { sessions: self.sessions.load(Ordering::Relaxed), rows: self.rows.load(Ordering::Relaxed) }
    }
}
