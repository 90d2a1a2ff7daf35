//! Verifying: every checksum and every count, the catalog against the splits, and rows against their sources.
//!
//! Splits are read as a whole: each session is given back from its record, which no checksum of a file can promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rusqlite::Connection;
use smtplog::{Session, SessionId, Stream, Thumbprint, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    StoreError,
    catalog::{self, Meta, SplitRow},
    parallel,
    query::Link,
    split::read::SplitReader,
    store::Store,
};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The split, or `catalog`.
    pub place: String,
    /// What is wrong.
    pub text: String,
}

/// What was found when a store was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Splits looked at.
    pub splits: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sessions read back, without those that others replaced.
    pub sessions: u64,
    /// Rows of these sessions.
    pub rows: u64,
    /// Rows that the sources count; the difference is those of sessions that were pruned or have expired.
    pub rows_of_sources: u64,
    /// Whether the two can be compared: not after a source changed under its known content, or after a damaged split
    /// was pruned.
    pub rows_comparable: bool,
    /// Bytes of rows that are kept for transcripts.
    pub kept_bytes: u64,
    /// Files that no transaction named: of a run that is going on, or left by one that was killed.
    pub leftovers: u64,
    /// Damage.
    pub faults: Vec<Fault>,
}

/// What a split says of itself.
#[derive(Default)]
struct Read {
    sessions: u64,
    rows: u64,
    /// Hashes of what each session is, to find those that are there twice.
    hashes: Vec<u64>,
    faults: Vec<String>,
}

impl Store {
    /// Reads everything that is published, and says what is wrong.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified { splits: self.splits.len() as u64, ..Verified::default() };
        let read = parallel::each(&self.splits, |row| self.read_all(row));
        let mut hashes = Vec::new();
        for (row, read) in self.splits.iter().zip(read) {
            verified.bytes += row.bytes;
            verified.sessions += read.sessions;
            verified.rows += read.rows;
            hashes.extend(read.hashes);
            let fault = |text| Fault { place: row.name.clone(), text };
            verified.faults.extend(read.faults.into_iter().map(fault));
        }
        let twice = doubled(hashes);
        let mut faults = catalog_faults(&self.catalog())?;
        faults.extend((twice > 0).then(|| format!("{twice} sessions are there twice")));
        let (of_sources, gone) = rows_of_sources(&self.catalog())?;
        verified.rows_of_sources = of_sources;
        verified.rows_comparable = Meta::RowsUnknown.get(&self.catalog())?.unwrap_or(0) == 0;
        let is_whole = verified.faults.is_empty();
        if is_whole && verified.rows_comparable && verified.rows + gone != of_sources {
            faults.push(format!(
                "the sources have {of_sources} rows, the sessions {}, and {gone} were pruned or had expired",
                verified.rows
            ));
        }
        verified.faults.extend(faults.into_iter().map(|text| Fault { place: "catalog".to_owned(), text }));
        verified.leftovers = self.leftovers()?.len() as u64;
        self.verify_rows(&mut verified)?;
        Ok(verified)
    }

    fn read_all(&self, row: &SplitRow) -> Read {
        let mut read = Read::default();
        let path = self.folder.join(format!("{}.split", row.name));
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() != row.bytes => {
                let bytes = metadata.len();
                read.faults.push(format!("has {bytes} bytes, the catalog says {}", row.bytes));
            }
            _ => {}
        }
        match self.reader(&row.name) {
            Ok(reader) => {
                let damaged = reader.damaged_files();
                if !damaged.is_empty() {
                    read.faults.push(format!("wrong checksum of {}", damaged.join(", ")));
                }
                self.read_sessions(row, &reader, &mut read);
            }
            Err(reason) => read.faults.push(reason),
        }
        read
    }

    fn read_sessions(&self, row: &SplitRow, reader: &SplitReader, read: &mut Read) {
        let masked = self.masked.get(&row.name).map_or(&[][..], Vec::as_slice);
        let times = reader.times();
        let mut seen = Seen::default();
        let mut unreadable = 0u64;
        for document in 0..reader.len() {
            let Some(session) = reader.session(document, &times) else {
                unreadable += 1;
                continue;
            };
            seen.note(&session);
            if masked.binary_search(&document).is_err() {
                read.sessions += 1;
                read.rows += session.records;
                read.hashes.push(hash_of(&session));
            }
        }
        if unreadable > 0 {
            read.faults.push(format!("{unreadable} sessions cannot be read back"));
        }
        if masked.last().is_some_and(|&last| last >= reader.len()) {
            read.faults.push("the catalog masks sessions that it does not have".to_owned());
        }
        if u64::from(reader.len()) != row.sessions {
            read.faults.push(format!("has {} sessions, the catalog says {}", reader.len(), row.sessions));
        }
        if read.faults.is_empty() {
            read.faults.extend(self.differences(row, &seen));
        }
    }

    /// How the catalog's word on a split differs from what its sessions say.
    fn differences(&self, row: &SplitRow, seen: &Seen) -> Vec<String> {
        let mut differences = Vec::new();
        if seen.times != Some((row.min_time, row.max_time)) {
            differences.push("its times are not those of the catalog".to_owned());
        }
        if seen.has_via != row.has_via {
            differences.push("the catalog is wrong about proxies".to_owned());
        }
        match catalog::thumbprints_of(&self.catalog(), row.id) {
            Ok(known) if known.iter().eq(&seen.thumbprints) => {}
            Ok(_) => differences.push("its certificates are not those of the catalog".to_owned()),
            Err(error) => differences.push(error.to_string()),
        }
        match catalog::streams_of(&self.catalog(), row.id) {
            Ok(known) if known == seen.streams() => {}
            Ok(_) => differences.push("its streams are not those of the catalog".to_owned()),
            Err(error) => differences.push(error.to_string()),
        }
        differences
    }
}

