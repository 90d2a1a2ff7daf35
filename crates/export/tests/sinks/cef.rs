//! CEF: what a reader of the format makes of the records.

use export::{Event, Field, Kind, sink, wrap_syslog};
use proptest::prelude::*;

use crate::{
    frames, lines,
    lines::{HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, Pairs},
    samples,
};

/// Fields that a key has as they are.
const PLAIN: &[(&str, Field)] = &[
    ("externalId", Field::Id),
    ("cs1", Field::Presented),
    ("cs2", Field::Received),
    ("cs3", Field::Status),
    ("cs4", Field::Connector),
    ("cs5", Field::PresentedSubject),
    ("cs6", Field::Session),
    ("cn1", Field::Code),
    ("cn2", Field::Sequence),
    ("cn3", Field::DurationMs),
    ("dvchost", Field::Server),
    ("smtptrailHelo", Field::Helo),
    ("smtptrailAttr", Field::Attr),
    ("smtptrailCommand", Field::Command),
    ("smtptrailPeerHost", Field::PeerHost),
    ("smtptrailMessageId", Field::MessageId),
    ("smtptrailMessageIds", Field::MessageIds),
    ("smtptrailTlsError", Field::TlsError),
    ("smtptrailTlsVersion", Field::TlsVersion),
    ("smtptrailCipher", Field::Cipher),
    ("smtptrailChainStatus", Field::ChainStatus),
    ("smtptrailPresentedIssuer", Field::PresentedIssuer),
    ("smtptrailPresentedSerial", Field::PresentedSerial),
    ("smtptrailPresentedNames", Field::PresentedNames),
    ("smtptrailErrors", Field::Errors),
    ("smtptrailStatuses", Field::Statuses),
    ("smtptrailSourceFile", Field::SourceFile),
    ("smtptrailMend", Field::Mend),
    ("smtptrailServers", Field::Servers),
    ("smtptrailRule", Field::Rule),
];

/// Reads a record: the seven fields of its header, and its extension.
fn parse(record: &str) -> (Vec<String>, Pairs) {
    let (mut header, mut field, mut letters) = (Vec::new(), String::new(), record.chars());
    while header.len() < 7 {
        match letters.next().expect("a header of seven fields") {
            '|' => header.push(std::mem::take(&mut field)),
            '\\' => field.push(letters.next().filter(|c| matches!(c, '|' | '\\')).expect("an escape of a header")),
            c => field.push(c),
        }
    }
    // A key stands between a blank and an equals sign that has no backslash; what the blank ends is the value before it.
    let mut pairs = Pairs::new();
    let (mut key, mut value, mut blank) = (None, String::new(), None);
    let mut add = |key: Option<String>, value: String| {
        if let Some(key) = key {
            assert!(pairs.insert(key, value).is_none());
        }
    };
    while let Some(c) = letters.next() {
        match c {
            '\\' => value.push(match letters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(c @ ('=' | '\\')) => c,
                other => panic!("an escape that is none: {other:?}"),
            }),
            '=' => {
                let next = value.split_off(blank.take().map_or(0, |blank| blank + 1));
                value.pop();
                add(key.replace(next), std::mem::take(&mut value));
            }
            ' ' => {
                blank = Some(value.len());
                value.push(' ');
            }
            c => value.push(c),
        }
    }
    add(key, value);
    (header, pairs)
}

fn severity(kind: Kind) -> &'static str {
    match kind {
        Kind::Refusal => "6",
        Kind::TlsFailed => "7",
        Kind::Finding => "8",
        _ => "2",
    }
}

fn check(event: &Event<'_>) {
    let cef = sink("cef").unwrap();
    let record = lines::record(cef, event);
    let (header, pairs) = parse(&record);
    let (kind, title) = (event.kind.as_str(), event.kind.title());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(header, ["CEF:0", "smtptrail", "smtptrail", version, kind, title, severity(event.kind)]);
    let room = MESSAGE_BYTES_MAX - HEADER_BYTES_MAX - record.len();
    let comes_back = |field| lines::comes_back(&event.value(field), |c| matches!(c, '\n' | '\r'));
    for (key, field) in PLAIN {
        lines::check(&pairs, key, *field, &comes_back(*field), room);
    }
    let senders = if event.kind == Kind::SessionEnd { Field::Senders } else { Field::From };
    lines::check(&pairs, "suser", senders, &comes_back(senders), room);
    assert_eq!(pairs["rt"], event.time.0.to_string());
    for key in pairs.keys().filter(|key| key.ends_with("Label")) {
        assert!(pairs.contains_key(key.trim_end_matches("Label")), "{key}");
    }
    let mut message = Vec::new();
    wrap_syslog(event, record.as_bytes(), &mut message);
    assert!(message.len() < record.len() + HEADER_BYTES_MAX && message.len() <= MESSAGE_BYTES_MAX);
}

#[test]
fn records() {
    let cef = sink("cef").unwrap();
    let mut text = String::new();
    samples::each_event(|name, event| {
        check(event);
        let record = lines::record(cef, event).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        text.push_str(&format!("{name}:\n{record}\n"));
    });
    insta::assert_snapshot!(text);
}

#[test]
fn addresses_stand_by_version_and_direction() {
    let (mut sessions, certificates) = samples::all();
    let mut check = |name: &str, local: &str, remote: &str, expected: [(&str, Option<&str>); 6]| {
        let session = &mut sessions.iter_mut().find(|(other, _)| *other == name).unwrap().1;
        (session.local, session.remote) = (Some(local.into()), Some(remote.into()));
        let view = samples::view(session, &certificates);
        let events = Event::of_session(&view, None);
        let (_, pairs) = parse(&lines::record(sink("cef").unwrap(), &events[0]));
        for (key, value) in expected {
            assert_eq!(pairs.get(key).map(String::as_str), value, "{name} {key}");
        }
    };
    let (four, six) = ("192.0.2.1:2525", "[2001:db8::5]:25");
    let expected = |src, c6a2, spt, dst, c6a3, direction| {
        [("src", src), ("c6a2", c6a2), ("spt", spt), ("dst", dst), ("c6a3", c6a3), ("deviceDirection", direction)]
    };
    check("refused", four, six, expected(Some("192.0.2.1"), None, Some("2525"), None, Some("2001:db8::5"), Some("1")));
    check("accepted", four, six, expected(None, Some("2001:db8::5"), Some("25"), Some("192.0.2.1"), None, Some("0")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn texts_come_back(texts in prop::collection::vec(frames::any_text(), 1..9)) {
        frames::each_event(&texts, check);
    }
}
