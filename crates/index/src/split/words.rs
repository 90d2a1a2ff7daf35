//! The words of a split's phrases, by tantivy.
//!
//! What is tokenized and indexed is each distinct text once, with the name of the remote that ends it: a fleet has a
//! few hundred phrases for a hundred thousand refusals. A phrase's number is its document number here.

use std::{iter, panic::AssertUnwindSafe};

use tantivy::{
    DocSet, Index, IndexSettings, SegmentReader, SingleSegmentIndexWriter, TERMINATED, Term,
    directory::{Directory, RamDirectory},
    postings::SegmentPostings,
    query::{EnableScoring, PhraseQuery, Query as _},
    schema::{
        Document, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
        document::{ReferenceValue, ReferenceValueLeaf, Value},
    },
    tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager},
};

use super::bundle::Bundle;
use crate::{
    StoreError,
    query::{Phrase, Tokens, fold_token},
    sessions::Documents,
};

/// Name under which the tokenizer is registered.
const TOKENIZER: &str = "smtptrail";

/// Memory that tantivy may take for a split's words. It never cuts a segment of a single-segment writer by it.
const MEMORY_BYTES: usize = 64 << 20;

fn schema() -> (Schema, Field) {
    let mut builder = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let field = builder.add_text_field("text", TextOptions::default().set_indexing_options(words));
    (builder.build(), field)
}

/// Writes the words of phrases, in order of their numbers.
pub(super) struct WordsWriter {
    writer: SingleSegmentIndexWriter<Text>,
    directory: RamDirectory,
    field: Field,
}

impl WordsWriter {
    pub(super) fn new() -> Result<WordsWriter, StoreError> {
        let (schema, field) = schema();
        let directory = RamDirectory::create();
        let tokenizers = TokenizerManager::default();
        tokenizers.register(TOKENIZER, Words);
        let settings = IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() };
        let writer = Index::builder()
            .schema(schema)
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), MEMORY_BYTES)?;
        Ok(WordsWriter { writer, directory, field })
    }

    pub(super) fn add(&mut self, text: String) -> Result<(), StoreError> {
        Ok(self.writer.add_document(Text { field: self.field, text })?)
    }

    /// Bytes held, for the bound on a split's memory.
    pub(super) fn bytes(&self) -> usize {
        self.writer.mem_usage()
    }

    /// The index's files.
    pub(super) fn finish(self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let index = self.writer.finalize()?;
        let mut names: Vec<_> = index.directory().list_managed_files().into_iter().collect();
        names.retain(|name| self.directory.exists(name).unwrap_or(false));
        names.sort();
        let file = |name: std::path::PathBuf| {
            let bytes = self.directory.open_read(&name)?.read_bytes()?.to_vec();
            Ok((name.to_string_lossy().into_owned(), bytes))
        };
        names.into_iter().map(file).collect()
    }
}

/// The words of a written split.
pub(super) struct WordsReader {
    segment: SegmentReader,
    schema: Schema,
    field: Field,
}

impl WordsReader {
    /// Opens the index in a bundle. The library panics on some damaged files, which means here what an error means.
    pub(super) fn open(bundle: &Bundle) -> Option<WordsReader> {
        let open = || {
            let index = Index::open(bundle.clone()).ok()?;
            let segments = index.searchable_segments().ok()?;
            let [segment] = segments.as_slice() else { return None };
            let (schema, field) = schema();
            Some(WordsReader { segment: SegmentReader::open(segment).ok()?, schema, field })
        };
        std::panic::catch_unwind(AssertUnwindSafe(open)).ok().flatten()
    }

    /// Phrases with these words in a row. With a prefix and several words, those that have all the words; the caller
    /// looks into the texts.
    pub(super) fn with_phrase(&self, phrase: &Phrase) -> tantivy::Result<Documents> {
        match phrase.tokens() {
            [word] => self.with_word(word, phrase.prefix),
            words if !phrase.prefix => self.in_a_row(words),
            words => {
                let mut documents = Documents::all(self.segment.max_doc());
                for (at, word) in words.iter().enumerate() {
                    let is_prefix = at + 1 == words.len();
                    documents = documents.and(&self.with_word(word, is_prefix)?);
                }
                Ok(documents)
            }
        }
    }

    fn with_word(&self, word: &str, is_prefix: bool) -> tantivy::Result<Documents> {
        let mut documents = Documents::none(self.segment.max_doc());
        let index = self.segment.inverted_index(self.field)?;
        if !is_prefix {
            let term = Term::from_field_text(self.field, word);
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

    fn in_a_row(&self, words: &[String]) -> tantivy::Result<Documents> {
        let mut documents = Documents::none(self.segment.max_doc());
        let query = PhraseQuery::new(words.iter().map(|word| Term::from_field_text(self.field, word)).collect());
        let weight = query.weight(EnableScoring::disabled_from_schema(&self.schema))?;
        let mut scorer = weight.scorer(&self.segment, 1.0)?;
        while scorer.doc() != TERMINATED {
            documents.insert(scorer.doc());
            scorer.advance();
        }
        Ok(documents)
    }
}

fn insert_all(mut postings: SegmentPostings, documents: &mut Documents) {
    let mut document = postings.doc();
    while document != TERMINATED {
        documents.insert(document);
        document = postings.advance();
    }
}

/// A phrase as tantivy takes it.
struct Text {
    field: Field,
    text: String,
}

/// The value of a phrase's one field.
#[derive(Clone, Copy, Debug)]
struct TextValue<'a>(&'a str);

impl<'a> Value<'a> for TextValue<'a> {
    type ArrayIter = iter::Empty<TextValue<'a>>;
    type ObjectIter = iter::Empty<(&'a str, TextValue<'a>)>;

    fn as_value(&self) -> ReferenceValue<'a, TextValue<'a>> {
        ReferenceValue::Leaf(ReferenceValueLeaf::Str(self.0))
    }
}

impl Document for Text {
    type Value<'a> = TextValue<'a>;
    type FieldsValuesIter<'a> = iter::Once<(Field, TextValue<'a>)>;

    fn iter_fields_and_values(&self) -> iter::Once<(Field, TextValue<'_>)> {
        iter::once((self.field, TextValue(&self.text)))
    }
}

/// The query's own words, as tantivy wants them.
#[derive(Clone, Default)]
struct Words;

/// The words of one text.
struct WordStream<'t> {
    runs: Tokens<'t>,
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'t> = WordStream<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> WordStream<'t> {
        WordStream { runs: Tokens::new(text), token: Token::default() }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(run) = self.runs.next() else { return false };
        self.token.text.clear();
        fold_token(run, &mut self.token.text);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
