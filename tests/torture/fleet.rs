//! A small fleet: its logs as bytes, and the keys of all sessions that they hold.

use std::{collections::BTreeSet, convert::Infallible, sync::Mutex};

use serde_json::Value;
use testlog::{FilesPerDay, Generation, Part, Plan};

/// Generations take turns, so that a few fleets have them all.
const GENERATIONS: [Generation; 8] = [
    Generation::Mixed,
    Generation::Exchange2007,
    Generation::Exchange2010,
    Generation::Exchange2013,
    Generation::Exchange2016Cu2,
    Generation::Exchange2016,
    Generation::Exchange2019,
    Generation::ExchangeSe,
];

/// Folders that tell a role; they stay above a log wherever it moves.
const ROLE_FOLDERS: [&str; 6] = ["FrontEnd", "Hub", "Edge", "Mailbox", "Delivery", "Submission"];

pub(crate) struct Fleet {
    pub(crate) logs: Vec<Log>,
    /// Every session's id, without what tells sessions of one key apart.
    pub(crate) keys: BTreeSet<String>,
}

pub(crate) struct Log {
    /// Where it lies on its server.
    pub(crate) folder: String,
    /// Folders that tell the server and the role as well.
    pub(crate) shortest: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// After the first row. A copy that is known to be all there is must not end within it (CONTRACT 1).
    pub(crate) first_row_end: usize,
}

impl Fleet {
    /// Three servers, three days.
    pub(crate) fn small(seed: u64) -> Fleet {
        let plan = Plan {
            servers: 3,
            days: 3,
            bytes_per_server: 192 << 10,
            generation: GENERATIONS[seed as usize % GENERATIONS.len()],
            ..tiny(seed)
        };
        Fleet::of(&plan)
    }

    /// One server, two days, a few hundred rows.
    pub(crate) fn tiny(seed: u64) -> Fleet {
        Fleet::of(&tiny(seed))
    }

    fn of(plan: &Plan) -> Fleet {
        let fleet = Mutex::new(Fleet { logs: Vec::new(), keys: BTreeSet::new() });
        let generated = testlog::generate(plan, 1, |part| {
            let mut fleet = fleet.lock().unwrap();
            match part {
                Part::Log(file) => fleet.logs.push(log(&file.path, file.bytes)),
                Part::Sessions { ndjson, .. } => {
                    let keys = ndjson.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
                        let session: Value = serde_json::from_slice(line).unwrap();
                        key_of(session["id"].as_str().unwrap()).to_owned()
                    });
                    fleet.keys.extend(keys);
                }
            }
            Ok::<(), Infallible>(())
        });
        assert!(generated.is_ok());
        fleet.into_inner().unwrap()
    }
}

fn tiny(seed: u64) -> Plan {
    Plan {
        seed,
        servers: 1,
        days: 2,
        bytes_per_server: 96 << 10,
        files_per_day: FilesPerDay::Daily,
        proxied: 0.5,
        ..Plan::default()
    }
}

/// A session's id without what tells the sessions of one key apart.
pub(crate) fn key_of(id: &str) -> &str {
    id.split('@').next().unwrap_or(id)
}

fn log(path: &str, bytes: Vec<u8>) -> Log {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let (server, below) = folder.split_once('/').unwrap();
    let role: Vec<&str> = below.split('/').filter(|name| ROLE_FOLDERS.contains(name)).collect();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let is_metadata = |line: &&[u8]| line.starts_with(b"#") || line.starts_with(b"\xef\xbb\xbf#");
    let header: usize = lines.by_ref().take_while(is_metadata).map(<[u8]>::len).sum();
    let row = bytes[header..].iter().position(|&byte| byte == b'\n').map_or(bytes.len() - header, |end| end + 1);
    Log {
        folder: folder.to_owned(),
        shortest: [&[server][..], &role].concat().join("/"),
        name: name.to_owned(),
        first_row_end: header + row,
        bytes,
    }
}
