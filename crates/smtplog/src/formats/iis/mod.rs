//! SMTP service logs of Internet Information Services, in the three layouts that it writes into files (FORMATS
//! section 2): W3C, NCSA, and its own.
//!
//! ```text
//! #Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-query sc-status
//! 2017-02-09 05:28:28 66.196.118.34 OutboundConnectionCommand SMTPSVC1 SRV1 - 25 MAIL FROM:<a@b.example> 0
//! 2017-02-09 05:28:28 66.196.118.34 OutboundConnectionResponse SMTPSVC1 SRV1 - 25 - 550+5.7.64+Relay+Access+Denied 0
//! 2017-02-09 05:28:29 192.0.2.7 client.example SMTPSVC1 SRV1 10.0.0.1 0 RCPT +TO:<c@d.example> 250
//! ```
//! One file holds both directions. There is no session id: rows of one remote have one key, and what a row says by
//! itself of the rows around it tells the sessions of a remote apart ([`Rebuilt`](crate::fragment::Rebuilt)). A row of
//! a session is one line, as everywhere. A command that the service received stands in a row with the code of the
//! answer, which becomes the row's context, with the name that the client had given itself behind it.

mod clock;
mod native;
mod ncsa;
mod row;
#[cfg(test)]
mod tests;
mod w3c;

use memchr::{memchr, memmem};

use self::row::{Row, Texts};
use super::{Columns, Head, LogFormat, lines, metadata_pair, trim_line};
use crate::{
    Direction,
    reader::{Fragments, LINE_BYTES_MAX},
    record::Rejection,
};

/// The registry's entry.
pub struct Iis;

/// Lines of a head that are looked at: where none of so many is a row of the SMTP service, it is another log of IIS.
const LINES_LOOKED_AT_MAX: usize = 100;

impl LogFormat for Iis {
    fn name(&self) -> &'static str {
        "iis"
    }

    /// Web and FTP logs have the same headers, so that a row has to be one of the SMTP service. Its metadata is read
    /// again with the file, and rows before it must not know of it.
    fn recognise(&self, head: &[u8]) -> Option<Head> {
        let mut columns = Columns::NONE;
        for line in lines(head).take(LINES_LOOKED_AT_MAX) {
            match line.strip_prefix(b"#") {
                Some(metadata) => read_metadata(metadata, &mut columns),
                None if row(line, &columns).is_ok_and(|row| row.is_smtp()) => {
                    return Some(Head { direction: None, columns: Columns::NONE });
                }
                // An excerpt without a header begins with a row.
                None if columns == Columns::NONE => return None,
                None => {}
            }
        }
        None
    }

    fn read(&self, columns: &mut Columns, block: &[u8], offset: u64, fragments: &mut Fragments) {
        let mut texts = Texts::default();
        let mut at = 0;
        while at < block.len() {
            let length = memchr(b'\n', &block[at..]).map_or(block.len() - at, |end| end + 1);
            let begin = offset + at as u64;
            let line = trim_line(&block[at..at + length], begin);
            read_line(line, columns, (begin, length as u64), &mut texts, fragments);
            at += length;
        }
    }

    /// `s-computername`.
    fn server_of_row<'a>(&self, columns: &Columns, line: &'a [u8]) -> Option<&'a [u8]> {
        let computer = row(line, columns).ok()?.computer;
        (!computer.is_empty()).then_some(computer)
    }

    fn has_both_directions(&self) -> bool {
        true
    }
}

fn read_line(line: &[u8], columns: &mut Columns, position: (u64, u64), texts: &mut Texts, fragments: &mut Fragments) {
    let found = match line {
        b"" => return,
        [b'#', metadata @ ..] => return read_metadata(metadata, columns),
        line if line.len() > LINE_BYTES_MAX => Err(Rejection::TooLong),
        line => row(line, columns),
    };
    match found {
        Ok(row) if columns.direction.is_none_or(|direction| direction == row.direction()) => {
            fragments.rebuilt_row(&row.record(texts), row.rebuilt(), position);
        }
        Ok(_) => {}
        // A line that is no row has no direction, and shall count once.
        Err(_) if columns.direction == Some(Direction::Send) => {}
        Err(rejection) => fragments.rejected(rejection, position),
    }
}

fn read_metadata(metadata: &[u8], columns: &mut Columns) {
    let (key, value) = metadata_pair(metadata);
    if key.eq_ignore_ascii_case(b"fields") {
        columns.change(&w3c::columns(value).unwrap_or(Columns::NONE));
    } else if key.eq_ignore_ascii_case(b"date")
        && let Some(date) = clock::date_and_time(value)
    {
        columns.date = Some(date);
    }
}

/// Reads a line by the header's columns. Only W3C has a header; without one the line's form tells its layout.
fn row<'a>(line: &'a [u8], columns: &Columns) -> Result<Row<'a>, Rejection> {
    if columns.count > 0 {
        return w3c::row(line, columns);
    }
    if memmem::find(line, b"] \"").is_some() {
        return ncsa::row(line);
    }
    let date = line.split(|&byte| byte == b' ').next().unwrap_or(line);
    if clock::iso_date(date).is_some() { w3c::row(line, w3c::full()) } else { native::row(line) }
}
