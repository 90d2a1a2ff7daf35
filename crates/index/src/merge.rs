//! Merging: a store that is written to every five minutes would have a hundred thousand splits after a year.
//!
//! Splits are put into tiers by their number of sessions, each tier eight times the one before. When a tier has eight
//! splits, they become one of the next tier, so a session is rewritten once per tier, four times in all, and a store
//! has at most seven splits of each tier beside its full ones. Splits that are half full or more stay as they are.

use smtplog::Timestamp;

use crate::{
    MissingSplit, StoreError,
    catalog::{self, SplitRow},
    rewrite::{Failure, Old, rewrite},
    split::{
        bundle::Layout,
        write::{SPLIT_BYTES_MAX, SPLIT_SESSIONS_MAX},
    },
    writer::{Writer, now_ms, sync_folder},
};

/// Splits of one tier that become one.
const TIER_SPLITS: usize = 8;

/// Sessions of a split above which it is of the second tier.
const TIER_SESSIONS: u64 = 1_024;

/// Tiers whose splits are merged; the last begins with 65,536 sessions.
const TIERS: u32 = 4;

/// What a merge reads at most, so that it ends within seconds: more is left for the next run.
const MERGED_SESSIONS_MAX: u64 = 2 * SPLIT_SESSIONS_MAX as u64;

/// Splits of which a quarter is masked are rewritten.
const MASKED_PART: u64 = 4;

/// A split, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Sessions that are not masked.
    pub(crate) sessions: u64,
    pub(crate) masked: u64,
    pub(crate) bytes: u64,
}

impl Candidate {
    pub(crate) fn of(row: &SplitRow, masked: u64) -> Candidate {
        Candidate { sessions: row.sessions.saturating_sub(masked), masked, bytes: row.bytes }
    }

    /// `None` for a full split.
    fn tier(&self) -> Option<u32> {
        let tier = (self.sessions / TIER_SESSIONS).checked_ilog(TIER_SPLITS as u64).map_or(0, |tier| tier + 1);
        let is_half_full =
            self.sessions >= u64::from(SPLIT_SESSIONS_MAX) / 2 || self.bytes >= SPLIT_BYTES_MAX as u64 / 2;
        (tier < TIERS && !is_half_full).then_some(tier)
    }
}

/// What merging did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Splits that are gone.
    pub from: u64,
    /// Splits that took their place.
    pub to: u64,
    /// Splits that are damaged, and so stay as they are.
    pub damaged: Vec<MissingSplit>,
}

impl Writer {
    /// Merges small splits where there are many, one group and one transaction after the other.
    pub fn merge(&self) -> Result<Merged, StoreError> {
        let mut merged = Merged::default();
        let rows: Vec<SplitRow> = catalog::splits(&self.connection())?.into_iter().filter(|row| !row.is_open).collect();
        let masked = catalog::masked(&self.connection())?;
        let masked_in = |row: &SplitRow| masked.get(&row.name).map_or(&[][..], Vec::as_slice);
        let candidates: Vec<Candidate> =
            rows.iter().map(|row| Candidate::of(row, masked_in(row).len() as u64)).collect();
        for group in plan(&candidates) {
            let old: Vec<Old<'_>> = group
                .iter()
                .map(|&at| Old { row: &rows[at], masked: masked_in(&rows[at]), layout: Layout::Current })
                .collect();
            self.merge_group(&old, &mut merged)?;
        }
        self.merge_rows(&mut merged)?;
        Ok(merged)
    }

