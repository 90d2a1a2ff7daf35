//! What no source file may contain.
//!
//! Words are looked for in the token stream, not in the text, so that a comment may speak of
//! `unsafe` and a macro cannot hide it.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemMod, Macro, Meta, Signature, TraitItemFn,
    visit::{self, Visit},
};

use crate::SourceFile;

/// The one file that may map memory.
const UNSAFE_HOME: &str = "crates/ingest/src/mmap.rs";

/// From the line of `fn` to the closing brace; what is longer cannot be proofread.
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing, and so collect everything.
const NAMELESS: [&str; 8] = ["common", "helper", "helpers", "misc", "shared", "util", "utils", "utilities"];

/// Crates that turn bytes into facts: they never touch a file, a clock or the network.
const PURE: [&str; 4] = ["crates/smtplog/", "crates/evidence/", "crates/diagnose/", "crates/export/"];

/// Names that lead to files, clocks and the network.
const IMPURE: [&str; 7] = ["fs", "Instant", "SystemTime", "TcpListener", "TcpStream", "UdpSocket", "UnixStream"];

/// Only the program prints.
const PRINTING: [&str; 5] = ["dbg", "eprint", "eprintln", "print", "println"];

/// What in the files breaks the rules, as `path:line: what`.
pub(crate) fn violations(files: &[SourceFile]) -> Vec<String> {
    let test_modules = test_modules(files);
    files.iter().flat_map(|file| file_violations(file, is_test(&file.path, &test_modules))).collect()
}

fn file_violations(file: &SourceFile, is_test: bool) -> Vec<String> {
    let mut found = Findings { path: &file.path, is_test, lines: Vec::new() };
    if !file.text.starts_with("//!") {
        found.add(1, "does not open with //!");
    }
    if let Some(name) = file.path.trim_end_matches(".rs").split('/').find(|name| NAMELESS.contains(name)) {
        found.add(1, &format!("a module named {name}"));
    }
    match syn::parse_file(&file.text) {
        Ok(parsed) => {
            found.words(file.text.parse().unwrap());
            found.visit_file(&parsed);
        }
        Err(error) => found.add(1, &format!("cannot be read: {error}")),
    }
    found.lines
}

struct Findings<'a> {
    path: &'a str,
    is_test: bool,
    lines: Vec<String>,
}

