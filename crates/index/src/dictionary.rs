//! Dictionaries: the distinct texts of a split, each kept once and referred to by its number.
//!
//! ```text
//! count u32 | end u32 x count | texts
//! ```
//! Texts stand in the order in which they were first seen. A lookup by value scans them, which takes a millisecond for
//! a hundred thousand names and needs no second structure; what has more distinct values than that is not kept here.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Collects distinct texts.
#[derive(Default)]
pub(crate) struct DictionaryBuilder {
    texts: Vec<u8>,
    ends: Vec<u32>,
    numbers: HashTable<u32>,
}

impl DictionaryBuilder {
    /// The number of a text, a new one if it was not seen before.
    pub(crate) fn number(&mut self, text: &[u8]) -> u32 {
        let hash = FxBuildHasher.hash_one(text);
        let (texts, ends) = (&self.texts, &self.ends);
        if let Some(&number) = self.numbers.find(hash, |&number| text_at(texts, ends, number) == text) {
            return number;
        }
        let number = self.ends.len() as u32;
        self.texts.extend_from_slice(text);
        self.ends.push(self.texts.len() as u32);
        let (texts, ends) = (&self.texts, &self.ends);
        self.numbers.insert_unique(hash, number, |&known| FxBuildHasher.hash_one(text_at(texts, ends, known)));
        number
    }

    /// The text of a number that was given out.
    pub(crate) fn text(&self, number: u32) -> &[u8] {
        text_at(&self.texts, &self.ends, number)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len() + 12 * self.ends.len()
    }

    /// The dictionary as it is stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 4 * self.ends.len() + self.texts.len());
        bytes.extend_from_slice(&(self.ends.len() as u32).to_le_bytes());
        self.ends.iter().for_each(|end| bytes.extend_from_slice(&end.to_le_bytes()));
        bytes.extend_from_slice(&self.texts);
        bytes
    }
}

fn text_at<'a>(texts: &'a [u8], ends: &[u32], number: u32) -> &'a [u8] {
    let at = number as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] };
    &texts[start as usize..ends[at] as usize]
}

/// A stored dictionary, read in place.
#[derive(Clone, Copy, Default)]
pub(crate) struct Dictionary<'a> {
    ends: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Dictionary<'a> {
    /// `None` if the bytes are no dictionary.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Dictionary<'a>> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (ends, texts) = rest.split_at_checked(count.checked_mul(4)?)?;
        Some(Dictionary { ends, texts })
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> u32 {
        (self.ends.len() / 4) as u32
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> Option<&'a [u8]> {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.end(at - 1)? };
        self.texts.get(start..self.end(at)?)
    }

    fn end(&self, at: usize) -> Option<usize> {
        let end = self.ends.get(4 * at..4 * at + 4)?;
        Some(u32::from_le_bytes(end.try_into().ok()?) as usize)
    }

    /// All texts with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &'a [u8])> + '_ {
        (0..self.len()).map_while(|number| Some((number, self.text(number)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number() {
        let mut builder = DictionaryBuilder::default();
        let numbers: Vec<u32> = ["a", "", "b", "a", ""].iter().map(|text| builder.number(text.as_bytes())).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
        let bytes = builder.encode();
        let dictionary = Dictionary::open(&bytes).unwrap();
        let texts: Vec<_> = dictionary.iter().collect();
        assert_eq!(texts, [(0, &b"a"[..]), (1, b""), (2, b"b")]);
        assert_eq!(dictionary.text(3), None);
    }

    #[test]
    fn damaged_bytes_are_no_dictionary() {
        assert!(Dictionary::open(b"").is_none());
        assert!(Dictionary::open(&[9, 0, 0, 0, 1]).is_none());
        let wild = [1, 0, 0, 0, 255, 255, 255, 255];
        assert_eq!(Dictionary::open(&wild).unwrap().text(0), None);
    }
}
