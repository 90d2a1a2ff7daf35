//! Reading a store: a snapshot of what is published, and the answers from it.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::{FxHashMap, FxHashSet};
use smtplog::{Session, SessionId, Stream, Thumbprint, Timestamp, certificate::Certificate};

use crate::{
    StoreError,
    catalog::{self, SplitRow},
    execute::{Deadline, Matches, execute, wanted_links},
    parallel,
    partners::{Partners, asking},
    query::{CertificateName, CertificateNames, Expr, Field, Link, Matcher, Place, Query, Term, Via, Window, fold},
    sessions::Documents,
    split::{
        columns::{column, followed},
        read::{SplitReader, VANISHED},
    },
};

/// How a search answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchOptions {
    /// Sessions returned at most; all are counted.
    pub limit: Option<usize>,
    /// Which come first.
    pub sort: Sort,
}

/// The order of sessions, by their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The latest first.
    #[default]
    Newest,
    /// The earliest first.
    Oldest,
}

/// What is checked of a split before it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// That it can be opened.
    #[default]
    Opening,
    /// Every checksum.
    Checksums,
}

/// A split that could not be read; the answer is from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSplit {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The answer of a search.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Sessions that match.
    pub total: u64,
    /// The first of them.
    pub sessions: Vec<Session>,
    /// Splits that could not be asked.
    pub missing: Vec<MissingSplit>,
}

/// Certificates and their use.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// In order of thumbprint.
    pub rows: Vec<CertificateRow>,
    /// Splits that could not be asked.
    pub missing: Vec<MissingSplit>,
}

/// A certificate and its use.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    /// What the logs say of it.
    pub certificate: Certificate,
    /// Start of the first session that has it.
    pub first: Timestamp,
    /// Start of the last session that has it.
    pub last: Timestamp,
    /// Sessions in which the logging server presented it.
    pub presented: u64,
    /// Sessions in which the other side presented it.
    pub received: u64,
    /// Refusals that sessions got which had presented it.
    pub refusals: u64,
    /// Servers whose logs have it.
    pub servers: Vec<String>,
}

/// Where a source lies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// The archive's member, if it is one.
    pub member: Option<String>,
}

/// A source, as far as runs have read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSource {
    /// The file where it was seen last.
    pub path: PathBuf,
    /// The archive's member, if it is one.
    pub member: Option<String>,
    /// Decompressed bytes consumed.
    pub consumed: u64,
    /// Their hash.
    pub hash: u128,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreInfo {
    /// Splits.
    pub splits: u64,
    /// Sessions.
    pub sessions: u64,
    /// Bytes of the splits.
    pub bytes: u64,
    /// Earliest start.
    pub first: Option<Timestamp>,
    /// Latest row.
    pub last: Option<Timestamp>,
}

/// A snapshot of a store. Splits are opened when they are first needed and stay open.
pub struct Store {
    pub(crate) folder: PathBuf,
    catalog: Mutex<Connection>,
    pub(crate) splits: Vec<SplitRow>,
    pub(crate) masked: FxHashMap<String, Vec<u32>>,
    first_of_key: FxHashMap<(Stream, SessionId), Timestamp>,
    readers: Mutex<FxHashMap<String, Result<Arc<SplitReader>, String>>>,
    certificates: OnceLock<Vec<Certificate>>,
    pub(crate) partners: Partners,
    checks: Checks,
}

