//! Replies within text: where they begin and end, and what they say.
//!
//! A reply is found by its code and its enhanced status, `550 5.7.64`. It may quote another one:
//! `451 4.4.0 Primary target IP address responded with: "454 4.7.0 Temporary authentication failure."`

use std::net::IpAddr;

use super::{Attempt, Peer};

/// Replies that quote each other.
const DEPTH_MAX: usize = 8;

/// Bytes of a reply. RFC 5321 allows 512 a line; reporters add what they tried.
pub(super) const REPLY_BYTES_MAX: usize = 8 << 10;

/// Bytes of a session's id.
const SESSION_BYTES: usize = 16;

/// Bytes of a signature's time: `2026-08-13T13:12:35.600Z`.
const TIME_BYTES: usize = 24;

/// Where a reply begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its first byte.
    pub(super) begin: usize,
    /// The byte after code and status.
    pub(super) end: usize,
    pub(super) code: Option<u16>,
    pub(super) status: Option<String>,
    /// The quote that Python puts before the status: `(550, b'5.7.64 ...')`.
    pub(super) quote: Option<char>,
    /// IIS writes `+` for blanks.
    pub(super) is_plus: bool,
    /// `550-5.7.64`: more lines follow.
    pub(super) is_continued: bool,
}

/// The first reply with code and status at or after a place.
pub(super) fn find(text: &str, from: usize) -> Option<Head> {
    let bytes = text.as_bytes();
    (from..bytes.len())
        .filter(|at| is_begin(bytes, *at))
        .find_map(|at| head(text, at).filter(|head| head.status.is_some()))
}

/// The first status without a code: `5.7.64 TenantAttribution`.
pub(super) fn find_status(text: &str, from: usize) -> Option<Head> {
    let bytes = text.as_bytes();
    let mut begins = (from..bytes.len()).filter(|at| is_begin(bytes, *at));
    begins.find_map(|begin| {
        let length = status_length(&text[begin..])?;
        let end = begin + length;
        let status = Some(text[begin..end].to_owned());
        let is_word = text[end..].trim_start_matches([':', ' ']).starts_with(char::is_alphabetic);
        let head = Head { begin, end, code: None, status, quote: None, is_plus: false, is_continued: false };
        is_word.then_some(head)
    })
}

/// The reply at a place, with or without a status.
pub(super) fn head(text: &str, begin: usize) -> Option<Head> {
    let digits = text.get(begin..begin + 3)?;
    let code: u16 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let rest = &text[begin + 3..];
    let (gap, quote) = match rest.as_bytes() {
        [b' ', b'#', ..] => (2, None),
        [b' ' | b'-' | b'+', ..] => (1, None),
        [b',', b' ', b'b', quote @ (b'\'' | b'"'), ..] => (4, Some(char::from(*quote))),
        [b',', b' ', quote @ (b'\'' | b'"'), ..] => (3, Some(char::from(*quote))),
        _ => return None,
    };
    if !(400..600).contains(&code) {
        return None;
    }
    let after = &rest[gap..];
    let status = status_length(after).map(|length| after[..length].to_owned());
    Some(Head {
        begin,
        end: begin + 3 + gap + status.as_ref().map_or(0, String::len),
        code: Some(code),
        status,
        quote,
        is_plus: rest.starts_with('+'),
        is_continued: rest.starts_with('-'),
    })
}

