//! The store of sessions: what is kept of them, how they are asked for, and how they are found.

mod codec;
mod dictionary;
mod error;
mod execute;
mod profile;
pub mod query;
mod sessions;
mod split;

pub use error::StoreError;
