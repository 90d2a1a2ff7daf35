//! Strangers who look for open relays and send whatever they like: wrong protocols, wrong bytes, wrong encodings.

use super::{Scenario, Scene, inbound};
use crate::{
    fact::{Fact, Refusal},
    plan::Plan,
    profile::Profile,
    script::{Greeting, Script},
};

pub(crate) const SCENARIO: Scenario = Scenario { name: "scanner", weight, play };

/// Names that are not UTF-8: GBK, Latin-1, and bytes that are no text at all. One needs quotes in the log.
const NAMES: [&[u8]; 7] = [
    b"EHLO \xC4\xE3\xBA\xC3-PC",
    b"EHLO M\xFCller",
    b"EHLO \xFF\xFE\x01\x7F",
    b"HELO \"quoted, name\"",
    b"EHLO WIN-CLJ1B0GQ6JP",
    b"ehlo masscan",
    b"EHLO User\x00\x08",
];
/// Lines that are no commands.
const JUNK: [&[u8]; 7] = [
    b"GET / HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\xA5",
    b"OPTIONS sip:nm SIP/2.0, \"x\"",
    b"\x80\x9E\x01\x03\x01",
    b"MGLNDD_203.0.113.7_25",
    b"VRFY \"root\"",
    b"XEXCH50 -1 2",
];

fn weight(_server: &Profile, _plan: &Plan) -> f64 {
    4.0
}

fn play(scene: &mut Scene<'_>) {
    let server = scene.server;
    let mut script = inbound::open(scene);
    let address = format!("198.51.100.{}", scene.rng.between(1, 254));
    let remote = format!("{address}:{}", scene.rng.between(1_024, 65_535));
    script.accept(scene.rng, format!("{}:25", server.address), remote);
    script.banner(scene.rng, Greeting { name: &server.fqdn, is_exchange: true, zone_hours: server.zone_hours });
    if scene.rng.chance(0.7) {
        introduce(scene, &mut script, &address);
    }
    for _ in 0..scene.rng.between(0, 3) {
        let line = *scene.rng.pick(&JUNK);
        script.wait(scene.rng, 50, 4_000);
        script.raw_command(line);
        script.wait(scene.rng, 0, 3);
        let refusal = Refusal::new(500, "5.3.3", "Unrecognized command 'unknown'");
        script.refuse(Some(&String::from_utf8_lossy(line)), &refusal);
    }
    if scene.rng.chance(0.1) {
        // A bare line feed inside a line stays inside its row.
        script.raw_command(b"NOOP\nNOOP");
        script.answer(&["250 2.0.0 OK"]);
    }
    script.wait(scene.rng, 50, 9_000);
    script.close(scene.rng.word(&["Remote", "Remote(ConnectionReset)", "Local", "TooManyErrors"]));
    scene.finish(script);
}

fn introduce(scene: &mut Scene<'_>, script: &mut Script, address: &str) {
    let line = *scene.rng.pick(&NAMES);
    script.raw_command(line);
    script.fact(Fact::Helo(String::from_utf8_lossy(&line[5..]).into_owned()));
    script.wait(scene.rng, 0, 3);
    script.answer(&["250  ", &scene.server.fqdn, " Hello [", address, "] SIZE 36700160 PIPELINING STARTTLS"]);
}
