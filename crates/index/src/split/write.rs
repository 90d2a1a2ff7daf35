//! Writing a split: one worker, in memory until it is written as one file.

use std::{path::Path, sync::Arc};

use smtplog::{Session, SessionId, Stream, Thumbprint, Timestamp};

use super::{
    bundle,
    columns::{ColumnsBuilder, column},
    dictionaries::{Builders, FILES},
    record::{self, Numbers},
    records::RecordsWriter,
    words::WordsWriter,
};
use crate::{
    StoreError,
    packed::{pack, pack_small},
};

/// Sessions of one split. More would make answers no faster, and a worker holds one split in memory.
pub(crate) const SPLIT_SESSIONS_MAX: u32 = 500_000;

/// Bytes of memory that a split takes while it is written. With it and the readers' buffers, two workers stay under
/// 400 MiB.
pub(crate) const SPLIT_BYTES_MAX: usize = 128 << 20;

/// Name of the column of documents that have parts.
pub(super) const PARTS_DOCUMENT: &str = "parts.document";

/// Name of the column of where these parts end.
pub(super) const PARTS_END: &str = "parts.end";

/// Name of the file of these parts, one behind the other, each compressed by itself.
pub(super) const PARTS: &str = "parts";

/// What the catalog keeps of a split.
#[derive(Clone, Debug)]
pub(crate) struct SplitMeta {
    /// Name of its file without suffix; a ULID.
    pub(crate) name: String,
    /// Bytes of its file.
    pub(crate) bytes: u64,
    /// Sessions.
    pub(crate) sessions: u32,
    /// Earliest start.
    pub(crate) min_time: Timestamp,
    /// Latest last row.
    pub(crate) max_time: Timestamp,
    /// Whether a reply's certificate has to be looked up at a front end's session.
    pub(crate) has_via: bool,
    /// The latest run that brought one of its sessions.
    pub(crate) newest_run: u64,
    /// Certificates that occur in it, in order.
    pub(crate) thumbprints: Vec<Thumbprint>,
    /// Least and greatest session id by stream, in order.
    pub(crate) streams: Vec<(Arc<Stream>, SessionId, SessionId)>,
    /// Keys of its sessions in order, for finding keys that occur more than once. Their streams are places in `streams`.
    pub(crate) keys: Vec<(u32, SessionId, Timestamp)>,
}

/// A split being written.
pub(crate) struct SplitWriter {
    columns: ColumnsBuilder,
    records: RecordsWriter,
    /// Made when the first phrase comes; many splits of a small run have none.
    words: Option<WordsWriter>,
    /// Phrases whose words are indexed.
    phrases: usize,
    builders: Builders,
    numbers: Numbers,
    record: Vec<u8>,
    parts: PartsBuilder,
    sessions: u32,
    min_time: Timestamp,
    max_time: Timestamp,
    has_via: bool,
    newest_run: u64,
    streams: Vec<(Arc<Stream>, SessionId, SessionId)>,
    last_stream: Option<(Arc<Stream>, u32)>,
    keys: Vec<(u32, SessionId, Timestamp)>,
}

/// Rows that are stored beside a document, because it is not whole.
#[derive(Default)]
struct PartsBuilder {
    documents: Vec<u32>,
    ends: Vec<u64>,
    bytes: Vec<u8>,
}

impl SplitWriter {
    pub(crate) fn new() -> Result<SplitWriter, StoreError> {
        Ok(SplitWriter {
            columns: ColumnsBuilder::default(),
            records: RecordsWriter::new()?,
            words: None,
            phrases: 0,
            builders: Builders::default(),
            numbers: Numbers::default(),
            record: Vec::new(),
            parts: PartsBuilder::default(),
            sessions: 0,
            min_time: Timestamp(i64::MAX),
            max_time: Timestamp(i64::MIN),
            has_via: false,
            newest_run: 0,
            streams: Vec::new(),
            last_stream: None,
            keys: Vec::new(),
        })
    }

    /// Whether the split has reached one of its limits.
    pub(crate) fn is_full(&self) -> bool {
        // The memory in use is summed up over all columns, so it is not asked for every session.
        self.sessions >= SPLIT_SESSIONS_MAX || (self.sessions.is_multiple_of(1_024) && self.bytes() >= SPLIT_BYTES_MAX)
    }

    fn bytes(&self) -> usize {
        let parts = self.parts.bytes.len();
        let words = self.words.as_ref().map_or(0, WordsWriter::bytes);
        self.columns.bytes() + self.records.bytes() + self.builders.bytes() + words + parts + 24 * self.keys.len()
    }

