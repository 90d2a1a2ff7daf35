//! Sessions from rows written out, each table a claim of CONTRACT 2 to 4.

use std::sync::Arc;

use super::Assembler;
use crate::{
    Direction, MessageOutcome, NegotiationVerb, ProxyRole, Role, RowPlace, Session, Stream, TlsOutcome,
    certificate::Certificate,
    formats::{Columns, LogFormat, exchange::Exchange},
    fragment::{Fragment, Stretch},
    reader::Fragments,
};

const PRESENTED: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";
const RECEIVED: &str = "256EE908AD8013D03E2B1BD2B0A954B4C72B7226";

/// One session from rows `event,data,context`, numbered from 0 and a second apart.
fn session(direction: Direction, rows: &[&str]) -> (Session, Vec<Certificate>) {
    let fragment = fragment(&log(rows));
    assert_eq!(fragment.span.records as usize, rows.len());
    let stream = Arc::new(Stream { server: "EX1".into(), role: Role::Hub, direction });
    let mut assembler = Assembler::default();
    let session = assembler.session(&stream, fragment.session, &fragment.span, &[fragment.stretch(0)]);
    (session, assembler.into_certificates())
}

fn log(rows: &[&str]) -> Vec<String> {
    let row = |(sequence, row): (usize, &&str)| {
        let (minute, second) = (sequence / 60, sequence % 60);
        format!(
            "2024-03-01T06:{minute:02}:{second:02}.000Z,Outbound,08DC399000800000,{sequence},10.0.0.10:22289,104.47.88.42:25,{row}\r\n"
        )
    };
    rows.iter().enumerate().map(row).collect()
}

/// The one fragment of a log.
fn fragment(log: &[String]) -> Fragment {
    fragment_at(0, log)
}

/// The same of a log's part that begins at this offset.
fn fragment_at(offset: usize, log: &[String]) -> Fragment {
    let mut fragments = Fragments::default();
    fragments.begin(0);
    Exchange.read(&mut Columns::STANDARD.clone(), log.concat().as_bytes(), offset as u64, &mut fragments);
    assert_eq!(fragments.end().rejected, 0);
    fragments.drain_finished().next().unwrap()
}

fn sent(rows: &[&str]) -> Session {
    session(Direction::Send, rows).0
}

/// `sequence code status presented to`, a line for each refusal.
#[track_caller]
fn check_refusals(direction: Direction, rows: &[&str], expected: &[&str]) {
    let session = session(direction, rows).0;
    let found: Vec<String> = session
        .replies
        .iter()
        .map(|reply| {
            let presented = reply.presented.map_or("-".to_owned(), |thumbprint| thumbprint.to_string()[..4].to_owned());
            let status = reply.status.as_deref().unwrap_or("-");
            format!("{} {} {status} {presented} {}", reply.sequence, reply.code, reply.to.as_deref().unwrap_or("-"))
        })
        .collect();
    assert_eq!(found, expected);
}

fn shown(kind: &str, thumbprint: &str) -> String {
    format!(
        "*, CN=a CN=b 0A1B {thumbprint} 2020-01-17T15:15:33.000Z 2025-01-17T15:15:33.000Z a,{kind} certificate Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names"
    )
}

#[test]
fn pipelined_replies_answer_commands_in_order() {
    check_refusals(
        Direction::Receive,
        &[
            "+,,",
            ">,220 ready,",
            "<,EHLO a,",
            ">,250 b Hello [1.2.3.4],",
            "<,MAIL FROM:<x@y>,",
            "<,RCPT TO:<p@q>,",
            "*,Tarpit for '0.00:00:05',",
            ">,250 2.1.0 Sender OK,",
            ">,550 5.7.1 Unable to relay,",
        ],
        &["8 550 5.7.1 - RCPT TO:<p@q>"],
    );
}

#[test]
fn a_banner_answers_no_command_even_if_the_client_spoke_first() {
    check_refusals(
        Direction::Receive,
        &["+,,", "<,EHLO early,", ">,554 5.7.1 No,", ">,503 5.5.1 Bad,"],
        &["2 554 5.7.1 - -", "3 503 5.5.1 - EHLO early"],
    );
}

