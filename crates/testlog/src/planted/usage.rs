//! The renewed certificate has the old names, but may be used by servers only, and the sender is TLS's client.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    certificate::{Certificate, CertificateId},
    clock::HOUR_MS,
    der::Usages,
    evidence::{
        capi2::{Check, Events, Verdict},
        certificate,
    },
    plan::Generation,
};

pub(super) const FILE: Planted = Planted {
    name: "certificate-usage",
    about: "renewed with serverAuth alone as its extended key usage; the certificate's file shows it",
    generation: Generation::Mixed,
    plant: file,
};

pub(super) const STATUS: Planted = Planted {
    name: "certificate-usage-status",
    about: "renewed with serverAuth alone; the logs and CAPI2 event 30 say WrongUsage",
    generation: Generation::Exchange2019,
    plant: status,
};

fn renew(planting: &mut Planting<'_>) -> (CertificateId, Case) {
    let names = ["mail.contoso.com", "autodiscover.contoso.com"];
    let mut request = planting.request("mail.contoso.com", &names, planting.at - 2 * 24 * HOUR_MS);
    request.usages = Usages::ServerOnly;
    let certificate = planting.authority.issue(&mut planting.rng, &request);
    let new = planting.world.add(certificate);
    let old = planting.usual();
    planting.present(old, new);
    let case = Case {
        also: &["certificate-changed"],
        logs_alone: Some("certificate-changed"),
        presented: Some(new),
        expect: vec![planting.thumbprint(new)],
        ..Case::denied("certificate-usage")
    };
    (new, case)
}

fn file(planting: &mut Planting<'_>) {
    let (new, case) = renew(planting);
    let case = planting.case(case);
    planting.change(|| Conduct::refused(case));
    // As the certificate console exports it with "Base-64 encoded".
    let encoded = certificate::pem(&[planting.certificate(new)]);
    planting.telling("certificates/mail.contoso.com renewed.cer", encoded);
    let old = planting.usual();
    planting.certificate_file(old);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}

fn status(planting: &mut Planting<'_>) {
    let (new, case) = renew(planting);
    let case = planting.case(case);
    planting.change(|| Conduct { chain_status: "WrongUsage", ..Conduct::refused(case) });
    planting.telling_certificate_file(new);
    let computer = planting.world.servers[0].fqdn.clone();
    let certificate = planting.certificate(new).clone();
    let chain = [planting.authority.certificate.clone(), planting.root.certificate.clone()];
    let chain: Vec<&Certificate> = chain.iter().collect();
    let mut events = Events::new(&mut planting.rng, &computer);
    for turn in 0..9 {
        let at = planting.at + HOUR_MS * turn + planting.rng.between(0, HOUR_MS);
        let check = Check {
            at,
            certificate: &certificate,
            authorities: &chain,
            process: "lsass.exe",
            verdict: Verdict::WrongUsage,
        };
        events.check(&mut planting.rng, &check);
    }
    planting.beside("EX001/Microsoft-Windows-CAPI2-Operational.xml", events.saved());
}
