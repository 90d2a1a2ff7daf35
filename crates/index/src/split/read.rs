//! Reading a split: its columns, postings, dictionaries and records.

use std::{ops::RangeInclusive, panic::AssertUnwindSafe, path::Path, sync::OnceLock};

use smtplog::{Session, SessionId, Timestamp};
use tantivy::{
    DocSet, Index, SegmentReader, TERMINATED, TantivyDocument, Term,
    columnar::Column,
    directory::{Directory, MmapDirectory, OwnedBytes},
    postings::SegmentPostings,
    query::{EnableScoring, PhraseQuery, Query as _},
    schema::{Field, IndexRecordOption, Value},
    store::StoreReader,
};

use super::{
    bundle::Bundle,
    dictionaries::Dictionaries,
    record::{self, Columns},
    schema::{Fields, column, time_of_column},
};
use crate::{
    dictionary::Dictionary,
    profile::{Profile, ReplyClass, negotiation},
    query::Phrase,
    sessions::Documents,
};

/// Decompressed blocks of records that are kept. A split holds one file after the other, so sessions in order of time
/// alternate between the files of a day: with 8 blocks, printing 219,000 sessions took three times as long.
const RECORD_BLOCKS_CACHED: usize = 128;

/// An open split.
pub(crate) struct SplitReader {
    bundle: Bundle,
    segment: SegmentReader,
    fields: Fields,
    files: DictionaryFiles,
    profiles: OnceLock<Vec<Profile>>,
    replies: OnceLock<Vec<ReplyClass>>,
    records: OnceLock<StoreReader>,
}

struct DictionaryFiles {
    negotiations: OwnedBytes,
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

/// Words of which postings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordField {
    /// Texts of refusals.
    Text,
    /// Failures that are no replies and are not in the profile.
    Failure,
}

