//! `export` and those whom it sends to: receivers as they are in use, and what becomes of an export that is killed.
//!
//! What is not built here is behind the feature `real-receivers`; scripts/test installs it and turns that on.

// Some of what starts exports is for real receivers only.
#![cfg_attr(not(feature = "real-receivers"), allow(dead_code))]

#[path = "../program/mod.rs"]
mod program;
#[path = "../program/running.rs"]
mod running;

mod certificates;
mod collector;
mod datagrams;
mod fleet;
mod kill;
#[cfg(feature = "real-receivers")]
mod parquet;
#[cfg(feature = "real-receivers")]
mod rsyslog;
mod syslog;
