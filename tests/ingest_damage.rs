//! Bad input (DESIGN section 6): counted, located or refused by name, and nothing else lost.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use ingest::{
    Options,
    compression::{Codec, encode, encode_zip},
    summary::ProblemKind,
};
use memory::{
    Memory, Report, check_rows,
    log::{HEADER, file, session},
    options, write_old,
};
use proptest::prelude::*;

/// A folder with one file, of which no newer one exists but whose last change lies a day back.
fn read(name: &str, bytes: &[u8], options: &Options) -> (Memory, Report) {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join(name), bytes);
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], options);
    (memory, report)
}

/// A line that is no record, between two whole sessions: (rejected, kept) rows, and that nothing depends on how the
/// bytes are read.
#[track_caller]
fn check_line(line: &[u8], expected_kept: u64, expected_rejected: u64) {
    let content = [&file(&session(1)), line, b"\r\n", session(2).as_bytes()].concat();
    for codec in [Codec::Plain, Codec::Zstd, Codec::Gzip] {
        let name = format!("SEND20240301-1.LOG{}", codec.suffix());
        let (memory, report) = read(&name, &encode(codec, &content).unwrap(), &options(2));
        let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
        let summary = &report.summary;
        assert_eq!((summary.kept, summary.rejected), (12 + expected_kept, expected_rejected), "{codec:?} {shown}");
        check_rows(summary, 12 + expected_kept + expected_rejected);
        let complete = memory.sessions().filter(|session| session.complete).count();
        assert_eq!(complete, 2, "{codec:?} {shown}: the sessions around it are whole");
        let position = report.sources[0].counts.positions.first().map(|rejected| rejected.offset);
        let offset = (HEADER.len() + session(1).len()) as u64;
        assert_eq!(position, (expected_rejected > 0).then_some(offset), "{codec:?} {shown}");
    }
}

#[test]
fn a_line_that_is_no_record_is_counted_and_located() {
    check_line(b"2024-03-01T06:00:00.000Z,Outbound,08DC399000000003", 0, 1);
    check_line(b"2024-13-01T06:00:00.000Z,Out,08DC399000000003,0,,,+,,", 0, 1);
    check_line(b"2024-03-01T06:00:00.000Z,Out,08DF,0,,,+,,", 0, 1);
    check_line(b"2024-03-01T06:00:00.000Z,Out,08DC399000000003,0,,,?,,", 0, 1);
    check_line(b"2024-03-01T06:00:00.000Z,Out,08DC399000000003,-1,,,+,,", 0, 1);
    check_line(b"\xfe\x00\xff\x80 binary junk \x1b[2J", 0, 1);
    check_line(&[0; 4_000], 0, 1);
    check_line(b"#", 0, 0);
    check_line(b"", 0, 0);
    check_line(b"2024-03-01T06:00:00.000Z,Out,08DC399000000003,0,,,>,\xff\xfe\xc3\x28\x00,", 1, 0);
    check_line(&vec![b'x'; 3 << 20], 0, 1);
}

#[test]
fn a_line_of_100_mb_costs_no_memory() {
    let mut encoder = zstd_of(|out| {
        out.write_all(&file(&session(1)))?;
        (0..100).try_for_each(|_| out.write_all(&vec![b'y'; 1 << 20]))?;
        out.write_all(b"\r\n")?;
        out.write_all(session(2).as_bytes())
    });
    let (memory, report) = read("SEND20240301-1.LOG.zst", &encoder, &options(1));
    check_rows(&report.summary, 13);
    assert_eq!((report.summary.kept, memory.sessions().count()), (12, 2));
    let peak = peak_memory_kib();
    assert!(peak.is_none_or(|kib| kib < 600 << 10), "{peak:?} KiB");
    // The same line, first of all and last of all.
    encoder = zstd_of(|out| {
        out.write_all(HEADER.as_bytes())?;
        (0..20).try_for_each(|_| out.write_all(&vec![b'y'; 1 << 20]))?;
        out.write_all(b"\r\n")?;
        out.write_all(session(2).as_bytes())?;
        (0..20).try_for_each(|_| out.write_all(&vec![b'z'; 1 << 20]))
    });
    let (_, report) = read("SEND20240301-1.LOG.zst", &encoder, &options(1));
    check_rows(&report.summary, 8);
    assert_eq!(report.summary.kept, 6);
    let consumed = (HEADER.len() + (20 << 20) + 2 + session(2).len()) as u64;
    assert_eq!(report.sources[0].consumed, consumed, "the last line has no end");
}

