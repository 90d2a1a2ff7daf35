//! The program, run as its users run it.

use std::{
    path::Path,
    process::{Command, Output},
};

/// What a run of the program printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the program in a folder.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_smtptrail")).current_dir(folder).args(args).output().unwrap().into()
}

/// The same, which has to end well.
#[track_caller]
pub(crate) fn done(folder: &Path, args: &[&str]) -> Ran {
    let ran = run(folder, args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}{}", ran.out, ran.err);
    ran
}

/// Logs of a fleet in a folder of its own.
#[track_caller]
pub(crate) fn generate(folder: &Path, name: &str, size: &str) {
    done(folder, &[&["generate", name][..], &size.split(' ').collect::<Vec<_>>()].concat());
}
