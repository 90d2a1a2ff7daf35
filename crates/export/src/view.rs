//! A session as events look at it: what several of them say is worked out once.

use std::net::IpAddr;

use smtplog::{Session, SessionId, Thumbprint};

use crate::Certificates;

/// The certificate of a refusal behind a proxy, as the front end's session shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The link that names the front end's session.
    pub via: SessionId,
    /// What that session presented; `None` if the store does not have it.
    pub presented: Option<Thumbprint>,
}

/// A session, and what is known around it.
#[derive(Debug)]
pub struct SessionView<'a> {
    /// The session.
    pub session: &'a Session,
    /// Its id.
    pub id: String,
    /// Its stream, as ids begin.
    pub stream: String,
    /// Certificates behind proxies, by link.
    pub resolved: Vec<Resolved>,
    pub(crate) certificates: &'a Certificates,
    pub(crate) local: Endpoint<'a>,
    pub(crate) remote: Endpoint<'a>,
    /// The address that the remote saw, if it is one.
    pub(crate) egress_ip: Option<&'a str>,
}

impl<'a> SessionView<'a> {
    /// A view of a session.
    pub fn new(session: &'a Session, resolved: Vec<Resolved>, certificates: &'a Certificates) -> SessionView<'a> {
        SessionView {
            session,
            id: session.id(),
            stream: session.stream.to_string(),
            resolved,
            certificates,
            local: Endpoint::of(session.local.as_deref()),
            remote: Endpoint::of(session.remote.as_deref()),
            egress_ip: session.egress_ip.as_deref().filter(|address| address.parse::<IpAddr>().is_ok()),
        }
    }

    /// Whether a certificate is missing that stands in another session.
    pub fn waits(&self) -> bool {
        self.resolved.iter().any(|one| one.presented.is_none())
    }

    pub(crate) fn via(&self, link: SessionId) -> Option<Thumbprint> {
        self.resolved.iter().find(|one| one.via == link)?.presented
    }
}

/// An endpoint, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    /// Its address without brackets and zone, if it is one.
    pub(crate) ip: Option<&'a str>,
    pub(crate) port: Option<u16>,
}

impl<'a> Endpoint<'a> {
    fn of(endpoint: Option<&'a str>) -> Endpoint<'a> {
        let Some(endpoint) = endpoint else { return Endpoint::default() };
        let (host, port) = match endpoint.rsplit_once(':') {
            // An address of version 6 without a port has colons, too.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (endpoint, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = host.split('%').next().unwrap_or(host);
        Endpoint { ip: (host.parse::<IpAddr>().is_ok()).then_some(host), port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, ip: Option<&str>, port: Option<u16>| {
            assert_eq!(Endpoint::of(Some(text)), Endpoint { ip, port }, "{text}");
        };
        check("10.0.0.10:25", Some("10.0.0.10"), Some(25));
        check("10.0.0.10", Some("10.0.0.10"), None);
        check("[2001:db8::5]:53000", Some("2001:db8::5"), Some(53000));
        check("[fe80::1%7]:25", Some("fe80::1"), Some(25));
        check("2001:db8::5", Some("2001:db8::5"), None);
        check("host:25", None, Some(25));
        check("a:b:99999", None, None);
        check("", None, None);
    }
}
