//! What a field's value has to be: values of a query by the kind of their field.

use std::ops::RangeInclusive;

use smtplog::{SessionId, Thumbprint, Timestamp, TlsOutcome, hex_digits_of_paste};

use super::{Endpoint, Field, Kind, Network, Phrase, Problem, fold, lexer::Word, moment::parse_times, split_endpoint};

/// What a value has to be. Beginnings of numbers and session ids, comparisons and open ends have become ranges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Matcher {
    /// `field:*`: there is a value, and it is not empty.
    Present,
    /// Equal to this, after [`fold`] (serial numbers after [`serial_key`], message ids after [`message_id_key`]).
    Exact(String),
    /// Begins with this, after the same folding. `5.7.` with its last dot goes by level.
    Prefix(String),
    /// An envelope address of this domain, folded.
    Domain(String),
    /// This certificate.
    Thumbprint(Thumbprint),
    /// A certificate whose thumbprint begins with these 1 to 39 upper-case hex digits.
    ThumbprintPrefix(String),
    /// One of these certificates, sorted; what a name resolves to.
    Thumbprints(Vec<Thumbprint>),
    /// A session id in this range; one id is the range of itself.
    Sessions(RangeInclusive<SessionId>),
    /// A reply code in this range.
    Codes(RangeInclusive<u16>),
    /// A time in this range; an open end is the least or greatest time there is.
    Times(RangeInclusive<Timestamp>),
    /// An address in this network, at any port; one address is the network of itself.
    Network(Network),
    /// This address at this port.
    Endpoint(Endpoint),
    /// Words in a row.
    Phrase(Phrase),
    /// This outcome of TLS.
    Outcome(TlsOutcome),
    /// `true` or `false`.
    Flag(bool),
}

/// How a value was written.
enum Pattern {
    Whole(String),
    Beginning(String),
}

impl Pattern {
    /// The matcher of a text that is compared by its key.
    fn keyed(self, key: impl Fn(&str) -> Option<String>) -> Option<Matcher> {
        match self {
            Pattern::Whole(text) => key(&text).map(Matcher::Exact),
            Pattern::Beginning(text) => key(&text).map(Matcher::Prefix),
        }
    }
}

impl Word {
    /// `*` alone.
    pub(super) fn is_anything(&self) -> bool {
        self.text == "*" && self.stars.len() == 1
    }

    /// Its words. The asterisk of `*.contoso.com` is part of a certificate's name; as for any words, it is no token.
    pub(super) fn phrase(&self) -> Result<Option<Phrase>, Problem> {
        if self.text.starts_with("*.") && self.stars.len() == 1 {
            return Ok(Phrase::new(&self.text));
        }
        Ok(match self.pattern()? {
            Pattern::Whole(text) => Phrase::new(&text),
            Pattern::Beginning(text) => Phrase::beginning(&text),
        })
    }

    /// Place in the query of a `*` that is neither the end nor the beginning of `*@domain`.
    pub(super) fn misplaced_star(&self) -> Option<usize> {
        let is_allowed = |at: usize| at + 1 == self.text.len() || (at == 0 && self.text.starts_with("*@"));
        self.stars.iter().find(|(at, _)| !is_allowed(*at)).map(|(_, in_query)| *in_query)
    }

    fn pattern(&self) -> Result<Pattern, Problem> {
        if self.misplaced_star().is_some() {
            return Err(Problem::Wildcard);
        }
        let has_star = |at: usize| self.stars.iter().any(|(star, _)| *star == at);
        let is_beginning = self.text.len().checked_sub(1).is_some_and(has_star);
        let text = &self.text[usize::from(has_star(0))..self.text.len() - usize::from(is_beginning)];
        let pattern = if is_beginning || self.prefix { Pattern::Beginning } else { Pattern::Whole };
        Ok(pattern(text.to_owned()))
    }

    /// A `>`, `>=`, `<` or `<=` in front, and the rest.
    fn comparison(&self) -> Option<(&str, &str)> {
        let length = self.text.bytes().take_while(|byte| matches!(byte, b'<' | b'>' | b'=')).count();
        let (sign, value) = self.text.split_at(length);
        (!self.quoted && matches!(sign, "<" | "<=" | ">" | ">=")).then_some((sign, value))
    }
}