/// What a reply says, itself first, then what it quotes. `text` begins after its code and status.
pub(super) fn attempts(head: &Head, text: &str) -> Vec<Attempt> {
    let text = &text[..text.floor_char_boundary(REPLY_BYTES_MAX)];
    let text = match head.is_plus {
        true => text.replace('+', " "),
        false => text.to_owned(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    nested(head, &text, 0, &mut found);
    let (host, ip) = last_attempt(&text);
    for attempt in &mut found {
        attempt.host.clone_from(&host);
        attempt.ip.clone_from(&ip);
    }
    found
}

fn nested(head: &Head, text: &str, depth: usize, found: &mut Vec<Attempt>) {
    let inner = find(text, 0).filter(|_| depth < DEPTH_MAX);
    let inner = inner.map(|inner| {
        let end = inner.end + quoted_end(&text[..inner.begin], &text[inner.end..]);
        (inner, end)
    });
    let own = match &inner {
        Some((inner, end)) => format!("{} {}", &text[..inner.begin], &text[*end..]),
        None => text.to_owned(),
    };
    found.push(Attempt {
        code: head.code,
        status: head.status.clone(),
        text: text.to_owned(),
        attr: attr(&own),
        peer: peer(&own),
        thumbprint: thumbprint(&own),
        depth,
        ..Attempt::default()
    });
    if let Some((inner, end)) = inner {
        nested(&inner, text[inner.end..end].trim(), depth + 1, found);
    }
}

/// Where a quoted reply ends, by what stands before it: `"`, `'`, or the bracket of `[Message=`.
fn quoted_end(before: &str, text: &str) -> usize {
    match before.chars().next_back() {
        Some(quote @ ('"' | '\'')) => text.find(quote).unwrap_or(text.len()),
        Some('=') => bracket_end(text),
        _ => text.len(),
    }
}

/// Where the bracket closes that opened before the text.
fn bracket_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return at,
            b']' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// `ATTR36`, `ATTR55.1`, `PRX2`, `CPRX1`.
fn attr(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let mut words = words.map(|word| word.trim_matches('.'));
    let word = words.find(|word| {
        let digits = ["ATTR", "CPRX", "PRX"].iter().find_map(|name| word.strip_prefix(name));
        digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    });
    word.map(str::to_owned)
}

/// The server in brackets: of several the one with a session, else the last.
fn peer(text: &str) -> Option<Peer> {
    let inside = text.split('[').skip(1).filter_map(|part| part.split_once(']')).map(|(inside, _)| inside);
    let mut peers: Vec<Peer> = inside.filter_map(signature).collect();
    let signed = peers.iter().rposition(|peer| peer.session.is_some());
    let last = peers.len().checked_sub(1)?;
    Some(peers.swap_remove(signed.unwrap_or(last)))
}

/// `HOST`, `HOST time`, `HOST time session`.
fn signature(inside: &str) -> Option<Peer> {
    words_signature(inside).or_else(|| broken_signature(inside))
}

/// A whole signature that was wrapped inside of its words: `HOST 2026-0 8-13T13:12:35.600Z 08DEF8E545D8505D`.
fn broken_signature(inside: &str) -> Option<Peer> {
    let joined: String = inside.split_whitespace().collect();
    let (rest, session) = joined.split_at_checked(joined.len().checked_sub(SESSION_BYTES)?)?;
    let (host, time) = rest.split_at_checked(rest.len().checked_sub(TIME_BYTES)?)?;
    let time: jiff::Timestamp = time.parse().ok()?;
    let is_whole = is_hex(session, SESSION_BYTES) && is_host(host) && host.parse::<IpAddr>().is_err();
    is_whole.then(|| Peer {
        host: host.to_owned(),
        time_ms: Some(time.as_millisecond()),
        session: Some(session.to_ascii_uppercase()),
    })
}

fn words_signature(inside: &str) -> Option<Peer> {
    let mut words = inside.split_whitespace();
    let host = words.next().filter(|host| is_host(host) && host.parse::<IpAddr>().is_err())?;
    let mut peer = Peer { host: host.to_owned(), time_ms: None, session: None };
    for word in words {
        match word.parse::<jiff::Timestamp>() {
            Ok(time) => peer.time_ms = Some(time.as_millisecond()),
            Err(_) if is_hex(word, SESSION_BYTES) => peer.session = Some(word.to_ascii_uppercase()),
            Err(_) => return None,
        }
    }
    Some(peer)
}

fn thumbprint(text: &str) -> Option<String> {
    const NAME: &str = "thumbprint:";
    let lower = text.to_ascii_lowercase();
    let after = &text[lower.find(NAME)? + NAME.len()..];
    let word = after.split_whitespace().next()?.trim_end_matches(['.', ']', ',', ';', ')']);
    is_hex(word, 40).then(|| word.to_ascii_uppercase())
}

/// `[LastAttemptedServerName=host] [LastAttemptedIP=203.0.113.9:25]`.
fn last_attempt(text: &str) -> (Option<String>, Option<String>) {
    let value = |name: &str| {
        let (_, after) = text.split_once(name)?;
        let value = after.split([']', ' ']).next()?.trim();
        (!value.is_empty()).then_some(value)
    };
    let host = value("[LastAttemptedServerName=").map(str::to_owned);
    (host, value("[LastAttemptedIP=").map(without_port))
}

/// An address without its port; what is no address (masked ones are not) keeps its form.
pub(super) fn without_port(text: &str) -> String {
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return address.ip().to_string();
    }
    match text.rsplit_once(':') {
        Some((ip, port)) if !ip.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            ip.trim_end_matches('.').to_owned()
        }
        _ => text.to_owned(),
    }
}

/// Whether a word has the form of a host's name with a domain, or of an address.
pub(super) fn is_host(word: &str) -> bool {
    let is_name = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    is_name && word.len() <= 255 && word.split('.').filter(|label| !label.is_empty()).count() > 1
}

fn is_hex(word: &str, length: usize) -> bool {
    word.len() == length && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a code or status may begin here: not within a word or number.
fn is_begin(bytes: &[u8], at: usize) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"._@".contains(byte) || !byte.is_ascii();
    matches!(bytes[at], b'4' | b'5') && !at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(is_inside)
}

