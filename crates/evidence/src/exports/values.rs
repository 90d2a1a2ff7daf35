//! Values as the shapes of an export write them, brought to one form.
//!
//! A list that PowerShell was told to join is a list again; one of which only the type's name was written is cut; an
//! enumeration is its name; an object within an object is what Exchange would call it.

use crate::fact::{Property, Value, value};

/// How the items of a list look, which decides at what a joined one is parted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    /// Domains, addresses, names of servers.
    Words,
    /// `smtp:*.contoso.com;1`: the cost belongs to the domain before it.
    Costed,
    /// `mail.protection.outlook.com:AcceptCloudServicesMail`: a capability without a domain belongs to the one before it.
    Capabilities,
    /// Names that may hold blanks.
    Names,
}

/// Properties that are lists, of all types that mean something here.
const LISTS: &[(&str, Items)] = &[
    ("AddressSpaces", Items::Costed),
    ("AssociatedAcceptedDomains", Items::Words),
    ("Bindings", Items::Words),
    ("CertificateDomains", Items::Words),
    ("ClientHostNames", Items::Words),
    ("ConnectedDomains", Items::Words),
    ("DnsNameList", Items::Words),
    ("EFSkipIPs", Items::Words),
    ("EFUsers", Items::Names),
    ("ObjectClass", Items::Words),
    ("RecipientDomains", Items::Words),
    ("RemoteIPRanges", Items::Words),
    ("ScanAndDropRecipients", Items::Words),
    ("SenderDomains", Items::Costed),
    ("SenderIPAddresses", Items::Words),
    ("SmartHosts", Items::Words),
    ("SourceTransportServers", Items::Words),
    ("TlsDomainCapabilities", Items::Capabilities),
    ("TrustedOrganizations", Items::Words),
    ("ValidationRecipients", Items::Words),
];

/// Enumerations that JSON of Windows PowerShell shows as numbers, as far as they are beyond doubt (FORMATS section 5.1
/// shows CertificateValidation as 2 and None as 0).
const NUMBERED: &[(&str, &[(&str, &str)])] = &[
    ("TlsAuthLevel", &[("1", "EncryptionOnly"), ("2", "CertificateValidation"), ("3", "DomainValidation")]),
    ("ProtocolLoggingLevel", &[("0", "None"), ("1", "Verbose")]),
];

/// What a text says, as the value of the property.
pub(crate) fn of_text(name: &str, text: &str) -> Value {
    match text.trim() {
        "" | "$null" => Value::Empty,
        "True" | "true" | "TRUE" | "$true" => Value::Flag(true),
        "False" | "false" | "FALSE" | "$false" => Value::Flag(false),
        trimmed if is_list_type(trimmed) => Value::List { items: Vec::new(), cut: true },
        trimmed => match items_of(name) {
            Some(items) => Value::List { items: parted(trimmed, items), cut: false },
            None => Value::Text(text.to_owned()),
        },
    }
}

/// What a number says, as the value of the property.
pub(crate) fn of_number(name: &str, number: &str) -> Value {
    let known = NUMBERED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let member = known.and_then(|(_, members)| members.iter().find(|(value, _)| *value == number));
    of_text(name, member.map_or(number, |(_, member)| member))
}

/// A list of values, each of them one item.
pub(crate) fn of_items(values: impl IntoIterator<Item = Value>) -> Value {
    let (mut items, mut is_cut) = (Vec::new(), false);
    for value in values {
        match value {
            Value::Empty => {}
            Value::Flag(flag) => items.push(if flag { "True" } else { "False" }.to_owned()),
            Value::Text(text) => items.push(text),
            Value::List { items: inner, cut } => {
                items.extend(inner);
                is_cut |= cut;
            }
        }
    }
    Value::List { items, cut: is_cut }
}

