//! One session on its way into a log: its rows as bytes, and beside them the facts that they make true.
//!
//! A script is written at once, with the times that its rows will have; the writer then mixes the rows of all
//! sessions of a stream by time.

mod connection;
mod mail;
mod tls;

pub(crate) use connection::{Answer, Dial, Greeting};
pub(crate) use mail::{Accept, Body, Mail, MessageIdRow, Recipient, Spelling};
pub(crate) use tls::{CIPHERS, ChainRows, Handshake};

use crate::{
    clock,
    fact::{Fact, Refusal, Refused},
    profile::Direction,
    rng::Rng,
};

/// A row of a script.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) time: i64,
    /// Where its bytes end in [`Script::bytes`]; they begin where the row before ends.
    pub(crate) end: u32,
    /// Whether a log may lose it, or repeat it, without any change in what the session says.
    pub(crate) is_idle: bool,
    /// Whether the next row belongs to the same reply.
    pub(crate) is_glued: bool,
}

/// A session's rows and facts.
pub(crate) struct Script {
    /// The stream's place in [`crate::profile::Profile::streams`].
    pub(crate) stream: usize,
    pub(crate) direction: Direction,
    pub(crate) id: u64,
    pub(crate) connector: String,
    /// The time of the next row.
    pub(crate) now: i64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: Vec<Row>,
    /// Facts, each with the place of its row.
    pub(crate) facts: Vec<(u32, Fact)>,
    /// Rows without which nothing certain can be said about the session: cut shorter, it is not logged at all.
    pub(crate) rows_min: usize,
    /// Whether the last row is the `-` of an orderly end.
    pub(crate) is_closed: bool,
    /// The place of the planted case that strikes here.
    pub(crate) case: Option<usize>,
    /// `,connector,id,`, the same in every row.
    middle: Vec<u8>,
    /// `,local,remote,` of the next row.
    endpoints: Vec<u8>,
    local: String,
    remote: String,
    /// Facts that the next row brings.
    pending: Vec<Fact>,
}

impl Script {
    /// A session that begins at `now`, without endpoints.
    pub(crate) fn new(stream: usize, direction: Direction, id: u64, connector: &str, now: i64) -> Script {
        let mut middle = vec![b','];
        middle.extend_from_slice(connector.as_bytes());
        quote_tail(&mut middle, 1);
        middle.extend_from_slice(format!(",{id:016X},").as_bytes());
        Script {
            stream,
            direction,
            id,
            connector: connector.into(),
            now,
            bytes: Vec::with_capacity(6 << 10),
            rows: Vec::with_capacity(40),
            facts: Vec::with_capacity(24),
            rows_min: 0,
            is_closed: false,
            case: None,
            middle,
            endpoints: b",,,".to_vec(),
            local: String::new(),
            remote: String::new(),
            pending: Vec::new(),
        }
    }

    /// Sets the local endpoint from the next row on.
    pub(crate) fn set_local(&mut self, local: String) {
        self.pending.push(Fact::Local(local.clone()));
        self.local = local;
        self.join_endpoints();
    }

    /// Sets the remote endpoint from the next row on.
    pub(crate) fn set_remote(&mut self, remote: String) {
        self.pending.push(Fact::Remote(remote.clone()));
        self.remote = remote;
        self.join_endpoints();
    }

    fn join_endpoints(&mut self) {
        self.endpoints.clear();
        for part in [",", &self.local, ",", &self.remote, ","] {
            self.endpoints.extend_from_slice(part.as_bytes());
        }
    }

    /// Lets time pass before the next row.
    pub(crate) fn wait(&mut self, rng: &mut Rng, low_ms: i64, high_ms: i64) {
        self.now += rng.between(low_ms, high_ms);
    }

    /// A line of the client side.
    pub(crate) fn command(&mut self, line: &[&str]) {
        self.row(if self.direction == Direction::Send { b'>' } else { b'<' }, line, &[]);
    }

    /// A line of the client side that is not text.
    pub(crate) fn raw_command(&mut self, line: &[u8]) {
        let event = if self.direction == Direction::Send { b'>' } else { b'<' };
        self.begin_row(event);
        self.bytes.extend_from_slice(line);
        let start = self.bytes.len() - line.len();
        quote_tail(&mut self.bytes, start);
        self.end_row(&[]);
    }

    /// A line of the server side.
    pub(crate) fn answer(&mut self, line: &[&str]) {
        self.row(if self.direction == Direction::Send { b'<' } else { b'>' }, line, &[]);
    }

    /// An information row.
    pub(crate) fn note(&mut self, data: &[&str], context: &[&str]) {
        self.row(b'*', data, context);
    }