    /// Adds a session and returns its document number. `parts` are the rows of one that is not whole, if they shall be
    /// read back from here; `run` is the one that brought it.
    pub(crate) fn add(&mut self, session: &Session, parts: Option<Vec<u8>>, run: u64) -> Result<u32, StoreError> {
        record::encode(session, &mut self.builders, &mut self.numbers, &mut self.record);
        self.records.add(&self.record)?;
        self.index_phrases()?;
        let document = self.columns.add(session, &self.numbers, run);
        self.newest_run = self.newest_run.max(run);
        if let Some(parts) = parts {
            self.parts.documents.push(document);
            self.parts.bytes.extend_from_slice(self.records.compress(&parts)?);
            self.parts.ends.push(self.parts.bytes.len() as u64);
        }
        self.note(session);
        self.sessions += 1;
        Ok(document)
    }

    /// Indexes the words of the phrases that came up for the first time.
    fn index_phrases(&mut self) -> Result<(), StoreError> {
        while let Some(&phrase) = self.builders.phrases().get(self.phrases) {
            let words = match &mut self.words {
                Some(words) => words,
                None => self.words.insert(WordsWriter::new()?),
            };
            words.add(self.builders.shown(phrase))?;
            self.phrases += 1;
        }
        Ok(())
    }

    /// What the catalog wants to know of the split.
    fn note(&mut self, session: &Session) {
        self.min_time = self.min_time.min(session.started);
        self.max_time = self.max_time.max(session.last);
        self.has_via |= session.replies.iter().any(|reply| reply.presented_via.is_some());
        let number = self.stream_number(session);
        let (_, least, greatest) = &mut self.streams[number as usize];
        *least = session.session.min(*least);
        *greatest = session.session.max(*greatest);
        self.keys.push((number, session.session, session.started));
    }

    /// The stream's number in this split. Sessions of one file follow one another, so the last stream is tried first.
    fn stream_number(&mut self, session: &Session) -> u32 {
        if let Some((stream, number)) = &self.last_stream
            && Arc::ptr_eq(stream, &session.stream)
        {
            return *number;
        }
        let known = self.streams.iter().position(|(stream, ..)| *stream == session.stream);
        let number = known.unwrap_or_else(|| {
            self.streams.push((Arc::clone(&session.stream), session.session, session.session));
            self.streams.len() - 1
        }) as u32;
        self.last_stream = Some((Arc::clone(&session.stream), number));
        number
    }

    /// Writes the split's file into `folder`. The name becomes visible only with the catalog's transaction.
    pub(crate) fn finish(self, folder: &Path, name: String) -> Result<SplitMeta, StoreError> {
        let thumbprints = self.builders.thumbprints();
        let (texts, hosts): (Vec<u32>, Vec<u32>) = self.builders.phrases().iter().copied().unzip();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let mut put = |name: &str, bytes: Vec<u8>| files.push((name.to_owned(), bytes));
        self.columns.encode().into_iter().for_each(|(name, bytes)| put(name, bytes));
        put(column::PHRASE_TEXT, pack_small(&texts));
        put(column::PHRASE_HOST, pack_small(&hosts));
        FILES.iter().zip(self.builders.encode()).for_each(|(name, bytes)| put(name, bytes));
        put(PARTS_DOCUMENT, pack_small(&self.parts.documents));
        put(PARTS_END, pack(&self.parts.ends));
        put(PARTS, self.parts.bytes);
        self.records.finish()?.into_iter().for_each(|(name, bytes)| put(name, bytes));
        if let Some(words) = self.words {
            words.finish()?.into_iter().for_each(|(name, bytes)| put(&name, bytes));
        }
        let path = folder.join(format!("{name}.split"));
        let bytes = bundle::write(&path, &files).map_err(|source| StoreError::Write { path, source })?;
        let (streams, keys) = in_order(self.streams, self.keys);
        Ok(SplitMeta {
            name,
            bytes,
            sessions: self.sessions,
            min_time: self.min_time,
            max_time: self.max_time,
            has_via: self.has_via,
            newest_run: self.newest_run,
            thumbprints,
            streams,
            keys,
        })
    }
}

type Streams = Vec<(Arc<Stream>, SessionId, SessionId)>;

/// Streams in their order, and keys by stream, id and time.
fn in_order(
    streams: Streams,
    mut keys: Vec<(u32, SessionId, Timestamp)>,
) -> (Streams, Vec<(u32, SessionId, Timestamp)>) {
    let mut ordered: Vec<(u32, _)> = (0..).zip(streams).collect();
    ordered.sort_unstable_by(|(_, a), (_, b)| a.0.cmp(&b.0));
    let mut places = vec![0; ordered.len()];
    for (place, (number, _)) in (0..).zip(&ordered) {
        places[*number as usize] = place;
    }
    keys.iter_mut().for_each(|key| key.0 = places[key.0 as usize]);
    keys.sort_unstable();
    (ordered.into_iter().map(|(_, stream)| stream).collect(), keys)
}
