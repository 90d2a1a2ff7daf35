//! Sinks: the formats that events are written in, one file each.
//!
//! A sink makes records: bytes that stand for one event, or for one session, whatever stands before or behind them. So
//! records can be made on any number of threads, joined, and sent again. A new format is a new file here and a line in
//! [`SINKS`].

mod cef;
mod csv;
mod ecs;
mod elasticsearch;
mod leef;
mod ndjson;
mod ocsf;
mod otlp;
#[cfg(feature = "parquet")]
mod parquet;
mod splunk;
mod syslog;

use smtplog::Session;

pub use self::{elasticsearch::elasticsearch_template, syslog::wrap_syslog};
use crate::{Event, EventId, Field, Kind, Value};

/// The formats.
pub static SINKS: &[&dyn Sink] = &[
    &cef::Cef,
    &csv::Csv,
    &ecs::Ecs,
    &elasticsearch::Elasticsearch,
    &leef::Leef,
    &ndjson::Ndjson,
    &ocsf::Ocsf,
    &otlp::Otlp,
    #[cfg(feature = "parquet")]
    &parquet::Parquet,
    &splunk::Splunk,
    &syslog::Syslog,
];

/// A sink by its name.
pub fn sink(name: &str) -> Option<&'static dyn Sink> {
    SINKS.iter().copied().find(|sink| sink.name() == name)
}

/// How records are told apart in a file or on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A record is a line, and no line end stands within it.
    Lines,
    /// Records are joined by commas within this beginning and end.
    List(&'static str, &'static str),
    /// All records make one file of columns.
    Columns,
}

/// What a sink is asked to write.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// A session as a whole.
    Session {
        /// The session.
        session: &'a Session,
        /// The id of the event of its end, which stands for it.
        id: EventId,
    },
    /// An event.
    Event(&'a Event<'a>),
}

/// A format.
pub trait Sink: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it is, in a line.
    fn about(&self) -> &'static str;

    /// Whether it writes sessions as they are, rather than their events.
    fn takes_sessions(&self) -> bool {
        false
    }

    /// How its records are told apart.
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    /// The ending of its files.
    fn extension(&self) -> &'static str;

    /// What stands before the first record of a file, with its line end.
    fn header(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// To what kind of receiver its records can be sent, beside files.
    fn wire(&self) -> Wire {
        Wire::None
    }

    /// Appends one record without its frame. What the sink does not write leaves nothing.
    fn put(&self, item: Item<'_>, out: &mut Vec<u8>);

    /// A writer for a file of columns, if that is what the sink makes; then nothing is put.
    fn columns(&self) -> Option<Box<dyn Columns>> {
        None
    }
}

/// Receivers, by how one talks to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Records go into files only.
    None,
    /// Syslog (RFC 5424). A record that is not a whole message by itself gets a header.
    Syslog {
        /// Whether the record has its header already.
        has_header: bool,
    },
    /// Splunk's HTTP Event Collector.
    Splunk,
    /// The `_bulk` endpoint of Elasticsearch and OpenSearch.
    Elasticsearch,
    /// OTLP over HTTP, JSON.
    Otlp,
}

/// A file of columns being made.
pub trait Columns: Send {
    /// Adds an event.
    fn add(&mut self, event: &Event<'_>);

    /// Bytes that are ready to be written.
    fn take(&mut self) -> Vec<u8>;

    /// The bytes that are left, and with them the file's end.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// An event in a few words, for whoever reads a list of them.
pub(crate) fn summary(event: &Event<'_>) -> String {
    let text = |field: Field| event.value(field).to_text().map(|text| text.into_owned()).unwrap_or_default();
    let with = |begin: String, field: Field| match event.value(field) {
        Value::None => begin,
        value => format!("{begin}: {}", value.to_text().unwrap_or_default()),
    };
    match event.kind {
        Kind::CertificatePresented => {
            with(format!("certificate {} presented", text(Field::Presented)), Field::PresentedSubject)
        }
        Kind::CertificateReceived => {
            with(format!("certificate {} received", text(Field::Received)), Field::ReceivedSubject)
        }
        Kind::TlsNegotiated => format!("TLS {} negotiated", text(Field::TlsVersion)).replace("  ", " "),
        Kind::TlsFailed => with("TLS negotiation failed".to_owned(), Field::TlsError),
        Kind::Refusal => {
            let parts = [text(Field::Code), text(Field::Status), text(Field::Text).replace('\n', " ")];
            let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            parts.join(" ")
        }
        Kind::SessionEnd => format!(
            "session ended: {} of {} messages accepted",
            event.value(Field::Accepted).to_text().unwrap_or_default(),
            event.value(Field::Messages).to_text().unwrap_or_default(),
        ),
        Kind::Finding => text(Field::Says),
    }
}
