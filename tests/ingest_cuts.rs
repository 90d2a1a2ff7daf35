//! The answer does not depend on how a log is cut, stored, copied or delivered (DESIGN, invariant 3).

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use std::{
    fs,
    path::{Path, PathBuf},
};

use ingest::{
    Limits, Options,
    compression::{Codec, encode, encode_zip},
};
use memory::{
    Memory, Report, check_rows,
    log::{HEADER, Made, any_sessions, distinct_sessions, file, line, lines, session},
    options, write_old,
};
use proptest::{prelude::*, sample::Index};

const FOLDER: &str = "EX1/SmtpSend";

/// What a log says if it is read in one go.
fn at_once(rows: &str) -> Memory {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join(FOLDER).join("SEND20240301-1.LOG"), &file(rows));
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(1));
    check_rows(&report.summary, rows.lines().count() as u64);
    memory
}

/// Writes the rows as one file for each stretch between two cuts.
fn write_cut(folder: &Path, rows: &[String], cuts: &[Index]) -> Vec<PathBuf> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len())).chain([rows.len()]).collect();
    ends.sort_unstable();
    let mut paths = Vec::new();
    let mut begin = 0;
    for end in ends {
        if end > begin {
            let path = folder.join(FOLDER).join(format!("SEND20240301-{}.LOG", paths.len() + 1));
            write_old(&path, &file(&rows[begin..end].concat()));
            paths.push(path);
        }
        begin = end;
    }
    paths
}

/// A session that is given up early, so that later rows have to find it again.
fn impatient(threads: usize) -> Options {
    Options { limits: Limits { open_ms: 700, ..Limits::default() }, ..options(threads) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_into_files_gives_the_same_sessions(
        sessions in distinct_sessions(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
        threads in 1..4usize,
    ) {
        let rows = lines(&sessions);
        let folder = tempfile::tempdir().unwrap();
        write_cut(folder.path(), &rows, &cuts);
        let mut memory = Memory::default();
        memory.run(&[folder.path().to_owned()], &options(threads));
        prop_assert_eq!(memory.answers(), at_once(&rows.concat()).answers());
    }

    #[test]
    fn any_order_of_runs_gives_the_same_sessions(
        sessions in distinct_sessions(),
        cuts in prop::collection::vec(any::<Index>(), 1..6),
        order in prop::collection::vec(any::<u32>(), 7),
        is_impatient in any::<bool>(),
    ) {
        let rows = lines(&sessions);
        let folder = tempfile::tempdir().unwrap();
        let mut paths: Vec<(u32, PathBuf)> = order.into_iter().zip(write_cut(folder.path(), &rows, &cuts)).collect();
        paths.sort();
        let options = if is_impatient { impatient(2) } else { options(2) };
        let mut memory = Memory::default();
        for (_, path) in paths {
            memory.run(&[path], &options);
        }
        let report = memory.run(&[folder.path().to_owned()], &options);
        prop_assert!(!report.open_changed && report.summary.kept == 0);
        prop_assert_eq!(memory.answers(), at_once(&rows.concat()).answers());
    }

    #[test]
    fn a_file_read_while_it_grows_gives_what_the_whole_file_gives(
        sessions in any_sessions(),
        steps in prop::collection::vec(any::<Index>(), 0..8),
        is_named in any::<bool>(),
    ) {
        let rows = lines(&sessions).concat();
        let content = file(&rows);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER).join("SEND20240301-1.LOG");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut lengths: Vec<usize> = steps.iter().map(|step| step.index(content.len())).chain([content.len()]).collect();
        lengths.sort_unstable();
        let mut memory = Memory::default();
        let mut kept = 0;
        for length in lengths {
            fs::write(&path, &content[..length]).unwrap();
            let paths = [if is_named { path.clone() } else { folder.path().to_owned() }];
            let report = memory.run(&paths, &options(1));
            kept += report.summary.kept - report.sources.iter().map(|source| source.provisional.min(source.counts.kept)).sum::<u64>();
        }
        let whole = at_once(&rows);
        prop_assert_eq!(memory.answers(), whole.answers());
        prop_assert_eq!(memory.rows(), whole.rows());
        prop_assert!(is_named || kept == whole.rows());
    }
}

/// Ways to store one log.
fn stored(content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (front, back) = content.split_at(content.len() / 3);
    let two = |codec| [encode(codec, front).unwrap(), encode(codec, back).unwrap()].concat();
    vec![
        ("SEND20240301-1.LOG", content.to_vec()),
        ("SEND20240301-1.LOG.zst", encode(Codec::Zstd, content).unwrap()),
        ("two-frames.zst", two(Codec::Zstd)),
        ("SEND20240301-1.LOG.gz", encode(Codec::Gzip, content).unwrap()),
        ("two-members.gz", two(Codec::Gzip)),
        ("old.zip", encode_zip(&[("a/SEND20240301-1.LOG", content)]).unwrap()),
        ("older.zip", encode_zip(&[("SmtpSend/x.gz", &encode(Codec::Gzip, content).unwrap())]).unwrap()),
        ("misnamed.zip", encode(Codec::Zstd, content).unwrap()),
    ]
}

fn many_rows() -> String {
    (0..3_000).map(session).collect()
}

#[test]
fn every_way_to_store_a_log_gives_the_same_sessions() {
    let content = file(&many_rows());
    let expected = at_once(&many_rows()).answers();
    let named = |server: &str| Options { server: Some(server.to_owned()), ..options(2) };
    for (name, bytes) in stored(&content) {
        for mapping in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            write_old(&folder.path().join(name), &bytes);
            // A newer file allows the older one to be mapped.
            write_old(&folder.path().join("SEND20240302-1.LOG"), HEADER.as_bytes());
            let mut memory = Memory::default();
            let report = memory.run(&[folder.path().to_owned()], &Options { mapping, ..named("EX1") });
            assert!(memory.answers() == expected, "{name}, mapping {mapping}");
            check_rows(&report.summary, 18_000);
            assert_eq!(report.sources[0].consumed, content.len() as u64, "{name}");
        }
    }
}

