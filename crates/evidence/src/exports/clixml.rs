//! CLIXML, the form of `Export-Clixml` (FORMATS section 5.1).
//!
//! ```xml
//! <Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">
//!   <Obj RefId="0">
//!     <TN RefId="0"><T>Microsoft.Exchange...SmtpSendConnectorConfig</T></TN>
//!     <ToString>Mail to O365</ToString>
//!     <Props><B N="Enabled">true</B><Nil N="TlsDomain" /><Obj N="TlsAuthLevel" RefId="1">...</Obj></Props>
//!   </Obj>
//! </Objs>
//! ```
//!
//! The same property names occur at every depth, so only the properties of an object that stands at the top count; what
//! is nested gives one value. At the top is also what an array, a hash table or a custom object at the top holds.
//! Entities other than the five of XML itself are never expanded, and a document type declaration ends the reading.

use std::collections::{HashMap, VecDeque};

use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event},
};

use super::{
    objects::{Object, Part},
    types, values,
};
use crate::fact::Value;

/// Elements within one another. Exports nest some 20; `Export-Clixml -Depth` can be told more.
const DEPTH_MAX: usize = 64;

/// Type names that a later `TNRef` may name. Exports have some dozens.
const TYPES_MAX: usize = 4_096;

/// Values that a later `Ref` may name. A receive connector has some 200, so this is enough for hundreds of them; past
/// it a reference is a value that is not shown.
const REFERENCES_MAX: usize = 65_536;

/// Bytes of such a value: what is referred to is an identity, not a list of everything.
const REFERENCE_BYTES_MAX: usize = 1_024;

/// Objects of a CLIXML text, as far as it can be read.
pub(crate) struct Clixml<'t> {
    reader: Reader<&'t [u8]>,
    /// Place of the first `<` in the text.
    begin: usize,
    stack: Vec<Frame>,
    found: VecDeque<Part>,
    /// Objects of a known type that the object at the top holds. Only if it is of none itself are they what counts.
    inner: Vec<Object>,
    types: HashMap<String, String>,
    references: HashMap<String, Value>,
    has_root: bool,
    ended: bool,
    /// What the file's name hints at.
    source: Option<&'t str>,
}

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Root,
    Object,
    TypeNames,
    TypeName,
    TypeReference,
    ToString,
    Properties,
    List,
    Dictionary,
    Entry,
    Null,
    Reference,
    /// `SS`, a secure string: never kept.
    Secret,
    Number,
    Text,
}

/// An element that is open.
struct Frame {
    tag: Tag,
    /// Its attribute `N`.
    name: String,
    /// Its attribute `RefId`.
    reference: String,
    /// Whether it is an object at the top, or one within it may be.
    is_top: bool,
    /// Objects at the top that it holds.
    members: usize,
    text: String,
    object: Object,
    /// What a scalar, an enumeration's number, a dictionary's key is.
    scalar: Option<Value>,
    items: Option<Vec<Value>>,
}

/// Whether the text is CLIXML: its root element begins before anything else but a prolog, or the mark that PowerShell
/// puts before it when it writes to another process (`#< CLIXML`).
pub(crate) fn is_clixml(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches("#< CLIXML").trim_start();
    let mut rest = text;
    while let Some(inner) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!")) {
        rest = inner.split_once('>').map_or("", |(_, rest)| rest).trim_start();
    }
    rest.strip_prefix("<Objs").is_some_and(|rest| rest.starts_with([' ', '>', '/', '\t', '\r', '\n']))
}

/// Reads a text for which [`is_clixml`] holds.
pub(crate) fn parts<'t>(text: &'t str, source: Option<&'t str>) -> Clixml<'t> {
    let begin = text.find("<Objs").filter(|&at| !text[..at].contains('<')).or_else(|| find_markup(text)).unwrap_or(0);
    let mut reader = Reader::from_str(text.get(begin..).unwrap_or(""));
    reader.config_mut().expand_empty_elements = true;
    Clixml {
        reader,
        begin,
        stack: Vec::new(),
        found: VecDeque::new(),
        inner: Vec::new(),
        types: HashMap::new(),
        references: HashMap::new(),
        has_root: false,
        ended: false,
        source,
    }
}

