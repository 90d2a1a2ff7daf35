//! Results as `FINISH` prints them, and what they are facts about.
//!
//! `Microsoft.Exchange.Data.X {Name='Inbound from 1' RequireTls=1 SenderDomains=['smtp:*;1'] Comment= Enabled=True}`

use crate::fact::{AcceptedDomain, Connector, ConnectorKind, Fact, Property, Value};

/// Bytes of an object. A connector's have some kilobytes.
const OBJECT_BYTES_MAX: usize = 256 << 10;

/// Objects of one entry that cannot be read. Each may take a look at [`OBJECT_BYTES_MAX`]; past this the rest of the
/// entry counts as one of them.
const UNREAD_MAX: u64 = 100;

/// Properties of connectors that are yes or no, and print as 1 or 0.
const FLAGS: [&str; 18] = [
    "CloudServicesMailEnabled",
    "DNSRoutingEnabled",
    "Enabled",
    "EnableAuthGSSAPI",
    "ForceHELO",
    "FrontendProxyEnabled",
    "IgnoreSTARTTLS",
    "IsScopedConnector",
    "IsSmtpConnector",
    "IsTransportRuleScoped",
    "RequireTls",
    "RestrictDomainsToCertificate",
    "RestrictDomainsToIPAddresses",
    "RouteAllMessagesViaOnPremises",
    "ScanAndDropRecipients",
    "TestMode",
    "TreatMessagesAsInternal",
    "UseMXRecord",
];

/// What an object is about, if it is a fact here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Connector(ConnectorKind),
    AcceptedDomain,
    Certificate,
}

/// What the results of a cmdlet are, if they are of use.
pub(super) fn subject(cmdlet: &str) -> Option<Subject> {
    let (verb, noun) = cmdlet.split_once('-')?;
    if !["Get", "New", "Set"].iter().any(|known| known.eq_ignore_ascii_case(verb)) {
        return None;
    }
    match noun.to_ascii_lowercase().as_str() {
        "inboundconnector" => Some(Subject::Connector(ConnectorKind::Inbound)),
        "outboundconnector" => Some(Subject::Connector(ConnectorKind::Outbound)),
        "sendconnector" => Some(Subject::Connector(ConnectorKind::Send)),
        "receiveconnector" => Some(Subject::Connector(ConnectorKind::Receive)),
        "accepteddomain" => Some(Subject::AcceptedDomain),
        "exchangecertificate" => Some(Subject::Certificate),
        _ => None,
    }
}

/// What an object's properties say; `None` without a name. Certificates are read elsewhere, from their bytes.
pub(super) fn fact(subject: Subject, properties: Vec<Property>) -> Option<Fact> {
    match subject {
        Subject::Connector(kind) => connector(kind, properties).map(Fact::Connector),
        Subject::AcceptedDomain => accepted_domain(&properties).map(Fact::AcceptedDomain),
        Subject::Certificate => None,
    }
}

/// A value as an object prints it, or as XML shows it with the type beside it.
pub(super) fn value(name: &str, text: &str) -> Value {
    let is_flag = || FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(name));
    match text {
        "" | "$null" => Value::Empty,
        "True" | "true" => Value::Flag(true),
        "False" | "false" => Value::Flag(false),
        "1" if is_flag() => Value::Flag(true),
        "0" if is_flag() => Value::Flag(false),
        _ => Value::Text(text.to_owned()),
    }
}

/// Objects in a text, and how many begin but cannot be read.
pub(super) fn objects(text: &str) -> (Vec<Vec<Property>>, u64) {
    let (mut found, mut unread) = (Vec::new(), 0);
    let mut rest = text;
    while !rest.is_empty() && unread <= UNREAD_MAX {
        let line_end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let inside = begin(&rest[..line_end]).map(|begin| &rest[begin..]);
        rest = match inside.map(object) {
            None => &rest[line_end..],
            Some(Some((properties, after))) => {
                found.push(properties);
                after
            }
            Some(None) => {
                unread += 1;
                &rest[line_end..]
            }
        };
    }
    (found, unread)
}

