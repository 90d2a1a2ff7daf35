//! Memory maps of finished log files: the only unsafe code of the project.
//!
//! A mapped file that is truncated by another process kills this one with SIGBUS, and a mapped section keeps Exchange
//! from truncating or deleting its own log on Windows. So only files that nobody writes any more are mapped (see
//! [`is_safe_to_map`]); everything else is read.

use std::{
    fs::File,
    io,
    time::{Duration, SystemTime},
};

use memmap2::Mmap;

/// A file untouched for this long is taken as finished: the transport service rolls its logs at least once a day, and
/// writes to the current one many times an hour.
const FINISHED_AFTER: Duration = Duration::from_secs(3_600);

/// Files below this are read: a map costs more than it saves.
const MAP_BYTES_MIN: u64 = 64 << 10;

/// Whether a regular file may be mapped: large enough, untouched for an hour, and not on a network file system, where
/// an I/O error would become a signal.
pub(crate) fn is_safe_to_map(file: &File, newest_of_stream: bool) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    let untouched = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    metadata.is_file()
        && metadata.len() >= MAP_BYTES_MIN
        && cfg!(target_pointer_width = "64")
        && !newest_of_stream
        && untouched.is_some_and(|age| age >= FINISHED_AFTER)
        && is_local(file)
}

/// Whether the file lies on a file system of this machine.
#[cfg(target_os = "linux")]
fn is_local(file: &File) -> bool {
    // Magic numbers of NFS, SMB, CIFS, SMB2, FUSE, 9P, Ceph and AFS (statfs(2)).
    const REMOTE: [u64; 8] =
        [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f];
    rustix::fs::fstatfs(file).is_ok_and(|stat| !REMOTE.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

/// Untested: elsewhere nothing is mapped, since there is no portable way to tell a network file system.
#[cfg(not(target_os = "linux"))]
fn is_local(_file: &File) -> bool {
    false
}

/// Maps a file for reading from front to back.
#[allow(unsafe_code)]
pub(crate) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the bytes must not change while they are mapped. Nobody can guarantee that for a file of somebody else;
    // `is_safe_to_map` makes it as likely as can be. If the file is rewritten, rows read from it may be torn, which
    // the reader counts as rejected rows; if it is truncated, the process gets SIGBUS and the store is left as it
    // was, because nothing is published before the run's last transaction.
    let map = unsafe { Mmap::map(file)? };
    #[cfg(unix)]
    let _ = map.advise(memmap2::Advice::Sequential); // Only a hint: without it the file is read just as well.
    Ok(map)
}
