//! Selections: sessions that match, found once for whoever asks much of them.
//!
//! Who wants the newest sessions of many kinds, each before many moments, would have each question go through the whole
//! store. A selection goes through it once; a shortlist of it has what one more question leaves, in order of time, so
//! that the newest before any moment are a look away.

use std::sync::Arc;

use smtplog::{Session, Timestamp};

use crate::{
    StoreError,
    execute::Deadline,
    query::{Query, Window},
    split::read::SplitReader,
    store::{Answer, Store},
};

/// Sessions that match a query, not read yet. Splits that cannot be asked have none.
pub struct Selection<'s> {
    store: &'s Store,
    answers: Vec<Answer<'s>>,
}

/// Some of the sessions of a selection, not read yet.
pub struct Shortlist<'s> {
    store: &'s Store,
    splits: Vec<Arc<SplitReader>>,
    /// In order of their start.
    places: Vec<Place>,
}

/// Where a session is, by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    started: Timestamp,
    /// Its id, so that what starts at the same moment has an order that no split decides.
    session: u64,
    split: u32,
    document: u32,
}

impl Store {
    /// The sessions that match a query.
    pub fn select(&self, query: &Query) -> Result<Selection<'_>, StoreError> {
        let answers = self.answers(&self.resolve(query), Deadline::start(), &mut Vec::new())?;
        Ok(Selection { store: self, answers })
    }
}

impl<'s> Selection<'s> {
    /// Those of them that match one more query.
    pub fn shortlist(&self, query: &Query) -> Result<Shortlist<'s>, StoreError> {
        let mut list = Shortlist { store: self.store, splits: Vec::new(), places: Vec::new() };
        for answer in self.store.select(query)?.answers {
            let Some(own) = self.answers.iter().find(|own| own.row.name == answer.row.name) else { continue };
            let documents = answer.documents.and(&own.documents);
            let split = u32::try_from(list.splits.len()).unwrap_or(u32::MAX);
            let times = answer.split.times();
            let mut started_of = times.started_in_order();
            list.places.extend(documents.iter().filter_map(|document| {
                let (started, session) = (started_of(document)?, times.session.get(document)?);
                Some(Place { started, session, split, document })
            }));
            list.splits.push(Arc::clone(&answer.split));
        }
        list.places.sort_unstable();
        Ok(list)
    }
}

impl Shortlist<'_> {
    /// The newest of those that started in a window, the newest first. Those that cannot be read are left out.
    pub fn newest(&self, window: Window, most: usize) -> Vec<Session> {
        let below = |moment: Timestamp| self.places.partition_point(|place| place.started < moment);
        let begin = window.since.map_or(0, below);
        let end = window.until.map_or(self.places.len(), below);
        let places = self.places.get(begin..end).unwrap_or_default();
        let session = |place: &Place| {
            let split = self.splits.get(usize::try_from(place.split).ok()?)?;
            split.session(place.document, &split.times()).map(|session| self.store.named(session))
        };
        places.iter().rev().take(most).filter_map(session).collect()
    }
}

#[cfg(test)]
mod tests {
    use smtplog::Text;

    use super::*;
    use crate::{Run, SearchOptions, Sort, Writer, query::samples};

    #[test]
    fn a_shortlist_has_what_a_search_finds() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path()).unwrap();
        for run in 0..3 {
            let mut sink = writer.sink();
            for number in (run..40).step_by(3) {
                let mut session = samples::session();
                session.started = Timestamp(session.started.0 + number * 1_000);
                session.last = session.started;
                session.session.0 += number as u64;
                session.connector = Text::from(["Internet", "Office 365"][usize::from(number % 4 == 0)]);
                session.messages[0].to = vec![Text::from(["a@b.example", "c@d.example"][usize::from(number % 5 == 0)])];
                sink.add(&session);
            }
            writer.publish(Run { sinks: vec![sink], ..Run::default() }, |_| String::new()).unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        let second = |second: i64| Timestamp(samples::session().started.0 + second * 1_000);
        let selection = store.select(&Query::parse("connector:Internet").unwrap()).unwrap();
        for text in ["to:@b.example", "to:@d.example", "to:@nowhere.example", "*"] {
            let list = selection.shortlist(&Query::parse(text).unwrap()).unwrap();
            for (since, until) in
                [(None, None), (Some(7), None), (Some(3), Some(30)), (None, Some(0)), (Some(30), Some(3))]
            {
                let window = Window { since: since.map(second), until: until.map(second) };
                for most in [0, 1, 4, 100] {
                    let query = Query::parse(&format!("connector:Internet {text}")).unwrap().within(window);
                    let options = SearchOptions { limit: Some(most), sort: Sort::Newest };
                    let expected = store.search(&query, &options).unwrap().sessions;
                    assert_eq!(list.newest(window, most), expected, "{text} {window:?} {most}");
                }
            }
        }
    }
}
