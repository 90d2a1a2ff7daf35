//! What a run read, kept and could not read. Nothing is dropped without a number here.

use std::{collections::BTreeMap, io};

use smtplog::{
    Stream,
    reader::{Counts, Rejected},
};

use crate::{
    discover::{Source, Stamp},
    probe::Probed,
};

/// Why a file was not read, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// It could not be opened or read.
    Unreadable,
    /// It is damaged from some offset on; what came before is kept.
    Damaged,
    /// A limit or a rule keeps it out.
    Refused,
}

impl ProblemKind {
    /// What an error that came up while a file was read says about it.
    pub(crate) fn of(error: &io::Error) -> ProblemKind {
        // The library has no other way to tell this error from damage.
        let is_window = || error.to_string().contains("requires too much memory");
        match error.kind() {
            io::ErrorKind::FileTooLarge | io::ErrorKind::Unsupported => ProblemKind::Refused,
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => ProblemKind::Unreadable,
            // The system's own errors, such as a lost network drive, can be gone tomorrow; damage stays.
            _ if error.raw_os_error().is_some() => ProblemKind::Unreadable,
            _ if is_window() => ProblemKind::Refused,
            _ => ProblemKind::Damaged,
        }
    }
}

/// A file that was not read to its end.
#[derive(Debug)]
pub struct Problem {
    /// The file, with an archive's member behind it.
    pub file: String,
    /// Decompressed bytes that were read before it.
    pub offset: Option<u64>,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What happened.
    pub error: io::Error,
    /// The file as it was then, by which it is known that it was reported; `None` if there is nothing to know it by.
    pub stamp: Option<Stamp>,
    /// Whether an earlier run reported it, of the same file.
    pub reported: bool,
}

/// Something to know that is no problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Notice {
    /// The file.
    pub file: String,
    /// What is to be known about it.
    pub text: String,
}

/// Rejected rows of one file, with the first places.
#[derive(Clone, Debug)]
pub struct RejectedRows {
    /// The file.
    pub file: String,
    /// Rows.
    pub count: u64,
    /// The first of them.
    pub positions: Vec<Rejected>,
}

/// What a run did. Rows read = kept + rejected + pending.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files below the paths, archives counting as one.
    pub files: u64,
    /// Files as an earlier run left them.
    pub unchanged: u64,
    /// Sources whose content was known already, wholly.
    pub known: u64,
    /// Sources of which something new was read.
    pub read: u64,
    /// Sources that were known and have grown.
    pub grown: u64,
    /// Files with nothing in them.
    pub empty: u64,
    /// Files with a header and no row.
    pub header_only: u64,
    /// Files that are neither log nor evidence.
    pub foreign: u64,
    /// Files that are evidence.
    pub evidence: u64,
    /// The same by what they are: `Get-InboundConnector export`. One with several kinds of facts counts for each.
    pub evidence_kinds: BTreeMap<String, u64>,
    /// Facts found in them.
    pub facts: u64,
    /// Parts of them that could not be read.
    pub evidence_rejected: u64,
    /// Bytes as stored, of what was read.
    pub stored_bytes: u64,
    /// Bytes decompressed, of what was read.
    pub bytes: u64,
    /// Rows that became part of a session.
    pub kept: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// Last lines without an end that are not read yet.
    pub pending: u64,
    /// Whole sessions found.
    pub sessions: u64,
    /// Sessions that are still open.
    pub open: u64,
    /// Sessions given up as incomplete.
    pub incomplete: u64,
    /// Sessions among these that stand for one of an earlier run, which has more rows now or is open still.
    pub replaced: u64,
    /// Of all these, sessions from before the store's horizon, which it leaves out.
    pub expired: u64,
    /// Beside these, sessions from before it that were taken again on purpose.
    pub taken_again: u64,
    /// Bytes of rows that were kept for transcripts, as stored.
    pub kept_bytes: u64,
    /// Sessions cut because of their size.
    pub sessions_cut: u64,
    /// Times that one source had too many sessions open.
    pub open_sessions_flushed: u64,
    /// Sessions closed early because too many waited to be joined.
    pub closed_early: u64,
    /// Certificates whose text was not kept because there were too many.
    pub certificates_dropped: u64,
    /// Files with rejected rows.
    pub rejected_rows: Vec<RejectedRows>,
    /// Files that were not read to their end.
    pub problems: Vec<Problem>,
    /// What else is to be known.
    pub notices: Vec<Notice>,
    /// Sessions by stream.
    pub streams: BTreeMap<Stream, u64>,
}

