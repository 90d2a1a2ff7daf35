//! Writing: the one run that holds the lock, from its sinks to the transaction that publishes them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use rustc_hash::FxHashMap;
use smtplog::{Session, SessionId, Stream, Timestamp, certificate::Certificate, hours::HourCounts};
use ulid::Ulid;

use crate::{
    EvidenceRecord, RowsFile, StoreError,
    catalog::{self, Meta},
    days, evidence,
    expiry::Expiry,
    fault,
    fragments::{self, StoredFragments, StoredPart},
    kept, lock,
    packed::Numbers,
    reported,
    split::{
        columns::column,
        read::SplitReader,
        write::{SplitMeta, SplitWriter},
    },
};

/// A file whose time of change lies this close to the run that recorded it is opened again: it may have changed once
/// more within the clock's grain (CONTRACT 1).
const MTIME_GRAIN_NS: i64 = 2_000_000_000;

/// Replaced splits are kept this long for readers that have just opened the catalog.
const DROPPED_KEPT_MS: i64 = 600_000;

/// A file, to be known again without opening it.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// Absolute path.
    pub path: PathBuf,
    /// Bytes as stored.
    pub size: u64,
    /// Time of the last change, nanoseconds since 1970-01-01 UTC.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
}

/// What is consumed of a source.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// Its identity (CONTRACT 1).
    pub identity: [u8; 32],
    /// The stream that it counts for.
    pub stream: Arc<Stream>,
    /// Decompressed bytes.
    pub consumed: u64,
    /// Their hash.
    pub hash: u128,
    /// Rows that became part of a session, in this run.
    pub kept: u64,
    /// Rows that could not be read, in this run.
    pub rejected: u64,
    /// Rows among `kept` whose line has no end yet: 0 or 1. Once it has, they are read again.
    pub provisional: u64,
    /// The session of that row.
    pub cut_session: Option<SessionId>,
    /// Whether something of it was read in this run.
    pub is_read: bool,
    /// Rows of this run by hour.
    pub hours: HourCounts,
    /// Whether an unknown part of them was counted before, because the content that was known has changed.
    pub replaces: bool,
    /// The file that holds it.
    pub path: PathBuf,
    /// The archive's member, if it is one.
    pub member: Option<String>,
    /// Its name relative to PATH.
    pub file: String,
}

/// A source of an earlier run.
#[derive(Clone, Debug)]
pub struct KnownSource {
    /// The stream that it counts for.
    pub stream: Arc<Stream>,
    /// Decompressed bytes consumed.
    pub consumed: u64,
    /// Their hash.
    pub hash: u128,
    /// The session of a last line that was read without its end.
    pub cut_session: Option<SessionId>,
}

/// What a run publishes.
#[derive(Default)]
pub struct Run {
    /// The workers' sinks.
    pub sinks: Vec<SplitSink>,
    /// The sessions that are open now; `None` leaves those of the store as they are.
    pub open: Option<Vec<(Session, Vec<StoredPart>)>>,
    /// Handles of stored sessions that the run's sessions replace.
    pub replaced: Vec<u64>,
    /// Sources looked into.
    pub sources: Vec<SourceRecord>,
    /// Files looked into.
    pub files: Vec<FileRecord>,
    /// Files that could not be read to their end, and are reported now.
    pub reported: Vec<FileRecord>,
    /// Newest row by stream.
    pub newest: Vec<(Arc<Stream>, Timestamp)>,
    /// Certificates that the logs name.
    pub certificates: Vec<Certificate>,
    /// Rows that are kept for transcripts.
    pub rows: Vec<RowsFile>,
    /// What lies beside the logs.
    pub evidence: Vec<EvidenceRecord>,
    /// Rows of sessions that had been pruned or had expired, and are taken again: their sources count them already.
    pub rows_again: u64,
}

/// What was published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published {
    /// New splits.
    pub splits: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Sessions that were left out, because they began before the store's horizon.
    pub expired: u64,
    /// Bytes of rows that are kept for transcripts, as stored.
    pub kept_bytes: u64,
}

