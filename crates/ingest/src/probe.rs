//! Probing: what a source is, from its first rows: format, direction, identity, and the server that a row names.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use rustc_hash::FxHashMap;
use smtplog::{
    Direction, Role, Stream,
    formats::{Columns, FORMATS, Head, LogFormat},
    reader::{Fragments, LINE_BYTES_MAX},
};

use crate::{
    compression::{Codec, decoder},
    discover::Source,
    identity::Identity,
    lines::{LineBlocks, Step},
    open::{Stored, with_stored},
    place::{UNKNOWN, direction_of_name, server_name},
    reading::Content,
};

/// Decompressed bytes looked at to find the first row; a header has 239.
pub(crate) const HEAD_BYTES: usize = 16 << 10;

/// Decompressed bytes looked at if there is no row within [`HEAD_BYTES`]: two lines of the greatest length.
pub(crate) const LONG_HEAD_BYTES: usize = 2 * LINE_BYTES_MAX;

/// What a source turned out to be.
pub(crate) enum Probed {
    /// A log with at least one complete row; two of them, if the file holds both directions.
    Logs(Vec<Log>),
    /// Nothing in it.
    Empty,
    /// A header and no complete row: it has no identity yet and is looked at again by a later run. There may be the
    /// beginning of a row.
    HeaderOnly { has_cut_row: bool },
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
    /// Whether this log is the one for which its file, a line that cannot be read and one without an end count; of two
    /// logs in one file only one is.
    pub(crate) counts_file: bool,
}

/// The beginning of a source.
pub(crate) struct Beginning {
    pub(crate) bytes: Vec<u8>,
    /// Whether there is nothing more, or nothing more that can be read.
    pub(crate) is_all: bool,
    /// What ended it early.
    pub(crate) error: Option<io::Error>,
}

/// Looks at the beginning of a source that is not standard input.
pub(crate) fn probe(source: &Source, mapping: bool) -> io::Result<Probed> {
    if let Some(probed) = probe_heads(source, |count| head(source, mapping, count))? {
        return Ok(probed);
    }
    with_stored(source, mapping, |stored| match stored {
        Stored::Mapped(bytes) => first_row_of(source, &mut decoder(bytes, source.stored_bytes)?),
        Stored::Stream(stream) => first_row_of(source, &mut decoder(stream, source.stored_bytes)?),
    })
}

/// Looks at the beginning of a file that lies in memory.
pub(crate) fn probe_content(source: &Source, content: &mut Content<'_>) -> io::Result<Probed> {
    if let Content::Frame(frame) = content {
        let head = |count| {
            let (bytes, is_all) = frame.beginning(count).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Beginning { bytes: bytes.to_vec(), is_all, error: None })
        };
        if let Ok(Some(probed)) = probe_heads(source, head) {
            return Ok(probed);
        }
    }
    let content = &*content;
    let stream = || -> io::Result<Box<dyn Read + '_>> {
        match content {
            Content::Whole(bytes) => Ok(Box::new(*bytes)),
            Content::Frame(frame) => decoder(frame.file(), frame.file().len() as u64),
            Content::Compressed(bytes) => decoder(*bytes, bytes.len() as u64),
        }
    };
    match probe_heads(source, |count| beginning(&mut stream()?, count))? {
        Some(probed) => Ok(probed),
        None => first_row_of(source, &mut stream()?),
    }
}

/// Looks at a short beginning, then at a long one; `None` for a log that begins with megabytes of something else.
fn probe_heads(source: &Source, mut head: impl FnMut(usize) -> io::Result<Beginning>) -> io::Result<Option<Probed>> {
    for count in [HEAD_BYTES, LONG_HEAD_BYTES] {
        if let Some(probed) = probe_head(source, &head(count)?) {
            return Ok(Some(probed));
        }
    }
    Ok(None)
}

fn head(source: &Source, mapping: bool, count: usize) -> io::Result<Beginning> {
    with_stored(source, mapping, |stored| match stored {
        Stored::Mapped(bytes) if Codec::of_magic(bytes) == Codec::Plain => {
            let bytes = &bytes[..bytes.len().min(count)];
            Ok(Beginning { bytes: bytes.to_vec(), is_all: bytes.len() < count, error: None })
        }
        Stored::Mapped(bytes) => beginning(&mut decoder(bytes, source.stored_bytes)?, count),
        Stored::Stream(stream) => beginning(&mut decoder(stream, source.stored_bytes)?, count),
    })
}

