//! Splunk: what its collector makes of the records.

use std::collections::BTreeSet;

use export::{Event, Field, Finding, Value, Wire, sink};
use proptest::prelude::*;
use serde_json::Value as Json;
use smtplog::Timestamp;

use crate::{frames, lines, samples};

/// The collector's rules, and that the event comes back whole.
fn check(event: &Event<'_>) {
    let record = lines::record(sink("splunk").unwrap(), event);
    let object: Json = serde_json::from_str(&record).unwrap();
    let object = object.as_object().unwrap();
    let known = ["time", "host", "source", "sourcetype", "event", "fields"];
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{record}");
    assert_eq!(object["sourcetype"], "smtptrail:event");
    assert_eq!((object["time"].as_f64().unwrap() * 1_000.0).round() as i64, event.time.0);
    for (key, field) in [("host", Field::Server), ("source", Field::SourceFile)] {
        let expected = event.value(field).to_text().filter(|text| !text.is_empty()).map(|text| text.into_owned());
        assert_eq!(object.get(key).map(|text| text.as_str().unwrap().to_owned()), expected, "{key}");
    }
    let told = object["event"].as_object().unwrap();
    for field in Field::all() {
        let expected = match event.value(field) {
            Value::None => None,
            Value::Long(number) => Some(Json::from(number)),
            Value::Flag(flag) => Some(Json::from(flag)),
            Value::List(texts) => Some(texts.iter().map(AsRef::as_ref).collect()),
            value => value.to_text().map(|text| Json::from(text.as_ref())),
        };
        assert_eq!(told.get(field.name()), expected.as_ref(), "{}", field.name());
    }
    check_indexed(event, object["fields"].as_object().unwrap());
}

/// Only texts and lists of texts, none of them blank, and no name that the event has too.
fn check_indexed(event: &Event<'_>, fields: &serde_json::Map<String, Json>) {
    assert_eq!(fields["event_id"], event.id.to_string());
    assert_eq!(fields["event_kind"], event.kind.as_str());
    let is_text = |value: &Json| value.as_str().is_some_and(|text| (1..=1_024).contains(&text.len()));
    for (name, value) in fields {
        let is_right = is_text(value) || value.as_array().is_some_and(|list| list.iter().all(is_text));
        assert!(is_right && value != &Json::Array(Vec::new()), "{name}: {value}");
    }
    let told: BTreeSet<&str> = Field::all().map(Field::name).collect();
    assert!(fields.keys().all(|name| !told.contains(name.as_str())));
    if let Some(presented) = event.presented {
        assert_eq!(fields["event_presented"], presented.to_string());
    }
}

#[test]
fn records() {
    let splunk = sink("splunk").unwrap();
    assert_eq!(splunk.wire(), Wire::Splunk);
    let mut text = String::new();
    samples::each_event(|name, event| {
        check(event);
        text.push_str(&format!("{name}:\n{}\n", lines::record(splunk, event)));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn seconds_have_three_decimals() {
    let check = |ms: i64, expected: &str| {
        let finding = Finding { to: Timestamp(ms), ..samples::finding() };
        let record = lines::record(sink("splunk").unwrap(), &Event::of_finding(&finding));
        assert!(record.starts_with(&format!("{{\"time\":{expected},")), "{record}");
    };
    check(1_709_272_823_007, "1709272823.007");
    check(0, "0.000");
    check(-1, "-0.001");
    check(-1_500, "-1.500");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn texts_come_back(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        frames::each_event(&texts, check);
    }
}
