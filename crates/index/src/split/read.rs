//! Reading a split: its columns, words, dictionaries and records.

use std::{fs::File, io, path::Path, sync::OnceLock};

use rustc_hash::FxHashMap;
use smtplog::{Session, SessionId, Timestamp};
use tantivy::directory::{
    Directory, MmapDirectory, OwnedBytes,
    error::{OpenDirectoryError, OpenReadError},
};

use super::{
    bundle::{Bundle, Layout},
    columns::{Followed, Lists, Pairs, column, followed, list, pair, time_of_column},
    dictionaries::{Dictionaries, FILES, shown},
    record::{self, Columns},
    records::{self, BlockCache, Records},
    words::WordsReader,
    write::{PARTS, PARTS_DOCUMENT, PARTS_END},
};
use crate::{
    dictionary::Dictionary,
    packed::Packed,
    profile::{Glance, Negotiations, ReplyClass, each_text, profile},
    query::Phrase,
    sessions::Documents,
};

/// An open split.
pub(crate) struct SplitReader {
    bundle: Bundle,
    dictionaries: DictionaryFiles,
    /// By number, each read when it is first asked for: a split may have thousands, and most questions want few.
    profiles: OnceLock<Vec<OnceLock<Option<Box<Session>>>>>,
    words: OnceLock<Option<WordsReader>>,
    blocks: BlockCache,
    count: u32,
}

struct DictionaryFiles {
    negotiations: OwnedBytes,
    parameters: Option<OwnedBytes>,
    profiles: OwnedBytes,
    replies: OwnedBytes,
    names: OwnedBytes,
    hosts: OwnedBytes,
    mailboxes: OwnedBytes,
    texts: OwnedBytes,
    sources: OwnedBytes,
}

/// Why a split is not readable; for the report, since answers come from the rest.
pub(crate) type Reason = String;

/// The reason of a split whose file is not there.
pub(crate) const VANISHED: &str = "missing";