impl Matcher {
    /// The value of a field, as a word.
    pub(super) fn of_word(field: Field, word: &Word) -> Result<Matcher, Problem> {
        if word.is_anything() {
            return Ok(Matcher::Present);
        }
        let matcher = match field.kind() {
            Kind::Code | Kind::SessionId | Kind::Time => match word.comparison() {
                Some((sign, value)) => compared(field.kind(), sign, value),
                None => ordered(field.kind(), word.pattern()?),
            },
            Kind::Phrase | Kind::CertificateWords => word.phrase()?.map(Matcher::Phrase),
            Kind::Mailbox if word.quoted => word.pattern()?.keyed(mailbox_key),
            Kind::Mailbox => mailbox(word.pattern()?),
            kind => unordered(kind, word.pattern()?),
        };
        matcher.ok_or_else(|| bad_value(field, word))
    }

    /// `[low TO high]`.
    pub(super) fn of_range(field: Field, low: &Word, high: &Word) -> Result<Matcher, Problem> {
        let kind = field.kind();
        if !matches!(kind, Kind::Code | Kind::SessionId | Kind::Time) {
            return Err(Problem::NoRange);
        }
        let end = |word: &Word| match word.text.as_str() {
            "*" if !word.quoted => Ok(None),
            text => span(kind, text).map(Some).ok_or_else(|| bad_value(field, word)),
        };
        let first = end(low)?.map_or(i128::MIN, |span| *span.start());
        let last = end(high)?.map_or(i128::MAX, |span| *span.end());
        if first > last {
            return Err(Problem::BackwardRange);
        }
        within(kind, first, last).ok_or_else(|| bad_value(field, low))
    }
}

fn bad_value(field: Field, word: &Word) -> Problem {
    Problem::BadValue { field, text: word.text.clone(), expected: expected(field.kind()) }
}

/// What the values of a kind look like.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Name => "a name or its beginning: Internet*",
        Kind::StreamId => "an id with its stream, EX001/hub/send/08DC399000800000; `session:` finds the number alone",
        Kind::ServerName => "a server's name or its beginning: EX0*",
        Kind::Word(["send", ..]) => "send or receive",
        Kind::Word(_) => "frontend, hub, mailbox-delivery, mailbox-submission, edge or unknown",
        Kind::SessionId => "16 hex digits, their beginning 08DC39*, or [a TO b]",
        Kind::Thumbprint => "40 hex digits or their beginning: 97355AF6*",
        Kind::CertificateSerial => "up to 40 hex digits or their beginning",
        Kind::CertificateWords | Kind::Phrase => "words with letters or digits",
        Kind::Code => "the code of a refusal: 550, 55*, 5xx or [500 TO 559]",
        Kind::Status => "a status of three numbers or its beginning: 5.7.64, 5.7.*",
        Kind::Attribution => "a token or its beginning: ATTR36",
        Kind::Address => "an address 10.0.0.1, an endpoint 10.0.0.1:25, a network 10.0.0.0/8, or a beginning 10.0.*",
        Kind::Mailbox => "an address, its beginning user1@*, or a domain @contoso.com",
        Kind::MessageId => "a message id or its beginning",
        Kind::Outcome => "ok, failed or none",
        Kind::Flag => "true or false",
        Kind::Time => "a time 2024-03-01, 2024-03-01T06:00, or [2024-03-01 TO 2024-03-07]; `--since` takes -24h",
    }
}

/// Values that are compared as texts, or that are one of a few.
fn unordered(kind: Kind, pattern: Pattern) -> Option<Matcher> {
    match kind {
        Kind::Name => pattern.keyed(|text| Some(fold(text))),
        Kind::StreamId => stream_id(pattern),
        Kind::ServerName => server_name(pattern),
        Kind::Word(words) => one_of(words, pattern),
        Kind::Thumbprint => thumbprint(pattern),
        Kind::CertificateSerial => pattern.keyed(serial_key),
        Kind::Status => status(pattern),
        Kind::Attribution => pattern.keyed(attribution_key),
        Kind::Address => address(pattern),
        Kind::MessageId => pattern.keyed(|text| Some(message_id_key(text))),
        Kind::Outcome => outcome(pattern),
        Kind::Flag => flag(pattern),
        Kind::Code | Kind::SessionId | Kind::Time | Kind::Phrase | Kind::CertificateWords | Kind::Mailbox => None,
    }
}

