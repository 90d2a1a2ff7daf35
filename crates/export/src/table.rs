//! Mapping tables: what a field is called in a format whose records are nested JSON objects.
//!
//! ```text
//! ("tls.client.hash.sha1", Take::Field(...))   ->   {"tls":{"client":{"hash":{"sha1":"..."}}}}
//! ("fingerprints[].value", Take::Field(...))   ->   {"fingerprints":[{"value":"..."}]}
//! ```
//! What an event lacks is left out, and so is an object that would be empty, and a list of one that would be.

use crate::{Event, Field, Value, json};

/// Where the value of a key comes from.
#[derive(Clone, Copy)]
pub(crate) enum Take {
    /// From a field.
    Field(Field),
    /// It is always the same.
    Const(&'static str),
    /// It is always the same number.
    Number(i64),
    /// From a field that is a time, in milliseconds since 1970.
    Millis(Field),
    /// It follows from the event.
    With(for<'e> fn(&'e Event<'_>) -> Value<'e>),
    /// It follows from the event, and is no single value: whatever is appended; nothing if it returns false.
    Put(fn(&Event<'_>, &mut Vec<u8>) -> bool),
}

impl Take {
    /// The value; none if it is no single one.
    pub(crate) fn value<'e>(&self, event: &'e Event<'_>) -> Value<'e> {
        match self {
            Take::Field(field) => event.value(*field),
            Take::Const(text) => Value::text(text),
            Take::Number(number) => Value::Long(*number),
            Take::Millis(field) => match event.value(*field) {
                Value::Time(time) => Value::Long(time.0),
                _ => Value::None,
            },
            Take::With(value) => value(event),
            Take::Put(_) => Value::None,
        }
    }

    /// Appends the value as JSON; false, and nothing of use appended, if there is none.
    fn put(&self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Take::Put(put) => put(event, out),
            _ => json::put_value(out, &self.value(event)),
        }
    }
}

/// A line of a mapping table: a dotted path, and what stands there.
pub(crate) type Line = (&'static str, Take);

/// A mapping table, arranged for writing.
pub(crate) struct Template {
    nodes: Vec<Node>,
}

struct Node {
    /// `"key":`.
    key: Vec<u8>,
    what: What,
}

enum What {
    Take(Take),
    Object(Vec<Node>),
    /// A list of one object.
    List(Vec<Node>),
}

impl Template {
    /// Arranges a table. Keys stand in the order in which the table has them first.
    pub(crate) fn new(lines: &[Line]) -> Template {
        let mut nodes = Vec::new();
        for (path, take) in lines {
            insert(&mut nodes, path, *take);
        }
        Template { nodes }
    }

    /// Appends the object of an event.
    pub(crate) fn put(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        put_nodes(&self.nodes, event, out);
        out.push(b'}');
    }
}

fn insert(nodes: &mut Vec<Node>, path: &'static str, take: Take) {
    let Some((first, rest)) = path.split_once('.') else {
        nodes.push(Node { key: key(path), what: What::Take(take) });
        return;
    };
    let (name, empty) = match first.strip_suffix("[]") {
        Some(name) => (name, What::List(Vec::new())),
        None => (first, What::Object(Vec::new())),
    };
    let key = key(name);
    let at = nodes.iter().position(|node| node.key == key).unwrap_or_else(|| {
        nodes.push(Node { key, what: empty });
        nodes.len() - 1
    });
    if let What::Object(inner) | What::List(inner) = &mut nodes[at].what {
        insert(inner, rest, take);
    }
}

fn key(name: &str) -> Vec<u8> {
    format!("\"{name}\":").into_bytes()
}

/// Appends the keys that have a value; false if none has.
fn put_nodes(nodes: &[Node], event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    for node in nodes {
        let before = out.len();
        if before > begin {
            out.push(b',');
        }
        out.extend_from_slice(&node.key);
        let is_there = match &node.what {
            What::Take(take) => take.put(event, out),
            What::Object(inner) => put_within(b"{", inner, b"}", event, out),
            What::List(inner) => put_within(b"[{", inner, b"}]", event, out),
        };
        if !is_there {
            out.truncate(before);
        }
    }
    out.len() > begin
}

fn put_within(begin: &[u8], inner: &[Node], end: &[u8], event: &Event<'_>, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(begin);
    let is_there = put_nodes(inner, event, out);
    out.extend_from_slice(end);
    is_there
}
