//! Names in certificates and in settings: DNS names with wildcards, and distinguished names as text.
//!
//! `TlsSenderCertificateName` is `mail.contoso.com`, `*.contoso.com` or `<I>CN=..., C=US<S>CN=mail.contoso.com`
//! (FORMATS sections 5.1 and 5.3). Distinguished names come from .NET (`O="thawte, Inc."`), and now and then from
//! other tools, which turn the order round or escape (`O=thawte\, Inc.`).

use std::{borrow::Cow, fmt, iter::Peekable, str::CharIndices};

/// Whether two DNS names cover each other: they are equal, or one begins with `*.` and the other has exactly one
/// label in that place. Case and a dot at the end do not count; encoded international labels are compared as they are.
pub fn covers(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (plain(pattern), plain(name));
    !pattern.is_empty() && (pattern.eq_ignore_ascii_case(name) || wild(pattern, name) || wild(name, pattern))
}

/// The first of a certificate's names that covers the expected one.
pub fn certificate_matches<'a>(names: impl IntoIterator<Item = &'a str>, expected: &str) -> Option<&'a str> {
    names.into_iter().find(|name| covers(name, expected))
}

/// A certificate named by its issuer and subject, as `TlsCertificateName` does: `<I>issuer<S>subject`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateName {
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The subject's.
    pub subject: String,
}

impl CertificateName {
    /// Reads the form with `<I>` and `<S>`; `None` for any other text, such as a domain.
    pub fn parse(text: &str) -> Option<CertificateName> {
        let rest = strip_mark(text.trim(), "<I>")?;
        // A value that holds `<S>` itself is quoted; a quote that nothing closes is only a character.
        let mut quoted = false;
        let outside_quotes = rest.char_indices().find_map(|(at, char)| {
            quoted ^= char == '"';
            (!quoted && strip_mark(&rest[at..], "<S>").is_some()).then_some(at)
        });
        let at = outside_quotes.or_else(|| rest.find("<S>"))?;
        let subject = strip_mark(&rest[at..], "<S>")?;
        Some(CertificateName { issuer: rest[..at].trim().to_owned(), subject: subject.trim().to_owned() })
    }

    /// Whether a certificate of these names is meant.
    pub fn names(&self, issuer: &str, subject: &str) -> bool {
        same_dn(&self.issuer, issuer) && same_dn(&self.subject, subject)
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<I>{}<S>{}", self.issuer, self.subject)
    }
}

/// The first common name of a distinguished name, without its quotes. .NET writes the most specific one first.
pub fn common_name(dn: &str) -> Option<String> {
    parts(dn).into_iter().find(|part| part.key == "CN" && !part.value.is_empty()).map(|part| part.value)
}

/// Whether two distinguished names are the same but for case, blanks, quotes, and the order in which they are written:
/// .NET begins with what is most specific, others end with it. Empty names are not the same as anything.
pub fn same_dn(a: &str, b: &str) -> bool {
    let (a, b) = (comparable(a), comparable(b));
    !a.is_empty() && (a == b || a.iter().eq(b.iter().rev()))
}

/// A part of a distinguished name: `CN=mail.contoso.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Upper case: `CN`, `O`, `OID.2.5.4.97`.
    pub key: String,
    /// Without quotes.
    pub value: String,
}

/// The parts of a distinguished name, in the order in which they are written. They are no more than the text.
pub fn parts(dn: &str) -> Vec<Part> {
    let mut found: Vec<Part> = Vec::new();
    let mut pieces = Pieces { text: dn, chars: dn.char_indices().peekable() };
    while let Some(piece) = pieces.next_piece() {
        match piece {
            Piece::Part(part) => found.push(part),
            // `O=thawte, Inc.` that has lost its quotes.
            Piece::Rest(text) => {
                if let Some(last) = found.last_mut() {
                    last.value.push_str(", ");
                    last.value.push_str(text);
                }
            }
        }
    }
    found
}

