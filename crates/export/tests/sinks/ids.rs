//! Ids follow from what an event tells, and from nothing else.

use std::collections::BTreeMap;

use export::{Certificates, Event, EventId, Field, SessionView, Value};
use smtplog::{Direction, SessionId, Thumbprint};

use crate::samples::{self, session};

fn ids(rows: &[String], first: u32) -> BTreeMap<String, EventId> {
    let (session, _) = session(Direction::Send, first, rows);
    let certificates = Certificates::default();
    let view = SessionView::new(&session, Vec::new(), &certificates);
    Event::of_session(&view, None).iter().map(|event| (event.kind.as_str().to_owned(), event.id)).collect()
}

#[test]
fn the_same_rows_have_the_same_ids() {
    let rows = samples::refused();
    assert_eq!(ids(&rows, 0), ids(&rows, 0));
    // A session that lacks its beginning tells of the rest under the same ids.
    let late = ids(&rows[15..], 15);
    let whole = ids(&rows, 0);
    for kind in ["refusal", "session-end"] {
        assert_eq!(late[kind], whole[kind], "{kind}");
    }
    let all: std::collections::BTreeSet<EventId> = whole.values().copied().collect();
    assert_eq!(all.len(), whole.len());
    assert_eq!(whole["refusal"].to_string().len(), 32);
    assert_eq!(EventId { revision: 2, ..whole["refusal"] }.to_string(), format!("{}-r2", whole["refusal"]));
}

#[test]
fn other_rows_have_other_ids() {
    let rows = samples::refused();
    let mut other = rows.clone();
    for row in &mut other {
        *row = row.replace("Relay Access Denied", "Relay Access denied");
    }
    assert_ne!(ids(&rows, 0)["refusal"], ids(&other, 0)["refusal"]);
    assert_eq!(ids(&rows, 0)["tls-negotiated"], ids(&other, 0)["tls-negotiated"]);
    // A row that an edited log has twice makes two events.
    let (mut session, _) = session(Direction::Send, 0, &rows);
    session.replies.push(session.replies[0].clone());
    let certificates = Certificates::default();
    let view = SessionView::new(&session, Vec::new(), &certificates);
    let refusals: Vec<EventId> =
        Event::of_session(&view, None).iter().filter(|event| event.reply.is_some()).map(|event| event.id).collect();
    assert_eq!(refusals.len(), 2);
    assert_ne!(refusals[0], refusals[1]);
    // A key hides what the ids are made of.
    let secret = Event::of_session(&view, Some(&[1; 32]));
    assert!(secret.iter().all(|event| !refusals.contains(&event.id)));
}

#[test]
fn content_changes_when_a_certificate_is_found() {
    let (sessions, certificates) = samples::all();
    let (_, proxied) = sessions.iter().find(|(name, _)| *name == "proxied").unwrap();
    let via = proxied.replies[0].presented_via.unwrap_or(SessionId(0));
    let content = |presented| {
        let view = SessionView::new(proxied, vec![export::Resolved { via, presented }], &certificates);
        assert_eq!(view.waits(), presented.is_none());
        let events = Event::of_session(&view, None);
        let refusal = events.iter().find(|event| event.reply.is_some()).unwrap();
        (refusal.id, refusal.content(), refusal.value(Field::Presented) == Value::None)
    };
    let (unknown, known) = (content(None), content(Some(Thumbprint([7; 20]))));
    assert_eq!(unknown.0, known.0);
    assert_ne!(unknown.1, known.1);
    assert_eq!((unknown.2, known.2), (true, false));
    assert_eq!(content(None), unknown);
}