impl SplitReader {
    /// Opens a split. The library panics on some damaged files, which means here what an error means.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<SplitReader, Reason> {
        std::panic::catch_unwind(AssertUnwindSafe(|| open(folder, name)))
            .unwrap_or_else(|_| Err("damaged: its index cannot be opened".to_owned()))
    }

    /// Files of the split whose checksum is wrong.
    pub(crate) fn damaged_files(&self) -> Vec<String> {
        self.bundle.damaged_files()
    }

    /// Number of sessions.
    pub(crate) fn len(&self) -> u32 {
        self.segment.max_doc()
    }

    /// The distinct profiles.
    pub(crate) fn profiles(&self) -> &[Profile] {
        self.profiles.get_or_init(|| {
            let known = decode_all(&self.files.negotiations, negotiation);
            decode_all(&self.files.profiles, |bytes| Profile::decode(bytes, &known))
        })
    }

    /// The distinct classes of replies.
    pub(crate) fn replies(&self) -> &[ReplyClass] {
        self.replies.get_or_init(|| decode_all(&self.files.replies, ReplyClass::decode))
    }

    pub(crate) fn names(&self) -> Dictionary<'_> {
        dictionary(&self.files.names)
    }

    pub(crate) fn hosts(&self) -> Dictionary<'_> {
        dictionary(&self.files.hosts)
    }

    pub(crate) fn mailboxes(&self) -> Dictionary<'_> {
        dictionary(&self.files.mailboxes)
    }

    /// A column by its name; `None` if no session of the split has a value.
    pub(crate) fn column(&self, name: &str) -> Option<Column<u64>> {
        self.segment.fast_fields().u64(name).ok()
    }

    /// Documents whose profile is one of these.
    pub(crate) fn with_profiles(&self, numbers: &[u32], documents: &mut Documents) -> tantivy::Result<()> {
        self.with_numbers(self.fields.profile, numbers, documents)
    }

    /// Documents that have a reply of one of these classes.
    pub(crate) fn with_replies(&self, numbers: &[u32], documents: &mut Documents) -> tantivy::Result<()> {
        self.with_numbers(self.fields.reply, numbers, documents)
    }

    fn with_numbers(&self, field: Field, numbers: &[u32], documents: &mut Documents) -> tantivy::Result<()> {
        let index = self.segment.inverted_index(field)?;
        for &number in numbers {
            let term = Term::from_field_u64(field, number.into());
            if let Some(postings) = index.read_postings(&term, IndexRecordOption::Basic)? {
                insert_all(postings, documents);
            }
        }
        Ok(())
    }

    /// Documents that have a phrase in a text. With a prefix and several words, documents that have all the words;
    /// the caller looks into the texts.
    pub(crate) fn with_phrase(&self, field: WordField, phrase: &Phrase) -> tantivy::Result<(Documents, bool)> {
        let field = match field {
            WordField::Text => self.fields.text,
            WordField::Failure => self.fields.failure,
        };
        match phrase.tokens() {
            [word] => Ok((self.with_word(field, word, phrase.prefix)?, true)),
            words if !phrase.prefix => {
                let terms = words.iter().map(|word| Term::from_field_text(field, word)).collect();
                Ok((self.with_terms_in_a_row(terms)?, true))
            }
            words => {
                let mut documents = Documents::all(self.len());
                for (at, word) in words.iter().enumerate() {
                    let prefix = at + 1 == words.len();
                    documents = documents.and(&self.with_word(field, word, prefix)?);
                }
                Ok((documents, false))
            }
        }
    }

    fn with_word(&self, field: Field, word: &str, prefix: bool) -> tantivy::Result<Documents> {
        let mut documents = Documents::none(self.len());
        let index = self.segment.inverted_index(field)?;
        if !prefix {
            let term = Term::from_field_text(field, word);
            if let Some(postings) = index.read_postings(&term, IndexRecordOption::Basic)? {
                insert_all(postings, &mut documents);
            }
            return Ok(documents);
        }
        let mut terms = index.terms().range().ge(word.as_bytes()).into_stream()?;
        while terms.advance() && terms.key().starts_with(word.as_bytes()) {
            let postings = index.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
            insert_all(postings, &mut documents);
        }
        Ok(documents)
    }

    fn with_terms_in_a_row(&self, terms: Vec<Term>) -> tantivy::Result<Documents> {
        let mut documents = Documents::none(self.len());
        let query = PhraseQuery::new(terms);
        let weight = query.weight(EnableScoring::disabled_from_schema(&self.fields.schema))?;
        let mut scorer = weight.scorer(&self.segment, 1.0)?;
        while scorer.doc() != TERMINATED {
            documents.insert(scorer.doc());
            scorer.advance();
        }
        Ok(documents)
    }

    /// Documents with a value of a column in a range, in order.
    ///
    /// The range is cut to the values that the column has: the library takes what lies below the least value for the
    /// least value, and would return its documents.
    pub(crate) fn in_range(&self, name: &str, range: RangeInclusive<u64>) -> Vec<u32> {
        let mut found = Vec::new();
        let Some(column) = self.column(name) else { return found };
        let (least, greatest) = (column.min_value().max(*range.start()), column.max_value().min(*range.end()));
        if least <= greatest {
            column.get_docids_for_value_range(least..=greatest, 0..self.len(), &mut found);
        }
        found
    }

    /// The columns that every session has.
    pub(crate) fn times(&self) -> Option<Times> {
        Some(Times {
            started: self.column(column::STARTED)?,
            duration: self.column(column::DURATION)?,
            session: self.column(column::SESSION)?,
        })
    }

    /// A session from its record. `None` means that the split is damaged.
    pub(crate) fn session(&self, document: u32, times: &Times) -> Option<Session> {
        let started = times.started(document)?;
        let columns =
            Columns { started, last: times.last(document)?, session: SessionId(times.session.first(document)?) };
        let record = self.stored(document, self.fields.record)?;
        record::decode(&record, columns, &self.dictionaries())
    }

    /// The rows of a session that was given up, as they were stored beside its record.
    pub(crate) fn parts(&self, document: u32) -> Option<Vec<u8>> {
        self.stored(document, self.fields.parts)
    }

    fn stored(&self, document: u32, field: Field) -> Option<Vec<u8>> {
        if self.records.get().is_none() {
            let reader = self.segment.get_store_reader(RECORD_BLOCKS_CACHED).ok()?;
            let _ = self.records.set(reader); // Another thread may have been first; its reader serves as well.
        }
        let stored: TantivyDocument = self.records.get()?.get(document).ok()?;
        let bytes = stored.get_first(field)?.as_bytes()?;
        Some(bytes.to_vec())
    }

    fn dictionaries(&self) -> Dictionaries<'_> {
        Dictionaries {
            profiles: self.profiles(),
            replies: self.replies(),
            names: self.names(),
            hosts: self.hosts(),
            mailboxes: self.mailboxes(),
            texts: dictionary(&self.files.texts),
            sources: dictionary(&self.files.sources),
        }
    }
}

