//! Reading kept rows.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use rusqlite::params;
use zstd::{bulk, zstd_safe};

use super::{FOLDER, STRETCH_BYTES_MAX, SUFFIX};
use crate::{StoreError, store::Store};

/// Kept rows of one source, found in the catalog and read when they are asked for.
#[derive(Clone, Debug)]
pub struct KeptRows {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    start: u64,
    end: u64,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Store {
    /// The rows that were kept of a source, from one offset to another, and its beginning, which says how to read
    /// them. `None` if not all of them were kept.
    pub fn kept_rows(&self, identity: &[u8; 32], start: u64, end: u64) -> Result<Option<KeptRows>, StoreError> {
        let catalog = self.catalog();
        let folder = self.transcripts();
        let sql = "SELECT start, end, name, offset, length FROM transcripts JOIN transcript_files ON id = file
                   WHERE identity = ?1 AND (start = 0 OR (end > ?2 AND start < ?3)) ORDER BY start";
        let mut statement = catalog.prepare_cached(sql)?;
        let rows = statement.query_map(params![identity, start as i64, end as i64], |row| {
            let name: String = row.get(2)?;
            Ok(Piece {
                start: row.get::<_, i64>(0)? as u64,
                end: row.get::<_, i64>(1)? as u64,
                path: folder.join(format!("{name}.{SUFFIX}")),
                offset: row.get::<_, i64>(3)? as u64,
                length: row.get::<_, i64>(4)? as u64,
            })
        })?;
        let pieces: Vec<Piece> = rows.collect::<Result<_, _>>()?;
        let mut reached = start;
        for piece in &pieces {
            if piece.start <= reached {
                reached = reached.max(piece.end);
            }
        }
        let has_beginning = pieces.first().is_some_and(|piece| piece.start == 0);
        Ok((has_beginning && reached >= end).then_some(KeptRows { pieces }))
    }

    pub(crate) fn transcripts(&self) -> PathBuf {
        self.folder.with_file_name(FOLDER)
    }
}

impl KeptRows {
    /// Bytes as stored.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.length).sum()
    }

    /// The rows in order: decompressed offset and bytes.
    pub fn pieces(&self) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + '_ {
        self.pieces.iter().map(|piece| {
            let lines = lines(&piece.path, piece.offset, piece.length)?;
            match lines.len() as u64 == piece.end - piece.start {
                true => Ok((piece.start, lines)),
                false => Err(damaged(&piece.path, piece.offset)),
            }
        })
    }
}

/// The lines of a stretch.
pub(super) fn lines(path: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    decompress(&compressed(path, offset, length)?).ok_or_else(|| damaged(path, offset))
}

/// A stretch as it is stored.
pub(super) fn compressed(path: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(|_| damaged(path, offset))?;
    if length > zstd_safe::compress_bound(STRETCH_BYTES_MAX + super::STRETCH_BYTES) {
        return Err(damaged(path, offset));
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Every stretch has a checksum, so what is given back is what was kept.
fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(zstd_safe::get_frame_content_size(bytes).ok()??).ok()?;
    (size <= STRETCH_BYTES_MAX + super::STRETCH_BYTES).then(|| bulk::decompress(bytes, size).ok())?
}

fn damaged(path: &Path, offset: u64) -> io::Error {
    let text = format!("kept rows are damaged: {} at byte {offset}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}