/// The beginning of a stream that may fail early: what came before counts, and the reader will name the damage.
pub(crate) fn beginning(stream: &mut dyn Read, count: usize) -> io::Result<Beginning> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    let mut failure = None;
    let mut is_all = false;
    while filled < count && !is_all {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => is_all = true,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(error) => {
                failure = Some(error);
                is_all = true;
            }
        }
    }
    bytes.truncate(filled);
    Ok(Beginning { bytes, is_all, error: failure })
}

/// What the first bytes of a source say; `None` if more of them are needed.
pub(crate) fn probe_head(source: &Source, head: &Beginning) -> Option<Probed> {
    let bytes = &head.bytes[..];
    if bytes.is_empty() {
        return Some(Probed::Empty);
    }
    let Some((format, found)) = recognised(bytes) else {
        // A row longer than the head can still be one.
        return (head.is_all || bytes.len() >= LONG_HEAD_BYTES).then_some(Probed::Foreign);
    };
    let whole_lines = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let mut rows = FirstRow::new(format, &found);
    rows.look_in(&bytes[..whole_lines]);
    if rows.row.is_none() && !head.is_all {
        return None;
    }
    let cut_row = &bytes[whole_lines..];
    let has_cut_row = !cut_row.is_empty() && cut_row[0] != b'#';
    if rows.is_empty() && has_cut_row && head.error.is_none() && source.takes_last_line() {
        // A source that comes whole has its only row without a line end at times.
        rows.look_in(&[cut_row, b"\n"].concat());
    }
    Some(rows.into_row().map_or(Probed::HeaderOnly { has_cut_row }, |row| logs(source, format, found, &row)))
}

/// Lines before the header, or before the first row of an excerpt without one, that may be damaged.
const DAMAGED_LINES_MAX: usize = 20;

/// The format of a head, and what it says of the log.
pub(crate) fn recognised(head: &[u8]) -> Option<(&'static dyn LogFormat, Head)> {
    let mut rest = head;
    for _ in 0..=DAMAGED_LINES_MAX {
        let found = FORMATS.iter().find_map(|format| Some((*format, format.recognise(rest)?)));
        rest = &rest[first_line(rest).len()..];
        if found.is_some() || rest.is_empty() {
            return found;
        }
    }
    None
}

/// Reads on to the first row, however far it is.
fn first_row_of(source: &Source, stream: &mut dyn Read) -> io::Result<Probed> {
    let head = beginning(stream, LONG_HEAD_BYTES)?;
    let Some((format, found)) = recognised(&head.bytes) else { return Ok(Probed::Foreign) };
    let mut rows = FirstRow::new(format, &found);
    let mut stream = io::Cursor::new(head.bytes).chain(stream);
    let mut lines = LineBlocks::default();
    let mut is_inside = false;
    while rows.row.is_none() {
        match lines.next(&mut stream) {
            Ok(Step::Lines(_, block)) => {
                let skipped = if std::mem::take(&mut is_inside) { first_line(block).len() } else { 0 };
                rows.look_in(&block[skipped..]);
            }
            Ok(Step::Overlong(_, part)) => {
                if !std::mem::replace(&mut is_inside, true) {
                    rows.note_unreadable(part);
                }
            }
            // The reader will meet the same damage and name it.
            Ok(Step::End(..)) | Err(_) => break,
        }
    }
    Ok(rows.into_row().map_or(Probed::HeaderOnly { has_cut_row: true }, |row| logs(source, format, found, &row)))
}

/// The row that identifies a source: the first complete one that can be read. Damage at the beginning looks the same
/// in many files, so a line that cannot be read stands in only if there is no other.
struct FirstRow {
    format: &'static dyn LogFormat,
    columns: Columns,
    fragments: Fragments,
    row: Option<Row>,
    unreadable: Option<Row>,
}

/// A row with the columns that are in force there.
struct Row {
    bytes: Vec<u8>,
    columns: Columns,
}

impl FirstRow {
    fn new(format: &'static dyn LogFormat, head: &Head) -> FirstRow {
        let columns = head.columns.clone();
        FirstRow { format, columns, fragments: Fragments::default(), row: None, unreadable: None }
    }

