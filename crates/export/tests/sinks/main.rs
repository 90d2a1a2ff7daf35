//! What every sink has to keep, and what each writes.

mod cef;
mod csv;
mod ecs;
mod ecs_schema;
mod elasticsearch;
mod fields;
mod frames;
mod ids;
mod leef;
mod lines;
mod ocsf;
mod ocsf_schema;
mod otlp;
#[cfg(feature = "parquet")]
mod parquet;
mod samples;
mod splunk;
mod syslog;
