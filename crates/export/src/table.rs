//! Mapping tables: what a field is called in a format whose records are nested JSON objects.
//!
//! ```text
//! ("tls.client.hash.sha1", Take::Field(...))   ->   {"tls":{"client":{"hash":{"sha1":"..."}}}}
//! ```
//! What an event lacks is left out, and so is an object that would be empty.

use crate::{Event, Field, Value, json};

/// Where the value of a key comes from.
#[derive(Clone, Copy)]
pub(crate) enum Take {
    /// From a field.
    Field(Field),
    /// It is always the same.
    Const(&'static str),
    /// It follows from the event.
    With(for<'e> fn(&'e Event<'_>) -> Value<'e>),
}

impl Take {
    pub(crate) fn value<'e>(&self, event: &'e Event<'_>) -> Value<'e> {
        match self {
            Take::Field(field) => event.value(*field),
            Take::Const(text) => Value::text(text),
            Take::With(value) => value(event),
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
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let key = format!("\"{first}\":").into_bytes();
    let at = nodes.iter().position(|node| node.key == key);
    match (rest, at) {
        (None, _) => nodes.push(Node { key, what: What::Take(take) }),
        (Some(rest), at) => {
            let at = at.unwrap_or_else(|| {
                nodes.push(Node { key, what: What::Object(Vec::new()) });
                nodes.len() - 1
            });
            if let What::Object(inner) = &mut nodes[at].what {
                insert(inner, rest, take);
            }
        }
    }
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
            What::Take(take) => json::put_value(out, &take.value(event)),
            What::Object(inner) => {
                out.push(b'{');
                let is_there = put_nodes(inner, event, out);
                out.push(b'}');
                is_there
            }
        };
        if !is_there {
            out.truncate(before);
        }
    }
    out.len() > begin
}
