//! Identity of sources: their content, not their path (CONTRACT 1).
//!
//! All Exchange logs begin with the same header and are renamed, moved and compressed again, so neither names nor
//! first lines identify them. A source is the BLAKE3 of its first complete data row; that a candidate really is that
//! source is confirmed by a hash over all bytes consumed. A file with both directions is two sources, whose identities
//! differ by the direction.

use std::fmt;

use smtplog::{Direction, Timestamp};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// BLAKE3 of a source's first complete data row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 32]);

impl Identity {
    /// The identity of a source whose first complete data row, without its line end, is `row`.
    pub fn of_row(row: &[u8]) -> Identity {
        Identity(*blake3::hash(row).as_bytes())
    }

    /// The identity of a file that has no rows.
    pub fn of_content(bytes: &[u8]) -> Identity {
        Identity(*blake3::hash(bytes).as_bytes())
    }
}

impl Identity {
    /// The identity of one of the two sources in a file with both directions. Rows have whole seconds there and often
    /// no date, so that what the header says of the date is part of it.
    pub fn of_row_in_one_direction(row: &[u8], direction: Direction, header_date: Option<Timestamp>) -> Identity {
        let date = header_date.map(|date| date.to_string()).unwrap_or_default();
        // No row has a line end in it, so that this is never the identity of a row alone.
        Identity::of_row(&[row, b"\n", direction.as_str().as_bytes(), b"\n", date.as_bytes()].concat())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hash of the decompressed bytes consumed of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHash(pub u128);

/// Bytes hashed as one piece. Pieces are hashed on their own and the hashes once more, so that the blocks of a large
/// file can be hashed in parallel.
pub const PIECE_BYTES: u64 = 16 << 20;

/// Hashes a source's content from its beginning.
///
/// xxh3 tells a changed prefix at 10 GB/s and more; nothing here defends against somebody who can write the logs.
pub struct ContentHasher {
    pieces: Vec<u8>,
    piece: Box<Xxh3>,
    piece_bytes: u64,
}

impl Default for ContentHasher {
    fn default() -> ContentHasher {
        ContentHasher { pieces: Vec::new(), piece: Box::new(Xxh3::new()), piece_bytes: 0 }
    }
}

impl ContentHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (PIECE_BYTES - self.piece_bytes).min(bytes.len() as u64) as usize;
            self.piece.update(&bytes[..room]);
            self.piece_bytes += room as u64;
            bytes = &bytes[room..];
            if self.piece_bytes == PIECE_BYTES {
                self.pieces.extend_from_slice(&self.piece.digest128().to_le_bytes());
                self.piece.reset();
                self.piece_bytes = 0;
            }
        }
    }

    /// The hash of all bytes so far.
    pub fn hash(&self) -> ContentHash {
        let mut pieces = self.pieces.clone();
        if self.piece_bytes > 0 {
            pieces.extend_from_slice(&self.piece.digest128().to_le_bytes());
        }
        ContentHash(xxh3_128(&pieces))
    }

    /// Forgets everything, to begin another source.
    pub fn reset(&mut self) {
        self.pieces.clear();
        self.piece.reset();
        self.piece_bytes = 0;
    }
}

/// The hash of one piece, for sources whose pieces are hashed in parallel.
pub fn hash_piece(piece: &[u8]) -> u128 {
    xxh3_128(piece)
}

/// The hash of a source from the hashes of its pieces in order.
pub fn hash_of_pieces(pieces: &[u128]) -> ContentHash {
    let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_le_bytes()).collect();
    ContentHash(xxh3_128(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_does_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..PIECE_BYTES + 12_345).map(|n| (n * 31 % 251) as u8).collect();
        let mut at_once = ContentHasher::default();
        at_once.update(&bytes);
        let mut in_parts = ContentHasher::default();
        bytes.chunks(1_000_003).for_each(|part| in_parts.update(part));
        let pieces: Vec<u128> = bytes.chunks(PIECE_BYTES as usize).map(hash_piece).collect();
        assert_eq!(at_once.hash(), in_parts.hash());
        assert_eq!(at_once.hash(), hash_of_pieces(&pieces));
        at_once.update(b"x");
        assert_ne!(at_once.hash(), in_parts.hash());
    }
}