impl Findings<'_> {
    fn add(&mut self, line: usize, what: &str) {
        self.lines.push(format!("{}:{line}: {what}", self.path));
    }

    fn words(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(word) => self.word(word, tokens.get(at + 1)),
                TokenTree::Group(group) => {
                    let attribute = group.delimiter() == Delimiter::Bracket && at > 0 && is_hash(&tokens[..at]);
                    if attribute && ignores(group.stream()) {
                        self.add(group.span_open().start().line, "#[ignore]");
                    }
                    self.words(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    fn word(&mut self, word: &Ident, next: Option<&TokenTree>) {
        let line = word.span().start().line;
        let is_macro = matches!(next, Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
        match word.to_string().as_str() {
            "unsafe" if self.path != UNSAFE_HOME => self.add(line, "unsafe"),
            "should_panic" => self.add(line, "should_panic"),
            "todo" if is_macro => self.add(line, "todo!"),
            "unimplemented" if is_macro => self.add(line, "unimplemented!"),
            _ => {}
        }
    }

    fn length(&mut self, signature: &Signature, body: &Block) {
        let first = signature.fn_token.span.start().line;
        let lines = body.brace_token.span.close().end().line - first + 1;
        if lines > FUNCTION_LINES_MAX && !self.is_test {
            self.add(first, &format!("fn {} has {lines} lines", signature.ident));
        }
    }

    /// Visits what carries the attributes, as test code if they say so.
    fn inside(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outside = self.is_test;
        self.is_test |= attributes.iter().any(is_test_attribute);
        visit(self);
        self.is_test = outside;
    }
}

impl<'ast> Visit<'ast> for Findings<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if let Some(name) = NAMELESS.iter().find(|name| module.ident == **name) {
            self.add(module.ident.span().start().line, &format!("a module named {name}"));
        }
        self.inside(&module.attrs, |findings| visit::visit_item_mod(findings, module));
    }

    fn visit_ident(&mut self, name: &'ast Ident) {
        let is_pure = PURE.iter().any(|folder| self.path.starts_with(folder));
        if is_pure && !self.is_test && IMPURE.iter().any(|impure| name == impure) {
            self.add(name.span().start().line, &format!("{name} in a crate of pure functions"));
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let is_library = self.path.starts_with("crates/") && !self.path.starts_with("crates/cli/");
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if is_library && !self.is_test && PRINTING.contains(&name.as_str()) {
            self.add(call.bang_token.span.start().line, &format!("{name}! outside the program"));
        }
        visit::visit_macro(self, call);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.inside(&function.attrs, |findings| {
            findings.length(&function.sig, &function.block);
            visit::visit_item_fn(findings, function);
        });
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.inside(&function.attrs, |findings| {
            findings.length(&function.sig, &function.block);
            visit::visit_impl_item_fn(findings, function);
        });
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.length(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn is_hash(before: &[TokenTree]) -> bool {
    let mark = |at: usize| match before.len().checked_sub(at).map(|index| &before[index]) {
        Some(TokenTree::Punct(mark)) => mark.as_char(),
        _ => ' ',
    };
    mark(1) == '#' || (mark(1) == '!' && mark(2) == '#')
}

/// `ignore`, or `cfg_attr(condition, ignore)`.
fn ignores(attribute: TokenStream) -> bool {
    let mut tokens = attribute.into_iter();
    let Some(TokenTree::Ident(name)) = tokens.next() else {
        return false;
    };
    let conditional = name == "cfg_attr"
        && tokens.any(|token| matches!(token, TokenTree::Group(group) if names(group.stream(), "ignore")));
    name == "ignore" || conditional
}

fn names(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == name))
}

/// `#[test]`, or a `cfg` that only holds in tests.
fn is_test_attribute(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.segments.last().is_some_and(|segment| segment.ident == "test"),
        Meta::List(list) => {
            list.path.is_ident("cfg") && names(list.tokens.clone(), "test") && !names(list.tokens.clone(), "not")
        }
        Meta::NameValue(_) => false,
    }
}

/// The paths, without `.rs`, of the modules that a file of theirs declares under `#[cfg(test)]`.
fn test_modules(files: &[SourceFile]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        let Ok(parsed) = syn::parse_file(&file.text) else { continue };
        for item in &parsed.items {
            let syn::Item::Mod(module) = item else { continue };
            if module.content.is_none() && module.attrs.iter().any(is_test_attribute) {
                found.insert(format!("{}/{}", module_folder(&file.path), module.ident));
            }
        }
    }
    found
}

/// Where the modules lie that a file declares.
fn module_folder(path: &str) -> &str {
    let stem = path.trim_end_matches(".rs");
    match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    }
}

