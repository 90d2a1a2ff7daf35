//! An indexed fleet, and what an export of it has to hand over.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    program::{Ran, done, generate},
    running::Running,
};

/// A folder with logs and a store.
pub(crate) struct Fleet(TempDir);

impl Fleet {
    /// Some six thousand events.
    pub(crate) fn new() -> Fleet {
        Fleet::of("--servers 2 --days 3 --mib-per-server 4 --codec plain")
    }

    /// Four times as many, which are several batches.
    pub(crate) fn large() -> Fleet {
        Fleet::of("--servers 2 --days 3 --mib-per-server 16 --codec plain")
    }

    fn of(size: &str) -> Fleet {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), "logs", size);
        done(folder.path(), &["index", "logs"]);
        Fleet(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> Ran {
        done(self.folder(), args)
    }

    /// What a format writes into a file.
    #[track_caller]
    pub(crate) fn lines(&self, format: &str) -> Lines {
        self.done(&["export", "--to", format, "--output", "expected"]);
        let lines = Lines::read(&self.path("expected"));
        assert!(lines.0.len() > 5_000 && lines.0.values().all(|&times| times == 1), "{} lines", lines.0.len());
        lines
    }

    /// Starts an export.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.folder(), args)
    }
}

/// Lines, whatever bytes they have, and how often each is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(pub(crate) BTreeMap<Vec<u8>, u32>);

impl Lines {
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Lines {
        let mut lines = Lines::default();
        lines.add(&fs::read(path).unwrap());
        lines
    }

    /// Adds the lines of a text, each with its end.
    #[track_caller]
    pub(crate) fn add(&mut self, text: &[u8]) {
        let Some(text) = text.strip_suffix(b"\n") else { return assert!(text.is_empty(), "the last line has no end") };
        text.split(|&byte| byte == b'\n').for_each(|line| self.add_line(line.to_vec()));
    }

    pub(crate) fn add_line(&mut self, line: Vec<u8>) {
        *self.0.entry(line).or_default() += 1;
    }

    /// The records of messages of a format, without the header that they got on their way.
    #[track_caller]
    pub(crate) fn records(self, format: &str) -> Lines {
        if format == "syslog" {
            return self; // It has its header everywhere.
        }
        let mut records = Lines::default();
        for (line, times) in self.0 {
            *records.0.entry(without_header(&line)).or_default() += times;
        }
        records
    }

    /// What stands behind a mark, up to the next quote, wherever it is.
    pub(crate) fn split_at(&self, mark: &[u8]) -> Lines {
        let mut found = Lines::default();
        for line in self.0.keys() {
            let starts = line.windows(mark.len()).enumerate().filter(|(_, part)| *part == mark);
            for (at, _) in starts {
                let rest = &line[at + mark.len()..];
                found.add_line(rest.split(|&byte| byte == b'"').next().unwrap_or_default().to_vec());
            }
        }
        found
    }

    /// How many there are, each as often as it is there.
    pub(crate) fn count(&self) -> u32 {
        self.0.values().sum()
    }

    /// Fails unless these are the expected lines, each once.
    #[track_caller]
    pub(crate) fn are(&self, expected: &Lines) {
        self.are_at_least(expected);
        let twice = self.0.iter().find(|(_, times)| **times > 1);
        assert!(twice.is_none(), "twice: {}", String::from_utf8_lossy(twice.unwrap().0));
    }

    /// Fails unless these are the expected lines, each at least once.
    #[track_caller]
    pub(crate) fn are_at_least(&self, expected: &Lines) {
        let lost: Vec<_> = expected.0.keys().filter(|line| !self.0.contains_key(*line)).collect();
        let other: Vec<_> = self.0.keys().filter(|line| !expected.0.contains_key(*line)).collect();
        let first = |lines: &[&Vec<u8>]| lines.first().map(|line| String::from_utf8_lossy(line).into_owned());
        let (lost_first, other_first) = (first(&lost), first(&other));
        assert!(
            lost.is_empty() && other.is_empty(),
            "{} lost, such as {lost_first:?}; {} that nobody sent, such as {other_first:?}",
            lost.len(),
            other.len()
        );
    }
}

/// The record behind a header of RFC 5424 without structured data: CEF and LEEF have none of their own.
#[track_caller]
fn without_header(line: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = line.splitn(8, |&byte| byte == b' ').collect();
    let text = |at: usize| String::from_utf8_lossy(parts[at]).into_owned();
    assert!(text(0).starts_with('<') && text(0).ends_with(">1"), "{}", String::from_utf8_lossy(line));
    assert!(text(1).starts_with("2024-03-0") && text(1).ends_with('Z'), "{}", text(1));
    assert_eq!((text(3), text(4), text(6)), ("smtptrail".to_owned(), "-".to_owned(), "-".to_owned()));
    parts[7].to_vec()
}