#[test]
fn lines_of_one_reply_are_one_refusal() {
    let session = sent(&["+,,", "<,220 hi,", ">,RCPT TO:<p@q>,", "<,550-5.7.1 one,", "<,550 5.7.1 two,", "<,421 bye,"]);
    let texts: Vec<&str> = session.replies.iter().map(|reply| reply.text.as_str()).collect();
    assert_eq!(texts, ["one\ntwo", "bye"]);
    assert_eq!(session.replies[1].to, None);
    assert_eq!((session.codes(), session.statuses()), (vec![550, 421], vec!["5.7.1"]));
}

#[test]
fn challenges_leave_their_command_in_the_queue() {
    let session = session(
        Direction::Receive,
        &[
            "+,,",
            ">,220 hi,",
            "<,AUTH LOGIN,",
            ">,334 <authentication response>,",
            "<,dXNlcg==,",
            ">,334 <authentication response>,",
            "*,,Inbound AUTH LOGIN failed because of LogonDenied",
            "*,,User Name: user@contoso.com",
            ">,535 5.7.3 Authentication unsuccessful,",
        ],
    )
    .0;
    assert_eq!(session.replies[0].to.as_deref(), Some("AUTH LOGIN"));
    let auth = session.auth.unwrap();
    assert_eq!((auth.mechanism.as_deref(), auth.error.as_deref()), (Some("LOGIN"), Some("LogonDenied")));
    assert_eq!(auth.user.as_deref(), Some("user@contoso.com"));
}

#[test]
fn refusals_belong_to_the_negotiation_they_lie_in() {
    let other = RECEIVED.replace("256E", "AAAA");
    let (first, second) = (shown("Sending", PRESENTED), shown("Sending", &other));
    check_refusals(
        Direction::Send,
        &[
            "+,,",
            "<,220 hi,",
            ">,STARTTLS,",
            "<,220 2.0.0 ready,",
            &first,
            "*,,TLS negotiation failed with error UnknownCredentials",
            ">,MAIL FROM:<a@b>,",
            "<,550 5.7.64 no,",
            ">,STARTTLS,",
            "<,220 2.0.0 ready,",
            &second,
            ">,MAIL FROM:<a@b>,",
            "<,451 4.4.3 later,",
        ],
        &["7 550 5.7.64 9735 MAIL FROM:<a@b>", "12 451 4.4.3 AAAA MAIL FROM:<a@b>"],
    );
}

#[test]
fn certificates_prove_tls_only_with_an_ehlo_after_them() {
    let (presented, received) = (shown("Sending", PRESENTED), shown("Remote", RECEIVED));
    let begin = ["+,,", "<,220 hi,", ">,STARTTLS,", "<,220 2.0.0 ready,", &presented, &received];
    let with = |rows: &[&str]| sent(&[&begin[..], rows].concat()).tls.outcome;
    assert_eq!(with(&[]), TlsOutcome::None);
    assert_eq!(with(&[">,EHLO a,"]), TlsOutcome::Ok);
    assert_eq!(with(&["*,,TLS negotiation failed with error TimedOut", ">,EHLO a,"]), TlsOutcome::Failed);
}

#[test]
fn layout_a_takes_its_side_from_the_header_row() {
    let (session, certificates) = session(
        Direction::Send,
        &[
            "*,,Sending certificate",
            "*,CN=*.contoso.com,Certificate subject",
            r#"*,"CN=CA, O=x",Certificate issuer name"#,
            "*,0A1B,Certificate serial number",
            &format!("*,{PRESENTED},Certificate thumbprint"),
            "*,contoso.com;mail.contoso.com,Certificate alternate names",
            "*,,Received certificate",
            &format!("*,{RECEIVED},Certificate thumbprint"),
        ],
    );
    assert_eq!(session.presented().unwrap().to_string(), PRESENTED);
    assert_eq!(session.received().unwrap().to_string(), RECEIVED);
    assert_eq!(session.negotiations[0].verb, NegotiationVerb::Unknown);
    let presented = certificates.iter().find(|c| c.thumbprint.to_string() == PRESENTED).unwrap();
    assert_eq!((presented.issuer.as_str(), presented.names.as_str()), ("CN=CA, O=x", "contoso.com;mail.contoso.com"));
}

