//! Chains of certificates, built from all that are known: is the issuer known, and did it really sign?
//!
//! A server sends its own certificate and the intermediates it has. If one is missing, the other side cannot reach a
//! root that it trusts, and Exchange Online then knows the sender by its address only. What is known here are the
//! files and exports that somebody brought, so a chain that is complete here can still be incomplete on a server;
//! one that is not names the certificate to look for.
//!
//! Issuers are found by the bytes of their names, as Windows does it (RFC 5280, section 7.1, would also allow other
//! encodings of the same name). Key identifiers only say whom to try first: the signature decides.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use x509_parser::prelude::X509Certificate;

use crate::{
    fact::Certificate,
    x509::{CertificateError, parse},
};

mod signature;

use signature::{Signature, signature};

/// Certificates that a set holds. A fleet has thousands; at some 2 KiB each this is 128 MiB.
pub const CERTIFICATES_MAX: usize = 65_536;

/// Certificates of a chain. Real ones have up to six.
pub const LINKS_MAX: usize = 16;

/// Signatures that are checked for one chain. Cross-signing gives a handful of candidates; hundreds that share one name
/// are self-signed by name only, such as `CN=localhost`.
pub const CHECKS_MAX: usize = 256;

/// Known certificates, found by what they are the issuer of.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    known: Vec<Certificate>,
    by_thumbprint: HashMap<String, usize>,
    /// By the encoded subject.
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    dropped: u64,
}

impl Certificates {
    /// Adds a certificate, unless it is known. What its DER says counts, not what stands beside it.
    pub fn insert(&mut self, certificate: Certificate) -> Result<(), CertificateError> {
        if self.by_thumbprint.contains_key(&certificate.thumbprint) {
            return Ok(());
        }
        let subject = parse(&certificate.der)?.subject().as_raw().to_vec();
        if self.known.len() == CERTIFICATES_MAX {
            self.dropped += 1;
            return Ok(());
        }
        let number = self.known.len();
        self.by_subject.entry(subject).or_default().push(number);
        self.by_thumbprint.insert(certificate.thumbprint.clone(), number);
        self.known.push(certificate);
        Ok(())
    }

    /// The certificate with this thumbprint, 40 upper-case digits.
    pub fn find(&self, thumbprint: &str) -> Option<&Certificate> {
        self.by_thumbprint.get(thumbprint).map(|&number| &self.known[number])
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Certificates past [`CERTIFICATES_MAX`].
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn with_subject(&self, subject: &[u8]) -> impl Iterator<Item = &Certificate> {
        self.by_subject.get(subject).into_iter().flatten().map(|&number| &self.known[number])
    }
}

/// A certificate and its issuers, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Thumbprints from the certificate itself to the last issuer that is known.
    pub links: Vec<String>,
    /// Where it ends, and why.
    pub outcome: Outcome,
    /// Links whose signature is of an algorithm that cannot be checked here. They hold by their names.
    pub unchecked: Vec<String>,
    /// Links that are not valid at the time asked about; always empty if none was.
    pub outside_validity: Vec<String>,
    /// The search reached [`LINKS_MAX`] or [`CHECKS_MAX`], so that there may be a better chain.
    pub cut: bool,
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// At an authority that signed itself and is known.
    Complete,
    /// The certificate itself is self-signed.
    SelfSigned,
    /// At a certificate whose issuer is not known.
    Missing {
        /// The issuer's distinguished name.
        issuer: String,
        /// Where its certificate can be had, as the certificate it issued says.
        urls: Vec<String>,
        /// The certificate that it issued.
        of: String,
    },
    /// A certificate bears the issuer's name and key identifier, but did not make the signature: one of both was changed.
    BadSignature {
        /// The certificate with the signature.
        of: String,
        /// The one that should have made it.
        issuer: String,
    },
    /// At an issuer that may not issue: no authority by its basic constraints, or by its key usage.
    NotAuthority {
        /// The issuer.
        thumbprint: String,
    },
    /// The certificate's own DER cannot be read.
    Unreadable,
}

/// The best chain of the certificate: one that completes, if there is any.
pub fn chain(leaf: &Certificate, known: &Certificates) -> Chain {
    Search::new(known, None).best(leaf)
}

