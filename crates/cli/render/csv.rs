//! CSV (RFC 4180) that is safe to open in a spreadsheet.
//!
//! A spreadsheet takes `=HYPERLINK(...)` in a HELO name for a formula. Cells that begin with `=`, `+`, `-`, `@`, a tab
//! or a carriage return get a leading `'` (OWASP ASVS 1.2.10). Control characters are escaped as in tables.

use std::io::Write;

use super::escape::Escaped;

/// Writes rows of equal length.
pub(crate) struct CsvRows<W: Write>(csv::Writer<W>);

impl<W: Write> CsvRows<W> {
    /// Begins with the names of the columns.
    pub(crate) fn new(out: W, header: &[&str]) -> anyhow::Result<CsvRows<W>> {
        let mut rows = CsvRows(csv::Writer::from_writer(out));
        rows.0.write_record(header)?;
        Ok(rows)
    }

    /// Writes a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> anyhow::Result<()> {
        for cell in cells {
            self.0.write_field(harmless(cell.as_ref()))?;
        }
        self.0.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.0.flush()?;
        Ok(())
    }
}

fn harmless(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("{guard}{}", Escaped::line(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[&str], expected: &str) {
        let mut out = Vec::new();
        let mut rows = CsvRows::new(&mut out, &["a"]).unwrap();
        rows.0 = csv::WriterBuilder::new().flexible(true).from_writer(rows.0.into_inner().unwrap());
        rows.row(cells).unwrap();
        rows.finish().unwrap();
        assert_eq!(String::from_utf8_lossy(&out), format!("a\n{expected}\n"), "{cells:?}");
    }

    #[test]
    fn cells() {
        check(&["plain", "with, comma", "with \"quotes\"", ""], r#"plain,"with, comma","with ""quotes""","#);
        check(&["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"], "'=1+1,'+1,'-1,'@x,'\\t=1,'\\r=1");
        check(&["a=1", "two\nlines", "\x1b[2J"], "a=1,two\\nlines,\\x1b[2J");
    }
}
