//! Mail to anybody else: other people's servers, with their own banners, refusals and shortcomings.

use super::{Scenario, Scene, office365};
use crate::{
    fact::{Fact, Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, Dial, Greeting, Handshake, Mail, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "partner", weight, play };

const OFFERS: [&str; 8] =
    ["PIPELINING", "SIZE 52428800", "ETRN", "STARTTLS", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "CHUNKING"];
const PLAIN_OFFERS: [&str; 5] = ["PIPELINING", "SIZE 10240000", "VRFY", "8BITMIME", "HELP"];

fn weight(_server: &Profile, _plan: &Plan) -> f64 {
    10.0
}

fn play(scene: &mut Scene<'_>) {
    let host = scene.partner_host();
    let mut script = open(scene, host);
    if scene.rng.chance(0.03) {
        return refused_banner(scene, script);
    }
    script.banner(scene.rng, Greeting { name: &host.name, is_exchange: host.is_exchange, zone_hours: 2 });
    introduce(scene, &mut script, host);
    let refusal = scene.rng.chance(0.08).then(|| refusal(scene));
    message(scene, &mut script, host, refusal);
    office365::end(scene, &mut script);
    scene.finish(script);
}

/// A connected session to a partner.
pub(crate) fn open(scene: &mut Scene<'_>, host: &Host) -> Script {
    let connector = match scene.rng.below(8) {
        0 => "Partner, fabrikam (TLS)",
        1 if scene.server.index % 3 == 1 => "Verbindung \u{fc}ber M\u{fc}nchen",
        _ => "Internet",
    };
    let mut script = scene.open(Role::Hub, Direction::Send, connector, scene.start);
    let local = match host.address.starts_with('[') {
        true => format!("[2001:db8:1::{:x}]:{}", scene.server.index + 16, scene.rng.between(1_024, 65_535)),
        false => scene.local_endpoint(),
    };
    let remote = format!("{}:25", host.address);
    script.dial(scene.rng, Dial { permissions: "None", purpose: &[], links: vec![], local, remote });
    script
}

/// EHLO, with TLS if the other side knows it, or HELO.
fn introduce(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let seen = seen(scene, host);
    let seen = Some(seen.as_str()).filter(|_| host.is_exchange);
    let offers: &[&str] = if host.certificate.is_some() { &OFFERS } else { &PLAIN_OFFERS };
    if host.certificate.is_none() && scene.rng.chance(0.3) {
        return script.helo_fallback(scene.rng, office365::HELO, &host.name);
    }
    let answer = Answer { name: &host.name, seen, capabilities: offers };
    script.ehlo(scene, office365::HELO, answer, None);
    if host.certificate.is_none() {
        return;
    }
    if scene.rng.chance(0.02) {
        script.command(&["STARTTLS"]);
        script.fact(Fact::Negotiation(Verb::StartTls));
        script.wait(scene.rng, 1, 90);
        return script.refuse(Some("STARTTLS"), &Refusal::new(454, "4.7.0", "TLS not available due to local problem"));
    }
    // Most servers never ask for a client certificate, and then none is logged.
    let presented = scene.client_certificate(script.now).filter(|_| scene.rng.chance(0.4));
    let result = Ok(scene.cipher());
    script.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received: host.certificate, result });
    script.ehlo(scene, office365::HELO, answer, None);
}

/// The address that a host sees: by IPv6 it is the server's own.
fn seen(scene: &Scene<'_>, host: &Host) -> String {
    match host.address.starts_with('[') {
        true => format!("2001:db8:1::{:x}", scene.server.index + 16),
        false => scene.egress().to_owned(),
    }
}

fn message(scene: &mut Scene<'_>, script: &mut Script, host: &Host, refusal: Option<Refusal>) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = format!(" SIZE={bytes}");
    let mut mail = Mail {
        message_id: &message_id,
        id_row: scene.sending_id_row(),
        from: if scene.rng.chance(0.1) { "" } else { scene.user() },
        parameters: &parameters,
        refused: None,
        recipients: vec![Recipient { address: scene.stranger(), refusal: None }],
        body: Body::Dot,
        accept: if host.is_exchange { Accept::Exchange { host: &host.name } } else { Accept::Other },
        is_pipelined: scene.rng.chance(0.6),
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    // One of two recipients is refused: the message is accepted for the other.
    if scene.rng.chance(0.3) {
        mail.recipients.insert(0, Recipient { address: scene.stranger(), refusal: None });
    }
    match (refusal, scene.rng.below(6)) {
        (Some(refusal), 0) => mail.refused = Some(refusal),
        (Some(refusal), 1) => mail.body = Body::RefusedAtEnd(refusal),
        (Some(refusal), _) => mail.recipients[0].refusal = Some(refusal),
        (None, _) => {}
    }
    script.mail(scene.rng, &mail);
}

/// The banner itself refuses, and the session is over.
fn refused_banner(scene: &mut Scene<'_>, mut script: Script) {
    script.wait(scene.rng, 5, 4_000);
    let refusal = match scene.rng.below(3) {
        0 => {
            Refusal::new(554, "5.7.1", "Service unavailable; client [203.0.113.7] blocked using zen.blocklist.example")
        }
        1 => Refusal::new(421, "4.3.2", "Service not available, closing transmission channel"),
        _ => Refusal::new(554, "", "No SMTP service here"),
    };
    script.refuse(None, &refusal);
    script.close(scene.rng.word(&["Remote", "Local", "Remote(ConnectionReset)"]));
    scene.finish(script);
}

fn refusal(scene: &mut Scene<'_>) -> Refusal {
    let lines = |code, status, lines: &[&str]| {
        let lines = lines.iter().map(|line| line.to_string()).collect();
        Refusal { code, status, lines, ..Refusal::default() }
    };
    match scene.rng.below(7) {
        0 => Refusal::new(450, "4.2.0", "Greylisted, see https://postgrey.example/help/fabrikam.example.html"),
        1 => Refusal::new(452, "4.2.2", "Mailbox full"),
        2 => Refusal::new(550, "", "No such user here"),
        3 => Refusal::new(554, "5.7.1", "Recipient address rejected: Access denied"),
        4 => lines(
            550,
            Some("5.7.26"),
            &[
                "This mail has been blocked because the sender is unauthenticated.",
                "All senders must authenticate with either SPF or DKIM.",
                "Authentication results:",
                "For instructions on setting up authentication, go to",
                "https://support.mailhub.example/mail/answer/81126#authentication",
            ],
        ),
        5 => lines(
            553,
            None,
            &["Requested action not taken: \"mailbox name\" not allowed,", "contact postmaster, please"],
        ),
        _ => Refusal::new(550, "5.1.1", "The email account that you tried to reach does not exist."),
    }
}
