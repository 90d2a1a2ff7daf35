//! Every state, and the borders between them.

use std::sync::Arc;

use smtplog::{Direction, Role};

use super::*;
use crate::HourOfDay;

const FULL: &str = "xxxxxxxxxxxxxxxxxxxxxxxx";

/// Hours after its end that a day comes by default: the night after.
const NIGHTLY: i64 = 2;

/// One hour of each day that an `x` stands for, each with its rows, `late` hours after the day's end.
fn rows(day: i64, hours: &str, late: i64) -> DayRows {
    let came = Timestamp((day + 1) * DAY_MS + late * HOUR_MS);
    let hour = |(hour, _)| HourOfDay { hour: hour as u8, kept: 10, rejected: 1, came };
    DayRows { hours: hours.bytes().enumerate().filter(|(_, byte)| *byte == b'x').map(hour).collect() }
}

fn log(server: &str, days: impl IntoIterator<Item = (i64, DayRows)>) -> StreamLog {
    let stream = Stream { server: Arc::from(server), role: Role::Hub, direction: Direction::Send };
    let days = days.into_iter().filter(|(_, rows)| !rows.hours.is_empty()).collect();
    StreamLog { stream, days, instances: Vec::new(), rowless: Vec::new(), damaged: Vec::new() }
}

/// Another stream of the fleet, of which `days` whole days and `hours` hours of one more are known.
fn fleet(days: i64, hours: usize) -> StreamLog {
    let whole = (0..days).map(|day| (day, rows(day, FULL, NIGHTLY)));
    log("FLEET", whole.chain([(days, rows(days, &FULL[..hours], NIGHTLY))]))
}

/// Judges one stream beside the fleet.
fn judged(own: StreamLog, fleet: StreamLog) -> Vec<DayCoverage> {
    judged_as_asked(own, fleet, &Bounds::default())
}

fn judged_as_asked(own: StreamLog, fleet: StreamLog, bounds: &Bounds) -> Vec<DayCoverage> {
    let server = Arc::clone(&own.stream.server);
    let mut streams = coverage(vec![own, fleet], bounds).streams;
    streams.retain(|stream| stream.stream.server == server);
    streams.remove(0).days
}

fn letters(days: &[DayCoverage], count: usize) -> String {
    let mut letters = vec!['.'; count];
    for day in days {
        letters[day.day as usize] = match day.state {
            State::Pruned => 'x',
            State::Present => 'P',
            State::Late => 'L',
            State::Gap => 'G',
            State::Missing => 'M',
            State::Silent => 'S',
        };
    }
    letters.into_iter().collect()
}

/// A letter for each day: `x` has rows in all of its hours.
#[track_caller]
fn check(days: &str, expected: &str) {
    let all = |(day, byte): (usize, u8)| (day as i64, rows(day as i64, if byte == b'x' { FULL } else { "" }, NIGHTLY));
    let days_judged = judged(log("EX1", days.bytes().enumerate().map(all)), fleet(days.len() as i64, 0));
    assert_eq!(letters(&days_judged, days.len()), expected, "{days}");
}

#[test]
fn days_are_missing_if_four_of_the_seven_before_had_rows() {
    check("xxxxxxx", "PPPPPPP");
    check("xxxxxxx.x", "PPPPPPPMP");
    check("xxxx...x", "PPPPSSSP");
    check("xxxx.x", "PPPPMP");
    check("xxx.x", "PPP.P"); // three days before
    check("x.x.x.xx", "P.P.P.PP"); // three of six
    check("x.x.x.x.x", "P.P.P.PMP"); // four of seven
    check("xxxx.......x", "PPPPSSSSSSSP"); // once silent, until the next rows
    check("xxxxx..xx..x", "PPPPPMMPPMMP"); // two days are not silence
}

#[test]
fn silence_lasts_to_the_newest_day_of_the_fleet() {
    check("xxxxxxx..", "PPPPPPPMM");
    check("xxxxxxx...", "PPPPPPPSSS");
    check("xxxxxxx................", "PPPPPPPSSSSSSSSSSSSSSSS");
}

#[test]
fn what_was_never_there_is_not_missing() {
    check(".......", ".......");
    check("..........xx", "..........PP"); // a stream that appears later
    check("x.......x.......x", "P.......P.......P"); // one that seldom has anything to log
}

/// Days as in [`check`]; `o` has rows in its last hour only, and `q` as many of them as other days have.
#[track_caller]
fn check_rest(days: &str, expected: &str) {
    let only_last = ".......................x";
    let rows_of = |(day, byte): (usize, u8)| {
        let mut of_day = rows(day as i64, if byte == b'x' { FULL } else { only_last }, NIGHTLY);
        if byte == b'q' {
            of_day.hours[0].kept *= 24;
        }
        (day as i64, of_day)
    };
    let days_judged = judged(log("EX1", days.bytes().enumerate().map(rows_of)), fleet(days.len() as i64, 0));
    assert_eq!(letters(&days_judged, days.len()), expected, "{days}");
}

