//! From sessions to records: what is new in them, on every core.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ::index::{
    Sent, SentEvent, SentKey, Store,
    query::{Asking, Via},
};
use export::{Certificates, Columns, Event, Finding, Framing, Item, Kind, Redaction, Resolved, SessionView, Sink};
use smtplog::{Session, SessionId, Timestamp};

use crate::deliver::Batch;

/// What records are made of, and how.
pub(super) struct Maker<'a> {
    pub(super) store: &'a Store,
    pub(super) sink: &'static dyn Sink,
    pub(super) certificates: Certificates,
    pub(super) kinds: &'a [Kind],
    pub(super) redaction: Option<&'a Redaction>,
    /// Whether what was sent is remembered where it may change.
    pub(super) remembers: bool,
    /// The newest record of the store.
    pub(super) newest: Timestamp,
    pub(super) threads: usize,
    /// Whether each record gets a header of syslog.
    pub(super) needs_header: bool,
    pub(super) buffers: Buffers,
}

/// Records of some sessions or findings.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) batch: Batch,
    /// Events by kind, as in [`Kind::ALL`]; of a sink that has sessions, sessions.
    pub(super) counts: [u64; Kind::ALL.len()],
    /// Events that amend an earlier one.
    pub(super) amended: u64,
    /// What to remember.
    pub(super) sent: Vec<(SentKey, Option<Sent>)>,
}

