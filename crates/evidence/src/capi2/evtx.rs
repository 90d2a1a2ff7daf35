//! The binary log as Windows writes it: `Microsoft-Windows-CAPI2%4Operational.evtx`.
//!
//! ```text
//! "ElfFile\0" ... 4096 bytes
//! "ElfChnk\0" ... 65536 bytes, again and again
//!   512  2A 2A 00 00, size, id, time, binary XML, size
//! ```
//!
//! The file's header is not needed: chunks lie at fixed places, and a log that was copied while it was written has a
//! header that is older than its chunks.
//! A damaged record costs one record: the next one is found by its mark, and told from a remnant of an older log by its
//! id, for Windows writes over old chunks without clearing them.
//!
//! The evtx crate reads any log, makes XML of all of it, and says that files made to harm it are not its concern. Here
//! the few elements that matter are taken from the binary form, within limits, and tests hold that against what the
//! crate makes of the same file (`tests/capi2.rs`; `benches/evtx.rs` shows what it saves).

use super::{
    binary_xml::{CHUNK_BYTES, Chunk, Names},
    event::{Event, Outcome},
    fold::Fold,
    time,
};
use crate::kinds::{Document, Kind, Reading};

const FILE_MARK: &[u8] = b"ElfFile\0";
const CHUNK_MARK: &[u8] = b"ElfChnk\0";
const RECORD_MARK: &[u8] = &[0x2A, 0x2A, 0, 0];

/// Bytes before the first chunk.
const FILE_HEADER_BYTES: usize = 4096;

/// Bytes of a chunk before its first record.
const CHUNK_HEADER_BYTES: usize = 512;

/// Bytes of a record before its binary XML.
const RECORD_HEADER_BYTES: usize = 24;

/// Bytes of a record besides its binary XML: the header, and the size once more.
const RECORD_BYTES_MIN: usize = RECORD_HEADER_BYTES + 4;

/// Binary event logs.
pub(crate) struct Capi2Evtx;

impl Kind for Capi2Evtx {
    fn name(&self) -> &'static str {
        "capi2-evtx"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        document.bytes.starts_with(FILE_MARK)
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        let mut reader = LogReader { names: Names::default(), event: Event::default(), fold: Fold::default() };
        let chunks = document.bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES);
        for (number, chunk) in chunks.enumerate() {
            reader.chunk(chunk, (FILE_HEADER_BYTES + number * CHUNK_BYTES) as u64, reading);
        }
        if document.bytes.len() < FILE_HEADER_BYTES {
            reading.reject(document.bytes.len() as u64, "the file ends within its header");
        }
        reader.fold.end(reading);
    }
}

struct LogReader {
    names: Names,
    event: Event,
    fold: Fold,
}

impl LogReader {
    /// Reads a chunk that begins at `offset`; the last one may be cut.
    fn chunk(&mut self, bytes: &[u8], offset: u64, reading: &mut Reading) {
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        let Some(header) = ChunkHeader::of(bytes) else {
            return reading.reject(offset, "a chunk without its header");
        };
        let mut chunk = Chunk::new(bytes, &mut self.names);
        let end = header.records_end.min(bytes.len());
        let is_cut = end < header.records_end;
        let mut at = CHUNK_HEADER_BYTES;
        while at < end {
            let Some(record) = Record::of(bytes, at) else {
                let next = header.next_record(bytes, at + 1);
                // Zeros are free space that the header calls used, unless a record follows.
                let is_free = bytes[at..end].iter().take(4).all(|byte| *byte == 0);
                let Some(next) = next else {
                    // The end of a cut file is counted below.
                    if !is_free && !is_cut {
                        reading.reject(offset + at as u64, "a damaged record");
                    }
                    break;
                };
                reading.reject(offset + at as u64, "a damaged record");
                at = next;
                continue;
            };
            self.event.begin();
            let outcome = match chunk.read(at + RECORD_HEADER_BYTES..record.end - 4, &mut self.event) {
                Ok(()) => self.event.end(Some(record.time_ms)),
                Err(problem) => Outcome::Rejected(problem),
            };
            self.fold.add(offset + at as u64, outcome, reading);
            if record.id == header.last_id {
                return;
            }
            at = record.end;
        }
        if is_cut {
            reading.reject(offset + bytes.len() as u64, "the file ends within a chunk");
        }
    }
}

