//! Mail leaves by another way than the one that the tenant knows.

use super::{Case, Conduct, Elsewhere, INTERNET, OUTBOUND, Planted, Planting, Presented};
use crate::{
    clock::{DAY_MS, MINUTE_MS},
    evidence::{
        Object, clixml,
        connectors::{self, Send},
        utf8_with_mark,
    },
    plan::Generation,
};

pub(super) const INTERNET_ROUTE: Planted = Planted {
    name: "wrong-connector-or-route",
    about: "after a change of costs, mail to the tenant leaves by the connector Internet with a self-signed certificate",
    generation: Generation::Exchange2016,
    plant: internet,
};

pub(super) const REGION: Planted = Planted {
    name: "wrong-connector-or-route-region",
    about: "the smart host was changed to one of another region (ATTR35)",
    generation: Generation::Exchange2019,
    plant: region,
};

const CAUSE: &str = "wrong-connector-or-route";
const TENANT: &str = "contoso.mail.onmicrosoft.com";

fn internet(planting: &mut Planting<'_>) {
    planting.elsewhere(Elsewhere::SelfSigned);
    let at = planting.at;
    let right = planting.usual();
    for server in 0..planting.world.servers.len() {
        let internal = planting.world.servers[server].certificates.internal;
        let case = planting.case(Case {
            logs_alone: Some(CAUSE),
            presented: Some(internal),
            expect: vec![INTERNET.into(), OUTBOUND.into(), planting.thumbprint(internal), planting.thumbprint(right)],
            ..Case::denied(CAUSE)
        });
        let to_tenant = Conduct { recipient_domain: Some(TENANT), ..Conduct::accepted() };
        planting.conduct(server, Conduct::accepted());
        planting.conduct(server, Conduct { until: at, ..to_tenant.clone() });
        let wrong = Conduct {
            from: at,
            connector: INTERNET,
            presented: Presented::This(internal),
            faults: vec![(case, 1.0)],
            ..to_tenant
        };
        planting.conduct(server, wrong);
    }
    let spaces = ["smtp:*;5", "smtp:contoso.mail.onmicrosoft.com;5"];
    let cloud = send(planting, OUTBOUND, &spaces, &["contoso-com.mail.protection.outlook.com"], -90 * DAY_MS);
    let spaces = ["smtp:*;10", "smtp:contoso.mail.onmicrosoft.com;1"];
    let changed = at - planting.world.begin - 4 * MINUTE_MS;
    let internet = send(planting, INTERNET, &spaces, &[], changed);
    export(planting, &[cloud, internet]);
    planting.certificate_file(right);
}

fn region(planting: &mut Planting<'_>) {
    let usual = planting.usual();
    let at = planting.at;
    let case = planting.case(Case {
        logs_alone: Some(CAUSE),
        presented: Some(usual),
        code: 451,
        status: "4.4.62",
        text: "Mail sent to the wrong Office 365 region. ATTR35. For more information go to \
               <https://go.microsoft.com/fwlink/p/?linkid=865268>."
            .into(),
        attr: Some("ATTR35"),
        expect: vec!["region".into()],
        ..Case::denied(CAUSE)
    });
    planting.change_everywhere(at, || Conduct::refused(case));
    let changed = at - planting.world.begin - 2 * MINUTE_MS;
    let cloud = send(planting, OUTBOUND, &["smtp:*;1"], &["contoso-com.mail.eo.outlook.com"], changed);
    export(planting, &[cloud]);
}

/// A send connector of all servers, changed `changed_ms` after the beginning.
fn send(planting: &Planting<'_>, name: &str, spaces: &[&str], hosts: &[&str], changed_ms: i64) -> Object {
    let names = planting.server_names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_to_cloud = name == OUTBOUND;
    connectors::send(&Send {
        name,
        address_spaces: spaces,
        smart_hosts: hosts,
        certificate: is_to_cloud.then(|| planting.certificate(planting.usual())),
        is_to_cloud,
        servers: &names,
        changed_at: planting.world.begin + changed_ms,
    })
}

fn export(planting: &mut Planting<'_>, connectors: &[Object]) {
    let exported = clixml::clixml(connectors, &planting.world.servers[0].fqdn);
    planting.telling("Get-SendConnector.clixml", utf8_with_mark(&exported));
    let connector = planting.inbound("mail.contoso.com");
    planting.json("Get-InboundConnector.json", &[connector]);
}
