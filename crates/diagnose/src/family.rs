//! What kind of refusal a reply is (FORMATS section 6): the rules ask for the family first.

use smtplog::{Reply, ReplySide};

/// A family of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The other side could not attribute the session to the organisation: 5.7.64 and what means the same.
    Attribution,
    /// TLS or a certificate check failed, whoever says so.
    Tls,
    /// The other side does not relay for whoever this seemed to be.
    Relay,
    /// The other side blocks an address, a sender or a tenant. No certificate mends that.
    Blocked,
    /// Anything else: no such mailbox, greylisting, and whatever a server of the fleet itself refuses.
    Other,
}

impl Family {
    /// The family's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Attribution => "attribution",
            Family::Tls => "tls",
            Family::Relay => "relay",
            Family::Blocked => "blocked",
            Family::Other => "other",
        }
    }
}

/// The family of a refusal.
pub fn family(reply: &Reply) -> Family {
    if reply.side == ReplySide::Local {
        return Family::Other;
    }
    let status = reply.status.as_deref().unwrap_or_default();
    let text = reply.text.to_lowercase();
    let says = |words: &str| text.contains(words);
    match Level::of(status) {
        Some(level) if level.is_blocked() => Family::Blocked,
        _ if ["5.7.64", "5.7.51", "5.7.68", "4.4.62"].contains(&status) => Family::Attribution,
        _ if reply.attr.is_some() || says("tenantattribution") || says("tenantinboundattribution") => {
            Family::Attribution
        }
        _ if says("banned sending ip") || says("access denied, banned") => Family::Blocked,
        Some(level)
            if level.is_tls()
                || (level.may_be_tls()
                    && ["tls", "certificate", "subjectmismatch", "untrusted"].iter().any(|word| says(word))) =>
        {
            Family::Tls
        }
        _ if says("tls 1.0") || says("tls 1.2") => Family::Tls,
        _ if says("starttls") && (says("required") || says("must issue")) => Family::Tls,
        _ if ["5.7.57", "5.7.367"].contains(&status) => Family::Relay,
        _ if says("relay access denied") && !says("recipient address rejected") => Family::Attribution,
        _ => Family::Other,
    }
}

/// The three numbers of an enhanced status code (RFC 3463).
#[derive(Clone, Copy)]
struct Level {
    subject: u16,
    detail: u16,
}

impl Level {
    fn of(status: &str) -> Option<Level> {
        let mut numbers = status.split('.').map(|number| number.parse().ok());
        let _class: u16 = numbers.next()??;
        Some(Level { subject: numbers.next()??, detail: numbers.next()?? })
    }

    fn is_blocked(self) -> bool {
        let blocked = [230, 232, 233, 703, 705, 708, 711, 750, 800];
        let in_range = (501..=513).contains(&self.detail) || (606..=649).contains(&self.detail);
        self.subject == 7 && (in_range || blocked.contains(&self.detail))
    }

    /// Codes that say nothing else.
    fn is_tls(self) -> bool {
        match self.subject {
            7 => self.detail == 5 || (320..=325).contains(&self.detail),
            _ => false,
        }
    }

    /// Codes that say this and other things.
    fn may_be_tls(self) -> bool {
        match self.subject {
            7 => [0, 3, 10].contains(&self.detail),
            4 => [0, 316, 317, 395].contains(&self.detail),
            _ => false,
        }
    }
}
