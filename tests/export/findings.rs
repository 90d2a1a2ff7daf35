//! Findings, which follow from a day and what was before.

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate},
};

/// A day has the same findings whether it is exported by itself or with others.
#[test]
fn a_day_has_its_findings_whatever_is_exported_with_it() {
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 3 --days 12 --mib-per-server 6 --codec plain --start 2024-03-01");
    done(folder, &["index", "logs"]);
    let args = ["export", "--to", "ecs", "--kinds", "finding"];
    let all = Events::of(&done(folder, &args).out);
    all.each_once();
    assert!(all.len() > 20, "{} findings", all.len());
    let mut days = Events::default();
    for day in 1..=12 {
        let day = format!("2024-03-{day:02}");
        let of_day = Events::of(&done(folder, &[&args[..], &["--since", &day, "--until", &day]].concat()).out);
        of_day.0.into_values().flatten().for_each(|event: Value| days.add(event));
    }
    assert_eq!(days.ids(), all.ids());
    for (id, found) in days.0 {
        assert_eq!(found, all.0[&id], "{id}");
    }
}
