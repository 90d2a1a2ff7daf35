//! Waiting: for the run that holds the lock, or for the time of the next look, and never past a signal.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use index::{StoreError, Writer};

use crate::{console::Console, store::Stopped};

/// How long a signal, or the end of the other run, may go unnoticed.
const POLL: Duration = Duration::from_millis(100);

/// Opens the store for writing. If another run holds it: waits as long as `patience` says, if at all.
pub(super) fn open(
    store: &Path,
    patience: Option<Duration>,
    console: &Console,
    stop: &AtomicBool,
) -> anyhow::Result<Writer> {
    let begin = Instant::now();
    let mut has_said = false;
    loop {
        let locked = match Writer::open(store) {
            Err(locked @ StoreError::Locked { .. }) => locked,
            opened => return Ok(opened?),
        };
        let Some(patience) = patience else { bail!("{locked}; --wait waits until that is done") };
        let waited = begin.elapsed();
        if patience.is_zero() {
            return Err(locked.into());
        }
        if waited >= patience {
            bail!("{locked}, after a wait of {} s", patience.as_secs_f64());
        }
        if !std::mem::replace(&mut has_said, true) {
            console.note(&format!("{locked}; waiting"));
        }
        if !sleep(POLL.min(patience - waited), stop) {
            return Err(Stopped.into());
        }
    }
}

/// Sleeps, unless and until it is told to stop; whether the time passed.
pub(super) fn sleep(time: Duration, stop: &AtomicBool) -> bool {
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let slept = begin.elapsed();
        if slept >= time {
            return true;
        }
        thread::sleep(POLL.min(time - slept));
    }
    false
}
