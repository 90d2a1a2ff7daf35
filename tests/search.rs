//! The index against a linear scan: random queries over a generated fleet have the same answer both ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::OnceLock,
};

use index::{
    Over, SearchOptions, Store,
    query::{Asking, Field, Query, Via, Window},
};
use proptest::prelude::*;
use smtplog::{Direction, Reply, Session, Timestamp};

/// A store of a small fleet with damage and proxies, and all its sessions.
struct Fleet {
    store: Store,
    sessions: Vec<Session>,
    _folder: tempfile::TempDir,
}

fn smtptrail(folder: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_smtptrail")).current_dir(folder).args(arguments).output().unwrap();
    let allowed = matches!(output.status.code(), Some(0 | 3));
    assert!(allowed, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn fleet() -> &'static Fleet {
    static FLEET: OnceLock<Fleet> = OnceLock::new();
    FLEET.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let size = ["--seed", "11", "--servers", "4", "--days", "4", "--mib-per-server", "6"];
        let kind = ["--damage", "0.02", "--codec", "mix", "--proxied", "0.6", "--refusals", "0.05,0.4"];
        let generate = [&["generate", "fleet"][..], &size, &kind].concat();
        smtptrail(folder.path(), &generate);
        smtptrail(folder.path(), &["index", "fleet", "--store", "store"]);
        let store = Store::open(&folder.path().join("store")).unwrap();
        let everything = Query::parse("*").unwrap();
        let sessions = store.search(&everything, &SearchOptions::default()).unwrap().sessions;
        assert!(sessions.len() > 1_000, "{} sessions", sessions.len());
        Fleet { store, sessions, _folder: folder }
    })
}

/// Numbers from a seed (splitmix64), so that a failing case can be repeated.
struct Choice(u64);

impl Choice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % count.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        values.get(self.below(values.len()))
    }
}

/// A term that is true of the session, or nearly.
fn term(choice: &mut Choice, session: &Session) -> String {
    let reply = choice.of(&session.replies).cloned();
    let message = choice.of(&session.messages).cloned();
    let negotiation = choice.of(&session.negotiations).cloned();
    let quoted = |field: &str, value: &str| format!("{field}:{}", quote(value));
    let presented = negotiation.as_ref().and_then(|one| one.presented.or(one.received)).map(|one| one.to_string());
    let term = match choice.below(35) {
        0 => Some(format!("server:{}", session.stream.server)),
        1 => Some(format!("direction:{}", session.stream.direction)),
        2 => Some(quoted("connector", &session.connector)),
        3 => presented.map(|presented| format!("presented:{presented}")),
        4 => presented.map(|presented| format!("thumbprint:{}*", &presented[..8])),
        5 => presented.map(|presented| format!("client_cert:{presented}")),
        6 => reply.map(|reply| format!("code:{}", reply.code)),
        7 => reply.and_then(|reply| Some(format!("status:{}", reply.status?))),
        8 => reply.and_then(|reply| Some(format!("status:{}.*", &reply.status?[..3]))),
        9 => reply.and_then(|reply| Some(format!("attr:{}", reply.attr?))),
        10 => reply.and_then(|reply| Some(quoted("text", reply.text.split(' ').next()?))),
        11 => reply.map(|reply| quoted("text", &reply.text)),
        12 => reply.and_then(|reply| Some(format!("peer_session:{}", reply.peer?.session?))),
        13 => session.helo.as_ref().map(|helo| quoted("helo", helo)),
        14 => session.remote.as_ref().map(|remote| quoted("remote", remote)),
        15 => session.remote.as_ref().map(|remote| format!("remote:{}/16", address(remote))),
        16 => session.local.as_ref().map(|local| format!("local:{}", address(local))),
        17 => session.egress_ip.as_ref().map(|address| format!("egress_ip:{}", self::address(address))),
        18 => message.map(|message| quoted("from", &message.from)),
        19 => message.and_then(|message| Some(quoted("to", message.to.first()?))),
        20 => message.and_then(|message| Some(quoted("message_id", &message.message_id?))),
        21 => Some(format!("tls:{}", session.tls.outcome.as_str())),
        22 => session.tls.cipher.as_ref().map(|cipher| quoted("cipher", cipher)),
        23 => session.tls.error.as_ref().map(|error| quoted("error", error)),
        24 => session.errors.first().map(|error| quoted("error", error.split(' ').next().unwrap_or_default())),
        25 => Some(format!("session:{}", session.session)),
        26 => Some(format!("complete:{}", session.complete)),
        27 => session.proxy.first().map(|link| format!("proxy_session:{}", link.session)),
        28 => Some(quoted("id", &session.id())),
        // What the index leaves to the record: the bracket's time and id, alone and with what stands before.
        29 => reply.and_then(|reply| Some(quoted("text", &reply.peer?.time?.to_string()))),
        30 => reply.and_then(|reply| Some(quote(&format!("{} {}", reply.text.get(8..)?, reply.peer?.session?)))),
        31 => reply.and_then(|reply| Some(format!("{}*", quote(reply.text.get(..reply.text.len() / 2)?)))),
        32 => Some("text:*".to_owned()),
        33 => Some("error:*".to_owned()),
        _ => reply.map(|reply| quote(&reply.text)),
    };
    term.unwrap_or_else(|| "status:5.7.64".to_owned())
}

