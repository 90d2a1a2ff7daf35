//! Log formats: how bytes become records. Adding one is a file here and a line in [`FORMATS`].

pub mod exchange;

use crate::{Direction, reader::Fragments};

/// A format of protocol logs.
pub trait LogFormat: Sync {
    /// The name used in reports.
    fn name(&self) -> &'static str;

    /// What the beginning of a file says, or `None` if it is not of this format.
    fn recognise(&self, head: &[u8]) -> Option<Head>;

    /// Reads a block of whole lines (the last one may lack its end) that starts at `offset` of the decompressed
    /// source, and hands every record and every rejected line to `fragments`.
    fn read(&self, columns: &mut Columns, block: &[u8], offset: u64, fragments: &mut Fragments);

    /// The first complete row that is no metadata, without its line end: the source's identity (CONTRACT 1).
    fn first_row<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]>;

    /// The server that a row's connector names, if the format has such.
    fn server_of_row<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]>;
}

/// Every format, in the order in which they are tried.
pub const FORMATS: &[&dyn LogFormat] = &[&exchange::Exchange];

/// What the head of a file says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `#Log-type`, if there is one.
    pub direction: Option<Direction>,
    /// `#Fields`, or the fixed nine.
    pub columns: Columns,
}

/// Where the columns stand; `#Fields` may change them anywhere in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// For each of the nine known columns its place in a row; `None` where the file has no such column.
    pub places: [Option<u8>; 9],
    /// Columns of a row.
    pub count: u8,
}
