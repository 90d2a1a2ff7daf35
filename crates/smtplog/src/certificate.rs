//! Certificates as logs name them: three layouts (FORMATS 1.5).
//!
//! ```text
//! A  *,CN=mail.contoso.com,Certificate subject          one row a property
//! B  *, <subject> <issuer> <serial> <thumbprint> <names>,Sending certificate Certificate subject ...
//! C  *, <subject> <issuer> <serial> <thumbprint> <notBefore> <notAfter> <names>,Sending certificate Subject ...
//! ```
//! B and C are told apart by the row's context and read from the right, because blanks inside names are not escaped.

use std::cmp::Ordering;

use crate::{Thumbprint, Timestamp};

/// What a log says of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Certificate {
    /// SHA-1 of the DER.
    pub thumbprint: Thumbprint,
    /// Begin of validity; layout C only.
    pub not_before: Option<Timestamp>,
    /// End of validity; layout C only.
    pub not_after: Option<Timestamp>,
    /// Whether the text says where the subject ends and the issuer begins. If not, `subject` holds both.
    pub split_certain: bool,
    /// The subject's distinguished name, as Windows writes it.
    pub subject: String,
    /// The issuer's distinguished name; empty if not logged or not certain.
    pub issuer: String,
    /// Serial number, hex, as logged.
    pub serial: String,
    /// Alternate names, joined by `;` as logged.
    pub names: String,
}

impl Certificate {
    /// A certificate of which the log gives the thumbprint alone.
    pub fn bare(thumbprint: Thumbprint) -> Certificate {
        Certificate {
            thumbprint,
            not_before: None,
            not_after: None,
            split_certain: true,
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            names: String::new(),
        }
    }

    /// How much is known. Of two texts about one certificate the one that knows more is kept, and of two that know as
    /// much the lesser, so that the order in which logs arrive does not matter.
    fn knowledge(&self) -> (bool, bool, bool, bool, bool) {
        let has_names = !self.names.is_empty();
        (self.not_after.is_some(), !self.subject.is_empty(), !self.issuer.is_empty(), has_names, self.split_certain)
    }

    /// Whether this text shall replace `known`.
    pub fn is_better_than(&self, known: &Certificate) -> bool {
        (self.knowledge(), known) > (known.knowledge(), self)
    }
}

/// Which side showed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSide {
    Presented,
    Received,
}

/// How a certificate row is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateRow {
    /// Layout A: the row that names the side; the properties follow.
    Header(CertificateSide),
    Subject,
    Issuer,
    Serial,
    Thumbprint,
    Names,
    /// Layouts B and C.
    Single(CertificateSide),
}

impl CertificateRow {
    /// What a row's context says of it, if it is about a certificate.
    pub(crate) fn of_context(context: &[u8]) -> Option<CertificateRow> {
        match context {
            b"Certificate subject" => return Some(CertificateRow::Subject),
            b"Certificate issuer name" => return Some(CertificateRow::Issuer),
            b"Certificate serial number" => return Some(CertificateRow::Serial),
            b"Certificate thumbprint" => return Some(CertificateRow::Thumbprint),
            b"Certificate alternate names" => return Some(CertificateRow::Names),
            _ => {}
        }
        let (side, rest) =
            CERTIFICATE_TYPES.iter().find_map(|&(name, side)| Some((side, context.strip_prefix(name.as_bytes())?)))?;
        match rest {
            b"" => Some(CertificateRow::Header(side)),
            _ if rest.starts_with(b" Subject ") || rest.starts_with(b" Certificate subject") => {
                Some(CertificateRow::Single(side))
            }
            _ => None,
        }
    }
}

/// The words that name a certificate's side (FORMATS 1.5). All but the first are the other side's.
const CERTIFICATE_TYPES: &[(&str, CertificateSide)] = &[
    ("Sending certificate", CertificateSide::Presented),
    ("Remote certificate", CertificateSide::Received),
    ("Received certificate", CertificateSide::Received),
    ("Validated received certificate", CertificateSide::Received),
    ("Received DirectTrust certificate", CertificateSide::Received),
    ("DirectTrust certificate", CertificateSide::Received),
    ("SmartHost certificate", CertificateSide::Received),
    ("Secure domain certificate", CertificateSide::Received),
    ("Proxy target certificate", CertificateSide::Received),
];

