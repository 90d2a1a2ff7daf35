//! The progress bar: bytes, rate and time left, on a terminal only.

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::console::Console;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How far some work has come.
pub(crate) struct Done {
    /// Bytes that are done.
    pub(crate) bytes: u64,
    /// Bytes in all; 0 while that is not known.
    pub(crate) total: u64,
}

/// Works, and shows how far it has come meanwhile.
pub(crate) fn shown<T>(console: &Console, done: impl Fn() -> Done + Sync, work: impl FnOnce() -> T) -> T {
    if console.quiet || !io::stderr().is_terminal() {
        return work();
    }
    let (finished, finish) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || draw(done, &finish));
        let result = work();
        drop(finished);
        result
    })
}

fn draw(done: &dyn Fn() -> Done, finish: &mpsc::Receiver<()>) {
    let bar = ProgressBar::no_length().with_style(style());
    while finish.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let Done { bytes, total } = done();
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(bytes);
    }
    bar.finish_and_clear();
}

fn style() -> ProgressStyle {
    const TEMPLATE: &str =
        "{bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}
