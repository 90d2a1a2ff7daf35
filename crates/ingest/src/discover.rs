//! Discovery: from the paths that a person names to the sources below them.
//!
//! Every regular file is a candidate, whatever its name; what it is shows when it is opened. A zip archive stands for
//! its members. Symbolic links below a path are not followed, so there are no loops and nothing outside is read.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use crate::{
    compression::{Codec, MAGIC_BYTES},
    open::{Archive, read_head},
    pipeline::Options,
    place::{Place, RolledName, is_exchange_folder, place, server_name},
    summary::{Problem, ProblemKind},
};

/// Members of one archive. A month of hourly logs of a large fleet has 50,000.
pub const MEMBERS_MAX: usize = 200_000;

/// Files below the paths of one run; past it the rest is refused by name. Ten thousand servers' month of hourly logs
/// would have seven million, which is a matter for several runs.
pub const FILES_MAX: usize = 4_000_000;

/// What tells a file from its later self without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Absolute path.
    pub path: PathBuf,
    /// Bytes, as stored.
    pub size: u64,
    /// Time of the last change, nanoseconds since 1970-01-01 UTC.
    pub mtime_ns: i64,
    /// Inode number, 0 where there is none.
    pub inode: u64,
}

/// One log, or what may be one.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file that holds it.
    pub stamp: Stamp,
    /// The archive member, by its number, if the file is a zip archive.
    pub member: Option<(Arc<Archive>, usize)>,
    /// Relative to PATH with `/`, an archive's member behind the archive's own name.
    pub file: Arc<str>,
    /// Server and role by path, `--server`, `--role` and the configuration.
    pub place: Place,
    /// Whether the user named the file itself.
    pub named: bool,
    /// Whether no newer file of its series was found.
    pub newest: bool,
    /// Bytes as stored, of the member if it is one.
    pub stored_bytes: u64,
}

impl Source {
    /// The last component of the name.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// The member's path inside its archive.
    pub fn member_name(&self) -> Option<String> {
        let (archive, number) = self.member.as_ref()?;
        Some(archive.member(*number).ok()??.name)
    }

    /// Whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        self.stamp.path.as_os_str() == "-"
    }

    /// The folder within PATH, by which receive logs tell the server of their neighbours.
    pub fn folder(&self) -> &str {
        self.file.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// What was found below the paths.
#[derive(Default)]
pub struct Discovery {
    /// Sources to read.
    pub sources: Vec<Source>,
    /// Files that are as an earlier run left them, and so not opened.
    pub unchanged: u64,
    /// Files, archives counting as one.
    pub files: u64,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

/// Walks the paths. `is_unchanged` says whether a file is as an earlier run left it.
pub fn discover(paths: &[PathBuf], options: &Options, is_unchanged: &dyn Fn(&Stamp) -> bool) -> Discovery {
    let mut walk = Walk { options, is_unchanged, found: Discovery::default() };
    for path in paths {
        walk.path(path);
    }
    let mut found = walk.found;
    mark_newest(&mut found.sources);
    found
}

struct Walk<'a> {
    options: &'a Options,
    is_unchanged: &'a dyn Fn(&Stamp) -> bool,
    found: Discovery,
}

impl Walk<'_> {
    fn path(&mut self, path: &Path) {
        if path.as_os_str() == "-" {
            return self.stdin();
        }
        let absolute = match fs::canonicalize(path) {
            Ok(absolute) => absolute,
            Err(error) => return self.problem(path, ProblemKind::Unreadable, error),
        };
        if absolute.is_dir() { self.folder(path, &absolute) } else { self.named_file(path, &absolute) }
    }

    fn stdin(&mut self) {
        let stamp = Stamp { path: "-".into(), size: 0, mtime_ns: 0, inode: 0 };
        let place = self.with_options(Place { server: None, role: smtplog::Role::Unknown }, "-");
        self.found.files += 1;
        self.found.sources.push(Source {
            stamp,
            member: None,
            file: "-".into(),
            place,
            named: true,
            newest: false,
            stored_bytes: 0,
        });
    }

    fn folder(&mut self, path: &Path, absolute: &Path) {
        let root = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        for entry in walkdir::WalkDir::new(absolute).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("loop of folders"));
                    self.problem(&at, ProblemKind::Unreadable, error);
                    continue;
                }
            };
            if entry.file_type().is_symlink() {
                let error = io::Error::other("a symbolic link is not followed; name its target to have it read");
                self.problem(entry.path(), ProblemKind::Refused, error);
            } else if entry.file_type().is_file() {
                let relative = relative_name(entry.path().strip_prefix(absolute).unwrap_or(entry.path()));
                match entry.metadata() {
                    Ok(metadata) => self.file(entry.path(), &metadata, relative, root.as_deref(), false),
                    Err(error) => self.problem(entry.path(), ProblemKind::Unreadable, error.into()),
                }
            } else if !entry.file_type().is_dir() {
                let error = io::Error::other("not a regular file");
                self.problem(entry.path(), ProblemKind::Refused, error);
            }
        }
    }

    /// A file that the user named: its folders as typed tell its server only where they are Exchange's own layout.
    fn named_file(&mut self, path: &Path, absolute: &Path) {
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match fs::metadata(absolute) {
            Ok(metadata) if metadata.is_file() => self.file(absolute, &metadata, name, None, true),
            Ok(_) => self.problem(path, ProblemKind::Refused, io::Error::other("not a regular file")),
            Err(error) => self.problem(path, ProblemKind::Unreadable, error),
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, relative: String, root: Option<&str>, named: bool) {
        self.found.files += 1;
        let stamp = stamp(path, metadata);
        if (self.is_unchanged)(&stamp) {
            self.found.unchanged += 1;
            return;
        }
        if self.found.sources.len() >= FILES_MAX {
            return self.problem(path, ProblemKind::Refused, io::Error::other("too many files for one run"));
        }
        match head_of(path) {
            Ok(head) if Codec::of_magic(&head) == Codec::Zip => self.archive(&stamp, &relative, root, named),
            Ok(_) => {
                let folders = if named { exchange_folders_above(path) } else { folders_of(&relative) };
                let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
                let place = self.with_options(place(root, &folders), &relative);
                let stored_bytes = stamp.size;
                let file = relative.into();
                self.found.sources.push(Source {
                    stamp,
                    member: None,
                    file,
                    place,
                    named,
                    newest: false,
                    stored_bytes,
                });
            }
            Err(error) => self.problem(path, ProblemKind::Unreadable, error),
        }
    }

    fn archive(&mut self, stamp: &Stamp, relative: &str, root: Option<&str>, named: bool) {
        let archive = match Archive::open(&stamp.path) {
            Ok(archive) => Arc::new(archive),
            Err(error) => return self.problem(&stamp.path, ProblemKind::Unreadable, error),
        };
        if archive.len() > MEMBERS_MAX {
            return self.problem(&stamp.path, ProblemKind::Refused, io::Error::other("too many members"));
        }
        for number in 0..archive.len() {
            let member = match archive.member(number) {
                Ok(Some(member)) => member,
                Ok(None) => continue, // A folder.
                Err(error) => {
                    self.problem(&stamp.path, ProblemKind::Refused, error);
                    continue;
                }
            };
            let file = format!("{relative}/{}", member.name);
            let folders = folders_of_member(relative, &member.name);
            let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
            let place = self.with_options(place(root, &folders), &file);
            self.found.sources.push(Source {
                stamp: stamp.clone(),
                member: Some((Arc::clone(&archive), number)),
                file: file.into(),
                place,
                named,
                newest: false,
                stored_bytes: member.compressed_bytes,
            });
        }
    }

    /// What the user said goes before what the path says.
    fn with_options(&self, mut place: Place, relative: &str) -> Place {
        let by_glob = self.options.servers.iter().find(|(glob, _)| glob.is_match(relative)).map(|(_, server)| server);
        if let Some(server) = self.options.server.as_deref().or(by_glob.map(String::as_str)) {
            place.server = Some(server_name(server));
        }
        if place.role == smtplog::Role::Unknown {
            place.role = self.options.role.unwrap_or(place.role);
        }
        place
    }

    fn problem(&mut self, path: &Path, kind: ProblemKind, error: io::Error) {
        self.found.problems.push(Problem { file: path.to_string_lossy().into_owned(), offset: None, kind, error });
    }
}

