//! OCSF documents.

use export::{Certificates, Event, EventId, Field, Item, Kind, SessionView, sink};
use serde_json::Value;
use smtplog::Direction;

use crate::{ocsf_schema, samples};

fn document(event: &Event<'_>) -> Value {
    let mut record = Vec::new();
    sink("ocsf").unwrap().put(Item::Event(event), &mut record);
    serde_json::from_slice(&record).unwrap()
}

#[track_caller]
fn check(event: &Event<'_>) -> Value {
    let document = document(event);
    assert_eq!(ocsf_schema::faults(&document), [""; 0], "{document:#}");
    document
}

#[test]
fn documents() {
    let mut text = String::new();
    samples::each_event(|name, event| {
        text.push_str(&format!("{name}: {}\n{:#}\n", event.kind.as_str(), document(event)));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn documents_follow_the_schema() {
    samples::each_event(|_, event| drop(check(event)));
}

#[test]
fn nothing_is_lost() {
    samples::each_event(|name, event| samples::assert_tells(name, event, &document(event)));
}

#[test]
fn a_refusal_of_no_message_is_no_email() {
    let rows = ["+,,", "<,220 ready,", ">,EHLO mail.contoso.com,", "<,451 4.7.0 Busy,", "-,,Local"].map(str::to_owned);
    let (session, _) = samples::session(Direction::Send, 0, &rows);
    let certificates = Certificates::default();
    let view = SessionView::new(&session, Vec::new(), &certificates);
    let events = Event::of_session(&view, None);
    let refusal = events.iter().find(|event| event.kind == Kind::Refusal).unwrap();
    let document = check(refusal);
    assert_eq!((&document["type_uid"], &document["status_code"]), (&400_199.into(), &"4.7.0".into()));
    assert_eq!(document["tls"], Value::Null);
}

#[test]
fn a_certificate_that_no_log_describes_is_found_all_the_same() {
    let (sessions, _) = samples::all();
    let certificates = Certificates::default();
    for (_, session) in &sessions {
        let view = samples::view(session, &certificates);
        for event in &Event::of_session(&view, None) {
            let document = check(event);
            let tells = |field| event.value(field).to_text().is_none_or(|text| document.to_string().contains(&*text));
            assert!(tells(Field::Presented) && tells(Field::Received), "{document:#}");
        }
    }
}

#[test]
fn a_finding_with_other_content_updates_the_first() {
    let finding = samples::finding();
    let first = Event::of_finding(&finding);
    let second = Event { id: EventId { revision: 2, ..first.id }, ..first.clone() };
    let (first, second) = (check(&first), check(&second));
    assert_eq!((&first["type_uid"], &second["type_uid"]), (&200_401.into(), &200_402.into()));
    assert_eq!(first["finding_info"]["uid"], second["finding_info"]["uid"]);
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
}

#[test]
fn the_validator_finds_faults() {
    let finding = samples::finding();
    let right = document(&Event::of_finding(&finding));
    let faults_with = |path: &str, value: Value| {
        let mut wrong = right.clone();
        match (wrong.pointer_mut(path), value) {
            (Some(place), value) if value != Value::Null => *place = value,
            _ => drop(wrong.as_object_mut().unwrap().remove(&path[1..])),
        }
        ocsf_schema::faults(&wrong)
    };
    let wrong = [
        ("/time", Value::Null),
        ("/time", 1_709_272_827.into()),
        ("/type_uid", 200_402.into()),
        ("/class_uid", 4009.into()),
        ("/severity", "Low".into()),
        ("/confidence_id", 7.into()),
        ("/metadata/product", serde_json::json!({"version": "1", "vendor": "x"})),
        ("/evidences/0/tls/certificate", serde_json::json!({"subject": "CN=x"})),
        ("/observables/0/value", "AB".into()),
        ("/finding_info/types", "Mail refused".into()),
    ];
    for (path, value) in wrong {
        assert!(!faults_with(path, value.clone()).is_empty(), "{path}: {value}");
    }
}
