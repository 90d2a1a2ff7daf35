//! Who takes part: the organisation's servers and people, Microsoft 365, partners, strangers. The same for all threads.

use crate::{
    certificate::{Certificate, CertificateId},
    clock::{self, DAY_MS, HOUR_MS},
    plan::Plan,
    planted::Plant,
    profile::Profile,
    rng::Rng,
};

/// The organisation's mail domain.
pub(crate) const DOMAIN: &str = "contoso.com";

/// Everybody who takes part in a fleet.
pub(crate) struct World {
    /// All certificates, by [`CertificateId`].
    pub(crate) certificates: Vec<Certificate>,
    /// The organisation's servers.
    pub(crate) servers: Vec<Profile>,
    /// Mail addresses of the organisation.
    pub(crate) users: Vec<String>,
    /// Mail addresses outside.
    pub(crate) strangers: Vec<String>,
    /// Front ends of Microsoft 365.
    pub(crate) cloud: Vec<Host>,
    /// Mail servers of partners and of anybody.
    pub(crate) hosts: Vec<Host>,
    /// Machines inside that send reports and scans.
    pub(crate) appliances: Vec<Host>,
    /// The first moment of the logs.
    pub(crate) begin: i64,
    /// The moment after the last.
    pub(crate) end: i64,
    /// A cause of refusal that was planted.
    pub(crate) plant: Option<Plant>,
}

/// A mail server that is not one of the fleet.
pub(crate) struct Host {
    pub(crate) name: String,
    /// As endpoints write it, IPv6 in brackets.
    pub(crate) address: String,
    pub(crate) certificate: Option<CertificateId>,
    /// Whether it runs Exchange or Microsoft 365, as its banner tells.
    pub(crate) is_exchange: bool,
}

const FIRST_NAMES: [&str; 24] = [
    "anna", "ben", "carla", "david", "emma", "felix", "greta", "hassan", "ines", "jakub", "karin", "liam", "maria",
    "noah", "olga", "pavel", "quinn", "rosa", "samir", "tanja", "umut", "vera", "wei", "yuki",
];
const LAST_NAMES: [&str; 20] = [
    "adler", "berg", "costa", "dubois", "eriksen", "fischer", "garcia", "huang", "ivanova", "jensen", "kowalski",
    "lopez", "martin", "novak", "okafor", "peters", "rossi", "schmidt", "tanaka", "ueda",
];
const COMPANIES: [&str; 18] = [
    "fabrikam",
    "northwind",
    "tailspin",
    "wingtip",
    "adatum",
    "litware",
    "proseware",
    "alpine",
    "lucerne",
    "margie",
    "wideworld",
    "cohovineyard",
    "fourthcoffee",
    "graphicdesign",
    "humongous",
    "treyresearch",
    "vanarsdel",
    "woodgrove",
];
const REGIONS: [&str; 8] =
    ["AM1EUR08", "AM5EUR02", "DB5EUR03", "VE1EUR01", "BL2NAM06", "CO1NAM11", "DM6NAM12", "SG2APC01"];

impl World {
    /// The world of a plan: everything in it follows from the seed.
    pub(crate) fn new(plan: &Plan) -> World {
        let mut rng = Rng::new(plan.seed, u64::MAX);
        let begin = clock::midnight(plan.start.0.into(), plan.start.1.into(), plan.start.2.into());
        let mut world = World {
            certificates: Vec::new(),
            servers: Vec::new(),
            users: people(&mut rng, 360, |_| DOMAIN.into()),
            strangers: people(&mut rng, 900, |turn| stranger_domain(turn / 5)),
            cloud: Vec::new(),
            hosts: Vec::new(),
            appliances: Vec::new(),
            begin,
            end: begin + i64::from(plan.days.max(1)) * DAY_MS,
            plant: None,
        };
        world.add_cloud(&mut rng);
        world.add_hosts(&mut rng);
        world.add_appliances(&mut rng);
        world.add_servers(&mut rng, plan);
        world
    }

    /// A certificate by its place.
    pub(crate) fn certificate(&self, id: CertificateId) -> &Certificate {
        &self.certificates[id.0 as usize]
    }

    /// Takes a certificate.
    pub(crate) fn add(&mut self, certificate: Certificate) -> CertificateId {
        self.certificates.push(certificate);
        CertificateId(self.certificates.len() as u32 - 1)
    }

    fn add_cloud(&mut self, rng: &mut Rng) {
        let names: Vec<String> =
            ["mail.protection.outlook.com", "*.mail.eo.outlook.com", "*.mail.protection.outlook.com"]
                .iter()
                .chain(&["mail.messaging.microsoft.com", "outlook.com"])
                .map(|name| name.to_string())
                .collect();
        let subject = "CN=mail.protection.outlook.com, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";
        let issuer = "CN=DigiCert Cloud Services CA-1, O=DigiCert Inc, C=US";
        let certificates = [(); 2].map(|()| Certificate::issued(rng, subject, issuer, &names, self.begin));
        let certificates = certificates.map(|certificate| self.add(certificate));
        for turn in 0..48 {
            let name = format!("{}FT{:03}.mail.protection.outlook.com", rng.pick(&REGIONS), rng.between(3, 64));
            let address = match turn % 12 {
                11 => format!("[2a01:111:f400:7e{:02x}::2{:02x}]", rng.between(0, 40), rng.between(0, 255)),
                _ => format!("{}.{}.{}", rng.pick(&["104.47", "52.101"]), rng.between(0, 80), rng.between(2, 250)),
            };
            let certificate = Some(certificates[usize::from(turn % 5 == 0)]);
            self.cloud.push(Host { name, address, certificate, is_exchange: true });
        }
    }