#[test]
fn behind_an_outbound_proxy_the_certificate_is_the_front_ends() {
    let certificate = shown("Sending", PRESENTED);
    let session = sent(&[
        "+,,",
        "<,220 fe,",
        ">,EHLO hub,",
        "<,250 fe Hello [10.0.0.1],",
        ">,X-ANONYMOUSTLS,",
        "<,220 2.0.0 ready,",
        &certificate,
        ">,EHLO hub,",
        "<,250 fe Hello [10.0.0.1],",
        ">,XPROXYTO DESTINATIONS=x PORT=25 SESSIONID=08DC399000800000,",
        "<,250 accepted,",
        ">,MAIL FROM:<a@b>,",
        "<,550 5.7.64 TenantAttribution; Relay Access Denied [x.y 2026-07-07T15:48:53.514Z 08DED27250BC5691],",
    ]);
    let reply = &session.replies[0];
    assert_eq!((reply.presented, reply.presented_via), (None, Some(session.session)));
    assert_eq!(reply.peer.as_ref().unwrap().host, "x.y");
    assert_eq!(session.proxy[0].role, ProxyRole::Origin);
    assert_eq!(session.egress_ip, None);
}

#[test]
fn messages_and_their_outcomes() {
    let session = sent(&[
        "+,,",
        "<,220 hi,",
        "*,,sending message with RecordId 5 and InternetMessageId <1@x>",
        ">,MAIL FROM:<a@b> SIZE=1,",
        ">,RCPT TO:<p@q>,",
        ">,RCPT TO:<r@s>,",
        "<,250 2.1.0 ok,",
        "<,250 2.1.5 ok,",
        "<,550 5.1.1 unknown,",
        ">,BDAT 10 LAST,",
        "<,250 2.6.0 queued,",
        ">,MAIL FROM:<>,",
        "<,250 2.1.0 ok,",
        ">,RCPT TO:<p@q>,",
        "<,550 5.1.1 unknown,",
        ">,MAIL FROM:<c@d>,",
    ]);
    let found: Vec<_> =
        session.messages.iter().map(|m| (m.message_id.as_deref(), m.from.as_str(), m.to.len(), m.outcome)).collect();
    let expected = [
        (Some("<1@x>"), "a@b", 2, MessageOutcome::Partial),
        (None, "", 1, MessageOutcome::Refused),
        (None, "c@d", 0, MessageOutcome::Unknown),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_send_session_that_never_connects_is_a_session() {
    let session = sent(&[
        "*,None,Set Session Permissions",
        "*,,attempting to connect",
        r#"*,,"Failed to connect. Winsock error code: 10061, Win32 error code: 10061, Error Message: refused""#,
    ]);
    assert_eq!((session.records, session.complete, session.errors.len()), (3, false, 1));
}

#[test]
fn a_cut_changes_nothing() {
    let rows = ["+,,", "<,220 hi,", ">,STARTTLS,", "<,220 b,", ">,MAIL FROM:<a@b>,", "<,550 no,", "-,,Local"];
    let log = log(&rows);
    let stream = Arc::new(Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send });
    for cut in 1..rows.len() {
        let (before, after) = (fragment(&log[..cut]), fragment_at(log[..cut].concat().len(), &log[cut..]));
        let span = before.span.joined(&after.span);
        let parts = [before.stretch(0), after.stretch(0)];
        assert_eq!(Assembler::default().session(&stream, before.session, &span, &parts), sent(&rows), "{cut}");
    }
}

#[test]
fn rows_from_before_they_had_offsets() {
    let rows = ["+,,", "<,220 hi,", ">,STARTTLS,", "<,550 no,", "-,,Local"];
    let new = fragment(&log(&rows));
    // A row's offset is the four bytes behind its first four.
    let mut old = Vec::new();
    let mut rest = &new.rows[..];
    while let Some(first) = crate::fragment::rows(rest).next() {
        let texts = [first.data, first.context, first.connector, first.local, first.remote];
        let length = 29 + texts.iter().map(|text| text.len()).sum::<usize>();
        old.extend([&rest[..4], &rest[8..length]].concat());
        rest = &rest[length..];
    }
    assert_eq!(old.len() + 4 * rows.len(), new.rows.len());
    let read = crate::fragment::without_offsets(&old);
    let stream = Arc::new(Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send });
    let stretch = Stretch { rows: &read, offset: 9, source: 0 };
    let mut expected = sent(&rows);
    expected.replies[0].row_place = None;
    assert_eq!(Assembler::default().session(&stream, new.session, &new.span, &[stretch]), expected);
    for cut in 0..old.len() {
        let before = crate::fragment::without_offsets(&old[..cut]);
        assert!(read.starts_with(&before) && before.len() < read.len());
    }
}

