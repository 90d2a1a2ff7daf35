//! Where records go: which receiver the command line asks for.

use std::path::{Path, PathBuf};

use ::index::Checkpoint;
use anyhow::bail;
use clap::Args;
use export::{Framing, Sink};

use super::ExportArgs;
use crate::deliver::{Appended, Receiver, Replaced, Standard};

/// How to reach a receiver.
#[derive(Args)]
pub(crate) struct SendingArgs {
    /// Bytes that are sent at once at most [default: 4MB]
    #[arg(long, value_name = "BYTES", default_value_t = 4_000_000, hide_default_value = true)]
    pub(super) batch_bytes: usize,
}

/// Where a job's records go.
pub(super) enum Target {
    /// Nowhere.
    Nowhere,
    /// To standard output.
    Standard,
    /// Into a file that takes the place of the one before.
    Replaced(PathBuf),
    /// Onto the end of a file.
    Appended(PathBuf),
    /// Into a new file of a folder.
    Folder(PathBuf),
}

impl Target {
    /// What the command line asks for.
    pub(super) fn new(args: &ExportArgs, sink: &dyn Sink) -> anyhow::Result<Target> {
        if args.dry_run {
            return Ok(Target::Nowhere);
        }
        let is_columns = sink.framing() == Framing::Columns;
        let path = match args.output.as_deref() {
            None => None,
            Some(path) if path == Path::new("-") => None,
            Some(path) => Some(path.to_owned()),
        };
        match path {
            None => Ok(Target::Standard),
            Some(path) if args.writes_into_folder() => match args.name {
                Some(_) => Ok(Target::Folder(path)),
                None => bail!("{} is a folder, and without --name its files would have none", path.display()),
            },
            Some(path) if args.name.is_none() => Ok(Target::Replaced(path)),
            Some(path) if is_columns => {
                bail!("nothing can be added to a {} file; name a folder, as in {}/", sink.name(), path.display())
            }
            Some(path) => Ok(Target::Appended(path)),
        }
    }

    /// What is remembered of it.
    pub(super) fn describe(&self) -> String {
        match self {
            Target::Nowhere => String::new(),
            Target::Standard => "-".to_owned(),
            Target::Replaced(path) | Target::Appended(path) | Target::Folder(path) => path.display().to_string(),
        }
    }

    /// Opens it. `checkpoint` says what was confirmed before.
    pub(super) fn open(&self, sink: &dyn Sink, checkpoint: Option<&Checkpoint>) -> anyhow::Result<Box<dyn Receiver>> {
        let mut header = Vec::new();
        sink.header(&mut header);
        Ok(match self {
            Target::Nowhere => Box::new(Nobody),
            Target::Standard => Box::new(Standard::new(sink.framing(), &header)?),
            Target::Replaced(path) => Box::new(Replaced::new(path, sink.framing(), &header)?),
            Target::Appended(path) => {
                let confirmed = checkpoint.and_then(|checkpoint| checkpoint.length);
                Box::new(Appended::open(path, confirmed, sink.framing(), &header)?)
            }
            Target::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                // What was sent before tells this file from those, and one that was not finished is made again.
                let (name, before) = checkpoint.map_or(("", 0), |checkpoint| (&*checkpoint.name, checkpoint.events));
                let file = format!("{name}-{before:012}.{}", sink.extension());
                Box::new(Replaced::new(&folder.join(file), sink.framing(), &header)?)
            }
        })
    }

    /// Whether a part of it can be noted as sent before the rest is.
    pub(super) fn goes_on(&self) -> bool {
        !matches!(self, Target::Replaced(_) | Target::Folder(_))
    }
}

/// Takes everything and keeps nothing.
struct Nobody;

impl Receiver for Nobody {
    fn send(&mut self, _: &crate::deliver::Batch) -> anyhow::Result<crate::deliver::Taken> {
        Ok(crate::deliver::Taken::default())
    }
}
