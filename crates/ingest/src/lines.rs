//! Whole lines from a stream: blocks that end at a line end, in one buffer that is used again and again.

use std::io::{self, Read};

use smtplog::reader::LINE_BYTES_MAX;

/// Bytes read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A stream's bytes in blocks of whole lines.
#[derive(Default)]
pub(crate) struct LineBlocks {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold content.
    filled: usize,
    /// Bytes of `buffer` that were given out already.
    given: usize,
    /// Offset in the stream of `buffer[0]`.
    offset: u64,
}

/// What a step of reading gave.
pub(crate) enum Step<'a> {
    /// Whole lines that begin at the given offset.
    Lines(u64, &'a [u8]),
    /// A part of a line that is too long to be kept; the caller counts the line as rejected.
    Overlong(u64, &'a [u8]),
    /// The stream has ended; the bytes are a last line without an end, and may be empty.
    End(u64, &'a [u8]),
}

impl LineBlocks {
    /// Begins a stream.
    pub(crate) fn begin(&mut self) {
        (self.filled, self.given, self.offset) = (0, 0, 0);
    }

    /// Reads on until there is at least one whole line, or the end.
    pub(crate) fn next(&mut self, stream: &mut dyn Read) -> io::Result<Step<'_>> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.offset += self.given as u64;
        self.filled -= self.given;
        self.given = 0;
        let mut searched = 0;
        loop {
            if let Some(end) = memrchr_line_end(&self.buffer[searched..self.filled]) {
                self.given = searched + end + 1;
                return Ok(Step::Lines(self.offset, &self.buffer[..self.given]));
            }
            searched = self.filled;
            // The carriage return does not count.
            if self.filled > LINE_BYTES_MAX + 1 {
                self.given = self.filled;
                return Ok(Step::Overlong(self.offset, &self.buffer[..self.given]));
            }
            if self.buffer.len() < self.filled + BLOCK_BYTES {
                self.buffer.resize(self.filled + BLOCK_BYTES, 0);
            }
            match stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    self.given = self.filled;
                    return Ok(Step::End(self.offset, &self.buffer[..self.filled]));
                }
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Offset up to which bytes came out of the stream.
    pub(crate) fn position(&self) -> u64 {
        self.offset + self.filled as u64
    }
}

fn memrchr_line_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, as a slow pipe does.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[track_caller]
    fn check(content: &[u8], at_once: usize, expected_lines: &[u8], expected_rest: &[u8]) {
        let mut blocks = LineBlocks::default();
        let mut stream = Drip(content, at_once);
        let mut lines = Vec::new();
        blocks.begin();
        loop {
            match blocks.next(&mut stream).unwrap() {
                Step::Lines(offset, block) => {
                    assert_eq!(offset as usize, lines.len());
                    assert!(block.ends_with(b"\n"));
                    lines.extend_from_slice(block);
                }
                Step::Overlong(_, part) => lines.extend_from_slice(part),
                Step::End(offset, rest) => {
                    assert_eq!((offset as usize, &lines[..], rest), (lines.len(), expected_lines, expected_rest));
                    return;
                }
            }
        }
    }

    #[test]
    fn blocks_hold_whole_lines_however_the_bytes_come() {
        for at_once in [1, 2, 7, 1_000] {
            check(b"one\r\ntwo\n\nthree", at_once, b"one\r\ntwo\n\n", b"three");
            check(b"", at_once, b"", b"");
            check(b"rest only", at_once, b"", b"rest only");
        }
    }

    #[test]
    fn an_overlong_line_does_not_fill_memory() {
        let mut content = vec![b'x'; 3 * LINE_BYTES_MAX];
        content.extend_from_slice(b"\nnext\n");
        check(&content, 1 << 20, &content, b"");
    }
}
