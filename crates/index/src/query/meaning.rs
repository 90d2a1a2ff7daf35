//! What bare words look like: besides the full text they are looked up as what they seem to be (CONTRACT 5), so that
//! a paste of anything finds its sessions.
//!
//! ```text
//! 97355AF6DC2629ECCB2289C931D706332F3CF022, 97355AF6*   thumbprint
//! 08DC399000800000                                      session, peer_session, proxy_session
//! EX001/hub/send/08DC399000800000                       id
//! 10.0.0.1, 10.0.0.1:25, 10.0.0.0/8, 10.0.*             remote, local, egress_ip
//! user1@contoso.com, <a@b>                              from, to, message_id
//! contoso.com, @contoso.com                             from, to (the domain), helo, remote
//! 5.7.64, 550                                           status, code
//! "550 5.7.64 TenantAttribution; Relay Access Denied"   code, status and text of one reply
//! ```

use smtplog::{SessionId, Thumbprint, hex_digits_of_paste};

use super::{
    Endpoint, Expr, Field, Matcher, Network, Phrase, Place, Term, Words, fold, message_id_key, split_endpoint,
};

/// Hex digits from which on a beginning is taken for one of a thumbprint. Shorter ones are words: `dead*`, `add*`.
const THUMBPRINT_PREFIX_MIN: usize = 6;

impl Words {
    /// The words of a phrase, with what they look like.
    pub fn new(phrase: Phrase, at: Place) -> Words {
        let text = phrase.text.trim_matches(|c: char| c.is_whitespace() || "[](){};,'\"`".contains(c));
        let terms = if phrase.prefix { meanings_of_beginning(text) } else { meanings_of_whole(text) };
        let meanings = terms.into_iter().map(|(field, matcher)| Term::new(field, matcher, &at).into());
        let meanings = meanings.chain(reply(text, &phrase, &at)).collect();
        Words { phrase, meanings, at }
    }
}

type Meaning = (Field, Matcher);

fn meanings_of_whole(text: &str) -> Vec<Meaning> {
    if let Some(thumbprint) = Thumbprint::from_paste(text) {
        return vec![(Field::Thumbprint, Matcher::Thumbprint(thumbprint))];
    }
    if let Some(id) = SessionId::from_hex(text.as_bytes()) {
        return on_each([Field::Session, Field::PeerSession, Field::ProxySession], &Matcher::Sessions(id..=id));
    }
    if let Some(address) = address(text) {
        return on_each([Field::Remote, Field::Local, Field::EgressIp], &address);
    }
    if is_stream_id(text) {
        return vec![(Field::Id, Matcher::Exact(fold(text)))];
    }
    mail(text)
}

fn meanings_of_beginning(text: &str) -> Vec<Meaning> {
    if let Some(digits) = hex_digits_of_paste(text).filter(|digits| digits.len() >= THUMBPRINT_PREFIX_MIN) {
        let whole = Thumbprint::from_hex(digits.as_bytes()).map(Matcher::Thumbprint);
        return vec![(Field::Thumbprint, whole.unwrap_or(Matcher::ThumbprintPrefix(digits)))];
    }
    let matcher = Matcher::Prefix(fold(text.trim_start_matches('<')));
    if text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return on_each([Field::Remote, Field::Local, Field::EgressIp], &matcher);
    }
    if text.contains('@') { on_each([Field::From, Field::To, Field::MessageId], &matcher) } else { Vec::new() }
}

fn on_each<const N: usize>(fields: [Field; N], matcher: &Matcher) -> Vec<Meaning> {
    fields.into_iter().map(|field| (field, matcher.clone())).collect()
}

/// An address with or without port. The brackets of `[2001:db8::5]` have been trimmed, those of `[2001:db8::5]:25`
/// in part.
fn address(text: &str) -> Option<Matcher> {
    let endpoint = Endpoint::parse(text).or_else(|| Endpoint::parse(&format!("[{text}")));
    let network = || match split_endpoint(text) {
        (host, None) => Network::parse(host).map(Matcher::Network),
        _ => Network::parse(text).map(Matcher::Network),
    };
    endpoint.map(Matcher::Endpoint).or_else(network)
}

fn is_stream_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let id = parts.last().and_then(|last| last.split('@').next()).unwrap_or_default();
    parts.len() == 4 && SessionId::from_hex(id.as_bytes()).is_some()
}

/// Addresses, domains and message ids.
fn mail(text: &str) -> Vec<Meaning> {
    let is_bracketed = text.starts_with('<') && text.ends_with('>');
    let key = fold(text.trim_start_matches('<').trim_end_matches('>'));
    let message_id = (Field::MessageId, Matcher::Exact(message_id_key(text)));
    match key.split_once('@') {
        Some(("", domain)) => on_each([Field::From, Field::To], &Matcher::Domain(domain.to_owned())),
        Some(_) if !key.contains(char::is_whitespace) => {
            let mut meanings = on_each([Field::From, Field::To], &Matcher::Exact(key));
            meanings.push(message_id);
            meanings
        }
        _ if is_bracketed => vec![message_id],
        _ if is_domain(&key) => {
            let mut meanings = on_each([Field::From, Field::To], &Matcher::Domain(key.clone()));
            meanings.extend(on_each([Field::Helo, Field::Remote], &Matcher::Exact(key)));
            meanings
        }
        _ => Vec::new(),
    }
}

