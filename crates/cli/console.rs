//! The console: results go to standard output, progress and log to standard error.

use std::{
    env,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
};

use clap::builder::styling::{AnsiColor, Style};

use crate::{args::ColorChoice, render::escape::Escaped};

/// What the user said about printing.
#[derive(Clone, Copy, Default)]
pub(crate) struct OutputOptions {
    /// `--color`.
    pub(crate) color: Option<ColorChoice>,
    /// `color` in the configuration file.
    pub(crate) configured_color: Option<ColorChoice>,
    /// `--quiet`.
    pub(crate) quiet: bool,
    /// `--verbose`.
    pub(crate) verbose: bool,
}

/// Where and how the program prints.
#[derive(Clone, Copy)]
pub(crate) struct Console {
    /// Whether results carry colors.
    pub(crate) colors: Palette,
    /// Whether messages carry colors.
    messages: Palette,
    /// Whether only results and errors are printed.
    pub(crate) quiet: bool,
    /// Whether everything is printed.
    pub(crate) verbose: bool,
    /// Columns of the terminal; `None` where output goes to a file or pipe and so has room.
    pub(crate) width: Option<usize>,
}

impl Console {
    /// A console as the options and the environment have it.
    pub(crate) fn new(options: &OutputOptions) -> Console {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        // The environment goes before the file, and a flag before both (CONTRACT 6).
        let by_environment = no_color.then_some(ColorChoice::Never);
        let choice = options.color.or(by_environment).or(options.configured_color).unwrap_or(ColorChoice::Auto);
        let palette = |is_terminal: bool| match choice {
            ColorChoice::Always => Palette::COLORED,
            ColorChoice::Auto if is_terminal && !dumb => Palette::COLORED,
            _ => Palette::PLAIN,
        };
        let is_terminal = io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        Console {
            colors: palette(is_terminal),
            messages: palette(io::stderr().is_terminal()),
            quiet: options.quiet,
            verbose: options.verbose,
            width: width.filter(|width| is_terminal && *width > 0),
        }
    }

    /// Standard output, buffered.
    pub(crate) fn results(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(64 << 10, io::stdout().lock())
    }

    /// Says something to know, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.message("", text, Style::new());
        }
    }

    /// Says that something is not as it should be.
    pub(crate) fn warn(&self, text: &str) {
        self.message("warning: ", text, self.messages.warning);
    }

    /// Says why the program ends.
    pub(crate) fn error(&self, text: &str) {
        self.message("error: ", text, self.messages.error);
    }

    /// If standard error is gone there is nobody to tell.
    fn message(&self, label: &str, text: &str, style: Style) {
        let _ = writeln!(io::stderr().lock(), "{style}{label}{style:#}{}", Escaped::lines(text));
    }
}

/// Styles by what they mark; all of them empty where no colors are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Palette {
    /// Headings and labels.
    pub(crate) heading: Style,
    /// What a row is about.
    pub(crate) key: Style,
    /// Refusals.
    pub(crate) refusal: Style,
    /// Certificates.
    pub(crate) certificate: Style,
    /// What matters less.
    pub(crate) faint: Style,
    warning: Style,
    error: Style,
}

impl Palette {
    const PLAIN: Palette = Palette {
        heading: Style::new(),
        key: Style::new(),
        refusal: Style::new(),
        certificate: Style::new(),
        faint: Style::new(),
        warning: Style::new(),
        error: Style::new(),
    };

    const COLORED: Palette = Palette {
        heading: Style::new().bold(),
        key: AnsiColor::Cyan.on_default(),
        refusal: AnsiColor::Red.on_default(),
        certificate: AnsiColor::Green.on_default(),
        faint: Style::new().dimmed(),
        warning: AnsiColor::Yellow.on_default().bold(),
        error: AnsiColor::Red.on_default().bold(),
    };
}
