//! The catalog: what is published, in one SQLite file (DESIGN section 3).
//!
//! A split, a source or a session exists for readers if and only if a committed transaction names it. One run is one
//! transaction.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, params};
use rustc_hash::FxHashMap;
use smtplog::{Direction, Role, SessionId, Stream, Thumbprint, Timestamp, certificate::Certificate};

use crate::{
    StoreError, evidence, exports, fault,
    migrate::{OLDEST_LAYOUT, migrate},
    reported,
    split::write::SplitMeta,
};

/// Layout of the catalog and the splits. A program refuses what is newer than it knows.
pub(crate) const LAYOUT: i64 = 6;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, ended_ms INTEGER NOT NULL, summary TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, server TEXT NOT NULL, role TEXT NOT NULL, direction TEXT NOT NULL, newest INTEGER,
    UNIQUE (server, role, direction));
CREATE TABLE IF NOT EXISTS splits (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sessions INTEGER NOT NULL,
    min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, has_via INTEGER NOT NULL, is_open INTEGER NOT NULL,
    newest_run INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS split_streams (
    split INTEGER NOT NULL, stream INTEGER NOT NULL, least INTEGER NOT NULL, greatest INTEGER NOT NULL,
    PRIMARY KEY (split, stream)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped_splits (name TEXT PRIMARY KEY, dropped_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS certificates (
    thumbprint BLOB PRIMARY KEY, subject TEXT NOT NULL, issuer TEXT NOT NULL, serial TEXT NOT NULL,
    names TEXT NOT NULL, not_before INTEGER, not_after INTEGER, split_certain INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS certificate_splits (
    thumbprint BLOB NOT NULL, split INTEGER NOT NULL, PRIMARY KEY (thumbprint, split)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (
    identity BLOB PRIMARY KEY, stream INTEGER NOT NULL, consumed INTEGER NOT NULL, hash BLOB NOT NULL,
    kept INTEGER NOT NULL, rejected INTEGER NOT NULL, path TEXT NOT NULL, member TEXT, file TEXT NOT NULL,
    provisional INTEGER NOT NULL DEFAULT 0, cut_session INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    recorded_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fragments (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, session INTEGER NOT NULL, split TEXT, document INTEGER,
    parts BLOB);
CREATE INDEX IF NOT EXISTS fragments_by_key ON fragments (stream, session);
CREATE INDEX IF NOT EXISTS fragments_open ON fragments (id) WHERE split IS NULL;
CREATE TABLE IF NOT EXISTS superseded (
    split TEXT NOT NULL, document INTEGER NOT NULL, PRIMARY KEY (split, document)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transcript_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transcripts (
    identity BLOB NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, file INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, newest INTEGER NOT NULL,
    PRIMARY KEY (identity, start)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transcripts_by_file ON transcripts (file);
CREATE TABLE IF NOT EXISTS repeated_keys (
    stream INTEGER NOT NULL, session INTEGER NOT NULL, first INTEGER NOT NULL,
    PRIMARY KEY (stream, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    stream INTEGER NOT NULL, day INTEGER NOT NULL, hours BLOB NOT NULL, PRIMARY KEY (stream, day)) WITHOUT ROWID;
";

/// Whether a split is published, or was until a while ago. A file that is neither is a leftover.
pub(crate) const IS_NAMED: &str =
    "SELECT 1 FROM splits WHERE name = ?1 UNION SELECT 1 FROM transcript_files WHERE name = ?1
     UNION SELECT 1 FROM dropped_splits WHERE name = ?1";

/// A published split, as readers need it.
#[derive(Clone, Debug)]
pub(crate) struct SplitRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sessions: u64,
    pub(crate) min_time: Timestamp,
    pub(crate) max_time: Timestamp,
    pub(crate) has_via: bool,
    /// Whether it holds the sessions that are open.
    pub(crate) is_open: bool,
    /// The latest run that brought one of its sessions.
    pub(crate) newest_run: u64,
}

/// Path of the catalog within a store.
pub(crate) fn path(store: &Path) -> PathBuf {
    store.join("catalog.sqlite")
}

/// How long opening is tried again while a reader opens or closes the catalog. SQLite itself waits for most locks, but
/// not for those of its journal mode.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Time between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Opens the catalog for the one writer, making it if there is none.
pub(crate) fn open_for_writing(store: &Path) -> Result<Connection, StoreError> {
    fault::point("catalog.open")?;
    let begin = Instant::now();
    loop {
        match try_open_for_writing(store) {
            Err(StoreError::Catalog(error)) if is_busy(&error) && begin.elapsed() < BUSY_MAX => {
                thread::sleep(BUSY_PAUSE);
            }
            opened => return opened,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn try_open_for_writing(store: &Path) -> Result<Connection, StoreError> {
    let path = path(store);
    match OpenOptions::new().read(true).write(true).open(&path) {
        Err(source) if !is_absent(&source) => return Err(StoreError::Write { path, source }),
        _ => {}
    }
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    match check_layout(&connection, store) {
        Err(StoreError::Older { found, .. }) if found >= OLDEST_LAYOUT => migrate(&mut connection, store, found)?,
        checked => checked?,
    }
    fault::point("catalog.create")?;
    let layout = format!("INSERT OR IGNORE INTO meta VALUES ('layout', {LAYOUT});");
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} {} {} {} {layout} COMMIT",
        reported::TABLE,
        evidence::TABLES,
        exports::TABLES
    ))?;
    fault::point("catalog.opened")?;
    Ok(connection)
}

/// Opens the catalog for reading. On media that cannot be written SQLite can make no shared memory for its log, so
/// there the file is read as it is, which is whole: a run leaves no log behind.
pub(crate) fn open_for_reading(store: &Path) -> Result<Connection, StoreError> {
    let path = path(store);
    // SQLite says of a file that may not be read only that it cannot be opened.
    match File::open(&path) {
        Ok(_) if path.is_file() => {}
        Err(source) if !is_absent(&source) => return Err(StoreError::Read { path, source }),
        _ => return Err(StoreError::NotFound { dir: store.to_owned() }),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    let connection = match check_layout(&connection, store) {
        Err(StoreError::Catalog(error)) if is_unwritable(&error) => {
            let uri = format!("file:{}?immutable=1", percent_encoded(&path));
            let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
            check_layout(&connection, store)?;
            connection
        }
        checked => checked.map(|()| connection)?,
    };
    if !has_meta(&connection)? {
        // A run that was killed before it made the tables leaves an empty file.
        return Err(StoreError::NotFound { dir: store.to_owned() });
    }
    Ok(connection)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the medium does not let SQLite make its shared memory. A catalog that is only busy must not be read past its
/// log.
fn is_unwritable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn percent_encoded(path: &Path) -> String {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

pub(crate) fn check_layout(connection: &Connection, store: &Path) -> Result<(), StoreError> {
    if !has_meta(connection)? {
        return Ok(());
    }
    let found: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key = 'layout'", [], |row| row.get(0)).optional()?;
    match found {
        Some(found) if found > LAYOUT => Err(StoreError::Newer { dir: store.to_owned(), found, known: LAYOUT }),
        Some(found) if found < LAYOUT => Err(StoreError::Older { dir: store.to_owned(), found }),
        _ => Ok(()),
    }
}

fn has_meta(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get(0))
}

/// What the catalog keeps one of.
#[derive(Clone, Copy)]
pub(crate) enum Meta {
    /// Sessions that started before this time are left out, milliseconds since 1970-01-01 UTC.
    Horizon,
    /// Rows of sessions that were pruned or expired: they are counted at their sources and in no session.
    RowsGone,
    /// Times that rows were lost count of, because a source changed under its known content or a damaged split was
    /// pruned.
    RowsUnknown,
}

impl Meta {
    fn key(self) -> &'static str {
        match self {
            Meta::Horizon => "horizon",
            Meta::RowsGone => "rows_gone",
            Meta::RowsUnknown => "rows_unknown",
        }
    }

    pub(crate) fn get(self, connection: &Connection) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        Ok(connection.prepare_cached(sql)?.query_row([self.key()], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set(self, connection: &Connection, value: i64) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
        connection.prepare_cached(sql)?.execute(params![self.key(), value])?;
        Ok(())
    }

    pub(crate) fn add(self, connection: &Connection, more: i64) -> Result<(), StoreError> {
        if more == 0 {
            return Ok(());
        }
        self.set(connection, self.get(connection)?.unwrap_or(0) + more)
    }
}

/// All published splits, oldest first.
pub(crate) fn splits(connection: &Connection) -> Result<Vec<SplitRow>, StoreError> {
    let sql = "SELECT id, name, bytes, sessions, min_time, max_time, has_via, is_open, newest_run FROM splits
               ORDER BY min_time, id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(SplitRow {
            id: row.get(0)?,
            name: row.get(1)?,
            bytes: row.get::<_, i64>(2)? as u64,
            sessions: row.get::<_, i64>(3)? as u64,
            min_time: Timestamp(row.get(4)?),
            max_time: Timestamp(row.get(5)?),
            has_via: row.get(6)?,
            is_open: row.get(7)?,
            newest_run: row.get::<_, i64>(8)? as u64,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of the latest run that was published, 0 before the first.
pub(crate) fn newest_run(connection: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> = connection.query_row("SELECT max(id) FROM runs", [], |row| row.get(0))?;
    Ok(newest.unwrap_or(0) as u64)
}

/// Names a split, whose file has to be durable.
pub(crate) fn put_split(transaction: &Transaction<'_>, split: &SplitMeta, is_open: bool) -> Result<(), StoreError> {
    fault::point_of("catalog.put_split", &split.name)?;
    let sql = "INSERT INTO splits (name, bytes, sessions, min_time, max_time, has_via, is_open, newest_run)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    transaction.prepare_cached(sql)?.execute(params![
        split.name,
        split.bytes as i64,
        split.sessions,
        split.min_time.0,
        split.max_time.0,
        split.has_via,
        is_open,
        split.newest_run as i64
    ])?;
    let id = transaction.last_insert_rowid();
    for (stream, least, greatest) in &split.streams {
        let stream = stream_id(transaction, stream)?;
        let sql = "INSERT INTO split_streams VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![id, stream, least.0 as i64, greatest.0 as i64])?;
    }
    for thumbprint in &split.thumbprints {
        let sql = "INSERT INTO certificate_splits VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![thumbprint.0, id])?;
    }
    Ok(())
}

/// Takes a split away from readers to come; its file stays for those that have opened the catalog already.
pub(crate) fn drop_split(transaction: &Transaction<'_>, id: i64, now_ms: i64) -> Result<(), StoreError> {
    let name: String =
        transaction.prepare_cached("SELECT name FROM splits WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
    put_dropped(transaction, &name, now_ms)?;
    for sql in [
        "DELETE FROM split_streams WHERE split = ?1",
        "DELETE FROM certificate_splits WHERE split = ?1",
        "DELETE FROM splits WHERE id = ?1",
    ] {
        transaction.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// Notes when a file lost its name, a split's or one of kept rows.
pub(crate) fn put_dropped(transaction: &Transaction<'_>, name: &str, now_ms: i64) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO dropped_splits VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute(params![name, now_ms])?;
    Ok(())
}

/// Ids of the splits in which a certificate occurs whose thumbprint lies between two.
pub(crate) fn splits_with(
    connection: &Connection,
    least: Thumbprint,
    greatest: Thumbprint,
) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT DISTINCT split FROM certificate_splits WHERE thumbprint BETWEEN ?1 AND ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![least.0, greatest.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Certificates of a split, in order.
pub(crate) fn thumbprints_of(connection: &Connection, split: i64) -> Result<Vec<Thumbprint>, StoreError> {
    let sql = "SELECT thumbprint FROM certificate_splits WHERE split = ?1 ORDER BY thumbprint";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([split], |row| Ok(Thumbprint(row.get(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Streams of a split with their least and greatest session ids, in order.
pub(crate) fn streams_of(
    connection: &Connection,
    split: i64,
) -> Result<Vec<(Stream, SessionId, SessionId)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT stream, least, greatest FROM split_streams WHERE split = ?1")?;
    let rows: Vec<(i64, i64, i64)> =
        statement.query_map([split], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let known = |(id, least, greatest): (i64, i64, i64)| {
        Ok((stream(connection, id)?, SessionId(least as u64), SessionId(greatest as u64)))
    };
    let mut streams = rows.into_iter().map(known).collect::<Result<Vec<_>, StoreError>>()?;
    streams.sort_unstable();
    Ok(streams)
}

/// Kept rows by the time of their newest row, with their bytes as stored. Rows without a time are those of today.
pub(crate) fn kept_bytes(connection: &Connection) -> Result<Vec<(Timestamp, u64)>, StoreError> {
    let sql =
        "SELECT newest, sum(length) FROM transcripts WHERE newest < 9223372036854775807 GROUP BY newest / 86400000";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((Timestamp(row.get(0)?), row.get::<_, i64>(1)? as u64)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every certificate that logs name.
pub(crate) fn certificates(connection: &Connection) -> Result<Vec<Certificate>, StoreError> {
    let sql = "SELECT thumbprint, subject, issuer, serial, names, not_before, not_after, split_certain
               FROM certificates ORDER BY thumbprint";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], certificate)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn certificate(row: &Row<'_>) -> rusqlite::Result<Certificate> {
    Ok(Certificate {
        thumbprint: Thumbprint(row.get(0)?),
        subject: row.get(1)?,
        issuer: row.get(2)?,
        serial: row.get(3)?,
        names: row.get(4)?,
        not_before: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        not_after: row.get::<_, Option<i64>>(6)?.map(Timestamp),
        split_certain: row.get(7)?,
    })
}

/// Keeps what is known best of a certificate.
pub(crate) fn put_certificate(connection: &Connection, certificate: &Certificate) -> Result<(), StoreError> {
    let sql = "SELECT thumbprint, subject, issuer, serial, names, not_before, not_after, split_certain
               FROM certificates WHERE thumbprint = ?1";
    let known = connection.prepare_cached(sql)?.query_row([certificate.thumbprint.0], self::certificate).optional()?;
    if known.is_some_and(|known| !certificate.is_better_than(&known)) {
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO certificates VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        certificate.thumbprint.0,
        certificate.subject,
        certificate.issuer,
        certificate.serial,
        certificate.names,
        certificate.not_before.map(|time| time.0),
        certificate.not_after.map(|time| time.0),
        certificate.split_certain,
    ])?;
    Ok(())
}

/// The row number of a stream, a new one if it is not known.
pub(crate) fn stream_id(connection: &Connection, stream: &Stream) -> Result<i64, StoreError> {
    if let Some(id) = known_stream_id(connection, stream)? {
        return Ok(id);
    }
    let sql = "INSERT INTO streams (server, role, direction) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![
        &*stream.server,
        stream.role.as_str(),
        stream.direction.as_str()
    ])?;
    Ok(connection.last_insert_rowid())
}

/// The row number of a stream, if it is known.
pub(crate) fn known_stream_id(connection: &Connection, stream: &Stream) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT id FROM streams WHERE server = ?1 AND role = ?2 AND direction = ?3";
    let key = params![&*stream.server, stream.role.as_str(), stream.direction.as_str()];
    Ok(connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?)
}

/// The stream of a row number.
pub(crate) fn stream(connection: &Connection, id: i64) -> Result<Stream, StoreError> {
    let sql = "SELECT server, role, direction FROM streams WHERE id = ?1";
    let (server, role, direction): (String, String, String) =
        connection.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let damaged = |()| StoreError::Damaged("a stream has no valid role or direction");
    let (role, direction) = (role.parse::<Role>().map_err(damaged)?, direction.parse::<Direction>().map_err(damaged)?);
    Ok(Stream { server: server.into(), role, direction })
}

/// Keys that more than one session has, with the start of the first.
pub(crate) fn repeated_keys(connection: &Connection) -> Result<Vec<(Stream, SessionId, Timestamp)>, StoreError> {
    let mut statement = connection.prepare("SELECT stream, session, first FROM repeated_keys")?;
    let rows: Vec<(i64, i64, i64)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(id, session, first)| Ok((stream(connection, id)?, SessionId(session as u64), Timestamp(first))))
        .collect()
}

/// Documents that others replaced, by split.
pub(crate) fn masked(connection: &Connection) -> Result<FxHashMap<String, Vec<u32>>, StoreError> {
    let mut statement = connection.prepare("SELECT split, document FROM superseded ORDER BY split, document")?;
    let mut rows = statement.query([])?;
    let mut masked: FxHashMap<String, Vec<u32>> = FxHashMap::default();
    while let Some(row) = rows.next()? {
        masked.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_layouts_are_refused_by_name() {
        let store = tempfile::tempdir().unwrap();
        assert!(matches!(open_for_reading(store.path()), Err(StoreError::NotFound { .. })));
        std::fs::write(path(store.path()), "").unwrap();
        assert!(matches!(open_for_reading(store.path()), Err(StoreError::NotFound { .. })));
        let connection = open_for_writing(store.path()).unwrap();
        assert!(open_for_reading(store.path()).is_ok());
        for (layout, is_newer) in [(LAYOUT + 1, true), (OLDEST_LAYOUT - 1, false)] {
            connection.execute("UPDATE meta SET value = ?1 WHERE key = 'layout'", [layout]).unwrap();
            for opened in [open_for_reading(store.path()), open_for_writing(store.path())] {
                match opened {
                    Err(StoreError::Newer { found, known, .. }) => assert_eq!((found, known), (layout, LAYOUT)),
                    Err(StoreError::Older { found, .. }) => assert_eq!((found, is_newer), (layout, false)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
