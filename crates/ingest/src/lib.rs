//! From paths to sessions on every core: discover, open, decompress, read, stitch.
//!
//! This crate alone opens logs. Each source is read by one worker, a large plain file by several; whole sessions go
//! straight to the worker's [`Sink`], the rest is joined across sources when all are read (CONTRACT 2).

mod at_once;
mod blocks;
pub mod compression;
pub mod discover;
pub mod identity;
mod lines;
mod mmap;
pub mod open;
pub mod originals;
mod pipeline;
pub mod place;
mod plan;
mod probe;
mod reading;
mod stitch;
pub mod summary;
pub mod transcript;
mod waiting;
pub mod whole;
mod worker;

pub use identity::{ContentHash, Identity};
pub use pipeline::{Known, KnownSource, Limits, NothingKnown, Options, Outcome, Progress, Sink, run};
pub use stitch::{IncompleteSession, Part, StoredSession};
pub use worker::SourceOutcome;
