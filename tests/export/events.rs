//! Events as tests look at them.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// ECS documents by their ids, and how often each came.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Events(pub(crate) BTreeMap<String, Vec<Value>>);

impl Events {
    /// The documents of a text, one a line.
    #[track_caller]
    pub(crate) fn of(text: &str) -> Events {
        assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end");
        let mut events = Events::default();
        for line in text.lines() {
            events.add(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        events
    }

    /// The documents of a file.
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Events {
        Events::of(&fs::read_to_string(path).unwrap())
    }

    pub(crate) fn add(&mut self, event: Value) {
        let id = event["event"]["id"].as_str().unwrap().to_owned();
        self.0.entry(id).or_default().push(event);
    }

    /// Fails if an event came twice.
    #[track_caller]
    pub(crate) fn each_once(&self) {
        let twice = self.0.iter().find(|(_, events)| events.len() > 1);
        assert!(twice.is_none(), "{twice:?}");
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The documents of a kind.
    pub(crate) fn of_kind<'e>(&'e self, kind: &'e str) -> impl Iterator<Item = &'e Value> {
        self.0.values().flatten().filter(move |event| event["event"]["action"] == kind)
    }
}
