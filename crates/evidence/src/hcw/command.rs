//! A call as the wizard writes it: a cmdlet and its parameters in PowerShell's words.
//!
//! `New-InboundConnector -Name 'Inbound from 1' -RequireTLS: $true -SenderDomains '*','b.c' -SenderIPAddresses $null`

use crate::fact::{Property, Value};

/// Bytes of a call. Those that name hundreds of domains have some kilobytes.
pub(super) const COMMAND_BYTES_MAX: usize = 64 << 10;

/// The parameter that a value without one belongs to: `Remove-SendConnector 'Outbound to Office 365'`.
const FIRST_PARAMETER: &str = "Identity";

/// Verbs of calls that change something.
const CHANGING: [&str; 8] = ["Add", "Disable", "Enable", "Import", "New", "Remove", "Set", "Update"];

/// What such a call has to change to matter for the flow of mail.
const MAIL_FLOW: [&str; 20] = [
    "AcceptedDomain",
    "AuthConfig",
    "AuthServer",
    "EmailAddressPolicy",
    "ExchangeCertificate",
    "FederatedOrganizationIdentifier",
    "FederationTrust",
    "HybridConfiguration",
    "HybridMailflow",
    "InboundConnector",
    "IntraOrganizationConnector",
    "OnPremisesOrganization",
    "OrganizationConfig",
    "OrganizationRelationship",
    "OutboundConnector",
    "ReceiveConnector",
    "RemoteDomain",
    "SendConnector",
    "TransportConfig",
    "TransportService",
];

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// `New-InboundConnector`.
    pub(super) cmdlet: String,
    /// In order.
    pub(super) parameters: Vec<Property>,
}

/// Reads a call; `None` if the text does not begin with a cmdlet or is longer than [`COMMAND_BYTES_MAX`].
pub(super) fn command(text: &str) -> Option<Command> {
    let text = text.trim();
    let (cmdlet, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if text.len() > COMMAND_BYTES_MAX || !is_cmdlet(cmdlet) {
        return None;
    }
    Some(Command { cmdlet: cmdlet.to_owned(), parameters: parameters(rest) })
}

/// Whether a call of this cmdlet changes the flow of mail.
pub(super) fn changes_mail_flow(cmdlet: &str) -> bool {
    let Some((verb, noun)) = cmdlet.split_once('-') else {
        return false;
    };
    let knows = |words: &[&str], word: &str| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    knows(&CHANGING, verb) && knows(&MAIL_FLOW, noun)
}

fn is_cmdlet(word: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    word.split_once('-').is_some_and(|(verb, noun)| is_word(verb) && is_word(noun))
}

fn parameters(text: &str) -> Vec<Property> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = parameter_name(rest).unwrap_or((FIRST_PARAMETER, rest));
        let (value, after) = value(after.trim_start());
        // A value that no parameter takes would never end.
        let after = if after.len() == rest.len() { skip_one(after) } else { after };
        parameters.push(Property { name: name.to_owned(), value });
        rest = after.trim_start();
    }
    parameters
}

/// `-Name` or `-Name:`, and what follows.
fn parameter_name(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('-').filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let rest = &name[end..];
    Some((&name[..end], rest.strip_prefix(':').unwrap_or(rest)))
}

/// The value at the begin of the text, and what follows. A parameter without one is a switch.
fn value(text: &str) -> (Value, &str) {
    if text.is_empty() || parameter_name(text).is_some() {
        return (Value::Flag(true), text);
    }
    let (mut items, mut rest, mut quoted) = (Vec::new(), text, false);
    loop {
        let (item, after, is_quoted) = item(rest);
        quoted |= is_quoted;
        items.push(item);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => break,
        }
        if parameter_name(rest).is_some() {
            break; // A comma too many.
        }
    }
    if items.len() > 1 {
        return (Value::List { items, cut: false }, rest);
    }
    let item = items.pop().unwrap_or_default();
    let value = match item.to_ascii_lowercase().as_str() {
        "" | "$null" if !quoted || item.is_empty() => Value::Empty,
        "@()" if !quoted => Value::List { items: Vec::new(), cut: false },
        "$true" if !quoted => Value::Flag(true),
        "$false" if !quoted => Value::Flag(false),
        _ => Value::Text(item),
    };
    (value, rest)
}

