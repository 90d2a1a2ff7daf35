//! Rendering: from sessions and counts to text for people and for other programs.

pub(crate) mod amount;
pub(crate) mod escape;
