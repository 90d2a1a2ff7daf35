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
use smtplog::reader::LINE_BYTES_MAX;

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
    let mut opener = Opener::default();
    let mut is_same = |one: &Recorded| {
        opener.copy(one, Copied { from: 0, last_line: false }, |bytes| {
            bytes_done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(())
        })
    };
    let state = |&at: &usize| match is_same(&recorded[at]) {
        Ok(true) => (at, State::Same),
        Ok(false) => (at, State::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (at, State::Gone),
        Err(error) => (at, State::Unreadable(error)),
    };
    places.iter().map(state).collect()
}

/// What is copied of an original.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Decompressed bytes before this are only compared.
    pub from: u64,
    /// Whether a last line without its end is copied, too, which is not among the bytes consumed.
    pub last_line: bool,
}

/// Opens originals one after the other. An archive's directory is read once for members that follow one another.
#[derive(Default)]
pub struct Opener {
    archive: Option<(PathBuf, Arc<Archive>, FxHashMap<String, usize>)>,
}

impl Opener {
    /// Reads an original as far as it was consumed and gives bytes of it away. Whether they are what was recorded shows
    /// at the end.
    pub fn copy(
        &mut self,
        recorded: &Recorded,
        copied: Copied,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let source = self.source(&recorded.original)?;
        with_stored(&source, false, |stored| match stored {
            Stored::Mapped(bytes) => copy(&mut decoder(bytes, source.stored_bytes)?, recorded, copied, &mut each),
            Stored::Stream(stream) => copy(&mut decoder(stream, source.stored_bytes)?, recorded, copied, &mut each),
        })
    }

    fn source(&mut self, original: &Original) -> io::Result<Source> {
        let mut source = Original { path: original.path.clone(), member: None }.source()?;
        if let Some(member) = &original.member {
            let (archive, members) = self.archive(&original.path)?;
            let number = *members.get(member).ok_or(io::ErrorKind::NotFound)?;
            source.member = Some((Arc::clone(archive), number));
        }
        Ok(source)
    }

    fn archive(&mut self, path: &Path) -> io::Result<(&Arc<Archive>, &FxHashMap<String, usize>)> {
        if self.archive.as_ref().is_none_or(|(known, ..)| known != path) {
            let archive = Archive::open(path)?;
            // A member with a path that leaves the archive was never read.
            let member = |number| Some((archive.member(number).ok()??.name, number));
            let members = (0..archive.len()).filter_map(member).collect();
            self.archive = Some((path.to_owned(), Arc::new(archive), members));
        }
        let known = self.archive.as_ref().map(|(_, archive, members)| (archive, members));
        known.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn copy(
    stream: &mut dyn Read,
    recorded: &Recorded,
    copied: Copied,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut hasher = ContentHasher::default();
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    while at < recorded.consumed {
        let room = usize::try_from(recorded.consumed - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let count = match stream.read(&mut block[..room]) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&block[..count]);
        let known = usize::try_from(copied.from.saturating_sub(at)).map_or(count, |known| known.min(count));
        if known < count {
            each(&block[known..count])?;
        }
        at += count as u64;
    }
    if hasher.hash() != recorded.hash {
        return Ok(false);
    }
    if copied.last_line {
        let mut line = Vec::new();
        stream.take(LINE_BYTES_MAX as u64).read_to_end(&mut line)?;
        line.truncate(line.iter().position(|&byte| byte == b'\n').map_or(line.len(), |end| end + 1));
        each(&line)?;
    }
    Ok(true)
}
