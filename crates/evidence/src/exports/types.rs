//! What an exported object is: told by its type's name, otherwise by its properties, otherwise by what stands around it.
//!
//! `Select-Object` and `ConvertTo-Json` lose the type's name and most properties, so a few properties that only one type
//! has must be enough; but a property that many types have says nothing, however well it would fit.

use super::objects::Object;
use crate::fact::ConnectorKind;

/// A type that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A connector of one of four kinds.
    Connector(ConnectorKind),
    /// `Get-AcceptedDomain`.
    AcceptedDomain,
    /// `Get-ExchangeCertificate`, or a certificate of Windows' own store.
    Certificate,
    /// `Get-HybridConfiguration`. It says what the wizard was asked for; what decides about mail are the connectors that
    /// the wizard made of it, so nothing of it is kept.
    HybridConfiguration,
}

/// Words in the names of types, of cmdlets and of keys. The first that occurs decides.
const NOUNS: &[(&str, Type)] = &[
    ("inboundconnector", Type::Connector(ConnectorKind::Inbound)),
    ("outboundconnector", Type::Connector(ConnectorKind::Outbound)),
    ("sendconnector", Type::Connector(ConnectorKind::Send)),
    ("receiveconnector", Type::Connector(ConnectorKind::Receive)),
    ("accepteddomain", Type::AcceptedDomain),
    ("exchangecertificate", Type::Certificate),
    ("x509certificate", Type::Certificate),
    ("hybridconfiguration", Type::HybridConfiguration),
];

/// Properties that together only one type has. A type is told by any row of which the object has all.
const SIGNS: &[(Type, &[&str])] = &[
    (Type::Connector(ConnectorKind::Inbound), &["TlsSenderCertificateName"]),
    (Type::Connector(ConnectorKind::Inbound), &["RestrictDomainsToCertificate"]),
    (Type::Connector(ConnectorKind::Inbound), &["RestrictDomainsToIPAddresses"]),
    (Type::Connector(ConnectorKind::Inbound), &["AssociatedAcceptedDomains"]),
    (Type::Connector(ConnectorKind::Inbound), &["SenderIPAddresses", "SenderDomains"]),
    (Type::Connector(ConnectorKind::Inbound), &["SenderIPAddresses", "ConnectorType"]),
    (Type::Connector(ConnectorKind::Inbound), &["SenderDomains", "ConnectorType"]),
    (Type::Connector(ConnectorKind::Inbound), &["EFSkipLastIP", "EFSkipIPs"]),
    (Type::Connector(ConnectorKind::Outbound), &["RouteAllMessagesViaOnPremises"]),
    (Type::Connector(ConnectorKind::Outbound), &["IsTransportRuleScoped"]),
    (Type::Connector(ConnectorKind::Outbound), &["AllAcceptedDomains", "RecipientDomains"]),
    (Type::Connector(ConnectorKind::Outbound), &["RecipientDomains", "SmartHosts"]),
    (Type::Connector(ConnectorKind::Outbound), &["RecipientDomains", "UseMXRecord"]),
    (Type::Connector(ConnectorKind::Outbound), &["UseMXRecord", "TlsSettings"]),
    (Type::Connector(ConnectorKind::Outbound), &["TlsDomain", "TlsSettings"]),
    (Type::Connector(ConnectorKind::Receive), &["Bindings", "RemoteIPRanges"]),
    (Type::Connector(ConnectorKind::Receive), &["Bindings", "PermissionGroups"]),
    (Type::Connector(ConnectorKind::Receive), &["RemoteIPRanges", "PermissionGroups"]),
    (Type::Connector(ConnectorKind::Receive), &["Bindings", "TransportRole"]),
    (Type::Connector(ConnectorKind::Receive), &["Bindings", "AuthMechanism"]),
    (Type::Connector(ConnectorKind::Receive), &["PermissionGroups", "AuthMechanism"]),
    (Type::Connector(ConnectorKind::Receive), &["TlsDomainCapabilities"]),
    (Type::Connector(ConnectorKind::Send), &["AddressSpaces", "SmartHosts"]),
    (Type::Connector(ConnectorKind::Send), &["AddressSpaces", "DNSRoutingEnabled"]),
    (Type::Connector(ConnectorKind::Send), &["SmartHosts", "DNSRoutingEnabled"]),
    (Type::Connector(ConnectorKind::Send), &["AddressSpaces", "TlsCertificateName"]),
    (Type::Connector(ConnectorKind::Send), &["SmartHosts", "TlsCertificateName"]),
    (Type::Connector(ConnectorKind::Send), &["AddressSpaces", "TlsAuthLevel"]),
    (Type::Connector(ConnectorKind::Send), &["SourceTransportServers", "TlsCertificateName"]),
    (Type::Connector(ConnectorKind::Send), &["SmartHostAuthMechanism"]),
    (Type::Connector(ConnectorKind::Send), &["AddressSpaces", "CloudServicesMailEnabled"]),
    (Type::AcceptedDomain, &["DomainName", "DomainType"]),
    (Type::AcceptedDomain, &["DomainName", "MatchSubDomains"]),
    (Type::Certificate, &["Thumbprint", "Subject"]),
    (Type::Certificate, &["Thumbprint", "CertificateDomains"]),
    (Type::Certificate, &["Thumbprint", "Services"]),
    (Type::Certificate, &["RawData", "Thumbprint"]),
    (Type::Certificate, &["RawData", "CertificateDomains"]),
];

