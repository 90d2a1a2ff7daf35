//! The store of sessions: what is kept of them, how they are asked for, and how they are found.

mod again;
mod catalog;
mod codec;
pub mod coverage;
mod days;
mod dictionary;
mod error;
mod evidence;
mod execute;
mod expiry;
mod exports;
pub mod fault;
mod feed;
mod fragments;
mod group;
mod kept;
mod lock;
mod merge;
mod migrate;
mod packed;
mod parallel;
mod partners;
mod profile;
mod prune;
pub mod query;
mod refusals;
mod reported;
mod rewrite;
mod rollover;
mod selection;
mod sessions;
mod split;
mod state;
mod store;
mod verify;
mod writer;

pub use again::OldSessions;
pub use days::{DayRows, HourOfDay, StreamDays};
pub use error::StoreError;
pub use evidence::{EvidenceFile, EvidenceRecord, KnownEvidence, Located};
pub use exports::{Checkpoint, Exporter, Progress, Sent, SentEvent, SentKey};
pub use feed::{Feed, FeedBatch, FeedOptions, FeedPlace, FeedPlaces};
pub use fragments::{StoredFragments, StoredPart};
pub use group::{GroupRow, Groups, Over};
pub use kept::{KeptRows, RowsFile, RowsWriter};
pub use merge::Merged;
pub use prune::Pruned;
pub use refusals::{Refusal, Refusals};
pub use rollover::{
    CertificateUse, Connector, Expiring, Expiry, Met, Renewal, RenewalServer, Rollover, UseState, renewals,
};
pub use selection::{Selection, Shortlist};
pub use state::StoreState;
pub use store::{
    CertificateRow, Certificates, Checks, Hits, Location, MissingSplit, RecordedSource, SearchOptions, Sort, Store,
    StoreInfo,
};
pub use verify::{Fault, Verified};
pub use writer::{FileRecord, KnownSource, Published, Run, SourceRecord, SplitSink, Writer};
