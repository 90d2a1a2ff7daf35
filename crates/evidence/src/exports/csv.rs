//! CSV of `Export-Csv` and `ConvertTo-Csv` (FORMATS section 5.2).
//!
//! ```text
//! #TYPE Selected.Microsoft.Exchange.Data.Directory.SystemConfiguration.TenantInboundConnector
//! "Name","Enabled","SenderIPAddresses"
//! "Inbound from contoso","True","192.0.2.1;192.0.2.2"
//! ```
//!
//! The first line is optional and the delimiter is the locale's. Results of several cmdlets may stand one behind the
//! other, each with a header of its own.

use csv::{Reader, ReaderBuilder, StringRecord};

use super::{
    objects::{Object, PROPERTIES_MAX, Part},
    types, values,
};

/// What a locale puts between cells; `Export-Csv -Delimiter` can be told others, of which these are in use.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Bytes of the header. A receive connector's has some 2,000.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Objects of a CSV text.
pub(crate) struct Rows<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
    type_name: Option<String>,
    /// Names of the columns; none before the header.
    columns: Vec<String>,
    /// What the file's name hints at.
    source: Option<&'t str>,
}

/// The delimiter, if the text begins with a header that tells a known type.
pub(crate) fn delimiter(text: &str, source: Option<&str>) -> Option<u8> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| cut_at(line, HEADER_BYTES_MAX));
    let first = lines.next()?;
    let (told, header) = match type_line(first) {
        Some(name) => (types::of_type_name(name).is_some(), lines.next()?),
        None => (false, first),
    };
    let told = told || source.is_some_and(|source| types::of_noun(source).is_some());
    DELIMITERS.into_iter().find(|&delimiter| {
        let columns = cells(header, delimiter);
        let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        types::of_names(&has).is_some()
            || told && columns.len() > 1 && (has("Name") || has("Identity") || has("DomainName"))
    })
}

/// Reads a text that has this delimiter.
pub(crate) fn parts<'t>(text: &'t str, delimiter: u8, source: Option<&'t str>) -> Rows<'t> {
    let reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    Rows { text, reader, type_name: None, columns: Vec::new(), source }
}

impl Iterator for Rows<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let mut row = StringRecord::new();
        loop {
            let at = self.place();
            match self.reader.read_record(&mut row) {
                Ok(true) => {
                    if let Some(part) = self.row(at, &row) {
                        return Some(part);
                    }
                }
                Ok(false) => return None,
                Err(error) => return Some(Part::Rejected { at, why: format!("not CSV: {error}") }),
            }
        }
    }
}

impl Rows<'_> {
    /// Where the reader is, past the line ends before the next row.
    fn place(&self) -> usize {
        let at = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let rest = self.text.get(at..).unwrap_or("");
        at + (rest.len() - rest.trim_start_matches(['\r', '\n']).len())
    }

    fn row(&mut self, at: usize, row: &StringRecord) -> Option<Part> {
        if let Some(name) = row.get(0).and_then(type_line) {
            (self.type_name, self.columns) = (Some(name.trim().to_owned()), Vec::new());
            return None;
        }
        let has = |name: &str| row.iter().any(|cell| cell.trim().eq_ignore_ascii_case(name));
        let is_header = self.columns.is_empty() || types::of_names(&has).is_some();
        if is_header {
            if !self.columns.is_empty() {
                self.type_name = None;
            }
            self.columns = row.iter().map(|cell| cell.trim().to_owned()).take(PROPERTIES_MAX).collect();
            return None;
        }
        Some(self.object(at, row))
    }

    fn object(&self, at: usize, row: &StringRecord) -> Part {
        let beyond = row.iter().skip(self.columns.len());
        if row.len() < self.columns.len() || beyond.clone().any(|cell| !cell.trim().is_empty()) {
            let why = format!("{} cells under {} columns", row.len(), self.columns.len());
            return Part::Rejected { at, why };
        }
        if self.is_cut(at) {
            return Part::Rejected { at, why: "the row is cut within a cell".to_owned() };
        }
        let mut object = Object::new(at);
        (object.type_name, object.source) = (self.type_name.clone(), self.source.map(str::to_owned));
        for (name, cell) in self.columns.iter().zip(row) {
            object.set(name, values::of_braces(cell.trim()).unwrap_or_else(|| values::of_text(name, cell)));
        }
        Part::Object(object)
    }

    /// Whether the text ended within a quoted cell of the row that begins there.
    fn is_cut(&self, at: usize) -> bool {
        let end = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let is_last = end >= self.text.len() && !self.text.ends_with('\n');
        is_last && self.text.get(at..).is_some_and(|row| row.matches('"').count() % 2 == 1)
    }
}

/// The type's name in a line `#TYPE name`.
fn type_line(line: &str) -> Option<&str> {
    line.trim_start_matches('"').strip_prefix("#TYPE ")
}

/// The cells of one line.
fn cells(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(line.as_bytes());
    let mut row = StringRecord::new();
    match reader.read_record(&mut row) {
        Ok(true) => row.iter().map(|cell| cell.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn cut_at(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests;
