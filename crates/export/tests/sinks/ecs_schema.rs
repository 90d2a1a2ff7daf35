//! ECS documents, held against the published list of the schema's fields.
//!
//! `scripts/ecs-fields` makes the list, `scripts/test` says where it is and runs the test of it. It names the fields, with
//! their types and the values that are allowed, and the types of events that go with a category. What is allowed stands
//! here once more, from the schema's reference: so documents are held against it where there is no list, and a list that
//! lacks some of it does not go unseen.

use std::{collections::BTreeMap, net::IpAddr};

use export::{Item, sink};
use serde_json::Value;

/// The values that the schema allows where it allows some only, of the fields that events have.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("event.kind", &["alert", "asset", "enrichment", "event", "metric", "pipeline_error", "signal", "state"]),
    (
        "event.category",
        &[
            "api",
            "authentication",
            "configuration",
            "database",
            "driver",
            "email",
            "file",
            "host",
            "iam",
            "intrusion_detection",
            "library",
            "malware",
            "network",
            "package",
            "process",
            "registry",
            "session",
            "threat",
            "vulnerability",
            "web",
        ],
    ),
    (
        "event.type",
        &[
            "access",
            "admin",
            "allowed",
            "change",
            "connection",
            "creation",
            "deletion",
            "denied",
            "device",
            "end",
            "error",
            "group",
            "indicator",
            "info",
            "installation",
            "protocol",
            "start",
            "user",
        ],
    ),
    ("event.outcome", &["failure", "success", "unknown"]),
    ("network.direction", &["egress", "external", "inbound", "ingress", "internal", "outbound", "unknown"]),
];

/// The types of events that go with the categories that events have.
const TYPES: [(&str, &[&str]); 4] = [
    ("email", &["info"]),
    ("intrusion_detection", &["allowed", "denied", "info"]),
    ("network", &["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]),
    ("session", &["end", "info", "start"]),
];

/// What the schema's reference says in words only: the values are in lower case, and these are the ones meant.
const IN_WORDS: [(&str, &[&str]); 4] = [
    ("network.transport", &["tcp"]),
    ("network.protocol", &["smtp"]),
    ("network.type", &["ipv4", "ipv6"]),
    ("tls.version_protocol", &["tls"]),
];

#[derive(Default)]
struct Schema {
    version: String,
    fields: BTreeMap<String, SchemaField>,
    /// Types of events by category.
    types: BTreeMap<String, Vec<String>>,
}

struct SchemaField {
    kind: String,
    is_list: bool,
    allowed: Vec<String>,
}

impl Schema {
    fn parse(list: &str) -> Schema {
        let words = |text: &str| text.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let mut schema = Schema::default();
        for line in list.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["version", version] => schema.version = version.to_owned(),
                ["field", name, kind, shape, allowed] => {
                    let field =
                        SchemaField { kind: kind.to_owned(), is_list: shape == "list", allowed: words(allowed) };
                    schema.fields.insert(name.to_owned(), field);
                }
                ["types", category, types] => drop(schema.types.insert(category.to_owned(), words(types))),
                _ => panic!("a line of the list is of no known form: {line}"),
            }
        }
        schema
    }

    fn faults(&self, document: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, field) in &self.fields {
            // What every document has to have.
            if ["@timestamp", "ecs.version"].contains(&name.as_str()) && at(document, name).is_none() {
                faults.push(format!("{name}: missing, {}", field.kind));
            }
        }
        self.check_object(document, "", &mut faults);
        self.check_categories(document, &mut faults);
        if document["ecs"]["version"] != self.version {
            faults.push(format!("ecs.version: {}, and the list is of {}", document["ecs"]["version"], self.version));
        }
        faults
    }

    fn check_object(&self, object: &Value, path: &str, faults: &mut Vec<String>) {
        for (key, value) in object.as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match (self.fields.get(&path), value) {
                // The program's own.
                _ if path == "exchange" => {}
                (None, Value::Object(_)) => self.check_object(value, &path, faults),
                (None, _) => faults.push(format!("{path}: no field of ECS")),
                (Some(field), value) => field.check(value, &path, faults),
            }
        }
    }

    /// Every category has to know one of the types, and every type has to be known to one of the categories.
    fn check_categories(&self, document: &Value, faults: &mut Vec<String>) {
        let words = |name: &str| -> Vec<String> {
            let list = document["event"][name].as_array();
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (categories, types) = (words("category"), words("type"));
        let knows = |category: &str, kind: &String| self.types.get(category).is_some_and(|types| types.contains(kind));
        for kind in types.iter().filter(|kind| !categories.iter().any(|category| knows(category, kind))) {
            faults.push(format!("event.type: {kind} is of none of {categories:?}"));
        }
        for category in categories.iter().filter(|category| !types.iter().any(|kind| knows(category, kind))) {
            faults.push(format!("event.category: {category} has none of {types:?}"));
        }
        if categories.is_empty() || types.is_empty() {
            faults.push("event.category or event.type: empty".to_owned());
        }
    }
}

impl SchemaField {
    fn check(&self, value: &Value, path: &str, faults: &mut Vec<String>) {
        match value.as_array() {
            Some(values) if self.is_list => values.iter().for_each(|value| self.check_one(value, path, faults)),
            None if !self.is_list => self.check_one(value, path, faults),
            _ => faults.push(format!("{path}: {value} is {} list", if self.is_list { "no" } else { "a" })),
        }
    }

