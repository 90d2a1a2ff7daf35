//! Certificates of the fleet and its correspondents, as logs show them: names and a thumbprint.
//!
//! Only those of a planted cause are ever signed ([`crate::der`]), since they lie beside the logs as files.

use crate::{
    clock::{self, DAY_MS},
    rng::Rng,
};

/// The place of a certificate in [`crate::world::World::certificates`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CertificateId(pub(crate) u32);

/// What a log can say about a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// As .NET writes it: values with a comma in quotes. Empty for a certificate that has alternate names only.
    pub(crate) subject: String,
    pub(crate) issuer: String,
    /// Big-endian hex, leading `00` kept.
    pub(crate) serial: String,
    pub(crate) thumbprint: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// Alternate names in the log's order; empty if it has none.
    pub(crate) names: Vec<String>,
    /// The certificate itself; empty if it was never signed.
    pub(crate) der: Vec<u8>,
}

/// How a server logs certificates (FORMATS 1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// Six rows, or two in the short form.
    Rows,
    /// One row without dates.
    RowWithoutDates,
    /// One row with dates.
    RowWithDates,
}

const PUBLIC_ISSUERS: [&str; 6] = [
    "CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US",
    "CN=R3, O=Let's Encrypt, C=US",
    "CN=Sectigo RSA Domain Validation Secure Server CA, O=Sectigo Limited, L=Salford, S=Greater Manchester, C=GB",
    "CN=thawte SHA256 SSL CA, O=\"thawte, Inc.\", C=US",
    "C=PL, O=Unizeto Technologies S.A., OU=Certum Certification Authority, CN=Certum Domain Validation CA SHA2",
    "DC=test, DC=fabrikam, CN=Fabrikam Issuing CA 2",
];

impl Certificate {
    /// A certificate of `issuer`, valid around `at`.
    pub(crate) fn issued(rng: &mut Rng, subject: &str, issuer: &str, names: &[String], at: i64) -> Certificate {
        let serial_bytes = *rng.pick(&[8, 16, 16, 16, 18, 20]);
        let mut serial = rng.hex(serial_bytes * 2);
        if rng.chance(0.2) {
            serial.replace_range(..2, "00");
        }
        let not_before = at - rng.between(0, 300) * DAY_MS - rng.between(0, DAY_MS / 1_000) * 1_000;
        Certificate {
            subject: subject.into(),
            issuer: issuer.into(),
            serial,
            thumbprint: rng.hex(40),
            not_before,
            not_after: not_before + 397 * DAY_MS,
            names: names.to_vec(),
            der: Vec::new(),
        }
    }

    /// What Exchange makes for itself at setup: subject and issuer are the server, valid for five years.
    pub(crate) fn self_signed(rng: &mut Rng, name: &str, fqdn: &str, at: i64) -> Certificate {
        let subject = format!("CN={name}");
        let mut certificate =
            Certificate::issued(rng, &subject, &subject, &[name.into(), fqdn.into()], at - 400 * DAY_MS);
        certificate.not_after = certificate.not_before + 1_826 * DAY_MS;
        certificate
    }

    /// A renewal: the same names, everything else new, valid from `at`.
    pub(crate) fn renewed(&self, rng: &mut Rng, at: i64) -> Certificate {
        let mut renewed = Certificate::issued(rng, &self.subject, &self.issuer, &self.names, at);
        renewed.not_before = at - rng.between(1, 10) * DAY_MS;
        renewed.not_after = renewed.not_before + 397 * DAY_MS;
        renewed
    }

    /// A correspondent's certificate; `turn` runs through the odd forms that names take.
    pub(crate) fn of_host(rng: &mut Rng, host: &str, domain: &str, turn: usize, at: i64) -> Certificate {
        let names = [host.to_string(), domain.to_string()];
        let issuer = rng.word(&PUBLIC_ISSUERS);
        match turn % 10 {
            0 => {
                Certificate::issued(rng, &format!("CN=*.{domain}"), issuer, &[format!("*.{domain}"), domain.into()], at)
            }
            1 => {
                let subject = format!("C=ca, S=Ontario, L=Ottawa, O=Tailspin Drey, OU=IT Department, CN={host}");
                Certificate::issued(rng, &subject, issuer, &names, at)
            }
            2 => {
                let subject = format!("DC=Tailspin Service Certificate Generator, CN={host}");
                Certificate::issued(rng, &subject, issuer, &names[..1], at)
            }
            3 => Certificate::issued(rng, &format!("CN={host}"), issuer, &[], at),
            4 => {
                let subject = format!("CN={host}, OU=Mail, O=\"Wingtip, Toys & Co.\", L=K\u{f6}ln, C=DE");
                Certificate::issued(rng, &subject, issuer, &names, at)
            }
            5 => {
                let mut certificate = Certificate::self_signed(rng, host, host, at);
                certificate.names.truncate(1);
                certificate
            }
            6 => Certificate::issued(rng, "", issuer, &names, at),
            _ => Certificate::issued(rng, &format!("CN={host}"), issuer, &names, at),
        }
    }

    /// Subject, issuer, serial and thumbprint joined as the one-row layouts do: blanks inside names are not marked.
    pub(crate) fn single_row(&self, layout: Layout) -> String {
        let mut row = format!(" {} {} {} {}", self.subject, self.issuer, self.serial, self.thumbprint);
        if layout == Layout::RowWithDates {
            for moment in [self.not_before, self.not_after] {
                row.push(' ');
                row.push_str(&clock::Time(moment).to_string());
            }
        }
        row.push(' ');
        row.push_str(&self.names.join(";"));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_layouts() {
        let certificate = Certificate {
            subject: "CN=mail.contoso.com, C=US".into(),
            issuer: "CN=R3, O=\"a, b\"".into(),
            serial: "00AB".into(),
            thumbprint: "FF".repeat(20),
            not_before: 0,
            not_after: DAY_MS,
            names: vec!["mail.contoso.com".into(), "contoso.com".into()],
            der: Vec::new(),
        };
        let start = format!(" CN=mail.contoso.com, C=US CN=R3, O=\"a, b\" 00AB {}", certificate.thumbprint);
        assert_eq!(certificate.single_row(Layout::RowWithoutDates), format!("{start} mail.contoso.com;contoso.com"));
        assert_eq!(
            certificate.single_row(Layout::RowWithDates),
            format!("{start} 1970-01-01T00:00:00.000Z 1970-01-02T00:00:00.000Z mail.contoso.com;contoso.com")
        );
    }
}