#[test]
fn what_the_next_log_has_of_a_day_does_not_make_it_present() {
    check_rest("xxxxxxxox", "PPPPPPPMP");
    check_rest("xxxxooox", "PPPPSSSP");
    check_rest("xxxox", "PPPPP"); // nothing is expected yet
    check_rest("oooooooo", "PPPPPPPP"); // nothing else was ever there
    check_rest("xxxxxxxqx", "PPPPPPPGP"); // too much for what was only queued
}

/// The newest day, of which the fleet has so many hours, of a stream that has none of it.
#[track_caller]
fn check_newest(usual: &str, fleet_hours: usize, expected: &str) {
    let own = log("EX1", (0..7).map(|day| (day, rows(day, usual, NIGHTLY))));
    assert_eq!(letters(&judged(own, fleet(7, fleet_hours)), 8), expected, "{usual} {fleet_hours}");
}

#[test]
fn the_newest_day_is_judged_by_the_hours_that_are_known() {
    check_newest(FULL, 1, "PPPPPPP."); // the first hour has only begun
    check_newest(FULL, 2, "PPPPPPPM");
    check_newest("........xxxxxxxx........", 9, "PPPPPPP."); // opens at eight
    check_newest("........xxxxxxxx........", 10, "PPPPPPPM");
}

/// Days of a stream and of the fleet beside it, asked for until an hour after the last of them.
#[track_caller]
fn check_asked(days: &str, since: Option<i64>, until_hour: i64, expected: &str) {
    let all = |(day, byte): (usize, u8)| (day as i64, rows(day as i64, if byte == b'x' { FULL } else { "" }, NIGHTLY));
    let log = |server| log(server, days.bytes().enumerate().map(all));
    let bounds = Bounds {
        since: since.map(|day| Timestamp(day * DAY_MS)),
        pruned: None,
        until: Some(Timestamp(days.len() as i64 * DAY_MS + until_hour * HOUR_MS)),
    };
    let found = judged_as_asked(log("EX1"), log("FLEET"), &bounds);
    assert_eq!(letters(&found, expected.len()), expected, "{days} {until_hour}");
}

#[test]
fn a_whole_fleet_that_stops_is_missing_as_far_as_was_asked() {
    check_asked("xxxxxxx", None, 0, "PPPPPPP");
    check_asked("xxxxxxx", None, 10, "PPPPPPP."); // the day is not over
    check_asked("xxxxxxx", None, 24, "PPPPPPPM");
    check_asked("xxxxxxx", None, 34, "PPPPPPPM.");
    check_asked("xxxxxxx", None, 50, "PPPPPPPSSS"); // overdue: the third day counts, too
    check_asked("xxxxxxx", None, 72, "PPPPPPPSSS");
    check_asked("xxxxxxx", Some(9), 120, "PPPPPPP..SSS");
    check_asked("xxx", None, 120, "PPP....."); // too few days to expect more
    check_asked("xxxxxxx", None, -48, "PPPPPPP"); // what is known is known
}

#[test]
fn pruned_days_are_neither_there_nor_missing() {
    let all = |(day, byte): (usize, u8)| (day as i64, rows(day as i64, if byte == b'x' { FULL } else { "" }, NIGHTLY));
    let own = || log("EX1", "xxxxx.xx...x".bytes().enumerate().map(all));
    let with = |pruned| {
        let bounds = Bounds { pruned, ..Bounds::default() };
        letters(&judged_as_asked(own(), fleet(12, 0), &bounds), 12)
    };
    assert_eq!(with(None), "PPPPPMPPSSSP");
    assert_eq!(with(Some(Timestamp(7 * DAY_MS))), "xxxxxxxPSSSP");
    assert_eq!(with(Some(Timestamp(7 * DAY_MS + 1))), "xxxxxxxPSSSP", "of that day something is left");
    assert_eq!(with(Some(Timestamp(10 * DAY_MS))), "xxxxxxxxxxSP");
}

#[test]
fn the_newest_hour_is_that_of_the_fleet() {
    let newest = |logs| coverage(logs, &Bounds::default()).newest;
    assert_eq!(newest(vec![fleet(2, 0)]), Some(Timestamp((2 * HOURS - 1) * HOUR_MS)));
    assert_eq!(newest(vec![fleet(2, 5), fleet(1, 0)]), Some(Timestamp((2 * HOURS + 4) * HOUR_MS)));
    assert_eq!(newest(Vec::new()), None);
}

