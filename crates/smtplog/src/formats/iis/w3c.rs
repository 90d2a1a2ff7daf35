//! The W3C layout: columns by `#Fields`, of which the administrator chooses some (FORMATS 2.1).
//!
//! Values are separated by blanks, a blank inside a value is written as `+`, and an empty value as `-`. Date and time
//! are UTC; where the rows have none, the header's `#Date` is all there is.

use std::{ops::Range, sync::LazyLock};

use memchr::memchr;

use super::{
    super::{COLUMNS_MAX, Columns},
    clock,
    row::{Row, value},
};
use crate::{Timestamp, record::Rejection};

/// The columns that matter, by their place in [`Columns::places`].
#[derive(Clone, Copy)]
enum Column {
    Date,
    Time,
    Remote,
    User,
    Site,
    Computer,
    LocalAddress,
    Port,
    Method,
    Query,
    Status,
}

const COLUMN_NAMES: [&[u8]; COLUMNS_MAX] = [
    b"date",
    b"time",
    b"c-ip",
    b"cs-username",
    b"s-sitename",
    b"s-computername",
    b"s-ip",
    b"s-port",
    b"cs-method",
    b"cs-uri-query",
    b"sc-status",
];

/// What the service writes if every field is chosen.
const ALL_FIELDS: &[u8] = b"date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem \
    cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) \
    cs(Referer)";

/// The columns of a `#Fields` line; `None` if it names none that says what was done.
pub(super) fn columns(names: &[u8]) -> Option<Columns> {
    let mut columns = Columns::NONE;
    for name in names.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()) {
        if let Some(column) = COLUMN_NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            columns.places[column] = Some(columns.count);
        }
        columns.count = columns.count.checked_add(1)?;
    }
    let is_named = |column: Column| columns.places[column as usize].is_some();
    (is_named(Column::Method) || is_named(Column::Query)).then_some(columns)
}

/// The columns of an excerpt without a header.
pub(super) fn full() -> &'static Columns {
    static FULL: LazyLock<Columns> = LazyLock::new(|| columns(ALL_FIELDS).unwrap_or(Columns::NONE));
    &FULL
}

pub(super) fn row<'a>(line: &'a [u8], columns: &Columns) -> Result<Row<'a>, Rejection> {
    let values = values(line, columns).ok_or(Rejection::TooFewFields)?;
    let field = |column: Column| values[column as usize].clone().map(|range| &line[range]);
    let known = |column: Column| field(column).map(value);
    let (date, time) = (field(Column::Date), field(Column::Time));
    let remote = known(Column::Remote).unwrap_or_default();
    Ok(Row {
        time: moment(date, time, columns.date).ok_or(Rejection::BadTime)?,
        exact: date.is_some() && time.is_some() && !remote.is_empty(),
        remote,
        user: known(Column::User),
        site: known(Column::Site).unwrap_or_default(),
        computer: known(Column::Computer).unwrap_or_default(),
        local: known(Column::LocalAddress),
        port: known(Column::Port).unwrap_or_default(),
        method: known(Column::Method).unwrap_or_default(),
        query: known(Column::Query).unwrap_or_default(),
        status: field(Column::Status).unwrap_or_default(),
        names_smtp: false,
    })
}

/// Where the known columns stand in a row; `None` if it has too few. Surplus words belong to the query, the only column
/// that holds free text: somebody has put its blanks back.
fn values(line: &[u8], columns: &Columns) -> Option<[Option<Range<usize>>; COLUMNS_MAX]> {
    let surplus = words(line).count().checked_sub(usize::from(columns.count))?;
    let query = columns.places[Column::Query as usize].map_or(usize::MAX, usize::from);
    let mut values = [const { None }; COLUMNS_MAX];
    for (number, word) in words(line).enumerate() {
        let place = if number > query { query.max(number.saturating_sub(surplus)) } else { number };
        let is_here = |known: &Option<u8>| known.is_some_and(|known| usize::from(known) == place);
        let Some(column) = columns.places.iter().position(is_here) else { continue };
        let begin = values[column].as_ref().map_or(word.start, |value: &Range<usize>| value.start);
        values[column] = Some(begin..word.end);
    }
    Some(values)
}

fn words(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + line[at..].iter().position(|&byte| byte != b' ')?;
        at = memchr(b' ', &line[begin..]).map_or(line.len(), |blank| begin + blank);
        Some(begin..at)
    })
}

/// When a row was written, from its own date and time, and from the header's for what it lacks.
fn moment(date: Option<&[u8]>, time: Option<&[u8]>, header: Option<Timestamp>) -> Option<Timestamp> {
    match (date, time, header) {
        (Some(date), Some(time), _) => Some(Timestamp(clock::iso_date(date)? + clock::time_of_day(time)?)),
        (None, Some(time), Some(header)) => Some(clock::behind_header(header, clock::time_of_day(time)?)),
        (Some(date), None, _) => clock::iso_date(date).map(Timestamp),
        (None, None, header) => header,
        (None, Some(_), None) => None,
    }
}
