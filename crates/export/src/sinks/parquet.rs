//! `parquet`: events as columns, one for each field by its own name (Apache Parquet).
//!
//! Within a row group rows are sorted by the certificate that was presented and by time: the pages' bounds then lead to
//! a certificate's rows, and its long texts stand beside each other, where compression finds them. Filters say of a
//! certificate or a session whether a row group has it at all. No value is shortened, however long it is.

use std::mem;

use ::parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};
use smtplog::{Thumbprint, Timestamp};

use super::{Columns, Framing, Item, Sink};
use crate::{Event, Field, FieldType, Value};

/// Apache Parquet.
pub(super) struct Parquet;

impl Sink for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn about(&self) -> &'static str {
        "a file of columns, Apache Parquet"
    }

    fn framing(&self) -> Framing {
        Framing::Columns
    }

    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn put(&self, _: Item<'_>, _: &mut Vec<u8>) {}

    fn columns(&self) -> Option<Box<dyn Columns>> {
        // It would take a field whose name the schema cannot have, and tests see every field.
        File::new().ok().map(|file| Box::new(file) as Box<dyn Columns>)
    }
}

/// Says in the file how its columns are to be read: another number once one means something else.
const FORMAT: (&str, &str) = ("smtptrail.format", "1");

/// Rows of a row group. All of them are in memory before the first is written, because they are sorted.
const GROUP_EVENTS_MAX: usize = 131_072;

/// Bytes of a row group's texts, so that long ones cannot fill memory. Events have some hundred bytes that the event
/// before does not have.
const GROUP_BYTES_MAX: usize = 128 << 20;

/// Level 3 is zstd's own choice; the library's is 1.
const ZSTD_LEVEL: i32 = 3;

/// Of a hundred row groups without a certificate, a filter lets one pass.
const FILTER_FALSE_POSITIVES: f64 = 0.01;

/// What row groups are asked for by.
const FILTERED: [Field; 3] = [Field::Presented, Field::Received, Field::Session];

/// Fields with hardly a value twice: a dictionary of them would be their list once more.
const WITHOUT_DICTIONARY: [Field; 8] = [
    Field::Time,
    Field::Id,
    Field::Amends,
    Field::PeerTime,
    Field::PeerSession,
    Field::MessageId,
    Field::RowHash,
    Field::SourceOffset,
];

/// A file being made.
struct File {
    writer: SerializedFileWriter<Vec<u8>>,
    rows: Rows,
    /// A row group could not be written.
    is_broken: bool,
}

impl File {
    fn new() -> Result<File, ParquetError> {
        let schema = parse_message_type(&schema())?;
        let writer = SerializedFileWriter::new(Vec::new(), schema.into(), properties()?.into())?;
        Ok(File { writer, rows: Rows::new(), is_broken: false })
    }

    /// Writes the rows that were gathered. Memory takes whatever is written to it, so this fails only if the rows do
    /// not fit the schema. The file then stays without its end, by which any reader sees that it is none.
    fn end_group(&mut self) {
        let rows = mem::replace(&mut self.rows, Rows::new());
        self.is_broken |= rows.write(&mut self.writer).is_err();
    }
}

impl Columns for File {
    fn add(&mut self, event: &Event<'_>) {
        self.rows.add(event);
        if self.rows.is_full() {
            self.end_group();
        }
    }

    fn take(&mut self) -> Vec<u8> {
        mem::take(self.writer.inner_mut())
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        if !self.rows.keys.is_empty() {
            self.end_group();
        }
        if !self.is_broken {
            let _ = self.writer.finish();
        }
        self.take()
    }
}

/// The schema in its own language.
fn schema() -> String {
    let column = |field: Field| {
        let name = field.name();
        match field.kind_of_value() {
            FieldType::Keyword | FieldType::Text | FieldType::Ip => format!("OPTIONAL BYTE_ARRAY {name} (STRING);"),
            FieldType::Keywords => format!(
                "OPTIONAL GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED BYTE_ARRAY element (STRING); }} }}"
            ),
            FieldType::Long => format!("OPTIONAL INT64 {name};"),
            FieldType::Boolean => format!("OPTIONAL BOOLEAN {name};"),
            FieldType::Date => format!("OPTIONAL INT64 {name} (TIMESTAMP(MILLIS, true));"),
        }
    };
    format!("message event {{ {} }}", Field::all().map(column).collect::<Vec<_>>().join(" "))
}