impl Store {
    /// Takes a snapshot of the store in a folder.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, Checks::Opening)
    }

    /// The same, with splits checked as they are opened: one that fails counts as missing.
    pub fn open_with(dir: &Path, checks: Checks) -> Result<Store, StoreError> {
        let catalog = catalog::open_for_reading(dir)?;
        catalog.execute_batch("BEGIN")?; // All that follows is of one moment.
        let splits = catalog::splits(&catalog)?;
        let masked = catalog::masked(&catalog)?;
        let repeated = catalog::repeated_keys(&catalog)?;
        let first_of_key = repeated.into_iter().map(|(stream, id, first)| ((stream, id), first)).collect();
        Ok(Store {
            folder: dir.join("splits"),
            catalog: Mutex::new(catalog),
            splits,
            masked,
            first_of_key,
            readers: Mutex::default(),
            certificates: OnceLock::new(),
            partners: Partners::default(),
            checks,
        })
    }

    /// What the store holds.
    pub fn info(&self) -> StoreInfo {
        StoreInfo {
            splits: self.splits.len() as u64,
            sessions: self.splits.iter().map(|split| split.sessions).sum::<u64>()
                - self.masked.values().map(|documents| documents.len() as u64).sum::<u64>(),
            bytes: self.splits.iter().map(|split| split.bytes).sum(),
            first: self.splits.iter().map(|split| split.min_time).min(),
            last: self.splits.iter().map(|split| split.max_time).max(),
        }
    }

    /// Sessions that match.
    pub fn search(&self, query: &Query, options: &SearchOptions) -> Result<Hits, StoreError> {
        let hits = self.search_once(query, options)?;
        match self.newer_than(&hits.missing)? {
            Some(newer) => newer.search_once(query, options),
            None => Ok(hits),
        }
    }

    /// A fresh snapshot, if splits of this one were replaced and their files are gone meanwhile. That takes ten minutes
    /// since the snapshot was taken.
    pub(crate) fn newer_than(&self, missing: &[MissingSplit]) -> Result<Option<Store>, StoreError> {
        let vanished = |split: &&MissingSplit| split.reason == VANISHED;
        let Some(split) = missing.iter().find(vanished) else { return Ok(None) };
        let newer = Store::open_with(self.folder.parent().unwrap_or(&self.folder), self.checks)?;
        let is_named = newer.splits.iter().any(|row| row.name == split.name);
        Ok((!is_named).then_some(newer))
    }

    fn search_once(&self, query: &Query, options: &SearchOptions) -> Result<Hits, StoreError> {
        let deadline = Deadline::start();
        let query = self.resolve(query);
        let mut hits = Hits::default();
        let mut best: Vec<Found> = Vec::new();
        let mut found = Vec::new();
        let mut answers = self.answers(&query, deadline, &mut hits.missing)?;
        if options.sort == Sort::Newest {
            answers.reverse(); // They come by their earliest start.
        }
        for answer in answers {
            hits.total += answer.documents.len();
            let split = found.len();
            let times = answer.split.times();
            if can_be_among_the_best(&best, answer.row, options) {
                let mut started_of = times.started_in_order();
                best.extend(answer.documents.iter().filter_map(|document| {
                    let started = started_of(document)?;
                    Some(Found { started, split, document })
                }));
                keep_best(&mut best, options);
            }
            found.push(answer);
        }
        sort_places(&mut best, options.sort);
        best.truncate(options.limit.unwrap_or(usize::MAX));
        let records = parallel::each(&best.chunks(RECORDS_AT_ONCE).collect::<Vec<_>>(), |places| {
            let session = |place: &Found| {
                let split = &found[place.split].split;
                split.session(place.document, &split.times()).ok_or(place.split)
            };
            places.iter().map(session).collect::<Vec<_>>()
        });
        for record in records.into_iter().flatten() {
            match record {
                Ok(session) => hits.sessions.push(self.named(session)),
                Err(split) => {
                    note_missing(&mut hits.missing, &found[split].row.name, "damaged: a record cannot be read");
                }
            }
        }
        Ok(hits)
    }

    /// Sessions by their whole id, by the log's session id, or by the beginning of either.
    pub fn find(&self, id: &str) -> Result<Hits, StoreError> {
        let query = Query { expr: called(id.trim()), window: Window::default() };
        let options = SearchOptions { limit: Some(FOUND_MAX), sort: Sort::Oldest };
        self.search(&query, &options)
    }

    /// Certificates, with the sessions that have them; of the sessions that match, if a query is given.
    pub fn certificates(&self, query: Option<&Query>) -> Result<Certificates, StoreError> {
        let everything = Query { expr: Expr::All, window: Window::default() };
        let query = query.unwrap_or(&everything);
        let certificates = self.certificates_once(query)?;
        match self.newer_than(&certificates.missing)? {
            Some(newer) => newer.certificates_once(query),
            None => Ok(certificates),
        }
    }

    fn certificates_once(&self, query: &Query) -> Result<Certificates, StoreError> {
        let query = self.resolve(query);
        let mut used: BTreeMap<Thumbprint, CertificateUse> = BTreeMap::new();
        let mut missing = Vec::new();
        for answer in self.answers(&query, Deadline::start(), &mut missing)? {
            answer.note_unreadable(&mut missing);
            answer.count_certificates(&mut used);
        }
        let rows = used.into_iter().map(|(thumbprint, one)| one.row(self.certificate(thumbprint))).collect();
        Ok(Certificates { rows, missing })
    }

    /// What the logs say of a certificate.
    pub(crate) fn certificate(&self, thumbprint: Thumbprint) -> Certificate {
        let names = self.certificate_names();
        match names.binary_search_by_key(&thumbprint, |certificate| certificate.thumbprint) {
            Ok(at) => names[at].clone(),
            Err(_) => Certificate::bare(thumbprint),
        }
    }

    /// Every source that runs have read.
    pub fn sources(&self) -> Result<Vec<RecordedSource>, StoreError> {
        let catalog = self.catalog();
        let mut statement =
            catalog.prepare("SELECT DISTINCT path, member, consumed, hash FROM sources ORDER BY path, member")?;
        let rows = statement.query_map([], |row| {
            let path: String = row.get(0)?;
            let (consumed, hash): (i64, [u8; 16]) = (row.get(2)?, row.get(3)?);
            let hash = u128::from_le_bytes(hash);
            Ok(RecordedSource { path: path.into(), member: row.get(1)?, consumed: consumed as u64, hash })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where a source lies now.
    pub fn locate(&self, identity: &[u8; 32]) -> Result<Option<Location>, StoreError> {
        let catalog = self.catalog();
        let row: Option<(String, Option<String>)> = catalog
            .prepare_cached("SELECT path, member FROM sources WHERE identity = ?1")?
            .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.map(|(path, member)| Location { path: path.into(), member }))
    }

    /// Files of the store that no transaction named: a run that was killed left them, and the next one removes them.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>, StoreError> {
        let catalog = self.catalog();
        let mut is_named = catalog.prepare_cached(catalog::IS_NAMED)?;
        let mut leftovers = Vec::new();
        for folder in [self.folder.clone(), self.transcripts()].into_iter().filter(|folder| folder.exists()) {
            let read_error = |source| StoreError::Read { path: folder.clone(), source };
            for entry in std::fs::read_dir(&folder).map_err(read_error)? {
                let path = entry.map_err(read_error)?.path();
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if !is_named.exists([name])? {
                    leftovers.push(path);
                }
            }
        }
        Ok(leftovers)
    }

    pub(crate) fn catalog(&self) -> MutexGuard<'_, Connection> {
        self.catalog.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn certificate_names(&self) -> &[Certificate] {
        self.certificates.get_or_init(|| catalog::certificates(&self.catalog()).unwrap_or_default())
    }

    pub(crate) fn resolve(&self, query: &Query) -> Query {
        if has_names(&query.expr) { query.resolve(self) } else { query.clone() }
    }

    /// Sets what only the whole store knows of a session.
    pub(crate) fn named(&self, mut session: Session) -> Session {
        if !self.first_of_key.is_empty() {
            let key = ((*session.stream).clone(), session.session);
            session.repeated = self.first_of_key.get(&key).is_some_and(|&first| first < session.started);
        }
        session
    }

    pub(crate) fn reader(&self, name: &str) -> Result<Arc<SplitReader>, String> {
        let lock = || self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(reader) = lock().get(name) {
            return reader.clone();
        }
        // Not under the lock: others are opened meanwhile.
        let opened = SplitReader::open(&self.folder, name).and_then(|split| self.checked(split)).map(Arc::new);
        lock().entry(name.to_owned()).or_insert(opened).clone()
    }

    fn checked(&self, split: SplitReader) -> Result<SplitReader, String> {
        let damaged = match self.checks {
            Checks::Opening => Vec::new(),
            Checks::Checksums => split.damaged_files(),
        };
        if damaged.is_empty() { Ok(split) } else { Err(format!("damaged: wrong checksum of {}", damaged.join(", "))) }
    }

    /// Asks every split that can have an answer.
    pub(crate) fn answers(
        &self,
        query: &Query,
        deadline: Deadline,
        missing: &mut Vec<MissingSplit>,
    ) -> Result<Vec<Answer<'_>>, StoreError> {
        let candidates = self.candidates(query)?;
        self.prepare_links(query, &candidates)?;
        let asked = parallel::each(&candidates, |row| self.answer(row, query, deadline));
        let mut answers = Vec::new();
        for (row, asked) in candidates.into_iter().zip(asked) {
            match asked? {
                Ok(answer) => {
                    if answer.unreadable > 0 {
                        note_missing(missing, &row.name, UNREADABLE);
                    }
                    answers.push(answer);
                }
                Err(reason) => note_missing(missing, &row.name, &reason),
            }
        }
        Ok(answers)
    }

    /// Asks one split; the inner error says why it cannot answer.
    fn answer<'a>(
        &self,
        row: &'a SplitRow,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Result<Answer<'a>, String>, StoreError> {
        let split = match self.reader(&row.name) {
            Ok(split) => split,
            Err(reason) => return Ok(Err(reason)),
        };
        if asks_for_words(&query.expr) && !split.has_words() {
            return Ok(Err("damaged: its words cannot be read".to_owned()));
        }
        let masked = self.masked.get(&row.name).map_or(&[][..], Vec::as_slice);
        let Matches { documents, unreadable } = execute(&split, query, masked, self, deadline)?;
        Ok(Ok(Answer { row, split, documents, unreadable }))
    }

    /// Looks up together what the splits will ask for one by one.
    fn prepare_links(&self, query: &Query, candidates: &[&SplitRow]) -> Result<(), StoreError> {
        let links = parallel::each(candidates, |row| match self.reader(&row.name) {
            Ok(split) => wanted_links(&split, query),
            Err(_) => Ok(Vec::new()),
        });
        self.prepare(&links.into_iter().collect::<Result<Vec<_>, _>>()?.concat());
        Ok(())
    }

    /// Splits that time and certificates do not rule out.
    fn candidates(&self, query: &Query) -> Result<Vec<&SplitRow>, StoreError> {
        let window = query.window;
        let in_window = |split: &&SplitRow| {
            window.since.is_none_or(|since| since <= split.max_time)
                && window.until.is_none_or(|until| split.min_time < until)
        };
        let mut splits: Vec<&SplitRow> = self.splits.iter().filter(in_window).collect();
        for (least, greatest) in required_certificates(&query.expr) {
            let with = catalog::splits_with(&self.catalog(), least, greatest)?;
            if with.is_empty() {
                return Ok(Vec::new()); // No session of the store has it, at the front end or elsewhere.
            }
            // Behind a proxy the certificate stands in another session, which may lie in another split.
            splits.retain(|split| split.has_via || with.contains(&split.id));
        }
        Ok(splits)
    }
}