/// An object within an object: the text that Exchange itself would show for it. Where there is none, the export says
/// something that is not kept here, and the value is a list that is cut.
pub(crate) fn of_properties(properties: &[Property]) -> Value {
    // PowerShell 5.1 writes an array as `{"value":[...],"Count":2}` and a date as `{"value":"/Date(..)/",...}`.
    if let Some(inner) = value(properties, "value") {
        return inner.clone();
    }
    let text = |name: &str| value(properties, name).and_then(Value::text);
    if let (Some(issuer), Some(subject)) = (text("CertificateIssuer"), text("CertificateSubject")) {
        return Value::Text(format!("<I>{issuer}<S>{subject}"));
    }
    if let (Some(kind), Some(address), Some(cost)) = (text("Type"), text("Address"), text("Cost")) {
        return Value::Text(format!("{kind}:{address};{cost}"));
    }
    if let (Some(address), Some(port)) = (text("Address"), text("Port")) {
        let bracketed = address.contains(':') && !address.starts_with('[');
        return Value::Text(if bracketed { format!("[{address}]:{port}") } else { format!("{address}:{port}") });
    }
    if let (Some(first), Some(last)) = (text("LowerBound"), text("UpperBound")) {
        return Value::Text(text("Expression").map_or_else(|| format!("{first}-{last}"), str::to_owned));
    }
    let names = ["IPAddressToString", "Expression", "Domain", "Name", "Address", "SmtpDomain", "Unicode"];
    let named = names.iter().find_map(|name| text(name));
    let with_subdomains = value(properties, "IncludeSubDomains").and_then(Value::flag) == Some(true);
    match named {
        Some(domain) if with_subdomains && !domain.starts_with('*') => Value::Text(format!("*.{domain}")),
        Some(named) => Value::Text(named.to_owned()),
        None => Value::List { items: Vec::new(), cut: true },
    }
}

/// The text in braces of Format-List: `{a, b, c, d...}`. The dots say that there are more
/// (`$FormatEnumerationLimit`), and so does a brace that is never closed.
pub(crate) fn of_braces(text: &str) -> Option<Value> {
    let inner = text.strip_prefix('{')?;
    let (inner, mut cut) = match inner.strip_suffix('}') {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let whole = inner.trim();
    let shown = whole.strip_suffix("...").or_else(|| whole.strip_suffix('…'));
    cut |= shown.is_some();
    let items = shown.unwrap_or(whole).split(", ").map(str::trim);
    let items = items.filter(|item| !item.is_empty() && !is_list_type(item)).map(str::to_owned).collect();
    Some(Value::List { items, cut })
}

fn items_of(name: &str) -> Option<Items> {
    LISTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, items)| *items)
}

/// Whether the text is not a value but the name of a list's type, which CSV shows in its place, and JSON past its depth.
fn is_list_type(text: &str) -> bool {
    let is_dotnet = ["System.", "Microsoft.Exchange.", "Deserialized."].iter().any(|start| text.starts_with(start));
    is_dotnet && (text.contains(".Collections.") || text.contains("MultiValuedProperty") || text.ends_with("[]"))
}

