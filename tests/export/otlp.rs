//! A collector of OTLP over HTTP, as strict as the specification, and out of order in every way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Deserializer, Value, json};

use crate::{
    kills::end_and_go_on,
    program::run,
    server::{Answer, Request, Server},
    trial::{self, Trial},
};

const TOKEN: &str = "a-token.of-some_collector";

/// Log records by their ids.
type Records = BTreeMap<String, Value>;

/// What the collector has.
#[derive(Default)]
struct Collector {
    records: Records,
    /// Ids of what it will never take.
    refused: BTreeSet<String>,
    /// Ids of what it has answered for, one way or the other: they must not come again.
    settled: BTreeSet<String>,
    /// Records that came again, the same ones each time counted.
    again: usize,
    requests: u32,
    /// When the next request may come.
    not_before: Option<Instant>,
    /// The record that it cannot read.
    at_fault: Option<String>,
}

/// Faults by the number of the request.
type Fault = fn(&mut Collector, u32, &[Value]) -> Option<Answer>;

impl Collector {
    fn answer(&mut self, request: &Request, fault: Fault) -> Answer {
        assert_eq!((&*request.method, &*request.path), ("POST", "/v1/logs"));
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
        assert!(!request.headers.contains_key("content-encoding"));
        assert!(self.not_before.take().is_none_or(|earliest| Instant::now() >= earliest), "before Retry-After");
        let records = log_records(&serde_json::from_slice(&request.body).unwrap());
        let settled = records.iter().map(id).find(|id| self.settled.contains(id));
        assert_eq!(settled, None, "it was answered for, and came again");
        self.requests += 1;
        if let Some(answer) = fault(self, self.requests, &records) {
            return answer;
        }
        self.store(&records);
        self.settle(&records);
        // Both say that everything is taken: the first by the specification, the second by the collector in use.
        let taken = if self.requests.is_multiple_of(2) { json!({}) } else { json!({ "partialSuccess": {} }) };
        Answer::Whole(200, taken.to_string())
    }

    fn store(&mut self, records: &[Value]) {
        for record in records {
            if let Some(before) = self.records.insert(id(record), record.clone()) {
                assert_eq!(&before, record, "another content under the same id");
                self.again += 1;
            }
        }
    }

    fn settle(&mut self, records: &[Value]) {
        self.settled.extend(records.iter().map(id));
    }

    /// Takes all but so many, says how many in this form, and why.
    fn take_in_part(&mut self, records: &[Value], refused: usize, count: Value) -> Option<Answer> {
        let (refused, taken) = records.split_at(refused);
        self.store(taken);
        self.refused.extend(refused.iter().map(id));
        self.settle(records);
        let partial = json!({ "rejectedLogRecords": count, "errorMessage": "older than the retention" });
        Some(Answer::Whole(200, json!({ "partialSuccess": partial }).to_string()))
    }

    /// Takes no request that has this record.
    fn refuse(&mut self, records: &[Value], at_fault: &str) -> Option<Answer> {
        if !records.iter().any(|record| id(record) == at_fault) {
            return None;
        }
        if records.len() == 1 {
            self.refused.extend(records.iter().map(id));
            self.settle(records);
        }
        Some(Answer::Whole(400, json!({ "code": 3, "message": "ReadObject: expect {" }).to_string()))
    }
}

fn id(record: &Value) -> String {
    let attributes = record["attributes"].as_array().unwrap();
    let uid = attributes.iter().find(|attribute| attribute["key"] == "log.record.uid").unwrap();
    uid["value"]["stringValue"].as_str().unwrap().to_owned()
}

