//! Whole files: what lies beside the logs is read in one piece.

use std::io::{self, Read};

use crate::{
    compression::{Codec, decoder},
    discover::Source,
    identity::Identity,
    open::{Stored, with_stored},
};

/// A file's content.
pub struct Whole {
    /// All of it, decompressed.
    pub bytes: Vec<u8>,
    /// BLAKE3 of it. Copies of an export are one, whatever their names and compression.
    pub identity: Identity,
}

/// Reads a source that is no log. One of more than `bytes_max` decompressed bytes is an error of the kind
/// [`io::ErrorKind::FileTooLarge`], so that it is not read into memory to find that out.
pub fn read_whole(source: &Source, mapping: bool, bytes_max: usize) -> io::Result<Whole> {
    let is_plain = |bytes: &[u8]| Codec::of_magic(bytes) == Codec::Plain;
    let bytes = with_stored(source, mapping, |stored| match stored {
        Stored::Mapped(bytes) if is_plain(bytes) && bytes.len() > bytes_max => Err(too_large(bytes_max)),
        Stored::Mapped(bytes) if is_plain(bytes) => Ok(bytes.to_vec()),
        Stored::Mapped(bytes) => limited(&mut decoder(bytes, source.stored_bytes)?, bytes_max),
        Stored::Stream(stream) => limited(&mut decoder(stream, source.stored_bytes)?, bytes_max),
    })?;
    Ok(Whole { identity: Identity::of_content(&bytes), bytes })
}

fn limited(stream: &mut dyn Read, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > bytes_max {
        true => Err(too_large(bytes_max)),
        false => Ok(bytes),
    }
}

fn too_large(bytes_max: usize) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {bytes_max} bytes"))
}