/// One item of a value, what follows it, and whether it was quoted.
fn item(text: &str) -> (String, &str, bool) {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => match quoted(&text[1..], quote) {
            Some((item, rest)) => (item, rest, true),
            None => (text[1..].to_owned(), "", true), // A cut line: its quote never ends.
        },
        _ => {
            let end = bare_end(text);
            (text[..end].trim_end().to_owned(), &text[end..], false)
        }
    }
}

/// A quoted text without its first quote. Doubled quotes stand for one, and a quote within a word, as in a name, is
/// none that ends.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(quote)?;
        item.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            None | Some(' ' | ',' | '\t' | '\r' | '\n' | ')') => return Some((item, rest)),
            Some(next) if next == quote => rest = &rest[1..],
            Some(_) => {}
        }
        item.push(quote);
    }
}

/// Where an item without quotes ends: at the next parameter, or at a comma. The commas of `<I>issuer<S>subject` part
/// the names within it.
fn bare_end(text: &str) -> usize {
    let has_names = text.starts_with("<I>");
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 && !has_names => return at,
            ' ' if depth == 0 && parameter_name(&text[at + 1..]).is_some() => return at,
            _ => {}
        }
    }
    text.len()
}

fn skip_one(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters as `name=value` with `|` between the items of a list.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let command = command(text).unwrap();
        let shown: Vec<String> = command.parameters.iter().map(shown).collect();
        assert_eq!(shown, expected, "{text:?}");
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
    fn values() {
        check("Get-InboundConnector", &[]);
        check("New-X -Name 'a b' -Enabled: $true -Off:$FALSE", &["Name=a b", "Enabled=(true)", "Off=(false)"]);
        check(
            "New-X -Domains 'a','b' -Ips $null -Type OnPremises",
            &["Domains=[a|b]", "Ips=(empty)", "Type=OnPremises"],
        );
        check("New-X -Domains 'a', \"b c\"", &["Domains=[a|b c]"]);
        check("New-X -Force -Confirm: $false", &["Force=(true)", "Confirm=(false)"]);
        check("New-X -Text '' -Null '$null' -None @()", &["Text=(empty)", "Null=$null", "None=[]"]);
        check("Remove-X 'Outbound to Office 365'", &["Identity=Outbound to Office 365"]);
        check("New-X -Name Inbound from here -Next 1", &["Name=Inbound from here", "Next=1"]);
        check("New-X -Name @{a='b, c'} -Next 1", &["Name=@{a='b, c'}", "Next=1"]);
    }

    #[test]
    fn names_of_certificates_keep_their_commas() {
        let names = "<I>CN=GeoTrust RSA CA 2018, O=DigiCert Inc, C=US<S>CN=mail.contoso.com";
        check(&format!("New-X -TLSCertificateName '{names}' -B 1"), &[&format!("TLSCertificateName={names}"), "B=1"]);
        check(&format!("New-X -TLSCertificateName {names} -B 1"), &[&format!("TLSCertificateName={names}"), "B=1"]);
    }

    #[test]
    fn quotes_end_at_the_end_of_a_word() {
        check("New-X -Name 'O''Brien' -B 1", &["Name=O'Brien", "B=1"]);
        check("New-X -Name 'O'Brien -x' -B 1", &["Name=O'Brien -x", "B=1"]);
        check("New-X -Name 'cut -B 1", &["Name=cut -B 1"]);
        check("New-X , -B 1", &["Identity=(empty)", "B=1"]);
    }

    #[test]
    fn what_is_no_call() {
        for text in ["", "Inbound connector", "-Name x", "New-", "http://a-b/c"] {
            assert_eq!(command(text), None, "{text:?}");
        }
        assert_eq!(command(&format!("New-X -A {}", "x".repeat(COMMAND_BYTES_MAX))), None);
    }

    #[test]
    fn calls_that_change_the_flow_of_mail() {
        assert!(changes_mail_flow("Set-SendConnector") && changes_mail_flow("set-hybridconfiguration"));
        assert!(!changes_mail_flow("Get-SendConnector") && !changes_mail_flow("Set-OwaVirtualDirectory"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "New-X (-[A-Z]| |'|,|<I>|\\$true|@\\{|[a-z]|-|\"|:|ü){0,40}") {
            command(&text).unwrap();
        }
    }
}
