//! Originals: whether the logs still are what was read of them.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rustc_hash::FxHashMap;

use crate::{
    compression::decoder,
    discover::Source,
    identity::{ContentHash, ContentHasher},
    open::{Archive, Stored, with_stored},
    pipeline::lock,
    transcript::Original,
};

/// Decompressed bytes that are hashed at once.
const BLOCK_BYTES: usize = 256 << 10;

/// What a run recorded of a source.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it was seen last.
    pub original: Original,
    /// Decompressed bytes consumed.
    pub consumed: u64,
    /// Their hash.
    pub hash: ContentHash,
}

/// What became of it.
#[derive(Debug)]
pub enum State {
    /// Its content is as it was read; it may have grown.
    Same,
    /// It is not there any more.
    Gone,
    /// Something else is in its place.
    Changed,
    /// It cannot be read.
    Unreadable(io::Error),
}

/// Reads every original again, as far as it was consumed, and compares. `bytes_done` counts decompressed bytes.
pub fn check(
    recorded: &[Recorded],
    threads: usize,
    bytes_done: &AtomicU64,
) -> Result<Vec<State>, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
    // Members of one archive go to one worker, which reads its directory once.
    let mut by_path: FxHashMap<&PathBuf, Vec<usize>> = FxHashMap::default();
    for (at, one) in recorded.iter().enumerate() {
        by_path.entry(&one.original.path).or_default().push(at);
    }
    let files: Vec<Vec<usize>> = by_path.into_values().collect();
    let (next, states) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(recorded.len())));
    pool.broadcast(|_| {
        while let Some(places) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let checked = check_file(places, recorded, bytes_done);
            lock(&states).extend(checked);
        }
    });
    let mut states = states.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    states.sort_unstable_by_key(|(at, _)| *at);
    Ok(states.into_iter().map(|(_, state)| state).collect())
}

fn check_file(places: &[usize], recorded: &[Recorded], bytes_done: &AtomicU64) -> Vec<(usize, State)> {
    let mut archive: Option<(Arc<Archive>, FxHashMap<String, usize>)> = None;
    let mut state = |one: &Recorded| -> io::Result<bool> {
        let mut source = Original { path: one.original.path.clone(), member: None }.source()?;
        if let Some(member) = &one.original.member {
            let (archive, members) = match &archive {
                Some(known) => known,
                None => archive.insert(members_of(&one.original.path)?),
            };
            let number = *members.get(member).ok_or(io::ErrorKind::NotFound)?;
            source.member = Some((Arc::clone(archive), number));
        }
        Ok(hash_of(&source, one.consumed, bytes_done)? == Some(one.hash))
    };
    let state = |&at: &usize| match state(&recorded[at]) {
        Ok(true) => (at, State::Same),
        Ok(false) => (at, State::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (at, State::Gone),
        Err(error) => (at, State::Unreadable(error)),
    };
    places.iter().map(state).collect()
}

fn members_of(path: &Path) -> io::Result<(Arc<Archive>, FxHashMap<String, usize>)> {
    let archive = Archive::open(path)?;
    // A member with a path that leaves the archive was never read.
    let member = |number| Some((archive.member(number).ok()??.name, number));
    let members = (0..archive.len()).filter_map(member).collect();
    Ok((Arc::new(archive), members))
}

/// The hash of a source's first bytes; `None` if there are not so many.
fn hash_of(source: &Source, mut left: u64, bytes_done: &AtomicU64) -> io::Result<Option<ContentHash>> {
    let mut hasher = ContentHasher::default();
    let mut hash = |stream: &mut dyn Read| {
        let mut block = vec![0; BLOCK_BYTES];
        while left > 0 {
            let room = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            match stream.read(&mut block[..room]) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    hasher.update(&block[..count]);
                    left -= count as u64;
                    bytes_done.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(hasher.hash()))
    };
    with_stored(source, false, |stored| match stored {
        Stored::Mapped(bytes) => hash(&mut decoder(bytes, source.stored_bytes)?),
        Stored::Stream(stream) => hash(&mut decoder(stream, source.stored_bytes)?),
    })
}