fn address(endpoint: &str) -> String {
    index::query::split_endpoint(endpoint).0.trim_matches(['[', ']']).split('%').next().unwrap_or_default().to_owned()
}

fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn expression(choice: &mut Choice, sessions: &[Session], depth: usize) -> String {
    let one = choice.below(sessions.len());
    match choice.below(if depth == 0 { 1 } else { 5 }) {
        // Terms of one session are true together, so that conjunctions have answers.
        1 => format!("({} {})", term(choice, &sessions[one]), term(choice, &sessions[one])),
        2 => format!("({} OR {})", expression(choice, sessions, depth - 1), expression(choice, sessions, depth - 1)),
        3 => format!("({} -{})", expression(choice, sessions, depth - 1), term(choice, &sessions[one])),
        4 => format!("({} {})", expression(choice, sessions, depth - 1), expression(choice, sessions, depth - 1)),
        _ => term(choice, &sessions[one]),
    }
}

fn window(choice: &mut Choice, sessions: &[Session]) -> Window {
    let time = |choice: &mut Choice| {
        let session = &sessions[choice.below(sessions.len())];
        Some(Timestamp(session.started.0 + choice.below(3) as i64 - 1)).filter(|_| choice.below(3) == 0)
    };
    Window { since: time(choice), until: time(choice) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn index_agrees_with_a_linear_scan(seed: u64) {
        let Fleet { store, sessions, .. } = fleet();
        let choice = &mut Choice(seed);
        let text = expression(choice, sessions, 3);
        let Ok(query) = Query::parse(&text) else { return Ok(()) };
        let query = query.within(window(choice, sessions));
        let resolved = query.resolve(store);
        let scanned: BTreeSet<String> =
            sessions.iter().filter(|session| resolved.matches_via(session, store)).map(Session::id).collect();
        let hits = store.search(&query, &SearchOptions::default()).unwrap();
        let found: BTreeSet<String> = hits.sessions.iter().map(Session::id).collect();
        prop_assert_eq!(&found, &scanned, "{} {:?}", text, query.window);
        prop_assert_eq!(hits.total, scanned.len() as u64);
        prop_assert_eq!(hits.missing, Vec::new());
    }

    #[test]
    fn counts_add_up_to_the_sessions(seed: u64) {
        let Fleet { store, sessions, .. } = fleet();
        let choice = &mut Choice(seed);
        let text = expression(choice, sessions, 2);
        let Ok(query) = Query::parse(&text) else { return Ok(()) };
        let total = store.search(&query, &SearchOptions { limit: Some(1), ..SearchOptions::default() }).unwrap().total;
        // A session has one server, so counts by it are a partition, however they are computed.
        for over in [None, Some(Over::Day)] {
            let groups = store.group(&query, &[Field::Server], over).unwrap();
            let sum: u64 = groups.rows.iter().map(|row| row.sessions).sum();
            if over.is_none() || !query.has_reply_term() {
                prop_assert_eq!(sum, total, "{} {:?}", text, over);
            }
        }
    }
}

/// The fields that are counted by in the test below, as a reader of CONTRACT 4 and 5 would tell their values.
const COUNTED: [Field; 8] = [
    Field::Server,
    Field::Connector,
    Field::Presented,
    Field::ServerCert,
    Field::Status,
    Field::Code,
    Field::Helo,
    Field::EgressIp,
];

fn value(field: Field, session: &Session, reply: Option<&Reply>, store: &Store) -> Option<String> {
    let via = |reply: &Reply| store.presented(&Asking::of(session), reply.presented_via?);
    let (presented, received) = match reply {
        Some(reply) => (reply.presented.or_else(|| via(reply)), reply.received),
        None => (session.presented(), session.received()),
    };
    let server = if session.stream.direction == Direction::Send { received } else { presented };
    match field {
        Field::Server => Some(session.stream.server.to_string()),
        Field::Connector => (!session.connector.is_empty()).then(|| session.connector.to_string()),
        Field::Presented => presented.map(|thumbprint| thumbprint.to_string()),
        Field::ServerCert => server.map(|thumbprint| thumbprint.to_string()),
        Field::Status => reply?.status.as_ref().map(|status| status.to_string()),
        Field::Code => Some(reply?.code.to_string()),
        Field::EgressIp => session.egress_ip.as_ref().map(|address| address.to_string()),
        _ => session.helo.as_ref().map(|helo| helo.to_string()),
    }
}

/// Values and time; sessions and replies.
type Counts = BTreeMap<(Vec<Option<String>>, Option<Timestamp>), (BTreeSet<String>, u64)>;

/// Counts session by session.
fn scanned_counts(query: &Query, by: &[Field], over: Option<Over>) -> Counts {
    let Fleet { store, sessions, .. } = fleet();
    let by_reply = query.has_reply_term() || by.iter().any(|field| matches!(field, Field::Status | Field::Code));
    let mut counts = Counts::new();
    for session in sessions.iter().filter(|session| query.matches_via(session, store)) {
        let replies: Vec<&Reply> = match query.has_reply_term() {
            true => query.matching_replies_via(session, store).iter().map(|&at| &session.replies[at]).collect(),
            false => session.replies.iter().filter(|_| by_reply).collect(),
        };
        let refusals = if by_reply { 0 } else { session.replies.len() as u64 };
        let counted: Vec<(Option<&Reply>, Timestamp, u64)> = match replies.is_empty() {
            true => vec![(None, session.started, refusals)],
            false => replies.into_iter().map(|reply| (Some(reply), reply.time, 1)).collect(),
        };
        for (reply, time, count) in counted {
            let values = by.iter().map(|&field| value(field, session, reply, store)).collect();
            let row = counts.entry((values, over.map(|over| over.beginning(time)))).or_default();
            row.0.insert(session.id());
            row.1 += count;
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn counts_agree_with_a_linear_scan(seed: u64) {
        let Fleet { store, sessions, .. } = fleet();
        let choice = &mut Choice(seed);
        let text = if choice.below(5) == 0 { "*".to_owned() } else { expression(choice, sessions, 2) };
        let Ok(query) = Query::parse(&text) else { return Ok(()) };
        let query = query.within(window(choice, sessions));
        let by: Vec<Field> = COUNTED.into_iter().filter(|_| choice.below(3) == 0).collect();
        let over = Some(Over::Hour).filter(|_| choice.below(3) == 0);
        let scanned: BTreeMap<_, _> = scanned_counts(&query.resolve(store), &by, over)
            .into_iter()
            .map(|(key, (sessions, replies))| (key, (sessions.len() as u64, replies)))
            .collect();
        let groups = store.group(&query, &by, over).unwrap();
        let counted: BTreeMap<_, _> =
            groups.rows.into_iter().map(|row| ((row.values, row.time), (row.sessions, row.replies))).collect();
        prop_assert_eq!(counted, scanned, "{} by {:?} over {:?} {:?}", text, by, over, query.window);
    }
}

/// A value that a split has not must not find that split's least value.
#[test]
fn every_session_is_found_by_its_id_alone() {
    let Fleet { store, sessions, .. } = fleet();
    for session in sessions.iter().step_by(sessions.len() / 200 + 1) {
        let query = Query::parse(&format!("session:{}", session.session)).unwrap();
        let hits = store.search(&query, &SearchOptions::default()).unwrap();
        assert!(hits.sessions.iter().all(|found| found.session == session.session), "{}", session.id());
        assert!(hits.sessions.iter().any(|found| found.id() == session.id()), "{}", session.id());
    }
}

#[test]
fn a_query_does_not_pair_one_certificate_with_anothers_refusal() {
    let Fleet { store, sessions, .. } = fleet();
    let planted = sessions.iter().find_map(|session| {
        let refused = session.replies.iter().find(|reply| reply.presented.is_some() && reply.status.is_some())?;
        let other = session.negotiations.iter().filter_map(|one| one.presented).find(|&presented| {
            let is_refused_so =
                |reply: &smtplog::Reply| reply.presented == Some(presented) && reply.status == refused.status;
            Some(presented) != refused.presented && !session.replies.iter().any(is_refused_so)
        })?;
        Some((session.id(), other, refused.presented?, refused.status.clone()?))
    });
    let (id, other, presented, status) = planted.expect("the fleet has sessions with two certificates");
    let ask = |thumbprint: smtplog::Thumbprint| {
        let query = Query::parse(&format!("id:\"{id}\" presented:{thumbprint} status:{status}")).unwrap();
        store.search(&query, &SearchOptions::default()).unwrap().total
    };
    assert_eq!((ask(presented), ask(other)), (1, 0));
}

#[test]
fn a_refusal_behind_a_proxy_is_found_by_the_front_ends_certificate() {
    let Fleet { store, sessions, .. } = fleet();
    let relayed = sessions.iter().filter(|session| {
        session
            .replies
            .iter()
            .any(|reply| reply.presented_via == Some(session.session) && reply.status.as_deref() == Some("5.7.64"))
    });
    let mut found = 0;
    for session in relayed {
        let front_end = sessions.iter().find(|other| {
            other.stream != session.stream && other.proxy.iter().any(|link| link.session == session.session)
        });
        let Some(presented) = front_end.and_then(Session::presented) else { continue };
        let query = Query::parse(&format!("id:{} presented:{presented} status:5.7.64", session.id())).unwrap();
        assert_eq!(store.search(&query, &SearchOptions::default()).unwrap().total, 1, "{}", session.id());
        found += 1;
    }
    assert!(found > 0, "the fleet has refusals behind a proxy");
}
