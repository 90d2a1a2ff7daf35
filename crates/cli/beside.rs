//! What lies beside the logs: files that ingest found and that are no logs are read as evidence.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use evidence::{Document, Fact, Flaw, Found, Reading, flaw};
use index::{EvidenceFile, EvidenceRecord};
use ingest::{
    Identity, Options,
    discover::{Source, Stamp},
    summary::{Notice, ProblemKind, Summary},
    whole::{Whole, read_whole},
};
use smtplog::{Thumbprint, Timestamp, certificate::Certificate};

/// Decompressed bytes of a file that is read as evidence. Windows' ring of CAPI2 events has 1 MB unless somebody makes
/// it larger, and logs of the Hybrid Configuration Wizard have some megabytes.
const BYTES_MAX: usize = 256 << 20;

/// Files larger than this are read one at a time, so that memory does not hold one for each thread.
const LARGE_BYTES: u64 = 2 << 20;

/// What was found.
#[derive(Default)]
pub(crate) struct Beside {
    /// To be published.
    pub(crate) records: Vec<EvidenceRecord>,
    /// Certificates that lie there, as logs name them: queries by name find their sessions, too.
    pub(crate) certificates: Vec<Certificate>,
    /// Files that could not be read now and shall be looked at again.
    pub(crate) unread: Vec<Stamp>,
}

