//! Tables of the wizard's `.log`: the certificates of a server (code 10023), and what is beside what shall be (10081).
//!
//! ```text
//! Standard Inbound Connector
//! Name                     | Equals | Actual  | Expected
//! ==========================================================
//! TLSSenderCertificateName | False  | (empty) | mail.contoso.com
//! ```
//!
//! Cells are padded. A row that is too long for a line is cut like any other text, even within a thumbprint, and what
//! is long without being cut must not be joined with the next row; so a row is put together until its cells are there.

use super::{
    entry::Line,
    moment::{Order, TableDate},
};
use crate::fact::{CertificateNames, HybridEntry};

/// What a table shows for nothing.
const EMPTY: &str = "(empty)";

/// Columns of the widest table are ten; a line of more marks is text.
const COLUMNS_MAX: usize = 64;

/// Bytes of a row that was cut into lines. The longest cells, lists of domains, have some kilobytes.
const ROW_BYTES_MAX: usize = 64 << 10;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// The line above it.
    pub(super) title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Rows that do not fit the columns.
    pub(super) rejected: u64,
}

/// Tables among the lines of an entry.
pub(super) fn tables(lines: &[Line<'_>]) -> Vec<Table> {
    let mut found: Vec<Table> = Vec::new();
    let (mut title, mut is_open) = ("", false);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if !has_cells(line.text) {
            if !is_rule(line.text) {
                (title, is_open) = (line.text.trim(), false);
            }
            at += 1;
            continue;
        }
        let columns = found.last().filter(|_| is_open).map(|table| table.columns.len());
        let (row, next) = row(lines, at, columns);
        at = next;
        match found.last_mut().filter(|_| is_open) {
            Some(table) => table.push(row),
            None => {
                found.push(Table { title: title.to_owned(), columns: row, ..Table::default() });
                is_open = true;
            }
        }
    }
    found
}

impl Table {
    /// The certificates of a server, if it is the table of them.
    pub(super) fn certificates(&self) -> Option<Vec<CertificateNames>> {
        let [thumbprint, subject, issuer] = ["Thumbprint", "Subject", "Issuer"].map(|name| self.column(name));
        let (thumbprint, subject, issuer) = (thumbprint?, subject?, issuer?);
        let dates = ["NotBefore", "NotAfter"].map(|name| self.column(name));
        let order = self.order(&dates);
        let date = |row: &[String], column: Option<usize>| {
            let date = TableDate::new(&row[column?])?;
            date.ms(date.order().or(order)?)
        };
        let certificate = |row: &Vec<String>| CertificateNames {
            thumbprint: row[thumbprint].to_ascii_uppercase(),
            subject: row[subject].clone(),
            issuer: row[issuer].clone(),
            not_before_ms: date(row, dates[0]),
            not_after_ms: date(row, dates[1]),
            server: self.server().map(str::to_owned),
            ..CertificateNames::default()
        };
        let known = self.rows.iter().filter(|row| is_thumbprint(&row[thumbprint]));
        Some(known.map(certificate).collect())
    }

    /// Its rows without a thumbprint, which are no certificates.
    pub(super) fn without_thumbprint(&self) -> u64 {
        let column = self.column("Thumbprint");
        self.rows.iter().filter(|row| column.is_some_and(|column| !is_thumbprint(&row[column]))).count() as u64
    }

    /// What is beside what shall be, if it is such a table. Rows that say neither True nor False are none.
    pub(super) fn comparisons(&self, after: bool) -> Option<Vec<HybridEntry>> {
        let [name, equals, actual, expected] = ["Name", "Equals", "Actual", "Expected"].map(|name| self.column(name));
        let (name, equals, actual, expected) = (name?, equals?, actual?, expected?);
        let shown = |cell: &String| if cell == EMPTY { String::new() } else { cell.clone() };
        let comparison = |row: &Vec<String>| {
            let equals = match row[equals].to_ascii_lowercase().as_str() {
                "true" => true,
                "false" => false,
                _ => return None,
            };
            let (actual, expected) = (shown(&row[actual]), shown(&row[expected]));
            Some(HybridEntry::Comparison {
                title: self.title.clone(),
                after,
                name: row[name].clone(),
                equals,
                actual,
                expected,
            })
        };
        Some(self.rows.iter().filter_map(comparison).collect())
    }

