//! Any bytes are read as a log: every row is counted once, and cuts and the fast path change nothing.

use std::sync::Arc;

use smtplog::{
    Direction, Role, Session, Stream,
    assemble::Assembler,
    formats::{Columns, FORMATS, exchange},
    fragment::Fragment,
    naive,
    reader::{Counts, Fragments},
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first byte says where to cut the others.
pub fn hold(bytes: &[u8]) {
    let Some((&cut, log)) = bytes.split_first() else { return };
    let (before, after) = log.split_at(line_start(log, usize::from(cut) * log.len() / 256));

    let (fragments, counts) = read(&[log]);
    assert_eq!(read(&[log]), read(&[before, after]), "a cut changed the answer");
    assert_eq!(counts.kept + counts.rejected, rows(log).count() as u64, "rows read = kept + rejected");
    let records: u64 = fragments.iter().map(|fragment| u64::from(fragment.span.records)).sum();
    assert_eq!(records, counts.kept, "every kept row is in one fragment");

    twins_agree(log);
    for fragment in &fragments {
        let session = session(fragment);
        assert_eq!(session.records, u64::from(fragment.span.records), "every row of a fragment is in its session");
    }
}

/// Reads the blocks one after the other, as one source.
fn read(blocks: &[&[u8]]) -> (Vec<Fragment>, Counts) {
    let mut columns = Columns::STANDARD;
    let mut fragments = Fragments::default();
    let mut finished = Vec::new();
    let mut offset = 0;
    fragments.begin(7);
    for block in blocks {
        FORMATS[0].read(&mut columns, block, offset, &mut fragments);
        finished.extend(fragments.drain_finished());
        offset += block.len() as u64;
    }
    let counts = fragments.end();
    finished.extend(fragments.drain_finished());
    (finished, counts)
}

/// The row reader keeps a clock from row to row; its slow twin knows nothing.
fn twins_agree(log: &[u8]) {
    let mut clock = exchange::Clock::default();
    for row in rows(log) {
        assert_eq!(exchange::record(row, &mut clock), naive::record(row, &Columns::STANDARD));
    }
}

fn session(fragment: &Fragment) -> Session {
    let stream = Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send };
    Assembler::default().session(&Arc::new(stream), fragment.session, &fragment.span, &[&fragment.rows])
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
