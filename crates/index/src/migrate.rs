//! Migration: a store of an older layout is brought up to date by the first run that writes to it.
//!
//! The catalog is changed and every split rewritten in one transaction, so a run that is killed leaves the old store.
//!
//! | layout | what came with it |
//! |---|---|
//! | 1 | each session a tantivy document; not read any more |
//! | 2 | columns and words |
//! | 3 | followed links ([`crate::split::columns::followed`]); a source's last line without its end is remembered |
//! | 4 | evidence; files that are no logs are looked at once more for it |
//! | 5 | exports: the run that brought a session, the time of its negotiations, the hashes of the rows of its events |
//! | 6 | where the rows of events lie; what an export selects |
//!
//! What sessions of before layouts 5 and 6 lack is read as not known.

use std::path::Path;

use rusqlite::{Connection, Transaction};
use smtplog::Timestamp;

use crate::{
    StoreError,
    catalog::{self, LAYOUT, Meta},
    evidence, exports,
    rewrite::{Failure, Old, rewrite},
    split::bundle::Layout,
    writer::{now_ms, sync_folder},
};

/// The oldest layout that is brought up to date.
pub(crate) const OLDEST_LAYOUT: i64 = 2;

/// Brings a store of layout `found` up to date.
pub(crate) fn migrate(connection: &mut Connection, store: &Path, found: i64) -> Result<(), StoreError> {
    let folder = store.join("splits");
    let transaction = connection.transaction()?;
    if found < 5 {
        transaction.execute_batch("ALTER TABLE splits ADD COLUMN newest_run INTEGER NOT NULL DEFAULT 0")?;
    }
    if found < 3 {
        transaction.execute_batch(
            "ALTER TABLE sources ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0;
             ALTER TABLE sources ADD COLUMN cut_session INTEGER",
        )?;
        let masked = catalog::masked(&transaction)?;
        for row in catalog::splits(&transaction)? {
            let old =
                Old { row: &row, masked: masked.get(&row.name).map_or(&[][..], Vec::as_slice), layout: Layout::Before };
            match rewrite(&folder, &[old], |_: Timestamp| true) {
                Ok(rewritten) => rewritten.publish(&transaction, now_ms())?,
                // It cannot be asked, before as after; what is whole must not wait for it.
                Err(Failure::Damaged { .. }) => {}
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        sync_folder(&folder)?;
        // Rows that were read twice were counted twice.
        Meta::RowsUnknown.add(&transaction, 1)?;
    }
    if found < 4 {
        add_evidence(&transaction)?;
    }
    if found == 5 {
        transaction.execute_batch("ALTER TABLE exports ADD COLUMN selection TEXT")?;
    }
    transaction.execute_batch(exports::TABLES)?;
    transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'layout'", [LAYOUT])?;
    transaction.commit()?;
    Ok(())
}

fn add_evidence(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    // An archive may hold evidence beside its logs.
    let logs = "SELECT path FROM sources WHERE path NOT IN (SELECT path FROM sources WHERE member IS NOT NULL)";
    transaction.execute(&format!("DELETE FROM files WHERE CAST(path AS TEXT) NOT IN ({logs})"), [])?;
    transaction.execute_batch(evidence::TABLES)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        Run, Store, Writer,
        query::{Query, samples},
        split::bundle::write_as_before,
    };

    fn all(store: &Store) -> Vec<String> {
        let query = Query::parse("*").unwrap();
        let mut sessions: Vec<String> =
            store.search(&query, &Default::default()).unwrap().sessions.iter().map(|one| format!("{one:?}")).collect();
        sessions.sort();
        sessions
    }

    #[test]
    fn a_store_of_the_layout_before_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path()).unwrap();
        let mut sink = writer.sink();
        for (number, has_via) in [(1, false), (2, true), (3, true)] {
            let mut session = samples::session();
            session.session.0 += number;
            session.replies[0].presented_via = has_via.then_some(session.session);
            sink.add(&session);
        }
        writer.publish(Run { sinks: vec![sink], ..Run::default() }, |_| String::new()).unwrap();
        writer.close().unwrap();
        let before = all(&Store::open(dir.path()).unwrap());
        assert_eq!(before.len(), 3);

        for entry in fs::read_dir(dir.path().join("splits")).unwrap() {
            write_as_before(&entry.unwrap().path());
        }
        let connection = Connection::open(catalog::path(dir.path())).unwrap();
        connection
            .execute_batch(
                "ALTER TABLE sources DROP COLUMN provisional; ALTER TABLE sources DROP COLUMN cut_session;
                 ALTER TABLE splits DROP COLUMN newest_run;
                 UPDATE meta SET value = 2 WHERE key = 'layout'",
            )
            .unwrap();
        drop(connection);
        let refused = Store::open(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("layout 2") && refused.contains("updates it"), "{refused}");

        Writer::open(dir.path()).unwrap().close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(all(&store), before);
        assert_eq!(store.verify().unwrap().faults, []);
    }
}
