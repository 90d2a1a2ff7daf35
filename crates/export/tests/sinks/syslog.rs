//! syslog: what a reader of RFC 5424 makes of the messages.

use export::{Event, Field, Kind, sink, wrap_syslog};
use proptest::prelude::*;
use smtplog::Timestamp;

use crate::{
    frames, lines,
    lines::{MESSAGE_BYTES_MAX, Pairs},
    samples,
};

/// A message, taken apart.
struct Message {
    priority: u8,
    time: Timestamp,
    hostname: String,
    app_name: String,
    procid: String,
    msgid: String,
    /// The element's id and its parameters.
    element: Option<(String, Pairs)>,
    msg: String,
}

/// Reads a message, as strictly as the RFC's grammar is.
fn parse(message: &str) -> Message {
    let (priority, rest) = message.strip_prefix('<').and_then(|rest| rest.split_once(">1 ")).unwrap();
    let mut words = rest.splitn(6, ' ');
    let mut word = |length_max: usize| {
        let word = words.next().unwrap();
        assert!(word.bytes().all(|byte| (33..=126).contains(&byte)), "{word:?}");
        assert!((1..=length_max).contains(&word.len()), "{word:?}");
        word.to_owned()
    };
    let time = word(32);
    let (hostname, app_name, procid, msgid) = (word(255), word(48), word(128), word(32));
    let rest = words.next().unwrap();
    let (element, msg) = match rest.strip_prefix("- ") {
        Some(msg) => (None, msg),
        None => {
            let (element, msg) = parse_element(rest);
            (Some(element), msg)
        }
    };
    Message {
        priority: priority.parse().unwrap(),
        time: Timestamp::from_log(time.as_bytes()).unwrap(),
        hostname,
        app_name,
        procid,
        msgid,
        element,
        msg: msg.to_owned(),
    }
}

/// Reads one element and gives back the message behind it.
fn parse_element(text: &str) -> ((String, Pairs), &str) {
    let is_name = |name: &str| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|byte| (33..=126).contains(&byte) && !matches!(byte, b'=' | b']' | b'"'))
    };
    let (id, mut rest) = text.strip_prefix('[').and_then(|rest| rest.split_once(' ')).unwrap();
    assert!(is_name(id), "{id:?}");
    let mut pairs = Pairs::new();
    loop {
        let (name, behind) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{name:?}");
        let (mut value, mut letters) = (String::new(), behind.chars());
        loop {
            match letters.next().unwrap() {
                '"' => break,
                '\\' => value.push(letters.next().filter(|c| matches!(c, '"' | '\\' | ']')).unwrap()),
                ']' => panic!("a bracket without a backslash"),
                c => value.push(c),
            }
        }
        assert!(pairs.insert(name.to_owned(), value).is_none(), "{name} stands there twice");
        let behind = letters.as_str();
        if let Some(msg) = behind.strip_prefix("] ") {
            return ((id.to_owned(), pairs), msg);
        }
        rest = behind.strip_prefix(' ').unwrap();
    }
}

fn check_header(event: &Event<'_>, message: &Message) {
    let severity = match event.kind {
        Kind::Finding => 3,
        Kind::Refusal | Kind::TlsFailed => 4,
        _ => 6,
    };
    assert_eq!(message.priority, 2 * 8 + severity);
    assert_eq!(message.time, event.time);
    let server = event.value(Field::Server);
    assert_eq!(message.hostname, server.to_text().as_deref().unwrap_or("-"));
    assert_eq!((message.app_name.as_str(), message.procid.as_str()), ("smtptrail", "-"));
    assert_eq!(message.msgid, event.kind.as_str());
}

fn check(event: &Event<'_>) {
    let record = lines::record(sink("syslog").unwrap(), event);
    assert!(record.len() <= MESSAGE_BYTES_MAX);
    let message = parse(&record);
    check_header(event, &message);
    assert!(message.msg.len() <= 1_023);
    let (id, pairs) = message.element.unwrap();
    assert_eq!(id, "smtptrail@32473");
    for field in Field::all() {
        let expected = lines::comes_back(&event.value(field), |_| false);
        lines::check(&pairs, field.name(), field, &expected, MESSAGE_BYTES_MAX - record.len());
    }
    let mut wrapped = Vec::new();
    wrap_syslog(event, b"CEF:0|x|", &mut wrapped);
    let wrapped = parse(std::str::from_utf8(&wrapped).unwrap());
    check_header(event, &wrapped);
    assert_eq!((wrapped.element.is_none(), wrapped.msg.as_str()), (true, "CEF:0|x|"));
}

#[test]
fn messages() {
    let syslog = sink("syslog").unwrap();
    let mut text = String::new();
    samples::each_event(|name, event| {
        check(event);
        text.push_str(&format!("{name}:\n{}\n", lines::record(syslog, event)));
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
