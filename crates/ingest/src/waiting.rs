//! Parts that wait to be joined, and what they take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::stitch::Part;

/// What a part costs beside its rows.
const PART_BYTES: usize = size_of::<Part>() + 64;

/// One worker's waiting parts, counted together with those of the others.
pub(crate) struct Waiting {
    parts: Vec<Part>,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl Waiting {
    /// `total` is shared by all workers.
    pub(crate) fn new(total: Arc<AtomicUsize>) -> Waiting {
        Waiting { parts: Vec::new(), bytes: 0, total }
    }

    pub(crate) fn push(&mut self, part: Part) {
        let bytes = part_bytes(&part);
        self.bytes += bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.parts.push(part);
    }

    pub(crate) fn take(&mut self) -> Vec<Part> {
        self.total.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        std::mem::take(&mut self.parts)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What the parts of all workers take.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// What this worker's parts take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a part takes while it waits.
pub(crate) fn part_bytes(part: &Part) -> usize {
    part.rows.capacity() + PART_BYTES
}
