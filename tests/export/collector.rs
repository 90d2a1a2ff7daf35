//! Splunk's HTTP Event Collector, as strict as its documentation, and out of order in every way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Deserializer, Value, json};

use crate::{
    events::Events,
    kills::end_and_go_on,
    program::run,
    server::{Answer, Request, Server},
    trial::{self, Trial},
};

const TOKEN: &str = "8f2b1c1e-0000-4000-8000-1234567890ab";

/// What the collector has.
#[derive(Default)]
struct Collector {
    /// Ids of events that are indexed.
    indexed: BTreeSet<String>,
    /// Batches that are not acknowledged yet, and how often somebody asked.
    pending: BTreeMap<u64, (Vec<String>, u32)>,
    next_ack: u64,
    requests: u32,
    batches: u32,
}

/// Faults by the number of the batch.
type Fault = fn(&mut Collector, u32, &[Value]) -> Option<Answer>;

fn answer(collector: &mut Collector, request: &Request, fault: Fault) -> Answer {
    collector.requests += 1;
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers["authorization"], format!("Splunk {TOKEN}"));
    let channel = &request.headers["x-splunk-request-channel"];
    assert_eq!((channel.len(), channel.matches('-').count()), (36, 4), "{channel}");
    if request.path == format!("/services/collector/ack?channel={channel}") {
        return acknowledge(collector, &request.body);
    }
    assert_eq!(request.path, "/services/collector/event");
    let events: Vec<Value> = Deserializer::from_slice(&request.body).into_iter().map(Result::unwrap).collect();
    assert!(!events.is_empty());
    events.iter().for_each(check);
    collector.batches += 1;
    let number = collector.batches;
    if let Some(answer) = fault(collector, number, &events) {
        return answer;
    }
    Answer::Whole(200, accept(collector, &events))
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["fields"]["event_id"].as_str().unwrap().to_owned()).collect()
}

fn accept(collector: &mut Collector, events: &[Value]) -> String {
    let ack = collector.next_ack;
    collector.next_ack += 1;
    collector.pending.insert(ack, (ids(events), 0));
    json!({ "text": "Success", "code": 0, "ackId": ack }).to_string()
}

/// A batch is indexed by the second time that somebody asks for it.
fn acknowledge(collector: &mut Collector, body: &[u8]) -> Answer {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let mut acks = serde_json::Map::new();
    for ack in asked["acks"].as_array().unwrap() {
        let ack = ack.as_u64().unwrap();
        let Some((ids, questions)) = collector.pending.get_mut(&ack) else { panic!("{ack} was never given") };
        *questions += 1;
        let is_indexed = *questions > 1;
        if is_indexed {
            collector.indexed.extend(ids.iter().cloned());
        }
        acks.insert(ack.to_string(), is_indexed.into());
    }
    Answer::Whole(200, json!({ "acks": acks }).to_string())
}

/// The rules for an event: known keys, a time in seconds, an event that is not empty, fields that are flat.
fn check(event: &Value) {
    let object = event.as_object().unwrap();
    let known = ["time", "host", "source", "sourcetype", "index", "event", "fields"];
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{event}");
    assert!(object["time"].as_f64().is_some_and(|time| time > 1e9 && time < 1e10), "{event}");
    assert!(object["event"].as_object().is_some_and(|event| !event.is_empty()), "{event}");
    for (name, value) in object["fields"].as_object().unwrap() {
        let is_flat = value.is_string()
            || value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string));
        assert!(is_flat, "{name}: {value}");
    }
}

/// What the collector has to have in the end.
fn expected(trial: &Trial) -> BTreeSet<String> {
    Events::of(&trial.exported("ecs")).ids().into_iter().map(str::to_owned).collect()
}

fn args(address: &str) -> Vec<&str> {
    trial::args("splunk", "splunk-prod", address)
}

fn start(fault: Fault) -> (Server, Arc<Mutex<Collector>>) {
    let collector = Arc::new(Mutex::new(Collector::default()));
    let shared = Arc::clone(&collector);
    let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), request, fault));
    (server, collector)
}

#[test]
fn every_event_is_indexed_whatever_the_collector_does() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|collector, batch, events| match batch {
        1 => Some(Answer::Whole(503, json!({ "text": "Server is busy", "code": 9 }).to_string())),
        2 => Some(Answer::With(429, ("Retry-After", "0"), String::new())),
        3 => Some(Answer::Nothing),
        4 => Some(Answer::Half(200, accept(collector, events))),
        5 => {
            accept(collector, events);
            Some(Answer::Nothing)
        }
        7 => Some(Answer::Half(500, "oops".to_owned())),
        _ => None,
    });
    let ran = trial.done(&args(&server.address));
    server.end();
    let collector = collector.lock().unwrap();
    assert_eq!(collector.indexed, expected(&trial));
    assert!(ran.err.contains("after a failure"), "{}", ran.err);
    assert!(collector.batches > 12, "{} batches", collector.batches);
}

#[test]
fn an_event_that_splunk_refuses_goes_to_the_dead_letters() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|_, batch, _| {
        let refused = json!({ "text": "Event field cannot be blank", "code": 13, "invalid-event-number": 1 });
        (batch == 2).then(|| Answer::Whole(400, refused.to_string()))
    });
    let ran = run(trial.path(), &args(&server.address));
    server.end();
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    let letters = fs::read_to_string(trial.path().join("smtptrail-store/exports/splunk-prod.dead-letters")).unwrap();
    assert_eq!(letters.lines().count(), 1);
    let letter: Value = serde_json::from_str(letters.trim()).unwrap();
    let record: Value = serde_json::from_str(letter["record"].as_str().unwrap()).unwrap();
    let refused = record["fields"]["event_id"].as_str().unwrap();
    let collector = collector.lock().unwrap();
    assert_eq!(collector.indexed.len() + 1, expected(&trial).len());
    assert!(!collector.indexed.contains(refused));
}

#[test]
fn a_wrong_token_is_said_at_once() {
    let trial = Trial::new(TOKEN);
    let (server, _) =
        start(|_, _, _| Some(Answer::Whole(403, json!({ "text": "Invalid token", "code": 4 }).to_string())));
    let begin = Instant::now();
    let ran = run(trial.path(), &args(&server.address));
    server.end();
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("answered 403") && ran.err.contains("Invalid token"), "{}", ran.err);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn killed_in_the_middle_and_started_again() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|_, _, _| {
        thread::sleep(Duration::from_millis(20));
        None
    });
    end_and_go_on(&trial, &args(&server.address), || collector.lock().unwrap().indexed.len());
    server.end();
    assert_eq!(collector.lock().unwrap().indexed, expected(&trial));
}
