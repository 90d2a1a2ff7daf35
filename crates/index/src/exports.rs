//! Exports: how far each has come, and what it sent of sessions that may still change.
//!
//! An export has a name. What the store got since the name's last success is what it sends next: every session has the
//! number of the run that brought it, wherever a merge takes it. Within one export the sessions have an order that does
//! not depend on splits, so that one that was killed goes on behind the last place it noted.
//!
//! Nobody else may use a name meanwhile, but a run may write to the store, and other exports may, too: what they note
//! takes milliseconds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use smtplog::{SessionId, Stream, Timestamp};

use crate::{
    StoreError, catalog,
    codec::{Decoder, put_number},
    fault,
    feed::FeedPlace,
    lock,
    writer::now_ms,
};

/// Part of the catalog.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS exports (
    name TEXT PRIMARY KEY, sink TEXT NOT NULL, output TEXT NOT NULL, done INTEGER NOT NULL, target INTEGER NOT NULL,
    place BLOB, length INTEGER, events INTEGER NOT NULL, updated_ms INTEGER NOT NULL, selection TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS export_sent (
    name TEXT NOT NULL, key BLOB NOT NULL, last_ms INTEGER NOT NULL, waits INTEGER NOT NULL, events BLOB NOT NULL,
    PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS export_sent_waits ON export_sent (name, key) WHERE waits;
";

/// Letters of a name, which is also that of a file.
const NAME_LETTERS_MAX: usize = 64;

/// How long a commit waits for a run that is publishing: months of a fleet take a while.
const BUSY_MAX: Duration = Duration::from_secs(300);

/// How far an export has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its name.
    pub name: String,
    /// The sink that it writes for.
    pub sink: String,
    /// Where it writes to.
    pub output: String,
    /// The run up to which everything was sent.
    pub done: u64,
    /// The run up to which it is sending; the same if it has come to its end.
    pub target: u64,
    /// Behind which session it goes on.
    pub place: Option<FeedPlace>,
    /// Bytes of the file that hold what was confirmed.
    pub length: Option<u64>,
    /// Events that it has sent, of all times.
    pub events: u64,
    /// When it noted something last.
    pub updated: Timestamp,
}

impl Checkpoint {
    /// As it is once the export goes on, with what runs up to this one brought, unless it was cut off.
    pub fn continued_to(self, run: u64) -> Checkpoint {
        let target = if self.done == self.target { run.max(self.target) } else { self.target };
        Checkpoint { target, ..self }
    }
}

/// What tells one thing that events are about from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SentKey(Vec<u8>);

impl SentKey {
    /// A session.
    pub fn session(stream: &Stream, session: SessionId) -> SentKey {
        let mut key = stream.to_string().into_bytes();
        key.extend_from_slice(&session.0.to_be_bytes());
        SentKey(key)
    }

    /// A finding, by its id.
    pub fn finding(id: [u8; 16]) -> SentKey {
        // No stream is empty.
        SentKey([&[0], &id[..]].concat())
    }

    /// The session that it stands for, as its stream and id; `None` for a finding.
    pub fn as_session(&self) -> Option<(&str, SessionId)> {
        let (stream, session) = self.0.split_last_chunk::<8>()?;
        let stream = std::str::from_utf8(stream).ok().filter(|stream| !stream.starts_with('\0'))?;
        Some((stream, SessionId(u64::from_be_bytes(*session))))
    }
}

/// An event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentEvent {
    /// Its id without revision.
    pub id: [u8; 16],
    /// Hash of its content.
    pub content: u64,
    /// How often it was sent, each time with another content.
    pub revision: u32,
}

/// What was sent of one thing, and is remembered because it may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its events.
    pub events: Vec<SentEvent>,
    /// Whether it lacks a certificate that stands in another session, which the store does not have yet.
    pub waits: bool,
    /// Time of its last row; what is older than the store's horizon is forgotten with it.
    pub last: Timestamp,
}

