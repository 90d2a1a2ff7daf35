//! Mail from the world through the front end to the hub of the same server (FORMATS 1.8).
//!
//! Three sessions, all logged: the caller's with the front end, the front end's with the hub, and the hub's side of it.
//! The connection between the two services is cached, so one pair of them carries several callers.

use super::{Scenario, Scene, inbound, internal};
use crate::{
    fact::{Fact, Refusal},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Body, Dial, Greeting, Mail, MessageIdRow, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "inbound proxy", weight, play };

fn weight(server: &Profile, plan: &Plan) -> f64 {
    if server.has_front_end() { 12.0 * plan.proxied } else { 0.0 }
}

/// Both ends of the connection between front end and hub.
struct Inner {
    front: Script,
    hub: Script,
}

fn play(scene: &mut Scene<'_>) {
    let mut inner: Option<Inner> = None;
    let mut at = scene.start;
    for turn in 0..*scene.rng.pick(&[1, 1, 2, 3, 4]) {
        let host = if scene.rng.chance(0.6) { scene.cloud_host() } else { scene.partner_host() };
        let mut outer = inbound::open(scene);
        outer.now = at;
        inbound::greet(scene, &mut outer, host);
        if host.certificate.is_some() {
            inbound::secure(scene, &mut outer, host);
        }
        let mut connection = inner.take().unwrap_or_else(|| connect(scene, outer.now));
        let messages = if scene.rng.chance(0.15) { 2 } else { 1 };
        for message in 1..=messages {
            let now = outer.now.max(connection.front.now);
            connection.front.now = now;
            connection.hub.now = now;
            announce(scene, &mut connection, &outer, host, message, turn);
            relay(scene, &mut connection, &mut outer);
        }
        outer.quit(scene.rng);
        at = outer.now + scene.rng.between(100, 30_000);
        scene.finish(outer);
        inner = Some(connection);
    }
    if let Some(mut inner) = inner {
        inner.front.quit(scene.rng);
        inner.hub.now = inner.front.now;
        inner.hub.quit(scene.rng);
        scene.finish(inner.front);
        scene.finish(inner.hub);
    }
}

fn connect(scene: &mut Scene<'_>, at: i64) -> Inner {
    let server = scene.server;
    let front_endpoint = scene.local_endpoint();
    let hub_endpoint = format!("{}:2525", server.address);
    let mut front = scene.open(Role::FrontEnd, Direction::Send, "Inbound Proxy Internal Send Connector", at);
    let dial = Dial {
        permissions: "None",
        purpose: &[],
        links: vec![],
        local: front_endpoint.clone(),
        remote: hub_endpoint.clone(),
    };
    front.dial(scene.rng, dial);
    let connector = format!("{0}\\Default {0}", server.name);
    let mut hub = scene.open(Role::Hub, Direction::Receive, &connector, front.now);
    hub.accept(scene.rng, hub_endpoint, front_endpoint);
    for side in [&mut front, &mut hub] {
        side.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
        internal::secure(scene, side, &server.fqdn, server.certificates.internal);
    }
    Inner { front, hub }
}

/// The front end says for whom it speaks, again for every message.
fn announce(scene: &mut Scene<'_>, inner: &mut Inner, outer: &Script, host: &Host, message: usize, turn: usize) {
    let id = format!("{:016X}", outer.id);
    let link = || Fact::Proxy { kind: "inbound", role: "relay", session: outer.id };
    inner.front.note(&[], &["Proxying inbound session with session id ", &id]);
    inner.front.fact(link());
    let address = inbound::bare(host);
    let command = format!(
        "XPROXYFROM SID={id} IP={address} PORT={} DOMAIN={} SEQNUM={message} PERMS=1077 AUTHSRC=Anonymous",
        1_024 + turn * 7_919 + message,
        host.name
    );
    for side in [&mut inner.front, &mut inner.hub] {
        side.command(&[&command]);
        side.fact(link());
        side.wait(scene.rng, 0, 5);
        side.answer(&["250 XProxyFrom accepted"]);
    }
    if turn == 0 && message == 1 {
        inner.front.require_rows_so_far();
        inner.hub.require_rows_so_far();
    }
    inbound::permissions(&mut inner.hub, 1);
}

/// The same message in three logs. What the hub refuses, the front end refuses.
fn relay(scene: &mut Scene<'_>, inner: &mut Inner, outer: &mut Script) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes}");
    let refusal = scene.rng.chance(0.06).then(|| match scene.rng.below(3) {
        0 => Refusal::new(550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
        1 => Refusal::new(550, "5.7.1", "Unable to relay"),
        _ => Refusal::new(452, "4.3.1", "Insufficient system resources (TempDisk[96%])"),
    });
    let server = scene.server;
    let mut mail = Mail {
        message_id: &message_id,
        id_row: MessageIdRow::Before,
        from: if scene.rng.chance(0.05) { "" } else { scene.stranger() },
        parameters: &parameters,
        refused: None,
        recipients: vec![Recipient { address: scene.user(), refusal }],
        body: Body::Chunks(1),
        accept: Accept::Exchange { host: &server.fqdn },
        is_pipelined: true,
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    inner.front.mail(scene.rng, &mail);
    mail.id_row = MessageIdRow::During;
    inner.hub.mail(scene.rng, &mail);
    mail.id_row = MessageIdRow::Nowhere;
    outer.mail(scene.rng, &mail);
}
