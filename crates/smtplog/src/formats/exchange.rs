//! Exchange SMTP protocol logs, send and receive, 2007 to SE (FORMATS section 1).
//!
//! ```text
//! #Log-type: SMTP Send Protocol Log
//! #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
//! 2024-03-01T06:00:06.307Z,Outbound,08DC399000800000,6,10.0.0.10:22289,104.47.88.42:25,>,STARTTLS,
//! ```
//! One record is always one physical line, so blocks may be cut at any line feed.

use memchr::{memchr, memchr2, memrchr};

use super::{COLUMNS_MAX, Columns, Head, LogFormat, lines, metadata_pair, trim_line};
use crate::{
    Direction, SessionId, Timestamp,
    fragment::Endpoints,
    naive,
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

impl Columns {
    /// The nine columns in their fixed order, for excerpts without a header.
    pub const STANDARD: Columns = {
        let mut places = [None; COLUMNS_MAX];
        let mut column = 0;
        while column < COLUMN_NAMES.len() {
            places[column] = Some(column as u8);
            column += 1;
        }
        Columns { places, count: COLUMN_NAMES.len() as u8, ..Columns::NONE }
    };

    /// The value of a `#Fields` line; `None` if it names no column that a session needs.
    fn from_header(names: &[u8]) -> Option<Columns> {
        let mut places = [None; COLUMNS_MAX];
        let mut count = 0u8;
        for name in names.split(|&byte| byte == b',') {
            let name = name.trim_ascii();
            if let Some(column) = COLUMN_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
                places[column] = Some(count);
            }
            count = count.checked_add(1)?;
        }
        let needed = [Column::Time, Column::Session, Column::Sequence, Column::Event];
        needed.iter().all(|&column| places[column as usize].is_some()).then_some(Columns {
            places,
            count,
            ..Columns::NONE
        })
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
        let whole = memrchr(b'\n', block).map_or(0, |end| end + 1);
        let mut previous = Previous::default();
        let mut is_standard = *columns == Columns::STANDARD;
        let mut at = 0;
        while at < whole {
            let rest = &block[at..whole];
            if is_standard && let Some((record, length)) = standard_row(rest, &mut previous) {
                fragments.row(&record, previous.endpoints_are, (offset + at as u64, length as u64));
                at += length;
            } else {
                at += read_line(rest, columns, offset + at as u64, fragments);
                is_standard = *columns == Columns::STANDARD;
                previous = Previous::default();
            }
        }
        if whole < block.len() {
            read_line(&block[whole..], columns, offset + whole as u64, fragments);
        }
    }

    /// `EX1` of a receive log's `EX1\Default Frontend EX1`.
    fn server_of_row<'a>(&self, _: &Columns, row: &'a [u8]) -> Option<&'a [u8]> {
        let connector = naive::record(row, &Columns::STANDARD).ok()?.connector.raw;
        let backslash = memchr(b'\\', connector)?;
        (backslash > 0).then_some(&connector[..backslash])
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

/// Reads the line at the beginning of `text` without haste: metadata, and rows that the fast path does not know.
/// Returns its bytes with its line end.
#[cold]
#[inline(never)]
fn read_line(text: &[u8], columns: &mut Columns, offset: u64, fragments: &mut Fragments) -> usize {
    let length = memchr(b'\n', text).map_or(text.len(), |end| end + 1);
    let position = (offset, length as u64);
    match trim_line(&text[..length], offset) {
        b"" => {}
        [b'#', metadata @ ..] => read_metadata(metadata, columns),
        line if line.len() > LINE_BYTES_MAX => fragments.rejected(Rejection::TooLong, position),
        line => match naive::record(line, columns) {
            Ok(record) => fragments.record(&record, position),
            Err(rejection) => fragments.rejected(rejection, position),
        },
    }
    length
}

/// [`Previous`], by the name that the fuzz target `records` knows.
pub type Clock<'a> = Previous<'a>;

/// A row of the nine standard columns, without its line end.
///
/// It agrees with [`naive::record`] on every line, whatever the rows before it were, which
/// `fast_reader_agrees_with_its_slow_twin` and the fuzz target `records` check.
pub fn record<'a>(line: &'a [u8], previous: &mut Previous<'a>) -> Result<Record<'a>, Rejection> {
    match standard_row(line, previous) {
        Some((record, length)) if length == line.len() => Ok(record),
        _ => naive::record(line, &Columns::STANDARD),
    }
}

