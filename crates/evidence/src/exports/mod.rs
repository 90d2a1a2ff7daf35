//! Exports of PowerShell cmdlets: connectors, accepted domains and certificates of Exchange (FORMATS section 5).
//!
//! An export has one of four shapes, each with a reader here: CLIXML, JSON, CSV, and the text of Format-List. All give
//! objects in one form (`objects`), of which `types` tells what they are and `meaning` what they say. A text is claimed
//! only if an object of a known type is found near its beginning; CLIXML is nothing but an export, whatever of.

mod clixml;
mod csv;
mod flaw;
mod json;
mod list;
mod meaning;
mod moment;
mod objects;
mod types;
mod values;

pub use self::flaw::{Flaw, flaw};
use self::{
    meaning::Nothing,
    objects::{Object, Part},
};
use crate::{
    kinds::{Document, Kind, Reading},
    text::decode,
};

/// Exports of PowerShell cmdlets.
pub(crate) struct Exports;

/// Bytes in which an object of a known type must be found. Prompts and other cmdlets' output stand before it at most.
const HEAD_BYTES: usize = 1 << 20;

/// Objects, and lines of other text, of one file. A large fleet's connectors are some thousands; what has more is
/// something else, and is read no further.
const PARTS_MAX: usize = 1_000_000;

/// Names of other types that are told apart in the report; past it they are counted as one.
const OTHER_TYPES_MAX: usize = 32;

/// Under which what the limits cut off is counted.
const CUT: &str = "part of a value past its limit";

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Clixml,
    Json,
    /// With its delimiter.
    Csv(u8),
    List,
}

impl Kind for Exports {
    fn name(&self) -> &'static str {
        "exports"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        shape(document).is_some()
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        let Some(shape) = shape(document) else {
            return reading.reject(0, "no object of a known type");
        };
        let decoded = decode(document.bytes);
        let (text, begin) = behind_marks(&decoded.text);
        let (mut places, mut offset) = (decoded.places(), 0);
        for (count, part) in shape.parts(text, source(document)).enumerate() {
            if count == PARTS_MAX {
                return reading.reject(offset, format!("more than {PARTS_MAX} objects and other parts"));
            }
            match part {
                Part::Object(object) => {
                    offset = places.offset(begin + object.at);
                    keep(offset, object, reading);
                }
                Part::Rejected { at, why } => {
                    offset = places.offset(begin + at);
                    reading.reject(offset, why);
                }
                Part::Passed(what) => reading.pass(what),
            }
        }
    }
}

/// The shape of a file that is an export of something known.
fn shape(document: &Document<'_>) -> Option<Shape> {
    let head = decode(document.bytes.get(..HEAD_BYTES).unwrap_or(document.bytes));
    let ((text, _), source) = (behind_marks(&head.text), source(document));
    let shape = match text.trim_start() {
        _ if clixml::is_clixml(text) => return Some(Shape::Clixml),
        _ if json::is_json(text) => Shape::Json,
        // XML, which has evidence of its own, and web pages.
        trimmed if trimmed.starts_with('<') => return None,
        _ => csv::delimiter(text, source).map_or(Shape::List, Shape::Csv),
    };
    let is_known = |part: Part| matches!(part, Part::Object(object) if types::of_or_hinted(&object).is_some());
    shape.parts(text, source).any(is_known).then_some(shape)
}

/// The text behind its byte order marks, and where it begins: a file that was converted twice has a second one.
fn behind_marks(text: &str) -> (&str, usize) {
    let inner = text.trim_start_matches('\u{FEFF}');
    (inner, text.len() - inner.len())
}

/// A file's name, if it speaks of a known type: `Get-InboundConnector.csv`. It helps where properties say too little.
fn source<'a>(document: &Document<'a>) -> Option<&'a str> {
    Some(document.name).filter(|name| types::of_noun(name).is_some())
}

impl Shape {
    /// Reads a text of this shape. Any text has lines like those of Format-List, so there the file's name is no help.
    fn parts<'t>(self, text: &'t str, source: Option<&'t str>) -> Box<dyn Iterator<Item = Part> + 't> {
        match self {
            Shape::Clixml => Box::new(clixml::parts(text, source)),
            Shape::Json => Box::new(json::parts(text, source)),
            Shape::Csv(delimiter) => Box::new(csv::parts(text, delimiter, source)),
            Shape::List => Box::new(list::parts(text)),
        }
    }
}

fn keep(offset: u64, object: Object, reading: &mut Reading) {
    let Some(told) = types::of_or_hinted(&object) else {
        return pass_other(object.type_name.as_deref().unwrap_or_default(), reading);
    };
    if object.cut > 0 {
        *reading.passed.entry(CUT.to_owned()).or_default() += object.cut;
    }
    match meaning::fact(object, told) {
        Ok(fact) => reading.keep(offset, fact),
        Err(Nothing::Passed(what)) => reading.pass(what),
        Err(Nothing::Rejected(why)) => reading.reject(offset, why),
    }
}

/// Counts an object of a type that means nothing here, under the type's name.
fn pass_other(type_name: &str, reading: &mut Reading) {
    let short = types::short(type_name);
    let is_told = !short.is_empty() && short.len() <= objects::NAME_BYTES_MAX;
    let is_counted = reading.passed.contains_key(short) || reading.passed.len() < OTHER_TYPES_MAX;
    reading.pass(if is_told && is_counted { short } else { "object of another type" });
}

#[cfg(test)]
mod tests;
