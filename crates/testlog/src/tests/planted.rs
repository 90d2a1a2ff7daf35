//! Fleets with a planted cause: the truth about causes against sessions and evidence, for every scenario.

use std::collections::BTreeSet;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::{Fleet, check_truth_of, fleet_of};
use crate::{CaseTruth, EvidenceLevel, Generation, PLANTED, Part, Plan, Planted, der::hex, generate_planted};

/// Replies that only a planted cause may bring.
const PLANTED_STATUSES: [&str; 10] =
    ["5.7.64", "5.7.51", "4.4.317", "4.4.62", "4.7.66", "5.7.606", "5.7.705", "5.7.708", "5.7.511", "4.4.4"];

fn plan(planted: &Planted) -> Plan {
    Plan {
        servers: 3,
        days: 6,
        bytes_per_server: 1 << 20,
        renewal: 0.55,
        generation: planted.generation,
        ..Plan::default()
    }
}

fn planted_cases(fleet: &Fleet) -> impl Iterator<Item = &CaseTruth> {
    fleet.summary.cases.iter().filter(|case| case.cause.is_some())
}

/// Whether a session has a refusal of a case's code and status.
fn has_refusal(session: &Value, case: &CaseTruth) -> bool {
    let replies = session["replies"].as_array().unwrap();
    replies.iter().any(|reply| reply["code"] == case.code && reply["status"].as_str() == case.status)
}

#[track_caller]
fn check(planted: &Planted) {
    let fleet = fleet_of(Some(planted), &plan(planted), 2);
    check_truth_of(&fleet);
    assert!(planted_cases(&fleet).count() > 0, "{}", planted.name);
    check_counts(&fleet);
    check_presented(&fleet);
    check_evidence(&fleet);
    check_statuses(&fleet);
    let again = fleet_of(Some(planted), &plan(planted), 1);
    assert!(fleet.files == again.files && fleet.truth == again.truth, "{}", planted.name);
    assert!(fleet.summary.evidence == again.summary.evidence, "{}", planted.name);
    assert_eq!(fleet.summary.cases, again.summary.cases);
}

/// Every group of refusals, planted or innocent, has as many sessions as the sessions themselves say.
#[track_caller]
fn check_counts(fleet: &Fleet) {
    for case in &fleet.summary.cases {
        let is_alike = |other: &&CaseTruth| {
            (other.code, other.status, other.direction) == (case.code, case.status, case.direction)
        };
        let told: u64 = fleet.summary.cases.iter().filter(is_alike).map(|case| case.sessions).sum();
        let has_it = |session: &&Value| session["direction"] == case.direction && has_refusal(session, case);
        assert_eq!(told, fleet.sessions.iter().filter(has_it).count() as u64, "{case:?}");
    }
}

/// Planted refusals lie on the case's servers, in its time, behind its connector and certificate.
#[track_caller]
fn check_presented(fleet: &Fleet) {
    for case in planted_cases(fleet) {
        let is_there = |session: &&Value| {
            let server = session["server"].as_str().unwrap();
            has_refusal(session, case) && case.servers.iter().any(|name| name == server)
        };
        let refused: Vec<&Value> = fleet.sessions.iter().filter(is_there).collect();
        assert!(refused.len() as u64 >= case.sessions, "{case:?}");
        for session in refused {
            assert_eq!(session["connector"].as_str(), case.connector.as_deref(), "{session}");
            let replies = session["replies"].as_array().unwrap();
            for reply in replies.iter().filter(|reply| reply["status"].as_str() == case.status) {
                let time = reply["time"].as_str().unwrap();
                assert!((case.from.as_str()..=case.to.as_str()).contains(&time), "{reply}");
                let presented = reply["presented"].as_str();
                let is_proxied = !reply["presented_via"].is_null();
                assert!(is_proxied || presented == case.presented.as_deref(), "{case:?} {reply}");
            }
        }
    }
}

/// At most one file tells most, certificates are those of the logs, and what an explanation has to say stands somewhere.
#[track_caller]
fn check_evidence(fleet: &Fleet) {
    let evidence = &fleet.summary.evidence;
    assert!(evidence.iter().filter(|file| file.is_telling).count() <= 1);
    let paths: BTreeSet<&str> = evidence.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), evidence.len(), "{paths:?}");
    let mut said: String = evidence.iter().map(|file| text_of(&file.bytes)).collect();
    for file in evidence.iter().filter(|file| file.path.ends_with(".cer")) {
        said.push_str(&hex(&Sha1::digest(&file.bytes)));
    }
    for session in &fleet.sessions {
        if !session["replies"].as_array().unwrap().is_empty() {
            said.push_str(&session.to_string());
        }
    }
    for certificate in &fleet.summary.certificates {
        said.push_str(&format!("{certificate:?}"));
    }
    // In Rust's form of a text, and in JSON's, quotes have a backslash before them.
    let said = said.replace('\\', "");
    for text in planted_cases(fleet).flat_map(|case| &case.expect) {
        assert!(said.contains(text), "nothing says {text}");
    }
}

