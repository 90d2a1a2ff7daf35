//! Any bytes are read as a log of each format: every row is counted once, and cuts and the fast path change nothing.

use smtplog::{
    assemble::Assembler,
    formats::{Columns, FORMATS, exchange},
    naive,
};

use super::logs::{read, session};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first byte says where to cut the others.
pub fn hold(bytes: &[u8]) {
    let Some((&cut, log)) = bytes.split_first() else { return };
    let (before, after) = log.split_at(line_start(log, usize::from(cut) * log.len() / 256));

    twins_agree(log);
    for &format in FORMATS {
        let (fragments, counts) = read(format, &[log]);
        let at_once = (&fragments, &counts);
        let in_parts = read(format, &[before, after]);
        assert_eq!(at_once, (&in_parts.0, &in_parts.1), "a cut changed the answer of {}", format.name());
        assert_eq!(counts.kept + counts.rejected, rows(log).count() as u64, "rows read = kept + rejected");
        let records: u64 = fragments.iter().map(|fragment| u64::from(fragment.span.records)).sum();
        assert_eq!(records, counts.kept, "every kept row is in one fragment");
        for fragment in &fragments {
            let session = session(&mut Assembler::default(), fragment);
            assert_eq!(session.records, u64::from(fragment.span.records), "every row of a fragment is in its session");
        }
    }
}

/// The row reader remembers what rows share with the one before; its slow twin knows nothing.
fn twins_agree(log: &[u8]) {
    let mut previous = Default::default();
    for row in rows(log) {
        assert_eq!(exchange::record(row, &mut previous), naive::record(row, &Columns::STANDARD));
    }
}

/// Every line that is neither empty nor metadata.
fn rows(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    let log = log.strip_prefix(BYTE_ORDER_MARK).unwrap_or(log);
    let lines = log.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty() && line[0] != b'#')
}

/// The begin of the first line at or after `at`.
fn line_start(log: &[u8], at: usize) -> usize {
    log[at..].iter().position(|&byte| byte == b'\n').map_or(log.len(), |length| at + length + 1)
}
