//! The dictionaries of a split: those being built and those read in place.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smtplog::{Negotiation, NegotiationRows, Reply, Session, SourceSpan, Thumbprint};

use crate::{
    dictionary::{Dictionary, DictionaryBuilder},
    profile::{Negotiations, ReplyClass, put_negotiation, put_parameters, put_profile, put_reply_class},
};

/// Names of the dictionaries' files in a split, in the order of [`Builders::encode`].
pub(crate) const FILES: [&str; 9] =
    ["negotiations", "profiles", "replies", "names", "hosts", "mailboxes", "texts", "sources", PARAMETERS];

/// Name of the dictionary of what negotiations agreed on, which splits have since layout 5.
pub(crate) const PARAMETERS: &str = "parameters";

/// The dictionaries of a split that is being written.
#[derive(Default)]
pub(crate) struct Builders {
    negotiations: DictionaryBuilder,
    /// What negotiations agreed on, or why they failed.
    parameters: DictionaryBuilder,
    profiles: DictionaryBuilder,
    replies: DictionaryBuilder,
    /// HELO names, names of remotes and of peers.
    pub(crate) names: DictionaryBuilder,
    /// Addresses of endpoints, and endpoints that have no port.
    pub(crate) hosts: DictionaryBuilder,
    /// Envelope addresses.
    pub(crate) mailboxes: DictionaryBuilder,
    /// Texts of refusals without what is unique to them, and of failures.
    pub(crate) texts: DictionaryBuilder,
    sources: DictionaryBuilder,
    /// Phrases by text and, one higher, the name behind it; 0 where there is none.
    phrase_numbers: FxHashMap<(u32, u32), u32>,
    /// The same in order of number.
    phrases: Vec<(u32, u32)>,
    scratch: Vec<u8>,
    negotiation_numbers: Vec<u32>,
    /// Negotiations met last, with their numbers.
    recent_negotiations: Vec<(Negotiation, u32)>,
    /// The source numbered last: sessions of one file follow one another.
    last_source: Option<([u8; 32], u32)>,
}

impl Builders {
    pub(crate) fn profile(&mut self, session: &Session) -> u32 {
        self.negotiation_numbers.clear();
        for negotiation in &session.negotiations {
            let number = self.negotiation(negotiation);
            self.negotiation_numbers.push(number);
        }
        self.scratch.clear();
        put_profile(&mut self.scratch, session, &self.negotiation_numbers);
        self.profiles.number(&self.scratch)
    }

    /// A fleet's sessions have few negotiations, so one of the last is nearly always the one that comes: comparing it
    /// takes a tenth of writing it out again to look it up.
    fn negotiation(&mut self, negotiation: &Negotiation) -> u32 {
        if let Some(at) = self.recent_negotiations.iter().position(|(recent, _)| is_alike(recent, negotiation)) {
            let number = self.recent_negotiations[at].1;
            self.recent_negotiations.swap(0, at);
            return number;
        }
        self.scratch.clear();
        put_parameters(&mut self.scratch, negotiation);
        let parameters = self.parameters.number(&self.scratch);
        self.scratch.clear();
        put_negotiation(&mut self.scratch, negotiation, parameters);
        let number = self.negotiations.number(&self.scratch);
        self.recent_negotiations.truncate(RECENT_NEGOTIATIONS - 1);
        self.recent_negotiations.insert(0, (negotiation.clone(), number));
        number
    }

    /// Certificates of the negotiations so far, in order.
    pub(crate) fn thumbprints(&self) -> Vec<Thumbprint> {
        let (negotiations, parameters) = (self.negotiations.encode(), self.parameters.encode());
        let replies = self.replies.encode();
        let known = Negotiations {
            entries: Dictionary::open(&negotiations).unwrap_or_default(),
            parameters: Some(Dictionary::open(&parameters).unwrap_or_default()),
        };
        let classes = Dictionary::open(&replies).unwrap_or_default();
        let shown =
            (0..known.entries.len()).filter_map(|at| known.get(at)).flat_map(|one| [one.presented, one.received]);
        let named = classes.iter().filter_map(|(_, bytes)| ReplyClass::decode(bytes)?.thumbprint).map(Some);
        let mut thumbprints: Vec<Thumbprint> = shown.chain(named).flatten().collect();
        thumbprints.sort_unstable();
        thumbprints.dedup();
        thumbprints
    }