#[test]
fn a_damaged_date_is_no_day_of_the_fleet() {
    let lone = |day: i64| (day, DayRows { hours: vec![HourOfDay { kept: 9, ..rows(day, "x", NIGHTLY).hours[0] }] });
    let own = || (0..7).map(|day| (day, rows(day, FULL, NIGHTLY)));
    let mut other = fleet(7, 0);
    other.days.extend([lone(60)]);
    assert_eq!(letters(&judged(log("EX1", own()), other), 7), "PPPPPPP");
    let past = judged(log("EX1", own().chain([lone(-400_000)])), fleet(7, 0));
    assert_eq!(letters(&past[1..], 7), "PPPPPPP");
}

#[test]
fn rows_of_a_wrong_clock_count_in_no_day() {
    // Days 30 and 31 are read on day 30: what lies more than a day ahead cannot have happened.
    let ahead = |day: i64| (day, rows(day, FULL, 24 * (29 - day)));
    let own = (0..7).map(|day| (day, rows(day, FULL, NIGHTLY))).chain([ahead(40)]);
    assert_eq!(letters(&judged(log("EX1", own), fleet(7, 0)), 7), "PPPPPPP");
}

/// Hours of the days that follow seven full ones, and in the end those that are quiet, as day and hours.
#[track_caller]
fn check_quiet(days: &[&str], fleet_hours: usize, expected: &[(i64, i64, i64)]) {
    let full = (0..7).map(|day| (day, rows(day, FULL, NIGHTLY)));
    let own = days.iter().enumerate().map(|(n, hours)| (7 + n as i64, rows(7 + n as i64, hours, NIGHTLY)));
    let whole = 7 + days.len() as i64;
    let fleet = if fleet_hours == 0 { fleet(whole, 0) } else { fleet(whole - 1, fleet_hours) };
    let days_judged = judged(log("EX1", full.chain(own)), fleet);
    let hour = |time: Timestamp, day: i64| time.0 / HOUR_MS - day * HOURS;
    let quiet = days_judged.iter().flat_map(|day| day.quiet.iter().map(|range| (day.day, range.clone())));
    let found: Vec<_> = quiet.map(|(day, range)| (day, hour(range.start, day), hour(range.end, day))).collect();
    assert_eq!(found, expected, "{days:?}");
    let gaps = days_judged.iter().filter(|day| day.state == State::Gap).map(|day| day.day);
    let mut expected_days: Vec<i64> = expected.iter().map(|quiet| quiet.0).collect();
    expected_days.dedup();
    assert_eq!(gaps.collect::<Vec<_>>(), expected_days);
}

#[test]
fn more_than_three_hours_without_rows_are_a_gap() {
    check_quiet(&["xxxxxxxxxx..xxxxxxxxxxxx"], 0, &[]);
    check_quiet(&["xxxxxxxxxx...xxxxxxxxxxx"], 0, &[(7, 10, 13)]);
    check_quiet(&["...xxxxxxxx..xxx....xxxx"], 0, &[(7, 0, 3), (7, 16, 20)]);
    // Over midnight, in parts that would be too short by themselves.
    check_quiet(&["xxxxxxxxxxxxxxxxxxxxxx..", ".xxxxxxxxxxxxxxxxxxxxxxx"], 0, &[(7, 22, 24), (8, 0, 1)]);
    check_quiet(&["xxxxxxxxxxxxxxxxxxxxxxx.", ".xxxxxxxxxxxxxxxxxxxxxxx"], 0, &[]);
    // A day that is missing as a whole is no gap of its neighbours.
    check_quiet(&["xxxxxxxxxxxxxxxxxxxxxx..", "", "..xxxxxxxxxxxxxxxxxxxxxx"], 0, &[]);
}

#[test]
fn hours_are_expected_as_days_are() {
    let afternoon = "............xxxxxxxxxxxx";
    // Quiet mornings are news for three days; on the fourth only four of seven had one, on the fifth three.
    let gap = |day| (day, 0, 12);
    check_quiet(&[afternoon; 6], 0, &[gap(7), gap(8), gap(9), gap(10)]);
}

#[test]
fn hours_that_the_fleet_has_not_reached_are_no_gap() {
    check_quiet(&["xxxx...................."], 8, &[(7, 4, 7)]);
    check_quiet(&["xxxx...................."], 7, &[]);
}

/// Days with the hours after their end at which they came.
#[track_caller]
fn check_late(came: &[i64], expected: &str) {
    let own = came.iter().enumerate().map(|(day, &late)| (day as i64, rows(day as i64, FULL, late)));
    assert_eq!(letters(&judged(log("EX1", own), fleet(came.len() as i64, 0)), came.len()), expected, "{came:?}");
}

