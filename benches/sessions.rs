//! How fast do rows become sessions? The rows lie ready in fragments; throughput is in bytes of the original log.

use std::{convert::Infallible, hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smtplog::{
    Direction, Role, Stream,
    assemble::Assembler,
    formats::{Columns, FORMATS},
    fragment::Fragment,
    reader::Fragments,
};
use testlog::{Generation, Part, Plan};

/// The sessions of one stream.
struct Rows {
    stream: Arc<Stream>,
    fragments: Vec<Fragment>,
}

/// One server's day: its streams, bytes, and refusals.
fn fragments(generation: Generation) -> (Vec<Rows>, u64, u64) {
    let plan = Plan { seed: 5, servers: 1, days: 1, bytes_per_server: 8 << 20, generation, ..Plan::default() };
    let (streams, bytes) = (std::sync::Mutex::new(Vec::new()), std::sync::atomic::AtomicU64::new(0));
    let Ok(summary) = testlog::generate(&plan, 1, |part| {
        if let Part::Log(file) = part {
            bytes.fetch_add(file.bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
            let direction = if file.path.contains("/SEND") { Direction::Send } else { Direction::Receive };
            let stream = Arc::new(Stream { server: "EX001".into(), role: Role::Unknown, direction });
            let mut fragments = Fragments::default();
            FORMATS[0].read(&mut Columns::STANDARD.clone(), &file.bytes, 0, &mut fragments);
            fragments.end();
            let fragments = fragments.drain_finished().collect();
            streams.lock().unwrap().push(Rows { stream, fragments });
        }
        Ok::<(), Infallible>(())
    });
    (streams.into_inner().unwrap(), bytes.into_inner(), summary.totals.replies)
}

fn assemble(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assemble");
    for (name, generation) in [("2010", Generation::Exchange2010), ("2019", Generation::Exchange2019)] {
        let (streams, bytes, refusals) = fragments(generation);
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut assembler = Assembler::default();
                let mut replies = 0;
                for Rows { stream, fragments } in black_box(&streams) {
                    for one in fragments {
                        let session = assembler.session(stream, one.session, &one.span, &[one.stretch(0)]);
                        replies += session.replies.len() as u64;
                    }
                }
                // Sessions that cross a file are two here, and a refusal of several lines can be cut.
                assert!(replies.abs_diff(refusals) <= 8, "{replies} {refusals}");
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = assemble
}
criterion_main!(benches);
