//! The inventory of certificates as a table, as CSV and as JSON.

use std::io::Write;

use index::CertificateRow;
use serde_json::{Value, json};
use smtplog::Timestamp;

use super::{
    amount,
    csv::CsvRows,
    json::write_line,
    table::{Column, Fit, Table},
};
use crate::{args::Format, console::Console};

/// Servers that a table names; of more it gives the number.
const SERVERS_NAMED_MAX: usize = 3;

/// Prints the inventory.
pub(crate) fn print(console: &Console, format: Format, rows: &[CertificateRow]) -> anyhow::Result<()> {
    let mut out = console.results();
    match format {
        Format::Table => table(console, rows).write(&mut out, console.width, console.colors.heading)?,
        Format::Json => rows.iter().try_for_each(|row| write_line(&mut out, &object(row)))?,
        Format::Csv => csv(&mut out, rows)?,
    }
    out.flush()?;
    Ok(())
}

fn table(console: &Console, rows: &[CertificateRow]) -> Table {
    let colors = console.colors;
    let mut table = Table::new(vec![
        Column::new("thumbprint", Fit::Thumbprint).styled(colors.certificate),
        Column::new("name", Fit::End(24)),
        Column::new("presented", Fit::Number),
        Column::new("received", Fit::Number),
        Column::new("refusals", Fit::Number).styled(colors.refusal),
        Column::new("first", Fit::Whole).styled(colors.faint).dispensable(2),
        Column::new("last", Fit::Whole).styled(colors.faint),
        Column::new("not after", Fit::Whole).dispensable(1),
        Column::new("servers", Fit::End(10)).dispensable(3),
    ]);
    for row in rows {
        table.row([
            row.certificate.thumbprint.to_string(),
            common_name(&row.certificate.subject).to_owned(),
            amount::count(row.presented),
            amount::count(row.received),
            amount::count(row.refusals),
            date(row.first),
            date(row.last),
            row.certificate.not_after.map(date).unwrap_or_default(),
            servers(&row.servers),
        ]);
    }
    table
}

/// A day as people read it.
pub(crate) fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// A few servers by name, of many their number.
pub(crate) fn servers(servers: &[String]) -> String {
    match servers.len() {
        ..=SERVERS_NAMED_MAX => servers.join(" "),
        count => count.to_string(),
    }
}

/// The `CN` of a distinguished name; the name itself if it has none.
pub(crate) fn common_name(subject: &str) -> &str {
    let starts = subject.match_indices("CN=").map(|(at, _)| at);
    let Some(start) = starts.into_iter().find(|&at| at == 0 || subject[..at].ends_with([' ', ','])) else {
        return subject;
    };
    let value = &subject[start + "CN=".len()..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or(quoted),
        None => value.split(", ").next().unwrap_or(value),
    }
}

fn names(row: &CertificateRow) -> impl Iterator<Item = &str> {
    row.certificate.names.split(';').filter(|name| !name.is_empty())
}

fn object(row: &CertificateRow) -> Value {
    let certificate = &row.certificate;
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    json!({
        "v": 1,
        "thumbprint": certificate.thumbprint,
        "subject": text(&certificate.subject), "issuer": text(&certificate.issuer),
        "serial": text(&certificate.serial), "names": names(row).collect::<Vec<_>>(),
        "not_before": certificate.not_before, "not_after": certificate.not_after,
        "first": row.first, "last": row.last,
        "presented": row.presented, "received": row.received, "refusals": row.refusals,
        "servers": row.servers,
    })
}

const CSV_COLUMNS: [&str; 13] = [
    "thumbprint",
    "subject",
    "issuer",
    "serial",
    "names",
    "not_before",
    "not_after",
    "first",
    "last",
    "presented",
    "received",
    "refusals",
    "servers",
];

fn csv(out: &mut impl Write, rows: &[CertificateRow]) -> anyhow::Result<()> {
    let mut csv = CsvRows::new(out, &CSV_COLUMNS)?;
    for row in rows {
        let certificate = &row.certificate;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        csv.row([
            certificate.thumbprint.to_string(),
            certificate.subject.clone(),
            certificate.issuer.clone(),
            certificate.serial.clone(),
            names(row).collect::<Vec<_>>().join(" "),
            time(certificate.not_before),
            time(certificate.not_after),
            row.first.to_string(),
            row.last.to_string(),
            row.presented.to_string(),
            row.received.to_string(),
            row.refusals.to_string(),
            row.servers.join(" "),
        ])?;
    }
    csv.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(subject: &str, expected: &str) {
        assert_eq!(common_name(subject), expected, "{subject}");
    }

    #[test]
    fn common_names() {
        check("CN=mail.contoso.com", "mail.contoso.com");
        check("C=ca, O=Canada Drey, CN=mail.canadadrey.ca, OU=IT", "mail.canadadrey.ca");
        check(r#"CN="Contoso, Ltd.", C=US"#, "Contoso, Ltd.");
        check("OU=XCN=no, DC=contoso", "OU=XCN=no, DC=contoso");
        check("", "");
    }
}
