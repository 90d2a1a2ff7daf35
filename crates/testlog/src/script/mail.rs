//! One mail transaction: MAIL, RCPT, DATA or BDAT, and what is answered, pipelined or not.

use super::Script;
use crate::{
    clock,
    fact::{Fact, Refusal},
    profile::Direction,
    rng::Rng,
};

/// A message and its fate.
pub(crate) struct Mail<'a> {
    pub(crate) message_id: &'a str,
    pub(crate) id_row: MessageIdRow,
    /// Envelope sender; empty for the null sender.
    pub(crate) from: &'a str,
    /// ESMTP parameters of MAIL, with a leading blank.
    pub(crate) parameters: &'a str,
    /// Whether MAIL is refused.
    pub(crate) refused: Option<Refusal>,
    pub(crate) recipients: Vec<Recipient<'a>>,
    pub(crate) body: Body,
    pub(crate) accept: Accept<'a>,
    /// Whether commands are sent without waiting for answers (RFC 2920).
    pub(crate) is_pipelined: bool,
    /// Milliseconds of tarpit before the answers.
    pub(crate) tarpit_ms: Option<i64>,
    pub(crate) bytes: i64,
    pub(crate) spelling: Spelling,
}

/// How a client spells its commands; RFC 5321 lets it choose the case, and many add a blank that it forbids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `MAIL FROM:<a@b>`
    Usual,
    /// `mail from:<a@b>`
    LowerCase,
    /// `MAIL FROM: <a@b>`
    Spaced,
}

/// A recipient of a message.
pub(crate) struct Recipient<'a> {
    pub(crate) address: &'a str,
    pub(crate) refusal: Option<Refusal>,
}

/// Where the message id is logged, beside the answer to the end of data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageIdRow {
    /// `sending message with RecordId ...` before MAIL.
    Before,
    /// `sending message` without an id, as old versions do.
    BeforeUnnamed,
    /// `receiving message with InternetMessageId ...` when the data has come.
    During,
    /// Nowhere.
    Nowhere,
}

/// How the text is handed over.
pub(crate) enum Body {
    /// BDAT (RFC 3030) in so many chunks.
    Chunks(usize),
    /// DATA and the dot.
    Dot,
    /// DATA or the first BDAT is refused at once.
    RefusedAtCommand(Refusal),
    /// The end of data is refused.
    RefusedAtEnd(Refusal),
    /// The client gives up before the text: nothing follows.
    Abandoned,
}

/// Who accepts, as the answer to the end of data shows.
#[derive(Clone, Copy)]
pub(crate) enum Accept<'a> {
    /// With message id, internal id and host.
    Exchange { host: &'a str },
    /// With message id only.
    Exchange2010,
    /// Without message id.
    Other,
}

impl Script {
    /// The transaction's rows.
    pub(crate) fn mail(&mut self, rng: &mut Rng, mail: &Mail<'_>) {
        self.message_id_before(rng, mail);
        if mail.is_pipelined {
            self.pipelined_envelope(rng, mail)
        } else {
            self.stepwise_envelope(rng, mail)
        };
        let is_refused = mail.refused.is_some() || mail.recipients.iter().all(|recipient| recipient.refusal.is_some());
        if is_refused {
            return;
        }
        match &mail.body {
            Body::Chunks(chunks) => self.chunks(rng, mail, *chunks, None),
            Body::Dot => self.dot(rng, mail, None),
            Body::RefusedAtCommand(refusal) => self.refused_data(rng, mail, refusal),
            Body::RefusedAtEnd(refusal) if rng.chance(0.6) => self.chunks(rng, mail, 1, Some(refusal)),
            Body::RefusedAtEnd(refusal) => self.dot(rng, mail, Some(refusal)),
            Body::Abandoned => {}
        }
    }

    /// RSET and its answer.
    pub(crate) fn reset(&mut self, rng: &mut Rng) {
        self.command(&["RSET"]);
        self.wait(rng, 1, 40);
        self.answer(&["250 2.0.0 Resetting"]);
    }

    fn message_id_before(&mut self, rng: &mut Rng, mail: &Mail<'_>) {
        match mail.id_row {
            MessageIdRow::Before => {
                let record = (1 << 35) + rng.below(1 << 20);
                let record = record.to_string();
                self.note(
                    &[],
                    &["sending message with RecordId ", &record, " and InternetMessageId ", mail.message_id],
                );
                self.fact(Fact::NextMessageId(mail.message_id.into()));
            }
            MessageIdRow::BeforeUnnamed => self.idle_note(&[], &["sending message"]),
            MessageIdRow::During | MessageIdRow::Nowhere => {}
        }
    }

    fn mail_command(&mut self, mail: &Mail<'_>) -> String {
        let verb = mail.spelling.verb(["MAIL FROM:", "mail from:", "MAIL FROM: "]);
        let command = format!("{verb}<{}>{}", mail.from, mail.parameters);
        self.command(&[&command]);
        self.fact(Fact::Mail(mail.from.into()));
        if self.direction == Direction::Receive {
            let receiving = format!("{:016X};{};1", self.id, clock::Time(self.now));
            self.idle_note(&[&receiving], &["receiving message"]);
        }
        command
    }

    fn recipient_command(&mut self, spelling: Spelling, recipient: &Recipient<'_>) -> String {
        let verb = spelling.verb(["RCPT TO:", "rcpt to:", "RCPT TO: "]);
        let command = format!("{verb}<{}>", recipient.address);
        self.command(&[&command]);
        self.fact(Fact::Recipient(recipient.address.into()));
        command
    }