/// Compresses what `write` writes in pieces: `encode` wants it whole.
fn zstd_of(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> Vec<u8> {
    struct Frames(Vec<u8>);
    impl Write for Frames {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend(encode(Codec::Zstd, bytes)?);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut frames = Frames(Vec::new());
    write(&mut frames).unwrap();
    frames.0
}

/// The largest resident size of this process so far.
fn peak_memory_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn many_rows() -> String {
    (0..4_000).map(session).collect()
}

/// Damage to a stored log: the rows before it are kept and the place is named.
#[track_caller]
fn check_damage(name: &str, bytes: &[u8], kept_at_least: u64) {
    let (memory, report) = read(name, bytes, &options(2));
    let summary = &report.summary;
    assert!(summary.kept >= kept_at_least, "{name}: {} kept", summary.kept);
    assert!(summary.kept < 24_000, "{name}");
    assert_eq!(memory.rows(), summary.kept, "{name}");
    assert_eq!(summary.problems.len(), 1, "{name}: {:?}", summary.problems);
    let problem = &summary.problems[0];
    assert_eq!(problem.kind, ProblemKind::Damaged, "{name}: {problem:?}");
    let offset = problem.offset.unwrap();
    let consumed = report.sources[0].consumed;
    assert!(offset >= consumed, "{name}");
    assert_eq!(summary.pending, u64::from(offset > consumed), "{name}: a row whose rest is lost waits for a copy");
    let whole = String::from_utf8(file(&many_rows())).unwrap();
    let lines = whole[..consumed as usize].lines().filter(|line| !line.starts_with('#')).count() as u64;
    assert_eq!(summary.kept + summary.rejected, lines, "{name}: every whole line before the damage counts");
}

#[test]
fn what_comes_before_damage_is_kept_and_the_place_is_named() {
    let content = file(&many_rows());
    for codec in [Codec::Zstd, Codec::Gzip] {
        let name = format!("SEND20240301-1.LOG{}", codec.suffix());
        // Several frames, so that something is whole before the damage.
        let frames: Vec<Vec<u8>> = content.chunks(100_000).map(|chunk| encode(codec, chunk).unwrap()).collect();
        let bytes = frames.concat();
        check_damage(&name, &bytes[..bytes.len() * 2 / 3], 8_000);
        // Where a frame begins: inside, zstd without a checksum may decode to something else.
        let mut flipped = bytes.clone();
        let at: usize = frames[..frames.len() * 2 / 3].iter().map(Vec::len).sum();
        flipped[at..at + 40].iter_mut().for_each(|byte| *byte ^= 0x5a);
        check_damage(&name, &flipped, 8_000);
    }
    let one_frame = encode(Codec::Zstd, &content).unwrap();
    check_damage("SEND20240301-1.LOG.zst", &one_frame[..one_frame.len() / 2], 0);
    let mut member = encode_zip(&[("SEND20240301-1.LOG", &content)]).unwrap();
    let middle = member.len() / 2;
    member[middle..middle + 40].iter_mut().for_each(|byte| *byte ^= 0x5a);
    check_damage("logs.zip", &member, 0);
}

#[test]
fn a_healthy_copy_goes_on_where_the_damaged_one_ended() {
    let content = file(&many_rows());
    let folder = tempfile::tempdir().unwrap();
    let gzip = encode(Codec::Gzip, &content).unwrap();
    write_old(&folder.path().join("a/SEND20240301-1.LOG.gz"), &gzip[..gzip.len() / 2]);
    let mut memory = Memory::default();
    let first = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!(first.summary.problems.len(), 1);
    let again = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!((again.summary.problems.len(), again.summary.unchanged), (0, 1), "known damage is not reported again");
    write_old(&folder.path().join("b/SEND20240301-1.LOG"), &content);
    let second = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!(first.summary.kept + second.summary.kept, 24_000);
    assert_eq!((second.summary.grown, second.summary.pending), (1, 0));
    assert_eq!((memory.rows(), memory.sessions().filter(|session| session.complete).count()), (24_000, 4_000));
}

/// What is refused, and how it is named; the healthy log beside it is read.
#[track_caller]
fn check_refused(name: &str, bytes: &[u8], kind: ProblemKind, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join(name), bytes);
    write_old(&folder.path().join("SEND20240301-1.LOG"), &file(&session(1)));
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(2));
    let problems = &report.summary.problems;
    assert_eq!(problems.len(), 1, "{name}: {problems:?}");
    assert!(problems[0].file.contains(name), "{problems:?}");
    assert_eq!(problems[0].kind, kind, "{problems:?}");
    assert!(problems[0].error.to_string().contains(text), "{problems:?}");
    assert_eq!(report.summary.kept, 6, "{name}");
    let again = memory.run(&[folder.path().to_owned()], &options(2));
    assert!(again.summary.problems.is_empty(), "reported once: {:?}", again.summary.problems);
}

