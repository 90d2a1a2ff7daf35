//! The visible top level of the repository.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

const TOP_LEVEL: [&str; 8] = ["Cargo.lock", "Cargo.toml", "README.md", "benches", "crates", "fuzz", "scripts", "tests"];

/// What a build or a run leaves behind; `.gitignore` keeps it out of the repository.
const LEFT_BEHIND: [&str; 2] = ["smtptrail-store", "target"];

/// What git knows of, or without git (an unpacked archive) what lies there.
pub(crate) fn visible(repository: &Path) -> BTreeSet<String> {
    let tracked = Command::new("git").args(["ls-files", "-z"]).current_dir(repository).output();
    match tracked {
        Ok(output) if !output.stdout.is_empty() => top_level(&String::from_utf8_lossy(&output.stdout)),
        _ => listed(repository),
    }
}

/// What is there but not on the list.
pub(crate) fn violations(visible: &BTreeSet<String>) -> Vec<String> {
    let extra = visible.iter().filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    extra.map(|name| format!("{name}: visible at the top level")).collect()
}

fn top_level(paths: &str) -> BTreeSet<String> {
    let names = paths.split('\0').filter_map(|path| path.split('/').next());
    names.filter(|name| !name.is_empty() && !name.starts_with('.')).map(str::to_owned).collect()
}

fn listed(repository: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(repository).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.') && !LEFT_BEHIND.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_once_and_dot_files_not_at_all() {
        let names = top_level("Cargo.toml\0.ci/run\0.deny.toml\0crates/a/b.rs\0crates/c.rs\0");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Cargo.toml", "crates"]);
    }

    #[test]
    fn the_list_passes_and_what_is_beyond_it_is_named() {
        let mut names: BTreeSet<String> = TOP_LEVEL.map(str::to_owned).into();
        assert!(violations(&names).is_empty());
        names.insert("docs".to_owned());
        assert_eq!(violations(&names), ["docs: visible at the top level"]);
    }

    #[test]
    fn a_folder_without_git_is_listed() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("architecture-layout");
        fs::create_dir_all(folder.join("crates")).unwrap();
        fs::create_dir_all(folder.join("target")).unwrap();
        fs::write(folder.join(".hidden"), "").unwrap();
        assert_eq!(listed(&folder).into_iter().collect::<Vec<_>>(), ["crates"]);
    }
}
