//! The columns and postings of a split.
//!
//! Columns hold numbers only: of dictionary entries, times, ids, hashes. Postings exist for the two numbers by which
//! nearly every question begins, profile and reply class, and for the words of refusals and failures. What is unique to
//! a session (message ids, session ids) is a column: a term for each would triple the store.

use tantivy::{
    schema::{FAST, Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{Token, TokenStream, Tokenizer},
};

use crate::query::{Tokens, fold_token};

/// Name under which the tokenizer is registered.
pub(super) const TOKENIZER: &str = "smtptrail";

/// Names of the columns.
pub(crate) mod column {
    pub(crate) const PROFILE: &str = "profile";
    pub(crate) const REPLY: &str = "reply";
    pub(crate) const STARTED: &str = "started";
    pub(crate) const DURATION: &str = "duration";
    pub(crate) const SESSION: &str = "session";
    pub(crate) const HELO: &str = "helo";
    pub(crate) const REMOTE_NAME: &str = "remote_name";
    pub(crate) const LOCAL: &str = "local";
    pub(crate) const REMOTE: &str = "remote";
    pub(crate) const EGRESS: &str = "egress";
    pub(crate) const FROM: &str = "from";
    pub(crate) const TO: &str = "to";
    pub(crate) const MESSAGE_ID: &str = "message_id";
    pub(crate) const PEER: &str = "peer";
    pub(crate) const LINK: &str = "link";
}

/// The fields of a split's index.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    pub(super) profile: Field,
    pub(super) reply: Field,
    pub(super) started: Field,
    pub(super) duration: Field,
    pub(super) session: Field,
    pub(super) helo: Field,
    pub(super) remote_name: Field,
    pub(super) local: Field,
    pub(super) remote: Field,
    pub(super) egress: Field,
    pub(super) from: Field,
    pub(super) to: Field,
    pub(super) message_id: Field,
    pub(super) peer: Field,
    pub(super) link: Field,
    pub(super) text: Field,
    pub(super) failure: Field,
    pub(super) record: Field,
    pub(super) parts: Field,
}

impl Fields {
    pub(super) fn new() -> Fields {
        let mut builder = Schema::builder();
        let words = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let words = TextOptions::default().set_indexing_options(words);
        // Spelled out, because the flag INDEXED also asks for field norms, which nothing here is scored by.
        let numbers = NumericOptions::default().set_indexed().set_fast();
        Fields {
            profile: builder.add_u64_field(column::PROFILE, numbers.clone()),
            reply: builder.add_u64_field(column::REPLY, numbers),
            started: builder.add_u64_field(column::STARTED, FAST),
            duration: builder.add_u64_field(column::DURATION, FAST),
            session: builder.add_u64_field(column::SESSION, FAST),
            helo: builder.add_u64_field(column::HELO, FAST),
            remote_name: builder.add_u64_field(column::REMOTE_NAME, FAST),
            local: builder.add_u64_field(column::LOCAL, FAST),
            remote: builder.add_u64_field(column::REMOTE, FAST),
            egress: builder.add_u64_field(column::EGRESS, FAST),
            from: builder.add_u64_field(column::FROM, FAST),
            to: builder.add_u64_field(column::TO, FAST),
            message_id: builder.add_u64_field(column::MESSAGE_ID, FAST),
            peer: builder.add_u64_field(column::PEER, FAST),
            link: builder.add_u64_field(column::LINK, FAST),
            text: builder.add_text_field("text", words.clone()),
            failure: builder.add_text_field("failure", words),
            record: builder.add_bytes_field("record", STORED),
            parts: builder.add_bytes_field("parts", STORED),
            schema: builder.build(),
        }
    }
}

/// A time as the columns hold it: they are unsigned, and times before 1970 sort first.
pub(crate) fn time_to_column(ms: i64) -> u64 {
    (ms as u64) ^ (1 << 63)
}

/// The inverse of [`time_to_column`].
pub(crate) fn time_of_column(value: u64) -> i64 {
    (value ^ (1 << 63)) as i64
}

/// What a message id's column holds: 40 bits of its hash. The record decides in the end, and shorter values make the
/// largest column of a split a third smaller.
pub(crate) fn message_id_hash(message_id: &str) -> u64 {
    message_id_hash_of_key(&crate::query::message_id_key(message_id))
}

/// The same from what message ids are compared by.
pub(crate) fn message_id_hash_of_key(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes()) >> 24
}

/// The query's own words, as tantivy wants them.
#[derive(Clone, Default)]
pub(super) struct Words;

/// The words of one text.
pub(super) struct WordStream<'t> {
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