/// The store, held by the one run that writes to it.
pub struct Writer {
    dir: PathBuf,
    connection: Mutex<Connection>,
    expiry: Arc<Expiry>,
    /// The number that the next run has once it is published.
    next_run: AtomicU64,
    swept: u64,
    /// Held until the run ends; the kernel frees it if the process dies.
    _lock: File,
}

/// Takes the sessions of one worker.
pub struct SplitSink {
    folder: PathBuf,
    current: Option<SplitWriter>,
    current_name: String,
    finished: Vec<SplitMeta>,
    given_up: Vec<GivenUp>,
    run: u64,
    expiry: Arc<Expiry>,
    error: Option<StoreError>,
}

/// A session published as incomplete, with where it stands.
struct GivenUp {
    stream: Arc<Stream>,
    session: SessionId,
    split: String,
    document: u32,
}

impl Writer {
    /// Opens a store for writing, making it if there is none. Only one run at a time can.
    pub fn open(dir: &Path) -> Result<Writer, StoreError> {
        create_folders(dir)?;
        fault::point("lock.take")?;
        let lock = lock::lock(dir, Timestamp(now_ms()))?;
        fault::point("lock.held")?;
        let connection = catalog::open_for_writing(dir)?;
        let expiry = Arc::new(Expiry::before(Meta::Horizon.get(&connection)?.map(Timestamp)));
        let next_run = AtomicU64::new(catalog::newest_run(&connection)? + 1);
        let connection = Mutex::new(connection);
        let mut writer = Writer { dir: dir.to_owned(), connection, expiry, next_run, swept: 0, _lock: lock };
        writer.swept = writer.sweep()?;
        fault::point("catalog.read")?;
        // Nobody else writes, and each of the thousands of questions to come would lock and unlock the file.
        writer.connection().execute_batch("BEGIN")?;
        Ok(writer)
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn splits_folder(&self) -> PathBuf {
        self.dir.join("splits")
    }

    /// Does something in one transaction.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        fault::point("catalog.begin")?;
        if !connection.is_autocommit() {
            connection.execute_batch("COMMIT")?; // What has only read.
        }
        // Exports note in the catalog what they sent, at any time: what is read here must not be outdated when it is written.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        fault::point("catalog.commit")?;
        transaction.commit()?;
        fault::point("catalog.committed")?;
        Ok(done)
    }

    /// Ends the work on the store. Leaves no log beside the catalog, so that it can be read where it cannot be written.
    pub fn close(self) -> Result<(), StoreError> {
        let connection = self.connection();
        if !connection.is_autocommit() {
            connection.execute_batch("COMMIT")?;
        }
        let _: (i64, i64, i64) = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(fault::point("catalog.checkpointed")?)
    }

