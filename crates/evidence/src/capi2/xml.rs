//! Events as XML: one, many under a root, many without one, or one within an article.
//!
//! Event Viewer, `wevtutil`, PowerShell, `evtx_dump` and web pages write the same element in different surroundings:
//!
//! ```xml
//! Record 14
//! <?xml version="1.0" encoding="utf-8"?>
//! <Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"> ... </Event>
//! ```
//!
//! So the surroundings are not read at all: each `<Event>` is a document of its own, found by its name.
//! One that is damaged costs one event, and no byte is read by more than one.

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event as Markup},
};

use super::{
    event::{Event, Outcome},
    fold::Fold,
    tag::Tag,
    value::Value,
};
use crate::{
    kinds::{Document, Kind, Reading},
    text,
};

/// Bytes of one event. In a binary log it has at most 64 KiB, which become some 400 KiB of indented XML.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Bytes at the beginning of a file in which events of CAPI2 must show: articles begin with some pages of text.
const RECOGNISED_BYTES: usize = 1 << 20;

/// Exported events.
pub(crate) struct Capi2Xml;

impl Kind for Capi2Xml {
    fn name(&self) -> &'static str {
        "capi2-xml"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        let beginning = text::decode(&document.bytes[..document.bytes.len().min(RECOGNISED_BYTES)]);
        Events::of(&beginning.text).next().is_some() && MARKS.iter().any(|mark| beginning.text.contains(mark))
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        let decoded = text::decode(document.bytes);
        let mut places = decoded.places();
        let mut event = Event::default();
        let mut fold = Fold::default();
        let (subset, begin) = internal_subset(&decoded.text);
        if let Some(at) = subset {
            reading.reject(places.offset(at), "a document type declaration with definitions");
        }
        for (at, markup) in Events::from(&decoded.text, begin) {
            let outcome = match markup {
                Ok(markup) => outcome(markup, &mut event).unwrap_or_else(Outcome::Rejected),
                Err(why) => Outcome::Rejected(why),
            };
            fold.add(places.offset(at), outcome, reading);
        }
        fold.end(reading);
    }
}

/// What tells events of CAPI2 from others: the provider, or a call where a page leaves it out.
const MARKS: [&str; 5] = [
    "Microsoft-Windows-CAPI2",
    "CertVerifyCertificateChainPolicy",
    "CertGetCertificateChain",
    "CertVerifyRevocation",
    "X509Objects",
];

/// A document type declaration that defines something, and where the text goes on behind it.
///
/// Nothing that it defines is ever put in, so all it could do is to hold text that looks like an event.
/// `<!DOCTYPE html>` defines nothing.
fn internal_subset(text: &str) -> (Option<usize>, usize) {
    let first = Events::of(text).next().map_or(text.len(), |(at, _)| at);
    let Some(at) = text[..first].find("<!DOCTYPE") else { return (None, 0) };
    match text[at..].find(['[', '>']) {
        Some(bracket) if text.as_bytes()[at + bracket] == b'[' => {
            let end = text[at..].find("]>").map_or(text.len(), |end| at + end);
            (Some(at), end)
        }
        _ => (None, 0),
    }
}

/// The events of a text: where each begins, and its markup from `<Event` to `</Event>`.
struct Events<'a> {
    text: &'a str,
    /// Where the next event is looked for.
    at: usize,
}

