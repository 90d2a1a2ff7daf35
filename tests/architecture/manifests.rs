//! The arrows between the crates, and the one owner of each heavy dependency.

use toml::{Table, Value};

/// The root package, which is the program.
const PROGRAM: &str = "smtptrail";

/// What each crate of ours may depend on. Data flows to the right, and so do these.
const ARROWS: &[(&str, &[&str])] = &[
    ("smtplog", &[]),
    ("evidence", &[]),
    ("testlog", &[]),
    ("ingest", &["smtplog"]),
    ("index", &["smtplog", "evidence"]),
    ("diagnose", &["smtplog", "evidence"]),
    ("export", &["smtplog", "diagnose"]),
    ("serve", &["smtplog", "evidence", "index", "diagnose", "export"]),
    (PROGRAM, &["smtplog", "evidence", "testlog", "ingest", "index", "diagnose", "export", "serve"]),
];

/// Dependencies that shape a crate, with the crate that alone has them.
const OWNERS: &[(&str, &[&str])] = &[
    ("smtplog", &["memchr"]),
    ("evidence", &["x509-parser", "evtx", "quick-xml"]),
    ("ingest", &["memmap2", "zstd", "flate2", "zip", "ruzstd", "bzip2", "xz2", "lz4_flex", "rayon"]),
    // zstd a second time: for records, which tantivy's document store took twice as long to write.
    ("index", &["tantivy", "rusqlite", "sqlx", "redb", "zstd"]),
    ("serve", &["axum", "hyper", "tokio", "tower", "tower-http", "tiny_http", "actix-web", "warp"]),
    ("export", &["parquet"]),
    // Certificates that lie beside generated logs are real ones.
    ("testlog", &["rcgen"]),
    // Whoever sends events talks to their receivers.
    (PROGRAM, &["ureq", "rustls", "rustls-native-certs"]),
    (PROGRAM, &["clap", "clap_complete", "clap_mangen", "signal-hook", "ctrlc"]),
];

/// Tests of any crate may read generated logs: `testlog` depends on nothing of ours.
const FOR_ALL_TESTS: &str = "testlog";

/// What in a manifest breaks the arrows or the ownership.
pub(crate) fn violations(manifest: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().unwrap();
    let name = package_name(&manifest);
    let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("{name}: a crate without a place in the architecture (tests/architecture/manifests.rs)")];
    };

    let ours = |dependency: &str| ARROWS.iter().any(|(crate_name, _)| *crate_name == dependency);
    let mut found = Vec::new();
    for (kind, dependency) in dependencies(&manifest) {
        let test_only = kind == "dev-dependencies";
        if ours(&dependency) && !allowed.contains(&&*dependency) && !(test_only && dependency == FOR_ALL_TESTS) {
            found.push(format!("{name}: {kind} has an arrow to {dependency}"));
        }
        // Tests may hold a file of another crate's making against the library that defines it.
        let owners = owners(&dependency);
        if !owners.is_empty() && !owners.contains(&&*name) && !test_only {
            found.push(format!("{name}: {kind} has {dependency}, which belongs to {}", owners.join(" and ")));
        }
    }
    found
}

/// A crate's name is its folder's.
pub(crate) fn folder_violations(path: &str, manifest: &str) -> Vec<String> {
    let name = package_name(&manifest.parse().unwrap());
    if path == format!("crates/{name}/Cargo.toml") {
        return Vec::new();
    }
    vec![format!("{path}: holds the package {name}")]
}

fn package_name(manifest: &Table) -> String {
    manifest["package"]["name"].as_str().unwrap().to_owned()
}

fn owners(dependency: &str) -> Vec<&'static str> {
    OWNERS.iter().filter(|(_, owned)| owned.contains(&dependency)).map(|(owner, _)| *owner).collect()
}

/// Every (kind, package) of the manifest, those for one platform only included.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let mut tables = vec![manifest];
    if let Some(Value::Table(targets)) = manifest.get("target") {
        tables.extend(targets.values().filter_map(Value::as_table));
    }
    let mut found = Vec::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                // `fast = { package = "memchr" }` is memchr.
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.push((kind, package.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(manifest: &str, expected: &[&str]) {
        assert_eq!(violations(manifest), expected, "{manifest}");
    }

    #[test]
    fn allowed_arrows_pass() {
        check("package.name = 'index'\n[dependencies]\nsmtplog.path = 'x'\ntantivy = '1'\nserde = '1'", &[]);
        check("package.name = 'smtplog'\n[dependencies]\nmemchr = '2'", &[]);
        check("package.name = 'ingest'\n[dev-dependencies]\ntestlog.path = 'x'", &[]);
        check("package.name = 'smtptrail'\n[dependencies]\nserve.path = 'x'\nclap = '4'", &[]);
        check("package.name = 'smtptrail'\n[dev-dependencies]\nzstd = '1'", &[]);
    }

    #[test]
    fn arrows_against_the_flow_are_named() {
        check(
            "package.name = 'smtplog'\n[dependencies]\ningest.path = 'x'",
            &["smtplog: dependencies has an arrow to ingest"],
        );
        check(
            "package.name = 'index'\n[build-dependencies]\ningest.path = 'x'",
            &["index: build-dependencies has an arrow to ingest"],
        );
        check(
            "package.name = 'export'\n[dependencies]\ntestlog.path = 'x'",
            &["export: dependencies has an arrow to testlog"],
        );
        check(
            "package.name = 'testlog'\n[dev-dependencies]\nsmtplog.path = 'x'",
            &["testlog: dev-dependencies has an arrow to smtplog"],
        );
    }

    #[test]
    fn a_renamed_or_platform_dependency_does_not_hide() {
        check(
            "package.name = 'evidence'\n[dependencies]\nlog = { package = 'smtplog', path = 'x' }",
            &["evidence: dependencies has an arrow to smtplog"],
        );
        check(
            "package.name = 'index'\n[target.'cfg(unix)'.dependencies]\nmap = { package = 'memmap2', version = '1' }",
            &["index: dependencies has memmap2, which belongs to ingest"],
        );
    }

    #[test]
    fn heavy_dependencies_have_one_owner() {
        for (name, dependency, owner) in [
            ("ingest", "memchr", "smtplog"),
            ("smtplog", "rayon", "ingest"),
            ("index", "flate2", "ingest"),
            ("serve", "zstd", "ingest and index"),
            ("diagnose", "x509-parser", "evidence"),
            ("export", "quick-xml", "evidence"),
            ("ingest", "tantivy", "index"),
            ("serve", "rusqlite", "index"),
            ("index", "tokio", "serve"),
            ("testlog", "clap", "smtptrail"),
        ] {
            check(
                &format!("package.name = '{name}'\n[dependencies]\n{dependency} = '1'"),
                &[&format!("{name}: dependencies has {dependency}, which belongs to {owner}")],
            );
        }
    }

    #[test]
    fn crates_without_a_place_are_named() {
        check(
            "package.name = 'misc'",
            &["misc: a crate without a place in the architecture (tests/architecture/manifests.rs)"],
        );
        let moved = folder_violations("crates/store/Cargo.toml", "package.name = 'index'");
        assert_eq!(moved, ["crates/store/Cargo.toml: holds the package index"]);
    }
}
