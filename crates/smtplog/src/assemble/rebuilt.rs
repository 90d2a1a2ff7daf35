//! Sessions whose log has no session ids (FORMATS 2.1): rows without numbers, answers beside their commands, and how
//! sure it is that all rows are those of one connection.
//!
//! Two connections of one remote at the same time cannot be told apart. What they leave is a dialogue that no single
//! client and server have: a second greeting or none, a second sender in one transaction, an answer that nothing asked for, a
//! client that changes its name. [`Watch`] looks for these.

use super::{
    State,
    command::{self, Verb},
    reply,
};
use crate::{
    Confidence, Direction, Text,
    fragment::{self, Row, Span},
    record::Event,
};

/// What a dialogue has come to, and whether it can be one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// A greeting was accepted, and no STARTTLS since.
    is_greeted: bool,
    /// A sender was accepted, and the message is not at its end.
    in_transaction: bool,
    /// There was something that one connection does not do.
    is_doubtful: bool,
}

impl Watch {
    fn command(&mut self, verb: Verb) {
        self.is_doubtful |= match verb {
            Verb::Hello => self.is_greeted,
            Verb::Mail => self.in_transaction || !self.is_greeted,
            _ => false,
        };
    }

    /// A reply to a command, if there was one.
    fn reply(&mut self, answered: Option<(Verb, &[u8])>, code: u16) {
        let Some((verb, line)) = answered else {
            // A server that goes away says so unasked.
            self.is_doubtful |= code != 421;
            return;
        };
        let is_accepted = code < 400;
        match verb {
            Verb::Hello if is_accepted => (self.is_greeted, self.in_transaction) = (true, false),
            Verb::StartTls if is_accepted => (self.is_greeted, self.in_transaction) = (false, false),
            Verb::Mail => self.in_transaction = is_accepted,
            Verb::Data | Verb::Chunk { last: true } if code != 354 => self.in_transaction = false,
            Verb::Other if resets(line) => self.in_transaction = false,
            _ => {}
        }
    }
}

fn resets(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"RSET"))
}

impl<'r> State<'_, 'r> {
    /// Rows of a session of a log without session ids; `hash` is that of those before them, and then of all.
    #[inline(never)]
    pub(super) fn rebuilt_rows(&mut self, rows: &'r [u8], hash: u64) -> u64 {
        fragment::rows(rows).fold(hash, |hash, row| {
            self.rebuilt_row(&row);
            row.chain_hash(hash)
        })
    }

    /// A row is numbered by its place.
    fn rebuilt_row(&mut self, row: &Row<'r>) {
        let row = row.numbered(u32::try_from(self.session.records).unwrap_or(u32::MAX));
        match self.session.stream.direction {
            Direction::Send => self.rebuilt_sent(&row),
            Direction::Receive => self.rebuilt_received(&row),
        }
    }

    fn rebuilt_sent(&mut self, row: &Row<'r>) {
        let reply = reply::line(row.data).filter(|_| row.event == Event::Received);
        let Some(line) = reply else {
            return self.rebuilt_sent_command(row);
        };
        let (is_banner, answered) = (self.banner_due, self.answered());
        if !is_banner {
            let answered = answered.map(|command| (command.verb, command.line));
            self.watch(|watch| watch.reply(answered, line.code));
        }
        self.note_row(row);
        // Only the first line of a reply is logged.
        self.rebuilt_reply(row, reply::ReplyLine { last: true, ..line });
    }

    /// A command, or something that the remote said and that is no reply.
    fn rebuilt_sent_command(&mut self, row: &Row<'r>) {
        self.note_row(row);
        if row.event == Event::Sent {
            self.watch(|watch| watch.command(command::verb(row.data)));
            self.rebuilt_command(row);
        }
    }

    fn rebuilt_command(&mut self, row: &Row<'r>) {
        self.command(row);
    }

    fn rebuilt_reply(&mut self, row: &Row<'r>, line: reply::ReplyLine<'r>) {
        self.reply_line(row, line);
    }

    /// A command with the code of its answer. Of an answer that is not the last, nothing more is logged either.
    fn rebuilt_received(&mut self, row: &Row<'r>) {
        let verb = command::verb(row.data);
        let (code, name) = answer(row.context);
        let changes_name = verb != Verb::Hello
            && name.is_some_and(|name| self.helo.is_some_and(|helo| !helo.eq_ignore_ascii_case(name)));
        self.watch(|watch| {
            watch.is_doubtful |= changes_name;
            watch.command(verb);
            if let Some(code) = code {
                watch.reply(Some((verb, row.data)), code);
            }
        });
        self.note_row(row);
        self.rebuilt_command(row);
        self.note_message_id(verb, row.data);
        match code {
            None | Some(334 | 354) => self.pending.remove_first(),
            Some(code) => self.rebuilt_reply(row, reply::ReplyLine { code, last: true, text: b"" }),
        }
    }

    /// The service logs the message's id as the argument of DATA.
    fn note_message_id(&mut self, verb: Verb, line: &[u8]) {
        let id = command::argument(line);
        let is_data = matches!(verb, Verb::Data | Verb::Chunk { .. });
        if let Some(message) = self.session.messages.last_mut().filter(|_| is_data && id.starts_with(b"<")) {
            message.message_id.get_or_insert_with(|| Text::from_utf8_lossy(id));
        }
    }

    fn watch(&mut self, note: impl FnOnce(&mut Watch)) {
        if let Some(watch) = &mut self.watch {
            note(watch);
        }
    }

    /// All rows are there: says how sure the session is, and when it ended.
    pub(super) fn finish_rebuilt(&mut self, span: &Span) {
        let (Some(watch), Some(rebuilt)) = (self.watch, span.rebuilt) else { return };
        let is_answered = self.pending.first().is_none();
        let is_sure = span.is_complete() && rebuilt.exact && is_answered && !watch.is_doubtful;
        self.session.rebuilt = Some(if is_sure { Confidence::Medium } else { Confidence::Low });
        self.session.ended = span.disconnected.then_some(span.last_time);
    }
}

/// `250 client.example`, as the reader has put code and name together.
fn answer(context: &[u8]) -> (Option<u16>, Option<&[u8]>) {
    let mut words = context.splitn(2, |&byte| byte == b' ');
    let code = words.next().and_then(reply::line).map(|line| line.code);
    (code, words.next())
}
