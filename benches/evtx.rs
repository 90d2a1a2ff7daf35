//! How fast is a binary event log read, beside what the evtx crate needs to make XML of it?
//!
//! 100 MB are the chunks of a real log (`../shared/samples`, or where `SMTPTRAIL_SAMPLES` says) over and over; without
//! it there is nothing to measure. Both run on one thread.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use evidence::{Document, Fact, Reading, read};
use evtx::EvtxParser;

const BYTES: usize = 100_000_000;
const HEADER_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 65_536;

/// Records and checks of a certificate (events 11, 30, 41) of the sample.
const RECORDS: u64 = 340;
const CHECKS: u64 = 42 + 42 + 54;

fn sample() -> Option<Vec<u8>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, PathBuf::from);
    fs::read(folder.join("evtx/omerbenamram_CAPI2_Operational.evtx")).ok()
}

/// The sample's chunks `times` times. Neither reader asks the header how many chunks there are.
fn log(sample: &[u8], times: usize) -> Vec<u8> {
    let (header, chunks) = sample.split_at(HEADER_BYTES);
    let used: Vec<&[u8]> = chunks.chunks(CHUNK_BYTES).filter(|chunk| chunk.starts_with(b"ElfChnk\0")).collect();
    let mut log = header.to_vec();
    (0..times).for_each(|_| used.iter().for_each(|chunk| log.extend_from_slice(chunk)));
    log
}

fn checks(reading: &Reading) -> u64 {
    let counts = reading.found.iter().map(|found| match &found.fact {
        Fact::ChainCheck(check) => check.count,
        _ => 0,
    });
    counts.sum()
}

fn hundred_megabytes(criterion: &mut Criterion) {
    let Some(sample) = sample() else {
        eprintln!("SKIPPED: no samples; set SMTPTRAIL_SAMPLES to measure with them");
        return;
    };
    let times = BYTES.div_ceil(log(&sample, 1).len());
    let log = log(&sample, times);
    let mut group = criterion.benchmark_group("evtx");
    group.throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("dump", |bencher| {
        bencher.iter(|| {
            let mut parser = EvtxParser::from_read_seek(std::io::Cursor::new(&*log)).unwrap();
            let records = parser.records().map(|record| black_box(record.unwrap()));
            assert_eq!(records.count() as u64, RECORDS * times as u64);
        });
    });
    group.bench_function("facts", |bencher| {
        bencher.iter(|| {
            let (_, reading) = read(&Document { name: "log", bytes: black_box(&log) }).unwrap();
            assert_eq!((checks(&reading), reading.rejected), (CHECKS * times as u64, 0));
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = hundred_megabytes
}
criterion_main!(benches);
