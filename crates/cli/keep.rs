//! Keeping rows: what a run has read of its logs is copied into the store, so that transcripts outlive them.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context;
use index::{RowsFile, RowsWriter, StoreError, Writer};
use ingest::{
    SourceOutcome,
    originals::{Copied, Opener, Recorded},
    summary::{Notice, Summary},
    transcript::Original,
};

/// Copies what was read of the sources, each worker into a file of its own. What cannot be copied is noted, and its
/// sessions have transcripts for as long as their logs are there.
pub(crate) fn keep(
    writer: &Writer,
    sources: &[SourceOutcome],
    threads: usize,
    summary: &mut Summary,
) -> anyhow::Result<Vec<RowsFile>> {
    let is_new = |source: &&SourceOutcome| source.read_from.is_some() || source.provisional > 0;
    let mut sources: Vec<&SourceOutcome> = sources.iter().filter(is_new).collect();
    // An archive's members follow one another, so its directory is read once by each worker.
    sources.sort_by(|a, b| (&a.stamp.path, &a.member, a.consumed).cmp(&(&b.stamp.path, &b.member, b.consumed)));
    let next = AtomicUsize::new(0);
    let notices = Mutex::new(Vec::new());
    let work = || -> Result<Option<RowsFile>, StoreError> {
        let (mut rows, mut opener) = (writer.rows_writer()?, Opener::default());
        while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(text) = copy(source, &mut rows, &mut opener)? {
                let notice = Notice { file: source.file.to_string(), text };
                notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
            }
        }
        rows.finish()
    };
    let files = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(Ok(None))).collect::<Result<Vec<_>, _>>()
    });
    summary.notices.extend(notices.into_inner().unwrap_or_else(PoisonError::into_inner));
    summary.sort();
    Ok(files.context("cannot keep the rows")?.into_iter().flatten().collect())
}

/// Copies a source; says why if it cannot be read, and fails only if the store cannot be written.
fn copy(source: &SourceOutcome, rows: &mut RowsWriter, opener: &mut Opener) -> Result<Option<String>, StoreError> {
    if source.stamp.path.as_os_str() == "-" {
        return Ok(Some("standard input can be read only once; its rows are not kept".to_owned()));
    }
    let recorded = Recorded {
        original: Original { path: source.stamp.path.clone(), member: source.member.clone() },
        consumed: source.consumed,
        hash: source.hash,
    };
    let from = source.read_from.unwrap_or(source.consumed);
    rows.begin(source.identity.0, from);
    let mut error = None;
    let copied = Copied { from, last_line: source.provisional > 0 };
    let is_same = opener.copy(&recorded, copied, |bytes| {
        rows.add(bytes).map_err(|cause| {
            error = Some(cause);
            io::Error::other("the store cannot be written")
        })
    });
    match (is_same, error) {
        (_, Some(error)) => Err(error),
        (Ok(true), None) => rows.confirm().map(|()| None),
        (Ok(false), None) => Ok(Some("changed while it was read; its rows are not kept".to_owned())),
        (Err(error), None) => Ok(Some(format!("cannot be read again to keep its rows: {error}"))),
    }
}
