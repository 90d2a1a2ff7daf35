//! Renewals told from times alone: a picture a server, a letter an hour.

use smtplog::certificate::Certificate;

use super::*;

/// A server's sessions on one connector: `A` and `B` are certificates, `.` an hour without.
type Picture<'a> = (&'a str, &'a str);

fn uses(pictures: &[Picture<'_>]) -> Vec<CertificateUse> {
    let mut uses = Vec::new();
    for (server, picture) in pictures {
        let letters: BTreeSet<char> = picture.chars().filter(|&c| c != '.').collect();
        for letter in letters {
            let hours: Vec<usize> =
                (0..).zip(picture.chars()).filter(|(_, c)| *c == letter).map(|(at, _)| at).collect();
            let time = |hour: usize| Timestamp(hour as i64 * HOUR_MS);
            uses.push(CertificateUse {
                connector: Connector {
                    name: "To Office 365".to_owned(),
                    direction: Direction::Send,
                    is_internal: false,
                },
                server: (*server).to_owned(),
                thumbprint: Thumbprint([letter as u8; 20]),
                first: time(hours[0]),
                last: time(hours[hours.len() - 1]),
                sessions: hours.len() as u64,
                refusals: BTreeMap::from([(format!("5.7.{}", letter as u8 - b'A'), hours.len() as u64)]),
                state: UseState::Past,
            });
        }
    }
    uses
}

/// `A>B@10: EX2 lagging, EX1 past` for each renewal.
fn told(pictures: &[Picture<'_>]) -> Vec<String> {
    let letter = |thumbprint: Thumbprint| char::from(thumbprint.0[0]);
    let tell = |renewal: &Renewal| {
        let servers: Vec<String> =
            renewal.servers.iter().map(|server| format!("{} {}", server.server, server.state.as_str())).collect();
        let hour = renewal.began.0 / HOUR_MS;
        format!("{}>{}@{hour}: {}", letter(renewal.old), letter(renewal.new), servers.join(", "))
    };
    renewals(&mut uses(pictures)).iter().map(tell).collect()
}

#[track_caller]
fn check(pictures: &[Picture<'_>], expected: &[&str]) {
    assert_eq!(told(pictures), expected, "{pictures:?}");
}

const MOVED: Picture<'_> = ("EX1", "AAAABBBB");

#[test]
fn who_moved_and_who_lags() {
    check(&[MOVED], &["A>B@4: EX1 past"]);
    check(&[MOVED, ("EX2", "AAAAAAAA")], &["A>B@4: EX2 lagging, EX1 past"]);
    check(&[MOVED, ("EX2", "AAAAAABB")], &["A>B@4: EX2 past, EX1 past"]);
    check(&[("EX1", "AAAAAAAA"), ("EX2", "AAAAAAAA")], &[]);
    check(&[("EX1", "BBBBBBBB"), ("EX2", "AAAAAAAA")], &[]); // nobody moved
}

#[test]
fn silence_is_not_lag() {
    check(&[MOVED, ("EX2", "AAA.....")], &["A>B@4: EX2 idle, EX1 past"]);
    check(&[MOVED, ("EX2", "AAAA....")], &["A>B@4: EX2 idle, EX1 past"]);
    check(&[MOVED, ("EX2", "....A...")], &["A>B@4: EX2 lagging, EX1 past"]);
    check(&[MOVED, ("EX2", "BB......")], &["A>B@4: EX1 past"]);
}

#[test]
fn who_moved_elsewhere_need_not_lag_here() {
    let elsewhere = |picture| {
        let mut uses = uses(&[("EX2", picture)]);
        uses.iter_mut().for_each(|one| one.connector.name = "Internet".to_owned());
        uses
    };
    let state = |here, there| {
        let mut uses = [uses(&[MOVED, ("EX2", here)]), elsewhere(there)].concat();
        let found = renewals(&mut uses);
        let here = found.iter().find(|renewal| renewal.connector.name == "To Office 365").unwrap();
        here.servers.iter().find(|server| server.server == "EX2").unwrap().state
    };
    assert_eq!(state("AAAAAA..", "AAAAAABB"), UseState::Idle);
    assert_eq!(state("AAAAAAAA", "AAAAAABB"), UseState::Lagging);
    assert_eq!(state("AAAAAA..", "AAAAAAAA"), UseState::Lagging);
}

#[test]
fn certificates_of_their_own_have_no_part() {
    check(&[MOVED, ("EX2", "CCCCCCCC"), ("EX3", "DDDDDDDD")], &["A>B@4: EX1 past"]);
    check(&[MOVED, ("EX2", "CCCCCDDD")], &["A>B@4: EX1 past", "C>D@5: EX2 past"]);
    check(
        &[MOVED, ("EX2", "CCCCCBBB"), ("EX3", "AAAACAAA")],
        &["A>B@4: EX3 lagging, EX1 past", "C>B@5: EX3 idle, EX2 past"],
    );
}

#[test]
fn those_who_went_back_lag() {
    let days = |picture: &str| picture.chars().flat_map(|c| [c; 12]).collect::<String>();
    check(&[(MOVED.0, &days(MOVED.1)), ("EX2", &days("AABBBAAA"))], &["A>B@48: EX2 lagging, EX1 past"]);
    // If all went back, nothing was renewed.
    check(&[("EX1", &days("AABBBAAA"))], &[]);
    // Where the fleet goes the other way, the few who did not are the ones that lag.
    let (to_b, to_a) = (days("AAAABBBB"), days("BBBBAAAA"));
    check(&[("EX1", &to_b), ("EX2", &to_b), ("EX3", &to_a)], &["A>B@48: EX3 lagging, EX1 past, EX2 past"]);
}

#[test]
fn both_in_turn_is_mixed_only_to_the_end() {
    check(&[MOVED, ("EX2", "AAABABAB")], &["A>B@4: EX2 mixed, EX1 past"]);
    check(&[MOVED, ("EX2", "AAABABBA")], &["A>B@4: EX2 mixed, EX1 past"]);
    check(&[MOVED, ("EX2", "AAAABABB")], &["A>B@4: EX2 past, EX1 past"]); // one hour is a change
    let settled = format!("AAABABAB{}", "B".repeat(30));
    check(&[MOVED, ("EX2", &settled)], &["A>B@4: EX2 past, EX1 past"]);
    // A server whose certificates were mixed for days moved in the end, but proves nothing alone.
    let long = format!("AB{}AB{}", "A".repeat(40), "B".repeat(30));
    check(&[("EX2", &long)], &[]);
    check(&[MOVED, ("EX2", &long)], &["A>B@4: EX2 past, EX1 past"]);
    // One session with the new certificate before its time neither begins the renewal nor hides it.
    check(&[("EX1", "ABAAABBB"), ("EX2", "AAAAAAAA")], &[]); // so far EX1 is mixed
    let early = format!("ABAAAB{}", "B".repeat(30));
    check(&[("EX1", &early), ("EX2", "AAAAAAAA")], &["A>B@4: EX2 lagging, EX1 past"]);
}

#[test]
fn renewals_follow_each_other() {
    let two = &["A>B@3: EX2 lagging, EX1 past", "B>C@6: EX1 past"];
    check(&[("EX1", "AAABBBCC"), ("EX2", "AAAAAAAA")], two);
    // Who left one out has moved all the same.
    let skipped = &["A>C@3: EX2 past, EX1 past", "B>C@6: EX1 past"];
    check(&[("EX1", "AAABBBCC"), ("EX2", "AAAAAACC")], skipped);
}

#[test]
fn states_of_uses_and_what_they_met() {
    let mut uses = uses(&[MOVED, ("EX2", "AAAAAAAA"), ("EX3", "AAABABAB"), ("EX4", "AAA....."), ("EX5", "CCCCCCCC")]);
    uses.push(CertificateUse { server: "EX6".to_owned(), sessions: 0, ..uses[0].clone() });
    let renewals = renewals(&mut uses);
    let states: Vec<String> = uses
        .iter()
        .map(|one| format!("{} {} {}", one.server, char::from(one.thumbprint.0[0]), one.state.as_str()))
        .collect();
    let expected = [
        "EX1 A past",
        "EX1 B current",
        "EX2 A lagging",
        "EX3 A mixed",
        "EX3 B mixed",
        "EX4 A idle",
        "EX5 C current",
        "EX6 A past",
    ];
    assert_eq!(states, expected);
    let [renewal] = renewals.as_slice() else { panic!("{renewals:?}") };
    assert_eq!((renewal.before.sessions, renewal.before.refused()), (4 + 8 + 5 + 3, 4 + 8 + 5 + 3 + 4));
    assert_eq!(renewal.before.most_frequent(), Some(("5.7.0", 24)));
    assert_eq!((renewal.after.sessions, renewal.after.most_frequent()), (4 + 3, Some(("5.7.1", 7))));
    let count = |state| renewal.count(state);
    let counts = [UseState::Lagging, UseState::Mixed, UseState::Idle, UseState::Past].map(count);
    assert_eq!((counts, renewal.is_open()), ([1, 1, 1, 1], true));
}

/// What is told of the time from an hour on.
#[track_caller]
fn check_since(hour: i64, pictures: &[Picture<'_>], expected: &[&str], expected_uses: &str) {
    let mut rollover = Rollover { uses: uses(pictures), ..Rollover::default() };
    rollover.renewals = renewals(&mut rollover.uses);
    let letter = |thumbprint: Thumbprint| char::from(thumbprint.0[0]);
    let letters = |uses: &[CertificateUse]| uses.iter().map(|one| letter(one.thumbprint)).collect::<String>();
    rollover.certificates = ['A', 'B', 'C'].map(|letter| Certificate::bare(Thumbprint([letter as u8; 20]))).into();
    rollover.retain_since(Timestamp(hour * HOUR_MS));
    let told: Vec<String> =
        rollover.renewals.iter().map(|one| format!("{}>{}", letter(one.old), letter(one.new))).collect();
    assert_eq!(
        (told, letters(&rollover.uses)),
        (expected.iter().map(|&one| one.to_owned()).collect(), expected_uses.to_owned()),
        "{pictures:?}"
    );
    let known: String = rollover.certificates.iter().map(|one| letter(one.thumbprint)).collect();
    let mut used: Vec<char> = expected_uses.chars().collect();
    used.dedup();
    used.sort_unstable();
    used.dedup();
    assert_eq!(known, used.into_iter().collect::<String>());
}

#[test]
fn what_was_over_before_is_left_out() {
    check_since(3, &[MOVED], &["A>B"], "AB"); // the old one was presented at three
    check_since(4, &[MOVED], &["A>B"], "AB"); // it began at four
    check_since(5, &[MOVED], &[], "B");
    check_since(8, &[MOVED], &[], "");
    check_since(5, &[MOVED, ("EX2", "AAAAAABB")], &["A>B"], "ABAB"); // EX2 went on to five
    check_since(6, &[MOVED, ("EX2", "AAAAAABB")], &[], "BB");
    // A server that lags does so for ever, whenever it was heard of last.
    check_since(7, &[MOVED, ("EX2", "AAAAAA..")], &["A>B"], "ABA");
    check_since(20, &[MOVED, ("EX2", "AAAAAA..")], &["A>B"], "ABA");
    // Who changed before is not forgotten, and others have no part in it.
    check_since(7, &[MOVED, ("EX2", "AAAAAAAA"), ("EX3", "CCC.....")], &["A>B"], "ABA");
}
