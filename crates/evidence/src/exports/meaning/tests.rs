//! Objects, and what they say.

use super::*;

const THUMBPRINT: &str = "3DAF40EC85C62DD39D98696AB5413E3EB83D6415";

fn object(properties: &[(&str, &str)]) -> Object {
    let mut object = Object::new(0);
    for (name, text) in properties {
        object.set(name, super::super::values::of_text(name, text));
    }
    object
}

#[track_caller]
fn check_connector(kind: ConnectorKind, properties: &[(&str, &str)], name: &str, server: Option<&str>) {
    let connector = connector(object(properties), kind);
    assert_eq!((connector.name.as_str(), connector.server.as_deref()), (name, server), "{properties:?}");
    assert_eq!(connector.properties.len(), properties.len());
}

#[test]
fn connectors() {
    use ConnectorKind::{Inbound, Receive};
    check_connector(Inbound, &[("Name", "a"), ("Identity", "b")], "a", None);
    check_connector(Inbound, &[("Identity", "tenant\\b")], "tenant\\b", None);
    check_connector(Inbound, &[("RequireTls", "True")], "", None);
    check_connector(Receive, &[("Identity", "EX1\\Default Frontend EX1")], "Default Frontend EX1", Some("EX1"));
    check_connector(Receive, &[("Name", "a"), ("Identity", "EX1\\b")], "a", Some("EX1"));
    check_connector(Receive, &[("Name", "a"), ("Server", "EX2")], "a", Some("EX2"));
    check_connector(Receive, &[("Name", "a")], "a", None);
    let named = Object { text: Some("c".to_owned()), ..object(&[]) };
    assert_eq!(connector(named, Inbound).name, "c");
}

#[track_caller]
fn check_domain(properties: &[(&str, &str)], expected: Option<(&str, Option<&str>)>) {
    let found = accepted_domain(&object(properties)).ok();
    let found = found.as_ref().map(|domain| (domain.domain.as_str(), domain.domain_type.as_deref()));
    assert_eq!(found, expected, "{properties:?}");
}

#[test]
fn accepted_domains() {
    let (relay, domain) = (("DomainType", "InternalRelay"), ("DomainName", "Contoso.com"));
    check_domain(&[("Name", "Main"), domain, relay], Some(("contoso.com", Some("InternalRelay"))));
    check_domain(&[domain, ("MatchSubDomains", "True")], Some(("*.contoso.com", None)));
    check_domain(&[("DomainName", "*.contoso.com"), ("MatchSubDomains", "True")], Some(("*.contoso.com", None)));
    check_domain(&[("Name", "contoso.com"), ("DomainName", "")], Some(("contoso.com", None)));
    check_domain(&[("Name", "Main")], None);
}

#[test]
fn thumbprints() {
    let spaced = "\u{200E}3d af 40 ec 85 c6 2d d3 9d 98 69 6a b5 41 3e 3e b8 3d 64 15 ";
    for (text, expected) in [
        (THUMBPRINT, Some(THUMBPRINT)),
        (spaced, Some(THUMBPRINT)),
        (&spaced.replace('\u{200E}', "?"), Some(THUMBPRINT)),
        (&THUMBPRINT[1..], None),
        (&THUMBPRINT.replace('A', "X"), None),
        (&format!("{THUMBPRINT}00"), None),
        ("", None),
    ] {
        assert_eq!(thumbprint(text).as_deref(), expected, "{text:?}");
    }
}

#[track_caller]
fn names(object: &Object) -> CertificateNames {
    match certificate(object) {
        Ok(Fact::CertificateNames(names)) => names,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_of_a_certificate_that_is_not_shown() {
    let identity = format!("EX1.contoso.com\\{THUMBPRINT}");
    let found = names(&object(&[
        ("Thumbprint", &THUMBPRINT.to_lowercase()),
        ("Identity", &identity),
        ("Subject", "CN=a"),
        ("Issuer", "CN=b"),
        ("SerialNumber", "5d1d 9b"),
        ("CertificateDomains", "a.example;b.example"),
        ("Services", "IIS, SMTP"),
        ("NotBefore", "2022-03-23T17:00:30Z"),
        ("NotAfter", "12/02/2018 1:53:00 PM"),
    ]));
    let expected = CertificateNames {
        thumbprint: THUMBPRINT.to_owned(),
        subject: "CN=a".to_owned(),
        issuer: "CN=b".to_owned(),
        serial: Some("5D1D9B".to_owned()),
        names: vec!["a.example".to_owned(), "b.example".to_owned()],
        not_before_ms: Some(1_648_054_830_000),
        not_after_ms: None,
        server: Some("EX1.contoso.com".to_owned()),
        services: Some("IIS, SMTP".to_owned()),
    };
    assert_eq!(found, expected);
}

#[test]
fn names_in_what_a_certificate_calls_itself() {
    let text = format!(
        "[Subject]\r\n  CN=a\r\n\r\n[Issuer]\r\n  CN=b\r\n\r\n[Serial Number]\r\n  5D1D\r\n\r\n[Not After]\r\n  02/02/2028 \
         04:22:23\r\n\r\n[Thumbprint]\r\n  {THUMBPRINT}\r\n"
    );
    let found = names(&Object { text: Some(text), server: Some("ex1".to_owned()), ..object(&[("RawData", "MIIC")]) });
    assert_eq!((found.subject.as_str(), found.issuer.as_str()), ("CN=a", "CN=b"));
    assert_eq!((found.thumbprint.as_str(), found.serial.as_deref()), (THUMBPRINT, Some("5D1D")));
    assert_eq!((found.not_after_ms, found.server.as_deref()), (None, Some("ex1")));
}

#[test]
fn certificates_that_say_nothing() {
    let without = certificate(&object(&[("Subject", "CN=a"), ("Issuer", "CN=b")]));
    assert_eq!(without, Err(Nothing::Passed("certificate without thumbprint")));
    let damaged = certificate(&object(&[("RawData", "MIIC"), ("Subject", "CN=a")]));
    assert!(matches!(damaged, Err(Nothing::Rejected(_))), "{damaged:?}");
    let hybrid = fact(object(&[("Name", "a")]), Type::HybridConfiguration);
    assert_eq!(hybrid, Err(Nothing::Passed("HybridConfiguration")));
}

#[test]
fn raw_data() {
    let list = |items: &[&str], cut| Value::List { items: items.iter().map(|item| (*item).to_owned()).collect(), cut };
    for (value, expected) in [
        (Value::Text("MIIC".to_owned()), Some(&[0x30, 0x82, 0x02][..])),
        (Value::Text("MI\r\n IC".to_owned()), Some(&[0x30, 0x82, 0x02])),
        (Value::Text("MII".to_owned()), Some(&[0x30, 0x82])),
        (list(&["48", "130", "2"], false), Some(&[0x30, 0x82, 0x02])),
        (list(&["48", "130", "2"], true), None),
        (list(&["48", "300"], false), None),
        (Value::Text("?".to_owned()), None),
        (Value::Empty, None),
    ] {
        assert_eq!(der(&value).as_deref(), expected, "{value:?}");
    }
}
