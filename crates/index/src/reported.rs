//! Files that could not be read to their end, and of which an earlier run said so (CONTRACT 6).
//!
//! A damaged file stays damaged, and a file without permission is tried again by every run. Whoever watches the exit
//! code wants to hear of each once, and again only when the file is another.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{FileRecord, Store, StoreError};

/// Part of the catalog.
pub(crate) const TABLE: &str = "
CREATE TABLE IF NOT EXISTS reported_files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
";

/// Whether this file was reported as it is now.
pub(crate) fn is_reported(connection: &Connection, file: &FileRecord) -> Result<bool, StoreError> {
    let sql = "SELECT size, mtime_ns FROM reported_files WHERE path = ?1";
    let known: Option<(i64, i64)> = connection
        .prepare_cached(sql)?
        .query_row([file.path.as_os_str().as_encoded_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(known == Some((file.size as i64, file.mtime_ns)))
}

impl Store {
    /// Calls `found` with every file that could not be read to its end, and of which nothing else was seen since.
    pub fn for_each_damaged_file(&self, mut found: impl FnMut(&Path)) -> Result<(), StoreError> {
        let catalog = self.catalog();
        if !catalog.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'reported_files'")?.exists([])? {
            return Ok(());
        }
        let sql = "SELECT path FROM reported_files AS reported WHERE NOT EXISTS (
                       SELECT 1 FROM files WHERE files.path = reported.path
                       AND (files.size <> reported.size OR files.mtime_ns <> reported.mtime_ns))";
        let mut statement = catalog.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let path: Vec<u8> = row.get(0)?;
            found(Path::new(&*String::from_utf8_lossy(&path)));
        }
        Ok(())
    }
}

/// Remembers what is reported now.
pub(crate) fn put_reported(transaction: &Transaction<'_>, files: &[FileRecord]) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO reported_files VALUES (?1, ?2, ?3)";
    for file in files {
        let row = params![file.path.as_os_str().as_encoded_bytes(), file.size as i64, file.mtime_ns];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}