/// What an export notes once the receiver has confirmed a batch.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The run up to which everything is sent, if that is so.
    pub done: Option<u64>,
    /// Behind which session to go on, if not.
    pub place: Option<FeedPlace>,
    /// Bytes of the file that hold what is confirmed.
    pub length: Option<u64>,
    /// Events of the batch.
    pub events: u64,
    /// What to remember; `None` forgets.
    pub sent: Vec<(SentKey, Option<Sent>)>,
}

/// The one that exports under a name.
pub struct Exporter {
    name: String,
    connection: Connection,
    /// Held until the export ends; the kernel frees it if the process dies.
    _lock: File,
}

impl Exporter {
    /// Takes a name. Fails if another process exports under it, if the store cannot be written to, or if it is of an
    /// older layout, which the next run brings up to date.
    pub fn open(dir: &Path, name: &str) -> Result<Exporter, StoreError> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = !name.is_empty() && name.len() <= NAME_LETTERS_MAX && name.bytes().all(is_letter);
        if !is_name || name.starts_with('.') {
            return Err(StoreError::ExportName { name: name.to_owned() });
        }
        if !catalog::path(dir).is_file() {
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        }
        let folder = lock_folder(dir);
        fs::create_dir_all(&folder).map_err(|source| StoreError::Write { path: folder.clone(), source })?;
        let locked = |holder| StoreError::ExportLocked { name: name.to_owned(), holder };
        let lock = lock::lock_file(&folder.join(format!("{name}.lock")), Timestamp(now_ms()), locked)?;
        let connection = Connection::open_with_flags(catalog::path(dir), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        catalog::check_layout(&connection, dir)?;
        Ok(Exporter { name: name.to_owned(), connection, _lock: lock })
    }

    /// How far the export has come; `None` if the name is new.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(checkpoints(&self.connection, Some(&self.name))?.pop())
    }

    /// Begins to send what runs up to `target` brought, or goes on with what was begun before. Fails if that was for
    /// another sink or for another selection, which is told by its words.
    pub fn begin(&mut self, sink: &str, output: &str, selection: &str, target: u64) -> Result<Checkpoint, StoreError> {
        let name = self.name.clone();
        self.write(|transaction| {
            let known = "SELECT sink, coalesce(selection, ?2) FROM exports WHERE name = ?1";
            let known: Option<(String, String)> =
                transaction.query_row(known, [&*name, selection], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let Some((old_sink, old)) = known.filter(|(old_sink, old)| (&**old_sink, &**old) != (sink, selection)) {
                let (before, now) = (format!("{old} as {old_sink}"), format!("{selection} as {sink}"));
                return Err(StoreError::ExportDiffers { name: name.clone(), before, now });
            }
            let sql = "INSERT INTO exports VALUES (?1, ?2, ?3, 0, ?4, NULL, NULL, 0, ?5, ?6)
                       ON CONFLICT (name) DO UPDATE SET output = ?3, selection = ?6,
                       target = iif(done = target, max(?4, target), target)";
            transaction.execute(sql, params![name, sink, output, target as i64, now_ms(), selection])?;
            let known = checkpoints(transaction, Some(&name))?.pop();
            known.ok_or(StoreError::Damaged("a checkpoint cannot be read"))
        })
    }

    /// Notes what the receiver has confirmed.
    pub fn commit(&mut self, progress: &Progress) -> Result<(), StoreError> {
        let name = self.name.clone();
        fault::point("export.commit")?;
        self.write(|transaction| {
            let sql = "UPDATE exports SET done = coalesce(?2, done), place = ?3, length = ?4, events = events + ?5,
                       updated_ms = ?6, target = max(target, coalesce(?2, 0)) WHERE name = ?1";
            let done = progress.done.map(|run| run as i64);
            let place = progress.place.map(|place| place.to_bytes());
            let length = progress.length.map(|length| length as i64);
            transaction.execute(sql, params![name, done, place, length, progress.events as i64, now_ms()])?;
            progress.sent.iter().try_for_each(|(key, sent)| put_sent(transaction, &name, key, sent.as_ref()))
        })?;
        Ok(fault::point("export.committed")?)
    }

    /// What is remembered of one thing.
    pub fn sent(&self, key: &SentKey) -> Result<Option<Sent>, StoreError> {
        sent(&self.connection, &self.name, key)
    }

    /// Ends the export. Leaves no log beside the catalog if nobody else needs it, the caller's own snapshot included.
    pub fn close(self) -> Result<(), StoreError> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let _: (i64, i64, i64) = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(())
    }

    /// Forgets the name: the next export under it sends everything.
    pub fn forget(mut self) -> Result<bool, StoreError> {
        let name = self.name.clone();
        let forgotten = self.write(|transaction| {
            transaction.execute("DELETE FROM export_sent WHERE name = ?1", [&name])?;
            Ok(transaction.execute("DELETE FROM exports WHERE name = ?1", [&name])? > 0)
        })?;
        self.close()?;
        Ok(forgotten)
    }

    fn write<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// The exports that a store knows, by name.