#[test]
fn rows_of_events_are_found_again() {
    let multi_line = [
        "+,,",
        ">,STARTTLS,",
        "<,220 2.0.0 SMTP server ready,",
        "*,,Sending certificate",
        "*,CN=mail.contoso.com,Certificate subject",
        "*,CN=ca,Certificate issuer name",
        "*,01,Certificate serial number",
        &format!("*,{PRESENTED},Certificate thumbprint"),
        "*,,Received certificate",
        &format!("*,{RECEIVED},Certificate thumbprint"),
        "*,,\"TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256\"",
        ">,MAIL FROM:<a@b>,",
        "<,550-5.7.64 TenantAttribution;,",
        "<,550 5.7.64 Relay Access Denied,",
    ];
    let session = sent(&multi_line);
    let [negotiation] = &session.negotiations[..] else { panic!("{:?}", session.negotiations) };
    let rows = &negotiation.rows;
    let numbers = [rows.presented, rows.received, rows.outcome].map(|mark| mark.unwrap().sequence);
    assert_eq!((negotiation.sequence, numbers), (1, [7, 9, 10]));
    assert_eq!(negotiation.time.0 - session.started.0, 1_000);

    // The hash says what the row says, and nothing of where it stands.
    let fragment = fragment(&log(&multi_line));
    let hashes: Vec<u64> = crate::fragment::rows(&fragment.rows).map(|row| row.content_hash()).collect();
    assert_eq!(rows.presented.unwrap().hash, hashes[7]);
    assert_eq!(session.replies[0].row_hash, hashes[12]);
    let data = b"550-5.7.64 TenantAttribution;";
    let head = [&(data.len() as u32).to_le_bytes()[..], &[0; 4], &[crate::record::Event::Received as u8]].concat();
    assert_eq!(hashes[12], xxhash_rust::xxh3::xxh3_64(&[&head, &data[..]].concat()));

    // The place says where, in the source that has it.
    let lines = log(&multi_line);
    let offset = |row: usize| Some(RowPlace { source: 0, offset: lines[..row].concat().len() as u64 });
    let places = [rows.presented, rows.received, rows.outcome].map(|mark| mark.unwrap().place);
    assert_eq!(places, [7, 9, 10].map(offset));
    assert_eq!(session.replies[0].row_place, offset(12));
    let (first, second) = (fragment_at(5_000_000_000, &lines[..8]), fragment_at(70, &lines[8..]));
    let stretches = [first.stretch(0), second.stretch(1)];
    let span = first.span.joined(&second.span);
    let joined = Assembler::default().session(&session.stream, session.session, &span, &stretches);
    let place = |source, offset| Some(RowPlace { source, offset });
    let rows = &joined.negotiations[0].rows;
    assert_eq!(rows.presented.unwrap().place, place(0, 5_000_000_000 + lines[..7].concat().len() as u64));
    assert_eq!(joined.replies[0].row_place, place(1, 70 + lines[8..12].concat().len() as u64));

    let elsewhere = sent(&[&["*,,attempting to connect"], &multi_line[..]].concat());
    assert_eq!(elsewhere.negotiations[0].rows.presented.map(|mark| mark.hash), Some(hashes[7]));

    // What only follows tells of, the first row stands for.
    let implied = [&multi_line[..10], &[">,EHLO a,"]].concat();
    let outcome = sent(&implied).negotiations[0].rows.outcome.unwrap();
    assert_eq!((outcome.sequence, outcome.hash, outcome.place), (1, hashes[1], offset(1)));
    let later = [&multi_line[..10], &[">,EHLO a,"], &multi_line[10..11]].concat();
    assert_eq!(sent(&later).negotiations[0].rows.outcome.map(|mark| mark.sequence), Some(11));

    // A failure is the outcome, whatever a row before it said.
    let failed = sent(&[
        ">,STARTTLS,",
        "*,,\"TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256\"",
        "*,,TLS negotiation failed with error UntrustedRoot",
    ]);
    assert_eq!(failed.negotiations[0].rows.outcome.map(|mark| mark.sequence), Some(2));
}
