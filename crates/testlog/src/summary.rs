//! The truth about a fleet beside its sessions: files, certificates, totals.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cases::{CaseTally, CaseTruth},
    certificate::CertificateId,
    clock::Time,
    evidence::{EvidenceFile, EvidenceLevel},
    fact::{Fact, Logged, Side},
    script::Script,
    truth::SessionTruth,
    world::World,
    writer::LogFile,
};

/// Everything that is true of a fleet and not of a single session.
#[derive(Debug)]
pub struct Summary {
    /// Sums over the fleet.
    pub totals: Totals,
    /// Every file, in the order of their paths.
    pub files: Vec<FileTruth>,
    /// Every certificate that a log shows, in the order of their thumbprints.
    pub certificates: Vec<CertificateTruth>,
    /// Groups of refusals with their causes, in a fleet with a planted one.
    pub cases: Vec<CaseTruth>,
    /// What lies beside the logs of such a fleet.
    pub evidence: Vec<EvidenceFile>,
}

/// Sums over a fleet.
#[derive(Serialize, Debug, Default, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Servers.
    pub servers: u64,
    /// Files, also those that are no logs.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Rows that a reader keeps.
    pub rows: u64,
    /// Lines that a reader rejects; cut last lines are not among them.
    pub rejected: u64,
    /// Last lines without a line end: pending, or rejected once the file is known to be finished.
    pub cut_tails: u64,
    /// Sessions.
    pub sessions: u64,
    /// Sessions with `complete:true`.
    pub complete: u64,
    /// 4xx and 5xx replies.
    pub replies: u64,
    /// Refusals by certificate and status; a session counts once in each row that it has a reply in.
    pub refusals: Vec<RefusalCount>,
    /// How often each scenario was played; one can make several sessions, or none if the service was down.
    pub scenarios: BTreeMap<&'static str, u64>,
}

/// A row of [`Totals::refusals`].
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// The reply's `presented`.
    pub presented: Option<String>,
    /// The reply's status.
    pub status: Option<String>,
    /// Replies.
    pub replies: u64,
    /// Sessions with such a reply.
    pub sessions: u64,
}

/// A file of the fleet.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub struct FileTruth {
    /// Relative to the fleet's folder.
    pub path: String,
    /// Its raw length.
    pub bytes: u64,
    /// `log`, or `other` if it is no protocol log.
    pub kind: &'static str,
    /// Rows that a reader keeps.
    pub rows: u64,
    /// Offsets of the lines that a reader rejects.
    pub rejected: Vec<u64>,
    /// Offset of a last line without a line end: pending, or rejected once the file is known to be finished.
    pub cut_tail: Option<u64>,
}

/// A certificate as the logs show it; what no log shows is null.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub struct CertificateTruth {
    /// Forty hex digits.
    pub thumbprint: String,
    /// Subject, as logged.
    pub subject: Option<String>,
    /// Issuer, as logged.
    pub issuer: Option<String>,
    /// Serial number, as logged.
    pub serial: Option<String>,
    /// Begin of validity.
    pub not_before: Option<String>,
    /// End of validity.
    pub not_after: Option<String>,
    /// Alternate names, as logged; empty if it has none; null if no log shows them.
    pub names: Option<Vec<String>>,
    /// Time of the first row with its thumbprint.
    pub first_seen: String,
    /// Time of the last one.
    pub last_seen: String,
    /// Sessions in which either side showed it.
    pub sessions: u64,
    /// Sessions in which the logging server showed it.
    pub presented_sessions: u64,
    /// Sessions in which the other side showed it.
    pub received_sessions: u64,
    /// Replies whose `presented` it is.
    pub refusals: u64,
}

/// What the logs of one server, or of several, add up to.
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    files: Vec<FileTruth>,
    certificates: Vec<Sighting>,
    refusals: BTreeMap<(Option<String>, Option<String>), (u64, u64)>,
    cases: CaseTally,
}

/// What logs show of a certificate.
#[derive(Clone, Copy)]
struct Sighting {
    logged: Logged,
    first: i64,
    last: i64,
    sessions: u64,
    presented: u64,
    received: u64,
    refusals: u64,
}

