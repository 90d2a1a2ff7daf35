//! Where records go: which receiver the command line asks for.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::index::Checkpoint;
use anyhow::{Context, bail};
use clap::Args;
use export::{Framing, Sink, Wire};

use super::{ExportArgs, job::Job};
use crate::{
    deliver::{
        Appended, Batch, DeadLetters, Destination, Elasticsearch, Otlp, Patience, Portioned, Receiver, Replaced,
        Splunk, Standard, Syslog, Taken, Through, Trust, is_special,
    },
    duration,
};

/// Records that a receiver gets at once.
const BATCH_RECORDS_MAX: usize = 5_000;

/// How to reach a receiver.
#[derive(Args)]
pub(crate) struct SendingArgs {
    /// The receiver: tcp://, tls:// or udp://HOST:PORT for syslog, https://HOST:PORT for the rest
    #[arg(long, value_name = "URL", conflicts_with = "output")]
    address: Option<String>,
    /// The file with the receiver's token, API key, or USER:PASSWORD
    #[arg(long, value_name = "FILE", requires = "address")]
    token_file: Option<PathBuf>,
    /// Trust these certificate authorities (PEM) and not those of the system
    #[arg(long, value_name = "FILE", requires = "address")]
    ca: Option<PathBuf>,
    /// Show this certificate (PEM) to the receiver
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Try again for so long if the receiver is busy or not there
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse, requires = "address")]
    retry_for: Duration,
    /// Bytes that are sent at once
    #[arg(long, value_name = "BYTES", default_value_t = 4_000_000, requires = "address")]
    batch_bytes: usize,
    /// The file for what the receiver will never take [default: exports/NAME.dead-letters in the store; without --name
    /// smtptrail-export.dead-letters here]
    #[arg(long, value_name = "FILE", requires = "address")]
    dead_letters: Option<PathBuf>,
}

/// Where a job's records go.
pub(super) enum Target<'a> {
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
    /// To a receiver.
    Address(&'a str, &'a ExportArgs),
}

impl<'a> Target<'a> {
    /// What the command line asks for.
    pub(super) fn new(args: &'a ExportArgs, job: &Job<'_>) -> anyhow::Result<Target<'a>> {
        if args.dry_run {
            return Ok(Target::Nowhere);
        }
        if let Some(address) = &args.sending.address {
            if job.sink.wire() == Wire::None {
                bail!("{} goes into files, not to an address", job.sink.name());
            }
            let is_web = address.starts_with("https://") || address.starts_with("http://");
            if is_web == matches!(job.sink.wire(), Wire::Syslog { .. }) {
                let schemes = if is_web { "tcp://, tls:// or udp://" } else { "https:// or http://" };
                bail!("{address}: {} goes to {schemes}", job.sink.name());
            }
            return Ok(Target::Address(address, args));
        }
        let is_columns = job.sink.framing() == Framing::Columns;
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
                bail!("nothing can be added to a {} file; name a folder, as in {}/", job.sink.name(), path.display())
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
            Target::Address(address, _) => (*address).to_owned(),
        }
    }

    /// Opens it. `checkpoint` says what was confirmed before.
    pub(super) fn open(&self, job: &Job<'_>, checkpoint: Option<&Checkpoint>) -> anyhow::Result<Box<dyn Receiver>> {
        let sink = job.sink;
        let mut header = Vec::new();
        sink.header(&mut header);
        Ok(match self {
            Target::Nowhere => Box::new(Nobody),
            Target::Standard => Box::new(Standard::new(sink.framing(), &header)?),
            Target::Replaced(path) if is_special(path) => Box::new(Through::new(path, sink.framing(), &header)?),
            Target::Replaced(path) => Box::new(Replaced::new(path, sink.framing(), &header)?),
            Target::Appended(path) => {
                let confirmed = checkpoint.and_then(|checkpoint| checkpoint.length);
                Box::new(Appended::open(path, confirmed, sink.framing(), &header)?)
            }
            Target::Folder(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                // What was sent before tells this file from those, and one that was not finished is made again.
                let (name, before) = checkpoint.map_or(("", 0), |checkpoint| (&*checkpoint.name, checkpoint.events));
                let file = format!("{name}-{before:012}.{}", sink.extension());
                Box::new(Replaced::new(&folder.join(file), sink.framing(), &header)?)
            }
            Target::Address(address, args) => Box::new(Portioned {
                receiver: args.sending.connect(address, args, job)?,
                bytes_max: args.sending.batch_bytes,
                records_max: BATCH_RECORDS_MAX,
            }),
        })
    }

    /// Whether a part of it can be noted as sent before the rest is.
    pub(super) fn goes_on(&self, sink: &dyn Sink) -> bool {
        !matches!(self, Target::Replaced(_) | Target::Folder(_)) && sink.framing() != Framing::Columns
    }

    /// Whether it is a receiver of syslog.
    pub(super) fn is_syslog(&self) -> bool {
        matches!(self, Target::Address(address, _) if ["tcp://", "tls://", "udp://"].iter().any(|one| address.starts_with(one)))
    }
}

impl SendingArgs {
    fn connect(&self, address: &str, args: &ExportArgs, job: &Job<'_>) -> anyhow::Result<Box<dyn Receiver>> {
        let token = match &self.token_file {
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                Some(text.trim().to_owned()).filter(|token| !token.is_empty())
            }
            None => None,
        };
        let is_secret = address.starts_with("https://") || address.starts_with("tls://");
        let own = self.client_cert.as_ref().zip(self.client_key.as_ref());
        let trust = match is_secret {
            true => Some(Trust::new(self.ca.as_deref(), own)?),
            false => None,
        };
        // The client for HTTP panics at a key that does not fit its certificate.
        trust.as_ref().map(Trust::client).transpose().context("--client-cert, --client-key or --ca cannot be used")?;
        let destination = Destination {
            address,
            token: token.as_deref(),
            trust: trust.as_ref(),
            patience: Patience { at_most: self.retry_for, stop: Arc::clone(job.stop) },
            dead: DeadLetters::new(&self.dead_letters(args, job)),
        };
        Ok(match job.sink.wire() {
            Wire::Splunk => Box::new(Splunk::new(destination)?),
            Wire::Elasticsearch => Box::new(Elasticsearch::new(destination)?),
            Wire::Otlp => Box::new(Otlp::new(destination, job.sink.framing())?),
            Wire::Syslog { .. } => Box::new(Syslog::new(destination)?),
            Wire::None => bail!("{} goes into files, not to an address", job.sink.name()),
        })
    }

    fn dead_letters(&self, args: &ExportArgs, job: &Job<'_>) -> PathBuf {
        let name = args.name.as_deref().unwrap_or("export");
        let own = || match &args.name {
            Some(_) => job.settings.store.join("exports").join(format!("{name}.dead-letters")),
            None => PathBuf::from("smtptrail-export.dead-letters"),
        };
        self.dead_letters.clone().unwrap_or_else(own)
    }
}

/// Takes everything and keeps nothing.
struct Nobody;

impl Receiver for Nobody {
    fn send(&mut self, _: &Batch) -> anyhow::Result<Taken> {
        Ok(Taken::default())
    }
}