/// The type of an object.
pub(crate) fn of(object: &Object) -> Option<Type> {
    let type_name = object.type_name.as_deref().unwrap_or("");
    if let Some(told) = of_type_name(type_name) {
        return Some(told);
    }
    // Another type of Exchange's own, which may have properties of those above: a foreign connector has address spaces.
    if type_name.contains("Microsoft.Exchange.") {
        return None;
    }
    let told = of_names(&|name| object.has(name))?;
    let is_told = told != Type::Certificate || object.property("Thumbprint").is_none_or(is_thumbprint);
    is_told.then_some(told)
}

/// The type of an object, if need be by what stands around it. Any text may stand below a prompt, so the object must at
/// least have a name, or what certificates have in its place.
pub(crate) fn of_or_hinted(object: &Object) -> Option<Type> {
    of(object).or_else(|| {
        let hinted = of_noun(object.source.as_deref()?)?;
        let needed: &[&str] = match hinted {
            Type::Connector(_) | Type::HybridConfiguration => &["Name", "Identity"],
            Type::AcceptedDomain => &["DomainName", "Name"],
            Type::Certificate => &["Thumbprint", "Subject", "Issuer", "CertificateDomains", "RawData"],
        };
        needed.iter().any(|name| object.has(name)).then_some(hinted)
    })
}

/// The type that these names of properties tell.
pub(crate) fn of_names(has: &dyn Fn(&str) -> bool) -> Option<Type> {
    SIGNS.iter().find(|(_, names)| names.iter().all(|name| has(name))).map(|(told, _)| *told)
}

/// The type that a type's name tells. Names of the parts of generic types say nothing about the whole.
pub(crate) fn of_type_name(name: &str) -> Option<Type> {
    of_noun(short(name))
}

/// The type that a cmdlet, a key or a file's name speaks of.
pub(crate) fn of_noun(text: &str) -> Option<Type> {
    let lower = text.to_ascii_lowercase();
    NOUNS.iter().find(|(noun, _)| lower.contains(noun)).map(|(_, told)| *told)
}

/// The cmdlet that a file's name speaks of.
pub(crate) fn cmdlet(text: &str) -> Option<&'static str> {
    Some(match of_noun(text)? {
        Type::Connector(kind) => kind.cmdlet(),
        Type::AcceptedDomain => "Get-AcceptedDomain",
        Type::Certificate => "Get-ExchangeCertificate",
        Type::HybridConfiguration => return None,
    })
}

/// A type's name without namespaces and type arguments: `SmtpSendConnectorConfig`.
pub(crate) fn short(name: &str) -> &str {
    let whole = name.split(['`', '[', ',']).next().unwrap_or("");
    whole.rsplit(['.', '#', '+']).next().unwrap_or("").trim()
}

