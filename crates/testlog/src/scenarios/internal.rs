//! Hops inside the organisation: X-ANONYMOUSTLS with self-signed certificates, then X-EXPS.
//!
//! Hub to hub, hub to mailbox delivery, and mailbox submission to hub. The certificates of these hops say nothing of
//! what the world sees.

use super::{Scenario, Scene, inbound};
use crate::{
    certificate::CertificateId,
    fact::{Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, Dial, Greeting, Handshake, Mail, MessageIdRow, Recipient, Script, Spelling},
};

pub(crate) const SENDING: Scenario = Scenario { name: "internal send", weight: always, play: send };
pub(crate) const RECEIVING: Scenario = Scenario { name: "internal receive", weight: always, play: receive };
pub(crate) const DELIVERY: Scenario = Scenario { name: "mailbox delivery", weight: with_mailboxes, play: deliver };
pub(crate) const SUBMISSION: Scenario = Scenario { name: "mailbox submission", weight: with_mailboxes, play: submit };

/// What hubs offer each other.
pub(crate) const OFFERS: [&str; 10] = [
    "SIZE",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "X-ANONYMOUSTLS",
    "AUTH NTLM",
    "X-EXPS EXCHANGEAUTH GSSAPI NTLM",
    "X-EXCHANGEAUTH SHA256",
    "8BITMIME",
    "XSHADOW",
];

/// Names of the implicit connector; it speaks the server's language.
const CONNECTORS: [&str; 4] = [
    "Intra-Organization SMTP Send Connector",
    "Organisationsinterner SMTP-Sendeconnector",
    "\u{7d44}\u{7e54}\u{5185} SMTP \u{9001}\u{4fe1}\u{30b3}\u{30cd}\u{30af}\u{30bf}",
    "Intra-Organization SMTP Send Connector",
];

fn always(_server: &Profile, _plan: &Plan) -> f64 {
    7.0
}

fn with_mailboxes(server: &Profile, _plan: &Plan) -> f64 {
    if server.has_front_end() { 4.0 } else { 0.0 }
}

fn send(scene: &mut Scene<'_>) {
    let script = scene.open(Role::Hub, Direction::Send, connector(scene), scene.start);
    call(scene, script, ":25");
}

fn submit(scene: &mut Scene<'_>) {
    let script = scene.open(Role::Submission, Direction::Send, connector(scene), scene.start);
    call(scene, script, ":2525");
}

fn receive(scene: &mut Scene<'_>) {
    let connector = format!("{0}\\Default {0}", scene.server.name);
    let script = scene.open(Role::Hub, Direction::Receive, &connector, scene.start);
    answer(scene, script, ":25");
}

fn deliver(scene: &mut Scene<'_>) {
    let connector = format!("{0}\\Default Mailbox Delivery {0}", scene.server.name);
    let script = scene.open(Role::Delivery, Direction::Receive, &connector, scene.start);
    answer(scene, script, ":475");
}

fn connector(scene: &Scene<'_>) -> &'static str {
    CONNECTORS[scene.server.index % CONNECTORS.len()]
}

/// Another server of the fleet, or this one if there is no other.
fn neighbour<'a>(scene: &mut Scene<'a>) -> &'a Profile {
    &scene.world.servers[scene.rng.below(scene.world.servers.len() as u64) as usize]
}

fn call(scene: &mut Scene<'_>, mut script: Script, port: &str) {
    let other = neighbour(scene);
    let local = scene.local_endpoint();
    let remote = format!("{}{port}", other.address);
    let permissions = "SendRoutingHeaders SendForestHeaders SendOrganizationHeaders SMTPSendXShadow";
    script.dial(scene.rng, Dial { permissions, purpose: &[], links: vec![], local, remote });
    script.banner(scene.rng, Greeting { name: &other.fqdn, is_exchange: true, zone_hours: other.zone_hours });
    secure(scene, &mut script, &other.fqdn, other.certificates.internal);
    if scene.rng.chance(0.8) {
        authenticate(scene, &mut script);
    }
    message(scene, &mut script);
    script.quit(scene.rng);
    scene.finish(script);
}

fn answer(scene: &mut Scene<'_>, mut script: Script, port: &str) {
    let other = neighbour(scene);
    let server = scene.server;
    let remote = format!("{}:{}", other.address, scene.rng.between(1_024, 65_535));
    script.accept(scene.rng, format!("{}{port}", server.address), remote);
    script.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    secure(scene, &mut script, &server.fqdn, other.certificates.internal);
    authenticate(scene, &mut script);
    inbound::permissions(&mut script, 1);
    message(scene, &mut script);
    script.quit(scene.rng);
    scene.finish(script);
}

/// EHLO, X-ANONYMOUSTLS, EHLO. `name` is the side that answers.
pub(crate) fn secure(scene: &mut Scene<'_>, script: &mut Script, name: &str, received: CertificateId) {
    let server = scene.server;
    let seen = Some(server.address.as_str());
    let answer = Answer { name, seen, capabilities: &OFFERS };
    script.ehlo(scene, &server.fqdn, answer, None);
    let result = Ok(scene.cipher());
    let presented = Some(server.certificates.internal);
    script.handshake(scene, &Handshake { verb: Verb::AnonymousTls, presented, received: Some(received), result });
    script.ehlo(scene, &server.fqdn, answer, None);
}

/// X-EXPS with Kerberos or a shared secret; the payload is masked.
fn authenticate(scene: &mut Scene<'_>, script: &mut Script) {
    script.command(&[scene.rng.word(&["X-EXPS EXCHANGEAUTH SHA256", "X-EXPS GSSAPI"])]);
    script.wait(scene.rng, 1, 20);
    script.answer(&["334 <authentication response>"]);
    script.wait(scene.rng, 1, 20);
    if script.direction == Direction::Receive {
        let account = format!("CONTOSO\\{}$", scene.server.name);
        script.idle_note(&[&account], &["authenticated"]);
    }
    script.answer(&["235 <authentication response>"]);
}

fn message(scene: &mut Scene<'_>, script: &mut Script) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes} XSHADOW={}", scene.rng.hex(32).to_lowercase());
    let refusal = scene.rng.chance(0.03).then(|| match scene.rng.below(2) {
        0 => Refusal::new(452, "4.3.1", "Insufficient system resources (UsedVersionBuckets[40])"),
        _ => Refusal::new(550, "5.1.1", "RESOLVER.ADR.ExRecipNotFound; not found"),
    });
    let host = scene.server.fqdn.clone();
    let mail = Mail {
        message_id: &message_id,
        id_row: match script.direction {
            Direction::Send => scene.sending_id_row(),
            Direction::Receive => MessageIdRow::Nowhere,
        },
        from: scene.user(),
        parameters: &parameters,
        refused: None,
        recipients: vec![Recipient { address: scene.user(), refusal }],
        body: Body::Chunks(1),
        accept: if scene.server.generation.has_roles() {
            Accept::Exchange { host: &host }
        } else {
            Accept::Exchange2010
        },
        is_pipelined: true,
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    script.mail(scene.rng, &mail);
}
