//! Records: one line of a protocol log, borrowed from the bytes it was read from.

use std::borrow::Cow;

use crate::{SessionId, Timestamp};

/// One row of a protocol log (FORMATS 1.3). It borrows; only what becomes part of a session is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When the row was put into the log's queue.
    pub time: Timestamp,
    /// `SERVER\Connector` in receive logs, the connector alone in send logs; may be empty.
    pub connector: Field<'a>,
    /// The session's counter.
    pub session: SessionId,
    /// Number of the row within its session, from 0.
    pub sequence: u32,
    /// `1.2.3.4:25`, `[2001:db8::5]:53000`; empty until the connection stands.
    pub local: &'a [u8],
    /// As `local`, for the other side.
    pub remote: &'a [u8],
    /// What happened.
    pub event: Event,
    /// The protocol line or a value.
    pub data: Field<'a>,
    /// What the server says about it.
    pub context: Field<'a>,
}

/// The event column (FORMATS 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// `+`: the connection was made.
    Connect = b'+',
    /// `-`: the connection ended.
    Disconnect = b'-',
    /// `>`: bytes that the logging server sent.
    Sent = b'>',
    /// `<`: bytes that the logging server received.
    Received = b'<',
    /// `*`: information. Copies from web pages lose the asterisk, so an empty column is one too.
    Information = b'*',
}

impl Event {
    /// The event that a column's text stands for.
    pub fn from_column(column: &[u8]) -> Option<Event> {
        match *column {
            [byte] => Event::from_byte(byte),
            [] => Some(Event::Information),
            _ => None,
        }
    }

    /// The event that a byte stands for.
    #[inline]
    pub fn from_byte(byte: u8) -> Option<Event> {
        match byte {
            b'+' => Some(Event::Connect),
            b'-' => Some(Event::Disconnect),
            b'>' => Some(Event::Sent),
            b'<' => Some(Event::Received),
            b'*' => Some(Event::Information),
            _ => None,
        }
    }
}

/// A column's bytes as they stand in the log.
///
/// A field is quoted if it holds a comma or a quote; quotes inside are doubled (FORMATS 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Field<'a> {
    /// The bytes without the surrounding quotes.
    pub raw: &'a [u8],
    /// Whether `raw` may hold doubled quotes.
    pub doubled: bool,
}

impl<'a> Field<'a> {
    /// A field whose bytes mean themselves.
    pub fn plain(raw: &'a [u8]) -> Field<'a> {
        Field { raw, doubled: false }
    }

    /// The bytes that the server logged, quotes undoubled.
    pub fn bytes(self) -> Cow<'a, [u8]> {
        if !self.doubled {
            return Cow::Borrowed(self.raw);
        }
        let mut bytes = Vec::with_capacity(self.raw.len());
        self.append_to(&mut bytes);
        Cow::Owned(bytes)
    }

    /// Appends [`Field::bytes`] to a buffer and says how many there were.
    #[inline]
    pub fn append_to(self, buffer: &mut Vec<u8>) -> usize {
        if self.doubled {
            return self.append_undoubled(buffer);
        }
        // Most contexts are empty, and to copy nothing is a call all the same.
        if !self.raw.is_empty() {
            buffer.extend_from_slice(self.raw);
        }
        self.raw.len()
    }

    fn append_undoubled(self, buffer: &mut Vec<u8>) -> usize {
        let start = buffer.len();
        let mut rest = self.raw;
        while let Some(quote) = memchr::memchr(b'"', rest) {
            buffer.extend_from_slice(&rest[..=quote]);
            let skipped = quote + 1 + usize::from(rest.get(quote + 1) == Some(&b'"'));
            rest = &rest[skipped..];
        }
        buffer.extend_from_slice(rest);
        buffer.len() - start
    }
}

/// Why a line is no record. The line is counted and reading goes on (DESIGN section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rejection {
    /// Fewer columns than the header names.
    TooFewFields,
    /// The first column is no `yyyy-MM-ddTHH:mm:ss.fffZ`.
    BadTime,
    /// The session id is not 16 hex digits.
    BadSessionId,
    /// The sequence number is not a number below 2^32.
    BadSequence,
    /// The event is none of `+ - > < *`.
    BadEvent,
    /// Longer than [`LINE_BYTES_MAX`](crate::reader::LINE_BYTES_MAX).
    TooLong,
}

impl Rejection {
    /// What is wrong, for a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Rejection::TooFewFields => "too few fields",
            Rejection::BadTime => "bad time",
            Rejection::BadSessionId => "bad session id",
            Rejection::BadSequence => "bad sequence number",
            Rejection::BadEvent => "bad event",
            Rejection::TooLong => "line too long",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        let field = Field { raw: raw.as_bytes(), doubled: true };
        assert_eq!(field.bytes(), expected.as_bytes(), "{raw:?}");
    }

    #[test]
    fn doubled_quotes() {
        check("plain, with comma", "plain, with comma");
        check(r#"O=""thawte, Inc."", C=US"#, r#"O="thawte, Inc.", C=US"#);
        check(r#""""""#, r#""""#);
        check(r#"lone " quote"#, r#"lone " quote"#);
        check("", "");
    }
}
