//! Fleets in which one cause of refusal is planted: what changed, when, on which servers, and what lies beside the logs.
//!
//! A scenario says how each server's mail to Microsoft 365 goes from when on ([`Conduct`]), why some of it is refused
//! ([`Case`]), and writes the evidence. The traffic itself is played by [`crate::scenarios`], among the innocent
//! traffic of every fleet. Adding a scenario is one file, or a function in the file of its cause, and one line.

mod certificate_changed;
mod chain_incomplete;
mod domain_not_accepted;
mod expired;
mod ip_address;
mod name_mismatch;
mod no_certificate;
mod not_a_certificate;
mod old_tls;
mod pinned;
mod route;
mod tls_not_offered;
mod usage;

use crate::{
    certificate::{Certificate, CertificateId},
    clock::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
    der::{self, Authority, Name, Request, Usages},
    evidence::{
        self, EvidenceFile, Object,
        connectors::{self, ConnectorType, Inbound},
    },
    fact::Refusal,
    plan::{Generation, Plan},
    profile::Profile,
    rng::Rng,
    world::World,
};

/// A scenario: a fleet with a planted cause.
#[derive(Clone, Copy)]
pub struct Planted {
    /// Its name: the cause, and what is special.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The version of the servers, unless somebody wants another.
    pub generation: Generation,
    plant: fn(&mut Planting<'_>),
}

/// All scenarios.
pub const PLANTED: &[Planted] = &[
    name_mismatch::EXACT,
    name_mismatch::WILDCARD,
    name_mismatch::HYBRID,
    name_mismatch::PROXIED,
    name_mismatch::PARTNER,
    name_mismatch::REPLY,
    certificate_changed::OTHER,
    ip_address::LISTED,
    ip_address::NETWORK,
    chain_incomplete::EVENTS,
    chain_incomplete::REPLY,
    expired::LOGGED,
    expired::FILE,
    expired::REPLY,
    no_certificate::NONE,
    usage::FILE,
    usage::STATUS,
    domain_not_accepted::LISTED,
    domain_not_accepted::HYBRID,
    pinned::OTHER,
    route::INTERNET_ROUTE,
    route::REGION,
    tls_not_offered::DENIED,
    tls_not_offered::REQUIRED,
    old_tls::DENIED,
    old_tls::NAMED,
    not_a_certificate::BLOCKED,
];

/// The connector to Microsoft 365.
pub(crate) const OUTBOUND: &str = "Outbound to Office 365";
/// The connector to everybody.
pub(crate) const INTERNET: &str = "Internet";
/// What Microsoft 365 says if no connector of the tenant claims a session.
pub(crate) const DENIED: &str = "TenantAttribution; Relay Access Denied";

/// What was planted in a world.
pub(crate) struct Plant {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    /// Why mail is refused.
    pub(crate) cases: Vec<Case>,
    /// How each server's mail goes; several that hold at a time share it by weight.
    pub(crate) conducts: Vec<Vec<Conduct>>,
    /// Whether mail to Microsoft 365 goes through the front end.
    pub(crate) is_proxied: bool,
    /// What lies beside the logs.
    pub(crate) evidence: Vec<EvidenceFile>,
    /// From when on the world sees all servers under another address.
    moved: Option<(i64, &'static str)>,
    /// What servers present to anybody else.
    elsewhere: Elsewhere,
}

/// What servers present when they call anybody but Microsoft 365.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The old or the new one, by the date of renewal.
    ByDate,
    /// Nothing after the server's change.
    NothingLater,
    /// What they made for themselves: the connector names none.
    SelfSigned,
}

/// Why mail is refused.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) cause: &'static str,
    /// Other causes that a fair judge may name as well.
    pub(crate) also: &'static [&'static str],
    /// What logs alone can tell.
    pub(crate) logs_alone: Option<&'static str>,
    pub(crate) code: u16,
    pub(crate) status: &'static str,
    /// Text of the refusal, after code and status.
    pub(crate) text: String,
    /// The `ATTRn` in the text.
    pub(crate) attr: Option<&'static str>,
    /// What the server presents meanwhile.
    pub(crate) presented: Option<CertificateId>,
    /// What an explanation has to say.
    pub(crate) expect: Vec<String>,
}

