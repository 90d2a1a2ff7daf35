//! Logs made up row by row, for tests that cut, damage and grow them.

use proptest::prelude::*;

/// What stands before the first row.
pub(crate) const HEADER: &str = "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n\
    #Log-type: SMTP Send Protocol Log\r\n#Date: 2024-03-01T06:00:00.000Z\r\n\
    #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n";

/// A session of a made-up log.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// Its counter; two sessions with the same one are a repeated key.
    pub(crate) key: u8,
    /// Milliseconds after six o'clock.
    pub(crate) start: u16,
    /// Milliseconds between its rows.
    pub(crate) step: u16,
    /// Rows.
    pub(crate) rows: u8,
    /// Whether `-` is its last row.
    pub(crate) ended: bool,
    /// A row that is missing.
    pub(crate) lost: Option<u8>,
    /// A row that stands there twice.
    pub(crate) repeated: Option<u8>,
}

/// Sessions whose keys differ and of which no row is repeated: these join across files whatever the cut.
pub(crate) fn distinct_sessions() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(any_session(), 1..24).prop_map(|mut sessions| {
        for (at, session) in sessions.iter_mut().enumerate() {
            (session.key, session.repeated) = (at as u8, None);
        }
        sessions
    })
}

/// Sessions of few keys, with rows lost and repeated.
pub(crate) fn any_sessions() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(any_session(), 1..24)
}

fn any_session() -> impl Strategy<Value = Made> {
    let damage = (prop::option::weighted(0.2, 0..12u8), prop::option::weighted(0.2, 0..12u8));
    (0..6u8, 0..5_000u16, 0..400u16, 1..14u8, prop::bool::weighted(0.8), damage).prop_map(
        |(key, start, step, rows, ended, (lost, repeated))| Made { key, start, step, rows, ended, lost, repeated },
    )
}

/// The rows in order of time, each with its line end.
pub(crate) fn lines(sessions: &[Made]) -> Vec<String> {
    let mut lines: Vec<(u32, usize, String)> = Vec::new();
    for (at, made) in sessions.iter().enumerate() {
        for row in (0..made.rows).filter(|row| made.lost != Some(*row) || made.rows == 1) {
            let time = u32::from(made.start) + u32::from(row) * u32::from(made.step);
            let (event, data) = match row {
                _ if made.ended && row + 1 == made.rows => ("-", "Remote"),
                0 => ("*", "attempting to connect"),
                1 => ("+", ""),
                2 => ("<", "220 mx.fabrikam.example ESMTP"),
                3 => (">", "EHLO mail.contoso.com"),
                _ if row % 2 == 0 => ("<", "550 5.7.64 TenantAttribution; Relay Access Denied"),
                _ => (">", "RCPT TO:<p@fabrikam.example>"),
            };
            let line = line(time, u64::from(made.key), row, event, data);
            if made.repeated == Some(row) && row > 0 {
                lines.push((time, at, line.clone()));
            }
            lines.push((time, at, line));
        }
    }
    lines.sort_by_key(|(time, at, _)| (*time, *at));
    lines.into_iter().map(|(.., line)| line).collect()
}

/// A row `ms` after six o'clock.
pub(crate) fn line(ms: u32, key: u64, sequence: u8, event: &str, data: &str) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    format!(
        "2024-03-01T06:{:02}:{:02}.{ms:03}Z,Outbound,08DC3990{key:08X},{sequence},10.0.0.10:22289,192.0.2.1:25,{event},{data},\r\n",
        seconds / 60,
        seconds % 60
    )
}

/// A whole session of six rows.
pub(crate) fn session(key: u64) -> String {
    let made = Made { key: 0, start: 0, step: 10, rows: 6, ended: true, lost: None, repeated: None };
    let wanted = format!("08DC3990{key:08X}");
    lines(&[made]).concat().replace("08DC399000000000", &wanted)
}

/// A file: the header and some rows.
pub(crate) fn file(rows: &str) -> Vec<u8> {
    [HEADER, rows].concat().into_bytes()
}
