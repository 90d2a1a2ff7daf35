//! Redaction: addresses become keyed hashes, so that who reads the events does not learn them, and joins still work.
//!
//! A mailbox becomes another mailbox, an address of IP an address of the private range of version 6, and both in texts
//! as well: refusals quote the recipient, commands name it. Equal addresses give equal hashes under one key, whatever
//! their case; another key gives others, and without the key nobody can try out addresses.

use std::fmt;

use smtplog::{Session, Text};

use crate::Finding;

/// The key of the hashes.
#[derive(Clone)]
pub struct RedactionKey([u8; 32]);

/// Fewer bytes of a key can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// What hides the words of a key.
pub type Secret = [u8; 32];

impl RedactionKey {
    /// The key that the content of a key's file gives, without the line end at its end; `None` if it is too short to be
    /// one.
    pub fn of_file(content: &[u8]) -> Option<RedactionKey> {
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let key = || RedactionKey(blake3::derive_key("smtptrail 2024 redaction of addresses", content));
        (content.len() >= KEY_BYTES_MIN).then(key)
    }

    /// What is hashed into the ids of events.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// The key is nobody's business.
impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedactionKey")
    }
}

/// What is hidden.
#[derive(Clone, Debug)]
pub struct Redaction {
    key: RedactionKey,
    from: bool,
    to: bool,
    message_id: bool,
    helo: bool,
    user: bool,
    remote: bool,
    local: bool,
    egress_ip: bool,
}

