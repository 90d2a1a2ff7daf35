//! Mail from the world, received by the server that faces it.

use super::{Scenario, Scene};
use crate::{
    fact::{Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, ChainRows, Greeting, Handshake, Mail, MessageIdRow, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "inbound", weight, play };

/// What an Exchange server offers before TLS.
pub(crate) const OFFERS: [&str; 11] = [
    "SIZE 36700160",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
    "X-ANONYMOUSTLS",
    "AUTH NTLM",
    "X-EXPS GSSAPI NTLM",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
];
/// What it offers under TLS.
pub(crate) const SECURE_OFFERS: [&str; 9] = [
    "SIZE 36700160",
    "PIPELINING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "AUTH NTLM LOGIN",
    "X-EXPS GSSAPI NTLM",
    "8BITMIME",
    "BINARYMIME",
    "CHUNKING",
];

fn weight(server: &Profile, plan: &Plan) -> f64 {
    let direct = if server.has_front_end() { 1.0 - plan.proxied } else { 1.0 };
    26.0 * direct
}

fn play(scene: &mut Scene<'_>) {
    let from_cloud = scene.rng.chance(0.6);
    let host = if from_cloud { scene.cloud_host() } else { scene.partner_host() };
    let mut script = open(scene);
    greet(scene, &mut script, host);
    if host.certificate.is_some() {
        secure(scene, &mut script, host);
    }
    let messages = *scene.rng.pick(&[1, 1, 1, 1, 2, 3]);
    for _ in 0..messages {
        message(scene, &mut script);
    }
    script.quit(scene.rng);
    scene.finish(script);
}

/// A session of the connector that faces the world.
pub(crate) fn open(scene: &mut Scene<'_>) -> Script {
    let name = &scene.server.name;
    let role = if scene.server.has_front_end() { Role::FrontEnd } else { Role::Edge };
    let connector = match (scene.server.has_front_end(), scene.server.is_edge) {
        (true, _) => format!("{name}\\Default Frontend {name}"),
        (_, true) => format!("{name}\\Default internal receive connector {name}"),
        _ => format!("{name}\\Internet Mail"),
    };
    scene.open(role, Direction::Receive, &connector, scene.start)
}

/// Connection, banner, first EHLO.
pub(crate) fn greet(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let caller = scene.caller(host);
    let server = scene.server;
    script.accept(scene.rng, format!("{}:25", server.address), caller);
    permissions(script, 2);
    script.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    let answer = Answer { name: &server.fqdn, seen: Some(bare(host)), capabilities: &OFFERS };
    script.ehlo(scene, &host.name, answer, None);
}

/// STARTTLS, second EHLO and the rows about the client's chain.
pub(crate) fn secure(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let presented = Some(scene.server.receive_certificate_at(script.now));
    let received = host.certificate.filter(|_| host.is_exchange);
    let result = Ok(scene.cipher());
    script.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received, result });
    let chain = match received {
        None => ChainRows { status: "EmptyCertificate", capabilities: "None", domain: "" },
        Some(_) if scene.rng.chance(0.9) => ChainRows {
            status: "Valid",
            capabilities: "AcceptCloudServicesMail",
            domain: "mail.protection.outlook.com",
        },
        Some(_) => ChainRows {
            status: scene.rng.word(&["UntrustedRoot", "CertificateExpired", "RevocationOffline", "SubjectMismatch"]),
            capabilities: "None",
            domain: "fabrikam.example",
        },
    };
    let answer = Answer { name: &scene.server.fqdn, seen: Some(bare(host)), capabilities: &SECURE_OFFERS };
    script.ehlo(scene, &host.name, answer, Some(chain));
}

/// A message from outside; unknown recipients are refused after a tarpit.
pub(crate) fn message(scene: &mut Scene<'_>, script: &mut Script) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes} BODY=8BITMIME");
    let has_roles = scene.server.generation.has_roles();
    let server = scene.server;
    let mail = Mail {
        message_id: &message_id,
        id_row: if scene.server.generation.joins_ehlo_rows() { MessageIdRow::During } else { MessageIdRow::Nowhere },
        from: if scene.rng.chance(0.05) { "" } else { scene.stranger() },
        parameters: &parameters,
        refused: None,
        recipients: recipients(scene),
        body: if scene.rng.chance(0.7) { Body::Chunks(1) } else { Body::Dot },
        accept: if has_roles { Accept::Exchange { host: &server.fqdn } } else { Accept::Exchange2010 },
        is_pipelined: scene.rng.chance(0.7),
        tarpit_ms: scene.rng.chance(0.04).then_some(5_000),
        bytes,
        spelling: Spelling::Usual,
    };
    permissions(script, usize::from(scene.rng.chance(0.3)));
    script.mail(scene.rng, &mail);
}

/// The address of a host without the brackets that an endpoint needs.
pub(crate) fn bare(host: &Host) -> &str {
    host.address.trim_matches(['[', ']'])
}

fn recipients<'a>(scene: &mut Scene<'a>) -> Vec<Recipient<'a>> {
    let count = *scene.rng.pick(&[1, 1, 1, 1, 1, 2, 3]);
    let recipient = |_| {
        let address = scene.user();
        let refusal = scene.rng.chance(0.03).then(|| match scene.rng.below(3) {
            0 => Refusal::new(
                550,
                "5.1.10",
                "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
            ),
            1 => Refusal::new(550, "5.1.1", "User unknown"),
            _ => Refusal::new(550, "5.7.54", "SMTP; Unable to relay recipient in non-accepted domain"),
        });
        Recipient { address, refusal }
    };
    (0..count).map(recipient).collect()
}

/// The row about permissions, where it is logged.
pub(crate) fn permissions(script: &mut Script, rows: usize) {
    if rows > 0 {
        let data = "SMTPSubmit SMTPAcceptAnyRecipient SMTPAcceptAnySender AcceptRoutingHeaders";
        script.idle_note(&[data], &["Set Session Permissions"]);
    }
}