/// The header of a zstd frame with a window of 2 GiB.
const WIDE_WINDOW: &[u8] = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";

#[test]
fn bombs_and_traps_are_refused_by_name() {
    let zeros = vec![0; 1 << 20];
    let bomb =
        [&encode(Codec::Zstd, &file(&session(9))).unwrap()[..], &encode(Codec::Zstd, &zeros).unwrap().repeat(1_100)]
            .concat();
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join("bomb.zst"), &bomb);
    let report = Memory::default().run(&[folder.path().to_owned()], &options(1));
    assert_eq!(report.summary.problems[0].kind, ProblemKind::Refused, "{:?}", report.summary.problems);
    assert_eq!(report.summary.kept, 6, "what came before is kept");
    check_refused("window.zst", WIDE_WINDOW, ProblemKind::Refused, "memory");
    let inner = encode_zip(&[("SEND20240301-1.LOG", &file(&session(2)))]).unwrap();
    check_refused("nested.zip", &encode_zip(&[("inner.zip", &inner)]).unwrap(), ProblemKind::Refused, "archive");
    let outside = encode_zip(&[("../../etc/SEND20240301-1.LOG", &file(&session(2)))]).unwrap();
    check_refused("outside.zip", &outside, ProblemKind::Refused, "leaves the archive");
    check_refused("cut.zip", &inner[..inner.len() / 2], ProblemKind::Damaged, "");
    check_refused("cut.gz", &encode(Codec::Gzip, &file(&session(2))).unwrap()[..12], ProblemKind::Damaged, "");
}

