//! Fault points: places where a test ends the run, or lets a step fail, as a power cut or a full disk would.
//!
//! Points stand before every step that makes something durable, and so behind the step before it.
//! `SMTPTRAIL_FAULT=catalog.commit=abort@2` ends the process when it reaches that point for the second time, as
//! `kill -9` does; `=error@1` is a full disk there; several are separated by commas. `SMTPTRAIL_FAULT_LOG=FILE` appends
//! each point as it is reached, with what it is about. A program built without debug assertions has none of this.

use std::{fmt::Display, io};

/// Whether this build has the points.
pub const IS_ON: bool = cfg!(debug_assertions);

/// Every point.
pub const POINTS: &[&str] = &[
    "store.create",
    "store.sync",
    "lock.take",
    "lock.held",
    "catalog.open",
    "catalog.create",
    "catalog.opened",
    "sweep.begin",
    "sweep.remove",
    "sweep.removed",
    "catalog.read",
    "split.create",
    "split.write",
    "split.flush",
    "split.sync",
    "split.synced",
    "rows.create",
    "rows.sync",
    "rows.synced",
    "folder.sync",
    "folder.synced",
    "catalog.begin",
    "catalog.drop_replaced",
    "catalog.put_repeated_keys",
    "catalog.put_split",
    "catalog.put_given_up",
    "catalog.put_open",
    "catalog.put_sources",
    "catalog.put_files",
    "catalog.put_streams",
    "catalog.put_certificates",
    "catalog.put_run",
    "catalog.commit",
    "catalog.committed",
    "catalog.checkpointed",
];

/// The points of an export, which no run passes.
pub const EXPORT_POINTS: &[&str] =
    &["export.begin", "export.write", "export.written", "export.confirmed", "export.commit", "export.committed"];

/// A point of an export is reached, in whoever sends for it.
pub fn export_point(name: &'static str) -> io::Result<()> {
    point_of(name, "")
}

/// A point is reached.
pub(crate) fn point(name: &'static str) -> io::Result<()> {
    point_of(name, "")
}

/// A point is reached for something that has a name.
#[cfg(debug_assertions)]
pub(crate) fn point_of(name: &'static str, of: impl Display) -> io::Result<()> {
    debug_assert!(is_point(name), "the point {name} is not registered");
    armed::reached(name, &of)
}

/// A point is reached for something that has a name.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn point_of(_: &'static str, _: impl Display) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
fn is_point(name: &str) -> bool {
    POINTS.contains(&name) || EXPORT_POINTS.contains(&name)
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        env,
        fmt::Display,
        fs::{File, OpenOptions},
        io::{self, Write},
        process,
        sync::{Mutex, OnceLock, PoisonError},
    };

    /// "No space left on device".
    const ENOSPC: i32 = 28;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Abort,
        Error,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Fault {
        point: String,
        action: Action,
        /// How often the point is still reached until it happens, this time included.
        left: u64,
    }

    struct Armed {
        faults: Vec<Fault>,
        log: Option<File>,
    }

    /// `None` if the environment asks for nothing.
    static ARMED: OnceLock<Option<Mutex<Armed>>> = OnceLock::new();

    pub(super) fn reached(name: &str, of: &dyn Display) -> io::Result<()> {
        let Some(armed) = ARMED.get_or_init(armed) else { return Ok(()) };
        let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = &mut armed.log {
            log.write_all(format!("{name} {of}\n").as_bytes())?;
        }
        for fault in armed.faults.iter_mut().filter(|fault| fault.point == name) {
            fault.left = fault.left.wrapping_sub(1);
            match fault.action {
                _ if fault.left != 0 => {}
                Action::Abort => process::abort(),
                Action::Error => return Err(io::Error::from_raw_os_error(ENOSPC)),
            }
        }
        Ok(())
    }

    fn armed() -> Option<Mutex<Armed>> {
        let faults = env::var("SMTPTRAIL_FAULT").ok().map(|text| faults(&text));
        let log =
            env::var_os("SMTPTRAIL_FAULT_LOG").map(|path| OpenOptions::new().append(true).create(true).open(path));
        if faults.is_none() && log.is_none() {
            return None;
        }
        // A test that asks for what is not there must not pass.
        let (Some(faults), Ok(log)) = (faults.unwrap_or(Some(Vec::new())), log.transpose()) else { process::abort() };
        Some(Mutex::new(Armed { faults, log }))
    }

    fn faults(text: &str) -> Option<Vec<Fault>> {
        text.split(',').map(fault).collect()
    }

    fn fault(text: &str) -> Option<Fault> {
        let (point, what) = text.split_once('=')?;
        let (action, left) = what.split_once('@').unwrap_or((what, "1"));
        let action = match action {
            "abort" => Action::Abort,
            "error" => Action::Error,
            _ => return None,
        };
        super::is_point(point).then_some(Fault { point: point.to_owned(), action, left: left.parse().ok()? })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[track_caller]
        fn check(text: &str, expected: Option<&[(&str, Action, u64)]>) {
            let fault = |&(point, action, left): &(&str, Action, u64)| Fault { point: point.to_owned(), action, left };
            assert_eq!(faults(text), expected.map(|expected| expected.iter().map(fault).collect()), "{text}");
        }

        #[test]
        fn faults_are_asked_for_by_point_action_and_turn() {
            check("catalog.commit=abort", Some(&[("catalog.commit", Action::Abort, 1)]));
            check(
                "split.sync=error@3,lock.held=abort@1",
                Some(&[("split.sync", Action::Error, 3), ("lock.held", Action::Abort, 1)]),
            );
            for wrong in ["", "catalog.commit", "catalog.comit=abort", "lock.held=stop", "lock.held=abort@x"] {
                check(wrong, None);
            }
        }
    }
}
