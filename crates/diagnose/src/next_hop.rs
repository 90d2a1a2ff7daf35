//! The next hop of Exchange Online, as 4.4.317 tells of it: which certificate it met where, when it delivered mail.
//!
//! ```text
//! 450 4.4.317 Cannot connect to remote server [Message=CertificateExpired Expected Subject: mx.contoso.com.
//! Presented Subject: CN=mx.contoso.com. Thumbprint: 6721...94.] [LastAttemptedServerName=mx.contoso.com]
//! [LastAttemptedIP=203.0.113.40:25] [SmtpSecurity=-1;-1]
//! ```
//! The certificate is the one of the server that Exchange Online called, not one that the fleet's server presented when it
//! got this answer.

use evidence::names::common_name;
use smtplog::Thumbprint;

use crate::{
    background::Background,
    case::{Case, Refused},
    rules::listed,
};

/// What a reply says of the server that Exchange Online called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextHop {
    pub(crate) expected: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) thumbprint: Option<Thumbprint>,
    host: Option<String>,
    address: Option<String>,
}

impl NextHop {
    /// Reads it from a refusal.
    pub(crate) fn of(refused: &Refused) -> NextHop {
        let Some(reply) = refused.reply() else { return NextHop::default() };
        let text = reply.text.replace('\n', " ");
        let between = |from: &str, to: &[&str]| {
            let (_, rest) = text.split_once(from)?;
            let end = to.iter().filter_map(|to| rest.find(to)).min().unwrap_or(rest.len());
            let value = rest.get(..end)?.trim().trim_end_matches(['.', ',']);
            (!value.is_empty()).then(|| value.to_owned())
        };
        let subject = between("Presented Subject: ", &["Thumbprint", "]"]);
        let thumbprint = between("Thumbprint: ", &[".", "]", " "]);
        let named = thumbprint.and_then(|hex| Thumbprint::from_hex(hex.as_bytes()));
        NextHop {
            expected: between("Expected Subject: ", &["Presented Subject", "]"]),
            subject: subject.map(|subject| common_name(&subject).unwrap_or(subject)),
            thumbprint: reply.thumbprint.or(named),
            host: between("LastAttemptedServerName=", &["]"]),
            address: between("LastAttemptedIP=", &["]"]),
        }
    }

    /// Host and address.
    pub(crate) fn place(&self) -> String {
        match (&self.host, &self.address) {
            (Some(host), Some(address)) => format!("{host} ({address})"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => "the server that Exchange Online called".into(),
        }
    }

    /// The certificate that it showed.
    pub(crate) fn certificate(&self) -> String {
        match (&self.thumbprint, &self.subject) {
            (Some(thumbprint), Some(subject)) => format!("certificate {thumbprint} for {subject}"),
            (Some(thumbprint), None) => format!("certificate {thumbprint}"),
            (None, Some(subject)) => format!("a certificate for {subject}"),
            (None, None) => "that certificate".into(),
        }
    }

    /// Servers of the fleet that present this certificate.
    pub(crate) fn servers<'a>(&self, background: &'a Background) -> Vec<&'a str> {
        let mut servers: Vec<&str> = Vec::new();
        let uses = background.uses.iter().filter(|one| Some(one.thumbprint) == self.thumbprint && !one.is_internal);
        for one in uses {
            if !servers.contains(&one.server.as_str()) {
                servers.push(&one.server);
            }
        }
        servers
    }

    /// Why it is the fleet's own, if it is: its servers present the certificate, or it lies in a domain of the tenant or of
    /// most senders.
    pub(crate) fn owner(&self, case: &Case<'_>, background: &Background) -> Option<String> {
        let servers = self.servers(background);
        if !servers.is_empty() {
            return Some(format!(
                "{} present{} this certificate",
                listed(&servers),
                if servers.len() == 1 { "s" } else { "" }
            ));
        }
        let names = [&self.host, &self.subject, &self.expected];
        let accepted = background.accepted_domains();
        let lies_in = |domain: &str| {
            names.iter().copied().flatten().any(|name| {
                let name = name.to_lowercase();
                name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
            })
        };
        let domains = accepted.iter().map(|one| one.fact.domain.trim_start_matches("*."));
        if let Some(domain) = { domains }.find(|domain| lies_in(domain)) {
            return Some(format!("{domain} is an accepted domain of the tenant"));
        }
        let senders = case.sender_domains();
        let domain = senders.first().map(|(domain, _)| domain).filter(|domain| lies_in(domain));
        domain.map(|domain| format!("{domain} is the domain of most senders"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{refuse, session};

    #[track_caller]
    fn check(text: &str, place: &str, certificate: &str, expected: Option<&str>) {
        let hop = NextHop::of(&refuse(session("EX1", 1, None), &format!("450 4.4.317 {text}")));
        assert_eq!(
            (&*hop.place(), &*hop.certificate(), hop.expected.as_deref()),
            (place, certificate, expected),
            "{text}"
        );
    }

    #[test]
    fn what_the_reply_tells_of_the_next_hop() {
        let hex = "672126E869A8C70308366E83814DFBEBF1B20E94";
        check(
            &format!(
                "Cannot connect to remote server [Message=CertificateExpired Expected Subject: mx.contoso.com. Presented \
                 Subject: CN=mx.contoso.com, O=Contoso Ltd, C=FR. Thumbprint: {hex}.] \
                 [LastAttemptedServerName=mx.contoso.com] [LastAttemptedIP=203.0.113.40:25] [SmtpSecurity=-1;-1]"
            ),
            "mx.contoso.com (203.0.113.40:25)",
            &format!("certificate {hex} for mx.contoso.com"),
            Some("mx.contoso.com"),
        );
        check("[Message=SubjectMismatch", "the server that Exchange Online called", "that certificate", None);
        check(
            "[Message=SubjectMismatch Expected Subject: ]",
            "the server that Exchange Online called",
            "that certificate",
            None,
        );
    }
}
