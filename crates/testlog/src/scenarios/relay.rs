//! Printers, monitors and applications that relay without TLS, often with HELO and commands in their own spelling.

use super::{Scenario, Scene, inbound};
use crate::{
    fact::Refusal,
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, Greeting, Mail, MessageIdRow, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "relay", weight, play };

fn weight(_server: &Profile, _plan: &Plan) -> f64 {
    28.0
}

fn play(scene: &mut Scene<'_>) {
    let host = &scene.world.appliances[scene.rng.skewed(scene.world.appliances.len())];
    let mut script = greet(scene, host);
    message(scene, &mut script, host);
    match scene.rng.below(10) {
        0 => script.close("Remote"),
        _ => script.quit(scene.rng),
    }
    scene.finish(script);
}

fn greet(scene: &mut Scene<'_>, host: &Host) -> Script {
    let server = scene.server;
    let name = &server.name;
    let connector = match server.index % 3 {
        0 => format!("{name}\\Relay, printers"),
        1 => format!("{name}\\\u{dc}bergabe S\u{fc}d"),
        // Somebody left a blank at the end.
        _ => format!("{name}\\Relay "),
    };
    let role = if server.has_front_end() { Role::FrontEnd } else { Role::Hub };
    let mut script = scene.open(role, Direction::Receive, &connector, scene.start);
    let caller = scene.caller(host);
    script.accept(scene.rng, format!("{}:25", server.address), caller);
    script.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    let seen = Some(inbound::bare(host));
    if scene.rng.chance(0.5) {
        script.helo(scene.rng, &host.name, &server.fqdn, seen);
    } else {
        let answer = Answer { name: &server.fqdn, seen, capabilities: &inbound::OFFERS };
        script.ehlo(scene, &host.name, answer, None);
    }
    script
}

fn message(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let message_id = format!("<{:x}.{}@{}>", scene.start, scene.rng.below(1 << 20), host.name);
    let bytes = scene.message_bytes();
    let from = format!("{}@contoso.com", host.name);
    let server = scene.server;
    let has_roles = server.generation.has_roles();
    let relayed = scene.rng.chance(0.06);
    let mut mail = Mail {
        message_id: &message_id,
        id_row: MessageIdRow::Nowhere,
        from: &from,
        parameters: "",
        refused: None,
        recipients: vec![Recipient { address: scene.user(), refusal: None }],
        body: Body::Dot,
        accept: if has_roles { Accept::Exchange { host: &server.fqdn } } else { Accept::Exchange2010 },
        is_pipelined: scene.rng.chance(0.1),
        tarpit_ms: relayed.then_some(5_000),
        bytes,
        spelling: *scene.rng.pick(&[Spelling::Usual, Spelling::Usual, Spelling::LowerCase, Spelling::Spaced]),
    };
    if relayed {
        let refusal = match scene.rng.below(3) {
            0 => Refusal::new(550, "5.7.1", "Unable to relay"),
            1 => Refusal::new(550, "5.7.54", "SMTP; Unable to relay recipient in non-accepted domain"),
            _ => Refusal::new(550, "5.7.1", "Unable to Relay. ATTR12").with_attr("ATTR12"),
        };
        mail.recipients = vec![Recipient { address: scene.stranger(), refusal: Some(refusal) }];
    } else if scene.rng.chance(0.02) {
        mail.refused = Some(Refusal::new(530, "5.7.57", "Client not authenticated to send mail. Error: 535 5.7.3"));
    }
    script.mail(scene.rng, &mail);
}
