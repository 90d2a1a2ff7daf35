//! Receivers of syslog that go away without a word: what they did not read is sent again.

use std::time::Duration;

use crate::{
    collector::{Collector, Conduct},
    fleet::Fleet,
};

#[track_caller]
fn check(batch_bytes: &str, conduct: fn(usize) -> Conduct) {
    let fleet = Fleet::new();
    let collector = Collector::start(conduct);
    let address = collector.address.as_str();
    let ran = fleet.done(&["export", "--to", "syslog", "--address", address, "--batch-bytes", batch_bytes]);
    collector.end().are_at_least(&fleet.lines("syslog"));
    assert!(ran.err.contains("after a failure"), "{}", ran.err);
}

#[test]
fn one_that_leaves_in_the_middle_of_a_batch() {
    check("500000", |number| match number {
        0 | 3 => Conduct::Leaves(number + 10),
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
