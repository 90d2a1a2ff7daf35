//! Transcripts: the rows of sessions, read again from the logs that hold them.
//!
//! A store knows where a session's rows lie (source, offset and length of decompressed bytes) and a hash of what they
//! say. Exchange deletes its logs, people move and compress them, and a file can be another one by now: rows are
//! looked for by content, and the hash decides whether they are the session's.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use rustc_hash::FxHashMap;
use smtplog::{
    Direction, Role, Session, SessionId, SourceSpan, Timestamp,
    assemble::Assembler,
    formats::{Columns, LogFormat},
    fragment::{self, Row, Span, Stretch},
    reader::Fragments,
    record::Event,
};

use crate::{
    compression::decoder,
    discover::{Source, Stamp},
    lines::{LineBlocks, Step},
    open::{Archive, Stored, with_stored},
    place::Place,
    probe::recognised,
};

/// Where a source lies now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Original {
    /// The file.
    pub path: PathBuf,
    /// The archive's member, if the file is a zip archive.
    pub member: Option<String>,
}

/// Rows that are looked for in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The session's counter.
    pub session: SessionId,
    /// Which rows of a file with both directions; all that is wanted of one source has the same.
    pub direction: Direction,
    /// Whether the session begins there, so that rows which have no numbers can be counted.
    pub is_first: bool,
    /// Decompressed offset of the first row.
    pub offset: u64,
    /// Bytes up to the end of the last row.
    pub length: u64,
}

/// A row as it stands in the log, borrowed from the buffer that it was read into.
pub struct OriginalRow<'a> {
    /// What it says. Where the log has no numbers, its number is its place in the session, or the greatest of all if the
    /// session begins in another source.
    pub row: Row<'a>,
    /// The line without its end.
    pub raw: &'a [u8],
    /// Its decompressed offset in the source.
    pub offset: u64,
    span: Span,
    compact: &'a [u8],
}

