//! Splits: immutable files that hold sessions.
//!
//! A split is one file: a tantivy index of one segment, and beside it the dictionaries that its columns refer to. One
//! document is one session. It is written by one worker, checked by checksums, and never changes.
//!
//! ```text
//! tantivy's files | dictionaries | table of (name, offset, length, hash) | length of the table u32 | hash u64 | magic
//! ```

mod bundle;
pub(crate) mod dictionaries;
mod document;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod schema;
pub(crate) mod write;
