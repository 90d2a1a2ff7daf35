//! One server's logs from the first day to the last: what happens when, and into which files it goes.

use crate::{
    GeneratedFile, Part,
    clock::{DAY_MS, HOUR_MS, MINUTE_MS},
    damage::Damage,
    plan::Plan,
    profile::Profile,
    rng::Rng,
    scenarios::{self, Scenario, Scene, SessionIds},
    script::Script,
    summary::{self, Tally},
    truth::{self, SourceTruth, Written},
    world::World,
    writer::{LogFile, StreamWriter, WrittenSession},
};

/// Truth is handed over in pieces of about this size, so that memory does not grow with the number of sessions.
const TRUTH_BYTES: usize = 1 << 20;

/// Load by hour of the day, UTC: mail follows office hours, reports follow the night.
const HOURS: [u32; 24] = [3, 2, 2, 2, 3, 5, 10, 18, 26, 28, 27, 25, 22, 25, 27, 25, 22, 17, 11, 8, 6, 5, 4, 3];

/// A server while its logs are written.
struct Server<'a> {
    world: &'a World,
    plan: &'a Plan,
    profile: &'a Profile,
    rng: Rng,
    ids: SessionIds,
    /// Scenarios the server can play, each with the sum of the weights up to it.
    scenarios: Vec<(&'static Scenario, f64)>,
    /// Scenarios that were not played yet: a small fleet shows everything, too.
    unplayed: Vec<&'static Scenario>,
    /// When the services end, and for how long; the last entry is the end of the logs.
    outages: Vec<(i64, i64)>,
    streams: Vec<StreamWriter>,
    /// Average bytes of a scenario so far.
    scenario_bytes: f64,
    finished: Vec<Script>,
    truth: Vec<u8>,
    tally: Tally,
}

/// Writes the logs and the truth of one server.
pub(crate) fn write<E>(
    world: &World,
    plan: &Plan,
    index: usize,
    deliver: &mut dyn FnMut(Part) -> Result<(), E>,
) -> Result<Tally, E> {
    let mut server = Server::new(world, plan, index);
    let mut owed_bytes = 0.0;
    for hour in 0..(world.end - world.begin) / HOUR_MS {
        owed_bytes += plan.bytes_per_server as f64 * share_of_hour(world, hour);
        owed_bytes -= server.write_hour(world.begin + hour * HOUR_MS, owed_bytes, deliver)?;
    }
    server.streams.iter_mut().for_each(StreamWriter::finish);
    server.hand_over(deliver)?;
    let truth = std::mem::take(&mut server.truth);
    deliver(Part::Sessions { server: index, ndjson: truth })?;
    server.tally.totals.servers = 1;
    Ok(server.tally)
}

