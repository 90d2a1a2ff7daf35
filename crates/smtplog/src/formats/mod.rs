//! Log formats: how bytes become records. Adding one is a file here and a line in [`FORMATS`].

pub mod exchange;
pub mod iis;

use memchr::memchr;

use crate::{Direction, Timestamp, reader::Fragments};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A format of protocol logs.
pub trait LogFormat: Sync {
    /// The name used in reports.
    fn name(&self) -> &'static str;

    /// What the beginning of a file says, or `None` if it is not of this format.
    fn recognise(&self, head: &[u8]) -> Option<Head>;

    /// Reads a block of whole lines (the last one may lack its end) that starts at `offset` of the decompressed
    /// source, and hands every record and every rejected line to `fragments`. Of a format with
    /// [both directions](LogFormat::has_both_directions) only rows of [`Columns::direction`] are taken, and lines that
    /// are no rows count for `receive`.
    fn read(&self, columns: &mut Columns, block: &[u8], offset: u64, fragments: &mut Fragments);

    /// The first complete row that is no metadata, without its line end: the source's identity (CONTRACT 1).
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

    /// The server that a row names, if the format has such; the columns are those in force at the row.
    fn server_of_row<'a>(&self, columns: &Columns, row: &'a [u8]) -> Option<&'a [u8]>;

    /// Whether one file holds what the server sent and what it received, so that it is a source of two streams.
    fn has_both_directions(&self) -> bool {
        false
    }
}

/// Every format, in the order in which they are tried.
pub const FORMATS: &[&dyn LogFormat] = &[&exchange::Exchange, &iis::Iis];

/// What the head of a file says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `#Log-type`, if there is one.
    pub direction: Option<Direction>,
    /// `#Fields`, or the fixed nine.
    pub columns: Columns,
}

/// Columns that the format with the most of them knows.
pub const COLUMNS_MAX: usize = 11;

/// What metadata says of the rows behind it: where the columns stand. `#Fields` may change them anywhere in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// For each column that the format knows its place in a row; `None` where the file has no such column.
    pub places: [Option<u8>; COLUMNS_MAX],
    /// Columns of a row; 0 if nothing says it.
    pub count: u8,
    /// `#Date`, where rows may have no date of their own.
    pub date: Option<Timestamp>,
    /// Of a file with both directions the one that is read; `None` reads both.
    pub direction: Option<Direction>,
}

impl Columns {
    /// What is known before any metadata.
    pub const NONE: Columns = Columns { places: [None; COLUMNS_MAX], count: 0, date: None, direction: None };

    /// Takes over what metadata further behind says.
    pub fn change(&mut self, later: &Columns) {
        if later.count > 0 {
            (self.places, self.count) = (later.places, later.count);
        }
        self.date = later.date.or(self.date);
    }
}

/// The line without its end, and without the byte order mark that only a file's first line has.
fn trim_line(line: &[u8], offset: u64) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if offset == 0 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
}

/// The lines of a head that are not empty.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    head.split(|&byte| byte == b'\n').map(|line| trim_line(line, 1)).filter(|line| !line.is_empty())
}

/// The key and the value of a metadata line, whose `#` is gone.
fn metadata_pair(metadata: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b':', metadata) {
        Some(colon) => (metadata[..colon].trim_ascii(), metadata[colon + 1..].trim_ascii()),
        None => (metadata, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_metadata_changes_what_it_speaks_of() {
        let date = |ms| Columns { date: Some(Timestamp(ms)), ..Columns::NONE };
        let mut columns = Columns { direction: Some(Direction::Send), ..date(1) };
        columns.change(&Columns { count: 9, ..Columns::NONE });
        columns.change(&Columns::NONE);
        let expected = Columns { count: 9, direction: Some(Direction::Send), ..date(1) };
        assert_eq!(columns, expected);
        columns.change(&date(2));
        assert_eq!(columns, Columns { date: Some(Timestamp(2)), ..expected });
    }
}
