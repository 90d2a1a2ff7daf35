//! The generator against itself: its truth is held against a few obvious lines that read the bytes again.

mod planted;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Mutex,
};

use serde_json::Value;

use crate::{EvidenceLevel, FilesPerDay, Generation, Part, Plan, Planted, Summary, generate, generate_planted};

/// A fleet as a caller would keep it.
struct Fleet {
    files: BTreeMap<String, Vec<u8>>,
    sessions: Vec<Value>,
    truth: BTreeMap<usize, Vec<u8>>,
    summary: Summary,
}

fn small_plan() -> Plan {
    Plan { servers: 8, days: 3, bytes_per_server: 1 << 20, proxied: 0.5, ..Plan::default() }
}

fn fleet(plan: &Plan, threads: usize) -> Fleet {
    fleet_of(None, plan, threads)
}

/// A fleet, with a planted cause and all evidence if one is given.
fn fleet_of(planted: Option<&Planted>, plan: &Plan, threads: usize) -> Fleet {
    let kept = Mutex::new((BTreeMap::new(), BTreeMap::<usize, Vec<u8>>::new()));
    let deliver = |part| {
        let mut kept = kept.lock().unwrap();
        match part {
            Part::Log(file) => {
                let path = file.path.clone();
                assert!(kept.0.insert(file.path, file.bytes).is_none(), "{path} twice");
            }
            Part::Sessions { server, ndjson } => kept.1.entry(server).or_default().extend(ndjson),
        }
        Ok::<(), Infallible>(())
    };
    let Ok(summary) = match planted {
        Some(planted) => generate_planted(planted, plan, EvidenceLevel::Full, threads, deliver),
        None => generate(plan, threads, deliver),
    };
    let (files, truth) = kept.into_inner().unwrap();
    let lines = truth.values().flat_map(|ndjson| ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()));
    let sessions = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    Fleet { files, sessions, truth, summary }
}

/// A row as a log shows it.
#[derive(Debug, Clone)]
struct Line {
    file: String,
    offset: usize,
    end: usize,
    fields: Vec<String>,
}

/// Splits a line at commas outside quotes.
fn fields(line: &[u8]) -> Vec<String> {
    let mut fields = vec![Vec::new()];
    let mut is_quoted = false;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        let field = fields.last_mut().unwrap();
        match byte {
            b'"' if is_quoted && line.get(at + 1) == Some(&b'"') => {
                field.push(b'"');
                at += 1;
            }
            b'"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            b',' if !is_quoted => fields.push(Vec::new()),
            byte => field.push(byte),
        }
        at += 1;
    }
    fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

/// Whether a line is a row by its time, its id and its number of fields.
fn is_row(fields: &[String]) -> bool {
    let is_time = |text: &str| text.len() == 24 && text.starts_with("20") && &text[4..5] == "-" && &text[5..7] != "13";
    let is_id = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fields.len() == 9 && is_time(&fields[0]) && is_id(&fields[2])
}

/// Rows by session, and the offsets of unreadable lines by file.
fn read(fleet: &Fleet) -> (HashMap<String, Vec<Line>>, BTreeMap<String, Vec<u64>>) {
    let mut sessions: HashMap<String, Vec<Line>> = HashMap::new();
    let mut rejected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let is_log = |path: &str| !path.contains("CONNECTIVITY");
    for (path, bytes) in fleet.files.iter().filter(|(path, _)| is_log(path)) {
        let folder = path.rsplit_once('/').unwrap().0;
        let mut offset = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let end = offset + line.len();
            let text = line.strip_suffix(b"\r\n").unwrap_or_default();
            let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
            let fields = fields(text);
            if is_row(&fields) {
                let key = format!("{folder} {}", fields[2]);
                sessions.entry(key).or_default().push(Line { file: path.clone(), offset, end, fields });
            } else if !text.starts_with(b"#") && line.ends_with(b"\n") {
                rejected.entry(path.clone()).or_default().push(offset as u64);
            }
            offset = end;
        }
    }
    // Instances sort as numbers, paths as text: restore the order of the rows.
    for lines in sessions.values_mut() {
        lines.sort_by_key(|line| (line.fields[3].parse::<u64>().unwrap(), line.fields[0].clone()));
    }
    (sessions, rejected)
}

#[track_caller]
fn check_truth(plan: &Plan) {
    check_truth_of(&fleet(plan, 2));
}