    /// Rows as of now.
    pub(super) fn row_count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// `Certificates on EX01: 3`.
    fn server(&self) -> Option<&str> {
        let (before, _) = self.title.rsplit_once(':').unwrap_or((&self.title, ""));
        let server = before.rsplit(' ').next()?;
        (before.contains(' ') && !server.is_empty()).then_some(server)
    }

    /// How this table writes its dates, if one of them proves it: a program writes all in one way.
    fn order(&self, columns: &[Option<usize>]) -> Option<Order> {
        let cells = self.rows.iter().flat_map(|row| columns.iter().flatten().map(|column| &row[*column]));
        cells.filter_map(|cell| TableDate::new(cell)?.order()).next()
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// A row, or further lines of the last one's cells, which leave the first column empty.
    fn push(&mut self, row: Vec<String>) {
        if row.len() != self.columns.len() {
            self.rejected += 1;
            return;
        }
        match self.rows.last_mut().filter(|_| row[0].is_empty()) {
            None => self.rows.push(row),
            Some(last) => {
                for (cell, more) in last.iter_mut().zip(&row).filter(|(_, more)| !more.is_empty()) {
                    cell.push('\n');
                    cell.push_str(more);
                }
            }
        }
    }
}

/// The row that begins at a line, and the number of the line after it. One past [`ROW_BYTES_MAX`] has no cells, so that
/// it fits no table and is counted.
fn row(lines: &[Line<'_>], begin: usize, columns: Option<usize>) -> (Vec<String>, usize) {
    let mut text = lines[begin].text.to_owned();
    let mut at = begin;
    while lines[at].is_cut
        && let Some(next) = lines.get(at + 1)
        && goes_on(&text, next.text, columns)
    {
        at += 1;
        if text.len() + next.text.len() > ROW_BYTES_MAX {
            return (Vec::new(), at + 1);
        }
        text.push_str(next.text);
    }
    (cells(&text), at + 1)
}

/// Whether a row that was long enough to be cut goes on in the next line.
fn goes_on(row: &str, next: &str, columns: Option<usize>) -> bool {
    let cells = cells(row);
    let next_cells = if has_cells(next) { self::cells(next).len() } else { 1 };
    let Some(columns) = columns else {
        return !is_rule(next);
    };
    match cells.len().cmp(&columns) {
        std::cmp::Ordering::Less => cells.len() + next_cells - 1 <= columns,
        // The last cell may have been cut, unless it is a whole thumbprint or the next line is a row of its own.
        std::cmp::Ordering::Equal => {
            !next.trim().is_empty() && next_cells == 1 && !cells.last().is_some_and(|cell| is_thumbprint(cell))
        }
        std::cmp::Ordering::Greater => false,
    }
}

/// Cells, parted by bars between blanks.
fn cells(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let is_blank = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|byte| *byte == b' ');
    let bars = text.match_indices('|').map(|(at, _)| at);
    let bars = bars.filter(|at| is_blank(at.checked_sub(1)) && is_blank(Some(at + 1))).take(COLUMNS_MAX);
    let (mut cells, mut begin) = (Vec::new(), 0);
    for bar in bars {
        cells.push(text[begin..bar].trim().to_owned());
        begin = bar + 1;
    }
    cells.push(text[begin..].trim().to_owned());
    cells
}

fn has_cells(text: &str) -> bool {
    text.contains(" | ") || text.trim_end().ends_with(" |")
}

/// `=====` or `--- | ---`.
fn is_rule(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| b"=-+| ".contains(&byte))
}

