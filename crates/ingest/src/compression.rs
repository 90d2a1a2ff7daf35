//! Compression: told by magic bytes, never by name; streams of decompressed bytes with every limit in force.
//!
//! Encoders stand here too, because the codecs have one owner: `generate` writes its fleets with them.

use std::io::{self, BufRead, BufReader, Read, Write};

use zstd::{
    stream::read::Decoder as ZstdDecoder,
    zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective},
};

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

/// Frames up to this size are decompressed as a whole into memory, which saves the copy through the decoder's window.
/// Logs roll at 10 MB; two of these per worker are well within the memory bound.
pub(crate) const WHOLE_FRAME_BYTES_MAX: usize = 32 << 20;

/// Compressed bytes taken at a time: a block of 128 KiB, mostly, so that the beginning of a frame is soon there.
const STEP_BYTES: usize = 16 << 10;

/// A worker's decoder for files that are one zstd frame with its size in the header, as the `zstd` program writes.
pub(crate) struct WholeFrames {
    context: DCtx<'static>,
    buffer: Vec<u8>,
}

/// One such file, decompressed as far as was asked for.
pub(crate) struct WholeFrame<'a> {
    frames: &'a mut WholeFrames,
    file: &'a [u8],
    /// Bytes of the file that are read.
    read: usize,
    /// Bytes that the header promises.
    size: usize,
}

impl WholeFrames {
    /// `None` if the library refuses its parameters.
    pub(crate) fn new() -> Option<WholeFrames> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).ok()?;
        // The buffer takes the whole frame and stays where it is, so that it serves as the window.
        context.set_parameter(DParameter::StableOutBuffer(true)).ok()?;
        Some(WholeFrames { context, buffer: Vec::new() })
    }

    /// `None` if the file is anything but one frame of known, moderate size; the streaming decoder then reads it.
    pub(crate) fn begin<'a>(&'a mut self, file: &'a [u8]) -> Option<WholeFrame<'a>> {
        if Codec::of_magic(file) != Codec::Zstd || file[0] != 0x28 {
            return None;
        }
        let size = usize::try_from(zstd_safe::get_frame_content_size(file).ok()??).ok()?;
        let one_frame = zstd_safe::find_frame_compressed_size(file).ok()? == file.len();
        if size > WHOLE_FRAME_BYTES_MAX || !one_frame {
            return None;
        }
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.buffer.clear();
        self.buffer.reserve(size);
        Some(WholeFrame { frames: self, file, read: 0, size })
    }
}

impl<'a> WholeFrame<'a> {
    /// The compressed bytes.
    pub(crate) fn file(&self) -> &'a [u8] {
        self.file
    }

    /// The first `count` bytes, or fewer if there are no more, and whether these are all. `None` if they are damaged.
    pub(crate) fn beginning(&mut self, count: usize) -> Option<(&[u8], bool)> {
        self.decompress(count)?;
        let beginning = &self.frames.buffer[..self.frames.buffer.len().min(count)];
        Some((beginning, self.size <= count))
    }

    /// The whole content. `None` if it is damaged; the streaming decoder says where.
    pub(crate) fn whole(mut self) -> Option<&'a [u8]> {
        self.decompress(usize::MAX)?;
        let WholeFrame { frames, file, read, size } = self;
        (read == file.len() && frames.buffer.len() == size).then_some(&frames.buffer[..])
    }

    /// Decompresses until `count` bytes are there, or all.
    fn decompress(&mut self, count: usize) -> Option<()> {
        let WholeFrames { context, buffer } = &mut *self.frames;
        while self.read < self.file.len() && buffer.len() < count {
            let step = &self.file[self.read..self.file.len().min(self.read + STEP_BYTES)];
            let mut input = InBuffer::around(step);
            let filled = buffer.len();
            context.decompress_stream(&mut OutBuffer::around_pos(buffer, filled), &mut input).ok()?;
            if input.pos() == 0 && buffer.len() == filled {
                return None;
            }
            self.read += input.pos();
        }
        Some(())
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
            assert!(WholeFrames::new().unwrap().begin(&two).is_none());
        }
    }

    #[test]
    fn whole_frames_agree_with_the_stream() {
        let content: Vec<u8> =
            (0..900_000u32).flat_map(|n| (n / 7).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let encoded = encode(Codec::Zstd, &content).unwrap();
        let mut frames = WholeFrames::new().unwrap();
        for count in [0, 1, 70_000, content.len(), content.len() + 1] {
            let mut frame = frames.begin(&encoded).unwrap();
            let (beginning, is_all) = frame.beginning(count).unwrap();
            assert_eq!((beginning, is_all), (&content[..count.min(content.len())], count >= content.len()));
            assert_eq!(frame.whole(), Some(&content[..]));
        }
        let small = encode(Codec::Zstd, b"").unwrap();
        assert_eq!(frames.begin(&small).unwrap().whole(), Some(&b""[..]));
        assert!(frames.begin(&encoded[..encoded.len() - 1]).is_none());
        assert!(frames.begin(b"").is_none());
    }

    #[test]
    fn damaged_frames_are_left_to_the_stream() {
        let encoded = encode(Codec::Zstd, &b"2024-03-01T06:00:06.307Z,Outbound".repeat(20_000)).unwrap();
        let mut frames = WholeFrames::new().unwrap();
        for at in 9..encoded.len() {
            let mut damaged = encoded.clone();
            damaged[at] ^= 0x40;
            let found = frames.begin(&damaged).and_then(WholeFrame::whole).map(<[u8]>::to_vec);
            assert_eq!(found, decoded(&damaged).ok().filter(|_| found.is_some()), "{at}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = vec![0; 1 << 20];
        let bomb: Vec<u8> = (0..1_100).flat_map(|_| encode(Codec::Zstd, &zeros).unwrap()).collect();
        let error = decoded(&bomb).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