fn head_of(path: &Path) -> io::Result<Vec<u8>> {
    read_head(&mut File::open(path)?, MAGIC_BYTES)
}

fn stamp(path: &Path, metadata: &Metadata) -> Stamp {
    let mtime = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Stamp {
        path: path.to_owned(),
        size: metadata.len(),
        mtime_ns: mtime.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)),
        inode: inode(metadata),
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

fn relative_name(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn folders_of(relative: &str) -> Vec<String> {
    let mut parts: Vec<String> = relative.split(['/', '\\']).map(str::to_owned).collect();
    parts.pop();
    parts
}

/// An archive's own stem stands for a folder between those above it and those inside it.
fn folders_of_member(relative: &str, member: &str) -> Vec<String> {
    let mut folders = folders_of(relative);
    let name = relative.rsplit('/').next().unwrap_or(relative);
    folders.push(name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned());
    folders.extend(folders_of(member));
    folders
}

/// For a file named by the user: the Exchange folders it lies in, and the folder above them.
fn exchange_folders_above(path: &Path) -> Vec<String> {
    let mut folders = Vec::new();
    for folder in path.ancestors().skip(1).filter_map(Path::file_name) {
        let name = folder.to_string_lossy().into_owned();
        let is_exchange = is_exchange_folder(&name);
        folders.push(name);
        if !is_exchange {
            break;
        }
    }
    if folders.len() < 2 {
        folders.clear(); // No Exchange folder at all: the folder above can be anything.
    }
    folders.reverse();
    folders
}

/// Marks the newest file of every rolled series, which may still be written to.
fn mark_newest(sources: &mut [Source]) {
    let mut newest: HashMap<(PathBuf, String, smtplog::Direction), (RolledName, usize)> = HashMap::new();
    for (at, source) in sources.iter().enumerate().filter(|(_, source)| source.member.is_none()) {
        let Some(name) = RolledName::of(source.name()) else { continue };
        let folder = source.stamp.path.parent().unwrap_or(Path::new("")).to_owned();
        let series = (folder, name.stamp.len().to_string(), name.direction);
        let is_newer = newest.get(&series).is_none_or(|(known, _)| *known < name);
        if is_newer {
            newest.insert(series, (name, at));
        }
    }
    let series_newest: Vec<usize> = newest.into_values().map(|(_, at)| at).collect();
    for (at, source) in sources.iter_mut().enumerate() {
        // Without a rolled name nothing tells that the file is finished.
        source.newest = series_newest.contains(&at) || RolledName::of(source.name()).is_none();
    }
}