fn properties() -> Result<WriterProperties, ParquetError> {
    let path = |field: Field| ColumnPath::from(field.name());
    // Each field has one column, a list too.
    let sorted = |field: Field| SortingColumn { column_idx: field as i32, descending: false, nulls_first: true };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_sorting_columns(Some(vec![sorted(Field::Presented), sorted(Field::Time)]))
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT.0.to_owned(), FORMAT.1.to_owned())]));
    for field in FILTERED {
        properties = properties
            .set_column_bloom_filter_fpp(path(field), FILTER_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path(field), GROUP_EVENTS_MAX as u64);
    }
    for field in WITHOUT_DICTIONARY {
        properties = properties.set_column_dictionary_enabled(path(field), false);
    }
    Ok(properties.build())
}

/// What a row group's rows are sorted by.
type Key = (Option<Thumbprint>, Timestamp);

/// The rows of a row group.
struct Rows {
    keys: Vec<Key>,
    /// In the order of the fields.
    columns: Vec<Cells>,
    texts: Texts,
}

/// The cells of a column that have a value, each with the number of its row: most events lack most fields.
enum Cells {
    Longs(Vec<(u32, i64)>),
    Flags(Vec<(u32, bool)>),
    Texts(Vec<(u32, Span)>),
    Lists(Vec<(u32, Span)>),
}

impl Rows {
    fn new() -> Rows {
        let cells = |field: Field| match field.kind_of_value() {
            FieldType::Keyword | FieldType::Text | FieldType::Ip => Cells::Texts(Vec::new()),
            FieldType::Keywords => Cells::Lists(Vec::new()),
            FieldType::Long | FieldType::Date => Cells::Longs(Vec::new()),
            FieldType::Boolean => Cells::Flags(Vec::new()),
        };
        Rows { keys: Vec::new(), columns: Field::all().map(cells).collect(), texts: Texts::default() }
    }

    fn is_full(&self) -> bool {
        self.keys.len() >= GROUP_EVENTS_MAX || self.texts.bytes.len() >= GROUP_BYTES_MAX
    }

    fn add(&mut self, event: &Event<'_>) {
        let row = self.keys.len() as u32; // Below GROUP_EVENTS_MAX.
        for (field, cells) in Field::all().zip(&mut self.columns) {
            match (cells, event.value(field)) {
                (_, Value::None) => {}
                (Cells::Longs(cells), Value::Long(number)) => cells.push((row, number)),
                (Cells::Longs(cells), Value::Time(time)) => cells.push((row, time.0)),
                (Cells::Flags(cells), Value::Flag(flag)) => cells.push((row, flag)),
                (Cells::Lists(cells), Value::List(texts)) => {
                    let before = cells.last().map(|(_, span)| *span);
                    cells.push((row, self.texts.put(texts.iter().map(AsRef::as_ref), before)));
                }
                (Cells::Texts(cells), value) => {
                    let before = cells.last().map(|(_, span)| *span);
                    cells.push((row, self.texts.put(value.to_text().as_deref().into_iter(), before)));
                }
                // A field's values are of its type; tests look at each.
                (Cells::Longs(_) | Cells::Flags(_) | Cells::Lists(_), _) => {}
            }
        }
        let presented = match event.value(Field::Presented) {
            Value::Thumbprint(thumbprint) => Some(thumbprint),
            _ => None,
        };
        self.keys.push((presented, event.time));
    }

    fn write(self, writer: &mut SerializedFileWriter<Vec<u8>>) -> Result<(), ParquetError> {
        let places = Places::new(&self.keys);
        let texts = Written { bytes: self.texts.bytes.into(), ends: self.texts.ends };
        let mut group = writer.next_row_group()?;
        for cells in self.columns {
            let Some(mut column) = group.next_column()? else { break };
            match cells {
                Cells::Longs(cells) => put::<Int64Type>(&mut column, places.arrange(cells))?,
                Cells::Flags(cells) => put::<BoolType>(&mut column, places.arrange(cells))?,
                Cells::Texts(cells) => {
                    let cells = places.arrange(cells).into_iter();
                    let texts = cells.map(|span| span.and_then(|span| texts.of(span).next()));
                    put::<ByteArrayType>(&mut column, texts.collect())?;
                }
                Cells::Lists(cells) => put_lists(&mut column, &texts, places.arrange(cells))?,
            }
            column.close()?;
        }
        group.close()?;
        Ok(writer.flush()?)
    }
}