fn connector(kind: ConnectorKind, properties: Vec<Property>) -> Option<Connector> {
    let text = |name: &str| crate::fact::value(&properties, name).and_then(Value::text);
    let identity = text("Identity").unwrap_or_default();
    let (identity_server, identity_name) = match identity.rsplit_once('\\') {
        Some((server, name)) => (Some(server), name),
        None => (None, identity),
    };
    let name = text("Name").unwrap_or(identity_name).to_owned();
    let server = match kind {
        ConnectorKind::Receive => text("Server").or(identity_server).map(str::to_owned),
        _ => None,
    };
    (!name.is_empty()).then_some(Connector { kind, name, server, properties })
}

fn accepted_domain(properties: &[Property]) -> Option<AcceptedDomain> {
    let text = |name: &str| crate::fact::value(properties, name).and_then(Value::text);
    let domain = text("DomainName").or(text("Name"))?.to_ascii_lowercase();
    let subdomains = crate::fact::value(properties, "MatchSubDomains").and_then(Value::flag) == Some(true);
    let domain = match subdomains && !domain.starts_with("*.") {
        true => format!("*.{domain}"),
        false => domain,
    };
    Some(AcceptedDomain { domain, domain_type: text("DomainType").map(str::to_owned) })
}

/// Where the properties begin in a line `Type {...`.
fn begin(line: &str) -> Option<usize> {
    let trimmed = line.trim_start();
    let indent = line.len() - trimmed.len();
    let name_end = trimmed.find([' ', '{'])?;
    let is_name = trimmed[..name_end].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._`+[],".contains(&byte));
    let brace = trimmed[name_end..].trim_start().strip_prefix('{')?;
    is_name.then_some(indent + trimmed.len() - brace.len())
}

/// The properties up to the closing brace, and what follows it.
fn object(text: &str) -> Option<(Vec<Property>, &str)> {
    let limited = &text[..text.floor_char_boundary(OBJECT_BYTES_MAX)];
    let mut properties = Vec::new();
    let mut rest = limited;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((properties, &text[limited.len() - after.len()..]));
        }
        let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let (name, after) = rest.split_at(name_end);
        let (value, after) = property_value(name, after.strip_prefix('=')?)?;
        properties.push(Property { name: name.to_owned(), value });
        rest = after;
    }
}

fn property_value<'a>(name: &str, text: &'a str) -> Option<(Value, &'a str)> {
    match text.chars().next()? {
        '\'' => {
            let (quoted, rest) = quoted(&text[1..])?;
            let value = if quoted.is_empty() { Value::Empty } else { Value::Text(quoted) };
            Some((value, rest))
        }
        // `[System.String] x` is a value with its type, not a list.
        '[' => match list(&text[1..])? {
            (items, rest) if ends(rest) => Some((Value::List { items, cut: false }, rest)),
            _ => bare(name, text),
        },
        '{' => {
            let end = nested_end(text)?;
            Some((Value::Text(text[..end].to_owned()), &text[end..]))
        }
        _ => bare(name, text),
    }
}

/// Whether a value may end before this text.
fn ends(rest: &str) -> bool {
    rest.starts_with(['}', '\r', '\n', ',']) || rest.strip_prefix(' ').is_some_and(is_next) || rest.is_empty()
}

/// Whether the text goes on with a property or ends the object.
fn is_next(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.starts_with('}') || end > 0 && text[end..].starts_with('=')
}

/// A value without quotes: it ends where the next property begins, for it may have blanks.
fn bare<'a>(name: &str, text: &'a str) -> Option<(Value, &'a str)> {
    let mut characters = text.char_indices();
    let end = characters.find(|(at, character)| match character {
        '}' => true,
        ' ' | '\n' | ',' => is_next(&text[at + 1..]),
        _ => false,
    });
    let (end, _) = end?;
    Some((value(name, text[..end].trim_end()), &text[end..]))
}

/// The items up to the closing bracket, and what follows it.
fn list(text: &str) -> Option<(Vec<String>, &str)> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\r', '\n']);
        if let Some(after) = rest.strip_prefix(']') {
            return Some((items, after));
        }
        let (item, after) = match rest.strip_prefix('\'') {
            Some(inside) => quoted(inside)?,
            None => {
                let end = rest.find([',', ']'])?;
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        items.push(item);
        rest = after;
    }
}

/// A quoted text without its first quote. Doubled quotes stand for one, and a quote within a word is none that ends.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        item.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            None | Some(' ' | ',' | ']' | '}' | '\r' | '\n') => return Some((item, rest)),
            Some('\'') => rest = &rest[1..],
            Some(_) => {}
        }
        item.push('\'');
    }
}

/// Where braces that begin the text close again.
fn nested_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects as `name=value` with `|` between the items of a list, and how many were unread.
    #[track_caller]
    fn check(text: &str, expected: &[&[&str]], unread: u64) {
        let (objects, found_unread) = objects(text);
        let shown: Vec<Vec<String>> = objects.iter().map(|object| object.iter().map(shown).collect()).collect();
        assert_eq!(shown, expected, "{text:?}");
        assert_eq!(found_unread, unread, "{text:?}");
    }

    fn shown(property: &Property) -> String {
        let value = match &property.value {
            Value::Empty => "(empty)".to_owned(),
            Value::Flag(flag) => format!("({flag})"),
            Value::Text(text) => text.clone(),
            Value::List { items, .. } => format!("[{}]", items.join("|")),
        };
        format!("{}={value}", property.name)
    }

    #[test]
    fn properties() {
        check("Microsoft.X {Name='a b' RequireTls=1 Cost=1}", &[&["Name=a b", "RequireTls=(true)", "Cost=1"]], 0);
        check(
            "X {L=['smtp:*;1','b'] E=[] N= T='' B=False}",
            &[&["L=[smtp:*;1|b]", "E=[]", "N=(empty)", "T=(empty)", "B=(false)"]],
            0,
        );
        check("X {Identity=EX1\\Default EX1 Enabled=0}", &[&["Identity=EX1\\Default EX1", "Enabled=(false)"]], 0);
        check("X {A={B=1 C={D=2}} E=3}", &[&["A={B=1 C={D=2}}", "E=3"]], 0);
        check("X {A=[System.String] b,C=d}", &[&["A=[System.String] b", "C=d"]], 0);
        check("X {Name='O'Brien' B='O''Brien'}", &[&["Name=O'Brien", "B=O'Brien"]], 0);
        check("X {A='<I>CN=a, C=US<S>CN=b' B=2}", &[&["A=<I>CN=a, C=US<S>CN=b", "B=2"]], 0);
        check("X {}", &[&[]], 0);
    }

    #[test]
    fn several_objects_and_damaged_ones() {
        check("FINISH Time=1ms Results=2\nX {A=1}\n  Y {A=2\nB=3}\n", &[&["A=1"], &["A=2", "B=3"]], 0);
        check("X {A=1\n", &[], 1);
        check("X {A=1 B=['c\nY {A=2}", &[&["A=2"]], 1);
        check("X {A}\nY {A=2}", &[&["A=2"]], 1);
        check(&"X {A=1\n".repeat(1_000), &[], UNREAD_MAX + 1);
        check("no object at all\n{A=1}", &[&["A=1"]], 0);
    }

    #[test]
    fn names_and_servers_of_connectors() {
        let connector = |kind, text: &str| {
            let properties = objects(text).0.remove(0);
            connector(kind, properties).map(|connector| (connector.name, connector.server))
        };
        let named = |name: &str, server: Option<&str>| Some((name.to_owned(), server.map(str::to_owned)));
        let receive = ConnectorKind::Receive;
        assert_eq!(connector(receive, "X {Identity='EX1\\Default EX1'}"), named("Default EX1", Some("EX1")));
        assert_eq!(connector(receive, "X {Name='D' Server='EX2'}"), named("D", Some("EX2")));
        assert_eq!(connector(ConnectorKind::Send, "X {Name='Out' Identity='Out'}"), named("Out", None));
        assert_eq!(connector(ConnectorKind::Send, "X {Cost=1}"), None);
    }

    #[test]
    fn accepted_domains() {
        let domain = |text: &str| accepted_domain(&objects(text).0.remove(0)).map(|domain| domain.domain);
        assert_eq!(domain("X {DomainName='Contoso.COM' Name='x'}").as_deref(), Some("contoso.com"));
        assert_eq!(domain("X {DomainName='contoso.com' MatchSubDomains=True}").as_deref(), Some("*.contoso.com"));
        assert_eq!(domain("X {DomainType='Authoritative'}"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "X \\{(A=|B=|'|\\[|\\]|\\{|\\}|,| |\n|[a-z]|ü){0,60}") {
            objects(&text);
        }
    }
}