/// What a chunk's header says that matters.
struct ChunkHeader {
    first_id: u64,
    last_id: u64,
    /// Where the free space begins, of a cut chunk maybe behind its end.
    records_end: usize,
}

impl ChunkHeader {
    fn of(bytes: &[u8]) -> Option<ChunkHeader> {
        let records_end = (u32_at(bytes, 48)? as usize).min(CHUNK_BYTES);
        bytes.starts_with(CHUNK_MARK).then_some(())?;
        Some(ChunkHeader { first_id: u64_at(bytes, 24)?, last_id: u64_at(bytes, 32)?, records_end })
    }

    /// The next place at or behind `from` at which a record of this chunk begins.
    fn next_record(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let ids = self.first_id..=self.last_id;
        let end = self.records_end.min(bytes.len());
        (from..end).find(|&at| {
            let record = Record::of(bytes, at).filter(|record| record.end <= end && ids.contains(&record.id));
            record.is_some_and(|record| u32_at(bytes, record.end - 4) == u32_at(bytes, at + 4))
        })
    }
}

/// A record's header.
struct Record {
    id: u64,
    time_ms: i64,
    /// Where the next record begins.
    end: usize,
}

impl Record {
    fn of(bytes: &[u8], at: usize) -> Option<Record> {
        let is_record = bytes.get(at..)?.starts_with(RECORD_MARK);
        let size = is_record.then(|| u32_at(bytes, at + 4))?? as usize;
        let end = at.checked_add(size).filter(|end| size >= RECORD_BYTES_MIN && *end <= bytes.len())?;
        Some(Record { id: u64_at(bytes, at + 8)?, time_ms: time::of_filetime(u64_at(bytes, at + 16)?), end })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{fact::Fact, kinds};

    /// A chunk being written, token by token.
    struct Writer {
        bytes: Vec<u8>,
        names: HashMap<String, u32>,
        records: u64,
    }

    impl Writer {
        fn new() -> Writer {
            let mut bytes = vec![0; CHUNK_HEADER_BYTES];
            bytes[..8].copy_from_slice(CHUNK_MARK);
            Writer { bytes, names: HashMap::new(), records: 0 }
        }

        fn push(&mut self, bytes: &[u8]) -> &mut Writer {
            self.bytes.extend_from_slice(bytes);
            self
        }

        fn text(&mut self, text: &str) -> &mut Writer {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            self.push(&(units.len() as u16 / 2).to_le_bytes()).push(&units)
        }

        fn name(&mut self, name: &str) -> &mut Writer {
            if let Some(place) = self.names.get(name).copied() {
                return self.push(&place.to_le_bytes());
            }
            let place = self.bytes.len() as u32 + 4;
            self.names.insert(name.to_owned(), place);
            self.push(&place.to_le_bytes()).push(&[0; 6]).text(name).push(&[0; 2])
        }

        /// `dependency` only in templates.
        fn open(&mut self, name: &str, dependency: &[u8]) -> &mut Writer {
            self.push(&[0x41]).push(dependency).push(&[0; 4]).name(name).push(&[0; 4])
        }

        fn attribute(&mut self, name: &str, value: &str) -> &mut Writer {
            self.push(&[0x06]).name(name).push(&[0x05, 0x01]).text(value)
        }

        fn content(&mut self) -> &mut Writer {
            self.push(&[0x02])
        }

        fn literal(&mut self, text: &str) -> &mut Writer {
            self.push(&[0x05, 0x01]).text(text)
        }

        fn value(&mut self, index: u16) -> &mut Writer {
            self.push(&[0x0D]).push(&index.to_le_bytes()).push(&[0x01])
        }

        fn close(&mut self) -> &mut Writer {
            self.push(&[0x04])
        }

        fn empty(&mut self) -> &mut Writer {
            self.push(&[0x03])
        }

        fn record(&mut self, write: impl FnOnce(&mut Writer)) -> &mut Writer {
            let begin = self.bytes.len();
            self.records += 1;
            let id = self.records;
            self.push(RECORD_MARK).push(&[0; 4]).push(&id.to_le_bytes());
            self.push(&131_396_329_560_000_000_u64.to_le_bytes());
            write(self);
            let size = (self.bytes.len() - begin + 4) as u32;
            self.push(&size.to_le_bytes());
            self.bytes[begin + 4..begin + 8].copy_from_slice(&size.to_le_bytes());
            self
        }

        /// An instance of a template that is defined here, with values of these types.
        fn instance(&mut self, body: impl FnOnce(&mut Writer), values: &[(u8, &[u8])]) -> &mut Writer {
            let place = self.bytes.len() as u32 + 10;
            self.push(&[0x0C, 0x01]).push(&[7; 4]).push(&place.to_le_bytes()).push(&[0; 24]);
            let begin = self.bytes.len();
            body(self);
            let size = (self.bytes.len() - begin) as u32;
            self.bytes[begin - 4..begin].copy_from_slice(&size.to_le_bytes());
            self.values(values)
        }

        fn values(&mut self, values: &[(u8, &[u8])]) -> &mut Writer {
            self.push(&(values.len() as u32).to_le_bytes());
            for (kind, value) in values {
                self.push(&(value.len() as u16).to_le_bytes()).push(&[*kind, 0]);
            }
            values.iter().for_each(|(_, value)| _ = self.push(value));
            self
        }

        fn chunk(&mut self) -> Vec<u8> {
            let mut chunk = self.bytes.clone();
            chunk[24..32].copy_from_slice(&1_u64.to_le_bytes());
            chunk[32..40].copy_from_slice(&self.records.to_le_bytes());
            let end = chunk.len() as u32;
            chunk[48..52].copy_from_slice(&end.to_le_bytes());
            chunk.resize(CHUNK_BYTES, 0);
            chunk
        }
    }

    fn log(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut log = FILE_MARK.to_vec();
        log.resize(FILE_HEADER_BYTES, 0);
        chunks.iter().for_each(|chunk| log.extend_from_slice(chunk));
        log
    }

    fn read(bytes: &[u8]) -> Reading {
        let (kind, reading) = kinds::read(&Document { name: "log", bytes }).expect("a log");
        assert_eq!(kind.name(), "capi2-evtx");
        reading
    }

    const CHANNEL: &str = "Microsoft-Windows-CAPI2/Operational";
    const LEAF: &str = "EC53EBC94A796C42E5B4E5851F961874F013D94C.cer";

    fn system(writer: &mut Writer, event: &str, channel: &str) {
        writer.open("Event", &[]).content().open("System", &[]).content();
        writer.open("EventID", &[]).content().literal(event).close();
        writer.open("Channel", &[]).content().literal(channel).close().close();
    }

    fn check_of(writer: &mut Writer, result: &str) {
        writer.open("CertVerifyCertificateChainPolicy", &[]).content();
        writer.open("Certificate", &[]).attribute("fileRef", LEAF).empty();
        writer.open("Result", &[]).attribute("value", result).content().literal("bad ").literal("root").close().close();
    }

    fn event(event: &str, channel: &str, result: &str) -> impl FnOnce(&mut Writer) {
        move |writer| {
            system(writer, event, channel);
            check_of(writer, result);
            writer.close();
        }
    }

    /// Facts as `event result text count`, what was passed over, and what was rejected.
    #[track_caller]
    fn check(bytes: &[u8], facts: &[&str], passed: &[(&str, u64)], rejected: &[(u64, &str)]) {
        let reading = read(bytes);
        let shown = |fact: &Fact| match fact {
            Fact::ChainCheck(check) => {
                let text = check.result_text.as_deref().unwrap_or("-");
                format!("{} {:X} {text} {} at {}", check.event, check.result, check.count, check.first_ms)
            }
            other => format!("{other:?}"),
        };
        assert_eq!(reading.found.iter().map(|found| shown(&found.fact)).collect::<Vec<_>>(), facts);
        let counted: Vec<(&str, u64)> = reading.passed.iter().map(|(what, count)| (&**what, *count)).collect();
        assert_eq!(counted, passed);
        let rejections: Vec<(u64, &str)> = reading.rejections.iter().map(|(at, why)| (*at, &**why)).collect();
        assert_eq!((rejections, reading.rejected), (rejected.to_vec(), rejected.len() as u64));
    }

    const FIRST: u64 = (FILE_HEADER_BYTES + CHUNK_HEADER_BYTES) as u64;

    #[test]
    fn elements_without_a_template() {
        let mut writer = Writer::new();
        writer.record(event("30", CHANNEL, "800B0109")).record(event("30", CHANNEL, "800B0109"));
        writer.record(event("10", CHANNEL, "0")).record(event("30", "Security", "0"));
        let passed = [("event 10", 1), ("event of another channel", 1)];
        check(&log(&[writer.chunk()]), &["30 800B0109 bad root 2 at 1495159356000"], &passed, &[]);
    }

    #[test]
    fn a_template_and_its_values() {
        const NONE: &[u8] = &[0xFF, 0xFF];
        let body = |writer: &mut Writer| {
            writer.push(&[0x0F, 1, 1, 0]).open("Event", NONE).content().open("System", NONE).content();
            writer.open("EventID", NONE).content().value(0).close();
            writer.open("Channel", NONE).content().literal(CHANNEL).close();
            writer.open("TimeCreated", NONE).push(&[0x06]).name("SystemTime").value(1).empty().close();
            writer.open("UserData", NONE).content().value(2).close().close().push(&[0]);
        };
        let mut writer = Writer::new();
        writer.record(event("30", CHANNEL, "0"));
        // A value that is a fragment: it uses the names that stand in the chunk already.
        let mut fragment = Writer { bytes: Vec::new(), names: writer.names.clone(), records: 0 };
        check_of(&mut fragment, "80092013");
        let filetime = 116_444_736_000_070_000_u64.to_le_bytes();
        let values = |event: &'static [u8]| [(0x06, event), (0x11, &filetime[..]), (0x21, &fragment.bytes)];
        writer.record(|writer| _ = writer.instance(body, &values(&[30, 0])));
        writer.record(|writer| _ = writer.instance(body, &values(&[50, 0])));
        writer.record(|writer| _ = writer.instance(body, &values(&[41, 0])[..2]));
        let bytes = log(&[writer.chunk()]);
        let fourth = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(RECORD_MARK)).nth(3).unwrap() as u64;
        let facts = ["30 0 bad root 1 at 1495159356000", "30 80092013 bad root 1 at 7"];
        let rejected = [(fourth, "a template that asks for more values than there are")];
        check(&bytes, &facts, &[("event 50", 1)], &rejected);
    }