/// The first `<` that is not that of `#< CLIXML`.
fn find_markup(text: &str) -> Option<usize> {
    let skipped = text.find("#< CLIXML").map_or(0, |at| at + 2);
    text[skipped..].find('<').map(|at| at + skipped)
}

impl Iterator for Clixml<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        while self.found.is_empty() && !self.ended {
            self.step();
        }
        self.found.pop_front()
    }
}

impl Clixml<'_> {
    fn step(&mut self) {
        let at = self.begin + usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        match self.reader.read_event() {
            Ok(Event::Start(start)) => self.open(&start, at),
            Ok(Event::End(_)) => self.close(),
            Ok(Event::Text(text)) => self.text(&text.into_inner()),
            Ok(Event::CData(text)) => self.text(&text.into_inner()),
            Ok(Event::GeneralRef(reference)) => self.entity(&reference, at),
            Ok(Event::DocType(_)) => self.give_up(at, "a document type declaration, which no export has".to_owned()),
            Ok(Event::Eof) => self.finish(at),
            Ok(_) => {}
            Err(error) => self.give_up(self.place(at), format!("not well-formed: {error}")),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, at: usize) {
        if self.stack.len() == DEPTH_MAX {
            return self.give_up(self.place(at), format!("elements more than {DEPTH_MAX} deep"));
        }
        let tag = Tag::of(start.local_name().as_ref());
        if tag == Tag::Root {
            // Numbers of references begin anew with each export of a file that holds several.
            (self.has_root, self.types, self.references) = (true, HashMap::new(), HashMap::new());
        }
        let is_top = match self.stack.last() {
            None => tag == Tag::Root,
            Some(parent) => parent.is_top && parent.tag.holds_top(&parent.object, tag),
        };
        self.stack.push(Frame {
            tag,
            name: attribute(start, "N"),
            reference: attribute(start, "RefId"),
            is_top,
            members: 0,
            text: String::new(),
            object: Object::new(at),
            scalar: None,
            items: None,
        });
    }

    fn text(&mut self, text: &str) {
        if let Some(frame) = self.stack.last_mut()
            && frame.tag.has_text()
        {
            frame.text.push_str(text);
        }
    }

    fn entity(&mut self, reference: &BytesRef<'_>, at: usize) {
        match (reference.resolve_char_ref(), resolve_xml_entity(reference)) {
            (Ok(Some(letter)), _) => self.text(letter.encode_utf8(&mut [0; 4])),
            (_, Some(resolved)) => self.text(resolved),
            _ => self.give_up(self.place(at), "an entity that XML does not define".to_owned()),
        }
    }

    fn close(&mut self) {
        let Some(mut frame) = self.stack.pop() else { return };
        let text = unescaped(&std::mem::take(&mut frame.text));
        match frame.tag {
            Tag::TypeName => self.name_type(text),
            Tag::TypeNames => self.keep_type(frame),
            Tag::TypeReference => {
                let type_name = self.types.get(&frame.reference).cloned();
                self.parent(|parent| parent.object.type_name = type_name);
            }
            Tag::ToString => self.parent(|parent| parent.object.text = Some(text)),
            Tag::Properties | Tag::List | Tag::Dictionary => self.parent(|parent| parent.take_contents(frame)),
            Tag::Entry => self.close_entry(frame),
            Tag::Object => self.close_object(frame),
            Tag::Root | Tag::Secret => {}
            Tag::Null => self.give(frame.name, Value::Empty),
            Tag::Number => self.give(frame.name.clone(), values::of_number(&frame.name, &text)),
            Tag::Text => self.give(frame.name.clone(), values::of_text(&frame.name, &text)),
            Tag::Reference => {
                let hidden = Value::List { items: Vec::new(), cut: true };
                let value = self.references.get(&frame.reference).cloned().unwrap_or(hidden);
                self.give(frame.name, value);
            }
        }
    }

    fn parent(&mut self, change: impl FnOnce(&mut Frame)) {
        if let Some(parent) = self.stack.last_mut() {
            change(parent);
        }
    }

    /// The first of an object's type names is its own; the others are what it derives from.
    fn name_type(&mut self, text: String) {
        self.parent(|parent| _ = parent.object.type_name.get_or_insert(text));
    }

    fn keep_type(&mut self, frame: Frame) {
        let Some(type_name) = frame.object.type_name else { return };
        if self.types.len() < TYPES_MAX && type_name.len() <= REFERENCE_BYTES_MAX {
            self.types.insert(frame.reference, type_name.clone());
        }
        self.parent(|parent| parent.object.type_name = Some(type_name));
    }

    /// Hands a value to the element around it.
    fn give(&mut self, name: String, value: Value) {
        if self.stack.last().is_some_and(|parent| parent.tag == Tag::Root) {
            self.found.push_back(Part::Passed("value"));
            return;
        }
        self.parent(|parent| match parent.tag {
            Tag::Properties => parent.object.set(&unescaped(&name), value),
            Tag::List => parent.items.get_or_insert_default().push(value),
            Tag::Entry if name.eq_ignore_ascii_case("Key") => parent.name = value.text().unwrap_or_default().to_owned(),
            _ => parent.scalar = Some(value),
        });
    }

    fn close_entry(&mut self, frame: Frame) {
        let Frame { name, scalar, .. } = frame;
        self.parent(|parent| parent.object.set(&name, scalar.unwrap_or(Value::Empty)));
    }

    fn close_object(&mut self, mut frame: Frame) {
        let value = frame.value();
        if !frame.reference.is_empty()
            && self.references.len() < REFERENCES_MAX
            && length(&value) <= REFERENCE_BYTES_MAX
        {
            self.references.insert(std::mem::take(&mut frame.reference), value.clone());
        }
        let name = std::mem::take(&mut frame.name);
        if frame.is_top {
            self.parent(|parent| parent.members += 1);
            self.emit(frame);
        }
        if self.stack.last().is_some_and(|parent| parent.tag != Tag::Root) {
            self.give(name, value);
        }
    }

    /// Finds an object at the top, unless it is a list, whose items were found before it.
    fn emit(&mut self, frame: Frame) {
        let is_value = self.stack.iter().any(|outer| matches!(outer.tag, Tag::Properties | Tag::Entry));
        if frame.items.is_some() {
            if frame.members == 0 && !is_value {
                self.found.push_back(Part::Passed("list of values"));
            }
            return;
        }
        let mut object = frame.object;
        let is_holder = |outer: &&Frame| matches!(outer.tag, Tag::Entry | Tag::Object) && !outer.name.is_empty();
        let holder = self.stack.iter().rev().filter(is_holder).find(|outer| outer.name != "Value");
        object.source = holder.map(|holder| holder.name.clone());
        if is_value {
            self.inner.extend(types::of_or_hinted(&object).is_some().then_some(object));
            return;
        }
        object.source = object.source.or_else(|| self.source.map(str::to_owned));
        let inner = std::mem::take(&mut self.inner);
        match inner.is_empty() || types::of_or_hinted(&object).is_some() {
            true => self.found.push_back(Part::Object(object)),
            false => self.found.extend(inner.into_iter().map(Part::Object)),
        }
    }

    fn finish(&mut self, at: usize) {
        self.ended = true;
        match (self.stack.is_empty(), self.has_root) {
            (true, true) => {}
            (true, false) => self.give_up(0, "no export".to_owned()),
            (false, _) => self.give_up(self.place(at), "the export is cut".to_owned()),
        }
    }

    fn give_up(&mut self, at: usize, why: String) {
        self.ended = true;
        self.found.push_back(Part::Rejected { at, why });
    }

    /// Where the object at the top begins that is open, or else the place.
    fn place(&self, at: usize) -> usize {
        let open = self.stack.iter().rev().find(|frame| frame.tag == Tag::Object && frame.is_top);
        open.map_or(at, |frame| frame.object.at)
    }
}