/// The row of nine standard columns at the beginning of `text`, and its bytes with its line end; `None` sends
/// anything unusual to the slow twin, which also names what is wrong.
///
/// The plain algorithm finds the end of the line, cuts it at commas and reads each field. Here the text is read once
/// from the left, and the line end is found where the row stops. Rows mostly continue the session of the row before,
/// so everything up to the event is compared with that row and only what differs is parsed; that leaves one search in
/// most rows and two in the others. Searches run on past the line's end, because memchr goes byte by byte through less
/// than a vector. All helpers are inlined by force: a field that is returned through memory is stored in small pieces
/// and loaded in large ones, which stalls.
///
/// A row of the reference set took 91 ns to read and collect with a search for every comma, 66 with the comparisons,
/// 47 without the search for the line end, and takes 41 now that equal endpoints are not compared once more by the
/// fragment. Comparing by 16-byte words in place of `==` was no faster.
#[inline(always)]
fn standard_row<'a>(text: &'a [u8], previous: &mut Previous<'a>) -> Option<(Record<'a>, usize)> {
    let (time, rest) = previous.time(text)?;
    previous.endpoints_are = Endpoints::AsBefore;
    let rest = previous.connector(rest)?;
    let rest = previous.session(rest)?;
    let (sequence, rest) = sequence(rest)?;
    let rest = previous.endpoints(rest)?;
    let (event, rest) = match *rest {
        [event, b',', ..] => (Event::from_byte(event)?, &rest[2..]),
        _ => return None,
    };
    let (data, rest) = field(rest)?;
    let (context, behind) = last_field(rest)?;
    let length = text.len() - behind.len();
    let Previous { connector, session, local, remote, .. } = *previous;
    let record = Record { time, connector, session, sequence, local, remote, event, data, context };
    (length <= LINE_BYTES_MAX).then_some((record, length))
}

/// A field and what follows its comma.
#[inline(always)]
fn field(rest: &[u8]) -> Option<(Field<'_>, &[u8])> {
    if rest.first() != Some(&b'"') {
        let (raw, rest) = plain_field(rest)?;
        return Some((Field::plain(raw), rest));
    }
    let (field, rest) = quoted_field(&rest[1..])?;
    Some((field, rest.strip_prefix(b",")?))
}

/// A field without quotes and what follows its comma.
#[inline(always)]
fn plain_field(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr2(b',', b'\n', rest)?;
    (rest[end] == b',' && rest[0] != b'"').then(|| (&rest[..end], &rest[end + 1..]))
}

/// The last field of a row and what follows its line end. A comma outside quotes means that the row has too many
/// fields.
#[inline(always)]
fn last_field(rest: &[u8]) -> Option<(Field<'_>, &[u8])> {
    match rest {
        [b'\r', b'\n', behind @ ..] => Some((Field::plain(b""), behind)),
        [b'"', quoted @ ..] => {
            let (field, rest) = quoted_field(quoted)?;
            let behind = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n"));
            behind.or(rest.is_empty().then_some(rest)).map(|behind| (field, behind))
        }
        _ => match memchr2(b',', b'\n', rest) {
            Some(end) if rest[end] == b',' => None,
            Some(end) => {
                let raw = &rest[..end];
                Some((Field::plain(raw.strip_suffix(b"\r").unwrap_or(raw)), &rest[end + 1..]))
            }
            None => Some((Field::plain(rest), b"")),
        },
    }
}

/// A field whose first quote is read, and what follows the quote that ends it: the first that is not doubled.
#[inline]
fn quoted_field(quoted: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let mut end = 0;
    let mut doubled = false;
    loop {
        end += memchr2(b'"', b'\n', &quoted[end..])?;
        if quoted[end] == b'\n' {
            return None;
        }
        if quoted.get(end + 1) != Some(&b'"') {
            return Some((Field { raw: &quoted[..end], doubled }, &quoted[end + 1..]));
        }
        doubled = true;
        end += 2;
    }
}

/// Digits of the largest sequence number; more than these are leading zeros, or not a number below 2^32.
const SEQUENCE_DIGITS_MAX: usize = 10;

