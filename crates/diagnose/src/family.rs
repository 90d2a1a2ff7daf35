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
            4 => self.detail == 8,
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

#[cfg(test)]
mod tests {
    use smtplog::Timestamp;

    use super::*;

    #[track_caller]
    fn check(side: ReplySide, line: &str, expected: Family) {
        let (code, rest) = line.split_once(' ').unwrap();
        let is_status = |word: &&str| word.split('.').count() == 3 && word.starts_with(['4', '5']);
        let status = rest.split(' ').next().filter(is_status);
        let text = status.map_or(rest, |status| rest[status.len()..].trim());
        let attr = text.split(' ').find(|word| word.starts_with("ATTR"));
        let reply = Reply {
            time: Timestamp(0),
            sequence: 0,
            row_hash: 0,
            row_place: None,
            side,
            code: code.parse().unwrap(),
            status: status.map(Into::into),
            text: text.into(),
            attr: attr.map(Into::into),
            peer: None,
            thumbprint: None,
            to: None,
            presented: None,
            received: None,
            presented_via: None,
        };
        assert_eq!(family(&reply), expected, "{line}");
    }

    #[test]
    fn families_of_replies() {
        use Family::*;
        let cases = [
            ("550 5.7.64 TenantAttribution; Relay Access Denied SMTP", Attribution),
            ("550 5.7.64 Relay Access Denied ATTR36", Attribution),
            ("451 4.4.62 Mail sent to the wrong Office 365 region. ATTR35", Attribution),
            ("451 4.4.4 Mail received as unauthenticated ATTR5", Attribution),
            ("550 5.7.1 Relay Access Denied ATTR1", Attribution),
            ("550 5.7.51 TenantInboundAttribution; There is a partner connector configured", Attribution),
            ("550 5.7.68 TenantInboundAttribution; Direct Send not allowed", Attribution),
            ("554 5.7.0 Relay Access Denied", Attribution),
            ("454 4.7.5 Certificate validation failure", Tls),
            ("450 4.7.320 Certificate validation failed", Tls),
            ("550 5.7.322 certificate-expired", Tls),
            ("451 4.4.317 Cannot connect to remote server [Message=SubjectMismatch Expected Subject: a]", Tls),
            ("450 4.4.317 Cannot connect to remote server [Message=Failed to connect. Winsock error code: 995]", Other),
            ("451 5.7.3 STARTTLS is required to send mail", Tls),
            ("530 5.7.0 Must issue a STARTTLS command first", Tls),
            ("421 4.7.66 TLS 1.0 and 1.1 are not supported", Tls),
            ("535 5.7.3 Authentication unsuccessful", Other),
            ("454 4.7.0 Temporary authentication failure", Other),
            ("530 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM", Relay),
            ("550 5.7.606 Access denied, banned sending IP [203.0.113.7]", Blocked),
            ("550 5.7.711 Access denied, bad inbound connector. AS(2204)", Blocked),
            ("550 5.7.705 Access denied, tenant has exceeded threshold", Blocked),
            ("550 5.7.511 Access denied, banned sender", Blocked),
            ("550 5.1.1 User unknown", Other),
            ("550 5.4.1 Recipient address rejected: Access denied", Other),
            ("550 5.4.1 Recipient address rejected: Relay Access Denied", Other),
            ("550 5.7.1 Unable to relay", Other),
            ("421 Service not available", Other),
        ];
        cases.into_iter().for_each(|(line, expected)| check(ReplySide::Remote, line, expected));
        // What a server of the fleet says itself is not asked about.
        check(ReplySide::Local, "530 5.7.0 Must issue a STARTTLS command first", Other);
    }
}
