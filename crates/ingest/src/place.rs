//! Places: which server and role a path tells (CONTRACT 1).
//!
//! `EX001/TransportRoles/Logs/Hub/ProtocolLog/SmtpSend/SEND2024030106-1.LOG` is server `EX001`, role `hub`.

use std::sync::Arc;

use smtplog::{Direction, Role};

/// Names of folders that the layouts of Exchange and of IIS have, and so no server's.
const EXCHANGE_FOLDERS: &[&str] = &[
    "TransportRoles",
    "Logs",
    "Hub",
    "FrontEnd",
    "Mailbox",
    "Edge",
    "ProtocolLog",
    "SmtpSend",
    "SmtpReceive",
    "Delivery",
    "Submission",
    "Exchange Server",
    "Exchange",
    "Exchsrvr",
    "Microsoft",
    "Program Files",
    "V14",
    "V15",
    "LogFiles",
    "System32",
    "Windows",
    "WINNT",
];

/// What the folders of the SMTP service of IIS begin with; the number of a virtual server follows.
const IIS_SITE: &str = "SMTPSVC";

/// Those of them that hold protocol logs and nothing else: a folder named `Exchange` or `Logs` can be anybody's.
const LOG_FOLDERS: &[&str] = &["TransportRoles", "ProtocolLog", "SmtpSend", "SmtpReceive"];

/// The server of logs whose server nothing tells.
pub(crate) const UNKNOWN: &str = "UNKNOWN";

/// What a path tells about the logs below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server, if a folder names one.
    pub server: Option<Arc<str>>,
    /// The role, `Unknown` if no folder names one.
    pub role: Role,
}

/// Whether a folder is one of Exchange's own, or of IIS.
pub(crate) fn is_exchange_folder(name: &str) -> bool {
    EXCHANGE_FOLDERS.iter().any(|known| known.eq_ignore_ascii_case(name)) || is_iis_site(name)
}

fn is_iis_site(name: &str) -> bool {
    let number = name.get(IIS_SITE.len()..).filter(|_| name[..IIS_SITE.len()].eq_ignore_ascii_case(IIS_SITE));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a folder is one that only holds protocol logs.
pub(crate) fn is_log_folder(name: &str) -> bool {
    LOG_FOLDERS.iter().any(|known| known.eq_ignore_ascii_case(name)) || is_iis_site(name)
}

/// Whether a folder's name can be a server's: it is not Exchange's own, no drive letter, not only digits and dashes.
fn can_be_server(name: &str) -> bool {
    let is_drive = matches!(name.as_bytes(), [letter] | [letter, b':' | b'$'] if letter.is_ascii_alphabetic());
    let is_date = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    !name.is_empty() && name != "." && name != ".." && !is_drive && !is_date && !is_exchange_folder(name)
}

/// A server's name as ids carry it: first label, upper case.
pub fn server_name(name: &str) -> Arc<str> {
    name.split('.').next().unwrap_or(name).to_uppercase().into()
}

/// The folders that a file lies in, outermost first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Folders<'a> {
    /// PATH's own name, if it is a folder.
    pub(crate) root: Option<&'a str>,
    /// Exchange's own folders that end with PATH; they tell the role only.
    pub(crate) up_to_root: &'a [&'a str],
    /// Between PATH and the file.
    pub(crate) below: &'a [&'a str],
    /// An archive's name without its ending, if the file lies in one.
    pub(crate) stem: Option<&'a str>,
    /// Inside the archive.
    pub(crate) inside: &'a [&'a str],
}

/// What the folders tell (CONTRACT 1). PATH's name counts only if an Exchange folder lies directly below it, and an
/// archive's only if no folder names a server.
pub(crate) fn place(folders: Folders<'_>) -> Place {
    let Folders { root, up_to_root, below, stem, inside } = folders;
    let nearest = inside.iter().rev().chain(below.iter().rev()).find(|name| can_be_server(name)).copied();
    let root = root.filter(|name| can_be_server(name) && below.first().is_some_and(|name| is_exchange_folder(name)));
    let server = nearest.or(root).or(stem.filter(|name| can_be_server(name)));
    Place { server: server.map(server_name), role: role(&[up_to_root, below, inside].concat()) }
}

fn role(folders: &[&str]) -> Role {
    let has = |name: &str| folders.iter().any(|folder| folder.eq_ignore_ascii_case(name));
    match () {
        _ if has("FrontEnd") => Role::Frontend,
        _ if has("Hub") => Role::Hub,
        _ if has("Edge") => Role::Edge,
        _ if has("Mailbox") && has("Delivery") => Role::MailboxDelivery,
        _ if has("Mailbox") && has("Submission") => Role::MailboxSubmission,
        _ => Role::Unknown,
    }
}

/// A file's place in the series of rolled files (FORMATS 1.1): `RECV2023011116-1.LOG` is number 1 of an hour,
/// `SEND20240301-12.LOG` number 12 of a day. Numbers have no leading zeros and sort as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RolledName {
    /// What the prefix tells.
    pub direction: Direction,
    /// `yyyyMMdd` or `yyyyMMddHH`.
    pub stamp: String,
    /// From 1 for each stamp.
    pub instance: u32,
}

