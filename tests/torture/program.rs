//! The program under test, as a process of its own, and what it says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::Value;

/// Sessions by id, without where their rows lie: files are named differently each time.
pub(crate) type Sessions = BTreeMap<String, Value>;

/// The program and one store.
pub(crate) struct Program {
    pub(crate) store: PathBuf,
    log: PathBuf,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn with_store(store: &Path) -> Program {
        Program { store: store.to_owned(), log: store.with_extension("stderr") }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtptrail"));
        command.arg("--store").arg(&self.store).stdin(Stdio::null());
        command
    }

    /// Starts a run over a folder.
    pub(crate) fn start(&self, folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Child {
        let err = fs::File::create(&self.log).unwrap();
        let mut command = self.command();
        command.args(["index", "--keep-transcripts"]).arg(folder).args(args).envs(environment.iter().copied());
        command.stdout(Stdio::null()).stderr(err).spawn().unwrap()
    }

    pub(crate) fn end(&self, mut child: Child) -> Ended {
        let status = child.wait().unwrap();
        Ended { status, err: fs::read_to_string(&self.log).unwrap() }
    }

    pub(crate) fn index_with(&self, folder: &Path, environment: &[(&str, &str)]) -> Ended {
        self.end(self.start(folder, &[], environment))
    }

    /// A run that nothing disturbs.
    #[track_caller]
    pub(crate) fn index(&self, folder: &Path) {
        let ended = self.index_with(folder, &[]);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    }

    /// Every session; `None` if nothing has been published yet. Whatever is published can be read.
    pub(crate) fn sessions(&self) -> Result<Option<Sessions>, String> {
        let output = self.command().args(["-q", "search", "*", "--json"]).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0 | 1) => {}
            Some(2) if err.contains("no store at") => return Ok(None),
            code => return Err(format!("search ended with {code:?}: {err}")),
        }
        let mut sessions = Sessions::new();
        for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let mut session: Value =
                serde_json::from_slice(line).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(line)))?;
            session.as_object_mut().unwrap().remove("sources");
            let id = session["id"].as_str().unwrap().to_owned();
            if sessions.insert(id.clone(), session).is_some() {
                return Err(format!("{id} is there twice"));
            }
        }
        Ok(Some(sessions))
    }

    /// What `verify` finds wrong, if this program has it.
    pub(crate) fn verify(&self) -> Result<(), String> {
        let output = self.command().arg("verify").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        let is_missing = output.status.code() == Some(2) && err.contains("unrecognized subcommand");
        match output.status.success() || is_missing {
            true => Ok(()),
            false => Err(format!("verify: {}{err}", String::from_utf8_lossy(&output.stdout))),
        }
    }

    /// Files among the splits that no transaction named.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        match index::Store::open(&self.store) {
            Ok(store) => store.leftovers().unwrap(),
            Err(index::StoreError::NotFound { .. }) => self.splits(),
            Err(error) => panic!("{error}"),
        }
    }

    fn splits(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.store.join("splits")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// The first differences between what is and what should be.
pub(crate) fn differences(found: &Sessions, expected: &Sessions) -> Vec<String> {
    let lost = expected.keys().filter(|id| !found.contains_key(*id)).map(|id| format!("lost {id}"));
    let more = found.keys().filter(|id| !expected.contains_key(*id)).map(|id| format!("doubled or invented {id}"));
    let other = found.iter().filter_map(|(id, session)| {
        let expected = expected.get(id).filter(|expected| *expected != session)?;
        Some(format!("different {id}:\n  is        {session}\n  should be {expected}"))
    });
    lost.chain(more).chain(other).collect()
}
