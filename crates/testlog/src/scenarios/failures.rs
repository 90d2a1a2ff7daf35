//! Connections that go wrong: nobody answers, TLS fails, one session shows two certificates, somebody hangs up.

use super::{Scenario, Scene, inbound, office365};
use crate::{
    fact::{Refusal, Verb},
    plan::Plan,
    profile::{Direction, Profile, Role},
    script::{Greeting, Handshake},
    world::Host,
};

pub(crate) const UNREACHABLE: Scenario = Scenario { name: "failed to connect", weight: often, play: unreachable };
pub(crate) const TLS_FAILURE: Scenario = Scenario { name: "tls failure", weight: seldom, play: tls_failure };
pub(crate) const TWO_CERTIFICATES: Scenario =
    Scenario { name: "two certificates", weight: rarely, play: two_certificates };
/// The part of [`TLS_FAILURE`] that has nothing to do with Microsoft 365.
pub(crate) const RECEIVE_FAILURE: Scenario = Scenario { name: "tls failure", weight: rarely, play: receive_failure };
/// The part of [`DROPPED`] that has nothing to do with Microsoft 365.
pub(crate) const CUT_OFF: Scenario = Scenario { name: "dropped", weight: seldom, play: cut_off };
pub(crate) const DROPPED: Scenario = Scenario { name: "dropped", weight: seldom, play: dropped };

/// Errors of Schannel as the log names them.
const TLS_ERRORS: [&str; 5] = ["UnknownCredentials", "NoCredentials", "SocketError", "ConnectionAborted", "TimedOut"];

fn often(_server: &Profile, _plan: &Plan) -> f64 {
    6.0
}

fn seldom(_server: &Profile, _plan: &Plan) -> f64 {
    2.0
}

fn rarely(_server: &Profile, _plan: &Plan) -> f64 {
    0.3
}

/// A send session that never gets as far as `+`.
fn unreachable(scene: &mut Scene<'_>) {
    let host = scene.partner_host();
    let mut script = scene.open(Role::Hub, Direction::Send, "Internet", scene.start);
    script.set_remote(format!("{}:25", host.address));
    script.idle_note(&["None"], &["Set Session Permissions"]);
    script.note(&[], &["attempting to connect"]);
    script.wait(scene.rng, 900, 21_000);
    let (code, text) = *scene.rng.pick(&[
        ("10061", "No connection could be made because the target machine actively refused it "),
        (
            "10060",
            "A connection attempt failed because the connected party did not properly respond after a period of time ",
        ),
    ]);
    let domain = if scene.server.generation.joins_ehlo_rows() { ", Destination domain: " } else { "" };
    let name = if domain.is_empty() { "" } else { &host.name };
    let context = ["Failed to connect. Winsock error code: ", code, ", Win32 error code: ", code, domain, name];
    script.note(&[], &[&context[..], &[", Error Message: ", text, &host.address, ":25."]].concat());
    if scene.rng.chance(0.5) {
        script.close("Local");
    }
    scene.finish(script);
}

/// TLS fails on the first connection; the second goes without.
fn tls_failure(scene: &mut Scene<'_>) {
    if scene.rng.chance(0.3) {
        return receive_failure(scene);
    }
    let host = scene.cloud_host();
    let mut script = office365::open(scene);
    office365::connect(scene, &mut script, host);
    let presented = Some(scene.server.certificate_at(script.now));
    let error = scene.rng.word(&TLS_ERRORS);
    let received = host.certificate.filter(|_| scene.rng.chance(0.5));
    script.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received, result: Err(error) });
    if scene.rng.chance(0.3) {
        script.wait(scene.rng, 10, 2_000);
        script.refuse(None, &Refusal::new(421, "4.7.0", "Unable to establish TLS, closing transmission channel"));
    }
    script.close("Local");
    let again = script.now + scene.rng.between(20, 3_000);
    scene.finish(script);
    retry_without_tls(scene, host, again);
}

fn retry_without_tls(scene: &mut Scene<'_>, host: &Host, at: i64) {
    let mut script = office365::open(scene);
    script.now = at;
    office365::connect(scene, &mut script, host);
    if scene.rng.chance(0.5) {
        let refusal = match scene.rng.below(2) {
            0 => Refusal::new(451, "5.7.3", "STARTTLS is required to send mail"),
            _ => office365::refusal(scene, host, script.now),
        };
        office365::refused_message(scene, &mut script, refusal);
    } else {
        office365::message(scene, &mut script, host);
    }
    script.quit(scene.rng);
    scene.finish(script);
}