impl Redaction {
    /// Names that [`Redaction::new`] knows.
    pub const NAMES: [&'static str; 8] = ["from", "to", "message_id", "helo", "user", "remote", "local", "egress_ip"];

    /// Hides the fields of these names; the error is a name that there is none of.
    pub fn new<'n>(key: RedactionKey, names: &[&'n str]) -> Result<Redaction, &'n str> {
        let mut redaction = Redaction {
            key,
            from: false,
            to: false,
            message_id: false,
            helo: false,
            user: false,
            remote: false,
            local: false,
            egress_ip: false,
        };
        for &name in names {
            *match name {
                "from" => &mut redaction.from,
                "to" => &mut redaction.to,
                "message_id" => &mut redaction.message_id,
                "helo" => &mut redaction.helo,
                "user" => &mut redaction.user,
                "remote" => &mut redaction.remote,
                "local" => &mut redaction.local,
                "egress_ip" => &mut redaction.egress_ip,
                _ => return Err(name),
            } = true;
        }
        Ok(redaction)
    }

    /// What is hashed into the ids of events.
    pub fn secret(&self) -> &Secret {
        self.key.secret()
    }

    /// Hides what is to be hidden of a session, in its fields and in its texts.
    pub fn session(&self, session: &mut Session) {
        // Texts first: they are searched for the addresses that the fields still have.
        for reply in &mut session.replies {
            reply.text = self.text(&reply.text).into();
            reply.to = reply.to.as_deref().map(|command| self.command(command).into());
        }
        session.errors.iter_mut().for_each(|error| *error = self.text(error).into());
        for message in &mut session.messages {
            if self.from {
                message.from = self.mailbox(&message.from);
            }
            if self.to {
                message.to.iter_mut().for_each(|to| *to = self.mailbox(to));
            }
            if self.message_id {
                message.message_id = message.message_id.as_deref().map(|id| self.mailbox(id));
            }
        }
        let hidden = |is_hidden: bool, text: &mut Option<Text>, hide: &dyn Fn(&str) -> Text| {
            if is_hidden {
                *text = text.as_deref().map(hide);
            }
        };
        hidden(self.helo, &mut session.helo, &|name| self.name(name));
        hidden(self.remote, &mut session.remote, &|endpoint| self.endpoint(endpoint));
        hidden(self.remote, &mut session.remote_name, &|name| self.name(name));
        hidden(self.local, &mut session.local, &|endpoint| self.endpoint(endpoint));
        hidden(self.egress_ip, &mut session.egress_ip, &|address| self.address(address));
        if let Some(auth) = &mut session.auth {
            auth.user = auth.user.as_deref().map(|user| self.user(user));
        }
    }

    /// Hides what is to be hidden of a finding's texts.
    pub fn finding(&self, finding: &mut Finding) {
        finding.says = self.text(&finding.says);
        finding.text = self.text(&finding.text);
        finding.mend.iter_mut().for_each(|step| *step = self.text(step));
    }

    fn hash(&self, text: &str) -> [u8; 16] {
        let mut hash = blake3::Hasher::new_keyed(&self.key.0);
        hash.update(text.to_lowercase().as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        short
    }

    fn hex(&self, text: &str) -> String {
        self.hash(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The null sender stays what it is: it says that a message is a bounce.
    fn mailbox(&self, mailbox: &str) -> Text {
        let bare = mailbox.trim_start_matches('<').trim_end_matches('>');
        if bare.is_empty() {
            return mailbox.into();
        }
        let hidden = format!("{}@redacted.invalid", self.hex(bare));
        if mailbox.starts_with('<') { format!("<{hidden}>").into() } else { hidden.into() }
    }

    fn name(&self, name: &str) -> Text {
        format!("{}.redacted.invalid", self.hex(name)).into()
    }

    /// A user whose name is a mailbox is hidden with the mailboxes, and as they are.
    fn user(&self, user: &str) -> Text {
        match user.contains('@') {
            true if self.user || self.from || self.to => self.mailbox(user),
            false if self.user => self.name(user),
            _ => user.into(),
        }
    }

    /// An address of `fd00::/8`, which nobody routes.
    fn address(&self, address: &str) -> Text {
        let mut bytes = self.hash(address);
        bytes[0] = 0xfd;
        std::net::Ipv6Addr::from(bytes).to_string().into()
    }

    fn endpoint(&self, endpoint: &str) -> Text {
        let (host, port) = match endpoint.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (endpoint, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let hidden = self.address(host);
        port.map_or_else(|| hidden.clone(), |port| format!("[{hidden}]:{port}").into())
    }

    /// A command. What stands in its brackets is an address, whatever it looks like.
    fn command(&self, command: &str) -> String {
        let is = |verb: &str| command.get(..verb.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(verb));
        let is_hidden = (self.from && is("MAIL FROM:")) || (self.to && is("RCPT TO:"));
        match (command.find('<'), command.find('>')) {
            (Some(open), Some(close)) if is_hidden && open < close => {
                let hidden = self.mailbox(&command[open + 1..close]);
                format!("{}{hidden}{}", &command[..=open], self.text(&command[close..]))
            }
            _ => self.text(command),
        }
    }

    /// A text, with every mailbox and address in it hidden that is of a kind to be hidden.
    fn text(&self, text: &str) -> String {
        let hides_mailboxes = self.from || self.to || self.message_id || self.user;
        let hides_addresses = self.remote || self.local || self.egress_ip;
        let mut out = String::with_capacity(text.len());
        let is_part = |c: char| c.is_alphanumeric() || "@.!#$%&*+-/=?^_`{|}~:".contains(c);
        let mut rest = text;
        while !rest.is_empty() {
            let begin = rest.find(is_part).unwrap_or(rest.len());
            out.push_str(&rest[..begin]);
            let word = &rest[begin..];
            let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            out.push_str(&self.word(word, hides_mailboxes, hides_addresses));
            rest = after;
        }
        out
    }

    fn word(&self, word: &str, hides_mailboxes: bool, hides_addresses: bool) -> String {
        let core = word.trim_matches(|c: char| ".:;,!?".contains(c));
        let hidden = match core.rsplit_once('@') {
            Some((local, domain)) if hides_mailboxes && !local.is_empty() && !domain.is_empty() => {
                // `TO:a@b` names its field first.
                let mailbox = core.rsplit_once(':').map_or(core, |(_, mailbox)| mailbox);
                return word.replacen(mailbox, &self.mailbox(mailbox), 1);
            }
            _ if hides_addresses && core.parse::<std::net::IpAddr>().is_ok() => self.address(core),
            _ => return word.to_owned(),
        };
        word.replacen(core, &hidden, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(names: &[&str]) -> Redaction {
        Redaction::new(RedactionKey::of_file(b"0123456789abcdef\r\n").unwrap(), names).unwrap()
    }

    #[test]
    fn keys_and_names() {
        assert!(RedactionKey::of_file(b"short").is_none());
        assert!(RedactionKey::of_file(b"0123456789abcde\n").is_none());
        let [with, without] = [&b"0123456789abcdef\n"[..], b"0123456789abcdef"].map(RedactionKey::of_file);
        assert_eq!(with.unwrap().secret(), without.unwrap().secret());
        let key = RedactionKey::of_file(b"0123456789abcdef").unwrap();
        assert_eq!(Redaction::new(key, &["from", "sender"]).err(), Some("sender"));
        for name in Redaction::NAMES {
            redaction(&[name]);
        }
    }

    #[test]
    fn equal_addresses_stay_equal() {
        let redaction = redaction(&["from", "to", "remote"]);
        let hidden = redaction.mailbox("A@contoso.com");
        assert_eq!(hidden, redaction.mailbox("a@CONTOSO.com"));
        assert_ne!(hidden, redaction.mailbox("b@contoso.com"));
        assert_eq!(redaction.mailbox(""), "");
        let text =
            redaction.text("550 5.1.1 <A@contoso.com>: no such user; a@contoso.com. ok 10.0.0.1, [104.47.1.1]:25");
        assert!(!text.contains("contoso") && !text.contains("104.47") && !text.contains("10.0.0.1"), "{text}");
        assert_eq!(text.matches(hidden.as_str()).count(), 2, "{text}");
        assert!(text.starts_with("550 5.1.1 <") && text.contains(": no such user; "), "{text}");
        assert_eq!(
            redaction.command("RCPT TO:<a@contoso.com> NOTIFY=NEVER"),
            format!("RCPT TO:<{hidden}> NOTIFY=NEVER")
        );
        assert_eq!(redaction.command("RCPT TO:<postmaster>"), format!("RCPT TO:<{}>", redaction.mailbox("postmaster")));
        assert_eq!(redaction.command("MAIL FROM:<>"), "MAIL FROM:<>");
        assert_eq!(redaction.text("TO:a@contoso.com"), format!("TO:{hidden}"));
    }

    #[test]
    fn endpoints_stay_endpoints() {
        let redaction = redaction(&["remote"]);
        for endpoint in ["10.0.0.1:25", "[2001:db8::1]:25"] {
            let hidden = redaction.endpoint(endpoint);
            let address: std::net::SocketAddr = hidden.parse().unwrap();
            assert_eq!((address.port(), address.ip().to_string().starts_with("fd")), (25, true));
        }
        assert_eq!(redaction.endpoint("10.0.0.1:25"), format!("[{}]:25", redaction.address("10.0.0.1")));
        assert_eq!(redaction.text("a@b 5.7.64"), "a@b 5.7.64");
    }
}
