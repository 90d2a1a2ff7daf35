//! Mail to Microsoft 365 from the hub itself: TLS with the organisation's certificate, then one or several messages.

use super::{Scenario, Scene};
use crate::{
    certificate::CertificateId,
    fact::{Refusal, Verb},
    plan::{Generation, Plan},
    profile::{Direction, Profile, Role},
    script::{Accept, Answer, Body, ChainRows, Dial, Greeting, Handshake, Mail, Recipient, Script, Spelling},
    world::Host,
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "office365", weight, play };

/// What Microsoft 365 offers before TLS.
pub(crate) const OFFERS: [&str; 8] =
    ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "8BITMIME", "BINARYMIME", "CHUNKING"];
/// What it offers under TLS.
pub(crate) const SECURE_OFFERS: [&str; 8] =
    ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"];
/// The name that the organisation's servers give in EHLO.
pub(crate) const HELO: &str = "mail0.contoso.com";

fn weight(server: &Profile, plan: &Plan) -> f64 {
    let direct = if server.has_front_end() { 1.0 - plan.proxied } else { 1.0 };
    34.0 * direct
}

fn play(scene: &mut Scene<'_>) {
    let host = scene.cloud_host();
    let mut script = open(scene);
    connect(scene, &mut script, host);
    let presented = scene.server.certificate_at(script.now);
    secure(scene, &mut script, host, Some(presented));
    let refused = scene.rng.chance(refused_share(scene, presented));
    // A cached connection carries several messages.
    let messages = if refused { 1 } else { *scene.rng.pick(&[1, 1, 1, 1, 1, 1, 2, 4]) };
    for _ in 0..messages {
        if refused {
            let refusal = refusal(scene, host, script.now);
            refused_message(scene, &mut script, refusal);
        } else {
            message(scene, &mut script, host);
        }
        // The connection stays open for a while, in case there is more.
        let idle_ms = if scene.rng.chance(0.2) { 40_000 } else { 900 };
        script.wait(scene.rng, 0, idle_ms);
    }
    end(scene, &mut script);
    scene.finish(script);
}

/// A session of the connector to Microsoft 365.
pub(crate) fn open(scene: &mut Scene<'_>) -> Script {
    let connector = match scene.server.index % 4 {
        3 => "Outbound to Office 365 - 4f6c1d0e-93a2-4d7b-8a51-2f0c7be1d966",
        _ => "Outbound to Office 365",
    };
    scene.open(Role::Hub, Direction::Send, connector, scene.start)
}

/// Dialling, banner and first EHLO.
pub(crate) fn connect(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let local = scene.local_endpoint();
    let permissions = "SendRoutingHeaders SendOrganizationHeaders SendForestHeaders";
    let permissions = if scene.server.generation.joins_ehlo_rows() { permissions } else { "SendRoutingHeaders" };
    let remote = format!("{}:25", host.address);
    script.dial(scene.rng, Dial { permissions, purpose: &[], links: vec![], local, remote });
    connect_dialled(scene, script, host);
}

/// Banner and first EHLO of a session that is connected.
pub(crate) fn connect_dialled(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    script.banner(scene.rng, Greeting { name: &host.name, is_exchange: true, zone_hours: 0 });
    let seen = Some(scene.egress());
    script.ehlo(scene, HELO, Answer { name: &host.name, seen, capabilities: &OFFERS }, None);
}

/// STARTTLS and the second EHLO.
pub(crate) fn secure(scene: &mut Scene<'_>, script: &mut Script, host: &Host, presented: Option<CertificateId>) {
    let result = Ok(scene.cipher());
    let handshake = Handshake { verb: Verb::StartTls, presented, received: host.certificate, result };
    script.handshake(scene, &handshake);
    if scene.rng.chance(0.5) {
        let capabilities = if scene.rng.chance(0.8) { "AcceptCloudServicesMail" } else { "None" };
        let chain = ChainRows { status: "Valid", capabilities, domain: "mail.protection.outlook.com" };
        script.chain_rows(scene, &chain);
    }
    let seen = Some(scene.egress());
    script.ehlo(scene, HELO, Answer { name: &host.name, seen, capabilities: &SECURE_OFFERS }, None);
}