fn is_test(path: &str, test_modules: &BTreeSet<String>) -> bool {
    let stem = path.trim_end_matches(".rs");
    let declared = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
    stem.split('/').any(|folder| folder == "tests") || test_modules.iter().any(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        violations(&files)
    }

    /// The text gets its opening line, so it starts at line 2.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let path = "crates/index/src/split.rs";
        let expected: Vec<String> = expected.iter().map(|what| format!("{path}:{what}")).collect();
        assert_eq!(found(&[(path, &format!("//! A text.\n{text}"))]), expected, "{text}");
    }

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    let x = 1;\n".repeat(lines - 2))
    }

    #[test]
    fn every_file_opens_with_its_purpose() {
        assert_eq!(found(&[("crates/a/src/b.rs", "use x::y;\n")]), ["crates/a/src/b.rs:1: does not open with //!"]);
        assert_eq!(found(&[("crates/a/src/b.rs", "\n//! Late.\n")]), ["crates/a/src/b.rs:1: does not open with //!"]);
        assert_eq!(found(&[("crates/a/src/b.rs", "//! First.\n")]), [""; 0]);
    }

    #[test]
    fn unsafe_has_one_home() {
        check("fn f() { unsafe { g() } }", &["2: unsafe"]);
        check("\nunsafe impl Send for T {}", &["3: unsafe"]);
        check("m! { a => { unsafe { g() } } }", &["2: unsafe"]);
        check("#[unsafe(no_mangle)] fn f() {}", &["2: unsafe"]);
        check("#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";", &[]);
        assert_eq!(found(&[(UNSAFE_HOME, "//! Maps.\nfn f() { unsafe { g() } }")]), [""; 0]);
    }

    #[test]
    fn unfinished_and_silenced_code_is_named() {
        check("fn f() { todo!() }", &["2: todo!"]);
        check("fn f() { unimplemented!(\"later\") }", &["2: unimplemented!"]);
        check("#[test]\n#[ignore]\nfn f() {}", &["3: #[ignore]"]);
        check("#[test]\n#[ignore = \"slow\"]\nfn f() {}", &["3: #[ignore]"]);
        check("#[cfg_attr(windows, ignore)]\n#[test]\nfn f() {}", &["2: #[ignore]"]);
        check("#[test]\n#[should_panic(expected = \"x\")]\nfn f() {}", &["3: should_panic"]);
        check("fn f() { let ignore = [todo, ignore]; } // todo!() #[ignore]", &[]);
    }

    #[test]
    fn long_functions_are_named_outside_tests() {
        check(&function(70), &[]);
        check(&function(71), &["2: fn long has 71 lines"]);
        check(&format!("impl T {{\n{}}}", function(71)), &["3: fn long has 71 lines"]);
        check(&format!("trait T {{\n{}}}", function(71)), &["3: fn long has 71 lines"]);
        check(&format!("mod inner {{\n{}}}", function(71)), &["3: fn long has 71 lines"]);
        check(&format!("#[cfg(not(test))] mod inner {{\n{}}}", function(71)), &["3: fn long has 71 lines"]);
        check(&format!("#[cfg(test)]\nmod tests {{\n{}}}", function(71)), &[]);
        check(&format!("#[test]\n{}", function(71)), &[]);
        check(&format!("#[cfg(test)] mod tests {{}}\n{}", function(71)), &["3: fn long has 71 lines"]);
    }

    #[test]
    fn libraries_do_not_print() {
        check("fn f() { println!(\"x\") }", &["2: println! outside the program"]);
        check("fn f() { std::eprintln!(\"x\") }", &["2: eprintln! outside the program"]);
        check("#[cfg(test)] mod tests { fn f() { println!(\"x\") } }", &[]);
        assert_eq!(found(&[("crates/cli/main.rs", "//! A.\nfn f() { println!(\"x\") }")]), [""; 0]);
    }

    #[test]
    fn pure_crates_touch_nothing() {
        let found = |text: &str| found(&[("crates/diagnose/src/a.rs", &format!("//! A.\n{text}"))]);
        let named = |what: &str| [format!("crates/diagnose/src/a.rs:2: {what} in a crate of pure functions")];
        assert_eq!(found("use std::{fs, io};"), named("fs"));
        assert_eq!(found("fn f() { std::fs::read(p); }"), named("fs"));
        assert_eq!(found("fn f() -> std::time::Instant { x() }"), named("Instant"));
        assert_eq!(found("use std::net::{IpAddr, TcpStream as Wire};"), named("TcpStream"));
        assert_eq!(found("#[cfg(test)] mod tests { use std::fs; }"), [""; 0]);
        assert_eq!(found("use std::net::IpAddr; // fs"), [""; 0]);
        check("use std::fs;", &[]); // The index keeps files.
    }

    #[test]
    fn a_test_module_may_lie_in_its_own_file() {
        let long = format!("//! Cases.\n{}", function(71));
        assert_eq!(found(&[("crates/a/src/cases.rs", &long)]), ["crates/a/src/cases.rs:2: fn long has 71 lines"]);
        assert_eq!(found(&[("crates/a/tests/cases.rs", &long)]), [""; 0]);
        let root = ("crates/a/src/lib.rs", "//! A.\n#[cfg(test)]\nmod cases;");
        assert_eq!(found(&[("crates/a/src/cases.rs", &long), root]), [""; 0]);
        let parent = ("crates/a/src/b.rs", "//! B.\n#[cfg(test)]\nmod cases;");
        assert_eq!(found(&[("crates/a/src/b/cases.rs", &long), parent]), [""; 0]);
    }

    #[test]
    fn modules_have_names() {
        check("mod utils { fn f() {} }", &["2: a module named utils"]);
        assert_eq!(
            found(&[("crates/a/src/helpers.rs", "//! A.")]),
            ["crates/a/src/helpers.rs:1: a module named helpers"]
        );
        assert_eq!(found(&[("tests/common/mod.rs", "//! A.")]), ["tests/common/mod.rs:1: a module named common"]);
        assert_eq!(found(&[("crates/a/src/commons.rs", "//! A.")]), [""; 0]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        let lines = found(&[("crates/a/src/b.rs", "//! A.\nfn f( {")]);
        assert!(lines.len() == 1 && lines[0].starts_with("crates/a/src/b.rs:1: cannot be read"), "{lines:?}");
        let lines = found(&[("crates/a/src/b.rs", "//! A.\nfn f(x) -> {}")]);
        assert!(lines.len() == 1 && lines[0].starts_with("crates/a/src/b.rs:1: cannot be read"), "{lines:?}");
    }
}
