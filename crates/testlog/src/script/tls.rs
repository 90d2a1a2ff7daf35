//! STARTTLS and X-ANONYMOUSTLS: the rows of a negotiation, in the layout of the server's version.

use super::Script;
use crate::{
    certificate::{CertificateId, Layout},
    fact::{Cipher, Fact, Logged, Side, Verb},
    plan::Generation,
    profile::Direction,
    scenarios::Scene,
};

/// A negotiation.
#[derive(Clone, Copy)]
pub(crate) struct Handshake {
    pub(crate) verb: Verb,
    /// The logging server's certificate; `None` leaves its rows out.
    pub(crate) presented: Option<CertificateId>,
    pub(crate) received: Option<CertificateId>,
    pub(crate) result: Result<&'static Cipher, &'static str>,
}

/// What the server thinks of the other side's chain.
#[derive(Clone, Copy)]
pub(crate) struct ChainRows {
    pub(crate) status: &'static str,
    /// `TlsDomainCapabilities`, its status and domain; empty leaves the row out.
    pub(crate) capabilities: &'static str,
    pub(crate) domain: &'static str,
}

const TLS_1_2: [&str; 2] = ["SP_PROT_TLS1_2_CLIENT", "SP_PROT_TLS1_2_SERVER"];

/// Parameters that occur; old first.
pub(crate) const CIPHERS: [Cipher; 8] = [
    Cipher {
        protocol: ["SP_PROT_TLS1_0_CLIENT", "SP_PROT_TLS1_0_SERVER"],
        version: "1.0",
        cipher: "CALG_AES_128",
        cipher_bits: 128,
        mac: "CALG_SHA1",
        mac_bits: 160,
        key_exchange: "CALG_RSA_KEYX",
        key_exchange_bits: 2048,
    },
    Cipher {
        protocol: ["SP_PROT_TLS1_1_CLIENT", "SP_PROT_TLS1_1_SERVER"],
        version: "1.1",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA1",
        mac_bits: 160,
        key_exchange: "CALG_ECDHE",
        key_exchange_bits: 256,
    },
    Cipher {
        protocol: TLS_1_2,
        version: "1.2",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA_384",
        mac_bits: 384,
        key_exchange: "CALG_ECDHE",
        key_exchange_bits: 384,
    },
    Cipher {
        protocol: TLS_1_2,
        version: "1.2",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA_384",
        mac_bits: 0,
        key_exchange: "CALG_ECDH_EPHEM",
        key_exchange_bits: 384,
    },
    Cipher {
        protocol: TLS_1_2,
        version: "1.2",
        cipher: "CALG_AES_128",
        cipher_bits: 128,
        mac: "CALG_SHA_256",
        mac_bits: 0,
        key_exchange: "CALG_ECDH_EPHEM",
        key_exchange_bits: 256,
    },
    Cipher {
        protocol: ["8192", "4096"],
        version: "1.3",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA_384",
        mac_bits: 0,
        key_exchange: "CALG_ECDH_EPHEM",
        key_exchange_bits: 255,
    },
    Cipher {
        protocol: ["SP_PROT_TLS1_3_CLIENT", "SP_PROT_TLS1_3_SERVER"],
        version: "1.3",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA_384",
        mac_bits: 0,
        key_exchange: "CALG_ECDH_EPHEM",
        key_exchange_bits: 256,
    },
    Cipher {
        protocol: TLS_1_2,
        version: "1.2",
        cipher: "CALG_AES_256",
        cipher_bits: 256,
        mac: "CALG_SHA_256",
        mac_bits: 256,
        key_exchange: "CALG_RSA_KEYX",
        key_exchange_bits: 4096,
    },
];

impl Script {
    /// The command, its answer, and the rows of the negotiation. The order varies by version and session.
    pub(crate) fn handshake(&mut self, scene: &mut Scene<'_>, handshake: &Handshake) {
        self.command(&[handshake.verb.command()]);
        self.fact(Fact::Negotiation(handshake.verb));
        self.wait(scene.rng, 1, 60);
        self.answer(&["220 2.0.0 SMTP server ready"]);
        if let Some(presented) = handshake.presented {
            self.certificate(scene, "Sending certificate", Side::Presented, presented);
        }
        self.wait(scene.rng, 2, 120);
        let received_last = scene.server.layout == Layout::Rows || scene.rng.chance(0.15);
        if !received_last {
            self.received_certificate(scene, handshake.verb, handshake.received);
        }
        // Old versions now and then leave the row out; the EHLO that follows says that all went well.
        let is_silent = scene.server.layout == Layout::Rows && handshake.presented.is_some() && scene.rng.chance(0.04);
        match handshake.result {
            Ok(_) if is_silent => {}
            Ok(cipher) => self.secured(cipher),
            Err(error) => {
                self.note(&[], &["TLS negotiation failed with error ", error]);
                self.fact(Fact::TlsError(error));
            }
        }
        if received_last {
            self.received_certificate(scene, handshake.verb, handshake.received);
        }
    }

