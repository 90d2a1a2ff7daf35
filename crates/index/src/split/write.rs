//! Writing a split: one worker, one segment, in memory until it is written as one file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use smtplog::{Session, SessionId, Stream, Thumbprint, Timestamp};
use tantivy::{
    Directory, Index, IndexSettings, SingleSegmentIndexWriter,
    directory::RamDirectory,
    store::{Compressor, ZstdCompressor},
    tokenizer::TokenizerManager,
};

use super::{
    bundle,
    dictionaries::{Builders, FILES},
    document::SessionDocument,
    record::{self, Numbers},
    schema::{Fields, TOKENIZER, Words, message_id_hash, time_to_column},
};
use crate::StoreError;

/// Sessions of one split. More would make answers no faster, and a worker holds one split in memory.
pub(crate) const SPLIT_SESSIONS_MAX: u32 = 500_000;

/// Bytes of memory that a split takes while it is written. With it and the readers' buffers, two workers stay under
/// 400 MiB.
pub(crate) const SPLIT_BYTES_MAX: usize = 128 << 20;

/// Records compressed together. Larger blocks are smaller in all and slower to read one record from.
const RECORD_BLOCK_BYTES: usize = 16 << 10;

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
    /// Certificates that occur in it, in order.
    pub(crate) thumbprints: Vec<Thumbprint>,
    /// Least and greatest session id by stream.
    pub(crate) streams: Vec<(Arc<Stream>, SessionId, SessionId)>,
    /// Keys of its sessions, for finding keys that occur more than once.
    pub(crate) keys: Vec<(u32, SessionId, Timestamp)>,
}

/// A split being written.
pub(crate) struct SplitWriter {
    writer: SingleSegmentIndexWriter<SessionDocument>,
    directory: RamDirectory,
    fields: Fields,
    builders: Builders,
    numbers: Numbers,
    sessions: u32,
    min_time: Timestamp,
    max_time: Timestamp,
    has_via: bool,
    streams: Vec<(Arc<Stream>, SessionId, SessionId)>,
    last_stream: Option<(Arc<Stream>, u32)>,
    keys: Vec<(u32, SessionId, Timestamp)>,
}

impl SplitWriter {
    pub(crate) fn new() -> Result<SplitWriter, StoreError> {
        let fields = Fields::new();
        let directory = RamDirectory::create();
        let tokenizers = TokenizerManager::default();
        tokenizers.register(TOKENIZER, Words);
        let settings = IndexSettings {
            docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(1) }),
            docstore_compress_dedicated_thread: false,
            docstore_blocksize: RECORD_BLOCK_BYTES,
            ..IndexSettings::default()
        };
        let writer = Index::builder()
            .schema(fields.schema.clone())
            .settings(settings)
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), SPLIT_BYTES_MAX)?;
        Ok(SplitWriter {
            writer,
            directory,
            fields,
            builders: Builders::default(),
            numbers: Numbers::default(),
            sessions: 0,
            min_time: Timestamp(i64::MAX),
            max_time: Timestamp(i64::MIN),
            has_via: false,
            streams: Vec::new(),
            last_stream: None,
            keys: Vec::new(),
        })
    }

    /// Whether the split has reached one of its limits.
    pub(crate) fn is_full(&self) -> bool {
        // The memory in use is summed up over all fields, so it is not asked for every session.
        self.sessions >= SPLIT_SESSIONS_MAX || (self.sessions.is_multiple_of(4_096) && self.bytes() >= SPLIT_BYTES_MAX)
    }

    fn bytes(&self) -> usize {
        self.writer.mem_usage() + self.builders.bytes() + 24 * self.keys.len()
    }

    /// Adds a session and returns its document number. `parts` are the rows of one that is not whole, if they shall be
    /// read back from here.
    pub(crate) fn add(&mut self, session: &Session, parts: Option<Vec<u8>>) -> Result<u32, StoreError> {
        let mut record = Vec::with_capacity(256);
        record::encode(session, &mut self.builders, &mut self.numbers, &mut record);
        let mut document = self.document(session, record);
        document.stored.extend(parts.map(|parts| (self.fields.parts, parts)));
        self.writer.add_document(document)?;
        self.note(session);
        self.sessions += 1;
        Ok(self.sessions - 1)
    }

    fn document(&self, session: &Session, record: Vec<u8>) -> SessionDocument {
        let (fields, numbers) = (&self.fields, &self.numbers);
        let mut values = Vec::with_capacity(24);
        values.push((fields.profile, numbers.profile.into()));
        values.extend(numbers.replies.iter().map(|&number| (fields.reply, number.into())));
        let indexed = values.len();
        values.push((fields.started, time_to_column(session.started.0)));
        let duration = session.last.0.wrapping_sub(session.started.0) as u64;
        values.push((fields.duration, duration));
        values.push((fields.session, session.session.0));
        let optional = [
            (fields.helo, numbers.helo),
            (fields.remote_name, numbers.remote_name),
            (fields.local, numbers.local),
            (fields.remote, numbers.remote),
            (fields.egress, numbers.egress),
        ];
        values.extend(optional.iter().filter_map(|&(field, number)| Some((field, number?.into()))));
        values.extend(numbers.from.iter().map(|&number| (fields.from, number.into())));
        values.extend(numbers.to.iter().map(|&number| (fields.to, number.into())));
        let ids = session.messages.iter().filter_map(|message| message.message_id.as_deref());
        values.extend(ids.map(|id| (fields.message_id, message_id_hash(id))));
        let peers = session.replies.iter().filter_map(|reply| reply.peer.as_ref()?.session);
        values.extend(peers.map(|id| (fields.peer, id.0)));
        let vias = session.replies.iter().filter_map(|reply| reply.presented_via);
        let links = session.proxy.iter().map(|link| link.session).chain(vias);
        values.extend(links.map(|id| (fields.link, id.0)));
        let auth = session.auth.iter().filter_map(|auth| auth.error.as_deref());
        let failures = session.errors.iter().map(|error| error.as_str()).chain(auth);
        let texts = session.replies.iter().map(|reply| (fields.text, reply.text.to_string()));
        let texts = texts.chain(failures.map(|failure| (fields.failure, failure.to_owned()))).collect();
        SessionDocument { numbers: values, indexed, texts, stored: vec![(fields.record, record)] }
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
        let index = self.writer.finalize()?;
        let mut names: Vec<PathBuf> = index.directory().list_managed_files().into_iter().collect();
        names.retain(|name| self.directory.exists(name).unwrap_or(false));
        names.sort();
        let mut contents = Vec::with_capacity(names.len() + FILES.len());
        for name in names {
            let bytes = self.directory.open_read(&name)?.read_bytes()?.to_vec();
            contents.push((name, bytes));
        }
        contents.extend(FILES.iter().map(PathBuf::from).zip(self.builders.encode()));
        let files: Vec<(PathBuf, &[u8])> = contents.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
        let path = folder.join(format!("{name}.split"));
        let bytes = bundle::write(&path, &files).map_err(|source| StoreError::Write { path, source })?;
        Ok(SplitMeta {
            name,
            bytes,
            sessions: self.sessions,
            min_time: self.min_time,
            max_time: self.max_time,
            has_via: self.has_via,
            thumbprints: self.builders.thumbprints(),
            streams: self.streams,
            keys: self.keys,
        })
    }
}
