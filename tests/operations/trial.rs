//! A folder with logs and a store, and runs of the program in it.

use std::{
    fs::{self, File},
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::exposition::{self, Samples};

/// How long a run may take to do what is expected of it, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log of most tests.
pub(crate) const LOG: &str = "logs/EX1/SmtpSend/SEND20240301-1.LOG";

const HEADER: &str = "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n\
    #Log-type: SMTP Send Protocol Log\r\n#Date: 2024-03-01T06:00:00.000Z\r\n\
    #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n";

/// Whole sessions of three rows each.
pub(crate) fn sessions_text(numbers: Range<u32>) -> String {
    let session = |number: u32| {
        let row = |sequence: u32, event: &str, data: &str| {
            format!(
                "2024-03-01T06:00:00.{:03}Z,To Office 365,08DC39900080{number:04X},{sequence},10.0.0.1:22289,\
                 192.0.2.25:25,{event},{data},\r\n",
                10 * number + sequence
            )
        };
        row(0, "+", "") + &row(1, "<", "220 mx.example ready") + &row(2, "-", "")
    };
    numbers.map(session).collect()
}

/// What a run of the program gave.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Trial(TempDir);

impl Trial {
    pub(crate) fn new() -> Trial {
        Trial(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Appends rows to a log, which begins with a header.
    pub(crate) fn append(&self, log: &str, rows: &str) {
        let path = self.path(log);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let header = if file.metadata().unwrap().len() == 0 { HEADER } else { "" };
        file.write_all(format!("{header}{rows}").as_bytes()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
        command.current_dir(self.0.path()).args(["--store", "store"]).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args))
    }

    /// As somebody whom file permissions bind.
    pub(crate) fn run_unprivileged(&self, args: &[&str]) -> Ran {
        let program = self.command(args);
        if !has_setpriv() {
            return ran(program);
        }
        let mut command = Command::new("setpriv");
        command.args(WITHOUT_OVERRIDE).arg(program.get_program()).args(program.get_args());
        command.current_dir(self.0.path());
        ran(command)
    }

    /// Takes the permission to read a file; whether that keeps an unprivileged run out.
    #[cfg(unix)]
    pub(crate) fn forbid(&self, path: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(0o200)).unwrap();
        has_setpriv() || File::open(path).is_err()
    }

    #[cfg(not(unix))]
    pub(crate) fn forbid(&self, _: &Path) -> bool {
        false
    }

    #[cfg(unix)]
    pub(crate) fn allow(&self, path: &Path) {
        use std::os::unix::fs::PermissionsExt;

        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[cfg(not(unix))]
    pub(crate) fn allow(&self, _: &Path) {}

    /// Takes or gives the permission to write the store; whether that binds an unprivileged run.
    #[cfg(unix)]
    pub(crate) fn seal(&self, sealed: bool) -> bool {
        use std::os::unix::fs::PermissionsExt;

        let (of_files, of_folders) = if sealed { (0o444, 0o555) } else { (0o644, 0o755) };
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        self.files("store").iter().for_each(|path| set(path, of_files));
        ["store/splits", "store/transcripts", "store"].iter().for_each(|path| set(&self.path(path), of_folders));
        has_setpriv() || File::create(self.path("store/new")).is_err()
    }

    #[cfg(not(unix))]
    pub(crate) fn seal(&self, _: bool) -> bool {
        false
    }

    /// Starts a run that goes on meanwhile.
    pub(crate) fn start(&self, args: &[&str]) -> Started {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let mut command = self.command(args);
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Started { child, folder }
    }

    /// Sessions of the store.
    pub(crate) fn sessions(&self) -> u64 {
        let found = self.run(&["search", "*", "--json", "--limit", "0"]);
        assert!(matches!(found.code, Some(0 | 1)), "{}", found.err);
        found.out.lines().count() as u64
    }

    /// What `--summary run.json` left.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("run.json")).unwrap()).unwrap()
    }

    /// What `--metrics run.prom` left.
    pub(crate) fn metrics(&self) -> Samples {
        let text = fs::read_to_string(self.path("run.prom")).unwrap();
        exposition::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metrics()[&(name.to_owned(), Vec::new())]
    }

    /// Every file below a folder, in order.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.path(folder)];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

/// Even root is bound by permissions then.
const WITHOUT_OVERRIDE: [&str; 2] = ["--bounding-set", "-dac_override,-dac_read_search"];

fn has_setpriv() -> bool {
    let tried = Command::new("setpriv").args(WITHOUT_OVERRIDE).arg("true").output();
    tried.is_ok_and(|output| output.status.success())
}

fn ran(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A run that goes on.
pub(crate) struct Started {
    child: Child,
    folder: TempDir,
}

impl Started {
    pub(crate) fn out(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        fs::read_to_string(self.folder.path().join("err")).unwrap()
    }

    /// Waits until something holds.
    pub(crate) fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "{what} did not come: {} {}", self.out(), self.err());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let (signal, process) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([&signal, &process]).status().unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ran {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "does not end: {} {}", self.out(), self.err());
            thread::sleep(Duration::from_millis(10));
        };
        Ran { code: status.code(), out: self.out(), err: self.err() }
    }
}

/// Nothing outlives its test.
impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small disk of its own.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None` where the test may not mount one.
    pub(crate) fn mount(at: &Path, bytes: u32) -> Option<Disk> {
        fs::create_dir(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("skipped: mounting a small disk needs root");
        }
        is_mounted.then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
