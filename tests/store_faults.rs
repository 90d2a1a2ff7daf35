//! A store that is full, held, or damaged: one clear error, or answers from the rest (DESIGN section 6).

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_smtptrail")).current_dir(folder).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Logs of a small fleet in a folder of its own.
fn generate(folder: &Path, name: &str, seed: &str) {
    let size = ["--seed", seed, "--servers", "2", "--days", "2", "--mib-per-server", "2"];
    assert_eq!(run(folder, &[&["generate", name][..], &size].concat()).code, Some(0));
}

fn splits(store: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(store.join("splits")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn ids(folder: &Path) -> Vec<String> {
    let sessions = run(folder, &["search", "*", "--json"]).out;
    let id = |session: &str| session.split("\"id\":\"").nth(1)?.split('"').next().map(str::to_owned);
    sessions.lines().filter_map(id).collect()
}

fn largest(store: &Path) -> PathBuf {
    splits(store).into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

fn sessions(folder: &Path) -> usize {
    run(folder, &["--store", "store", "search", "*", "--json"]).out.lines().count()
}

/// A small disk of its own; `None` where the test may not mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, bytes: u32) -> Option<Disk> {
        fs::create_dir(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_published_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "first", "1");
    generate(path, "second", "2");
    let Some(disk) = Disk::mount(&path.join("store"), 16 << 20) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    let first = run(path, &["--store", "store", "index", "first"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let before = sessions(path);
    assert!(before > 100, "{before} sessions");
    fill(&path.join("store/filler"));
    let second = run(path, &["--store", "store", "index", "second"]);
    assert_eq!(second.code, Some(2), "{}", second.err);
    let says = second.err.contains("No space left") || second.err.contains("disk is full");
    assert!(says && second.err.lines().count() == 1, "{}", second.err);
    assert_eq!(sessions(path), before);
    fs::remove_file(path.join("store/filler")).unwrap();
    assert_eq!(run(path, &["--store", "store", "index", "second"]).code, Some(0), "with room again");
    assert!(sessions(path) > before);
    drop(disk);
}

/// Takes all of a disk but 64 KiB: enough to begin, not to end.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut bytes = 0;
    while file.write_all(&[1; 4_096]).is_ok() {
        bytes += 4_096;
    }
    file.set_len(bytes - (64 << 10)).unwrap();
}

#[test]
fn a_store_is_written_by_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), "logs", "3");
    assert_eq!(run(folder.path(), &["--store", "store", "index", "logs"]).code, Some(0));
    let held = File::options().write(true).open(folder.path().join("store/lock")).unwrap();
    held.lock().unwrap();
    let second = run(folder.path(), &["--store", "store", "index", "logs"]);
    assert_eq!(second.code, Some(2));
    assert!(second.err.contains("is being written by"), "{}", second.err);
    assert!(sessions(folder.path()) > 100, "searching goes on");
}

#[test]
fn damaged_splits_are_named_and_the_rest_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "first", "4");
    generate(path, "second", "5");
    for logs in ["first", "second"] {
        assert_eq!(run(path, &["--store", "store", "--threads", "1", "index", logs]).code, Some(0));
    }
    let whole = sessions(path);
    let split = largest(&path.join("store"));
    let name = split.file_stem().unwrap().to_string_lossy().into_owned();
    let bytes = fs::read(&split).unwrap();

    // Any flipped bit is found by its checksum, and does no more harm than to be left out, or to be wrong unverified.
    for place in (0..40).map(|n| (bytes.len() - 1) * n / 39) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(&split, &damaged).unwrap();
        let verified = run(path, &["--store", "store", "search", "*", "--verify", "--json"]);
        assert_eq!(verified.code, Some(3), "at {place}: {}", verified.err);
        assert!(verified.err.contains(&name) && verified.err.contains("damaged"), "at {place}: {}", verified.err);
        let found = verified.out.lines().count();
        assert!(found > 0 && found < whole, "at {place}: {found} of {whole}");
        for query in ["*", "status:5.7.64", "text:\"relay access denied\"", "to:*"] {
            let asked = run(path, &["--store", "store", "search", query, "--json"]);
            let ended = matches!(asked.code, Some(0 | 1 | 3)) && !asked.err.contains("panicked");
            assert!(ended, "{query} at {place}: {:?} {}", asked.code, asked.err);
        }
    }

    // A part that is cut off, and a split that is gone.
    fs::write(&split, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(run(path, &["--store", "store", "search", "*"]).code, Some(3));
    fs::remove_file(&split).unwrap();
    let missing = run(path, &["--store", "store", "search", "*"]);
    assert!(missing.code == Some(3) && missing.err.contains("missing"), "{}", missing.err);
    fs::write(&split, &bytes).unwrap();
    assert_eq!((sessions(path), run(path, &["--store", "store", "search", "*", "--verify"]).code), (whole, Some(0)));
}

