//! What exported objects say: the facts that connectors, accepted domains and certificates become.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{moment::moment, objects::Object, types::Type};
use crate::{
    fact::{AcceptedDomain, Certificate, CertificateNames, Connector, ConnectorKind, Fact, Value},
    x509,
};

/// Why an object says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// It is of no use here: what it is.
    Passed(&'static str),
    /// It cannot be read: why.
    Rejected(String),
}

/// Standard Base64, with or without its padding: cells are cut at blanks by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an object of this type says.
pub(crate) fn fact(object: Object, told: Type) -> Result<Fact, Nothing> {
    match told {
        Type::Connector(kind) => Ok(Fact::Connector(connector(object, kind))),
        Type::AcceptedDomain => accepted_domain(&object).map(Fact::AcceptedDomain),
        Type::Certificate => certificate(&object),
        Type::HybridConfiguration => Err(Nothing::Passed("HybridConfiguration")),
    }
}

/// A connector keeps its properties; one without a name still says what it is set to.
fn connector(object: Object, kind: ConnectorKind) -> Connector {
    let identity = object.property("Identity");
    let (server, rest) = match (kind, identity.and_then(|identity| identity.split_once('\\'))) {
        (ConnectorKind::Receive, Some((server, rest))) => (Some(server.to_owned()), Some(rest)),
        _ => (None, identity),
    };
    let name = object.property("Name").or(rest).or(object.text.as_deref()).unwrap_or_default().to_owned();
    let server = match kind {
        ConnectorKind::Receive => {
            server.or_else(|| object.property("Server").or(object.server.as_deref()).map(str::to_owned))
        }
        _ => None,
    };
    Connector { kind, name, server, properties: object.properties }
}

fn accepted_domain(object: &Object) -> Result<AcceptedDomain, Nothing> {
    let named = object.property("DomainName").or_else(|| object.property("Name").filter(|name| name.contains('.')));
    let Some(domain) = named.map(|domain| domain.trim().to_lowercase()) else {
        return Err(Nothing::Rejected("an accepted domain without a domain".to_owned()));
    };
    let with_subdomains = object.value("MatchSubDomains").and_then(Value::flag) == Some(true);
    let domain = match with_subdomains && !domain.starts_with('*') {
        true => format!("*.{domain}"),
        false => domain,
    };
    Ok(AcceptedDomain { domain, domain_type: object.property("DomainType").map(str::to_owned) })
}

fn certificate(object: &Object) -> Result<Fact, Nothing> {
    let shown = object.value("RawData").and_then(der).map(|der| x509::certificate(&der));
    if let Some(Ok(certificate)) = shown {
        let (server, services) = (installed_on(object), services(object));
        return Ok(Fact::Certificate(Box::new(Certificate { server, services, ..certificate })));
    }
    match (certificate_names(object), shown) {
        (Some(names), _) => Ok(Fact::CertificateNames(names)),
        (None, Some(Err(error))) => Err(Nothing::Rejected(format!("a certificate: {error}"))),
        (None, _) => Err(Nothing::Passed("certificate without thumbprint")),
    }
}

/// The bytes of `RawData`: Base64, or a list of numbers.
fn der(raw: &Value) -> Option<Vec<u8>> {
    match raw {
        Value::Text(text) => {
            let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
            BASE64.decode(text).ok()
        }
        Value::List { items, cut: false } => items.iter().map(|item| item.parse().ok()).collect(),
        _ => None,
    }
}

fn certificate_names(object: &Object) -> Option<CertificateNames> {
    let section = |name: &str| object.text.as_deref().and_then(|text| section(text, name));
    let text = |property: &str, name: &str| object.property(property).or_else(|| section(name)).map(str::to_owned);
    let time = |property: &str, name: &str| text(property, name).and_then(|time| moment(&time));
    let serial = text("SerialNumber", "Serial Number").map(|serial| hex(&serial)).filter(|serial| !serial.is_empty());
    let domains = object.value("CertificateDomains").or_else(|| object.value("DnsNameList"));
    Some(CertificateNames {
        thumbprint: thumbprint(&text("Thumbprint", "Thumbprint")?)?,
        subject: text("Subject", "Subject").unwrap_or_default(),
        issuer: text("Issuer", "Issuer").unwrap_or_default(),
        serial,
        names: domains.map(Value::items).unwrap_or_default().into_iter().map(str::to_owned).collect(),
        not_before_ms: time("NotBefore", "Not Before"),
        not_after_ms: time("NotAfter", "Not After"),
        server: installed_on(object),
        services: services(object),
    })
}

/// A section of what .NET's certificates call themselves: `[Subject]`, a line end, two blanks, and the text.
fn section<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| {
        line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).is_none_or(|inner| inner != name)
    });
    lines.nth(1).filter(|line| !line.is_empty())
}

/// The server of `Identity : SERVER\THUMBPRINT`, or of the prompt line. The computer of a remote session
/// (`PSComputerName`) is no answer: `Get-ExchangeCertificate -Server` asks another one.
fn installed_on(object: &Object) -> Option<String> {
    let identity = object.property("Identity").and_then(|identity| identity.split_once('\\'));
    let server = identity.filter(|(_, rest)| thumbprint(rest).is_some()).map(|(server, _)| server);
    server.or(object.server.as_deref()).map(str::to_owned)
}

fn services(object: &Object) -> Option<String> {
    let services = object.value("Services")?.items().join(", ");
    (!services.is_empty()).then_some(services)
}

/// A thumbprint as 40 upper-case hex digits. Windows' certificate dialog puts blanks between the bytes and an invisible
/// mark before them, which becomes a question mark in files of an 8-bit code page.
pub(crate) fn thumbprint(text: &str) -> Option<String> {
    let digits = hex(text.trim_start_matches('?'));
    (digits.len() == 40).then_some(digits)
}

/// Hex digits in upper case, without marks and blanks; nothing if there is anything else.
fn hex(text: &str) -> String {
    let is_mark =
        |letter: char| letter.is_whitespace() || matches!(letter, ':' | '-' | '\u{200E}' | '\u{200F}' | '\u{FEFF}');
    let digits: String =
        text.chars().filter(|&letter| !is_mark(letter)).map(|letter| letter.to_ascii_uppercase()).collect();
    match digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => digits,
        false => String::new(),
    }
}

#[cfg(test)]
mod tests;