    fn merge_group(&self, old: &[Old<'_>], merged: &mut Merged) -> Result<(), StoreError> {
        let folder = self.splits_folder();
        match rewrite(&folder, old, |_: Timestamp| true) {
            Ok(rewritten) => {
                sync_folder(&folder)?;
                self.write(|transaction| rewritten.publish(transaction, now_ms()))?;
                merged.from += old.len() as u64;
                merged.to += rewritten.new.len() as u64;
                Ok(())
            }
            Err(Failure::Damaged { split, reason }) => {
                merged.damaged.push(MissingSplit { name: split, reason });
                Ok(())
            }
            Err(Failure::Store(error)) => Err(error),
        }
    }
}

/// Which splits are merged with which, by their places in `splits`, which are in order of time.
pub(crate) fn plan(splits: &[Candidate]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for tier in 0..TIERS {
        let of_tier: Vec<usize> = (0..splits.len()).filter(|&at| splits[at].tier() == Some(tier)).collect();
        if of_tier.len() < TIER_SPLITS {
            continue;
        }
        let mut group: Vec<usize> = Vec::new();
        let mut sessions = 0;
        for at in of_tier {
            if sessions + splits[at].sessions > MERGED_SESSIONS_MAX && group.len() > 1 {
                groups.push(std::mem::take(&mut group));
                sessions = 0;
            }
            group.push(at);
            sessions += splits[at].sessions;
        }
        groups.extend((group.len() > 1).then_some(group));
    }
    let is_merged = |at: usize| groups.iter().flatten().any(|&merged| merged == at);
    let is_thin = |at: &usize| {
        let Candidate { sessions, masked, .. } = splits[*at];
        masked > 0 && masked * MASKED_PART >= sessions + masked && !is_merged(*at)
    };
    let thin: Vec<Vec<usize>> = (0..splits.len()).filter(is_thin).map(|at| vec![at]).collect();
    groups.extend(thin);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Run, Store,
        query::{Field, Query, samples},
    };

    fn splits(sessions: &[u64]) -> Vec<Candidate> {
        sessions.iter().map(|&sessions| Candidate { sessions, masked: 0, bytes: 100 * sessions }).collect()
    }

    #[test]
    fn a_snapshot_outlives_the_splits_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path()).unwrap();
        for number in 0..TIER_SPLITS as u64 {
            let mut session = samples::session();
            session.session.0 += number;
            let mut sink = writer.sink();
            sink.add(&session);
            writer.publish(Run { sinks: vec![sink], ..Run::default() }, |_| String::new()).unwrap();
        }
        let before = Store::open(dir.path()).unwrap();
        assert_eq!(writer.merge().unwrap(), Merged { from: 8, to: 1, damaged: Vec::new() });
        let kept = catalog::splits(&writer.connection()).unwrap()[0].name.clone();
        for entry in std::fs::read_dir(writer.splits_folder()).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_string_lossy().contains(&kept) {
                std::fs::remove_file(path).unwrap();
            }
        }
        let query = Query::parse("*").unwrap();
        let hits = before.search(&query, &Default::default()).unwrap();
        assert_eq!((hits.total, hits.missing), (8, Vec::new()));
        let groups = before.group(&query, &[Field::Server], None).unwrap();
        assert_eq!((groups.rows[0].sessions, groups.missing), (8, Vec::new()));
        // What is named and not there is missing all the same.
        std::fs::remove_file(writer.splits_folder().join(format!("{kept}.split"))).unwrap();
        let after = Store::open(dir.path()).unwrap();
        assert_eq!(after.search(&query, &Default::default()).unwrap().missing.len(), 1);
    }

    #[test]
    fn eight_of_a_tier_become_one() {
        assert!(plan(&splits(&[10; 7])).is_empty());
        assert_eq!(plan(&splits(&[10; 8])), [(0..8).collect::<Vec<_>>()]);
        // Other tiers are none of its business.
        assert_eq!(plan(&splits(&[&[5_000; 7][..], &[10; 8], &[250_000; 9]].concat())), [(7..15).collect::<Vec<_>>()]);
        let masked = Candidate { sessions: 300_000, masked: 100_000, bytes: 9 };
        assert_eq!(plan(&[masked, Candidate { masked: 99_999, ..masked }]), [[0]]);
    }

    #[test]
    fn a_store_keeps_few_splits_and_rewrites_little() {
        // A run every five minutes over three years, 60 sessions each.
        let mut store: Vec<Candidate> = Vec::new();
        let (mut most, mut rewritten, runs) = (0, 0, 3 * 365 * 288);
        for _ in 0..runs {
            store.extend(splits(&[60]));
            for group in plan(&store) {
                let sessions: u64 = group.iter().map(|&at| store[at].sessions).sum();
                rewritten += sessions;
                for &at in group.iter().rev() {
                    store.remove(at);
                }
                store.extend(splits(&[sessions]));
            }
            most = most.max(store.len());
        }
        let full = store.iter().filter(|split| split.tier().is_none()).count();
        assert!(most <= full + 4 * 8, "{most} splits, {full} of them full");
        assert!(rewritten < 6 * 60 * runs, "each session is rewritten {} times", rewritten / (60 * runs));
    }
}
