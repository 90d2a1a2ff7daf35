//! The truth about refusals: which cause was planted, and which refusals have nothing to do with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{clock::Time, evidence::EvidenceLevel, planted::Plant, script::Script, truth::SessionTruth, world::World};

/// A group of refusals with one cause, as a line of `cases.ndjson`.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub struct CaseTruth {
    /// The scenario's name.
    pub scenario: &'static str,
    /// How much evidence lies beside the logs.
    pub evidence: &'static str,
    /// The planted cause; null for refusals that occur anyway.
    pub cause: Option<&'static str>,
    /// Other causes that a fair judge may name as well.
    pub also: Vec<&'static str>,
    /// What logs alone can tell; null if they cannot.
    pub logs_alone: Option<&'static str>,
    /// The refusal's enhanced status.
    pub status: Option<&'static str>,
    /// The refusal's code.
    pub code: u16,
    /// `send` or `receive`.
    pub direction: &'static str,
    /// The connector, if all of them have the same.
    pub connector: Option<String>,
    /// Servers with such refusals.
    pub servers: Vec<String>,
    /// What the server presented, or its front end for it.
    pub presented: Option<String>,
    /// Time of the first refusal.
    pub from: String,
    /// Time of the last one.
    pub to: String,
    /// Sessions with such a refusal.
    pub sessions: u64,
    /// Texts that an explanation must contain if all evidence is there.
    pub expect: Vec<String>,
}

/// Refusals of one group: of a planted case, or alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// The place of the planted case; innocent groups come after all of them.
    case: Option<usize>,
    direction: &'static str,
    code: u16,
    status: Option<&'static str>,
}

struct Group {
    connectors: BTreeSet<String>,
    servers: BTreeSet<String>,
    first: i64,
    last: i64,
    sessions: u64,
}

/// What was counted so far.
#[derive(Default)]
pub(crate) struct CaseTally {
    groups: BTreeMap<Key, Group>,
}

impl CaseTally {
    /// Counts a session's refusals.
    pub(crate) fn count(&mut self, plant: &Plant, script: &Script, truth: &SessionTruth<'_>) {
        let case = script.case.map(|case| (case, &plant.cases[case]));
        let mut counted = Vec::new();
        for reply in &truth.replies {
            let planted = case.filter(|(_, case)| (case.code, Some(case.status)) == (reply.code, reply.status));
            let case = planted.map(|(place, _)| place);
            let key = Key { case, direction: script.direction.name(), code: reply.code, status: reply.status };
            let group = self.groups.entry(key.clone()).or_insert_with(Group::empty);
            group.first = group.first.min(reply.time.0);
            group.last = group.last.max(reply.time.0);
            if !counted.contains(&key) {
                group.sessions += 1;
                group.connectors.insert(script.connector.clone());
                group.servers.insert(truth.server.to_owned());
                counted.push(key);
            }
        }
    }

    /// Adds another server's.
    pub(crate) fn merge(&mut self, other: CaseTally) {
        for (key, more) in other.groups {
            let group = self.groups.entry(key).or_insert_with(Group::empty);
            group.first = group.first.min(more.first);
            group.last = group.last.max(more.last);
            group.sessions += more.sessions;
            group.connectors.extend(more.connectors);
            group.servers.extend(more.servers);
        }
    }

    /// The final form: planted cases first.
    pub(crate) fn truth(self, world: &World, plant: &Plant, evidence: EvidenceLevel) -> Vec<CaseTruth> {
        let mut cases: Vec<CaseTruth> =
            self.groups.into_iter().map(|(key, group)| group.truth(&key, world, plant, evidence)).collect();
        cases.sort_by_key(|case| case.cause.is_none());
        cases
    }
}

impl Group {
    fn empty() -> Group {
        Group { connectors: BTreeSet::new(), servers: BTreeSet::new(), first: i64::MAX, last: i64::MIN, sessions: 0 }
    }

    fn truth(self, key: &Key, world: &World, plant: &Plant, evidence: EvidenceLevel) -> CaseTruth {
        let case = key.case.map(|case| &plant.cases[case]);
        let presented = case.and_then(|case| case.presented).map(|id| world.certificate(id).thumbprint.clone());
        let connector = self.connectors.first().filter(|_| self.connectors.len() == 1).cloned();
        CaseTruth {
            scenario: plant.scenario,
            evidence: evidence.name(),
            cause: case.map(|case| case.cause),
            also: case.map(|case| case.also.to_vec()).unwrap_or_default(),
            logs_alone: case.and_then(|case| case.logs_alone),
            status: key.status,
            code: key.code,
            direction: key.direction,
            connector,
            servers: self.servers.into_iter().collect(),
            presented,
            from: Time(self.first).to_string(),
            to: Time(self.last).to_string(),
            sessions: self.sessions,
            expect: case.map(|case| case.expect.clone()).unwrap_or_default(),
        }
    }
}
