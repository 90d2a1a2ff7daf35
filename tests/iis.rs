//! SMTP service logs of IIS, from the file to the answer: sessions rebuilt from the rows of one remote are those that
//! were made up, however the log is cut, grows, is stored or read.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;
#[allow(dead_code)]
mod program;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use ingest::{
    Limits, Options,
    compression::{Codec, encode, encode_zip},
};
use memory::{Memory, check_rows, options, write_old};
use program::{Ran, done, run};
use proptest::{prelude::*, sample::Index};
use smtplog::{Confidence, Direction};

const HEADER: &str = "#Software: Microsoft Internet Information Services 7.0\r\n#Version: 1.0\r\n\
    #Date: 2024-03-01 06:00:00\r\n\
    #Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-query sc-status \r\n";

/// A connection of a made-up log.
#[derive(Clone, Debug)]
struct Made {
    direction: Direction,
    remote: u8,
    /// Seconds after six o'clock.
    start: u32,
    /// Seconds between its rows.
    step: u32,
    starts_tls: bool,
    refused: bool,
    /// Whether it ends as it should.
    quits: bool,
}

fn any_connections() -> impl Strategy<Value = Vec<Made>> {
    let direction = prop::sample::select(Direction::ALL.to_vec());
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8));
    let one = (direction, 0..5u8, 0..4_000u32, 0..4u32, flags).prop_map(
        |(direction, remote, start, step, (starts_tls, refused, quits))| Made {
            direction,
            remote,
            start,
            step,
            starts_tls,
            refused,
            quits,
        },
    );
    prop::collection::vec(one, 1..24)
}

impl Made {
    fn address(&self) -> String {
        format!("192.0.2.{}", self.remote)
    }

    /// What follows the address in each row.
    fn rows(&self) -> Vec<String> {
        let mut rows = match self.direction {
            Direction::Send => self.sent(),
            Direction::Receive => self.received(),
        };
        if !self.quits {
            rows.pop();
        }
        rows
    }

    fn sent(&self) -> Vec<String> {
        let say = |verb: &str, query: &str| format!("OutboundConnectionCommand SMTPSVC1 SRV1 - 25 {verb} {query} 0");
        let hear = |reply: &str| format!("OutboundConnectionResponse SMTPSVC1 SRV1 - 25 - {reply} 0");
        let hello = [say("EHLO", "srv1.example"), hear("250-mx.example+Hello+[203.0.113.7]")];
        let mut rows = vec![hear("220+mx.example+ESMTP")];
        rows.extend(hello.clone());
        if self.starts_tls {
            rows.extend([say("STARTTLS", "-"), hear("220+2.0.0+SMTP+server+ready")]);
            rows.extend(hello);
        }
        let answer = match self.refused {
            true => "550+5.7.64+TenantAttribution;+Relay+Access+Denied+mail.contoso.com+is+untrustedroot.",
            false => "250+2.1.5+Recipient+OK",
        };
        rows.extend([say("MAIL", "FROM:<a@b.example>+SIZE=9"), hear("250+2.1.0+OK")]);
        rows.extend([say("RCPT", "TO:<p+q@d.example>"), hear(answer), say("RSET", "-"), hear("250+OK")]);
        rows.extend([say("QUIT", "-"), hear("221+2.0.0+Bye")]);
        rows
    }

    fn received(&self) -> Vec<String> {
        let row = |verb: &str, query: &str, code: u16| {
            format!("client.example SMTPSVC1 SRV1 10.0.0.1 0 {verb} {query} {code}")
        };
        let mut rows = vec![row("EHLO", "+client.example", 250)];
        if self.starts_tls {
            rows.extend([row("STARTTLS", "-", 220), row("EHLO", "+client.example", 250)]);
        }
        rows.push(row("MAIL", "+FROM:<a@b.example>", 250));
        rows.push(row("RCPT", "+TO:<c@d.example>", if self.refused { 550 } else { 250 }));
        rows.extend([row("RSET", "-", 250), row("QUIT", "client.example", 240)]);
        rows
    }

    fn end(&self) -> u32 {
        self.start + self.step * (self.rows().len() as u32 - 1)
    }

    /// Whether rows of the two cannot lie between one another.
    fn is_apart_from(&self, other: &Made) -> bool {
        let is_other = (self.direction, self.remote) != (other.direction, other.remote);
        is_other || self.end() < other.start || other.end() < self.start
    }
}

