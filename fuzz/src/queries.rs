//! Any text as a query: an error points into it, and a query means the same however it is written.

use std::sync::OnceLock;

use index::query::{Expr, Query, QueryError};
use smtplog::{Session, assemble::Assembler, formats::exchange::Exchange};

use super::logs::{read, session};

/// Longer queries are refused (CONTRACT 5), so what is written out may be too long to be read back.
const QUERY_BYTES_MAX: usize = 4096;

/// The bytes are a query.
pub fn hold(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Query::parse(&text) {
        Ok(query) => {
            assert!(text.len() <= QUERY_BYTES_MAX);
            reads_back(&query);
            sessions().iter().for_each(|session| means_one_thing(&query, session));
        }
        Err(error) => points_into(&text, &error),
    }
}

fn reads_back(query: &Query) {
    let written = query.to_string();
    match Query::parse(&written) {
        Ok(again) => assert_eq!(&again, query, "{written:?}"),
        Err(_) => assert!(written.len() > QUERY_BYTES_MAX, "{written:?}"),
    }
}

fn means_one_thing(query: &Query, session: &Session) {
    let matches = query.matches(session);
    let with = |expr: Expr| Query { expr, window: query.window }.matches(session);
    assert_eq!(with(Expr::Not(Box::new(query.expr.clone()))), !matches, "either it or its opposite");
    assert_eq!(with(Expr::any_of(vec![query.expr.clone(), query.expr.clone()])), matches, "twice is once");

    let replies = query.matching_replies(session);
    assert!(replies.iter().all(|&at| at < session.replies.len()));
    assert!(matches || replies.is_empty(), "replies of a session that is no answer");
}

fn points_into(text: &str, error: &QueryError) {
    assert!(text.get(error.at.clone()).is_some(), "{:?} is no place in {text:?}", error.at);
    let rendered = error.rendered();
    assert!((3..=4).contains(&rendered.lines().count()), "{rendered}");
    assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
    assert!(rendered.len() < 4 * QUERY_BYTES_MAX);
}

const LOG: &str = "\
2024-03-01T06:00:06.307Z,Outbound to Office 365,08DC399000800000,0,,104.47.88.42:25,*,,attempting to connect
2024-03-01T06:00:06.308Z,Outbound to Office 365,08DC399000800000,1,10.0.0.10:22289,104.47.88.42:25,+,,
2024-03-01T06:00:06.309Z,Outbound to Office 365,08DC399000800000,2,10.0.0.10:22289,104.47.88.42:25,>,EHLO mail0.contoso.com,
2024-03-01T06:00:06.310Z,Outbound to Office 365,08DC399000800000,3,10.0.0.10:22289,104.47.88.42:25,<,250 a Hello [203.0.113.7],
2024-03-01T06:00:06.311Z,Outbound to Office 365,08DC399000800000,4,10.0.0.10:22289,104.47.88.42:25,>,STARTTLS,
2024-03-01T06:00:06.312Z,Outbound to Office 365,08DC399000800000,5,10.0.0.10:22289,104.47.88.42:25,<,220 2.0.0 ready,
2024-03-01T06:00:06.313Z,Outbound to Office 365,08DC399000800000,6,10.0.0.10:22289,104.47.88.42:25,*,,Sending certificate
2024-03-01T06:00:06.314Z,Outbound to Office 365,08DC399000800000,7,10.0.0.10:22289,104.47.88.42:25,*,97355AF6DC2629ECCB2289C931D706332F3CF022,Certificate thumbprint
2024-03-01T06:00:06.315Z,Outbound to Office 365,08DC399000800000,8,10.0.0.10:22289,104.47.88.42:25,>,MAIL FROM:<a@contoso.com>,
2024-03-01T06:00:06.316Z,Outbound to Office 365,08DC399000800000,9,10.0.0.10:22289,104.47.88.42:25,>,RCPT TO:<b@fabrikam.example>,
2024-03-01T06:00:06.317Z,Outbound to Office 365,08DC399000800000,10,10.0.0.10:22289,104.47.88.42:25,<,250 2.1.0 Sender OK,
2024-03-01T06:00:06.318Z,Outbound to Office 365,08DC399000800000,11,10.0.0.10:22289,104.47.88.42:25,<,550 5.7.64 TenantAttribution; Relay Access Denied [ATTR3] [EX9 2024-03-01T06:00:07.100Z 08DED27250BC5691],
2024-03-01T06:00:06.319Z,Outbound to Office 365,08DC399000800000,12,10.0.0.10:22289,104.47.88.42:25,-,,Local
2024-03-02T06:00:06.307Z,EX1\\Default EX1,08DC399000800001,0,[2001:db8::5]:25,[2001:db8::6]:53000,+,,
2024-03-02T06:00:06.308Z,EX1\\Default EX1,08DC399000800001,1,[2001:db8::5]:25,[2001:db8::6]:53000,>,421 4.3.2 Service not available,
";

/// A refused session with a certificate, and one that had neither.
fn sessions() -> &'static [Session] {
    static SESSIONS: OnceLock<Vec<Session>> = OnceLock::new();
    SESSIONS.get_or_init(|| {
        let (fragments, counts) = read(&Exchange, &[LOG.as_bytes()]);
        assert_eq!((fragments.len(), counts.rejected), (2, 0));
        fragments.iter().map(|fragment| session(&mut Assembler::default(), fragment)).collect()
    })
}
