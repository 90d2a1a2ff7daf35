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

/// Commands in the order of their replies. Most sessions have one or two waiting at a time, so the room of those that
/// were answered is free again soon.
#[derive(Default)]
pub(super) struct Commands<'r> {
    commands: Vec<Command<'r>>,
    answered: usize,
}

impl<'r> Commands<'r> {
    pub(super) fn push(&mut self, command: Command<'r>) {
        self.commands.push(command);
    }

    pub(super) fn first(&self) -> Option<Command<'r>> {
        self.commands.get(self.answered).copied()
    }

    pub(super) fn remove_first(&mut self) {
        self.answered += usize::from(self.answered < self.commands.len());
        if self.answered == self.commands.len() {
            self.commands.clear();
            self.answered = 0;
        }
    }

    /// Nothing, in the room that these took.
    pub(super) fn recycled(self) -> Commands<'static> {
        // The library collects into the vector that it takes from.
        Commands { commands: self.commands.into_iter().map_while(|_| None).collect(), answered: 0 }
    }
}

/// The verb of a command line; verbs compare without case. Nearly all have four letters.
pub(super) fn verb(line: &[u8]) -> Verb {
    let ends_word = |byte: u8| byte == b' ' || byte == b':';
    let Some(word) = line.first_chunk::<4>().filter(|_| line.get(4).is_none_or(|&byte| ends_word(byte))) else {
        return long_verb(line.split(|&byte| ends_word(byte)).next().unwrap_or(line));
    };
    match folded(word) {
        EHLO | HELO => Verb::Hello,
        MAIL => Verb::Mail,
        RCPT => Verb::Recipient,
        DATA => Verb::Data,
        BDAT => Verb::Chunk { last: is_last_chunk(line) },
        AUTH => Verb::Auth,
        _ => Verb::Other,
    }
}

const EHLO: u32 = folded(b"EHLO");
const HELO: u32 = folded(b"HELO");
const MAIL: u32 = folded(b"MAIL");
const RCPT: u32 = folded(b"RCPT");
const DATA: u32 = folded(b"DATA");
const BDAT: u32 = folded(b"BDAT");
const AUTH: u32 = folded(b"AUTH");

/// Four letters as one number, without the bit that tells upper from lower case. No other byte becomes a letter by it.
const fn folded(word: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*word) & 0xdfdf_dfdf
}

fn long_verb(word: &[u8]) -> Verb {
    let is = |verb: &[u8]| word.eq_ignore_ascii_case(verb);
    match word.first() {
        Some(b'S' | b's') if is(b"STARTTLS") => Verb::StartTls,
        Some(b'X' | b'x') if is(b"X-ANONYMOUSTLS") => Verb::AnonymousTls,
        Some(b'X' | b'x') if is(b"X-EXPS") => Verb::Auth,
        Some(b'X' | b'x') if is(b"XPROXYTO") => Verb::ProxyTo,
        Some(b'X' | b'x') if is(b"XPROXYFROM") => Verb::ProxyFrom,
        Some(b'X' | b'x') if is(b"XPROXY") => Verb::ProxyClient,
        _ => Verb::Other,
    }
}

/// What IIS received it logs once, with the message's id in place of the chunk's size.
fn is_last_chunk(line: &[u8]) -> bool {
    argument(line).starts_with(b"<")
        || line
            .trim_ascii_end()
            .rsplit(|&byte| byte == b' ')
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"LAST"))
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

/// Where the path ends. Only a quoted local part, which is rare, needs a closer look.
fn closing_bracket(path: &[u8]) -> usize {
    match memchr::memchr2(b'>', b'"', path) {
        Some(at) if path[at] == b'>' => at,
        Some(_) => closing_bracket_outside_quotes(path),
        None => path.len(),
    }
}

/// Where the path ends: a quoted local part may hold `>` (RFC 5321 section 4.1.2).
fn closing_bracket_outside_quotes(path: &[u8]) -> usize {
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
        check("BDAT <a@b.example>", (Verb::Chunk { last: true }, ""));
        check("BDAT 120", (Verb::Chunk { last: false }, ""));
        check("XPROXYFROM SID=08DC399000800000", (Verb::ProxyFrom, ""));
        check("XPROXY SID=08DC399000800000", (Verb::ProxyClient, ""));
        check("", (Verb::Other, ""));
    }

    #[test]
    fn verbs_compare_without_case() {
        for line in ["rcpt TO:<p@q>", "RCPT:", "Rcpt"] {
            assert_eq!(verb(line.as_bytes()), Verb::Recipient, "{line:?}");
        }
        for line in ["RCPTS", "RCP", "\x12CPT", "2CPT", "MAI\u{6c}\u{6c}", "X-EXPSS", ":RCPT"] {
            assert_eq!(verb(line.as_bytes()), Verb::Other, "{line:?}");
        }
        assert_eq!(verb(b"x-anonymoustls"), Verb::AnonymousTls);
    }

    proptest::proptest! {
        #[test]
        fn paths_end_where_the_closer_look_says(path in r#"[a>"\\]{0,8}"#) {
            let path = path.as_bytes();
            proptest::prop_assert_eq!(closing_bracket(path), closing_bracket_outside_quotes(path));
        }
    }

    #[test]
    fn commands_wait_in_order_and_leave_their_room() {
        let command = |line| Command { verb: Verb::Other, line, message: None };
        let mut commands = Commands::default();
        commands.remove_first();
        commands.push(command(&b"a"[..]));
        commands.push(command(b"b"));
        commands.remove_first();
        commands.push(command(b"c"));
        assert_eq!(commands.first().map(|command| command.line), Some(&b"b"[..]));
        commands.remove_first();
        commands.remove_first();
        assert!(commands.first().is_none());
        let room = commands.commands.capacity();
        assert_eq!(commands.recycled().commands.capacity(), room);
    }

    #[test]
    fn parameters() {
        let line = b"XPROXYFROM SID=08DC399000800000 IP=10.0.0.1 DOMAIN=a";
        assert_eq!(parameter(line, b"sid"), Some(&b"08DC399000800000"[..]));
        assert_eq!(parameter(line, b"SEQNUM"), None);
    }
}
