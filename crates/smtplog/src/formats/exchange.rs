//! Exchange SMTP protocol logs, send and receive, 2007 to SE (FORMATS section 1).
//!
//! ```text
//! #Log-type: SMTP Send Protocol Log
//! #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
//! 2024-03-01T06:00:06.307Z,Outbound,08DC399000800000,6,10.0.0.10:22289,104.47.88.42:25,>,STARTTLS,
//! ```
//! One record is always one physical line, so blocks may be cut at any line feed.

use memchr::{memchr, memrchr};

use super::{Columns, Head, LogFormat};
use crate::{
    Direction, SessionId, Timestamp, naive,
    reader::{Fragments, LINE_BYTES_MAX},
    record::{Event, Field, Record, Rejection},
};

/// The registry's entry.
pub struct Exchange;

/// The nine columns, in the order of a standard header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs)] // The names are the header's own.
pub enum Column {
    Time,
    Connector,
    Session,
    Sequence,
    Local,
    Remote,
    Event,
    Data,
    Context,
}

const COLUMN_NAMES: [&[u8]; 9] = [
    b"date-time",
    b"connector-id",
    b"session-id",
    b"sequence-number",
    b"local-endpoint",
    b"remote-endpoint",
    b"event",
    b"data",
    b"context",
];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Columns {
    /// The nine columns in their fixed order, for excerpts without a header.
    pub const STANDARD: Columns =
        Columns { places: [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7), Some(8)], count: 9 };

    /// The value of a `#Fields` line; `None` if it names no column that a session needs.
    fn from_header(names: &[u8]) -> Option<Columns> {
        let mut places = [None; 9];
        let mut count = 0u8;
        for name in names.split(|&byte| byte == b',') {
            let name = name.trim_ascii();
            if let Some(column) = COLUMN_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
                places[column] = Some(count);
            }
            count = count.checked_add(1)?;
        }
        let needed = [Column::Time, Column::Session, Column::Sequence, Column::Event];
        needed.iter().all(|&column| places[column as usize].is_some()).then_some(Columns { places, count })
    }
}

impl LogFormat for Exchange {
    fn name(&self) -> &'static str {
        "exchange"
    }

    /// A header that names itself, or, for excerpts, a first row that reads as a record.
    fn recognise(&self, head: &[u8]) -> Option<Head> {
        let mut found = Head { direction: None, columns: Columns::STANDARD };
        let mut is_log = false;
        for line in lines(head) {
            let Some(metadata) = line.strip_prefix(b"#") else {
                let is_record = naive::record(line, &found.columns).is_ok();
                return (is_log || is_record).then_some(found);
            };
            let (key, value) = metadata_pair(metadata);
            if key.eq_ignore_ascii_case(b"log-type") {
                found.direction = direction_of_log_type(value);
                is_log |= found.direction.is_some();
            } else if key.eq_ignore_ascii_case(b"fields")
                && let Some(columns) = Columns::from_header(value)
            {
                found.columns = columns;
                is_log |= columns_are_exchange(value);
            }
        }
        is_log.then_some(found)
    }

    fn read(&self, columns: &mut Columns, block: &[u8], offset: u64, fragments: &mut Fragments) {
        let mut clock = Clock::default();
        let mut at = 0;
        while at < block.len() {
            let end = memchr(b'\n', &block[at..]).map_or(block.len(), |length| at + length + 1);
            let line = trim_line(&block[at..end], offset + at as u64);
            let position = (offset + at as u64, (end - at) as u64);
            at = end;
            if line.first() == Some(&b'#') {
                read_metadata(&line[1..], columns);
                continue;
            }
            if line.is_empty() {
                continue;
            }
            match record_of(line, columns, &mut clock) {
                Ok(record) => fragments.record(&record, position),
                Err(rejection) => fragments.rejected(rejection, position),
            }
        }
    }

    fn first_row<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = head;
        let mut offset = 0;
        while let Some(end) = memchr(b'\n', rest) {
            let line = trim_line(&rest[..end + 1], offset);
            if !line.is_empty() && line[0] != b'#' {
                return Some(line);
            }
            offset += end as u64 + 1;
            rest = &rest[end + 1..];
        }
        None
    }

    /// `EX1` of a receive log's `EX1\Default Frontend EX1`.
    fn server_of_row<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        let connector = naive::record(row, &Columns::STANDARD).ok()?.connector.raw;
        let backslash = memchr(b'\\', connector)?;
        (backslash > 0).then_some(&connector[..backslash])
    }
}

/// The line without its end, and without the byte order mark that only a file's first line has.
fn trim_line(line: &[u8], offset: u64) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if offset == 0 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    head.split(|&byte| byte == b'\n').map(|line| trim_line(line, 1)).filter(|line| !line.is_empty())
}

fn metadata_pair(metadata: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b':', metadata) {
        Some(colon) => (metadata[..colon].trim_ascii(), metadata[colon + 1..].trim_ascii()),
        None => (metadata, b""),
    }
}