/// Reads the files on every thread. What could not be read is noted in the summary.
pub(crate) fn read(sources: &[Source], options: &Options, stop: &AtomicBool, summary: &mut Summary) -> Beside {
    let next = AtomicUsize::new(0);
    let large = Mutex::new(());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.clamp(1, sources.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed)
                    && let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(source) = sources.get(at)
                {
                    let _alone = (source.stored_bytes > LARGE_BYTES).then(|| lock(&large));
                    let read = read_one(source, options.mapping);
                    lock(&done).push((at, read));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    let mut beside = Beside::default();
    for (at, read) in done {
        beside.take(&sources[at], read, summary);
    }
    summary.sort();
    beside
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a file is.
enum Read {
    /// Evidence, by the name of its kind, and what it says.
    Kinded(Identity, &'static str, Reading),
    /// Meant to be evidence, and says nothing.
    Flawed(Flaw),
    /// Neither.
    Foreign,
}

fn read_one(source: &Source, mapping: bool) -> io::Result<Read> {
    let Whole { bytes, identity } = match read_whole(source, mapping, BYTES_MAX) {
        // A disk image beside the logs is nothing to report.
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge && !may_be_evidence(source) => {
            return Ok(Read::Foreign);
        }
        whole => whole?,
    };
    let document = Document { name: source.name(), bytes: &bytes };
    let read = evidence::read(&document);
    let is_empty = |reading: &Reading| *reading == Reading::default();
    let flaw = match &read {
        Some((_, reading)) if !is_empty(reading) => None,
        _ => flaw(&document),
    };
    Ok(match (read, flaw) {
        (_, Some(flaw)) => Read::Flawed(flaw),
        (Some((kind, reading)), None) => Read::Kinded(identity, kind.name(), reading),
        (None, None) => Read::Foreign,
    })
}

/// Whether a file that is too large to be looked into has the name of evidence; then it is said that it was not read.
fn may_be_evidence(source: &Source) -> bool {
    let name = source.name().to_lowercase();
    ["evtx", "xml", "clixml", "json", "csv", "xhcw"].iter().any(|end| name.contains(&format!(".{end}")))
}

impl Beside {
    fn take(&mut self, source: &Source, read: io::Result<Read>, summary: &mut Summary) {
        match read {
            Ok(Read::Kinded(identity, kind, reading)) => {
                self.certificates.extend(reading.found.iter().filter_map(certificate));
                count(source, kind, &reading, summary);
                self.records.push(record(source, identity, kind, reading));
            }
            Ok(Read::Foreign) => summary.count_foreign(source),
            Ok(Read::Flawed(flaw)) => summary.refuse(source, flaw.to_string()),
            Err(error) => {
                if summary.note_problem(source, 0, error) == ProblemKind::Unreadable {
                    self.unread.push(source.stamp.clone());
                }
            }
        }
    }
}

fn count(source: &Source, kind: &str, reading: &Reading, summary: &mut Summary) {
    summary.evidence += 1;
    for what in kinds_of(kind, reading) {
        *summary.evidence_kinds.entry(what).or_default() += 1;
    }
    summary.facts += reading.found.len() as u64;
    summary.evidence_rejected += reading.rejected;
    let mut note = |text: String| summary.notices.push(Notice { file: source.file.to_string(), text });
    if let Some((offset, why)) = reading.rejections.first() {
        let more = if reading.rejected > 1 { format!(", and {} more", reading.rejected - 1) } else { String::new() };
        note(format!("{kind}: cannot be read at byte {offset}: {why}{more}"));
    }
    if reading.dropped > 0 {
        note(format!("{kind}: {} facts are left out, there are too many", reading.dropped));
    }
}

/// What a file is, in the words of whoever made it.
fn kinds_of(kind: &str, reading: &Reading) -> BTreeSet<String> {
    let of_fact = |found: &Found| match &found.fact {
        Fact::Connector(connector) => Some(format!("{} export", connector.kind.cmdlet())),
        Fact::AcceptedDomain(_) => Some("Get-AcceptedDomain export".to_owned()),
        Fact::Certificate(_) | Fact::CertificateNames(_) if kind == "exports" => {
            Some("Get-ExchangeCertificate export".to_owned())
        }
        _ => None,
    };
    let told: BTreeSet<String> = reading.found.iter().filter_map(of_fact).collect();
    let name = match kind {
        _ if !told.is_empty() => return told,
        "certificates" => "certificate file",
        "exports" => "other export",
        _ if kind.starts_with("capi2") => "CAPI2 log",
        _ => "Hybrid Configuration Wizard log",
    };
    BTreeSet::from([name.to_owned()])
}

fn record(source: &Source, identity: Identity, kind: &str, reading: Reading) -> EvidenceRecord {
    let file = EvidenceFile {
        kind: kind.to_owned(),
        path: source.stamp.path.clone(),
        member: source.member_name(),
        file: source.file.to_string(),
        server: source.place.server.as_deref().map(str::to_owned),
        changed: Timestamp(source.stamp.mtime_ns / 1_000_000),
    };
    EvidenceRecord {
        identity: identity.0,
        file,
        passed: reading.passed.values().sum(),
        rejected: reading.rejected,
        // Windows writes its events into a ring: what an older copy has may be gone from the newer.
        // A certificate that another took the place of was presented until then.
        adds: kind.starts_with("capi2") || kind == "certificates",
        facts: reading.found,
    }
}

/// A certificate in the words of the logs.
fn certificate(found: &Found) -> Option<Certificate> {
    let time = |ms: Option<i64>| ms.map(Timestamp);
    match &found.fact {
        Fact::Certificate(one) => Some(Certificate {
            not_before: Some(Timestamp(one.not_before_ms)),
            not_after: Some(Timestamp(one.not_after_ms)),
            subject: one.subject.clone(),
            issuer: one.issuer.clone(),
            serial: one.serial.clone(),
            names: one.names.join(";"),
            ..Certificate::bare(Thumbprint::from_hex(one.thumbprint.as_bytes())?)
        }),
        Fact::CertificateNames(one) => Some(Certificate {
            not_before: time(one.not_before_ms),
            not_after: time(one.not_after_ms),
            subject: one.subject.clone(),
            issuer: one.issuer.clone(),
            serial: one.serial.clone().unwrap_or_default(),
            names: one.names.join(";"),
            ..Certificate::bare(Thumbprint::from_hex(one.thumbprint.as_bytes())?)
        }),
        _ => None,
    }
}
