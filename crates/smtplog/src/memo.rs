//! Memory of parsed texts: the same certificate and the same TLS line are logged a million times.

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::Text;

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

/// The text decoded last, for a field that mostly says what it said in the session before: to compare bytes takes a
/// quarter of the time that decoding them does.
#[derive(Default)]
pub(crate) struct LastText(Text);

impl LastText {
    /// As [`Text::from_utf8_lossy`].
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Text {
        if self.0.as_bytes() != bytes {
            self.0 = Text::from_utf8_lossy(bytes);
        }
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_last_text_agrees_with_its_slow_twin(texts in proptest::collection::vec("[ab\u{e4}]{0,30}", 0..9), cut in 0usize..3) {
            let mut last = LastText::default();
            for text in &texts {
                let bytes = &text.as_bytes()[cut.min(text.len())..];
                proptest::prop_assert_eq!(last.decode(bytes), Text::from_utf8_lossy(bytes));
            }
        }
    }
}