    #[test]
    fn what_would_not_end_is_rejected() {
        // A template that asks for its value a thousand times, which is an instance of the same template with a value ...
        let mut writer = Writer::new();
        let body = |writer: &mut Writer| {
            writer.open("Event", &[0xFF, 0xFF]).content();
            (0..1000).for_each(|_| _ = writer.value(0));
            writer.close().push(&[0]);
        };
        writer.record(|writer| {
            let template = (writer.bytes.len() + 10) as u32;
            let mut nested = vec![0x0C, 0x01, 7, 7, 7, 7];
            nested.extend_from_slice(&template.to_le_bytes());
            nested.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0x01, 0, b'x', 0]);
            writer.instance(body, &[(0x21, &nested)]);
        });
        check(&log(&[writer.chunk()]), &[], &[], &[(FIRST, "a record that asks for more than a chunk is worth")]);

        let mut writer = Writer::new();
        writer.record(|writer| (0..65).for_each(|_| _ = writer.open("Event", &[]).content()));
        check(&log(&[writer.chunk()]), &[], &[], &[(FIRST, "elements are nested too deeply")]);
    }

    #[test]
    fn damage() {
        let mut writer = Writer::new();
        (0..3).for_each(|_| _ = writer.record(event("30", CHANNEL, "0")));
        let chunk = writer.chunk();
        let whole = log(&[chunk.clone(), vec![0; CHUNK_BYTES]]);
        let at: Vec<usize> = (0..whole.len()).filter(|at| whole[*at..].starts_with(RECORD_MARK)).collect();
        let flipped = |places: &[(usize, u8)]| {
            let mut bytes = whole.clone();
            places.iter().for_each(|(place, value)| bytes[*place] = *value);
            bytes
        };
        const ONE: &[&str] = &["30 0 bad root 1 at 1495159356000"];
        const TWO: &[&str] = &["30 0 bad root 2 at 1495159356000"];
        const THREE: &[&str] = &["30 0 bad root 3 at 1495159356000"];
        check(&whole, THREE, &[], &[]);
        let second = at[1] as u64;
        check(&flipped(&[(at[1], 0)]), TWO, &[], &[(second, "a damaged record")]);
        check(&flipped(&[(at[1] + 7, 0xFF)]), TWO, &[], &[(second, "a damaged record")]); // size
        check(&flipped(&[(at[1] + 24, 0x77)]), TWO, &[], &[(second, "a record with a token that does not exist")]);
        // The header's last id tells where older records begin.
        check(&flipped(&[(FILE_HEADER_BYTES + 32, 2)]), TWO, &[], &[]);
        check(&flipped(&[(FILE_HEADER_BYTES + 3, 0)]), &[], &[], &[(4096, "a chunk without its header")]);
        // Free space that the header calls used.
        check(&flipped(&[(FILE_HEADER_BYTES + 32, 9), (FILE_HEADER_BYTES + 49, 0xFF)]), THREE, &[], &[]);

        let end = at[2] + 30;
        check(&whole[..end], TWO, &[], &[(end as u64, "the file ends within a chunk")]);
        check(&whole[..4096 + 100], &[], &[], &[(4196, "the file ends within a chunk")]);
        check(&whole[..4096 + 20], &[], &[], &[(4096, "a chunk without its header")]);
        check(&whole[..4096], &[], &[], &[]);
        check(&whole[..100], &[], &[], &[(100, "the file ends within its header")]);
        let one = at[1] - 4096;
        check(&log(&[chunk[..one].to_vec()]), ONE, &[], &[((4096 + one) as u64, "the file ends within a chunk")]);
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_damage_are_read(
            junk in proptest::collection::vec(any::<u8>(), 0..2000),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut writer = Writer::new();
            writer.record(event("30", CHANNEL, "0"));
            writer.record(|writer| _ = writer.push(&junk)).record(event("30", CHANNEL, "0"));
            let used = FILE_HEADER_BYTES + writer.bytes.len();
            let mut bytes = log(&[writer.chunk()]);
            for (index, value) in flips {
                let at = index.index(used);
                bytes[at] ^= value * u8::from(at >= FILE_MARK.len());
            }
            bytes.truncate(FILE_MARK.len() + cut.index(bytes.len() - FILE_MARK.len()));
            let reading = read(&bytes);
            let checks = |found: &crate::Found| match &found.fact {
                Fact::ChainCheck(check) => check.count,
                _ => 1,
            };
            let events = reading.found.iter().map(checks).sum::<u64>() + reading.passed.values().sum::<u64>();
            prop_assert!(events + reading.rejected <= 2000, "no more events than fit");
            prop_assert!(reading.rejections.iter().all(|(at, _)| *at <= bytes.len() as u64));
        }
    }
}