impl Tag {
    fn of(name: &str) -> Tag {
        match name {
            "Objs" => Tag::Root,
            "Obj" => Tag::Object,
            "TN" => Tag::TypeNames,
            "T" => Tag::TypeName,
            "TNRef" => Tag::TypeReference,
            "ToString" => Tag::ToString,
            "Props" | "MS" => Tag::Properties,
            "LST" | "IE" | "QUE" | "STK" => Tag::List,
            "DCT" => Tag::Dictionary,
            "En" => Tag::Entry,
            "Nil" => Tag::Null,
            "Ref" => Tag::Reference,
            "SS" => Tag::Secret,
            "By" | "SB" | "I16" | "U16" | "I32" | "U32" | "I64" | "U64" | "Sg" | "Db" | "D" => Tag::Number,
            _ => Tag::Text,
        }
    }

    fn has_text(self) -> bool {
        matches!(self, Tag::TypeName | Tag::ToString | Tag::Number | Tag::Text)
    }

    /// Whether an element of this kind at the top holds elements of the other kind at the top.
    fn holds_top(self, object: &Object, inner: Tag) -> bool {
        match self {
            Tag::Root | Tag::List | Tag::Dictionary | Tag::Entry | Tag::Properties => true,
            // The properties of an object are its own, unless it is a custom object that someone put together.
            Tag::Object if inner == Tag::Properties => {
                let type_name = object.type_name.as_deref().unwrap_or("");
                type_name.ends_with("PSCustomObject") && !type_name.contains("Selected.")
            }
            Tag::Object => true,
            _ => false,
        }
    }
}

