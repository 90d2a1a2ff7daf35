//! `elasticsearch`: ECS documents as the `_bulk` endpoint of Elasticsearch and OpenSearch takes them.
//!
//! ```text
//! {"create":{"_id":"5f0c..."}}
//! {"@timestamp":"2024-03-01T06:00:23.000Z",...}
//! ```
//! A data stream takes no other action than `create`. Which one it is stands in the address that a request goes to. The
//! event's id makes of what is sent twice a conflict rather than a second document, as long as the data stream has not
//! begun another index in between.

use std::io::Write;

use serde_json::{Map, Value as Json, json};

use super::{Item, Sink, Wire, ecs};
use crate::FieldType;

/// Bulk actions.
pub(super) struct Elasticsearch;

impl Sink for Elasticsearch {
    fn name(&self) -> &'static str {
        "elasticsearch"
    }

    fn about(&self) -> &'static str {
        "ECS documents for the _bulk endpoint of Elasticsearch and OpenSearch, two lines each"
    }

    fn extension(&self) -> &'static str {
        "ndjson"
    }

    fn wire(&self) -> Wire {
        Wire::Elasticsearch
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Event(event) = item else { return };
        // A vector takes whatever is written to it.
        let _ = writeln!(out, "{{\"create\":{{\"_id\":\"{}\"}}}}", event.id);
        ecs::put_object(event, out);
    }
}

/// The version of the template: one more whenever it changes.
const TEMPLATE_VERSION: i64 = 1;

/// The template that Elasticsearch has for all logs has 100.
const TEMPLATE_PRIORITY: i64 = 200;

/// Letters of a keyword that is searched; a longer one is kept and not searched. ECS says so, and Lucene refuses the
/// whole document if one has 32 KiB, which attackers can write.
const KEYWORD_LETTERS_MAX: i64 = 1_024;

/// The composable index template for the data streams that documents go to, as JSON. Every type that it names is one of
/// Elasticsearch since 8 and of OpenSearch since 2.12.
///
/// Fields that are not in it are kept and not searched: only the documents' own keys can come, so such a field is one
/// that somebody adds on the way, and its type is theirs to say.
pub fn elasticsearch_template() -> String {
    // In order, so that it makes no difference whether maps keep the one in which they were filled.
    let mut fields: Vec<(Vec<&str>, FieldType)> =
        ecs::TABLE.iter().map(|(path, typed)| (path.split('.').collect(), typed.kind)).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    let mut properties = Map::new();
    for (path, kind) in &fields {
        insert(&mut properties, path, mapping(path, *kind));
    }
    let template = json!({
        "_meta": { "description": "SMTP sessions and refusals, written by smtptrail" },
        "data_stream": {},
        "index_patterns": ["logs-smtptrail.smtp-*"],
        "priority": TEMPLATE_PRIORITY,
        "template": { "mappings": { "dynamic": false, "properties": properties } },
        "version": TEMPLATE_VERSION,
    });
    format!("{template:#}\n")
}

fn insert(properties: &mut Map<String, Json>, path: &[&str], mapping: Json) {
    match path {
        [] => {}
        [name] => drop(properties.insert((*name).to_owned(), mapping)),
        [name, rest @ ..] => {
            let object = properties.entry(*name).or_insert_with(|| json!({ "properties": {} }));
            if let Some(Json::Object(inner)) = object.get_mut("properties") {
                insert(inner, rest, mapping);
            }
        }
    }
}

/// What is no address or date, although it ought to be, is kept and not searched; otherwise the document would be
/// refused. Only of its own time a data stream wants to be sure.
fn mapping(path: &[&str], kind: FieldType) -> Json {
    match kind {
        FieldType::Keyword | FieldType::Keywords => json!({ "ignore_above": KEYWORD_LETTERS_MAX, "type": "keyword" }),
        FieldType::Text => json!({ "type": "match_only_text" }),
        FieldType::Long => json!({ "type": "long" }),
        FieldType::Boolean => json!({ "type": "boolean" }),
        FieldType::Date if path == ["@timestamp"] => json!({ "type": "date" }),
        FieldType::Date => json!({ "ignore_malformed": true, "type": "date" }),
        FieldType::Ip => json!({ "ignore_malformed": true, "type": "ip" }),
    }
}
