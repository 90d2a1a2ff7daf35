//! Parquet: what a reader of the format makes of the files.

use std::str;

use ::parquet::{
    basic::Compression,
    file::{
        properties::ReaderProperties,
        reader::{FileReader, SerializedFileReader},
        serialized_reader::ReadOptionsBuilder,
    },
    record::{Field as Cell, Row},
    schema::printer::print_schema,
};
use bytes::Bytes;
use export::{Columns, Event, Field, FieldType, Framing, Value, sink};
use proptest::prelude::*;
use smtplog::{Thumbprint, Timestamp};

use crate::{frames, samples};

/// A value that was read.
#[derive(Debug, PartialEq)]
enum Found {
    None,
    Text(String),
    List(Vec<String>),
    Long(i64),
    Flag(bool),
    Time(i64),
}

impl Found {
    fn read(cell: &Cell) -> Found {
        match cell {
            Cell::Null => Found::None,
            Cell::Str(text) => Found::Text(text.clone()),
            Cell::Long(number) => Found::Long(*number),
            Cell::Bool(flag) => Found::Flag(*flag),
            Cell::TimestampMillis(ms) => Found::Time(*ms),
            Cell::ListInternal(list) => Found::List(
                list.elements()
                    .iter()
                    .map(|element| match element {
                        Cell::Str(text) => text.clone(),
                        other => panic!("no text: {other:?}"),
                    })
                    .collect(),
            ),
            other => panic!("of no type that is written: {other:?}"),
        }
    }

    fn expected(field: Field, value: &Value<'_>) -> Found {
        match (field.kind_of_value(), value) {
            (_, Value::None) => Found::None,
            (FieldType::Keywords, Value::List(texts)) => {
                Found::List(texts.iter().map(|text| text.clone().into_owned()).collect())
            }
            (FieldType::Long, Value::Long(number)) => Found::Long(*number),
            (FieldType::Boolean, Value::Flag(flag)) => Found::Flag(*flag),
            (FieldType::Date, Value::Time(time)) => Found::Time(time.0),
            (FieldType::Keyword | FieldType::Text | FieldType::Ip, value) => {
                assert!(!matches!(value, Value::List(_) | Value::Long(_) | Value::Flag(_) | Value::Time(_)));
                Found::Text(value.to_text().unwrap().into_owned())
            }
            (kind, value) => panic!("{} is a {}, and not {value:?}", field.name(), kind.as_str()),
        }
    }
}

/// An event as it is to come back, with what it is sorted by.
struct Expected {
    key: (Option<Thumbprint>, Timestamp),
    values: Vec<Found>,
}

impl Expected {
    fn of(event: &Event<'_>) -> Expected {
        let presented = event.presented.filter(|_| event.value(Field::Presented) != Value::None);
        let values = Field::all().map(|field| Found::expected(field, &event.value(field))).collect();
        Expected { key: (presented, event.time), values }
    }
}

fn columns() -> Box<dyn Columns> {
    sink("parquet").unwrap().columns().unwrap()
}

fn reader(file: Vec<u8>) -> SerializedFileReader<Bytes> {
    let filters = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(filters).with_page_index().build();
    SerializedFileReader::new_with_options(file.into(), options).unwrap()
}

/// Holds the rows of a file against the events that went into it, a row group at a time.
fn check(file: Vec<u8>, mut events: Vec<Expected>) {
    let reader = reader(file);
    let mut rows = reader.get_row_iter(None).unwrap();
    for group in reader.metadata().row_groups() {
        let mut expected: Vec<Expected> = events.drain(..group.num_rows() as usize).collect();
        expected.sort_by_key(|event| event.key);
        for event in expected {
            let row: Row = rows.next().unwrap().unwrap();
            for ((name, cell), (field, value)) in row.get_column_iter().zip(Field::all().zip(event.values)) {
                assert_eq!(name, field.name());
                assert!(Found::read(cell) == value, "{name}");
            }
        }
    }
    assert!(events.is_empty() && rows.next().is_none());
}

#[test]
fn samples_come_back() {
    assert_eq!(sink("parquet").unwrap().framing(), Framing::Columns);
    let (mut columns, mut events) = (columns(), Vec::new());
    samples::each_event(|_, event| {
        columns.add(event);
        events.push(Expected::of(event));
    });
    assert!(columns.take().is_empty());
    check(columns.finish(), events);
}

