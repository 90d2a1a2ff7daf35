//! CSV, as `Export-Csv` of Windows PowerShell writes it: a type line, and quotes round every cell.

use super::{Object, Value, list};

/// Objects of one type. Lists are joined by `;`, as scripts do before they export, since a bare export names their type.
pub(crate) fn csv(objects: &[Object]) -> String {
    let Some(first) = objects.first() else {
        return String::new();
    };
    let names = first.properties.iter().map(|(name, _)| quoted(name));
    let mut lines = vec![format!("#TYPE Deserialized.{}", first.type_name), joined(names)];
    for object in objects {
        lines.push(joined(object.properties.iter().map(|(_, value)| quoted(&cell(value)))));
    }
    lines.join("\r\n") + "\r\n"
}

fn cell(value: &Value) -> String {
    match value {
        Value::List(items) | Value::Objects(_, items) => items.join(";"),
        value => list::shown(value),
    }
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<String>>().join(",")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
