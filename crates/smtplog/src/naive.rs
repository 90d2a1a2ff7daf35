//! The slow twin of the record reader: the obvious lines that the fast path must agree with.

use crate::{
    SessionId, Timestamp,
    formats::{Columns, exchange::Column},
    record::{Event, Field, Record, Rejection},
};

/// Cuts a line into fields at commas that stand outside quotes, then looks the columns up by place.
pub fn record<'a>(line: &'a [u8], columns: &Columns) -> Result<Record<'a>, Rejection> {
    let fields = fields(line, usize::from(columns.count));
    if fields.len() < usize::from(columns.count) {
        return Err(Rejection::TooFewFields);
    }
    let field = |column: Column| match columns.places[column as usize] {
        Some(place) => fields[usize::from(place)],
        None => Field::default(),
    };
    Ok(Record {
        time: Timestamp::from_log(field(Column::Time).raw).ok_or(Rejection::BadTime)?,
        connector: field(Column::Connector),
        session: SessionId::from_hex(field(Column::Session).raw).ok_or(Rejection::BadSessionId)?,
        sequence: sequence(field(Column::Sequence).raw).ok_or(Rejection::BadSequence)?,
        local: field(Column::Local).raw,
        remote: field(Column::Remote).raw,
        event: Event::from_column(field(Column::Event).raw).ok_or(Rejection::BadEvent)?,
        data: field(Column::Data),
        context: field(Column::Context),
    })
}

fn sequence(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// All fields of a line. Copies made by hand lose the quotes round a value with commas; as only the last but one
/// column holds free text, surplus commas belong to it.
fn fields(line: &[u8], count: usize) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let (field, after) = next_field(text);
        fields.push((field, line.len() - text.len(), after.map_or(line.len(), |after| line.len() - after.len() - 1)));
        rest = after;
    }
    if fields.len() <= count || count < 2 {
        return fields.into_iter().map(|(field, ..)| field).collect();
    }
    let surplus = fields.len() - count;
    let (_, start, _) = fields[count - 2];
    let (_, _, end) = fields[count - 2 + surplus];
    let mut merged: Vec<Field<'_>> = fields[..count - 2].iter().map(|(field, ..)| *field).collect();
    merged.push(Field::plain(&line[start..end]));
    merged.push(fields[fields.len() - 1].0);
    merged
}

fn next_field(text: &[u8]) -> (Field<'_>, Option<&[u8]>) {
    if text.first() == Some(&b'"') {
        let mut at = 1;
        while at < text.len() {
            match (text[at], text.get(at + 1)) {
                (b'"', Some(b'"')) => at += 2,
                (b'"', None) => return (quoted(&text[1..at]), None),
                (b'"', Some(b',')) => return (quoted(&text[1..at]), Some(&text[at + 2..])),
                (b'"', Some(_)) => break,
                _ => at += 1,
            }
        }
    }
    match text.iter().position(|&byte| byte == b',') {
        Some(comma) => (Field::plain(&text[..comma]), Some(&text[comma + 1..])),
        None => (Field::plain(text), None),
    }
}

fn quoted(inner: &[u8]) -> Field<'_> {
    Field { raw: inner, doubled: inner.contains(&b'"') }
}
