//! Rows of many sessions on their way into the files of one stream.
//!
//! As in the real writer, a row takes its time when it is queued and its file when the queue is flushed, seconds
//! later. So rows of concurrent sessions interleave, a row can be older than the `#Date` and the hour of its file, and
//! a session can lie in several files.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use crate::{
    clock::{self, DAY_MS, HOUR_MS},
    damage::{Damage, Fate},
    plan::Generation,
    profile::{Direction, Stream},
    rng::Rng,
    script::Script,
};

/// Size past which a file is closed: Exchange's default.
const FILE_BYTES_MAX: usize = 10 << 20;

/// Between two flushes of the queue.
const FLUSH_MS: (i64, i64) = (50, 12_000);

/// A stream that is being written.
pub(crate) struct StreamWriter {
    folder: String,
    direction: Direction,
    generation: Generation,
    is_hourly: bool,
    rng: Rng,
    damage: Damage,
    /// The next row of every open session: when it is queued, and whose it is.
    queue: BinaryHeap<Reverse<(i64, u64, usize)>>,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    submitted: u64,
    /// Rows queued up to here are in the file.
    flush_at: i64,
    /// No flush comes later: the logs were collected then.
    end: i64,
    file: Option<File>,
    /// Files that are finished.
    pub(crate) files: Vec<LogFile>,
    /// Sessions that are finished.
    pub(crate) sessions: Vec<WrittenSession>,
}

/// A session whose rows are on their way.
struct Open {
    session: WrittenSession,
    next: usize,
    queued_at: i64,
}

/// A session, and what of it stands in which file.
pub(crate) struct WrittenSession {
    pub(crate) script: Script,
    pub(crate) rows_begin: usize,
    pub(crate) rows_end: usize,
    pub(crate) has_gap: bool,
    pub(crate) records: u64,
    pub(crate) spans: Vec<Span>,
}

