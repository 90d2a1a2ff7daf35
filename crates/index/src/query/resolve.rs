//! From the names of certificates to their thumbprints.
//!
//! Splits refer to certificates by thumbprint only; what a certificate is called stands in the catalog. So terms on
//! names are answered there, before the index is asked.

use smtplog::Thumbprint;

use super::{Expr, Field, Matcher, Query, Term, Words};

/// Which of a certificate's names is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CertificateName {
    /// Any of those below.
    Any,
    /// The subject's distinguished name.
    Subject,
    /// The issuer's distinguished name.
    Issuer,
    /// The serial number.
    Serial,
    /// One of the alternative names.
    San,
}

/// Where the names of the known certificates stand.
pub trait CertificateNames {
    /// The certificates with such a name, in any order. The matcher is a [`Matcher::Phrase`], for `Serial` an `Exact`
    /// or `Prefix` of a [`serial_key`](super::serial_key), or for any but `Any` a `Present`;
    /// [`Matcher::is_name`] decides about one name.
    fn thumbprints(&self, name: CertificateName, matcher: &Matcher) -> Vec<Thumbprint>;
}

impl Matcher {
    /// Whether a certificate's name is what a matcher of [`CertificateNames`] asks for.
    pub fn is_name(&self, name: &str) -> bool {
        let serial = || super::serial_key(name).unwrap_or_default();
        match self {
            Matcher::Present => !name.is_empty(),
            Matcher::Phrase(phrase) => phrase.is_in(name),
            Matcher::Exact(key) => serial() == *key,
            Matcher::Prefix(key) => serial().starts_with(key.as_str()),
            _ => false,
        }
    }
}

impl Query {
    /// The same query without names of certificates: terms on `subject`, `issuer`, `serial` and `san` have become
    /// thumbprints, and bare words mean the certificates of that name as well.
    pub fn resolve(&self, certificates: &dyn CertificateNames) -> Query {
        Query { expr: self.expr.resolve(certificates), window: self.window }
    }
}

impl Expr {
    fn resolve(&self, certificates: &dyn CertificateNames) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| part.resolve(certificates)).collect();
        match self {
            Expr::All => Expr::All,
            Expr::Words(words) => Expr::Words(words.resolve(certificates)),
            Expr::Term(term) => term.resolve(certificates).into(),
            Expr::Not(expr) => expr.resolve(certificates).negated(),
            Expr::And(parts) => Expr::all_of(all(parts)),
            Expr::Or(parts) => Expr::any_of(all(parts)),
        }
    }
}

impl Term {
    fn resolve(&self, certificates: &dyn CertificateNames) -> Term {
        let name = match self.field {
            Field::Subject => CertificateName::Subject,
            Field::Issuer => CertificateName::Issuer,
            Field::Serial => CertificateName::Serial,
            Field::San => CertificateName::San,
            _ => return self.clone(),
        };
        let thumbprints = sorted(certificates.thumbprints(name, &self.matcher));
        Term::new(Field::Thumbprint, Matcher::Thumbprints(thumbprints), &self.at)
    }
}

impl Words {
    fn resolve(&self, certificates: &dyn CertificateNames) -> Words {
        let mut words = self.clone();
        let matcher = Matcher::Phrase(self.phrase.clone());
        let thumbprints = sorted(certificates.thumbprints(CertificateName::Any, &matcher));
        if !thumbprints.is_empty() {
            words.meanings.push(Term::new(Field::Thumbprint, Matcher::Thumbprints(thumbprints), &self.at).into());
        }
        words
    }
}

fn sorted(mut thumbprints: Vec<Thumbprint>) -> Vec<Thumbprint> {
    thumbprints.sort_unstable();
    thumbprints.dedup();
    thumbprints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{FIELDS, samples};

    /// A catalog of certificate 0xAA and of one that no session showed.
    struct Catalog;

    const SUBJECT: &str = "CN=mail.contoso.com, O=Contoso";

    impl CertificateNames for Catalog {
        fn thumbprints(&self, name: CertificateName, matcher: &Matcher) -> Vec<Thumbprint> {
            let names = match name {
                CertificateName::Any => vec![SUBJECT, "CN=DigiCert CA", "00D5A1B2", "*.contoso.com"],
                CertificateName::Subject => vec![SUBJECT],
                CertificateName::Issuer => vec!["CN=DigiCert CA"],
                CertificateName::Serial => vec!["00D5A1B2"],
                CertificateName::San => vec!["mail.contoso.com", "*.contoso.com"],
            };
            let is_known = names.into_iter().any(|name| matcher.is_name(name));
            if is_known { vec![samples::thumbprint(0xAA), samples::thumbprint(0x11)] } else { Vec::new() }
        }
    }

    fn resolved(query: &str) -> Query {
        Query::parse(query).expect("the query has no mistake").resolve(&Catalog)
    }

    #[track_caller]
    fn check(query: &str, expected: bool) {
        assert_eq!(resolved(query).matches(&samples::session()), expected, "{query}");
    }

    #[test]
    fn names_become_thumbprints() {
        let (first, second) = (samples::thumbprint(0x11), samples::thumbprint(0xAA));
        assert_eq!(resolved("issuer:digicert").to_string(), format!("thumbprint:({first} OR {second})"));
        assert_eq!(resolved("issuer:thawte").to_string(), "-*");
        check("subject:mail.contoso.com", true);
        check("subject:\"o contoso\"", true);
        check("subject:digicert", false);
        check("issuer:digi*", true);
        check("serial:d5a1b2", true);
        check("serial:\"D5 A1\"*", true);
        check("serial:A1B2", false);
        check("san:*.contoso.com", true);
        check("san:*", true);
        check("-subject:contoso", false);
    }

    #[test]
    fn resolved_names_are_terms_on_certificates() {
        check("subject:contoso status:5.7.64", true);
        let mut session = samples::session();
        session.replies[0].presented = None;
        assert!(!resolved("subject:contoso status:5.7.64").matches(&session));
        assert!(resolved("subject:contoso server:EX001").matches(&session));
    }

    #[test]
    fn bare_words_mean_names_as_well() {
        check("digicert", true);
        check("\"mail contoso\"", true);
        check("thawte", false);
        check("d5a1b2", false); // the serial has its zeros, and words are compared as written
        check("00d5a1b2", true);
    }

    #[test]
    fn other_fields_stay() {
        let is_name =
            |example: &str| ["subject", "issuer", "serial", "san"].iter().any(|name| example.starts_with(name));
        for row in FIELDS.iter().filter(|row| !is_name(row.example)) {
            assert_eq!(Ok(resolved(row.example)), Query::parse(row.example), "{}", row.example);
        }
    }
}
