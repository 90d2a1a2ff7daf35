//! Files that are replaced as a whole: whoever reads one finds the old one or the new one, never half of one.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::bail;

/// Whether a file has to outlast a power failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is synced.
    Yes,
    /// It may be lost with the power.
    No,
}

/// Fails for a file that cannot be written for lack of its folder, before anybody has done the work for it.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() || !folder_of(path).is_dir() {
        bail!("cannot write {}: it has to be a file in a folder that is there", path.display());
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces a file as a whole. A link stays one, and what is no regular file, a pipe for one, is written to.
pub(crate) fn replace(path: &Path, content: &[u8], durable: Durable) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Ok(path) if !path.is_file() => return File::options().write(true).open(path)?.write_all(content),
        Ok(path) => path,
        Err(_) => path.to_owned(),
    };
    let beside = beside(&path);
    let written = write_beside(&beside, content, durable).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside); // The error that counts is the first.
    }
    written?;
    if durable == Durable::Yes {
        sync_folder(folder_of(&path))?;
    }
    Ok(())
}

/// A name that collectors, which go by the ending, do not take for a file of theirs.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", process::id()))
}

fn write_beside(beside: &Path, content: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = File::create(beside)?;
    file.write_all(content)?;
    if durable == Durable::Yes { file.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened there.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_nothing_is_left_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.prom");
        for (content, durable) in [("a long first one", Durable::Yes), ("second", Durable::No)] {
            replace(&path, content.as_bytes(), durable).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert!(replace(&folder.path().join("no/such/folder"), b"x", Durable::No).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_devices_devices() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace(&link, b"new", Durable::No).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert!(link.is_symlink());
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        replace(&null, b"x", Durable::No).unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