    /// The rows about the other side's chain.
    pub(crate) fn chain_rows(&mut self, scene: &mut Scene<'_>, chain: &ChainRows) {
        match self.direction {
            Direction::Receive => self.note(&[], &["Client certificate chain validation status: '", chain.status, "'"]),
            Direction::Send => self.note(&[chain.status], &["Chain validation status"]),
        }
        self.fact(Fact::ChainStatus(chain.status));
        if chain.capabilities.is_empty() || scene.server.generation <= Generation::Exchange2010 {
            return;
        }
        if chain.domain.is_empty() {
            let status = "'; Status='NoRemoteCertificate'";
            self.idle_note(&[], &["TlsDomainCapabilities='", chain.capabilities, status]);
        } else {
            let status = "'; Status='Success'; Domain='";
            self.idle_note(&[], &["TlsDomainCapabilities='", chain.capabilities, status, chain.domain, "'"]);
        }
    }

    fn secured(&mut self, cipher: &'static Cipher) {
        let protocol = cipher.protocol[usize::from(self.direction == Direction::Receive)];
        self.note(
            &[],
            &[
                "TLS protocol ",
                protocol,
                " negotiation succeeded using bulk encryption algorithm ",
                cipher.cipher,
                " with strength ",
                &cipher.cipher_bits.to_string(),
                " bits, MAC hash algorithm ",
                cipher.mac,
                " with strength ",
                &cipher.mac_bits.to_string(),
                " bits and key exchange algorithm ",
                cipher.key_exchange,
                " with strength ",
                &cipher.key_exchange_bits.to_string(),
                " bits",
            ],
        );
        self.fact(Fact::Secured(cipher));
    }

    fn received_certificate(&mut self, scene: &mut Scene<'_>, verb: Verb, received: Option<CertificateId>) {
        let Some(received) = received else {
            return;
        };
        if scene.server.layout == Layout::Rows && scene.rng.chance(0.6) {
            self.note(&[], &["Received certificate"]);
            self.note(&[&scene.world.certificate(received).thumbprint], &["Certificate thumbprint"]);
            let logged = Logged::default();
            self.fact(Fact::Thumbprint { side: Side::Received, certificate: received, logged });
            return;
        }
        let kind = match self.direction {
            _ if scene.server.is_edge && verb == Verb::AnonymousTls => "Received DirectTrust certificate",
            Direction::Receive if scene.rng.chance(0.2) => "Validated received certificate",
            _ => "Remote certificate",
        };
        self.certificate(scene, kind, Side::Received, received);
    }

    fn certificate(&mut self, scene: &mut Scene<'_>, kind: &str, side: Side, id: CertificateId) {
        let layout = scene.server.layout;
        if layout == Layout::Rows {
            return self.certificate_rows(scene, kind, side, id);
        }
        let titles = match layout {
            Layout::RowWithDates => {
                " Subject Issuer name Serial number Thumbprint Not before Not after Subject alternate names"
            }
            _ => {
                " Certificate subject Certificate issuer name Certificate serial number Certificate thumbprint \
                 Certificate alternate names"
            }
        };
        let row = scene.world.certificate(id).single_row(layout);
        self.note(&[&row], &[kind, titles]);
        let logged = Logged { identity: true, dates: layout == Layout::RowWithDates, names: true };
        self.fact(Fact::Thumbprint { side, certificate: id, logged });
    }

    fn certificate_rows(&mut self, scene: &mut Scene<'_>, kind: &str, side: Side, id: CertificateId) {
        let certificate = scene.world.certificate(id);
        self.note(&[], &[kind]);
        self.note(&[&certificate.subject], &["Certificate subject"]);
        self.note(&[&certificate.issuer], &["Certificate issuer name"]);
        self.note(&[&certificate.serial], &["Certificate serial number"]);
        self.note(&[&certificate.thumbprint], &["Certificate thumbprint"]);
        let logged = Logged { identity: true, ..Logged::default() };
        self.fact(Fact::Thumbprint { side, certificate: id, logged });
        // Some versions stop after the thumbprint, and a broken extension has a row of its own.
        if scene.rng.chance(0.1) {
            return;
        }
        if certificate.names.is_empty() && scene.rng.chance(0.5) {
            let failure = "CryptographicException was thrown while attempting to get certificate alternate names: ";
            self.idle_note(&[], &[failure, "ASN1 bad tag value met."]);
        }
        self.note(&[&certificate.names.join(";")], &["Certificate alternate names"]);
        self.fact(Fact::Names(id));
    }
}

impl Verb {
    /// The command line.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Verb::StartTls => "STARTTLS",
            Verb::AnonymousTls => "X-ANONYMOUSTLS",
        }
    }
}