/// Sessions returned for one id; more than a screen of candidates helps nobody.
const FOUND_MAX: usize = 100;

/// What a session has to satisfy that is called so.
fn called(id: &str) -> Expr {
    let term = |field, matcher| Expr::Term(Term::new(field, matcher, &Place::default()));
    let begins = || term(Field::Id, Matcher::Prefix(fold(id)));
    let numbered = |digits| Some(term(Field::Session, Matcher::Sessions(sessions_beginning(digits)?)));
    match id.rsplit_once('/') {
        Some((stream, digits)) if stream.matches('/').count() == 2 => match numbered(digits) {
            Some(_) if digits.len() == SESSION_DIGITS => term(Field::Id, Matcher::Exact(fold(id))),
            // The number spares reading every session of the stream.
            Some(numbered) => Expr::And(vec![numbered, begins()]),
            None => begins(),
        },
        _ => match numbered(id) {
            Some(numbered) if id.len() == SESSION_DIGITS => numbered,
            Some(numbered) => Expr::Or(vec![numbered, begins()]),
            None => begins(),
        },
    }
}

/// Digits of a session id.
const SESSION_DIGITS: usize = 16;

/// The session ids that begin with some hexadecimal digits.
fn sessions_beginning(digits: &str) -> Option<RangeInclusive<SessionId>> {
    let padded = |digit: &str| {
        let rest = SESSION_DIGITS.checked_sub(digits.len())?;
        SessionId::from_hex(format!("{digits}{}", digit.repeat(rest)).as_bytes())
    };
    if digits.is_empty() { None } else { Some(padded("0")?..=padded("F")?) }
}

