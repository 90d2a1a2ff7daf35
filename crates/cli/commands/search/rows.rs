//! `search --rows`: text in any row of the sessions found, accepted replies and commands included.
//!
//! The rows are those that the store keeps, or else the originals are read: each once, several at a time.

use std::{
    collections::HashMap,
    fs, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use ::index::{KeptRows, Store};
use ingest::transcript::{Original, OriginalRow, Wanted, rows_in, rows_of};
use smtplog::{Session, Timestamp};

use crate::{
    config::Settings,
    progress::{self, Done},
    render::sessions::Row,
};

/// What reading the originals gave.
pub(super) struct Found {
    /// Sessions with the text, and the first row that has it.
    pub(super) rows: Vec<Row>,
    /// Whether every original could be read.
    pub(super) is_whole: bool,
}

/// A row's number and time, and its text. Some logs have no numbers.
type Text = ((u32, Timestamp), String);

/// Where rows of some sessions lie.
struct Task {
    identity: [u8; 32],
    original: Original,
    kept: Option<KeptRows>,
    bytes: u64,
    wanted: Vec<Wanted>,
    /// The session of each of `wanted`, by its number.
    sessions: Vec<usize>,
}

/// Reads the originals of the sessions and keeps those with a row that has `text`, in any case.
pub(super) fn search(store: &Store, sessions: Vec<Session>, text: &str, settings: &Settings) -> anyhow::Result<Found> {
    let (mut tasks, unknown) = tasks(store, &sessions)?;
    tasks.iter_mut().try_for_each(|task| task.find_kept(store))?;
    for file in &unknown {
        settings.console.warn(&format!("{file}: the store does not know where this log lies"));
    }
    let text = text.to_lowercase();
    let total = tasks.iter().map(|task| task.bytes).sum();
    let bytes_done = AtomicU64::new(0);
    let next = AtomicUsize::new(0);
    let texts: Mutex<Vec<Option<Text>>> = Mutex::new(vec![None; sessions.len()]);
    let errors = Mutex::new(Vec::new());
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = task.read(&text, &texts) {
                lock(&errors).push(format!("the original cannot be read: {}: {error}", task.original.path.display()));
            }
            bytes_done.fetch_add(task.bytes, Ordering::Relaxed);
        }
    };
    progress::shown(
        &settings.console,
        || Done { bytes: bytes_done.load(Ordering::Relaxed), total },
        || thread::scope(|scope| (0..settings.threads).for_each(|_| drop(scope.spawn(work)))),
    );
    let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    errors.sort();
    errors.iter().for_each(|error| settings.console.warn(error));
    let texts = texts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let rows = sessions.into_iter().zip(texts);
    let rows = rows.filter_map(|(session, text)| Some(Row { session, text: Some(text?.1) })).collect();
    Ok(Found { rows, is_whole: errors.is_empty() && unknown.is_empty() })
}

/// One task for each original, and the names of those that nobody knows any more.
fn tasks(store: &Store, sessions: &[Session]) -> anyhow::Result<(Vec<Task>, Vec<String>)> {
    let mut by_identity: HashMap<[u8; 32], Option<usize>> = HashMap::new();
    let (mut tasks, mut unknown) = (Vec::new(), Vec::new());
    for (number, session) in sessions.iter().enumerate() {
        for span in &session.sources {
            let task = match by_identity.get(&span.identity) {
                Some(task) => *task,
                None => {
                    let task = store.locate(&span.identity)?.map(|location| {
                        tasks.push(Task::new(span.identity, Original { path: location.path, member: location.member }));
                        tasks.len() - 1
                    });
                    if task.is_none() {
                        unknown.push(span.file.to_string());
                    }
                    by_identity.insert(span.identity, task);
                    task
                }
            };
            if let Some(task) = task.and_then(|task: usize| tasks.get_mut(task)) {
                task.wanted.push(Wanted::of(session, span));
                task.sessions.push(number);
            }
        }
    }
    Ok((tasks, unknown))
}

impl Task {
    fn new(identity: [u8; 32], original: Original) -> Task {
        Task { identity, original, kept: None, bytes: 0, wanted: Vec::new(), sessions: Vec::new() }
    }

    fn find_kept(&mut self, store: &Store) -> anyhow::Result<()> {
        let start = self.wanted.iter().map(|wanted| wanted.offset).min().unwrap_or(0);
        let end = self.wanted.iter().map(Wanted::end).max().unwrap_or(0);
        self.kept = store.kept_rows(&self.identity, start, end)?;
        self.bytes = match &self.kept {
            Some(kept) => kept.bytes(),
            None => fs::metadata(&self.original.path).map_or(0, |metadata| metadata.len()),
        };
        Ok(())
    }

    fn read(&self, text: &str, texts: &Mutex<Vec<Option<Text>>>) -> io::Result<()> {
        let found = |place: usize, found: &OriginalRow<'_>| {
            let row = [found.row.data, b" ", found.row.context].concat();
            let row = String::from_utf8_lossy(&row);
            if !row.to_lowercase().contains(text) {
                return;
            }
            let first = &mut lock(texts)[self.sessions[place]];
            // Of several rows the first, whichever thread comes first.
            let place = (found.row.sequence, found.row.time);
            if first.as_ref().is_none_or(|(first, _)| place < *first) {
                *first = Some((place, row.trim().to_owned()));
            }
        };
        match &self.kept {
            Some(kept) => rows_in(kept.pieces(), &self.wanted, found),
            None => rows_of(&self.original, &self.wanted, found),
        }
    }
}

/// A lock that only a panicked thread can have poisoned, and that panic ends the program.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
