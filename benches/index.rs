//! How fast do sessions become a durable, searchable store?

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use index::Store;

mod fleet;

/// One worker: columns, words, records, the file, its fsync and the transaction that publishes it.
fn write(criterion: &mut Criterion) {
    let (sessions, totals) = fleet::sessions(4, 4, 24 << 20);
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(sessions.len() as u64));
    group.bench_function("write", |bencher| {
        let folder = || tempfile::tempdir().unwrap();
        bencher.iter_batched_ref(
            folder,
            |folder| fleet::write_store(folder.path(), &sessions),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let folder = tempfile::tempdir().unwrap();
    let bytes = fleet::write_store(folder.path(), &sessions);
    assert_eq!(Store::open(folder.path()).unwrap().info().sessions, totals.sessions);
    println!(
        "{:.1} bytes a session, {:.2} % of raw",
        bytes as f64 / sessions.len() as f64,
        100.0 * bytes as f64 / totals.bytes as f64
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = write
}
criterion_main!(benches);