const UNSEEN: Sighting = Sighting {
    logged: Logged { identity: false, dates: false, names: false },
    first: i64::MAX,
    last: i64::MIN,
    sessions: 0,
    presented: 0,
    received: 0,
    refusals: 0,
};

impl Tally {
    pub(crate) fn new(world: &World) -> Tally {
        Tally {
            totals: Totals::default(),
            files: Vec::new(),
            certificates: vec![UNSEEN; world.certificates.len()],
            refusals: BTreeMap::new(),
            cases: CaseTally::default(),
        }
    }

    /// Adds a finished file.
    pub(crate) fn count_file(&mut self, file: &LogFile) {
        self.totals.files += 1;
        self.totals.bytes += file.bytes.len() as u64;
        self.totals.rows += file.rows;
        self.totals.rejected += file.rejected.len() as u64;
        self.totals.cut_tails += u64::from(file.cut_tail.is_some());
        self.files.push(FileTruth {
            path: file.path.to_string(),
            bytes: file.bytes.len() as u64,
            kind: if file.is_log { "log" } else { "other" },
            rows: file.rows,
            rejected: file.rejected.clone(),
            cut_tail: file.cut_tail,
        });
    }

    /// Adds a finished session, of which a log holds the rows before `rows_end`.
    pub(crate) fn count_session(&mut self, world: &World, script: &Script, rows_end: usize, truth: &SessionTruth<'_>) {
        if let Some(plant) = &world.plant {
            self.cases.count(plant, script, truth);
        }
        self.totals.sessions += 1;
        self.totals.complete += u64::from(truth.complete);
        self.totals.replies += truth.replies.len() as u64;
        let mut seen: Vec<(CertificateId, bool, bool)> = Vec::new();
        for (row, fact) in script.facts.iter().filter(|(row, _)| (*row as usize) < rows_end) {
            match fact {
                Fact::Thumbprint { side, certificate, logged } => {
                    self.certificates[certificate.0 as usize].see(*logged, script.rows[*row as usize].time);
                    note_side(&mut seen, *certificate, *side);
                }
                Fact::Names(certificate) => self.certificates[certificate.0 as usize].logged.names = true,
                _ => {}
            }
        }
        for (certificate, presented, received) in seen {
            let sighting = &mut self.certificates[certificate.0 as usize];
            let thumbprint = world.certificate(certificate).thumbprint.as_str();
            sighting.sessions += 1;
            sighting.presented += u64::from(presented);
            sighting.received += u64::from(received);
            sighting.refusals +=
                truth.replies.iter().filter(|reply| reply.presented == Some(thumbprint)).count() as u64;
        }
        self.count_refusals(truth);
    }

    fn count_refusals(&mut self, truth: &SessionTruth<'_>) {
        let mut keys = Vec::new();
        for reply in &truth.replies {
            let key = (reply.presented.map(str::to_owned), reply.status.map(str::to_owned));
            let count = self.refusals.entry(key.clone()).or_default();
            count.0 += 1;
            if !keys.contains(&key) {
                count.1 += 1;
                keys.push(key);
            }
        }
    }

    /// Adds another server's tally.
    pub(crate) fn merge(&mut self, other: Tally) {
        let (totals, more) = (&mut self.totals, other.totals);
        totals.servers += more.servers;
        totals.files += more.files;
        totals.bytes += more.bytes;
        totals.rows += more.rows;
        totals.rejected += more.rejected;
        totals.cut_tails += more.cut_tails;
        totals.sessions += more.sessions;
        totals.complete += more.complete;
        totals.replies += more.replies;
        for (scenario, count) in more.scenarios {
            *totals.scenarios.entry(scenario).or_default() += count;
        }
        for (key, (replies, sessions)) in other.refusals {
            let count = self.refusals.entry(key).or_default();
            *count = (count.0 + replies, count.1 + sessions);
        }
        for (sighting, more) in self.certificates.iter_mut().zip(&other.certificates) {
            sighting.merge(more);
        }
        self.files.extend(other.files);
        self.cases.merge(other.cases);
    }

