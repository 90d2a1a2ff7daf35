//! Bundles: the files of a split in one file, so that making it durable takes one fsync and reading it one map.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    ops::Range,
    path::Path,
    sync::Arc,
};

use rustc_hash::FxHashMap;
use tantivy::{
    Directory,
    directory::{
        DirectoryLock, FileHandle, FileSlice, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, LockError, OpenReadError, OpenWriteError},
    },
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    codec::{Decoder, put_number, put_text},
    fault,
};

/// The end of every split; its last character is the version of the layout.
const MAGIC: &[u8; 8] = b"SMTPTRL3";

/// The end of splits of the layout before, which lack columns but give their sessions back.
const MAGIC_BEFORE: &[u8; 8] = b"SMTPTRL2";

/// Which layout a split has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Current,
    /// The one before.
    Before,
}

impl Layout {
    fn magic(self) -> &'static [u8; 8] {
        match self {
            Layout::Current => MAGIC,
            Layout::Before => MAGIC_BEFORE,
        }
    }
}

/// Bytes after the table: its length, its hash, the magic.
const TAIL_BYTES: usize = 4 + 8 + 8;

/// Where a file lies, and the hash of its bytes.
#[derive(Clone, Debug)]
struct Entry {
    range: Range<usize>,
    hash: u64,
}

/// Writes files into one, makes it durable, and returns its size.
pub(super) fn write(path: &Path, files: &[(String, Vec<u8>)]) -> io::Result<u64> {
    fault::point_of("split.create", path.display())?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    fault::point_of("split.write", path.display())?;
    let mut table = Vec::new();
    let mut offset = 0u64;
    for (name, bytes) in files {
        out.write_all(bytes)?;
        put_text(&mut table, name.as_bytes());
        put_number(&mut table, offset);
        put_number(&mut table, bytes.len() as u64);
        table.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
        offset += bytes.len() as u64;
    }
    out.write_all(&table)?;
    out.write_all(&(table.len() as u32).to_le_bytes())?;
    out.write_all(&xxh3_64(&table).to_le_bytes())?;
    out.write_all(MAGIC)?;
    fault::point_of("split.flush", path.display())?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    fault::point_of("split.sync", path.display())?;
    file.sync_all()?;
    fault::point_of("split.synced", path.display())?;
    Ok(offset + (table.len() + TAIL_BYTES) as u64)
}

/// The files of a bundle, read in place; to tantivy it is a directory.
#[derive(Clone)]
pub(super) struct Bundle {
    bytes: OwnedBytes,
    entries: Arc<FxHashMap<Box<str>, Entry>>,
}

/// Makes a split what the layout before would have written.
#[cfg(test)]
pub(crate) fn write_as_before(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let bundle = Bundle::open(&FileSlice::from(bytes), Layout::Current).unwrap();
    let is_new = |name: &str| ["via.", "relay.", "sends."].iter().any(|new| name.starts_with(new));
    let mut names: Vec<&str> = bundle.entries.keys().map(|name| &**name).filter(|name| !is_new(name)).collect();
    names.sort_unstable();
    let files: Vec<(String, Vec<u8>)> =
        names.iter().map(|name| ((*name).to_owned(), bundle.file(name).unwrap().to_vec())).collect();
    std::fs::remove_file(path).unwrap();
    write(path, &files).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let magic = bytes.len() - MAGIC.len();
    bytes[magic..].copy_from_slice(MAGIC_BEFORE);
    std::fs::write(path, bytes).unwrap();
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} files)", self.entries.len())
    }
}

impl Bundle {
    /// Reads the table of a split of a layout. `None` if it is damaged or no split.
    pub(super) fn open(file: &FileSlice, layout: Layout) -> Option<Bundle> {
        let bytes = file.read_bytes().ok()?;
        let (rest, tail) = bytes.split_last_chunk::<TAIL_BYTES>()?;
        if &tail[12..] != layout.magic() {
            return None;
        }
        let table_bytes = u32::from_le_bytes(tail[..4].try_into().ok()?) as usize;
        let table = &rest[rest.len().checked_sub(table_bytes)?..];
        if xxh3_64(table) != u64::from_le_bytes(tail[4..12].try_into().ok()?) {
            return None;
        }
        let entries = Arc::new(entries(table, rest.len() - table_bytes)?);
        Some(Bundle { bytes, entries })
    }

    /// The bytes of one file.
    pub(super) fn file(&self, name: &str) -> Option<OwnedBytes> {
        let entry = self.entries.get(name)?;
        Some(self.bytes.slice(entry.range.clone()))
    }

    /// The bytes of one file, for as long as the bundle is there.
    pub(super) fn slice(&self, name: &str) -> Option<&[u8]> {
        let entry = self.entries.get(name)?;
        Some(&self.bytes[entry.range.clone()])
    }

    /// The names of files whose bytes are not those that were written.
    pub(super) fn damaged_files(&self) -> Vec<String> {
        let is_damaged = |entry: &Entry| xxh3_64(&self.bytes[entry.range.clone()]) != entry.hash;
        let damaged = self.entries.iter().filter(|(_, entry)| is_damaged(entry));
        let mut names: Vec<String> = damaged.map(|(name, _)| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    fn entry(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path.to_str()?)
    }
}

fn entries(table: &[u8], content_bytes: usize) -> Option<FxHashMap<Box<str>, Entry>> {
    let from = &mut Decoder::new(table);
    let mut entries = FxHashMap::default();
    while !from.is_empty() {
        let name = std::str::from_utf8(from.text()?).ok()?.into();
        let start = usize::try_from(from.number()?).ok()?;
        let end = start.checked_add(usize::try_from(from.number()?).ok()?)?;
        let hash = u64::from_le_bytes(from.array()?);
        if start > end || end > content_bytes {
            return None;
        }
        entries.insert(name, Entry { range: start..end, hash });
    }
    Some(entries)
}

/// Splits are written as a whole and never changed: every writing method refuses.
impl Directory for Bundle {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let entry = self.entry(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Arc::new(self.bytes.slice(entry.range.clone())))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.entry(path).is_some())
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let entry = self.entry(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(self.bytes[entry.range.clone()].to_vec())
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    /// Nothing changes, so nothing has to be locked.
    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a split does not change")
}