    fn look_in(&mut self, mut lines: &[u8]) {
        while self.row.is_none() && !lines.is_empty() {
            let line = first_line(lines);
            lines = &lines[line.len()..];
            self.fragments.begin(0);
            self.format.read(&mut self.columns, line, 0, &mut self.fragments);
            let counts = self.fragments.end();
            match self.format.first_row(line) {
                Some(row) if counts.kept > 0 => {
                    self.row = Some(Row { bytes: row.to_vec(), columns: self.columns.clone() });
                }
                Some(row) => self.note_unreadable(row),
                None => {}
            }
        }
    }

    fn note_unreadable(&mut self, row: &[u8]) {
        let (bytes, columns) = (&row[..row.len().min(LINE_BYTES_MAX)], &self.columns);
        self.unreadable.get_or_insert_with(|| Row { bytes: bytes.to_vec(), columns: columns.clone() });
    }

    fn is_empty(&self) -> bool {
        self.row.is_none() && self.unreadable.is_none()
    }

    fn into_row(self) -> Option<Row> {
        self.row.or(self.unreadable)
    }
}

/// The first line with its end.
fn first_line(lines: &[u8]) -> &[u8] {
    let end = lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1);
    &lines[..end]
}

/// The logs of a file with this first row.
fn logs(source: &Source, format: &'static dyn LogFormat, head: Head, row: &Row) -> Probed {
    let server_of_row = format.server_of_row(&row.columns, &row.bytes);
    let server_of_row = server_of_row.map(|name| server_name(&String::from_utf8_lossy(name)));
    let first_row: Box<[u8]> = row.bytes.get(..24).unwrap_or(&row.bytes).into();
    if format.has_both_directions() {
        let log = |direction| Log {
            format,
            columns: Columns { direction: Some(direction), ..head.columns.clone() },
            direction,
            identity: Identity::of_row_in_one_direction(&row.bytes, direction, row.columns.date),
            server_of_row: server_of_row.clone(),
            first_row: first_row.clone(),
            counts_file: direction == Direction::Receive,
        };
        return Probed::Logs(Direction::ALL.map(log).into());
    }
    let by_row = if server_of_row.is_some() { Direction::Receive } else { Direction::Send };
    let direction = head.direction.or_else(|| direction_of_name(source.name())).unwrap_or(by_row);
    Probed::Logs(vec![Log {
        format,
        columns: head.columns,
        direction,
        identity: Identity::of_row(&row.bytes),
        server_of_row: server_of_row.filter(|_| direction == Direction::Receive),
        first_row,
        counts_file: true,
    }])
}

impl Source {
    /// Whether a last line without its end is surely whole (CONTRACT 2).
    pub(crate) fn takes_last_line(&self) -> bool {
        self.is_stdin() || self.member.is_some() || self.named
    }
}

/// A folder, by [`Source::neighbourhood`].
pub(crate) type Neighbourhood<'a> = (&'a Path, &'a str);

/// Servers that receive logs name, by folder.
#[derive(Default)]
pub(crate) struct Neighbours<'a> {
    servers: FxHashMap<Neighbourhood<'a>, Arc<str>>,
}

impl<'a> Neighbours<'a> {
    pub(crate) fn add(&mut self, source: &'a Source, log: &Log) {
        let Some(server) = &log.server_of_row else { return };
        // Of several names the least, so that the order of files does not matter.
        let known = self.servers.entry(source.neighbourhood()).or_insert_with(|| Arc::clone(server));
        if server < known {
            *known = Arc::clone(server);
        }
    }

    /// Whether nothing tells the server of this log.
    pub(crate) fn is_lost(&self, source: &Source, log: &Log) -> bool {
        self.server(source, log).is_none()
    }

    fn server(&self, source: &Source, log: &Log) -> Option<Arc<str>> {
        let by_neighbour = || self.servers.get(&source.neighbourhood()).cloned();
        source.place.server.clone().or_else(|| log.server_of_row.clone()).or_else(by_neighbour)
    }

    /// The stream of every source: server by place, else by its own rows, else by those of a neighbour.
    pub(crate) fn streams(&self, logs: &[(&Source, &Log)]) -> Vec<Arc<Stream>> {
        let mut interned: FxHashMap<Stream, Arc<Stream>> = FxHashMap::default();
        let stream = |(source, log): &(&Source, &Log)| {
            let role: Role = source.place.role;
            let server = self.server(source, log).unwrap_or_else(|| UNKNOWN.into());
            let stream = Stream { server, role, direction: log.direction };
            Arc::clone(interned.entry(stream.clone()).or_insert_with(|| Arc::new(stream)))
        };
        logs.iter().map(stream).collect()
    }
}