#[test]
fn a_file_without_events_is_one() {
    let reader = reader(columns().finish());
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    assert_eq!(reader.get_row_iter(None).unwrap().count(), 0);
}

#[test]
fn schema() {
    let mut text = Vec::new();
    print_schema(&mut text, reader(columns().finish()).metadata().file_metadata().schema());
    insta::assert_snapshot!(str::from_utf8(&text).unwrap());
}

#[test]
fn the_file_says_how_it_is_laid_out() {
    let mut columns = columns();
    samples::each_event(|_, event| columns.add(event));
    let reader = reader(columns.finish());
    let metadata = reader.metadata();
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].key.as_str(), pairs[0].value.as_deref()), ("smtptrail.format", Some("1")));

    let group = metadata.row_group(0);
    let sorted: Vec<(&str, bool, bool)> = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|by| (group.column(by.column_idx as usize).column_descr().name(), by.descending, by.nulls_first))
        .collect();
    assert_eq!(sorted, [("presented", false, true), ("time", false, true)]);
    for column in group.columns() {
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
        let statistics = column.statistics().unwrap();
        let has_value = statistics.null_count_opt() != Some(column.num_values() as u64);
        assert_eq!(statistics.min_bytes_opt().is_some(), has_value, "{}", column.column_path());
    }

    let group = reader.get_row_group(0).unwrap();
    for (at, field) in Field::all().enumerate() {
        let filter = group.get_column_bloom_filter(at);
        let is_filtered = [Field::Presented, Field::Received, Field::Session].contains(&field);
        assert_eq!(filter.is_some(), is_filtered, "{}", field.name());
    }
    let presented = group.get_column_bloom_filter(Field::Presented as usize).unwrap();
    assert!(presented.check(&samples::PRESENTED) && !presented.check(&"0000000000000000000000000000000000000000"));
}

#[test]
fn the_same_events_make_the_same_bytes() {
    let file = || {
        let mut columns = columns();
        samples::each_event(|_, event| columns.add(event));
        columns.finish()
    };
    assert!(file() == file());
}

/// Adds an event until the file gives bytes; says how often that was.
fn fill(columns: &mut dyn Columns, event: &Event<'_>) -> (usize, Vec<u8>) {
    for count in 1.. {
        columns.add(event);
        let bytes = columns.take();
        if !bytes.is_empty() {
            return (count, bytes);
        }
    }
    unreachable!()
}

#[test]
fn a_row_group_ends_by_its_events() {
    let finding = samples::finding();
    let event = Event::of_finding(&finding);
    let mut columns = columns();
    let (count, mut file) = fill(&mut *columns, &event);
    assert_eq!(count, 131_072);
    columns.add(&event);
    file.extend_from_slice(&columns.finish());
    check(file, (0..=count).map(|_| Expected::of(&event)).collect());
}

#[test]
fn a_row_group_ends_by_its_texts() {
    let mut findings = [samples::finding(), samples::finding()];
    (findings[0].says, findings[1].says) = ("a".repeat(1 << 20), "b".repeat(1 << 20));
    let [first, second] = findings.each_ref().map(Event::of_finding);
    // Texts that follow each other and are the same take room once.
    let mut columns = columns();
    for _ in 0..1_000 {
        columns.add(&first);
    }
    assert!(columns.take().is_empty());
    let (mut events, mut file): (Vec<Expected>, _) = ((0..1_000).map(|_| Expected::of(&first)).collect(), Vec::new());
    for event in [&second, &first].into_iter().cycle().take(200) {
        columns.add(event);
        events.push(Expected::of(event));
        file.extend_from_slice(&columns.take());
    }
    file.extend_from_slice(&columns.finish());
    let groups: Vec<i64> = reader(file.clone()).metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [1_127, 73]);
    check(file, events);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn texts_come_back(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        let (mut columns, mut events, mut file) = (columns(), Vec::new(), Vec::new());
        frames::each_event(&texts, |event| {
            columns.add(event);
            events.push(Expected::of(event));
            file.extend_from_slice(&columns.take());
        });
        file.extend_from_slice(&columns.finish());
        check(file, events);
    }
}
