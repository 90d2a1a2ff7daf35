//! A session as tantivy takes it: a document of our own, without the generic one's allocations.

use std::iter;

use tantivy::schema::{
    Document, Field,
    document::{ReferenceValue, ReferenceValueLeaf, Value},
};

/// The numbers, texts and stored bytes of one session.
#[derive(Debug, Default)]
pub(super) struct SessionDocument {
    pub(super) numbers: Vec<(Field, u64)>,
    /// How many of `numbers`, from the first on, have postings. They are in order of field.
    pub(super) indexed: usize,
    /// In order of field.
    pub(super) texts: Vec<(Field, String)>,
    /// What is stored and not searched.
    pub(super) stored: Vec<(Field, Vec<u8>)>,
}

/// A borrowed value of a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum SessionValue<'a> {
    Number(u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> for SessionValue<'a> {
    type ArrayIter = iter::Empty<SessionValue<'a>>;
    type ObjectIter = iter::Empty<(&'a str, SessionValue<'a>)>;

    fn as_value(&self) -> ReferenceValue<'a, SessionValue<'a>> {
        ReferenceValue::Leaf(match *self {
            SessionValue::Number(number) => ReferenceValueLeaf::U64(number),
            SessionValue::Text(text) => ReferenceValueLeaf::Str(text),
            SessionValue::Bytes(bytes) => ReferenceValueLeaf::Bytes(bytes),
        })
    }
}

/// A document's values in order: numbers, texts, stored bytes. A type of its own, because a boxed chain of iterators was
/// a tenth of the time that adding a document takes.
pub(super) struct Values<'a> {
    document: &'a SessionDocument,
    next: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = (Field, SessionValue<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Field, SessionValue<'a>)> {
        let SessionDocument { numbers, texts, stored, .. } = self.document;
        let at = self.next;
        self.next += 1;
        if let Some(&(field, number)) = numbers.get(at) {
            return Some((field, SessionValue::Number(number)));
        }
        let at = at - numbers.len();
        if let Some((field, text)) = texts.get(at) {
            return Some((*field, SessionValue::Text(text)));
        }
        let (field, bytes) = stored.get(at - texts.len())?;
        Some((*field, SessionValue::Bytes(bytes)))
    }
}

impl Document for SessionDocument {
    type Value<'a> = SessionValue<'a>;
    type FieldsValuesIter<'a> = Values<'a>;

    fn iter_fields_and_values(&self) -> Values<'_> {
        Values { document: self, next: 0 }
    }

    /// What is asked for when postings are written: the few fields that have some.
    fn get_sorted_field_values(&self) -> Vec<(Field, Vec<SessionValue<'_>>)> {
        let mut grouped: Vec<(Field, Vec<SessionValue<'_>>)> = Vec::with_capacity(4);
        let numbers = self.numbers[..self.indexed].iter().map(|&(field, number)| (field, SessionValue::Number(number)));
        let texts = self.texts.iter().map(|(field, text)| (*field, SessionValue::Text(text)));
        for (field, value) in numbers.chain(texts) {
            match grouped.last_mut() {
                Some((last, values)) if *last == field => values.push(value),
                _ => grouped.push((field, vec![value])),
            }
        }
        grouped
    }
}
