//! OTLP log records, read back by what its JSON may have and nothing else.

use std::collections::BTreeSet;

use export::{Framing, Item, Wire, sink};
use serde::{Deserialize, Serialize};

use crate::samples;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceLogs {
    resource: Resource,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<LogRecord>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Scope {
    name: String,
    version: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogRecord {
    time_unix_nano: String,
    severity_number: u8,
    severity_text: String,
    event_name: String,
    body: AnyValue,
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

/// One of them, by its key.
#[derive(Deserialize, Serialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    /// Of 64 bits, so a string.
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "arrayValue")]
    Array(ArrayValue),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ArrayValue {
    values: Vec<AnyValue>,
}

/// Attributes of the semantic conventions (1.41), with their types.
const CONVENTIONS: &[(&str, &str)] = &[
    ("client.address", "string"),
    ("client.port", "int"),
    ("error.message", "string"),
    ("host.name", "string"),
    ("log.file.path", "string"),
    ("log.record.uid", "string"),
    ("network.protocol.name", "string"),
    ("network.transport", "string"),
    ("network.type", "string"),
    ("security_rule.name", "string"),
    ("server.address", "string"),
    ("server.port", "int"),
    ("tls.client.hash.sha1", "string"),
    ("tls.client.issuer", "string"),
    ("tls.client.not_after", "string"),
    ("tls.client.not_before", "string"),
    ("tls.client.subject", "string"),
    ("tls.established", "boolean"),
    ("tls.protocol.name", "string"),
    ("tls.protocol.version", "string"),
    ("tls.server.hash.sha1", "string"),
    ("tls.server.issuer", "string"),
    ("tls.server.not_after", "string"),
    ("tls.server.not_before", "string"),
    ("tls.server.subject", "string"),
    ("user.name", "string"),
];

impl LogRecord {
    fn assert_sound(&self) {
        let time: u64 = self.time_unix_nano.parse().unwrap();
        assert!((946_684_800_000_000_000..4_102_444_800_000_000_000).contains(&time), "{time}");
        let range = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"][usize::from(self.severity_number - 1) / 4];
        let step = (self.severity_number - 1) % 4 + 1;
        assert_eq!(self.severity_text, if step == 1 { range.to_owned() } else { format!("{range}{step}") });
        assert!(self.event_name.strip_prefix("smtptrail.").is_some_and(|kind| !kind.is_empty()));
        assert!(matches!(&self.body, AnyValue::Text(text) if !text.is_empty()));
        let keys: BTreeSet<&str> = self.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(keys.len(), self.attributes.len(), "a key stands twice");
        self.attributes.iter().for_each(KeyValue::assert_sound);
    }
}

impl KeyValue {
    fn assert_sound(&self) {
        let kind = match &self.value {
            AnyValue::Text(_) => "string",
            AnyValue::Int(number) => {
                number.parse::<i64>().unwrap();
                "int"
            }
            AnyValue::Bool(_) => "boolean",
            AnyValue::Array(array) => {
                assert!(!array.values.is_empty(), "{}", self.key);
                "array"
            }
        };
        if self.key.starts_with("smtptrail.") {
            return;
        }
        let convention = CONVENTIONS.iter().find(|(key, _)| *key == self.key);
        assert_eq!(convention.map(|(_, kind)| *kind), Some(kind), "{}", self.key);
    }
}

fn records() -> Vec<(String, String)> {
    let otlp = sink("otlp").unwrap();
    let mut records = Vec::new();
    samples::each_event(|name, event| {
        let mut record = Vec::new();
        otlp.put(Item::Event(event), &mut record);
        let record = String::from_utf8(record).unwrap();
        samples::assert_tells(name, event, &serde_json::from_str(&record).unwrap());
        records.push((format!("{name}: {}", event.kind.as_str()), record));
    });
    records
}

#[test]
fn records_read_back() {
    for (name, record) in records() {
        let read: LogRecord = serde_json::from_str(&record).unwrap_or_else(|error| panic!("{name}: {error}"));
        read.assert_sound();
        assert_eq!(serde_json::to_string(&read).unwrap(), record, "{name}");
    }
}

#[test]
fn records_make_a_request() {
    let otlp = sink("otlp").unwrap();
    assert_eq!(otlp.wire(), Wire::Otlp);
    let Framing::List(begin, end) = otlp.framing() else { panic!("no list") };
    let records: Vec<String> = records().into_iter().map(|(_, record)| record).collect();
    for count in [0, 1, records.len()] {
        let text = format!("{begin}{}{end}", records[..count].join(","));
        let request: Request = serde_json::from_str(&text).unwrap();
        let [logs] = &request.resource_logs[..] else { panic!("one resource") };
        let [scope] = &logs.scope_logs[..] else { panic!("one scope") };
        assert_eq!(scope.log_records.len(), count);
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
    }
}

#[test]
fn log_records() {
    let text: String = records()
        .into_iter()
        .map(|(name, record)| format!("{name}\n{:#}\n", serde_json::from_str::<serde_json::Value>(&record).unwrap()))
        .collect();
    insta::assert_snapshot!(text);
}
