//! A fleet's sessions in memory, and a store of them.

use std::{convert::Infallible, fs, path::Path};

use index::{Run, Writer};
use ingest::{IncompleteSession, Limits, NothingKnown, Options, Progress, Sink};
use smtplog::Session;
use testlog::{Part, Plan, Totals};

/// Keeps every session.
#[derive(Default)]
struct Collected(Vec<Session>);

impl Sink for Collected {
    fn session(&mut self, session: Session) {
        self.0.push(session);
    }

    fn incomplete(&mut self, incomplete: IncompleteSession) {
        self.0.push(incomplete.session);
    }
}

/// The sessions of a fleet, and what is true of them.
pub(crate) fn sessions(servers: usize, days: u32, bytes_per_server: u64) -> (Vec<Session>, Totals) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { seed: 5, servers, days, bytes_per_server, ..Plan::default() };
    let Ok(summary) = testlog::generate(&plan, 2, |part| {
        if let Part::Log(file) = part {
            let path = folder.path().join(file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.bytes).unwrap();
        }
        Ok::<(), Infallible>(())
    });
    let (server, role, servers) = (None, None, Vec::new());
    let options = Options { threads: 1, server, role, servers, mapping: false, limits: Limits::default() };
    let progress = Progress::default();
    let outcome = ingest::run(&[folder.path().to_owned()], &options, &NothingKnown, &progress, Collected::default);
    let outcome = outcome.unwrap();
    let open = outcome.open.into_iter().map(|open| open.session);
    let sessions: Vec<Session> = outcome.sinks.into_iter().flat_map(|sink| sink.0).chain(open).collect();
    assert_eq!(sessions.len() as u64, summary.totals.sessions);
    (sessions, summary.totals)
}

/// Writes a store of sessions with one worker, durably. Returns its bytes.
pub(crate) fn write_store(folder: &Path, sessions: &[Session]) -> u64 {
    let writer = Writer::open(folder).unwrap();
    let mut sink = writer.sink();
    sessions.iter().for_each(|session| sink.add(session));
    let published = writer.publish(Run { sinks: vec![sink], ..Run::default() }, |_| String::new()).unwrap();
    writer.close().unwrap();
    assert_eq!(published.splits, 1);
    published.bytes
}
