//! Replays the inputs in `fuzz/corpus` through the properties that the fuzz targets hold.
//!
//! An input that once broke a property is put there and stays.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[allow(unreachable_pub)] // The same file is the library of the fuzz targets.
#[path = "../fuzz/src/lib.rs"]
mod properties;

#[test]
fn every_input_of_the_corpus_holds() {
    for (name, _) in properties::PROPERTIES {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        for input in inputs {
            println!("{}", input.display()); // Shown if the property fails.
            properties::hold(name, &fs::read(input).unwrap());
        }
    }
}

#[test]
fn every_target_has_its_property_and_its_corpus() {
    let mut properties: Vec<String> = properties::PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    properties.sort();
    assert_eq!(names("targets"), properties);
    assert_eq!(names("corpus"), properties);
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fuzz().join("corpus").join(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What lies in a folder of `fuzz`, without `.rs`.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(fuzz().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}
