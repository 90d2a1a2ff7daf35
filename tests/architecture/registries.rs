//! The extension points: one trait, one slice and one folder each.
//!
//! Adding a format, a rule or a sink is one new file and one line in the slice. A file whose line
//! is forgotten would compile (perhaps with a warning) and do nothing.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree};

use crate::SourceFile;

struct Registry {
    folder: &'static str,
    slice: &'static str,
}

const REGISTRIES: [Registry; 3] = [
    Registry { folder: "crates/smtplog/src/formats", slice: "FORMATS" },
    Registry { folder: "crates/diagnose/src/rules", slice: "RULES" },
    Registry { folder: "crates/export/src/sinks", slice: "SINKS" },
];

/// Every file in an extension folder that its slice does not name.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    REGISTRIES.iter().flat_map(|registry| registry.violations(files)).collect()
}

impl Registry {
    fn violations(&self, files: &[SourceFile]) -> Vec<String> {
        let extensions = self.extensions(files);
        if extensions.is_empty() {
            return Vec::new();
        }
        let Some(registered) = self.registered(files) else {
            return vec![format!("{}: no slice named {}", self.folder, self.slice)];
        };
        let missing = extensions.iter().filter(|name| !registered.contains(**name));
        missing.map(|name| format!("{}/{name}: not in {}", self.folder, self.slice)).collect()
    }

    /// The extensions' module names: files, or folders if one grew.
    fn extensions<'a>(&self, files: &'a [SourceFile]) -> BTreeSet<&'a str> {
        let inside = files.iter().filter_map(|file| file.path.strip_prefix(self.folder)?.strip_prefix('/'));
        let names = inside.filter_map(|path| path.split(['/', '.']).next());
        names.filter(|name| !["mod", "tests"].contains(name)).collect()
    }

    /// The modules that the slice names, directly (`exchange::Exchange`) or by what was imported from them.
    fn registered(&self, files: &[SourceFile]) -> Option<BTreeSet<String>> {
        let homes = [format!("{}/mod.rs", self.folder), format!("{}.rs", self.folder)];
        let home = files.iter().find(|file| homes.contains(&file.path))?;
        let items = syn::parse_file(&home.text).unwrap().items;

        let mut named = BTreeSet::new();
        collect_names(items.iter().find_map(|item| slice_tokens(item, self.slice))?, &mut named);
        for item in &items {
            let Item::Use(import) = item else { continue };
            let mut leaves = BTreeSet::new();
            collect_names(import.tree.to_token_stream(), &mut leaves);
            if leaves.iter().any(|leaf| named.contains(leaf)) {
                named.extend(first_module(&import.tree));
            }
        }
        Some(named)
    }
}

/// What stands on the right of `static SLICE: ... =`.
fn slice_tokens(item: &Item, slice: &str) -> Option<TokenStream> {
    match item {
        Item::Const(item) if item.ident == slice => Some(item.expr.to_token_stream()),
        Item::Static(item) if item.ident == slice => Some(item.expr.to_token_stream()),
        _ => None,
    }
}

fn collect_names(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                names.insert(name.to_string());
            }
            TokenTree::Group(group) => collect_names(group.stream(), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// `exchange` in `use self::exchange::Exchange`.
fn first_module(tree: &UseTree) -> Option<String> {
    match tree {
        UseTree::Path(path) if ["self", "super", "crate"].iter().any(|word| path.ident == word) => {
            first_module(&path.tree)
        }
        UseTree::Path(path) => Some(path.ident.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        assert_eq!(violations(&files), expected);
    }

    const EXCHANGE: (&str, &str) = ("crates/smtplog/src/formats/exchange.rs", "");
    const IIS: (&str, &str) = ("crates/smtplog/src/formats/iis.rs", "");
    const HOME: &str = "crates/smtplog/src/formats/mod.rs";

    #[test]
    fn named_extensions_pass() {
        check(&[], &[]);
        check(
            &[EXCHANGE, IIS, (HOME, "pub static FORMATS: &[&dyn LogFormat] = &[&exchange::Exchange, &iis::Iis];")],
            &[],
        );
        check(
            &[EXCHANGE, (HOME, "use self::exchange::Exchange; const FORMATS: [&dyn LogFormat; 1] = [&Exchange];")],
            &[],
        );
    }

    #[test]
    fn a_forgotten_extension_is_named() {
        check(
            &[EXCHANGE, IIS, (HOME, "mod iis; pub static FORMATS: &[&dyn LogFormat] = &[&exchange::Exchange];")],
            &["crates/smtplog/src/formats/iis: not in FORMATS"],
        );
        check(
            &[
                ("crates/diagnose/src/rules/expired/mod.rs", ""),
                ("crates/diagnose/src/rules.rs", "use expired::Expired; static RULES: &[u8] = &[];"),
            ],
            &["crates/diagnose/src/rules/expired: not in RULES"],
        );
    }

    #[test]
    fn a_folder_without_its_slice_is_named() {
        check(
            &[("crates/export/src/sinks/cef.rs", ""), ("crates/export/src/sinks/mod.rs", "mod cef;")],
            &["crates/export/src/sinks: no slice named SINKS"],
        );
        check(&[EXCHANGE], &["crates/smtplog/src/formats: no slice named FORMATS"]);
    }
}