    pub(crate) fn reply_class(&mut self, reply: &Reply) -> u32 {
        self.scratch.clear();
        put_reply_class(&mut self.scratch, reply);
        self.replies.number(&self.scratch)
    }

    /// The number of a text that is searched by its words, with the name of the peer that stands behind it.
    pub(crate) fn phrase(&mut self, text: u32, host: Option<u32>) -> u32 {
        let phrase = (text, host.map_or(0, |host| host + 1));
        *self.phrase_numbers.entry(phrase).or_insert_with(|| {
            self.phrases.push(phrase);
            self.phrases.len() as u32 - 1
        })
    }

    /// Phrases so far: of each the text and, one higher, the name.
    pub(crate) fn phrases(&self) -> &[(u32, u32)] {
        &self.phrases
    }

    /// What the words of a phrase are taken from.
    pub(crate) fn shown(&self, (text, host): (u32, u32)) -> String {
        let host = host.checked_sub(1).map(|host| self.names.text(host));
        shown(self.texts.text(text), host)
    }

    pub(crate) fn source(&mut self, source: &SourceSpan) -> u32 {
        if let Some((identity, number)) = self.last_source
            && identity == source.identity
        {
            return number;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&source.identity);
        self.scratch.extend_from_slice(source.file.as_bytes());
        let number = self.sources.number(&self.scratch);
        self.last_source = Some((source.identity, number));
        number
    }

    /// Bytes held, for the bound on a split's memory.
    pub(crate) fn bytes(&self) -> usize {
        self.all().iter().map(|builder| builder.bytes()).sum::<usize>() + 24 * self.phrases.len()
    }

    pub(crate) fn encode(&self) -> [Vec<u8>; 9] {
        self.all().map(DictionaryBuilder::encode)
    }

    fn all(&self) -> [&DictionaryBuilder; 9] {
        let Builders { negotiations, profiles, replies, names, hosts, mailboxes, texts, sources, parameters, .. } =
            self;
        [negotiations, profiles, replies, names, hosts, mailboxes, texts, sources, parameters]
    }
}

/// A text, and the name that begins its trailing bracket.
pub(crate) fn shown(text: &[u8], host: Option<&[u8]>) -> String {
    let mut shown = String::from_utf8_lossy(text).into_owned();
    if let Some(host) = host {
        shown.push('[');
        shown.push_str(&String::from_utf8_lossy(host));
    }
    shown
}

/// Negotiations remembered with their numbers.
const RECENT_NEGOTIATIONS: usize = 8;

/// Whether two negotiations are the same but for their place in the session.
fn is_alike(a: &Negotiation, b: &Negotiation) -> bool {
    (a.presented, a.received, a.verb) == (b.presented, b.received, b.verb) && a.tls == b.tls && hashes(a) == hashes(b)
}

fn hashes(negotiation: &Negotiation) -> [Option<u64>; 3] {
    let NegotiationRows { presented, received, outcome } = negotiation.rows;
    [presented, received, outcome].map(|row| row.map(|row| row.hash))
}

/// The dictionaries of a written split.
pub(crate) struct Dictionaries<'a> {
    pub(crate) replies: Dictionary<'a>,
    pub(crate) names: Dictionary<'a>,
    pub(crate) hosts: Dictionary<'a>,
    pub(crate) mailboxes: Dictionary<'a>,
    pub(crate) texts: Dictionary<'a>,
    pub(crate) sources: Dictionary<'a>,
}

impl<'a> Dictionaries<'a> {
    pub(crate) fn reply_class(&self, number: u32) -> Option<ReplyClass<'a>> {
        ReplyClass::decode(self.replies.text(number)?)
    }

    pub(crate) fn source(&self, number: u32) -> Option<(Arc<str>, [u8; 32])> {
        let (identity, file) = self.sources.text(number)?.split_first_chunk::<32>()?;
        Some((std::str::from_utf8(file).ok()?.into(), *identity))
    }
}