pub(crate) fn checkpoints(connection: &Connection, name: Option<&str>) -> Result<Vec<Checkpoint>, StoreError> {
    let sql = "SELECT name, sink, output, done, target, place, length, events, updated_ms FROM exports
               WHERE name = coalesce(?1, name) ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([name], |row| {
        let unsigned = |at: usize| row.get::<_, i64>(at).map(|number| number as u64);
        Ok(Checkpoint {
            name: row.get(0)?,
            sink: row.get(1)?,
            output: row.get(2)?,
            done: unsigned(3)?,
            target: unsigned(4)?,
            place: row.get::<_, Option<Vec<u8>>>(5)?.and_then(|place| FeedPlace::from_bytes(&place)),
            length: row.get::<_, Option<i64>>(6)?.map(|length| length as u64),
            events: unsigned(7)?,
            updated: Timestamp(row.get(8)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The keys of what an export remembers, in order; `waits`: only of what lacks a certificate that another session has.
pub(crate) fn keys(connection: &Connection, name: &str, waits: bool) -> Result<Vec<SentKey>, StoreError> {
    let mut statement = connection.prepare_cached(match waits {
        true => "SELECT key FROM export_sent WHERE name = ?1 AND waits ORDER BY key",
        false => "SELECT key FROM export_sent WHERE name = ?1 ORDER BY key",
    })?;
    let rows = statement.query_map([name], |row| row.get(0).map(SentKey))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What an export remembers of one thing.
pub(crate) fn sent(connection: &Connection, name: &str, key: &SentKey) -> Result<Option<Sent>, StoreError> {
    let sql = "SELECT last_ms, waits, events FROM export_sent WHERE name = ?1 AND key = ?2";
    let row: Option<(i64, bool, Vec<u8>)> = connection
        .prepare_cached(sql)?
        .query_row(params![name, key.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((last, waits, events)) = row else { return Ok(None) };
    let events = decode(&events).ok_or(StoreError::Damaged("what was exported cannot be read"))?;
    Ok(Some(Sent { events, waits, last: Timestamp(last) }))
}

/// Forgets what was sent of sessions that are older than the store's horizon.
pub(crate) fn drop_before(transaction: &Transaction<'_>, horizon: Timestamp) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM export_sent WHERE last_ms < ?1", [horizon.0])?;
    Ok(())
}

fn lock_folder(dir: &Path) -> PathBuf {
    dir.join("exports")
}

fn put_sent(transaction: &Transaction<'_>, name: &str, key: &SentKey, sent: Option<&Sent>) -> Result<(), StoreError> {
    let Some(Sent { events, waits, last }) = sent else {
        let sql = "DELETE FROM export_sent WHERE name = ?1 AND key = ?2";
        transaction.prepare_cached(sql)?.execute(params![name, key.0])?;
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO export_sent VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![name, key.0, last.0, waits, encode(events)])?;
    Ok(())
}

fn encode(events: &[SentEvent]) -> Vec<u8> {
    let mut out = Vec::with_capacity(25 * events.len());
    for SentEvent { id, content, revision } in events {
        out.extend_from_slice(id);
        out.extend_from_slice(&content.to_le_bytes());
        put_number(&mut out, (*revision).into());
    }
    out
}

fn decode(bytes: &[u8]) -> Option<Vec<SentEvent>> {
    let from = &mut Decoder::new(bytes);
    let mut events = Vec::new();
    while !from.is_empty() {
        let (id, content) = (from.array()?, u64::from_le_bytes(from.array()?));
        events.push(SentEvent { id, content, revision: from.small()? });
    }
    Some(events)
}

#[cfg(test)]
mod tests {
    use smtplog::{Direction, Role};

    use super::*;
    use crate::{Run, Store, Writer};

    fn store() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path()).unwrap();
        writer.publish(Run::default(), |_| String::new()).unwrap();
        writer.close().unwrap();
        dir
    }

    #[test]
    fn a_name_is_used_by_one_at_a_time() {
        let dir = store();
        let first = Exporter::open(dir.path(), "siem").unwrap();
        assert!(matches!(Exporter::open(dir.path(), "siem"), Err(StoreError::ExportLocked { .. })));
        assert!(Exporter::open(dir.path(), "other").is_ok());
        first.close().unwrap();
        assert!(Exporter::open(dir.path(), "siem").is_ok());
        for name in ["", "a/b", "..", ".hidden", "a b", &"x".repeat(65)] {
            assert!(matches!(Exporter::open(dir.path(), name), Err(StoreError::ExportName { .. })), "{name}");
        }
    }

    #[test]
    fn progress_is_what_was_committed() {
        let dir = store();
        let mut exporter = Exporter::open(dir.path(), "siem").unwrap();
        assert_eq!(exporter.checkpoint().unwrap(), None);
        let begun = exporter.begin("ecs", "-", "everything", 4).unwrap();
        assert_eq!((begun.done, begun.target, begun.place), (0, 4, None));
        let place = FeedPlace { started: Timestamp(-7), session: SessionId(9), stream: u64::MAX };
        let stream = Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send };
        let key = SentKey::session(&stream, SessionId(5));
        assert_eq!(key.as_session(), Some(("EX1/hub/send", SessionId(5))));
        let event = SentEvent { id: [3; 16], content: 77, revision: 300 };
        let sent = Sent { events: vec![event, SentEvent { revision: 1, ..event }], waits: true, last: Timestamp(5) };
        let finding = SentKey::finding([7; 16]);
        assert_eq!(finding.as_session(), None);
        let of_finding = Sent { waits: false, ..sent.clone() };
        exporter
            .commit(&Progress {
                place: Some(place),
                length: Some(12),
                events: 3,
                sent: vec![(key.clone(), Some(sent.clone())), (finding.clone(), Some(of_finding))],
                ..Progress::default()
            })
            .unwrap();
        assert_eq!(exporter.sent(&key).unwrap(), Some(sent));
        assert_eq!(keys(&exporter.connection, "siem", true).unwrap(), std::slice::from_ref(&key));
        assert_eq!(keys(&exporter.connection, "siem", false).unwrap(), [finding, key.clone()]);
        // What was begun is finished first, whatever came meanwhile.
        let again = exporter.begin("ecs", "-", "everything", 9).unwrap();
        assert_eq!((again.target, again.place, again.length, again.events), (4, Some(place), Some(12), 3));
        exporter.commit(&Progress { done: Some(4), sent: vec![(key.clone(), None)], ..Progress::default() }).unwrap();
        assert_eq!(exporter.sent(&key).unwrap(), None);
        let next = exporter.begin("ecs", "out", "everything", 9).unwrap();
        assert_eq!((next.clone().continued_to(11).target, next.output.as_str()), (next.target, "out"));
        for (sink, selection) in [("cef", "everything"), ("ecs", "status:5.7.64")] {
            let differs = exporter.begin(sink, "out", selection, 9).unwrap_err().to_string();
            assert!(differs.contains("everything as ecs") && differs.contains("--forget siem"), "{differs}");
        }
        assert_eq!((next.done, next.target, next.place), (4, 9, None));
        exporter.close().unwrap();
        let names: Vec<String> =
            Store::open(dir.path()).unwrap().exports().unwrap().into_iter().map(|known| known.name).collect();
        assert_eq!(names, ["siem"]);
        assert!(Exporter::open(dir.path(), "siem").unwrap().forget().unwrap());
        assert_eq!(Store::open(dir.path()).unwrap().exports().unwrap(), []);
    }
}
