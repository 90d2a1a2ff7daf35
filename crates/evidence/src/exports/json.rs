//! JSON of `ConvertTo-Json` and of Exchange Online's REST interface (FORMATS section 5.2).
//!
//! One result is an object, several are an array; a script may write them one behind the other, PowerShell 5.1 may wrap
//! an array as `{"value":[...],"Count":2}`, the REST interface as `{"@odata.context":..,"value":[...]}`, and a collection
//! script puts everything into one object under keys of its own. So the text is searched for objects of a known type from
//! the outside in. Each is parsed by itself, and a file that is cut loses only the object at the cut.

use serde_json::{Map, Value as Json};

use super::{
    objects::{Object, Part},
    types, values,
};
use crate::fact::{Property, Value};

/// Wrappers within one another. `{"value":[{"InboundConnectors":{"value":[...]}}]}` are three.
const WRAPPERS_MAX: usize = 4;

/// Objects of a JSON text, as far as it can be read.
pub(crate) struct Objects<'t> {
    text: &'t str,
    /// Place up to which it is read.
    at: usize,
    /// Ends of the wrappers that are open.
    wrappers: Vec<usize>,
    /// The last key of an object or a list that was read within a wrapper.
    key: Option<String>,
    /// What the file's name hints at.
    source: Option<&'t str>,
}

/// Whether the text begins as JSON.
pub(crate) fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    let inner = text.trim_start_matches('[').trim_start();
    inner.starts_with(['{', ']']) && (text.starts_with(['[', '{']))
}

/// Reads a text for which [`is_json`] holds.
pub(crate) fn parts<'t>(text: &'t str, source: Option<&'t str>) -> Objects<'t> {
    Objects { text, at: 0, wrappers: Vec::new(), key: None, source }
}

impl Iterator for Objects<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            while self.wrappers.last().is_some_and(|&end| self.at >= end) {
                self.wrappers.pop();
                self.key = None;
            }
            let found = match byte {
                b'{' => self.object(),
                b'"' => self.string(),
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | b'}' | b':' => {
                    self.at += 1;
                    None
                }
                _ => self.other(),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl Objects<'_> {
    fn object(&mut self) -> Option<Part> {
        let start = self.at;
        let rest = &self.text[start..];
        let Some(length) = object_length(rest) else {
            return self.cut(start, rest);
        };
        let slice = &rest[..length];
        let map: Map<String, Json> = match serde_json::from_str(slice) {
            Ok(map) => map,
            Err(error) => {
                self.at = start + length;
                return Some(Part::Rejected { at: start, why: format!("not JSON: {error}") });
            }
        };
        let source = self.key.as_deref().or(self.source);
        let object = object(start, &map, source.map(str::to_owned));
        let is_wrapper = types::of_or_hinted(&object).is_none() && map.values().any(holds_objects);
        if is_wrapper && self.wrappers.len() < WRAPPERS_MAX {
            self.wrappers.push(start + length);
            self.at = start + 1;
            return None;
        }
        self.at = start + length;
        Some(Part::Object(object))
    }

    /// An object without an end: its whole members are read if it is a wrapper, otherwise it is lost.
    fn cut(&mut self, start: usize, rest: &str) -> Option<Part> {
        if self.wrappers.len() < WRAPPERS_MAX && is_wrapper_head(rest) {
            self.wrappers.push(self.text.len());
            self.at = start + 1;
            return None;
        }
        self.at = self.text.len();
        Some(Part::Rejected { at: start, why: "the object is cut".to_owned() })
    }

    fn string(&mut self) -> Option<Part> {
        let start = self.at;
        let length = string_length(&self.text[start..]);
        self.at = start + length;
        if self.wrappers.is_empty() {
            return Some(Part::Passed("value"));
        }
        let holds = |value: &str| value.trim_start().starts_with(['[', '{']);
        let is_holder = self.text[self.at..].trim_start().strip_prefix(':').is_some_and(holds);
        let key = self.text.get(start + 1..(start + length).saturating_sub(1)).unwrap_or_default();
        // `value` says nothing that the key around it does not say better.
        if is_holder && key != "value" {
            self.key = Some(key.to_owned());
        }
        None
    }

    /// A number or a word; or text around the JSON, as a console shows it.
    fn other(&mut self) -> Option<Part> {
        let rest = &self.text[self.at..];
        let length = rest.find(['{', '[', ']', '}', ',', '"', '\n']).unwrap_or(rest.len());
        self.at += length.max(1);
        self.wrappers.is_empty().then_some(Part::Passed("value"))
    }
}

/// Bytes of the object with which the text begins, if it has an end.
fn object_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += string_length(&text[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Bytes of the string with which the text begins, to the end of the text if it has no end.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

/// Whether an object that is cut has a list of objects under a key that a wrapper has.
fn is_wrapper_head(text: &str) -> bool {
    let mut rest = &text[1..];
    while let Some(key) = rest.trim_start().strip_prefix('"') {
        let length = string_length(&rest[rest.len() - key.len() - 1..]);
        let name = key.get(..length.saturating_sub(2)).unwrap_or("");
        let Some(value) = key.get(length - 1..).and_then(|after| after.trim_start().strip_prefix(':')) else {
            return false;
        };
        let value = value.trim_start();
        if value.starts_with(['[', '{']) {
            return name == "value" || types::of_noun(name).is_some();
        }
        let length = if value.starts_with('"') { string_length(value) } else { 0 };
        let Some((_, after)) = value[length..].split_once(',') else {
            return false;
        };
        rest = after;
    }
    false
}

/// Whether the value is an object or a list with objects in it.
fn holds_objects(value: &Json) -> bool {
    match value {
        Json::Object(_) => true,
        Json::Array(items) => items.iter().any(Json::is_object),
        _ => false,
    }
}

fn object(at: usize, map: &Map<String, Json>, source: Option<String>) -> Object {
    let mut object = Object::new(at);
    object.source = source;
    for (name, json) in map {
        match name.as_str() {
            "PSTypeName" | "@odata.type" | "@data.type" => object.type_name = json.as_str().map(str::to_owned),
            // `Name@data.type` says of which type the property `Name` is.
            name if name.contains('@') => {}
            name => object.set(name, value(name, json)),
        }
    }
    object
}

/// What a JSON value says. The parser's own limit bounds the depth.
fn value(name: &str, json: &Json) -> Value {
    match json {
        Json::Null => Value::Empty,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => values::of_number(name, &number.to_string()),
        Json::String(text) => values::of_text(name, text),
        Json::Array(items) => values::of_items(items.iter().map(|item| value("", item))),
        Json::Object(map) => {
            let property = |(name, json): (&String, &Json)| Property { name: name.clone(), value: value(name, json) };
            let properties: Vec<Property> = map.iter().map(property).collect();
            values::of_properties(&properties)
        }
    }
}

#[cfg(test)]
mod tests;
