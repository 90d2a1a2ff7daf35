//! The report of a run: what was read, kept, rejected and pending, and what could not be read.
//!
//! ```text
//! files     5,230   5,210 read, 20 not logs
//! rows  5,600,123   5,599,900 kept, 220 rejected, 3 pending
//! ```

use std::{io::Write, path::PathBuf, time::Duration};

use ingest::summary::{Problem, ProblemKind, RejectedRows, Summary};
use serde_json::{Value, json};
use smtplog::Timestamp;

use crate::{console::Console, render::amount};

/// Files with rejected rows, and notices, that are named without `--verbose`.
const NAMED_MAX: usize = 5;

/// What a run did.
pub(super) struct Report<'a> {
    /// Of a run that failed: what it had read by then, of which nothing was published.
    pub(super) summary: &'a Summary,
    /// Why it failed.
    pub(super) error: Option<String>,
    pub(super) exit_code: u8,
    pub(super) started: Timestamp,
    pub(super) time: Duration,
    pub(super) paths: &'a [PathBuf],
}

/// What is to be known about a run.
pub(super) struct Findings {
    /// What is not as it should be.
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Report<'_> {
    /// Prints counts as the result, and what is to be known beside them.
    pub(super) fn print(&self, console: &Console, as_json: bool) -> anyhow::Result<()> {
        self.print_findings(console);
        let mut out = console.results();
        if as_json {
            serde_json::to_writer(&mut out, &self.json())?;
            writeln!(out)?;
        } else if !console.quiet {
            for (name, total, parts) in self.lines() {
                let label = console.colors.heading;
                let line = format!("{total:>13}   {parts}");
                writeln!(out, "{label}{name:<8}{label:#} {}", line.trim_end())?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// When the run ended.
    pub(super) fn ended(&self) -> Timestamp {
        Timestamp(self.started.0 + self.time.as_millis() as i64)
    }

    fn lines(&self) -> Vec<(&'static str, String, String)> {
        let summary = self.summary;
        let files = parts(&[
            (summary.read, "read"),
            (summary.grown, "of them grown"),
            (summary.known, "known already"),
            (summary.unchanged, "unchanged"),
            (summary.empty, "empty"),
            (summary.header_only, "with a header only"),
            (summary.evidence, "evidence"),
            (summary.foreign, "neither log nor evidence"),
        ]);
        let rows = format!(
            "{} kept, {} rejected, {} pending",
            amount::count(summary.kept),
            amount::count(summary.rejected),
            amount::count(summary.pending)
        );
        let sessions = parts(&[
            (summary.sessions, "whole"),
            (summary.open, "still open"),
            (summary.incomplete, "incomplete"),
            (summary.expired, "of them expired"),
            (summary.taken_again, "taken again"),
        ]);
        let kept = match summary.kept_bytes {
            0 => String::new(),
            bytes => format!(", {} kept", amount::bytes(bytes)),
        };
        let bytes = format!(
            "{} stored{kept}, in {}, {}",
            amount::bytes(summary.stored_bytes),
            amount::seconds(self.time),
            amount::rate(summary.bytes, self.time)
        );
        let evidence = summary.evidence_kinds.iter().map(|(kind, files)| amount::counted(*files, kind));
        let evidence = evidence.collect::<Vec<_>>().join(", ");
        let mut lines = vec![
            ("files", amount::count(summary.files), files),
            ("rows", amount::count(summary.rows()), rows),
            ("sessions", amount::count(self.sessions()), sessions),
            ("bytes", amount::bytes(summary.bytes), bytes),
        ];
        if summary.evidence > 0 {
            lines.insert(1, ("evidence", amount::count(summary.evidence), evidence));
        }
        lines
    }

    fn sessions(&self) -> u64 {
        self.summary.sessions + self.summary.open + self.summary.incomplete
    }

    /// Sessions that the store did not have before.
    pub(super) fn new_sessions(&self) -> u64 {
        self.sessions().saturating_sub(self.summary.replaced)
    }

    fn print_findings(&self, console: &Console) {
        let Findings { warnings, notes } = self.findings(console);
        warnings.iter().for_each(|text| console.warn(text));
        notes.iter().for_each(|text| console.note(text));
        let reported = self.summary.problems.iter().filter(|problem| problem.reported).count();
        if reported > 0 && !console.verbose {
            let problems = amount::counted(reported as u64, "problem");
            console.note(&format!("{problems} reported by an earlier run, of the same files; -v names all"));
        }
    }

    /// What is to be known beside the counts. What an earlier run reported is named only if everything is.
    pub(super) fn findings(&self, console: &Console) -> Findings {
        let summary = self.summary;
        let problems = summary.problems.iter().filter(|problem| console.verbose || !problem.reported);
        let limits = self.limits_reached().into_iter().filter(|(count, _)| *count > 0);
        let limits = limits.map(|(count, text)| format!("{} {text}", amount::count(count)));
        let warnings = problems.map(problem_line).chain(limits).collect();
        let most = if console.verbose { usize::MAX } else { NAMED_MAX };
        let mut notes: Vec<String> =
            summary.rejected_rows.iter().take(most).map(|rejected| rejected_line(rejected, most)).collect();
        notes.extend(rest(summary.rejected_rows.len(), most, "with rejected rows"));
        notes.extend(summary.notices.iter().take(most).map(|notice| format!("{}: {}", notice.file, notice.text)));
        notes.extend(rest(summary.notices.len(), most, "to know of"));
        notes.extend(self.emptiness());
        Findings { warnings, notes }
    }

    /// A newcomer who names the wrong folder shall not wonder.
    fn emptiness(&self) -> Option<String> {
        let summary = self.summary;
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let paths = paths.join(", ");
        if summary.files == 0 && summary.problems.is_empty() {
            return Some(format!("there are no files in {paths}"));
        }
        (summary.files > 0 && summary.foreign == summary.files).then(|| {
            format!(
                "none of the files in {paths} is an SMTP protocol log; Exchange keeps them in \
                 TransportRoles\\Logs\\...\\ProtocolLog, named SEND*.LOG and RECV*.LOG"
            )
        })
    }

    fn limits_reached(&self) -> [(u64, &'static str); 4] {
        let summary = self.summary;
        [
            (summary.sessions_cut, "sessions were cut because they are too large"),
            (summary.open_sessions_flushed, "times a log had too many sessions open at once"),
            (summary.closed_early, "sessions were closed early because too many waited for the rest of their rows"),
            (summary.certificates_dropped, "certificates are known by thumbprint only because there are too many"),
        ]
    }

    /// The run as one object, for `--json`, `--summary` and the catalog.
    pub(super) fn json(&self) -> Value {
        let summary = self.summary;
        json!({
            "v": 1,
            "files": summary.files, "read": summary.read, "grown": summary.grown, "known": summary.known,
            "unchanged": summary.unchanged, "empty": summary.empty, "header_only": summary.header_only,
            "foreign": summary.foreign,
            "evidence": summary.evidence, "facts": summary.facts, "evidence_rejected": summary.evidence_rejected,
            "rows": summary.rows(), "kept": summary.kept, "rejected": summary.rejected, "pending": summary.pending,
            "sessions": self.sessions(), "whole": summary.sessions, "open": summary.open,
            "incomplete": summary.incomplete, "expired": summary.expired,
            "taken_again": summary.taken_again, "kept_bytes": summary.kept_bytes,
            "new_sessions": self.new_sessions(), "duplicates": summary.known,
            "bytes": summary.bytes, "stored_bytes": summary.stored_bytes, "seconds": self.time.as_secs_f64(),
            "bytes_per_second": (summary.bytes as f64 / self.time.as_secs_f64().max(1e-9)) as u64,
            "limits": {
                "sessions_cut": summary.sessions_cut, "open_sessions_flushed": summary.open_sessions_flushed,
                "closed_early": summary.closed_early, "certificates_dropped": summary.certificates_dropped,
            },
            "problems": summary.problems.iter().map(problem_json).collect::<Vec<_>>(),
            "rejected_rows": summary.rejected_rows.iter().map(rejected_json).collect::<Vec<_>>(),
            "notices": summary.notices.iter()
                .map(|notice| json!({ "file": notice.file, "text": notice.text })).collect::<Vec<_>>(),
            "started": self.started, "ended": self.ended(), "exit_code": self.exit_code, "error": self.error,
        })
    }
}

/// The counts that are not zero.
fn parts(counts: &[(u64, &str)]) -> String {
    let shown = counts.iter().filter(|(count, _)| *count > 0);
    let shown: Vec<String> = shown.map(|(count, what)| format!("{} {what}", amount::count(*count))).collect();
    shown.join(", ")
}

fn rest(count: usize, most: usize, what: &str) -> Option<String> {
    (count > most).then(|| {
        let more = amount::counted((count - most) as u64, "more file");
        format!("... and {more} {what}; -v names all")
    })
}

fn problem_line(problem: &Problem) -> String {
    let at = problem.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    let what = match problem.kind {
        ProblemKind::Unreadable => "cannot be read",
        ProblemKind::Damaged => "is damaged",
        ProblemKind::Refused => "is refused",
    };
    format!("{} {what}{at}: {}", problem.file, problem.error)
}

fn rejected_line(rejected: &RejectedRows, most: usize) -> String {
    let places = rejected.positions.iter().take(most);
    let places: Vec<String> =
        places.map(|place| format!("{} at byte {}", place.rejection.as_str(), place.offset)).collect();
    let more = if places.len() as u64 == rejected.count { "" } else { ", ..." };
    format!("{}: {} rejected: {}{more}", rejected.file, amount::counted(rejected.count, "row"), places.join(", "))
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file, "offset": problem.offset, "kind": kind_name(problem.kind),
        "error": problem.error.to_string(), "reported": problem.reported,
    })
}

/// The name of a kind of problem in JSON and metrics.
pub(super) fn kind_name(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Unreadable => "unreadable",
        ProblemKind::Damaged => "damaged",
        ProblemKind::Refused => "refused",
    }
}

fn rejected_json(rejected: &RejectedRows) -> Value {
    let places = rejected.positions.iter();
    let places: Vec<Value> =
        places.map(|place| json!({ "offset": place.offset, "reason": place.rejection.as_str() })).collect();
    json!({ "file": rejected.file, "count": rejected.count, "positions": places })
}
