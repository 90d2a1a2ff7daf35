//! Files and standard output.
//!
//! A file that is made in one go appears under its name when it is whole. A file that an export under a name goes on with
//! is appended to: the catalog knows how many of its bytes were confirmed, and what stands behind them, written before
//! somebody pulled the plug, is compared with what is to be written and not written twice.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use export::Framing;
use index::fault::export_point;

use super::{Batch, Receiver, Taken};

/// Bytes behind the confirmed ones that are compared; an export notes its progress after a quarter of that.
const EXCESS_MAX: u64 = 256 << 20;

/// Writes a batch in its frame.
fn write_batch(out: &mut impl Write, batch: &Batch, framing: Framing) -> io::Result<()> {
    match framing {
        Framing::Lines | Framing::Columns => out.write_all(&batch.bytes),
        Framing::List(begin, end) => {
            out.write_all(begin.as_bytes())?;
            for (at, record) in batch.records().enumerate() {
                out.write_all(if at > 0 { b"," } else { b"" })?;
                out.write_all(record)?;
            }
            out.write_all(end.as_bytes())?;
            out.write_all(b"\n")
        }
    }
}

/// Standard output.
pub(crate) struct Standard {
    framing: Framing,
    out: io::Stdout,
}

impl Standard {
    /// Standard output for records in such a frame.
    pub(crate) fn new(framing: Framing, header: &[u8]) -> anyhow::Result<Standard> {
        let mut standard = Standard { framing, out: io::stdout() };
        standard.out.write_all(header)?;
        Ok(standard)
    }
}

impl Receiver for Standard {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let mut out = self.out.lock();
        write_batch(&mut out, batch, self.framing)?;
        out.flush()?;
        Ok(Taken::default())
    }
}

/// What is no regular file, a pipe or a device: it is written to, and never replaced.
pub(crate) struct Through {
    framing: Framing,
    path: PathBuf,
    out: File,
}

impl Through {
    /// Opens it.
    pub(crate) fn new(path: &Path, framing: Framing, header: &[u8]) -> anyhow::Result<Through> {
        let context = || format!("cannot write {}", path.display());
        let mut out = OpenOptions::new().write(true).open(path).with_context(context)?;
        out.write_all(header).with_context(context)?;
        Ok(Through { framing, path: path.to_owned(), out })
    }
}

impl Receiver for Through {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let written = write_batch(&mut self.out, batch, self.framing);
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(Taken::default())
    }
}

/// Whether something is there that is no regular file.
pub(crate) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file())
}

/// A file that takes the place of the one of its name once it is whole. A link stays one, and a file keeps its
/// permissions.
pub(crate) struct Replaced {
    framing: Framing,
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    is_finished: bool,
}

impl Replaced {
    /// Begins a file.
    pub(crate) fn new(path: &Path, framing: Framing, header: &[u8]) -> anyhow::Result<Replaced> {
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
        let partial = path.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let file = File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
        if let Ok(before) = fs::metadata(path) {
            // Whoever may not read the old one must not read the new one either.
            let kept = file.set_permissions(before.permissions());
            kept.with_context(|| format!("cannot write {}", partial.display()))?;
        }
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(header)?;
        Ok(Replaced { framing, path: path.to_owned(), partial, out, is_finished: false })
    }
}

impl Receiver for Replaced {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        export_point("export.write")?;
        let written = write_batch(&mut self.out, batch, self.framing);
        written.with_context(|| format!("cannot write {}", self.partial.display()))?;
        export_point("export.written")?;
        Ok(Taken::default())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        self.out.flush().with_context(context)?;
        fs::rename(&self.partial, &self.path).with_context(context)?;
        self.is_finished = true;
        Ok(export_point("export.confirmed")?)
    }
}

/// Half a file is none.
impl Drop for Replaced {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// A file that an export goes on with.
pub(crate) struct Appended {
    framing: Framing,
    path: PathBuf,
    file: File,
    /// Bytes that hold what is handed over.
    length: u64,
    /// Bytes behind them that stand there already.
    excess: Vec<u8>,
    /// How many of these were met again.
    met: usize,
}

impl Appended {
    /// Opens a file of which `confirmed` bytes are known to be whole; `None` if nothing is known of it.
    pub(crate) fn open(
        path: &Path,
        confirmed: Option<u64>,
        framing: Framing,
        header: &[u8],
    ) -> anyhow::Result<Appended> {
        let context = || format!("cannot write {}", path.display());
        if is_special(path) {
            bail!("{} is no regular file, and only of such a file it is known how far it has come", path.display());
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).with_context(context)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!("{} is being written by another export", path.display());
        }
        let found = file.metadata().with_context(context)?.len();
        // A file that has become shorter is another one: somebody rotates it.
        let length = confirmed.filter(|&confirmed| confirmed <= found).unwrap_or(found);
        let mut excess = Vec::new();
        if found - length > EXCESS_MAX {
            file.set_len(length).with_context(context)?;
        } else {
            file.seek(SeekFrom::Start(length)).with_context(context)?;
            file.read_to_end(&mut excess).with_context(context)?;
        }
        file.seek(SeekFrom::Start(length)).with_context(context)?;
        let mut appended = Appended { framing, path: path.to_owned(), file, length, excess, met: 0 };
        if length == 0 {
            appended.append(header)?;
        }
        Ok(appended)
    }

    fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        let left = &self.excess[self.met..];
        let same = left.len().min(bytes.len());
        let (known, new) = if left[..same] == bytes[..same] { bytes.split_at(same) } else { (&bytes[..0], bytes) };
        self.met += known.len();
        self.length += known.len() as u64;
        if !new.is_empty() {
            if self.met < self.excess.len() {
                // What stands there is not what comes now, or only the beginning of a line.
                self.file.set_len(self.length).with_context(context)?;
            }
            (self.excess, self.met) = (Vec::new(), 0);
            self.file.seek(SeekFrom::Start(self.length)).with_context(context)?;
            self.file.write_all(new).with_context(context)?;
            self.length += new.len() as u64;
        }
        Ok(())
    }
}

impl Receiver for Appended {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        export_point("export.write")?;
        match self.framing {
            Framing::Lines => self.append(&batch.bytes)?,
            _ => {
                let mut framed = Vec::with_capacity(batch.bytes.len() + 256);
                write_batch(&mut framed, batch, self.framing)?;
                self.append(&framed)?;
            }
        }
        export_point("export.written")?;
        Ok(Taken::default())
    }

    fn settle(&mut self) -> anyhow::Result<Option<u64>> {
        self.file.sync_data().with_context(|| format!("cannot write {}", self.path.display()))?;
        export_point("export.confirmed")?;
        Ok(Some(self.length))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        if self.met < self.excess.len() {
            // Nothing more comes that it could be.
            self.file.set_len(self.length).with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for line in lines {
            batch.bytes.extend_from_slice(line.as_bytes());
            batch.bytes.push(b'\n');
            batch.ends.push(batch.bytes.len());
        }
        batch
    }

    #[track_caller]
    fn check(before: &str, confirmed: Option<u64>, batches: &[Batch], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        fs::write(&path, before).unwrap();
        let mut file = Appended::open(&path, confirmed, Framing::Lines, b"head\n").unwrap();
        for batch in batches {
            file.send(batch).unwrap();
        }
        assert_eq!(file.settle().unwrap(), Some(expected.len() as u64));
        Box::new(file).finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn what_stands_there_is_not_written_twice() {
        check("", None, &[batch(&["a", "b"])], "head\na\nb\n");
        // Killed after the write and before the catalog knew, in the middle of a line, and in the middle of the head.
        check("head\na\nb\n", Some(5), &[batch(&["a", "b"]), batch(&["c"])], "head\na\nb\nc\n");
        check("head\na\nb", Some(5), &[batch(&["a", "bb"]), batch(&["c"])], "head\na\nbb\nc\n");
        check("he", Some(0), &[batch(&["a"])], "head\na\n");
        // One batch wrote what two bring now.
        check("head\na\nb\nc\n", Some(5), &[batch(&["a"]), batch(&["b", "c", "d"])], "head\na\nb\nc\nd\n");
        // Something else stands there, or more than comes.
        check("head\nx\ny\n", Some(5), &[batch(&["a"])], "head\na\n");
        check("head\na\nb\n", Some(5), &[batch(&["a"])], "head\na\n");
        // It was rotated away, or is somebody's whom nobody asked.
        check("", Some(500), &[batch(&["a"])], "head\na\n");
        check("old\n", None, &[batch(&["a"])], "old\na\n");
    }

    #[test]
    fn lists_are_joined() {
        let mut out = Vec::new();
        write_batch(&mut out, &batch(&["1", "2"]), Framing::List("[", "]")).unwrap();
        assert_eq!(out, b"[1,2]\n");
        assert_eq!(batch(&["a", ""]).records().collect::<Vec<_>>(), [&b"a"[..], b""]);
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.csv");
        let mut file = Replaced::new(&path, Framing::Lines, b"head\n").unwrap();
        file.send(&batch(&["a"])).unwrap();
        assert!(!path.exists());
        Box::new(file).finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "head\na\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
