//! The NCSA layout: local time with its distance from UTC, and no server (FORMATS 2.2).
//!
//! ```text
//! 192.0.2.7 - client.example [11/Oct/2006:13:16:41 -0600] "RCPT -?+TO:<c@d.example> SMTP" 250 46
//! ```
//! Quotes inside the quotes are not escaped, so the text between ends at the last one.

use memchr::{memchr, memmem, memrchr};

use super::{
    clock,
    row::{Row, value},
};
use crate::record::Rejection;

/// What stands where web logs name their protocol.
const PROTOCOL: &[u8] = b" SMTP";

pub(super) fn row(line: &[u8]) -> Result<Row<'_>, Rejection> {
    let parts = parts(line).ok_or(Rejection::TooFewFields)?;
    let request = parts.request.strip_suffix(PROTOCOL);
    let (method, target) = split_at_blank(request.unwrap_or(parts.request));
    // The target is empty, too, and its arguments stand behind `?`.
    let query = memchr(b'?', target).map_or(&b""[..], |mark| &target[mark + 1..]);
    Ok(Row {
        time: clock::ncsa(parts.moment).ok_or(Rejection::BadTime)?,
        exact: !value(parts.remote).is_empty(),
        remote: value(parts.remote),
        user: Some(value(parts.user)),
        method: value(method),
        query: value(query),
        status: parts.status,
        names_smtp: request.is_some(),
        ..Row::default()
    })
}

struct Parts<'a> {
    remote: &'a [u8],
    user: &'a [u8],
    moment: &'a [u8],
    request: &'a [u8],
    status: &'a [u8],
}

fn parts(line: &[u8]) -> Option<Parts<'_>> {
    let (remote, rest) = split_at_blank(line);
    let (_, rest) = split_at_blank(rest); // The identity that nobody asks for (RFC 1413).
    let bracket = memmem::find(rest, b" [")?;
    let (user, rest) = (&rest[..bracket], &rest[bracket + 2..]);
    let end = memmem::find(rest, b"] \"")?;
    let (moment, rest) = (&rest[..end], &rest[end + 3..]);
    let quote = memrchr(b'"', rest)?;
    let (status, _) = split_at_blank(rest[quote + 1..].trim_ascii_start());
    (!status.is_empty()).then_some(Parts { remote, user, moment, request: &rest[..quote], status })
}

/// The first word, and what follows the blank behind it.
fn split_at_blank(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', text) {
        Some(blank) => (&text[..blank], &text[blank + 1..]),
        None => (text, b""),
    }
}
