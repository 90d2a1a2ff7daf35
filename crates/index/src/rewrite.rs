//! Rewriting: the sessions of some splits in new ones, for merging, for leaving out old days, and for a newer layout.
//!
//! Splits never change, so whatever changes a store's splits writes others and lets one transaction exchange them.
//! Sessions are read back one by one, so memory holds one split's writer and an order of documents.

use std::path::Path;

use rusqlite::{Transaction, params};
use smtplog::Timestamp;
use ulid::Ulid;

use crate::{
    StoreError,
    catalog::{self, SplitRow},
    split::{
        bundle::Layout,
        read::SplitReader,
        write::{SplitMeta, SplitWriter},
    },
};

/// Milliseconds of a UTC day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// A split to be rewritten.
pub(crate) struct Old<'a> {
    pub(crate) row: &'a SplitRow,
    /// Documents that others replaced.
    pub(crate) masked: &'a [u32],
    pub(crate) layout: Layout,
}

/// What is to take the place of some splits.
pub(crate) struct Rewritten {
    /// The splits whose place it takes.
    pub(crate) old: Vec<SplitRow>,
    pub(crate) new: Vec<SplitMeta>,
    /// Where sessions with stored rows went, which the catalog points to.
    moved: Vec<Moved>,
    pub(crate) left_out: LeftOut,
}

/// Sessions that a rewriting leaves out, other than those that were masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) sessions: u64,
    pub(crate) rows: u64,
}

struct Moved {
    from: (String, u32),
    to: (String, u32),
}

/// Why splits cannot be rewritten.
pub(crate) enum Failure {
    /// A split is damaged: it stays as it is, and searching answers from what can be read of it.
    Damaged {
        /// Its name.
        split: String,
        /// What is wrong with it.
        reason: String,
    },
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Store(error.into())
    }
}

/// Writes the sessions of `old` that `keeps` says yes to into new splits in `folder`, day by day.
pub(crate) fn rewrite(folder: &Path, old: &[Old<'_>], keeps: impl Fn(Timestamp) -> bool) -> Result<Rewritten, Failure> {
    let mut target = Target { folder, writer: None, name: String::new(), new: Vec::new(), moved: Vec::new() };
    let mut left_out = LeftOut::default();
    let readers = old.iter().map(|old| open(folder, old)).collect::<Result<Vec<_>, _>>()?;
    for (at, document) in by_day(old, &readers) {
        let (row, reader) = (old[at].row, &readers[at]);
        let times = reader.times();
        let session = reader.session(document, &times).ok_or_else(|| damaged(row, "a record cannot be read"))?;
        if keeps(session.started) {
            let run = reader.brought().get(document).unwrap_or(0);
            let (name, number) = target.add(&session, reader.parts(document), run)?;
            if reader.has_parts(document) {
                target.moved.push(Moved { from: (row.name.clone(), document), to: (name, number) });
            }
        } else {
            left_out.sessions += 1;
            left_out.rows += session.records;
        }
    }
    target.finish()?;
    let old = old.iter().map(|old| old.row.clone()).collect();
    Ok(Rewritten { old, new: target.new, moved: target.moved, left_out })
}

/// Only what is whole is copied: damage that got a checksum of its own would never be found again.
fn open(folder: &Path, old: &Old<'_>) -> Result<SplitReader, Failure> {
    let reader =
        SplitReader::open_layout(folder, &old.row.name, old.layout).map_err(|reason| damaged(old.row, &reason))?;
    match reader.damaged_files().as_slice() {
        [] => Ok(reader),
        files => Err(damaged(old.row, &format!("wrong checksum of {}", files.join(", ")))),
    }
}

fn damaged(row: &SplitRow, reason: &str) -> Failure {
    Failure::Damaged { split: row.name.clone(), reason: reason.to_owned() }
}

/// The documents that are not masked by UTC day, in the order of the splits and of the documents within a day: those
/// of one stream stay together.
fn by_day(old: &[Old<'_>], readers: &[SplitReader]) -> impl Iterator<Item = (usize, u32)> {
    let mut documents = Vec::new();
    for (at, (old, reader)) in old.iter().zip(readers).enumerate() {
        let times = reader.times();
        let is_wanted = |document: &u32| !old.masked.contains(document);
        documents.extend((0..reader.len()).filter(is_wanted).map(|document| {
            let day = times.started(document).map_or(i64::MIN, |started| started.0.div_euclid(DAY_MS));
            (day, at as u32, document)
        }));
    }
    documents.sort_unstable();
    documents.into_iter().map(|(_, at, document)| (at as usize, document))
}

/// New splits, one after the other.
struct Target<'a> {
    folder: &'a Path,
    writer: Option<SplitWriter>,
    name: String,
    new: Vec<SplitMeta>,
    moved: Vec<Moved>,
}

impl Target<'_> {
    fn add(
        &mut self,
        session: &smtplog::Session,
        parts: Option<Vec<u8>>,
        run: u64,
    ) -> Result<(String, u32), StoreError> {
        if self.writer.as_ref().is_some_and(SplitWriter::is_full) {
            self.finish()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                self.name = Ulid::generate().to_string();
                self.writer.insert(SplitWriter::new()?)
            }
        };
        let document = writer.add(session, parts, run)?;
        Ok((self.name.clone(), document))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        if let Some(writer) = self.writer.take() {
            self.new.push(writer.finish(self.folder, std::mem::take(&mut self.name))?);
        }
        Ok(())
    }
}

impl Rewritten {
    /// Exchanges the splits. Their files have to be durable before.
    pub(crate) fn publish(&self, transaction: &Transaction<'_>, now_ms: i64) -> Result<(), StoreError> {
        // Only the split of open sessions is rewritten alone and stays one.
        let is_open = self.old.iter().any(|split| split.is_open);
        for split in &self.new {
            catalog::put_split(transaction, split, is_open)?;
        }
        let sql = "UPDATE fragments SET split = ?3, document = ?4 WHERE split = ?1 AND document = ?2";
        let mut moves = transaction.prepare_cached(sql)?;
        for Moved { from, to } in &self.moved {
            moves.execute(params![from.0, from.1, to.0, to.1])?;
        }
        for split in &self.old {
            // What still points to it was left out.
            transaction.prepare_cached("DELETE FROM fragments WHERE split = ?1")?.execute([&split.name])?;
            transaction.prepare_cached("DELETE FROM superseded WHERE split = ?1")?.execute([&split.name])?;
            catalog::drop_split(transaction, split.id, now_ms)?;
        }
        Ok(())
    }
}
