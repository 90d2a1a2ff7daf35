//! Rendering: from sessions, counts and certificates to text for people and for other programs.

pub(crate) mod amount;
pub(crate) mod certificates;
pub(crate) mod coverage;
pub(crate) mod csv;
pub(crate) mod escape;
pub(crate) mod explain;
pub(crate) mod exposition;
pub(crate) mod groups;
pub(crate) mod json;
pub(crate) mod rollover;
pub(crate) mod sessions;
pub(crate) mod table;
pub(crate) mod transcript;
