//! Rows of each layout, and what they become: tables, and that cuts change nothing.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{super::FORMATS, *};
use crate::{
    Confidence, Role, Session, Stream,
    assemble::Assembler,
    fragment::{self, Fragment},
    reader::Counts,
};

const FULL: &str = "#Software: Microsoft Internet Information Services 7.0\r\n#Version: 1.0\r\n#Date: 2024-03-01 06:00:00\r\n\
    #Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query \
    sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) \r\n";

fn read(log: &str, direction: Option<Direction>) -> (Counts, Vec<Fragment>) {
    let mut fragments = Fragments::default();
    fragments.begin(0);
    let mut columns = Columns { direction, ..Columns::NONE };
    Iis.read(&mut columns, log.as_bytes(), 0, &mut fragments);
    (fragments.end(), fragments.drain_finished().collect())
}

/// `session time connector local remote event data|context`, or why the row is none.
fn shown(log: &str) -> String {
    let (counts, fragments) = read(log, None);
    if let Some(rejected) = counts.positions.first() {
        return rejected.rejection.as_str().to_owned();
    }
    let fragment = fragments.first().unwrap();
    let row = fragment::rows(&fragment.rows).next().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (session, time, event) = (fragment.session, row.time, char::from(row.event as u8));
    let [connector, local, remote, data, context] =
        [row.connector, row.local, row.remote, row.data, row.context].map(text);
    format!("{session} {time} {connector} {local} {remote} {event} {data}|{context}")
}

#[track_caller]
fn check(log: &str, expected: &str) {
    assert_eq!(shown(log), expected, "{log:?}");
}

#[track_caller]
fn check_full(row: &str, expected: &str) {
    check(&format!("{FULL}{row}\r\n"), expected);
    check(row, expected); // An excerpt without a header.
}

#[test]
fn w3c_rows() {
    check_full(
        "2024-03-01 06:00:01 104.47.88.42 OutboundConnectionResponse SMTPSVC1 SRV1 - 25 - - 550+5.7.64+Relay+Access+Denied 0 0 9 0 1 SMTP - - - -",
        "00000000682F582A 2024-03-01T06:00:01.000Z SMTPSVC1  104.47.88.42:25 < 550 5.7.64 Relay Access Denied|",
    );
    check_full(
        "2024-03-01 06:00:01 104.47.88.42 OutboundConnectionCommand SMTPSVC2 SRV1 - 25 MAIL - FROM:<a+tag@b.example>+SIZE=1 0 0 4 0 0 SMTP - - - -",
        "00000002682F582A 2024-03-01T06:00:01.000Z SMTPSVC2  104.47.88.42:25 > MAIL FROM:<a+tag@b.example> SIZE=1|",
    );
    check_full(
        "2024-03-01 06:00:01 192.0.2.7 client.example SMTPSVC1 SRV1 10.0.0.1 0 RCPT - +TO:+<c@d.example> 250 0 9 9 0 SMTP - - - -",
        "00000000C0000207 2024-03-01T06:00:01.000Z SMTPSVC1 10.0.0.1 192.0.2.7 < RCPT TO: <c@d.example>|250 client.example",
    );
    check_full(
        "2024-03-01 06:00:01 2001:db8::7 - SMTPSVC1 SRV1 10.0.0.1 0 xxxx - - 500 0 9 9 0 SMTP - - - -",
        "BFF7ED76BB22CAC3 2024-03-01T06:00:01.000Z SMTPSVC1 10.0.0.1 [2001:db8::7] < xxxx|500",
    );
    // Somebody has put the blanks back.
    check_full(
        "2024-03-01 06:00:01 192.0.2.1 OutboundConnectionResponse SMTPSVC1 SRV1 - 25 - - 550 5.7.1 <x y> no 0 0 9 0 1 SMTP - - - -",
        "00000000C0000201 2024-03-01T06:00:01.000Z SMTPSVC1  192.0.2.1:25 < 550 5.7.1 <x y> no|",
    );
    check_full("2024-03-01 06:00:01 192.0.2.1 OutboundConn", "too few fields");
    let late = "2024-03-01 24:00:01 192.0.2.7 - SMTPSVC1 SRV1 10.0.0.1 0 HELO - +x 250 0 9 9 0 SMTP - - - -";
    check_full(late, "bad time");
}

