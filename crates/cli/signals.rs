//! Signals that end a run: the first asks it to stop, the second ends the process at once.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Sets the flag on the first SIGINT or SIGTERM; the next one does what it does to any program.
pub(crate) fn stop_on_signals(stop: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // What is registered first runs first, and so finds the flag as the signal before left it.
        flag::register_conditional_default(signal, Arc::clone(stop))?;
        flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}
