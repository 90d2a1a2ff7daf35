//! What lies beside the logs, as the catalog keeps it: each fact with the file that says it.
//!
//! A file is its content, as a log is. An export that was written anew at the same place takes the place of the older
//! one, for it shows the same settings later; events that Windows logged are kept, because its ring forgets them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use ::evidence::{Fact, Found};
use rusqlite::{Connection, Row, Transaction, params};
use rustc_hash::FxHashMap;
use smtplog::{Thumbprint, Timestamp};

use crate::{StoreError, store::Store};

/// Part of the catalog.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS evidence_files (
    id INTEGER PRIMARY KEY, identity BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, path TEXT NOT NULL, member TEXT,
    file TEXT NOT NULL, server TEXT, changed_ms INTEGER NOT NULL, passed INTEGER NOT NULL, rejected INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS evidence (
    file INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    failed INTEGER NOT NULL, last_ms INTEGER, fact TEXT NOT NULL, PRIMARY KEY (file, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS evidence_by_key ON evidence (kind, key);
";

/// What one file says, to be published.
#[derive(Clone, Debug)]
pub struct EvidenceRecord {
    /// BLAKE3 of its content.
    pub identity: [u8; 32],
    /// Where it lies, and what it is.
    pub file: EvidenceFile,
    /// Parts that say nothing of use.
    pub passed: u64,
    /// Parts that could not be read.
    pub rejected: u64,
    /// Whether what it says adds to what the file at this place said before, in place of replacing it.
    pub adds: bool,
    /// What it says.
    pub facts: Vec<Found>,
}

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceFile {
    /// What kind of evidence it is.
    pub kind: String,
    /// The file.
    pub path: PathBuf,
    /// The archive's member, if it is one.
    pub member: Option<String>,
    /// Its name relative to PATH.
    pub file: String,
    /// The server that its place names.
    pub server: Option<String>,
    /// When it was changed last.
    pub changed: Timestamp,
}

/// A fact, and who says it.
#[derive(Clone, Debug)]
pub struct Located {
    /// The file.
    pub file: Arc<EvidenceFile>,
    /// Where in it, and what.
    pub found: Found,
}

/// Evidence of a store.
#[derive(Clone, Debug, Default)]
pub struct KnownEvidence {
    /// What is known, in the order of files and places.
    pub facts: Vec<Located>,
    /// Facts that this program cannot read, because a newer one wrote them.
    pub unreadable: u64,
}

/// Names of what a fact is kept under: its kind, and what it is looked up by.
fn key(fact: &Fact) -> (&'static str, &str) {
    match fact {
        Fact::Certificate(certificate) => ("certificate", &certificate.thumbprint),
        Fact::CertificateNames(names) => ("names", &names.thumbprint),
        Fact::Connector(connector) => ("connector", &connector.name),
        Fact::AcceptedDomain(domain) => ("domain", &domain.domain),
        Fact::ChainCheck(check) => (CHECK, &check.thumbprint),
        Fact::Hybrid(_) => ("hybrid", ""),
    }
}

const CHECK: &str = "check";

/// Puts what a file says in place of what it said before.
pub(crate) fn put(transaction: &Transaction<'_>, record: &EvidenceRecord) -> Result<(), StoreError> {
    let EvidenceFile { kind, path, member, file, server, changed } = &record.file;
    let path = path.to_string_lossy();
    let older = "SELECT id FROM evidence_files
        WHERE identity = ?1 OR (NOT ?4 AND path = ?2 AND member IS ?3)";
    let mut statement = transaction.prepare_cached(older)?;
    let older = statement.query_map(params![record.identity, path, member, record.adds], |row| row.get(0))?;
    for id in older.collect::<Result<Vec<i64>, _>>()? {
        transaction.prepare_cached("DELETE FROM evidence WHERE file = ?1")?.execute([id])?;
        transaction.prepare_cached("DELETE FROM evidence_files WHERE id = ?1")?.execute([id])?;
    }
    let sql = "INSERT INTO evidence_files (identity, kind, path, member, file, server, changed_ms, passed, rejected)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (passed, rejected) = (record.passed as i64, record.rejected as i64);
    let row = params![record.identity, kind, path, member, file, server, changed.0, passed, rejected];
    transaction.prepare_cached(sql)?.execute(row)?;
    let id = transaction.last_insert_rowid();
    for (number, found) in record.facts.iter().enumerate() {
        put_fact(transaction, id, number, found)?;
    }
    Ok(())
}

fn put_fact(transaction: &Transaction<'_>, file: i64, number: usize, found: &Found) -> Result<(), StoreError> {
    let (kind, key) = key(&found.fact);
    let (failed, last_ms) = match &found.fact {
        Fact::ChainCheck(check) => (check.result != 0, Some(check.last_ms)),
        _ => (false, None),
    };
    let text = serde_json::to_string(&found.fact).map_err(|_| StoreError::Damaged("a fact cannot be written"))?;
    transaction.prepare_cached("INSERT INTO evidence VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
        file,
        number as i64,
        found.offset as i64,
        kind,
        key,
        failed,
        last_ms,
        text
    ])?;
    Ok(())
}

/// Drops checks of certificates that Windows made before a time; settings have no day.
pub(crate) fn drop_before(transaction: &Transaction<'_>, horizon: Timestamp) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM evidence WHERE last_ms < ?1", [horizon.0])?;
    Ok(())
}

impl Store {
    /// Everything beside the logs, but checks of certificates only if they failed or are of one of these.
    pub fn evidence(&self, thumbprints: &BTreeSet<Thumbprint>) -> Result<KnownEvidence, StoreError> {
        let catalog = self.catalog();
        let files = files(&catalog)?;
        let mut known = KnownEvidence::default();
        let columns = "SELECT file, offset, fact, number FROM evidence";
        let unchecked = format!("{columns} WHERE kind <> '{CHECK}' OR failed");
        let mut rows: BTreeMap<(i64, i64), (u64, String)> = BTreeMap::new();
        let mut take = |row: &Row<'_>| -> rusqlite::Result<()> {
            let (offset, fact): (i64, String) = (row.get(1)?, row.get(2)?);
            rows.insert((row.get(0)?, row.get(3)?), (offset as u64, fact));
            Ok(())
        };
        let mut statement = catalog.prepare(&unchecked)?;
        statement.query_map([], |row| take(row))?.collect::<Result<(), _>>()?;
        let mut statement = catalog.prepare(&format!("{columns} WHERE kind = '{CHECK}' AND key = ?1"))?;
        for thumbprint in thumbprints {
            statement.query_map([thumbprint.to_string()], |row| take(row))?.collect::<Result<(), _>>()?;
        }
        for ((file, _), (offset, fact)) in rows {
            match (serde_json::from_str(&fact), files.get(&file)) {
                (Ok(fact), Some(file)) => {
                    known.facts.push(Located { file: Arc::clone(file), found: Found { offset, fact } });
                }
                _ => known.unreadable += 1,
            }
        }
        Ok(known)
    }
}

fn files(catalog: &Connection) -> Result<FxHashMap<i64, Arc<EvidenceFile>>, StoreError> {
    let sql = "SELECT id, kind, path, member, file, server, changed_ms FROM evidence_files";
    let mut statement = catalog.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let path: String = row.get(2)?;
        let file = EvidenceFile {
            kind: row.get(1)?,
            path: path.into(),
            member: row.get(3)?,
            file: row.get(4)?,
            server: row.get(5)?,
            changed: Timestamp(row.get(6)?),
        };
        Ok((row.get(0)?, Arc::new(file)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
