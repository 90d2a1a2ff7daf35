//! Delivery: records go to whoever takes them, and come to an end only when they are confirmed.
//!
//! A batch that a receiver did not confirm is sent again, as a whole. So a receiver may see an event twice, always under
//! the same id.

mod dead_letters;
mod elasticsearch;
mod file;
mod http;
mod otlp;
mod retry;
mod splunk;
mod syslog;
mod trust;

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use self::{
    dead_letters::DeadLetters,
    elasticsearch::Elasticsearch,
    file::{Appended, Replaced, Standard, Through, is_special},
    otlp::Otlp,
    retry::Patience,
    splunk::Splunk,
    syslog::Syslog,
    trust::Trust,
};

/// Where records go, and what it takes to get them there.
pub(crate) struct Destination<'a> {
    /// The receiver's address.
    pub(crate) address: &'a str,
    /// What it knows us by.
    pub(crate) token: Option<&'a str>,
    /// Whom a connection over TLS trusts; `None` for one without.
    pub(crate) trust: Option<&'a Trust>,
    /// How long to try.
    pub(crate) patience: Patience,
    /// What it will never take.
    pub(crate) dead: DeadLetters,
}

/// Records made of some events, in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The records, one behind the other; each line has its line end.
    pub(crate) bytes: Vec<u8>,
    /// Where each of them ends.
    pub(crate) ends: Vec<usize>,
}

impl Batch {
    /// The records without their line ends.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| {
            let record = self.bytes.get(start..end).unwrap_or_default();
            record.strip_suffix(b"\n").unwrap_or(record)
        })
    }
}

/// A receiver that gets no more at once than it likes.
pub(crate) struct Portioned {
    /// The receiver.
    pub(crate) receiver: Box<dyn Receiver>,
    /// Bytes at once, if a single record has not more.
    pub(crate) bytes_max: usize,
    /// Records at once.
    pub(crate) records_max: usize,
}

impl Receiver for Portioned {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let mut taken = Taken::default();
        let mut begin = 0;
        let mut part = Batch::default();
        for (at, &end) in batch.ends.iter().enumerate() {
            let next_end = batch.ends.get(at + 1).copied();
            part.bytes.extend_from_slice(batch.bytes.get(begin..end).unwrap_or_default());
            part.ends.push(part.bytes.len());
            begin = end;
            let is_full = part.ends.len() >= self.records_max
                || next_end.is_some_and(|next| part.bytes.len() + (next - end) > self.bytes_max);
            if is_full || next_end.is_none() {
                taken.add(self.receiver.send(&part)?);
                part.bytes.clear();
                part.ends.clear();
            }
        }
        Ok(taken)
    }

    fn settle(&mut self) -> anyhow::Result<Option<u64>> {
        self.receiver.settle()
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        self.receiver.finish()
    }
}

impl Taken {
    /// Adds what became of another batch.
    pub(crate) fn add(&mut self, other: Taken) {
        self.retries += other.retries;
        self.known += other.known;
        self.refused += other.refused;
    }
}

/// What became of a batch beside being taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Tries that failed before the one that did not.
    pub(crate) retries: u64,
    /// Records that the receiver had already.
    pub(crate) known: u64,
    /// Records that it will never take; they are in the dead-letter file.
    pub(crate) refused: u64,
}

/// Somebody who takes records.
pub(crate) trait Receiver: Send {
    /// Hands over a batch. Returns once it is confirmed, as far as the receiver confirms anything.
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken>;

    /// Makes what was handed over last a power cut, and says how many bytes of a file that is.
    fn settle(&mut self) -> anyhow::Result<Option<u64>> {
        Ok(None)
    }

    /// Everything was handed over.
    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Whether somebody wants the export to end.
pub(crate) fn is_stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}
