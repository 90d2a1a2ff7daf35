//! The rules of the architecture, held against the manifests and the sources.
//!
//! Each rule is a function from text to the list of what breaks it, so that its own tests can
//! feed it small bad inputs: `manifests` knows the arrows between crates and the owners of heavy
//! dependencies, `sources` what no file may contain, `registries` the three extension points and
//! `layout` the visible top level. Here they meet the repository.

mod layout;
mod manifests;
mod registries;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the repository; `path` is relative to its root and has `/` between its parts.
struct SourceFile {
    path: String,
    text: String,
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let manifests = files("Cargo.toml", &["crates"]);
    assert!(!manifests.is_empty(), "no manifest found: the search is broken");
    let mut found = manifests::violations(&read("Cargo.toml"));
    for manifest in manifests {
        found.extend(manifests::folder_violations(&manifest.path, &manifest.text));
        found.extend(manifests::violations(&manifest.text));
    }
    assert_none(&found);
}

#[test]
fn sources_keep_the_rules() {
    let files = files(".rs", &["crates", "tests", "benches", "fuzz"]);
    assert!(files.len() > 10, "{} sources found: the search is broken", files.len());
    assert_none(&sources::violations(&files));
}

#[test]
fn every_extension_is_registered() {
    assert_none(&registries::violations(&files(".rs", &["crates"])));
}

#[test]
fn nothing_is_visible_beyond_the_list() {
    assert_none(&layout::violations(&layout::visible(&repository())));
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n  {}\n", found.join("\n  "));
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Every file below `folders` whose name ends so, in the order of their paths.
fn files(name_end: &str, folders: &[&str]) -> Vec<SourceFile> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&repository().join(folder), &mut |path| {
            let path = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
            if path.ends_with(name_end) {
                found.push(SourceFile { text: read(&path), path });
            }
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or(".");
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}