/// The records of an `ExportLogsServiceRequest`, which is as the specification wants it.
fn log_records(request: &Value) -> Vec<Value> {
    let mut records = Vec::new();
    for resource_logs in list_of(request, "resourceLogs", &["resourceLogs"]) {
        let resource = &resource_logs["resource"];
        check_keys(resource, &["attributes", "droppedAttributesCount"]);
        check_attributes(&resource["attributes"]);
        for scope_logs in list_of(resource_logs, "scopeLogs", &["resource", "scopeLogs", "schemaUrl"]) {
            check_keys(&scope_logs["scope"], &["name", "version", "attributes", "droppedAttributesCount"]);
            assert!(scope_logs["scope"]["name"].as_str().is_some_and(|name| !name.is_empty()));
            records.extend(list_of(scope_logs, "logRecords", &["scope", "logRecords", "schemaUrl"]).iter().cloned());
        }
    }
    records.iter().for_each(check_record);
    records
}

/// The list below a key of an object that has no other keys than those that are known.
fn list_of<'v>(value: &'v Value, key: &str, known: &[&str]) -> &'v [Value] {
    check_keys(value, known);
    let list = value[key].as_array().unwrap();
    assert!(!list.is_empty(), "an empty {key}");
    list
}

/// Receivers pass over keys that they do not know, so a wrong one would be lost without a word.
fn check_keys(value: &Value, known: &[&str]) {
    let unknown = value.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str()));
    assert_eq!(unknown, None, "{value}");
}

fn check_record(record: &Value) {
    let known = [
        "timeUnixNano",
        "observedTimeUnixNano",
        "severityNumber",
        "severityText",
        "body",
        "attributes",
        "droppedAttributesCount",
        "flags",
        "traceId",
        "spanId",
        "eventName",
    ];
    check_keys(record, &known);
    let nanoseconds: u64 = decimal(&record["timeUnixNano"]);
    assert!((1_000_000_000_000_000_000..2_000_000_000_000_000_000).contains(&nanoseconds), "{record}");
    assert!(record["severityNumber"].as_u64().is_some_and(|number| (1..=24).contains(&number)), "{record}");
    assert!(record["severityText"].as_str().is_some_and(|text| !text.is_empty()), "{record}");
    assert!(record["eventName"].as_str().is_some_and(|name| !name.is_empty()), "{record}");
    check_any(&record["body"]);
    check_attributes(&record["attributes"]);
}

/// 64 bits, which the JSON of protobuf has as a text.
fn decimal<N: std::str::FromStr>(value: &Value) -> N {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
    text.parse().unwrap_or_else(|_| panic!("{text} is no decimal number"))
}

/// Each key once, and none of them empty.
fn check_attributes(attributes: &Value) {
    let mut keys = BTreeSet::new();
    for attribute in attributes.as_array().unwrap() {
        check_keys(attribute, &["key", "value"]);
        let key = attribute["key"].as_str().unwrap();
        assert!(!key.is_empty() && keys.insert(key), "{key} in {attributes}");
        check_any(&attribute["value"]);
    }
}

/// An `AnyValue`: exactly one of its kinds.
fn check_any(value: &Value) {
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 1, "{value}");
    let (kind, content) = object.iter().next().unwrap();
    match kind.as_str() {
        "stringValue" => assert!(content.is_string(), "{value}"),
        "boolValue" => assert!(content.is_boolean(), "{value}"),
        "intValue" => drop(decimal::<i64>(content)),
        "doubleValue" => assert!(content.is_f64(), "{value}"),
        "arrayValue" => {
            check_keys(content, &["values"]);
            content["values"].as_array().unwrap().iter().for_each(check_any);
        }
        _ => panic!("{kind} is no value that an event has"),
    }
}

/// Fails unless the collector has everything that it did not refuse, as a file would have it.
#[track_caller]
fn is_all_at(trial: &Trial, collector: &Collector) {
    let exported = trial.exported("otlp");
    let requests = Deserializer::from_str(&exported).into_iter().map(Result::unwrap);
    let mut expected: Records = requests.flat_map(|request| log_records(&request)).map(|one| (id(&one), one)).collect();
    assert_eq!(collector.records.len() + collector.refused.len(), expected.len());
    expected.retain(|id, _| !collector.refused.contains(id));
    assert_eq!(collector.records, expected);
}

