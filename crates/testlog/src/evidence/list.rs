//! Format-List, as it is copied from a console: padded keys, lists cut after four items, lines broken at its width.

use super::{Object, Value};
use crate::clock;

/// Items of a list before `...` (`$FormatEnumerationLimit`).
const ITEMS_MAX: usize = 4;
/// Columns of the console.
const WIDTH: usize = 100;

/// What the console shows after a command: its prompt, the objects, an empty line between them, the prompt again.
pub(crate) fn console(prompt: &str, command: &str, objects: &[Object]) -> String {
    let blocks: Vec<String> = objects.iter().map(block).collect();
    let text = format!("{prompt}{command}\n\n\n{}\n\n\n\n{prompt}\n", blocks.join("\n\n"));
    text.replace('\n', "\r\n")
}

fn block(object: &Object) -> String {
    let width = object.properties.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = object.properties.iter().map(|(name, value)| {
        let head = format!("{name:width$} : ");
        wrapped(&head, &shown(value))
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// A value that is too long for a line goes on under its beginning.
fn wrapped(head: &str, value: &str) -> String {
    let room = WIDTH - head.len();
    let characters: Vec<char> = value.chars().collect();
    let pieces: Vec<String> = characters.chunks(room).map(|piece| piece.iter().collect()).collect();
    let indent = format!("\n{}", " ".repeat(head.len()));
    format!("{head}{}", pieces.join(&indent))
}

/// A value as a console of the United States shows it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Flag(true) => "True".into(),
        Value::Flag(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) | Value::Object(_, text) => text.clone(),
        Value::Choice(_, name, _) => name.to_string(),
        Value::List(items) | Value::Objects(_, items) if items.len() > ITEMS_MAX => {
            format!("{{{}...}}", items[..ITEMS_MAX].join(", "))
        }
        Value::List(items) | Value::Objects(_, items) => format!("{{{}}}", items.join(", ")),
        Value::Time(ms) => american_time(*ms),
        Value::CertificateName(issuer, subject) => super::certificate_name(issuer, subject),
        Value::Bytes(bytes) => {
            let shown: Vec<String> = bytes.iter().take(ITEMS_MAX).map(u8::to_string).collect();
            format!("{{{}...}}", shown.join(", "))
        }
    }
}

/// `3/1/2024 6:00:06 PM`.
pub(crate) fn american_time(ms: i64) -> String {
    let (year, month, day) = clock::date(ms);
    let of_day = ms.rem_euclid(clock::DAY_MS);
    let hour = of_day / clock::HOUR_MS;
    let (minute, second) = (of_day / clock::MINUTE_MS % 60, of_day / clock::SECOND_MS % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    format!("{month}/{day}/{year} {}:{minute:02}:{second:02} {half}", (hour + 11) % 12 + 1)
}