/// Records that a thread reads before it looks for more; neighbours lie in one block.
const RECORDS_AT_ONCE: usize = 512;

/// The reason of a split that answers without some of its sessions.
const UNREADABLE: &str = "damaged: some records cannot be read";

/// A split's answer.
pub(crate) struct Answer<'a> {
    pub(crate) row: &'a SplitRow,
    pub(crate) split: Arc<SplitReader>,
    pub(crate) documents: Documents,
    /// Documents whose record could not be read.
    unreadable: u64,
}

impl Answer<'_> {
    /// Proxy links of the refusals of these sessions.
    pub(crate) fn links(&self) -> Vec<Link> {
        let of_row = self.split.column(column::REPLY_DOCUMENT);
        let mut links = Vec::new();
        self.split.followed(&followed::VIA).for_each_key(|at, row| {
            let document = of_row.get(row).map(|document| document as u32);
            if document.is_some_and(|document| self.documents.contains(document))
                && let Some((asking, link)) = asking(&self.split, at)
            {
                links.push(asking.link(link));
            }
        });
        links
    }

    /// Notes the split if profiles or classes of refusals of these sessions cannot be read: whoever counts by them
    /// leaves such sessions out.
    pub(crate) fn note_unreadable(&self, missing: &mut Vec<MissingSplit>) {
        let mut profiles = self.split.column(column::PROFILE).cursor();
        let mut used = Distinct::default();
        self.documents.iter().filter_map(|document| profiles.get(document)).for_each(|profile| used.add(profile));
        let mut classes = Distinct::default();
        self.for_each_reply(|_, class| classes.add(class));
        let class = |number: u64| self.split.reply_class(u32::try_from(number).ok()?);
        let is_whole = used.0.into_iter().all(|profile| self.split.profile(profile).is_some())
            && classes.0.into_iter().all(|number| class(number).is_some());
        if !is_whole {
            note_missing(missing, &self.row.name, UNREADABLE);
        }
    }

    /// Calls `found` with every refusal of these sessions: session and class.
    fn for_each_reply(&self, mut found: impl FnMut(u32, u64)) {
        let mut classes = self.split.column(column::REPLY_CLASS).cursor();
        self.split.column(column::REPLY_DOCUMENT).for_each(|row, document| {
            if let Some(class) = classes.get(row).filter(|_| self.documents.contains(document as u32)) {
                found(document as u32, class);
            }
        });
    }

    fn count_certificates(&self, used: &mut BTreeMap<Thumbprint, CertificateUse>) {
        let (mut profiles, times) = (self.split.column(column::PROFILE).cursor(), self.split.times());
        let mut started_of = times.started_in_order();
        let mut by_profile: Vec<Option<(u64, Timestamp, Timestamp)>> = vec![None; self.split.profiles().count()];
        for document in self.documents.iter() {
            let (Some(profile), Some(started)) = (profiles.get(document), started_of(document)) else {
                continue;
            };
            if let Some(row) = by_profile.get_mut(profile as usize) {
                let (count, first, last) = row.get_or_insert((0, started, started));
                (*count, *first, *last) = (*count + 1, started.min(*first), started.max(*last));
            }
        }
        let mut refusals: FxHashMap<u64, u64> = FxHashMap::default();
        self.for_each_reply(|_, class| *refusals.entry(class).or_default() += 1);
        for (profile, row) in self.split.profiles().zip(by_profile) {
            let (Some(profile), Some((count, first, last))) = (profile, row) else { continue };
            let presented: Vec<_> = profile.negotiations.iter().filter_map(|one| one.presented).collect();
            let received: Vec<_> = profile.negotiations.iter().filter_map(|one| one.received).collect();
            for (thumbprints, is_presented) in [(presented, true), (received, false)] {
                for thumbprint in distinct(thumbprints) {
                    let one = used.entry(thumbprint).or_insert_with(|| CertificateUse::new(first));
                    one.add(count, is_presented, first, last, &profile.stream.server);
                }
            }
        }
        for (class, count) in refusals {
            let class = u32::try_from(class).ok().and_then(|class| self.split.reply_class(class));
            if let Some(one) = class.and_then(|class| class.presented).and_then(|presented| used.get_mut(&presented)) {
                one.refusals += count;
            }
        }
    }
}

