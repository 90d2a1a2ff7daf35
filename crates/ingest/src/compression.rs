//! Compression: told by magic bytes, never by name; streams of decompressed bytes with every limit in force.
//!
//! Encoders stand here too, because the codecs have one owner: `generate` writes its fleets with them.

use std::io::{self, BufRead, BufReader, Read, Write};

use zstd::stream::read::Decoder as ZstdDecoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// Zstandard (RFC 8878), any number of frames.
    Zstd,
    /// gzip (RFC 1952), any number of members.
    Gzip,
    /// A zip archive.
    Zip,
}

/// Bytes that [`Codec::of_magic`] wants to see.
pub const MAGIC_BYTES: usize = 4;

/// Largest window of a zstd frame, as a power of two: 128 MiB, the limit of the `zstd` program itself. Each worker
/// holds one decoder, so memory stays below threads x 128 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Decompressed bytes that any source may have, however small it is compressed.
pub const DECOMPRESSED_BYTES_FREE: u64 = 1 << 30;

/// Decompressed bytes for each compressed byte above that. Logs reach 15, and repetitive ones 60; a bomb has 1,000.
pub const DECOMPRESSED_RATIO_MAX: u64 = 200;

/// Decompressed bytes of one source, whatever its ratio.
pub const DECOMPRESSED_BYTES_MAX: u64 = 64 << 30;

impl Codec {
    /// The codec that a file's first bytes name.
    pub fn of_magic(head: &[u8]) -> Codec {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            // A skippable frame: some archivers put one before the data.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
            [0x1f, 0x8b, 0x08, ..] => Codec::Gzip,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Codec::Zip,
            _ => Codec::Plain,
        }
    }

    /// What is appended to a name.
    pub fn suffix(self) -> &'static str {
        match self {
            Codec::Plain => "",
            Codec::Zstd => ".zst",
            Codec::Gzip => ".gz",
            Codec::Zip => ".zip",
        }
    }
}

/// Decompressed bytes that a source of `compressed_bytes` may have.
pub fn decompressed_bytes_max(compressed_bytes: u64) -> u64 {
    compressed_bytes.saturating_mul(DECOMPRESSED_RATIO_MAX).clamp(DECOMPRESSED_BYTES_FREE, DECOMPRESSED_BYTES_MAX)
}

/// The decompressed bytes of a stream, which may be compressed once by zstd or gzip.
pub(crate) fn decoder<'a>(stream: impl Read + 'a, compressed_bytes: u64) -> io::Result<Box<dyn Read + 'a>> {
    let mut stream = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, stream);
    let codec = Codec::of_magic(peek(&mut stream)?);
    let limit = decompressed_bytes_max(compressed_bytes);
    Ok(match codec {
        Codec::Zstd => {
            let mut decoder = ZstdDecoder::with_buffer(stream)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(Limited { inner: decoder, left: limit })
        }
        Codec::Gzip => Box::new(Limited { inner: flate2::bufread::MultiGzDecoder::new(stream), left: limit }),
        Codec::Plain => Box::new(stream),
        Codec::Zip => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a zip archive in a stream or inside another archive is not read",
            ));
        }
    })
}

/// Bytes read at once from a compressed file.
const COMPRESSED_BUFFER_BYTES: usize = 256 << 10;

/// The first bytes of a stream, without consuming them. Pipes may give fewer than asked for at first; then the codec
/// is told by what is there.
fn peek(stream: &mut impl BufRead) -> io::Result<&[u8]> {
    stream.fill_buf()
}

/// Fails once more than `left` bytes were read.
pub(crate) struct Limited<R> {
    pub(crate) inner: R,
    pub(crate) left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "decompresses to far more than a log can"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Frames up to this size are decompressed in one call, which saves the copy through the decoder's window. Logs roll
/// at 10 MB; two of these per worker are well within the memory bound.
pub(crate) const WHOLE_FRAME_BYTES_MAX: usize = 32 << 20;

/// A worker's decoder for files that are one zstd frame with its size in the header, as the `zstd` program writes.
pub(crate) struct WholeFrames {
    decoder: zstd::bulk::Decompressor<'static>,
    buffer: Vec<u8>,
}

impl WholeFrames {
    pub(crate) fn new() -> io::Result<WholeFrames> {
        Ok(WholeFrames { decoder: zstd::bulk::Decompressor::new()?, buffer: Vec::new() })
    }

    /// The whole content, or `None` if the file is anything but one healthy frame of known, moderate size; the
    /// streaming decoder then reads it, and says what is wrong with it.
    pub(crate) fn decompress(&mut self, file: &[u8]) -> Option<&[u8]> {
        if Codec::of_magic(file) != Codec::Zstd || file[0] != 0x28 {
            return None;
        }
        let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(file).ok()??).ok()?;
        let one_frame = zstd::zstd_safe::find_frame_compressed_size(file).ok()? == file.len();
        if size > WHOLE_FRAME_BYTES_MAX || !one_frame {
            return None;
        }
        self.buffer.clear();
        self.buffer.reserve(size);
        let written = self.decoder.decompress_to_buffer(file, &mut self.buffer).ok()?;
        (written == size).then_some(&self.buffer[..])
    }
}

/// Compresses a file's bytes.
pub fn encode(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match codec {
        Codec::Plain => Ok(bytes.to_vec()),
        Codec::Zstd => zstd::bulk::compress(bytes, 3),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Codec::Zip => encode_zip(&[("log.LOG", bytes)]),
    }
}

/// A zip archive of the given members.
pub fn encode_zip(members: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        archive.start_file(*name, options).map_err(io::Error::other)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish().map_err(io::Error::other)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decoder(bytes, bytes.len() as u64)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn every_codec_reads_what_it_wrote() {
        let content = b"2024-03-01T06:00:06.307Z,Outbound".repeat(1_000);
        for codec in [Codec::Plain, Codec::Zstd, Codec::Gzip] {
            let encoded = encode(codec, &content).unwrap();
            assert_eq!(Codec::of_magic(&encoded), codec);
            assert_eq!(decoded(&encoded).unwrap(), content);
        }
    }

    #[test]
    fn frames_and_members_follow_one_another() {
        for codec in [Codec::Zstd, Codec::Gzip] {
            let two = [encode(codec, b"one").unwrap(), encode(codec, b"two").unwrap()].concat();
            assert_eq!(decoded(&two).unwrap(), b"onetwo");
            assert_eq!(WholeFrames::new().unwrap().decompress(&two), None);
        }
    }

    #[test]
    fn whole_frames_agree_with_the_stream() {
        let content = b"2024-03-01T06:00:06.307Z,Outbound".repeat(1_000);
        let encoded = encode(Codec::Zstd, &content).unwrap();
        let mut frames = WholeFrames::new().unwrap();
        assert_eq!(frames.decompress(&encoded), Some(&content[..]));
        assert_eq!(frames.decompress(&encoded[..encoded.len() - 1]), None);
        assert_eq!(frames.decompress(b""), None);
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; 1 << 20];
        let bomb: Vec<u8> = (0..1_100).flat_map(|_| encode(Codec::Zstd, &zeros).unwrap()).collect();
        let error = decoded(&bomb).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
