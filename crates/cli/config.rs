//! Settings: the flag goes before the environment, the environment before the configuration file (CONTRACT 6).
//!
//! ```toml
//! store = "/var/lib/smtptrail"    # relative to the file's own folder
//! threads = 4
//! color = "never"
//! keep_transcripts = true
//! [servers]                       # by path relative to PATH, first match first
//! "archive/berlin/**" = "EX001"
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, bail};
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use crate::{
    args::{ColorChoice, Global},
    console::Console,
};

/// Where the store lies if nobody says.
const DEFAULT_STORE: &str = "smtptrail-store";

/// What the verbs work with.
pub(crate) struct Settings {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// Threads; at least one.
    pub(crate) threads: usize,
    /// Servers by path relative to PATH, first match first.
    pub(crate) servers: Vec<(GlobMatcher, String)>,
    /// Whether `index` keeps rows for transcripts.
    pub(crate) keep_transcripts: bool,
    /// Where to print.
    pub(crate) console: Console,
}

impl Settings {
    /// Settings from flags, environment and file.
    pub(crate) fn new(global: &Global) -> anyhow::Result<Settings> {
        let file = match &global.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        // An empty variable is one that is not set.
        let named = global.store.clone().filter(|store| !store.as_os_str().is_empty());
        Ok(Settings {
            store: named.or(file.store).unwrap_or_else(|| DEFAULT_STORE.into()),
            threads: global.threads.or(file.threads).map_or_else(cores, usize::from),
            servers: file.servers.0,
            keep_transcripts: file.keep_transcripts,
            console: Console::new(&global.output(file.color)),
        })
    }
}

/// The configuration file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    store: Option<PathBuf>,
    threads: Option<u16>,
    color: Option<ColorChoice>,
    keep_transcripts: bool,
    servers: Servers,
}

impl ConfigFile {
    fn read(path: &Path) -> anyhow::Result<ConfigFile> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut file = ConfigFile::parse(&text).with_context(|| path.display().to_string())?;
        if let (Some(folder), Some(store)) = (path.parent(), &mut file.store) {
            *store = folder.join(&*store);
        }
        Ok(file)
    }

    fn parse(text: &str) -> anyhow::Result<ConfigFile> {
        let file: ConfigFile = toml::from_str(text).map_err(|error| located(text, &error))?;
        if file.threads == Some(0) {
            bail!("threads has to be at least 1");
        }
        Ok(file)
    }
}

/// The parser's message with the line, without the picture that it draws over several lines.
fn located(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message().replace("unknown field", "unknown key").replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let line = 1 + text.as_bytes()[..span.start.min(text.len())].iter().filter(|&&byte| byte == b'\n').count();
            anyhow::anyhow!("line {line}: {message}")
        }
        None => anyhow::anyhow!("{message}"),
    }
}

/// `[servers]`, in the order of the file.
#[derive(Default, Deserialize)]
#[serde(try_from = "toml::Table")]
struct Servers(Vec<(GlobMatcher, String)>);

impl TryFrom<toml::Table> for Servers {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Servers, String> {
        let server = |(glob, name): (String, toml::Value)| match name {
            toml::Value::String(name) if !name.trim().is_empty() => Ok((matcher(&glob)?, name)),
            _ => Err(format!("servers: `{glob}` needs the name of a server, as in \"{glob}\" = \"EX001\"")),
        };
        table.into_iter().map(server).collect::<Result<_, _>>().map(Servers)
    }
}

/// `*` stays within a folder, `**` does not; letters count without case, as they do in Windows paths.
fn matcher(glob: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(glob).literal_separator(true).case_insensitive(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("servers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match ConfigFile::parse(text) {
            Ok(file) => {
                let servers: Vec<_> =
                    file.servers.0.iter().map(|(glob, name)| format!("{}={name}", glob.glob())).collect();
                format!("{:?} {:?} {:?} {servers:?}", file.store, file.threads, file.color)
            }
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn files() {
        check("", "None None None []");
        check("store = 's'\nthreads = 2\ncolor = 'never'", r#"Some("s") Some(2) Some(Never) []"#);
        check("[servers]\n'z/**' = 'EX1'\n'a/*' = 'EX2'", r#"None None None ["z/**=EX1", "a/*=EX2"]"#);
    }

    #[test]
    fn errors_name_line_and_key() {
        check(
            "\nstroe = 's'",
            "line 2: unknown key `stroe`, expected one of `store`, `threads`, `color`, `keep_transcripts`, `servers`",
        );
        check("threads = 0", "threads has to be at least 1");
        check("threads = 'two'", "line 1: invalid type: string \"two\", expected u16");
        check("color = 'pink'", "line 1: unknown variant `pink`, expected one of `auto`, `always`, `never`");
        check("[servers]\n'a' = 1", "line 1: servers: `a` needs the name of a server, as in \"a\" = \"EX001\"");
        check(
            "[servers]\n'[' = 'EX1'",
            "line 1: servers: error parsing glob '[': unclosed character class; missing ']'",
        );
        check("store = ", "line 1: string values must be quoted, expected literal string");
    }

    #[test]
    fn globs_go_by_folders_and_without_case() {
        let is_match = |glob: &str, path: &str| matcher(glob).unwrap().is_match(path);
        assert!(is_match("berlin/**", "Berlin/SmtpSend/SEND20240301-1.LOG"));
        assert!(!is_match("berlin/*", "berlin/SmtpSend/SEND20240301-1.LOG"));
    }
}
