//! The file of records: what gives sessions back, in compressed blocks.
//!
//! Each record stands behind its length. A block ends with the record that fills it, so that a session is read by
//! decompressing one block.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rustc_hash::FxHashMap;
use zstd::{bulk, zstd_safe};

use crate::{
    codec::{Decoder, put_number},
    packed::{Packed, pack, pack_small},
};

/// Name of the file of compressed blocks.
pub(super) const BLOCKS: &str = "records";

/// Name of the column of each block's first document.
pub(super) const FIRST: &str = "records.first";

/// Name of the column of where each block begins, and of where the last one ends.
pub(super) const OFFSET: &str = "records.offset";

/// Records compressed together. Larger blocks are smaller in all and slower to read one record from.
const BLOCK_BYTES: usize = 32 << 10;

/// What a block may decompress to: all rows that wait to be joined take 256 MiB, and a record is smaller than its rows.
const BLOCK_BYTES_MAX: u64 = 256 << 20;

/// Level 1 takes a fifth less time, which is a hundredth of a run's, and a thirtieth more room.
const LEVEL: i32 = 3;

/// Decompressed blocks that are kept. A split holds one file after the other, so sessions in order of time alternate
/// between the files of a day: with 8 blocks, printing 219,000 sessions took three times as long.
const BLOCKS_CACHED: usize = 128;

/// Writes records in order of document.
pub(super) struct RecordsWriter {
    compressor: bulk::Compressor<'static>,
    block: Vec<u8>,
    scratch: Vec<u8>,
    blocks: Vec<u8>,
    first: Vec<u32>,
    offset: Vec<u64>,
    /// First document of the block being filled, and the next one to come.
    documents: (u32, u32),
}

impl RecordsWriter {
    pub(super) fn new() -> io::Result<RecordsWriter> {
        Ok(RecordsWriter {
            compressor: bulk::Compressor::new(LEVEL)?,
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            scratch: Vec::new(),
            blocks: Vec::new(),
            first: Vec::new(),
            offset: Vec::new(),
            documents: (0, 0),
        })
    }

    pub(super) fn add(&mut self, record: &[u8]) -> io::Result<()> {
        put_number(&mut self.block, record.len() as u64);
        self.block.extend_from_slice(record);
        self.documents.1 += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    /// Compresses other bytes as blocks are.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> io::Result<&[u8]> {
        self.scratch.clear();
        self.scratch.reserve(zstd_safe::compress_bound(bytes.len()));
        self.compressor.compress_to_buffer(bytes, &mut self.scratch)?;
        Ok(&self.scratch)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        self.compress(&block)?;
        self.block = block;
        self.first.push(self.documents.0);
        self.offset.push(self.blocks.len() as u64);
        self.blocks.extend_from_slice(&self.scratch);
        self.documents.0 = self.documents.1;
        self.block.clear();
        Ok(())
    }

    /// Bytes held, for the bound on a split's memory.
    pub(super) fn bytes(&self) -> usize {
        self.block.len() + self.blocks.len()
    }

    /// The files of all records.
    pub(super) fn finish(mut self) -> io::Result<[(&'static str, Vec<u8>); 3]> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.offset.push(self.blocks.len() as u64);
        Ok([(FIRST, pack_small(&self.first)), (OFFSET, pack(&self.offset)), (BLOCKS, self.blocks)])
    }
}

/// The records of a split, read in place.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) blocks: &'a [u8],
    pub(super) first: Packed<'a>,
    pub(super) offset: Packed<'a>,
}

impl Records<'_> {
    /// The record of a document. `None` means that the split is damaged.
    pub(super) fn record<T>(&self, document: u32, cache: &BlockCache, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let number = self.first.lower_bound(u64::from(document) + 1).checked_sub(1)?;
        let first = u32::try_from(self.first.get(number)?).ok()?;
        let block = cache.block(number, || self.decompress(number))?;
        let from = &mut Decoder::new(&block);
        for _ in first..document {
            from.text()?;
        }
        from.text().map(read)
    }

    fn decompress(&self, number: u32) -> Option<Vec<u8>> {
        let start = usize::try_from(self.offset.get(number)?).ok()?;
        let end = usize::try_from(self.offset.get(number + 1)?).ok()?;
        decompress(self.blocks.get(start..end)?)
    }
}

/// What [`RecordsWriter::compress`] was given. `None` means that the bytes are damaged.
pub(super) fn decompress(block: &[u8]) -> Option<Vec<u8>> {
    let size = zstd_safe::get_frame_content_size(block).ok()??;
    let size = usize::try_from(size).ok().filter(|_| size <= BLOCK_BYTES_MAX)?;
    thread_local! {
        /// Its memory is as large as a block's; to make it anew for each took a fifth of the time.
        static DECOMPRESSOR: RefCell<Option<bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = Some(bulk::Decompressor::new().ok()?);
        }
        decompressor.as_mut()?.decompress(block, size).ok()
    })
}

/// Blocks decompressed last.
#[derive(Default)]
pub(super) struct BlockCache {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    blocks: FxHashMap<u32, Arc<[u8]>>,
    oldest: VecDeque<u32>,
}

impl BlockCache {
    fn block(&self, number: u32, decompress: impl FnOnce() -> Option<Vec<u8>>) -> Option<Arc<[u8]>> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = lock().blocks.get(&number) {
            return Some(Arc::clone(block));
        }
        // Not under the lock: another thread may want another block meanwhile.
        let block: Arc<[u8]> = decompress()?.into();
        let mut kept = lock();
        if kept.blocks.insert(number, Arc::clone(&block)).is_none() {
            kept.oldest.push_back(number);
        }
        if kept.oldest.len() > BLOCKS_CACHED
            && let Some(oldest) = kept.oldest.pop_front()
        {
            kept.blocks.remove(&oldest);
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_in_any_order() {
        let record = |number: usize| vec![number as u8; (number * 7_919) % 3_000];
        let mut writer = RecordsWriter::new().unwrap();
        (0..300).for_each(|number| writer.add(&record(number)).unwrap());
        let files = writer.finish().unwrap();
        let [first, offset] = [0, 1].map(|at| Packed::open(&files[at].1).unwrap());
        let records = Records { blocks: &files[2].1, first, offset };
        assert!(first.len() > 10);
        let cache = BlockCache::default();
        for number in (0..300).rev().step_by(7).chain(0..300) {
            let read = records.record(number as u32, &cache, <[u8]>::to_vec);
            assert_eq!(read, Some(record(number)), "{number}");
        }
        assert_eq!(records.record(300, &cache, <[u8]>::to_vec), None);
        let damaged = Records { blocks: &files[2].1[..9], ..records };
        assert_eq!(damaged.record(0, &BlockCache::default(), <[u8]>::to_vec), None);
    }
}
