//! Receivers of syslog that get everything as it is, and those that go away without a word: what they did not read is
//! sent again.

use std::time::Duration;

use crate::{
    collector::{Collector, Conduct},
    fleet::Fleet,
};

/// A receiver over TCP, and one over TLS.
fn collectors(fleet: &Fleet, conduct: fn(usize) -> Conduct) -> [Collector; 2] {
    [Collector::start(conduct), Collector::start_tls(fleet.folder(), conduct)]
}

#[test]
fn every_record_comes_once_and_byte_for_byte() {
    let fleet = Fleet::new();
    for format in ["syslog", "cef", "leef"] {
        let expected = fleet.lines(format);
        for collector in collectors(&fleet, |_| Conduct::Reads(Duration::ZERO)) {
            fleet.done(&[&["export", "--to", format, "--batch-bytes", "500000"], &collector.how()[..]].concat());
            collector.end().records(format).are(&expected);
        }
    }
}

#[track_caller]
fn check(batch_bytes: &str, conduct: fn(usize) -> Conduct) {
    let fleet = Fleet::new();
    let expected = fleet.lines("syslog");
    for collector in collectors(&fleet, conduct) {
        let args = ["export", "--to", "syslog", "--batch-bytes", batch_bytes];
        let ran = fleet.done(&[&args[..], &collector.how()].concat());
        collector.end().are_at_least(&expected);
        assert!(ran.err.contains("after a failure"), "{}", ran.err);
    }
}

#[test]
fn one_that_leaves_in_the_middle_of_a_batch() {
    check("500000", |number| match number {
        0 | 3 => Conduct::Leaves(number * 10),
        _ => Conduct::Reads(Duration::ZERO),
    });
}

/// The sender sees the end of the stream, as from one that has read everything, and only later the reset.
#[test]
fn one_that_closes_before_everything_came() {
    check("1000000", |number| match number {
        1 => Conduct::ClosesFirst,
        _ => Conduct::Reads(Duration::ZERO),
    });
}
