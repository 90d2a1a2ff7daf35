//! Objects of the cmdlets that show how mail is routed and attributed (FORMATS 5.3).

use super::{Object, Value};
use crate::{
    certificate::Certificate,
    clock::{DAY_MS, HOUR_MS},
};

/// What of an inbound connector decides.
pub(crate) struct Inbound<'a> {
    pub(crate) name: &'a str,
    pub(crate) connector_type: ConnectorType,
    pub(crate) sender_domains: &'a [&'a str],
    pub(crate) addresses: &'a [&'a str],
    /// `TlsSenderCertificateName`.
    pub(crate) certificate_name: Option<&'a str>,
    /// `RestrictDomainsToCertificate`.
    pub(crate) restricts_to_certificate: bool,
}

/// For whom an inbound connector is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectorType {
    OnPremises,
    Partner,
}

/// A `Get-InboundConnector` object; `at` is about when the connector was changed last.
pub(crate) fn inbound(inbound: &Inbound<'_>, at: i64) -> Object {
    let is_own = inbound.connector_type == ConnectorType::OnPremises;
    let connector_type = match inbound.connector_type {
        ConnectorType::OnPremises => Value::Choice(TENANT_CONNECTOR_TYPE, "OnPremises", 1),
        ConnectorType::Partner => Value::Choice(TENANT_CONNECTOR_TYPE, "Partner", 2),
    };
    let source = if is_own { ("HybridWizard", 2) } else { ("Default", 0) };
    let properties = vec![
        ("Enabled", Value::Flag(true)),
        ("ConnectorType", connector_type),
        ("ConnectorSource", Value::Choice(TENANT_CONNECTOR_SOURCE, source.0, source.1)),
        ("Comment", Value::text("")),
        ("SenderIPAddresses", Value::list(inbound.addresses)),
        ("SenderDomains", Value::list(inbound.sender_domains)),
        ("TrustedOrganizations", Value::list(&[])),
        ("ClientHostNames", Value::list(&[])),
        ("AssociatedAcceptedDomains", Value::list(&[])),
        ("RequireTls", Value::Flag(inbound.certificate_name.is_some())),
        ("RestrictDomainsToIPAddresses", Value::Flag(false)),
        ("RestrictDomainsToCertificate", Value::Flag(inbound.restricts_to_certificate)),
        ("CloudServicesMailEnabled", Value::Flag(is_own)),
        ("TreatMessagesAsInternal", Value::Flag(false)),
        ("TlsSenderCertificateName", inbound.certificate_name.map_or(Value::Nothing, Value::text)),
        ("EFTestMode", Value::Flag(false)),
        ("EFSkipLastIP", Value::Flag(false)),
        ("EFSkipIPs", Value::list(&[])),
        ("EFSkipMailGateway", Value::list(&[])),
        ("EFUsers", Value::list(&[])),
        ("ScanAndDropRecipients", Value::list(&[])),
        ("AdminDisplayName", Value::text("")),
        ("ExchangeVersion", Value::text("0.1 (8.0.535.0)")),
        ("Name", Value::text(inbound.name)),
        ("Identity", Value::text(inbound.name)),
        ("WhenChangedUTC", Value::Time(at - 140 * DAY_MS)),
        ("WhenCreatedUTC", Value::Time(at - 410 * DAY_MS - 5 * HOUR_MS)),
        ("IsValid", Value::Flag(true)),
        ("ObjectState", Value::Choice("Microsoft.Exchange.Data.ObjectState", "Unchanged", 1)),
    ];
    Object {
        type_name: "Microsoft.Exchange.Data.Directory.SystemConfiguration.TenantInboundConnector",
        text: inbound.name.into(),
        properties,
    }
}

/// What of a send connector decides.
pub(crate) struct Send<'a> {
    pub(crate) name: &'a str,
    /// `smtp:*;1`; the last part is the cost.
    pub(crate) address_spaces: &'a [&'a str],
    /// Empty: the domain's own MX.
    pub(crate) smart_hosts: &'a [&'a str],
    /// The certificate that it names.
    pub(crate) certificate: Option<&'a Certificate>,
    /// Whether it is the one that the wizard made for Microsoft 365.
    pub(crate) is_to_cloud: bool,
    pub(crate) servers: &'a [&'a str],
    /// When it was changed last.
    pub(crate) changed_at: i64,
}