fn text_of(bytes: &[u8]) -> String {
    match bytes.strip_prefix(b"\xff\xfe") {
        Some(units) => {
            let units = units.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(Result::unwrap).collect()
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Nothing but the planted cause brings refusals that look like one.
#[track_caller]
fn check_statuses(fleet: &Fleet) {
    for case in fleet.summary.cases.iter().filter(|case| case.cause.is_none()) {
        assert!(!case.status.is_some_and(|status| PLANTED_STATUSES.contains(&status)), "{case:?}");
    }
}

#[test]
fn every_scenario_is_true() {
    PLANTED.iter().for_each(check);
}

#[test]
fn names_are_unique_and_begin_with_the_cause() {
    let names: BTreeSet<&str> = PLANTED.iter().map(|planted| planted.name).collect();
    assert_eq!(names.len(), PLANTED.len());
    for planted in PLANTED {
        let fleet = fleet_of(Some(planted), &Plan { bytes_per_server: 1 << 19, ..plan(planted) }, 2);
        for case in planted_cases(&fleet) {
            assert!(planted.name.starts_with(case.cause.unwrap()), "{}", planted.name);
        }
    }
}

/// What an explanation is judged by, one line a case.
#[test]
fn cases() {
    let mut lines = Vec::new();
    for planted in PLANTED {
        let fleet = fleet_of(Some(planted), &plan(planted), 2);
        for case in planted_cases(&fleet) {
            let status = case.status.unwrap_or_default();
            let alone = case.logs_alone.unwrap_or("nothing");
            lines.push(format!("{}: {} {status} on {}", planted.name, case.code, case.servers.join(" ")));
            lines.push(format!("    {} sessions, {} to {}", case.sessions, case.from, case.to));
            lines.push(format!("    presented {}", case.presented.as_deref().unwrap_or("nothing")));
            lines.push(format!("    logs alone: {alone}; also {:?}", case.also));
            lines.push(format!("    says {}", case.expect.join(" | ")));
        }
        for file in &fleet.summary.evidence {
            let mark = if file.is_telling { "*" } else { " " };
            lines.push(format!("  {mark} {} ({} bytes)", file.path, file.bytes.len()));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[track_caller]
fn check_file(scenario: &str, path: &str) {
    let planted = PLANTED.iter().find(|planted| planted.name == scenario).unwrap();
    let fleet = fleet_of(Some(planted), &Plan { bytes_per_server: 1 << 18, ..plan(planted) }, 2);
    let file = fleet.summary.evidence.iter().find(|file| file.path.ends_with(path)).unwrap();
    let name = format!("{scenario}_{}", path.rsplit('/').next().unwrap().replace(['.', '-'], "_"));
    insta::assert_snapshot!(name, text_of(&file.bytes).replace('\r', ""));
}

#[test]
fn evidence_has_the_shapes_of_its_tools() {
    check_file("certificate-name-mismatch", "Get-InboundConnector.json");
    check_file("certificate-name-mismatch-wildcard", "Get-InboundConnector.txt");
    check_file("certificate-name-mismatch-wildcard", "Get-ExchangeCertificate.txt");
    check_file("certificate-name-mismatch-hcw", ".log");
    check_file("ip-address-mismatch-csv", "Get-InboundConnector.csv");
    check_file("wrong-connector-or-route", "Get-SendConnector.clixml");
    check_file("no-certificate-presented", "Get-ExchangeCertificate.clixml");
    check_file("certificate-usage", "renewed.cer");
}

#[track_caller]
fn check_level(level: EvidenceLevel, expected: &[&str]) {
    let planted = &PLANTED[0];
    let plan = Plan { bytes_per_server: 1 << 18, ..plan(planted) };
    let Ok(summary) = generate_planted(planted, &plan, level, 1, |_: Part| Ok::<(), std::convert::Infallible>(()));
    let paths: Vec<&str> = summary.evidence.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, expected);
    assert!(summary.cases.iter().all(|case| case.evidence == level.name()));
}

#[test]
fn evidence_can_be_left_out() {
    let (old, new) = ("evidence/certificates/mail.contoso.com.cer", "evidence/certificates/smtp.contoso.com.cer");
    let domains = "evidence/Get-AcceptedDomain.json";
    check_level(EvidenceLevel::Full, &[old, new, "evidence/Get-InboundConnector.json", domains]);
    check_level(EvidenceLevel::Partial, &[old, new, domains]);
    check_level(EvidenceLevel::None, &[]);
}

#[test]
fn scenarios_fit_any_fleet() {
    for planted in PLANTED {
        for (servers, generation) in [(1, Generation::Exchange2010), (9, Generation::Mixed)] {
            let plan = Plan { servers, generation, days: 2, bytes_per_server: 1 << 18, damage: 0.01, ..plan(planted) };
            check_truth_of(&fleet_of(Some(planted), &plan, 2));
        }
    }
}
