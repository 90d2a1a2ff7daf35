//! How long does a question take: in a process that has asked before, and in a store that was just opened?

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use index::{
    SearchOptions, Store,
    query::{Field, Query},
};
use smtplog::Session;
use testlog::Totals;

mod fleet;

/// A question, and how many sessions are its answer.
struct Question {
    name: &'static str,
    text: String,
    sessions: u64,
}

/// The headline question and others. A scan of all sessions answers them, and the generator knows how many presented
/// the certificate themselves.
fn questions(sessions: &[Session], totals: &Totals, store: &Store) -> Vec<Question> {
    let is_relay = |status: &Option<String>| status.as_deref() == Some("5.7.64");
    let refused = totals.refusals.iter().filter(|row| is_relay(&row.status) && row.presented.is_some());
    let row = refused.max_by_key(|row| row.sessions).unwrap();
    let headline = format!("presented:{} status:5.7.64", row.presented.as_deref().unwrap());
    let query = Query::parse(&headline).unwrap();
    assert_eq!(sessions.iter().filter(|session| query.matches(session)).count() as u64, row.sessions);

    let question = |name: &'static str, text: String| {
        let query = Query::parse(&text).unwrap();
        let found = sessions.iter().filter(|session| query.matches_via(session, store)).count() as u64;
        assert!(found > 0, "{text}");
        Question { name, text, sessions: found }
    };
    let message = sessions.iter().flat_map(|session| &session.messages).find(|message| message.message_id.is_some());
    let message = message.unwrap();
    vec![
        question("thumbprint and status", headline),
        question("session id", format!("session:{}", sessions[sessions.len() / 2].session)),
        question("message id", format!("message_id:\"{}\"", message.message_id.as_ref().unwrap())),
        question("recipient", format!("to:{}", message.to[0])),
        question("address", "remote:104.47.0.0/16".to_owned()),
        question("phrase", "text:\"relay access denied\"".to_owned()),
    ]
}

fn ask(store: &Store, question: &Question) {
    let query = Query::parse(&question.text).unwrap();
    let hits = store.search(&query, &SearchOptions { limit: Some(10), ..SearchOptions::default() }).unwrap();
    assert_eq!((hits.total, hits.missing.len()), (question.sessions, 0), "{}", question.text);
}

fn count(folder: &Path, totals: &Totals) {
    let store = Store::open(folder).unwrap();
    let groups = store.group(&Query::parse("*").unwrap(), &[Field::Presented, Field::Status], None).unwrap();
    assert_eq!(groups.rows.iter().map(|row| row.replies).sum::<u64>(), totals.replies);
}

fn search(criterion: &mut Criterion) {
    // The size of the reference set that README's figures are about.
    let (sessions, totals) = fleet::sessions(10, 30, 100 << 20);
    let folder = tempfile::tempdir().unwrap();
    fleet::write_store(folder.path(), &sessions);
    let questions = questions(&sessions, &totals, &Store::open(folder.path()).unwrap());
    for (name, is_warm) in [("asked before", true), ("store just opened", false)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(sessions.len() as u64));
        for question in &questions {
            let store = Store::open(folder.path()).unwrap();
            group.bench_function(question.name, |bencher| match is_warm {
                true => bencher.iter(|| ask(&store, question)),
                false => bencher.iter(|| ask(&Store::open(folder.path()).unwrap(), question)),
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("count");
    group.throughput(Throughput::Elements(sessions.len() as u64));
    group.bench_function("by certificate and status", |bencher| bencher.iter(|| count(folder.path(), &totals)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = search
}
criterion_main!(benches);