fn unreadable(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::NotFound => VANISHED.to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

impl SplitReader {
    /// Opens a split.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<SplitReader, Reason> {
        SplitReader::open_layout(folder, name, Layout::Current)
    }

    /// Opens a split of some layout. One of the layout before gives its sessions back, and cannot be asked.
    pub(crate) fn open_layout(folder: &Path, name: &str, layout: Layout) -> Result<SplitReader, Reason> {
        let file_name = format!("{name}.split");
        // What tantivy says of files that cannot be opened is for programmers.
        File::open(folder.join(&file_name)).map_err(|error| unreadable(&error))?;
        let directory = MmapDirectory::open(folder).map_err(|error| match error {
            OpenDirectoryError::IoError { io_error, .. } => unreadable(&io_error),
            error => error.to_string(),
        })?;
        let file = directory.open_read(Path::new(&file_name)).map_err(|error| match error {
            OpenReadError::FileDoesNotExist(_) => VANISHED.to_owned(),
            OpenReadError::IoError { io_error, .. } => unreadable(&io_error),
            error => error.to_string(),
        })?;
        let bundle = Bundle::open(&file, layout).ok_or("damaged: its table cannot be read")?;
        let dictionaries = DictionaryFiles::open(&bundle).ok_or("damaged: a dictionary is missing")?;
        let mut split = SplitReader {
            bundle,
            dictionaries,
            profiles: OnceLock::new(),
            words: OnceLock::new(),
            blocks: BlockCache::default(),
            count: 0,
        };
        let dense = [column::PROFILE, column::STARTED, column::DURATION, column::SESSION];
        let counts = dense.map(|name| split.column(name).len());
        split.count = counts[0];
        let is_whole = counts.iter().all(|&count| count == split.count) && split.count > 0;
        is_whole.then_some(split).ok_or_else(|| "damaged: its columns cannot be read".to_owned())
    }

    /// Files of the split whose checksum is wrong.
    pub(crate) fn damaged_files(&self) -> Vec<String> {
        self.bundle.damaged_files()
    }

    /// Number of sessions.
    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    /// A profile, as a session that has nothing else.
    pub(crate) fn profile(&self, number: u64) -> Option<&Session> {
        let profiles = dictionary(&self.dictionaries.profiles);
        let slots = self.profiles.get_or_init(|| (0..profiles.len()).map(|_| OnceLock::new()).collect());
        let slot = slots.get(usize::try_from(number).ok()?)?;
        let read = || {
            let bytes = profiles.text(u32::try_from(number).ok()?)?;
            profile(bytes, self.negotiations()).map(Box::new)
        };
        slot.get_or_init(read).as_deref()
    }

    /// What of a profile tells whether its sessions can be partners.
    pub(crate) fn glance(&self, number: u32) -> Option<Glance> {
        let profile = dictionary(&self.dictionaries.profiles).text(number)?;
        Glance::of(profile, self.negotiations())
    }

    /// Numbers of the profiles with a connector or failure that satisfies a predicate, each text being asked once.
    pub(crate) fn profiles_with_text(&self, predicate: impl Fn(&str) -> bool) -> Vec<u32> {
        let negotiations = self.negotiations();
        let mut asked: FxHashMap<&[u8], bool> = FxHashMap::default();
        let mut is_wanted =
            |text| *asked.entry(text).or_insert_with(|| std::str::from_utf8(text).is_ok_and(&predicate));
        let mut numbers = Vec::new();
        for (number, profile) in dictionary(&self.dictionaries.profiles).iter() {
            let mut matches = false;
            // What stands before the damage counts all the same.
            let _ = each_text(profile, negotiations, |text| matches |= is_wanted(text));
            numbers.extend(matches.then_some(number));
        }
        numbers
    }

    /// The distinct profiles, in order of number; `None` for one that cannot be read.
    pub(crate) fn profiles(&self) -> impl Iterator<Item = Option<&Session>> {
        (0..dictionary(&self.dictionaries.profiles).len()).map(|number| self.profile(number.into()))
    }

    /// The distinct classes of replies with their numbers; one that cannot be read is left out, and the sessions that
    /// refer to it are reported as damaged.
    pub(crate) fn reply_classes(&self) -> impl Iterator<Item = (u32, ReplyClass<'_>)> {
        let classes = dictionary(&self.dictionaries.replies);
        (0..classes.len()).filter_map(move |number| Some((number, ReplyClass::decode(classes.text(number)?)?)))
    }

    /// A class of replies.
    pub(crate) fn reply_class(&self, number: u32) -> Option<ReplyClass<'_>> {
        ReplyClass::decode(dictionary(&self.dictionaries.replies).text(number)?)
    }

    /// Numbers of the classes of replies that satisfy a predicate.
    pub(crate) fn reply_classes_with(&self, predicate: impl Fn(&ReplyClass<'_>) -> bool) -> Vec<u32> {
        self.reply_classes().filter(|(_, class)| predicate(class)).map(|(number, _)| number).collect()
    }

    pub(crate) fn names(&self) -> Dictionary<'_> {
        dictionary(&self.dictionaries.names)
    }

    pub(crate) fn hosts(&self) -> Dictionary<'_> {
        dictionary(&self.dictionaries.hosts)
    }

    pub(crate) fn mailboxes(&self) -> Dictionary<'_> {
        dictionary(&self.dictionaries.mailboxes)
    }

    /// A column by its name; one that cannot be read has no numbers.
    pub(crate) fn column(&self, name: &str) -> Packed<'_> {
        self.bundle.slice(name).and_then(Packed::open).unwrap_or_default()
    }

    /// Pairs by the names of their files.
    pub(crate) fn pairs(&self, (keys, values): pair::Name) -> Pairs<'_> {
        Pairs { keys: self.column(keys), values: self.column(values) }
    }

    /// Followed pairs by the names of their files.
    pub(crate) fn followed(&self, name: &followed::Name) -> Followed<'_> {
        let followed::Name { pairs, profile, started, duration } = *name;
        Followed {
            pairs: self.pairs(pairs),
            profile: self.column(profile),
            started: self.column(started),
            duration: self.column(duration),
        }
    }

    /// Lists by the names of their files.
    pub(crate) fn lists(&self, (starts, entries): list::Name) -> Lists<'_> {
        Lists { starts: self.column(starts), entries: self.column(entries) }
    }

    /// Documents whose profile is one of these.
    pub(crate) fn with_profiles(&self, numbers: &[u32], documents: &mut Documents) {
        let lists = self.lists(list::PROFILES);
        numbers.iter().flat_map(|&number| lists.of(number)).for_each(|document| documents.insert(document));
    }

    /// Documents that have a reply of one of these classes.
    pub(crate) fn with_replies(&self, classes: &[u32], documents: &mut Documents) {
        let (lists, of_row) = (self.lists(list::CLASSES), self.column(column::REPLY_DOCUMENT));
        let found = classes.iter().flat_map(|&class| lists.of(class)).filter_map(|row| of_row.get(row));
        found.for_each(|document| documents.insert(document as u32));
    }

    /// Number of phrases: distinct texts of refusals and failures.
    pub(crate) fn phrases(&self) -> u32 {
        self.column(column::PHRASE_TEXT).len()
    }

    /// Phrases that have words in a row.
    pub(crate) fn with_words(&self, phrase: &Phrase) -> tantivy::Result<Documents> {
        let mut phrases = Documents::none(self.phrases());
        let words = self.words.get_or_init(|| WordsReader::open(&self.bundle));
        let Some(words) = words.as_ref().filter(|_| self.phrases() > 0) else { return Ok(phrases) };
        let is_exact = phrase.tokens().len() == 1 || !phrase.prefix;
        for number in words.with_phrase(phrase)?.iter() {
            if is_exact || self.phrase(number).is_some_and(|text| phrase.is_in(&text)) {
                phrases.insert(number);
            }
        }
        Ok(phrases)
    }

    /// Whether the words of phrases can be searched, or there are none.
    pub(crate) fn has_words(&self) -> bool {
        self.phrases() == 0 || self.words.get_or_init(|| WordsReader::open(&self.bundle)).is_some()
    }

    /// What the words of a phrase are taken from.
    pub(crate) fn phrase(&self, number: u32) -> Option<String> {
        let text = self.column(column::PHRASE_TEXT).get(number)?;
        let host = self.column(column::PHRASE_HOST).get(number)?;
        let text = dictionary(&self.dictionaries.texts).text(u32::try_from(text).ok()?)?;
        let host = match host.checked_sub(1) {
            Some(host) => Some(self.names().text(u32::try_from(host).ok()?)?),
            None => None,
        };
        Some(shown(text, host))
    }

    /// The columns that every session has.
    pub(crate) fn times(&self) -> Times<'_> {
        Times {
            started: self.column(column::STARTED),
            duration: self.column(column::DURATION),
            session: self.column(column::SESSION),
        }
    }

    /// The runs that brought the sessions, by document; no numbers in a split of before they were kept.
    pub(crate) fn brought(&self) -> Packed<'_> {
        self.column(column::BROUGHT)
    }

    /// A session from its record. `None` means that the split is damaged.
    pub(crate) fn session(&self, document: u32, times: &Times<'_>) -> Option<Session> {
        let columns = Columns {
            started: times.started(document)?,
            last: times.last(document)?,
            session: SessionId(times.session.get(document)?),
        };
        let records = Records {
            blocks: self.bundle.slice(records::BLOCKS)?,
            first: self.column(records::FIRST),
            offset: self.column(records::OFFSET),
        };
        let profile = self.profile(self.column(column::PROFILE).get(document)?)?;
        let dictionaries = self.dictionaries();
        records.record(document, &self.blocks, |record| record::decode(record, profile, columns, &dictionaries))?
    }

    /// Whether the rows of a session are stored beside its record.
    pub(crate) fn has_parts(&self, document: u32) -> bool {
        let documents = self.column(PARTS_DOCUMENT);
        documents.get(documents.lower_bound(document.into())) == Some(document.into())
    }

    /// The rows of a session that was given up, as they were stored beside its record.
    pub(crate) fn parts(&self, document: u32) -> Option<Vec<u8>> {
        let documents = self.column(PARTS_DOCUMENT);
        let at = documents.lower_bound(document.into());
        documents.get(at).filter(|&found| found == u64::from(document))?;
        let ends = self.column(PARTS_END);
        let start = at.checked_sub(1).map_or(Some(0), |before| ends.get(before))?;
        let range = usize::try_from(start).ok()?..usize::try_from(ends.get(at)?).ok()?;
        records::decompress(self.bundle.slice(PARTS)?.get(range)?)
    }

    fn negotiations(&self) -> Negotiations<'_> {
        Negotiations {
            entries: dictionary(&self.dictionaries.negotiations),
            parameters: self.dictionaries.parameters.as_ref().map(dictionary),
        }
    }

    fn dictionaries(&self) -> Dictionaries<'_> {
        Dictionaries {
            replies: dictionary(&self.dictionaries.replies),
            names: self.names(),
            hosts: self.hosts(),
            mailboxes: self.mailboxes(),
            texts: dictionary(&self.dictionaries.texts),
            sources: dictionary(&self.dictionaries.sources),
        }
    }
}

