//! LEEF: what a reader of the format makes of the records.

use export::{Event, Field, Kind, sink, wrap_syslog};
use proptest::prelude::*;

use crate::{
    frames, lines,
    lines::{HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, Pairs},
    samples,
};

/// Fields that a key has as they are.
const PLAIN: &[(&str, Field)] = &[
    ("eventUid", Field::Id),
    ("devTime", Field::Time),
    ("presentedSha1", Field::Presented),
    ("receivedSha1", Field::Received),
    ("replyCode", Field::Code),
    ("sequence", Field::Sequence),
    ("enhancedStatus", Field::Status),
    ("session", Field::Session),
    ("server", Field::Server),
    ("serverRole", Field::Role),
    ("direction", Field::Direction),
    ("connector", Field::Connector),
    ("presentedSubject", Field::PresentedSubject),
    ("presentedIssuer", Field::PresentedIssuer),
    ("presentedSerial", Field::PresentedSerial),
    ("presentedNames", Field::PresentedNames),
    ("helo", Field::Helo),
    ("remoteName", Field::RemoteName),
    ("attr", Field::Attr),
    ("command", Field::Command),
    ("peerHost", Field::PeerHost),
    ("messageId", Field::MessageId),
    ("messageIds", Field::MessageIds),
    ("tlsError", Field::TlsError),
    ("tlsVersion", Field::TlsVersion),
    ("cipher", Field::Cipher),
    ("chainStatus", Field::ChainStatus),
    ("errors", Field::Errors),
    ("statuses", Field::Statuses),
    ("sourceFile", Field::SourceFile),
    ("mend", Field::Mend),
    ("servers", Field::Servers),
    ("rule", Field::Rule),
];

/// Reads a record: the six fields of its header, and its attributes.
fn parse(record: &str) -> (Vec<&str>, Pairs) {
    let mut header: Vec<&str> = record.splitn(7, '|').collect();
    assert_eq!(header.len(), 7);
    let attributes = header.pop().unwrap();
    let delimiter = header[5].strip_prefix('x').and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let delimiter = delimiter.and_then(char::from_u32).unwrap();
    let mut pairs = Pairs::new();
    for attribute in attributes.split(delimiter) {
        let (key, value) = attribute.split_once('=').unwrap();
        assert!(pairs.insert(key.to_owned(), value.to_owned()).is_none(), "{key} stands there twice");
    }
    (header, pairs)
}

fn check(event: &Event<'_>) {
    let leef = sink("leef").unwrap();
    let record = lines::record(leef, event);
    let (header, pairs) = parse(&record);
    assert_eq!(header, ["LEEF:2.0", "smtptrail", "smtptrail", env!("CARGO_PKG_VERSION"), event.kind.as_str(), "x09"]);
    let room = MESSAGE_BYTES_MAX - HEADER_BYTES_MAX - record.len();
    let comes_back = |field| lines::comes_back(&event.value(field), |_| false);
    for (key, field) in PLAIN {
        lines::check(&pairs, key, *field, &comes_back(*field), room);
    }
    let recipients = if event.kind == Kind::SessionEnd { Field::Recipients } else { Field::To };
    lines::check(&pairs, "recipient", recipients, &comes_back(recipients), room);
    assert!((1..=10).contains(&pairs["sev"].parse::<u8>().unwrap()));
    let mut message = Vec::new();
    wrap_syslog(event, record.as_bytes(), &mut message);
    assert!(message.len() < record.len() + HEADER_BYTES_MAX && message.len() <= MESSAGE_BYTES_MAX);
}

#[test]
fn records() {
    let leef = sink("leef").unwrap();
    let mut text = String::new();
    samples::each_event(|name, event| {
        check(event);
        let record = lines::record(leef, event).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        text.push_str(&format!("{name}:\n{}\n", record.replace('\t', "\n\t")));
    });
    insta::assert_snapshot!(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn texts_come_back(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        frames::each_event(&texts, check);
    }
}
