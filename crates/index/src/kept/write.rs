//! Writing kept rows: one worker, straight into its file.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use smtplog::Timestamp;
use ulid::Ulid;
use zstd::{bulk, zstd_safe};

use super::{LEVEL, STRETCH_BYTES, STRETCH_BYTES_MAX, SUFFIX, Stretch, newest};
use crate::{StoreError, fault};

/// Takes the rows that one worker keeps.
pub struct RowsWriter {
    folder: PathBuf,
    file: Option<(String, BufWriter<File>)>,
    bytes: u64,
    compressor: bulk::Compressor<'static>,
    compressed: Vec<u8>,
    /// The source being copied, and where in it `lines` begin.
    identity: [u8; 32],
    start: u64,
    lines: Vec<u8>,
    /// Its stretches, until it is known that they are what was indexed.
    unconfirmed: Vec<Stretch>,
    stretches: Vec<Stretch>,
}

/// A file of kept rows that no transaction has named yet.
#[derive(Clone, Debug)]
pub struct RowsFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) stretches: Vec<Stretch>,
}

impl RowsWriter {
    /// A writer into a folder; the file is made when the first rows come.
    pub(crate) fn new(folder: &Path) -> Result<RowsWriter, StoreError> {
        let mut compressor = bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(RowsWriter {
            folder: folder.to_owned(),
            file: None,
            bytes: 0,
            compressor,
            compressed: Vec::new(),
            identity: [0; 32],
            start: 0,
            lines: Vec::new(),
            unconfirmed: Vec::new(),
            stretches: Vec::new(),
        })
    }

    /// Begins a source at an offset of its decompressed bytes. What came of another and was not confirmed is dropped.
    pub fn begin(&mut self, identity: [u8; 32], start: u64) {
        self.unconfirmed.clear();
        self.lines.clear();
        (self.identity, self.start) = (identity, start);
    }

    /// Takes the next bytes of the source.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        for piece in bytes.chunks(STRETCH_BYTES) {
            self.lines.extend_from_slice(piece);
            while self.lines.len() >= STRETCH_BYTES {
                let Some(end) = self.stretch_end() else { break };
                self.write_lines(end)?;
            }
        }
        Ok(())
    }

    /// Where a stretch of whole lines ends; `None` if more of its last line is to come.
    fn stretch_end(&self) -> Option<usize> {
        let whole = self.lines.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        whole.or_else(|| (self.lines.len() >= STRETCH_BYTES_MAX).then_some(self.lines.len()))
    }

    /// The source is copied, and was what was indexed.
    pub fn confirm(&mut self) -> Result<(), StoreError> {
        if !self.lines.is_empty() {
            self.write_lines(self.lines.len())?;
        }
        self.stretches.append(&mut self.unconfirmed);
        Ok(())
    }

    /// Writes the first bytes of `lines`.
    fn write_lines(&mut self, count: usize) -> Result<(), StoreError> {
        let lines = &self.lines[..count];
        self.compressed.clear();
        self.compressed.reserve(zstd_safe::compress_bound(count));
        self.compressor.compress_to_buffer(lines, &mut self.compressed)?;
        let stretch = Stretch {
            identity: self.identity,
            start: self.start,
            end: self.start + count as u64,
            offset: 0,
            length: self.compressed.len() as u64,
            // What has no time is never too old.
            newest: newest(lines).unwrap_or(Timestamp(i64::MAX)),
        };
        let compressed = std::mem::take(&mut self.compressed);
        let stretch = self.put(stretch, &compressed)?;
        self.compressed = compressed;
        self.unconfirmed.push(stretch);
        self.lines.drain(..count);
        self.start += count as u64;
        Ok(())
    }

    /// Takes a stretch as another file has it.
    pub(super) fn copy(&mut self, stretch: &Stretch, compressed: &[u8]) -> Result<(), StoreError> {
        let stretch = self.put(stretch.clone(), compressed)?;
        self.stretches.push(stretch);
        Ok(())
    }

    fn put(&mut self, stretch: Stretch, compressed: &[u8]) -> Result<Stretch, StoreError> {
        let write_error = |path: PathBuf| move |source| StoreError::Write { path, source };
        let (name, file) = match &mut self.file {
            Some(file) => file,
            None => {
                let name = Ulid::generate().to_string();
                fault::point_of("rows.create", &name)?;
                let path = self.folder.join(format!("{name}.{SUFFIX}"));
                fs::create_dir_all(&self.folder).map_err(write_error(self.folder.clone()))?;
                let file = File::create_new(&path).map_err(write_error(path))?;
                self.file.insert((name, BufWriter::with_capacity(1 << 20, file)))
            }
        };
        let path = self.folder.join(format!("{name}.{SUFFIX}"));
        file.write_all(compressed).map_err(write_error(path))?;
        let offset = self.bytes;
        self.bytes += compressed.len() as u64;
        Ok(Stretch { offset, ..stretch })
    }

    /// Makes the file durable. `None` if it has nothing that counts; its file is then left for the next run's sweep.
    pub fn finish(self) -> Result<Option<RowsFile>, StoreError> {
        let Some((name, file)) = self.file else { return Ok(None) };
        let path = self.folder.join(format!("{name}.{SUFFIX}"));
        fault::point_of("rows.sync", &name)?;
        let synced = file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.map_err(|source| StoreError::Write { path, source })?;
        fault::point_of("rows.synced", &name)?;
        let is_empty = self.stretches.is_empty();
        Ok((!is_empty).then_some(RowsFile { name, bytes: self.bytes, stretches: self.stretches }))
    }
}
