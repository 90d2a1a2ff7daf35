//! Text of `Format-List`, as it is copied from a console or redirected into a file (FORMATS section 5.2).
//!
//! ```text
//! [PS] C:\>Get-ExchangeCertificate -Server EX1 | fl
//!
//! CertificateDomains : {mail.contoso.com, autodiscover.contoso.com, ex1.contoso.com,
//!                      ex2.contoso.com...}
//! Thumbprint         : 3DAF40EC85C62DD39D98696AB5413E3EB83D6415
//! ```
//!
//! Objects are parted by blank lines. A line that is indented goes on with the value before it; the console breaks long
//! values at its width, even inside of words. The prompt line, if it was copied too, tells the type and the server.

use super::{
    objects::{Object, Part},
    types, values,
};

/// Widths of the lines that a console of 80 or 120 columns breaks.
const CONSOLE_WIDTHS: [usize; 4] = [79, 80, 119, 120];

/// Objects of a text.
pub(crate) struct Lists<'t> {
    text: &'t str,
    /// Place up to which it is read.
    at: usize,
    open: Option<Open>,
    /// The cmdlet of the last prompt line.
    source: Option<String>,
    /// Its `-Server`.
    server: Option<String>,
    /// Characters of a line that the console broke inside of a word, if that can be told.
    full_width: Option<usize>,
}

/// An object of which lines have been read, but maybe not the last.
struct Open {
    object: Object,
    /// Blanks before its first line.
    indent: usize,
    name: String,
    /// The value of the property `name` so far.
    value: String,
    /// Characters of the last line.
    width: usize,
}

/// A line `Name : value`.
struct KeyLine<'t> {
    indent: usize,
    name: &'t str,
    value: &'t str,
}

/// Reads any text.
pub(crate) fn parts(text: &str) -> Lists<'_> {
    Lists { text, at: 0, open: None, source: None, server: None, full_width: full_width(text) }
}

impl Iterator for Lists<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let line = rest[..length].trim_end();
            if self.ends_object(line)
                && let Some(object) = self.close()
            {
                return Some(object); // The line is read again, without an object before it.
            }
            let at = self.at;
            self.at += length;
            if !self.read(line, at) {
                return Some(Part::Passed("line of other text"));
            }
        }
        self.close()
    }
}

impl Lists<'_> {
    fn ends_object(&self, line: &str) -> bool {
        let Some(open) = &self.open else { return false };
        let repeats = |key: KeyLine<'_>| {
            open.starts(&key) && (open.name.eq_ignore_ascii_case(key.name) || open.object.has(key.name))
        };
        line.is_empty() || command(line).is_some() || key_line(line).is_some_and(repeats)
    }

    fn close(&mut self) -> Option<Part> {
        let mut open = self.open.take()?;
        open.end_property();
        Some(Part::Object(open.object))
    }

    /// Whether the line means something.
    fn read(&mut self, line: &str, at: usize) -> bool {
        if line.is_empty() {
            return true;
        }
        if let Some(command) = command(line) {
            (self.source, self.server) = (cmdlet(command), server(command));
            return true;
        }
        let key = key_line(line);
        match (&mut self.open, key) {
            (Some(open), Some(key)) if open.starts(&key) => open.begin_property(&key, line),
            (Some(open), _) if open.goes_on(line) => open.go_on(line, self.full_width),
            (None, Some(key)) => {
                let mut object = Object::new(at + key.indent);
                (object.source, object.server) = (self.source.clone(), self.server.clone());
                self.open = Some(Open::new(object, &key, line));
            }
            _ => return false,
        }
        true
    }
}

impl Open {
    fn new(object: Object, key: &KeyLine<'_>, line: &str) -> Open {
        Open {
            object,
            indent: key.indent,
            name: key.name.to_owned(),
            value: key.value.to_owned(),
            width: line.chars().count(),
        }
    }

    /// Whether a line `Name : value` is a property of its own and not a part of the value before it.
    fn starts(&self, key: &KeyLine<'_>) -> bool {
        key.indent <= self.indent
    }

    fn begin_property(&mut self, key: &KeyLine<'_>, line: &str) {
        self.end_property();
        key.name.clone_into(&mut self.name);
        key.value.clone_into(&mut self.value);
        self.width = line.chars().count();
    }

    fn end_property(&mut self) {
        let value = values::of_braces(&self.value).unwrap_or_else(|| values::of_text(&self.name, &self.value));
        self.object.set(&self.name, value);
    }

    fn goes_on(&self, line: &str) -> bool {
        let is_open_list = self.value.starts_with('{') && !self.value.ends_with('}');
        line.starts_with([' ', '\t']) || is_open_list
    }

    /// Adds a line to the value. Consoles break between words where they can and drop the blank; a full line that does
    /// not end at a comma was broken inside of a word.
    fn go_on(&mut self, line: &str, full_width: Option<usize>) {
        let is_broken = Some(self.width) == full_width && !self.value.ends_with([',', '{']);
        if !is_broken && !self.value.is_empty() {
            self.value.push(' ');
        }
        self.value.push_str(line.trim_start());
        self.width = line.chars().count();
    }
}

/// The width of the longest lines, if there are several of them or if it is one that consoles have.
fn full_width(text: &str) -> Option<usize> {
    let (mut width, mut count) = (0, 0_usize);
    for line in text.lines() {
        let length = line.trim_end().chars().count();
        match length.cmp(&width) {
            std::cmp::Ordering::Greater => (width, count) = (length, 1),
            std::cmp::Ordering::Equal => count += 1,
            std::cmp::Ordering::Less => {}
        }
    }
    (count > 1 || CONSOLE_WIDTHS.contains(&width)).then_some(width)
}

/// `Name : value`, `Name: value`, `Name :`.
fn key_line(line: &str) -> Option<KeyLine<'_>> {
    let text = line.trim_start();
    let is_in_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let (name, rest) = text.split_at(text.find(|letter| !is_in_name(letter))?);
    let value = rest.trim_start().strip_prefix(':')?;
    let is_key = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let is_parted = value.is_empty() || value.starts_with([' ', '\t']);
    (is_key && is_parted).then(|| KeyLine { indent: line.len() - text.len(), name, value: value.trim() })
}

/// What was typed at a prompt: `[PS] C:\>Get-X | fl`, `PS C:\> Get-X`, or a line that begins with the cmdlet.
fn command(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with("[PS]") || line.starts_with("PS ") || line.starts_with("PS>") {
        return line.split_once('>').map(|(_, command)| command.trim_start());
    }
    let is_get = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("Get-"));
    (is_get && key_line(line).is_none()).then_some(line)
}

/// The first cmdlet of a command that speaks of a known type.
fn cmdlet(command: &str) -> Option<String> {
    let words = command.split([' ', '|', '(', ')', '{', '}', ';', '=']);
    let mut cmdlets = words.filter(|word| word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("Get-")));
    cmdlets.find(|cmdlet| types::of_noun(cmdlet).is_some()).map(str::to_owned)
}

/// The server that a command names, unless a variable names it.
fn server(command: &str) -> Option<String> {
    let mut words = command.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("-Server"));
    let server = words.nth(1)?.trim_matches(['"', '\'', ';', ')', '|']);
    let is_name = !server.is_empty() && !server.starts_with(['$', '-', '(']);
    is_name.then(|| server.to_owned())
}

#[cfg(test)]
mod tests;