#[test]
fn a_day_is_late_more_than_24_hours_after_its_end() {
    check_late(&[2, 24, 25, 2], "PPLP");
    // All of it brought by the first run, on the night after the last day: nobody was late.
    check_late(&[74, 50, 26, 2], "PPPP");
    // The stream was known when these days ended, or within the 24 hours after.
    check_late(&[74, 50, 26, 72, 48], "PPPLL");
}

#[test]
fn stragglers_do_not_make_a_day_late() {
    let day_with = |late_hours: usize| {
        let mut day = rows(1, FULL, NIGHTLY);
        for hour in &mut day.hours[24 - late_hours..] {
            hour.came = Timestamp(2 * DAY_MS + 72 * HOUR_MS);
        }
        let own = log("EX1", [(0, rows(0, FULL, NIGHTLY)), (1, day)]);
        letters(&judged(own, fleet(2, 0)), 2)
    };
    assert_eq!([day_with(2), day_with(3)], ["PP", "PL"]);
}

/// Numbers of a stamp's instances, and the ranges that are absent.
#[track_caller]
fn check_absent(stamp: u64, numbers: &[u32], expected: &[(u32, u32)]) {
    check_absent_beside(stamp, numbers, &[], expected);
}

#[track_caller]
fn check_absent_beside(stamp: u64, numbers: &[u32], rowless: &[u32], expected: &[(u32, u32)]) {
    let day = day_of_stamp(20_240_301).unwrap();
    let mut own = log("EX1", [(day, rows(day, FULL, NIGHTLY))]);
    let instances = |numbers: &[u32]| numbers.iter().map(|&number| Instance { stamp, number }).collect();
    (own.instances, own.rowless) = (instances(numbers), instances(rowless));
    let days = judged(own, fleet(0, 1));
    let found: Vec<_> = days[0].absent.iter().map(|absent| (absent.first, absent.last)).collect();
    assert_eq!((days.len(), &found[..]), (1, expected), "{stamp} {numbers:?}");
    assert_eq!(days[0].state, if expected.is_empty() { State::Present } else { State::Gap });
}

#[test]
fn instances_are_absent_between_two_others() {
    check_absent(2_024_030_106, &[1, 2, 3], &[]);
    check_absent(2_024_030_106, &[3, 1], &[(2, 2)]);
    check_absent(20_240_301, &[1, 4, 5, 9], &[(2, 3), (6, 8)]);
    check_absent(20_240_301, &[2, 2, 3], &[]); // the first may never have been there
    check_absent(20_240_301, &[1, u32::MAX], &[(2, u32::MAX - 1)]);
    check_absent(20_241_301, &[1, 3], &[]); // no month
}

#[test]
fn files_without_rows_are_there_and_bound_no_gap() {
    check_absent_beside(20_240_301, &[1, 4], &[2], &[(3, 3)]);
    check_absent_beside(20_240_301, &[1, 4], &[1, 2, 3, 3], &[]);
    check_absent_beside(20_240_301, &[3, 4], &[1, 7], &[]);
    check_absent_beside(20_240_301, &[], &[1, 7], &[]);
}

#[test]
fn what_a_damaged_file_has_lost_is_a_gap_of_its_day() {
    let stamp = 20_240_301;
    let instance = |number: u32| Instance { stamp, number };
    let day = day_of_stamp(stamp).unwrap();
    let mut own = log("EX1", [(day, rows(day, FULL, NIGHTLY))]);
    own.instances = vec![instance(1), instance(3)];
    own.damaged = vec![instance(2), instance(1), instance(2), Instance { stamp: 20_240_303, number: 7 }];
    let days = judged(own, fleet(0, 1));
    let found: Vec<_> = days.iter().map(|day| (day.day, day.state, day.absent.len(), day.damaged.clone())).collect();
    let other = Instance { stamp: 20_240_303, number: 7 };
    // The second is not absent: it is there, and cannot be read.
    let expected = [(day, State::Gap, 0, vec![instance(1), instance(2)]), (day + 2, State::Gap, 0, vec![other])];
    assert_eq!(found, expected);
}

#[test]
fn instances_of_different_stamps_are_no_neighbours() {
    let mut own = log("EX1", [(0, rows(0, FULL, NIGHTLY))]);
    own.instances = [(20_240_301, 1), (20_240_302, 3)].map(|(stamp, number)| Instance { stamp, number }).into();
    assert_eq!(letters(&judged(own, fleet(1, 0)), 1), "P");
}

#[test]
fn rows_and_rejected_rows_are_summed() {
    let days = judged(log("EX1", [(0, rows(0, "xxx", NIGHTLY))]), fleet(1, 0));
    assert_eq!((days[0].kept, days[0].rejected), (30, 3));
    assert_eq!(days[0].came, Some(Timestamp(DAY_MS + NIGHTLY * HOUR_MS)));
}
