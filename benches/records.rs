//! How fast are bytes cut into records, and records put together by session? Not assembled, not stored.

use std::{convert::Infallible, hint::black_box, sync::Mutex};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smtplog::{
    formats::{Columns, FORMATS},
    naive,
    reader::Fragments,
};
use testlog::{Generation, Part, Plan};

/// Every file begins with it; in the middle of one it would be a row that cannot be read.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One server's day of send and receive logs, all files one behind the other, and its rows.
fn log(generation: Generation) -> (Vec<u8>, u64) {
    let plan = Plan { seed: 5, servers: 1, days: 1, bytes_per_server: 8 << 20, generation, ..Plan::default() };
    let bytes = Mutex::new(Vec::new());
    let Ok(summary) = testlog::generate(&plan, 1, |part| {
        if let Part::Log(file) = part {
            bytes.lock().unwrap().extend_from_slice(file.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap());
        }
        Ok::<(), Infallible>(())
    });
    (bytes.into_inner().unwrap(), summary.totals.rows)
}

fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for (name, generation) in [("2010", Generation::Exchange2010), ("2019", Generation::Exchange2019)] {
        let (bytes, rows) = log(generation);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("fragments/{name}"), |bencher| {
            let mut fragments = Fragments::default();
            bencher.iter(|| {
                fragments.begin(0);
                FORMATS[0].read(&mut Columns::STANDARD.clone(), black_box(&bytes), 0, &mut fragments);
                let counts = fragments.end();
                assert_eq!((counts.kept, counts.rejected), (rows, 0));
                let finished: Vec<_> = fragments.drain_finished().collect();
                finished.into_iter().for_each(|fragment| fragments.recycle(fragment.rows));
            });
        });
        group.bench_function(format!("naive/{name}"), |bencher| {
            bencher.iter(|| assert_eq!(naive_records(black_box(&bytes)), rows));
        });
    }
    group.finish();
}

/// Records of the obvious reader: what the fast one is worth.
fn naive_records(bytes: &[u8]) -> u64 {
    let lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| naive::record(line, &Columns::STANDARD).is_ok()).count() as u64
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = exchange
}
criterion_main!(benches);