/// A `Get-SendConnector` object.
pub(crate) fn send(send: &Send<'_>) -> Object {
    let name_of =
        |certificate: &Certificate| Value::CertificateName(certificate.issuer.clone(), certificate.subject.clone());
    let tls_level = match send.is_to_cloud {
        true => Value::Choice("Microsoft.Exchange.Data.TlsAuthLevel", "DomainValidation", 3),
        false => Value::Nothing,
    };
    let tls_domain = if send.is_to_cloud { Value::text("mail.protection.outlook.com") } else { Value::Nothing };
    let properties = vec![
        ("DNSRoutingEnabled", Value::Flag(send.smart_hosts.is_empty())),
        ("TlsDomain", tls_domain),
        ("TlsAuthLevel", tls_level),
        ("ErrorPolicies", Value::Choice("Microsoft.Exchange.Data.ErrorPolicies", "Default", 0)),
        ("SmartHosts", Value::objects("Microsoft.Exchange.Data.SmartHost", send.smart_hosts)),
        ("Port", Value::Number(25)),
        ("ForceHELO", Value::Flag(false)),
        ("FrontendProxyEnabled", Value::Flag(false)),
        ("IgnoreSTARTTLS", Value::Flag(false)),
        ("CloudServicesMailEnabled", Value::Flag(send.is_to_cloud)),
        ("Fqdn", Value::Object("Microsoft.Exchange.Data.Fqdn", "mail0.contoso.com".into())),
        ("TlsCertificateName", send.certificate.map_or(Value::Nothing, name_of)),
        ("RequireTLS", Value::Flag(send.is_to_cloud)),
        ("RequireOorg", Value::Flag(false)),
        ("Enabled", Value::Flag(true)),
        ("ProtocolLoggingLevel", Value::Choice("Microsoft.Exchange.Data.ProtocolLoggingLevel", "Verbose", 1)),
        ("DomainSecureEnabled", Value::Flag(false)),
        ("SmtpMaxMessagesPerConnection", Value::Number(20)),
        ("ConnectorType", Value::Choice("Microsoft.Exchange.Data.SendConnectorType", "Default", 0)),
        ("SmartHostsString", Value::Text(send.smart_hosts.join(","))),
        ("AddressSpaces", Value::objects("Microsoft.Exchange.Data.AddressSpace", send.address_spaces)),
        ("IsScopedConnector", Value::Flag(false)),
        ("IsSmtpConnector", Value::Flag(true)),
        ("Comment", Value::text("")),
        ("SourceTransportServers", Value::objects(AD_OBJECT_ID, send.servers)),
        ("MaxMessageSize", Value::text("35 MB (36,700,160 bytes)")),
        ("Name", Value::text(send.name)),
        ("Identity", Value::Object(AD_OBJECT_ID, send.name.into())),
        ("WhenChangedUTC", Value::Time(send.changed_at)),
        ("WhenCreatedUTC", Value::Time(send.changed_at - 700 * DAY_MS)),
        ("IsValid", Value::Flag(true)),
        ("ObjectState", Value::Choice("Microsoft.Exchange.Data.ObjectState", "Unchanged", 1)),
    ];
    Object {
        type_name: "Microsoft.Exchange.Data.Directory.SystemConfiguration.SmtpSendConnectorConfig",
        text: send.name.into(),
        properties,
    }
}

/// A `Get-AcceptedDomain` object.
pub(crate) fn accepted_domain(domain: &str, is_default: bool, at: i64) -> Object {
    let domain_type = "Microsoft.Exchange.Data.Directory.SystemConfiguration.AcceptedDomainType";
    let properties = vec![
        ("DomainName", Value::text(domain)),
        ("CatchAllRecipientID", Value::Nothing),
        ("DomainType", Value::Choice(domain_type, "Authoritative", 0)),
        ("MatchSubDomains", Value::Flag(false)),
        ("AddressBookEnabled", Value::Flag(true)),
        ("Default", Value::Flag(is_default)),
        ("InitialDomain", Value::Flag(domain.ends_with(".onmicrosoft.com") && !domain.contains(".mail."))),
        ("Name", Value::text(domain)),
        ("Identity", Value::text(domain)),
        ("WhenChangedUTC", Value::Time(at - 600 * DAY_MS)),
        ("IsValid", Value::Flag(true)),
    ];
    Object {
        type_name: "Microsoft.Exchange.Data.Directory.SystemConfiguration.AcceptedDomain",
        text: domain.into(),
        properties,
    }
}

/// A `Get-ExchangeCertificate` object as Format-List shows it. CLIXML has none of these properties
/// ([`super::clixml::certificates`]).
pub(crate) fn exchange_certificate(certificate: &Certificate, services: &str, at: i64) -> Object {
    let status = if certificate.not_after < at { "DateInvalid" } else { "Valid" };
    let domains: Vec<&str> = certificate.names.iter().map(String::as_str).collect();
    let is_self_signed = certificate.subject == certificate.issuer;
    let properties = vec![
        ("AccessRules", Value::list(&["System.Security.AccessControl.CryptoKeyAccessRule"; 2])),
        ("CertificateDomains", Value::list(&domains)),
        ("HasPrivateKey", Value::Flag(true)),
        ("IsSelfSigned", Value::Flag(is_self_signed)),
        ("Issuer", Value::text(&certificate.issuer)),
        ("NotAfter", Value::Time(certificate.not_after)),
        ("NotBefore", Value::Time(certificate.not_before)),
        ("PublicKeySize", Value::Number(256)),
        ("RootCAType", Value::text(if is_self_signed { "None" } else { "ThirdParty" })),
        ("SerialNumber", Value::text(&certificate.serial)),
        ("Services", Value::text(services)),
        ("Status", Value::text(status)),
        ("Subject", Value::text(&certificate.subject)),
        ("Thumbprint", Value::text(&certificate.thumbprint)),
    ];
    Object {
        type_name: "Microsoft.Exchange.Management.SystemConfigurationTasks.ExchangeCertificate",
        text: certificate.subject.clone(),
        properties,
    }
}

const AD_OBJECT_ID: &str = "Microsoft.Exchange.Data.Directory.ADObjectId";
const TENANT_CONNECTOR_TYPE: &str = "Microsoft.Exchange.Data.TenantConnectorType";
const TENANT_CONNECTOR_SOURCE: &str = "Microsoft.Exchange.Data.TenantConnectorSource";