/// The rows of all connections in order of time.
fn lines(made: &[Made]) -> Vec<String> {
    let mut lines: Vec<(u32, usize, String)> = Vec::new();
    for (number, one) in made.iter().enumerate() {
        for (at, row) in one.rows().into_iter().enumerate() {
            let time = one.start + one.step * at as u32;
            let (hour, minute, second) = (6 + time / 3_600, time / 60 % 60, time % 60);
            let line = format!("2024-03-01 {hour:02}:{minute:02}:{second:02} {} {row}\r\n", one.address());
            lines.push((time, number, line));
        }
    }
    lines.sort_by_key(|(time, number, _)| (*time, *number));
    lines.into_iter().map(|(.., line)| line).collect()
}

fn read(path: &Path, options: &Options) -> Memory {
    let mut memory = Memory::default();
    memory.run(&[path.to_owned()], options);
    memory
}

fn in_blocks(block_bytes: usize, threads: usize) -> Options {
    Options { limits: Limits { block_bytes, ..Limits::default() }, ..options(threads) }
}

/// Direction, remote, start, rows, refusals, whether it is whole, and how sure it is.
type Facts = (Direction, String, String, u64, usize, bool, Option<Confidence>);

fn facts(memory: &Memory) -> BTreeMap<Facts, usize> {
    let mut found = BTreeMap::new();
    for session in memory.sessions() {
        let remote = session.remote.as_deref().unwrap_or_default().trim_end_matches(":25").to_owned();
        let (started, refusals) = (session.started.to_string(), session.replies.len());
        let direction = session.stream.direction;
        let facts = (direction, remote, started, session.records, refusals, session.complete, session.rebuilt);
        *found.entry(facts).or_default() += 1;
    }
    found
}

fn expected(made: &Made) -> Facts {
    let (hour, minute, second) = (6 + made.start / 3_600, made.start / 60 % 60, made.start % 60);
    let started = format!("2024-03-01T{hour:02}:{minute:02}:{second:02}.000Z");
    let confidence = if made.quits { Confidence::Medium } else { Confidence::Low };
    let rows = made.rows().len() as u64;
    (made.direction, made.address(), started, rows, usize::from(made.refused), made.quits, Some(confidence))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn connections_that_do_not_overlap_are_rebuilt(made in any_connections()) {
        let rows = lines(&made);
        let folder = tempfile::tempdir().unwrap();
        write_old(&folder.path().join("SRV1/SMTPSVC1/ex240301.log"), [HEADER, &rows.concat()].concat().as_bytes());
        let mut memory = Memory::default();
        let report = memory.run(&[folder.path().to_owned()], &options(2));
        check_rows(&report.summary, rows.len() as u64);
        prop_assert_eq!((report.summary.rejected, memory.rows()), (0, rows.len() as u64));
        let found = facts(&memory);
        let alone = |one: &Made| made.iter().filter(|other| one.is_apart_from(other)).count() + 1 == made.len();
        for one in made.iter().filter(|one| alone(one)) {
            prop_assert_eq!(found.get(&expected(one)), Some(&1), "{:?} in {:#?}", expected(one), found);
        }
    }

    #[test]
    fn blocks_and_threads_change_nothing(
        made in any_connections(),
        block_bytes in prop_oneof![1..300usize, 300..4_000usize],
        strange in prop::collection::vec((any::<Index>(), 0..3usize), 0..4),
        cut in 0..60usize,
    ) {
        let mut rows = lines(&made);
        for (at, line) in strange {
            let line = ["nothing\r\n", "#Date: 2024-03-01 07:00:00\r\n", HEADER][line];
            rows.insert(at.index(rows.len() + 1), line.to_owned());
        }
        let content = [HEADER, &rows.concat()].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ex240301.log");
        write_old(&path, &content.as_bytes()[..content.len() - cut]);
        let at_once = read(folder.path(), &in_blocks(usize::MAX, 1));
        for threads in [1, 4] {
            let found = read(folder.path(), &in_blocks(block_bytes, threads));
            prop_assert_eq!(found.answers(), at_once.answers(), "{} threads", threads);
        }
    }

    #[test]
    fn a_log_read_while_it_grows_gives_what_the_whole_log_gives(
        made in any_connections(),
        steps in prop::collection::vec(any::<Index>(), 0..6),
        is_named in any::<bool>(),
    ) {
        let content = [HEADER, &lines(&made).concat()].concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ex240301.log");
        let mut lengths: Vec<usize> = steps.iter().map(|step| step.index(content.len())).chain([content.len()]).collect();
        lengths.sort_unstable();
        let mut memory = Memory::default();
        for length in lengths {
            fs::write(&path, &content[..length]).unwrap();
            let paths = [if is_named { path.clone() } else { folder.path().to_owned() }];
            memory.run(&paths, &options(1));
        }
        let whole = read(folder.path(), &options(1));
        prop_assert_eq!(memory.answers(), whole.answers());
        prop_assert_eq!(memory.rows(), whole.rows());
    }
}

