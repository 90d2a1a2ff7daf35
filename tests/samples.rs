//! Real logs, as people have published them: every row is accounted for, and what stands in them is found.
//!
//! The excerpts lie beside the repository, in `../shared/samples`, or where `SMTPTRAIL_SAMPLES` says.

#[allow(dead_code)] // Every test file uses its part of it.
mod memory;

use std::path::{Path, PathBuf};

use memory::{Memory, check_rows, json, options};
use serde_json::Value;

/// What a file holds.
struct Sample {
    file: &'static str,
    server: &'static str,
    /// Rows kept and rejected.
    rows: (u64, u64),
    sessions: usize,
    /// Values that the first session to have them shows, by JSON pointer.
    facts: &'static [(&'static str, &'static str)],
}

const SAMPLES: &[Sample] = &[
    Sample {
        file: "elastic_smtp_send_recv_2024.log",
        server: "UNKNOWN",
        rows: (7, 0),
        sessions: 4,
        facts: &[
            ("/id", "UNKNOWN/unknown/send/08DC1DB8591B22A0"),
            ("/remote", "10.11.12.13:2525"),
            (
                "/errors/0",
                "Failed to connect. Winsock error code: 10061, Win32 error code: 10061, Destination domain: \
                 internalproxy, Error Message: No connection could be made because the target machine actively \
                 refused it 10.11.12.13:2525.",
            ),
        ],
    },
    Sample {
        file: "recv_2010_header.log",
        server: "TAIL-EXCH-1",
        rows: (2, 0),
        sessions: 1,
        facts: &[("/direction", "receive"), ("/connector", "TAIL-EXCH-1\\Internet Mail"), ("/records", "2")],
    },
    Sample {
        file: "recv_2013_tarpit_unable_to_relay_qa179653.txt",
        server: "DOMAIN",
        rows: (8, 0),
        sessions: 1,
        facts: &[
            ("/replies/0/status", "5.7.1"),
            ("/replies/0/text", "Unable to relay"),
            ("/replies/0/from", "local"),
            ("/tarpit_ms", "5000"),
            ("/ended", "2020-11-27T09:34:44.191Z"),
            ("/complete", "false"),
        ],
    },
    Sample {
        file: "recv_2016_singlecert_qazeer.log",
        server: "SERVER-HOSTNAME",
        rows: (16, 0),
        sessions: 1,
        facts: &[
            ("/presented", "12DEABC6565646512346ABDC1345689413589876"),
            ("/tls/version", "1.2"),
            ("/tls/chain_status", "EmptyCertificate"),
            ("/tls/domain_status", "NoRemoteCertificate"),
            ("/auth/error", "LogonDenied"),
            ("/auth/user", "username@domain.com"),
            ("/helo", "[95.10.20.33]"),
            ("/repeated_sequences", "2"),
        ],
    },
    Sample {
        file: "recv_2019_no_starttls_jpblog.log",
        server: "E19",
        rows: (1, 0),
        sessions: 1,
        facts: &[("/tls/outcome", "none"), ("/remote", "104.47.58.43:57811")],
    },
    Sample {
        file: "recv_ipban_issue87.log",
        server: "SRV-XCH03",
        rows: (4, 0),
        sessions: 2,
        facts: &[("/auth/outcome", "ok"), ("/auth/outcome", "failed"), ("/auth/mechanism", "LOGIN")],
    },
    Sample {
        file: "send_2013_multicert_kb4051498.log",
        server: "UNKNOWN",
        rows: (6, 0),
        sessions: 1,
        facts: &[("/tls/outcome", "failed"), ("/tls/error", "UnknownCredentials")],
    },
    Sample {
        file: "send_2013_zhCN_received_cert_ehlo_lines.log",
        server: "UNKNOWN",
        rows: (19, 0),
        sessions: 1,
        facts: &[
            ("/received", "352D244A535D94B576232ECC4A4000CFE06BE106"),
            ("/tls/version", "1.0"),
            ("/remote_name", "M10-SD-MLCH04.sd.cnc.intra"),
            ("/connector", "组织内 SMTP 发送连接器"),
            ("/auth/error", "LogonDenied"),
        ],
    },
    Sample {
        // Its first line has lost its first character.
        file: "send_2016cu2_singlecert_nodates_ammarhasayen.txt",
        server: "UNKNOWN",
        rows: (8, 1),
        sessions: 2,
        facts: &[("/presented", "AAA3D3DADA6891A2CCB3134D0B2D7764F1351BC4"), ("/records", "4")],
    },
];

/// Files that are no protocol log to a reader: every row is masked by hand.
const FOREIGN: &[&str] = &["recv_ipv6_SYNTHETIC_testdata.log", "send_multicert_kb4495258_masked.log"];