fn is_thumbprint(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBPRINT: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

    fn read(text: &str, cut: &[usize]) -> Vec<Table> {
        let lines: Vec<Line<'_>> =
            text.lines().enumerate().map(|(at, text)| Line { text, is_cut: cut.contains(&at) }).collect();
        tables(&lines)
    }

    #[track_caller]
    fn check_comparisons(text: &str, cut: &[usize], expected: &[&str]) {
        let tables = read(text, cut);
        let entries = tables.iter().flat_map(|table| table.comparisons(false).unwrap_or_default());
        let shown: Vec<String> = entries
            .map(|entry| match entry {
                HybridEntry::Comparison { title, name, equals, actual, expected, .. } => {
                    format!("{title}/{name}/{equals}/{actual}/{expected}")
                }
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn comparisons() {
        check_comparisons(
            "Send Connector\nName | Equals | Actual | Expected\n====\nA    | True   | 1      | 1\nB    | False  | (empty) | <I>a<S>b\n",
            &[],
            &["Send Connector/A/true/1/1", "Send Connector/B/false//<I>a<S>b"],
        );
        check_comparisons(
            "One\nName | Equals | Actual | Expected\nA | True |  | \nTwo\nName | Equals | Actual | Expected\nB | True | 1 | 2",
            &[],
            &["One/A/true//", "Two/B/true/1/2"],
        );
        check_comparisons(
            "T\nName | Equals | Actual | Expected\nA | False | 1 | 2\n  |  | 3 | 4\nB | perhaps | 1 | 2\n",
            &[],
            &["T/A/false/1\n3/2\n4"],
        );
    }

    #[test]
    fn cut_rows_are_put_together_and_long_ones_left_alone() {
        let header = "T\nName | Equals | Actual | Expected\n";
        check_comparisons(
            &format!("{header}A | False | 1 | lo\nng\nB | True | 1 | 1"),
            &[2],
            &["T/A/false/1/long", "T/B/true/1/1"],
        );
        check_comparisons(
            &format!("{header}A | False | 1 | long\nB | True | 1 | 1"),
            &[2, 3],
            &["T/A/false/1/long", "T/B/true/1/1"],
        );
        check_comparisons(&format!("{header}A | Fal\nse | 1 | 2"), &[2], &["T/A/false/1/2"]);
        check_comparisons("T\nName | Equ\nals | Actual | Expected\nA | True | 1 | 1", &[1], &["T/A/true/1/1"]);
    }

    #[track_caller]
    fn check_certificates(text: &str, cut: &[usize], expected: &[(&str, &str, Option<&str>)]) {
        let tables = read(text, cut);
        let found: Vec<CertificateNames> =
            tables.iter().flat_map(|table| table.certificates().unwrap_or_default()).collect();
        let date = |ms: Option<i64>| ms.map(|ms| jiff::Timestamp::from_millisecond(ms).unwrap().to_string());
        let shown: Vec<_> = found
            .iter()
            .map(|names| {
                assert_eq!(names.server.as_deref(), Some("EX01"));
                (names.thumbprint.clone(), names.subject.clone(), date(names.not_before_ms))
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(thumbprint, subject, date)| (thumbprint.to_string(), subject.to_string(), date.map(str::to_owned)))
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn certificates() {
        let header = "Certificates on EX01: 2\nName | NotBefore | Issuer | Subject | Thumbprint\n=== | ===\n";
        let row = |date: &str, thumbprint: &str| {
            format!("N | {date} 12:00:00 AM +00:00 | CN=i, C=US | CN=s | {thumbprint}\n")
        };
        check_certificates(
            &format!("{header}{}{}", row("7/23/2021", THUMBPRINT), row("7/8/2021", THUMBPRINT)),
            &[],
            &[(THUMBPRINT, "CN=s", Some("2021-07-23T00:00:00Z")), (THUMBPRINT, "CN=s", Some("2021-07-08T00:00:00Z"))],
        );
        check_certificates(&format!("{header}{}", row("7/8/2021", THUMBPRINT)), &[], &[(THUMBPRINT, "CN=s", None)]);
        let cut_row = row("7/23/2021", &format!("{}\n{}", &THUMBPRINT[..7], &THUMBPRINT[7..]));
        check_certificates(&format!("{header}{cut_row}"), &[3], &[(THUMBPRINT, "CN=s", Some("2021-07-23T00:00:00Z"))]);
    }

    #[test]
    fn rows_that_do_not_fit_are_counted() {
        let tables = read("T\nName | Equals | Actual | Expected\nA | True\nB | True | 1 | 1\n", &[]);
        assert_eq!((tables.len(), tables[0].rejected, tables[0].row_count()), (1, 1, 1));
        let long = format!("T\nName | Equals | Actual | Expected\nA | True | 1 | x\n{}\n", "y".repeat(ROW_BYTES_MAX));
        let tables = read(&long, &[2]);
        assert_eq!((tables.len(), tables[0].rejected, tables[0].row_count()), (1, 1, 0));
    }
}
