//! Pruning: old days leave the store, whole days at a time.
//!
//! Splits that lie wholly before the horizon are dropped, those on both sides of it are rewritten. The horizon is set
//! by the first transaction, so a run that is killed half way has dropped some of what the next one drops the rest of.

use std::collections::BTreeMap;

use rusqlite::Transaction;
use smtplog::Timestamp;

use crate::{
    MissingSplit, Store, StoreError,
    catalog::{self, Meta, SplitRow},
    evidence, exports, fragments, kept,
    rewrite::{DAY_MS, Failure, Old, Rewritten, rewrite},
    split::{bundle::Layout, read::SplitReader},
    writer::{Writer, now_ms, sync_folder},
};

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Sessions that left the store.
    pub sessions: u64,
    /// Splits that are gone or were rewritten.
    pub splits: u64,
    /// Bytes by which the splits are smaller. Their files are deleted by a later run, ten minutes after.
    pub bytes: u64,
    /// Splits on both sides of the horizon that are damaged, and so stay as they are.
    pub damaged: Vec<MissingSplit>,
}

impl Store {
    /// Sessions from before this time are left out of the store.
    pub fn horizon(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Meta::Horizon.get(&self.catalog())?.map(Timestamp))
    }

    /// Sessions from before this time are gone. Those that were taken again afterwards count from the first of them.
    pub fn pruned_before(&self) -> Result<Option<Timestamp>, StoreError> {
        let horizon = self.horizon()?;
        let first = self.info().first;
        Ok(horizon.map(|horizon| first.map_or(horizon, |first| first.min(horizon))))
    }

    /// The beginning of the first day that stays if splits and kept rows may take so many bytes; at least the newest day does.
    /// `None` if all may stay.
    pub fn horizon_for_bytes(&self, bytes_max: u64) -> Result<Option<Timestamp>, StoreError> {
        let mut by_day: BTreeMap<i64, f64> = BTreeMap::new();
        for row in &self.splits {
            // A damaged split counts for the day on which it begins.
            let reader = self.reader(&row.name);
            let days: Vec<i64> = match &reader {
                Ok(reader) => reader.times().started.to_vec().into_iter().map(day_of_column).collect(),
                Err(_) => vec![row.min_time.0.div_euclid(DAY_MS)],
            };
            let share = row.bytes as f64 / days.len().max(1) as f64;
            days.into_iter().for_each(|day| *by_day.entry(day).or_default() += share);
        }
        let mut bytes = 0.0;
        let mut first = None;
        for (newest, length) in catalog::kept_bytes(&self.catalog())? {
            *by_day.entry(newest.0.div_euclid(DAY_MS)).or_default() += length as f64;
        }
        for (&day, &of_day) in by_day.iter().rev() {
            bytes += of_day;
            if bytes > bytes_max as f64 && first.is_some() {
                return Ok(first.map(|day: i64| Timestamp(day * DAY_MS)));
            }
            first = Some(day);
        }
        Ok(None)
    }

    /// What [`Writer::prune`] would do. Bytes are about so many: a split that is rewritten packs anew, and kept rows go
    /// with the file that they are in.
    pub fn would_prune(&self, horizon: Timestamp) -> Result<Pruned, StoreError> {
        let horizon = self.horizon()?.map_or(horizon, |known| known.max(horizon));
        let mut pruned = Pruned::default();
        for row in self.splits.iter().filter(|row| row.min_time < horizon) {
            let sessions = match self.reader(&row.name) {
                Ok(reader) => self.started_before(&row.name, &reader, horizon),
                Err(_) if row.max_time < horizon => row.sessions,
                Err(reason) => {
                    pruned.damaged.push(MissingSplit { name: row.name.clone(), reason });
                    continue;
                }
            };
            pruned.sessions += sessions;
            pruned.splits += 1;
            pruned.bytes += (u128::from(row.bytes) * u128::from(sessions) / u128::from(row.sessions.max(1))) as u64;
        }
        let horizon = kept::horizon_of_rows(horizon);
        let kept = catalog::kept_bytes(&self.catalog())?;
        pruned.bytes += kept.iter().filter(|(newest, _)| *newest < horizon).map(|(_, bytes)| bytes).sum::<u64>();
        Ok(pruned)
    }

    /// Sessions of a split that nothing replaced.
    fn started_before(&self, name: &str, reader: &SplitReader, horizon: Timestamp) -> u64 {
        let masked = self.masked.get(name).map_or(&[][..], Vec::as_slice);
        let is_gone = |document: &u32| {
            reader.times().started(*document).is_some_and(|started| started < horizon)
                && masked.binary_search(document).is_err()
        };
        (0..reader.len()).filter(is_gone).count() as u64
    }
}