impl RolledName {
    /// Reads a file's name, whatever follows the number.
    pub fn of(name: &str) -> Option<RolledName> {
        let direction = direction_of_name(name)?;
        let rest = name.get(4..)?;
        let (stamp, rest) = rest.split_once('-')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_stamp = matches!(stamp.len(), 8 | 10) && stamp.bytes().all(|byte| byte.is_ascii_digit());
        let instance = rest[..digits].parse().ok()?;
        is_stamp.then(|| RolledName { direction, stamp: stamp.to_owned(), instance })
    }
}

/// The direction that a name's prefix tells.
pub(crate) fn direction_of_name(name: &str) -> Option<Direction> {
    let prefix = name.get(..4)?;
    match prefix {
        _ if prefix.eq_ignore_ascii_case("SEND") => Some(Direction::Send),
        _ if prefix.eq_ignore_ascii_case("RECV") => Some(Direction::Receive),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(root: Option<&str>, folders: &str, expected: (Option<&str>, Role)) {
        let below: Vec<&str> = folders.split('/').filter(|name| !name.is_empty()).collect();
        let place = place(Folders { root, below: &below, ..Folders::default() });
        assert_eq!((place.server.as_deref(), place.role), expected, "{folders:?}");
    }

    #[track_caller]
    fn check_archive(root: Option<&str>, below: &[&str], stem: &str, inside: &[&str], expected: (Option<&str>, Role)) {
        let place = place(Folders { root, below, stem: Some(stem), inside, ..Folders::default() });
        assert_eq!((place.server.as_deref(), place.role), expected, "{below:?} {stem} {inside:?}");
    }

    #[test]
    fn an_archive_names_a_server_where_no_folder_does() {
        check_archive(Some("download"), &[], "ex001", &[], (Some("EX001"), Role::Unknown));
        check_archive(Some("download"), &[], "ex001", &["Hub", "SmtpSend"], (Some("EX001"), Role::Hub));
        check_archive(Some("fleet"), &["EX001"], "march", &["FrontEnd"], (Some("EX001"), Role::Frontend));
        check_archive(None, &[], "logs-of-march", &["EX7", "Hub"], (Some("EX7"), Role::Hub));
        check_archive(None, &[], "2024-03", &["SmtpSend"], (None, Role::Unknown));
        check_archive(None, &[], "SmtpReceive", &[], (None, Role::Unknown));
    }

    #[test]
    fn folders_above_the_path_tell_the_role_and_no_server() {
        let up_to_root = ["TransportRoles", "Logs", "Mailbox", "ProtocolLog", "SmtpSend"];
        let told = place(Folders {
            root: Some("SmtpSend"),
            up_to_root: &up_to_root,
            below: &["Delivery"],
            ..Folders::default()
        });
        assert_eq!((told.server, told.role), (None, Role::MailboxDelivery));
    }

    #[test]
    fn servers_and_roles() {
        check(None, "EX001/TransportRoles/Logs/Hub/ProtocolLog/SmtpSend", (Some("EX001"), Role::Hub));
        check(None, "ex001.contoso.com/SmtpSend", (Some("EX001"), Role::Unknown));
        check(None, "fleet/EX1/D$/FrontEnd/ProtocolLog/SmtpReceive/2024-03", (Some("EX1"), Role::Frontend));
        check(None, "EX1/Logs/Mailbox/ProtocolLog/SmtpSend/Submission", (Some("EX1"), Role::MailboxSubmission));
        check(None, "EX1/Logs/Mailbox", (Some("EX1"), Role::Unknown));
        check(Some("EX7"), "Hub/ProtocolLog", (Some("EX7"), Role::Hub));
        check(Some("download"), "", (None, Role::Unknown));
        check(Some("download"), "20240301", (None, Role::Unknown));
        check(Some("Logs"), "Hub", (None, Role::Hub));
        check(None, "srv1/C$/WINNT/System32/LogFiles/SMTPSVC1", (Some("SRV1"), Role::Unknown));
        check(Some("relay"), "smtpsvc12", (Some("RELAY"), Role::Unknown));
        check(None, "SMTPSVCX", (Some("SMTPSVCX"), Role::Unknown));
    }

    #[test]
    fn rolled_names_sort_by_number() {
        let name = |text| RolledName::of(text).unwrap();
        assert!(name("SEND20240301-9.LOG") < name("SEND20240301-10.LOG.zst"));
        assert!(name("RECV2024030106-2.LOG") < name("RECV2024030107-1.LOG"));
        assert_eq!(RolledName::of("SEND2024030-1.LOG"), None);
        assert_eq!(RolledName::of("SEND20240301.LOG"), None);
        assert_eq!(RolledName::of("MSGTRK20240301-1.LOG"), None);
    }
}