/// Whether the text is a thumbprint, maybe as Windows' certificate dialog shows it.
fn is_thumbprint(text: &str) -> bool {
    super::meaning::thumbprint(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Value;

    const INBOUND: Option<Type> = Some(Type::Connector(ConnectorKind::Inbound));
    const SEND: Option<Type> = Some(Type::Connector(ConnectorKind::Send));

    #[track_caller]
    fn check_name(name: &str, expected: Option<Type>) {
        assert_eq!(of_type_name(name), expected, "{name}");
    }

    #[test]
    fn names_of_types() {
        check_name("Microsoft.Exchange.Data.Directory.SystemConfiguration.SmtpSendConnectorConfig", SEND);
        check_name(
            "Deserialized.Microsoft.Exchange.Data.Directory.SystemConfiguration.TenantInboundConnector",
            INBOUND,
        );
        check_name("Selected.Microsoft.Exchange.Data.Directory.SystemConfiguration.TenantInboundConnector", INBOUND);
        check_name("#Exchange.InboundConnector", INBOUND);
        check_name("System.Security.Cryptography.X509Certificates.X509Certificate2", Some(Type::Certificate));
        check_name("Microsoft.Exchange.Data.Directory.SystemConfiguration.AcceptedDomain", Some(Type::AcceptedDomain));
        check_name("System.Collections.Generic.List`1[[Microsoft.Exchange.AcceptedDomain, Microsoft]]", None);
        check_name("System.Management.Automation.PSCustomObject", None);
        check_name("Microsoft.Exchange.Data.Directory.SystemConfiguration.ForeignConnector", None);
        check_name("", None);
    }

    #[track_caller]
    fn check(names: &[&str], source: Option<&str>, expected: Option<Type>) {
        let mut object = Object::new(0);
        for name in names {
            let (name, text) = name.split_once('=').unwrap_or((name, "x"));
            object.set(name, Value::Text(text.to_owned()));
        }
        object.source = source.map(str::to_owned);
        assert_eq!(of_or_hinted(&object), expected, "{names:?}");
    }

    #[test]
    fn few_properties_are_enough_if_no_other_type_has_them() {
        let receive = Some(Type::Connector(ConnectorKind::Receive));
        check(&["Name", "TlsSenderCertificateName"], None, INBOUND);
        check(&["Name", "TLSSENDERCERTIFICATENAME"], None, INBOUND);
        check(&["SenderIPAddresses", "SenderDomains"], None, INBOUND);
        check(&["Name", "RecipientDomains", "SmartHosts"], None, Some(Type::Connector(ConnectorKind::Outbound)));
        check(&["AddressSpaces", "TlsCertificateName", "SmartHosts"], None, SEND);
        check(&["Bindings", "RemoteIPRanges", "TlsCertificateName"], None, receive);
        check(&["DomainName", "DomainType"], None, Some(Type::AcceptedDomain));
        let thumbprint = "Thumbprint=3DAF40EC85C62DD39D98696AB5413E3EB83D6415";
        check(&[thumbprint, "Subject", "Issuer"], None, Some(Type::Certificate));
    }

    #[test]
    fn what_many_types_have_says_nothing() {
        check(&["Name", "Enabled", "Identity"], None, None);
        check(&["DomainName"], None, None);
        check(&["TlsCertificateName", "Name"], None, None);
        check(&["Thumbprint=1234", "Subject", "Issuer"], None, None);
        check(&["Subject", "Issuer"], None, None);
        check(&[], None, None);
    }

    #[test]
    fn another_type_of_exchange_is_what_it_says() {
        let mut object = Object::new(0);
        object.set("AddressSpaces", Value::Empty);
        object.set("SmartHosts", Value::Empty);
        assert_eq!(of(&object), SEND);
        object.type_name = Some("System.Management.Automation.PSCustomObject".to_owned());
        assert_eq!(of(&object), SEND);
        object.type_name = Some("Microsoft.Exchange.Data.Directory.SystemConfiguration.ForeignConnector".to_owned());
        assert_eq!(of(&object), None);
    }

    #[test]
    fn what_stands_around_it_helps() {
        check(&["Name", "Enabled"], Some("Get-InboundConnector"), INBOUND);
        check(&["Name", "Enabled"], Some("SendConnectors"), SEND);
        check(&["Enabled"], Some("Get-InboundConnector"), None);
        check(&["Name"], Some("Get-Mailbox"), None);
        check(&["AddressSpaces", "SmartHosts"], Some("Get-InboundConnector"), SEND);
    }
}
