//! `explain`: causes that were planted are found, and none is claimed where none was.

mod documents;
mod pages;
mod planted;
#[path = "../program/mod.rs"]
mod program;
