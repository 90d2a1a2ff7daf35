//! Published excerpts, where they lie beside the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The files of a folder of samples, by name; `None`, and a line that says so, if it is not there.
pub(crate) fn files(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, PathBuf::from).join(folder);
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no samples at {}; set SMTPTRAIL_SAMPLES to read them", folder.display());
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    Some(paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect())
}

/// Characters of a published text that a snapshot shows: enough to tell which it is, too few to be a copy of it.
const SHOWN_MAX: usize = 24;

/// The same with long texts cut to their begin and their length.
pub(crate) fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > 2 * SHOWN_MAX => {
            let begin: String = text.chars().take(SHOWN_MAX).collect();
            Value::String(format!("{begin}… ({} characters)", text.chars().count()))
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, shortened(member))).collect(),
        other => other,
    }
}