fn args(address: &str) -> Vec<&str> {
    trial::args("otlp", "otel", address)
}

fn start(fault: Fault) -> (Server, Arc<Mutex<Collector>>) {
    let collector = Arc::new(Mutex::new(Collector::default()));
    let shared = Arc::clone(&collector);
    let server = Server::start(move |request| shared.lock().unwrap().answer(request, fault));
    (server, collector)
}

/// Each fault is followed by a request that is answered as it should be, because pauses double with every failure.
#[test]
fn every_record_comes_whatever_the_collector_does() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|collector, request, records| match request {
        1 => Some(Answer::Whole(503, json!({ "message": "out of memory" }).to_string())),
        3 => {
            collector.not_before = Some(Instant::now() + Duration::from_secs(1));
            Some(Answer::With(429, ("Retry-After", "1"), String::new()))
        }
        5 => Some(Answer::Whole(502, "<html>Bad Gateway</html>".to_owned())),
        7 => Some(Answer::Whole(504, String::new())),
        9 => Some(Answer::Nothing),
        // It is stored, and nobody hears of it.
        11 => {
            collector.store(records);
            Some(Answer::Nothing)
        }
        13 => {
            collector.store(records);
            Some(Answer::Half(200, json!({ "partialSuccess": {} }).to_string()))
        }
        // A warning: everything is taken.
        15 => {
            collector.store(records);
            collector.settle(records);
            let warning = json!({ "partialSuccess": { "rejectedLogRecords": "0", "errorMessage": "use gzip" } });
            Some(Answer::Whole(200, warning.to_string()))
        }
        17 => Some(Answer::Half(503, "a text that breaks off".to_owned())),
        19 => {
            collector.store(records);
            collector.settle(records);
            Some(Answer::Whole(200, String::new()))
        }
        _ => None,
    });
    let ran = trial.done(&args(&server.address));
    assert!(ran.err.contains("8 new attempts after a failure"), "{}", ran.err);
    let requests = collector.lock().unwrap().requests;
    assert!(requests > 24, "{requests} requests");
    let again = trial.done(&args(&server.address));
    assert!(again.err.contains("nothing new"), "{}", again.err);
    server.end();
    let collector = collector.lock().unwrap();
    assert_eq!(collector.requests, requests);
    assert!(collector.again > 0, "what was stored without an answer did not come again");
    is_all_at(&trial, &collector);
}

#[test]
fn what_is_refused_is_counted_and_kept_and_not_sent_again() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|collector, request, records| match request {
        // The first request of all is refused, and the record at fault is found.
        1 => {
            collector.at_fault = records.get(1).map(id);
            collector.refuse(records, &collector.at_fault.clone()?)
        }
        // Numbers of 64 bits may come as numbers, too.
        20 => collector.take_in_part(records, 2, json!("2")),
        22 => collector.take_in_part(records, 1, json!(1)),
        _ => collector.refuse(records, &collector.at_fault.clone()?),
    });
    let ran = run(trial.path(), &args(&server.address));
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    let again = trial.done(&args(&server.address));
    assert!(again.err.contains("nothing new"), "{}", again.err);
    server.end();
    let collector = collector.lock().unwrap();
    is_all_at(&trial, &collector);
    assert_eq!(collector.refused.len(), 4);
    assert!(ran.err.contains("4 events were refused and are in the dead-letter file"), "{}", ran.err);

    let letters = fs::read_to_string(trial.path().join("smtptrail-store/exports/otel.dead-letters")).unwrap();
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<&str> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert!(reasons[0].starts_with("1 of 1: 400: ") && reasons[0].contains("ReadObject: expect {"), "{reasons:?}");
    assert!(reasons[1].starts_with("2 of ") && reasons[1].ends_with(": older than the retention"), "{reasons:?}");
    assert!(reasons[2].starts_with("1 of ") && !reasons[2].starts_with("1 of 1:"), "{reasons:?}");
    // Each letter is a request that can be sent as it is.
    let request = |letter: &Value| serde_json::from_str(letter["record"].as_str().unwrap()).unwrap();
    let kept: BTreeSet<String> =
        letters.iter().flat_map(|one| log_records(&request(one))).map(|one| id(&one)).collect();
    assert!(letters.len() == 3 && kept.is_superset(&collector.refused));
}

