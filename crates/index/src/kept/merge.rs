//! Merging and dropping files of kept rows, by the same tiers as splits.

use std::path::PathBuf;

use rusqlite::{Connection, Transaction, params};
use smtplog::Timestamp;

use super::{
    STRETCH_BYTES, SUFFIX, Stretch,
    read::{compressed, lines},
    write::{RowsFile, RowsWriter},
};
use crate::{
    MissingSplit, StoreError, catalog,
    merge::{Candidate, Merged, plan},
    writer::{Writer, now_ms, sync_folder},
};

/// Bytes that count as one session does for splits: a session has some 350 bytes of compressed rows.
const UNIT_BYTES: u64 = 512;

/// A published file.
pub(super) struct OldFile {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Bytes of its stretches that are still named.
    used: u64,
}

impl Writer {
    /// A writer of kept rows for one worker.
    pub fn rows_writer(&self) -> Result<RowsWriter, StoreError> {
        RowsWriter::new(&self.transcripts_folder())
    }

    /// Merges files of kept rows where there are many.
    pub(crate) fn merge_rows(&self, merged: &mut Merged) -> Result<(), StoreError> {
        let files = files(&self.connection())?;
        let candidate = |file: &OldFile| Candidate {
            sessions: file.used / UNIT_BYTES,
            masked: file.bytes.saturating_sub(file.used) / UNIT_BYTES,
            bytes: 0,
        };
        for group in plan(&files.iter().map(candidate).collect::<Vec<_>>()) {
            let old: Vec<&OldFile> = group.iter().map(|&at| &files[at]).collect();
            let mut writer = self.rows_writer()?;
            if let Err(missing) = self.copy_all(&old, &mut writer)? {
                merged.damaged.push(missing);
                continue;
            }
            let new = writer.finish()?;
            if new.is_some() {
                sync_folder(&self.transcripts_folder())?;
            }
            self.write(|transaction| {
                old.iter().try_for_each(|file| drop_file(transaction, file.id, now_ms()))?;
                new.iter().try_for_each(|file| put_file(transaction, file))
            })?;
        }
        Ok(())
    }

    /// Copies what is still named, source by source; the inner error names a file that cannot be read. Short stretches
    /// that follow one another are compressed anew together.
    fn copy_all(&self, old: &[&OldFile], writer: &mut RowsWriter) -> Result<Result<(), MissingSplit>, StoreError> {
        let mut stretches = Vec::new();
        for file in old {
            let of_file = stretches_of(&self.connection(), file.id)?;
            stretches.extend(of_file.into_iter().map(|stretch| (stretch, *file)));
        }
        stretches.sort_by_key(|(stretch, _)| (stretch.identity, stretch.start));
        let path = |file: &OldFile| self.transcripts_folder().join(format!("{}.{SUFFIX}", file.name));
        let missing = |file: &OldFile, reason: String| MissingSplit { name: file.name.clone(), reason };
        let mut rest = &stretches[..];
        while let Some((first, file)) = rest.first() {
            let together = joinable(rest);
            if together == 1 {
                match compressed(&path(file), first.offset, first.length) {
                    Ok(bytes) => writer.copy(first, &bytes)?,
                    Err(error) => return Ok(Err(missing(file, error.to_string()))),
                }
            } else {
                writer.begin(first.identity, first.start);
                for (stretch, file) in &rest[..together] {
                    match lines(&path(file), stretch.offset, stretch.length) {
                        Ok(lines) => writer.add(&lines)?,
                        Err(error) => return Ok(Err(missing(file, error.to_string()))),
                    }
                }
                writer.confirm()?;
            }
            rest = &rest[together..];
        }
        Ok(Ok(()))
    }

    pub(crate) fn transcripts_folder(&self) -> PathBuf {
        self.splits_folder().with_file_name(super::FOLDER)
    }
}

/// How many stretches from the first on become one.
fn joinable(stretches: &[(Stretch, &OldFile)]) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for (at, (stretch, _)) in stretches.iter().enumerate() {
        let follows =
            at == 0 || (stretches[at - 1].0.identity == stretch.identity && stretches[at - 1].0.end == stretch.start);
        bytes += stretch.end - stretch.start;
        if !follows || (at > 0 && bytes > STRETCH_BYTES as u64) {
            break;
        }
        count += 1;
    }
    count
}

pub(super) fn files(connection: &Connection) -> Result<Vec<OldFile>, StoreError> {
    let sql = "SELECT id, name, bytes, (SELECT coalesce(sum(length), 0) FROM transcripts WHERE file = id)
               FROM transcript_files ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (bytes, used): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok(OldFile { id: row.get(0)?, name: row.get(1)?, bytes: bytes as u64, used: used as u64 })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn stretches_of(connection: &Connection, file: i64) -> Result<Vec<Stretch>, StoreError> {
    let sql = "SELECT identity, start, end, offset, length, newest FROM transcripts WHERE file = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([file], |row| {
        Ok(Stretch {
            identity: row.get(0)?,
            start: row.get::<_, i64>(1)? as u64,
            end: row.get::<_, i64>(2)? as u64,
            offset: row.get::<_, i64>(3)? as u64,
            length: row.get::<_, i64>(4)? as u64,
            newest: Timestamp(row.get(5)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Names a file, which has to be durable.
pub(crate) fn put_file(transaction: &Transaction<'_>, file: &RowsFile) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT INTO transcript_files (name, bytes) VALUES (?1, ?2)")?
        .execute(params![file.name, file.bytes as i64])?;
    let id = transaction.last_insert_rowid();
    // A last line that came without its end is replaced by the whole one.
    let sql = "INSERT OR REPLACE INTO transcripts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = transaction.prepare_cached(sql)?;
    for one in &file.stretches {
        let (start, end, offset, length) = (one.start as i64, one.end as i64, one.offset as i64, one.length as i64);
        statement.execute(params![one.identity, start, end, id, offset, length, one.newest.0])?;
    }
    Ok(())
}

fn drop_file(transaction: &Transaction<'_>, id: i64, now_ms: i64) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM transcripts WHERE file = ?1")?.execute([id])?;
    let name: String = transaction
        .prepare_cached("DELETE FROM transcript_files WHERE id = ?1 RETURNING name")?
        .query_row([id], |row| row.get(0))?;
    catalog::put_dropped(transaction, &name, now_ms)
}

/// Drops the rows from before a horizon, and the files that have no others.
pub(crate) fn drop_before(transaction: &Transaction<'_>, horizon: Timestamp, now_ms: i64) -> Result<u64, StoreError> {
    let horizon = super::horizon_of_rows(horizon);
    transaction.prepare_cached("DELETE FROM transcripts WHERE newest < ?1")?.execute([horizon.0])?;
    let mut bytes = 0;
    for file in files(transaction)?.iter().filter(|file| file.used == 0) {
        drop_file(transaction, file.id, now_ms)?;
        bytes += file.bytes;
    }
    Ok(bytes)
}