#[inline]
fn sequence(rest: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (at, &digit) in rest.iter().enumerate().take(SEQUENCE_DIGITS_MAX + 1) {
        match digit {
            b'0'..=b'9' => value = value * 10 + u64::from(digit - b'0'),
            b',' if at > 0 => return Some((u32::try_from(value).ok()?, &rest[at + 1..])),
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

/// What the fields of the row before said, each beside the text that said it. A field that begins with the same text
/// says the same, and comparing is cheaper than looking for commas and reading digits.
pub struct Previous<'a> {
    /// `2024-03-01T06:00:`, the beginning of the time up to its second.
    minute_text: [u8; 17],
    minute: i64,
    /// `,Outbound,`: the connector between its commas.
    connector_text: &'a [u8],
    connector: Field<'a>,
    session_text: [u8; 16],
    session: SessionId,
    /// `10.0.0.10:22289,104.47.88.42:25,`: both endpoints with the commas behind them.
    endpoints_text: &'a [u8],
    local: &'a [u8],
    remote: &'a [u8],
    /// Whether session and endpoints are those of the row before. Where no row is known, a row without endpoints seems
    /// to repeat them, which does no harm, as empty ones are not kept.
    endpoints_are: Endpoints,
}

impl Default for Previous<'_> {
    fn default() -> Self {
        Previous {
            minute_text: *b"1970-01-01T00:00:",
            minute: 0,
            connector_text: b",,",
            connector: Field::plain(b""),
            session_text: *b"0000000000000000",
            session: SessionId(0),
            endpoints_text: b",,",
            local: b"",
            remote: b"",
            endpoints_are: Endpoints::Any,
        }
    }
}

impl<'a> Previous<'a> {
    #[inline(always)]
    fn time(&mut self, line: &'a [u8]) -> Option<(Timestamp, &'a [u8])> {
        let (text, rest) = line.split_first_chunk::<24>()?;
        if text[..17] != self.minute_text {
            let time = Timestamp::from_log(text)?;
            self.minute_text.copy_from_slice(&text[..17]);
            self.minute = time.0 - time.0.rem_euclid(60_000);
            return Some((time, rest));
        }
        let [s1, s2, m1, m2, m3] = [text[17], text[18], text[20], text[21], text[22]].map(|b| b.wrapping_sub(b'0'));
        if s1 > 5 || s2.max(m1).max(m2).max(m3) > 9 || text[19] != b'.' || text[23] != b'Z' {
            return None;
        }
        let [s1, s2, m1, m2, m3] = [s1, s2, m1, m2, m3].map(i64::from);
        Some((Timestamp(self.minute + s1 * 10_000 + s2 * 1_000 + m1 * 100 + m2 * 10 + m3), rest))
    }

    /// Reads the connector from the comma before it, and returns what follows the comma behind it.
    #[inline(always)]
    fn connector(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(rest) = text.strip_prefix(self.connector_text) {
            return Some(rest);
        }
        let (connector, rest) = field(text.strip_prefix(b",")?)?;
        self.connector = connector;
        self.connector_text = &text[..text.len() - rest.len()];
        Some(rest)
    }

    #[inline(always)]
    fn session(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let (hex, rest) = text.split_first_chunk::<16>()?;
        let rest = rest.strip_prefix(b",")?;
        if *hex != self.session_text {
            self.endpoints_are = Endpoints::Any;
            self.session = session_id(hex)?;
            self.session_text = *hex;
        }
        Some(rest)
    }

    #[inline(always)]
    fn endpoints(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(rest) = text.strip_prefix(self.endpoints_text) {
            return Some(rest);
        }
        let (local, rest) = plain_field(text)?;
        let (remote, rest) = plain_field(rest)?;
        self.endpoints_are = Endpoints::Any;
        (self.local, self.remote) = (local, remote);
        self.endpoints_text = &text[..text.len() - rest.len()];
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::*,
        sample::{Index, select},
    };

    use super::*;
    use crate::{fragment::Fragment, reader::Counts};

    const ROW: &str =
        "2024-03-01T06:00:06.307Z,Outbound,08DC399000800000,6,10.0.0.10:22289,104.47.88.42:25,>,STARTTLS,";

    #[track_caller]
    fn check(line: &str, expected: Result<(&str, &str, &str), Rejection>) {
        let record = record(line.as_bytes(), &mut Previous::default());
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

    /// Rows that resemble one another as neighbours do, with everything that a field may hold.
    fn row() -> impl Strategy<Value = String> {
        let minute = select(vec!["2024-03-01T06:00:", "2024-03-01T06:01:", "2024-02-30T06:00:"]);
        let second = select(vec!["06.307Z", "06.308Z", "07.000Z", "59.999Z", "60.000Z", "06.30xZ", "06,307Z"]);
        let connector = select(vec!["Outbound", "", "EX1\\Default EX1", r#""a, b""#, r#""a ""b"", c""#, "\"open"]);
        let session = select(vec![
            "08DC399000800000",
            "08DC399000800001",
            "08dc399000800000",
            "0000000000000000",
            "08DF",
            "08DC39900080000g",
        ]);
        let sequence = select(vec!["0", "1", "9", "10", "4294967295", "4294967296", "00000000001", "x", ""]);
        let local = select(vec!["", "10.0.0.10:22289", "[2001:db8::5]:53000", "\"10.0.0.10:22289\""]);
        let remote = select(vec!["104.47.88.42:25", "", "104.47.88.43:25"]);
        let event = select(vec![">", "<", "*", "+", "-", "", "?", "<<"]);
        let data = select(vec![
            "",
            "STARTTLS",
            "250 2.1.5 Recipient OK",
            r#""220 ready, at Fri, 1 Mar 2024""#,
            r#"" CN=a, O=""thawte, Inc.""""#,
            "220 Tue, 19 Jul 2016 12:13:14 +0200",
            r#"a "quoted" word"#,
            r#""closed" early"#,
            r#""never closed, "#,
        ]);
        let context = select(vec!["", "", "Local", r#""TLS, with comma""#, "two, fields", "\"open", r#""x"y"#]);
        let end = select(vec!["\r\n", "\r\n", "\n", "\r\r\n", "\n\n", ""]);
        let columns = (minute, second, connector, session, sequence, local, remote, event, data, context, end);
        columns.prop_map(|(minute, second, connector, session, sequence, local, remote, event, data, context, end)| {
            format!("{minute}{second},{connector},{session},{sequence},{local},{remote},{event},{data},{context}{end}")
        })
    }

    /// Bytes cut out and others put in their place.
    type Edit = (Index, usize, Vec<u8>);

    fn log() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![select(b",\"\r\n#0 ".to_vec()), any::<u8>()];
        let edit = (any::<Index>(), 0usize..3, vec(byte, 0..3));
        let plain = Just(format!("{ROW}\r\n"));
        (vec(prop_oneof![plain, row()], 1..8), vec(edit, 0..4)).prop_map(|(rows, edits)| edited(rows.concat(), &edits))
    }

    fn edited(log: String, edits: &[Edit]) -> Vec<u8> {
        let mut log = log.into_bytes();
        for (at, cut, put) in edits {
            let at = at.index(log.len() + 1);
            log.splice(at..log.len().min(at + cut), put.iter().copied());
        }
        log
    }

    /// Every line by the slow path.
    fn read_slowly(log: &[u8], fragments: &mut Fragments) {
        let mut columns = Columns::STANDARD;
        let mut at = 0;
        while at < log.len() {
            at += read_line(&log[at..], &mut columns, at as u64, fragments);
        }
    }

    fn ended(mut fragments: Fragments) -> (Counts, Vec<Fragment>) {
        (fragments.end(), fragments.drain_finished().collect())
    }

    #[test]
    fn longer_lines_are_rejected() {
        let filler = |length: usize| format!("{ROW}{}\r\n", "x".repeat(length - ROW.len()));
        let log = [filler(LINE_BYTES_MAX), filler(LINE_BYTES_MAX + 1), filler(ROW.len())].concat();
        let mut fragments = Fragments::default();
        Exchange.read(&mut Columns::STANDARD.clone(), log.as_bytes(), 0, &mut fragments);
        let counts = fragments.end();
        let rejected: Vec<Rejection> = counts.positions.iter().map(|rejected| rejected.rejection).collect();
        assert_eq!((counts.kept, &rejected[..]), (2, &[Rejection::TooLong][..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn fast_reader_agrees_with_its_slow_twin(log in log()) {
            let mut previous = Previous::default();
            for line in log.split(|&byte| byte == b'\n') {
                prop_assert_eq!(record(line, &mut previous), naive::record(line, &Columns::STANDARD));
            }
        }

        #[test]
        fn a_block_reads_as_its_lines_do(log in log()) {
            let (mut fast, mut slow) = (Fragments::default(), Fragments::default());
            Exchange.read(&mut Columns::STANDARD.clone(), &log, 0, &mut fast);
            read_slowly(&log, &mut slow);
            prop_assert_eq!(ended(fast), ended(slow));
        }
    }
}
