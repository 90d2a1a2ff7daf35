//! `man`: the manual page, all verbs in one.

use std::io::Write;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{Outcome, args::Cli, config::Settings};

/// Prints the page as troff.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<Outcome> {
    let mut page = Vec::new();
    let mut program = Cli::command();
    program.build();
    let man = Man::new(program.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for verb in program.get_subcommands().filter(|verb| verb.get_name() != "help") {
        render_verb(verb, &mut page)?;
    }
    if let Some(text) = program.get_after_help() {
        writeln!(page, ".SH \"EXIT STATUS\"\n{}", troff(&text.to_string()))?;
    }
    man.render_version_section(&mut page)?;
    let mut out = settings.console.results();
    out.write_all(&page)?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// A verb as a section of its own; the flags of every verb stand in the program's options already.
fn render_verb(verb: &Command, page: &mut Vec<u8>) -> anyhow::Result<()> {
    writeln!(page, ".SH {}", verb.get_name().to_uppercase())?;
    let own = verb.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    let man = Man::new(own);
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    man.render_options_section(&mut section)?;
    // Sections of the verb's own page are subsections here.
    page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    if let Some(text) = verb.get_after_long_help() {
        writeln!(page, ".SS NOTES\n.nf\n{}\n.fi", troff(&text.to_string()))?;
    }
    Ok(())
}

/// Text as troff takes it literally: no escapes, and no line that begins a request.
fn troff(text: &str) -> String {
    let line = |line: &str| match line.replace('\\', "\\e").replace('-', "\\-") {
        line if line.starts_with(['.', '\'']) => format!("\\&{line}"),
        line => line,
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