/// A message that is accepted, for some recipients at least.
pub(crate) fn message(scene: &mut Scene<'_>, script: &mut Script, host: &Host) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = parameters(scene, bytes);
    let chunks = if bytes > 1_500_000 { 2 } else { 1 };
    let body = if scene.rng.chance(0.85) { Body::Chunks(chunks) } else { Body::Dot };
    let mail = Mail {
        message_id: &message_id,
        id_row: scene.sending_id_row(),
        from: if scene.rng.chance(0.06) { "" } else { scene.user() },
        parameters: &parameters,
        refused: None,
        recipients: recipients(scene, 0.02),
        body,
        accept: Accept::Exchange { host: &host.name },
        is_pipelined: true,
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    script.mail(scene.rng, &mail);
}

/// A message that Microsoft 365 refuses: at MAIL, at RCPT, at DATA or at the end of data.
pub(crate) fn refused_message(scene: &mut Scene<'_>, script: &mut Script, refusal: Refusal) {
    let message_id = scene.message_id();
    let bytes = scene.message_bytes();
    let parameters = parameters(scene, bytes);
    let mut mail = Mail {
        message_id: &message_id,
        id_row: scene.sending_id_row(),
        from: scene.user(),
        parameters: &parameters,
        refused: None,
        recipients: recipients(scene, 0.0),
        body: Body::Abandoned,
        accept: Accept::Other,
        is_pipelined: scene.rng.chance(0.8),
        tarpit_ms: None,
        bytes,
        spelling: Spelling::Usual,
    };
    match scene.rng.below(10) {
        0..=1 => mail.refused = Some(refusal),
        2..=7 => mail.recipients.iter_mut().for_each(|recipient| recipient.refusal = Some(refusal.clone())),
        8 => mail.body = Body::RefusedAtCommand(refusal),
        _ => mail.body = Body::RefusedAtEnd(refusal),
    }
    script.mail(scene.rng, &mail);
}

/// QUIT mostly; sometimes the other side is gone first.
pub(crate) fn end(scene: &mut Scene<'_>, script: &mut Script) {
    if scene.rng.chance(0.02) {
        script.wait(scene.rng, 1_000, 60_000);
        return script.close("Remote(ConnectionReset)");
    }
    script.quit(scene.rng);
}

/// ESMTP parameters of MAIL.
pub(crate) fn parameters(scene: &mut Scene<'_>, bytes: i64) -> String {
    if scene.server.generation >= Generation::Exchange2013 && scene.rng.chance(0.7) {
        return format!(" SIZE={bytes} AUTH=<> XOORG=contoso.com");
    }
    format!(" SIZE={bytes}")
}

fn recipients<'a>(scene: &mut Scene<'a>, refused: f64) -> Vec<Recipient<'a>> {
    let count = *scene.rng.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 6]);
    let recipient = |turn: usize| {
        let address = scene.stranger();
        let refusal = (turn > 0 && scene.rng.chance(refused))
            .then(|| Refusal::new(550, "5.4.1", "Recipient address rejected: Access denied."));
        Recipient { address, refusal }
    };
    (0..count).map(recipient).collect()
}

/// The share of sessions that are refused with a certificate.
pub(crate) fn refused_share(scene: &Scene<'_>, presented: CertificateId) -> f64 {
    let refusals = scene.plan.refusals;
    if presented == scene.server.certificates.new { refusals.after } else { refusals.before }
}

/// One of the refusals of Microsoft 365; relay access denied most often.
pub(crate) fn refusal(scene: &mut Scene<'_>, host: &Host, at: i64) -> Refusal {
    let peer = scene.peer(host, at);
    let name = scene.world.certificate(scene.server.certificate_at(at)).names.first();
    let untrusted = format!(
        "TenantAttribution; Relay Access Denied SMTP {} is untrustedroot.",
        name.map_or("mail.contoso.com", |name| name.as_str())
    );
    let denied = "TenantAttribution; Relay Access Denied";
    match scene.rng.below(20) {
        0..=9 => Refusal::new(550, "5.7.64", denied).with_peer(peer),
        10 => Refusal::new(550, "5.7.64", &untrusted).with_peer(peer),
        11..=12 => Refusal::new(550, "5.7.64", "Relay Access Denied ATTR36").with_attr("ATTR36").with_peer(peer),
        13 => Refusal::new(550, "5.7.51", PARTNER_RESTRICTION).with_peer(peer),
        14 => Refusal::new(451, "4.4.62", WRONG_REGION).with_attr("ATTR35").with_peer(peer),
        15 => Refusal::new(451, "4.4.4", UNAUTHENTICATED).with_attr("ATTR5").with_peer(peer),
        16 => Refusal::new(451, "4.3.2", TEMPORARY).with_attr("ATTR55").with_peer(peer),
        17 => Refusal::new(451, "4.7.500", BUSY).with_peer(peer),
        18 => Refusal { lines: BANNED.map(String::from).into(), ..Refusal::new(550, "5.7.511", "") },
        _ => certificate_refusal(scene, at).with_peer(peer),
    }
}

/// A reply that itself names a thumbprint.
fn certificate_refusal(scene: &mut Scene<'_>, at: i64) -> Refusal {
    let certificate = scene.world.certificate(scene.server.certificate_at(at));
    let text = format!(
        "Cannot connect to remote server [Message=CertificateExpired Expected Subject: mail.contoso.com \
         Presented Subject: {} Thumbprint: {}.] [LastAttemptedServerName=mail.contoso.com] \
         [LastAttemptedIP={}:25] [SmtpSecurity=2;2]",
        certificate.subject, certificate.thumbprint, scene.server.egress
    );
    Refusal::new(451, "4.4.317", &text)
}

const PARTNER_RESTRICTION: &str = "TenantInboundAttribution; There is a partner connector configured that matched the \
    message's recipient domain. The connector had either the RestrictDomainsToIPAddresses or \
    RestrictDomainsToCertificate set";
const WRONG_REGION: &str = "Mail sent to the wrong Office 365 region. ATTR35";
const UNAUTHENTICATED: &str = "Mail received as unauthenticated, incoming to a recipient domain configured in a \
    hosted tenant which has no mail-enabled subscriptions. ATTR5";
const TEMPORARY: &str = "Temporary server error. Please try again later. ATTR55";
const BUSY: &str = "Server busy. Please try again later from [203.0.113.7]. (S77714)";
const BANNED: [&str; 3] = [
    "Access denied, banned sender[203.0.113.7].",
    "To request removal from this list please forward this message to delist@messaging.example.",
    "For more information see the documentation, section \"delisting\" (AS16012611)",
];