impl Made {
    pub(super) fn events(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn count(&mut self, event: &Event<'_>) {
        self.counts[event.kind as usize] += 1;
        self.amended += u64::from(event.id.revision > 1);
    }
}

/// Batches that were sent, to be filled again: memory that is new every time costs as much as what is written into it.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Batch>>>);

impl Buffers {
    fn take(&self) -> Batch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a batch back.
    pub(super) fn give(&self, mut batch: Batch) {
        batch.bytes.clear();
        batch.ends.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

/// Milliseconds behind the newest record of the store after which nobody waits for a front end's log any more.
const WAITS_MS: i64 = 7 * 86_400_000;

impl Maker<'_> {
    /// Records of sessions, of which `known` says what was sent before.
    pub(super) fn sessions(&self, sessions: Vec<Session>, known: &HashMap<SentKey, Sent>) -> Made {
        let mut made = Made { batch: self.buffers.take(), ..Made::default() };
        for session in sessions {
            self.each_event(session, known, &mut made, |session, event, made| {
                let item = match self.sink.takes_sessions() {
                    true => Item::Session { session, id: event.id },
                    false => Item::Event(event),
                };
                self.put(item, event, made);
            });
        }
        made
    }

    /// Adds the events of sessions to a file of columns.
    pub(super) fn columns(
        &self,
        sessions: Vec<Session>,
        known: &HashMap<SentKey, Sent>,
        columns: &mut dyn Columns,
    ) -> Made {
        let mut made = Made::default();
        for session in sessions {
            self.each_event(session, known, &mut made, |_, event, made| {
                columns.add(event);
                made.count(event);
            });
        }
        made.batch.bytes = columns.take();
        made
    }

    /// Calls with every event of a session that is to be sent.
    fn each_event(
        &self,
        mut session: Session,
        known: &HashMap<SentKey, Sent>,
        made: &mut Made,
        mut with: impl FnMut(&Session, &Event<'_>, &mut Made),
    ) {
        // By the session as it is, before anything of it is hidden.
        let resolved = self.resolved(&session);
        if let Some(redaction) = self.redaction {
            redaction.session(&mut session);
        }
        let view = SessionView::new(&session, resolved, &self.certificates);
        let mut events = Event::of_session(&view, self.redaction.map(Redaction::secret));
        if self.remembers {
            self.remember(&view, &mut events, known, made);
        }
        let is_wanted = |event: &&Event<'_>| match self.sink.takes_sessions() {
            true => event.kind == Kind::SessionEnd,
            false => self.kinds.contains(&event.kind),
        };
        events.iter().filter(is_wanted).for_each(|event| with(&session, event, made));
    }

    /// Certificates behind proxies.
    fn resolved(&self, session: &Session) -> Vec<Resolved> {
        let mut links: Vec<SessionId> = session.replies.iter().filter_map(|reply| reply.presented_via).collect();
        links.sort_unstable();
        links.dedup();
        let asking = Asking::of(session);
        links.into_iter().map(|via| Resolved { via, presented: self.store.presented(&asking, via) }).collect()
    }

    /// Leaves only what is new, and notes what may change.
    fn remember(
        &self,
        view: &SessionView<'_>,
        events: &mut Vec<Event<'_>>,
        known: &HashMap<SentKey, Sent>,
        made: &mut Made,
    ) {
        let session = view.session;
        // Logs of a front end come within days, if they come.
        let waits = view.waits() && self.newest.0.saturating_sub(session.last.0) < WAITS_MS;
        let key = SentKey::session(&session.stream, session.session);
        let before = known.get(&key);
        let may_change = waits || !session.complete;
        if before.is_none() && !may_change {
            return;
        }
        let mut now = before.map(|sent| sent.events.clone()).unwrap_or_default();
        if self.sink.takes_sessions() {
            // A whole session is one record, which says all that its events say.
            let content = events.iter().fold(0, |all: u64, event| all.rotate_left(7) ^ event.content());
            events.retain(|event| event.kind == Kind::SessionEnd);
            note(events, &mut now, |_| content);
        } else {
            note(events, &mut now, |event| event.content());
        }
        // Once nothing can change any more, it is forgotten.
        let sent = may_change.then_some(Sent { events: now, waits, last: session.last });
        if sent.as_ref() != before {
            made.sent.push((key, sent));
        }
    }

    /// Records of findings, of which `known` says what was sent before.
    pub(super) fn findings(
        &self,
        findings: &mut [Finding],
        known: &HashMap<SentKey, Sent>,
        mut columns: Option<&mut (dyn Columns + 'static)>,
    ) -> Made {
        let mut made = Made::default();
        for finding in findings {
            if let Some(redaction) = self.redaction {
                redaction.finding(finding);
            }
            let mut events = vec![Event::of_finding(finding)];
            if self.remembers {
                let key = SentKey::finding(finding.id);
                let mut now = known.get(&key).map(|sent| sent.events.clone()).unwrap_or_default();
                note(&mut events, &mut now, |event| event.content());
                if !events.is_empty() {
                    made.sent.push((key, Some(Sent { events: now, waits: false, last: finding.to })));
                }
            }
            for event in &events {
                match &mut columns {
                    Some(columns) => {
                        columns.add(event);
                        made.count(event);
                    }
                    None => self.put(Item::Event(event), event, &mut made),
                }
            }
        }
        if let Some(columns) = columns {
            made.batch.bytes = columns.take();
        }
        made
    }

    fn put(&self, item: Item<'_>, event: &Event<'_>, made: &mut Made) {
        let begin = made.batch.bytes.len();
        if self.needs_header {
            let mut record = Vec::new();
            self.sink.put(item, &mut record);
            export::wrap_syslog(event, &record, &mut made.batch.bytes);
        } else {
            self.sink.put(item, &mut made.batch.bytes);
        }
        if made.batch.bytes.len() == begin {
            return;
        }
        if self.sink.framing() == Framing::Lines {
            made.batch.bytes.push(b'\n');
        }
        made.batch.ends.push(made.batch.bytes.len());
        made.count(event);
    }
}

/// Leaves the events that `sent` does not have with the same content, gives them their revision, and adds them to it.
fn note(events: &mut Vec<Event<'_>>, sent: &mut Vec<SentEvent>, content: impl Fn(&Event<'_>) -> u64) {
    events.retain_mut(|event| {
        let content = content(event);
        match sent.iter_mut().find(|one| one.id == event.id.base) {
            Some(known) if known.content == content => false,
            Some(known) => {
                (known.content, known.revision) = (content, known.revision + 1);
                event.id.revision = known.revision;
                true
            }
            None => {
                sent.push(SentEvent { id: event.id.base, content, revision: 1 });
                true
            }
        }
    });
}
