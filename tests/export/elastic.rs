//! The `_bulk` endpoint, as strict as its documentation, and out of order in every way.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate, run},
    server::{Answer, Request, Server},
};

/// What the index has, by id.
#[derive(Default)]
struct Index {
    documents: BTreeMap<String, Value>,
    requests: u32,
}

/// The action and the document of every pair of lines.
fn pairs(request: &Request) -> Vec<(String, Value)> {
    assert_eq!(request.method, "POST");
    let path = request.path.split('?').next().unwrap();
    assert_eq!(path, "/logs-smtptrail.smtp-default/_bulk");
    assert_eq!(request.headers["content-type"], "application/x-ndjson");
    assert_eq!(request.headers["authorization"], "ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==");
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

#[test]
fn every_event_is_indexed_once_whatever_the_cluster_does() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 2 --mib-per-server 1 --codec plain");
    done(folder, &["index", "logs"]);
    fs::write(folder.join("key"), "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==\n").unwrap();
    let expected = Events::of(&done(folder, &["export", "--to", "ecs"]).out);
    let index = Arc::new(Mutex::new(Index::default()));
    let shared = Arc::clone(&index);
    let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), request));
    let args = [
        "export",
        "--to",
        "elasticsearch",
        "--name",
        "es",
        "--address",
        &server.address,
        "--token-file",
        "key",
        "--batch-bytes",
        "40000",
        "--dead-letters",
        "dead",
    ];
    let ran = run(folder, &args);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    assert!(ran.err.contains("were there already") && ran.err.contains("after a failure"), "{}", ran.err);
    let dead = fs::read_to_string(folder.join("dead")).unwrap();
    let letters: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "400 document_parsing_exception: for the test");
    let again = done(folder, &args);
    assert!(again.err.contains("nothing new"), "{}", again.err);
    // Under another name everything comes again, and is there already.
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "es" { "other" } else { arg }).collect();
    done(folder, &args);
    server.end();
    let index = index.lock().unwrap();
    assert!(index.requests > 20, "{} requests", index.requests);
    for (id, documents) in &expected.0 {
        assert_eq!(Some(&documents[0]), index.documents.get(id), "{id}");
    }
    assert_eq!(index.documents.len(), expected.len());
}
