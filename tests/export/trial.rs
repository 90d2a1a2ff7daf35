//! An indexed fleet, and exports of it to a receiver over HTTP.

use std::{fs, path::Path};

use tempfile::{TempDir, tempdir};

use crate::program::{Ran, done, generate};

/// A folder with logs, a store and a receiver's token.
pub(crate) struct Trial(TempDir);

impl Trial {
    /// Some sixteen hundred events, which are about a hundred batches of [`args`].
    pub(crate) fn new(token: &str) -> Trial {
        let folder = tempdir().unwrap();
        generate(folder.path(), "logs", "--servers 2 --days 2 --mib-per-server 1 --codec plain");
        done(folder.path(), &["index", "logs"]);
        fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
        Trial(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What a format writes.
    #[track_caller]
    pub(crate) fn exported(&self, format: &str) -> String {
        done(self.path(), &["export", "--to", format]).out
    }

    /// Runs the program, which has to end well.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> Ran {
        done(self.path(), args)
    }
}

/// An export to an address, under a name and in small batches.
pub(crate) fn args<'a>(format: &'a str, name: &'a str, address: &'a str) -> Vec<&'a str> {
    let small = ["--token-file", "token", "--batch-bytes", "40000", "--retry-for", "20s"];
    [&["export", "--to", format, "--name", name, "--address", address], &small[..]].concat()
}
