//! The renewed certificate has a new intermediate authority, which nobody installed, so the server does not send it.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    certificate::{Certificate, CertificateId},
    clock::{HOUR_MS, MINUTE_MS},
    der::Name,
    evidence::capi2::{Check, Events, Verdict},
    plan::Generation,
};

pub(super) const EVENTS: Planted = Planted {
    name: "chain-incomplete",
    about: "a new intermediate authority is not installed; CAPI2 event 30 of the sending server says 800B0109",
    generation: Generation::Mixed,
    plant: events,
};

pub(super) const REPLY: Planted = Planted {
    name: "chain-incomplete-reply",
    about: "a new intermediate authority is not installed; the reply ends with 'is untrustedroot.'",
    generation: Generation::Exchange2016,
    plant: reply,
};

const CAUSE: &str = "chain-incomplete";
/// Who signed the renewed certificate.
const AUTHORITY: &str = "Northwind Trust TLS CA 3";

/// Renewed under the same name by an authority that the servers do not know.
fn renew(planting: &mut Planting<'_>) -> CertificateId {
    let name = Name::new(&[("CN", AUTHORITY), ("O", "Northwind Trust, Inc."), ("C", "US")]);
    let url = "http://cacerts.northwindtrust.example/NorthwindTrustTLSCA3.crt";
    let begin = planting.world.begin;
    let authority = planting.root.intermediate(&mut planting.rng, name, url, begin);
    let names = ["mail.contoso.com", "autodiscover.contoso.com"];
    let request = planting.request("mail.contoso.com", &names, planting.at - 3 * 24 * HOUR_MS);
    let certificate = authority.issue(&mut planting.rng, &request);
    let new = planting.world.add(certificate);
    let old = planting.usual();
    planting.present(old, new);
    new
}

fn events(planting: &mut Planting<'_>) {
    let new = renew(planting);
    let case = planting.case(Case {
        also: &["certificate-changed"],
        logs_alone: Some("certificate-changed"),
        presented: Some(new),
        expect: vec![planting.thumbprint(new), AUTHORITY.into(), "800B0109".into()],
        ..Case::denied(CAUSE)
    });
    planting.change(|| Conduct::refused(case));
    let saved = first_server_events(planting, new);
    planting.telling("EX001/Microsoft-Windows-CAPI2-Operational.xml", saved);
    let old = planting.usual();
    planting.certificate_file(old);
    planting.certificate_file(new);
    let root = planting.root.certificate.der.clone();
    planting.beside("certificates/Northwind Trust Root G2.cer", root);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}

/// The first server checks its own certificate whenever it opens a credential: well at first, then no longer.
fn first_server_events(planting: &mut Planting<'_>, new: CertificateId) -> Vec<u8> {
    let computer = planting.world.servers[0].fqdn.clone();
    let changed_at = planting.world.servers[0].certificates.renewed_at;
    let (old, new) = (planting.certificate(planting.usual()).clone(), planting.certificate(new).clone());
    let chain = [planting.authority.certificate.clone(), planting.root.certificate.clone()];
    let chain: Vec<&Certificate> = chain.iter().collect();
    let mut events = Events::new(&mut planting.rng, &computer);
    let mut at = planting.world.begin + HOUR_MS;
    while at < planting.world.end {
        let is_old = at < changed_at;
        let process = planting.rng.word(&["lsass.exe", "lsass.exe", "EdgeTransport.exe"]);
        let check = Check {
            at,
            certificate: if is_old { &old } else { &new },
            authorities: if is_old { &chain } else { &[] },
            process,
            verdict: if is_old { Verdict::Good } else { Verdict::UntrustedRoot },
        };
        events.check(&mut planting.rng, &check);
        at += planting.rng.between(20 * MINUTE_MS, 9 * HOUR_MS);
    }
    events.saved()
}

fn reply(planting: &mut Planting<'_>) {
    let new = renew(planting);
    let case = planting.case(Case {
        also: &["certificate-changed"],
        logs_alone: Some(CAUSE),
        presented: Some(new),
        text: format!("{} mail.contoso.com is untrustedroot.", super::DENIED),
        expect: vec![planting.thumbprint(new), "untrustedroot".into()],
        ..Case::denied(CAUSE)
    });
    planting.change(|| Conduct::refused(case));
    planting.certificate_file(new);
}
