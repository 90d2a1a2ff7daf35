//! Refusals that no certificate could prevent: blocked addresses, a blocked sender, a tenant that sends too much.

use super::{Case, Conduct, Planted, Planting};
use crate::plan::Generation;

pub(super) const BLOCKED: Planted = Planted {
    name: "not-a-certificate-fault",
    about: "blocked addresses, a blocked sender, a tenant over its limit: 5.7.606, 5.7.705, 5.7.708, 5.7.511",
    generation: Generation::Exchange2019,
    plant: blocked,
};

const CAUSE: &str = "not-a-certificate-fault";

/// Status and text; `{egress}` stands for the address that Microsoft 365 sees.
const REPLIES: [(&str, &str); 4] = [
    (
        "5.7.606",
        "Access denied, banned sending IP [{egress}]. To request removal from this list please visit \
         https://sender.office.com/ and follow the directions. For more information please go to \
         http://go.microsoft.com/fwlink/?LinkID=526655 (AS16012609)",
    ),
    ("5.7.705", "Access denied, tenant has exceeded threshold. Please see the documentation. AS(7550)"),
    (
        "5.7.708",
        "Access denied, traffic not accepted from this IP. For more information please go to \
         http://go.microsoft.com/fwlink/?LinkId=526653 AS(7230)",
    ),
    (
        "5.7.511",
        "Access denied, banned sender[{egress}]. To request removal from this list please forward this message to \
         delist@microsoft.com. For more information please go to http://go.microsoft.com/fwlink/?LinkId=526653 \
         (AS16012611)",
    ),
];

fn blocked(planting: &mut Planting<'_>) {
    let usual = planting.usual();
    let mut faults = Vec::new();
    for (status, text) in REPLIES {
        let case = planting.case(Case {
            logs_alone: Some(CAUSE),
            presented: Some(usual),
            status,
            text: text.into(),
            ..Case::denied(CAUSE)
        });
        faults.push((case, 0.12));
    }
    let at = planting.at;
    planting.change_everywhere(at, || Conduct { faults: faults.clone(), ..Conduct::accepted() });
    planting.certificate_file(usual);
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}
