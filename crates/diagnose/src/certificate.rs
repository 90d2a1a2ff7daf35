//! What is known of a certificate: from its file, from exports, from the logs themselves.

use evidence::{
    fact,
    names::{CertificateName, certificate_matches, same_dn},
};
use smtplog::{Thumbprint, certificate::Certificate as Logged};

use crate::{
    background::Exhibited,
    cause::{Item, ItemKind},
};

/// A certificate as far as it is known. A file says most, a log row little.
#[derive(Clone, Copy, Debug)]
pub struct CertificateView<'a> {
    /// Which one.
    pub thumbprint: Thumbprint,
    /// The certificate itself.
    pub file: Option<Exhibited<'a, fact::Certificate>>,
    /// What another text says of it.
    pub names: Option<Exhibited<'a, fact::CertificateNames>>,
    /// What the logs say of it.
    pub logged: Option<&'a Logged>,
}

impl<'a> CertificateView<'a> {
    /// The subject's distinguished name.
    pub fn subject(&self) -> Option<&'a str> {
        let logged = self.logged.filter(|logged| logged.split_certain).map(|logged| logged.subject.as_str());
        let texts = [self.file.map(|file| file.fact.subject.as_str()), self.names.map(|one| one.fact.subject.as_str())];
        texts.into_iter().flatten().chain(logged).find(|subject| !subject.is_empty())
    }

    /// The issuer's distinguished name.
    pub fn issuer(&self) -> Option<&'a str> {
        let logged = self.logged.filter(|logged| logged.split_certain).map(|logged| logged.issuer.as_str());
        let texts = [self.file.map(|file| file.fact.issuer.as_str()), self.names.map(|one| one.fact.issuer.as_str())];
        texts.into_iter().flatten().chain(logged).find(|issuer| !issuer.is_empty())
    }

    /// DNS names that the certificate is good for: the common name and the alternate names.
    pub fn dns_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.subject().and_then(evidence::names::common_name).into_iter().collect();
        if let Some(file) = self.file {
            names.extend(file.fact.names.iter().cloned());
        }
        if let Some(one) = self.names {
            names.extend(one.fact.names.iter().cloned());
        }
        if let Some(logged) = self.logged {
            names.extend(logged.names.split(';').map(str::to_owned));
            if !logged.split_certain {
                names.extend(evidence::names::common_name(&logged.subject));
            }
        }
        let mut unique: Vec<String> = Vec::new();
        for name in names.into_iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()) {
            if !unique.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                unique.push(name);
            }
        }
        unique
    }

    /// A name to call it by: its first DNS name.
    pub fn name(&self) -> Option<String> {
        self.dns_names().into_iter().next()
    }

    /// When it becomes valid, in milliseconds since 1970.
    pub fn not_before_ms(&self) -> Option<i64> {
        let logged = self.logged.and_then(|logged| logged.not_before).map(|time| time.0);
        let named = self.names.and_then(|one| one.fact.not_before_ms);
        self.file.map(|file| file.fact.not_before_ms).or(logged).or(named)
    }

    /// When it ceases to be.
    pub fn not_after_ms(&self) -> Option<i64> {
        let logged = self.logged.and_then(|logged| logged.not_after).map(|time| time.0);
        let named = self.names.and_then(|one| one.fact.not_after_ms);
        self.file.map(|file| file.fact.not_after_ms).or(logged).or(named)
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_signed(&self) -> Option<bool> {
        Some(same_dn(self.subject()?, self.issuer()?))
    }

    /// Whether a setting means it that names issuer and subject: `<I>issuer<S>subject`. An issuer that is not known cannot
    /// differ.
    pub fn is_named(&self, text: &str) -> bool {
        CertificateName::parse(text).is_some_and(|named| {
            let same_issuer = |issuer| named.issuer.is_empty() || same_dn(issuer, &named.issuer);
            self.subject().is_some_and(|subject| same_dn(subject, &named.subject))
                && self.issuer().is_none_or(same_issuer)
        })
    }

    /// Whether an inbound connector that expects this name knows it by it.
    pub fn is_expected(&self, expected: &str) -> bool {
        match CertificateName::parse(expected) {
            Some(_) => self.is_named(expected),
            None => certificate_matches(self.dns_names().iter().map(String::as_str), expected).is_some(),
        }
    }

    /// Something it says, as evidence; the file if there is one, or else the rows of the logs.
    pub fn item(&self, text: impl Into<String>) -> Item {
        let text = text.into();
        let place = self.file.map(|file| file.place()).or(self.names.map(|one| one.place()));
        match place {
            Some((source, offset)) => {
                Item { kind: ItemKind::Certificate, source: source.to_owned(), offset: Some(offset), text, row: None }
            }
            None => Item {
                kind: ItemKind::Sessions,
                source: format!("presented:{}", self.thumbprint),
                offset: None,
                text,
                row: None,
            },
        }
    }
}
