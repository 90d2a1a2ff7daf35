//! Splits: immutable files that hold sessions.
//!
//! A split is one file of many: columns of packed numbers, the dictionaries that they refer to, a tantivy index of the
//! words of its phrases, and the records that give sessions back. One document is one session. It is written by one
//! worker, checked by checksums, and never changes.
//!
//! ```text
//! files | table of (name, offset, length, hash) | length of the table u32 | hash u64 | magic
//! ```

pub(crate) mod bundle;
pub(crate) mod columns;
pub(crate) mod dictionaries;
mod places;
pub(crate) mod read;
pub(crate) mod record;
mod records;
mod words;
pub(crate) mod write;
