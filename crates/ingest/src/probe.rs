//! Probing: what a source is, from its first rows: format, direction, identity, and the server that a row names.

use std::{io, sync::Arc};

use rustc_hash::FxHashMap;
use smtplog::{
    Direction, Role, Stream,
    formats::{Columns, FORMATS, LogFormat},
};

use crate::{
    compression::{Codec, decoder},
    discover::Source,
    identity::Identity,
    open::{Stored, read_head, with_stored},
    place::{direction_of_name, server_name},
};

/// Decompressed bytes looked at to find the first row; a header has 239.
const HEAD_BYTES: usize = 16 << 10;

/// Decompressed bytes looked at if the first row does not end within [`HEAD_BYTES`].
const LONG_HEAD_BYTES: usize = 2 << 20;

/// What a source turned out to be.
pub(crate) enum Probed {
    /// A log with at least one complete row.
    Log(Box<Log>),
    /// Nothing in it.
    Empty,
    /// A header and no complete row: it has no identity yet and is looked at again by a later run.
    HeaderOnly,
    /// Something else.
    Foreign,
}

/// A source that is a log.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) format: &'static dyn LogFormat,
    pub(crate) columns: Columns,
    pub(crate) direction: Direction,
    pub(crate) identity: Identity,
    /// The server that the first row's connector names.
    pub(crate) server_of_row: Option<Arc<str>>,
    /// The first row's time, for the order of work.
    pub(crate) first_row: Box<[u8]>,
}

/// Looks at the beginning of a source that is not standard input.
pub(crate) fn probe(source: &Source, mapping: bool) -> io::Result<Probed> {
    let head = head(source, mapping, HEAD_BYTES)?;
    match probe_head(source, &head) {
        Probed::HeaderOnly | Probed::Foreign if head.len() == HEAD_BYTES => {
            Ok(probe_head(source, &self::head(source, mapping, LONG_HEAD_BYTES)?))
        }
        probed => Ok(probed),
    }
}

fn head(source: &Source, mapping: bool, count: usize) -> io::Result<Vec<u8>> {
    with_stored(source, mapping, |stored| match stored {
        Stored::Mapped(bytes) if Codec::of_magic(bytes) == Codec::Plain => Ok(bytes[..bytes.len().min(count)].to_vec()),
        Stored::Mapped(bytes) => head_of_damaged(&mut decoder(bytes, source.stored_bytes)?, count),
        Stored::Stream(stream) => head_of_damaged(&mut decoder(stream, source.stored_bytes)?, count),
    })
}

/// The beginning of a stream that may fail early: what came before counts, and the reader will name the damage.
fn head_of_damaged(stream: &mut dyn io::Read, count: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match stream.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// What the first bytes of a source say.
pub(crate) fn probe_head(source: &Source, head: &[u8]) -> Probed {
    if head.is_empty() {
        return Probed::Empty;
    }
    let Some((format, known)) = FORMATS.iter().find_map(|format| Some((*format, format.recognise(head)?))) else {
        return Probed::Foreign;
    };
    // A source that comes whole has its only row without a line end at times.
    let mut whole;
    let head = match format.first_row(head) {
        None if source.takes_last_line() => {
            whole = head.to_vec();
            whole.push(b'\n');
            &whole[..]
        }
        _ => head,
    };
    let Some(row) = format.first_row(head) else { return Probed::HeaderOnly };
    let server_of_row = format.server_of_row(row).map(|name| server_name(&String::from_utf8_lossy(name)));
    let by_row = if server_of_row.is_some() { Direction::Receive } else { Direction::Send };
    let direction = known.direction.or_else(|| direction_of_name(source.name())).unwrap_or(by_row);
    Probed::Log(Box::new(Log {
        format,
        columns: known.columns,
        direction,
        identity: Identity::of_row(row),
        server_of_row: server_of_row.filter(|_| direction == Direction::Receive),
        first_row: row.get(..24).unwrap_or(row).into(),
    }))
}

impl Source {
    /// Whether a last line without its end is surely whole (CONTRACT 2).
    pub(crate) fn takes_last_line(&self) -> bool {
        self.is_stdin() || self.member.is_some() || self.named
    }
}

/// The stream of every source: server by place, else by what the receive logs of the same folder name.
pub(crate) fn streams(logs: &[(&Source, &Log)]) -> Vec<Arc<Stream>> {
    let mut neighbours: FxHashMap<&str, Arc<str>> = FxHashMap::default();
    for (source, log) in logs {
        if let Some(server) = &log.server_of_row {
            // Of several names the least, so that the order of files does not matter.
            let known = neighbours.entry(source.folder()).or_insert_with(|| Arc::clone(server));
            if server < known {
                *known = Arc::clone(server);
            }
        }
    }
    let mut interned: FxHashMap<Stream, Arc<Stream>> = FxHashMap::default();
    let unknown: Arc<str> = "UNKNOWN".into();
    logs.iter()
        .map(|(source, log)| {
            let own = log.server_of_row.as_ref();
            let server = source.place.server.as_ref().or(own).or(neighbours.get(source.folder())).unwrap_or(&unknown);
            let role: Role = source.place.role;
            let stream = Stream { server: Arc::clone(server), role, direction: log.direction };
            Arc::clone(interned.entry(stream.clone()).or_insert_with(|| Arc::new(stream)))
        })
        .collect()
}

/// The first bytes of standard input, which can be read only once.
pub(crate) fn head_of_stdin(stream: &mut dyn io::Read) -> io::Result<Vec<u8>> {
    read_head(stream, HEAD_BYTES)
}
