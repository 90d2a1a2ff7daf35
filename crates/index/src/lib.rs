//! The store of sessions: what is kept of them, how they are asked for, and how they are found.

mod catalog;
mod codec;
mod dictionary;
mod error;
mod execute;
mod fragments;
mod group;
mod packed;
mod parallel;
mod partners;
mod profile;
pub mod query;
mod sessions;
mod split;
mod store;
mod writer;

pub use error::StoreError;
pub use fragments::{StoredFragments, StoredPart};
pub use group::{GroupRow, Groups, Over};
pub use store::{CertificateRow, Hits, Location, MissingSplit, SearchOptions, Sort, Store, StoreInfo};
pub use writer::{FileRecord, KnownSource, Published, Run, SourceRecord, SplitSink, Writer};
