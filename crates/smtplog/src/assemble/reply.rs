//! SMTP replies (RFC 5321 section 4.2) and what Microsoft writes into them (FORMATS section 6).
//!
//! `250-SIZE 37748736` continues; `250 OK` ends.
//! `550 5.7.64 TenantAttribution; Relay Access Denied ATTR36 [HOST 2026-07-07T15:48:53.514Z 08DED27250BC5691]`

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::{Peer, SessionId, Thumbprint, Timestamp};

/// One line of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyLine<'r> {
    pub(super) code: u16,
    /// Whether no further line of the same reply follows.
    pub(super) last: bool,
    /// What follows code and separator.
    pub(super) text: &'r [u8],
}

/// Reads a reply line; `None` if it does not begin with a code from 100 to 599 and a separator.
pub(super) fn line(data: &[u8]) -> Option<ReplyLine<'_>> {
    let &[a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] = data else { return None };
    let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    match rest {
        [] => Some(ReplyLine { code, last: true, text: b"" }),
        [b' ', text @ ..] => Some(ReplyLine { code, last: true, text }),
        [b'-', text @ ..] => Some(ReplyLine { code, last: false, text }),
        _ => None,
    }
}

/// The enhanced status code (RFC 3463) that a reply's text begins with, and the text after it.
pub(super) fn enhanced_status(text: &[u8]) -> (Option<&str>, &[u8]) {
    let end = text.iter().position(|&byte| byte != b'.' && !byte.is_ascii_digit()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let ends_well = rest.is_empty() || rest[0].is_ascii_whitespace();
    let is_status = ends_well && is_status(word);
    match std::str::from_utf8(word) {
        Ok(status) if is_status => (Some(status), rest.trim_ascii_start()),
        _ => (None, text),
    }
}

/// `class.subject.detail` with class 2, 4 or 5 and up to three digits in the others.
fn is_status(word: &[u8]) -> bool {
    let mut parts = word.split(|&byte| byte == b'.');
    let class = parts.next().is_some_and(|class| matches!(class, b"2" | b"4" | b"5"));
    let numbers = parts.by_ref().take(2).filter(|part| (1..=3).contains(&part.len())).count();
    class && numbers == 2 && parts.next().is_none()
}

/// Built once: a searcher costs more to build than most texts cost to search.
static ATTRIBUTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("ATTR"));
static THUMBPRINT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("humbprint"));
static HELLO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Hello ["));

/// The attribution token, such as `ATTR36` or `ATTR3.1`.
pub(super) fn attribution(text: &str) -> Option<&str> {
    ATTRIBUTION.find_iter(text.as_bytes()).find_map(|at| {
        let starts_word = at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
        let digits = &text.as_bytes()[at + 4..];
        let mut end = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if end == 0 || !starts_word {
            return None;
        }
        if digits.get(end) == Some(&b'.') {
            let decimals = digits[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            end += if decimals > 0 { decimals + 1 } else { 0 };
        }
        let ends_word = digits.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        ends_word.then(|| &text[at..at + 4 + end])
    })
}

/// The trailing `[HOST TIME SESSION]`; older replies have `[HOST]` only.
pub(super) fn peer(text: &str) -> Option<Peer> {
    let inner = text.trim_end().strip_suffix(']')?;
    let inner = &inner[inner.rfind('[')? + 1..];
    let mut words = inner.split(' ');
    let host = words.next().filter(|host| is_host(host))?;
    let Some(time) = words.next() else {
        return Some(Peer { host: host.into(), time: None, session: None });
    };
    let time = Timestamp::from_log(time.as_bytes())?;
    let session = SessionId::from_hex(words.next()?.as_bytes())?;
    words.next().is_none().then(|| Peer { host: host.into(), time: Some(time), session: Some(session) })
}

/// A host name with a dot; this keeps `[10.0.0.1]` and `[Hostname=...]` out.
fn is_host(word: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    word.contains('.') && word.bytes().all(in_name) && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A thumbprint that the text names, as 4.4.317 does: `Thumbprint: HEX`.
pub(super) fn thumbprint(text: &str) -> Option<Thumbprint> {
    let bytes = text.as_bytes();
    THUMBPRINT.find_iter(bytes).find_map(|at| {
        let rest = bytes[at + "humbprint".len()..].trim_ascii_start();
        let rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"=")).unwrap_or(rest).trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        Thumbprint::from_hex(&rest[..digits])
    })
}

/// The message id in `250 2.6.0 <a@b> [InternalId=5, Hostname=EX1] Queued mail for delivery`.
pub(super) fn queued_message_id<'r>(line: &ReplyLine<'r>) -> Option<&'r [u8]> {
    let rest = line.text.strip_prefix(b"2.6.0 ").filter(|_| line.code == 250)?;
    let end = memchr::memchr(b'>', rest)?;
    (rest[0] == b'<').then(|| &rest[..=end])
}

