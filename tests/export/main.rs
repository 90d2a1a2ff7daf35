//! `export`: every event once, whatever goes wrong on its way.

#[path = "../program/mod.rs"]
mod program;

mod checkpoints;
mod collector;
mod crashes;
mod elastic;
mod events;
mod findings;
mod options;
mod otlp;
mod rows;
mod server;
