//! One run: from the lock to what came of it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use index::Writer;
use ingest::{IncompleteSession, Limits, NothingKnown, Options, Progress, Sink, summary::Summary};
use smtplog::{Session, Timestamp};

use super::{IndexArgs, report::Report, waiting};
use crate::{
    ERROR_CODE, Outcome, beside,
    config::Settings,
    progress::{self, Done},
    store::{self, Extras, Failed, Record, Stopped},
};

/// What every run of this command does.
pub(super) struct Job<'a> {
    pub(super) args: &'a IndexArgs,
    pub(super) settings: &'a Settings,
    /// Set by a signal.
    pub(super) stop: Arc<AtomicBool>,
    options: Options,
}

/// What came of a run.
pub(super) struct Ran {
    clock: Clock,
    time: Duration,
    /// What was read; of a run that failed, as far as that is known.
    pub(super) summary: Summary,
    pub(super) result: anyhow::Result<Outcome>,
}

/// When a run began.
#[derive(Clone, Copy)]
struct Clock {
    started: Timestamp,
    begin: Instant,
}

impl Clock {
    fn start() -> Clock {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { started: Timestamp(since_1970.as_millis() as i64), begin: Instant::now() }
    }
}

impl<'a> Job<'a> {
    pub(super) fn new(args: &'a IndexArgs, settings: &'a Settings, stop: Arc<AtomicBool>) -> Job<'a> {
        let options = Options {
            threads: settings.threads,
            server: args.server.clone(),
            role: args.role,
            servers: settings.servers.clone(),
            mapping: !args.no_mmap,
            limits: Limits::default(),
        };
        Job { args, settings, stop, options }
    }

    /// Reads what is new. The lock is held no longer than that.
    pub(super) fn run(&self) -> Ran {
        let mut clock = Clock::start();
        let result = match check_paths(&self.args.paths) {
            Ok(()) if self.args.dry_run => self.dry_run(),
            Ok(()) => self.index(&mut clock),
            Err(error) => Err(error.into()),
        };
        let time = clock.begin.elapsed();
        match result {
            Ok(summary) => Ran { clock, time, result: Ok(self.outcome(&summary)), summary },
            Err(Failed { error, summary }) => {
                Ran { clock, time, result: Err(error), summary: summary.map(|one| *one).unwrap_or_default() }
            }
        }
    }

    /// The time that the run takes begins when the store is free.
    fn index(&self, clock: &mut Clock) -> Result<Summary, Failed> {
        let wait = self.args.wait.map(|patience| patience.unwrap_or(Duration::MAX));
        // A watch comes again anyway.
        let wait = wait.or(self.args.watch.map(|_| Duration::ZERO));
        let writer = waiting::open(&self.settings.store, wait, &self.settings.console, &self.stop)?;
        *clock = Clock::start();
        let text = |summary: &Summary| {
            let exit_code = self.outcome(summary).code();
            let (started, time) = (clock.started, clock.begin.elapsed());
            let report = Report { summary, error: None, exit_code, started, time, paths: &self.args.paths };
            report.json().to_string()
        };
        let keeps_rows = self.args.keep_transcripts || self.settings.keep_transcripts;
        let extras = Extras { takes_expired: self.args.reindex, keeps_rows };
        let record = Record { text: &text, idle_runs: self.args.watch.is_none() };
        let ran = self
            .with_progress(|progress| store::index(writer, &self.args.paths, &self.options, progress, extras, &record));
        if ran.is_err() {
            // Opening removes what no run published: it may be what fills the disk.
            drop(Writer::open(&self.settings.store));
        }
        ran
    }

    fn dry_run(&self) -> Result<Summary, Failed> {
        let read = |progress: &Progress| {
            ingest::run(&self.args.paths, &self.options, &NothingKnown, progress, || Discarded)
                .with_context(|| format!("cannot start {} threads", self.options.threads))
        };
        let mut outcome = self.with_progress(read)?;
        beside::read(&outcome.foreign, &self.options, &self.stop, &mut outcome.summary);
        match outcome.stopped {
            true => Err(Failed { error: Stopped.into(), summary: Some(Box::new(outcome.summary)) }),
            false => Ok(outcome.summary),
        }
    }

    fn with_progress<T>(&self, work: impl FnOnce(&Progress) -> T) -> T {
        let progress = Progress { stop: Arc::clone(&self.stop), ..Progress::default() };
        let done = || Done {
            bytes: progress.bytes_done.load(Ordering::Relaxed),
            total: progress.bytes_total.load(Ordering::Relaxed),
        };
        progress::shown(&self.settings.console, done, || work(&progress))
    }

    /// What is reported now is worth an exit code; what is known is not, unless asked for (CONTRACT 6).
    fn outcome(&self, summary: &Summary) -> Outcome {
        let is_lax = summary.problems.iter().all(|problem| problem.reported);
        let is_strict = summary.problems.is_empty() && summary.rejected == 0 && summary.read > 0;
        if is_strict || (is_lax && !self.args.strict) { Outcome::Done } else { Outcome::Partial }
    }
}

impl Ran {
    /// The run as it is reported.
    pub(super) fn report<'a>(&'a self, job: &Job<'a>) -> Report<'a> {
        Report {
            summary: &self.summary,
            error: self.result.as_ref().err().map(|error| format!("{error:#}")),
            exit_code: self.result.as_ref().map_or(ERROR_CODE, |outcome| outcome.code()),
            started: self.clock.started,
            time: self.time,
            paths: &job.args.paths,
        }
    }

    /// Whether it ended because it was told to.
    pub(super) fn is_stopped(&self) -> bool {
        self.result.as_ref().is_err_and(|error| error.is::<Stopped>())
    }
}

/// If nothing that was named can be looked at, nothing is done; otherwise the rest is read and the report names it.
fn check_paths(paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut error = None;
    for path in paths.iter().filter(|path| path.as_os_str() != "-") {
        match path.metadata() {
            Ok(_) => return Ok(()),
            Err(cause) => error = error.or(Some((path, cause))),
        }
    }
    match error {
        Some((path, cause)) if !paths.iter().any(|path| path.as_os_str() == "-") => {
            Err(cause).with_context(|| format!("cannot read {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Takes sessions and keeps none; the summary counts them.
struct Discarded;

impl Sink for Discarded {
    fn session(&mut self, _: Session) {}

    fn incomplete(&mut self, _: IncompleteSession) {}
}