fn parted(text: &str, items: Items) -> Vec<String> {
    // An X.400 address has semicolons of its own.
    if items == Items::Costed && text.to_ascii_lowercase().contains("x400:") {
        return vec![text.to_owned()];
    }
    let ends_item = |letter: char| match items {
        Items::Names => matches!(letter, ';' | ',' | '\n' | '\r'),
        _ => matches!(letter, ';' | ',') || letter.is_whitespace(),
    };
    let mut found: Vec<String> = Vec::new();
    for word in text.split(ends_item).map(str::trim).filter(|word| !word.is_empty()) {
        let (belongs_before, joint) = match items {
            Items::Costed => (word.bytes().all(|byte| byte.is_ascii_digit()), ';'),
            Items::Capabilities => (!word.contains(':'), ','),
            Items::Words | Items::Names => (false, ';'),
        };
        match found.last_mut() {
            Some(last) if belongs_before => {
                last.push(joint);
                last.push_str(word);
            }
            _ => found.push(word.to_owned()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str], cut: bool) -> Value {
        Value::List { items: items.iter().map(|item| (*item).to_owned()).collect(), cut }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[track_caller]
    fn check(name: &str, written: &str, expected: Value) {
        assert_eq!(of_text(name, written), expected, "{name} {written:?}");
    }

    #[test]
    fn texts() {
        check("Comment", "", Value::Empty);
        check("Comment", "  ", Value::Empty);
        check("TlsDomain", "$null", Value::Empty);
        check("Enabled", "True", Value::Flag(true));
        check("Enabled", "FALSE", Value::Flag(false));
        check("Name", "Default ", text("Default "));
        check("TlsSenderCertificateName", "*.contoso.com", text("*.contoso.com"));
        check("TlsCertificateName", "<I>CN=A, O=B; C<S>CN=D", text("<I>CN=A, O=B; C<S>CN=D"));
    }

    #[test]
    fn joined_lists() {
        check("SenderIPAddresses", "192.0.2.1", list(&["192.0.2.1"], false));
        check("SenderIPAddresses", "192.0.2.1;192.0.2.0/24", list(&["192.0.2.1", "192.0.2.0/24"], false));
        check("senderipaddresses", "192.0.2.1, 2001:db8::1\r\n", list(&["192.0.2.1", "2001:db8::1"], false));
        check("SenderDomains", "smtp:*;1", list(&["smtp:*;1"], false));
        check("SenderDomains", "smtp:*;1;smtp:a.example;10", list(&["smtp:*;1", "smtp:a.example;10"], false));
        check("AddressSpaces", "SMTP:a;1,SMTP:b;1", list(&["SMTP:a;1", "SMTP:b;1"], false));
        check("AddressSpaces", "a.example b.example", list(&["a.example", "b.example"], false));
        check("AddressSpaces", "X400:c=US;a= ;p=Contoso;1", list(&["X400:c=US;a= ;p=Contoso;1"], false));
        check("AddressSpaces", "1", list(&["1"], false));
        check("EFUsers", "Anna Berg; b@contoso.com", list(&["Anna Berg", "b@contoso.com"], false));
        let capabilities = "a.example:AcceptOorgHeader,AcceptOorgProtocol b.example:AcceptCloudServicesMail";
        let parted = ["a.example:AcceptOorgHeader,AcceptOorgProtocol", "b.example:AcceptCloudServicesMail"];
        check("TlsDomainCapabilities", capabilities, list(&parted, false));
    }

    #[test]
    fn a_types_name_is_a_list_that_is_not_shown() {
        for shown in [
            "System.Collections.ArrayList",
            "System.Object[]",
            "Microsoft.Exchange.Data.MultiValuedProperty`1[Microsoft.Exchange.Data.AddressSpace]",
            "Deserialized.System.String[]",
        ] {
            check("AddressSpaces", shown, list(&[], true));
            check("Anything", shown, list(&[], true));
        }
        check("Comment", "Systems of the [old] site", text("Systems of the [old] site"));
    }

    #[track_caller]
    fn check_braces(written: &str, expected: Option<Value>) {
        assert_eq!(of_braces(written), expected, "{written:?}");
    }

    #[test]
    fn braces() {
        check_braces("{}", Some(list(&[], false)));
        check_braces("{a}", Some(list(&["a"], false)));
        check_braces("{smtp:*;1, smtp:b;2}", Some(list(&["smtp:*;1", "smtp:b;2"], false)));
        check_braces("{a, b, c, d...}", Some(list(&["a", "b", "c", "d"], true)));
        check_braces("{a, b, c, d…}", Some(list(&["a", "b", "c", "d"], true)));
        check_braces("{a, b, ...}", Some(list(&["a", "b"], true)));
        check_braces("{a, b...", Some(list(&["a", "b"], true)));
        check_braces("{", Some(list(&[], true)));
        check_braces("a, b", None);
        check_braces("", None);
    }

    #[test]
    fn numbers() {
        assert_eq!(of_number("TlsAuthLevel", "2"), text("CertificateValidation"));
        assert_eq!(of_number("tlsauthlevel", "9"), text("9"));
        assert_eq!(of_number("ProtocolLoggingLevel", "1"), text("Verbose"));
        assert_eq!(of_number("Port", "25"), text("25"));
    }

    #[track_caller]
    fn check_properties(properties: &[(&str, Value)], expected: Value) {
        let property = |(name, value): &(&str, Value)| Property { name: (*name).to_owned(), value: value.clone() };
        let properties: Vec<Property> = properties.iter().map(property).collect();
        assert_eq!(of_properties(&properties), expected, "{properties:?}");
    }

    #[test]
    fn objects_within_objects() {
        check_properties(&[("value", list(&["a"], false)), ("Count", text("1"))], list(&["a"], false));
        let identifier = [("CertificateSubject", text("CN=a")), ("CertificateIssuer", text("CN=b"))];
        check_properties(&identifier, text("<I>CN=b<S>CN=a"));
        let space = [("Address", text("*")), ("Type", text("SMTP")), ("Cost", text("1")), ("Domain", text("*"))];
        check_properties(&space, text("SMTP:*;1"));
        check_properties(&[("Address", text("0.0.0.0")), ("Port", text("25"))], text("0.0.0.0:25"));
        check_properties(&[("Address", text("::")), ("Port", text("25"))], text("[::]:25"));
        check_properties(&[("LowerBound", text("::")), ("UpperBound", text("::9"))], text("::-::9"));
        check_properties(&[("Domain", text("a.example")), ("IsIPAddress", Value::Flag(false))], text("a.example"));
        let domain = [("Domain", text("a.example")), ("IncludeSubDomains", Value::Flag(true))];
        check_properties(&domain, text("*.a.example"));
        check_properties(&[("Rdn", text("CN=x")), ("Name", text("x"))], text("x"));
        check_properties(&[("Days", text("1"))], list(&[], true));
        check_properties(&[], list(&[], true));
    }

    #[test]
    fn lists_of_lists_are_one() {
        let inner = [text("a"), Value::Flag(true), Value::Empty, list(&["b"], true)];
        assert_eq!(of_items(inner), list(&["a", "True", "b"], true));
    }
}