/// Texts of a row group: some that follow each other. They are counted by 32 bits, which suffice for lists of 100 in
/// every field of every event.
#[derive(Clone, Copy)]
struct Span {
    first: u32,
    count: u32,
}

/// The texts of a row group, one behind the other.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Adds texts. `before` are those that the column's last cell has: events of a session say most things alike, and
    /// what is said again takes no room.
    fn put<'t>(&mut self, texts: impl Iterator<Item = &'t str> + Clone, before: Option<Span>) -> Span {
        if let Some(before) = before
            && ranges(&self.ends, before)
                .map(|range| self.bytes.get(range))
                .eq(texts.clone().map(|text| Some(text.as_bytes())))
        {
            return before;
        }
        let first = self.ends.len();
        for text in texts {
            self.bytes.extend_from_slice(text.as_bytes());
            self.ends.push(self.bytes.len());
        }
        Span { first: first as u32, count: (self.ends.len() - first) as u32 }
    }
}

/// Where the texts of a span lie.
fn ranges(ends: &[usize], span: Span) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (first, count) = (span.first as usize, span.count as usize);
    let mut begin = first.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
    ends.iter().skip(first).take(count).map(move |end| mem::replace(&mut begin, *end)..*end)
}

/// The texts of a row group that is complete.
struct Written {
    bytes: ByteArray,
    ends: Vec<usize>,
}

impl Written {
    /// The texts of a span; they share the memory.
    fn of(&self, span: Span) -> impl Iterator<Item = ByteArray> {
        ranges(&self.ends, span).map(|range| self.bytes.slice(range.start, range.len()))
    }
}

/// Where each row stands once they are sorted.
struct Places(Vec<usize>);

impl Places {
    /// Rows of the same certificate and time stay in the order in which they came.
    fn new(keys: &[Key]) -> Places {
        let mut sorted: Vec<(&Key, usize)> = keys.iter().zip(0..).collect();
        sorted.sort_unstable();
        let mut places = vec![0; keys.len()];
        for (place, (_, row)) in sorted.into_iter().enumerate() {
            if let Some(at) = places.get_mut(row) {
                *at = place;
            }
        }
        Places(places)
    }

    /// A column from top to bottom.
    fn arrange<T: Clone>(&self, cells: Vec<(u32, T)>) -> Vec<Option<T>> {
        let mut column = vec![None; self.0.len()];
        for (row, value) in cells {
            if let Some(cell) = self.0.get(row as usize).and_then(|place| column.get_mut(*place)) {
                *cell = Some(value);
            }
        }
        column
    }
}

/// Writes a column of single values.
fn put<T: DataType>(column: &mut SerializedColumnWriter<'_>, cells: Vec<Option<T::T>>) -> Result<(), ParquetError> {
    let is_there: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&is_there), None)?;
    Ok(())
}

/// Writes a column of lists. A list's first text begins a row and the others repeat it; the depth says how much of a
/// text is there: no list, an empty one, a text.
fn put_lists(
    column: &mut SerializedColumnWriter<'_>,
    texts: &Written,
    cells: Vec<Option<Span>>,
) -> Result<(), ParquetError> {
    let (mut values, mut depths, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    for span in cells {
        let before = values.len();
        values.extend(span.into_iter().flat_map(|span| texts.of(span)));
        let count = values.len() - before;
        match count {
            0 => depths.push(span.is_some().into()),
            _ => depths.extend(std::iter::repeat_n(2, count)),
        }
        repeats.push(0);
        repeats.extend(std::iter::repeat_n(1, count.saturating_sub(1)));
    }
    column.typed::<ByteArrayType>().write_batch(&values, Some(&depths), Some(&repeats))?;
    Ok(())
}
