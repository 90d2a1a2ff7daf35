//! Packed numbers: columns of a split, in blocks of the fewest bits, read in place.
//!
//! ```text
//! count u32 | (least u64, offset u32, bits u8) x blocks | the blocks' numbers less their least, bit by bit
//! ```
//! A block has 256 numbers. Sessions of one file follow one another, so times, ids and dictionary numbers of a block lie
//! close together; and a search for a value passes over the blocks whose range it is not in.

use std::ops::RangeInclusive;

use tantivy_bitpacker::{BitPacker, BitUnpacker, compute_num_bits};

/// Numbers of a block.
const BLOCK: usize = 256;

/// Bytes of a block's entry.
const ENTRY: usize = 8 + 4 + 1;

/// Packs numbers.
pub(crate) fn pack(numbers: &[u64]) -> Vec<u8> {
    let blocks = numbers.len().div_ceil(BLOCK);
    let mut bytes = Vec::with_capacity(4 + blocks * ENTRY + 2 * numbers.len());
    bytes.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
    let mut packed = Vec::new();
    for block in numbers.chunks(BLOCK) {
        let least = block.iter().copied().min().unwrap_or(0);
        let greatest = block.iter().copied().max().unwrap_or(0);
        let bits = compute_num_bits(greatest - least);
        bytes.extend_from_slice(&least.to_le_bytes());
        bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        bytes.push(bits);
        let mut packer = BitPacker::new();
        for number in block {
            // Writing into memory does not fail.
            let _ = packer.write(number - least, bits, &mut packed);
        }
        let _ = packer.close(&mut packed);
    }
    bytes.extend_from_slice(&packed);
    bytes
}

/// Packs numbers that fit into 32 bits.
pub(crate) fn pack_small(numbers: &[u32]) -> Vec<u8> {
    let numbers: Vec<u64> = numbers.iter().map(|&number| number.into()).collect();
    pack(&numbers)
}

/// Packed numbers. Damaged bytes give no numbers, never a panic.
#[derive(Clone, Copy, Default)]
pub(crate) struct Packed<'a> {
    count: u32,
    entries: &'a [u8],
    packed: &'a [u8],
}

