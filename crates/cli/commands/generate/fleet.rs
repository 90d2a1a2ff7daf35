//! The fleet's files: compressed in the thread that made them, and written.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use ingest::compression::{Codec, encode, encode_zip};
use testlog::{GeneratedFile, Part, Plan, Summary, Totals};

use super::{CodecChoice, truth};

/// Raw bytes of an archive's members before the next archive begins; they wait in memory.
const ARCHIVE_BYTES_MAX: usize = 64 << 20;

/// Days of one server whose archives are open: streams finish their files one after the other.
const ARCHIVES_OPEN_MAX: usize = 2;

/// Takes what the generator makes.
pub(super) struct Fleet<'a> {
    out: &'a Path,
    truth: &'a Path,
    codec: CodecChoice,
    raw_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    /// Where each log lies, by its path in the truth.
    stored: Mutex<BTreeMap<String, String>>,
    archives: Mutex<HashMap<String, Archives>>,
}

/// One server's archives.
#[derive(Default)]
struct Archives {
    open: BTreeMap<String, Members>,
    /// Archives written so far, by day.
    written: BTreeMap<String, u32>,
}

/// What waits to become an archive.
#[derive(Default)]
struct Members {
    files: Vec<GeneratedFile>,
    bytes: usize,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(out: &'a Path, truth: &'a Path, codec: CodecChoice) -> Fleet<'a> {
        Fleet {
            out,
            truth,
            codec,
            raw_bytes: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            stored: Mutex::default(),
            archives: Mutex::default(),
        }
    }

    /// Bytes taken so far, before compression.
    pub(super) fn raw_bytes(&self) -> u64 {
        self.raw_bytes.load(Ordering::Relaxed)
    }

    /// Bytes written so far.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// Takes a part; called from many threads, for one server from one only.
    pub(super) fn deliver(&self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Sessions { server, ndjson } => truth::append_sessions(self.truth, server, &ndjson),
            Part::Log(file) => {
                self.raw_bytes.fetch_add(file.bytes.len() as u64, Ordering::Relaxed);
                self.log(file)
            }
        }
    }

    /// Writes what still waits, the evidence, and the truth; `is_planted` if there are causes to tell.
    pub(super) fn finish(&self, plan: &Plan, summary: Summary, is_planted: bool) -> anyhow::Result<Totals> {
        let servers = std::mem::take(&mut *lock(&self.archives));
        for (server, mut archives) in servers {
            while let Some((name, members)) = archives.take_first() {
                self.write_archive(&server, &name, members)?;
            }
        }
        for file in &summary.evidence {
            self.write(&file.path, &file.bytes)?;
        }
        truth::write(self.truth, plan.servers, &summary, &lock(&self.stored))?;
        if is_planted {
            truth::write_cases(self.truth, &summary)?;
        }
        Ok(summary.totals)
    }

    fn log(&self, file: GeneratedFile) -> anyhow::Result<()> {
        let codec = match self.codec {
            CodecChoice::Plain => Codec::Plain,
            CodecChoice::Zst => Codec::Zstd,
            CodecChoice::Gz => Codec::Gzip,
            CodecChoice::Zip => Codec::Zip,
            CodecChoice::Mix => codec_by_name(&file.path),
        };
        match (codec, place_of(&file.path)) {
            (Codec::Zip, Some((server, day))) => {
                let (server, day) = (server.to_owned(), day.to_owned());
                self.archive(server, day, file)
            }
            (Codec::Zip, None) => self.single(Codec::Plain, file),
            _ => self.single(codec, file),
        }
    }

    fn single(&self, codec: Codec, file: GeneratedFile) -> anyhow::Result<()> {
        let stored = format!("{}{}", file.path, codec.suffix());
        let bytes = encode(codec, &file.bytes).with_context(|| format!("cannot compress {stored}"))?;
        self.write(&stored, &bytes)?;
        lock(&self.stored).insert(file.path, stored);
        Ok(())
    }

    fn archive(&self, server: String, day: String, file: GeneratedFile) -> anyhow::Result<()> {
        let full = {
            let mut servers = lock(&self.archives);
            let archives = servers.entry(server.clone()).or_default();
            let members = archives.open.entry(day.clone()).or_default();
            members.bytes += file.bytes.len();
            members.files.push(file);
            if members.bytes >= ARCHIVE_BYTES_MAX {
                archives.take(&day)
            } else if archives.open.len() > ARCHIVES_OPEN_MAX {
                archives.take_first()
            } else {
                None
            }
        };
        full.map_or(Ok(()), |(name, members)| self.write_archive(&server, &name, members))
    }

    fn write_archive(&self, server: &str, name: &str, members: Members) -> anyhow::Result<()> {
        let inside = |file: &GeneratedFile| file.path[server.len() + 1..].to_owned();
        let names: Vec<String> = members.files.iter().map(inside).collect();
        let contents = members.files.iter().map(|file| &file.bytes[..]);
        let pairs: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(contents).collect();
        let stored = format!("{server}/{name}");
        let bytes = encode_zip(&pairs).with_context(|| format!("cannot compress {stored}"))?;
        self.write(&stored, &bytes)?;
        let mut places = lock(&self.stored);
        for (file, name) in members.files.into_iter().zip(names) {
            places.insert(file.path, format!("{stored}/{name}"));
        }
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path: PathBuf = self.out.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        self.stored_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Archives {
    fn take_first(&mut self) -> Option<(String, Members)> {
        let day = self.open.keys().next()?.clone();
        self.take(&day)
    }

    /// The day's members and the name of their archive. Only digits and dashes: the stem must not pass for a server.
    fn take(&mut self, day: &str) -> Option<(String, Members)> {
        let members = self.open.remove(day)?;
        let number = self.written.entry(day.to_owned()).or_default();
        *number += 1;
        Some((format!("{day}-{number}.zip"), members))
    }
}

/// Server and day of `EX001/SmtpSend/SEND2024030106-1.LOG`; `None` for files that are no logs.
fn place_of(path: &str) -> Option<(&str, &str)> {
    let (server, _) = path.split_once('/')?;
    let name = path.rsplit('/').next()?;
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let day = name.get(digits..digits + 8).filter(|day| day.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((server, day))
}

/// Each of the codecs in turn, by FNV-1a over the path, so that equal plans give equal fleets.
fn codec_by_name(path: &str) -> Codec {
    const CODECS: [Codec; 4] = [Codec::Plain, Codec::Zstd, Codec::Gzip, Codec::Zip];
    let hash = path
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    CODECS[(hash >> 32) as usize % CODECS.len()]
}

/// A lock that only a panicked thread can have poisoned, and that panic ends the program.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place_of("EX001/SmtpSend/SEND2024030106-1.LOG"), Some(("EX001", "20240301")));
        assert_eq!(place_of("EX001/SmtpSend/RECV20240301-12.LOG"), Some(("EX001", "20240301")));
        assert_eq!(place_of("EX001/notes.txt"), None);
        assert_eq!(place_of("SEND20240301-1.LOG"), None);
    }

    #[test]
    fn mixed_fleets_have_every_codec() {
        let codecs = (1..40).map(|number| codec_by_name(&format!("EX001/SmtpSend/SEND20240301-{number}.LOG")));
        assert_eq!(codecs.collect::<std::collections::BTreeSet<_>>().len(), 4);
    }
}
