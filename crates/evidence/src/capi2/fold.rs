//! Equal checks become one fact.
//!
//! A server that delivers all day checks the same few certificates thousands of times. Two checks are equal if they
//! differ in nothing but their time: a chain that Windows built otherwise, or another result, is a finding of its own.

use std::collections::{HashMap, HashSet};

use crate::{
    fact::{CertificateNames, ChainCheck, Fact, Found},
    kinds::{FACTS_MAX, Reading},
};

use super::event::Outcome;

/// The facts of a file's events. At most [`FACTS_MAX`] different ones are held: no file may say more.
#[derive(Debug, Default)]
pub(super) struct Fold {
    found: Vec<Found>,
    /// Places in `found` of the checks, by all they say but their count and times.
    checks: HashMap<ChainCheck, usize>,
    certificates: HashSet<CertificateNames>,
}

impl Fold {
    /// Counts an event, and keeps what it says.
    pub(super) fn add(&mut self, offset: u64, outcome: Outcome, reading: &mut Reading) {
        match outcome {
            Outcome::Check(check) => self.check(offset, *check, reading),
            Outcome::Certificates { named, unnamed, past } => {
                (0..unnamed).for_each(|_| reading.pass("certificate without a thumbprint"));
                (0..past).for_each(|_| reading.pass("certificate past the limit of an event"));
                named.into_iter().for_each(|certificate| self.certificate(offset, certificate, reading));
            }
            Outcome::Passed(what) => reading.pass(&what),
            Outcome::Rejected(why) => reading.reject(offset, why),
        }
    }

    /// All facts, each where it was found first.
    pub(super) fn end(self, reading: &mut Reading) {
        self.found.into_iter().for_each(|found| reading.keep(found.offset, found.fact));
    }

    fn check(&mut self, offset: u64, mut check: ChainCheck, reading: &mut Reading) {
        let time_ms = check.first_ms;
        (check.count, check.first_ms, check.last_ms) = (0, 0, 0);
        if let Some(&at) = self.checks.get(&check) {
            if let Fact::ChainCheck(folded) = &mut self.found[at].fact {
                folded.count += 1;
                folded.first_ms = folded.first_ms.min(time_ms);
                folded.last_ms = folded.last_ms.max(time_ms);
            }
            return;
        }
        if self.found.len() >= FACTS_MAX {
            reading.dropped += 1;
            return;
        }
        self.checks.insert(check.clone(), self.found.len());
        (check.count, check.first_ms, check.last_ms) = (1, time_ms, time_ms);
        self.found.push(Found { offset, fact: Fact::ChainCheck(check) });
    }

    fn certificate(&mut self, offset: u64, certificate: CertificateNames, reading: &mut Reading) {
        if self.certificates.contains(&certificate) {
            reading.pass("certificate named before");
        } else if self.found.len() >= FACTS_MAX {
            reading.dropped += 1;
        } else {
            self.certificates.insert(certificate.clone());
            self.found.push(Found { offset, fact: Fact::CertificateNames(certificate) });
        }
    }
}
