//! Certificates still presented whose validity ends soon or has ended.

use std::collections::{BTreeMap, BTreeSet};

use smtplog::{Thumbprint, Timestamp, certificate::Certificate};

use super::{CertificateUse, Connector, UseState};

/// A certificate whose validity ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// What the logs say of it.
    pub certificate: Certificate,
    /// When its validity ends.
    pub not_after: Timestamp,
    /// Start of the last session that presented it.
    pub last: Timestamp,
    /// Where it is presented.
    pub connectors: Vec<Connector>,
    /// By whom.
    pub servers: Vec<String>,
}

/// Which certificates to tell of.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// Validity that ends before this moment.
    pub before: Timestamp,
    /// Those last seen before this moment are not in use any more.
    pub seen_since: Timestamp,
}

impl Expiry {
    /// Certificates in use whose validity ends, the first to end first. What a server has replaced counts no more, and
    /// the end is known of those only that newer servers log.
    pub fn among(&self, uses: &[CertificateUse], certificates: &[Certificate]) -> Vec<Expiring> {
        let mut used: BTreeMap<Thumbprint, Vec<&CertificateUse>> = BTreeMap::new();
        let in_use =
            |one: &&CertificateUse| one.sessions > 0 && one.state != UseState::Past && one.last >= self.seen_since;
        for one in uses.iter().filter(in_use) {
            used.entry(one.thumbprint).or_default().push(one);
        }
        let expiring = |certificate: &Certificate| {
            let not_after = certificate.not_after.filter(|end| *end < self.before)?;
            let uses = used.get(&certificate.thumbprint)?;
            let connectors: BTreeSet<&Connector> = uses.iter().map(|one| &one.connector).collect();
            let servers: BTreeSet<&String> = uses.iter().map(|one| &one.server).collect();
            Some(Expiring {
                certificate: certificate.clone(),
                not_after,
                last: uses.iter().map(|one| one.last).max()?,
                connectors: connectors.into_iter().cloned().collect(),
                servers: servers.into_iter().cloned().collect(),
            })
        };
        let mut found: Vec<Expiring> = certificates.iter().filter_map(expiring).collect();
        found.sort_by_key(|one| (one.not_after, one.certificate.thumbprint));
        found
    }
}

#[cfg(test)]
mod tests {
    use smtplog::Direction;

    use super::*;

    fn one(server: &str, certificate: u8, last: i64, state: UseState) -> CertificateUse {
        CertificateUse {
            connector: Connector { name: "Default".to_owned(), direction: Direction::Receive, is_internal: false },
            server: server.to_owned(),
            thumbprint: Thumbprint([certificate; 20]),
            first: Timestamp(0),
            last: Timestamp(last),
            sessions: 1,
            refusals: BTreeMap::new(),
            state,
        }
    }

    #[test]
    fn only_what_is_still_presented() {
        let ends = |certificate: u8, not_after: Option<i64>| Certificate {
            not_after: not_after.map(Timestamp),
            ..Certificate::bare(Thumbprint([certificate; 20]))
        };
        let certificates = [ends(1, Some(90)), ends(2, Some(50)), ends(3, Some(100)), ends(4, None), ends(5, Some(10))];
        let uses = [
            one("EX1", 1, 80, UseState::Current),
            one("EX2", 1, 70, UseState::Idle),
            one("EX1", 2, 80, UseState::Lagging),
            one("EX3", 2, 80, UseState::Past),    // moved since
            one("EX1", 3, 80, UseState::Current), // ends later
            one("EX1", 4, 80, UseState::Current), // nobody knows when
            one("EX4", 5, 69, UseState::Current), // not seen for long
        ];
        let expiry = Expiry { before: Timestamp(100), seen_since: Timestamp(70) };
        let found = expiry.among(&uses, &certificates);
        let told: Vec<_> = found.iter().map(|one| (one.not_after.0, one.last.0, one.servers.join(" "))).collect();
        assert_eq!(told, [(50, 80, "EX1".to_owned()), (90, 80, "EX1 EX2".to_owned())]);
    }
}
