//! Nights that go wrong: runs that are killed, steps that fail, files that grow, move and come twice (CONTRACT 1, 2).
//!
//! The program runs as a process of its own. `scripts/torture` runs the long form.

mod concurrent;
mod cycles;
mod dice;
mod faults;
mod fleet;
mod incoming;
mod program;
