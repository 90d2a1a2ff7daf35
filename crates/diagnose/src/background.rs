//! What else is known when a case is judged: evidence beside the logs, and what the fleet did before and meanwhile.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use evidence::{
    Fact,
    chain::{Certificates, Chain, chain_at},
    fact::{self, AcceptedDomain, ChainCheck, Connector, ConnectorKind, Hybrid},
};
use smtplog::{Direction, Thumbprint, Timestamp, certificate::Certificate as Logged};

use crate::{
    case::Case,
    cause::{Item, ItemKind},
    certificate::CertificateView,
    rules, wizard,
};

/// Files of one export lie no further apart than this. What an older one shows and a newer does not has been renamed or
/// removed since.
const ONE_EXPORT_MS: i64 = 24 * 3_600_000;

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name relative to the indexed path.
    pub file: String,
    /// The server that its place names.
    pub server: Option<String>,
    /// When it was changed last: a setting holds as of then.
    pub changed: Timestamp,
}

/// A fact, and the file that says it.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// The file.
    pub origin: Arc<Origin>,
    /// Decompressed byte in it.
    pub offset: u64,
    /// What it says.
    pub fact: Fact,
}

impl Exhibit {
    fn connector(&self, kind: ConnectorKind) -> Option<&Connector> {
        match &self.fact {
            Fact::Connector(connector) if connector.kind == kind => Some(connector),
            _ => None,
        }
    }
}

/// One kind of fact, and the file that says it.
#[derive(Debug)]
pub struct Exhibited<'a, T> {
    /// The file.
    pub origin: &'a Origin,
    /// Decompressed byte in it.
    pub offset: u64,
    /// What it says.
    pub fact: &'a T,
}

impl<T> Clone for Exhibited<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Exhibited<'_, T> {}

impl<'a, T> Exhibited<'a, T> {
    /// The file and the byte.
    pub fn place(&self) -> (&'a str, u64) {
        (&self.origin.file, self.offset)
    }

    /// What it says, as evidence.
    pub fn item(&self, kind: ItemKind, text: impl Into<String>) -> Item {
        let (source, offset) = self.place();
        Item { kind, source: source.to_owned(), offset: Some(offset), text: text.into(), row: None }
    }
}

/// A connector's settings, and the file that shows them last.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The file.
    pub origin: &'a Origin,
    /// Decompressed byte in it.
    pub offset: u64,
    /// The settings.
    pub fact: Cow<'a, Connector>,
}

impl Shown<'_> {
    /// What it says, as evidence.
    pub fn item(&self, text: impl Into<String>) -> Item {
        Item {
            kind: ItemKind::Connector,
            source: self.origin.file.clone(),
            offset: Some(self.offset),
            text: text.into(),
            row: None,
        }
    }
}

/// Settings, some of which were changed.
fn overlaid(before: &Connector, changed: &Connector) -> Connector {
    let mut connector = before.clone();
    for property in &changed.properties {
        connector.properties.retain(|known| !known.name.eq_ignore_ascii_case(&property.name));
        connector.properties.push(property.clone());
    }
    connector
}

/// What a server presented on a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The server.
    pub server: String,
    /// The connector's name.
    pub connector: String,
    /// Whether it sent or received.
    pub direction: Direction,
    /// Whether it is a hop within the organisation.
    pub is_internal: bool,
    /// The certificate.
    pub thumbprint: Thumbprint,
    /// Start of its first session.
    pub first: Timestamp,
    /// Start of its last one.
    pub last: Timestamp,
    /// Sessions.
    pub sessions: u64,
    /// Refusals by status code, or by reply code where there is none.
    pub refusals: BTreeMap<String, u64>,
}

impl Use {
    /// Refusals of one status.
    pub fn refused(&self, status: &str) -> u64 {
        self.refusals.get(status).copied().unwrap_or(0)
    }
}

/// The address that the other side saw of a server on a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressUse {
    /// The server.
    pub server: String,
    /// The connector.
    pub connector: String,
    /// The address.
    pub address: String,
    /// Start of the first session with it.
    pub first: Timestamp,
    /// Start of the last.
    pub last: Timestamp,
    /// Sessions.
    pub sessions: u64,
    /// Of these the refused ones, by status code, or by reply code where there is none.
    pub refusals: BTreeMap<String, u64>,
}

