//! What happens on a server: one file per kind of session, each a script for one or several connections.

mod failures;
mod inbound;
mod inbound_proxy;
mod internal;
mod office365;
mod outbound_proxy;
mod partner;
mod planted;
mod relay;
mod scanner;
mod submission;

use crate::{
    certificate::CertificateId,
    clock,
    fact::{Cipher, Peer},
    plan::{Generation, Plan},
    profile::{Direction, Profile, Role},
    rng::Rng,
    script::{CIPHERS, MessageIdRow, Script},
    world::{Host, World},
};

/// A kind of happening, and how often it occurs.
pub(crate) struct Scenario {
    /// Its name in the totals.
    pub(crate) name: &'static str,
    /// How often it occurs on a server, against the others; 0 where the server cannot do it.
    pub(crate) weight: fn(&Profile, &Plan) -> f64,
    /// Writes the sessions of one occurrence.
    pub(crate) play: fn(&mut Scene<'_>),
}

/// All scenarios. Adding one is one file and one line.
pub(crate) const SCENARIOS: &[Scenario] = &[
    office365::SCENARIO,
    outbound_proxy::SCENARIO,
    partner::SCENARIO,
    failures::UNREACHABLE,
    failures::TLS_FAILURE,
    failures::TWO_CERTIFICATES,
    failures::DROPPED,
    inbound::SCENARIO,
    inbound_proxy::SCENARIO,
    internal::SENDING,
    internal::RECEIVING,
    internal::DELIVERY,
    internal::SUBMISSION,
    submission::SUBMISSION,
    submission::CLIENT_PROXY,
    submission::GUESSED,
    relay::SCENARIO,
    scanner::SCENARIO,
];

/// What is played in a fleet with a planted cause: nothing that refuses mail to Microsoft 365 for reasons of its own,
/// nor accepts mail that the cause refuses.
const AROUND_A_PLANT: &[Scenario] = &[
    planted::DIRECT,
    planted::PROXIED,
    partner::SCENARIO,
    failures::UNREACHABLE,
    failures::RECEIVE_FAILURE,
    failures::CUT_OFF,
    inbound::SCENARIO,
    inbound_proxy::SCENARIO,
    internal::SENDING,
    internal::RECEIVING,
    internal::DELIVERY,
    internal::SUBMISSION,
    submission::SUBMISSION,
    submission::CLIENT_PROXY,
    submission::GUESSED,
    relay::SCENARIO,
    scanner::SCENARIO,
];

/// What can happen in a world.
pub(crate) fn of_world(world: &World) -> &'static [Scenario] {
    if world.plant.is_some() { AROUND_A_PLANT } else { SCENARIOS }
}

/// Where and when a scenario is played.
pub(crate) struct Scene<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) world: &'a World,
    pub(crate) server: &'a Profile,
    pub(crate) plan: &'a Plan,
    pub(crate) ids: &'a mut SessionIds,
    /// When it begins.
    pub(crate) start: i64,
    /// Scripts that are ready.
    pub(crate) finished: &'a mut Vec<Script>,
}

/// The session counters of a server's processes, seeded with the ticks of their starts.
pub(crate) struct SessionIds {
    next: [u64; 4],
}

impl SessionIds {
    /// Counters of processes that start about `at`, a few seconds apart.
    pub(crate) fn started(rng: &mut Rng, at: i64) -> SessionIds {
        SessionIds { next: [0; 4].map(|_: u64| clock::ticks(at + rng.between(0, 9_000)) + rng.below(10_000)) }
    }

    fn next(&mut self, role: Role) -> u64 {
        let id = &mut self.next[role.process()];
        *id += 1;
        *id
    }
}

impl<'a> Scene<'a> {
    /// A session of one of the server's services, beginning at `at`.
    pub(crate) fn open(&mut self, role: Role, direction: Direction, connector: &str, at: i64) -> Script {
        let id = self.ids.next(role);
        Script::new(self.server.stream(role, direction), direction, id, connector, at)
    }

