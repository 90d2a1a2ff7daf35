//! Sets of a split's documents, one bit each.

/// A set of document numbers below a fixed count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Documents {
    words: Vec<u64>,
    count: u32,
}

impl Documents {
    pub(crate) fn none(count: u32) -> Documents {
        Documents { words: vec![0; count.div_ceil(64) as usize], count }
    }

    pub(crate) fn all(count: u32) -> Documents {
        let mut all = Documents { words: vec![u64::MAX; count.div_ceil(64) as usize], count };
        all.clear_tail();
        all
    }

    /// Bits behind the last document stay zero, so that counting and negation need no care.
    fn clear_tail(&mut self) {
        if let Some(last) = self.words.last_mut().filter(|_| !self.count.is_multiple_of(64)) {
            *last &= (1 << (self.count % 64)) - 1;
        }
    }

    pub(crate) fn insert(&mut self, document: u32) {
        if document < self.count {
            self.words[(document / 64) as usize] |= 1 << (document % 64);
        }
    }

    pub(crate) fn remove(&mut self, document: u32) {
        if document < self.count {
            self.words[(document / 64) as usize] &= !(1 << (document % 64));
        }
    }

    pub(crate) fn contains(&self, document: u32) -> bool {
        document < self.count && self.words[(document / 64) as usize] >> (document % 64) & 1 == 1
    }

    pub(crate) fn and(mut self, other: &Documents) -> Documents {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
        self
    }

    pub(crate) fn or(mut self, other: &Documents) -> Documents {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
        self
    }

    pub(crate) fn and_not(mut self, other: &Documents) -> Documents {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
        self
    }

    pub(crate) fn not(mut self) -> Documents {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.clear_tail();
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at as u32 * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn documents(count: u32, numbers: &BTreeSet<u32>) -> Documents {
        let mut documents = Documents::none(count);
        numbers.iter().for_each(|&number| documents.insert(number));
        documents
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets(
            count in 0u32..200,
            a in prop::collection::btree_set(0u32..200, 0..50),
            b in prop::collection::btree_set(0u32..200, 0..50),
        ) {
            let below = |set: &BTreeSet<u32>| set.iter().copied().filter(|&n| n < count).collect::<BTreeSet<u32>>();
            let (a, b) = (below(&a), below(&b));
            let (left, right) = (documents(count, &a), documents(count, &b));
            let numbers = |documents: Documents| documents.iter().collect::<BTreeSet<u32>>();
            prop_assert_eq!(left.len(), a.len() as u64);
            prop_assert_eq!(left.is_empty(), a.is_empty());
            prop_assert_eq!(numbers(left.clone().and(&right)), &a & &b);
            prop_assert_eq!(numbers(left.clone().or(&right)), &a | &b);
            prop_assert_eq!(numbers(left.clone().and_not(&right)), &a - &b);
            prop_assert_eq!(numbers(left.not()), &numbers(Documents::all(count)) - &a);
        }
    }
}
