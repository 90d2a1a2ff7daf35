//! Dead letters: records that a receiver will never take, with its reason, one JSON object a line.
//!
//! ```text
//! {"reason":"400 mapper_parsing_exception: ...","record":"..."}
//! ```

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// The file of dead letters, made when the first comes.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
    file: Option<File>,
}

impl DeadLetters {
    /// Dead letters go onto the end of this file.
    pub(crate) fn new(path: &Path) -> DeadLetters {
        DeadLetters { path: path.to_owned(), file: None }
    }

    /// Keeps a record. It is durable before anybody hears that the batch is done.
    pub(crate) fn keep(&mut self, record: &[u8], reason: &str) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&self.path).with_context(context)?;
                self.file.insert(file)
            }
        };
        let letter = serde_json::json!({ "reason": reason, "record": String::from_utf8_lossy(record) });
        file.write_all(format!("{letter}\n").as_bytes()).with_context(context)?;
        file.sync_data().with_context(context)
    }
}
