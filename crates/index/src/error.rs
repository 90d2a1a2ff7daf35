//! What can go wrong with a store, as a whole. A damaged split is not among it: answers come from the rest.

use std::{io, path::PathBuf};

use crate::migrate::OLDEST_LAYOUT;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store in this folder.
    #[error("no store at {}", dir.display())]
    NotFound {
        /// The folder.
        dir: PathBuf,
    },
    /// The store was written by a newer version.
    #[error("the store at {} has layout {found}, this program knows up to {known}", dir.display())]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// The store's layout.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The store was written by a version whose layout is not read any more.
    #[error(
        "the store at {} has the old layout {found}; {}",
        dir.display(),
        if *found < OLDEST_LAYOUT { "index the logs into a new one" } else { "the next 'smtptrail index' updates it" }
    )]
    Older {
        /// The folder.
        dir: PathBuf,
        /// The store's layout.
        found: i64,
    },
    /// Another run writes to the store.
    #[error("the store at {} is being written by {holder}", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// Another process exports under this name.
    #[error("the export '{name}' is being made by {holder}")]
    ExportLocked {
        /// Its name.
        name: String,
        /// Who makes it.
        holder: String,
    },
    /// An export's name stands for another selection or sink.
    #[error(
        "export {name} was begun with {before}, and this is {now}; take another name, or begin anew after \
         'smtptrail export --forget {name}'"
    )]
    ExportDiffers {
        /// The name.
        name: String,
        /// What it was begun with.
        before: String,
        /// What is asked for now.
        now: String,
    },
    /// A name that no export can have.
    #[error(
        "'{name}' cannot be the name of an export: it takes up to 64 letters, digits, '-', '_' and '.', and does not begin with '.'"
    )]
    ExportName {
        /// What was given.
        name: String,
    },
    /// The lock could not be asked for; some network file systems have none.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the store could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder of the store could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The catalog could not be read or written.
    #[error("the catalog of the store failed")]
    Catalog(#[from] rusqlite::Error),
    /// The catalog holds what no version of this program wrote.
    #[error("the catalog of the store is damaged: {0}")]
    Damaged(&'static str),
    /// A split could not be built.
    #[error("cannot build a split")]
    Split(#[from] tantivy::TantivyError),
    /// A split could not be built.
    #[error("cannot build a split")]
    Directory(#[from] tantivy::directory::error::OpenReadError),
    /// A split could not be built.
    #[error("cannot build a split")]
    Io(#[from] io::Error),
    /// The query took longer than a query may.
    #[error("the query was stopped after {seconds} s; narrow it with --since, a server or a thumbprint")]
    TooSlow {
        /// The limit.
        seconds: u64,
    },
}
