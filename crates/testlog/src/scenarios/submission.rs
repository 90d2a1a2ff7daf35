//! Clients that submit with AUTH LOGIN on port 587: successes that are proxied to the hub, and guessed passwords.

use super::{Scenario, Scene, inbound, internal};
use crate::{
    fact::{Fact, Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{
        Accept, Answer, Body, ChainRows, Dial, Greeting, Handshake, Mail, MessageIdRow, Recipient, Script, Spelling,
    },
};

pub(crate) const SUBMISSION: Scenario = Scenario { name: "submission", weight: often, play: submit };
pub(crate) const CLIENT_PROXY: Scenario = Scenario { name: "client proxy", weight: with_front_end, play: proxy };
pub(crate) const GUESSED: Scenario = Scenario { name: "guessed password", weight: seldom, play: guess };

const CLIENT_NAMES: [&str; 5] =
    ["[10.30.4.17]", "laptop-0381", "DESKTOP-R7Q2K1", "iphone.fritz.box", "thunderbird.local"];

fn often(_server: &Profile, _plan: &Plan) -> f64 {
    5.0
}

fn seldom(_server: &Profile, _plan: &Plan) -> f64 {
    3.0
}

fn with_front_end(server: &Profile, plan: &Plan) -> f64 {
    if server.has_front_end() { 6.0 * plan.proxied } else { 0.0 }
}

fn submit(scene: &mut Scene<'_>) {
    let user = scene.user();
    let mut client = greet(scene);
    log_in(scene, &mut client, user);
    message(scene, &mut [&mut client], user);
    client.quit(scene.rng);
    scene.finish(client);
}

/// The client's session, the front end's session with the hub, and the hub's side of it.
fn proxy(scene: &mut Scene<'_>) {
    let server = scene.server;
    let user = scene.user();
    let mut client = greet(scene);
    log_in(scene, &mut client, user);
    let client_id = format!("{:016X}", client.id);
    let link = || Fact::Proxy { kind: "client", role: "relay", session: client.id };
    let mut front = scene.open(Role::FrontEnd, Direction::Send, "Client Proxy Send Connector", client.now);
    let purpose = [". Client proxy session for ", user, ". Proxied session id ", &client_id];
    let (local, remote) = (scene.local_endpoint(), format!("{}:465", server.address));
    let dial = Dial {
        permissions: "None",
        purpose: &purpose,
        links: vec![link()],
        local: local.clone(),
        remote: remote.clone(),
    };
    front.dial(scene.rng, dial);
    let connector = format!("{0}\\Client Proxy {0}", server.name);
    let mut hub = scene.open(Role::Hub, Direction::Receive, &connector, front.now);
    hub.accept(scene.rng, remote, local);
    let command = format!("XPROXY SID={client_id} IP=10.30.4.17 PORT=50311 DOMAIN=client CAPABILITIES=0");
    for side in [&mut front, &mut hub] {
        side.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
        internal::secure(scene, side, &server.fqdn, server.certificates.internal);
        side.command(&[&command]);
        side.fact(link());
        side.answer(&["250 XProxy accepted and authenticated"]);
        side.require_rows_so_far();
    }
    message(scene, &mut [&mut client, &mut front, &mut hub], user);
    for mut script in [client, front, hub] {
        script.quit(scene.rng);
        scene.finish(script);
    }
}

/// Somebody tries passwords until the server has had enough.
fn guess(scene: &mut Scene<'_>) {
    let mut client = greet(scene);
    let user = scene.user();
    for _ in 0..*scene.rng.pick(&[1, 1, 2, 3]) {
        ask_password(scene, &mut client);
        client.note(&[], &["Inbound AUTH LOGIN failed because of LogonDenied"]);
        client.note(&[], &["User Name: ", user]);
        client.idle_note(&["Tarpit for '0.00:00:05' due to '535 5.7.3 Authentication unsuccessful'"], &[]);
        client.now += 5_000;
        client.refuse(Some("AUTH LOGIN"), &Refusal::new(535, "5.7.3", "Authentication unsuccessful"));
        client.wait(scene.rng, 100, 900);
    }
    if scene.rng.chance(0.3) {
        client.refuse(
            None,
            &Refusal::new(421, "4.7.0", "Too many errors on this connection, closing transmission channel"),
        );
        client.close("TooManyErrors");
    } else {
        client.close("Remote");
    }
    scene.finish(client);
}

/// Connection, EHLO, STARTTLS, EHLO.
fn greet(scene: &mut Scene<'_>) -> Script {
    let server = scene.server;
    let name = &server.name;
    let (role, connector) = match server.has_front_end() {
        true => (Role::FrontEnd, format!("{name}\\Client Frontend {name}")),
        false => (Role::Hub, format!("{name}\\Client {name}")),
    };
    let mut client = scene.open(role, Direction::Receive, &connector, scene.start);
    let address = format!("10.30.{}.{}", scene.rng.between(0, 9), scene.rng.between(2, 254));
    let remote = format!("{address}:{}", scene.rng.between(1_024, 65_535));
    client.accept(scene.rng, format!("{}:587", server.address), remote);
    client.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    let helo = scene.rng.word(&CLIENT_NAMES);
    let answer = Answer { name: &server.fqdn, seen: Some(&address), capabilities: &inbound::OFFERS };
    client.ehlo(scene, helo, answer, None);
    let presented = Some(server.receive_certificate_at(client.now));
    let result = Ok(scene.cipher());
    client.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received: None, result });
    let chain = ChainRows { status: "EmptyCertificate", capabilities: "None", domain: "" };
    client.ehlo(scene, helo, Answer { capabilities: &inbound::SECURE_OFFERS, ..answer }, Some(chain));
    client
}

/// AUTH LOGIN up to the password: its payload is masked, and the client's lines are not logged at all.
fn ask_password(scene: &mut Scene<'_>, client: &mut Script) {
    client.wait(scene.rng, 10, 200);
    client.command(&["AUTH LOGIN"]);
    for _ in 0..2 {
        client.answer(&["334 <authentication response>"]);
        client.wait(scene.rng, 20, 200);
    }
}

fn log_in(scene: &mut Scene<'_>, client: &mut Script, user: &str) {
    ask_password(scene, client);
    client.idle_note(
        &["SMTPSubmit SMTPAcceptAnyRecipient BypassAntiSpam AcceptRoutingHeaders"],
        &["Set Session Permissions"],
    );
    client.note(&[user], &["authenticated"]);
    let masked = scene.rng.chance(0.7);
    client.answer(&[if masked { "235 <authentication response>" } else { "235 2.7.0 Authentication successful" }]);
}

/// The same message in all the logs that it passes.
fn message(scene: &mut Scene<'_>, scripts: &mut [&mut Script], user: &str) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes}");
    let server = scene.server;
    let has_roles = server.generation.has_roles();
    let mail = Mail {
        message_id: &message_id,
        id_row: MessageIdRow::Nowhere,
        from: user,
        parameters: &parameters,
        refused: None,
        recipients: vec![Recipient { address: scene.stranger(), refusal: None }],
        body: Body::Dot,
        accept: if has_roles { Accept::Exchange { host: &server.fqdn } } else { Accept::Exchange2010 },
        is_pipelined: false,
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    let now = scripts.iter().map(|script| script.now).max().unwrap_or_default();
    for script in scripts {
        script.now = now;
        script.mail(scene.rng, &mail);
    }
}
