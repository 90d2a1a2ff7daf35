//! Memory of parsed texts: the same certificate and the same TLS line are logged a million times.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Distinct texts remembered before all are forgotten. A fleet has some hundreds; a scanner makes up new ones.
const TEXTS_MAX: usize = 8_192;

/// Values parsed from texts, by the text. A clash of hashes is found by comparing the texts.
pub(crate) struct Memo<V> {
    parsed: FxHashMap<u64, (Box<[u8]>, V)>,
}

impl<V> Default for Memo<V> {
    fn default() -> Memo<V> {
        Memo { parsed: FxHashMap::default() }
    }
}

impl<V: Clone> Memo<V> {
    /// The value of `text`, parsed only if the text was not seen before.
    pub(crate) fn parse(&mut self, text: &[u8], parse: impl FnOnce(&[u8]) -> V) -> V {
        let hash = xxh3_64(text);
        if let Some((known, value)) = self.parsed.get(&hash)
            && **known == *text
        {
            return value.clone();
        }
        if self.parsed.len() >= TEXTS_MAX {
            self.parsed.clear();
        }
        let value = parse(text);
        self.parsed.insert(hash, (text.into(), value.clone()));
        value
    }
}
