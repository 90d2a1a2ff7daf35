//! ECS documents.

use export::{Item, sink};

use crate::samples;

#[test]
fn documents() {
    let ecs = sink("ecs").unwrap();
    let mut text = String::new();
    samples::each_event(|name, event| {
        let mut record = Vec::new();
        ecs.put(Item::Event(event), &mut record);
        let object: serde_json::Value = serde_json::from_slice(&record).unwrap();
        text.push_str(&format!(
            "{name}: {}\n{}\n",
            event.kind.as_str(),
            serde_json::to_string_pretty(&object).unwrap()
        ));
    });
    insta::assert_snapshot!(text);
}
