//! A row of any layout: what it says of its connection, and what it becomes as a record.

use std::net::{Ipv4Addr, Ipv6Addr};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Direction, SessionId, Timestamp,
    fragment::Rebuilt,
    record::{Event, Field, Record},
};

/// What the service calls a user, where it is the client itself and this is its command.
const OWN_COMMAND: &[u8] = b"OutboundConnectionCommand";

/// The same for what the remote answered.
const REMOTE_RESPONSE: &[u8] = b"OutboundConnectionResponse";

/// The name of the service; behind it stands the number of a virtual server.
const SITE: &[u8] = b"SMTPSVC";

/// Verbs that no other service of IIS logs.
const SMTP_VERBS: [&[u8]; 6] = [b"HELO", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"BDAT"];

/// The columns of a row as they stand in the log; what is `-` there is empty here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) time: Timestamp,
    /// Whether the row says itself when it was written, in a zone that is known, and whose it is.
    pub(super) exact: bool,
    pub(super) remote: &'a [u8],
    /// The client's name once it has greeted, or one of the two names above; `None` if there is no such column.
    pub(super) user: Option<&'a [u8]>,
    pub(super) site: &'a [u8],
    pub(super) computer: &'a [u8],
    pub(super) local: Option<&'a [u8]>,
    /// Of the remote in rows of `send`, of nothing in the others.
    pub(super) port: &'a [u8],
    pub(super) method: &'a [u8],
    pub(super) query: &'a [u8],
    /// The code with which the service answered; 0 in rows of `send`.
    pub(super) status: &'a [u8],
    /// Whether the layout names the protocol, and it is SMTP.
    pub(super) names_smtp: bool,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Row {
            time: Timestamp(0),
            exact: false,
            remote: b"",
            user: None,
            site: b"",
            computer: b"",
            local: None,
            port: b"",
            method: b"",
            query: b"",
            status: b"",
            names_smtp: false,
        }
    }
}

/// Texts of a record that do not stand in the log as they are, one row's at a time.
#[derive(Default)]
pub(super) struct Texts {
    data: Vec<u8>,
    context: Vec<u8>,
    local: Vec<u8>,
    remote: Vec<u8>,
}

/// A column's value.
pub(super) fn value(text: &[u8]) -> &[u8] {
    if text == b"-" { b"" } else { text }
}

