//! An export that ends in the middle, at every point where it could, and the same command again.

use std::{fs, path::Path, process::Command};

use index::fault::{EXPORT_POINTS, IS_ON};
use tempfile::tempdir;

use crate::{
    events::Events,
    program::{done, generate},
};

/// Runs an export that a fault ends; whether it was reached.
fn fails(folder: &Path, args: &[&str], fault: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
    let ran = command.current_dir(folder).args(args).env("SMTPTRAIL_FAULT", fault).output().unwrap();
    !ran.status.success()
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    if !IS_ON {
        return; // A release build has no such points.
    }
    let trial = tempdir().unwrap();
    let folder = trial.path();
    generate(folder, "logs", "--servers 2 --days 2 --mib-per-server 2 --codec plain");
    done(folder, &["index", "logs"]);
    let expected = Events::of(&done(folder, &["export", "--to", "ecs"]).out);
    let mut reached = 0;
    for (at, point) in EXPORT_POINTS.iter().enumerate() {
        for action in ["abort", "error"] {
            for turn in [1, 3] {
                for output in ["file", "folder/"] {
                    let name = format!("{action}-{at}-{turn}-{}", output.trim_end_matches('/'));
                    let output = format!("{name}.{output}");
                    let args = ["export", "--to", "ecs", "--name", &name, "--output", &output];
                    let was_reached = fails(folder, &args, &format!("{point}={action}@{turn}"));
                    reached += usize::from(was_reached);
                    done(folder, &args);
                    let events = written(&folder.join(&output));
                    events.each_once();
                    assert_eq!(events.ids(), expected.ids(), "{point} {action} {turn}");
                }
            }
        }
    }
    assert!(reached >= 2 * EXPORT_POINTS.len(), "{reached} faults");
}

/// What an export wrote into a file, or into the files of a folder.
fn written(path: &Path) -> Events {
    if path.is_file() {
        return Events::read(path);
    }
    let mut text = String::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        // What was being written when the plug was pulled is no file yet.
        if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    Events::of(&text)
}
