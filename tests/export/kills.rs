//! `kill -9` and SIGTERM in the middle of an export, and the same command again, until it comes to its end.
//!
//! Kills of one that writes files or sends syslog are in tests/receivers.

use crate::{running::Running, trial::Trial};

/// Events that come, beside those that came before, until the export is ended.
const MORE: usize = 60;

/// Ends an export twice without a word and once with one, each time when the receiver has some more; then lets it come
/// to its end. `count` says how many events the receiver has.
#[track_caller]
pub(crate) fn end_and_go_on(trial: &Trial, args: &[&str], count: impl Fn() -> usize) {
    let start = || {
        let before = count();
        let mut export = Running::start(trial.path(), args);
        assert!(export.is_running_when(|| count() >= before + MORE), "it was over before {MORE} more events came");
        export
    };
    for _ in 0..2 {
        assert!(start().kill(), "it was over before the kill");
    }
    let (code, said) = start().stop();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("stopped by a signal"), "{said}");
    Running::start(trial.path(), args).end();
    let again = trial.done(args);
    assert!(again.err.contains("nothing new"), "{}", again.err);
}
