//! Real CAPI2 events: every one is accounted for, and the two ways of reading them agree.
//!
//! The samples lie beside the repository, in `../shared/samples` or where `SMTPTRAIL_SAMPLES` says.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use evidence::{Document, Fact, Reading, read};
use evtx::{EvtxParser, ParserSettings};

const LOG: &str = "evtx/omerbenamram_CAPI2_Operational.evtx";

fn sample(name: &str) -> Option<Vec<u8>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no samples at {}; set SMTPTRAIL_SAMPLES to read them", folder.display());
        return None;
    }
    Some(fs::read(folder.join(name)).unwrap())
}

#[track_caller]
fn reading(name: &str, bytes: &[u8]) -> (&'static str, Reading) {
    let (kind, reading) = read(&Document { name, bytes }).expect("evidence");
    (kind.name(), reading)
}

/// Facts of a file that the summary shows.
const SHOWN: usize = 6;

/// What was kept, passed over and rejected, a line each.
fn summary(kind: &str, reading: &Reading) -> String {
    let mut lines = format!("{kind}\n");
    for found in reading.found.iter().take(SHOWN) {
        let line = match &found.fact {
            Fact::ChainCheck(check) => format!(
                "{} {} of {} by {} on {}: {:X} {} {} [{}] chain of {}, {} times",
                check.event,
                check.policy.as_deref().unwrap_or("-"),
                check.thumbprint,
                check.process.as_deref().unwrap_or("-"),
                check.computer,
                check.result,
                check.result_name.as_deref().unwrap_or("-"),
                check.result_text.as_deref().unwrap_or("-"),
                check.trust_status.join(" "),
                check.chain.len(),
                check.count,
            ),
            Fact::CertificateNames(names) => format!(
                "{} {} <- {} ({})",
                names.thumbprint,
                names.subject,
                names.issuer,
                names.serial.as_deref().unwrap_or("-")
            ),
            other => format!("{other:?}"),
        };
        writeln!(lines, "{}: {line}", found.offset).unwrap();
    }
    writeln!(lines, "{} facts", reading.found.len()).unwrap();
    writeln!(lines, "passed {:?}", reading.passed).unwrap();
    write!(lines, "rejected {:?}, dropped {}", reading.rejections, reading.dropped).unwrap();
    lines
}

/// Events of each number: checks stand for several.
fn events(reading: &Reading) -> BTreeMap<u16, u64> {
    let mut events = BTreeMap::new();
    for found in &reading.found {
        if let Fact::ChainCheck(check) = &found.fact {
            *events.entry(check.event).or_default() += check.count;
        }
    }
    for (what, count) in &reading.passed {
        if let Some(number) = what.strip_prefix("event ").and_then(|number| number.parse().ok()) {
            *events.entry(number).or_default() += count;
        }
    }
    events
}

/// What the evtx crate makes of a log, in the form of its own program.
fn dumped(bytes: &[u8]) -> String {
    let mut parser = EvtxParser::from_buffer(bytes.to_vec()).unwrap().with_configuration(ParserSettings::new());
    let records = parser.records().map(Result::unwrap);
    records.map(|record| format!("Record {}\n{}\n", record.event_record_id, record.data)).collect()
}

#[test]
fn every_record_of_the_log_is_accounted_for() {
    let Some(bytes) = sample(LOG) else { return };
    let (kind, reading) = reading("log", &bytes);
    assert_eq!((kind, reading.rejected, reading.dropped), ("capi2-evtx", 0, 0), "{:?}", reading.rejections);
    let expected = [
        (10, 42),
        (11, 42),
        (30, 42),
        (40, 54),
        (41, 54),
        (42, 2),
        (50, 15),
        (51, 15),
        (52, 12),
        (53, 12),
        (80, 8),
        (81, 8),
    ];
    assert_eq!(events(&reading), expected.into());
    // The other 34 of 340 are event 90, which show 174 certificates.
    let names = reading.found.iter().filter(|found| matches!(found.fact, Fact::CertificateNames(_))).count() as u64;
    assert_eq!(names + reading.passed["certificate named before"], 174);
    for found in &reading.found {
        assert!(bytes[found.offset as usize..].starts_with(b"\x2A\x2A\0\0"), "{found:?}");
    }
}

#[test]
fn the_binary_log_and_its_dump_say_the_same() {
    let Some(bytes) = sample(LOG) else { return };
    let (_, mut binary) = reading("log", &bytes);
    let (kind, mut text) = reading("dump", dumped(&bytes).as_bytes());
    assert_eq!(kind, "capi2-xml");
    for reading in [&mut binary, &mut text] {
        reading.found.iter_mut().for_each(|found| found.offset = 0);
    }
    assert_eq!(binary, text);
}

#[test]
fn a_damaged_record_costs_one_record() {
    let Some(mut bytes) = sample(LOG) else { return };
    // The mark of the third record of the second chunk.
    let marks = |bytes: &[u8]| {
        let chunk = &bytes[4096 + 65536..4096 + 2 * 65536];
        chunk.windows(4).enumerate().filter(|(_, mark)| *mark == b"\x2A\x2A\0\0").map(|(at, _)| at).collect::<Vec<_>>()
    };
    let at = 4096 + 65536 + marks(&bytes)[2];
    bytes[at] = 0;
    let (_, reading) = reading("log", &bytes);
    assert_eq!(reading.rejections, [(at as u64, "a damaged record".to_owned())]);
}

#[test]
fn a_damaged_log_is_read_to_its_end() {
    let Some(bytes) = sample(LOG) else { return };
    let (_, whole) = reading("log", &bytes);
    let total = |reading: &Reading| events(reading).values().sum::<u64>();
    // Every place once in 1,009 bytes, which meets all parts of records and chunks.
    for place in (4096..bytes.len()).step_by(1009) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x5A;
        let (_, read) = reading("log", &damaged);
        // A chunk has at most 35 records.
        assert!(total(&read) + read.rejected + 35 >= total(&whole), "byte {place}: {:?}", read.rejections);
    }
}

#[test]
fn samples_are_read() {
    let mut lines = String::new();
    for name in [
        "capi2/evtx_first_event_11.xml",
        "capi2/evtx_first_event_30.xml",
        "capi2/evtx_first_event_41.xml",
        "capi2/evtx_first_event_90.xml",
        "seeds/004_0f84d0040dd5f6e9.txt",
        LOG,
    ] {
        let Some(bytes) = sample(name) else { return };
        let (kind, reading) = reading(name, &bytes);
        writeln!(lines, "{name}\n{}\n", summary(kind, &reading)).unwrap();
    }
    insta::assert_snapshot!(lines);
}