    /// The final form.
    pub(crate) fn summary(mut self, world: &World, level: EvidenceLevel) -> Summary {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        let refusals = self.refusals.into_iter().map(|((presented, status), (replies, sessions))| RefusalCount {
            presented,
            status,
            replies,
            sessions,
        });
        self.totals.refusals = refusals.collect();
        let seen = world.certificates.iter().zip(&self.certificates).filter(|(_, sighting)| sighting.sessions > 0);
        let mut certificates: Vec<CertificateTruth> = seen
            .map(|(certificate, sighting)| {
                let identity = |text: &String| sighting.logged.identity.then(|| text.clone());
                let moment = |time| Time(time).to_string();
                CertificateTruth {
                    thumbprint: certificate.thumbprint.clone(),
                    subject: identity(&certificate.subject),
                    issuer: identity(&certificate.issuer),
                    serial: identity(&certificate.serial),
                    not_before: sighting.logged.dates.then(|| moment(certificate.not_before)),
                    not_after: sighting.logged.dates.then(|| moment(certificate.not_after)),
                    names: sighting.logged.names.then(|| certificate.names.clone()),
                    first_seen: moment(sighting.first),
                    last_seen: moment(sighting.last),
                    sessions: sighting.sessions,
                    presented_sessions: sighting.presented,
                    received_sessions: sighting.received,
                    refusals: sighting.refusals,
                }
            })
            .collect();
        certificates.sort_by(|a, b| a.thumbprint.cmp(&b.thumbprint));
        let cases = world.plant.as_ref().map(|plant| self.cases.truth(world, plant, level));
        let evidence = world.plant.iter().flat_map(|plant| plant.evidence.iter().filter(|file| level.keeps(file)));
        Summary {
            totals: self.totals,
            files: self.files,
            certificates,
            cases: cases.unwrap_or_default(),
            evidence: evidence.cloned().collect(),
        }
    }
}

impl Sighting {
    fn see(&mut self, logged: Logged, time: i64) {
        self.logged.identity |= logged.identity;
        self.logged.dates |= logged.dates;
        self.logged.names |= logged.names;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    fn merge(&mut self, more: &Sighting) {
        self.logged.identity |= more.logged.identity;
        self.logged.dates |= more.logged.dates;
        self.logged.names |= more.logged.names;
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
        self.sessions += more.sessions;
        self.presented += more.presented;
        self.received += more.received;
        self.refusals += more.refusals;
    }
}

impl Summary {
    /// The files, one JSON object a line.
    pub fn files_ndjson(&self) -> Vec<u8> {
        ndjson(&self.files)
    }

    /// The certificates, one JSON object a line.
    pub fn certificates_ndjson(&self) -> Vec<u8> {
        ndjson(&self.certificates)
    }

    /// Groups of refusals with their causes, one JSON object a line.
    pub fn cases_ndjson(&self) -> Vec<u8> {
        ndjson(&self.cases)
    }

    /// The totals as one JSON object.
    pub fn totals_json(&self) -> Vec<u8> {
        ndjson(std::slice::from_ref(&self.totals))
    }
}

/// One JSON object a line.
pub(crate) fn ndjson<T: Serialize>(items: &[T]) -> Vec<u8> {
    let mut lines = Vec::new();
    for item in items {
        append_json(&mut lines, item);
    }
    lines
}

/// Appends a JSON object and a line end.
pub(crate) fn append_json<T: Serialize>(lines: &mut Vec<u8>, item: &T) {
    // Writing into a vector cannot fail, and the truth has text keys only.
    serde_json::to_writer(&mut *lines, item).expect("the truth is always JSON");
    lines.push(b'\n');
}

fn note_side(seen: &mut Vec<(CertificateId, bool, bool)>, certificate: CertificateId, side: Side) {
    let at = seen.iter().position(|(other, ..)| *other == certificate).unwrap_or_else(|| {
        seen.push((certificate, false, false));
        seen.len() - 1
    });
    match side {
        Side::Presented => seen[at].1 = true,
        Side::Received => seen[at].2 = true,
    }
}