/// How a server's mail to Microsoft 365 goes.
#[derive(Clone)]
pub(crate) struct Conduct {
    /// From when until when; the end is not included.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Its share among those that hold at the time.
    pub(crate) weight: u64,
    pub(crate) connector: &'static str,
    pub(crate) presented: Presented,
    pub(crate) tls: Tls,
    /// What the server's log says of the chain.
    pub(crate) chain_status: &'static str,
    /// The domain of the senders, if it is not the organisation's.
    pub(crate) sender_domain: Option<&'static str>,
    /// The domain of the recipients, if it is not anybody's.
    pub(crate) recipient_domain: Option<&'static str>,
    /// Cases that may strike, each with its share of the sessions.
    pub(crate) faults: Vec<(usize, f64)>,
}

/// Which certificate a session shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The old or the new one of the server, by its date of renewal.
    ByDate,
    /// Always this.
    This(CertificateId),
    /// None: no row.
    Nothing,
}

/// How far TLS gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// 1.2, or 1.3 where the server knows it.
    Today,
    /// 1.0, all that the server knows.
    Old,
    /// The answer to EHLO does not offer STARTTLS.
    NotOffered,
    /// Something on the way has written X over the offer.
    Masked,
}

/// A scenario being planted in a world.
pub(crate) struct Planting<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) rng: Rng,
    /// When the change comes, on the first server.
    pub(crate) at: i64,
    /// Which of the servers changes how much later.
    lag_ms: i64,
    pub(crate) root: Authority,
    /// Signs what was there before.
    pub(crate) authority: Authority,
    plant: Plant,
}

impl Plant {
    /// How mail goes that a server sends at a moment.
    pub(crate) fn conduct(&self, server: usize, at: i64, rng: &mut Rng) -> Option<&Conduct> {
        let holds = |conduct: &&Conduct| (conduct.from..conduct.until).contains(&at);
        let sum: u64 = self.conducts[server].iter().filter(holds).map(|conduct| conduct.weight).sum();
        let mut drawn = rng.below(sum.max(1));
        self.conducts[server].iter().filter(holds).find(|conduct| {
            let is_it = drawn < conduct.weight;
            drawn = drawn.saturating_sub(conduct.weight);
            is_it
        })
    }

    /// The address that the world sees of a server at a moment, if it is not the server's usual one.
    pub(crate) fn egress(&self, at: i64) -> Option<&'static str> {
        self.moved.filter(|(moved_at, _)| at >= *moved_at).map(|(_, address)| address)
    }

    /// What a server presents when it calls anybody.
    pub(crate) fn client_certificate(&self, server: &Profile, at: i64) -> Option<CertificateId> {
        match self.elsewhere {
            Elsewhere::NothingLater if at >= server.certificates.renewed_at => None,
            Elsewhere::SelfSigned => Some(server.certificates.internal),
            Elsewhere::ByDate | Elsewhere::NothingLater => Some(server.certificate_at(at)),
        }
    }
}

impl Conduct {
    /// Mail through the right connector, accepted, from the beginning to the end.
    pub(crate) fn accepted() -> Conduct {
        Conduct {
            from: i64::MIN,
            until: i64::MAX,
            weight: 1,
            connector: OUTBOUND,
            presented: Presented::ByDate,
            tls: Tls::Today,
            chain_status: "Valid",
            sender_domain: None,
            recipient_domain: None,
            faults: Vec::new(),
        }
    }

    /// The same, but every session is refused for one reason.
    pub(crate) fn refused(case: usize) -> Conduct {
        Conduct { faults: vec![(case, 1.0)], ..Conduct::accepted() }
    }
}

impl Case {
    /// Relay access denied, without anything else in the text.
    pub(crate) fn denied(cause: &'static str) -> Case {
        Case {
            cause,
            also: &[],
            logs_alone: None,
            code: 550,
            status: "5.7.64",
            text: DENIED.into(),
            attr: None,
            presented: None,
            expect: Vec::new(),
        }
    }

    /// The reply.
    pub(crate) fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(self.code, self.status, &self.text);
        self.attr.map_or(refusal.clone(), |attr| refusal.with_attr(attr))
    }
}

