//! Any bytes as a stored file, and any damage to a compressed one: read to where it breaks, and said so.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use ingest::{
    IncompleteSession, Limits, NothingKnown, Options, Progress, Sink,
    compression::{Codec, encode},
    run,
    summary::Summary,
};
use smtplog::{Session, SessionId, Timestamp};

const CODECS: [Codec; 3] = [Codec::Zstd, Codec::Gzip, Codec::Zip];

/// The first two bytes choose a codec and a place to damage; the others are a file.
pub fn hold(bytes: &[u8]) {
    let Some((&[choice, place], file)) = bytes.split_first_chunk() else { return };
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let folder = Folder::new();

    let plain = folder.ingest(file, Mapping::Off);
    assert_eq!(plain, folder.ingest(file, Mapping::On), "mapped and read differ");
    if Codec::of_magic(file) != Codec::Plain {
        return; // Compressed once more it would be refused.
    }
    let compressed = encode(codec, file).expect("memory takes every byte");
    assert_eq!(plain, folder.ingest(&compressed, Mapping::Off), "{codec:?} changed the answer");

    let at = usize::from(place) * compressed.len() / 256;
    let cut = folder.ingest(&compressed[..at], Mapping::Off);
    assert!(cut.kept <= plain.kept, "a cut file has more rows");
    let has_rows = cut.kept + cut.rejected > 0;
    assert!(cut.is_damaged || !has_rows, "rows were lost in silence");

    let mut flipped = compressed;
    if let Some(byte) = flipped.get_mut(at) {
        *byte ^= 1 << (choice >> 5);
    }
    folder.ingest(&flipped, Mapping::Off);
}

/// What does not depend on how the bytes were stored.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    kept: u64,
    rejected: u64,
    is_damaged: bool,
    sessions: Vec<(SessionId, u64, Timestamp)>,
}

enum Mapping {
    On,
    Off,
}

/// A folder of this process and call, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Memory, where there is such a folder: a disk would be the slowest part by far.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let name = format!("smtptrail-fuzz-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(parent.join(name));
        fs::create_dir(&folder.0).expect("a folder of a new name can be made");
        folder
    }

    /// Ingests the bytes as a file given by name.
    fn ingest(&self, bytes: &[u8], mapping: Mapping) -> Found {
        let path = self.0.join("RECV20240301-1.LOG");
        fs::write(&path, bytes).expect("the folder is ours");
        let options = Options {
            threads: 1,
            server: Some("EX1".to_owned()),
            role: None,
            servers: Vec::new(),
            mapping: matches!(mapping, Mapping::On),
            limits: Limits::default(),
        };
        let outcome =
            run(&[path], &options, &NothingKnown, &Progress::default(), Sessions::default).expect("one thread");
        let open = outcome.open.into_iter().map(|incomplete| incomplete.session);
        let sessions: Vec<Session> = outcome.sinks.into_iter().flat_map(|sink| sink.0).chain(open).collect();
        Found::new(&outcome.summary, sessions)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Found {
    fn new(summary: &Summary, sessions: Vec<Session>) -> Found {
        let rows: u64 = sessions.iter().map(|session| session.records).sum();
        assert_eq!(rows, summary.kept, "every kept row is in one session");
        let mut sessions: Vec<_> =
            sessions.iter().map(|session| (session.session, session.records, session.started)).collect();
        sessions.sort_unstable();
        let is_damaged = !summary.problems.is_empty();
        Found { kept: summary.kept, rejected: summary.rejected, is_damaged, sessions }
    }
}

#[derive(Default)]
struct Sessions(Vec<Session>);

impl Sink for Sessions {
    fn session(&mut self, session: Session) {
        self.0.push(session);
    }

    fn incomplete(&mut self, incomplete: IncompleteSession) {
        self.0.push(incomplete.session);
    }
}
