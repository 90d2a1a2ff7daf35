//! Random numbers that are the same everywhere and for ever: xoshiro256**, seeded by splitmix64.
//!
//! A fleet must come out byte for byte equal from its seed, whatever the platform, the thread count and the version of
//! any dependency; so the generator is written out here instead of being taken from a crate that may change it.

/// One stream of random numbers.
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream that belongs to `seed` and `lane`; lanes of one seed are independent of each other.
    pub(crate) fn new(seed: u64, lane: u64) -> Rng {
        let mut mixed = seed ^ lane.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Rng { state: [0; 4].map(|_: u64| splitmix(&mut mixed)) }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, which is at least 1. The bias of the multiplication is far below what a log could show.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as u64) as i64
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        ((self.bits() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// One of `items`, which are not empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One of `words`, which are not empty.
    pub(crate) fn word(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }

    /// An index below `len`, low ones more often: few correspondents cause most mail.
    pub(crate) fn skewed(&mut self, len: usize) -> usize {
        let low = self.below(len as u64).min(self.below(len as u64));
        low.min(self.below(len as u64)) as usize
    }

    /// `digits` hex digits in upper case.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789ABCDEF"[self.below(16) as usize])).collect()
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_differ_and_repeat() {
        let bits = |seed, lane| Rng::new(seed, lane).bits();
        assert_eq!(bits(1, 1), bits(1, 1));
        assert_ne!(bits(1, 1), bits(1, 2));
        assert_ne!(bits(1, 1), bits(2, 1));
    }

    #[test]
    fn numbers_stay_in_range() {
        let mut rng = Rng::new(7, 7);
        for _ in 0..1_000 {
            assert!(rng.below(3) < 3);
            assert!((-2..=2).contains(&rng.between(-2, 2)));
            assert!(rng.skewed(5) < 5);
        }
        assert!(!rng.chance(0.0) && rng.chance(1.0));
    }
}