fn distinct(mut thumbprints: Vec<Thumbprint>) -> Vec<Thumbprint> {
    thumbprints.sort_unstable();
    thumbprints.dedup();
    thumbprints
}

struct CertificateUse {
    first: Timestamp,
    last: Timestamp,
    presented: u64,
    received: u64,
    refusals: u64,
    servers: Vec<String>,
}

impl CertificateUse {
    fn new(first: Timestamp) -> CertificateUse {
        CertificateUse { first, last: first, presented: 0, received: 0, refusals: 0, servers: Vec::new() }
    }

    fn add(&mut self, count: u64, presented: bool, first: Timestamp, last: Timestamp, server: &str) {
        if presented {
            self.presented += count;
        } else {
            self.received += count;
        }
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        if let Err(at) = self.servers.binary_search_by(|known| known.as_str().cmp(server)) {
            self.servers.insert(at, server.to_owned());
        }
    }

    fn row(self, certificate: Certificate) -> CertificateRow {
        let CertificateUse { first, last, presented, received, refusals, servers } = self;
        CertificateRow { certificate, first, last, presented, received, refusals, servers }
    }
}

/// Numbers, each once. What follows one another is mostly the same.
#[derive(Default)]
struct Distinct(FxHashSet<u64>, Option<u64>);

