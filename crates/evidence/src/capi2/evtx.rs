//! The binary log as Windows writes it: `Microsoft-Windows-CAPI2%4Operational.evtx`.
//!
//! ```text
//! "ElfFile\0" ... 4096 bytes
//! "ElfChnk\0" ... 65536 bytes, again and again
//!   512  2A 2A 00 00, size, id, time, binary XML, size
//! ```
//!
//! The file's header is not needed: chunks lie at fixed places, and a log that was copied while it was written has a
//! header that is older than its chunks.
//! A damaged record costs one record: the next one is found by its mark, and told from a remnant of an older log by its
//! id, for Windows writes over old chunks without clearing them.
//!
//! The evtx crate reads any log, makes XML of all of it, and says that files made to harm it are not its concern. Here
//! the few elements that matter are taken from the binary form, within limits, and tests hold that against what the
//! crate makes of the same file (`tests/capi2.rs`; `benches/evtx.rs` shows what it saves).

use super::{
    binary_xml::{CHUNK_BYTES, Chunk, Names},
    event::{Event, Outcome},
    fold::Fold,
    time,
};
use crate::kinds::{Document, Kind, Reading};

const FILE_MARK: &[u8] = b"ElfFile\0";
const CHUNK_MARK: &[u8] = b"ElfChnk\0";
const RECORD_MARK: &[u8] = &[0x2A, 0x2A, 0, 0];

/// Bytes before the first chunk.
const FILE_HEADER_BYTES: usize = 4096;

/// Bytes of a chunk before its first record.
const CHUNK_HEADER_BYTES: usize = 512;

/// Bytes of a record before its binary XML.
const RECORD_HEADER_BYTES: usize = 24;

/// Bytes of a record besides its binary XML: the header, and the size once more.
const RECORD_BYTES_MIN: usize = RECORD_HEADER_BYTES + 4;

/// Binary event logs.
pub(crate) struct Capi2Evtx;

impl Kind for Capi2Evtx {
    fn name(&self) -> &'static str {
        "capi2-evtx"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        document.bytes.starts_with(FILE_MARK)
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        let mut reader = LogReader { names: Names::default(), event: Event::default(), fold: Fold::default() };
        let chunks = document.bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES);
        for (number, chunk) in chunks.enumerate() {
            reader.chunk(chunk, (FILE_HEADER_BYTES + number * CHUNK_BYTES) as u64, reading);
        }
        if document.bytes.len() < FILE_HEADER_BYTES {
            reading.reject(document.bytes.len() as u64, "the file ends within its header");
        }
        reader.fold.end(reading);
    }
}

struct LogReader {
    names: Names,
    event: Event,
    fold: Fold,
}

impl LogReader {
    /// Reads a chunk that begins at `offset`; the last one may be cut.
    fn chunk(&mut self, bytes: &[u8], offset: u64, reading: &mut Reading) {
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        let Some(header) = ChunkHeader::of(bytes) else {
            return reading.reject(offset, "a chunk without its header");
        };
        let mut chunk = Chunk::new(bytes, &mut self.names);
        let mut at = CHUNK_HEADER_BYTES;
        while at < header.records_end {
            let Some(record) = Record::of(bytes, at) else {
                let next = header.next_record(bytes, at + 1);
                // Zeros are free space that the header calls used, unless a record follows.
                if next.is_some() || bytes[at..].iter().take(4).any(|byte| *byte != 0) {
                    reading.reject(offset + at as u64, "a damaged record");
                }
                let Some(next) = next else { break };
                at = next;
                continue;
            };
            self.event.begin();
            let outcome = match chunk.read(at + RECORD_HEADER_BYTES..record.end - 4, &mut self.event) {
                Ok(()) => self.event.end(Some(record.time_ms)),
                Err(problem) => Outcome::Rejected(problem),
            };
            self.fold.add(offset + at as u64, outcome, reading);
            if record.id == header.last_id {
                break;
            }
            at = record.end;
        }
        if bytes.len() < header.records_end {
            reading.reject(offset + bytes.len() as u64, "the file ends within a chunk");
        }
    }
}

/// What a chunk's header says that matters.
struct ChunkHeader {
    first_id: u64,
    last_id: u64,
    /// Where the free space begins, of a cut chunk maybe behind its end.
    records_end: usize,
}

impl ChunkHeader {
    fn of(bytes: &[u8]) -> Option<ChunkHeader> {
        let records_end = (u32_at(bytes, 48)? as usize).min(CHUNK_BYTES);
        bytes.starts_with(CHUNK_MARK).then_some(())?;
        Some(ChunkHeader { first_id: u64_at(bytes, 24)?, last_id: u64_at(bytes, 32)?, records_end })
    }

    /// The next place at or behind `from` at which a record of this chunk begins.
    fn next_record(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let ids = self.first_id..=self.last_id;
        let end = self.records_end.min(bytes.len());
        (from..end).find(|&at| {
            let record = Record::of(bytes, at).filter(|record| record.end <= end && ids.contains(&record.id));
            record.is_some_and(|record| u32_at(bytes, record.end - 4) == u32_at(bytes, at + 4))
        })
    }
}

/// A record's header.
struct Record {
    id: u64,
    time_ms: i64,
    /// Where the next record begins.
    end: usize,
}

impl Record {
    fn of(bytes: &[u8], at: usize) -> Option<Record> {
        let is_record = bytes.get(at..)?.starts_with(RECORD_MARK);
        let size = is_record.then(|| u32_at(bytes, at + 4))?? as usize;
        let end = at.checked_add(size).filter(|end| size >= RECORD_BYTES_MIN && *end <= bytes.len())?;
        Some(Record { id: u64_at(bytes, at + 8)?, time_ms: time::of_filetime(u64_at(bytes, at + 16)?), end })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
