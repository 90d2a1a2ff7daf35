//! Discovery: from the paths that a person names to the sources below them.
//!
//! Every regular file is a candidate, whatever its name; what it is shows when it is opened. A zip archive stands for
//! its members. Symbolic links below a path are not followed, so there are no loops and nothing outside is read.

use std::{
    fs::{self, File, Metadata},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::UNIX_EPOCH,
};

use rustc_hash::FxHashMap;
use smtplog::{Direction, Role};

use crate::{
    compression::{Codec, MAGIC_BYTES},
    open::{Archive, read_head},
    pipeline::Options,
    place::{Folders, Place, RolledName, direction_of_name, is_exchange_folder, is_log_folder, place, server_name},
    summary::{Problem, ProblemKind},
};

/// Members of one archive. A month of hourly logs of a large fleet has 50,000.
pub const MEMBERS_MAX: usize = 200_000;

/// Sources of one run; past it the rest is left for the next run and said so. Each costs about 1 KB until the run
/// ends. A month of hourly logs of 200 servers has 288,000.
pub const FILES_MAX: usize = 300_000;

/// Receive logs of one folder that are opened again only to learn the server of new logs beside them. All of a folder
/// name the same one, unless somebody has piled up the logs of several.
const NEIGHBOURS_MAX: usize = 16;

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

    /// The folder, by which receive logs tell the server of their neighbours.
    pub(crate) fn neighbourhood(&self) -> (&Path, &str) {
        match self.member {
            Some(_) => (&self.stamp.path, self.file.rsplit_once('/').map_or("", |(folder, _)| folder)),
            None => (self.stamp.path.parent().unwrap_or(Path::new("")), ""),
        }
    }
}