impl Distinct {
    fn add(&mut self, number: u64) {
        if self.1.replace(number) != Some(number) {
            self.0.insert(number);
        }
    }
}

/// A document, by the time that it is sorted by.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Found {
    started: Timestamp,
    split: usize,
    document: u32,
}

fn sort_places(places: &mut [Found], sort: Sort) {
    let key = |place: &Found| (place.started, place.split, place.document);
    match sort {
        Sort::Oldest => places.sort_unstable_by_key(key),
        Sort::Newest => places.sort_unstable_by_key(|place| std::cmp::Reverse(key(place))),
    }
}

/// Whether a session of a split can be among the first, where `best` are those of other splits in their order, as far
/// as there are as many as wanted.
fn can_be_among_the_best(best: &[Found], row: &SplitRow, options: &SearchOptions) -> bool {
    let last = options.limit.and_then(|limit| if limit == 0 { None } else { best.get(limit - 1) });
    last.is_none_or(|last| match options.sort {
        Sort::Newest => last.started <= row.max_time,
        Sort::Oldest => row.min_time <= last.started,
    })
}

/// Forgets what cannot be among the first any more, so that memory does not grow with the answer.
fn keep_best(places: &mut Vec<Found>, options: &SearchOptions) {
    if let Some(limit) = options.limit
        && places.len() > limit
    {
        sort_places(places, options.sort);
        places.truncate(limit);
    }
}

pub(crate) fn note_missing(missing: &mut Vec<MissingSplit>, name: &str, reason: &str) {
    if !missing.iter().any(|known| known.name == name) {
        missing.push(MissingSplit { name: name.to_owned(), reason: reason.to_owned() });
    }
}

/// Whether names of certificates occur, so that the catalog has to be asked for them.
fn has_names(expr: &Expr) -> bool {
    match expr {
        Expr::All => false,
        Expr::Words(_) => true,
        Expr::Term(term) => {
            matches!(term.field, Field::Subject | Field::Issuer | Field::Serial | Field::San)
        }
        Expr::Not(expr) => has_names(expr),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(has_names),
    }
}

/// Whether the words of phrases are asked for.
fn asks_for_words(expr: &Expr) -> bool {
    match expr {
        Expr::All => false,
        Expr::Words(_) => true,
        Expr::Term(term) => matches!(term.matcher, Matcher::Phrase(_)),
        Expr::Not(expr) => asks_for_words(expr),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(asks_for_words),
    }
}

/// Ranges of thumbprints of which a split needs one each to have an answer.
fn required_certificates(expr: &Expr) -> Vec<(Thumbprint, Thumbprint)> {
    match expr {
        Expr::And(parts) => parts.iter().flat_map(required_certificates).collect(),
        Expr::Term(term) if term.field.is_certificate() => range_of(&term.matcher).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn range_of(matcher: &Matcher) -> Option<(Thumbprint, Thumbprint)> {
    match matcher {
        Matcher::Thumbprint(thumbprint) => Some((*thumbprint, *thumbprint)),
        Matcher::ThumbprintPrefix(digits) => {
            let padded =
                |digit: &str| Thumbprint::from_hex(format!("{digits}{}", digit.repeat(40 - digits.len())).as_bytes());
            Some((padded("0")?, padded("F")?))
        }
        _ => None,
    }
}

impl CertificateNames for Store {
    fn thumbprints(&self, name: CertificateName, matcher: &Matcher) -> Vec<Thumbprint> {
        let is_named = |certificate: &&Certificate| {
            let Certificate { subject, issuer, serial, names, .. } = certificate;
            let names = || names.split(';');
            match name {
                CertificateName::Subject => matcher.is_name(subject),
                CertificateName::Issuer => matcher.is_name(issuer),
                CertificateName::Serial => matcher.is_name(serial),
                CertificateName::San => names().any(|name| matcher.is_name(name)),
                CertificateName::Any => {
                    [subject, issuer, serial].iter().any(|name| matcher.is_name(name))
                        || names().any(|name| matcher.is_name(name))
                }
            }
        };
        self.certificate_names().iter().filter(is_named).map(|certificate| certificate.thumbprint).collect()
    }
}