/// Reads layouts B and C. `None` if the text holds no thumbprint of 40 hex digits, as in anonymised logs.
pub(crate) fn single_row(text: &[u8]) -> Option<Certificate> {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_prefix(' ').unwrap_or(&text);
    let (rest, names) = match last_token(text) {
        Some((rest, token)) if date(token).is_none() && Thumbprint::from_hex(token.as_bytes()).is_none() => {
            (rest, token)
        }
        _ => (text, ""),
    };
    let (rest, not_after) = last_date(rest);
    let (rest, not_before) = last_date(rest);
    let (rest, thumbprint) = last_token(rest)?;
    let thumbprint = Thumbprint::from_hex(thumbprint.as_bytes())?;
    let (names_of_both, serial) = match last_token(rest) {
        Some((before, token)) if is_serial(token) => (before, token),
        _ => (rest, ""),
    };
    let (subject, issuer, split_certain) = subject_and_issuer(names_of_both);
    Some(Certificate {
        thumbprint,
        not_before,
        not_after,
        split_certain,
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        serial: serial.to_owned(),
        names: names.to_owned(),
    })
}

fn last_token(text: &str) -> Option<(&str, &str)> {
    match text.rsplit_once(' ') {
        Some((rest, token)) => Some((rest, token)),
        None => (!text.is_empty()).then_some(("", text)),
    }
}

fn last_date(text: &str) -> (&str, Option<Timestamp>) {
    match last_token(text) {
        Some((rest, token)) if date(token).is_some() => (rest, date(token)),
        _ => (text, None),
    }
}

fn date(token: &str) -> Option<Timestamp> {
    Timestamp::from_log(token.as_bytes())
}

fn is_serial(token: &str) -> bool {
    token.len() >= 2 && token.len().is_multiple_of(2) && token.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// `subject issuer` parted: equal halves are a self-signed certificate; else the one blank after which a new name
/// begins. With none or several such blanks the split is not certain and everything stays in the subject.
fn subject_and_issuer(text: &str) -> (&str, &str, bool) {
    let (half, odd) = (text.len() / 2, text.len() % 2 == 1);
    if odd && text.as_bytes().get(half) == Some(&b' ') && text[..half] == text[half + 1..] {
        return (&text[..half], &text[half + 1..], true);
    }
    if let Some(issuer) = text.strip_prefix(' ') {
        return ("", issuer, true); // A certificate with alternate names only has an empty subject.
    }
    let mut candidates = name_starts(text);
    match (candidates.next(), candidates.next()) {
        (Some(at), None) => (&text[..at], &text[at + 1..], true),
        _ => (text, "", false),
    }
}

/// Places of blanks, outside quotes and not after a comma, that are followed by `KEY=`.
fn name_starts(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    (0..bytes.len()).filter(move |&at| {
        quoted ^= bytes[at] == b'"';
        bytes[at] == b' ' && !quoted && at > 0 && bytes[at - 1] != b',' && begins_with_key(&bytes[at + 1..])
    })
}

/// Keys of relative distinguished names that a name begins with, as Windows writes them.
const NAME_KEYS: &[&str] = &[
    "CN",
    "OU",
    "O",
    "C",
    "DC",
    "E",
    "L",
    "S",
    "ST",
    "T",
    "G",
    "SN",
    "SERIALNUMBER",
    "STREET",
    "PostalCode",
    "Description",
    "UID",
];

fn begins_with_key(text: &[u8]) -> bool {
    let Some(equals) = text.iter().take(64).position(|&byte| byte == b'=') else { return false };
    let key = &text[..equals];
    key.starts_with(b"OID.") || NAME_KEYS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(key))
}

/// A certificate of layout A while its rows come in, as they are logged.
#[derive(Clone, Copy, Default)]
pub(crate) struct PartialCertificate<'r> {
    pub(crate) subject: &'r [u8],
    pub(crate) issuer: &'r [u8],
    pub(crate) serial: &'r [u8],
    pub(crate) thumbprint: Option<Thumbprint>,
    pub(crate) names: &'r [u8],
}