#[test]
fn w3c_columns_are_chosen_by_the_administrator() {
    let chosen = |fields: &str, row: &str| format!("#Date: 2024-03-01 06:00:00\n#Fields: {fields}\n{row}\n");
    check(
        &chosen("time c-ip cs-method cs-uri-stem sc-status ", "05:00:00 192.0.2.7 HELO - 250"),
        "00000000C0000207 2024-03-02T05:00:00.000Z   192.0.2.7 < HELO|250",
    );
    check(
        &chosen("time c-ip cs-method cs-uri-stem sc-status", "07:00:00 192.0.2.7 EHLO - 0"),
        "00000000C0000207 2024-03-01T07:00:00.000Z   192.0.2.7 > EHLO|",
    );
    check(
        &chosen(
            "c-ip cs-username s-ip s-port cs-method cs-uri-query",
            "192.0.2.7 OutboundConnectionResponse - 25 - 250-mx.example",
        ),
        "00000000C0000207 2024-03-01T06:00:00.000Z   192.0.2.7:25 < 250-mx.example|",
    );
    check(
        &chosen("c-ip s-ip cs-method cs-uri-query", "192.0.2.7 - - 220+mx.example"),
        "00000000C0000207 2024-03-01T06:00:00.000Z   192.0.2.7 < 220 mx.example|",
    );
    check(
        &chosen("date time cs-method cs-uri-query", "2024-03-01 06:00:01 RSET -"),
        "0000000000000000 2024-03-01T06:00:01.000Z    < RSET|",
    );
    check("#Fields: time c-ip cs-method\n05:00:00 192.0.2.7 HELO\n", "bad time");
}