/// The first word of a greeting: the name that the server gives itself.
pub(super) fn greeting_name(text: &[u8]) -> Option<&[u8]> {
    text.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())
}

/// The address in `host Hello [203.0.113.7] ...`.
pub(super) fn greeted_address(text: &[u8]) -> Option<&[u8]> {
    let hello = HELLO.find(text)? + HELLO.needle().len();
    let close = memchr::memchr(b']', &text[hello..])?;
    (close > 0).then(|| &text[hello..hello + close])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(data: &str, expected: Option<(u16, bool, Option<&str>, &str)>) {
        let found = line(data.as_bytes()).map(|line| {
            let (status, text) = enhanced_status(line.text);
            (line.code, line.last, status, std::str::from_utf8(text).unwrap())
        });
        assert_eq!(found, expected, "{data:?}");
    }

    #[test]
    fn lines() {
        check("250 OK", Some((250, true, None, "OK")));
        check("250-SIZE", Some((250, false, None, "SIZE")));
        check("250  host Hello", Some((250, true, None, " host Hello")));
        check("550 5.7.64 Relay Access Denied", Some((550, true, Some("5.7.64"), "Relay Access Denied")));
        check("550 4.4.4 Mail", Some((550, true, Some("4.4.4"), "Mail")));
        check("221", Some((221, true, None, "")));
        check("550 5.7.1", Some((550, true, Some("5.7.1"), "")));
        check("550 5.7.1: text", Some((550, true, None, "5.7.1: text")));
        check("550 10.0.0.1 is listed", Some((550, true, None, "10.0.0.1 is listed")));
        check("25O OK", None); // a letter O
        check("999 OK", None);
        check("2500 OK", None);
        check("", None);
    }

    #[track_caller]
    fn check_attribution(text: &str, expected: Option<&str>) {
        assert_eq!(attribution(text), expected, "{text:?}");
    }

    #[test]
    fn attribution_tokens() {
        check_attribution("Relay Access Denied ATTR36 [x]", Some("ATTR36"));
        check_attribution("try again. ATTR3.1", Some("ATTR3.1"));
        check_attribution("wrong region. ATTR35.", Some("ATTR35"));
        check_attribution("XATTR1 ATTRX ATTR", None);
        check_attribution("ATTR1x ATTR2", Some("ATTR2"));
    }

    #[track_caller]
    fn check_peer(text: &str, expected: Option<(&str, Option<&str>)>) {
        let found = peer(text);
        let found = found.as_ref().map(|peer| (peer.host.as_str(), peer.session.map(|id| id.to_string())));
        assert_eq!(found.as_ref().map(|(host, id)| (*host, id.as_deref())), expected, "{text:?}");
    }

    #[test]
    fn peers() {
        let host = "AM1EUR08FT047.eop-EUR08.prod.protection.outlook.com";
        let full = format!("Denied [{host} 2026-07-07T15:48:53.514Z 08DED27250BC5691]");
        check_peer(&full, Some((host, Some("08DED27250BC5691"))));
        check_peer(&format!("Denied [{host}]"), Some((host, None)));
        check_peer("Denied [Hostname=a.b]", None);
        check_peer("Hello [10.0.0.1]", None);
        check_peer("Denied [a.b 2026-07-07 x]", None);
        check_peer("]", None);
    }

    #[test]
    fn thumbprint_in_a_reply() {
        let hex = "97355AF6DC2629ECCB2289C931D706332F3CF022";
        let text = format!("[Message=CertificateExpired Expected Subject: a Thumbprint: {hex}.]");
        assert_eq!(thumbprint(&text).map(|t| t.to_string()).as_deref(), Some(hex));
        assert_eq!(thumbprint("Thumbprint: 97355AF6"), None);
    }

    #[test]
    fn queued_messages_name_their_id() {
        let id = |data: &'static str| queued_message_id(&line(data.as_bytes()).unwrap());
        assert_eq!(id("250 2.6.0 <a@b> [InternalId=5, Hostname=EX1] Queued"), Some(&b"<a@b>"[..]));
        assert_eq!(id("250 2.6.0 Queued mail for delivery"), None);
        assert_eq!(id("250 2.6.0 "), None);
    }

    #[test]
    fn greetings() {
        assert_eq!(greeting_name(b" EX1.contoso.com Hello [10.0.0.1] SIZE"), Some(&b"EX1.contoso.com"[..]));
        assert_eq!(greeted_address(b"EX1 Hello [203.0.113.7] SIZE"), Some(&b"203.0.113.7"[..]));
        assert_eq!(greeted_address(b"Hello [] SIZE"), None);
    }
}
