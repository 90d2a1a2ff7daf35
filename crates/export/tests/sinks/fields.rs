//! The table of events and fields stands in the crate's README as the code has it.

use std::fmt::Write;

use export::{Field, Kind};

fn table() -> String {
    let mut table = String::from("| field | type | in | meaning |\n|---|---|---|---|\n");
    for field in Field::all() {
        let kinds: Vec<&str> = Kind::ALL.iter().filter(|kind| field.is_of(**kind)).map(|kind| kind.as_str()).collect();
        let kinds = match kinds.len() {
            7 => "all".to_owned(),
            6 if !field.is_of(Kind::Finding) => "all of a session".to_owned(),
            _ => kinds.join(", "),
        };
        let (name, kind, meaning) = (field.name(), field.kind_of_value().as_str(), field.meaning());
        let _ = writeln!(table, "| `{name}` | {kind} | {kinds} | {} |", meaning.replace("..", "."));
    }
    table
}

#[test]
fn the_readme_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- fields -->\n", "<!-- end of fields -->\n");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (shown, after) = rest.split_once(end).unwrap();
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::write(path, format!("{before}{begin}{}{end}{after}", table())).unwrap();
        return;
    }
    assert_eq!(shown, table(), "INSTA_UPDATE=always writes it");
}