impl<'a> Events<'a> {
    fn of(text: &'a str) -> Events<'a> {
        Events::from(text, 0)
    }

    fn from(text: &'a str, at: usize) -> Events<'a> {
        Events { text, at }
    }

    /// The next tag of an `Event` element at or behind `from`.
    fn tag(&self, mut from: usize) -> Option<Tagged> {
        while let Some(found) = self.text[from..].find(EVENT) {
            let at = from + found;
            from = at + EVENT.len();
            if let Some((begin, edge)) = edge(self.text, at) {
                return Some(Tagged { begin, edge, behind_name: from });
            }
        }
        None
    }
}

const EVENT: &str = "Event";

/// A start or an end tag.
struct Tagged {
    begin: usize,
    edge: Edge,
    behind_name: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl<'a> Iterator for Events<'a> {
    type Item = (usize, Result<&'a str, &'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        let begin = loop {
            let tag = self.tag(self.at)?;
            self.at = tag.behind_name;
            if tag.edge == Edge::Start {
                break tag.begin;
            }
        };
        // A second start tag shows that the first event is cut.
        let end = match self.tag(self.at) {
            Some(Tagged { begin, edge: Edge::Start, .. }) => begin,
            Some(Tagged { begin, .. }) => self.text[begin..].find('>').map_or(self.text.len(), |end| begin + end + 1),
            None => self.text.len(),
        };
        self.at = end;
        let markup = match end - begin <= EVENT_BYTES_MAX {
            true => Ok(&self.text[begin..end]),
            false => Err("an event longer than 1 MiB"),
        };
        Some((begin, markup))
    }
}

/// The tag whose name `Event` stands at `at`, maybe behind a prefix: `<Event>`, `</ns0:Event>`, but not `<EventID>`.
fn edge(text: &str, at: usize) -> Option<(usize, Edge)> {
    /// Prefixes are short; a colon far behind a `<` is no prefix's.
    const PREFIX_BYTES_MAX: usize = 32;

    let behind = text.as_bytes().get(at + EVENT.len())?;
    if !(behind.is_ascii_whitespace() || matches!(behind, b'>' | b'/')) {
        return None;
    }
    let mut before = &text[..at];
    if let Some(prefixed) = before.strip_suffix(':') {
        let prefix = prefixed.bytes().rev().take(PREFIX_BYTES_MAX).take_while(u8::is_ascii_alphanumeric).count();
        before = &prefixed[..prefixed.len() - prefix];
    }
    match before.strip_suffix("</") {
        Some(before) => Some((before.len(), Edge::End)),
        None => before.strip_suffix('<').map(|before| (before.len(), Edge::Start)),
    }
}

/// Reads one event.
fn outcome(markup: &str, event: &mut Event) -> Result<Outcome, &'static str> {
    let mut reader = Reader::from_str(markup);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    // Pages leave tags out at random. Which element an end tag belongs to is told by its name, below.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;

    event.begin();
    let mut open = Vec::new();
    loop {
        match reader.read_event().map_err(|_| "markup that is no XML")? {
            Markup::Start(start) => {
                begin(&start, event)?;
                open.push(start.local_name().as_ref().to_owned());
            }
            Markup::Empty(start) => {
                begin(&start, event)?;
                event.close();
            }
            Markup::End(end) => {
                let Some(at) = open.iter().rposition(|name| name == end.local_name().as_ref()) else { continue };
                open.drain(at..).for_each(|_| event.close());
                if open.is_empty() {
                    return Ok(event.end(None));
                }
            }
            Markup::Text(text) => event.text(&Value::Text(text.into_inner())),
            Markup::CData(text) => event.text(&Value::Text(text.into_inner())),
            Markup::GeneralRef(reference) => event.text(&Value::Text(resolved(&reference).into())),
            Markup::DocType(_) => return Err("a document type declaration within an event"),
            Markup::Eof => return Err("an event without its end"),
            Markup::Comment(_) | Markup::Decl(_) | Markup::PI(_) => {}
        }
    }
}

fn begin(start: &BytesStart<'_>, event: &mut Event) -> Result<(), &'static str> {
    let name = start.local_name();
    event.open(name.as_ref(), Tag::of(name.as_ref()))?;
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| "an attribute that is no XML")?;
        let name = attribute.key.local_name();
        event.attribute(name.as_ref(), Tag::of(name.as_ref()), &Value::Escaped(&attribute.value));
    }
    Ok(())
}

/// What stands for a reference in a text: XML's own five and characters by number; others stay as they are.
fn resolved(reference: &BytesRef<'_>) -> String {
    let character = reference.resolve_char_ref().ok().flatten().map(String::from);
    let predefined = || resolve_xml_entity(reference).map(str::to_owned);
    character.or_else(predefined).unwrap_or_else(|| format!("&{};", &**reference))
}
