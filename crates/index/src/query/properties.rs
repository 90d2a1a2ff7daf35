//! Properties of parsing and matching that hold for every query and every session.

use proptest::{collection::vec, prelude::*, sample::select};
use smtplog::{Negotiation, Reply, Session, Timestamp};

use super::{
    Expr, Phrase, Query, Term, Tokens, Window, fold, parse_since, parse_until,
    samples::{START, negotiation, reply, session, thumbprint},
    tokens,
};

/// Pieces from which nearly every text is nearly a query.
const PIECES: [&str; 64] = [
    "status:",
    "code:",
    "presented:",
    "connector:",
    "remote:",
    "from:",
    "started:",
    "session:",
    "text:",
    "subject:",
    "complete:",
    "tls:",
    "message_id:",
    "attr:",
    "serial:",
    "id:",
    "5.7.64",
    "5.7.",
    "550",
    "5xx",
    "97355AF6",
    "aa",
    "08DC399000800000",
    "\"relay access\"",
    "EX1\\Default",
    "2024-03-01",
    "2024-03-01T06:00:06.307Z",
    "10.0.0.1:25",
    "104.47.0.0/16",
    "[2001:db8::5]:25",
    "user1@contoso.com",
    "@contoso.com",
    "contoso.com",
    "<a@b>",
    "true",
    "failed",
    "[550 TO 559]",
    "[2024-03 TO *]",
    "[* TO 08DC*]",
    ">=",
    "<",
    "*",
    "*@",
    "*.",
    "-",
    "!",
    "+",
    " ",
    " ",
    " ",
    "AND ",
    "OR ",
    "NOT ",
    "(",
    ")",
    "\"",
    "\\",
    ":",
    ".",
    "组织",
    "ΟΔΟΣ",
    "İ",
    "\u{200e}",
    "\u{202e}",
];

fn query_text() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

fn any_session() -> impl Strategy<Value = Session> {
    let replies = vec((0..60i64, select(vec![(550, "5.7.64"), (550, "5.7.1"), (451, "")]), 0..3u8, 0..3u8), 0..4);
    let negotiations = vec((0..3u8, 0..3u8), 0..3);
    (replies, negotiations, select(vec!["Internet", "Outbound"])).prop_map(|(replies, negotiations, connector)| {
        Session {
            replies: replies.into_iter().map(any_reply).collect(),
            negotiations: negotiations
                .into_iter()
                .map(|(presented, received)| any_negotiation(presented, received))
                .collect(),
            connector: connector.into(),
            ..session()
        }
    })
}

fn any_reply((second, (code, status), presented, words): (i64, (u16, &str), u8, u8)) -> Reply {
    let words = ["Relay Access Denied", "Unable to relay", "Try again"][usize::from(words)];
    Reply { presented: Some(thumbprint(presented)), ..reply(second, code, status, words) }
}

fn any_negotiation(presented: u8, received: u8) -> Negotiation {
    negotiation(0, presented, received)
}

/// Expressions over what the sessions above differ in.
fn any_expr() -> impl Strategy<Value = Expr> {
    let leaves = [
        "presented:00*",
        "presented:01*",
        "received:02*",
        "thumbprint:01*",
        "code:550",
        "code:4*",
        "status:5.7.64",
        "status:*",
        "text:relay",
        "text:\"try again\"",
        "connector:Internet",
        "relay",
        "550",
        "*",
        "-*",
    ];
    let leaf = select(leaves.to_vec()).prop_map(|text| parsed(text).expr);
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|expr| Expr::Not(Box::new(expr))),
            vec(inner.clone(), 2..4).prop_map(Expr::all_of),
            vec(inner, 2..4).prop_map(Expr::any_of),
        ]
    })
}

fn any_window() -> impl Strategy<Value = Window> {
    let end = || proptest::option::of((-5..70i64).prop_map(|second| Timestamp(START.0 + second * 1_000)));
    (end(), end()).prop_map(|(since, until)| Window { since, until })
}

fn parsed(text: &str) -> Query {
    Query::parse(text).expect("the query has no mistake")
}

/// The definition in `matches.rs` word by word: every alternative written out.
fn matches_by_alternatives(expr: &Expr, session: &Session, window: Window) -> bool {
    let alone = |expr: &Expr| Query { expr: expr.clone(), window }.matches(session);
    alternatives(expr).iter().any(|alternative| {
        let (ours, others): (Vec<&Expr>, Vec<&Expr>) = alternative.iter().partition(|leaf| is_in_scope(leaf));
        let others_hold = others.iter().all(|leaf| match leaf {
            Expr::Not(expr) => !matches_by_alternatives(expr, session, window),
            leaf => alone(leaf),
        });
        let has_reply_term = ours.iter().any(|leaf| leaf.has_reply_term());
        let mut visible = session.replies.iter().filter(|reply| window.contains(reply.time));
        let ours_hold = match has_reply_term {
            true => visible.any(|reply| ours.iter().all(|leaf| holds_at(leaf, session, reply))),
            false => ours.iter().all(|leaf| alone(leaf)),
        };
        others_hold && ours_hold
    })
}

