//! Kinds of evidence: how a file's bytes become facts. Adding one is a module here and a line in [`KINDS`].

use std::collections::BTreeMap;

use crate::{
    capi2::{Capi2Evtx, Capi2Xml},
    certificates::CertificateFiles,
    exports::Exports,
    fact::{Fact, Found},
    hcw::{HybridLog, HybridXml},
};

/// A kind of evidence.
pub trait Kind: Sync {
    /// The name used in reports: `certificates`, `connectors`.
    fn name(&self) -> &'static str;

    /// Whether the file is of this kind, by its content. Its name decides only what content leaves open.
    fn recognise(&self, document: &Document<'_>) -> bool;

    /// Reads the file. What is read, what is of no use and what cannot be read is all counted.
    fn read(&self, document: &Document<'_>, reading: &mut Reading);
}

/// Every kind, in the order in which they are tried.
pub const KINDS: &[&dyn Kind] = &[
    &Capi2Evtx,
    &Capi2Xml,
    &HybridLog,
    &HybridXml,
    &Exports,
    // Last: other texts may quote a certificate.
    &CertificateFiles,
];

/// A file that may be evidence.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The last component of its path.
    pub name: &'a str,
    /// All of it, decompressed.
    pub bytes: &'a [u8],
}

/// Places of unreadable parts that are remembered for the report; all are counted.
pub const REJECTED_MAX: usize = 20;

/// Facts of one file. A store that must not grow past what an investigator reads in a day has some thousands in all;
/// past this the rest is counted as dropped.
pub const FACTS_MAX: usize = 100_000;

/// What was read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// What it says.
    pub found: Vec<Found>,
    /// Parts (records, rows, objects) that were read and say nothing of use here, by what they are.
    pub passed: BTreeMap<String, u64>,
    /// Parts that could not be read.
    pub rejected: u64,
    /// The first [`REJECTED_MAX`] of them: offset and what is wrong.
    pub rejections: Vec<(u64, String)>,
    /// Facts past [`FACTS_MAX`].
    pub dropped: u64,
}

impl Reading {
    /// Keeps a fact.
    pub fn keep(&mut self, offset: u64, fact: Fact) {
        match self.found.len() < FACTS_MAX {
            true => self.found.push(Found { offset, fact }),
            false => self.dropped += 1,
        }
    }

    /// Counts a part that says nothing of use.
    pub fn pass(&mut self, what: &str) {
        match self.passed.get_mut(what) {
            Some(count) => *count += 1,
            None => _ = self.passed.insert(what.to_owned(), 1),
        }
    }

    /// Counts a part that cannot be read.
    pub fn reject(&mut self, offset: u64, why: impl Into<String>) {
        self.rejected += 1;
        if self.rejections.len() < REJECTED_MAX {
            self.rejections.push((offset, why.into()));
        }
    }
}

/// Reads a file of any kind; `None` if it is of none.
pub fn read(document: &Document<'_>) -> Option<(&'static dyn Kind, Reading)> {
    let kind = KINDS.iter().find(|kind| kind.recognise(document))?;
    let mut reading = Reading::default();
    kind.read(document, &mut reading);
    Some((*kind, reading))
}
