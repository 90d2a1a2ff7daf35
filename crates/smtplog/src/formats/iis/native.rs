//! The layout of IIS itself: fifteen fixed fields, a local date and no zone (FORMATS 2.2).
//!
//! ```text
//! 10.3.5.1, client.example, 8/18/06, 13:17:37, SMTPSVC1, MAIL01, 10.200.200.1, 90, 42, 0, 250, 0, MAIL, -, FROM:<a@b.example>,
//! ```
//! Times are taken as UTC, because nothing says how far they are from it.

use super::{
    clock,
    row::{Row, value},
};
use crate::{Timestamp, record::Rejection};

/// Fields before the arguments, which hold free text and so may hold commas.
const FIXED_FIELDS: usize = 14;

pub(super) fn row(line: &[u8]) -> Result<Row<'_>, Rejection> {
    let mut fields = [&b""[..]; FIXED_FIELDS];
    let mut rest = line;
    for field in &mut fields {
        let comma = memchr::memchr(b',', rest).ok_or(Rejection::TooFewFields)?;
        *field = rest[..comma].trim_ascii();
        rest = &rest[comma + 1..];
    }
    let [remote, user, date, time, site, computer, local, .., code, _, method, _] = fields;
    let arguments = rest.trim_ascii().strip_suffix(b",").ok_or(Rejection::TooFewFields)?;
    let date = clock::local_date(date).ok_or(Rejection::BadTime)?;
    let time = clock::time_of_day(time).ok_or(Rejection::BadTime)?;
    Ok(Row {
        time: Timestamp(date + time),
        exact: false,
        remote: value(remote),
        user: Some(value(user)),
        site: value(site),
        computer: value(computer),
        local: Some(value(local)),
        method: value(method),
        query: value(arguments.trim_ascii()),
        status: code,
        ..Row::default()
    })
}