    fn add_hosts(&mut self, rng: &mut Rng) {
        for turn in 0..80 {
            let domain = stranger_domain(turn);
            let name = format!("{}.{domain}", rng.pick(&["mx1", "mx2", "mail", "smtp-in", "mailgw.dmz"]));
            let address = match turn % 9 {
                8 => format!("[2001:db8:{:x}::{:x}]", rng.between(1, 0xfff), rng.between(1, 0xff)),
                _ => format!("{}.{}", rng.pick(&["198.51.100", "203.0.113", "192.0.2"]), rng.between(20, 250)),
            };
            // One in eight knows no TLS.
            let certificate = (turn % 8 != 7).then(|| Certificate::of_host(rng, &name, &domain, turn, self.begin));
            let certificate = certificate.map(|certificate| self.add(certificate));
            self.hosts.push(Host { name, address, certificate, is_exchange: turn % 3 == 0 });
        }
    }

    fn add_appliances(&mut self, rng: &mut Rng) {
        for turn in 0..30 {
            let address = match turn % 10 {
                // Link-local addresses carry their zone.
                9 => format!("[fe80::1c2f:{:x}%5]", rng.between(1, 0xfff)),
                _ => format!("10.20.{}.{}", rng.between(1, 9), rng.between(10, 250)),
            };
            let kind = rng.pick(&["printer", "scanner", "backup", "monitor", "erp", "door"]);
            self.appliances.push(Host {
                name: format!("{kind}{turn:02}"),
                address,
                certificate: None,
                is_exchange: false,
            });
        }
    }

    fn add_servers(&mut self, rng: &mut Rng, plan: &Plan) {
        let families = self.certificate_families(rng, plan);
        let span = self.end - self.begin;
        let renewal = self.begin + (span as f64 * plan.renewal) as i64;
        for index in 0..plan.servers {
            let mut profile = Profile::new(index, plan);
            let (old, new) = families[[0, 0, 0, 1, 2][index % 5]];
            let internal = Certificate::self_signed(rng, &profile.name, &profile.fqdn, self.begin);
            // The first server moves on the hour of the renewal, the others when somebody gets round to it.
            let lag = if index == 0 { 0 } else { rng.between(HOUR_MS / 2, (span / 3).max(HOUR_MS)) };
            profile.certificates = crate::profile::Certificates {
                old,
                new,
                renewed_at: renewal + lag,
                internal: self.add(internal),
                shows_internal: index % 4 == 2,
            };
            self.servers.push(profile);
        }
    }

    /// Old and new certificate of three parts of the organisation, with names of three forms.
    fn certificate_families(&mut self, rng: &mut Rng, plan: &Plan) -> Vec<(CertificateId, CertificateId)> {
        let renewal = self.begin + (f64::from(plan.days) * plan.renewal) as i64 * DAY_MS;
        let subjects = [
            (
                "CN=mail.contoso.com, O=Contoso Ltd, L=Paris, C=FR",
                "CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US",
            ),
            (
                "CN=*.contoso.com, OU=IT, O=\"Contoso, Holding (AG)\", C=CH",
                "CN=thawte SHA256 SSL CA, O=\"thawte, Inc.\", C=US",
            ),
            (
                "C=NO, S=Viken, O=Contoso Nord AS, CN=post.contoso.com",
                "C=NO, O=Buypass AS-983163327, CN=Buypass Class 3 CA 2",
            ),
        ];
        let names = [
            vec!["mail.contoso.com".to_string(), "autodiscover.contoso.com".into(), "contoso.com".into()],
            vec!["*.contoso.com".to_string(), "contoso.com".into()],
            vec![],
        ];
        let mut families = Vec::new();
        for ((subject, issuer), names) in subjects.iter().zip(&names) {
            let old = Certificate::issued(rng, subject, issuer, names, self.begin);
            let new = old.renewed(rng, renewal);
            families.push((self.add(old), self.add(new)));
        }
        families
    }
}

fn stranger_domain(turn: usize) -> String {
    let company = COMPANIES[turn % COMPANIES.len()];
    match turn / COMPANIES.len() {
        0 => format!("{company}.example"),
        1 => format!("{company}.test"),
        2 => format!("mail.{company}.example"),
        turn => format!("{company}{turn}.example"),
    }
}

fn people(rng: &mut Rng, count: usize, domain: impl Fn(usize) -> String) -> Vec<String> {
    let person = |turn: usize| {
        let (first, last) = (rng.word(&FIRST_NAMES), rng.word(&LAST_NAMES));
        let domain = domain(turn);
        match turn % 4 {
            0 => format!("{first}@{domain}"),
            1 => format!("{}{last}@{domain}", &first[..1]),
            _ => format!("{first}.{last}@{domain}"),
        }
    };
    (0..count).map(person).collect()
}