/// What all sessions of a split say together.
#[derive(Default)]
struct Seen {
    times: Option<(Timestamp, Timestamp)>,
    has_via: bool,
    thumbprints: BTreeSet<Thumbprint>,
    streams: BTreeMap<Stream, (SessionId, SessionId)>,
}

impl Seen {
    fn note(&mut self, session: &Session) {
        let (first, last) = self.times.unwrap_or((session.started, session.last));
        self.times = Some((first.min(session.started), last.max(session.last)));
        self.has_via |= session.replies.iter().any(|reply| reply.presented_via.is_some());
        let negotiations = session.negotiations.iter().flat_map(|one| [one.presented, one.received]);
        let replies = session.replies.iter().map(|reply| reply.thumbprint);
        self.thumbprints.extend(negotiations.chain(replies).flatten());
        let id = session.session;
        match self.streams.get_mut(&*session.stream) {
            Some((least, greatest)) => (*least, *greatest) = (id.min(*least), id.max(*greatest)),
            None => drop(self.streams.insert((*session.stream).clone(), (id, id))),
        }
    }

    fn streams(&self) -> Vec<(Stream, SessionId, SessionId)> {
        self.streams.iter().map(|(stream, &(least, greatest))| (stream.clone(), least, greatest)).collect()
    }
}

fn hash_of(session: &Session) -> u64 {
    let mut bytes = Vec::with_capacity(48);
    for number in [Link::stream(&session.stream), session.session.0, session.records, session.rows_hash.into()] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for time in [session.started, session.last] {
        bytes.extend_from_slice(&time.0.to_le_bytes());
    }
    xxh3_64(&bytes)
}

fn doubled(mut hashes: Vec<u64>) -> u64 {
    hashes.sort_unstable();
    hashes.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
}

/// Rows counted at the sources, and those of them that are in no session any more.
fn rows_of_sources(catalog: &Connection) -> Result<(u64, u64), StoreError> {
    let kept: i64 = catalog.query_row("SELECT coalesce(sum(kept), 0) FROM sources", [], |row| row.get(0))?;
    Ok((kept as u64, Meta::RowsGone.get(catalog)?.unwrap_or(0) as u64))
}

fn catalog_faults(catalog: &Connection) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    let mut statement = catalog.prepare("PRAGMA integrity_check(10)")?;
    let texts: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    faults.extend(texts.into_iter().filter(|text| text != "ok"));
    for (what, sql) in [
        (
            "stored rows point to a split that is not there",
            "SELECT count(*) FROM fragments WHERE split IS NOT NULL AND split NOT IN (SELECT name FROM splits)",
        ),
        (
            "masked sessions are of a split that is not there",
            "SELECT count(*) FROM superseded WHERE split NOT IN (SELECT name FROM splits)",
        ),
        (
            "open sessions lack their rows, or have them twice",
            "SELECT abs((SELECT count(*) FROM fragments WHERE split IS NULL)
                - (SELECT coalesce(sum(sessions), 0) FROM splits WHERE is_open))",
        ),
    ] {
        let count: i64 = catalog.query_row(sql, [], |row| row.get(0))?;
        faults.extend((count > 0).then(|| format!("{what}: {count}")));
    }
    Ok(faults)
}