fn direction_of_log_type(value: &[u8]) -> Option<Direction> {
    match value {
        _ if value.eq_ignore_ascii_case(b"SMTP Send Protocol Log") => Some(Direction::Send),
        _ if value.eq_ignore_ascii_case(b"SMTP Receive Protocol Log") => Some(Direction::Receive),
        _ => None,
    }
}

/// Other Exchange logs have `date-time` and `session-id` too; only protocol logs have these.
fn columns_are_exchange(value: &[u8]) -> bool {
    Columns::from_header(value).is_some_and(|columns| columns.places[Column::Data as usize].is_some())
}

fn read_metadata(metadata: &[u8], columns: &mut Columns) {
    let (key, value) = metadata_pair(metadata);
    if key.eq_ignore_ascii_case(b"fields")
        && let Some(changed) = Columns::from_header(value)
    {
        *columns = changed;
    }
}

/// A row by whichever reader its columns allow.
fn record_of<'a>(line: &'a [u8], columns: &Columns, clock: &mut Clock) -> Result<Record<'a>, Rejection> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Rejection::TooLong);
    }
    if *columns == Columns::STANDARD { record(line, clock) } else { naive::record(line, columns) }
}

/// A row of the nine standard columns, read in one pass from the left.
///
/// Time and session id have fixed widths, the sequence number and the event are a few bytes, so only four of the
/// eight commas have to be searched for. It agrees with [`naive::record`] on every line, which
/// `fast_reader_agrees_with_its_slow_twin` and the fuzz target `records` check.
pub fn record<'a>(line: &'a [u8], clock: &mut Clock) -> Result<Record<'a>, Rejection> {
    match standard_record(line, clock) {
        Some(record) => Ok(record),
        None => naive::record(line, &Columns::STANDARD),
    }
}

/// The common case; `None` sends anything unusual to the slow twin, which also names what is wrong.
#[inline]
fn standard_record<'a>(line: &'a [u8], clock: &mut Clock) -> Option<Record<'a>> {
    if line.len() < 24 + 1 + 1 + 16 + 1 || line[24] != b',' {
        return None;
    }
    let time = clock.read(line[..24].try_into().ok()?)?;
    let (connector, rest) = field(&line[25..])?;
    if rest.len() < 17 || rest[16] != b',' {
        return None;
    }
    let session = session_id(rest[..16].try_into().ok()?)?;
    let (sequence, rest) = sequence(&rest[17..])?;
    let (local, rest) = plain_field(rest)?;
    let (remote, rest) = plain_field(rest)?;
    let (event, rest) = match *rest {
        [event, b',', ..] => (Event::from_column(&[event])?, &rest[2..]),
        _ => return None,
    };
    let (data, rest) = field(rest)?;
    let context = last_field(rest)?;
    Some(Record { time, connector, session, sequence, local, remote, event, data, context })
}

/// A field and what follows its comma.
#[inline]
fn field(rest: &[u8]) -> Option<(Field<'_>, &[u8])> {
    if rest.first() != Some(&b'"') {
        let comma = memchr(b',', rest)?;
        return Some((Field::plain(&rest[..comma]), &rest[comma + 1..]));
    }
    let close = closing_quote(&rest[1..])? + 1;
    let after = rest.get(close + 1..)?.strip_prefix(b",")?;
    let raw = &rest[1..close];
    Some((Field { raw, doubled: memchr(b'"', raw).is_some() }, after))
}

/// A field that is never quoted; a quote in it is for the slow twin.
#[inline]
fn plain_field(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let comma = memchr(b',', rest)?;
    (rest[0] != b'"').then(|| (&rest[..comma], &rest[comma + 1..]))
}

/// The last field of a row. A comma outside quotes means that the row has too many fields.
#[inline]
fn last_field(rest: &[u8]) -> Option<Field<'_>> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        return memrchr(b',', rest).is_none().then_some(Field::plain(rest));
    };
    let close = closing_quote(quoted)?;
    let raw = &quoted[..close];
    (close + 1 == quoted.len()).then(|| Field { raw, doubled: memchr(b'"', raw).is_some() })
}

/// Where a quoted field ends: at the first quote that is not doubled.
#[inline]
fn closing_quote(quoted: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', &quoted[at..])?;
        if quoted.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[inline]
fn sequence(rest: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (at, &digit) in rest.iter().enumerate().take(10) {
        match digit {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?,
            b',' if at > 0 => return Some((value, &rest[at + 1..])),
            _ => return None,
        }
    }
    None
}

/// Value of each hex digit, 0xFF for every other byte.
const HEX_DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

#[inline]
fn session_id(hex: &[u8; 16]) -> Option<SessionId> {
    let mut value = 0u64;
    let mut all = 0u8;
    for &digit in hex {
        let digit = HEX_DIGITS[usize::from(digit)];
        all |= digit;
        value = value << 4 | u64::from(digit & 15);
    }
    (all < 16).then_some(SessionId(value))
}

/// Reads times, remembering the last second: rows of a log share it with their neighbours, so most of the 24 bytes
/// are compared instead of parsed.
pub struct Clock {
    /// `yyyy-MM-ddTHH:mm:ss.` of `second`.
    prefix: [u8; 20],
    second: i64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { prefix: *b"1970-01-01T00:00:00.", second: 0 }
    }
}