/// A day with refusals, over several remotes.
fn day() -> String {
    let one = |at: u32| Made {
        direction: if at.is_multiple_of(3) { Direction::Receive } else { Direction::Send },
        remote: (at % 7) as u8,
        start: at * 40,
        step: 1,
        starts_tls: at.is_multiple_of(2),
        refused: at.is_multiple_of(5),
        quits: !at.is_multiple_of(11),
    };
    [HEADER, &lines(&(0..400).map(one).collect::<Vec<_>>()).concat()].concat()
}

#[test]
fn every_way_to_store_a_log_gives_the_same_sessions() {
    let content = day();
    let rows = content.lines().filter(|line| !line.starts_with('#')).count() as u64;
    let stored = [
        ("ex240301.log", content.clone().into_bytes()),
        ("ex240301.log.zst", encode(Codec::Zstd, content.as_bytes()).unwrap()),
        ("ex240301.log.gz", encode(Codec::Gzip, content.as_bytes()).unwrap()),
        ("logs.zip", encode_zip(&[("SMTPSVC1/ex240301.log", content.as_bytes())]).unwrap()),
    ];
    let mut answers = Vec::new();
    for (name, bytes) in stored {
        let folder = tempfile::tempdir().unwrap();
        write_old(&folder.path().join("SRV1").join(name), &bytes);
        let mut memory = Memory::default();
        let report = memory.run(&[folder.path().to_owned()], &options(2));
        check_rows(&report.summary, rows);
        let summary = &report.summary;
        assert_eq!((summary.read, summary.bytes, memory.rows()), (1, content.len() as u64, rows), "{name}");
        assert_eq!(report.sources.len(), 2, "{name}: one for each direction");
        answers.push(memory.answers());
        // The same once more, and beside it a copy.
        write_old(&folder.path().join("copy.log"), content.as_bytes());
        let again = memory.run(&[folder.path().to_owned()], &options(2));
        assert_eq!((again.summary.kept, again.summary.known, again.open_changed), (0, 1, false), "{name}");
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn days_that_begin_with_the_same_row_are_two_logs() {
    let day = |date: &str| {
        format!("#Date: {date} 00:00:00\r\n#Fields: time c-ip cs-method sc-status\r\n00:00:00 192.0.2.7 HELO 250\r\n")
    };
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join("ex240301.log"), day("2024-03-01").as_bytes());
    write_old(&folder.path().join("ex240302.log"), day("2024-03-02").as_bytes());
    let mut memory = Memory::default();
    let report = memory.run(&[folder.path().to_owned()], &options(1));
    assert_eq!((report.summary.read, report.summary.kept, report.summary.notices.len()), (2, 2, 0));
}

#[test]
fn a_line_without_its_end_counts_once() {
    let content = day();
    for (named, expected) in [(false, (0, 1)), (true, (1, 0))] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ex240301.log");
        fs::write(&path, &content[..content.len() - 20]).unwrap();
        let paths = [if named { path } else { folder.path().to_owned() }];
        let summary = Memory::default().run(&paths, &options(1)).summary;
        assert_eq!((summary.rejected, summary.pending), expected);
    }
}

/// A store of a server's IIS log and of another one's Exchange log.
fn mixed(folder: &Path, arguments: &[&str]) {
    write_old(&folder.join("logs/relays/SMTPSVC1/ex240301.log"), day().as_bytes());
    write_old(
        &folder.join("logs/EX1/SmtpSend/SEND20240301-1.LOG"),
        &memory::log::file(&(0..9).map(memory::log::session).collect::<String>()),
    );
    done(folder, &[&["index", "logs"], arguments].concat());
}

#[track_caller]
fn lines_of(ran: &Ran) -> Vec<&str> {
    ran.out.lines().collect()
}