    /// Commands first, then the answers in their order; a refused MAIL takes its recipients with it.
    fn pipelined_envelope(&mut self, rng: &mut Rng, mail: &Mail<'_>) {
        self.wait(rng, 0, 20);
        let mail_command = self.mail_command(mail);
        let commands: Vec<String> =
            mail.recipients.iter().map(|recipient| self.recipient_command(mail.spelling, recipient)).collect();
        self.tarpit(mail);
        self.wait(rng, 5, 250);
        self.mail_answer(mail, &mail_command);
        let no_mail = Refusal::new(503, "5.5.2", "Need mail command");
        for (recipient, command) in mail.recipients.iter().zip(&commands) {
            let refusal = if mail.refused.is_some() { Some(&no_mail) } else { recipient.refusal.as_ref() };
            self.recipient_answer(refusal, command);
        }
    }

    fn stepwise_envelope(&mut self, rng: &mut Rng, mail: &Mail<'_>) {
        self.wait(rng, 0, 30);
        let command = self.mail_command(mail);
        self.wait(rng, 1, 120);
        self.mail_answer(mail, &command);
        if mail.refused.is_some() {
            return;
        }
        for recipient in &mail.recipients {
            let command = self.recipient_command(mail.spelling, recipient);
            if recipient.refusal.is_some() {
                self.tarpit(mail);
            }
            self.wait(rng, 1, 120);
            self.recipient_answer(recipient.refusal.as_ref(), &command);
        }
    }

    fn mail_answer(&mut self, mail: &Mail<'_>, command: &str) {
        match &mail.refused {
            Some(refusal) => {
                self.refuse(Some(command), refusal);
                self.fact(Fact::MailRefused);
            }
            None => self.answer(&["250 2.1.0 Sender OK"]),
        }
    }

    fn recipient_answer(&mut self, refusal: Option<&Refusal>, command: &str) {
        match refusal {
            Some(refusal) => {
                self.refuse(Some(command), refusal);
                self.fact(Fact::RecipientRefused);
            }
            None => self.answer(&["250 2.1.5 Recipient OK"]),
        }
    }

    fn tarpit(&mut self, mail: &Mail<'_>) {
        let Some(delay_ms) = mail.tarpit_ms else {
            return;
        };
        let seconds = delay_ms / clock::SECOND_MS;
        self.idle_note(&[&format!("Tarpit for '0.00:00:{seconds:02}'")], &[]);
        self.now += delay_ms;
    }

    fn chunks(&mut self, rng: &mut Rng, mail: &Mail<'_>, chunks: usize, refusal: Option<&Refusal>) {
        const CHUNK_BYTES: i64 = 1 << 20;
        for _ in 1..chunks {
            let command = format!("BDAT {CHUNK_BYTES}");
            self.command(&[&command]);
            self.wait(rng, 20, 900);
            self.answer(&["250 2.6.0 CHUNK received OK, ", &CHUNK_BYTES.to_string(), " octets"]);
        }
        let command = format!("BDAT {} LAST", mail.bytes);
        self.command(&[&command]);
        self.message_id_during(mail);
        self.wait(rng, 20, 900);
        self.end_of_data(rng, mail, &command, refusal);
    }

    fn dot(&mut self, rng: &mut Rng, mail: &Mail<'_>, refusal: Option<&Refusal>) {
        let command = mail.spelling.verb(["DATA", "data", "DATA"]);
        self.command(&[command]);
        self.wait(rng, 1, 60);
        self.answer(&["354 Start mail input; end with <CRLF>.<CRLF>"]);
        self.message_id_during(mail);
        self.wait(rng, 20, 900);
        self.end_of_data(rng, mail, command, refusal);
    }

    fn refused_data(&mut self, rng: &mut Rng, mail: &Mail<'_>, refusal: &Refusal) {
        let command = if rng.chance(0.5) { "DATA".into() } else { format!("BDAT {} LAST", mail.bytes) };
        self.command(&[&command]);
        self.wait(rng, 1, 200);
        self.refuse(Some(&command), refusal);
        self.fact(Fact::DataRefused);
    }

    fn message_id_during(&mut self, mail: &Mail<'_>) {
        if mail.id_row == MessageIdRow::During {
            self.note(&[], &["receiving message with InternetMessageId ", mail.message_id]);
            self.fact(Fact::MessageId(mail.message_id.into()));
        }
    }

    fn end_of_data(&mut self, rng: &mut Rng, mail: &Mail<'_>, command: &str, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal {
            self.refuse(Some(command), refusal);
            self.fact(Fact::DataRefused);
            return;
        }
        match mail.accept {
            Accept::Exchange { host } => {
                let internal = (rng.below(1 << 16) * 4_294_967 + rng.below(1 << 12)).to_string();
                let bytes = (mail.bytes + 900).to_string();
                let seconds = format!("0.{:03}", rng.between(20, 900));
                let speed = format!("{}.{:03}", rng.between(10, 99), rng.between(0, 999));
                self.answer(&[
                    "250 2.6.0 ",
                    mail.message_id,
                    " [InternalId=",
                    &internal,
                    ", Hostname=",
                    host,
                    "] ",
                    &bytes,
                    " bytes in ",
                    &seconds,
                    ", ",
                    &speed,
                    " KB/sec Queued mail for delivery",
                ]);
                self.fact(Fact::MessageId(mail.message_id.into()));
            }
            Accept::Exchange2010 => {
                self.answer(&["250 2.6.0 ", mail.message_id, " Queued mail for delivery"]);
                self.fact(Fact::MessageId(mail.message_id.into()));
            }
            Accept::Other => self.answer(&["250 2.0.0 Ok: queued as ", &rng.hex(11)]),
        }
        self.fact(Fact::DataAccepted);
    }
}

impl Spelling {
    fn verb(self, spellings: [&'static str; 3]) -> &'static str {
        spellings[self as usize]
    }
}
