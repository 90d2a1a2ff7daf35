//! Mail to Microsoft 365 in a fleet with a planted cause: accepted or refused as the plant has it for server and time.

use super::{Scenario, Scene, office365, outbound_proxy};
use crate::{
    certificate::CertificateId,
    fact::{Cipher, Refusal, Verb},
    plan::{Generation, Plan},
    planted::{Conduct, Plant, Presented, Tls},
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, CIPHERS, ChainRows, Dial, Greeting, Handshake, Mail, Recipient, Script, Spelling},
    world::Host,
};

/// From the hub itself.
pub(crate) const DIRECT: Scenario = Scenario { name: "office365", weight: always, play: direct };
/// Through the front end.
pub(crate) const PROXIED: Scenario = Scenario { name: "outbound proxy", weight: with_front_end, play: proxied };

/// What Microsoft 365 seems to offer behind a firewall that inspects SMTP: STARTTLS is missing, or written over.
const HIDDEN_OFFERS: [&str; 7] =
    ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING"];
const MASKED_OFFERS: [&str; 8] =
    ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "XXXXXXXA", "8BITMIME", "BINARYMIME", "CHUNKING"];

fn always(_server: &Profile, _plan: &Plan) -> f64 {
    34.0
}

fn with_front_end(server: &Profile, _plan: &Plan) -> f64 {
    if server.has_front_end() { 34.0 } else { 0.0 }
}

fn direct(scene: &mut Scene<'_>) {
    let Some((plant, conduct)) = conduct(scene).filter(|(plant, _)| !plant.is_proxied) else {
        return;
    };
    let host = scene.cloud_host();
    let mut script = scene.open(Role::Hub, Direction::Send, conduct.connector, scene.start);
    connect(scene, &mut script, host, conduct.tls);
    if matches!(conduct.tls, Tls::Today | Tls::Old) {
        secure(scene, &mut script, host, conduct);
    }
    match refused(scene, plant, conduct) {
        Some((case, refusal)) => {
            script.case = Some(case);
            let refusal = refusal.with_peer(scene.peer(host, script.now));
            let is_over = refusal.code == 421;
            let fate = refused_fate(scene, refusal);
            message(scene, &mut script, conduct, host, fate);
            if is_over {
                script.close("Remote");
                return scene.finish(script);
            }
        }
        None => accepted_messages(scene, &mut script, conduct, host),
    }
    office365::end(scene, &mut script);
    scene.finish(script);
}

fn proxied(scene: &mut Scene<'_>) {
    let Some((plant, conduct)) = conduct(scene).filter(|(plant, _)| plant.is_proxied) else {
        return;
    };
    let Some(presented) = presented(scene, conduct) else {
        return;
    };
    let refused = refused(scene, plant, conduct).map(|(case, refusal)| {
        let host = scene.cloud_host();
        (case, refusal.with_peer(scene.peer(host, scene.start)))
    });
    outbound_proxy::of_plant(scene, presented, refused);
}

/// How mail goes now.
fn conduct<'a>(scene: &mut Scene<'a>) -> Option<(&'a Plant, &'a Conduct)> {
    let plant = scene.world.plant.as_ref()?;
    Some((plant, plant.conduct(scene.server.index, scene.start, scene.rng)?))
}

fn presented(scene: &Scene<'_>, conduct: &Conduct) -> Option<CertificateId> {
    match conduct.presented {
        Presented::ByDate => Some(scene.server.certificate_at(scene.start)),
        Presented::This(certificate) => Some(certificate),
        Presented::Nothing => None,
    }
}

/// The case that strikes this session, if one does.
fn refused(scene: &mut Scene<'_>, plant: &Plant, conduct: &Conduct) -> Option<(usize, Refusal)> {
    let mut drawn = scene.rng.below(1 << 30) as f64 / (1u64 << 30) as f64;
    let (case, _) = conduct.faults.iter().find(|(_, share)| {
        let strikes = drawn < *share;
        drawn -= share;
        strikes
    })?;
    let mut refusal = plant.cases[*case].refusal();
    refusal.lines.iter_mut().for_each(|line| *line = line.replace("{egress}", scene.egress()));
    Some((*case, refusal))
}

fn connect(scene: &mut Scene<'_>, script: &mut Script, host: &Host, tls: Tls) {
    let permissions = if scene.server.generation.joins_ehlo_rows() {
        "SendRoutingHeaders SendOrganizationHeaders SendForestHeaders"
    } else {
        "SendRoutingHeaders"
    };
    let (local, remote) = (scene.local_endpoint(), format!("{}:25", host.address));
    script.dial(scene.rng, Dial { permissions, purpose: &[], links: vec![], local, remote });
    script.banner(scene.rng, Greeting { name: &host.name, is_exchange: true, zone_hours: 0 });
    let capabilities: &[&str] = match tls {
        Tls::Today | Tls::Old => &office365::OFFERS,
        Tls::NotOffered => &HIDDEN_OFFERS,
        Tls::Masked => &MASKED_OFFERS,
    };
    let seen = Some(scene.egress());
    script.ehlo(scene, office365::HELO, Answer { name: &host.name, seen, capabilities }, None);
}

