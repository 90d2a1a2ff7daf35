//! Something between the servers and Microsoft 365 hides STARTTLS, so that mail goes in the clear, without a certificate.

use super::{Case, Conduct, Planted, Planting, Tls};
use crate::plan::Generation;

pub(super) const DENIED: Planted = Planted {
    name: "tls-not-negotiated",
    about: "a firewall takes STARTTLS out of the answer to EHLO, and the mail is refused",
    generation: Generation::Mixed,
    plant: denied,
};

pub(super) const REQUIRED: Planted = Planted {
    name: "tls-not-negotiated-required",
    about: "a firewall writes X over STARTTLS; the refusal says that it is required",
    generation: Generation::Exchange2016,
    plant: required,
};

const CAUSE: &str = "tls-not-negotiated";

fn denied(planting: &mut Planting<'_>) {
    plant(planting, Tls::NotOffered, Case::denied(CAUSE));
}

fn required(planting: &mut Planting<'_>) {
    let text = "STARTTLS is required to send mail".into();
    plant(planting, Tls::Masked, Case { code: 451, status: "5.7.3", text, ..Case::denied(CAUSE) });
}

fn plant(planting: &mut Planting<'_>, tls: Tls, case: Case) {
    let expect = vec!["STARTTLS".into()];
    let case = planting.case(Case { logs_alone: Some(CAUSE), expect, ..case });
    let at = planting.at;
    planting.change_everywhere(at, || Conduct { tls, ..Conduct::refused(case) });
    let usual = planting.usual();
    planting.certificate_file(usual);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}
