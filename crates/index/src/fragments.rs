//! Stored fragments: the rows of sessions that are not whole, until later rows join them (CONTRACT 2).

use std::sync::Arc;

use smtplog::{
    SessionId, Stream, Timestamp,
    fragment::{self, Rebuilt, Span},
};

use crate::codec::{Decoder, put_number, put_signed, put_text};

/// The rows of one session from one stretch of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// What the rows cover.
    pub span: Span,
    /// The source.
    pub identity: [u8; 32],
    /// The source's name.
    pub file: Arc<str>,
    /// Decompressed offset of the first row.
    pub offset: u64,
    /// Decompressed offset after the last row.
    pub end: u64,
    /// Whether it is a last line without an end, which a longer line may replace.
    pub provisional: bool,
    /// The rows, as [`smtplog::fragment`] writes them.
    pub rows: Vec<u8>,
}

/// A session that is not whole.
#[derive(Clone, Debug)]
pub struct StoredFragments {
    /// The catalog's number for it.
    pub handle: u64,
    /// Whether it was given up, and so is kept only for rows that still come.
    pub given_up: bool,
    /// The stream.
    pub stream: Arc<Stream>,
    /// The session's counter.
    pub session: SessionId,
    /// Its parts in order.
    pub parts: Vec<StoredPart>,
}

/// What is said of rows that have offsets, as all have since layout 6.
const HAS_OFFSETS: bool = true;

/// Writes the parts of a session.
pub(crate) fn encode(parts: &[StoredPart]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let span = &part.span;
        for number in [span.first_sequence, span.last_sequence, span.records, span.repeated, span.missing] {
            put_number(&mut out, number.into());
        }
        put_signed(&mut out, span.first_time.0);
        put_signed(&mut out, span.last_time.0);
        let is_rebuilt = span.rebuilt.is_some();
        let flags =
            [span.connected, span.only_information, span.ended, span.disconnected, part.provisional, is_rebuilt];
        put_flags(&mut out, &[&flags[..], &[HAS_OFFSETS]].concat());
        if let Some(rebuilt) = span.rebuilt {
            put_flags(&mut out, &[rebuilt.opens, rebuilt.reopens, rebuilt.closes, rebuilt.exact]);
        }
        out.extend_from_slice(&part.identity);
        put_text(&mut out, part.file.as_bytes());
        put_number(&mut out, part.offset);
        put_number(&mut out, part.end);
        put_text(&mut out, &part.rows);
    }
    out
}

fn put_flags(out: &mut Vec<u8>, flags: &[bool]) {
    out.push(flags.iter().enumerate().map(|(bit, &flag)| u8::from(flag) << bit).sum());
}

/// Reads what [`encode`] wrote; `None` if it is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<StoredPart>> {
    let from = &mut Decoder::new(bytes);
    let mut parts = Vec::new();
    while !from.is_empty() {
        parts.push(part(from)?);
    }
    Some(parts)
}

fn part(from: &mut Decoder<'_>) -> Option<StoredPart> {
    let (first_sequence, last_sequence) = (from.small()?, from.small()?);
    let (records, repeated, missing) = (from.small()?, from.small()?, from.small()?);
    let (first_time, last_time) = (Timestamp(from.signed()?), Timestamp(from.signed()?));
    let flags = from.byte()?;
    let flag = |bit: u8| is_set(flags, bit);
    let rebuilt = if flag(5) { Some(rebuilt(from.byte()?)) } else { None };
    let span = Span {
        first_sequence,
        last_sequence,
        first_time,
        last_time,
        records,
        repeated,
        missing,
        connected: flag(0),
        only_information: flag(1),
        ended: flag(2),
        disconnected: flag(3),
        rebuilt,
    };
    Some(StoredPart {
        span,
        identity: from.array()?,
        file: std::str::from_utf8(from.text()?).ok()?.into(),
        offset: from.number()?,
        end: from.number()?,
        provisional: flag(4),
        rows: match flag(6) {
            HAS_OFFSETS => from.text()?.to_vec(),
            _ => fragment::without_offsets(from.text()?),
        },
    })
}

fn rebuilt(flags: u8) -> Rebuilt {
    Rebuilt { opens: is_set(flags, 0), reopens: is_set(flags, 1), closes: is_set(flags, 2), exact: is_set(flags, 3) }
}

fn is_set(flags: u8, bit: u8) -> bool {
    flags >> bit & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_round_trip() {
        let span = Span {
            first_sequence: 3,
            last_sequence: 900,
            first_time: Timestamp(-5),
            last_time: Timestamp(1_709_272_806_307),
            records: 12,
            repeated: 1,
            missing: 2,
            connected: true,
            only_information: false,
            ended: true,
            disconnected: false,
            rebuilt: None,
        };
        let part = StoredPart {
            span,
            identity: [7; 32],
            file: "a/b.LOG".into(),
            offset: 5,
            end: 70_000,
            provisional: true,
            rows: vec![1, 2, 3],
        };
        let rebuilt = Some(Rebuilt { opens: true, reopens: false, closes: true, exact: false });
        let other = StoredPart { span: Span { rebuilt, ..span }, ..part.clone() };
        let parts = vec![part.clone(), other, StoredPart { provisional: false, rows: Vec::new(), ..part }];
        let bytes = encode(&parts);
        assert_eq!(decode(&bytes), Some(parts));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