fn secure(scene: &mut Scene<'_>, script: &mut Script, host: &Host, conduct: &Conduct) {
    let presented = presented(scene, conduct);
    let result = Ok(cipher(scene, conduct.tls));
    script.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received: host.certificate, result });
    if conduct.chain_status != "Valid" || scene.rng.chance(0.5) {
        let capabilities = if scene.rng.chance(0.8) { "AcceptCloudServicesMail" } else { "None" };
        let chain = ChainRows { status: conduct.chain_status, capabilities, domain: "mail.protection.outlook.com" };
        script.chain_rows(scene, &chain);
    }
    let seen = Some(scene.egress());
    let answer = Answer { name: &host.name, seen, capabilities: &office365::SECURE_OFFERS };
    script.ehlo(scene, office365::HELO, answer, None);
}

/// Every server speaks TLS 1.2 at least, but for one whose fault is that it does not.
fn cipher(scene: &mut Scene<'_>, tls: Tls) -> &'static Cipher {
    match tls {
        Tls::Old => &CIPHERS[0],
        _ if scene.server.generation <= Generation::Exchange2013 => &CIPHERS[*scene.rng.pick(&[2, 2, 2, 7])],
        _ => scene.cipher(),
    }
}

fn accepted_messages(scene: &mut Scene<'_>, script: &mut Script, conduct: &Conduct, host: &Host) {
    let messages = *scene.rng.pick(&[1, 1, 1, 1, 1, 1, 2, 4]);
    for _ in 0..messages {
        let fate = innocent_fate(scene, host, script.now);
        message(scene, script, conduct, host, fate);
        script.wait(scene.rng, 0, 900);
    }
}

/// What becomes of a message.
enum Fate {
    Accepted,
    AtMail(Refusal),
    AtRecipients(Refusal),
    AtData(Refusal),
    AtEnd(Refusal),
}

/// Mostly it is accepted; what no connector is to blame for happens to mail all the same.
fn innocent_fate(scene: &mut Scene<'_>, host: &Host, at: i64) -> Fate {
    let peer = scene.peer(host, at);
    match scene.rng.below(100) {
        0..=1 => {
            let text = "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
            Fate::AtRecipients(Refusal::new(550, "5.1.10", text).with_peer(peer))
        }
        2 => {
            let text = "Recipient address rejected: Access denied.";
            Fate::AtRecipients(Refusal::new(550, "5.4.1", text).with_peer(peer))
        }
        3 => {
            let text = format!("Server busy. Please try again later from [{}]. (S77714)", scene.egress());
            Fate::AtMail(Refusal::new(451, "4.7.500", &text).with_peer(peer))
        }
        _ => Fate::Accepted,
    }
}

/// At MAIL, at RCPT, at DATA or at the end of data.
fn refused_fate(scene: &mut Scene<'_>, refusal: Refusal) -> Fate {
    match scene.rng.below(10) {
        _ if refusal.code == 421 => Fate::AtMail(refusal),
        0..=1 => Fate::AtMail(refusal),
        2..=7 => Fate::AtRecipients(refusal),
        8 => Fate::AtData(refusal),
        _ => Fate::AtEnd(refusal),
    }
}

/// A message between people of the conduct's domains.
fn message(scene: &mut Scene<'_>, script: &mut Script, conduct: &Conduct, host: &Host, fate: Fate) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = office365::parameters(scene, bytes);
    let from = in_domain(scene.user(), conduct.sender_domain);
    let count = *scene.rng.pick(&[1, 1, 1, 1, 1, 2, 3]);
    let to: Vec<String> = (0..count)
        .map(|_| match conduct.recipient_domain {
            Some(_) => in_domain(scene.user(), conduct.recipient_domain),
            None => scene.stranger().to_owned(),
        })
        .collect();
    // What ends the connection is said once, and nobody sends more commands before or after it.
    let ends = matches!(&fate, Fate::AtMail(refusal) if refusal.code == 421);
    let mut mail = Mail {
        message_id: &message_id,
        id_row: scene.sending_id_row(),
        from: &from,
        parameters: &parameters,
        refused: None,
        recipients: to.iter().map(|address| Recipient { address, refusal: None }).collect(),
        body: if scene.rng.chance(0.85) { Body::Chunks(1) } else { Body::Dot },
        accept: Accept::Exchange { host: &host.name },
        is_pipelined: !ends && scene.rng.chance(0.9),
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    match fate {
        Fate::Accepted => {}
        Fate::AtMail(refusal) => mail.refused = Some(refusal),
        Fate::AtRecipients(refusal) => {
            mail.recipients.iter_mut().for_each(|recipient| recipient.refusal = Some(refusal.clone()));
        }
        Fate::AtData(refusal) => mail.body = Body::RefusedAtCommand(refusal),
        Fate::AtEnd(refusal) => mail.body = Body::RefusedAtEnd(refusal),
    }
    script.mail(scene.rng, &mail);
}

/// The same person in another domain.
fn in_domain(address: &str, domain: Option<&str>) -> String {
    match (domain, address.split_once('@')) {
        (Some(domain), Some((person, _))) => format!("{person}@{domain}"),
        _ => address.to_owned(),
    }
}