impl EgressUse {
    /// Sessions that were refused with a status.
    pub fn refused(&self, status: &str) -> u64 {
        self.refusals.get(status).copied().unwrap_or(0)
    }
}

/// When a server was first refused with a status for a certificate on a connector, whatever time is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onset {
    /// The server whose log has the refusal.
    pub server: String,
    /// The connector.
    pub connector: String,
    /// The certificate.
    pub presented: Thumbprint,
    /// The status code, or the reply code where there is none.
    pub status: String,
    /// The first refusal's session began then.
    pub first: Timestamp,
}

/// A connector over which mail to the same remote side was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The server that sent.
    pub server: String,
    /// The connector.
    pub connector: String,
    /// What the server presented.
    pub presented: Option<Thumbprint>,
    /// The other side's name.
    pub remote_name: String,
    /// Domains of the recipients, lower case.
    pub recipients: Vec<String>,
    /// An accepted session.
    pub session: String,
    /// When it was.
    pub time: Timestamp,
}

/// Everything that is known beside the cases.
#[derive(Default)]
pub struct Background {
    /// Evidence.
    pub exhibits: Vec<Exhibit>,
    /// What servers presented.
    pub uses: Vec<Use>,
    /// What they presented in the time that is asked about.
    pub recent: Vec<Use>,
    /// The addresses that other sides saw.
    pub egress: Vec<EgressUse>,
    /// Accepted sessions by connector.
    pub routes: Vec<Route>,
    /// When the refusals of the cases' certificates began.
    pub onsets: Vec<Onset>,
    /// Sessions that presented a case's certificate and were accepted before its first refusal.
    pub earlier: Vec<Route>,
    /// Sessions whose other side answered EHLO with `XXXXXXXA` where STARTTLS stands: a firewall writes that over it.
    pub masked_starttls: Vec<String>,
    /// What the logs say of certificates, in order of thumbprint.
    pub certificates: Vec<Logged>,
    /// Certificate files, for chains.
    pub known: Certificates,
    /// Connectors as the Hybrid Configuration Wizard set or saw them, whether the whole connector is known or some of its
    /// properties.
    wizard: Vec<(Exhibit, bool)>,
}

impl Background {
    /// Draws from the exhibits what several facts say together. To be called when they are all there.
    pub fn prepare(&mut self) {
        self.wizard = wizard::connectors(&self.exhibits);
        for exhibit in &self.exhibits {
            if let Fact::Certificate(certificate) = &exhibit.fact {
                // One whose DER cannot be read was not made by this program's reader.
                let _ = self.known.insert((**certificate).clone());
            }
        }
    }

    fn exhibited<'a, T: 'a>(
        &'a self,
        pick: impl Fn(&'a Fact) -> Option<&'a T> + 'a,
    ) -> impl Iterator<Item = Exhibited<'a, T>> + 'a {
        self.exhibits.iter().filter_map(move |exhibit| {
            Some(Exhibited { origin: &exhibit.origin, offset: exhibit.offset, fact: pick(&exhibit.fact)? })
        })
    }

    /// Connectors of a kind as the newest export has them, and what the wizard changed of them since.
    pub fn connectors(&self, kind: ConnectorKind) -> Vec<Shown<'_>> {
        let exports = self.exhibits.iter().filter(|exhibit| exhibit.connector(kind).is_some());
        let newest_export = exports.clone().map(|exhibit| exhibit.origin.changed.0).max().unwrap_or(0);
        let exported = exports
            .filter(|exhibit| exhibit.origin.changed.0 >= newest_export - ONE_EXPORT_MS)
            .map(|exhibit| (exhibit, false));
        let by_wizard = self.wizard.iter().map(|(exhibit, is_partial)| (exhibit, *is_partial));
        let mut states: Vec<_> =
            exported.chain(by_wizard).filter(|(exhibit, _)| exhibit.connector(kind).is_some()).collect();
        states.sort_by_key(|(exhibit, _)| (exhibit.origin.changed, exhibit.offset));
        let mut newest: BTreeMap<(String, Option<String>), Shown<'_>> = BTreeMap::new();
        for (exhibit, is_partial) in states {
            let Some(fact) = exhibit.connector(kind) else { continue };
            let key = (fact.name.to_lowercase(), fact.server.as_deref().map(str::to_lowercase));
            let mut shown = Shown { origin: &exhibit.origin, offset: exhibit.offset, fact: Cow::Borrowed(fact) };
            if let Some(before) = newest.get(&key).filter(|_| is_partial) {
                shown.fact = Cow::Owned(overlaid(&before.fact, fact));
            }
            newest.insert(key, shown);
        }
        newest.into_values().collect()
    }

