//! Mail to Microsoft 365 through the front end of the same server (FORMATS 1.8).
//!
//! The hub talks to the front end under X-ANONYMOUSTLS and asks it with XPROXYTO to go on; the front end's own send
//! session presents the organisation's certificate. The refusal that comes back stands in the hub's log, beside a
//! certificate that Microsoft 365 never saw.

use super::{Scenario, Scene, internal, office365};
use crate::{
    certificate::CertificateId,
    fact::{Fact, Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, Dial, Greeting, Handshake, Mail, MessageIdRow, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "outbound proxy", weight, play };

fn weight(server: &Profile, plan: &Plan) -> f64 {
    if server.has_front_end() { 22.0 * plan.proxied } else { 0.0 }
}

fn play(scene: &mut Scene<'_>) {
    let host = scene.cloud_host();
    let mut hub = office365::open(scene);
    call_front_end(scene, &mut hub);
    let command = ask(scene, &mut hub);
    if scene.rng.chance(0.03) {
        return fail(scene, hub, host, &command);
    }
    let mut front = dial_out(scene, &hub, host);
    let presented = scene.server.certificate_at(front.now);
    office365::connect_dialled(scene, &mut front, host);
    office365::secure(scene, &mut front, host, Some(presented));
    accept_request(scene, &mut hub, front.now);
    let refused = scene.rng.chance(office365::refused_share(scene, presented));
    let refusal = refused.then(|| office365::refusal(scene, host, front.now));
    relay(scene, &mut hub, &mut front, host, refusal, 0.3);
    hub.quit(scene.rng);
    scene.finish(hub);
    scene.finish(front);
}

/// A session that goes well as far as the message, which is refused for the reason of a planted case, or not at all.
/// The front end logs none of it, so that the refusal stands in the hub's log alone.
pub(crate) fn of_plant(scene: &mut Scene<'_>, presented: CertificateId, refused: Option<(usize, Refusal)>) {
    let host = scene.cloud_host();
    let mut hub = office365::open(scene);
    call_front_end(scene, &mut hub);
    ask(scene, &mut hub);
    let mut front = dial_out(scene, &hub, host);
    office365::connect_dialled(scene, &mut front, host);
    office365::secure(scene, &mut front, host, Some(presented));
    accept_request(scene, &mut hub, front.now);
    hub.case = refused.as_ref().map(|(case, _)| *case);
    relay(scene, &mut hub, &mut front, host, refused.map(|(_, refusal)| refusal), 0.0);
    hub.quit(scene.rng);
    scene.finish(hub);
    scene.finish(front);
}

/// The hub's connection to the front end, secured.
fn call_front_end(scene: &mut Scene<'_>, hub: &mut Script) {
    let server = scene.server;
    let local = scene.local_endpoint();
    let remote = format!("{}:717", server.address);
    let permissions = "SendRoutingHeaders SendOrganizationHeaders SendForestHeaders";
    hub.dial(scene.rng, Dial { permissions, purpose: &[], links: vec![], local, remote });
    hub.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    internal::secure(scene, hub, &server.fqdn, server.certificates.internal);
}

/// XPROXYTO, split over two commands if it is long. Returns the line that carries the session id.
fn ask(scene: &mut Scene<'_>, hub: &mut Script) -> String {
    let certificate = scene.world.certificate(scene.server.certificate_at(hub.now));
    let name = format!("<I>{}<S>{}", certificate.issuer, certificate.subject);
    hub.idle_note(
        &[],
        &[
            "Instructing the next hop (outbound proxy frontend) to present the following certificate during TLS: ",
            &name,
        ],
    );
    let target = "DESTINATIONS=contoso-com.mail.protection.outlook.com TLSDOMAINS=mail.protection.outlook.com";
    let target = format!("{target} CERTSUBJECT={} FORCEHELO={}", xtext_of_base64(name.as_bytes()), office365::HELO);
    let options = "SHOULDSKIPTLS=False PORT=25 REQUIRETLS=True REQUIREOORG=False TLSAUTHLEVEL=DomainValidation \
                   RISK=Normal OUTBOUNDIPPOOL=0";
    let options = format!("{options} SESSIONID={:016X}", hub.id);
    let link = Fact::Proxy { kind: "outbound", role: "origin", session: hub.id };
    let command = if scene.rng.chance(0.4) {
        hub.command(&["XPROXYTO ", &target]);
        hub.wait(scene.rng, 1, 10);
        hub.answer(&["250 XPROXYTO accepted"]);
        format!("XPROXYTO {options}")
    } else {
        format!("XPROXYTO {target} {options}")
    };
    hub.command(&[&command]);
    hub.fact(link);
    hub.require_rows_so_far();
    command
}

/// The front end's session to the world, up to `+`.
fn dial_out(scene: &mut Scene<'_>, hub: &Script, host: &Host) -> Script {
    // The first id is that of the front end's receive session, whose connector does not log.
    let unlogged = scene.unlogged_session(Role::FrontEnd);
    let inner = if scene.rng.chance(0.15) { hub.id } else { unlogged };
    let mut front = scene.open(Role::FrontEnd, Direction::Send, "Outbound Proxy Send Connector", hub.now + 2);
    let links = [inner, hub.id].map(|session| Fact::Proxy { kind: "outbound", role: "relay", session });
    let purpose = [
        ". Outbound proxy from ",
        &scene.server.fqdn,
        " with session id ",
        &format!("{inner:016X}"),
        ". Proxied session id ",
        &format!("{:016X}", hub.id),
    ];
    let local = scene.local_endpoint();
    let remote = format!("{}:25", host.address);
    front.dial(scene.rng, Dial { permissions: "None", purpose: &purpose, links: links.into(), local, remote });
    front
}

/// The front end has its connection and says so.
fn accept_request(scene: &mut Scene<'_>, hub: &mut Script, at: i64) {
    hub.now = at + scene.rng.between(0, 5);
    hub.answer(&["250 XPROXYTO accepted"]);
    let server = scene.server;
    let target = scene.cloud_host();
    let address = format!("XPROXYTOTARGETIPADDRESS {}", target.address.trim_matches(['[', ']']));
    let name = format!("XPROXYTOTARGETHOSTNAME {}", target.name);
    let capabilities = ["SIZE 157286400", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", &address, &name];
    let answer = Answer { name: &server.fqdn, seen: Some(&server.address), capabilities: &capabilities };
    hub.ehlo(scene, office365::HELO, answer, None);
    hub.idle_note(&[], &["Proxy session was successfully set up. The session will now be proxied"]);
}

/// The same message in both logs, or in the hub's only: a front end that passes bytes on blindly logs none of them.
/// `logged` is how often the front end logs the message as well.
fn relay(
    scene: &mut Scene<'_>,
    hub: &mut Script,
    front: &mut Script,
    host: &Host,
    refusal: Option<Refusal>,
    logged: f64,
) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes} AUTH=<> XOORG=contoso.com");
    let mut mail = Mail {
        message_id: &message_id,
        id_row: MessageIdRow::Before,
        refused: None,
        recipients: vec![Recipient { address: scene.stranger(), refusal }],
        from: scene.user(),
        parameters: &parameters,
        body: Body::Chunks(1),
        accept: Accept::Exchange { host: &host.name },
        is_pipelined: true,
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    hub.mail(scene.rng, &mail);
    front.now = front.now.max(hub.now - 30);
    if scene.rng.chance(logged) {
        mail.id_row = MessageIdRow::Nowhere;
        front.mail(scene.rng, &mail);
        return front.quit(scene.rng);
    }
    front.idle_note(&[], &["Proxy session was successfully set up. The session will now be proxied"]);
    front.now = hub.now + scene.rng.between(50, 800);
    front.close("Local");
}

/// The front end cannot set TLS up, and refuses the hub's request.
fn fail(scene: &mut Scene<'_>, mut hub: Script, host: &Host, command: &str) {
    let mut front = dial_out(scene, &hub, host);
    office365::connect_dialled(scene, &mut front, host);
    let presented = Some(scene.server.certificate_at(front.now));
    let result = Err("UnknownCredentials");
    front.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received: None, result });
    front.close("Local");
    hub.now = front.now + scene.rng.between(1, 20);
    hub.refuse(Some(command), &Refusal::new(454, "4.7.5", "Certificate validation failure"));
    hub.quit(scene.rng);
    scene.finish(hub);
    scene.finish(front);
}

/// Base64, and its `+` and `=` as xtext (RFC 3461), which keeps them out of the way of the parameter.
fn xtext_of_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 3 / 2);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            match DIGITS[(bits >> (18 - 6 * place)) as usize & 63] {
                _ if place > group.len() => text.push_str("+3D"),
                b'+' => text.push_str("+2B"),
                digit => text.push(char::from(digit)),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_subjects() {
        assert_eq!(xtext_of_base64(b"<I>CN"), "PEk+2BQ04+3D");
        assert_eq!(xtext_of_base64(b"a"), "YQ+3D+3D");
        assert_eq!(xtext_of_base64(b"abc"), "YWJj");
    }
}
