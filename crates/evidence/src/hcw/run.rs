//! What both logs share while they are read: the zone, and what is known already.

use std::collections::HashMap;

use super::moment;
use crate::{
    fact::{Fact, Hybrid, HybridEntry},
    kinds::Reading,
    text::{Decoded, Places},
};

/// Bytes of a message that are kept: an exception's first lines say it all.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Errors that show no `HCWnnnn`, whatever their severity.
const ERROR_CODES: [&str; 4] = ["10165", "10224", "10251", "10296"];

/// Names the file of a picture, as an error.
const IMAGE_CODE: &str = "10042";

/// A log that is being read.
pub(super) struct Run<'a> {
    pub(super) reading: &'a mut Reading,
    places: Places<'a>,
    zone: Option<String>,
    /// Where the last fact about each thing is: a run asks for the same connector many times. What differs from the
    /// last is kept, for the last of all is what holds. As long as the list of facts at most.
    latest: HashMap<String, usize>,
}

/// When something was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct When<'a> {
    /// As written.
    pub(super) text: &'a str,
    /// As if it were UTC.
    pub(super) local_ms: Option<i64>,
}

impl<'a> Run<'a> {
    pub(super) fn new(decoded: &'a Decoded<'a>, reading: &'a mut Reading) -> Self {
        Run { reading, places: decoded.places(), zone: None, latest: HashMap::new() }
    }

    /// `Current Time Zone: Coordinated Universal Time (3:24:02 AM)`. Says whether the text is one.
    pub(super) fn zone(&mut self, text: &str) -> bool {
        let Some(zone) = text.strip_prefix("Current Time Zone:") else {
            return false;
        };
        let name = zone.rfind(" (").map_or(zone, |clock| &zone[..clock]);
        self.zone = Some(name.trim().to_owned());
        true
    }

    /// Keeps an entry, and says where.
    pub(super) fn hybrid(&mut self, at: usize, when: When<'_>, entry: HybridEntry) -> Option<usize> {
        let is_utc = self.zone.as_deref().is_some_and(moment::is_utc);
        let time_ms = when.local_ms.filter(|_| is_utc);
        self.keep(at, Fact::Hybrid(Hybrid { time_ms, time: when.text.to_owned(), zone: self.zone.clone(), entry }))
    }

    /// Keeps what a thing is like, unless the last that was said of it is the same.
    pub(super) fn state(&mut self, at: usize, fact: Fact) {
        let Some(thing) = thing(&fact) else {
            return;
        };
        let last = self.latest.get(&thing).and_then(|last| self.reading.found.get(*last));
        if last.is_some_and(|last| last.fact == fact) {
            return self.reading.pass("repeated state");
        }
        if let Some(place) = self.keep(at, fact) {
            self.latest.insert(thing, place);
        }
    }

    /// Keeps the text as a message if it is one: it names an `HCWnnnn`, or is an error.
    pub(super) fn message(
        &mut self,
        at: usize,
        when: When<'_>,
        code: &str,
        severity: Option<&str>,
        text: &str,
    ) -> bool {
        let number = wizard_code(text);
        let is_error = ERROR_CODES.contains(&code) || severity == Some("ERROR") && code != IMAGE_CODE;
        if number.is_none() && !is_error {
            return false;
        }
        let code = number.unwrap_or(code).to_owned();
        let text = self.without_frames(text);
        self.hybrid(at, when, HybridEntry::Message { code, severity: severity.map(str::to_owned), text });
        true
    }

    pub(super) fn reject(&mut self, at: usize, why: impl Into<String>) {
        let offset = self.places.offset(at);
        self.reading.reject(offset, why);
    }

    fn keep(&mut self, at: usize, fact: Fact) -> Option<usize> {
        let place = self.reading.found.len();
        let offset = self.places.offset(at);
        self.reading.keep(offset, fact);
        (self.reading.found.len() > place).then_some(place)
    }

    /// A message without the stack that an exception prints under it.
    fn without_frames(&mut self, text: &str) -> String {
        let is_frame =
            |line: &&str| line.trim_start().starts_with("at ") || line.trim_start().starts_with("--- End of");
        let mut kept = String::new();
        for line in text.lines().filter(|line| !is_frame(line)) {
            if !kept.is_empty() {
                kept.push('\n');
            }
            kept.push_str(line.trim_end());
            if kept.len() > MESSAGE_BYTES_MAX {
                kept.truncate(kept.floor_char_boundary(MESSAGE_BYTES_MAX));
                kept.push('…');
                self.reading.pass("rest of a long message");
                break;
            }
        }
        kept
    }
}

/// `HCW8103`.
fn wizard_code(text: &str) -> Option<&str> {
    let mut begins = text.match_indices("HCW").map(|(at, _)| at);
    begins.find_map(|at| {
        let digits = text[at + 3..].bytes().take_while(u8::is_ascii_digit).count();
        (digits == 4).then(|| &text[at..at + 7])
    })
}

/// What a fact is about.
fn thing(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Certificate(certificate) => {
            Some(format!("certificate\0{}\0{:?}", certificate.thumbprint, certificate.server))
        }
        Fact::CertificateNames(names) => Some(format!("names\0{}\0{:?}", names.thumbprint, names.server)),
        Fact::Connector(connector) => Some(format!("{:?}\0{}\0{:?}", connector.kind, connector.name, connector.server)),
        Fact::AcceptedDomain(domain) => Some(format!("domain\0{}", domain.domain)),
        Fact::ChainCheck(_) | Fact::Hybrid(_) => None,
    }
}