#[test]
fn the_same_content_counts_once_under_whatever_name() {
    let content = file(&many_rows());
    let expected = at_once(&many_rows()).answers();
    let folder = tempfile::tempdir().unwrap();
    for (at, (name, bytes)) in stored(&content).into_iter().enumerate() {
        write_old(&folder.path().join("EX1").join(at.to_string()).join(name), &bytes);
    }
    let mut together = Memory::default();
    let report = together.run(&[folder.path().to_owned()], &options(4));
    assert!(together.answers() == expected, "all copies in one run");
    assert_eq!((report.summary.kept, report.summary.read, report.summary.known), (18_000, 1, 7));
    let mut nightly = Memory::default();
    for at in 0..8 {
        let report = nightly.run(&[folder.path().join("EX1").join(at.to_string())], &options(2));
        assert_eq!(report.summary.kept, if at == 0 { 18_000 } else { 0 });
        assert_eq!(report.open_changed, at == 0);
    }
    assert_eq!(nightly.rows(), 18_000);
}

#[test]
fn copies_of_a_growing_file_give_its_rows_once() {
    // A copy that ends in the middle of a row, the same compressed, a shorter one, and the whole.
    let rows = many_rows();
    let content = file(&rows);
    let folder = tempfile::tempdir().unwrap();
    let cut = content.len() - 30;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join("EX1").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("SmtpSend/SEND20240301-1.LOG", &content[..cut]);
    write("SmtpSend/SEND20240301-1.LOG.gz", &encode(Codec::Gzip, &content[..cut]).unwrap());
    write("backup/SEND20240301-1.LOG", &content[..content.len() / 2]);
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(2));
    assert_eq!((report.summary.kept, report.summary.pending), (17_999, 1));
    write("archive/whole.zst", &encode(Codec::Zstd, &content).unwrap());
    let report = memory.run(&[folder.path().to_owned()], &options(2));
    assert_eq!((report.summary.kept, report.summary.pending, report.summary.grown), (1, 0, 1));
    assert!(memory.answers() == at_once(&rows).answers());
}