/// Bytes of a file from a session's first row to the end of its last.
pub(crate) struct Span {
    pub(crate) file: Rc<str>,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// A finished file.
pub(crate) struct LogFile {
    pub(crate) path: Rc<str>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u64,
    /// Offsets of lines that no reader can read.
    pub(crate) rejected: Vec<u64>,
    /// Offset of a last line without a line end.
    pub(crate) cut_tail: Option<u64>,
    /// Whether it is a log at all.
    pub(crate) is_log: bool,
}

struct File {
    log: LogFile,
    period: i64,
    instance: u32,
}

impl StreamWriter {
    /// A stream whose last flush comes before `end`.
    pub(crate) fn new(
        stream: &Stream,
        generation: Generation,
        is_hourly: bool,
        rng: Rng,
        damage: Damage,
        end: i64,
    ) -> StreamWriter {
        StreamWriter {
            folder: stream.folder.clone(),
            direction: stream.direction,
            generation,
            is_hourly,
            rng,
            damage,
            queue: BinaryHeap::new(),
            open: Vec::new(),
            free: Vec::new(),
            submitted: 0,
            flush_at: 0,
            end,
            file: None,
            files: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Takes a session, of which rows from `limit` on are never written: the process ends there.
    pub(crate) fn submit(&mut self, script: Script, limit: i64) {
        let mut rows_end = script.rows.partition_point(|row| row.time < limit);
        while rows_end > 0 && rows_end < script.rows.len() && script.rows[rows_end - 1].is_glued {
            rows_end -= 1;
        }
        if rows_end < script.rows_min.max(1) {
            return;
        }
        let loses_first = rows_end > 3 && self.damage.loses_first_row();
        let rows_begin = usize::from(loses_first);
        let queued_at = script.rows[rows_begin].time;
        let session = WrittenSession { script, rows_begin, rows_end, has_gap: false, records: 0, spans: Vec::new() };
        let open = Open { session, next: rows_begin, queued_at };
        let slot = self.free.pop().unwrap_or(self.open.len());
        if slot == self.open.len() {
            self.open.push(None);
        }
        self.open[slot] = Some(open);
        self.queue.push(Reverse((queued_at, self.submitted, slot)));
        self.submitted += 1;
    }

    /// Writes all rows queued before `until`.
    pub(crate) fn advance(&mut self, until: i64) {
        while let Some(&Reverse((queued_at, number, slot))) = self.queue.peek() {
            if queued_at >= until {
                return;
            }
            self.queue.pop();
            if queued_at > self.flush_at {
                self.flush_at = (queued_at + self.rng.between(FLUSH_MS.0, FLUSH_MS.1)).min(self.end - 1);
            }
            let Some(mut open) = self.open[slot].take() else {
                continue;
            };
            self.write_row(&mut open);
            if open.next == open.session.rows_end {
                self.sessions.push(open.session);
                self.free.push(slot);
                continue;
            }
            // Two threads take their times before they queue their rows, so rows of different sessions can pass
            // each other by a few milliseconds; rows of one session cannot.
            let jitter = self.rng.between(0, 3);
            open.queued_at = open.queued_at.max(open.session.script.rows[open.next].time + jitter);
            self.queue.push(Reverse((open.queued_at, number, slot)));
            self.open[slot] = Some(open);
        }
    }

    /// Writes everything and closes the last file.
    pub(crate) fn finish(&mut self) {
        self.advance(i64::MAX);
        self.close_period();
    }

    /// A process began anew: it goes on with the same file, sometimes with a second header.
    pub(crate) fn restart(&mut self, at: i64) {
        if let Some(file) = self.file.as_mut().filter(|_| self.rng.chance(0.4)) {
            write_header(&mut file.log.bytes, self.generation, self.direction, at);
        }
    }

    fn write_row(&mut self, open: &mut Open) {
        self.roll();
        let session = &mut open.session;
        let row_index = open.next;
        open.next += 1;
        let rows = &session.script.rows;
        let begin = if row_index == 0 { 0 } else { rows[row_index - 1].end as usize };
        let row = &session.script.bytes[begin..rows[row_index].end as usize];
        let is_inside = row_index > session.rows_begin && row_index + 1 < session.rows_end;
        let fate = if is_inside && rows[row_index].is_idle { self.damage.fate() } else { Fate::Keep };
        let Some(File { log, .. }) = self.file.as_mut() else {
            return;
        };
        if self.damage.repeats_header() {
            write_header(&mut log.bytes, self.generation, self.direction, self.flush_at);
        }
        if let Some(line) = self.damage.extra_line(row) {
            log.reject(&line);
        }
        match fate {
            Fate::Lose => session.has_gap = true,
            Fate::Corrupt => {
                session.has_gap = true;
                log.reject(&self.damage.unreadable(row));
            }
            Fate::Keep | Fate::Repeat => {
                let copies = if fate == Fate::Repeat { 2 } else { 1 };
                let offset = log.bytes.len();
                for _ in 0..copies {
                    log.bytes.extend_from_slice(row);
                }
                log.rows += copies;
                session.records += copies;
                session.cover(&log.path, offset, log.bytes.len());
            }
        }
    }

    /// Sees to it that the current file is that of the current flush.
    fn roll(&mut self) {
        let period = self.flush_at / if self.is_hourly { HOUR_MS } else { DAY_MS };
        let mut instance = 1;
        match &self.file {
            Some(file) if file.period != period => self.close_period(),
            Some(file) if file.log.bytes.len() > FILE_BYTES_MAX => {
                instance = file.instance + 1;
                self.close_file();
            }
            Some(_) => return,
            None => {}
        }
        let log = self.new_file(self.flush_at, instance);
        self.file = Some(File { log, period, instance });
    }

    /// A file with nothing but its header.
    fn new_file(&self, at: i64, instance: u32) -> LogFile {
        let mut log = LogFile::new(self.path(at, instance).into());
        log.bytes.extend_from_slice("\u{feff}".as_bytes());
        write_header(&mut log.bytes, self.generation, self.direction, at);
        log
    }

    fn path(&self, at: i64, instance: u32) -> String {
        let (year, month, day) = clock::date(at);
        let hour = if self.is_hourly { format!("{:02}", at.rem_euclid(DAY_MS) / HOUR_MS) } else { String::new() };
        let prefix = self.direction.prefix();
        format!("{}/{prefix}{year:04}{month:02}{day:02}{hour}-{instance}.LOG", self.folder)
    }

    /// Closes the last file of a day or hour, and leaves beside it what damage leaves.
    fn close_period(&mut self) {
        let Some(file) = &self.file else {
            return;
        };
        let at = file.period * if self.is_hourly { HOUR_MS } else { DAY_MS };
        let instance = file.instance;
        self.close_file();
        if self.damage.strikes_file() {
            self.files.push(self.new_file(at, instance + 1));
        }
        if self.damage.strikes_file() {
            self.files.push(LogFile::new(self.path(at, instance + 2).into()));
        }
        if self.damage.strikes_file() {
            self.files.push(self.connectivity_log(at));
        }
    }

    fn close_file(&mut self) {
        let Some(mut file) = self.file.take() else {
            return;
        };
        if self.damage.strikes_file() {
            file.log.cut_tail = Some(file.log.bytes.len() as u64);
            file.log.bytes.extend_from_slice(&self.damage.tail(&clock::log_time(self.flush_at)));
        }
        self.files.push(file.log);
    }

    /// A log of another kind that somebody has put into the folder.
    fn connectivity_log(&self, at: i64) -> LogFile {
        let path = self.path(at, 1).replace(&format!("/{}", self.direction.prefix()), "/CONNECTIVITY");
        let mut log = LogFile::new(path.into());
        log.is_log = false;
        let time = clock::Time(at);
        let lines = format!(
            "\u{feff}#Software: Microsoft Exchange Server\r\n#Version: {}\r\n#Log-type: Transport Connectivity Log\r\n\
             #Date: {time}\r\n#Fields: date-time,session,source,Destination,direction,description\r\n\
             {time},08DC3990008000F1,SMTP,fabrikam.example,+,DnsConnectorDelivery\r\n",
            self.generation.header_version()
        );
        log.bytes = lines.into_bytes();
        log
    }
}

impl WrittenSession {
    /// The rows at these bytes of a file are the session's.
    fn cover(&mut self, file: &Rc<str>, begin: usize, end: usize) {
        match self.spans.last_mut() {
            Some(span) if Rc::ptr_eq(&span.file, file) => span.end = end,
            _ => self.spans.push(Span { file: file.clone(), begin, end }),
        }
    }
}

impl LogFile {
    fn new(path: Rc<str>) -> LogFile {
        LogFile { path, bytes: Vec::new(), rows: 0, rejected: Vec::new(), cut_tail: None, is_log: true }
    }

    fn reject(&mut self, line: &[u8]) {
        self.rejected.push(self.bytes.len() as u64);
        self.bytes.extend_from_slice(line);
    }
}

fn write_header(bytes: &mut Vec<u8>, generation: Generation, direction: Direction, at: i64) {
    let lines = [
        "#Software: Microsoft Exchange Server".to_string(),
        format!("#Version: {}", generation.header_version()),
        format!("#Log-type: {}", direction.log_type()),
        format!("#Date: {}", clock::Time(at)),
        "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
            .to_string(),
    ];
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
}