impl Writer {
    /// Sessions from before this time are left out of the store.
    pub fn horizon(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Meta::Horizon.get(&self.connection())?.map(Timestamp))
    }

    /// Drops every session that started before a time, and leaves out those that come later. The time is only ever
    /// moved on: what is gone does not come back by a later, smaller one.
    pub fn prune(&self, horizon: Timestamp) -> Result<Pruned, StoreError> {
        let horizon = self.horizon()?.map_or(horizon, |known| known.max(horizon));
        self.write(|transaction| {
            Meta::Horizon.set(transaction, horizon.0)?;
            exports::drop_before(transaction, horizon)?;
            evidence::drop_before(transaction, horizon)
        })?;
        let mut pruned = Pruned::default();
        let rows: Vec<SplitRow> =
            catalog::splits(&self.connection())?.into_iter().filter(|row| row.min_time < horizon).collect();
        let masked = catalog::masked(&self.connection())?;
        for row in &rows {
            let old =
                Old { row, masked: masked.get(&row.name).map_or(&[][..], Vec::as_slice), layout: Layout::Current };
            match rewrite(&self.splits_folder(), &[old], |started| started >= horizon) {
                Ok(rewritten) => self.replace(row, &rewritten, horizon, &mut pruned)?,
                Err(Failure::Damaged { .. }) if row.max_time < horizon => self.drop_damaged(row, &mut pruned)?,
                Err(Failure::Damaged { split, reason }) => pruned.damaged.push(MissingSplit { name: split, reason }),
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        pruned.bytes += self.write(|transaction| kept::drop_before(transaction, horizon, now_ms()))?;
        Ok(pruned)
    }

    fn replace(
        &self,
        row: &SplitRow,
        rewritten: &Rewritten,
        horizon: Timestamp,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        sync_folder(&self.splits_folder())?;
        self.write(|transaction| {
            if row.is_open {
                drop_open(transaction, horizon)?;
            }
            rewritten.publish(transaction, now_ms())?;
            Meta::RowsGone.add(transaction, rewritten.left_out.rows as i64)
        })?;
        pruned.sessions += rewritten.left_out.sessions;
        pruned.splits += 1;
        pruned.bytes += row.bytes.saturating_sub(rewritten.new.iter().map(|split| split.bytes).sum());
        Ok(())
    }

    /// How many rows its sessions had is not known any more.
    fn drop_damaged(&self, row: &SplitRow, pruned: &mut Pruned) -> Result<(), StoreError> {
        self.write(|transaction| {
            Meta::RowsUnknown.add(transaction, 1)?;
            for sql in ["DELETE FROM fragments WHERE split = ?1", "DELETE FROM superseded WHERE split = ?1"] {
                transaction.prepare_cached(sql)?.execute([&row.name])?;
            }
            catalog::drop_split(transaction, row.id, now_ms())
        })?;
        pruned.sessions += row.sessions;
        pruned.splits += 1;
        pruned.bytes += row.bytes;
        Ok(())
    }
}

fn day_of_column(started: u64) -> i64 {
    crate::split::columns::time_of_column(started).div_euclid(DAY_MS)
}

/// Rows of open sessions that began before the horizon.
fn drop_open(transaction: &Transaction<'_>, horizon: Timestamp) -> Result<(), StoreError> {
    let mut statement = transaction.prepare("SELECT id, parts FROM fragments WHERE split IS NULL")?;
    let rows: Vec<(i64, Vec<u8>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (id, parts) in rows {
        let parts = fragments::decode(&parts).ok_or(StoreError::Damaged("stored rows of a session"))?;
        if parts.first().is_some_and(|part| part.span.first_time < horizon) {
            transaction.prepare_cached("DELETE FROM fragments WHERE id = ?1")?.execute([id])?;
        }
    }
    Ok(())
}