#[test]
fn of_copies_read_in_one_run_the_furthest_says_what_is_consumed() {
    // A name without a date is read first, whichever stands first among the names.
    let content = file(&(0..3).map(session).collect::<String>());
    let folder = tempfile::tempdir().unwrap();
    for name in ["0000", "a copy"] {
        let paths = [folder.path().join(name).join("EX1/SmtpSend")];
        let write = |name: &str, bytes: &[u8]| fs::write(paths[0].join(name), bytes).unwrap();
        fs::create_dir_all(&paths[0]).unwrap();
        write("SEND20240301-1.LOG", &content);
        write(name, &content[..content.len() - 120]);
        let mut memory = Memory::default();
        memory.run(&paths, &options(1));
        write("again.gz", &encode(Codec::Gzip, &content).unwrap());
        let again = memory.run(&paths, &options(1));
        assert_eq!((again.summary.kept, memory.rows()), (0, 18), "{name}");
    }
}

#[test]
fn a_last_line_without_an_end_waits_where_more_may_come() {
    let rows = session(1);
    let content = file(rows.trim_end());
    let check = |name: &str, bytes: &[u8], is_named: bool, expected: (u64, u64)| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let paths = [if is_named { path.clone() } else { folder.path().to_owned() }];
        let report = Memory::default().run(&paths, &options(1));
        assert_eq!((report.summary.kept, report.summary.pending), expected, "{name}");
    };
    check("SEND20240301-1.LOG", &content, false, (5, 1));
    check("SEND20240301-1.LOG", &content, true, (6, 0));
    check("SEND20240301-1.LOG.gz", &encode(Codec::Gzip, &content).unwrap(), false, (5, 1));
    check("logs.zip", &encode_zip(&[("SEND20240301-1.LOG", &content)]).unwrap(), false, (6, 0));
}

#[test]
fn a_cut_line_of_a_session_that_was_given_up_is_replaced_by_the_whole_one() {
    let second = session(2);
    let first_row = second.find("\r\n").unwrap();
    let whole = [session(1), second.clone()].concat();
    let cut = [session(1).as_str(), &second[..first_row]].concat();
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join(FOLDER);
    let hasty = Options { limits: Limits { open_ms: 1, ..Limits::default() }, ..options(1) };
    let mut memory = Memory::default();
    for (name, rows) in [("cut.zip", &cut), ("whole.zip", &whole)] {
        write_old(&logs.join(name), &encode_zip(&[("SEND20240301-1.LOG", &file(rows))]).unwrap());
        memory.run(&[folder.path().to_owned()], &hasty);
        assert_eq!(memory.given_up().count(), usize::from(name == "cut.zip"));
    }
    assert_eq!(memory.answers(), at_once(&whole).answers());
}

#[test]
fn a_last_line_waits_no_longer_once_there_is_a_newer_file_or_an_hour_has_passed() {
    let content = file(session(1).trim_end());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("SEND20240301-1.LOG"), &content).unwrap();
    let mut memory = Memory::default();
    let mut run = || memory.run(&[folder.path().to_owned()], &options(1)).summary;
    assert_eq!(run().pending, 1);
    assert_eq!(run().pending, 1, "the file did not change, but is looked at again");
    fs::write(path("SEND20240301-2.LOG"), file(&session(2))).unwrap();
    let newer = run();
    assert_eq!((newer.pending, newer.kept), (0, 7));
    assert_eq!(run().unchanged, 2);
    let old = tempfile::tempdir().unwrap();
    write_old(&old.path().join("SEND20240301-1.LOG"), &content);
    assert_eq!(Memory::default().run(&[old.path().to_owned()], &options(1)).summary.kept, 6);
}

#[test]
fn a_session_at_the_edge_is_joined_even_if_it_looks_whole() {
    // The second file's rows make a whole session, but equal sequence numbers belong together.
    let begun = line(0, 7, 0, "*", "attempting to connect");
    let content = file(&[begun.as_str(), &session(7)].concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    let mut memory = Memory::default();
    for length in [HEADER.len() + begun.len(), content.len()] {
        fs::write(&path, &content[..length]).unwrap();
        memory.run(&[folder.path().to_owned()], &options(1));
    }
    let sessions: Vec<_> = memory.sessions().collect();
    assert_eq!((sessions.len(), sessions[0].records, sessions[0].repeated_sequences), (1, 7, 1));
}

#[test]
fn paths_may_overlap_and_stand_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("EX1/SmtpSend/SEND20240301-1.LOG");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, file(session(1).trim_end())).unwrap();
    let inner = folder.path().join("EX1");
    for paths in [[&log, folder.path(), &inner, folder.path()], [folder.path(), &inner, &log, &log]] {
        let paths: Vec<PathBuf> = paths.iter().map(|path: &&Path| path.to_path_buf()).collect();
        let report = Memory::default().run(&paths, &options(1));
        assert_eq!((report.summary.files, report.sources.len()), (1, 1));
        assert_eq!(&*report.sources[0].file, "EX1/SmtpSend/SEND20240301-1.LOG");
        assert_eq!(report.summary.kept, 6, "the file is named, so its last line is whole");
    }
}

