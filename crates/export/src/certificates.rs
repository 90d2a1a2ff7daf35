//! What is known of certificates, as events carry it.

use std::{borrow::Cow, collections::HashMap};

use smtplog::{Thumbprint, Timestamp, certificate::Certificate};

/// Names of one certificate that an event carries; a certificate may have hundreds, and every event of it would.
const NAMES_MAX: usize = 100;

/// A certificate, as far as the logs and files beside them say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Distinguished name of the subject; empty if unknown.
    pub subject: String,
    /// Distinguished name of the issuer; empty if unknown.
    pub issuer: String,
    /// Serial number in hex; empty if unknown.
    pub serial: String,
    /// Subject alternative names, at most 100.
    pub names: Vec<String>,
    /// Begin of validity.
    pub not_before: Option<Timestamp>,
    /// End of validity.
    pub not_after: Option<Timestamp>,
}

/// Certificates by thumbprint.
#[derive(Clone, Debug, Default)]
pub struct Certificates(HashMap<Thumbprint, CertificateFacts>);

impl Certificates {
    /// Takes over what a store knows.
    pub fn new(certificates: &[Certificate]) -> Certificates {
        let facts = |certificate: &Certificate| {
            let names = certificate.names.split(';').filter(|name| !name.is_empty()).take(NAMES_MAX);
            CertificateFacts {
                subject: certificate.subject.clone(),
                issuer: certificate.issuer.clone(),
                serial: certificate.serial.clone(),
                names: names.map(str::to_owned).collect(),
                not_before: certificate.not_before,
                not_after: certificate.not_after,
            }
        };
        Certificates(certificates.iter().map(|one| (one.thumbprint, facts(one))).collect())
    }

    /// What is known of one.
    pub fn get(&self, thumbprint: Thumbprint) -> Option<&CertificateFacts> {
        self.0.get(&thumbprint)
    }
}

/// The value of the first CN of a distinguished name as Windows writes it: `CN=mail.contoso.com, O=Contoso`.
pub(crate) fn common_name(name: &str) -> Option<Cow<'_, str>> {
    let mut rest = name;
    loop {
        let value = rest.trim_start().strip_prefix("CN=").or_else(|| rest.trim_start().strip_prefix("cn="));
        if let Some(value) = value {
            return Some(attribute(value).0).filter(|value| !value.is_empty());
        }
        rest = attribute(rest).1?;
    }
}

/// The first value of a name, without its quotes, and what follows its comma.
fn attribute(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let after_key =
        text.find('=').map_or(text, |at| if text[..at].contains(['"', ',']) { text } else { &text[at + 1..] });
    let value = if text.starts_with('"') { text } else { after_key };
    if let Some(quoted) = value.strip_prefix('"') {
        let mut end = None;
        let mut chars = quoted.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == '"' {
                if chars.peek().is_some_and(|(_, next)| *next == '"') {
                    chars.next();
                } else {
                    end = Some(at);
                    break;
                }
            }
        }
        let (inner, rest) = end.map_or((quoted, ""), |end| (&quoted[..end], &quoted[end + 1..]));
        let inner = if inner.contains("\"\"") { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        return (inner, rest.split_once(',').map(|(_, rest)| rest));
    }
    match value.split_once(',') {
        Some((value, rest)) => (Cow::Borrowed(value.trim()), Some(rest)),
        None => (Cow::Borrowed(value.trim()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(common_name(name).as_deref(), expected, "{name}");
    }

    #[test]
    fn common_names() {
        check("CN=mail.contoso.com", Some("mail.contoso.com"));
        check("CN=mail.contoso.com, O=Contoso, C=US", Some("mail.contoso.com"));
        check("C=US, O=\"Contoso, Inc.\", CN=*.contoso.com", Some("*.contoso.com"));
        check("CN=\"a, \"\"b\"\"\", O=x", Some("a, \"b\""));
        check("O=Contoso", None);
        check("CN=", None);
        check("", None);
        check("O=\"open", None);
    }
}