    /// The id of a session that is not logged.
    pub(crate) fn unlogged_session(&mut self, role: Role) -> u64 {
        self.ids.next(role)
    }

    /// The script is complete.
    pub(crate) fn finish(&mut self, script: Script) {
        self.finished.push(script);
    }

    /// An endpoint of this server with a port of the dynamic range.
    pub(crate) fn local_endpoint(&mut self) -> String {
        format!("{}:{}", self.server.address, self.rng.between(1_024, 65_535))
    }

    /// An endpoint of somebody who calls.
    pub(crate) fn caller(&mut self, host: &Host) -> String {
        format!("{}:{}", host.address, self.rng.between(1_024, 65_535))
    }

    /// Somebody of the organisation.
    pub(crate) fn user(&mut self) -> &'a str {
        &self.world.users[self.rng.skewed(self.world.users.len())]
    }

    /// Somebody outside.
    pub(crate) fn stranger(&mut self) -> &'a str {
        &self.world.strangers[self.rng.skewed(self.world.strangers.len())]
    }

    /// A front end of Microsoft 365.
    pub(crate) fn cloud_host(&mut self) -> &'a Host {
        &self.world.cloud[self.rng.skewed(self.world.cloud.len())]
    }

    /// A mail server of a partner.
    pub(crate) fn partner_host(&mut self) -> &'a Host {
        &self.world.hosts[self.rng.skewed(self.world.hosts.len())]
    }

    /// A message id made by this server, by Outlook or by something else.
    pub(crate) fn message_id(&mut self) -> String {
        match self.rng.below(4) {
            0 => format!("<{}@{}>", self.rng.hex(20), self.stranger().split('@').next_back().unwrap_or_default()),
            1 => format!("<{:x}.{}@app.contoso.com>", self.start, self.rng.below(1_000_000)),
            _ => format!("<{}@{}>", self.rng.hex(32).to_lowercase(), self.server.fqdn),
        }
    }

    /// The bracket of a Microsoft 365 host at a moment.
    pub(crate) fn peer(&mut self, host: &Host, at: i64) -> Peer {
        let host = host.name.clone();
        if self.rng.chance(0.05) {
            return Peer { host, moment: None };
        }
        let started = at - self.rng.between(0, 20 * clock::DAY_MS);
        Peer { host, moment: Some((at + self.rng.between(-40, 400), clock::ticks(started))) }
    }

    /// The address that the world sees of this server today.
    pub(crate) fn egress(&self) -> &'a str {
        let moved = self.world.plant.as_ref().and_then(|plant| plant.egress(self.start));
        moved.unwrap_or(&self.server.egress)
    }

    /// What this server presents at a moment when it calls.
    pub(crate) fn client_certificate(&self, at: i64) -> Option<CertificateId> {
        match &self.world.plant {
            Some(plant) => plant.client_certificate(self.server, at),
            None => Some(self.server.certificate_at(at)),
        }
    }

    /// Parameters that this server negotiates today.
    pub(crate) fn cipher(&mut self) -> &'static Cipher {
        let choices: &[usize] = match self.server.generation {
            Generation::Exchange2007 => &[0],
            Generation::Exchange2010 => &[0, 0, 1, 2],
            Generation::Exchange2013 => &[2, 2, 2, 7, 1],
            Generation::ExchangeSe => &[3, 3, 5, 6],
            _ => &[3, 3, 3, 3, 4, 7],
        };
        &CIPHERS[*self.rng.pick(choices)]
    }

    /// How this server logs message ids when it sends.
    pub(crate) fn sending_id_row(&self) -> MessageIdRow {
        if self.server.generation.has_roles() { MessageIdRow::Before } else { MessageIdRow::BeforeUnnamed }
    }

    /// A size in bytes, mostly small.
    pub(crate) fn message_bytes(&mut self) -> i64 {
        let limit = *self.rng.pick(&[6_000, 20_000, 80_000, 2_000_000]);
        self.rng.between(1_500, limit)
    }
}
