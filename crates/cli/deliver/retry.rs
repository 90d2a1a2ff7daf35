//! Trying again: ever later, each time a little differently, and not for ever.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::is_stopped;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// How often it is looked whether the export is to end.
const GRAIN: Duration = Duration::from_millis(50);

/// Why something did not work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may work the next time, and not before so long, if the receiver says so.
    Passing(anyhow::Error, Option<Duration>),
    /// It never will.
    Lasting(anyhow::Error),
}

/// How long to try.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// From the first failure on.
    pub(crate) at_most: Duration,
    /// Whether the export is to end.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Patience {
    /// Fails if the export is to end: for who sends the same records again and again, in other pieces.
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        if is_stopped(&self.stop) { bail!("stopped by a signal") } else { Ok(()) }
    }

    /// Does something until it works, fails for good, or has failed for too long; counts the tries that failed.
    pub(crate) fn until_done<T>(&self, mut work: impl FnMut() -> Result<T, Failure>) -> anyhow::Result<(T, u64)> {
        let mut begin = None;
        let mut failed = 0;
        loop {
            let (error, at_least) = match work() {
                Ok(done) => return Ok((done, failed)),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(error, at_least)) => (error, at_least),
            };
            let since = *begin.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.at_most {
                let seconds = self.at_most.as_secs();
                return Err(error.context(format!("the receiver did not confirm anything for {seconds} s")));
            }
            self.pause(pause(failed, random()).max(at_least.unwrap_or_default()))?;
            failed += 1;
        }
    }

    /// Waits, and fails if the export is to end.
    pub(crate) fn pause(&self, pause: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if is_stopped(&self.stop) {
                bail!("stopped by a signal while the receiver was not there; what it had confirmed is noted");
            }
            thread::sleep(left.min(GRAIN));
        }
        Ok(())
    }
}

/// The pause after so many failures: half of it is due, the other half up to chance, so that many senders do not come
/// back at the same moment.
fn pause(failed: u64, chance: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failed.min(16)).min(LONGEST);
    let half = doubled / 2;
    half + half.mul_f64((chance >> 11) as f64 / (1u64 << 53) as f64)
}

/// Some bits that nobody foresees.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for failed in 0..100 {
            let (least, most) = (pause(failed, 0), pause(failed, u64::MAX));
            assert!(least * 2 >= most && most <= LONGEST && least >= FIRST / 2, "{failed}");
        }
        assert_eq!(pause(40, 0), LONGEST / 2);
        assert_ne!(random(), random());
    }

    #[test]
    fn what_lasts_is_not_tried_again() {
        let patience = Patience { at_most: Duration::from_millis(400), stop: Arc::default() };
        let mut left = 2;
        let mut work = || {
            left -= 1;
            if left > 0 { Err(Failure::Passing(anyhow::anyhow!("busy"), None)) } else { Ok(7) }
        };
        assert_eq!(patience.until_done(&mut work).unwrap(), (7, 1));
        let error = patience.until_done(|| Err::<(), _>(Failure::Lasting(anyhow::anyhow!("no")))).unwrap_err();
        assert_eq!(error.to_string(), "no");
        let busy = || Err::<(), _>(Failure::Passing(anyhow::anyhow!("busy"), None));
        assert!(format!("{:#}", patience.until_done(busy).unwrap_err()).contains("for 0 s: busy"));
        patience.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(patience.until_done(busy).unwrap_err().to_string().starts_with("stopped"));
    }
}
