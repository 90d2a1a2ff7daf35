//! Opening: a source's bytes, mapped or as a stream.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use zip::ZipArchive;

use crate::{
    compression::{Limited, decompressed_bytes_max},
    discover::Source,
    mmap,
};

/// The bytes of a source, still compressed if they were stored so.
pub(crate) enum Stored<'a> {
    /// A finished file, mapped.
    Mapped(&'a [u8]),
    /// Anything else.
    Stream(&'a mut dyn Read),
}

/// Opens a source for `reader`. `mapping` allows maps at all. The library's readers of archive members borrow the
/// archive, so what reads the bytes is called from here instead of being handed a stream.
pub(crate) fn with_stored<T>(
    source: &Source,
    mapping: bool,
    reader: impl FnOnce(Stored<'_>) -> io::Result<T>,
) -> io::Result<T> {
    if source.is_stdin() {
        return reader(Stored::Stream(&mut io::stdin().lock()));
    }
    if let Some((archive, number)) = &source.member {
        let mut archive = archive.archive.clone();
        let member = archive.by_index(*number).map_err(into_io)?;
        let limit = decompressed_bytes_max(member.compressed_size());
        return reader(Stored::Stream(&mut Limited { inner: member, left: limit }));
    }
    let mut file = File::open(&source.stamp.path)?;
    if mapping && mmap::is_safe_to_map(&file, source.newest) {
        return reader(Stored::Mapped(&mmap::map(&file)?));
    }
    reader(Stored::Stream(&mut file))
}

/// Up to `count` first bytes of a stream.
pub(crate) fn read_head(stream: &mut dyn Read, count: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(count);
    stream.take(count as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A zip archive whose directory was read once; members can be opened by many workers at a time.
#[derive(Clone)]
pub struct Archive {
    archive: ZipArchive<SharedFile>,
}

/// An archive's member.
pub struct Member {
    /// Its path inside the archive, with `/`.
    pub name: String,
    /// Bytes as stored.
    pub compressed_bytes: u64,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive({} members)", self.archive.len())
    }
}

impl Archive {
    /// Reads an archive's directory.
    pub fn open(path: &Path) -> io::Result<Archive> {
        let file = SharedFile { file: Arc::new(File::open(path)?), position: 0 };
        Ok(Archive { archive: ZipArchive::new(file).map_err(into_io)? })
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.archive.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.archive.is_empty()
    }

    /// A member's name and size; `None` for a folder. A path that leaves the archive is an error: nothing is ever
    /// written to it, but it would name another file's place in answers.
    pub fn member(&self, number: usize) -> io::Result<Option<Member>> {
        let mut archive = self.archive.clone();
        let member = archive.by_index_raw(number).map_err(into_io)?;
        if member.is_dir() {
            return Ok(None);
        }
        let Some(name) = member.enclosed_name() else {
            let escaped = member.name().map_err(into_io)?.escape_debug().to_string();
            return Err(io::Error::other(format!("member {escaped} has a path that leaves the archive")));
        };
        let name = name.to_string_lossy().replace('\\', "/");
        Ok(Some(Member { name, compressed_bytes: member.compressed_size() }))
    }
}

fn into_io(error: zip::result::ZipError) -> io::Error {
    match error {
        zip::result::ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// A file read by several workers at once, each at its own position.
#[derive(Clone)]
struct SharedFile {
    file: Arc<File>,
    position: u64,
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(&self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

/// Untested.
#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

impl Seek for SharedFile {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let position = match target {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
