//! The rules' own documentation.

use std::io::Write;

use diagnose::{RULES, Rule};

use crate::console::Console;

/// Columns that the text is wrapped to.
const COLUMNS: usize = 80;

/// Every rule with one sentence.
pub(crate) fn list(console: &Console) -> anyhow::Result<()> {
    let mut out = console.results();
    for rule in RULES {
        let style = console.colors.key;
        writeln!(out, "{style}{}{style:#}", rule.id())?;
        writeln!(out, "{}", wrapped("  ", rule.documentation().finds))?;
    }
    out.flush()?;
    Ok(())
}

/// What one rule is about.
pub(crate) fn print(console: &Console, rule: &dyn Rule) -> anyhow::Result<()> {
    let mut out = console.results();
    let documentation = rule.documentation();
    let style = console.colors.heading;
    writeln!(out, "{style}{}{style:#}", rule.id())?;
    let parts = [
        ("What it finds", documentation.finds),
        ("Why it matters", documentation.matters),
        ("What to do", documentation.mend),
        ("What it goes by", documentation.evidence),
    ];
    for (title, text) in parts {
        writeln!(out, "\n{style}{title}{style:#}\n{}", wrapped("  ", text))?;
    }
    out.flush()?;
    Ok(())
}

fn wrapped(indent: &str, text: &str) -> String {
    let options = textwrap::Options::new(COLUMNS).initial_indent(indent).subsequent_indent(indent);
    textwrap::fill(text, options)
}