/// A value of a distinguished name as .NET writes it: in quotes if it is empty, if a blank stands at one of its ends,
/// or if it has a character that parts names.
pub fn quoted(value: &str) -> Cow<'_, str> {
    let blank = |char: char| matches!(char, ' ' | '\t'..='\r');
    let plain = !value.is_empty()
        && !value.starts_with(blank)
        && !value.ends_with(blank)
        && !value.contains([',', '+', '=', '"', '\n', '<', '>', '#', ';']);
    match plain {
        true => Cow::Borrowed(value),
        false => Cow::Owned(format!("\"{}\"", value.replace('"', "\"\""))),
    }
}

fn plain(name: &str) -> &str {
    let name = name.trim();
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether `name` is one label and what follows the pattern's `*`.
fn wild(pattern: &str, name: &str) -> bool {
    let Some(parent) = pattern.strip_prefix("*.") else {
        return false;
    };
    let Some((label, rest)) = name.split_once('.') else {
        return false;
    };
    !label.is_empty() && !parent.is_empty() && rest.eq_ignore_ascii_case(parent)
}

fn strip_mark<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(mark.len())?;
    head.eq_ignore_ascii_case(mark).then_some(rest)
}

/// Parts in a form in which equal ones are equal.
fn comparable(dn: &str) -> Vec<(String, String)> {
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    parts(dn).iter().map(|part| (short_key(&part.key).to_owned(), words(&part.value))).collect()
}

/// The one name that stands for an attribute which tools name differently.
fn short_key(key: &str) -> &str {
    match key {
        "ST" => "S",
        "EMAIL" | "EMAILADDRESS" => "E",
        "SURNAME" => "SN",
        "GIVENNAME" | "GN" => "G",
        "TITLE" => "T",
        _ => key.strip_prefix("OID.").unwrap_or(key),
    }
}

enum Piece<'a> {
    Part(Part),
    /// Text between two commas that names no attribute.
    Rest(&'a str),
}

/// Reads a distinguished name from its begin to its end, once.
struct Pieces<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Pieces<'a> {
    fn next_piece(&mut self) -> Option<Piece<'a>> {
        while self.chars.next_if(|&(_, char)| char.is_whitespace() || is_separator(char)).is_some() {}
        let (begin, _) = *self.chars.peek()?;
        while self.chars.next_if(|&(_, char)| char != '=' && !is_separator(char)).is_some() {}
        let before = self.text[begin..self.place()].trim_end();
        if before.is_empty() || before.contains('"') || self.chars.next_if(|&(_, char)| char == '=').is_none() {
            while self.chars.next_if(|&(_, char)| !is_separator(char)).is_some() {}
            return Some(Piece::Rest(self.text[begin..self.place()].trim_end()));
        }
        Some(Piece::Part(Part { key: before.to_ascii_uppercase(), value: self.value() }))
    }

    fn value(&mut self) -> String {
        while self.chars.next_if(|&(_, char)| char.is_whitespace()).is_some() {}
        match self.chars.next_if(|&(_, char)| char == '"') {
            Some(_) => self.value_in_quotes(),
            None => self.value_without_quotes(),
        }
    }

    fn value_in_quotes(&mut self) -> String {
        let mut value = String::new();
        while let Some((_, char)) = self.chars.next() {
            match char {
                '"' if self.chars.next_if(|&(_, next)| next == '"').is_none() => break,
                _ => value.push(char),
            }
        }
        value
    }

    fn value_without_quotes(&mut self) -> String {
        let mut value = String::new();
        while let Some((_, char)) = self.chars.next_if(|&(_, char)| !is_separator(char)) {
            match char {
                // RFC 4514, section 2.4. A backslash before anything else is one.
                '\\' => {
                    let escaped = self.chars.next_if(|&(_, next)| is_separator(next) || "\"\\<>#= ".contains(next));
                    value.push(escaped.map_or('\\', |(_, char)| char));
                }
                _ => value.push(char),
            }
        }
        value.truncate(value.trim_end().len());
        value
    }

    fn place(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |&(at, _)| at)
    }
}