impl Frame {
    /// Takes over what a part of the object held.
    fn take_contents(&mut self, part: Frame) {
        self.members += part.members;
        self.object.cut += part.object.cut;
        if part.tag == Tag::List {
            self.items.get_or_insert_default().extend(part.items.unwrap_or_default());
        }
        if self.object.properties.is_empty() {
            self.object.properties = part.object.properties;
            return;
        }
        for property in part.object.properties {
            self.object.set(&property.name, property.value);
        }
    }

    /// What the object is as the value of a property: a list's items; else what it calls itself, as enumerations do; else
    /// what its properties make of it.
    fn value(&mut self) -> Value {
        if let Some(items) = self.items.as_mut() {
            return values::of_items(std::mem::take(items));
        }
        match (&self.object.text, &self.scalar) {
            (Some(text), _) => values::of_text(&self.name, text),
            (None, Some(scalar)) => scalar.clone(),
            (None, None) => values::of_properties(&self.object.properties),
        }
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Empty | Value::Flag(_) => 0,
        Value::Text(text) => text.len(),
        Value::List { items, .. } => items.iter().map(|item| item.len() + 1).sum(),
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> String {
    let found = start.try_get_attribute(name).ok().flatten();
    let value = found.and_then(|attribute| attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(String::from));
    value.unwrap_or_default()
}

/// PowerShell writes characters that XML does not hold, and line ends, as `_x000D_`: UTF-16 units in hex.
fn unescaped(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let unit = rest.get(at + 2..at + 7).and_then(|escape| escape.strip_suffix('_')).and_then(hex_unit);
        let (before, after) = rest.split_at(at);
        if !before.is_empty() || unit.is_none() {
            flush(&mut units, &mut found);
        }
        found.push_str(before);
        match unit {
            Some(unit) => units.push(unit),
            None => found.push_str("_x"),
        }
        rest = &after[if unit.is_some() { 7 } else { 2 }..];
    }
    flush(&mut units, &mut found);
    found.push_str(rest);
    found
}

fn hex_unit(digits: &str) -> Option<u16> {
    let is_hex = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

fn flush(units: &mut Vec<u16>, found: &mut String) {
    found.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
mod tests;