impl Summary {
    /// Rows read.
    pub fn rows(&self) -> u64 {
        self.kept + self.rejected + self.pending
    }

    pub(crate) fn add_counts(&mut self, file: &str, counts: &Counts) {
        self.kept += counts.kept;
        self.rejected += counts.rejected;
        self.sessions_cut += counts.sessions_cut;
        self.open_sessions_flushed += counts.open_sessions_flushed;
        if counts.rejected > 0 {
            self.rejected_rows.push(RejectedRows {
                file: file.to_owned(),
                count: counts.rejected,
                positions: counts.positions.clone(),
            });
        }
    }

    /// Counts a source that is no log, or none yet.
    pub(crate) fn count_other(&mut self, source: &Source, probed: &Probed) {
        let (count, text) = match probed {
            Probed::Logs(_) => return,
            Probed::Empty => (&mut self.empty, "empty"),
            Probed::HeaderOnly { .. } => (&mut self.header_only, "a header and no complete row yet"),
            Probed::Foreign => return self.count_foreign(source),
        };
        *count += 1;
        self.pending += u64::from(matches!(probed, Probed::HeaderOnly { has_cut_row: true }));
        self.notices.push(Notice { file: source.file.to_string(), text: text.to_owned() });
    }

    /// Counts a file that is neither log nor evidence.
    pub fn count_foreign(&mut self, source: &Source) {
        self.foreign += 1;
        self.notices.push(Notice { file: source.file.to_string(), text: "neither a protocol log nor evidence".into() });
    }

    /// Notes why a source was not read beyond an offset; what kind of reason it is.
    pub fn note_problem(&mut self, source: &Source, offset: u64, error: io::Error) -> ProblemKind {
        self.push_problem(source, Some(offset), error)
    }

    /// Notes that a source as a whole is of no use, and why.
    pub fn refuse(&mut self, source: &Source, why: String) {
        self.push_problem(source, None, io::Error::new(io::ErrorKind::Unsupported, why));
    }

    fn push_problem(&mut self, source: &Source, offset: Option<u64>, error: io::Error) -> ProblemKind {
        let kind = ProblemKind::of(&error);
        let (file, stamp) = (source.file.to_string(), (!source.is_stdin()).then(|| source.stamp.clone()));
        self.problems.push(Problem { file, offset, kind, error, stamp, reported: false });
        kind
    }

    /// Counts a source of which not even the beginning could be read; whether that is for good.
    pub(crate) fn count_unopened(&mut self, source: &Source, error: io::Error) -> bool {
        self.note_problem(source, 0, error) != ProblemKind::Unreadable
    }

    /// Adds what another worker did.
    pub(crate) fn merge(&mut self, other: Summary) {
        self.known += other.known;
        self.read += other.read;
        self.grown += other.grown;
        self.empty += other.empty;
        self.header_only += other.header_only;
        self.foreign += other.foreign;
        self.evidence += other.evidence;
        self.facts += other.facts;
        self.evidence_rejected += other.evidence_rejected;
        self.stored_bytes += other.stored_bytes;
        self.bytes += other.bytes;
        self.kept += other.kept;
        self.rejected += other.rejected;
        self.pending += other.pending;
        self.sessions += other.sessions;
        self.open += other.open;
        self.incomplete += other.incomplete;
        self.expired += other.expired;
        self.taken_again += other.taken_again;
        self.kept_bytes += other.kept_bytes;
        self.sessions_cut += other.sessions_cut;
        self.open_sessions_flushed += other.open_sessions_flushed;
        self.closed_early += other.closed_early;
        self.certificates_dropped += other.certificates_dropped;
        self.rejected_rows.extend(other.rejected_rows);
        self.problems.extend(other.problems);
        self.notices.extend(other.notices);
        for (kind, files) in other.evidence_kinds {
            *self.evidence_kinds.entry(kind).or_default() += files;
        }
        for (stream, sessions) in other.streams {
            *self.streams.entry(stream).or_default() += sessions;
        }
    }

    /// Puts lists in an order that does not depend on which worker read what.
    pub fn sort(&mut self) {
        self.rejected_rows.sort_by(|a, b| a.file.cmp(&b.file));
        self.problems.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
        self.notices.sort();
        // A file with two logs says some things twice.
        self.notices.dedup();
    }
}
