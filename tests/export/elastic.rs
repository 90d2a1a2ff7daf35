//! The `_bulk` endpoint, as strict as its documentation, and out of order in every way.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    events::Events,
    kills::end_and_go_on,
    program::run,
    server::{Answer, Request, Server},
    trial::{self, Trial},
};

/// What the index has, by id.
#[derive(Default)]
struct Index {
    documents: BTreeMap<String, Value>,
    /// Documents that came although they were there.
    known: usize,
    requests: u32,
}

/// The action and the document of every pair of lines.
fn pairs(request: &Request) -> Vec<(String, Value)> {
    assert_eq!(request.method, "POST");
    let path = request.path.split('?').next().unwrap();
    assert_eq!(path, "/logs-smtptrail.smtp-default/_bulk");
    assert_eq!(request.headers["content-type"], "application/x-ndjson");
    assert_eq!(request.headers["authorization"], format!("ApiKey {KEY}"));
    let text = std::str::from_utf8(&request.body).unwrap();
    assert!(text.ends_with('\n'), "the last line has no end");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() % 2, 0);
    let pair = |pair: &[&str]| {
        let action: Value = serde_json::from_str(pair[0]).unwrap();
        // A data stream takes nothing but `create`.
        let create = action.as_object().unwrap();
        assert_eq!(create.keys().collect::<Vec<_>>(), ["create"]);
        let document: Value = serde_json::from_str(pair[1]).unwrap();
        assert!(document["@timestamp"].is_string(), "a data stream needs a time");
        let id = create["create"]["_id"].as_str().unwrap().to_owned();
        assert_eq!(document["event"]["id"], id);
        (id, document)
    };
    lines.chunks(2).map(pair).collect()
}

fn create(
    index: &mut Index,
    pairs: &[(String, Value)],
    fault: impl Fn(usize) -> Option<(u16, &'static str)>,
) -> String {
    let mut items = Vec::new();
    for (at, (id, document)) in pairs.iter().enumerate() {
        items.push(match fault(at) {
            Some((status, kind)) => {
                json!({ "create": { "status": status, "error": { "type": kind, "reason": "for the test" } } })
            }
            None if index.documents.contains_key(id) => {
                let error = json!({ "type": "version_conflict_engine_exception", "reason": "document already exists" });
                json!({ "create": { "status": 409, "error": error } })
            }
            None => {
                index.documents.insert(id.clone(), document.clone());
                json!({ "create": { "status": 201 } })
            }
        });
    }
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    json!({ "errors": errors, "items": items }).to_string()
}

fn answer(index: &mut Index, request: &Request) -> Answer {
    let pairs = pairs(request);
    index.requests += 1;
    match index.requests {
        1 => Answer::Whole(503, "{}".to_owned()),
        2 => Answer::With(429, ("Retry-After", "0"), "{}".to_owned()),
        3 => Answer::Nothing,
        // It is stored, and nobody hears of it: all of it is there the next time.
        4 => {
            create(index, &pairs, |_| None);
            Answer::Nothing
        }
        6 => Answer::Half(200, create(index, &pairs, |_| None)),
        8 => Answer::Whole(
            200,
            create(index, &pairs, |at| (at % 3 == 0).then_some((429, "es_rejected_execution_exception"))),
        ),
        9 => Answer::Whole(
            200,
            create(index, &pairs, |at| (at % 2 == 0).then_some((503, "unavailable_shards_exception"))),
        ),
        10 => Answer::Whole(200, create(index, &pairs, |_| Some((429, "es_rejected_execution_exception")))),
        13 if pairs.len() > 3 => Answer::Whole(413, String::new()),
        14 => Answer::Whole(200, create(index, &pairs, |at| (at == 2).then_some((400, "document_parsing_exception")))),
        _ => Answer::Whole(200, create(index, &pairs, |_| None)),
    }
}

const KEY: &str = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==";

/// An index, and the server that writes into it.
fn start(mut answer: impl FnMut(&mut Index, &Request) -> Answer + Send + 'static) -> (Server, Arc<Mutex<Index>>) {
    let index = Arc::new(Mutex::new(Index::default()));
    let shared = Arc::clone(&index);
    (Server::start(move |request| answer(&mut shared.lock().unwrap(), request)), index)
}

/// Fails unless the index has every event, with its own content.
#[track_caller]
fn is_all_in(trial: &Trial, index: &Index) {
    let expected = Events::of(&trial.exported("ecs"));
    for (id, documents) in &expected.0 {
        assert_eq!(Some(&documents[0]), index.documents.get(id), "{id}");
    }
    assert_eq!(index.documents.len(), expected.len());
}

#[test]
fn every_event_is_indexed_once_whatever_the_cluster_does() {
    let trial = Trial::new(KEY);
    let (server, index) = start(answer);
    let args = |name| [&trial::args("elasticsearch", name, &server.address)[..], &["--dead-letters", "dead"]].concat();
    let ran = run(trial.path(), &args("es"));
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("were there already") && ran.err.contains("after a failure"), "{}", ran.err);
    let dead = fs::read_to_string(trial.path().join("dead")).unwrap();
    let letters: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "400 document_parsing_exception: for the test");
    let again = trial.done(&args("es"));
    assert!(again.err.contains("nothing new"), "{}", again.err);
    // Under another name everything comes again, and is there already.
    trial.done(&args("other"));
    server.end();
    let index = index.lock().unwrap();
    assert!(index.requests > 20, "{} requests", index.requests);
    is_all_in(&trial, &index);
}

#[test]
fn killed_in_the_middle_and_started_again() {
    let trial = Trial::new(KEY);
    let (server, index) = start(|index, request| {
        thread::sleep(Duration::from_millis(20));
        let pairs = pairs(request);
        index.known += pairs.iter().filter(|(id, _)| index.documents.contains_key(id)).count();
        Answer::Whole(200, create(index, &pairs, |_| None))
    });
    end_and_go_on(&trial, &trial::args("elasticsearch", "es", &server.address), || {
        index.lock().unwrap().documents.len()
    });
    server.end();
    let index = index.lock().unwrap();
    assert!(index.known > 0, "what came before the kills did not come again");
    is_all_in(&trial, &index);
}
