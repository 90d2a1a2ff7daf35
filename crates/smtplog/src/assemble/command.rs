//! Commands: what the client side of a session asks for (RFC 5321 section 4.1).

/// The verbs whose answers matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Hello,
    Mail,
    Recipient,
    Data,
    /// BDAT (RFC 3030); `last` marks the chunk whose answer is the message's.
    Chunk {
        last: bool,
    },
    Auth,
    StartTls,
    AnonymousTls,
    ProxyTo,
    ProxyFrom,
    ProxyClient,
    Other,
}

/// A command that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command<'r> {
    pub(super) verb: Verb,
    pub(super) line: &'r [u8],
    /// The message that it is part of, if any.
    pub(super) message: Option<usize>,
}

/// The verb of a command line; verbs compare without case.
pub(super) fn verb(line: &[u8]) -> Verb {
    let word = line.split(|&byte| byte == b' ' || byte == b':').next().unwrap_or(line);
    let is = |verb: &[u8]| word.eq_ignore_ascii_case(verb);
    match word.first().map(u8::to_ascii_uppercase) {
        Some(b'E') if is(b"EHLO") => Verb::Hello,
        Some(b'H') if is(b"HELO") => Verb::Hello,
        Some(b'M') if is(b"MAIL") => Verb::Mail,
        Some(b'R') if is(b"RCPT") => Verb::Recipient,
        Some(b'D') if is(b"DATA") => Verb::Data,
        Some(b'B') if is(b"BDAT") => Verb::Chunk { last: is_last_chunk(line) },
        Some(b'A') if is(b"AUTH") => Verb::Auth,
        Some(b'S') if is(b"STARTTLS") => Verb::StartTls,
        Some(b'X') if is(b"X-ANONYMOUSTLS") => Verb::AnonymousTls,
        Some(b'X') if is(b"X-EXPS") => Verb::Auth,
        Some(b'X') if is(b"XPROXYTO") => Verb::ProxyTo,
        Some(b'X') if is(b"XPROXYFROM") => Verb::ProxyFrom,
        Some(b'X') if is(b"XPROXY") => Verb::ProxyClient,
        _ => Verb::Other,
    }
}

fn is_last_chunk(line: &[u8]) -> bool {
    line.trim_ascii_end().rsplit(|&byte| byte == b' ').next().is_some_and(|word| word.eq_ignore_ascii_case(b"LAST"))
}

/// What follows the verb.
pub(super) fn argument(line: &[u8]) -> &[u8] {
    match memchr::memchr(b' ', line) {
        Some(blank) => line[blank + 1..].trim_ascii(),
        None => b"",
    }
}

/// The address of `MAIL FROM:<a@b> SIZE=1` or `RCPT TO:<a@b>`, without `<>`; clients leave them out at times.
pub(super) fn address(line: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memchr(b':', line) else { return b"" };
    let path = line[colon + 1..].trim_ascii();
    match path.strip_prefix(b"<") {
        Some(inner) => &inner[..closing_bracket(inner)],
        None => path.split(|&byte| byte == b' ').next().unwrap_or(path),
    }
}

/// Where the path ends: a quoted local part may hold `>` (RFC 5321 section 4.1.2).
fn closing_bracket(path: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return at,
            _ => {}
        }
    }
    memchr::memchr(b'>', path).unwrap_or(path.len())
}

/// The value of `KEY=value` among a command's arguments, keys without case.
pub(super) fn parameter<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    line.split(|&byte| byte == b' ').find_map(|word| {
        let equals = memchr::memchr(b'=', word)?;
        word[..equals].eq_ignore_ascii_case(key).then_some(&word[equals + 1..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: (Verb, &str)) {
        assert_eq!((verb(line.as_bytes()), address(line.as_bytes())), (expected.0, expected.1.as_bytes()), "{line:?}");
    }

    #[test]
    fn lines() {
        check("MAIL FROM:<a@b.example> SIZE=3", (Verb::Mail, "a@b.example"));
        check("mail from: <>", (Verb::Mail, ""));
        check("RCPT TO:a@b.example NOTIFY=NEVER", (Verb::Recipient, "a@b.example"));
        check(r#"RCPT TO:<"odd>one"@b.example>"#, (Verb::Recipient, r#""odd>one"@b.example"#));
        check(r#"RCPT TO:<"open@b.example>"#, (Verb::Recipient, r#""open@b.example"#));
        check("BDAT 120 LAST", (Verb::Chunk { last: true }, ""));
        check("BDAT 120", (Verb::Chunk { last: false }, ""));
        check("XPROXYFROM SID=08DC399000800000", (Verb::ProxyFrom, ""));
        check("XPROXY SID=08DC399000800000", (Verb::ProxyClient, ""));
        check("", (Verb::Other, ""));
    }

    #[test]
    fn parameters() {
        let line = b"XPROXYFROM SID=08DC399000800000 IP=10.0.0.1 DOMAIN=a";
        assert_eq!(parameter(line, b"sid"), Some(&b"08DC399000800000"[..]));
        assert_eq!(parameter(line, b"SEQNUM"), None);
    }
}
