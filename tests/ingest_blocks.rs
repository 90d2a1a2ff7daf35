//! A large plain file read in blocks by several workers gives what one worker reading it from front to back gives.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use std::fs;

use ingest::{Limits, Options};
use memory::{
    Memory, Report, check_rows, json,
    log::{HEADER, any_sessions, file, line, lines, session},
    options, write_old,
};
use proptest::{prelude::*, sample::Index};

fn in_blocks(block_bytes: usize, threads: usize, mapping: bool) -> Options {
    Options { mapping, limits: Limits { block_bytes, ..Limits::default() }, ..options(threads) }
}

/// Everything that a run says of one file.
#[derive(Debug, PartialEq)]
struct Said {
    sessions: Vec<String>,
    kept: u64,
    rejected: Vec<(u64, &'static str)>,
    pending: u64,
    consumed: u64,
    hash: u128,
}

fn said(memory: &Memory, report: &Report) -> Said {
    let mut sessions: Vec<String> = memory.sessions().map(|session| json(session).to_string()).collect();
    sessions.sort();
    let source = report.sources.first();
    let positions = source.map_or(&[][..], |source| &source.counts.positions);
    assert_eq!(report.summary.rejected, source.map_or(0, |source| source.counts.rejected));
    Said {
        sessions,
        kept: memory.rows(),
        rejected: positions.iter().map(|one| (one.offset, one.rejection.as_str())).collect(),
        pending: report.summary.pending,
        consumed: source.map_or(0, |source| source.consumed),
        hash: source.map_or(0, |source| source.hash.0),
    }
}

fn read(content: &[u8], options: &Options) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    write_old(&path, content);
    // A newer file, so that this one may be mapped.
    write_old(&folder.path().join("SEND20240301-2.LOG"), HEADER.as_bytes());
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], options);
    said(&memory, &report)
}

#[track_caller]
fn check(content: &[u8], block_bytes: usize) {
    let expected = read(content, &in_blocks(usize::MAX, 1, false));
    for (threads, mapping) in [(1, false), (2, true), (8, false)] {
        let found = read(content, &in_blocks(block_bytes, threads, mapping));
        assert!(
            found == expected,
            "{threads} threads, blocks of {block_bytes}, mapping {mapping}: {found:#?} {expected:#?}"
        );
    }
}

/// Lines that are no rows.
const STRANGE: [&str; 5] = [
    "\r\n",
    "#Date: 2024-03-01T07:00:00.000Z\r\n",
    "junk, that is no row\r\n",
    "#Fields: session-id,date-time,sequence-number,event,connector-id,local-endpoint,remote-endpoint,data,context\r\n",
    "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_of_any_size_give_the_same(
        sessions in any_sessions(),
        strange in prop::collection::vec((any::<Index>(), 0..STRANGE.len()), 0..4),
        block_bytes in prop_oneof![1..300usize, 300..4_000usize],
        cut in 0..120usize,
    ) {
        let mut rows = lines(&sessions);
        for (at, line) in strange {
            rows.insert(at.index(rows.len() + 1), STRANGE[line].to_owned());
        }
        let content = file(&rows.concat());
        check(&content[..content.len() - cut.min(content.len() - HEADER.len() - 1)], block_bytes);
    }

    #[test]
    fn a_file_that_grows_past_the_size_of_a_block_goes_on_where_it_ended(
        sessions in any_sessions(),
        steps in prop::collection::vec(any::<Index>(), 1..5),
        block_bytes in 100..4_000usize,
    ) {
        let content = file(&(lines(&sessions).concat() + &session(99)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("SEND20240301-1.LOG");
        let mut lengths: Vec<usize> = steps.iter().map(|step| step.index(content.len())).collect();
        lengths.sort_unstable();
        lengths.push(content.len());
        let mut memory = Memory::default();
        let mut consumed = 0;
        for length in lengths {
            fs::write(&path, &content[..length]).unwrap();
            let report = memory.run(&[folder.path().to_owned()], &in_blocks(block_bytes, 3, true));
            prop_assert!(report.summary.notices.iter().all(|notice| !notice.text.contains("changed")));
            consumed = report.sources.first().map_or(consumed, |source| source.consumed);
        }
        let mut whole = Memory::default();
        whole.run(&[folder.path().to_owned()], &in_blocks(usize::MAX, 1, true));
        prop_assert_eq!(memory.answers(), whole.answers());
        prop_assert_eq!(consumed, content.len() as u64);
    }
}

#[test]
fn lines_longer_than_blocks_are_rejected_once() {
    let long = "x".repeat(3 << 20) + "\r\n";
    let content = file(&[session(1), long.clone(), session(2), long, session(3)].concat());
    for block_bytes in [1_000, 1 << 20, 4 << 20] {
        check(&content, block_bytes);
    }
    let unfinished = [&content[..], &vec![b'y'; 2 << 20]].concat();
    check(&unfinished, 1 << 20);
}

#[test]
fn rejected_rows_count_once_and_in_order() {
    let rows: String = (0..200).map(|key| session(key) + "junk\r\n").collect();
    check(&file(&rows), 700);
}

#[test]
fn a_session_that_looks_whole_in_its_block_continues_the_one_before() {
    let begun = line(0, 7, 0, "*", "attempting to connect");
    let rows: String = [begun, session(1), session(2), session(7), session(3)].concat();
    for block_bytes in [50, 200, 500, 1_000] {
        check(&file(&rows), block_bytes);
    }
}

#[test]
fn a_large_file_of_known_content_is_not_read_again() {
    let content = file(&(0..3_000).map(session).collect::<String>());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("EX1/SmtpSend/SEND20240301-1.LOG");
    write_old(&path, &content);
    let options = in_blocks(100_000, 2, true);
    let mut memory = Memory::default();
    check_rows(&memory.run(&[folder.path().to_owned()], &options).summary, 18_000);
    // The same, a shorter copy and a changed copy.
    write_old(&folder.path().join("EX1/copy/a.LOG"), &content);
    write_old(&folder.path().join("EX1/copy/b.LOG"), &content[..content.len() / 2]);
    let report = memory.run(&[folder.path().to_owned()], &options);
    assert_eq!((report.summary.known, report.summary.kept, report.open_changed), (2, 0, false));
    let mut changed = content.clone();
    changed[content.len() / 2] ^= 1;
    write_old(&folder.path().join("EX1/copy/c.LOG"), &changed);
    let report = memory.run(&[folder.path().to_owned()], &options);
    assert_eq!(report.summary.kept + report.summary.rejected, 18_000);
    assert!(report.summary.notices.iter().any(|notice| notice.text.contains("has changed")));
}

#[test]
fn a_large_file_truncated_while_it_is_read_loses_only_its_end() {
    let content = file(&(0..20_000).map(session).collect::<String>());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    for round in 0..10u64 {
        fs::write(&path, &content).unwrap();
        let mut memory = Memory::default();
        let report = std::thread::scope(|scope| {
            let length = content.len() as u64 * round / 10;
            let path = &path;
            scope.spawn(move || fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap());
            memory.run(&[folder.path().to_owned()], &in_blocks(20_000, 2, false))
        });
        assert_eq!(memory.rows(), report.summary.kept, "nothing beyond the failure is handed out");
        for source in &report.sources {
            let consumed = String::from_utf8_lossy(&content[..source.consumed as usize]);
            let rows = consumed.lines().filter(|line| !line.starts_with('#')).count() as u64;
            assert_eq!(source.counts.kept + source.counts.rejected - source.provisional, rows);
        }
    }
}
