//! A certificate's validity ended, and nobody had renewed it.

use super::{Case, Conduct, Planted, Planting};
use crate::{
    certificate::CertificateId,
    clock::{DAY_MS, SECOND_MS},
    plan::Generation,
};

pub(super) const LOGGED: Planted = Planted {
    name: "certificate-expired",
    about: "the certificate expires half way; the logs show its dates",
    generation: Generation::Exchange2019,
    plant: expired,
};

pub(super) const FILE: Planted = Planted {
    name: "certificate-expired-file",
    about: "the certificate expires half way; the logs show no dates, the certificate's file does",
    generation: Generation::Exchange2013,
    plant: expired_unseen,
};

pub(super) const REPLY: Planted = Planted {
    name: "certificate-expired-reply",
    about: "Microsoft 365 cannot deliver to a gateway whose certificate expired; its reply names the certificate",
    generation: Generation::Exchange2016,
    plant: reply,
};

const CAUSE: &str = "certificate-expired";

/// A certificate of the organisation whose last second is the one before the change.
fn expiring(planting: &mut Planting<'_>, name: &str) -> CertificateId {
    let mut request = planting.request(name, &[name], planting.at - 395 * DAY_MS);
    request.not_after = planting.at - SECOND_MS;
    let certificate = planting.authority.issue(&mut planting.rng, &request);
    planting.world.add(certificate)
}

fn expired(planting: &mut Planting<'_>) {
    plant(planting, Some(CAUSE));
}

fn expired_unseen(planting: &mut Planting<'_>) {
    plant(planting, None);
}

fn plant(planting: &mut Planting<'_>, logs_alone: Option<&'static str>) {
    let certificate = expiring(planting, "mail.contoso.com");
    planting.present(certificate, certificate);
    let day = crate::clock::Time(planting.at - SECOND_MS).to_string()[..10].to_owned();
    let case = planting.case(Case {
        logs_alone,
        presented: Some(certificate),
        expect: vec![planting.thumbprint(certificate), day],
        ..Case::denied(CAUSE)
    });
    let at = planting.at;
    planting.change_everywhere(at, || Conduct::refused(case));
    planting.telling_certificate_file(certificate);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}

/// Mail comes back to a gateway of the organisation; the servers' own certificate is good.
fn reply(planting: &mut Planting<'_>) {
    let gateway = expiring(planting, "inbound.contoso.com");
    let certificate = planting.certificate(gateway);
    let text = format!(
        "Cannot connect to remote server [Message=CertificateExpired Expected Subject: inbound.contoso.com. Presented \
         Subject: {}. Thumbprint: {}.] [LastAttemptedServerName=inbound.contoso.com] \
         [LastAttemptedIP=203.0.113.40:25] [SmtpSecurity=-1;-1]",
        certificate.subject, certificate.thumbprint
    );
    let case = planting.case(Case {
        logs_alone: Some(CAUSE),
        code: 450,
        status: "4.4.317",
        text,
        presented: Some(planting.usual()),
        expect: vec![planting.thumbprint(gateway), "inbound.contoso.com".into()],
        ..Case::denied(CAUSE)
    });
    let at = planting.at;
    planting.change_everywhere(at, || Conduct { faults: vec![(case, 0.3)], ..Conduct::accepted() });
    planting.telling_certificate_file(gateway);
}
