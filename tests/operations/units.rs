//! The units of the README's operations part: systemd accepts them, and the program their command lines.

use std::{fs, process::Command};

use crate::trial::Trial;

const PROGRAM: &str = "/usr/local/bin/smtptrail";

/// Name and text of every unit in the README.
fn units() -> Vec<(String, String)> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```ini\n# /etc/systemd/system/").skip(1);
    let units = blocks.filter_map(|block| block.split_once("```")?.0.split_once('\n'));
    units.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

#[test]
fn command_lines_are_understood() {
    let trial = Trial::new();
    let units = units();
    let commands = units.iter().flat_map(|(_, text)| text.lines()).filter_map(|line| line.strip_prefix("ExecStart="));
    let commands: Vec<&str> = commands.filter(|command| !command.is_empty()).collect();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        let (program, args) = command.split_once(' ').unwrap();
        let mut args: Vec<&str> = args.split(' ').filter(|arg| *arg != "--store" && !arg.ends_with("/store")).collect();
        args.push("--help"); // What comes before it is read all the same.
        let ran = trial.run(&args);
        assert_eq!((program, ran.code), (PROGRAM, Some(0)), "{command}: {}", ran.err);
    }
}

#[test]
fn systemd_accepts_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let trial = Trial::new();
    let units = units();
    assert_eq!(units.len(), 3);
    for (name, text) in &units {
        let path = trial.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace(PROGRAM, env!("CARGO_BIN_EXE_smtptrail"))).unwrap();
    }
    let names = ["smtptrail.service", "smtptrail.timer"].map(|name| trial.path(name));
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(names).output().unwrap();
    let says = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !says.contains("smtptrail"), "{says}");
}
