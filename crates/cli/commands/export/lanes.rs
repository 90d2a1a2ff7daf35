//! Lanes: threads that work on one item each, and hand over what came of it in the order of the items.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Where the results go, one after the other.
struct Exit<P> {
    put: P,
    /// The number of the item whose turn it is.
    turn: u64,
    is_over: bool,
}

/// Calls `make` with every item that `next` gives, on so many threads, and `put` with what came of each, in order.
/// Whether all were put: `put` may end it by `false`, and the first error does. Each thread has one item at a time.
pub(super) fn in_order<I, M>(
    threads: usize,
    next: impl FnMut() -> Option<I> + Send,
    make: impl Fn(I) -> anyhow::Result<M> + Sync,
    put: impl FnMut(M) -> anyhow::Result<bool> + Send,
) -> anyhow::Result<bool> {
    let entry = Mutex::new((next, 0));
    let exit = Mutex::new(Exit { put, turn: 0, is_over: false });
    let passed = Condvar::new();
    let take = || {
        let mut entry = lock(&entry);
        let item = (entry.0)()?;
        entry.1 += 1;
        Some((item, entry.1 - 1))
    };
    let lane = || {
        let _end = EndOnPanic { exit: &exit, passed: &passed };
        while let Some((item, number)) = take() {
            let made = make(item);
            let waits = |exit: &mut Exit<_>| exit.turn != number && !exit.is_over;
            let mut exit = passed.wait_while(lock(&exit), waits).unwrap_or_else(PoisonError::into_inner);
            if exit.is_over {
                return Ok(false);
            }
            let goes_on = made.and_then(|made| (exit.put)(made));
            exit.turn += 1;
            exit.is_over = !matches!(goes_on, Ok(true));
            passed.notify_all();
            if exit.is_over {
                return goes_on;
            }
        }
        Ok(true)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(lane)).collect();
        let mut all = vec![lane()];
        all.extend(others.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        // Of several that ended early, one says why.
        let mut goes_on = true;
        for ended in all {
            goes_on &= ended?;
        }
        Ok(goes_on)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// If a lane panics, its turn never comes, and nobody must wait for it.
struct EndOnPanic<'a, P> {
    exit: &'a Mutex<Exit<P>>,
    passed: &'a Condvar,
}

impl<P> Drop for EndOnPanic<'_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(self.exit).is_over = true;
            self.passed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What is put of the numbers below `count`, and how it ends.
    fn run(threads: usize, count: u32, make: fn(u32) -> anyhow::Result<u32>, until: u32) -> (Vec<u32>, Option<bool>) {
        let (mut items, mut found) = (0..count, Vec::new());
        let put = |number| {
            found.push(number);
            Ok(number != until)
        };
        let ended = in_order(threads, || items.next(), make, put).ok();
        (found, ended)
    }

    #[test]
    fn results_come_in_order() {
        let make = |number: u32| {
            thread::sleep(Duration::from_micros(u64::from(number * 7_919 % 13) * 20));
            Ok(number)
        };
        let numbers = |count| (0..count).collect::<Vec<_>>();
        for threads in [1, 2, 5] {
            for count in [0, 1, 3, 200] {
                assert_eq!(run(threads, count, make, u32::MAX), (numbers(count), Some(true)));
            }
            assert_eq!(run(threads, 100, make, 50), (numbers(51), Some(false)));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let make = |number| if number == 7 { Err(anyhow::anyhow!("seven")) } else { Ok(number) };
        for threads in [1, 3] {
            assert_eq!(run(threads, 100, make, u32::MAX), ((0..7).collect(), None));
        }
    }

    /// What a lane panics with is heard, and the others do not wait for it.
    #[test]
    fn a_panic_ends_it() {
        let make = |number| if number == 7 { panic!("seven") } else { Ok(number) };
        let panic = std::panic::catch_unwind(|| run(3, 100, make, u32::MAX)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"seven"));
    }
}