/// What was found below the paths.
#[derive(Default)]
pub struct Discovery {
    /// Sources to read.
    pub sources: Vec<Source>,
    /// Unchanged receive logs whose place names no server: their rows tell that of new logs in the same folder.
    pub neighbours: Vec<Source>,
    /// Files that are as an earlier run left them, and so not opened.
    pub unchanged: u64,
    /// Files, archives counting as one.
    pub files: u64,
    /// What is refused, and what holds nothing: remembered so that it is not looked at and reported again.
    pub others: Vec<Stamp>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

/// Walks the paths, until it is told to stop. `is_unchanged` says whether a file is as an earlier run left it.
pub fn discover(
    paths: &[PathBuf],
    options: &Options,
    stop: &AtomicBool,
    is_unchanged: &dyn Fn(&Stamp) -> bool,
) -> Discovery {
    let mut walk = Walk {
        options,
        stop,
        is_unchanged,
        found: Discovery::default(),
        newest: FxHashMap::default(),
        seen: (paths.len() > 1).then(FxHashMap::default),
        surplus: None,
    };
    if paths.iter().any(|path| is_stdin(path)) {
        walk.stdin();
    }
    for (path, absolute) in walk.absolute(paths) {
        if absolute.is_dir() { walk.folder(path, &absolute) } else { walk.named_file(path, &absolute) }
    }
    walk.finish()
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

struct Walk<'a> {
    options: &'a Options,
    stop: &'a AtomicBool,
    is_unchanged: &'a dyn Fn(&Stamp) -> bool,
    found: Discovery,
    /// The newest file of every rolled series, which may still be written to: by folder, direction, and whether files
    /// are named by the hour.
    newest: FxHashMap<(PathBuf, Direction, bool), RolledName>,
    /// What each file became, if paths can overlap.
    seen: Option<FxHashMap<PathBuf, Range<usize>>>,
    /// The first file past [`FILES_MAX`], and how many there are.
    surplus: Option<(PathBuf, u64)>,
}

/// A PATH that is a folder.
#[derive(Default)]
struct Root {
    name: Option<String>,
    /// Exchange's own folders that end with it, outermost first.
    up_to: Vec<String>,
}

impl<'p> Walk<'_> {
    /// The paths without links, outermost first: a file below two of them is named relative to the outer one, which
    /// tells more of its place, in whatever order they were given.
    fn absolute(&mut self, paths: &'p [PathBuf]) -> Vec<(&'p Path, PathBuf)> {
        let mut absolute = Vec::new();
        for path in paths.iter().filter(|path| !is_stdin(path)) {
            match fs::canonicalize(path) {
                Ok(found) => absolute.push((path.as_path(), found)),
                Err(error) => self.problem(path, ProblemKind::Unreadable, error),
            }
        }
        absolute.sort_by(|(_, a), (_, b)| (a.components().count(), a).cmp(&(b.components().count(), b)));
        absolute.dedup_by(|(_, a), (_, b)| a == b);
        absolute
    }
}

impl Walk<'_> {
    fn stdin(&mut self) {
        let stamp = Stamp { path: "-".into(), size: 0, mtime_ns: 0, inode: 0 };
        let place = self.with_options(Place { server: None, role: Role::Unknown }, "-");
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
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
        let root = Root { name, up_to: exchange_folders_up_to(absolute) };
        let entries = walkdir::WalkDir::new(absolute).sort_by_file_name().into_iter();
        for entry in entries.take_while(|_| !self.stop.load(Ordering::Relaxed)) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("loop of folders"));
                    self.problem(&at, ProblemKind::Unreadable, error);
                    continue;
                }
            };
            if entry.file_type().is_dir() {
                continue;
            }
            let relative = relative_name(entry.path().strip_prefix(absolute).unwrap_or(entry.path()));
            match entry.metadata() {
                Ok(metadata) if metadata.is_symlink() => {
                    let text = "a symbolic link is not followed; name its target to have it read";
                    self.refuse_once(entry.path(), &metadata, text);
                }
                Ok(metadata) if metadata.is_file() => self.file(entry.path(), &metadata, relative, Some(&root)),
                Ok(metadata) => self.refuse_once(entry.path(), &metadata, "not a regular file"),
                Err(error) => self.problem(entry.path(), ProblemKind::Unreadable, error.into()),
            }
        }
    }

    /// A file that the user named: its folders as typed tell its server only where they are Exchange's own layout.
    fn named_file(&mut self, path: &Path, absolute: &Path) {
        let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match fs::metadata(absolute) {
            Ok(metadata) if metadata.is_file() => self.file(absolute, &metadata, name, None),
            Ok(_) => self.problem(path, ProblemKind::Refused, io::Error::other("not a regular file")),
            Err(error) => self.problem(path, ProblemKind::Unreadable, error),
        }
    }

    /// A file below `root`, or one that the user named.
    fn file(&mut self, path: &Path, metadata: &Metadata, relative: String, root: Option<&Root>) {
        if let Some(sources) = self.seen.as_ref().and_then(|seen| seen.get(path)).cloned() {
            for source in &mut self.found.sources[sources] {
                source.named |= root.is_none();
            }
            return;
        }
        let begin = self.found.sources.len();
        self.found.files += 1;
        self.new_file(path, metadata, relative, root);
        let end = self.found.sources.len();
        if let Some(seen) = &mut self.seen {
            seen.insert(path.to_owned(), begin..end);
        }
    }

    fn new_file(&mut self, path: &Path, metadata: &Metadata, relative: String, root: Option<&Root>) {
        let stamp = stamp(path, metadata);
        self.note_name(path);
        if (self.is_unchanged)(&stamp) {
            self.found.unchanged += 1;
            return self.note_neighbour(stamp, relative, root);
        }
        if self.found.sources.len() >= FILES_MAX {
            return self.surplus(path);
        }
        match head_of(path) {
            Ok(head) if Codec::of_magic(&head) == Codec::Zip => self.archive(&stamp, &relative, root),
            Ok(_) => {
                let source = self.plain_source(stamp, relative, root);
                self.found.sources.push(source);
            }
            Err(error) => self.problem(path, ProblemKind::Unreadable, error),
        }
    }

    fn plain_source(&self, stamp: Stamp, relative: String, root: Option<&Root>) -> Source {
        let place = self.place(&stamp.path, &relative, None, root);
        let stored_bytes = stamp.size;
        let (file, named) = (relative.into(), root.is_none());
        Source { stamp, member: None, file, place, named, newest: false, stored_bytes }
    }

    fn archive(&mut self, stamp: &Stamp, relative: &str, root: Option<&Root>) {
        let begin = self.found.sources.len();
        match Archive::open(&stamp.path) {
            Ok(archive) if archive.len() > MEMBERS_MAX => {
                self.problem(&stamp.path, ProblemKind::Refused, io::Error::other("too many members"));
            }
            Ok(archive) => self.members(&Arc::new(archive), stamp, relative, root),
            Err(error) => {
                let kind = ProblemKind::of(&error);
                self.problem(&stamp.path, kind, error);
                if kind == ProblemKind::Unreadable {
                    return;
                }
            }
        }
        if self.found.sources.len() == begin {
            self.found.others.push(stamp.clone());
        }
    }

    fn members(&mut self, archive: &Arc<Archive>, stamp: &Stamp, relative: &str, root: Option<&Root>) {
        for number in 0..archive.len() {
            let member = match archive.member(number) {
                Ok(Some(member)) => member,
                Ok(None) => continue, // A folder.
                Err(error) => {
                    self.problem(&stamp.path, ProblemKind::Refused, error);
                    continue;
                }
            };
            if self.found.sources.len() >= FILES_MAX {
                self.surplus(&stamp.path);
                continue;
            }
            let place = self.place(&stamp.path, relative, Some(&member.name), root);
            self.found.sources.push(Source {
                stamp: stamp.clone(),
                member: Some((Arc::clone(archive), number)),
                file: format!("{relative}/{}", member.name).into(),
                place,
                named: root.is_none(),
                newest: false,
                stored_bytes: member.compressed_bytes,
            });
        }
    }

    /// What the folders tell of a file, or of an archive's member.
    fn place(&self, path: &Path, relative: &str, member: Option<&str>, root: Option<&Root>) -> Place {
        let below = if root.is_none() { exchange_folders_above(path) } else { folders_of(relative) };
        let inside = member.map(folders_of).unwrap_or_default();
        let up_to_root: Vec<&str> = root.iter().flat_map(|root| &root.up_to).map(String::as_str).collect();
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
        let found = place(Folders {
            root: root.and_then(|root| root.name.as_deref()),
            up_to_root: &up_to_root,
            below: &below,
            stem: member.is_some().then(|| stem_of(relative)),
            inside: &inside,
        });
        let name = member.map_or_else(|| relative.to_owned(), |member| format!("{relative}/{member}"));
        self.with_options(found, &name)
    }

    /// What the user said goes before what the path says.
    fn with_options(&self, mut place: Place, relative: &str) -> Place {
        let by_glob = self.options.servers.iter().find(|(glob, _)| glob.is_match(relative)).map(|(_, server)| server);
        if let Some(server) = self.options.server.as_deref().or(by_glob.map(String::as_str)) {
            place.server = Some(server_name(server));
        }
        if place.role == Role::Unknown {
            place.role = self.options.role.unwrap_or(place.role);
        }
        place
    }

    /// Remembers the newest name of every series, of files that are not opened too.
    fn note_name(&mut self, path: &Path) {
        let Some((series, name)) = series_of(path) else { return };
        match self.newest.get_mut(&series) {
            Some(newest) if *newest >= name => {}
            Some(newest) => *newest = name,
            None => {
                self.newest.insert(series, name);
            }
        }
    }

    fn note_neighbour(&mut self, stamp: Stamp, relative: String, root: Option<&Root>) {
        let name = relative.rsplit('/').next().unwrap_or(&relative);
        if direction_of_name(name) != Some(Direction::Receive) {
            return;
        }
        let source = self.plain_source(stamp, relative, root);
        let beside = |other: &&Source| other.neighbourhood() == source.neighbourhood();
        // The files of a folder come one after the other.
        let known = self.found.neighbours.iter().rev().take_while(beside).count();
        if source.place.server.is_none() && known < NEIGHBOURS_MAX {
            self.found.neighbours.push(source);
        }
    }

    fn surplus(&mut self, path: &Path) {
        self.surplus.get_or_insert_with(|| (path.to_owned(), 0)).1 += 1;
    }

    /// Something that is never read: reported when it is met first.
    fn refuse_once(&mut self, path: &Path, metadata: &Metadata, text: &str) {
        let stamp = stamp(path, metadata);
        if !(self.is_unchanged)(&stamp) {
            self.problem(path, ProblemKind::Refused, io::Error::other(text.to_owned()));
            self.found.others.push(stamp);
        }
    }

    fn problem(&mut self, path: &Path, kind: ProblemKind, error: io::Error) {
        let file = path.to_string_lossy().into_owned();
        let metadata = fs::symlink_metadata(path);
        let stamp = metadata.ok().map(|metadata| stamp(&std::path::absolute(path).unwrap_or(path.into()), &metadata));
        self.found.problems.push(Problem { file, offset: None, kind, error, stamp, reported: false });
    }

    fn finish(mut self) -> Discovery {
        if let Some((path, count)) = self.surplus.take() {
            let text = format!("more than {FILES_MAX} files: {count} from here on are left for another run");
            let file = path.to_string_lossy().into_owned();
            let (kind, error) = (ProblemKind::Refused, io::Error::other(text));
            self.found.problems.push(Problem { file, offset: None, kind, error, stamp: None, reported: false });
        }
        for source in self.found.sources.iter_mut().filter(|source| source.member.is_none()) {
            // Without a rolled name nothing tells that the file is finished.
            let rolled = series_of(&source.stamp.path);
            source.newest = rolled.is_none_or(|(series, name)| self.newest.get(&series).is_none_or(|new| *new <= name));
        }
        self.found
    }
}

/// The series that a rolled file belongs to, and its place in it.
fn series_of(path: &Path) -> Option<((PathBuf, Direction, bool), RolledName)> {
    let name = RolledName::of(&path.file_name()?.to_string_lossy())?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let is_hourly = name.stamp.len() > 8;
    Some(((folder, name.direction, is_hourly), name))
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

/// An archive's name without its ending.
fn stem_of(relative: &str) -> &str {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// For a file named by the user: the Exchange folders it lies in, and the folder above them.
fn exchange_folders_above(path: &Path) -> Vec<String> {
    let Some(folder) = path.parent() else { return Vec::new() };
    let mut folders = exchange_folders_up_to(folder);
    if !folders.iter().any(|name| is_log_folder(name)) {
        return Vec::new();
    }
    if let Some(server) = folder.ancestors().nth(folders.len()).and_then(Path::file_name) {
        folders.insert(0, server.to_string_lossy().into_owned());
    }
    folders
}

/// The unbroken row of Exchange's own folders that ends with this one, outermost first.
fn exchange_folders_up_to(folder: &Path) -> Vec<String> {
    let names = folder.ancestors().map_while(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let mut folders: Vec<String> = names.take_while(|name| is_exchange_folder(name)).collect();
    folders.reverse();
    folders
}
