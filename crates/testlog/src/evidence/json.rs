//! JSON, as `ConvertTo-Json` of PowerShell 7 writes what the REST cmdlets of Exchange Online return.

use super::{Object, Value};
use crate::clock::Time;

/// One object alone, several as an array; CRLF, because it was written on Windows.
pub(crate) fn json(objects: &[Object]) -> String {
    let text = match objects {
        [object] => render(object, ""),
        objects => {
            let inner: Vec<String> = objects.iter().map(|object| format!("  {}", render(object, "  "))).collect();
            format!("[\n{}\n]", inner.join(",\n"))
        }
    };
    text.replace('\n', "\r\n") + "\r\n"
}

fn render(object: &Object, indent: &str) -> String {
    let mut lines = Vec::new();
    for (name, value) in &object.properties {
        // Beside a value that JSON cannot type stands its type.
        if let Some(kind) = odata_type(value) {
            lines.push(format!("{indent}  \"{name}@data.type\": {}", quoted(kind)));
        }
        lines.push(format!("{indent}  \"{name}\": {}", rendered(value, indent)));
    }
    format!("{{\n{}\n{indent}}}", lines.join(",\n"))
}

fn odata_type(value: &Value) -> Option<&'static str> {
    match value {
        Value::Choice(kind, ..) => Some(kind),
        Value::Time(_) => Some("System.DateTime"),
        Value::List(_) | Value::Objects(..) => Some("#Collection(String)"),
        _ => None,
    }
}

fn rendered(value: &Value, indent: &str) -> String {
    match value {
        Value::Nothing => "null".into(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) | Value::Object(_, text) => quoted(text),
        Value::Choice(_, name, _) => quoted(name),
        Value::List(items) | Value::Objects(_, items) if items.is_empty() => "[]".into(),
        Value::List(items) | Value::Objects(_, items) => {
            let items: Vec<String> = items.iter().map(|item| format!("{indent}    {}", quoted(item))).collect();
            format!("[\n{}\n{indent}  ]", items.join(",\n"))
        }
        Value::Time(ms) => quoted(&Time(*ms).to_string().replace(".000Z", "Z")),
        Value::CertificateName(issuer, subject) => quoted(&super::certificate_name(issuer, subject)),
        Value::Bytes(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
            format!("[{}]", bytes.join(","))
        }
    }
}

fn quoted(text: &str) -> String {
    // A string is always JSON.
    serde_json::to_string(text).expect("a string can be written as JSON")
}