    /// Files that were removed when the store was opened: leftovers of a run that was killed, and splits replaced a while
    /// ago.
    pub fn swept(&self) -> u64 {
        self.swept
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        fault::point("sweep.begin")?;
        let connection = self.connection();
        let mut statement = connection.prepare("DELETE FROM dropped_splits WHERE dropped_ms < ?1")?;
        statement.execute([now_ms() - DROPPED_KEPT_MS])?;
        let mut is_named = connection.prepare(catalog::IS_NAMED)?;
        let mut swept = 0;
        for folder in [self.splits_folder(), self.transcripts_folder()].into_iter().filter(|folder| folder.exists()) {
            let entries = fs::read_dir(&folder).map_err(|source| StoreError::Read { path: folder.clone(), source })?;
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if !is_named.exists([&name])? {
                    fault::point_of("sweep.remove", path.display())?;
                    fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
                    fault::point_of("sweep.removed", name)?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }

    /// From now on nothing expires: what began before the horizon is taken like the rest.
    pub fn take_expired(&mut self) {
        self.expiry = Arc::new(Expiry::before(None));
    }

    /// Whether a file is as an earlier run recorded it.
    pub fn is_unchanged(&self, file: &FileRecord) -> Result<bool, StoreError> {
        let connection = self.connection();
        let sql = "SELECT size, mtime_ns, inode, recorded_ns FROM files WHERE path = ?1";
        let known: Option<(i64, i64, i64, i64)> = connection
            .prepare_cached(sql)?
            .query_row([file.path.as_os_str().as_encoded_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        Ok(known.is_some_and(|(size, mtime_ns, inode, recorded_ns)| {
            (size, mtime_ns, inode) == (file.size as i64, file.mtime_ns, file.inode as i64)
                && recorded_ns.saturating_sub(mtime_ns) > MTIME_GRAIN_NS
        }))
    }

    /// Whether an earlier run said of this file that it could not be read, and it is still the same.
    pub fn is_reported(&self, file: &FileRecord) -> Result<bool, StoreError> {
        reported::is_reported(&self.connection(), file)
    }

    /// What is known of a source.
    pub fn source(&self, identity: &[u8; 32]) -> Result<Option<KnownSource>, StoreError> {
        let connection = self.connection();
        let sql = "SELECT stream, consumed, hash, cut_session FROM sources WHERE identity = ?1";
        let row: Option<(i64, i64, [u8; 16], Option<i64>)> = connection
            .prepare_cached(sql)?
            .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((stream, consumed, hash, cut_session)) = row else { return Ok(None) };
        Ok(Some(KnownSource {
            stream: Arc::new(catalog::stream(&connection, stream)?),
            consumed: consumed as u64,
            hash: u128::from_le_bytes(hash),
            cut_session: cut_session.map(|session| SessionId(session as u64)),
        }))
    }

    /// Time of the newest row of a stream.
    pub fn newest(&self, stream: &Stream) -> Result<Option<Timestamp>, StoreError> {
        let connection = self.connection();
        let Some(id) = catalog::known_stream_id(&connection, stream)? else { return Ok(None) };
        let newest: Option<i64> =
            connection.prepare_cached("SELECT newest FROM streams WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
        Ok(newest.map(Timestamp))
    }

    /// Every open session, and those given up that these keys have.
    pub fn stored(&self, keys: &[(Arc<Stream>, SessionId)]) -> Result<Vec<StoredFragments>, StoreError> {
        let connection = self.connection();
        let columns = "SELECT id, stream, session, split, document, parts FROM fragments";
        let folder = self.dir.join("splits");
        let open = format!("{columns} WHERE split IS NULL ORDER BY id");
        let mut stored = stored_rows(&connection, &folder, &open, params![])?;
        let by_key = format!("{columns} WHERE stream = ?1 AND session = ?2 AND split IS NOT NULL ORDER BY id");
        for (stream, session) in keys {
            if let Some(id) = catalog::known_stream_id(&connection, stream)? {
                stored.extend(stored_rows(&connection, &folder, &by_key, params![id, session.0 as i64])?);
            }
        }
        for one in &stored {
            if let Some(part) = one.parts.first() {
                self.expiry.note_stored(&one.stream, one.session, part.span.first_time);
            }
        }
        Ok(stored)
    }

    /// A sink for one worker.
    pub fn sink(&self) -> SplitSink {
        SplitSink {
            folder: self.dir.join("splits"),
            current: None,
            current_name: String::new(),
            finished: Vec::new(),
            given_up: Vec::new(),
            run: self.next_run.load(Ordering::Relaxed),
            expiry: Arc::clone(&self.expiry),
            error: None,
        }
    }

    /// Publishes a run: first its files are made durable, then one transaction names them.
    /// `summary` says what the run did, as JSON.
    pub fn publish(&self, run: Run, summary: impl FnOnce(&Published) -> String) -> Result<Published, StoreError> {
        let Run { sinks, open, replaced, sources, files, reported, newest, certificates, rows, evidence, rows_again } =
            run;
        let run_number = self.next_run.load(Ordering::Relaxed);
        let open = open.map(|mut sessions| {
            sessions.retain(|(session, _)| !self.expiry.leaves_out(session));
            sessions
        });
        let finished = finish_all(sinks)?;
        let mut splits: Vec<SplitMeta> = Vec::new();
        let mut given_up = Vec::new();
        for sink in finished {
            splits.extend(sink.finished);
            given_up.extend(sink.given_up);
        }
        let mut open_split = match &open {
            Some(sessions) => open_split(&self.splits_folder(), sessions, run_number)?,
            None => None,
        };
        sync_folder(&self.splits_folder())?;
        if !rows.is_empty() {
            sync_folder(&self.transcripts_folder())?;
            sync_folder(&self.dir)?; // The folder may be new.
        }
        let published = Published {
            splits: splits.len() as u64,
            bytes: splits.iter().chain(&open_split).map(|split| split.bytes).sum(),
            expired: self.expiry.left_out().sessions,
            kept_bytes: rows.iter().map(|file| file.bytes).sum(),
        };
        self.write(|transaction| {
            drop_replaced(transaction, &replaced, open.is_some())?;
            put_repeated_keys(transaction, &self.dir, &mut splits, open_split.as_mut())?;
            for split in &splits {
                catalog::put_split(transaction, split, false)?;
            }
            if let Some(split) = &open_split {
                catalog::put_split(transaction, split, true)?;
            }
            put_given_up(transaction, &given_up)?;
            put_open(transaction, open.unwrap_or_default())?;
            put_sources(transaction, &sources)?;
            put_files(transaction, &files)?;
            reported::put_reported(transaction, &reported)?;
            fault::point("catalog.put_streams")?;
            put_newest(transaction, &newest)?;
            days::put(transaction, &sources, Timestamp(now_ms()))?;
            rows.iter().try_for_each(|file| kept::put_file(transaction, file))?;
            if let Some(horizon) = Meta::Horizon.get(transaction)?.filter(|_| !rows.is_empty()) {
                kept::drop_before(transaction, Timestamp(horizon), now_ms())?;
            }
            Meta::RowsGone.add(transaction, self.expiry.left_out().rows as i64 - rows_again as i64)?;
            fault::point("catalog.put_certificates")?;
            for certificate in &certificates {
                catalog::put_certificate(transaction, certificate)?;
            }
            evidence.iter().try_for_each(|record| evidence::put(transaction, record))?;
            fault::point("catalog.put_run")?;
            transaction
                .prepare_cached("INSERT INTO runs (id, ended_ms, summary) VALUES (?1, ?2, ?3)")?
                .execute(params![run_number as i64, now_ms(), summary(&published)])?;
            Ok(())
        })?;
        self.next_run.store(run_number + 1, Ordering::Relaxed);
        Ok(published)
    }
}

impl SplitSink {
    /// Adds a whole session.
    pub fn add(&mut self, session: &Session) {
        self.add_document(session, None);
    }

    /// Adds a session that is given up as incomplete; its rows are kept, so that later ones can join them.
    pub fn add_given_up(&mut self, session: &Session, parts: &[StoredPart]) {
        if let Some((split, document)) = self.add_document(session, Some(fragments::encode(parts))) {
            let stream = Arc::clone(&session.stream);
            self.given_up.push(GivenUp { stream, session: session.session, split, document });
        }
    }

    fn add_document(&mut self, session: &Session, parts: Option<Vec<u8>>) -> Option<(String, u32)> {
        if self.error.is_some() {
            return None; // The run has failed already; publishing says why.
        }
        if self.expiry.leaves_out(session) {
            return None;
        }
        match self.try_add(session, parts) {
            Ok(place) => Some(place),
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    fn try_add(&mut self, session: &Session, parts: Option<Vec<u8>>) -> Result<(String, u32), StoreError> {
        if self.current.is_none() {
            self.current = Some(SplitWriter::new()?);
            self.current_name = Ulid::generate().to_string();
        }
        let name = self.current_name.clone();
        let Some(writer) = &mut self.current else { return Err(StoreError::Damaged("no split is open")) };
        let document = writer.add(session, parts, self.run)?;
        if writer.is_full() {
            self.finish_current()?;
        }
        Ok((name, document))
    }

    fn finish_current(&mut self) -> Result<(), StoreError> {
        if let Some(writer) = self.current.take() {
            self.finished.push(writer.finish(&self.folder, std::mem::take(&mut self.current_name))?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<SplitSink, StoreError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.finish_current().map(|()| self),
        }
    }
}

/// Finishes the splits of all sinks, each on its own thread as it was filled.
fn finish_all(sinks: Vec<SplitSink>) -> Result<Vec<SplitSink>, StoreError> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = sinks.into_iter().map(|sink| scope.spawn(move || sink.finish())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(StoreError::Damaged("a split's writer panicked"))))
            .collect()
    })
}

fn open_split(
    folder: &Path,
    sessions: &[(Session, Vec<StoredPart>)],
    run: u64,
) -> Result<Option<SplitMeta>, StoreError> {
    if sessions.is_empty() {
        return Ok(None);
    }
    let mut writer = SplitWriter::new()?;
    for (session, _) in sessions {
        writer.add(session, None, run)?;
    }
    writer.finish(folder, Ulid::generate().to_string()).map(Some)
}

/// Makes the store's folders, and before there is anything to lose sees that a power cut does not take them.
fn create_folders(dir: &Path) -> Result<(), StoreError> {
    let splits = dir.join("splits");
    let create = || fs::create_dir_all(&splits).map_err(|source| StoreError::Write { path: splits.clone(), source });
    if catalog::path(dir).is_file() {
        return create();
    }
    fault::point("store.create")?;
    create()?;
    fault::point("store.sync")?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = sync(parent); // It may be a folder that cannot be read.
    sync(dir)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    fault::point("folder.sync")?;
    sync(folder)?;
    Ok(fault::point("folder.synced")?)
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| StoreError::Write { path: folder.to_owned(), source })
}

pub(crate) fn now_ms() -> i64 {
    now_ns() / 1_000_000
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}

fn stored_rows(
    connection: &Connection,
    folder: &Path,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<StoredFragments>, StoreError> {
    type Pointer = (i64, i64, i64, Option<String>, Option<u32>, Option<Vec<u8>>);
    let mut statement = connection.prepare_cached(sql)?;
    let rows: Vec<Pointer> = statement
        .query_map(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))?
        .collect::<Result<_, _>>()?;
    let mut stored = Vec::with_capacity(rows.len());
    for (id, stream, session, split, document, parts) in rows {
        let given_up = split.is_some();
        // The rows of a session that was given up lie beside its record. If that split is damaged, what comes now
        // stands alone, and `verify` says why.
        let bytes = match (split, document) {
            (Some(split), Some(document)) => {
                SplitReader::open(folder, &split).ok().and_then(|split| split.parts(document))
            }
            _ => parts,
        };
        let Some(bytes) = bytes else { continue };
        stored.push(StoredFragments {
            handle: id as u64,
            given_up,
            stream: Arc::new(catalog::stream(connection, stream)?),
            session: SessionId(session as u64),
            parts: fragments::decode(&bytes).ok_or(StoreError::Damaged("stored rows of a session"))?,
        });
    }
    Ok(stored)
}

/// Stored sessions that are replaced: open ones vanish with their split, published ones are masked.
fn drop_replaced(transaction: &Transaction<'_>, replaced: &[u64], open: bool) -> Result<(), StoreError> {
    fault::point("catalog.drop_replaced")?;
    for &handle in replaced {
        let sql = "INSERT OR IGNORE INTO superseded SELECT split, document FROM fragments
                   WHERE id = ?1 AND split IS NOT NULL";
        transaction.prepare_cached(sql)?.execute([handle as i64])?;
        transaction.prepare_cached("DELETE FROM fragments WHERE id = ?1")?.execute([handle as i64])?;
    }
    if open {
        for split in catalog::splits(transaction)?.iter().filter(|split| split.is_open) {
            catalog::drop_split(transaction, split.id, now_ms())?;
        }
    }
    Ok(())
}

fn put_given_up(transaction: &Transaction<'_>, given_up: &[GivenUp]) -> Result<(), StoreError> {
    fault::point("catalog.put_given_up")?;
    for one in given_up {
        let stream = catalog::stream_id(transaction, &one.stream)?;
        let sql = "INSERT INTO fragments (stream, session, split, document) VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(sql)?.execute(params![stream, one.session.0 as i64, one.split, one.document])?;
    }
    Ok(())
}

fn put_open(transaction: &Transaction<'_>, open: Vec<(Session, Vec<StoredPart>)>) -> Result<(), StoreError> {
    fault::point("catalog.put_open")?;
    for (session, parts) in open {
        let stream = catalog::stream_id(transaction, &session.stream)?;
        let sql = "INSERT INTO fragments (stream, session, parts) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(params![
            stream,
            session.session.0 as i64,
            fragments::encode(&parts)
        ])?;
    }
    Ok(())
}

fn put_sources(transaction: &Transaction<'_>, sources: &[SourceRecord]) -> Result<(), StoreError> {
    fault::point("catalog.put_sources")?;
    // A row that is read again with the end of its line was counted before.
    let sql = "INSERT INTO sources VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?12)
               ON CONFLICT (identity) DO UPDATE SET
               stream = ?2, consumed = ?3, hash = ?4, path = ?7, member = ?8, file = ?9,
               kept = kept + ?5 - iif(?11, provisional, 0), rejected = rejected + ?6,
               provisional = iif(?11, ?10, provisional), cut_session = iif(?11, ?12, cut_session)";
    for source in sources {
        let stream = catalog::stream_id(transaction, &source.stream)?;
        transaction.prepare_cached(sql)?.execute(params![
            source.identity,
            stream,
            source.consumed as i64,
            source.hash.to_le_bytes(),
            source.kept as i64,
            source.rejected as i64,
            source.path.to_string_lossy(),
            source.member,
            source.file,
            source.provisional as i64,
            source.is_read,
            source.cut_session.map(|session| session.0 as i64),
        ])?;
        // Its earlier content stays in the store, but not all of it may have been told apart from what is new.
        Meta::RowsUnknown.add(transaction, i64::from(source.replaces))?;
    }
    Ok(())
}

fn put_newest(transaction: &Transaction<'_>, newest: &[(Arc<Stream>, Timestamp)]) -> Result<(), StoreError> {
    for (stream, time) in newest {
        let id = catalog::stream_id(transaction, stream)?;
        transaction.prepare_cached("UPDATE streams SET newest = ?2 WHERE id = ?1")?.execute(params![id, time.0])?;
    }
    Ok(())
}

fn put_files(transaction: &Transaction<'_>, files: &[FileRecord]) -> Result<(), StoreError> {
    fault::point("catalog.put_files")?;
    let now = now_ns();
    let sql = "INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5)";
    for file in files {
        let path = file.path.as_os_str().as_encoded_bytes();
        let row = params![path, file.size as i64, file.mtime_ns, file.inode as i64, now];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

type Key = (Arc<Stream>, SessionId);

/// Finds the keys that several sessions have, among the new splits and between them and the published ones, whose
/// ranges of ids tell nearly always that there is nothing to compare.
fn put_repeated_keys(
    transaction: &Transaction<'_>,
    dir: &Path,
    splits: &mut [SplitMeta],
    open: Option<&mut SplitMeta>,
) -> Result<(), StoreError> {
    fault::point("catalog.put_repeated_keys")?;
    let mut splits: Vec<&mut SplitMeta> = splits.iter_mut().chain(open).collect();
    // Taken out, because with those of millions of sessions they would lie in memory twice.
    let own: Vec<Vec<SplitKey>> = splits.iter_mut().map(|split| std::mem::take(&mut split.keys)).collect();
    let streams: Vec<Vec<&Arc<Stream>>> =
        splits.iter().map(|split| split.streams.iter().map(|(stream, ..)| stream).collect()).collect();
    let (streams, keys) = all_keys(&streams, own);
    let mut repeated: FxHashMap<Key, Timestamp> = FxHashMap::default();
    for pair in keys.windows(2).filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        let key = (Arc::clone(streams[pair[0].0 as usize]), pair[0].1);
        repeated.entry(key).or_insert(pair[0].2);
    }
    for (key, first) in published_twins(transaction, dir, &streams, &keys)? {
        let known = repeated.entry(key).or_insert(first);
        *known = first.min(*known);
    }
    let sql = "INSERT INTO repeated_keys VALUES (?1, ?2, ?3)
               ON CONFLICT (stream, session) DO UPDATE SET first = min(first, ?3)";
    for ((stream, session), first) in repeated {
        let stream = catalog::stream_id(transaction, &stream)?;
        transaction.prepare_cached(sql)?.execute(params![stream, session.0 as i64, first.0])?;
    }
    Ok(())
}

/// A session's stream, by its place in its split, its id and its start.
type SplitKey = (u32, SessionId, Timestamp);

/// Keys from which on they are sorted in place: to merge them takes half as much memory again.
const MERGED_KEYS_MAX: usize = 4_000_000;

/// The keys of all splits, in order.
fn all_keys<'s>(streams: &[Vec<&'s Arc<Stream>>], own: Vec<Vec<SplitKey>>) -> (Vec<&'s Arc<Stream>>, Vec<SplitKey>) {
    let mut all: Vec<&Arc<Stream>> = streams.iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut keys: Vec<SplitKey> = Vec::with_capacity(own.iter().map(Vec::len).sum());
    for (streams, own) in streams.iter().zip(own) {
        let number = |stream: &&Arc<Stream>| all.binary_search(stream).unwrap_or_default() as u32;
        let numbers: Vec<u32> = streams.iter().map(number).collect();
        keys.extend(own.into_iter().map(|(stream, id, time)| (numbers[stream as usize], id, time)));
    }
    if keys.len() <= MERGED_KEYS_MAX {
        keys.sort(); // Each split's are in order already, and this merges such runs.
    } else {
        keys.sort_unstable();
    }
    (all, keys)
}

