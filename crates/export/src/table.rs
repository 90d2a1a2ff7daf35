//! Mapping tables: what a field is called in a format whose records are nested JSON objects.
//!
//! ```text
//! ("tls.client.hash.sha1", Take::Field(...))   ->   {"tls":{"client":{"hash":{"sha1":"..."}}}}
//! ("fingerprints[].value", Take::Field(...))   ->   {"fingerprints":[{"value":"..."}]}
//! ```
//! What an event lacks is left out, and so is an object that would be empty, and a list of one that would be.

use crate::{Event, Field, Kind, Value, json};

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
    /// It follows from the event's kind.
    OfKind(fn(Kind) -> Value<'static>),
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
            Take::OfKind(value) => value(event.kind),
            Take::With(value) => value(event),
            Take::Put(_) => Value::None,
        }
    }

    /// The value of all events of a kind, if they all have the same; and whether they can have any.
    fn of_kind(&self, kind: Kind) -> (Option<Value<'static>>, bool) {
        let value = match self {
            Take::Const(text) => Value::text(text),
            Take::Number(number) => Value::Long(*number),
            Take::OfKind(value) => value(kind),
            Take::Field(field) | Take::Millis(field) => return (None, field.is_of(kind)),
            Take::With(_) | Take::Put(_) => return (None, true),
        };
        let is_there = value != Value::None;
        (Some(value), is_there)
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
    /// For each kind what its events can have.
    of_kinds: Vec<Vec<Node>>,
}

#[derive(Clone)]
struct Node {
    /// `"key":`.
    key: Vec<u8>,
    what: What,
}

#[derive(Clone)]
enum What {
    Take(Take),
    /// It is always the same.
    Literal(Vec<u8>),
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
        Template { of_kinds: Kind::ALL.iter().map(|kind| of_kind(&nodes, *kind)).collect() }
    }

    /// Appends the object of an event.
    pub(crate) fn put(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        put_nodes(self.of_kinds.get(event.kind as usize).map_or(&[], Vec::as_slice), event, out);
        out.push(b'}');
    }
}

/// What is left of some keys for events of a kind, in the same order: half of a table is for others.
fn of_kind(nodes: &[Node], kind: Kind) -> Vec<Node> {
    let left = |node: &Node| {
        let what = match &node.what {
            What::Object(inner) => What::Object(Some(of_kind(inner, kind)).filter(|inner| !inner.is_empty())?),
            What::List(inner) => What::List(Some(of_kind(inner, kind)).filter(|inner| !inner.is_empty())?),
            What::Take(take) => match take.of_kind(kind) {
                (_, false) => return None,
                (None, true) => What::Take(*take),
                (Some(value), true) => {
                    let mut text = Vec::new();
                    json::put_value(&mut text, &value);
                    What::Literal(text)
                }
            },
            What::Literal(text) => What::Literal(text.clone()),
        };
        Some(Node { key: node.key.clone(), what })
    };
    nodes.iter().filter_map(left).collect()
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
            What::Literal(text) => {
                out.extend_from_slice(text);
                true
            }
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