    /// An information row that says nothing which the truth knows.
    pub(crate) fn idle_note(&mut self, data: &[&str], context: &[&str]) {
        self.note(data, context);
        self.mark_idle();
    }

    /// Marks the last row as one that a log may lose.
    pub(crate) fn mark_idle(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.is_idle = true;
        }
    }

    /// Ties a fact to the last row.
    pub(crate) fn fact(&mut self, fact: Fact) {
        self.facts.push((self.rows.len() as u32 - 1, fact));
    }

    /// Refuses a command: one row a line, and the fact at the first of them.
    pub(crate) fn refuse(&mut self, to: Option<&str>, refusal: &Refusal) {
        let first = self.rows.len() as u32;
        let code = refusal.code.to_string();
        let last = refusal.lines.len() - 1;
        for (turn, line) in refusal.lines.iter().enumerate() {
            let mark = if turn == last { " " } else { "-" };
            let status = refusal.status.unwrap_or_default();
            let blank = if status.is_empty() { "" } else { " " };
            self.answer(&[&code, mark, status, blank, line]);
            if let Some(row) = self.rows.last_mut() {
                row.is_glued = turn != last;
            }
        }
        let refused = Refused { refusal: refusal.clone(), to: to.map(str::to_owned) };
        self.facts.push((first, Fact::Refused(Box::new(refused))));
    }

    /// Nothing certain can be said about the session if it is cut before the next row.
    pub(crate) fn require_rows_so_far(&mut self) {
        self.rows_min = self.rows.len();
    }

    /// Any row.
    pub(crate) fn row(&mut self, event: u8, data: &[&str], context: &[&str]) {
        self.begin_row(event);
        self.field(data);
        self.end_row(context);
    }

    fn begin_row(&mut self, event: u8) {
        self.bytes.extend_from_slice(&clock::log_time(self.now));
        self.bytes.extend_from_slice(&self.middle);
        push_number(&mut self.bytes, self.rows.len());
        self.bytes.extend_from_slice(&self.endpoints);
        self.bytes.push(event);
        self.bytes.push(b',');
        for fact in self.pending.drain(..) {
            self.facts.push((self.rows.len() as u32, fact));
        }
    }

    fn end_row(&mut self, context: &[&str]) {
        self.bytes.push(b',');
        self.field(context);
        self.bytes.extend_from_slice(b"\r\n");
        let end = self.bytes.len() as u32;
        self.rows.push(Row { time: self.now, end, is_idle: false, is_glued: false });
    }

    fn field(&mut self, parts: &[&str]) {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        quote_tail(&mut self.bytes, start);
    }
}

/// Quotes the field that begins at `start` if it holds a comma or a quote, as the log writer does (FORMATS 1.3).
/// Line ends inside become two characters each, and are no reason to quote.
fn quote_tail(bytes: &mut Vec<u8>, start: usize) {
    let is_special = |&byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !bytes[start..].iter().any(is_special) {
        return;
    }
    let field = bytes.split_off(start);
    let is_quoted = field.iter().any(|byte| matches!(byte, b',' | b'"'));
    bytes.extend(is_quoted.then_some(b'"'));
    for byte in field {
        match byte {
            b'"' => bytes.extend_from_slice(b"\"\""),
            b'\n' => bytes.extend_from_slice(b"\\n"),
            b'\r' => bytes.extend_from_slice(b"\\r"),
            byte => bytes.push(byte),
        }
    }
    bytes.extend(is_quoted.then_some(b'"'));
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(connector: &str, data: &str, context: &str, expected: &str) {
        let mut script = Script::new(0, Direction::Send, 0x08DC_3990_0080_0000, connector, 1_709_272_806_307);
        script.note(&["skipped"], &[]);
        script.set_remote("192.0.2.1:25".into());
        script.note(&[data], &[context]);
        let row = &script.bytes[script.rows[0].end as usize..];
        let expected = format!("2024-03-01T06:00:06.307Z,{expected}\r\n");
        assert_eq!(String::from_utf8_lossy(row), expected);
    }

    #[test]
    fn rows_are_quoted_as_the_log_writer_does() {
        check("Out", "a b", "", "Out,08DC399000800000,1,,192.0.2.1:25,*,a b,");
        check("Out, b", "", "x", "\"Out, b\",08DC399000800000,1,,192.0.2.1:25,*,,x");
        check("Out", "O=\"a, b\"", "", "Out,08DC399000800000,1,,192.0.2.1:25,*,\"O=\"\"a, b\"\"\",");
        check("Out", " a\nb\r", "", "Out,08DC399000800000,1,,192.0.2.1:25,*, a\\nb\\r,");
    }
}