/// Keys of new sessions that published splits have too, each with the earlier of the starts.
fn published_twins(
    transaction: &Transaction<'_>,
    dir: &Path,
    streams: &[&Arc<Stream>],
    keys: &[SplitKey],
) -> Result<Vec<(Key, Timestamp)>, StoreError> {
    // The streams of each split whose ids lie between those of a new session.
    let mut overlapping: BTreeMap<String, Vec<&[SplitKey]>> = BTreeMap::new();
    for new in keys.chunk_by(|a, b| a.0 == b.0) {
        let (Some(first), Some(last)) = (new.first(), new.last()) else { continue };
        let Some(stream) = catalog::known_stream_id(transaction, streams[first.0 as usize])? else { continue };
        // Ids are compared as unsigned numbers, which SQLite does not have.
        let sql = "SELECT name, least, greatest FROM split_streams JOIN splits ON splits.id = split
                   WHERE stream = ?1 AND NOT is_open";
        let mut statement = transaction.prepare_cached(sql)?;
        let ranges: Vec<(String, i64, i64)> = statement
            .query_map([stream], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let overlaps =
            |&(_, least, greatest): &(String, i64, i64)| least as u64 <= last.1.0 && first.1.0 <= greatest as u64;
        for (name, ..) in ranges.into_iter().filter(overlaps) {
            overlapping.entry(name).or_default().push(new);
        }
    }
    Ok(overlapping.iter().flat_map(|(name, new)| twins_in(dir, name, streams, new)).collect())
}

/// Keys of `new`, by stream, that a split has. One that cannot be read has no sessions to be mistaken for others.
fn twins_in(dir: &Path, name: &str, streams: &[&Arc<Stream>], new: &[&[SplitKey]]) -> Vec<(Key, Timestamp)> {
    let Ok(split) = SplitReader::open(&dir.join("splits"), name) else { return Vec::new() };
    let (times, profiles) = (split.times(), split.column(column::PROFILE));
    let of_stream = |stream: &Stream| new.iter().copied().find(|keys| **streams[keys[0].0 as usize] == *stream);
    let new_of_profile: Vec<Option<&[SplitKey]>> =
        split.profiles().map(|profile| of_stream(&profile?.stream)).collect();
    let ids = Numbers::new(new.iter().copied().flatten().map(|key| key.1.0).collect());
    let mut twins = Vec::new();
    times.session.among(&ids, |document, id| {
        let twin = || {
            let keys = (*new_of_profile.get(usize::try_from(profiles.get(document)?).ok()?)?)?;
            let begin = keys.partition_point(|key| key.1.0 < id);
            let first = keys[begin..].iter().take_while(|key| key.1.0 == id).map(|key| key.2).min()?;
            let key = (Arc::clone(streams[keys[0].0 as usize]), SessionId(id));
            Some((key, times.started(document)?.min(first)))
        };
        twins.extend(twin());
    });
    twins
}
