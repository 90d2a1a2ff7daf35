//! Counts by field and time as a table, as CSV and as JSON.

use std::io::Write;

use index::{GroupRow, Over, query::Field};
use serde_json::{Map, Value};
use smtplog::Timestamp;

use super::{
    amount,
    csv::CsvRows,
    json,
    sessions::moment,
    table::{Column, Fit, Table},
};
use crate::{args::Format, console::Console};

/// What the counts are by.
pub(crate) struct Grouping<'a> {
    /// The fields.
    pub(crate) by: &'a [Field],
    /// The unit of time, if also by time.
    pub(crate) over: Option<Over>,
}

impl Grouping<'_> {
    /// Prints counts.
    pub(crate) fn print(&self, console: &Console, format: Format, rows: &[GroupRow]) -> anyhow::Result<()> {
        let mut out = console.results();
        match format {
            Format::Table => self.table(console, rows).write(&mut out, console.width, console.colors.heading)?,
            Format::Json => rows.iter().try_for_each(|row| json::write_line(&mut out, &self.json(row)))?,
            Format::Csv => self.csv(&mut out, rows)?,
        }
        out.flush()?;
        Ok(())
    }

    fn table(&self, console: &Console, rows: &[GroupRow]) -> Table {
        let mut columns = Vec::new();
        if self.over.is_some() {
            columns.push(Column::new("time", Fit::Whole).styled(console.colors.key));
        }
        columns.extend(self.by.iter().map(|field| {
            let fit = if field.is_certificate() { Fit::Thumbprint } else { Fit::End(12) };
            Column::new(field.name(), fit).styled(console.colors.key)
        }));
        columns.extend(["sessions", "replies"].map(|name| Column::new(name, Fit::Number)));
        columns.extend(
            ["first", "last"].map(|name| Column::new(name, Fit::Whole).styled(console.colors.faint).dispensable(1)),
        );
        let mut table = Table::new(columns);
        for row in rows {
            let time = row.time.zip(self.over).map(|(time, over)| unit(time, over));
            let values = row.values.iter().map(|value| value.clone().unwrap_or_else(|| "-".to_owned()));
            let counts = [amount::count(row.sessions), amount::count(row.replies), moment(row.first), moment(row.last)];
            table.row(time.into_iter().chain(values).chain(counts));
        }
        table
    }

    fn json(&self, row: &GroupRow) -> Value {
        let mut object = Map::new();
        for (field, value) in self.by.iter().zip(&row.values) {
            object.insert(field.name().to_owned(), typed(*field, value.as_deref()));
        }
        if let Some(time) = row.time {
            object.insert("time".to_owned(), time.to_string().into());
        }
        object.insert("sessions".to_owned(), row.sessions.into());
        object.insert("replies".to_owned(), row.replies.into());
        object.insert("first".to_owned(), row.first.to_string().into());
        object.insert("last".to_owned(), row.last.to_string().into());
        Value::Object(object)
    }

    fn csv(&self, out: &mut impl Write, rows: &[GroupRow]) -> anyhow::Result<()> {
        let mut header: Vec<&str> = self.by.iter().map(|field| field.name()).collect();
        header.extend(self.over.map(|_| "time"));
        header.extend(["sessions", "replies", "first", "last"]);
        let mut csv = CsvRows::new(out, &header)?;
        for row in rows {
            let values = row.values.iter().map(|value| value.clone().unwrap_or_default());
            let time = row.time.map(|time| time.to_string());
            let counts =
                [row.sessions.to_string(), row.replies.to_string(), row.first.to_string(), row.last.to_string()];
            csv.row(values.chain(time).chain(counts))?;
        }
        csv.finish()
    }
}

/// `2024-03-01`, or `2024-03-01 06:00`.
fn unit(time: Timestamp, over: Over) -> String {
    let mut text = moment(time);
    let unused = match over {
        Over::Day => " 00:00:00",
        Over::Hour => ":00",
    };
    text.truncate(text.len() - unused.len());
    text
}

/// A value as the session's JSON has it: codes are numbers, `complete` is true or false.
fn typed(field: Field, value: Option<&str>) -> Value {
    let Some(value) = value else { return Value::Null };
    let typed = match field {
        Field::Code => value.parse::<u16>().ok().map(Value::from),
        Field::Complete => value.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    typed.unwrap_or_else(|| value.into())
}
