//! One server of the fleet began to present another certificate than the rest, and it alone is refused.

use super::{Case, Conduct, Planted, Planting};
use crate::plan::Generation;

pub(super) const OTHER: Planted = Planted {
    name: "certificate-changed",
    about: "one server presents owa.contoso.com from one day on, and it alone is refused; no export says why",
    generation: Generation::Exchange2019,
    plant: other,
};

fn other(planting: &mut Planting<'_>) {
    let usual = planting.usual();
    let other = planting.issue("owa.contoso.com", &["owa.contoso.com", "legacy.contoso.com"]);
    // The second server; of a fleet of one, that one.
    let strays = planting.server_names().len().min(2) - 1;
    let at = planting.at;
    let certificates = &mut planting.world.servers[strays].certificates;
    (certificates.new, certificates.renewed_at) = (other, at);
    let name = planting.world.servers[strays].name.clone();
    let case = planting.case(Case {
        logs_alone: Some("certificate-changed"),
        presented: Some(other),
        expect: vec![planting.thumbprint(other), planting.thumbprint(usual), name],
        ..Case::denied("certificate-changed")
    });
    planting.change_alone(strays, at, Conduct::refused(case));
    planting.certificate_file(usual);
    planting.certificate_file(other);
}
