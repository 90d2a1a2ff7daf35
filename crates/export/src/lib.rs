//! Sessions and findings in other tools' formats.
//!
//! ```text
//! session -> view -> events -> sink -> bytes
//! finding ------------^
//! ```
//!
//! An event is one thing that a log tells of: a certificate shown, a negotiation that came about or failed, a refusal,
//! a session's end; or a finding of the rules. It carries what a flat query wants to ask of it, above all the
//! certificate of a refusal, so that no tool has to join. Its id follows from its content, so the same input gives the
//! same ids on any machine.
//!
//! What an event says stands in one table, [`Field`]. A sink says by a table of its own what each field is called in its
//! format. Nothing here touches a file, a clock or the network: bytes come out, and somebody else sends them.

mod certificates;
mod derived;
mod event;
mod field;
mod finding;
mod json;
mod lines;
mod redact;
pub mod sinks;
mod table;
mod view;

pub use certificates::{CertificateFacts, Certificates};
pub use event::{Event, EventId, Facts, Kind};
pub use field::{Field, FieldType, Value};
pub use finding::Finding;
pub use redact::{Redaction, RedactionKey, Secret};
pub use sinks::{Columns, Framing, Item, SINKS, Sink, Wire, elasticsearch_template, sink, wrap_syslog};
pub use view::{Resolved, SessionView};
