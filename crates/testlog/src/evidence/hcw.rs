//! A log of the Hybrid Configuration Wizard (FORMATS 4): fixed columns, continuation lines, tables.

use super::list;
use crate::{
    certificate::Certificate,
    clock::{self, SECOND_MS, Time},
};

/// Characters of a line before it is broken, in the middle of a word if need be.
const WIDTH: usize = 950;
/// Where the text of a continuation line begins.
const INDENT: usize = 38;

/// A run of the wizard, as it is logged.
pub(crate) struct Wizard {
    text: String,
    now: i64,
}

/// A row of a table that compares what is with what shall be: property, actual, expected.
pub(crate) type Comparison<'a> = (&'a str, &'a str, &'a str);

impl Wizard {
    /// A run that begins at `at` on a machine whose clock shows UTC.
    pub(crate) fn begin(at: i64) -> Wizard {
        let mut wizard = Wizard { text: String::new(), now: at };
        let clock = list::american_time(at);
        let clock = clock.split_once(' ').map_or("", |(_, time)| time);
        let zone = format!("Current Time Zone: Coordinated Universal Time ({clock})");
        wizard.text.push_str(&format!("{}               {zone}\r\n", wizard.time()));
        wizard.line("", 10_418, "Client=UX, Thread=1", "Hybrid Configuration Wizard 17.0.6981.0");
        wizard
    }

    /// The name that the wizard gives to the log.
    pub(crate) fn file_name(at: i64) -> String {
        let (year, month, day) = clock::date(at);
        let time = Time(at).to_string();
        format!("{year:04}{month:02}{day:02}_{}{}{}.log", &time[11..13], &time[14..16], &time[17..19])
    }

    /// A cmdlet and that it finished well; `results` are the objects it returned.
    pub(crate) fn call(&mut self, session: &str, line: &str, results: &[String]) {
        let cmdlet = line.split(' ').next().unwrap_or_default();
        let context = format!("Client=UX, Session={session}, Cmdlet={cmdlet}, Thread=12");
        self.line("", 10_276, &context, &format!("START {line}"));
        self.now += 900;
        let objects: String = results.iter().map(|object| format!("\n{object}")).collect();
        self.line("", 10_277, &context, &format!("FINISH Time=891.4ms Results={}{objects}", results.len()));
    }

    /// The table of a server's certificates.
    pub(crate) fn certificates(&mut self, server: &str, certificates: &[&Certificate]) {
        let heads = [
            "Name",
            "NotBefore",
            "NotAfter",
            "IsExpired",
            "IsSelfSigned",
            "IsClientAuthentication",
            "Purpose",
            "Issuer",
            "Subject",
            "Thumbprint",
        ];
        let mut rows = vec![heads.map(String::from).to_vec()];
        for certificate in certificates {
            rows.push(vec![
                certificate.names.first().cloned().unwrap_or_default(),
                format!("{} +00:00", list::american_time(certificate.not_before)),
                format!("{} +00:00", list::american_time(certificate.not_after)),
                capital(certificate.not_after < self.now),
                capital(certificate.subject == certificate.issuer),
                capital(certificate.subject != certificate.issuer),
                "SMTP, IIS".into(),
                certificate.issuer.clone(),
                certificate.subject.clone(),
                certificate.thumbprint.clone(),
            ]);
        }
        let title = format!("Certificates on {server}: {}", certificates.len());
        self.line(
            "",
            10_023,
            "Client=UX, Page=TransportCertificate, Thread=12",
            &format!("\n{title}\n{}", table(&rows)),
        );
    }

    /// A table that compares; before the wizard changes anything, or after.
    pub(crate) fn comparison(&mut self, phase: &str, title: &str, rows: &[Comparison<'_>]) {
        let mut cells = vec![["Name", "Equals", "Actual", "Expected"].map(String::from).to_vec()];
        for (name, actual, expected) in rows {
            let equals = capital(actual == expected);
            cells.push(vec![name.to_string(), equals, actual.to_string(), expected.to_string()]);
        }
        let context = format!("Client=UX, Workflow=Hybrid, Task=MailFlow, Phase={phase}, Thread=12");
        self.line("", 10_081, &context, &format!("\n{title}\n{}", table(&cells)));
    }

    /// A warning of the wizard.
    pub(crate) fn warning(&mut self, text: &str) {
        self.line("WARNING", 10_026, "Client=UX, Workflow=Hybrid, Task=MailFlow, Thread=12", text);
    }

    /// The log so far: UTF-8 without a mark.
    pub(crate) fn log(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }

    /// `2022.02.19 03:24:02.871`.
    fn time(&self) -> String {
        Time(self.now).to_string().replace('-', ".").replace('T', " ").replace('Z', "")
    }

    fn line(&mut self, severity: &str, code: u32, context: &str, text: &str) {
        let head = format!("{} {severity:7} {code} [{context}] ", self.time());
        let logical = format!("{head}{text}");
        let indent = " ".repeat(INDENT);
        for (turn, line) in logical.split('\n').enumerate() {
            let characters: Vec<char> = line.chars().collect();
            // An empty line has no piece, and is a line all the same.
            let count = characters.len().div_ceil(WIDTH).max(1);
            for piece in 0..count {
                let begin = piece * WIDTH;
                let part: String = characters[begin..characters.len().min(begin + WIDTH)].iter().collect();
                let indent = if turn == 0 && piece == 0 { "" } else { &indent };
                self.text.push_str(&format!("{indent}{part}\r\n"));
            }
        }
        self.now += SECOND_MS / 8;
    }
}

/// Cells padded to their column, a rule of `=` above and below the heads.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join(" | ")
    };
    let rule = |mark: &str| mark.repeat(widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1));
    let mut lines = vec![rule("=")];
    for (turn, row) in rows.iter().enumerate() {
        lines.push(line(row));
        if turn == 0 {
            lines.push(rule("-"));
        }
    }
    lines.push(rule("="));
    lines.join("\n")
}

fn capital(flag: bool) -> String {
    if flag { "True".into() } else { "False".into() }
}
