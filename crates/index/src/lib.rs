//! The store of sessions: what is kept of them, how they are asked for, and how they are found.

pub mod query;