/// Logs of IIS. One with no rows of a direction is a source of that direction all the same.
const IIS_SAMPLES: &[Sample] = &[
    Sample {
        file: "iis_native_format.log",
        server: "MAIL01",
        rows: (2, 0),
        sessions: 2,
        facts: &[
            ("/direction", "receive"),
            ("/started", "2006-08-18T13:17:37.000Z"),
            ("/messages/0/from", "user14@mail07.example"),
            ("/remote", "123.456.789.1"),
            ("/confidence", "low"),
        ],
    },
    Sample {
        file: "iis_outbound_w3c_full_2017_lichty.log",
        server: "VSERVER14541",
        rows: (2, 0),
        sessions: 1,
        facts: &[
            ("/id", "VSERVER14541/unknown/send/0000000042C47622"),
            ("/remote", "66.196.118.34:25"),
            ("/replies/0/code", "421"),
            ("/replies/0/status", "4.7.0"),
            ("/replies/0/to", "MAIL FROM:<user16@mail02.example> SIZE=1722"),
            ("/confidence", "low"),
        ],
    },
    Sample {
        file: "ossec_iis5_smtp_w3c.log",
        server: "MEE-PDC",
        rows: (37, 0),
        sessions: 10,
        facts: &[
            ("/connector", "SMTPSVC1"),
            ("/helo", "36A42160"),
            ("/messages/0/message_id", "<000b01c6eb60$0511fad0$4507a8c0@sveta>"),
            ("/messages/0/outcome", "accepted"),
            ("/replies/0/code", "500"),
            ("/replies/0/to", "xxxx sveta"),
            ("/confidence", "medium"),
        ],
    },
    Sample {
        file: "ossec_iis_smtp_ncsa.log",
        server: "UNKNOWN",
        rows: (40, 0),
        sessions: 6,
        facts: &[
            ("/remote_name", "rly-yi06.mx.aol.com"),
            ("/started", "2006-10-11T19:16:39.000Z"),
            ("/ended", "2006-10-11T19:17:04.000Z"),
            ("/helo", "mee-pdc.fabrikam.example"),
            ("/messages/0/to/0", "user27@mail06.example"),
            ("/confidence", "medium"),
        ],
    },
];

/// A reply copied out of such a log, and no row.
const IIS_FOREIGN: &[&str] = &["fragment_5_7_64_untrustedroot_qa2276469.txt"];

fn folder(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, PathBuf::from).join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no samples at {}; set SMTPTRAIL_SAMPLES to read them", folder.display());
        return None;
    }
    Some(folder)
}

#[track_caller]
fn check(folder: &Path, sample: &Sample) {
    let path = folder.join(sample.file);
    let text = std::fs::read(&path).unwrap();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count();
    let mut memory = Memory::default();
    let report = memory.run(&[path], &options(1));
    let summary = &report.summary;
    check_rows(summary, lines as u64);
    assert!(summary.problems.is_empty(), "{}: {:?}", sample.file, summary.problems);
    let sessions: Vec<Value> = memory.sessions().map(json).collect();
    let server = report.sources.first().map_or("", |source| &source.stream.server);
    let found = (server, (summary.kept, summary.rejected), sessions.len());
    assert_eq!(found, (sample.server, sample.rows, sample.sessions), "{}", sample.file);
    for (pointer, expected) in sample.facts {
        let values: Vec<String> = sessions.iter().filter_map(|session| session.pointer(pointer)).map(shown).collect();
        assert!(values.iter().any(|value| value == expected), "{} {pointer}: {values:?}", sample.file);
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_row_of_real_logs_is_accounted_for() {
    for (name, samples) in [("exchange", SAMPLES), ("iis", IIS_SAMPLES)] {
        let Some(folder) = folder(name) else { continue };
        samples.iter().for_each(|sample| check(&folder, sample));
    }
}

#[test]
fn every_sample_is_in_the_table() {
    for (name, samples, foreign) in [("exchange", SAMPLES, FOREIGN), ("iis", IIS_SAMPLES, IIS_FOREIGN)] {
        let Some(folder) = folder(name) else { continue };
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_known = samples.iter().any(|sample| sample.file == name) || foreign.contains(&name.as_str());
            assert!(is_known, "{name} has no row in the table");
        }
    }
}

#[test]
fn a_file_without_a_readable_row_is_named() {
    for (name, foreign) in [("exchange", FOREIGN), ("iis", IIS_FOREIGN)] {
        let Some(folder) = folder(name) else { continue };
        for name in foreign {
            let report = Memory::default().run(&[folder.join(name)], &options(1));
            assert_eq!((report.summary.foreign, report.summary.kept), (1, 0), "{name}");
            assert_eq!(report.summary.notices[0].file, *name);
        }
    }
}