/// The times and ids of a split's sessions.
pub(crate) struct Times {
    started: Column<u64>,
    duration: Column<u64>,
    pub(crate) session: Column<u64>,
}

impl Times {
    pub(crate) fn started(&self, document: u32) -> Option<Timestamp> {
        self.started.first(document).map(|value| Timestamp(time_of_column(value)))
    }

    pub(crate) fn last(&self, document: u32) -> Option<Timestamp> {
        let duration = self.duration.first(document)? as i64;
        Some(Timestamp(self.started(document)?.0.wrapping_add(duration)))
    }
}

fn open(folder: &Path, name: &str) -> Result<SplitReader, Reason> {
    let directory = MmapDirectory::open(folder).map_err(|error| error.to_string())?;
    let file = directory.open_read(Path::new(&format!("{name}.split"))).map_err(|error| match error {
        tantivy::directory::error::OpenReadError::FileDoesNotExist(_) => "missing".to_owned(),
        error => error.to_string(),
    })?;
    let bundle = Bundle::open(&file).ok_or("damaged: its table cannot be read")?;
    let index = Index::open(bundle.clone()).map_err(|error| error.to_string())?;
    let segments = index.searchable_segments().map_err(|error| error.to_string())?;
    let [segment] = segments.as_slice() else { return Err("damaged: not one segment".to_owned()) };
    let segment = SegmentReader::open(segment).map_err(|error| error.to_string())?;
    let file = |name: &str| bundle.file(name).filter(|bytes| Dictionary::open(bytes).is_some());
    let missing = || "damaged: a dictionary is missing".to_owned();
    let files = DictionaryFiles {
        negotiations: file("negotiations").ok_or_else(missing)?,
        profiles: file("profiles").ok_or_else(missing)?,
        replies: file("replies").ok_or_else(missing)?,
        names: file("names").ok_or_else(missing)?,
        hosts: file("hosts").ok_or_else(missing)?,
        mailboxes: file("mailboxes").ok_or_else(missing)?,
        texts: file("texts").ok_or_else(missing)?,
        sources: file("sources").ok_or_else(missing)?,
    };
    Ok(SplitReader {
        bundle,
        segment,
        fields: Fields::new(),
        files,
        profiles: OnceLock::new(),
        replies: OnceLock::new(),
        records: OnceLock::new(),
    })
}

/// Checked when the split was opened; bytes that are none give no texts.
fn dictionary(bytes: &OwnedBytes) -> Dictionary<'_> {
    Dictionary::open(bytes).unwrap_or_default()
}

/// Entries of a damaged dictionary end the list, and the sessions that refer to them are reported as damaged.
fn decode_all<T>(bytes: &OwnedBytes, decode: impl Fn(&[u8]) -> Option<T>) -> Vec<T> {
    dictionary(bytes).iter().map_while(|(_, text)| decode(text)).collect()
}

fn insert_all(mut postings: SegmentPostings, documents: &mut Documents) {
    let mut document = postings.doc();
    while document != TERMINATED {
        documents.insert(document);
        document = postings.advance();
    }
}
