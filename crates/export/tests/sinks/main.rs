//! What every sink has to keep, and what each writes.

mod ecs;
mod fields;
mod frames;
mod ids;
mod samples;