fn stream_id(pattern: Pattern) -> Option<Matcher> {
    let is_incomplete = matches!(&pattern, Pattern::Whole(id) if id.matches('/').count() != 3);
    pattern.keyed(|text| (!is_incomplete).then(|| fold(text)))
}

/// Ids carry the first label of a server's name only (CONTRACT 1), so the rest of a full name is not compared.
fn server_name(pattern: Pattern) -> Option<Matcher> {
    match pattern {
        Pattern::Whole(name) => Some(Matcher::Exact(fold(name.split('.').next().unwrap_or_default()))),
        Pattern::Beginning(name) => Some(Matcher::Prefix(fold(&name))),
    }
}

fn one_of(words: &[&str], pattern: Pattern) -> Option<Matcher> {
    let is_known = |pattern: &Pattern| match pattern {
        Pattern::Whole(text) => words.contains(&fold(text).as_str()),
        Pattern::Beginning(text) => words.iter().any(|word| word.starts_with(&fold(text))),
    };
    if is_known(&pattern) { pattern.keyed(|text| Some(fold(text))) } else { None }
}

fn thumbprint(pattern: Pattern) -> Option<Matcher> {
    match pattern {
        Pattern::Whole(text) => Thumbprint::from_paste(&text).map(Matcher::Thumbprint),
        Pattern::Beginning(text) => {
            let digits = hex_digits_of_paste(&text)?;
            let whole = Thumbprint::from_hex(digits.as_bytes()).map(Matcher::Thumbprint);
            Some(whole.unwrap_or(Matcher::ThumbprintPrefix(digits)))
        }
    }
}

/// Three numbers, or the beginning of that. The first is one digit (RFC 3463), so `57*` is a mistake.
fn status(pattern: Pattern) -> Option<Matcher> {
    let (text, is_whole) = match &pattern {
        Pattern::Whole(text) => (text, true),
        Pattern::Beginning(text) => (text, false),
    };
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    let (last, before) = parts.split_last()?;
    let is_status = before.iter().all(|part| is_number(part))
        && (is_number(last) || (!is_whole && last.is_empty() && !before.is_empty()))
        && parts[0].len() == 1
        && (if is_whole { parts.len() == 3 } else { parts.len() <= 3 });
    pattern.keyed(|text| is_status.then(|| text.to_owned()))
}

fn attribution_key(text: &str) -> Option<String> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    Some(if is_number { format!("attr{}", fold(text)) } else { fold(text) })
}

/// What is written like an address but is none is a mistake; anything else is text: a masked endpoint, a host name.
fn address(pattern: Pattern) -> Option<Matcher> {
    let Pattern::Whole(text) = pattern else {
        return pattern.keyed(|text| Some(fold(text)));
    };
    if let Some(endpoint) = Endpoint::parse(&text) {
        return Some(Matcher::Endpoint(endpoint));
    }
    let host = match split_endpoint(&text) {
        (host, None) => host,
        _ => text.as_str(),
    };
    let is_numeric = text.contains('/') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let network = Network::parse(host).map(Matcher::Network);
    network.or_else(|| (!is_numeric || text.is_empty()).then(|| Matcher::Exact(fold(&text))))
}

/// `*@domain`, `@domain` and a bare `domain.example` are domains: no address ends there, and Exchange users ask so.
fn mailbox(pattern: Pattern) -> Option<Matcher> {
    match pattern {
        Pattern::Whole(text) => match mailbox_key(&text)? {
            key if key.starts_with('@') => Some(Matcher::Domain(key[1..].to_owned())),
            key if key.contains('.') && !key.contains('@') => Some(Matcher::Domain(key)),
            key => Some(Matcher::Exact(key)),
        },
        Pattern::Beginning(text) if text.starts_with('@') => None,
        Pattern::Beginning(text) => mailbox_key(&text).map(Matcher::Prefix),
    }
}

fn mailbox_key(text: &str) -> Option<String> {
    Some(fold(text.trim_start_matches('<').trim_end_matches('>')))
}

fn outcome(pattern: Pattern) -> Option<Matcher> {
    let Pattern::Whole(text) = pattern else {
        return None;
    };
    let outcomes = [TlsOutcome::Ok, TlsOutcome::Failed, TlsOutcome::None];
    outcomes.into_iter().find(|outcome| outcome.as_str().eq_ignore_ascii_case(&text)).map(Matcher::Outcome)
}

