//! What waits to be joined is bounded: what is whole is handed out, then the oldest sessions are closed, and counted.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use ingest::{
    Limits, Options,
    compression::{Codec, encode},
};
use memory::{
    Memory, check_rows,
    log::{HEADER, Made, file, line, lines},
    options, write_old,
};

fn limited(waiting_bytes: usize, block_bytes: usize, threads: usize) -> Options {
    Options { limits: Limits { waiting_bytes, block_bytes, ..Limits::default() }, ..options(threads) }
}

/// Sessions that lie in two files each, of which `first` has the beginnings.
fn halves(count: u32) -> (String, String) {
    let rows = |range: std::ops::Range<u8>| -> String {
        let event = |sequence| ["*", "+", "<", ">", "<", "-"][usize::from(sequence)];
        let row = |key: u32, sequence: u8| {
            let ms = key + u32::from(sequence) * 100_000;
            line(ms, u64::from(key), sequence, event(sequence), "x")
        };
        (0..count).flat_map(|key| range.clone().map(move |sequence| row(key, sequence))).collect()
    };
    (rows(0..3), rows(3..6))
}

#[test]
fn sessions_without_an_end_are_closed_early_and_counted() {
    for (codec, threads) in [(Codec::Plain, 1), (Codec::Zstd, 2), (Codec::Gzip, 4)] {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=6u32 {
            let rows: String = (0..2_000).map(|key| line(key, u64::from(number * 10_000 + key), 0, "+", "")).collect();
            let path = folder.path().join(format!("EX1/SEND20240301-{number}.LOG{}", codec.suffix()));
            write_old(&path, &encode(codec, &file(&rows)).unwrap());
        }
        let mut memory = Memory::default();
        let report = memory.run(&[folder.path().to_owned()], &limited(200_000, usize::MAX, threads));
        let summary = &report.summary;
        check_rows(summary, 12_000);
        assert!(summary.closed_early > 8_000, "{codec:?}: {}", summary.closed_early);
        assert_eq!(summary.closed_early + summary.open, 12_000, "{codec:?}");
        assert_eq!((summary.incomplete, memory.rows()), (summary.closed_early, 12_000), "{codec:?}");
    }
}

#[test]
fn the_youngest_stay_open() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..4_000).map(|key| line(key, u64::from(key), 0, "+", "")).collect();
    write_old(&folder.path().join("EX1/SEND20240301-1.LOG"), &file(&rows));
    write_old(&folder.path().join("EX1/SEND20240301-2.LOG"), &file(&line(9_000, 9_999, 0, "+", "")));
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &limited(200_000, usize::MAX, 1));
    assert!(report.summary.closed_early > 0 && report.summary.open > 0);
    let times = |sessions: &mut dyn Iterator<Item = &smtplog::Session>| -> Vec<i64> {
        sessions.map(|session| session.started.0).collect()
    };
    let closed = times(&mut memory.given_up().map(|one| &one.session));
    let open = times(&mut memory.open().map(|one| &one.session));
    assert!(closed.iter().max() < open.iter().min());
}

#[test]
fn what_is_whole_is_handed_out_before_anything_is_closed() {
    // The halves of each session lie one file after the other, far more than the limit in all.
    let folder = tempfile::tempdir().unwrap();
    for pair in 0..40u32 {
        let (first, second) = halves(100);
        for (half, rows) in [first, second].iter().enumerate() {
            let rows = rows.replace(",08DC399000", &format!(",08DC{:06}", pair));
            let path = folder.path().join(format!("EX1/SEND20240301-{}.LOG", pair * 2 + half as u32 + 1));
            write_old(&path, &file(&rows.replace("2024-03-01", &format!("2024-03-{:02}", pair / 2 + 1))));
        }
    }
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &limited(400_000, usize::MAX, 1));
    check_rows(&report.summary, 40 * 600);
    assert_eq!((report.summary.sessions, report.summary.closed_early), (4_000, 0));
}

#[test]
fn a_session_closed_early_is_joined_by_a_later_run() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = halves(3_000);
    write_old(&folder.path().join("EX1/SEND20240301-1.LOG"), &file(&first));
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &limited(100_000, usize::MAX, 2));
    assert!(report.summary.closed_early > 2_000);
    write_old(&folder.path().join("EX1/SEND20240301-2.LOG"), &file(&second));
    memory.run(&[folder.path().to_owned()], &options(2));
    let complete = memory.sessions().filter(|session| session.complete).count();
    assert_eq!((complete, memory.sessions().count(), memory.rows()), (3_000, 3_000, 18_000));
}

#[test]
fn blocks_are_joined_while_a_large_file_is_read() {
    // Every session crosses several blocks; at any time some hundred are open.
    let made = |at: u32| Made {
        key: (at % 200) as u8,
        start: (at * 3) as u16,
        step: 70,
        rows: 8,
        ended: true,
        lost: None,
        repeated: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let rows = lines(&(0..20_000).map(made).collect::<Vec<_>>()).concat();
    // Keys repeat, but a session has ended before its key comes again.
    write_old(&folder.path().join("EX1/SEND20240301-1.LOG"), &file(&rows));
    let read = |options: &Options| {
        let mut memory = Memory::default();
        let report = memory.run(&[folder.path().to_owned()], options);
        check_rows(&report.summary, rows.lines().count() as u64);
        (memory.answers(), report.summary.closed_early)
    };
    let expected = read(&limited(usize::MAX, usize::MAX, 1));
    let found = read(&limited(1_000_000, 10_000, 3));
    assert_eq!(found.1, 0);
    assert!(found.0 == expected.0);
}

#[test]
fn a_single_stream_of_endless_sessions_is_bounded() {
    // One compressed file, read by one worker: it must not wait for the end of its source to be relieved.
    let rows: String = (0..150_000u32).map(|key| line(key, u64::from(key), 0, "+", "")).collect();
    let folder = tempfile::tempdir().unwrap();
    let content = file(&rows);
    let frames: Vec<u8> = content.chunks(1 << 20).flat_map(|chunk| encode(Codec::Zstd, chunk).unwrap()).collect();
    write_old(&folder.path().join("EX1/SEND20240301-1.LOG.zst"), &frames);
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &limited(2_000_000, usize::MAX, 1));
    check_rows(&report.summary, 150_000);
    assert_eq!(report.summary.open_sessions_flushed, 2, "a reader keeps 65,536 sessions open");
    assert!(report.summary.closed_early > 100_000);
    assert!(content.starts_with(HEADER.as_bytes()));
}