/// Every kind of question, none of which may be answered from a part of the store as if it were the whole.
const QUESTIONS: [&[&str]; 4] =
    [&["search", "*"], &["search", "*", "--by", "server"], &["certs"], &["certs", "server:EX*"]];

#[test]
fn every_question_says_what_it_is_answered_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    generate(path, "first", "4");
    generate(path, "second", "5");
    for logs in ["first", "second"] {
        assert_eq!(run(path, &["--threads", "1", "index", logs]).code, Some(0));
    }
    let split = largest(&path.join("smtptrail-store"));
    let name = split.file_stem().unwrap().to_string_lossy().into_owned();
    let bytes = fs::read(&split).unwrap();
    // A session of each split: the one that cannot be read, and one that can.
    let of_store = ids(path);
    fs::rename(&split, path.join("away")).unwrap();
    let of_rest = ids(path);
    fs::rename(path.join("away"), &split).unwrap();
    let lost = of_store.iter().find(|id| !of_rest.contains(id)).unwrap();
    let shows = [&["show", lost][..], &["show", &of_rest[0]]];
    let says_so = |expected: &str| {
        for question in QUESTIONS.into_iter().chain(shows) {
            let asked = run(path, question);
            let is_said = asked.err.contains(&name) && asked.err.contains(expected);
            assert!(asked.code == Some(3) && is_said, "{question:?}: {:?} {}", asked.code, asked.err);
        }
    };
    // What certificates are counted by lies in one place or another.
    let is_noticed = |place: usize| {
        let mut damaged = bytes.clone();
        damaged[place..].iter_mut().take(4_096).for_each(|byte| *byte = 0xff);
        fs::write(&split, &damaged).unwrap();
        let asked = run(path, &["certs", "--rollover"]);
        assert!(matches!(asked.code, Some(0 | 3)), "at {place}: {:?} {}", asked.code, asked.err);
        asked.code == Some(3) && asked.err.contains("some records cannot be read")
    };
    assert!((0..bytes.len()).step_by(4_096).any(is_noticed));
    // A flipped bit is found by its checksum only, by those that can be told to look.
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(&split, &flipped).unwrap();
    for question in QUESTIONS {
        let asked = run(path, &[question, &["--verify"]].concat());
        let is_said = asked.err.contains(&name) && asked.err.contains("wrong checksum");
        assert!(asked.code == Some(3) && is_said, "{question:?}: {:?} {}", asked.code, asked.err);
    }
    fs::write(&split, &bytes[..bytes.len() / 2]).unwrap();
    says_so("damaged");
    fs::remove_file(&split).unwrap();
    says_so("missing");

    // Nothing is left: that nothing was found is not the whole truth.
    splits(&path.join("smtptrail-store")).iter().for_each(|split| fs::remove_file(split).unwrap());
    says_so("missing");
}

/// Runs the program as somebody from whom files can be kept: as nobody, where the test is root's. For nobody the
/// program is copied to where it can be reached.
#[cfg(unix)]
fn run_unprivileged(folder: &Path, args: &[&str]) -> Ran {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};

    const NOBODY: u32 = 65_534;
    let program = folder.join("smtptrail");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_smtptrail"), &program).unwrap();
    }
    let mut command = Command::new(program);
    if fs::metadata(folder).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.current_dir(folder).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_named_in_plain_words() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(path, 0o755);
    generate(path, "logs", "6");
    assert_eq!(run(path, &["--store", "store", "index", "logs"]).code, Some(0));
    let search = ["--store", "store", "search", "*"];
    assert_eq!(run_unprivileged(path, &search).code, Some(0));
    let says = |args: &[&str], code: i32, text: &str| {
        let ran = run_unprivileged(path, args);
        let is_plain = ["Os {", "IoError", "Error code"].iter().all(|leak| !ran.err.contains(leak));
        assert!(ran.code == Some(code) && ran.err.contains(text) && is_plain, "{args:?}: {:?} {}", ran.code, ran.err);
    };

    let split = largest(&path.join("store"));
    for denied in [&split, &path.join("store/splits")] {
        allow(denied, 0);
        says(&search, 3, "cannot be read: Permission denied");
        allow(denied, 0o755);
    }
    let catalog = path.join("store/catalog.sqlite");
    allow(&catalog, 0);
    says(&search, 2, "cannot read store/catalog.sqlite: Permission denied");
    says(&["--store", "store", "index", "logs"], 2, "Permission denied");
    allow(&catalog, 0o644);
    allow(&path.join("store"), 0);
    says(&search, 2, "cannot read store/catalog.sqlite: Permission denied");
    allow(&path.join("store"), 0o755);
    assert_eq!(run_unprivileged(path, &search).code, Some(0));
}
