//! Parquet files, as pyarrow and DuckDB read them: they count what `search --by` counts.
//!
//! scripts/receivers prints a Python that has both; `RECEIVERS_PYTHON` names it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::Command,
};

use serde_json::Value;

use crate::fleet::Fleet;

const SCRIPT: &str = include_str!("parquet.py");

/// Counts by the values that they are of.
type Counts = BTreeMap<Vec<String>, u64>;

/// Rows whose last cell is a count. Nothing is as `search` writes it.
fn counts(rows: &Value) -> Counts {
    let cell = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| {
        let (count, cells) = row.as_array().unwrap().split_last().unwrap();
        (cells.iter().map(cell).collect(), count.as_u64().unwrap())
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

/// What `search` counts.
fn searched(fleet: &Fleet, fields: &[&str], of: &str) -> Counts {
    let found = fleet.done(&["search", "*", "--by", &fields.join(","), "--json", "--limit", "100000"]);
    let mut counts = Counts::new();
    for line in found.out.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let cells = fields.iter().map(|field| row[*field].as_str().unwrap_or_default().to_owned());
        counts.insert(cells.collect(), row[of].as_u64().unwrap());
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Events by kind, from what the export says at its end: `refusal 330, session-end 1,960`.
fn summary(said: &str) -> Counts {
    let kinds = said.lines().nth(1).unwrap().split(", ");
    let kind = |text: &str| {
        let (kind, count) = text.split_once(' ').unwrap();
        (vec![kind.to_owned()], count.replace(',', "").parse().unwrap())
    };
    kinds.map(kind).collect()
}

#[test]
fn others_count_in_a_parquet_file_what_search_counts() {
    let fleet = Fleet::large();
    let said = fleet.done(&["export", "--to", "parquet", "--output", "events.parquet"]).err;
    fs::write(fleet.path("parquet.py"), SCRIPT).unwrap();
    let python = env::var_os("RECEIVERS_PYTHON").expect("RECEIVERS_PYTHON is set, as scripts/test does");
    let script = [fleet.path("parquet.py"), fleet.path("events.parquet")];
    let ran = Command::new(python).args(script).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
    for (question, expected) in [
        ("kinds", summary(&said)),
        ("sessions", searched(&fleet, &["server"], "sessions")),
        ("statuses", searched(&fleet, &["status"], "replies")),
        ("presented", searched(&fleet, &["presented", "status"], "replies")),
    ] {
        for reader in ["pyarrow", "duckdb"] {
            assert_eq!(counts(&found[reader][question]), expected, "{question} by {reader}");
        }
    }
    assert_eq!(found["rows"], found["ids"], "every event has its own id");
    let filters: BTreeSet<&str> =
        found["filters"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(filters.is_superset(&["presented", "session"].into()), "{filters:?}");
    let [groups, ruled_out] = [0, 1].map(|at| found["ruled_out"][at].as_u64().unwrap());
    assert!(groups > 0 && ruled_out == groups, "{ruled_out} of {groups} row groups");
}