/// The same request must not come again, so it comes in halves; one record alone that is too large is refused.
#[test]
fn what_is_too_large_comes_in_parts() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|collector, request, records| {
        let is_too_large = match request {
            1..=3 => records.len() > 3,
            // Halves of halves, until one is a record.
            20.. if collector.refused.is_empty() => true,
            _ => false,
        };
        if is_too_large && records.len() == 1 {
            collector.refused.insert(id(&records[0]));
            collector.settle(records);
        }
        is_too_large.then(|| Answer::Whole(413, String::new()))
    });
    let ran = run(trial.path(), &args(&server.address));
    server.end();
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("1 event was refused and is in") && !ran.err.contains("after a failure"), "{}", ran.err);
    let collector = collector.lock().unwrap();
    assert_eq!((collector.refused.len(), collector.again), (1, 0));
    is_all_at(&trial, &collector);
    let letters = fs::read_to_string(trial.path().join("smtptrail-store/exports/otel.dead-letters")).unwrap();
    let letter: Value = serde_json::from_str(letters.trim()).unwrap();
    assert_eq!(letter["reason"], "1 of 1: 413 too large");
    let kept = log_records(&serde_json::from_str(letter["record"].as_str().unwrap()).unwrap());
    assert!(kept.len() == 1 && collector.refused.contains(&id(&kept[0])));
}

/// What takes nothing at all is no collector, or wants something else: that is no fault of the records.
#[test]
fn one_that_takes_nothing_ends_the_export() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|_, request, _| {
        (request < 40).then(|| Answer::Whole(400, json!({ "message": "unknown content type" }).to_string()))
    });
    let ran = run(trial.path(), &args(&server.address));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("/v1/logs takes nothing: 400: ") && ran.err.contains("unknown content"), "{}", ran.err);
    assert!(collector.lock().unwrap().requests < 40);
    assert!(!trial.path().join("smtptrail-store/exports/otel.dead-letters").exists());
    collector.lock().unwrap().requests = 40;
    trial.done(&args(&server.address));
    server.end();
    is_all_at(&trial, &collector.lock().unwrap());
}

/// Only 429, 502, 503 and 504 are to be tried again. The next export is another matter.
#[test]
fn other_answers_end_the_export_and_nothing_is_lost() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|_, request, _| {
        let status = *[401, 403, 404, 405, 408, 500, 501, 301].get(request as usize - 1)?;
        Some(Answer::Whole(status, json!({ "message": "not like this" }).to_string()))
    });
    for status in [401, 403, 404, 405, 408, 500, 501, 301] {
        let ran = run(trial.path(), &args(&server.address));
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        let said = format!("/v1/logs answered {status}: ");
        assert!(ran.err.contains(&said) && ran.err.contains("not like this"), "{}", ran.err);
    }
    assert_eq!(collector.lock().unwrap().requests, 8);
    trial.done(&args(&server.address));
    server.end();
    is_all_at(&trial, &collector.lock().unwrap());
}

#[test]
fn killed_in_the_middle_and_started_again() {
    let trial = Trial::new(TOKEN);
    let (server, collector) = start(|_, _, _| {
        thread::sleep(Duration::from_millis(20));
        None
    });
    end_and_go_on(&trial, &args(&server.address), || {
        let mut collector = collector.lock().unwrap();
        // An answer does not bind a sender that is killed before it has noted it.
        collector.settled.clear();
        collector.records.len()
    });
    server.end();
    let collector = collector.lock().unwrap();
    assert!(collector.again > 0, "what came before the kills did not come again");
    is_all_at(&trial, &collector);
}
