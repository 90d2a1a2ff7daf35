//! One server of the fleet: names, addresses, version, certificates, and the streams that it logs.

use crate::{
    certificate::{CertificateId, Layout},
    plan::{Generation, Plan},
};

/// Which of a server's services logs a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    FrontEnd,
    Hub,
    Delivery,
    Submission,
    Edge,
    Unknown,
}

/// Whether the server called or was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Send,
    Receive,
}

/// A series of rolled files.
pub(crate) struct Stream {
    pub(crate) role: Role,
    pub(crate) direction: Direction,
    /// The folder, relative to the fleet's, without a trailing `/`.
    pub(crate) folder: String,
}

/// A server's own certificates.
pub(crate) struct Certificates {
    /// What it presents to the world before `renewed_at`.
    pub(crate) old: CertificateId,
    /// What it presents afterwards.
    pub(crate) new: CertificateId,
    /// When this server moved.
    pub(crate) renewed_at: i64,
    /// Its self-signed certificate, for hops inside.
    pub(crate) internal: CertificateId,
    /// Whether its receive connectors were left with the self-signed certificate.
    pub(crate) shows_internal: bool,
}

/// One server.
pub(crate) struct Profile {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) fqdn: String,
    pub(crate) address: String,
    /// The address that the world sees.
    pub(crate) egress: String,
    pub(crate) generation: Generation,
    pub(crate) is_edge: bool,
    pub(crate) layout: Layout,
    pub(crate) certificates: Certificates,
    pub(crate) streams: Vec<Stream>,
    /// Hours by which its banners are ahead of UTC.
    pub(crate) zone_hours: i64,
}

impl Profile {
    /// A server by its number; certificates are set by the world, which owns them.
    pub(crate) fn new(index: usize, plan: &Plan) -> Profile {
        let name = format!("EX{:03}", index + 1);
        let generation = plan.generation.of_server(index);
        let is_edge = plan.generation == Generation::Mixed && index % 8 == 5;
        let unset = CertificateId(0);
        Profile {
            index,
            fqdn: format!("{}.corp.contoso.com", name.to_lowercase()),
            address: format!("10.{}.{}.{}", index / 60, index % 4, 10 + index % 60),
            egress: format!("203.0.113.{}", 7 + index % 5),
            layout: layout(generation),
            streams: streams(&name, generation, is_edge),
            name,
            generation,
            is_edge,
            certificates: Certificates {
                old: unset,
                new: unset,
                renewed_at: 0,
                internal: unset,
                shows_internal: false,
            },
            zone_hours: [0, 1, 2, -5][index % 4],
        }
    }

    /// The place of the stream into which a service of this server logs.
    pub(crate) fn stream(&self, role: Role, direction: Direction) -> usize {
        let matches = |stream: &Stream| stream.role == role && stream.direction == direction;
        let alone = |stream: &Stream| stream.direction == direction;
        // Servers with a single service log everything into the only stream of a direction.
        self.streams.iter().position(matches).or_else(|| self.streams.iter().position(alone)).unwrap_or_default()
    }

    /// Whether mail passes a front end before it reaches the hub.
    pub(crate) fn has_front_end(&self) -> bool {
        self.generation.has_roles() && !self.is_edge
    }

    /// What the server presents to the world at a moment.
    pub(crate) fn certificate_at(&self, at: i64) -> CertificateId {
        if at < self.certificates.renewed_at { self.certificates.old } else { self.certificates.new }
    }

    /// What the server shows to those who call it.
    pub(crate) fn receive_certificate_at(&self, at: i64) -> CertificateId {
        if self.certificates.shows_internal { self.certificates.internal } else { self.certificate_at(at) }
    }
}

impl Role {
    /// The role's name in ids (CONTRACT 2).
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::FrontEnd => "frontend",
            Role::Hub => "hub",
            Role::Delivery => "mailbox-delivery",
            Role::Submission => "mailbox-submission",
            Role::Edge => "edge",
            Role::Unknown => "unknown",
        }
    }

    /// The process whose counter names the sessions of a role.
    pub(crate) fn process(self) -> usize {
        match self {
            Role::FrontEnd => 0,
            Role::Hub | Role::Edge | Role::Unknown => 1,
            Role::Delivery => 2,
            Role::Submission => 3,
        }
    }
}

impl Direction {
    /// The direction's name in ids.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Direction::Send => "send",
            Direction::Receive => "receive",
        }
    }

    /// What file names begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Direction::Send => "SEND",
            Direction::Receive => "RECV",
        }
    }

    /// The header's `#Log-type`.
    pub(crate) fn log_type(self) -> &'static str {
        match self {
            Direction::Send => "SMTP Send Protocol Log",
            Direction::Receive => "SMTP Receive Protocol Log",
        }
    }
}

fn layout(generation: Generation) -> Layout {
    match generation {
        Generation::Exchange2007 | Generation::Exchange2010 | Generation::Exchange2013 => Layout::Rows,
        Generation::Exchange2016Cu2 => Layout::RowWithoutDates,
        _ => Layout::RowWithDates,
    }
}

fn streams(name: &str, generation: Generation, is_edge: bool) -> Vec<Stream> {
    use Direction::{Receive, Send};
    let logs = format!("{name}/TransportRoles/Logs");
    let stream = |role, direction, folder: &str| Stream { role, direction, folder: format!("{logs}/{folder}") };
    if is_edge {
        return vec![
            stream(Role::Edge, Send, "Edge/ProtocolLog/SmtpSend"),
            stream(Role::Edge, Receive, "Edge/ProtocolLog/SmtpReceive"),
        ];
    }
    if !generation.has_roles() {
        return vec![
            stream(Role::Unknown, Send, "ProtocolLog/SmtpSend"),
            stream(Role::Unknown, Receive, "ProtocolLog/SmtpReceive"),
        ];
    }
    vec![
        stream(Role::Hub, Send, "Hub/ProtocolLog/SmtpSend"),
        stream(Role::Hub, Receive, "Hub/ProtocolLog/SmtpReceive"),
        stream(Role::FrontEnd, Send, "FrontEnd/ProtocolLog/SmtpSend"),
        stream(Role::FrontEnd, Receive, "FrontEnd/ProtocolLog/SmtpReceive"),
        stream(Role::Delivery, Receive, "Mailbox/ProtocolLog/SmtpReceive/Delivery"),
        stream(Role::Submission, Send, "Mailbox/ProtocolLog/SmtpSend/Submission"),
    ]
}
