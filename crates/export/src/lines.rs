//! Records of one line: what CEF, LEEF and syslog have in common, above all their limits.
//!
//! Receivers cut or drop what is too long (rsyslog's limit is 8,192 bytes unless somebody raised it), and a record that
//! was cut has lost its end, whatever stood there. So a value is shortened at 1,023 bytes, the length of the longest
//! texts of CEF, and a record takes no value that would make it too long. A mapping table has the more important first:
//! what stands further down is left out, and what is shorter may still fit. Ids, thumbprints, codes and status stand so
//! far up that there is always room for them.

use std::fmt::Write;

use crate::{Event, Kind, Value, table::Take};

/// Bytes of a syslog message, with its header.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8_192;

/// Bytes of a record that gets its syslog header later, which needs fewer than 384.
pub(crate) const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 384;

/// Bytes of a value before it is escaped; a longer one ends in `...`.
const VALUE_BYTES_MAX: usize = 1_023;

/// What stands between the entries of a list.
const JOINT: char = ';';

/// Appends by `put` every value that the event has and that leaves the record shorter than `end`. Empty texts are none.
pub(crate) fn put_fitting<K>(
    event: &Event<'_>,
    lines: impl Iterator<Item = (K, Take)>,
    end: usize,
    out: &mut Vec<u8>,
    mut put: impl FnMut(&mut Vec<u8>, K, &str),
) {
    let mut text = String::new();
    for (key, take) in lines {
        text.clear();
        put_shortened(&take.value(event), &mut text);
        if text.is_empty() {
            continue;
        }
        let before = out.len();
        put(out, key, &text);
        if out.len() > end {
            out.truncate(before);
        }
    }
}

/// Appends a value as one text, shortened if it is too long.
pub(crate) fn put_shortened(value: &Value<'_>, text: &mut String) {
    // A string takes whatever is written to it.
    let _ = match value {
        Value::None => Ok(()),
        Value::Text(whole) => text.write_str(begin_of(whole)),
        Value::List(texts) => {
            for (at, entry) in texts.iter().enumerate() {
                if at > 0 {
                    text.push(JOINT);
                }
                text.push_str(begin_of(entry));
                if text.len() > VALUE_BYTES_MAX {
                    break;
                }
            }
            Ok(())
        }
        Value::Long(number) => text.write_str(itoa::Buffer::new().format(*number)),
        Value::Flag(flag) => text.write_str(if *flag { "true" } else { "false" }),
        Value::Time(time) => write!(text, "{time}"),
        Value::Thumbprint(thumbprint) => write!(text, "{thumbprint}"),
        Value::Hash(hash) => write!(text, "{hash:016X}"),
        Value::Id(id) => write!(text, "{id}"),
    };
    if text.len() > VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX - 3));
        text.push_str("...");
    }
}

/// As much of a text as can matter, so that nobody copies megabytes to keep a thousand bytes: of a text that is too long
/// a beginning that is too long as well.
fn begin_of(text: &str) -> &str {
    text.get(..text.ceil_char_boundary(VALUE_BYTES_MAX + 1)).unwrap_or(text)
}

/// Appends a text, with `escape` for what means something in the format, and a blank for every other control letter and
/// line separator: a terminal or a line reader would obey them.
pub(crate) fn put_escaped(text: &str, out: &mut Vec<u8>, escape: impl Fn(char) -> Option<&'static [u8]>) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        let instead = match escape(c) {
            Some(instead) => instead,
            None if is_control(c) => b" ",
            None => continue,
        };
        // Both ends are places of letters, in order.
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(instead);
        copied = at + c.len_utf8();
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Whether a letter is a control or a line separator.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// How grave an event is, from 0 to 10 as CEF and LEEF count.
pub(crate) fn severity(kind: Kind) -> i64 {
    match kind {
        Kind::Finding => 8,
        Kind::TlsFailed => 7,
        Kind::Refusal => 6,
        Kind::CertificatePresented | Kind::CertificateReceived | Kind::TlsNegotiated | Kind::SessionEnd => 2,
    }
}

/// The category of an event, coarser than its kind.
pub(crate) fn category<'e>(event: &'e Event<'_>) -> Value<'e> {
    Value::text(match event.kind {
        Kind::CertificatePresented | Kind::CertificateReceived => "certificate",
        Kind::TlsNegotiated | Kind::TlsFailed => "tls",
        Kind::Refusal => "refusal",
        Kind::SessionEnd => "session",
        Kind::Finding => "finding",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Field;

    /// The fields that no line of a table takes as they are.
    pub(crate) fn not_taken(takes: impl Iterator<Item = Take>) -> Vec<&'static str> {
        let taken: BTreeSet<Field> =
            takes.filter_map(|take| if let Take::Field(field) = take { Some(field) } else { None }).collect();
        Field::all().filter(|field| !taken.contains(field)).map(Field::name).collect()
    }

    #[test]
    fn long_values_end_in_dots() {
        let check = |value: Value<'_>, expected: &str| {
            let mut text = String::new();
            put_shortened(&value, &mut text);
            assert_eq!(text, expected);
        };
        let long = "a".repeat(1_023);
        check(Value::text(&long), &long);
        check(Value::text(&"a".repeat(1_024)), &format!("{}...", "a".repeat(1_020)));
        check(Value::text(&"\u{20ac}".repeat(400)), &format!("{}...", "\u{20ac}".repeat(340)));
        check(Value::text(&"\u{1f600}".repeat(256)), &format!("{}...", "\u{1f600}".repeat(255)));
        check(Value::List(vec!["a".into(), "".into(), "b".into()]), "a;;b");
        check(Value::List(vec!["x".into(), long.as_str().into()]), &format!("x;{}...", "a".repeat(1_018)));
        check(Value::None, "");
    }
}