/// Reads a source from its beginning and calls `found` for every row of the wanted sessions, with the place of the
/// session in `wanted`. A source that is read to the last wanted row is not read further.
pub fn rows_of(original: &Original, wanted: &[Wanted], found: impl FnMut(usize, &OriginalRow<'_>)) -> io::Result<()> {
    let source = original.source()?;
    with_stored(&source, false, |stored| match stored {
        Stored::Mapped(bytes) => read(&mut decoder(bytes, source.stored_bytes)?, wanted, found),
        Stored::Stream(stream) => read(&mut decoder(stream, source.stored_bytes)?, wanted, found),
    })
}

/// The same from rows that were kept: decompressed offset and bytes of whole lines, in order, the source's beginning
/// first.
pub fn rows_in(
    pieces: impl Iterator<Item = io::Result<(u64, Vec<u8>)>>,
    wanted: &[Wanted],
    found: impl FnMut(usize, &OriginalRow<'_>),
) -> io::Result<()> {
    let mut search = Search::new(wanted, found);
    for piece in pieces {
        let (offset, lines) = piece?;
        search.block(&lines, offset);
        if search.is_over {
            break;
        }
    }
    Ok(())
}

impl Original {
    pub(crate) fn source(&self) -> io::Result<Source> {
        let metadata = fs::metadata(&self.path)?;
        let member = self.member.as_deref().map(|name| self.member(name)).transpose()?;
        Ok(Source {
            stamp: Stamp { path: self.path.clone(), size: metadata.len(), mtime_ns: 0, inode: 0 },
            member,
            file: "".into(),
            place: Place { server: None, role: Role::Unknown },
            named: true,
            newest: true,
            stored_bytes: metadata.len(),
        })
    }

    fn member(&self, name: &str) -> io::Result<(Arc<Archive>, usize)> {
        let archive = Archive::open(&self.path)?;
        for number in 0..archive.len() {
            // A member with a path that leaves the archive is another one.
            if archive.member(number).is_ok_and(|member| member.is_some_and(|member| member.name == name)) {
                return Ok((Arc::new(archive), number));
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the archive has no such member any more"))
    }
}

fn read(stream: &mut dyn Read, wanted: &[Wanted], found: impl FnMut(usize, &OriginalRow<'_>)) -> io::Result<()> {
    let mut lines = LineBlocks::default();
    let mut search = Search::new(wanted, found);
    let mut overlong = false;
    lines.begin();
    while !search.is_over {
        match lines.next(stream)? {
            Step::Lines(mut offset, mut block) => {
                if std::mem::take(&mut overlong) {
                    let rest = block.iter().position(|&byte| byte == b'\n').map_or(block.len(), |end| end + 1);
                    (offset, block) = (offset + rest as u64, &block[rest..]);
                }
                search.block(block, offset);
            }
            Step::Overlong(..) => overlong = true,
            Step::End(offset, rest) => {
                if !overlong {
                    search.block(rest, offset);
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

struct Search<'w, F> {
    wanted: &'w [Wanted],
    by_session: FxHashMap<SessionId, Vec<usize>>,
    /// For each of `wanted` the number of its next row.
    next_numbers: Vec<u32>,
    /// The bytes that hold all wanted rows.
    begin: u64,
    end: u64,
    format: Option<(&'static dyn LogFormat, Columns)>,
    fragments: Fragments,
    found: F,
    is_over: bool,
}

impl<'w, F: FnMut(usize, &OriginalRow<'_>)> Search<'w, F> {
    fn new(wanted: &'w [Wanted], found: F) -> Search<'w, F> {
        let mut by_session: FxHashMap<SessionId, Vec<usize>> = FxHashMap::default();
        for (place, wanted) in wanted.iter().enumerate() {
            by_session.entry(wanted.session).or_default().push(place);
        }
        Search {
            wanted,
            by_session,
            next_numbers: wanted.iter().map(|wanted| if wanted.is_first { 0 } else { u32::MAX }).collect(),
            begin: wanted.iter().map(|wanted| wanted.offset).min().unwrap_or(0),
            end: wanted.iter().map(Wanted::end).max().unwrap_or(0),
            format: None,
            fragments: Fragments::default(),
            found,
            is_over: wanted.is_empty(),
        }
    }

    fn block(&mut self, block: &[u8], offset: u64) {
        let format = self.format.take().or_else(|| self.recognised(block));
        let Some((format, mut columns)) = format else {
            self.is_over = true; // Another kind of file by now.
            return;
        };
        let mut at = offset;
        for line in block.split_inclusive(|&byte| byte == b'\n') {
            // Metadata before the rows says where the columns stand.
            if at >= self.begin || line.starts_with(b"#") {
                self.fragments.begin(0);
                format.read(&mut columns, line, at, &mut self.fragments);
                self.fragments.end();
                self.deliver(line, at);
            }
            at += line.len() as u64;
            if at >= self.end {
                self.is_over = true;
                break;
            }
        }
        self.format = Some((format, columns));
    }

    fn recognised(&self, block: &[u8]) -> Option<(&'static dyn LogFormat, Columns)> {
        let (format, head) = recognised(block)?;
        let direction = self.wanted.first().map(|wanted| wanted.direction).filter(|_| format.has_both_directions());
        Some((format, Columns { direction, ..head.columns }))
    }

    /// A line is one row at most.
    fn deliver(&mut self, line: &[u8], at: u64) {
        let Some(fragment) = self.fragments.drain_finished().next() else { return };
        let places = self.by_session.get(&fragment.session).map(Vec::as_slice).unwrap_or_default();
        for &place in places {
            let wanted = &self.wanted[place];
            let Some(row) = fragment::rows(&fragment.rows).next() else { continue };
            if (wanted.offset..wanted.end()).contains(&at) {
                let raw = line.strip_suffix(b"\n").unwrap_or(line);
                let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
                let row = match fragment.span.rebuilt {
                    Some(_) => row.numbered(self.next_numbers[place]),
                    None => row,
                };
                self.next_numbers[place] = self.next_numbers[place].saturating_add(1);
                let (span, compact) = (fragment.span, &fragment.rows[..]);
                (self.found)(place, &OriginalRow { row, raw, offset: at, span, compact });
            }
        }
        self.fragments.recycle(fragment.rows);
    }
}

impl Wanted {
    /// What of a session lies in one of its sources.
    pub fn of(session: &Session, span: &SourceSpan) -> Wanted {
        Wanted {
            session: session.session,
            direction: session.stream.direction,
            is_first: session.sources.first() == Some(span),
            offset: span.offset,
            length: span.length,
        }
    }

    /// Decompressed offset after the last row.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// The rows of one session, in order.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The rows.
    pub rows: Vec<TranscriptRow>,
}

/// A row of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptRow {
    /// When it was logged.
    pub time: Timestamp,
    /// Its number within the session.
    pub sequence: u32,
    /// What happened.
    pub event: Event,
    /// The protocol line or a value, unquoted.
    pub data: Vec<u8>,
    /// What the server says about it, unquoted.
    pub context: Vec<u8>,
    /// The line as it stands in the log, without its end.
    pub raw: Vec<u8>,
    span: Span,
    compact: Vec<u8>,
}

impl Transcript {
    /// Adds the rows that lie in one of the session's sources.
    pub fn read(&mut self, original: &Original, session: &Session, span: &SourceSpan) -> io::Result<()> {
        let rows = &mut self.rows;
        rows_of(original, &[Wanted::of(session, span)], |_, found| rows.push(found.to_owned()))?;
        self.sort();
        Ok(())
    }

    /// The same from rows that were kept (see [`rows_in`]).
    pub fn read_kept(
        &mut self,
        pieces: impl Iterator<Item = io::Result<(u64, Vec<u8>)>>,
        session: &Session,
        span: &SourceSpan,
    ) -> io::Result<()> {
        let rows = &mut self.rows;
        rows_in(pieces, &[Wanted::of(session, span)], |_, found| rows.push(found.to_owned()))?;
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        // Parts in several sources have ranges of sequence numbers that do not overlap; within a source rows keep
        // their order, because their numbers never fall.
        self.rows.sort_by_key(|row| row.sequence);
        // Those of a log without numbers stay as they were read, a source after the other; all of them are known now.
        let without_numbers = self.rows.iter_mut().enumerate().filter(|(_, row)| row.span.rebuilt.is_some());
        without_numbers.for_each(|(place, row)| row.sequence = u32::try_from(place).unwrap_or(u32::MAX));
    }

    /// Whether these are the rows that the session was made of.
    pub fn is_of(&self, session: &Session) -> bool {
        let Some(span) = self.rows.iter().map(|row| row.span).reduce(|span, next| span.joined(&next)) else {
            return false;
        };
        let rows = self.rows.iter();
        let parts: Vec<Stretch<'_>> = rows.map(|row| Stretch { rows: &row.compact, offset: 0, source: 0 }).collect();
        let again = Assembler::default().session(&session.stream, session.session, &span, &parts);
        (again.records, again.rows_hash) == (session.records, session.rows_hash)
    }
}

impl OriginalRow<'_> {
    fn to_owned(&self) -> TranscriptRow {
        TranscriptRow {
            time: self.row.time,
            sequence: self.row.sequence,
            event: self.row.event,
            data: self.row.data.to_vec(),
            context: self.row.context.to_vec(),
            raw: self.raw.to_vec(),
            span: self.span,
            compact: self.compact.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Mutex};

    use super::*;
    use crate::{
        IncompleteSession, Limits, NothingKnown, Options, Progress, Sink,
        compression::{Codec, encode, encode_zip},
    };

    /// Two sessions whose rows alternate, a line that is none, and columns that change places.
    const LOG: &str = "\u{feff}#Software: Microsoft Exchange Server\r\n\
        #Log-type: SMTP Send Protocol Log\r\n\
        #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n\
        2024-03-01T06:00:00.000Z,Out,08DC399000800000,0,,192.0.2.1:25,+,,\r\n\
        2024-03-01T06:00:00.100Z,Out,08DC399000800001,0,,192.0.2.1:25,+,,\r\n\
        what is this\r\n\
        2024-03-01T06:00:00.200Z,Out,08DC399000800000,1,,192.0.2.1:25,<,\"220 a, b\",\r\n\
        #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,context,data\r\n\
        2024-03-01T06:00:00.300Z,Out,08DC399000800001,1,,192.0.2.1:25,>,,QUIT \r\n\
        2024-03-01T06:00:00.400Z,Out,08DC399000800000,2,,192.0.2.1:25,-,Local,\r\n\
        2024-03-01T06:00:00.500Z,Out,08DC399000800001,2,,192.0.2.1:25,-,Remote,\r\n";

    struct Collected<'a>(&'a Mutex<Vec<Session>>);

    impl Sink for Collected<'_> {
        fn session(&mut self, session: Session) {
            self.0.lock().unwrap().push(session);
        }
        fn incomplete(&mut self, _: IncompleteSession) {}
    }

    fn sessions(path: &Path) -> Vec<Session> {
        let options = Options {
            threads: 1,
            server: None,
            role: None,
            servers: Vec::new(),
            mapping: false,
            limits: Limits::default(),
        };
        let sessions = Mutex::new(Vec::new());
        crate::run(&[path.to_owned()], &options, &NothingKnown, &Progress::default(), || Collected(&sessions)).unwrap();
        sessions.into_inner().unwrap()
    }

    fn transcript(original: &Original, session: &Session) -> Transcript {
        let mut transcript = Transcript::default();
        transcript.read(original, session, &session.sources[0]).unwrap();
        transcript
    }

    #[test]
    fn rows_come_back_from_every_codec() {
        let folder = tempfile::tempdir().unwrap();
        let member = "SmtpSend/SEND20240301-1.LOG";
        let files = [
            ("plain", encode(Codec::Plain, LOG.as_bytes()).unwrap(), None),
            ("zstd", encode(Codec::Zstd, LOG.as_bytes()).unwrap(), None),
            ("gzip", encode(Codec::Gzip, LOG.as_bytes()).unwrap(), None),
            ("zip", encode_zip(&[("other", b"x"), (member, LOG.as_bytes())]).unwrap(), Some(member.to_owned())),
        ];
        for (name, bytes, member) in files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let sessions = sessions(&path);
            let original = Original { path, member };
            let raw: Vec<usize> = sessions.iter().map(|session| transcript(&original, session).rows.len()).collect();
            assert_eq!(raw, [3, 3], "{name}");
            assert!(sessions.iter().all(|session| transcript(&original, session).is_of(session)), "{name}");
            let second = transcript(&original, &sessions[1]);
            assert_eq!((&*second.rows[1].data, &*second.rows[2].context), (&b"QUIT "[..], &b"Remote"[..]));
            assert!(second.rows[1].raw.ends_with(b",QUIT "));
        }
    }

    #[test]
    fn other_rows_are_not_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("SEND20240301-1.LOG");
        fs::write(&path, LOG).unwrap();
        let session = &sessions(&path)[0];
        let original = Original { path: path.clone(), member: None };
        for (other, rows) in [(LOG.replace("220 a", "220 x"), 3), (LOG.replace("0,2,", "0,3,"), 3), (String::new(), 0)]
        {
            fs::write(&path, other).unwrap();
            let found = transcript(&original, session);
            assert_eq!((found.rows.len(), found.is_of(session)), (rows, false));
        }
        fs::remove_file(&path).unwrap();
        assert!(Transcript::default().read(&original, session, &session.sources[0]).is_err());
    }
}