#[test]
fn a_refusal_is_found_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    mixed(path, &["--keep-transcripts"]);
    let count = |query: &str| lines_of(&run(path, &["search", query, "--json", "--limit", "0"])).len();
    let refused = count("server:RELAYS status:5.7.64");
    assert!(refused > 40, "{refused} sessions");
    for query in ["server:RELAYS untrustedroot", r#"server:RELAYS text:"mail.contoso.com is untrustedroot""#] {
        assert_eq!(count(query), refused, "{query}");
    }
    assert_eq!(count("server:RELAYS remote:192.0.2.0/24"), 400);
    assert!(count("server:RELAYS direction:receive code:550") > 10);
    assert!(count("session:00000000C0000202") > 10);
    assert!(count("remote:192.0.2.2") > 10);
    let first = done(path, &["search", "server:RELAYS status:5.7.64", "--json", "--limit", "1"]).out;
    let session: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((session["confidence"].as_str(), session["complete"].as_bool()), (Some("medium"), Some(true)));
    let id = session["id"].as_str().unwrap();
    // The first session of a remote has the plain id.
    let (plain, _) = id.split_once('@').unwrap();
    assert!(done(path, &["show", plain]).out.starts_with(&format!("{plain}\n")));
    let shown = done(path, &["show", id]).out;
    assert!(shown.contains("✗ refused") && shown.contains("→ command"), "{shown}");
    assert!(shown.contains("medium confidence"), "{shown}");
    let received = done(path, &["search", "server:RELAYS direction:receive code:550", "--json", "--limit", "1"]).out;
    let received: serde_json::Value = serde_json::from_str(&received).unwrap();
    let marked = done(path, &["show", received["id"].as_str().unwrap()]).out;
    let marked: Vec<&str> = marked.lines().filter(|line| line.starts_with('✗') || line.starts_with('→')).collect();
    assert!(marked.len() == 1 && marked[0].contains("RCPT TO:<c@d.example>  550 client.example"), "{marked:?}");
    let raw = done(path, &["show", id, "--raw"]).out;
    assert!(raw.lines().count() as u64 == session["records"].as_u64().unwrap());
    assert!(raw.lines().all(|line| day().contains(line)), "{raw}");
    let found = done(path, &["search", "server:RELAYS", "--rows", "recipient ok", "--json", "--limit", "0"]);
    assert!(lines_of(&found).len() > 100);
    assert_eq!(done(path, &["verify"]).code, Some(0));
    fs::remove_dir_all(path.join("logs")).unwrap();
    assert_eq!(done(path, &["show", id, "--raw"]).out, raw);
}

#[test]
fn a_store_of_both_formats_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    mixed(path, &[]);
    let ids = |query: &str| lines_of(&done(path, &["search", query, "--json", "--limit", "0"])).len();
    assert_eq!((ids("server:EX1"), ids("server:RELAYS")), (9, 400));
    let again = done(path, &["index", "logs", "--json"]).out;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((again["kept"].as_u64(), again["unchanged"].as_u64()), (Some(0), Some(2)));
    let coverage = done(path, &["coverage"]).out;
    for stream in ["EX1/unknown/send", "RELAYS/unknown/receive", "RELAYS/unknown/send"] {
        assert!(coverage.contains(stream), "{coverage}");
    }
    assert_eq!(done(path, &["verify"]).code, Some(0));
}

#[test]
fn standard_input_is_read_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_smtptrail"))
        .current_dir(folder.path())
        .args(["index", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(day().as_bytes()).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let rows = day().lines().filter(|line| !line.starts_with('#')).count() as u64;
    assert_eq!((report["kept"].as_u64(), report["sessions"].as_u64()), (Some(rows), Some(400)));
    // Nothing but the rows names the server.
    let found = done(folder.path(), &["search", "server:SRV1 status:5.7.64", "--json", "--limit", "1"]);
    assert_eq!(lines_of(&found).len(), 1);
}

#[test]
fn a_dry_run_counts_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    write_old(&folder.path().join("logs/ex240301.log"), day().as_bytes());
    let dry = done(folder.path(), &["index", "logs", "--dry-run", "--json"]).out;
    let dry: serde_json::Value = serde_json::from_str(&dry).unwrap();
    assert_eq!((dry["files"].as_u64(), dry["read"].as_u64(), dry["sessions"].as_u64()), (Some(1), Some(1), Some(400)));
}