#[test]
fn ncsa_rows() {
    check(
        r#"192.0.2.7 - client.example [11/Oct/2006:13:16:41 -0600] "MAIL -?+FROM:+<a@b.example> SMTP" 250 46"#,
        "00000000C0000207 2006-10-11T19:16:41.000Z   192.0.2.7 < MAIL FROM: <a@b.example>|250 client.example",
    );
    check(
        r#"192.0.2.7 - OutboundConnectionResponse [11/Oct/2006:13:17:02 -0600] "- -?354+END+WITH+"."+ON+A+LINE SMTP" 0 54"#,
        r#"00000000C0000207 2006-10-11T19:17:02.000Z   192.0.2.7 < 354 END WITH "." ON A LINE|"#,
    );
    check(
        r#"192.0.2.7 - OutboundConnectionCommand [11/Oct/2006:13:17:02 -0600] "DATA - SMTP" 0 4"#,
        "00000000C0000207 2006-10-11T19:17:02.000Z   192.0.2.7 > DATA|",
    );
    check(r#"192.0.2.7 - - [11/Oct/2006 13:17:02] "DATA - SMTP" 0 4"#, "bad time");
    check(r#"192.0.2.7 - - [11/Oct/2006:13:17:02 -0600] "DATA - SMTP"#, "too few fields");
}

#[test]
fn native_rows() {
    check(
        "192.0.2.7, client.example, 8/18/06, 13:17:37, SMTPSVC1, MAIL01, 10.0.0.1, 90, 42, 0, 250, 0, MAIL FROM, -, FROM:<a@b.example>,",
        "00000000C0000207 2006-08-18T13:17:37.000Z SMTPSVC1 10.0.0.1 192.0.2.7 < MAIL FROM:<a@b.example>|250 client.example",
    );
    check(
        "192.0.2.7,   OutboundConnectionResponse,  8/18/97,  13:17:37,  SMTPSVC1, MAIL01,  -,  90, 42,  0,  0,  0,  -,  -,550+no,+never,",
        "00000000C0000207 1997-08-18T13:17:37.000Z SMTPSVC1  192.0.2.7 < 550 no, never|",
    );
    check("192.0.2.7, x, 18-18-06, 13:17:37, SMTPSVC1, M, 10.0.0.1, 90, 42, 0, 250, 0, MAIL, -, x,", "bad time");
    check("192.0.2.7, x, 8/18/06, 13:17:37, SMTPSVC1", "too few fields");
}

#[track_caller]
fn check_recognised(head: &str, expected: bool) {
    let format = FORMATS.iter().find(|format| format.recognise(head.as_bytes()).is_some());
    assert_eq!(format.is_some_and(|format| format.name() == "iis"), expected, "{head:?}");
}

#[test]
fn other_logs_of_iis_are_left_alone() {
    let web = "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip sc-status\n";
    check_recognised(
        &format!("{FULL}2024-03-01 06:00:01 192.0.2.7 x SMTPSVC1 S 10.0.0.1 0 xxxx - - 500 0 9 9 0 SMTP - - - -\n"),
        true,
    );
    check_recognised("#Fields: time c-ip cs-method sc-status\n", false);
    check_recognised(
        "#Date: 2024-03-01 06:00:00\n#Fields: time c-ip cs-method sc-status\n\n06:00:00 192.0.2.7 RCPT 250\n",
        true,
    );
    check_recognised(&format!("{web}2024-03-01 06:00:01 10.0.0.1 GET /MAIL - 80 - 192.0.2.7 200\n"), false);
    check_recognised(FULL, false);
    let ftp = "#Date: 2024-03-01 06:00:00\n#Fields: time c-ip s-sitename cs-method cs-uri-stem sc-status\n";
    check_recognised(&format!("{ftp}06:00:00 192.0.2.7 MSFTPSVC1 MAIL - 530\n"), false);
    check_recognised(r#"192.0.2.7 - - [11/Oct/2006:13:16:41 -0600] "GET /?x HTTP/1.0" 200 46"#, false);
    check_recognised(r#"192.0.2.7 - - [11/Oct/2006:13:16:41 -0600] "xxxx -?+a SMTP" 500 46"#, true);
    check_recognised("192.0.2.7, -, 8/18/06, 13:17:37, W3SVC1, M, 10.0.0.1, 90, 42, 0, 250, 0, GET, /, -,", false);
    check_recognised("192.0.2.7, -, 8/18/06, 13:17:37, SMTPSVC1, M, 10.0.0.1, 90, 42, 0, 250, 0, NOOP, -, -,", true);
    check_recognised("550+5.7.64+TenantAttribution;+Relay+Access+Denied+ localservername+is+untrustedroot.\n", false);
    check_recognised("", false);
}

#[test]
fn each_direction_takes_its_rows_and_a_line_that_is_none_counts_once() {
    let log = format!(
        "{FULL}2024-03-01 06:00:01 192.0.2.7 x SMTPSVC1 S 10.0.0.1 0 HELO - +x 250 0 9 9 0 SMTP - - - -\n\
        nothing\n\n2024-03-01 06:00:01 192.0.2.7 OutboundConnectionCommand SMTPSVC1 S - 25 QUIT - - 0 0 9 9 0 SMTP - - - -\n"
    );
    for (direction, expected) in [(Some(Direction::Receive), (1, 1)), (Some(Direction::Send), (1, 0)), (None, (2, 1))] {
        let (counts, _) = read(&log, direction);
        assert_eq!((counts.kept, counts.rejected), expected, "{direction:?}");
    }
}

#[test]
fn longer_lines_are_rejected() {
    let row = "2024-03-01 06:00:01 192.0.2.7 x SMTPSVC1 S 10.0.0.1 0 HELO - +x 250 0 9 9 0 SMTP - - - -";
    check(&format!("{row}{}", "x".repeat(LINE_BYTES_MAX)), "line too long");
}

#[test]
fn a_row_names_its_server() {
    let row = b"2024-03-01 06:00:01 192.0.2.7 x SMTPSVC1 SRV1 10.0.0.1 0 HELO - +x 250 0 9 9 0 SMTP - - - -";
    assert_eq!(Iis.server_of_row(&Columns::NONE, row), Some(&b"SRV1"[..]));
    let columns = w3c::columns(b"c-ip cs-method").unwrap();
    assert_eq!(Iis.server_of_row(&Columns { date: Some(crate::Timestamp(0)), ..columns }, b"192.0.2.7 HELO"), None);
}

/// Rows `time|remote|user|method|query|status` of one day, as a full log.
fn log(rows: &[&str]) -> String {
    let row = |row: &&str| {
        let mut parts = row.split('|');
        let [time, remote, user, method, query, status] = std::array::from_fn(|_| parts.next().unwrap());
        let (local, user) = match user {
            ">" => ("- 25", "OutboundConnectionCommand"),
            "<" => ("- 25", "OutboundConnectionResponse"),
            name => ("10.0.0.1 0", name),
        };
        format!(
            "2024-03-01 {time} {remote} {user} SMTPSVC1 SRV1 {local} {method} - {query} {status} 0 0 0 0 SMTP - - - -\r\n"
        )
    };
    [FULL.to_owned(), rows.iter().map(row).collect()].concat()
}

fn sessions(direction: Direction, log: &str) -> Vec<Session> {
    let stream = Arc::new(Stream { server: "SRV1".into(), role: Role::Unknown, direction });
    let (counts, mut fragments) = read(log, Some(direction));
    assert_eq!(counts.rejected, 0);
    fragments.sort_by_key(|fragment| fragment.offset);
    let mut assembler = Assembler::default();
    let session = |one: &Fragment| assembler.session(&stream, one.session, &one.span, &[one.stretch(0)]);
    fragments.iter().map(session).collect()
}

/// `records confidence complete`, and the refusals as `sequence code status to`, of each session.
#[track_caller]
fn check_sessions(direction: Direction, rows: &[&str], expected: &[&str]) {
    let found: Vec<String> = sessions(direction, &log(rows))
        .iter()
        .map(|session| {
            let confidence = session.rebuilt.map_or("none", Confidence::as_str);
            let refusals: String = session
                .replies
                .iter()
                .map(|reply| {
                    let (status, to) = (reply.status.as_deref().unwrap_or("-"), reply.to.as_deref().unwrap_or("-"));
                    format!(", {} {} {status} {to}", reply.sequence, reply.code)
                })
                .collect();
            format!("{} {confidence} {}{refusals}", session.records, session.complete)
        })
        .collect();
    assert_eq!(found, expected);
}

const SENT: [&str; 12] = [
    "06:00:00|192.0.2.1|<|-|220-mx.example+ESMTP|0",
    "06:00:00|192.0.2.1|>|EHLO|srv1.example|0",
    "06:00:00|192.0.2.1|<|-|250-mx.example+Hello+[203.0.113.7]|0",
    "06:00:01|192.0.2.1|>|MAIL|FROM:<a@b.example>|0",
    "06:00:01|192.0.2.1|>|RCPT|TO:<c@d.example>|0",
    "06:00:01|192.0.2.1|<|-|250+2.1.0+OK|0",
    "06:00:01|192.0.2.1|<|-|550+5.7.64+Denied+srv1.example+is+untrustedroot.|0",
    "06:00:01|192.0.2.1|>|RSET|-|0",
    "06:00:01|192.0.2.1|<|-|250+OK|0",
    "06:00:02|192.0.2.1|>|QUIT|-|0",
    "06:00:02|192.0.2.1|<|-|221+Bye|0",
    "06:00:03|192.0.2.1|<|-|220+mx.example|0",
];

#[test]
fn what_was_sent_is_rebuilt_from_banner_to_goodbye() {
    check_sessions(Direction::Send, &SENT, &["11 medium true, 6 550 5.7.64 RCPT TO:<c@d.example>", "1 low false"]);
    let session = &sessions(Direction::Send, &log(&SENT))[0];
    assert_eq!(session.remote_name.as_deref(), Some("mx.example"));
    assert_eq!(session.egress_ip.as_deref(), Some("203.0.113.7"));
    assert_eq!(session.helo.as_deref(), Some("srv1.example"));
    assert_eq!(session.ended.map(|time| time.to_string()).as_deref(), Some("2024-03-01T06:00:02.000Z"));
    assert_eq!(session.messages[0].outcome, crate::MessageOutcome::Refused);
}

#[test]
fn starttls_is_answered_by_no_banner() {
    let rows = [
        "06:00:00|192.0.2.1|<|-|220+mx.example|0",
        "06:00:00|192.0.2.1|>|EHLO|srv1.example|0",
        "06:00:00|192.0.2.1|<|-|250-mx.example|0",
        "06:00:00|192.0.2.1|>|STARTTLS|-|0",
        "06:00:00|192.0.2.1|<|-|220+2.0.0+ready|0",
        "06:00:01|192.0.2.1|>|EHLO|srv1.example|0",
        "06:00:01|192.0.2.1|<|-|250-mx.example|0",
        "06:00:02|192.0.2.1|>|QUIT|-|0",
        "06:00:02|192.0.2.1|<|-|221+Bye|0",
    ];
    check_sessions(Direction::Send, &rows, &["9 medium true"]);
    let received = [
        "06:00:00|192.0.2.7|client|EHLO|+client|250",
        "06:00:00|192.0.2.7|client|STARTTLS|-|220",
        "06:00:01|192.0.2.7|client|EHLO|+client|250",
        "06:00:02|192.0.2.7|client|QUIT|client|240",
    ];
    check_sessions(Direction::Receive, &received, &["4 medium true"]);
}

#[test]
fn two_connections_of_a_remote_at_once_are_doubtful() {
    // A second banner breaks the first session, whose rows go on in the second.
    let second = "06:00:01|192.0.2.1|<|-|220+mx.example|0";
    let rows = [&SENT[..3], &[second], &SENT[3..11]].concat();
    check_sessions(Direction::Send, &rows, &["3 low false", "9 low true, 4 550 5.7.64 RCPT TO:<c@d.example>"]);
    // Another remote at the same time does no harm.
    let other: Vec<String> = SENT.iter().map(|row| row.replace("192.0.2.1", "192.0.2.2")).collect();
    let rows: Vec<&str> = SENT[..11].iter().zip(&other).flat_map(|(row, other)| [*row, other.as_str()]).collect();
    let session = "11 medium true, 6 550 5.7.64 RCPT TO:<c@d.example>";
    check_sessions(Direction::Send, &rows, &[session, session]);
}

#[test]
fn what_was_received_is_rebuilt_from_greeting_to_quit() {
    let rows = [
        "06:00:00|192.0.2.7|-|xxxx|+client|500",
        "06:00:00|192.0.2.7|client|HELO|+client|250",
        "06:00:00|192.0.2.7|client|MAIL|+FROM:<a@b.example>|250",
        "06:00:00|192.0.2.7|client|RCPT|+TO:<c@d.example>|550",
        "06:00:01|192.0.2.7|client|RCPT|+TO:<e@d.example>|250",
        "06:00:02|192.0.2.7|client|DATA|+<1$2@client>|250",
        "06:00:02|192.0.2.7|client|QUIT|client|240",
        "06:00:09|192.0.2.7|-|QUIT|-|240",
    ];
    let first = "7 medium true, 0 500 - xxxx client, 3 550 - RCPT TO:<c@d.example>";
    check_sessions(Direction::Receive, &rows, &[first, "1 medium true"]);
    let session = &sessions(Direction::Receive, &log(&rows))[0];
    let message = &session.messages[0];
    assert_eq!(message.message_id.as_deref(), Some("<1$2@client>"));
    assert_eq!(message.outcome, crate::MessageOutcome::Partial);
    assert_eq!((session.helo.as_deref(), session.remote.as_deref()), (Some("client"), Some("192.0.2.7")));
}

#[test]
fn a_client_that_changes_its_name_or_never_leaves_is_doubtful() {
    let renamed = [
        "06:00:00|192.0.2.7|a|EHLO|+a|250",
        "06:00:00|192.0.2.7|b|MAIL|+FROM:<a@b.example>|250",
        "06:00:02|192.0.2.7|a|QUIT|a|240",
    ];
    check_sessions(Direction::Receive, &renamed, &["3 low true"]);
    let twice = [
        "06:00:00|192.0.2.7|a|EHLO|+a|250",
        "06:00:00|192.0.2.7|a|MAIL|+FROM:<a@b.example>|250",
        "06:00:00|192.0.2.7|a|MAIL|+FROM:<a@b.example>|503",
        "06:00:02|192.0.2.7|a|QUIT|a|240",
    ];
    check_sessions(Direction::Receive, &twice, &["4 low true, 2 503 - MAIL FROM:<a@b.example>"]);
    let lost = [
        "06:00:00|192.0.2.7|a|EHLO|+a|250",
        "06:15:01|192.0.2.7|a|MAIL|+FROM:<a@b.example>|250",
        "06:16:00|192.0.2.7|a|EHLO|+a|250",
        "06:17:00|192.0.2.7|a|TIMEOUT|a|121",
    ];
    check_sessions(Direction::Receive, &lost, &["1 low false", "1 low false", "2 medium true"]);
}

#[test]
fn without_exact_times_nothing_is_sure() {
    let row = |verb: &str| {
        format!("192.0.2.7, a, 8/18/06, 13:17:37, SMTPSVC1, M, 10.0.0.1, 0, 0, 0, 250, 0, {verb}, -, -,\r\n")
    };
    let found = sessions(Direction::Receive, &[row("EHLO"), row("QUIT")].concat());
    assert_eq!((found.len(), found[0].complete, found[0].rebuilt), (1, true, Some(Confidence::Low)));
}

/// Rows as they come, and what is not one.
fn any_row() -> impl Strategy<Value = String> {
    let second = 0..1_800u32;
    let remote = prop::sample::select(vec!["192.0.2.1", "192.0.2.2", "2001:db8::7", "-"]);
    let rest = prop::sample::select(vec![
        "OutboundConnectionResponse SMTPSVC1 S - 25 - - 220+mx 0",
        "OutboundConnectionResponse SMTPSVC1 S - 25 - - 250-OK 0",
        "OutboundConnectionResponse SMTPSVC1 S - 25 - - 221+Bye 0",
        "OutboundConnectionCommand SMTPSVC1 S - 25 STARTTLS - - 0",
        "OutboundConnectionCommand SMTPSVC1 S - 25 EHLO - s 0",
        "a SMTPSVC1 S 10.0.0.1 0 EHLO - +a 250",
        "- SMTPSVC1 S 10.0.0.1 0 xxxx - +a 500",
        "a SMTPSVC1 S 10.0.0.1 0 STARTTLS - - 220",
        "a SMTPSVC1 S 10.0.0.1 0 MAIL - +FROM:<a@b> 250",
        "a SMTPSVC1 S 10.0.0.1 0 QUIT - a 240",
    ]);
    let row = (second, remote, rest).prop_map(|(second, remote, rest)| {
        format!("2024-03-01 06:{:02}:{:02} {remote} {rest} 0 0 0 0 SMTP - - - -\r\n", second / 60, second % 60)
    });
    let other = prop::sample::select(vec!["nothing\r\n", "\n", "#Date: 2024-03-02 00:00:00\n", "#Fields: x\n"]);
    prop_oneof![9 => row, 1 => other.prop_map(str::to_owned)]
}

/// Sequences of rows of each session, by where they begin, once blocks that were read apart are put together again.
fn joined(blocks: &[&str], direction: Direction) -> Vec<(u64, crate::fragment::Span)> {
    let mut columns = Columns { direction: Some(direction), ..Columns::NONE };
    let mut offset = 0;
    let mut parts: Vec<Fragment> = Vec::new();
    for block in blocks {
        let mut fragments = Fragments::default();
        fragments.begin(0);
        Iis.read(&mut columns, block.as_bytes(), offset, &mut fragments);
        offset += block.len() as u64;
        fragments.end();
        parts.extend(fragments.drain_finished());
    }
    parts.sort_by_key(|part| (part.session, part.offset));
    let mut found: Vec<(SessionKey, u64, crate::fragment::Span)> = Vec::new();
    for part in parts {
        match found.last_mut() {
            Some((session, _, span)) if *session == part.session && span.is_continued_in_source(&part.span) => {
                *span = span.joined(&part.span);
            }
            last => {
                if let Some((_, _, span)) = last.filter(|(session, ..)| *session == part.session) {
                    span.ended = true; // Broken is broken.
                }
                found.push((part.session, part.offset, part.span));
            }
        }
    }
    found.into_iter().map(|(_, offset, span)| (offset, span)).collect()
}

type SessionKey = crate::SessionId;

proptest! {
    #[test]
    fn any_cut_gives_the_same_sessions(rows in vec(any_row(), 1..60), cuts in vec(any::<Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        let blocks: Vec<String> = cuts.windows(2).map(|cut| rows[cut[0]..cut[1]].concat()).collect();
        let blocks: Vec<&str> = [FULL].into_iter().chain(blocks.iter().map(String::as_str)).collect();
        for direction in Direction::ALL {
            let whole = [FULL, &rows.concat()].concat();
            prop_assert_eq!(joined(&blocks, direction), joined(&[&whole], direction));
        }
    }

    #[test]
    fn any_bytes_are_rows_or_rejected(bytes in vec(any::<u8>(), 0..300), line in any_row(), at in any::<Index>()) {
        let mut log = line.into_bytes();
        let at = at.index(log.len());
        log.splice(at..at, bytes);
        let mut fragments = Fragments::default();
        fragments.begin(0);
        Iis.read(&mut Columns::NONE.clone(), &log, 1, &mut fragments);
        let lines = log.split(|&byte| byte == b'\n').map(|line| trim_line(line, 1));
        let rows = lines.filter(|line| !line.is_empty() && line[0] != b'#').count();
        let counts = fragments.end();
        prop_assert_eq!(counts.kept + counts.rejected, rows as u64);
    }
}