/// A reply code (RFC 5321 section 4.2). What ends without QUIT has an error of Windows in its place.
fn reply_code(text: &[u8]) -> Option<u16> {
    match *text {
        [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

impl<'a> Row<'a> {
    /// Whether this is surely a row of the SMTP service, and not of another one of IIS.
    pub(super) fn is_smtp(&self) -> bool {
        let is_outbound = self.user.is_some_and(|user| user == OWN_COMMAND || user == REMOTE_RESPONSE);
        let has_site = starts_without_case(self.site, SITE);
        let has_verb = || SMTP_VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(self.verb()));
        self.names_smtp || is_outbound || has_site || (self.site.is_empty() && has_verb())
    }

    /// Some layouts write `MAIL FROM` and `FROM:` behind it once more.
    fn verb(&self) -> &'a [u8] {
        self.method.split(|&byte| byte == b' ' || byte == b'+').next().unwrap_or(self.method)
    }

    fn has_verb(&self, verb: &[u8]) -> bool {
        self.verb().eq_ignore_ascii_case(verb)
    }

    /// Whether the remote said it, as a reply.
    fn is_response(&self) -> bool {
        match self.user {
            Some(user) if user == REMOTE_RESPONSE => true,
            Some(user) if user == OWN_COMMAND => false,
            _ => self.method.is_empty() && self.code().is_some(),
        }
    }

    /// Without a column for users, a command is the service's own if nobody answered it, or it came to no address.
    pub(super) fn direction(&self) -> Direction {
        let is_sent = match self.user {
            Some(user) => user == OWN_COMMAND || user == REMOTE_RESPONSE,
            None => self.is_response() || self.status == b"0" || self.local.is_some_and(<[u8]>::is_empty),
        };
        if is_sent { Direction::Send } else { Direction::Receive }
    }

    /// The code that the remote's reply begins with.
    fn code(&self) -> Option<u16> {
        let (code, rest) = self.query.split_at_checked(3)?;
        let ends_well = matches!(rest.first(), None | Some(b'+' | b'-' | b' '));
        reply_code(code).filter(|_| ends_well)
    }

    /// What the row says of the rows around it.
    pub(super) fn rebuilt(&self) -> Rebuilt {
        let (opens, reopens, closes) = match self.direction() {
            Direction::Send => self.as_sent(),
            Direction::Receive => self.as_received(),
        };
        Rebuilt { opens, reopens, closes, exact: self.exact }
    }

    /// A remote begins with 220, which also answers STARTTLS, and ends with 221.
    fn as_sent(&self) -> (bool, bool, bool) {
        let code = self.code().filter(|_| self.is_response());
        (code == Some(220), code.is_none() && self.has_verb(b"STARTTLS"), code == Some(221))
    }

    /// A client begins with a greeting, which it repeats after STARTTLS and if the first was refused. Until one is
    /// accepted it has no name: without a name a connection has just begun.
    fn as_received(&self) -> (bool, bool, bool) {
        let is_nameless = self.user.is_some_and(<[u8]>::is_empty);
        let greets = self.has_verb(b"HELO") || self.has_verb(b"EHLO");
        let is_mail = [&b"MAIL"[..], b"RCPT", b"DATA", b"BDAT"].iter().any(|verb| self.has_verb(verb));
        let is_refused = reply_code(self.status).is_some_and(|code| code >= 400);
        let reopens = is_nameless || self.has_verb(b"STARTTLS") || (is_refused && !is_mail);
        (greets || is_nameless, reopens, self.has_verb(b"QUIT") || self.has_verb(b"TIMEOUT"))
    }

    /// The row as a record. Its number means nothing, because the log has none.
    pub(super) fn record<'t>(&self, texts: &'t mut Texts) -> Record<'t>
    where
        'a: 't,
    {
        texts.data.clear();
        texts.context.clear();
        let is_response = self.is_response();
        if !is_response {
            texts.data.extend_from_slice(self.verb());
        }
        append_text(&mut texts.data, self.query, if is_response { b"" } else { b" " });
        let direction = self.direction();
        if direction == Direction::Receive {
            self.append_answer(&mut texts.context);
        }
        let port = if direction == Direction::Send { self.port } else { b"" };
        write_endpoint(&mut texts.remote, self.remote, port);
        write_endpoint(&mut texts.local, self.local.unwrap_or_default(), b"");
        let texts = &*texts;
        Record {
            time: self.time,
            connector: Field::plain(self.site),
            session: self.session(),
            sequence: 0,
            local: &texts.local,
            remote: &texts.remote,
            event: if direction == Direction::Send && !is_response { Event::Sent } else { Event::Received },
            data: Field::plain(&texts.data),
            context: Field::plain(&texts.context),
        }
    }

    /// The code with which the service answered, and the client's name.
    fn append_answer(&self, context: &mut Vec<u8>) {
        let user = self.user.unwrap_or_default();
        match reply_code(self.status) {
            Some(_) => context.extend_from_slice(self.status),
            None if user.is_empty() => return,
            None => context.push(b'-'),
        }
        append_text(context, user, b" ");
    }

    /// What stands for the remote, and for the virtual server unless it is the first: an IPv4 address by its bits, so
    /// that `104.47.88.42` is `00000000682F582A`, anything else by a hash.
    fn session(&self) -> SessionId {
        const HASHED: u64 = 1 << 63;
        if self.remote.is_empty() {
            return SessionId(0);
        }
        let text = std::str::from_utf8(self.remote).unwrap_or_default();
        let address = match text.parse::<Ipv4Addr>() {
            Ok(address) => u64::from(u32::from(address)),
            Err(_) => return SessionId(xxh3_64(self.remote) | HASHED),
        };
        SessionId(address | u64::from(self.virtual_server()) << 32)
    }

    fn virtual_server(&self) -> u16 {
        let digits = self.site.get(SITE.len()..).filter(|_| starts_without_case(self.site, SITE)).unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
        // The highest bit belongs to hashes.
        if number == 1 { 0 } else { number & 0x7fff }
    }
}

fn starts_without_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Appends a value behind a separator, its `+` as the blanks that they stand for. The log does not tell a plus from a
/// blank; between the angle brackets of an address there is none.
fn append_text(out: &mut Vec<u8>, text: &[u8], separator: &[u8]) {
    let text = if separator.is_empty() { text } else { trim_blanks(text) };
    if text.is_empty() {
        return;
    }
    out.extend_from_slice(separator);
    let mut rest = text;
    while let Some(open) = memchr::memchr(b'<', rest) {
        let close = memchr::memchr(b'>', &rest[open..]).map_or(rest.len(), |close| open + close);
        let is_address = rest[open..close].contains(&b'@');
        append_blanks(out, &rest[..open]);
        match is_address {
            true => out.extend_from_slice(&rest[open..close]),
            false => append_blanks(out, &rest[open..close]),
        }
        rest = &rest[close..];
    }
    append_blanks(out, rest);
}

fn append_blanks(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }));
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let begin = text.iter().position(|byte| !matches!(byte, b'+' | b' ')).unwrap_or(text.len());
    &text[begin..]
}

/// `192.0.2.1:25`, `[2001:db8::1]:25`. An address without a port stands alone.
fn write_endpoint(out: &mut Vec<u8>, address: &[u8], port: &[u8]) {
    out.clear();
    if address.is_empty() {
        return;
    }
    let is_ipv6 = std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if is_ipv6 {
        out.extend([&b"["[..], address, b"]"].concat());
    } else {
        out.extend_from_slice(address);
    }
    if port.iter().any(|digit| (b'1'..=b'9').contains(digit)) && port.iter().all(u8::is_ascii_digit) {
        out.push(b':');
        out.extend_from_slice(port);
    }
}
