//! Bulk actions, and the index template that their documents go by.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use export::{Event, Finding, Wire, elasticsearch_template, sink};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use smtplog::{Auth, AuthOutcome, Confidence, Direction, Stream, Timestamp};

use crate::{frames, lines, samples};

/// The type that the template gives a path, or nothing.
pub(crate) fn type_of(template: &Json, path: &str) -> Option<String> {
    let begin = &template["template"]["mappings"];
    let mapping = path.split('.').try_fold(begin, |mapping, name| mapping.get("properties")?.get(name))?;
    mapping["type"].as_str().map(str::to_owned)
}

/// Calls with each value and its path; a list's values have the same.
fn each_value(value: &Json, path: &str, with: &mut impl FnMut(&str, &Json)) {
    match value {
        Json::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                each_value(value, &path, with);
            }
        }
        Json::Array(values) => values.iter().for_each(|value| each_value(value, path, with)),
        value => with(path, value),
    }
}

fn fits(kind: &str, value: &Json) -> bool {
    let text = value.as_str();
    match kind {
        "keyword" | "match_only_text" => text.is_some(),
        "long" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "date" => text.is_some_and(|text| text.ends_with('Z') && Timestamp::from_log(text.as_bytes()).is_some()),
        _ => false,
    }
}

/// The action names the event, the document is the one of ECS, and each of its values has a type that it fits.
fn check(event: &Event<'_>, template: &Json) {
    let record = lines::record(sink("elasticsearch").unwrap(), event);
    let (action, document) = record.split_once('\n').unwrap();
    let action: Json = serde_json::from_str(action).unwrap();
    assert_eq!(action, json!({ "create": { "_id": event.id.to_string() } }));
    assert_eq!(document, lines::record(sink("ecs").unwrap(), event));
    each_value(&serde_json::from_str(document).unwrap(), "", &mut |path, value| {
        let kind = type_of(template, path).unwrap_or_else(|| panic!("{path} has no type"));
        assert!(fits(&kind, value), "{path} is a {kind}: {value}");
    });
}

#[test]
fn records() {
    let elasticsearch = sink("elasticsearch").unwrap();
    assert_eq!(elasticsearch.wire(), Wire::Elasticsearch);
    let template = serde_json::from_str(&elasticsearch_template()).unwrap();
    let mut text = String::new();
    samples::each_event(|name, event| {
        check(event, &template);
        text.push_str(&format!("{name}:\n{}\n", lines::record(elasticsearch, event)));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn template() {
    insta::assert_snapshot!(elasticsearch_template());
}

/// Calls with events that have what the samples lack: both directions of each, guesses, and second revisions.
fn each_rare_event(mut with: impl FnMut(&Event<'_>)) {
    let (sessions, certificates) = samples::all();
    for (_, mut session) in sessions {
        session.tarpit_ms = 5_000;
        session.errors.push("connection reset".into());
        session.auth =
            Some(Auth { outcome: AuthOutcome::Ok, mechanism: None, user: Some("user1".into()), error: None });
        session.rebuilt = Some(Confidence::Low);
        session.negotiations.iter_mut().for_each(|negotiation| negotiation.tls.chain_status = Some("Valid".into()));
        for direction in [Direction::Send, Direction::Receive] {
            session.stream = Arc::new(Stream { direction, ..(*session.stream).clone() });
            let view = samples::view(&session, &certificates);
            for mut event in Event::of_session(&view, None) {
                event.id.revision = 2;
                with(&event);
            }
        }
    }
    for direction in ["send", "receive"] {
        with(&Event::of_finding(&Finding { direction, ..samples::finding() }));
    }
}

#[test]
fn every_type_is_of_something_that_is_written() {
    let template: Json = serde_json::from_str(&elasticsearch_template()).unwrap();
    let mut written = BTreeSet::new();
    each_rare_event(|event| {
        check(event, &template);
        let document = serde_json::from_str(&lines::record(sink("ecs").unwrap(), event)).unwrap();
        each_value(&document, "", &mut |path, _| {
            written.insert(path.to_owned());
        });
    });
    each_value(&template["template"]["mappings"]["properties"], "", &mut |path, _| {
        if let Some(path) = path.strip_suffix(".type") {
            let path = path.replace(".properties.", ".");
            assert!(written.contains(&path), "{path}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_fits_the_template(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        let template = serde_json::from_str(&elasticsearch_template()).unwrap();
        frames::each_event(&texts, |event| check(event, &template));
    }
}
