//! Whatever a log says, a record's frame holds: attackers write log texts.

use std::collections::BTreeSet;

use export::{Event, Finding, Framing, Item, SINKS, Sink};
use proptest::{prelude::*, sample::select};
use smtplog::{Session, Text};

use crate::samples;

/// What attackers write: formulas, separators, line ends, escape sequences, brackets of every kind, and long texts.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let nasty = [
        "=cmd|'/c calc'!A0",
        "@SUM(1)",
        "+1",
        "-1",
        "a|b\\|c=d\\=e",
        "line\nline\r\nline\u{85}\u{2028}x",
        "\u{1b}[31mred\u{7}\u{0}",
        "]\"\\[x@1 a=\"b\"]",
        "\t\u{b}\u{c}",
        "CEF:0|x|y|z|1|n|1|",
        "{\"a\":1}\n{\"index\":{}}",
        "\u{feff}\u{202e}\u{d7ff}\u{e000}\u{10ffff}",
        "",
        " ",
    ];
    prop_oneof![
        4 => select(nasty.to_vec()).prop_map(str::to_owned),
        2 => ".*".prop_map(|text| text),
        1 => (select(nasty.to_vec()), 1_000usize..1_000_000).prop_map(|(text, length)| {
            let text = if text.is_empty() { "A" } else { text };
            text.repeat(length / text.len())
        }),
    ]
}

fn put_everywhere(session: &mut Session, texts: &[String]) {
    let mut next = texts.iter().cycle().map(|text| Text::from(text.as_str()));
    let mut text = || next.next().unwrap_or_default();
    session.connector = text();
    for field in
        [&mut session.local, &mut session.remote, &mut session.remote_name, &mut session.helo, &mut session.egress_ip]
    {
        *field = Some(text());
    }
    for reply in &mut session.replies {
        (reply.text, reply.status, reply.attr, reply.to) = (text(), Some(text()), Some(text()), Some(text()));
        if let Some(peer) = &mut reply.peer {
            peer.host = text();
        }
    }
    for message in &mut session.messages {
        (message.from, message.message_id) = (text(), Some(text()));
        message.to.iter_mut().for_each(|to| *to = text());
    }
    for negotiation in &mut session.negotiations {
        negotiation.tls.error = Some(text());
        negotiation.tls.cipher = Some(text());
        negotiation.tls.version = Some(text());
        negotiation.tls.chain_status = Some(text());
    }
    session.errors.push(text());
    session.sources[0].file = text().as_str().into();
}

fn put_into_finding(finding: &mut Finding, texts: &[String]) {
    let mut next = texts.iter().cycle().cloned();
    let mut text = || next.next().unwrap_or_default();
    (finding.says, finding.text, finding.connector) = (text(), text(), text());
    finding.mend.iter_mut().for_each(|step| *step = text());
    finding.servers.iter_mut().for_each(|server| *server = text());
    finding.status = Some(text());
    if let Some(certificate) = &mut finding.certificate {
        (certificate.subject, certificate.issuer, certificate.serial) = (text(), text(), text());
        certificate.names = vec![text(), text()];
    }
}

/// Calls with every event of the samples with these texts.
pub(crate) fn each_event(texts: &[String], mut with: impl FnMut(&Event<'_>)) {
    let (sessions, certificates) = samples::all();
    for (_, mut session) in sessions {
        put_everywhere(&mut session, texts);
        let view = samples::view(&session, &certificates);
        Event::of_session(&view, None).iter().for_each(&mut with);
    }
    let mut finding = samples::finding();
    put_into_finding(&mut finding, texts);
    with(&Event::of_finding(&finding));
}

/// Every record that a sink makes of the samples with these texts.
fn records(sink: &dyn Sink, texts: &[String]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut put = |item: Item<'_>| {
        let mut record = Vec::new();
        sink.put(item, &mut record);
        records.push(record);
    };
    each_event(texts, |event| match (sink.takes_sessions(), event.view) {
        (false, _) => put(Item::Event(event)),
        (true, Some(view)) => put(Item::Session { session: view.session, id: event.id }),
        (true, None) => {}
    });
    records
}

/// Lines that a record of a sink has.
fn lines_of(sink: &dyn Sink) -> usize {
    match sink.name() {
        "elasticsearch" => 2, // What to do, and the document.
        _ => 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_a_frame(texts in prop::collection::vec(any_text(), 1..9)) {
        for sink in SINKS.iter().filter(|sink| sink.framing() != Framing::Columns) {
            let mut seen = BTreeSet::new();
            for record in records(*sink, &texts) {
                let text = std::str::from_utf8(&record).unwrap();
                prop_assert!(!record.is_empty(), "{}", sink.name());
                prop_assert_eq!(text.split('\n').count(), lines_of(*sink), "{}", sink.name());
                let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
                prop_assert!(!text.contains(is_control), "{}", sink.name());
                seen.insert(record);
            }
            prop_assert!(!seen.is_empty());
        }
    }
}