impl<'a> Server<'a> {
    fn new(world: &'a World, plan: &'a Plan, index: usize) -> Server<'a> {
        let mut rng = Rng::new(plan.seed, index as u64);
        let profile = &world.servers[index];
        let mut sum = 0.0;
        let possible = scenarios::of_world(world).iter().filter_map(|scenario| {
            let weight = (scenario.weight)(profile, plan);
            sum += weight;
            (weight > 0.0).then_some((scenario, sum))
        });
        let scenarios: Vec<_> = possible.collect();
        let is_hourly = plan.files_per_day.hourly(profile.generation);
        let lane = |kind: u64, stream: usize| Rng::new(plan.seed ^ kind << 56, (index * 16 + stream) as u64);
        let streams = profile.streams.iter().enumerate().map(|(place, stream)| {
            let damage = Damage::new(lane(2, place), plan.damage);
            StreamWriter::new(stream, profile.generation, is_hourly, lane(1, place), damage, world.end)
        });
        Server {
            world,
            plan,
            profile,
            ids: SessionIds::started(&mut rng, world.begin - 3 * DAY_MS),
            unplayed: scenarios.iter().rev().map(|(scenario, _)| *scenario).collect(),
            scenarios,
            outages: outages(&mut rng, world),
            streams: streams.collect(),
            scenario_bytes: 9_000.0,
            finished: Vec::new(),
            truth: Vec::new(),
            tally: Tally::new(world),
            rng,
        }
    }

    /// Plays about as many bytes of scenarios as are owed, and returns how many they were.
    fn write_hour<E>(
        &mut self,
        begin: i64,
        owed_bytes: f64,
        deliver: &mut dyn FnMut(Part) -> Result<(), E>,
    ) -> Result<f64, E> {
        let count = (owed_bytes / self.scenario_bytes + self.rng.below(1_000) as f64 / 1_000.0).max(0.0) as usize;
        let mut starts: Vec<i64> = (0..count).map(|_| begin + self.rng.below(HOUR_MS as u64) as i64).collect();
        starts.extend(self.starts_before_breaks(begin));
        starts.sort_unstable();
        let mut bytes = 0.0;
        for start in starts {
            let Some(limit) = self.limit(start) else {
                continue;
            };
            self.streams.iter_mut().for_each(|stream| stream.advance(start));
            self.hand_over(deliver)?;
            let scenario_bytes = self.play(start, limit) as f64;
            self.scenario_bytes += (scenario_bytes - self.scenario_bytes) / 200.0;
            bytes += scenario_bytes;
        }
        Ok(bytes)
    }

    /// Something is always under way when services end and when a day does, so that some sessions have no end and
    /// others lie in two files.
    fn starts_before_breaks(&mut self, begin: i64) -> Vec<i64> {
        let end = begin + HOUR_MS;
        let mut starts = Vec::new();
        if end % DAY_MS == 0 {
            starts.extend((0..3).map(|_| end - self.rng.between(1, 9_000)));
        }
        if let Some(&(down, _)) = self.outages.first().filter(|(down, _)| (begin + 1..=end).contains(down)) {
            starts.extend((0..4).map(|_| (down - self.rng.between(1, 1_200)).max(begin)));
        }
        starts
    }

    /// When the services that run at `start` end; `None` while they are down.
    fn limit(&mut self, start: i64) -> Option<i64> {
        while self.outages.len() > 1 && start >= self.outages[0].0 {
            let (down, up) = self.outages[0];
            if start < up {
                return None;
            }
            self.outages.remove(0);
            self.ids = SessionIds::started(&mut self.rng, up);
            for stream in &mut self.streams {
                stream.advance(down);
                stream.restart(up);
            }
        }
        self.outages.first().map(|(down, _)| *down)
    }

    fn play(&mut self, start: i64, limit: i64) -> usize {
        let scenario = self.unplayed.pop().unwrap_or_else(|| {
            let sum = self.scenarios.last().map_or(0.0, |(_, sum)| *sum);
            let drawn = self.rng.below(1 << 30) as f64 / (1u64 << 30) as f64 * sum;
            let place = self.scenarios.partition_point(|(_, sum)| *sum <= drawn);
            self.scenarios[place.min(self.scenarios.len() - 1)].0
        });
        *self.tally.totals.scenarios.entry(scenario.name).or_default() += 1;
        (scenario.play)(&mut Scene {
            rng: &mut self.rng,
            world: self.world,
            server: self.profile,
            plan: self.plan,
            ids: &mut self.ids,
            start,
            finished: &mut self.finished,
        });
        let mut bytes = 0;
        for script in self.finished.drain(..) {
            bytes += script.bytes.len();
            self.streams[script.stream].submit(script, limit);
        }
        bytes
    }

    /// Hands over files and sessions that are finished.
    fn hand_over<E>(&mut self, deliver: &mut dyn FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        for stream in &mut self.streams {
            for file in stream.files.drain(..) {
                self.tally.count_file(&file);
                let LogFile { path, bytes, .. } = file;
                deliver(Part::Log(GeneratedFile { path: path.to_string(), bytes }))?;
            }
            for session in stream.sessions.drain(..) {
                tell(self.world, self.profile, &session, &mut self.tally, &mut self.truth);
            }
        }
        if self.truth.len() > TRUTH_BYTES {
            let truth = std::mem::take(&mut self.truth);
            deliver(Part::Sessions { server: self.profile.index, ndjson: truth })?;
        }
        Ok(())
    }
}

/// Adds a session to the truth.
fn tell(world: &World, profile: &Profile, session: &WrittenSession, tally: &mut Tally, truth: &mut Vec<u8>) {
    let sources = session.spans.iter().map(|span| SourceTruth {
        file: &span.file,
        offset: span.begin as u64,
        length: (span.end - span.begin) as u64,
    });
    let written = Written {
        rows_begin: session.rows_begin,
        rows_end: session.rows_end,
        has_gap: session.has_gap,
        records: session.records,
        sources: sources.collect(),
    };
    let session_truth = truth::session_truth(world, profile, &session.script, written);
    tally.count_session(world, &session.script, session.rows_end, &session_truth);
    summary::append_json(truth, &session_truth);
}

/// When the services end and begin again: every week or two, and for good when the logs are collected.
fn outages(rng: &mut Rng, world: &World) -> Vec<(i64, i64)> {
    let mut outages = Vec::new();
    let mut down = world.begin + rng.between(DAY_MS / 4, 9 * DAY_MS);
    while down < world.end - HOUR_MS {
        let up = down + rng.between(MINUTE_MS, 6 * MINUTE_MS);
        outages.push((down, up));
        down = up + rng.between(5 * DAY_MS, 14 * DAY_MS);
    }
    outages.push((world.end, i64::MAX));
    outages
}

/// The share of a server's bytes that falls into an hour of the span.
fn share_of_hour(world: &World, hour: i64) -> f64 {
    let days = (world.end - world.begin) / DAY_MS;
    let day_weights: f64 = (0..days).map(|day| weight_of_day(world, day)).sum();
    let hour_weights: u32 = HOURS.iter().sum();
    weight_of_day(world, hour / 24) / day_weights * f64::from(HOURS[(hour % 24) as usize]) / f64::from(hour_weights)
}

fn weight_of_day(world: &World, day: i64) -> f64 {
    // 1970-01-01 was a Thursday.
    let weekday = (world.begin / DAY_MS + day + 3).rem_euclid(7);
    if weekday >= 5 { 0.4 } else { 1.0 }
}
