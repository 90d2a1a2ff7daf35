//! Streams: one server's log of one direction and role, a series of rolled files (CONTRACT 1).

use std::{fmt, str::FromStr, sync::Arc};

/// Whether the logging server sent the mail or received it: `#Log-type` of the file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// SMTP Send Protocol Log: the logging server is the client.
    Send,
    /// SMTP Receive Protocol Log: the logging server is the server.
    Receive,
}

impl Direction {
    /// Both directions, in order of their names in ids.
    pub const ALL: [Direction; 2] = [Direction::Send, Direction::Receive];

    /// The word used in ids, JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Send => "send",
            Direction::Receive => "receive",
        }
    }
}

/// Which transport service wrote the log; known from its folder only, never from a row (CONTRACT 1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Front End Transport.
    Frontend,
    /// Transport service of a mailbox or hub server.
    Hub,
    /// Mailbox Transport Delivery.
    MailboxDelivery,
    /// Mailbox Transport Submission.
    MailboxSubmission,
    /// Edge Transport.
    Edge,
    /// The path does not say.
    Unknown,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] =
        [Role::Frontend, Role::Hub, Role::MailboxDelivery, Role::MailboxSubmission, Role::Edge, Role::Unknown];

    /// The word used in ids, JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Frontend => "frontend",
            Role::Hub => "hub",
            Role::MailboxDelivery => "mailbox-delivery",
            Role::MailboxSubmission => "mailbox-submission",
            Role::Edge => "edge",
            Role::Unknown => "unknown",
        }
    }
}

/// One server's log of one direction and role.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Stream {
    /// First label of the server's name, upper case; `UNKNOWN` where nothing tells it.
    pub server: Arc<str>,
    /// The transport service.
    pub role: Role,
    /// Send or receive.
    pub direction: Direction,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `EX001/hub/send`, the beginning of every session id of the stream.
impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.server, self.role, self.direction)
    }
}

impl FromStr for Direction {
    type Err = ();

    fn from_str(word: &str) -> Result<Direction, ()> {
        Direction::ALL.into_iter().find(|direction| direction.as_str().eq_ignore_ascii_case(word)).ok_or(())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(word: &str) -> Result<Role, ()> {
        Role::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(word)).ok_or(())
    }
}

impl serde::Serialize for Direction {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