#[track_caller]
fn check_truth_of(fleet: &Fleet) {
    let (mut read_sessions, read_rejected) = read(fleet);
    for session in &fleet.sessions {
        let file = session["sources"][0]["file"].as_str().unwrap();
        let key = format!("{} {}", file.rsplit_once('/').unwrap().0, session["session"].as_str().unwrap());
        let lines = read_sessions.remove(&key).unwrap_or_else(|| panic!("{key} is in no log"));
        check_session(session, &lines);
    }
    assert!(read_sessions.is_empty(), "sessions without truth: {:?}", read_sessions.keys().take(3));
    check_files(fleet, &read_rejected);
    check_totals(fleet);
}

/// Holds a session's truth against its rows.
#[track_caller]
fn check_session(session: &Value, lines: &[Line]) {
    let id = session["id"].as_str().unwrap();
    let (first, last) = (&lines[0].fields, &lines[lines.len() - 1].fields);
    let sequences: Vec<u64> = lines.iter().map(|line| line.fields[3].parse().unwrap()).collect();
    assert_eq!(session["records"], lines.len(), "{id}");
    assert_eq!(session["started"], first[0].as_str(), "{id}");
    assert_eq!(session["connector"], first[1].as_str(), "{id}");
    let is_closed = last[6] == "-";
    assert_eq!(session["ended"], if is_closed { last[0].as_str().into() } else { Value::Null }, "{id}");
    let has_all = sequences[0] == 0 && sequences.windows(2).all(|pair| pair[1] <= pair[0] + 1);
    assert_eq!(session["complete"], is_closed && has_all, "{id}");
    for (name, field) in [("local", 4), ("remote", 5)] {
        let endpoint = lines.iter().rev().map(|line| &line.fields[field]).find(|endpoint| !endpoint.is_empty());
        assert_eq!(session[name], endpoint.map_or(Value::Null, |endpoint| endpoint.as_str().into()), "{id}");
    }
    check_spans(session, lines);
    check_dialogue(session, lines);
}

/// The spans begin with the first row in a file and end after the last.
#[track_caller]
fn check_spans(session: &Value, lines: &[Line]) {
    let mut spans: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for line in lines {
        let span = spans.entry(&line.file).or_insert((line.offset, line.end));
        *span = (span.0.min(line.offset), span.1.max(line.end));
    }
    let sources = session["sources"].as_array().unwrap();
    assert_eq!(sources.len(), spans.len());
    for source in sources {
        let (begin, end) = spans[source["file"].as_str().unwrap()];
        assert_eq!(source["offset"], begin, "{source}");
        assert_eq!(source["length"], end - begin, "{source}");
    }
}

/// Replies, EHLO names and certificates against the rows.
#[track_caller]
fn check_dialogue(session: &Value, lines: &[Line]) {
    let (ours, theirs) = if session["direction"] == "send" { (">", "<") } else { ("<", ">") };
    let refusals: Vec<&Line> = lines
        .iter()
        .filter(|line| line.fields[6] == theirs && matches!(line.fields[7].as_bytes()[0], b'4' | b'5'))
        .filter(|line| line.fields[7].as_bytes().get(3) == Some(&b' '))
        .collect();
    let replies = session["replies"].as_array().unwrap();
    assert_eq!(replies.len(), refusals.len(), "{session}");
    for (reply, line) in replies.iter().zip(&refusals) {
        assert_eq!(reply["code"].to_string(), line.fields[7][..3]);
        let last = reply["text"].as_str().unwrap().rsplit('\n').next().unwrap();
        assert!(line.fields[7].ends_with(last), "{reply} {line:?}");
        let is_sent = |to: &str| lines.iter().any(|line| line.fields[6] == ours && line.fields[7] == to);
        assert!(reply["to"].is_null() || is_sent(reply["to"].as_str().unwrap()), "{reply}");
    }
    let is_hello = |line: &&Line| {
        let verb = line.fields[7].get(..5).unwrap_or_default().to_ascii_uppercase();
        line.fields[6] == ours && (verb == "EHLO " || verb == "HELO ")
    };
    let hello = lines.iter().rev().find(is_hello).map(|line| &line.fields[7][5..]);
    assert_eq!(session["helo"].as_str(), hello);
    let commands = lines
        .iter()
        .filter(|line| line.fields[6] == ours && matches!(line.fields[7].as_str(), "STARTTLS" | "X-ANONYMOUSTLS"));
    assert_eq!(session["negotiations"].as_array().unwrap().len(), commands.count(), "{session}");
    for name in ["presented", "received"] {
        let Some(thumbprint) = session[name].as_str() else {
            continue;
        };
        assert!(lines.iter().any(|line| line.fields[7].contains(thumbprint)), "{session}");
    }
}