impl DictionaryFiles {
    fn open(bundle: &Bundle) -> Option<DictionaryFiles> {
        let file = |name: &str| bundle.file(name).filter(|bytes| Dictionary::open(bytes).is_some());
        let [negotiations, profiles, replies, names, hosts, mailboxes, texts, sources, parameters] = FILES;
        Some(DictionaryFiles {
            negotiations: file(negotiations)?,
            parameters: match bundle.file(parameters) {
                Some(_) => Some(file(parameters)?),
                None => None, // A split of before layout 5.
            },
            profiles: file(profiles)?,
            replies: file(replies)?,
            names: file(names)?,
            hosts: file(hosts)?,
            mailboxes: file(mailboxes)?,
            texts: file(texts)?,
            sources: file(sources)?,
        })
    }
}

/// The times and ids of a split's sessions.
#[derive(Clone, Copy)]
pub(crate) struct Times<'a> {
    pub(crate) started: Packed<'a>,
    duration: Packed<'a>,
    pub(crate) session: Packed<'a>,
}

impl Times<'_> {
    pub(crate) fn started(&self, document: u32) -> Option<Timestamp> {
        self.started.get(document).map(|value| Timestamp(time_of_column(value)))
    }

    /// When sessions started, for documents that are asked for in order.
    pub(crate) fn started_in_order(&self) -> impl FnMut(u32) -> Option<Timestamp> + use<'_> {
        let mut started = self.started.cursor();
        move |document| started.get(document).map(|value| Timestamp(time_of_column(value)))
    }

    /// What no session's duration is above, in milliseconds.
    pub(crate) fn longest(&self) -> u64 {
        self.duration.bound()
    }

    pub(crate) fn last(&self, document: u32) -> Option<Timestamp> {
        let duration = self.duration.get(document)? as i64;
        Some(Timestamp(self.started(document)?.0.wrapping_add(duration)))
    }
}

/// Checked when the split was opened; bytes that are none give no texts.
fn dictionary(bytes: &OwnedBytes) -> Dictionary<'_> {
    Dictionary::open(bytes).unwrap_or_default()
}