/// The same at a time in milliseconds since 1970: of chains that complete, one whose links are all valid then.
pub fn chain_at(leaf: &Certificate, known: &Certificates, time_ms: i64) -> Chain {
    Search::new(known, Some(time_ms)).best(leaf)
}

#[derive(Clone, Debug)]
struct Link<'a> {
    certificate: &'a Certificate,
    parsed: X509Certificate<'a>,
    /// What the check of its signature said, once an issuer is chosen.
    signature: Signature,
}

struct Search<'a> {
    known: &'a Certificates,
    time_ms: Option<i64>,
    checks: usize,
    cut: bool,
    best: Option<Chain>,
}

impl<'a> Search<'a> {
    fn new(known: &'a Certificates, time_ms: Option<i64>) -> Search<'a> {
        Search { known, time_ms, checks: 0, cut: false, best: None }
    }

    fn best(mut self, leaf: &'a Certificate) -> Chain {
        match parse(&leaf.der) {
            Ok(parsed) => {
                self.extend(&mut vec![Link { certificate: leaf, parsed, signature: Signature::Good }]);
            }
            Err(_) => self.end(&[], Outcome::Unreadable),
        }
        // Every search ends somewhere, so there is a best; the other is for the compiler.
        let mut best = self.best.unwrap_or_else(|| describe(&[], Outcome::Unreadable, None));
        if best.links.is_empty() {
            best.links.push(leaf.thumbprint.clone());
        }
        best.cut = self.cut && rank(&best) > 0;
        best
    }

    /// Tries every issuer of the path's last link; a path has one at least. Each call inside this one has a link more,
    /// so they are [`LINKS_MAX`] deep at most.
    fn extend(&mut self, path: &mut Vec<Link<'a>>) {
        let place = path.len() - 1;
        let last = path[place].certificate;
        if let Some(signature) = own_signature(&path[place]) {
            path[place].signature = signature;
            let outcome = if place == 0 { Outcome::SelfSigned } else { Outcome::Complete };
            return self.end(path, outcome);
        }
        if path.len() == LINKS_MAX {
            self.cut = true;
            return self.end(path, missing(last));
        }

        let (issuers, impostor) = self.issuers(path);
        if issuers.is_empty() {
            return self.end(path, impostor.unwrap_or_else(|| missing(last)));
        }
        for (signature, issuer) in issuers {
            let thumbprint = issuer.certificate.thumbprint.clone();
            let is_authority = is_authority(&issuer.parsed);
            path[place].signature = signature;
            path.push(issuer);
            match is_authority {
                true => self.extend(path),
                false => self.end(path, Outcome::NotAuthority { thumbprint }),
            }
            path.pop();
            if self.best.as_ref().is_some_and(|best| rank(best) == 0) {
                return;
            }
        }
    }

    /// Who issued the path's last link: those that signed it, the likeliest first, each with what the check said; and
    /// the outcome that names one that should have signed it, and did not.
    fn issuers(&mut self, path: &[Link<'a>]) -> (Vec<(Signature, Link<'a>)>, Option<Outcome>) {
        let last = &path[path.len() - 1];
        let named = self.known.with_subject(last.parsed.issuer().as_raw());
        let mut candidates: Vec<&Certificate> = named.filter(|candidate| !is_in(path, candidate)).collect();
        candidates.sort_by_key(|candidate| (relation(last.certificate, candidate), self.preference(candidate)));

        let mut issuers = Vec::new();
        let mut impostor = is_impostor_of_itself(last).then(|| bad_signature(last.certificate, last.certificate));
        for candidate in candidates {
            let relation = relation(last.certificate, candidate);
            if relation == Relation::Contradicts && !issuers.is_empty() {
                break;
            }
            if self.checks == CHECKS_MAX {
                self.cut = true;
                break;
            }
            self.checks += 1;
            let Ok(parsed) = parse(&candidate.der) else {
                continue;
            };
            match signature(&last.parsed, &parsed) {
                Signature::Unknown if relation == Relation::Contradicts => {}
                Signature::Bad if relation == Relation::Contradicts => {}
                Signature::Bad => impostor = impostor.or_else(|| Some(bad_signature(last.certificate, candidate))),
                signature => {
                    issuers.push((signature, Link { certificate: candidate, parsed, signature: Signature::Good }));
                }
            }
        }
        (issuers, impostor)
    }

    /// Of equals, those that are valid first, then those that are valid longest.
    fn preference(&self, candidate: &Certificate) -> (bool, std::cmp::Reverse<i64>) {
        (!is_valid(candidate, self.time_ms), std::cmp::Reverse(candidate.not_after_ms))
    }

    fn end(&mut self, path: &[Link<'_>], outcome: Outcome) {
        let found = describe(path, outcome, self.time_ms);
        if self.best.as_ref().is_none_or(|best| rank(&found) < rank(best)) {
            self.best = Some(found);
        }
    }
}

fn describe(path: &[Link<'_>], outcome: Outcome, time_ms: Option<i64>) -> Chain {
    let thumbprints = |keep: &dyn Fn(&Link<'_>) -> bool| {
        let kept = path.iter().filter(|link| keep(link));
        kept.map(|link| link.certificate.thumbprint.clone()).collect::<Vec<_>>()
    };
    Chain {
        links: thumbprints(&|_| true),
        unchecked: thumbprints(&|link| link.signature == Signature::Unknown),
        outside_validity: thumbprints(&|link| !is_valid(link.certificate, time_ms)),
        outcome,
        cut: false,
    }
}

/// Chains with a lower rank are better; nothing is better than 0.
fn rank(chain: &Chain) -> u8 {
    match chain.outcome {
        Outcome::Complete | Outcome::SelfSigned => u8::from(!chain.outside_validity.is_empty()),
        Outcome::NotAuthority { .. } => 2,
        Outcome::Missing { .. } => 3,
        Outcome::BadSignature { .. } => 4,
        Outcome::Unreadable => 5,
    }
}

fn missing(of: &Certificate) -> Outcome {
    Outcome::Missing { issuer: of.issuer.clone(), urls: of.issuer_urls.clone(), of: of.thumbprint.clone() }
}

fn bad_signature(of: &Certificate, issuer: &Certificate) -> Outcome {
    Outcome::BadSignature { of: of.thumbprint.clone(), issuer: issuer.thumbprint.clone() }
}

fn is_in(path: &[Link<'_>], candidate: &Certificate) -> bool {
    path.iter().any(|link| link.certificate.thumbprint == candidate.thumbprint)
}

fn is_valid(certificate: &Certificate, time_ms: Option<i64>) -> bool {
    time_ms.is_none_or(|time_ms| (certificate.not_before_ms..=certificate.not_after_ms).contains(&time_ms))
}

/// What the key identifiers say of a certificate and one that may have issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Agrees,
    Silent,
    Contradicts,
}

fn relation(of: &Certificate, issuer: &Certificate) -> Relation {
    match (&of.authority_key, &issuer.subject_key) {
        (Some(authority), Some(subject)) if authority == subject => Relation::Agrees,
        (Some(_), Some(_)) => Relation::Contradicts,
        _ => Relation::Silent,
    }
}

/// What the check of a self-signed certificate says; `None` if another key made its signature.
fn own_signature(link: &Link<'_>) -> Option<Signature> {
    if !names_itself(link) {
        return None;
    }
    match signature(&link.parsed, &link.parsed) {
        Signature::Bad => None,
        Signature::Unknown if relation(link.certificate, link.certificate) == Relation::Contradicts => None,
        signature => Some(signature),
    }
}

/// Whether it says that it signed itself, and did not.
fn is_impostor_of_itself(link: &Link<'_>) -> bool {
    names_itself(link) && relation(link.certificate, link.certificate) != Relation::Contradicts
}

fn names_itself(link: &Link<'_>) -> bool {
    link.parsed.subject().as_raw() == link.parsed.issuer().as_raw()
}

/// Whether it may issue certificates (RFC 5280, sections 4.2.1.3 and 4.2.1.9). Roots of version 1 have no extensions
/// that could say so.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let signs_certificates = match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    let is_old_root = certificate.version().0 < 2 && certificate.subject().as_raw() == certificate.issuer().as_raw();
    is_old_root || (certificate.is_ca() && signs_certificates)
}
