//! `export`: every event once, whatever goes wrong on its way.

#[path = "../program/mod.rs"]
mod program;
#[path = "../program/running.rs"]
mod running;

mod checkpoints;
mod collector;
mod crashes;
mod elastic;
mod events;
mod findings;
mod kills;
mod options;
mod otlp;
mod rows;
mod server;
mod trial;