impl<'a> Packed<'a> {
    /// `None` if the bytes are no packed numbers.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Packed<'a>> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count);
        let blocks = (count as usize).div_ceil(BLOCK);
        let (entries, packed) = rest.split_at_checked(blocks * ENTRY)?;
        Some(Packed { count, entries, packed })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.count
    }

    /// What none of them is above.
    pub(crate) fn bound(&self) -> u64 {
        self.blocks().map(|(_, block)| block.bound()).max().unwrap_or(0)
    }

    /// The number at a place.
    pub(crate) fn get(&self, at: u32) -> Option<u64> {
        let block = self.block(at as usize / BLOCK)?;
        block.get(at as usize % BLOCK)
    }

    /// The numbers of the places from `start` to before `end`.
    pub(crate) fn between(&self, start: u32, end: u32) -> impl Iterator<Item = u64> + 'a {
        let mut cursor = self.cursor();
        (start..end.min(self.count)).map_while(move |at| cursor.get(at))
    }

    /// For numbers at places that lie close together, one after the other.
    pub(crate) fn cursor(&self) -> Cursor<'a> {
        Cursor { packed: *self, number: usize::MAX, block: None, asked: 0, numbers: [0; BLOCK] }
    }

    /// Calls `each` with the places from `start` to before `end` and their numbers.
    pub(crate) fn each_between(&self, start: u32, end: u32, mut each: impl FnMut(u32, u64)) {
        let end = end.min(self.count);
        for number in start as usize / BLOCK..(end as usize).div_ceil(BLOCK) {
            let first = (number * BLOCK) as u32;
            let Some(block) = self.block(number) else { continue };
            block.each(|at, value| {
                if (start..end).contains(&(first + at)) {
                    each(first + at, value);
                }
            });
        }
    }

    /// All numbers; those of damaged blocks are left out.
    pub(crate) fn to_vec(self) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(self.count as usize);
        self.for_each(|_, number| numbers.push(number));
        numbers
    }

    /// Calls `found` with every place whose number lies in a range, and the number.
    pub(crate) fn in_range(&self, range: RangeInclusive<u64>, mut found: impl FnMut(u32, u64)) {
        for (first, block) in self.blocks() {
            if block.least > *range.end() || block.bound() < *range.start() {
                continue;
            }
            block.each(|at, number| {
                if range.contains(&number) {
                    found(first + at, number);
                }
            });
        }
    }

    /// Calls `found` with every place whose number is one of `wanted`, and the number.
    pub(crate) fn among(&self, wanted: &Numbers, mut found: impl FnMut(u32, u64)) {
        for (first, block) in self.blocks().filter(|(_, block)| wanted.has_between(block.least, block.bound())) {
            block.each(|at, number| {
                if wanted.contains(number) {
                    found(first + at, number);
                }
            });
        }
    }

    /// Calls `each` with every place and its number.
    pub(crate) fn for_each(&self, mut each: impl FnMut(u32, u64)) {
        for (first, block) in self.blocks() {
            block.each(|at, number| each(first + at, number));
        }
    }

    /// The first place whose number is not below `number`, where the numbers are in order.
    pub(crate) fn lower_bound(&self, number: u64) -> u32 {
        // First among the blocks' entries, which lie close together: the block before the first that begins with it.
        let after = self.first_block_from(number);
        let (mut low, mut high) = (
            (after.saturating_sub(1) * BLOCK) as u32,
            u32::try_from(after * BLOCK).unwrap_or(u32::MAX).min(self.count),
        );
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(found) if found < number => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// The first block whose least number is not below `number`, where the numbers are in order.
    fn first_block_from(&self, number: u64) -> usize {
        let (mut low, mut high) = (0, self.entries.len() / ENTRY);
        while low < high {
            let middle = low + (high - low) / 2;
            let least = self.entries.get(middle * ENTRY..).and_then(|entry| entry.first_chunk().copied());
            match least.map(u64::from_le_bytes) {
                Some(least) if least < number => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    fn blocks(&self) -> impl Iterator<Item = (u32, Block<'a>)> + 'a {
        let packed = *self;
        (0..self.entries.len() / ENTRY).filter_map(move |at| Some(((at * BLOCK) as u32, packed.block(at)?)))
    }

    fn block(&self, at: usize) -> Option<Block<'a>> {
        let entry = self.entries.get(at * ENTRY..)?.first_chunk::<ENTRY>()?;
        let least = u64::from_le_bytes(*entry.first_chunk()?);
        let offset = u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]) as usize;
        let bits = entry[12];
        let count = BLOCK.min(self.count as usize - at * BLOCK);
        let packed = self.packed.get(offset..)?;
        let is_whole = (count * usize::from(bits)).div_ceil(8) <= packed.len();
        let is_width = bits <= 56 || bits == 64;
        (is_whole && is_width).then(|| Block { least, bits, count, packed, unpacker: BitUnpacker::new(bits) })
    }
}

/// Packed numbers and the block that was asked last: it is found once, and unpacked as a whole once enough of it is
/// asked for.
pub(crate) struct Cursor<'a> {
    packed: Packed<'a>,
    /// The block's number.
    number: usize,
    block: Option<Block<'a>>,
    /// Numbers of it that were asked for.
    asked: u32,
    /// All of them, once they are unpacked.
    numbers: [u64; BLOCK],
}

/// Numbers of a block of which each is unpacked by itself: from here on all of them together are cheaper.
const ASKED_MAX: u32 = 16;

impl Cursor<'_> {
    /// The number at a place.
    #[inline]
    pub(crate) fn get(&mut self, at: u32) -> Option<u64> {
        let (number, place) = (at as usize / BLOCK, at as usize % BLOCK);
        if number != self.number {
            (self.number, self.block, self.asked) = (number, self.packed.block(number), 0);
        }
        let block = self.block?;
        if self.asked > ASKED_MAX {
            return (place < block.count).then(|| self.numbers[place]);
        }
        self.asked += 1;
        if self.asked > ASKED_MAX {
            block.each(|at, number| self.numbers[at as usize] = number);
        }
        block.get(place)
    }
}

/// Numbers that are looked for.
pub(crate) struct Numbers {
    /// In order, each once.
    numbers: Vec<u64>,
    /// A bit for each hash of a number: nearly all that are not looked for are told apart by one look.
    filter: Vec<u64>,
}

/// Words of the filter: as many bits as thousands of numbers need to stay sparse, and few enough for the first cache.
const FILTER_WORDS: usize = 1_024;

impl Numbers {
    pub(crate) fn new(mut numbers: Vec<u64>) -> Numbers {
        numbers.sort_unstable();
        numbers.dedup();
        let mut filter = vec![0; FILTER_WORDS];
        for &number in &numbers {
            let (word, bit) = filter_bit(number);
            filter[word] |= bit;
        }
        Numbers { numbers, filter }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    fn has_between(&self, least: u64, greatest: u64) -> bool {
        let at = self.numbers.partition_point(|&number| number < least);
        self.numbers.get(at).is_some_and(|&number| number <= greatest)
    }

    #[inline]
    fn contains(&self, number: u64) -> bool {
        let (word, bit) = filter_bit(number);
        self.filter[word] & bit != 0 && self.numbers.binary_search(&number).is_ok()
    }
}

#[inline]
fn filter_bit(number: u64) -> (usize, u64) {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    (hash as usize / 64 % FILTER_WORDS, 1 << (hash % 64))
}

/// The numbers of one block.
#[derive(Clone, Copy)]
struct Block<'a> {
    least: u64,
    bits: u8,
    count: usize,
    /// The block's bytes and those behind: whole words can be loaded up to its last number.
    packed: &'a [u8],
    unpacker: BitUnpacker,
}

