//! The state of a store: what stands in its catalog, for whoever watches over it.

use smtplog::{Stream, Timestamp};

use crate::{Store, StoreError, StoreInfo, catalog};

/// What a store holds, and since when.
#[derive(Clone, Debug, Default)]
pub struct StoreState {
    /// Splits, sessions and bytes.
    pub info: StoreInfo,
    /// Rows that became part of a session, of all runs.
    pub kept: u64,
    /// Rows that could not be read, of all runs.
    pub rejected: u64,
    /// Decompressed bytes consumed by all runs.
    pub consumed_bytes: u64,
    /// Runs that published.
    pub runs: u64,
    /// When the last of them did.
    pub last_published: Option<Timestamp>,
    /// Every stream with the time of its newest row, in order.
    pub streams: Vec<(Stream, Timestamp)>,
}

impl Store {
    /// What the store's catalog says of it.
    pub fn state(&self) -> Result<StoreState, StoreError> {
        let catalog = self.catalog();
        let sql = "SELECT coalesce(sum(kept), 0), coalesce(sum(rejected), 0), coalesce(sum(consumed), 0) FROM sources";
        let (kept, rejected, consumed): (i64, i64, i64) =
            catalog.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let sql = "SELECT coalesce(max(id), 0), max(ended_ms) FROM runs";
        let (runs, last): (i64, Option<i64>) = catalog.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement = catalog.prepare("SELECT id, newest FROM streams WHERE newest IS NOT NULL")?;
        let newest: Vec<(i64, i64)> =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let stream = |(id, newest)| Ok((catalog::stream(&catalog, id)?, Timestamp(newest)));
        let mut streams = newest.into_iter().map(stream).collect::<Result<Vec<_>, StoreError>>()?;
        streams.sort();
        Ok(StoreState {
            info: self.info(),
            kept: kept as u64,
            rejected: rejected as u64,
            consumed_bytes: consumed as u64,
            runs: runs as u64,
            last_published: last.map(Timestamp),
            streams,
        })
    }
}
