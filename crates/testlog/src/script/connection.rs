//! Beginning and end of a connection: dialling, banner, EHLO, QUIT.

use super::{ChainRows, Script};
use crate::{
    clock,
    fact::{Fact, Refusal},
    plan::Generation,
    profile::Direction,
    rng::Rng,
    scenarios::Scene,
};

/// How a send session begins.
pub(crate) struct Dial<'a> {
    /// Data of the row about permissions.
    pub(crate) permissions: &'a str,
    /// What follows `attempting to connect` in its context.
    pub(crate) purpose: &'a [&'a str],
    /// Links that the purpose names.
    pub(crate) links: Vec<Fact>,
    /// The local endpoint once connected.
    pub(crate) local: String,
    pub(crate) remote: String,
}

/// What a server says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Greeting<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_exchange: bool,
    pub(crate) zone_hours: i64,
}

/// An answer to EHLO.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) name: &'a str,
    /// The address that the server says it saw.
    pub(crate) seen: Option<&'a str>,
    pub(crate) capabilities: &'a [&'a str],
}

impl Script {
    /// The rows of a send session up to and with `+`.
    pub(crate) fn dial(&mut self, rng: &mut Rng, dial: Dial<'_>) {
        self.set_remote(dial.remote);
        self.idle_note(&[dial.permissions], &["Set Session Permissions"]);
        self.now += i64::from(rng.chance(0.1));
        self.note(&[], &[&["attempting to connect"], dial.purpose].concat());
        dial.links.into_iter().for_each(|link| self.fact(link));
        self.wait(rng, 1, 60);
        self.set_local(dial.local);
        self.row(b'+', &[], &[]);
    }

    /// The first row of a receive session.
    pub(crate) fn accept(&mut self, rng: &mut Rng, local: String, remote: String) {
        self.set_local(local);
        self.set_remote(remote);
        self.row(b'+', &[], &[]);
        self.now += i64::from(rng.chance(0.3));
    }

    /// The banner.
    pub(crate) fn banner(&mut self, rng: &mut Rng, greeting: Greeting<'_>) {
        self.wait(rng, 1, 50);
        if greeting.is_exchange {
            let time = clock::banner_time(self.now, greeting.zone_hours);
            self.answer(&["220 ", greeting.name, " Microsoft ESMTP MAIL Service ready at ", &time]);
        } else {
            self.answer(&[
                "220 ",
                greeting.name,
                " ESMTP ",
                rng.word(&["Postfix", "Postfix (Debian)", "Exim 4.97", "mail gateway"]),
            ]);
        }
        self.name_remote(greeting.name);
    }

    /// EHLO and its answer, with the rows about the other side's chain between them after a receive negotiation.
    pub(crate) fn ehlo(&mut self, scene: &mut Scene<'_>, helo: &str, answer: Answer<'_>, chain: Option<ChainRows>) {
        self.wait(scene.rng, 0, 30);
        self.command(&["EHLO ", helo]);
        self.fact(Fact::Helo(helo.into()));
        if let Some(chain) = chain {
            self.chain_rows(scene, &chain);
        }
        self.wait(scene.rng, 0, 40);
        self.ehlo_answer(scene.server.generation, answer);
    }

    /// EHLO is unknown to the other side; HELO is not.
    pub(crate) fn helo_fallback(&mut self, rng: &mut Rng, helo: &str, name: &str) {
        self.command(&["EHLO ", helo]);
        self.fact(Fact::Helo(helo.into()));
        self.wait(rng, 1, 40);
        self.refuse(Some(&format!("EHLO {helo}")), &Refusal::new(502, "", "Command not implemented"));
        self.helo(rng, helo, name, None);
    }

    /// HELO and its one-line answer.
    pub(crate) fn helo(&mut self, rng: &mut Rng, helo: &str, name: &str, seen: Option<&str>) {
        self.wait(rng, 0, 30);
        self.command(&["HELO ", helo]);
        self.fact(Fact::Helo(helo.into()));
        self.wait(rng, 0, 30);
        match seen {
            Some(seen) => self.answer(&["250 ", name, " Hello [", seen, "]"]),
            None => self.answer(&["250 ", name]),
        }
        self.name_remote(name);
        self.see_address(seen);
    }

    fn ehlo_answer(&mut self, generation: Generation, answer: Answer<'_>) {
        let hello = answer.seen.map(|seen| format!(" Hello [{seen}]")).unwrap_or_default();
        if generation.joins_ehlo_rows() {
            // Two blanks where the server itself answers, one where it logs another's answer.
            let code = if self.direction == Direction::Send { "250 " } else { "250  " };
            self.answer(&[code, answer.name, &hello, " ", &answer.capabilities.join(" ")]);
            self.name_remote(answer.name);
            self.see_address(answer.seen);
            return;
        }
        self.answer(&["250-", answer.name, &hello]);
        self.name_remote(answer.name);
        self.see_address(answer.seen);
        self.glue();
        let Some((last, others)) = answer.capabilities.split_last() else {
            return;
        };
        for capability in others {
            self.answer(&["250-", capability]);
            self.mark_idle();
            self.glue();
        }
        self.answer(&["250 ", last]);
    }

    fn name_remote(&mut self, name: &str) {
        if self.direction == Direction::Send {
            self.fact(Fact::RemoteName(name.into()));
        }
    }

    fn see_address(&mut self, seen: Option<&str>) {
        if self.direction == Direction::Send {
            self.fact(Fact::SeenAddress(seen.map(str::to_owned)));
        }
    }

    /// The next row belongs to the same reply as the last one.
    fn glue(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.is_glued = true;
        }
    }

    /// QUIT, its answer and `-`.
    pub(crate) fn quit(&mut self, rng: &mut Rng) {
        self.wait(rng, 0, 400);
        self.command(&["QUIT"]);
        self.wait(rng, 0, 40);
        self.answer(&["221 2.0.0 Service closing transmission channel"]);
        self.close(match self.direction {
            Direction::Send => "Local",
            Direction::Receive => rng.word(&["Local", "Local", "QuitVerb"]),
        });
    }

    /// `-` and nothing before it.
    pub(crate) fn close(&mut self, reason: &str) {
        self.row(b'-', &[], &[reason]);
        self.is_closed = true;
    }
}