/// A caller's handshake fails, or it presents a certificate that is not trusted.
fn receive_failure(scene: &mut Scene<'_>) {
    let host = scene.partner_host();
    let mut script = inbound::open(scene);
    inbound::greet(scene, &mut script, host);
    let presented = Some(scene.server.receive_certificate_at(script.now));
    let result = Err(scene.rng.word(&TLS_ERRORS[2..]));
    script.handshake(scene, &Handshake { verb: Verb::StartTls, presented, received: None, result });
    script.close(scene.rng.word(&["Local", "Remote", "Remote(SocketError)"]));
    scene.finish(script);
}

/// Two negotiations with different certificates, and a refusal under each: the second refusal does not belong to the
/// first certificate, nor the first refusal to the second.
fn two_certificates(scene: &mut Scene<'_>) {
    let host = scene.cloud_host();
    let mut script = office365::open(scene);
    office365::connect(scene, &mut script, host);
    office365::secure(scene, &mut script, host, Some(scene.server.certificates.old));
    let peer = scene.peer(host, script.now);
    let denied = Refusal::new(550, "5.7.64", "TenantAttribution; Relay Access Denied").with_peer(peer);
    office365::refused_message(scene, &mut script, denied);
    script.reset(scene.rng);
    office365::secure(scene, &mut script, host, Some(scene.server.certificates.new));
    let refusal = match scene.rng.below(3) {
        0 => Refusal::new(451, "4.3.2", "Temporary server error. Please try again later. ATTR55").with_attr("ATTR55"),
        1 => Refusal::new(550, "5.7.51", "TenantInboundAttribution; Rejecting"),
        _ => Refusal::new(454, "4.7.5", "Certificate validation failure"),
    };
    let peer = scene.peer(host, script.now);
    office365::refused_message(scene, &mut script, refusal.with_peer(peer));
    script.quit(scene.rng);
    scene.finish(script);
}

/// The other side, or the server, ends a session that nobody has closed.
fn dropped(scene: &mut Scene<'_>) {
    match scene.rng.below(3) {
        0 => dropped_send(scene),
        1 => timed_out(scene),
        _ => silent_caller(scene),
    }
}

/// A caller falls silent, or never says anything.
fn cut_off(scene: &mut Scene<'_>) {
    if scene.rng.chance(0.5) { timed_out(scene) } else { silent_caller(scene) }
}

fn dropped_send(scene: &mut Scene<'_>) {
    let host = scene.cloud_host();
    let mut script = office365::open(scene);
    office365::connect(scene, &mut script, host);
    let presented = scene.server.certificate_at(script.now);
    office365::secure(scene, &mut script, host, Some(presented));
    office365::message(scene, &mut script, host);
    script.wait(scene.rng, 10_000, 200_000);
    if scene.rng.chance(0.5) {
        script.refuse(None, &Refusal::new(421, "4.4.2", "Connection timed out"));
        script.close("Remote");
    } else {
        script.close("Remote(ConnectionReset)");
    }
    scene.finish(script);
}

fn timed_out(scene: &mut Scene<'_>) {
    let host = scene.partner_host();
    let mut script = inbound::open(scene);
    inbound::greet(scene, &mut script, host);
    if host.certificate.is_some() {
        inbound::secure(scene, &mut script, host);
    }
    script.wait(scene.rng, 300_000, 305_000);
    script.refuse(None, &Refusal::new(421, "4.4.1", "Connection timed out"));
    script.close("Timeout");
    scene.finish(script);
}

/// A load balancer looks whether the port is open.
fn silent_caller(scene: &mut Scene<'_>) {
    let server = scene.server;
    let mut script = inbound::open(scene);
    let remote = format!("10.0.255.{}:{}", scene.rng.between(1, 4), scene.rng.between(1_024, 65_535));
    script.accept(scene.rng, format!("{}:25", server.address), remote);
    script.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    script.close(scene.rng.word(&["Remote", "Remote(ConnectionReset)", "None", "Local(SocketError)"]));
    scene.finish(script);
}