/// Plants a scenario in a world of that plan.
pub(crate) fn plant(scenario: &Planted, world: &mut World, plan: &Plan) {
    let mut rng = Rng::new(plan.seed, u64::MAX - 1);
    let span = world.end - world.begin;
    let at = world.begin + (span as f64 * plan.renewal) as i64;
    let at = at - at % (10 * MINUTE_MS);
    let root_name = Name::new(&[("CN", "Northwind Trust Root G2"), ("O", "Northwind Trust, Inc."), ("C", "US")]);
    let root_url = "http://cacerts.northwindtrust.example/NorthwindTrustRootG2.crt";
    let root = Authority::root(&mut rng, root_name, root_url, world.begin);
    let name = Name::new(&[("CN", "Northwind Trust TLS CA 2"), ("O", "Northwind Trust, Inc."), ("C", "US")]);
    let url = "http://cacerts.northwindtrust.example/NorthwindTrustTLSCA2.crt";
    let authority = root.intermediate(&mut rng, name, url, world.begin);
    let servers = world.servers.len();
    let plant = Plant {
        scenario: scenario.name,
        cases: Vec::new(),
        conducts: vec![Vec::new(); servers],
        is_proxied: false,
        evidence: Vec::new(),
        moved: None,
        elsewhere: Elsewhere::ByDate,
    };
    let mut planting = Planting { world, rng, at, lag_ms: span / 12, root, authority, plant };
    planting.self_signed();
    let usual = planting.issue("mail.contoso.com", &["mail.contoso.com", "autodiscover.contoso.com"]);
    planting.present(usual, usual);
    (scenario.plant)(&mut planting);
    let plant = planting.plant;
    world.plant = Some(plant);
}

