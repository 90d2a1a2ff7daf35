//! Kept rows: what logs said, for transcripts that outlive them.
//!
//! Exchange deletes its logs after a month. A run that is told to keep the rows copies what it consumed of each source,
//! in stretches of about a megabyte of whole lines, each compressed by itself. Stretches of this size take as much room
//! as the same logs compressed with zstd, as a dictionary with smaller ones would (measured on generated logs: 1.00
//! times, against 1.02 times for stretches of 64 KiB with a trained dictionary of 110 KiB), and give a session back
//! within milliseconds.
//!
//! A file of kept rows is nothing but such stretches, one behind the other; the catalog says where each is. Like a
//! split it never changes, and is there for readers if a transaction has named it.

mod merge;
mod read;
mod verify;
mod write;

pub(crate) use self::merge::{drop_before, put_file};
pub use self::{
    read::KeptRows,
    write::{RowsFile, RowsWriter},
};

use smtplog::Timestamp;

/// Name of the folder within a store.
pub(crate) const FOLDER: &str = "transcripts";

/// What file names end with.
pub(crate) const SUFFIX: &str = "rows";

/// Bytes of a stretch. Less takes more room, more takes longer to read one session from.
const STRETCH_BYTES: usize = 1 << 20;

/// Bytes of a stretch that has no line end: it is cut wherever it is.
const STRETCH_BYTES_MAX: usize = 4 << 20;

/// As hard as the logs' own compressors try; harder costs more time than indexing.
const LEVEL: i32 = 3;

/// Rows of this much longer than a pruned day are kept: a stretch's newest row may be a little older than its last
/// session.
const MARGIN_MS: i64 = 86_400_000;

/// Some consecutive bytes of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) identity: [u8; 32],
    /// Decompressed offsets.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where it lies in its file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Time of its newest row.
    pub(crate) newest: Timestamp,
}

/// The time of the last line that has one. Rows of every protocol log of Exchange begin with their time (FORMATS 1).
fn newest(lines: &[u8]) -> Option<Timestamp> {
    lines.rsplit(|&byte| byte == b'\n').find_map(|line| Timestamp::from_log(line.get(..24)?))
}

/// The horizon for stretches, given that of sessions.
pub(crate) fn horizon_of_rows(horizon: Timestamp) -> Timestamp {
    Timestamp(horizon.0.saturating_sub(MARGIN_MS))
}
