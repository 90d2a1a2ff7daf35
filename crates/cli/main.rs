//! The program: reads the command line, runs one verb, and turns its outcome into an exit code.

mod args;
mod beside;
mod commands;
mod config;
mod console;
mod deliver;
mod duration;
mod keep;
mod progress;
mod render;
mod replace;
mod signals;
mod store;
mod unquoted;

use std::{env, io, process::ExitCode};

use clap::Parser;

use crate::{args::Cli, console::Console};

/// How a verb ended (CONTRACT 6); an error is exit code 2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Found, or done.
    Done,
    /// Nothing found, or for `coverage` something that `--fail-on` names.
    NothingFound,
    /// Done, but something could not be read.
    Partial,
}

fn main() -> ExitCode {
    let args = || env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    let cli = Cli::try_parse().unwrap_or_else(|error| unquoted::with_tip(error, args()).exit());
    let outcome = config::Settings::new(&cli.global).and_then(|settings| commands::run(&cli.command, &settings));
    match outcome {
        Ok(outcome) => ExitCode::from(outcome.code()),
        // Whoever reads the output, `head` for one, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            Console::new(&cli.global.output(None)).error(&format!("{error:#}"));
            ExitCode::from(ERROR_CODE)
        }
    }
}

impl Outcome {
    /// The exit code (CONTRACT 6).
    pub(crate) fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::NothingFound => 1,
            Outcome::Partial => 3,
        }
    }
}

/// The exit code of an error (CONTRACT 6).
pub(crate) const ERROR_CODE: u8 = 2;

/// Whether nobody reads any more what is written.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        let csv = cause.downcast_ref::<csv::Error>().and_then(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        });
        io.or(json).or(csv) == Some(io::ErrorKind::BrokenPipe)
    })
}