impl Planting<'_> {
    /// A certificate of the organisation that is valid all the time.
    pub(crate) fn issue(&mut self, common_name: &str, names: &[&str]) -> CertificateId {
        let request = self.request(common_name, names, self.world.begin - 120 * DAY_MS);
        let certificate = self.authority.issue(&mut self.rng, &request);
        self.world.add(certificate)
    }

    /// A certificate of the organisation that was issued a few days before the change.
    pub(crate) fn renew(&mut self, common_name: &str, names: &[&str]) -> CertificateId {
        let request = self.request(common_name, names, self.at - 4 * DAY_MS);
        let certificate = self.authority.issue(&mut self.rng, &request);
        self.world.add(certificate)
    }

    /// A request by the organisation, valid from about `not_before` for 397 days.
    pub(crate) fn request(&mut self, common_name: &str, names: &[&str], not_before: i64) -> Request {
        let not_before = not_before - self.rng.between(0, DAY_MS / SECOND_MS) * SECOND_MS;
        let not_before = not_before - not_before % SECOND_MS;
        Request {
            subject: Name::new(&[("CN", common_name), ("O", "Contoso Ltd"), ("L", "Paris"), ("C", "FR")]),
            names: names.iter().map(|name| name.to_string()).collect(),
            not_before,
            not_after: not_before + 397 * DAY_MS - SECOND_MS,
            usages: Usages::ServerAndClient,
        }
    }

    /// The certificates that the servers made for themselves at setup.
    fn self_signed(&mut self) {
        for index in 0..self.world.servers.len() {
            let profile = &self.world.servers[index];
            let names = vec![profile.name.clone(), profile.fqdn.clone()];
            let not_before = self.world.begin - 400 * DAY_MS - 13 * HOUR_MS;
            let request = Request {
                subject: Name::new(&[("CN", &profile.name)]),
                names,
                not_before,
                not_after: not_before + 1_826 * DAY_MS,
                usages: Usages::ServerOnly,
            };
            let certificate = der::self_signed(&mut self.rng, &request);
            let internal = self.world.add(certificate);
            self.world.servers[index].certificates.internal = internal;
        }
    }

    /// All servers present `old`, and `new` from when somebody gets round to it.
    pub(crate) fn present(&mut self, old: CertificateId, new: CertificateId) {
        for index in 0..self.world.servers.len() {
            let lag = if index == 0 { 0 } else { self.rng.between(MINUTE_MS, self.lag_ms) };
            let certificates = &mut self.world.servers[index].certificates;
            (certificates.old, certificates.new, certificates.renewed_at) = (old, new, self.at + lag);
        }
    }

    /// What the servers present before the change.
    pub(crate) fn usual(&self) -> CertificateId {
        self.world.servers[0].certificates.old
    }

    /// A certificate by its place.
    pub(crate) fn certificate(&self, id: CertificateId) -> &Certificate {
        self.world.certificate(id)
    }

    /// A thumbprint.
    pub(crate) fn thumbprint(&self, id: CertificateId) -> String {
        self.certificate(id).thumbprint.clone()
    }

    /// Adds a case.
    pub(crate) fn case(&mut self, case: Case) -> usize {
        self.plant.cases.push(case);
        self.plant.cases.len() - 1
    }

    /// How a server's mail goes.
    pub(crate) fn conduct(&mut self, server: usize, conduct: Conduct) {
        self.plant.conducts[server].push(conduct);
    }

    /// Mail to Microsoft 365 goes through the front end.
    pub(crate) fn proxy(&mut self) {
        self.plant.is_proxied = true;
    }

    /// The world sees all servers under another address from then on.
    pub(crate) fn move_to(&mut self, at: i64, address: &'static str) {
        self.plant.moved = Some((at, address));
    }

    /// What the servers present to anybody else.
    pub(crate) fn elsewhere(&mut self, elsewhere: Elsewhere) {
        self.plant.elsewhere = elsewhere;
    }

    /// On every server mail is accepted at first, and goes as `after` says from the server's own change on.
    pub(crate) fn change(&mut self, after: impl Fn() -> Conduct) {
        for server in 0..self.world.servers.len() {
            let changed_at = self.world.servers[server].certificates.renewed_at;
            self.change_of(server, changed_at, after());
        }
    }

    /// The same, with one moment for all servers.
    pub(crate) fn change_everywhere(&mut self, at: i64, after: impl Fn() -> Conduct) {
        for server in 0..self.world.servers.len() {
            self.change_of(server, at, after());
        }
    }

    /// Only one server changes; on the others mail is accepted all the time.
    pub(crate) fn change_alone(&mut self, changes: usize, at: i64, after: Conduct) {
        for server in (0..self.world.servers.len()).filter(|server| *server != changes) {
            self.conduct(server, Conduct::accepted());
        }
        self.change_of(changes, at, after);
    }

    fn change_of(&mut self, server: usize, at: i64, after: Conduct) {
        self.conduct(server, Conduct { until: at, ..Conduct::accepted() });
        self.conduct(server, Conduct { from: at, ..after });
    }

    /// A file beside the logs.
    pub(crate) fn beside(&mut self, path: &str, bytes: Vec<u8>) {
        let path = format!("evidence/{path}");
        self.plant.evidence.push(EvidenceFile { path, bytes, is_telling: false });
    }

    /// The file that tells most.
    pub(crate) fn telling(&mut self, path: &str, bytes: Vec<u8>) {
        let path = format!("evidence/{path}");
        self.plant.evidence.push(EvidenceFile { path, bytes, is_telling: true });
    }

    /// A certificate as a file of its own, DER.
    pub(crate) fn certificate_file(&mut self, id: CertificateId) {
        let (path, der) = self.exported(id);
        self.beside(&path, der);
    }

    /// The same, where the certificate tells most.
    pub(crate) fn telling_certificate_file(&mut self, id: CertificateId) {
        let (path, der) = self.exported(id);
        self.telling(&path, der);
    }

    fn exported(&self, id: CertificateId) -> (String, Vec<u8>) {
        let certificate = self.certificate(id);
        let name = certificate.names.first().map_or("certificate", String::as_str).replace('*', "wildcard");
        let is_first = !self.plant.evidence.iter().any(|file| file.path.ends_with(&format!("/{name}.cer")));
        let mark = if is_first { "" } else { " (2)" };
        (format!("certificates/{name}{mark}.cer"), certificate.der.clone())
    }

    /// The inbound connector that the wizard makes, which knows the organisation by a certificate's name.
    pub(crate) fn inbound(&self, certificate_name: &str) -> Object {
        let inbound = Inbound {
            name: "Inbound from 4f6c1d0e-93a2-4d7b-8a51-2f0c7be1d966",
            connector_type: ConnectorType::OnPremises,
            sender_domains: &["smtp:*;1"],
            addresses: &[],
            certificate_name: Some(certificate_name),
            restricts_to_certificate: false,
        };
        connectors::inbound(&inbound, self.world.begin)
    }

    /// `Get-AcceptedDomain` of a tenant.
    pub(crate) fn accepted_domains(&self, domains: &[&str]) -> Vec<Object> {
        let own = ["contoso.onmicrosoft.com", "contoso.mail.onmicrosoft.com"];
        let domains = domains.iter().chain(&own).enumerate();
        domains.map(|(turn, domain)| connectors::accepted_domain(domain, turn == 0, self.world.begin)).collect()
    }

    /// JSON beside the logs.
    pub(crate) fn json(&mut self, name: &str, objects: &[Object]) {
        self.beside(name, evidence::json::json(objects).into_bytes());
    }

    /// The same, where it tells most.
    pub(crate) fn telling_json(&mut self, name: &str, objects: &[Object]) {
        self.telling(name, evidence::json::json(objects).into_bytes());
    }

    /// The names of all servers.
    pub(crate) fn server_names(&self) -> Vec<String> {
        self.world.servers.iter().map(|server| server.name.clone()).collect()
    }
}