fn alternatives(expr: &Expr) -> Vec<Vec<Expr>> {
    match expr {
        Expr::Or(parts) => parts.iter().flat_map(alternatives).collect(),
        Expr::And(parts) => parts.iter().fold(vec![Vec::new()], |rows, part| {
            let continued =
                |row: &Vec<Expr>| alternatives(part).into_iter().map(|more| [row.clone(), more].concat()).collect();
            rows.iter().flat_map(|row| -> Vec<Vec<Expr>> { continued(row) }).collect()
        }),
        Expr::Words(words) => {
            let mut text = words.clone();
            text.meanings.clear();
            let meanings = words.meanings.iter().flat_map(alternatives);
            [vec![Expr::Words(text)]].into_iter().chain(meanings).collect()
        }
        Expr::Not(expr) => match &**expr {
            Expr::Not(expr) => alternatives(expr),
            _ => vec![vec![Expr::Not(expr.clone())]],
        },
        leaf => vec![vec![leaf.clone()]],
    }
}

fn is_in_scope(leaf: &Expr) -> bool {
    matches!(leaf, Expr::Term(term) if term.field.is_of_reply() || term.field.is_certificate())
}

/// Whether a term holds at this reply: in a session that has no other, and the reply's certificates only.
fn holds_at(leaf: &Expr, session: &Session, reply: &Reply) -> bool {
    let certificates = Negotiation { presented: reply.presented, received: reply.received, ..any_negotiation(0, 0) };
    let alone = Session { replies: vec![reply.clone()], negotiations: vec![certificates], ..session.clone() };
    Query { expr: leaf.clone(), window: Window::default() }.matches(&alone)
}

fn term_places(expr: &Expr) -> Vec<std::ops::Range<usize>> {
    match expr {
        Expr::All => Vec::new(),
        Expr::Words(words) => vec![words.at.0.clone()],
        Expr::Term(Term { at, .. }) => vec![at.0.clone()],
        Expr::Not(expr) => term_places(expr),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().flat_map(term_places).collect(),
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        if let Err(error) = Query::parse(&text) {
            prop_assert!(text.get(error.at.clone()).is_some());
            prop_assert_eq!(error.rendered().lines().count().min(3), 3);
        }
    }

    #[test]
    fn no_near_query_panics(text in query_text()) {
        if let Err(error) = Query::parse(&text) {
            prop_assert!(text.get(error.at.clone()).is_some());
            let hidden = error.rendered().contains(['\u{202e}', '\u{200e}']);
            prop_assert!(!hidden);
        }
    }

    #[test]
    fn places_lie_in_the_text(text in query_text()) {
        if let Ok(query) = Query::parse(&text) {
            for at in term_places(&query.expr) {
                prop_assert!(text.get(at).is_some_and(|term| !term.is_empty()));
            }
        }
    }

    #[test]
    fn what_is_written_parses_to_the_same(text in query_text()) {
        if let Ok(query) = Query::parse(&text) {
            let written = query.to_string();
            prop_assert_eq!(Query::parse(&written), Ok(query), "{}", written);
        }
    }

    #[test]
    fn matching_is_by_alternatives(expr in any_expr(), session in any_session(), window in any_window()) {
        let expected = window.overlaps(&session) && matches_by_alternatives(&expr, &session, window);
        prop_assert_eq!(Query { expr, window }.matches(&session), expected);
    }

    #[test]
    fn negated_twice_is_the_same(expr in any_expr(), session in any_session()) {
        let twice = Expr::Not(Box::new(Expr::Not(Box::new(expr.clone()))));
        let matches = |expr: Expr| Query { expr, window: Window::default() }.matches(&session);
        prop_assert_eq!(matches(twice), matches(expr.clone()));
        prop_assert_eq!(matches(expr.clone().negated()), !matches(expr));
    }

    #[test]
    fn order_does_not_matter(parts in vec(any_expr(), 2..4), session in any_session()) {
        let answer = |expr: Expr| {
            let query = Query { expr, window: Window::default() };
            (query.matches(&session), query.matching_replies(&session))
        };
        let reversed: Vec<Expr> = parts.iter().rev().cloned().collect();
        prop_assert_eq!(answer(Expr::And(parts.clone())), answer(Expr::And(reversed.clone())));
        prop_assert_eq!(answer(Expr::Or(parts)), answer(Expr::Or(reversed)));
    }

    #[test]
    fn written_expressions_mean_the_same(expr in any_expr(), session in any_session()) {
        let query = Query { expr, window: Window::default() };
        prop_assert_eq!(parsed(&query.to_string()).matches(&session), query.matches(&session));
    }

    #[test]
    fn no_time_panics(text in "[-+:.TZ0-9h é]{0,30}", now in any::<i64>()) {
        let now = Timestamp(now / 4);
        if let (Ok(since), Ok(until)) = (parse_since(&text, now), parse_until(&text, now)) {
            prop_assert!(since <= until);
        }
    }

    #[test]
    fn tokens_do_not_depend_on_case_and_are_found(text in "\\PC{0,40}") {
        let folded: Vec<String> = tokens(&text).collect();
        prop_assert!(Tokens::new(&text).all(|run| !run.is_empty()));
        if let Some(phrase) = Phrase::new(&text) {
            prop_assert_eq!(phrase.tokens(), folded);
            prop_assert!(phrase.is_in(&text));
        }
    }

    #[test]
    fn folded_beginnings_begin_the_folded_name(name in any::<String>(), at in 0..40usize) {
        let beginning: String = name.chars().take(at).collect();
        prop_assert!(fold(&name).starts_with(&fold(&beginning)));
        prop_assert_eq!(fold(&fold(&name)), fold(&name));
    }
}
