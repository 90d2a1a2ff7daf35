//! How fast are logs read on all cores, from the file to the session?

use std::{
    convert::Infallible,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ingest::{
    IncompleteSession, Limits, NothingKnown, Options, Progress, Sink,
    compression::{Codec, encode},
};
use smtplog::Session;
use testlog::{Part, Plan, Totals};

struct Discarded;

impl Sink for Discarded {
    fn session(&mut self, _: Session) {}

    fn incomplete(&mut self, _: IncompleteSession) {}
}

/// Writes a fleet in a codec, untouched for a day, so that it may be mapped.
fn write_fleet(folder: &Path, codec: Codec) -> Totals {
    let plan = Plan { seed: 5, servers: 4, days: 4, bytes_per_server: 24 << 20, ..Plan::default() };
    let Ok(summary) = testlog::generate(&plan, 2, |part| {
        if let Part::Log(file) = part {
            write_old(&folder.join(format!("{}{}", file.path, codec.suffix())), &encode(codec, &file.bytes).unwrap());
        }
        Ok::<(), Infallible>(())
    });
    summary.totals
}

/// Every file begins with it; in the middle of one it would be a row that cannot be read.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One large file: all logs of a server, one behind the other.
fn write_single(folder: &Path) -> Totals {
    let plan = Plan { seed: 5, servers: 1, days: 1, bytes_per_server: 96 << 20, ..Plan::default() };
    let content = std::sync::Mutex::new(Vec::new());
    let Ok(summary) = testlog::generate(&plan, 1, |part| {
        if let Part::Log(file) = part {
            content.lock().unwrap().extend_from_slice(file.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap());
        }
        Ok::<(), Infallible>(())
    });
    write_old(&folder.join("SEND20240301-1.LOG"), &content.into_inner().unwrap());
    summary.totals
}

fn write_old(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    let day_ago = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().write(true).open(path).unwrap().set_modified(day_ago).unwrap();
}

fn read(folder: &Path, threads: usize, mapping: bool, totals: &Totals) {
    let options =
        Options { threads, server: None, role: None, servers: Vec::new(), mapping, limits: Limits::default() };
    let outcome = ingest::run(&[folder.to_owned()], &options, &NothingKnown, &Progress::default(), || Discarded);
    let summary = outcome.unwrap().summary;
    assert_eq!((summary.kept, summary.rejected, summary.problems.len()), (totals.rows, 0, 0));
}

fn fleet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fleet");
    for codec in [Codec::Plain, Codec::Zstd, Codec::Gzip] {
        let folder = tempfile::tempdir().unwrap();
        let totals = write_fleet(folder.path(), codec);
        group.throughput(Throughput::Bytes(totals.bytes));
        for threads in [1, 2] {
            let name = format!("{codec:?}/{threads} threads");
            group.bench_function(name, |bencher| bencher.iter(|| read(folder.path(), threads, true, &totals)));
        }
    }
    group.finish();
}

fn large_file(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("large file");
    let folder = tempfile::tempdir().unwrap();
    let totals = write_single(folder.path());
    group.throughput(Throughput::Bytes(totals.bytes));
    for threads in [1, 2] {
        let name = format!("read/{threads} threads");
        group.bench_function(name, |bencher| bencher.iter(|| read(folder.path(), threads, true, &totals)));
    }
    // With a newer file beside it, it may be mapped.
    fs::write(folder.path().join("SEND20240302-1.LOG"), "").unwrap();
    for threads in [1, 2] {
        let name = format!("mapped/{threads} threads");
        group.bench_function(name, |bencher| bencher.iter(|| read(folder.path(), threads, true, &totals)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = fleet, large_file
}
criterion_main!(benches);