    fn check_one(&self, value: &Value, path: &str, faults: &mut Vec<String>) {
        let text = value.as_str();
        let is_right = match self.kind.as_str() {
            "keyword" | "constant_keyword" | "wildcard" | "match_only_text" | "text" => text.is_some(),
            "date" => text.is_some_and(|text| text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z')),
            "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
            "long" | "integer" => value.is_i64(),
            "float" | "double" | "scaled_float" => value.is_number(),
            "boolean" => value.is_boolean(),
            "object" | "flattened" | "nested" => value.is_object(),
            _ => false,
        };
        if !is_right {
            faults.push(format!("{path}: {value} is no {}", self.kind));
        }
        if !self.allowed.is_empty() && !text.is_some_and(|text| self.allowed.iter().any(|one| one == text)) {
            faults.push(format!("{path}: {value} is none of {:?}", self.allowed));
        }
    }
}

fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(document, |value, step| value.get(step))
}

/// The documents of every event.
fn each_document(mut with: impl FnMut(&str, Value)) {
    let ecs = sink("ecs").unwrap();
    crate::samples::each_event(|name, event| {
        let mut record = Vec::new();
        ecs.put(Item::Event(event), &mut record);
        with(name, serde_json::from_slice(&record).unwrap());
    });
}

#[test]
fn values_are_among_those_that_are_allowed() {
    let types = TYPES.map(|(category, types)| (category.to_owned(), types.iter().map(|&one| one.to_owned()).collect()));
    let schema = Schema { types: types.into(), ..Schema::default() };
    let mut seen = BTreeMap::new();
    each_document(|name, document| {
        let mut faults = Vec::new();
        schema.check_categories(&document, &mut faults);
        assert_eq!(faults, [""; 0], "{name}: {document:#}");
        for (path, allowed) in ALLOWED.iter().chain(&IN_WORDS) {
            let found = at(&document, path).into_iter();
            for value in found.flat_map(|found| found.as_array().map_or(std::slice::from_ref(found), Vec::as_slice)) {
                assert!(value.as_str().is_some_and(|value| allowed.contains(&value)), "{name}: {path}: {value}");
                *seen.entry(*path).or_insert(0) += 1;
            }
        }
    });
    assert_eq!(seen.len(), ALLOWED.len() + IN_WORDS.len(), "{seen:?}");
}

/// It needs a list from outside, so it is compiled only where somebody has it.
#[test]
#[cfg(feature = "published-schema")]
fn documents_follow_the_published_schema() {
    use std::collections::BTreeSet;

    let path = std::env::var("ECS_FIELDS").expect("ECS_FIELDS names the list that scripts/ecs-fields makes");
    let schema = Schema::parse(&std::fs::read_to_string(&path).unwrap());
    assert!(schema.fields.len() > 1_000 && !schema.types.is_empty(), "{path} is no list of ECS fields");
    let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<BTreeSet<String>>();
    let listed = |words: &[String]| words.iter().cloned().collect::<BTreeSet<String>>();
    for (path, allowed) in ALLOWED {
        assert_eq!(listed(&schema.fields[path].allowed), own(allowed), "{path}");
    }
    for (category, types) in TYPES {
        assert_eq!(listed(&schema.types[category]), own(types), "{category}");
    }
    each_document(|name, document| assert_eq!(schema.faults(&document), [""; 0], "{name}: {document:#}"));
    let template = serde_json::from_str(&export::elasticsearch_template()).unwrap();
    for (path, field) in &schema.fields {
        let Some(kind) = crate::elasticsearch::type_of(&template, path) else { continue };
        // OpenSearch has wildcards only since 2.15.
        let is_right = kind == field.kind || (kind == "keyword" && field.kind == "wildcard");
        assert!(is_right, "{path} is a {kind} in the template and a {} in the schema", field.kind);
    }
}

const LIST_OF_TWO: &str = "version\t1.0.0\n\
                           field\t@timestamp\tdate\tone\t\n\
                           field\tecs.version\tkeyword\tone\t\n\
                           field\tevent.kind\tkeyword\tone\talert|event\n\
                           field\tevent.category\tkeyword\tlist\temail|network\n\
                           field\tevent.type\tkeyword\tlist\t\n\
                           field\tsource.port\tlong\tone\t\n\
                           types\temail\tinfo\n\
                           types\tnetwork\tinfo|end\n";

#[track_caller]
fn check(change: Value, expected: &[&str]) {
    let mut document = serde_json::json!({
        "@timestamp": "2024-03-01T06:00:04.000Z",
        "ecs": {"version": "1.0.0"},
        "event": {"kind": "event", "category": ["email", "network"], "type": ["info"]},
        "exchange": {"whatever": 1},
    });
    for (key, value) in change.as_object().unwrap() {
        document[key] = value.clone();
    }
    assert_eq!(Schema::parse(LIST_OF_TWO).faults(&document), expected);
}

#[test]
fn faults_are_found() {
    use serde_json::json;
    let event = |kind: &str, category: &str, type_of: &str| json!({"event": {"kind": kind, "category": [category], "type": [type_of]}});
    check(json!({}), &[]);
    check(json!({"source": {"port": 25}}), &[]);
    check(json!({"source": {"port": "25"}}), &["source.port: \"25\" is no long"]);
    check(json!({"source": {"port": [25]}}), &["source.port: [25] is a list"]);
    check(json!({"source": {"name": "x"}}), &["source.name: no field of ECS"]);
    check(json!({"ecs": {"version": "1"}}), &["ecs.version: \"1\", and the list is of 1.0.0"]);
    check(event("alarm", "network", "end"), &["event.kind: \"alarm\" is none of [\"alert\", \"event\"]"]);
    check(
        event("event", "email", "end"),
        &["event.type: end is of none of [\"email\"]", "event.category: email has none of [\"end\"]"],
    );
}
