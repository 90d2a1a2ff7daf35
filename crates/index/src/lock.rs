//! The lock: one run writes to a store at a time, and says who it is.
//!
//! The kernel holds the lock and frees it when the process ends, however that comes about; the text in the file is a
//! courtesy to whoever finds it held.
//!
//! ```text
//! process 4711 on index01 since 2024-03-01T06:00:06Z
//! ```

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
    process,
};

use smtplog::Timestamp;

use crate::StoreError;

/// Bytes of the file that are read to name the holder: whatever else wrote to it, an error stays short.
const HOLDER_BYTES_MAX: u64 = 200;

/// Takes the lock, or says who holds it.
pub(crate) fn lock(store: &Path, now: Timestamp) -> Result<File, StoreError> {
    let path = store.join("lock");
    lock_file(&path, now, |holder| StoreError::Locked { dir: store.to_owned(), holder })
}

/// The same for any file.
pub(crate) fn lock_file(
    path: &Path,
    now: Timestamp,
    locked: impl FnOnce(String) -> StoreError,
) -> Result<File, StoreError> {
    let path = path.to_owned();
    let write_error = |source| StoreError::Write { path: path.clone(), source };
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(write_error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(locked(holder(&mut file)));
        }
        Err(TryLockError::Error(source)) => return Err(StoreError::Lock { path, source }),
    }
    name_holder(&mut file, now).map_err(write_error)?;
    Ok(file)
}

fn name_holder(file: &mut File, now: Timestamp) -> io::Result<()> {
    let since = now.to_string();
    let since = since.split_once('.').map_or(&*since, |(seconds, _)| seconds);
    let holder = format!("process {} on {} since {since}Z", process::id(), host());
    file.rewind()?;
    file.write_all(holder.as_bytes())?;
    file.set_len(holder.len() as u64)
}

/// Where the system keeps others from reading a locked file, nobody is named.
fn holder(file: &mut File) -> String {
    let mut holder = Vec::new();
    let _ = file.take(HOLDER_BYTES_MAX).read_to_end(&mut holder);
    let holder = String::from_utf8_lossy(&holder);
    if holder.trim().is_empty() { "another run".to_owned() } else { holder.trim().to_owned() }
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let store = tempfile::tempdir().unwrap();
        std::fs::write(store.path().join("lock"), "x".repeat(300)).unwrap();
        let held = lock(store.path(), Timestamp(1_709_272_806_307)).unwrap();
        let Err(StoreError::Locked { holder, .. }) = lock(store.path(), Timestamp(0)) else { panic!("not held") };
        let expected = format!("process {} on {} since 2024-03-01T06:00:06Z", process::id(), host());
        assert_eq!(holder, expected);
        drop(held);
        assert!(lock(store.path(), Timestamp(0)).is_ok());
    }
}