/// `;` parts names in some tools, `+` the parts of one relative name.
fn is_separator(char: char) -> bool {
    matches!(char, ',' | ';' | '+')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_covers(pattern: &str, name: &str, expected: bool) {
        assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
        assert_eq!(covers(name, pattern), expected, "{name} {pattern}");
    }

    #[test]
    fn equal_names_cover_each_other() {
        check_covers("mail.contoso.com", "MAIL.Contoso.com", true);
        check_covers("mail.contoso.com.", "mail.contoso.com", true);
        check_covers(" mail.contoso.com", "mail.contoso.com ", true);
        check_covers("*.contoso.com", "*.contoso.com", true);
        check_covers("xn--kln-sna.contoso.com", "XN--kln-sna.contoso.com", true);
        check_covers("contoso.com", "contoso.org", false);
        check_covers("contoso.com", "mail.contoso.com", false);
        check_covers("", "", false);
        check_covers(".", "", false);
    }

    #[test]
    fn a_wildcard_is_one_whole_label_at_the_front() {
        check_covers("*.contoso.com", "mail.contoso.com", true);
        check_covers("*.Contoso.com", "MAIL.contoso.COM.", true);
        check_covers("*.contoso.com", "contoso.com", false);
        check_covers("*.contoso.com", ".contoso.com", false);
        check_covers("*.contoso.com", "a.b.contoso.com", false);
        check_covers("*.contoso.com", "mail.notcontoso.com", false);
        check_covers("m*.contoso.com", "mail.contoso.com", false);
        check_covers("mail.*.com", "mail.contoso.com", false);
        check_covers("*", "contoso", false);
        check_covers("*.", "contoso.", false);
        check_covers("*.*.com", "mail.contoso.com", false);
    }

    #[test]
    fn the_first_name_that_covers_is_told() {
        let names = ["contoso.com", "*.contoso.com", "mail.contoso.com"];
        assert_eq!(certificate_matches(names, "mail.contoso.com"), Some("*.contoso.com"));
        assert_eq!(certificate_matches(names, "CONTOSO.com"), Some("contoso.com"));
        assert_eq!(certificate_matches(names, "fabrikam.com"), None);
    }

    #[track_caller]
    fn check_name(text: &str, expected: Option<(&str, &str)>) {
        let name = CertificateName::parse(text);
        assert_eq!(name.as_ref().map(|name| (name.issuer.as_str(), name.subject.as_str())), expected, "{text}");
    }

    #[test]
    fn issuer_and_subject() {
        check_name("<I>CN=Authority, C=US<S>CN=mail.contoso.com", Some(("CN=Authority, C=US", "CN=mail.contoso.com")));
        check_name(" <i>CN=A <s> CN=B ", Some(("CN=A", "CN=B")));
        check_name("<I>O=\"A <S> B\"<S>CN=C", Some(("O=\"A <S> B\"", "CN=C")));
        check_name("<I>O=17\" racks<S>CN=C", Some(("O=17\" racks", "CN=C")));
        check_name("<I><S>", Some(("", "")));
        check_name("<I>CN=A", None);
        check_name("<S>CN=A", None);
        check_name("mail.contoso.com", None);
        check_name("", None);
        let text = "<I>CN=Authority, C=US<S>CN=mail.contoso.com";
        assert_eq!(CertificateName::parse(text).unwrap().to_string(), text);
    }

    #[track_caller]
    fn check_parts(dn: &str, expected: &[(&str, &str)]) {
        let parts = parts(dn);
        let found: Vec<_> = parts.iter().map(|part| (part.key.as_str(), part.value.as_str())).collect();
        assert_eq!(found, expected, "{dn}");
    }

    #[test]
    fn parts_of_names() {
        check_parts(
            "CN=mail.contoso.com, O=Contoso, C=US",
            &[("CN", "mail.contoso.com"), ("O", "Contoso"), ("C", "US")],
        );
        check_parts("cn = a ,oid.2.5.4.97=b", &[("CN", "a"), ("OID.2.5.4.97", "b")]);
        check_parts("O=\"thawte, Inc.\", C=US", &[("O", "thawte, Inc."), ("C", "US")]);
        check_parts("O=\"The \"\"Best\"\" one\", C=US", &[("O", "The \"Best\" one"), ("C", "US")]);
        check_parts("O=thawte\\, Inc.,C=US", &[("O", "thawte, Inc."), ("C", "US")]);
        check_parts("O=thawte, Inc., C=US", &[("O", "thawte, Inc."), ("C", "US")]);
        check_parts("OU=A\\B, CN=C", &[("OU", "A\\B"), ("CN", "C")]);
        check_parts("CN=a + OU=b; C=US", &[("CN", "a"), ("OU", "b"), ("C", "US")]);
        check_parts("CN=\"\", O=", &[("CN", ""), ("O", "")]);
        check_parts("CN=a=b, O=\"never closed, C=US", &[("CN", "a=b"), ("O", "never closed, C=US")]);
        check_parts("mail.contoso.com", &[]);
        check_parts("", &[]);
    }

    #[track_caller]
    fn check_common_name(dn: &str, expected: Option<&str>) {
        assert_eq!(common_name(dn).as_deref(), expected, "{dn}");
    }

    #[test]
    fn common_names() {
        check_common_name("CN=mail.contoso.com, O=Contoso", Some("mail.contoso.com"));
        check_common_name("C=ca, S=Ontario, OU=IT Department, CN=mail.contoso.com", Some("mail.contoso.com"));
        check_common_name("CN=first, CN=second", Some("first"));
        check_common_name("O=\"no, CN=here\"", None);
        check_common_name("CN=, O=Contoso", None);
        check_common_name("DC=contoso", None);
    }

    #[track_caller]
    fn check_same(a: &str, b: &str, expected: bool) {
        assert_eq!(same_dn(a, b), expected, "{a} | {b}");
        assert_eq!(same_dn(b, a), expected, "{b} | {a}");
    }

    #[test]
    fn the_same_name_written_differently() {
        check_same("CN=Mail.contoso.com,O=Contoso", "cn=mail.contoso.com, O=contoso", true);
        check_same("CN=a, O=\"thawte, Inc.\"", "CN=a,O=thawte\\, Inc.", true);
        check_same("CN=a, O=\"thawte, Inc.\"", "CN=a, O=thawte, Inc.", true);
        check_same("C=US, O=Contoso, CN=a", "CN=a, O=Contoso, C=US", true);
        check_same("CN=a, S=Utah, E=x@y.z", "CN=a, ST=Utah, emailAddress=x@y.z", true);
        check_same("CN=a  b", "CN=a b", true);
        check_same("CN=a, O=b", "CN=a", false);
        check_same("CN=a, O=b", "CN=a, OU=b", false);
        check_same("CN=a, OU=b, OU=c", "CN=a, OU=c, OU=b", false);
        check_same("", "", false);
    }

    #[track_caller]
    fn check_quoted(value: &str, expected: &str) {
        assert_eq!(quoted(value), expected, "{value}");
    }

    #[test]
    fn quotes() {
        check_quoted("Contoso Ltd.", "Contoso Ltd.");
        check_quoted("thawte, Inc.", "\"thawte, Inc.\"");
        check_quoted("The \"Best\"", "\"The \"\"Best\"\"\"");
        check_quoted(" a", "\" a\"");
        check_quoted("a\r", "\"a\r\"");
        check_quoted("a\rb", "a\rb");
        check_quoted("", "\"\"");
        check_quoted("a;b", "\"a;b\"");
        check_quoted("#1", "\"#1\"");
    }

    proptest! {
        #[test]
        fn any_texts_can_be_asked_about(a in "\\PC*", b in "[-<ISCNO>=,;+\" *.\\\\a]*") {
            covers(&a, &b);
            CertificateName::parse(&b);
            common_name(&a);
            prop_assert_eq!(same_dn(&b, &b), !parts(&b).is_empty());
        }

        #[test]
        fn a_quoted_value_is_read_back(value in "[-a, \"=+;<>#.]{0,12}") {
            let dn = format!("CN={}, O=Contoso", quoted(&value));
            let parts = parts(&dn);
            prop_assert_eq!(parts.len(), 2, "{}", dn);
            prop_assert_eq!(&parts[0].value, &value);
        }
    }
}
