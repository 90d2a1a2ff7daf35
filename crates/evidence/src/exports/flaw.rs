//! Files that were meant to be exports and say nothing: tables, which cut their values, and exports of nothing.
//!
//! ```text
//! Name                     Enabled ConnectorType TlsSenderCertificateName
//! ----                     ------- ------------- ------------------------
//! Inbound from HQ          True    OnPremises    mail.contoso.com
//! ```

use std::fmt;

use super::{behind_marks, types};
use crate::{kinds::Document, text::decode};

/// Bytes in which a table's heading must be found.
const HEAD_BYTES: usize = 64 << 10;

/// Names of properties that occur in tables of known types; most are columns if nobody chooses any.
const COLUMNS: [&str; 10] = [
    "AddressSpaces",
    "CertificateDomains",
    "ConnectorType",
    "DomainType",
    "RecipientDomains",
    "RemoteIPRanges",
    "SenderDomains",
    "SenderIPAddresses",
    "TlsCertificateName",
    "TlsSenderCertificateName",
];

/// Why a file that was meant to be an export says nothing. Displayed it says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The output of Format-Table, which is what a cmdlet prints if few properties are asked for.
    Table,
    /// No object at all, under a name that speaks of this cmdlet.
    Nothing(&'static str),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Table => f.write_str(
                "looks like a PowerShell table, which cuts values; export it again with | Format-List, or with \
                 | Export-Clixml FILE",
            ),
            Flaw::Nothing(cmdlet) => write!(
                f,
                "an export without any object, which proves nothing: run {cmdlet} again and see whether it lists any; \
                 if it does, export them with | Export-Clixml FILE"
            ),
        }
    }
}

/// What is wrong with a file of which nothing was read, if it was meant to be an export.
pub fn flaw(document: &Document<'_>) -> Option<Flaw> {
    let decoded = decode(document.bytes.get(..HEAD_BYTES).unwrap_or(document.bytes));
    let (text, _) = behind_marks(&decoded.text);
    let is_nothing = matches!(text.trim(), "" | "[]" | "null") || super::clixml::is_clixml(text);
    match types::cmdlet(document.name) {
        Some(cmdlet) if is_nothing => Some(Flaw::Nothing(cmdlet)),
        named => has_table(text, named.is_some()).then_some(Flaw::Table),
    }
}

/// Whether the text has a table of a known type; with a name that speaks of one, any table will do.
fn has_table(text: &str, is_named: bool) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).any(|pair| match pair {
        [heading, rule] => {
            let names: Vec<&str> = heading.split_whitespace().collect();
            is_ruled(&names, rule) && (is_named || is_known(&names))
        }
        _ => false,
    })
}

/// Whether the second line underlines each name of the first.
fn is_ruled(names: &[&str], rule: &str) -> bool {
    let rules: Vec<&str> = rule.split_whitespace().collect();
    let is_of =
        |(name, rule): (&&str, &&str)| rule.bytes().all(|byte| byte == b'-') && name.chars().count() == rule.len();
    names.len() > 1 && names.len() == rules.len() && names.iter().zip(&rules).all(is_of)
}

fn is_known(names: &[&str]) -> bool {
    let has = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    types::of_names(&has).is_some() || COLUMNS.iter().any(|name| has(name)) || has("Identity") && has("Bindings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expected: Option<Flaw>) {
        let found = flaw(&Document { name, bytes: text.as_bytes() });
        assert_eq!(found, expected, "{name}: {text}");
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(flaw(&Document { name, bytes: &utf16 }), expected, "{name}: {text}");
    }

    #[test]
    fn tables_are_told_by_their_heading() {
        let inbound = "\r\nName            Enabled ConnectorType TlsSenderCertificateName\r\n\
                       ----            ------- ------------- ------------------------\r\n\
                       Inbound from HQ True    OnPremises    mail.contoso.com\r\n";
        check("x.txt", inbound, Some(Flaw::Table));
        check(
            "x.txt",
            "PS C:\\> Get-SendConnector\n\nIdentity AddressSpaces Enabled\n-------- ------------- -------\n",
            Some(Flaw::Table),
        );
        check(
            "x.txt",
            "Identity   Bindings     Enabled\n--------   --------     -------\nEX\\D {:::25} True",
            Some(Flaw::Table),
        );
        check(
            "x.txt",
            "Thumbprint  Services   Subject\n----------  --------   -------\n97355 IP.WS.. CN=a",
            Some(Flaw::Table),
        );
        check("x.txt", "Name DomainName DomainType Default\n---- ---------- ---------- -------\n", Some(Flaw::Table));
        check("Get-InboundConnector.txt", "Name Enabled\n---- -------\na True", Some(Flaw::Table));
        check("x.txt", "Name Enabled\n---- -------\na True", None);
        check("x.txt", "Name AddressSpaces\n=============\n", None);
        check("x.txt", "AddressSpaces and more\n------- ---- ----\n", None);
    }

    #[test]
    fn exports_of_nothing_are_told_by_their_name() {
        let nothing = Some(Flaw::Nothing("Get-InboundConnector"));
        for text in ["", "\r\n", "[]", "[ ]", "null"] {
            check("Get-InboundConnector.json", text, if text == "[ ]" { None } else { nothing });
            check("x.json", text, None);
        }
        let empty = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"></Objs>";
        check("inboundconnectors.xml", empty, nothing);
    }
}
