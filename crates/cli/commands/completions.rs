//! `completions`: tab completion for a shell.

use std::io::Write;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::{Outcome, args::Cli, config::Settings};

/// Print the completions for a shell
///
/// For bash: smtptrail completions bash > ~/.local/share/bash-completion/completions/smtptrail
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: ShellName,
}

/// Shells with completions.
#[derive(Clone, Copy, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
}

/// Prints the completions.
pub(crate) fn run(args: &CompletionsArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let shell = match args.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
        ShellName::PowerShell => Shell::PowerShell,
    };
    // The generator panics if its output fails, as a closed pipe does.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "smtptrail", &mut script);
    let mut out = settings.console.results();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Outcome::Done)
}
