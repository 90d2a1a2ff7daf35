//! Fleets of SMTP protocol logs whose contents are known.
//!
//! [`generate`] writes the logs of a [`Plan`] as bytes, and beside them the truth: every session in the JSON form of
//! the contract, every file, every certificate, the totals. The crate touches no file and compresses nothing; it hands
//! [`Part`]s to the caller. It shares no type with the crates that read logs, so that an error in their
//! understanding of the format cannot hide in the test data.
//!
//! ```text
//! plan -> world -> server: scenario -> scripts (rows + facts) -> stream writer -> files
//!                                                                      \-> truth (facts of written rows)
//! ```
//!
//! [`generate_planted`] does the same for a fleet in which one cause of refusal is [`PLANTED`]: it adds the evidence
//! that lies beside the logs, and which refusals have which cause.

mod cases;
mod certificate;
mod clock;
mod damage;
mod der;
mod evidence;
mod fact;
mod plan;
mod planted;
mod profile;
mod rng;
mod scenarios;
mod script;
mod server;
mod summary;
#[cfg(test)]
mod tests;
mod truth;
mod world;
mod writer;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

pub use cases::CaseTruth;
pub use evidence::{EvidenceFile, EvidenceLevel};
pub use plan::{FilesPerDay, Generation, Plan, Refusals};
pub use planted::{PLANTED, Planted};
pub use summary::{CertificateTruth, FileTruth, RefusalCount, Summary, Totals};

use crate::world::World;

/// What [`generate`] hands over.
#[derive(Debug)]
pub enum Part {
    /// A whole log file.
    Log(GeneratedFile),
    /// Some sessions of a server, one JSON object a line, about in the order in which they ended.
    Sessions {
        /// The server's number, from 0.
        server: usize,
        /// Whole lines.
        ndjson: Vec<u8>,
    },
}

/// A log file.
#[derive(Debug)]
pub struct GeneratedFile {
    /// Relative to the fleet's folder, with `/`.
    pub path: String,
    /// As Exchange writes it, not compressed.
    pub bytes: Vec<u8>,
}

/// Writes a fleet on `threads` threads, a server at a time on each.
///
/// `deliver` is called from these threads. The parts of one server come in a fixed order, those of different servers
/// in any: a caller that wants the sessions in one file keeps one a server and joins them by number.
///
/// Memory holds one unfinished file a stream and about 1 MiB of truth, for each thread, and the list of files.
/// The first error of `deliver` stops the work and is returned.
pub fn generate<E: Send>(
    plan: &Plan,
    threads: usize,
    deliver: impl Fn(Part) -> Result<(), E> + Sync,
) -> Result<Summary, E> {
    write(&World::new(plan), plan, EvidenceLevel::None, threads, deliver)
}

/// Writes a fleet in which one cause of refusal is planted, as [`generate`] does.
///
/// The plan's share of refusals has no meaning: what Microsoft 365 refuses is what the scenario says, among the
/// refusals that have nothing to do with it. Evidence and causes are in the summary.
pub fn generate_planted<E: Send>(
    planted: &Planted,
    plan: &Plan,
    evidence: EvidenceLevel,
    threads: usize,
    deliver: impl Fn(Part) -> Result<(), E> + Sync,
) -> Result<Summary, E> {
    let mut world = World::new(plan);
    planted::plant(planted, &mut world, plan);
    write(&world, plan, evidence, threads, deliver)
}

fn write<E: Send>(
    world: &World,
    plan: &Plan,
    evidence: EvidenceLevel,
    threads: usize,
    deliver: impl Fn(Part) -> Result<(), E> + Sync,
) -> Result<Summary, E> {
    let next = AtomicUsize::new(0);
    let outcome = Mutex::new(Ok(summary::Tally::new(world)));
    let work = || {
        loop {
            let server = next.fetch_add(1, Ordering::Relaxed);
            if server >= plan.servers {
                return;
            }
            let tally = server::write(world, plan, server, &mut |part| deliver(part));
            // A poisoned lock means that another thread panicked, which the scope passes on anyway.
            let mut outcome = outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match (outcome.as_mut(), tally) {
                (Ok(sum), Ok(tally)) => sum.merge(tally),
                (Ok(_), Err(error)) => {
                    *outcome = Err(error);
                    next.store(plan.servers, Ordering::Relaxed);
                }
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, plan.servers.max(1)) {
            scope.spawn(work);
        }
    });
    let tally = outcome.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())?;
    Ok(tally.summary(world, evidence))
}
