//! The program while it runs: what a test waits for meanwhile, and how it is ended.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that goes on.
pub(crate) struct Running {
    child: Child,
    said: PathBuf,
}

impl Running {
    /// Starts the program in a folder, which then also has what it says.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Running {
        let said = folder.join("running.stderr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
        command.current_dir(folder).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
        Running { child, said }
    }

    /// Waits until something holds; whether it does before the run ends.
    pub(crate) fn is_running_when(&mut self, mut holds: impl FnMut() -> bool) -> bool {
        let mut is_over = false;
        wait_for("the run", || {
            is_over = self.child.try_wait().unwrap().is_some();
            is_over || holds()
        });
        !is_over
    }

    /// `kill -9`; whether that came before the run's own end.
    pub(crate) fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Asks it to end, as a service manager does; gives its exit code and what it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.ended()
    }

    /// Waits for a good end; gives what it said.
    #[track_caller]
    pub(crate) fn end(mut self) -> String {
        let (code, said) = self.ended();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    #[track_caller]
    fn ended(&mut self) -> (Option<i32>, String) {
        wait_for("the run's end", || self.child.try_wait().unwrap().is_some());
        (self.child.wait().unwrap().code(), fs::read_to_string(&self.said).unwrap())
    }
}

/// Nothing outlives its test.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(2));
    }
}
