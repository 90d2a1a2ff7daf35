//! From a moment on the servers present no certificate at all: none that SMTP may use is left.

use super::{Case, Conduct, Elsewhere, Planted, Planting, Presented};
use crate::{evidence::clixml, plan::Generation};

pub(super) const NONE: Planted = Planted {
    name: "no-certificate-presented",
    about: "STARTTLS goes well, but from a moment on no certificate is sent",
    generation: Generation::Mixed,
    plant: none,
};

fn none(planting: &mut Planting<'_>) {
    planting.elsewhere(Elsewhere::NothingLater);
    let case = planting
        .case(Case { logs_alone: Some("no-certificate-presented"), ..Case::denied("no-certificate-presented") });
    planting.change(|| Conduct { presented: Presented::Nothing, ..Conduct::refused(case) });
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
    // What is still installed on the first server: what it made for itself, and nothing else.
    let server = &planting.world.servers[0];
    let left = planting.certificate(server.certificates.internal);
    let exported = clixml::certificates(&[left], &server.fqdn);
    planting.telling("EX001/Get-ExchangeCertificate.clixml", crate::evidence::utf16(&exported));
}
