//! `ndjson`: sessions in the program's own form (CONTRACT 4), one a line, as `search --json` prints them.
//!
//! One key more stands at the end: `"export":{"id","revision","amends"}`, by which a receiver knows what it has already.

use std::io::Write;

use super::{Item, Sink};
use crate::json;

/// The program's own form.
pub(super) struct Ndjson;

impl Sink for Ndjson {
    fn name(&self) -> &'static str {
        "ndjson"
    }

    fn about(&self) -> &'static str {
        "sessions as search --json prints them, one a line"
    }

    fn takes_sessions(&self) -> bool {
        true
    }

    fn extension(&self) -> &'static str {
        "ndjson"
    }

    fn put(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let Item::Session { session, id } = item else { return };
        let begin = out.len();
        // A vector takes whatever is written to it.
        let _ = session.write_json(out);
        json::escape_controls(out, begin);
        out.pop(); // The brace.
        let _ = write!(out, ",\"export\":{{\"id\":\"{id}\",\"revision\":{},\"amends\":", id.revision.max(1));
        let _ = match id.revision {
            0 | 1 => write!(out, "null}}}}"),
            _ => write!(out, "\"{}\"}}}}", id.first()),
        };
    }
}