#[test]
fn an_archive_of_too_many_members_is_refused() {
    let names: Vec<String> = (0..200_001).map(|number| format!("{number}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    check_refused("many.zip", &encode_zip(&members).unwrap(), ProblemKind::Refused, "too many members");
}

#[test]
fn links_are_not_followed_and_loops_end() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write_old(&outside.path().join("SEND20240301-1.LOG"), &file(&session(2)));
    write_old(&folder.path().join("EX1/SEND20240301-1.LOG"), &file(&session(1)));
    symlink(folder.path(), folder.path().join("EX1/loop")).unwrap();
    symlink(outside.path().join("SEND20240301-1.LOG"), folder.path().join("EX1/SEND20240302-1.LOG")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(2));
    assert_eq!((report.summary.kept, report.summary.problems.len()), (6, 3));
    assert!(report.summary.problems.iter().all(|problem| problem.kind == ProblemKind::Refused));
    assert!(memory.run(&[folder.path().to_owned()], &options(2)).summary.problems.is_empty());
    // A link that the user names is meant.
    let named = folder.path().join("EX1/SEND20240302-1.LOG");
    assert_eq!(Memory::default().run(&[named], &options(1)).summary.kept, 6);
}

/// Files that hold no row are named and no error: (empty, header only, foreign, pending).
#[track_caller]
fn check_nothing(bytes: &[u8], expected: (u64, u64, u64, u64)) {
    let (_, report) = read("SEND20240301-1.LOG", bytes, &options(1));
    let summary = &report.summary;
    assert_eq!((summary.empty, summary.header_only, summary.foreign, summary.pending), expected);
    assert_eq!((summary.kept, summary.problems.len(), report.sources.len()), (0, 0, 0));
    assert_eq!(summary.notices.len(), 1, "{:?}", summary.notices);
}

#[test]
fn files_without_a_row_are_named() {
    check_nothing(b"", (1, 0, 0, 0));
    check_nothing(&encode(Codec::Zstd, b"").unwrap(), (1, 0, 0, 0));
    check_nothing(HEADER.as_bytes(), (0, 1, 0, 0));
    check_nothing(&file("2024-03-01T06:00"), (0, 1, 0, 1));
    check_nothing(b"just a text\nof two lines\n", (0, 0, 1, 0));
    check_nothing(&[0; 100_000], (0, 0, 1, 0));
    check_nothing(b"#Software: Microsoft Exchange Server\r\n#Log-type: Message Tracking Log\r\n#Fields: date-time,client-ip\r\n2024-03-01T06:00:00.000Z,x\r\n", (0, 0, 1, 0));
}

#[test]
fn logs_that_begin_alike_in_damage_are_different_logs() {
    let folder = tempfile::tempdir().unwrap();
    let junk = "The log file was truncated by the operating system\r\n";
    for (at, rows) in [session(1), session(2) + &session(3)].iter().enumerate() {
        let path = folder.path().join(format!("EX1/SEND20240301-{}.LOG", at + 1));
        write_old(&path, &file(&[junk, rows].concat()));
    }
    let (mut memory, path) = (Memory::default(), [folder.path().to_owned()]);
    let report = memory.run(&path, &options(2));
    assert_eq!((report.summary.kept, report.summary.rejected, report.summary.notices.len()), (18, 2, 0));
    assert_eq!(memory.sessions().count(), 3);
}

#[test]
fn an_excerpt_may_begin_with_a_damaged_line() {
    let content = ["016-07-19T12:13:14.863Z,Out,08D3AFC581A92DD3,3,,,>,EHLO,\r\n", &session(1)].concat();
    let (_, report) = read("excerpt.txt", content.as_bytes(), &options(1));
    assert_eq!((report.summary.kept, report.summary.rejected), (6, 1));
}

#[test]
fn what_must_not_be_read_is_named_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    write_old(&path, &file(&session(1)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        eprintln!("SKIPPED: this user may read everything");
        return;
    }
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!(report.summary.problems[0].kind, ProblemKind::Unreadable);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(memory.run(&[folder.path().to_owned()], &options(1)).summary.kept, 6);
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join("SEND20240301-1.LOG"), &file(&session(1)));
    let paths = [folder.path().join("nothing"), folder.path().to_owned()];
    let report = Memory::default().run(&paths, &options(1));
    assert_eq!((report.summary.problems[0].kind, report.summary.kept), (ProblemKind::Unreadable, 6));
}

/// A file that shrinks while it is read: whatever is read of it, nothing fails and every row counts.
#[test]
fn a_file_truncated_while_it_is_read_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SEND20240301-1.LOG");
    let content = file(&(0..40_000).map(session).collect::<String>());
    for round in 0..8u64 {
        fs::write(&path, &content).unwrap();
        let report = std::thread::scope(|scope| {
            scope.spawn(|| shorten(&path, content.len() as u64 * round / 8));
            Memory::default().run(&[folder.path().to_owned()], &Options { mapping: false, ..options(2) })
        });
        let summary = report.summary;
        let rows = summary.kept + summary.rejected + summary.pending;
        assert!(rows <= 240_000, "{rows}");
    }
}

fn shorten(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_fail_and_every_line_counts(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        codec in prop::sample::select(vec![Codec::Plain, Codec::Zstd, Codec::Gzip]),
    ) {
        let mut bytes = encode(codec, &file(&(0..20).map(session).collect::<String>())).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (memory, report) = read(&format!("SEND20240301-1.LOG{}", codec.suffix()), &bytes, &options(1));
        prop_assert_eq!(memory.rows(), report.summary.kept);
        if codec == Codec::Plain && report.summary.foreign == 0 {
            let is_row = |line: &&[u8]| !line.is_empty() && *line != b"\r" && line[0] != b'#';
            let lines = bytes.split(|&byte| byte == b'\n').filter(is_row).count() as u64;
            check_rows(&report.summary, lines);
        }
    }
}