/// Bytes of an enhanced status at the begin of the text (RFC 3463): class, subject and detail.
pub(super) fn status_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !matches!(bytes, [b'2' | b'4' | b'5', b'.', ..]) {
        return None;
    }
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let subject = digits(2);
    if !(1..=3).contains(&subject) || bytes.get(2 + subject) != Some(&b'.') {
        return None;
    }
    let detail = digits(3 + subject);
    let end = 3 + subject + detail;
    let goes_on = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    ((1..=3).contains(&detail) && !goes_on).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies as `depth code status text`.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let head = find(text, 0).unwrap();
        let shown: Vec<String> = attempts(&head, &text[head.end..])
            .iter()
            .map(|attempt| {
                let status = attempt.status.as_deref().unwrap_or("-");
                format!("{} {} {status} {}", attempt.depth, attempt.code.unwrap_or(0), attempt.text)
            })
            .collect();
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn replies_quote_replies() {
        check("550 5.7.64 Denied", &["0 550 5.7.64 Denied"]);
        check("x smtp;550 #5.7.1 Denied", &["0 550 5.7.1 Denied"]);
        check("550+5.7.64+Relay+Denied", &["0 550 5.7.64 Relay Denied"]);
        check(
            "451 4.4.395 Responded. -> 421 4.4.1 Timed\r\n out",
            &["0 451 4.4.395 Responded. -> 421 4.4.1 Timed out", "1 421 4.4.1 Timed out"],
        );
        check(
            r#"451 4.4.0 Said: "454 4.7.0 No." Tried"#,
            &[r#"0 451 4.4.0 Said: "454 4.7.0 No." Tried"#, "1 454 4.7.0 No."],
        );
        check(
            "450 4.4.317 No [Message=451 4.4.0 TLS [x] failed] [y]",
            &["0 450 4.4.317 No [Message=451 4.4.0 TLS [x] failed] [y]", "1 451 4.4.0 TLS [x] failed"],
        );
    }

    #[test]
    fn what_is_no_reply() {
        for text in ["5.7.64 Denied", "1550 5.7.64", "550", "250 2.1.0 Ok", "10.550 5.7.1", "550 5.7.1.2", "550 5.7"] {
            assert_eq!(find(text, 0), None, "{text:?}");
        }
        assert_eq!(find_status("see 5.7.64 Denied", 0).and_then(|head| head.status).as_deref(), Some("5.7.64"));
        assert_eq!(find_status("version 5.7.64", 0), None);
    }

    #[test]
    fn peers() {
        let check = |text, expected: Option<(&str, bool, Option<&str>)>| {
            let found = peer(text);
            let shown =
                found.as_ref().map(|peer| (peer.host.as_str(), peer.time_ms.is_some(), peer.session.as_deref()));
            assert_eq!(shown, expected, "{text:?}");
        };
        check("a [fe.x.y 2026-08-13T13:12:35.600Z 08DEF8E545D8505D]", Some(("fe.x.y", true, Some("08DEF8E545D8505D"))));
        check("a [fe.x.y]", Some(("fe.x.y", false, None)));
        check(
            "a [b.x 2026-08-13T13:12:35.600Z 08DEF8E545D8505D] [fe.x]",
            Some(("b.x", true, Some("08DEF8E545D8505D"))),
        );
        check(
            "a [fe.x.y 2026-0 8-13T13:12:35.600Z 08DEF8E5 45D8505D]",
            Some(("fe.x.y", true, Some("08DEF8E545D8505D"))),
        );
        check(
            "a [f e.x.y 2026-08-13T13:12:35.600Z 08DEF8E545D8505D]",
            Some(("fe.x.y", true, Some("08DEF8E545D8505D"))),
        );
        check("a [LastAttemptedServerName=a.b] [10.0.0.1] [a b] [fe.x", None);
    }

    #[test]
    fn details() {
        assert_eq!(attr("a ATTR36. b").as_deref(), Some("ATTR36"));
        assert_eq!(attr("a ATTR55.1").as_deref(), Some("ATTR55.1"));
        assert_eq!(attr("ATTRIBUTION xATTR1 ATTR"), None);
        let hex = "94e711dd84bc285cd2911dac3d0c9e3abb29671e";
        assert_eq!(thumbprint(&format!("Thumbprint: {hex}.]")), Some(hex.to_ascii_uppercase()));
        assert_eq!(thumbprint("Thumbprint: D0AC2FC6.]"), None);
        assert_eq!(without_port("203.0.113.9:25"), "203.0.113.9");
        assert_eq!(without_port("[2001:db8::1]:25"), "2001:db8::1");
        assert_eq!(without_port("2001:db8::1"), "2001:db8::1");
        assert_eq!(without_port("x.147.128.25:25"), "x.147.128.25");
    }
}