    /// Inbound connectors that are not switched off.
    pub fn inbound(&self) -> Vec<Shown<'_>> {
        let mut connectors = self.connectors(ConnectorKind::Inbound);
        connectors.retain(|one| one.fact.flag("Enabled") != Some(false) && !one.fact.name.trim().is_empty());
        connectors
    }

    /// Whether an export of the inbound connectors is there, not only what the wizard did with some of them.
    pub fn has_inbound_export(&self) -> bool {
        self.exhibits.iter().any(|exhibit| exhibit.connector(ConnectorKind::Inbound).is_some())
    }

    /// Inbound connectors that go by the sender's address.
    pub fn address_connectors(&self) -> Vec<Shown<'_>> {
        let mut connectors = self.inbound();
        connectors.retain(|one| rules::identifies_by_address(&one.fact));
        connectors
    }

    /// The send connector of a name.
    pub fn send_connector(&self, name: &str) -> Option<Shown<'_>> {
        let named = |one: &Shown<'_>| one.fact.name.trim().eq_ignore_ascii_case(name.trim());
        self.connectors(ConnectorKind::Send).into_iter().find(named)
    }

    /// Accepted domains.
    pub fn accepted_domains(&self) -> Vec<Exhibited<'_, AcceptedDomain>> {
        self.exhibited(|fact| match fact {
            Fact::AcceptedDomain(domain) => Some(domain),
            _ => None,
        })
        .collect()
    }

    /// Checks of a certificate's chain.
    pub fn checks(&self) -> impl Iterator<Item = Exhibited<'_, ChainCheck>> {
        self.exhibited(|fact| match fact {
            Fact::ChainCheck(check) => Some(check),
            _ => None,
        })
    }

    /// Entries of logs of the Hybrid Configuration Wizard.
    pub fn hybrid(&self) -> impl Iterator<Item = Exhibited<'_, Hybrid>> {
        self.exhibited(|fact| match fact {
            Fact::Hybrid(entry) => Some(entry),
            _ => None,
        })
    }

    /// Files of certificates.
    pub fn certificate_files(&self) -> impl Iterator<Item = Exhibited<'_, fact::Certificate>> {
        self.exhibited(|fact| match fact {
            Fact::Certificate(certificate) => Some(&**certificate),
            _ => None,
        })
    }

    /// What is known of a certificate.
    pub fn certificate(&self, thumbprint: Thumbprint) -> CertificateView<'_> {
        let hex = thumbprint.to_string();
        let names = self.exhibited(|fact| match fact {
            Fact::CertificateNames(names) => Some(names),
            _ => None,
        });
        let logged = self.certificates.binary_search_by_key(&thumbprint, |one| one.thumbprint);
        CertificateView {
            thumbprint,
            file: self.certificate_files().find(|one| one.fact.thumbprint == hex),
            names: { names }.find(|one: &Exhibited<'_, fact::CertificateNames>| one.fact.thumbprint == hex),
            logged: logged.ok().map(|at| &self.certificates[at]),
        }
    }

    /// The chain of a certificate whose file is known, at a time.
    pub fn chain(&self, view: &CertificateView<'_>, time: Timestamp) -> Option<Chain> {
        Some(chain_at(view.file?.fact, &self.known, time.0))
    }

    /// Uses by which servers sent to others.
    pub(crate) fn outbound_uses(&self) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(|one| one.direction == Direction::Send && !one.is_internal)
    }

    /// What a server presented before, where it now presents the case's certificate: of the connector's uses the latest
    /// that began before. Behind a proxy the front end's connector is another than the case's.
    pub(crate) fn change(&self, case: &Case<'_>, server: &str) -> Option<Change<'_>> {
        let presented = case.presented?;
        let is_of = |one: &&Use| one.server.eq_ignore_ascii_case(server);
        let mut uses: Vec<&Use> = self.outbound_uses().filter(is_of).collect();
        if case.first().is_proxied && !uses.iter().any(|one| one.thumbprint == presented) {
            // The front end is another machine.
            let fronts = self.outbound_uses().filter(|one| one.thumbprint == presented);
            let front = fronts.max_by_key(|one| one.sessions)?;
            uses = self.outbound_uses().filter(|one| one.server == front.server).collect();
        }
        let with_it = || uses.iter().filter(|one| one.thumbprint == presented);
        let same_connector = with_it().find(|one| one.connector.eq_ignore_ascii_case(case.connector));
        let now = *same_connector.or_else(|| with_it().max_by_key(|one| one.sessions))?;
        let before = uses.iter().filter(|one| {
            one.connector.eq_ignore_ascii_case(&now.connector) && one.thumbprint != presented && one.first < now.first
        });
        let before = *before.max_by_key(|one| (one.last.min(now.first), one.sessions))?;
        Some(Change { before, now })
    }

    /// When a server's refusals of the case began, also before the time that is asked about.
    pub(crate) fn onset(&self, case: &Case<'_>, server: &str) -> Option<Timestamp> {
        let status = case.status_or_code();
        let of_case = |one: &&Onset| {
            one.server.eq_ignore_ascii_case(server)
                && one.connector.eq_ignore_ascii_case(case.connector)
                && Some(one.presented) == case.presented
                && one.status == status
        };
        self.onsets.iter().filter(of_case).map(|one| one.first).min()
    }

    /// What other certificates servers presented to others since the case began, as far as nearly all of it was accepted
    /// and the server has not moved on to another one since.
    pub(crate) fn accepted_meanwhile(&self, case: &Case<'_>, is_meant: impl Fn(&Use) -> bool) -> Vec<&Use> {
        let status = case.status_or_code();
        let is_accepted = |one: &&Use| {
            one.direction == Direction::Send
                && !one.is_internal
                && Some(one.thumbprint) != case.presented
                && one.last >= case.from
                && one.sessions > 0
                && one.refused(&status) * 10 <= one.sessions
        };
        let has_moved = |one: &Use| {
            let of_server = |other: &&Use| other.server == one.server && other.connector == one.connector;
            let mut others = self.recent.iter().filter(of_server).filter(|other| other.direction == one.direction);
            others.any(|other| other.thumbprint != one.thumbprint && other.first > one.first && other.last > one.last)
        };
        self.recent.iter().filter(is_accepted).filter(|one| is_meant(one) && !has_moved(one)).collect()
    }

    /// Servers whose sessions presented the case's certificate to others, those of the case first.
    pub(crate) fn servers_presenting<'a>(&'a self, case: &Case<'a>) -> Vec<&'a str> {
        let uses = self.outbound_uses().filter(|one| Some(one.thumbprint) == case.presented);
        let mut servers = if case.first().is_proxied { Vec::new() } else { case.servers.clone() };
        servers.extend(uses.map(|one| one.server.as_str()));
        servers
    }

    /// Of the sessions that presented the case's certificate to others in the time that is asked about, the share that
    /// was not refused as the case was; `None` if nothing is known of them. What is wrong with a certificate itself is
    /// wrong in every session.
    pub(crate) fn accepted_share(&self, case: &Case<'_>) -> Option<f64> {
        let presented = case.presented?;
        let uses = self.recent.iter().filter(|one| {
            one.direction == Direction::Send && !one.is_internal && one.thumbprint == presented && one.last >= case.from
        });
        let of_case = uses.filter(|one| case.first().is_proxied || one.connector.eq_ignore_ascii_case(case.connector));
        let sessions: u64 = of_case.map(|one| one.sessions).sum();
        let refused = case.sessions().min(sessions);
        (sessions > 0).then(|| 1.0 - refused as f64 / sessions as f64)
    }
}

/// What a server presented before, and what it presents now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) before: &'a Use,
    pub(crate) now: &'a Use,
}
