//! Words of a text: how the index and a query cut and fold it, so that both agree.
//!
//! A token is a maximal run of letters and digits (`char::is_alphanumeric`) in lower case: `TlsDomain='mail.x'` gives
//! `tlsdomain`, `mail`, `x`. A phrase is a row of consecutive tokens, whatever stands between them.

use std::iter;

/// Bytes of a folded token. Longer runs are base64 and other junk: they are cut, on both sides alike, so that a paste
/// of one still finds it while no peer can fill the dictionary with megabytes.
pub const TOKEN_BYTES_MAX: usize = 64;

/// The runs of letters and digits of a text, as they stand there; [`fold_token`] makes tokens of them.
#[derive(Clone, Debug)]
pub struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    /// The runs of `text`, in order.
    pub fn new(text: &'t str) -> Tokens<'t> {
        Tokens { rest: text }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let start = self.rest.find(char::is_alphanumeric)?;
        let from_start = &self.rest[start..];
        let end = from_start.find(|c: char| !c.is_alphanumeric()).unwrap_or(from_start.len());
        let (run, rest) = from_start.split_at(end);
        self.rest = rest;
        Some(run)
    }
}

/// Appends the token that a run gives: lower case, at most [`TOKEN_BYTES_MAX`] bytes.
pub fn fold_token(run: &str, token: &mut String) {
    let start = token.len();
    for c in run.chars().flat_map(char::to_lowercase) {
        if token.len() - start + c.len_utf8() > TOKEN_BYTES_MAX {
            return;
        }
        token.push(c);
    }
}

/// The tokens of a text.
pub fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut runs = Tokens::new(text);
    iter::from_fn(move || {
        let mut token = String::new();
        fold_token(runs.next()?, &mut token);
        Some(token)
    })
}

/// A name without case. Letter by letter, because `str::to_lowercase` looks at neighbours (a sigma at the end of a
/// word), and then the beginning of a name would not fold to the beginning of the folded name.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Words that follow each other in one text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phrase {
    /// As typed, without quotes and the closing `*`.
    pub text: String,
    /// Whether the last token is only the beginning of one.
    pub prefix: bool,
    /// The tokens of `text`, at least one.
    tokens: Vec<String>,
}

impl Phrase {
    /// The phrase of a text; `None` if there is no letter or digit in it.
    pub fn new(text: &str) -> Option<Phrase> {
        let tokens: Vec<String> = tokens(text).collect();
        (!tokens.is_empty()).then(|| Phrase { text: text.to_owned(), prefix: false, tokens })
    }

    /// The phrase whose last token begins like the text's last.
    pub fn beginning(text: &str) -> Option<Phrase> {
        Phrase::new(text).map(|phrase| Phrase { prefix: true, ..phrase })
    }

    /// Its tokens, at least one.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether the text has them one after the other.
    pub fn is_in(&self, text: &str) -> bool {
        let text: Vec<String> = tokens(text).collect();
        text.windows(self.tokens.len()).any(|window| self.fits(window))
    }

    fn fits(&self, window: &[String]) -> bool {
        let last = window.len() - 1;
        window.iter().zip(&self.tokens).enumerate().all(|(at, (token, wanted))| {
            if at == last && self.prefix { token.starts_with(wanted.as_str()) } else { token == wanted }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_tokens(text: &str, expected: &[&str]) {
        assert_eq!(tokens(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn tokens_are_runs_of_letters_and_digits() {
        check_tokens("TenantAttribution; Relay Access Denied", &["tenantattribution", "relay", "access", "denied"]);
        check_tokens("CALG_AES_256", &["calg", "aes", "256"]);
        check_tokens("组织内 SMTP 发送连接器", &["组织内", "smtp", "发送连接器"]);
        check_tokens("ΟΔΟΣ", &["οδοσ"]);
        check_tokens("\0--\u{202e}", &[]);
        check_tokens("", &[]);
    }

    #[test]
    fn long_runs_are_cut_at_a_letter() {
        check_tokens(&"x".repeat(100), &[&"x".repeat(64)]);
        check_tokens(&"ß".repeat(100), &[&"ß".repeat(32)]);
        check_tokens(&format!("x{}", "ß".repeat(100)), &[&format!("x{}", "ß".repeat(31))]);
    }

    #[track_caller]
    fn check_phrase(phrase: Option<Phrase>, expected: bool) {
        let text = "TenantAttribution; Relay Access Denied [ATTR36]";
        assert_eq!(phrase.as_ref().map(|phrase| phrase.is_in(text)), Some(expected), "{phrase:?}");
    }

    #[test]
    fn phrases_are_consecutive_tokens() {
        check_phrase(Phrase::new("relay access denied"), true);
        check_phrase(Phrase::new("RELAY-ACCESS"), true);
        check_phrase(Phrase::new("relay denied"), false);
        check_phrase(Phrase::new("rela"), false);
        check_phrase(Phrase::new("attr36"), true);
        check_phrase(Phrase::new("denied attr36 and more"), false);
    }

    #[test]
    fn beginnings_are_of_the_last_token() {
        check_phrase(Phrase::beginning("rela"), true);
        check_phrase(Phrase::beginning("access den"), true);
        check_phrase(Phrase::beginning("acc denied"), false);
    }
}