/// Labels with dots between; the last has letters only, which tells `5.7.64` and dates apart.
fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let is_label = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_top = |label: &&str| label.len() >= 2 && label.chars().all(char::is_alphabetic);
    labels.len() >= 2 && labels.iter().all(is_label) && labels.last().is_some_and(is_top)
}

/// A status, a code, or a whole reply: `5.7.64`, `550`, `550 5.7.64 TenantAttribution; Relay Access Denied`.
fn reply(text: &str, phrase: &Phrase, at: &Place) -> Option<Expr> {
    let (code, rest) = take(text, |word| word.parse().ok().filter(|code| (400..600).contains(code)));
    let (status, rest) = take(rest, |word| is_status(word).then(|| word.to_owned()));
    if (code.is_none() && status.is_none()) || (phrase.prefix && rest.is_empty()) {
        return None;
    }
    let code = code.map(|code| (Field::Code, Matcher::Codes(code..=code)));
    let status = status.map(|status| (Field::Status, Matcher::Exact(status)));
    let text = if phrase.prefix { Phrase::beginning(rest) } else { Phrase::new(rest) };
    let text = text.map(|phrase| (Field::Text, Matcher::Phrase(phrase)));
    let terms = [code, status, text].into_iter().flatten();
    Some(Expr::all_of(terms.map(|(field, matcher)| Term::new(field, matcher, at).into()).collect()))
}

/// Takes the first word of a text, if it is such a one; `550-5.7.1` is two.
fn take<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> (Option<T>, &str) {
    let (word, rest) = text.split_once([' ', '-']).unwrap_or((text, ""));
    match parse(word) {
        Some(taken) => (Some(taken), rest.trim_start()),
        None => (None, text),
    }
}

fn is_status(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    /// What a bare word is looked up as, besides as text.
    #[track_caller]
    fn check(query: &str, expected: &str) {
        let Ok(Query { expr: Expr::Words(words), .. }) = Query::parse(query) else {
            panic!("{query} is not one bare word");
        };
        let meanings: Vec<String> = words.meanings.iter().map(Expr::to_string).collect();
        assert_eq!(meanings.join(", "), expected, "{query}");
    }

    const THUMBPRINT: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

    #[test]
    fn words_are_only_words() {
        for word in ["relay", "2024-03-01", "2024-03-01T06:00:00.000Z", "1.2.3.4.5", "e.g.", "dead*", "12345", "6.7.64"]
        {
            check(word, "");
        }
    }

    #[test]
    fn ids_of_certificates_and_sessions() {
        check(THUMBPRINT, &format!("thumbprint:{THUMBPRINT}"));
        check(&format!("\"\u{200e}{}\"", THUMBPRINT.to_lowercase()), &format!("thumbprint:{THUMBPRINT}"));
        check("97355AF6*", "thumbprint:97355AF6*");
        check(
            "08dc399000800000",
            "session:08DC399000800000, peer_session:08DC399000800000, proxy_session:08DC399000800000",
        );
        check("EX1/hub/send/08DC399000800000", "id:ex1/hub/send/08dc399000800000");
        check(
            "EX1/hub/send/0000000000000000@20240301T060006307Z",
            r#"id:ex1/hub/send/0000000000000000@20240301t060006307z"#,
        );
    }

    #[test]
    fn addresses() {
        check("10.0.0.1", "remote:10.0.0.1, local:10.0.0.1, egress_ip:10.0.0.1");
        check("(10.0.0.1:25)", "remote:10.0.0.1:25, local:10.0.0.1:25, egress_ip:10.0.0.1:25");
        check("[10.0.0.1]", "remote:10.0.0.1, local:10.0.0.1, egress_ip:10.0.0.1");
        check("[2001:db8::5]:25", "remote:[2001:db8::5]:25, local:[2001:db8::5]:25, egress_ip:[2001:db8::5]:25");
        check("10.0.0.0/8", "remote:10.0.0.0/8, local:10.0.0.0/8, egress_ip:10.0.0.0/8");
        check("10.0.*", "remote:10.0.*, local:10.0.*, egress_ip:10.0.*");
    }

    #[test]
    fn mail() {
        check("User@Contoso.com", "from:user@contoso.com, to:user@contoso.com, message_id:user@contoso.com");
        check("<a@b>", "from:a@b, to:a@b, message_id:a@b");
        check("user@*", "from:user@*, to:user@*, message_id:user@*");
        check("*@contoso.com", "from:@contoso.com, to:@contoso.com");
        check("contoso.com", "from:@contoso.com, to:@contoso.com, helo:contoso.com, remote:contoso.com");
        check("\"<unique id>\"", r#"message_id:"unique id""#);
    }

    #[test]
    fn replies() {
        check("550", "code:550");
        check("5.7.64,", "status:5.7.64");
        check("\"550 5.7.64\"", "code:550 status:5.7.64");
        check("\"550-5.7.1 Unable to relay\"", r#"code:550 status:5.7.1 text:"Unable to relay""#);
        check("\"451 Try again\"*", r#"code:451 text:"Try again"*"#);
        check("55*", "");
        check("\"250 OK\"", "");
    }
}
