//! Sessions as a table, as CSV and as JSON.

use std::io::Write;

use index::query::{Query, error_texts};
use smtplog::{Confidence, Reply, Session, Timestamp};

use super::{
    csv::CsvRows,
    json,
    table::{Column, Fit, Table},
};
use crate::{args::Format, console::Console};

/// A session to be printed.
pub(crate) struct Row {
    /// The session.
    pub(crate) session: Session,
    /// The row of its log that answers `--rows`, in place of a refusal.
    pub(crate) text: Option<String>,
}

/// Prints sessions; `query` decides which of a session's refusals is shown.
pub(crate) fn print(console: &Console, format: Format, rows: &[Row], query: &Query) -> anyhow::Result<()> {
    let mut out = console.results();
    match format {
        Format::Table => table(console, rows, query).write(&mut out, console.width, console.colors.heading)?,
        Format::Json => rows.iter().try_for_each(|row| json::write_line(&mut out, &row.session))?,
        Format::Csv => csv(&mut out, rows)?,
    }
    out.flush()?;
    Ok(())
}

fn table(console: &Console, rows: &[Row], query: &Query) -> Table {
    let colors = console.colors;
    let mut table = Table::new(vec![
        Column::new("time", Fit::Whole).styled(colors.faint),
        Column::new("id", Fit::Start(17)).styled(colors.key),
        Column::new("remote", Fit::End(12)).dispensable(2),
        Column::new("presented", Fit::Thumbprint).styled(colors.certificate),
        Column::new("reply", Fit::Whole).styled(colors.refusal),
        Column::new("text", Fit::End(10)).dispensable(1),
    ]);
    for Row { session, text } in rows {
        let reply = shown_reply(session, query);
        table.row([
            moment(session.started),
            session.id(),
            session.remote.as_deref().unwrap_or_default().to_owned(),
            presented(session, reply),
            reply.map(|reply| reply_code(reply, session.replies.len())).unwrap_or_default(),
            text.clone().unwrap_or_else(|| told(session, reply)),
        ]);
    }
    table
}

/// The refusal that the query asks for, else the first.
fn shown_reply<'s>(session: &'s Session, query: &Query) -> Option<&'s Reply> {
    let matching = query.matching_replies(session).first().copied();
    session.replies.get(matching.unwrap_or(0))
}

/// The certificate of the negotiation that the refusal lies in, else the session's.
fn presented(session: &Session, reply: Option<&Reply>) -> String {
    let of_reply = reply.and_then(|reply| reply.presented);
    of_reply.or(session.presented()).map(|thumbprint| thumbprint.to_string()).unwrap_or_default()
}

fn reply_code(reply: &Reply, count: usize) -> String {
    let status = reply.status.as_deref().map(|status| format!(" {status}")).unwrap_or_default();
    let more = if count > 1 { format!(" +{}", count - 1) } else { String::new() };
    format!("{}{status}{more}", reply.code)
}

/// The refusal's text on one line; without a refusal what else went wrong.
fn told(session: &Session, reply: Option<&Reply>) -> String {
    match reply {
        Some(reply) => reply.text.replace('\n', " "),
        None => error_texts(session).next().unwrap_or_default().to_owned(),
    }
}

/// A time as people read it in a row: `2024-03-01 06:00:06`, UTC.
pub(crate) fn moment(time: Timestamp) -> String {
    let text = time.to_string();
    // Twenty-four ASCII characters, or more in years that have more digits.
    text[..text.len() - ".000Z".len()].replace('T', " ")
}

const CSV_COLUMNS: [&str; 25] = [
    "id",
    "server",
    "role",
    "direction",
    "session",
    "connector",
    "started",
    "ended",
    "complete",
    "local",
    "remote",
    "remote_name",
    "helo",
    "egress_ip",
    "tls",
    "tls_version",
    "presented",
    "received",
    "codes",
    "statuses",
    "text",
    "from",
    "to",
    "message_id",
    "confidence",
];

fn csv(out: &mut impl Write, rows: &[Row]) -> anyhow::Result<()> {
    let mut csv = CsvRows::new(out, &CSV_COLUMNS)?;
    for Row { session, text } in rows {
        csv.row(csv_cells(session, text.as_deref()))?;
    }
    csv.finish()
}

/// Several values of one column are joined by blanks, texts by ` | `.
fn csv_cells(session: &Session, text: Option<&str>) -> [String; 25] {
    let optional = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let codes: Vec<String> = session.codes().iter().map(u16::to_string).collect();
    let texts: Vec<&str> = session.replies.iter().map(|reply| reply.text.as_str()).collect();
    let messages = session.messages.iter();
    let from: Vec<&str> = messages.clone().map(|message| message.from.as_str()).collect();
    let to: Vec<&str> = messages.clone().flat_map(|message| message.to.iter().map(|to| to.as_str())).collect();
    let ids: Vec<&str> = messages.filter_map(|message| message.message_id.as_deref()).collect();
    [
        session.id(),
        session.stream.server.to_string(),
        session.stream.role.to_string(),
        session.stream.direction.to_string(),
        session.session.to_string(),
        session.connector.to_string(),
        session.started.to_string(),
        session.ended.map(|time| time.to_string()).unwrap_or_default(),
        session.complete.to_string(),
        optional(session.local.as_deref()),
        optional(session.remote.as_deref()),
        optional(session.remote_name.as_deref()),
        optional(session.helo.as_deref()),
        optional(session.egress_ip.as_deref()),
        session.tls.outcome.as_str().to_owned(),
        optional(session.tls.version.as_deref()),
        session.presented().map(|thumbprint| thumbprint.to_string()).unwrap_or_default(),
        session.received().map(|thumbprint| thumbprint.to_string()).unwrap_or_default(),
        codes.join(" "),
        session.statuses().join(" "),
        text.map_or_else(|| texts.join(" | "), str::to_owned),
        from.join(" "),
        to.join(" "),
        ids.join(" "),
        optional(session.rebuilt.map(Confidence::as_str)),
    ]
}