fn flag(pattern: Pattern) -> Option<Matcher> {
    match pattern {
        Pattern::Whole(text) if text.eq_ignore_ascii_case("true") => Some(Matcher::Flag(true)),
        Pattern::Whole(text) if text.eq_ignore_ascii_case("false") => Some(Matcher::Flag(false)),
        _ => None,
    }
}

/// Values that have an order, as a word: what it names or begins is a range.
fn ordered(kind: Kind, pattern: Pattern) -> Option<Matcher> {
    let span = match pattern {
        Pattern::Whole(text) => span(kind, &text)?,
        Pattern::Beginning(text) => span_of_beginning(kind, &text)?,
    };
    within(kind, *span.start(), *span.end())
}

fn compared(kind: Kind, sign: &str, value: &str) -> Option<Matcher> {
    let span = span(kind, value)?;
    match sign {
        ">" => within(kind, span.end() + 1, i128::MAX),
        ">=" => within(kind, *span.start(), i128::MAX),
        "<" => within(kind, i128::MIN, span.start() - 1),
        _ => within(kind, i128::MIN, *span.end()),
    }
}

/// The values that a text names: one number, or all moments of a day.
fn span(kind: Kind, text: &str) -> Option<RangeInclusive<i128>> {
    match kind {
        Kind::Time => parse_times(text).map(|times| times.start().0.into()..=times.end().0.into()),
        Kind::Code if text.len() == 3 && text.ends_with(['x', 'X']) => {
            span_of_beginning(kind, text.trim_end_matches(['x', 'X']))
        }
        Kind::Code if text.len() != 3 => None,
        Kind::SessionId if text.len() != 16 => None,
        _ => span_of_beginning(kind, text),
    }
}

/// The values whose digits begin like this.
fn span_of_beginning(kind: Kind, digits: &str) -> Option<RangeInclusive<i128>> {
    let (length, radix, last_digit) = match kind {
        Kind::Time => return span(kind, digits),
        Kind::Code => (3, 10, "9"),
        _ => (16, 16, "F"),
    };
    if digits.is_empty() || digits.len() > length || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let padded = |digit: &str| i128::from_str_radix(&(digits.to_owned() + &digit.repeat(length - digits.len())), radix);
    Some(padded("0").ok()?..=padded(last_digit).ok()?)
}

/// The matcher of a range, cut to the values that there are; `None` if none is left.
fn within(kind: Kind, first: i128, last: i128) -> Option<Matcher> {
    let cut = |min: i128, max: i128| (first <= max && last >= min).then(|| (first.max(min), last.min(max)));
    match kind {
        // Refusals only are replies (CONTRACT 4).
        Kind::Code => cut(400, 599).map(|(first, last)| Matcher::Codes(first as u16..=last as u16)),
        Kind::SessionId => cut(0, u64::MAX.into())
            .map(|(first, last)| Matcher::Sessions(SessionId(first as u64)..=SessionId(last as u64))),
        Kind::Time => cut(i64::MIN.into(), i64::MAX.into())
            .map(|(first, last)| Matcher::Times(Timestamp(first as i64)..=Timestamp(last as i64))),
        _ => None,
    }
}

/// What message ids are compared by: without `<>` and without case.
pub fn message_id_key(message_id: &str) -> String {
    fold(message_id.trim_matches(|c: char| c.is_whitespace() || c == '<' || c == '>'))
}

/// What serial numbers are compared by: upper-case hex digits without leading zeros, because some tools write the
/// sign byte that others leave out. `None` for what is no such number.
pub fn serial_key(serial: &str) -> Option<String> {
    let digits = hex_digits_of_paste(serial)?;
    let significant = digits.trim_start_matches('0');
    Some(if significant.is_empty() { "0".to_owned() } else { significant.to_owned() })
}

/// The names that a connector is found by: in `receive` it is logged as `EX1\Default`, and people know it as `Default`.
pub fn connector_names(connector: &str) -> impl Iterator<Item = &str> {
    let without_server = connector.split_once('\\').map(|(_, name)| name);
    std::iter::once(connector).chain(without_server)
}
