//! What comes back from a record of keys and values, worked out in the plainest way.

use std::collections::BTreeMap;

use export::{Event, Field, Item, Sink, Value};

/// The longest message that goes over a wire.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8_192;

/// The room for the header in front of a record that has none.
pub(crate) const HEADER_BYTES_MAX: usize = 384;

/// Keys and values.
pub(crate) type Pairs = BTreeMap<String, String>;

/// The record of an event.
pub(crate) fn record(sink: &dyn Sink, event: &Event<'_>) -> String {
    let mut record = Vec::new();
    sink.put(Item::Event(event), &mut record);
    String::from_utf8(record).unwrap()
}

/// A value as it comes back: joined, shortened, and with blanks for what the format has no way to write.
pub(crate) fn comes_back(value: &Value<'_>, is_kept: impl Fn(char) -> bool) -> String {
    let text = match value {
        Value::List(texts) => texts.join(";"),
        value => value.to_text().unwrap_or_default().into_owned(),
    };
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 1_020).last();
    let text = match end {
        Some(end) if text.len() > 1_023 => format!("{}...", &text[..end]),
        _ => text,
    };
    let is_lost = |c: char| (c.is_control() || c == '\u{2028}' || c == '\u{2029}') && !is_kept(c);
    text.chars().map(|c| if is_lost(c) { ' ' } else { c }).collect()
}

/// Asserts that a field came back, or that there was no room for it and it is none that needs to be there.
#[track_caller]
pub(crate) fn check(pairs: &Pairs, key: &str, field: Field, expected: &str, room: usize) {
    let is_needed = matches!(
        field,
        Field::Time
            | Field::Id
            | Field::Amends
            | Field::Presented
            | Field::Received
            | Field::Code
            | Field::Status
            | Field::Sequence
    );
    match pairs.get(key) {
        Some(found) => assert_eq!(found, expected, "{key}"),
        None if expected.is_empty() => {}
        // Escapes double a text at most; keys, labels and separators have fewer than 64 bytes.
        None => assert!(!is_needed && 2 * expected.len() + 64 > room, "{key} {expected:?} and room for {room}"),
    }
}