impl Clock {
    #[inline]
    fn read(&mut self, text: &[u8; 24]) -> Option<Timestamp> {
        if text[..20] != self.prefix {
            let time = Timestamp::from_log(text)?;
            self.prefix.copy_from_slice(&text[..20]);
            self.second = time.0 - time.0.rem_euclid(1_000);
            return Some(time);
        }
        let digits = [text[20].wrapping_sub(b'0'), text[21].wrapping_sub(b'0'), text[22].wrapping_sub(b'0')];
        if digits.iter().any(|&digit| digit > 9) || text[23] != b'Z' {
            return None;
        }
        let ms = i64::from(digits[0]) * 100 + i64::from(digits[1]) * 10 + i64::from(digits[2]);
        Some(Timestamp(self.second + ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW: &str =
        "2024-03-01T06:00:06.307Z,Outbound,08DC399000800000,6,10.0.0.10:22289,104.47.88.42:25,>,STARTTLS,";

    #[track_caller]
    fn check(line: &str, expected: Result<(&str, &str, &str), Rejection>) {
        let record = record(line.as_bytes(), &mut Clock::default());
        let text = |field: Field<'_>| String::from_utf8_lossy(&field.bytes()).into_owned();
        let columns = record.map(|r| (text(r.connector), text(r.data), text(r.context)));
        let columns = columns.as_ref().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str()));
        assert_eq!(columns, expected.as_ref().map(|&columns| columns), "{line:?}");
    }

    #[test]
    fn rows() {
        check(ROW, Ok(("Outbound", "STARTTLS", "")));
        check(
            r#"2024-03-01T06:00:06.307Z,"a, b",08DC399000800000,0,,,<,"O=""x, y""",Sending certificate"#,
            Ok(("a, b", r#"O="x, y""#, "Sending certificate")),
        );
        // A web page lost the asterisk.
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,36,,,,None,Set", Ok(("", "None", "Set")));
        // Quotes replaced by typographic ones: surplus commas belong to the data.
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,2,,,<,220 Tue, 19 Jul,", Ok(("", "220 Tue, 19 Jul", "")));
        check("016-07-19T12:13:14.863Z,,08DC399000800000,3,,,>,EHLO,", Err(Rejection::BadTime));
        check("2024-03-01T06:00:06.307Z,,08DF,1,,,>,EHLO,", Err(Rejection::BadSessionId));
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,x,,,>,EHLO,", Err(Rejection::BadSequence));
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,4294967296,,,>,EHLO,", Err(Rejection::BadSequence));
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,1,,,?,EHLO,", Err(Rejection::BadEvent));
        check("2024-03-01T06:00:06.307Z,,08DC399000800000,1,,,>,EHLO", Err(Rejection::TooFewFields));
        check("", Err(Rejection::TooFewFields));
    }

    #[test]
    fn header_without_log_type_is_known_by_its_fields() {
        let head = b"#Software: Microsoft Exchange Server\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n";
        assert_eq!(Exchange.recognise(head).map(|head| head.direction), Some(None));
        assert_eq!(Exchange.recognise(b"#Fields: date time c-ip\r\n"), None);
        assert_eq!(Exchange.recognise(b"just text\n"), None);
    }

    #[test]
    fn fields_may_stand_in_another_order() {
        let columns = Columns::from_header(
            b"session-id, date-time,sequence-number,event,connector-id,local-endpoint,remote-endpoint,note,data,context",
        );
        let line = b"08DC399000800000,2024-03-01T06:00:06.307Z,5,<,c,l,r,n,d,x";
        let record = naive::record(line, &columns.unwrap()).unwrap();
        assert_eq!((record.sequence, record.event, record.data.raw), (5, Event::Received, &b"d"[..]));
    }

    proptest! {
        #[test]
        fn fast_reader_agrees_with_its_slow_twin(
            line in r#"(2024-03-01T06:00:0[0-9]\.[0-9]{3}[ZzX],)?("?[a, "\\]{0,4}"?,){0,2}([0-9A-Fg]{15,17},)?[0-9]{0,11},[,\[1:]{0,3},?[-+<>*"]{0,2},["a,]{0,6},?["b,]{0,5}"#,
        ) {
            let line = line.as_bytes();
            prop_assert_eq!(record(line, &mut Clock::default()), naive::record(line, &Columns::STANDARD));
        }
    }
}