impl PartialCertificate<'_> {
    /// The certificate, if its thumbprint was readable.
    pub(crate) fn finish(self) -> Option<Certificate> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut certificate = Certificate::bare(self.thumbprint?);
        certificate.subject = text(self.subject);
        certificate.issuer = text(self.issuer);
        certificate.serial = text(self.serial);
        certificate.names = text(self.names);
        Some(certificate)
    }

    /// Whether [`PartialCertificate::finish`] might be better than `known`. Mostly it is not, because nearly every
    /// session shows a certificate that others showed before, and then its four strings are saved.
    pub(crate) fn may_be_better_than(&self, known: &Certificate) -> bool {
        let [subject, issuer, names] = [self.subject, self.issuer, self.names].map(|text| !text.is_empty());
        match (false, subject, issuer, names, true).cmp(&known.knowledge()) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => {
                let texts = [&known.subject, &known.issuer, &known.serial, &known.names].map(|text| text.as_bytes());
                texts != [self.subject, self.issuer, self.serial, self.names] || known.not_before.is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    const HEX: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, &str, &str, bool)>) {
        let found = single_row(text.as_bytes());
        let found = found
            .as_ref()
            .map(|c| (c.subject.as_str(), c.issuer.as_str(), c.serial.as_str(), c.names.as_str(), c.split_certain));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn single_rows_are_read_from_the_right() {
        let dates = "2020-01-17T15:15:33.000Z 2025-01-17T15:15:33.000Z";
        check(&format!(" CN=a CN=b 0A1B {HEX} {dates} a;b"), Some(("CN=a", "CN=b", "0A1B", "a;b", true)));
        check(&format!(" CN=a CN=b 0A1B {HEX} a"), Some(("CN=a", "CN=b", "0A1B", "a", true))); // layout B
        check(&format!(" CN=a CN=b 0A1B {HEX} {dates}"), Some(("CN=a", "CN=b", "0A1B", "", true))); // no names
        check(
            &format!(r#" C=ca, S=Ontario, CN=m O="x CN=, Inc.", C=US 00AA {HEX} {dates} m"#),
            Some(("C=ca, S=Ontario, CN=m", r#"O="x CN=, Inc.", C=US"#, "00AA", "m", true)),
        );
        check(&format!("  CN=issuer 0A1B {HEX} {dates} n"), Some(("", "CN=issuer", "0A1B", "n", true)));
        check(&format!(" CN=x y CN=x y 0A {HEX} {dates} x"), Some(("CN=x y", "CN=x y", "0A", "x", true)));
    }

    #[test]
    fn a_split_that_the_text_does_not_show_is_uncertain() {
        let text = format!(" CN=a CN=b CN=c 0A1B {HEX} 2020-01-17T15:15:33.000Z 2025-01-17T15:15:33.000Z a");
        check(&text, Some(("CN=a CN=b CN=c", "", "0A1B", "a", false)));
    }

    #[test]
    fn masked_thumbprints_are_none() {
        check(" CN=a CN=b xx xxxx 2020-01-17T15:15:33.000Z 2025-01-17T15:15:33.000Z a", None);
        check("", None);
        check(" ", None);
    }

    #[test]
    fn contexts() {
        let row = |context: &str| CertificateRow::of_context(context.as_bytes());
        let single = "Remote certificate Subject Issuer name Serial number Thumbprint Not before Not after";
        assert_eq!(row(single), Some(CertificateRow::Single(CertificateSide::Received)));
        assert_eq!(row("Sending certificate"), Some(CertificateRow::Header(CertificateSide::Presented)));
        assert_eq!(
            row("Sending certificate Certificate subject Certificate issuer"),
            Some(CertificateRow::Single(CertificateSide::Presented))
        );
        assert_eq!(row("DirectTrust certificate authenticated as 'x'"), None);
        assert_eq!(row("DirectTrust certificate failed to authenticate"), None);
    }

    fn text() -> impl Strategy<Value = String> {
        select(vec!["", "CN=a", "CN=b"]).prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn a_certificate_that_cannot_be_better_is_not_better(
            (subject, issuer, serial, names) in (text(), text(), text(), text()),
            known in (text(), text(), text(), text(), any::<bool>(), any::<bool>(), any::<bool>()),
        ) {
            let thumbprint = Thumbprint([7; 20]);
            let partial = PartialCertificate {
                subject: subject.as_bytes(),
                issuer: issuer.as_bytes(),
                serial: serial.as_bytes(),
                thumbprint: Some(thumbprint),
                names: names.as_bytes(),
            };
            let (subject, issuer, serial, names, begins, ends, split_certain) = known;
            let date = |is_known: bool| is_known.then_some(Timestamp(0));
            let (not_before, not_after) = (date(begins), date(ends));
            let known =
                Certificate { thumbprint, not_before, not_after, split_certain, subject, issuer, serial, names };
            let is_better = partial.finish().unwrap().is_better_than(&known);
            prop_assert!(!is_better || partial.may_be_better_than(&known));
        }
    }
}