#[test]
fn new_logs_learn_their_server_from_old_ones_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let receive = file(&session(1).replace(",Outbound,", ",EX9\\Default Frontend EX9,")).to_vec();
    let receive = String::from_utf8(receive).unwrap().replace("SMTP Send", "SMTP Receive");
    write_old(&folder.path().join("logs/RECV20240301-1.LOG"), receive.as_bytes());
    let mut memory = Memory::default();
    memory.run(&[folder.path().to_owned()], &Options { server: None, ..options(1) });
    write_old(&folder.path().join("logs/SEND20240301-1.LOG"), &file(&session(2)));
    // The folder's name would tell a server; as PATH itself it does not.
    let report = memory.run(&[folder.path().join("logs")], &options(1));
    assert_eq!(report.summary.unchanged, 1);
    assert_eq!(&*report.sources[0].stream.server, "EX9");
}

#[test]
fn fields_named_in_the_part_that_was_read_before_still_hold() {
    let swapped = "#Fields: session-id,date-time,sequence-number,event,connector-id,local-endpoint,remote-endpoint,data,context\r\n";
    let row = |sequence: u8, event: &str| {
        format!("08DC399000000009,2024-03-01T06:00:0{sequence}.000Z,{sequence},{event},Out,,,x,\r\n")
    };
    let first = [session(1).as_str(), swapped, &row(0, "+"), &row(1, ">")].concat();
    let whole = [first.as_str(), &row(2, "-")].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FOLDER).join("SEND20240301-1.LOG");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut memory = Memory::default();
    for rows in [&first, &whole] {
        fs::write(&path, file(rows)).unwrap();
        assert_eq!(memory.run(&[folder.path().to_owned()], &options(1)).summary.rejected, 0);
    }
    assert_eq!(memory.sessions().filter(|session| session.complete).count(), 2);
}

#[test]
fn a_changed_beginning_makes_a_new_source() {
    let made = Made { key: 0, start: 0, step: 10, rows: 6, ended: true, lost: None, repeated: None };
    let rows = lines(&[made]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    fs::write(&path, file(&rows.concat())).unwrap();
    let mut memory = Memory::default();
    memory.run(&[folder.path().to_owned()], &options(1));
    let edited = [rows[0].as_str(), &rows[2..].concat(), &session(2)].concat();
    fs::write(&path, file(&edited)).unwrap();
    let report = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!(report.summary.kept, 11);
    assert!(report.summary.notices[0].text.contains("has changed"), "{:?}", report.summary.notices);
}

#[test]
fn which_of_several_copies_counts_does_not_depend_on_threads() {
    // Sixty days of two servers, and every log below a third as well, half of them shorter there.
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=60 {
        let name = format!("SEND2024{:02}{:02}-1.LOG", 1 + day / 28, 1 + day % 28);
        let content = file(&session(day));
        let shorter = &content[..content.len() - if day % 2 == 0 { 40 } else { 0 }];
        let server = if day % 3 == 0 { "EX1" } else { "EX7" };
        write_old(&folder.path().join(server).join("SmtpSend").join(&name), &content);
        write_old(
            &folder.path().join("EX4/SmtpSend").join(format!("{name}.zst")),
            &encode(Codec::Zstd, shorter).unwrap(),
        );
    }
    let outcome = |threads| {
        let mut memory = Memory::default();
        let report = memory.run(&[folder.path().to_owned()], &options(threads));
        assert_eq!((report.summary.read, report.summary.kept), (60 + 20, 360), "{threads} threads");
        let Report { summary, sources, .. } = report;
        (memory.answers(), format!("{sources:?}"), format!("{:?}", (summary.notices, summary.streams)))
    };
    let alone = outcome(1);
    for threads in [2, 8, 8, 8] {
        assert!(outcome(threads) == alone, "{threads} threads");
    }
}