#[track_caller]
fn check_files(fleet: &Fleet, read_rejected: &BTreeMap<String, Vec<u64>>) {
    assert_eq!(fleet.summary.files.len(), fleet.files.len());
    for file in &fleet.summary.files {
        let bytes = &fleet.files[&file.path];
        assert_eq!(file.bytes, bytes.len() as u64);
        assert_eq!(Some(&file.rejected).filter(|offsets| !offsets.is_empty()), read_rejected.get(&file.path));
        let ends_cut = !bytes.is_empty() && !bytes.ends_with(b"\n");
        assert_eq!(file.cut_tail.is_some(), ends_cut, "{}", file.path);
    }
}

#[track_caller]
fn check_totals(fleet: &Fleet) {
    let totals = &fleet.summary.totals;
    let sessions = &fleet.sessions;
    let replies = || sessions.iter().flat_map(|session| session["replies"].as_array().unwrap());
    assert_eq!(totals.sessions, sessions.len() as u64);
    assert_eq!(totals.bytes, fleet.files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert_eq!(totals.rows, sessions.iter().map(|session| session["records"].as_u64().unwrap()).sum::<u64>());
    assert_eq!(totals.rows, fleet.summary.files.iter().map(|file| file.rows).sum::<u64>());
    assert_eq!(totals.replies, replies().count() as u64);
    assert_eq!(totals.complete, sessions.iter().filter(|session| session["complete"] == true).count() as u64);
    for count in &totals.refusals {
        let matching = replies().filter(|reply| {
            reply["presented"].as_str() == count.presented.as_deref()
                && reply["status"].as_str() == count.status.as_deref()
        });
        assert_eq!(count.replies, matching.count() as u64, "{count:?}");
    }
    for certificate in &fleet.summary.certificates {
        let shown = |session: &&Value| {
            let is_it = |side: &Value| side.as_str() == Some(certificate.thumbprint.as_str());
            let negotiations = session["negotiations"].as_array().unwrap();
            negotiations.iter().any(|tls| is_it(&tls["presented"]) || is_it(&tls["received"]))
        };
        assert_eq!(certificate.sessions, sessions.iter().filter(shown).count() as u64, "{certificate:?}");
    }
}

#[test]
fn truth_agrees_with_flawless_logs() {
    check_truth(&small_plan());
    check_truth(&Plan { files_per_day: FilesPerDay::Hourly, servers: 2, ..small_plan() });
}

#[test]
fn truth_agrees_with_damaged_logs() {
    check_truth(&Plan { damage: 0.01, files_per_day: FilesPerDay::ByGeneration, ..small_plan() });
    check_truth(&Plan { damage: 0.2, servers: 2, seed: 7, ..small_plan() });
}

#[test]
fn threads_do_not_change_a_byte() {
    let plan = Plan { servers: 4, damage: 0.005, ..small_plan() };
    let (one, many) = (fleet(&plan, 1), fleet(&plan, 4));
    assert!(one.files == many.files);
    assert!(one.truth == many.truth);
    assert_eq!(one.summary.totals, many.summary.totals);
    assert_eq!(one.summary.certificates_ndjson(), many.summary.certificates_ndjson());
    assert_eq!(one.summary.files_ndjson(), many.summary.files_ndjson());
}

#[test]
fn seeds_differ() {
    let plan = Plan { servers: 1, days: 1, ..small_plan() };
    assert!(fleet(&plan, 1).files != fleet(&Plan { seed: 2, ..plan }, 1).files);
}

#[test]
fn size_is_about_what_was_asked_for() {
    let fleet = fleet(&small_plan(), 2);
    let asked = (8u64 << 20) as f64;
    assert!((fleet.summary.totals.bytes as f64 / asked - 1.0).abs() < 0.15, "{}", fleet.summary.totals.bytes);
}

#[test]
fn everything_occurs() {
    let fleet = fleet(&Plan { bytes_per_server: 3 << 20, ..small_plan() }, 2);
    let played: Vec<&str> = fleet.summary.totals.scenarios.keys().copied().collect();
    let mut all: Vec<&str> = crate::scenarios::SCENARIOS.iter().map(|scenario| scenario.name).collect();
    all.sort_unstable();
    assert_eq!(played, all);
    let bytes: Vec<u8> = fleet.files.values().flatten().copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    for part in [
        "Sending certificate\r\n",
        "Sending certificate Certificate subject",
        "Sending certificate Subject",
        "Received certificate\r\n",
        "O=\"\"thawte, Inc.\"\"",
        "550 5.7.64 TenantAttribution; Relay Access Denied [",
        "ATTR36",
        "XPROXYFROM SID=",
        "SESSIONID=",
        ". Outbound proxy from ",
        "negotiation failed with error",
        "Failed to connect",
        "334 <authentication response>",
        "[2001:db8:",
        "TLS protocol 8192",
        "Tarpit for '0.00:00:05'",
        "MAIL FROM:<>",
        "550-5.7.26 ",
        "#Version: 8.0.0.0",
        "\\Relay, printers\"",
        "XSHADOW",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn sessions_cross_files_and_services_end_in_the_middle() {
    let fleet = fleet(&Plan { files_per_day: FilesPerDay::Hourly, days: 12, ..small_plan() }, 2);
    let count = |is_such: &dyn Fn(&Value) -> bool| fleet.sessions.iter().filter(|session| is_such(session)).count();
    assert!(count(&|session| session["sources"].as_array().unwrap().len() > 1) > 5);
    assert!(count(&|session| session["ended"].is_null() && session["remote_name"].is_string()) > 5);
}

#[test]
fn damage_takes_every_form() {
    let fleet = fleet(&Plan { damage: 0.05, ..small_plan() }, 2);
    let files = &fleet.summary.files;
    let totals = &fleet.summary.totals;
    assert!(totals.rejected > 100 && totals.cut_tails > 3 && totals.complete * 10 < totals.sessions * 9);
    assert!(files.iter().any(|file| file.bytes == 0));
    assert!(files.iter().any(|file| file.bytes > 0 && file.rows == 0 && file.kind == "log"));
    assert!(files.iter().any(|file| file.kind == "other"));
    let has_second_header = |bytes: &Vec<u8>| bytes.windows(9).filter(|window| window == b"#Software").count() > 1;
    assert!(fleet.files.values().any(has_second_header));
    let mut begins_late =
        fleet.sessions.iter().filter(|session| session["complete"] == false && !session["ended"].is_null());
    assert!(begins_late.next().is_some());
}

#[test]
fn two_certificates_have_a_refusal_each() {
    let fleet = fleet(&small_plan(), 2);
    let planted: Vec<&Value> = fleet
        .sessions
        .iter()
        .filter(|session| {
            session["negotiations"].as_array().unwrap().len() == 2 && session["negotiations"][0]["verb"] == "STARTTLS"
        })
        .collect();
    assert!(!planted.is_empty());
    for session in planted {
        let negotiations = &session["negotiations"];
        assert_ne!(negotiations[0]["presented"], negotiations[1]["presented"]);
        for reply in session["replies"].as_array().unwrap() {
            let is_second = reply["sequence"].as_u64() > negotiations[1]["sequence"].as_u64();
            assert_eq!(reply["presented"], negotiations[usize::from(is_second)]["presented"]);
        }
    }
}

#[test]
fn proxied_refusals_name_a_session_that_is_logged() {
    let fleet = fleet(&Plan { generation: Generation::Exchange2019, bytes_per_server: 4 << 20, ..small_plan() }, 2);
    let mut kinds = BTreeMap::new();
    for session in &fleet.sessions {
        for reply in session["replies"].as_array().unwrap().iter().filter(|reply| !reply["presented_via"].is_null()) {
            assert!(reply["presented"].is_null());
            let via = &reply["presented_via"];
            let kind = session["proxy"][0]["kind"].as_str().unwrap();
            let is_partner = |partner: &&Value| match kind {
                "outbound" => {
                    partner["role"] == "frontend"
                        && partner["proxy"].as_array().unwrap().iter().any(|link| link["session"] == *via)
                }
                _ => partner["direction"] == "receive" && partner["session"] == *via,
            };
            let partner = fleet.sessions.iter().filter(|other| other["server"] == session["server"]).find(is_partner);
            assert!(partner.is_some(), "{reply}");
            *kinds.entry(kind.to_string()).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), 2, "{kinds:?}");
}