impl Block<'_> {
    fn get(&self, at: usize) -> Option<u64> {
        (at < self.count).then(|| self.least.wrapping_add(self.unpacker.get(at as u32, self.packed)))
    }

    /// What no number of the block is above.
    fn bound(&self) -> u64 {
        let span = if self.bits == 64 { u64::MAX } else { (1 << self.bits) - 1 };
        self.least.saturating_add(span)
    }

    fn each(&self, mut each: impl FnMut(u32, u64)) {
        let mut numbers = [0; BLOCK];
        let numbers = &mut numbers[..self.count];
        self.unpacker.get_range(0, self.packed, numbers);
        for (at, number) in (0..).zip(numbers) {
            each(at, self.least.wrapping_add(*number));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let wide = vec(any::<u64>(), 0..700);
        let near = (0u64..1 << 60, vec(0u64..5_000, 0..700))
            .prop_map(|(least, numbers)| numbers.into_iter().map(|number| least + number).collect());
        prop_oneof![wide, near, (any::<u64>(), 0usize..700).prop_map(|(number, count)| vec![number; count])]
    }

    proptest! {
        #[test]
        fn what_was_packed_is_read(numbers in numbers()) {
            let bytes = pack(&numbers);
            let packed = Packed::open(&bytes).unwrap();
            prop_assert_eq!(packed.len() as usize, numbers.len());
            let mut each = Vec::new();
            packed.for_each(|at, number| each.push((at, number)));
            prop_assert_eq!(&each, &(0..).zip(numbers.iter().copied()).collect::<Vec<_>>());
            prop_assert_eq!(&packed.to_vec(), &numbers);
            prop_assert!(numbers.iter().all(|&number| number <= packed.bound()));
            let mut each = Vec::new();
            packed.each_between(3, 300, |at, number| each.push((at, number)));
            let some = (0u32..).zip(numbers.iter().copied()).filter(|(at, _)| (3..300).contains(at));
            prop_assert_eq!(&each, &some.collect::<Vec<_>>());
            prop_assert_eq!(&packed.between(1, u32::MAX).collect::<Vec<_>>(), numbers.get(1..).unwrap_or_default());
            let got: Vec<_> = (0..packed.len()).map(|at| packed.get(at).unwrap()).collect();
            prop_assert_eq!(&got, &numbers);
            prop_assert_eq!(packed.get(packed.len()), None);
            let mut cursor = packed.cursor();
            let places = || (0..packed.len() + 2).chain((0..packed.len()).rev().step_by(9));
            let got: Vec<_> = places().map(|at| cursor.get(at)).collect();
            prop_assert_eq!(got, places().map(|at| numbers.get(at as usize).copied()).collect::<Vec<_>>());
        }

        #[test]
        fn searches_agree_with_a_look_at_every_number(numbers in numbers(), low: u64, high: u64, some in vec(any::<prop::sample::Index>(), 0..5)) {
            let bytes = pack(&numbers);
            let packed = Packed::open(&bytes).unwrap();
            let mut found = Vec::new();
            packed.in_range(low..=high, |at, number| found.push((at, number)));
            let each = || (0u32..).zip(numbers.iter().copied());
            prop_assert_eq!(&found, &each().filter(|(_, number)| (low..=high).contains(number)).collect::<Vec<_>>());
            let wanted: Vec<u64> = some.iter().filter(|_| !numbers.is_empty()).map(|at| *at.get(&numbers)).chain([low]).collect();
            found.clear();
            packed.among(&Numbers::new(wanted.clone()), |at, number| found.push((at, number)));
            prop_assert_eq!(&found, &each().filter(|(_, number)| wanted.contains(number)).collect::<Vec<_>>());
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let bytes = pack(&sorted);
            let bound = Packed::open(&bytes).unwrap().lower_bound(low);
            prop_assert_eq!(bound as usize, sorted.partition_point(|&number| number < low));
        }

        #[test]
        fn damaged_bytes_do_not_panic(mut bytes: Vec<u8>, count in 0u8..9) {
            bytes.splice(0..0, [count, 0, 0, 0]);
            if let Some(packed) = Packed::open(&bytes) {
                packed.for_each(|_, _| {});
                packed.among(&Numbers::new(vec![0, 5]), |_, _| {});
                packed.between(0, u32::MAX).count();
                packed.lower_bound(7);
            }
        }
    }
}
