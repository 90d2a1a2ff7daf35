//! `splunk`: events for Splunk's HTTP Event Collector, `/services/collector/event`.
//!
//! ```text
//! {"time":1709272823.000,"host":"EX001","source":"EX001/SmtpSend/SEND2024030106-1.LOG","sourcetype":"smtptrail:event",
//!  "event":{"time":"2024-03-01T06:00:23.000Z",...},"fields":{"event_id":"5f0c...",...}}
//! ```
//! The source type is our own, and one for all kinds: `event` says its kind itself, and fields are found in JSON
//! without anybody setting anything up. With `_json`, the one that Splunk has, each of them would be indexed.
//!
//! `fields` are indexed, so counts and joins over them need no event to be opened. They are called otherwise than in
//! `event`: what stands in both by the same name has its value twice, and is counted twice. The collector takes strings
//! and lists of strings there; it drops whole numbers in silence, and refuses the event if an object is among them.

use std::{borrow::Cow, io::Write};

use smtplog::Timestamp;

use super::{Item, Sink, Wire};
use crate::{Event, Field, Value, json};

/// HTTP Event Collector.
pub(super) struct Splunk;

const SOURCE_TYPE: &str = "smtptrail:event";

/// A longer text is not indexed: nobody searches for it as a whole, and it stands in the event all the same.
const INDEXED_BYTES_MAX: usize = 1_024;

/// What is indexed.
const INDEXED: &[(&str, Field)] = &[
    ("event_id", Field::Id),
    ("event_kind", Field::Kind),
    ("event_session", Field::Session),
    ("event_direction", Field::Direction),
    ("event_connector", Field::Connector),
    ("event_presented", Field::Presented),
    ("event_received", Field::Received),
    ("event_status", Field::Status),
    ("event_statuses", Field::Statuses),
    ("event_code", Field::Code),
    ("event_rule", Field::Rule),
];

impl Sink for Splunk {
    fn name(&self) -> &'static str {
        "splunk"
    }

    fn about(&self) -> &'static str {
        "JSON for Splunk's HTTP Event Collector, one object a line"
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    fn wire(&self) -> Wire {
        Wire::Splunk
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        out.extend_from_slice(b"{\"time\":");
        put_seconds(event.time, out);
        // Without them the collector puts its own.
        for (key, field) in [("host", Field::Server), ("source", Field::SourceFile)] {
            if let Some(text) = event.value(field).to_text().filter(|text| !text.is_empty()) {
                put_key(key, out);
                json::put_string(out, &text);
            }
        }
        put_key("sourcetype", out);
        json::put_string(out, SOURCE_TYPE);
        put_key("event", out);
        put_object(Field::all().map(|field| (field.name(), event.value(field))), out);
        put_key("fields", out);
        put_object(INDEXED.iter().map(|(name, field)| (*name, indexed(event, *field))), out);
        out.push(b'}');
    }
}

/// Appends seconds since 1970.
fn put_seconds(time: Timestamp, out: &mut Vec<u8>) {
    let sign = if time.0 < 0 { "-" } else { "" };
    let ms = time.0.unsigned_abs();
    // A vector takes whatever is written to it.
    let _ = write!(out, "{sign}{}.{:03}", ms / 1_000, ms % 1_000);
}

/// Appends a key that is not the first.
fn put_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends an object of what is there.
fn put_object<'v>(pairs: impl Iterator<Item = (&'static str, Value<'v>)>, out: &mut Vec<u8>) {
    let begin = out.len();
    for (key, value) in pairs.filter(|(_, value)| *value != Value::None) {
        put_key(key, out);
        json::put_value(out, &value);
    }
    // The comma before the first.
    match out.get_mut(begin) {
        Some(first) => *first = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// The value as the collector indexes it: a text, or texts.
fn indexed<'e>(event: &'e Event<'_>, field: Field) -> Value<'e> {
    let is_fit = |text: &str| !text.is_empty() && text.len() <= INDEXED_BYTES_MAX;
    match event.value(field) {
        Value::List(mut texts) => {
            texts.retain(|text| is_fit(text));
            if texts.is_empty() { Value::None } else { Value::List(texts) }
        }
        value => match value.to_text() {
            Some(text) if is_fit(&text) => Value::Text(Cow::Owned(text.into_owned())),
            _ => Value::None,
        },
    }
}
