//! The truth on disk: `sessions.ndjson`, `certificates.ndjson`, `files.ndjson`, `totals.json`, and `cases.ndjson` of a
//! scenario.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;
use testlog::{FileTruth, Summary};

/// A file's truth, with where it lies once compressed.
#[derive(Serialize)]
struct StoredFile<'a> {
    #[serde(flatten)]
    file: &'a FileTruth,
    /// As [`FileTruth::path`], with the codec's suffix or the archive's name.
    stored: Option<&'a str>,
}

/// Appends sessions of one server. Each server has its own file until all are there.
pub(super) fn append_sessions(truth: &Path, server: usize, ndjson: &[u8]) -> anyhow::Result<()> {
    let path = sessions_of_server(truth, server);
    let appended = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| file.write_all(ndjson));
    appended.with_context(|| format!("cannot write {}", path.display()))
}

/// Joins the sessions in the order of their servers, and writes the rest.
pub(super) fn write(
    truth: &Path,
    servers: usize,
    summary: &Summary,
    stored: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    written(&truth.join("sessions.ndjson"), |out| join_sessions(truth, servers, out))?;
    written(&truth.join("certificates.ndjson"), |out| lines(out, &summary.certificates))?;
    let files = summary.files.iter();
    let files = files.map(|file| StoredFile { file, stored: stored.get(&file.path).map(String::as_str) });
    written(&truth.join("files.ndjson"), |out| lines(out, files))?;
    written(&truth.join("totals.json"), |out| {
        serde_json::to_writer_pretty(&mut *out, &summary.totals)?;
        writeln!(out)
    })
}

/// Writes which refusals have which cause.
pub(super) fn write_cases(truth: &Path, summary: &Summary) -> anyhow::Result<()> {
    written(&truth.join("cases.ndjson"), |out| lines(out, &summary.cases))
}

fn sessions_of_server(truth: &Path, server: usize) -> PathBuf {
    truth.join(format!("sessions-{server}.part"))
}

fn join_sessions(truth: &Path, servers: usize, out: &mut impl Write) -> io::Result<()> {
    for server in 0..servers {
        let path = sessions_of_server(truth, server);
        io::copy(&mut File::open(&path)?, out)?;
        fs::remove_file(&path)?;
    }
    Ok(())
}

fn lines(out: &mut impl Write, objects: impl IntoIterator<Item = impl Serialize>) -> io::Result<()> {
    for object in objects {
        serde_json::to_writer(&mut *out, &object)?;
        writeln!(out)?;
    }
    Ok(())
}

fn written(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> anyhow::Result<()> {
    let file = File::create(path).map(BufWriter::new).and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    file.with_context(|| format!("cannot write {}", path.display()))
}
