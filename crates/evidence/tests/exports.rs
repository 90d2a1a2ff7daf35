//! Exports: real ones, the same connectors in all shapes, damaged ones.
//!
//! The real exports lie beside the repository, in `../shared/samples` or where `SMTPTRAIL_SAMPLES` says.

#[allow(dead_code)] // Every test file uses its part of it.
mod authority;

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use evidence::{
    Document, Fact, KINDS, Kind, Reading,
    fact::{Connector, ConnectorKind, Property, Value},
};
use proptest::prelude::*;

fn kind() -> &'static dyn Kind {
    *KINDS.iter().find(|kind| kind.name() == "exports").expect("the kind is registered")
}

fn read(name: &str, bytes: &[u8]) -> Reading {
    let mut reading = Reading::default();
    kind().read(&Document { name, bytes }, &mut reading);
    reading
}

fn facts(reading: Reading) -> Vec<Fact> {
    reading.found.into_iter().map(|found| found.fact).collect()
}

fn samples(folder: &str) -> Vec<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples");
    let folder = std::env::var_os("SMTPTRAIL_SAMPLES").map_or(beside, PathBuf::from).join(folder);
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no samples at {}; set SMTPTRAIL_SAMPLES to read them", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &std::path::Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Properties that decide about mail; the snapshot shows these.
const DECIDING: [&str; 9] = [
    "Enabled",
    "TlsSenderCertificateName",
    "TlsCertificateName",
    "TlsAuthLevel",
    "TlsDomain",
    "RequireTLS",
    "CloudServicesMailEnabled",
    "SmartHosts",
    "AddressSpaces",
];

#[test]
fn real_exports_are_read() {
    let mut shown = String::new();
    for path in samples("exports") {
        let bytes = std::fs::read(&path).unwrap();
        let document = Document { name: name(&path), bytes: &bytes };
        let (kind, reading) = evidence::read(&document).expect("it is evidence");
        assert_eq!(kind.name(), "exports", "{}", document.name);
        _ = writeln!(shown, "{}: passed {:?}, rejected {:?}", document.name, reading.passed, reading.rejections);
        for found in &reading.found {
            _ = writeln!(shown, "  {} {}", found.offset, line(&found.fact));
        }
    }
    if !shown.is_empty() {
        insta::assert_snapshot!(shown);
    }
}

fn line(fact: &Fact) -> String {
    match fact {
        Fact::Connector(connector) => {
            let shown = |name: &&str| connector.value(name).map(|value| format!("{name}={value:?}"));
            let deciding: Vec<String> = DECIDING.iter().filter_map(shown).collect();
            let count = connector.properties.len();
            let (kind, name) = (connector.kind, &connector.name);
            format!("{kind:?} {name:?}, {count} properties: {}", deciding.join(" "))
        }
        Fact::Certificate(found) => format!("{} {:?} by {:?}", found.thumbprint, found.subject, found.issuer),
        Fact::CertificateNames(found) => {
            let times = (found.not_before_ms, found.not_after_ms);
            let (names, services) = (found.names.len(), &found.services);
            format!("{} {:?}, {names} names, {services:?}, {times:?}", found.thumbprint, found.subject)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_certificate_has_the_thumbprint_that_the_export_shows() {
    for path in samples("exports").iter().filter(|path| name(path).ends_with(".clixml")) {
        let text = std::fs::read_to_string(path).unwrap();
        let found = facts(read(name(path), text.as_bytes()));
        let thumbprints = found.iter().filter_map(|fact| match fact {
            Fact::Certificate(certificate) => Some(certificate.thumbprint.clone()),
            _ => None,
        });
        let shown: Vec<&str> =
            text.split("[Thumbprint]_x000D__x000A_  ").skip(1).filter_map(|rest| rest.get(..40)).collect();
        assert_eq!(thumbprints.collect::<Vec<_>>(), shown, "{}", name(path));
    }
}

#[test]
fn nothing_else_is_claimed() {
    for folder in ["exchange", "iis", "evtx", "capi2", "hcw", "ndr"] {
        for path in samples(folder) {
            let bytes = std::fs::read(&path).unwrap();
            let is_claimed = kind().recognise(&Document { name: name(&path), bytes: &bytes });
            assert!(!is_claimed, "{}", path.display());
        }
    }
}

#[test]
fn a_certificate_in_all_shapes() {
    let issued = authority::self_signed(authority::end("mail.contoso.com"));
    let (base64, thumbprint) = (BASE64_STANDARD.encode(&issued.der), issued.thumbprint());
    let numbers: Vec<String> = issued.der.iter().map(u8::to_string).collect();
    let identity = format!("EX1\\\\{thumbprint}");
    for (text, server) in [
        (
            format!(
                "<Objs><Obj><TN><T>X.ExchangeCertificate</T></TN><Props><BA N=\"RawData\">{base64}</BA></Props></Obj></Objs>"
            ),
            None,
        ),
        (
            format!("{{\"RawData\":\"{base64}\",\"Thumbprint\":\"{thumbprint}\",\"Identity\":\"{identity}\"}}"),
            Some("EX1"),
        ),
        (format!("[{{\"RawData\":[{}],\"Thumbprint\":\"{thumbprint}\"}}]", numbers.join(",\r\n ")), None),
        (format!("{{\"RawData\":{{\"value\":[{}],\"Count\":1}},\"CertificateDomains\":[]}}", numbers.join(",")), None),
        (format!("RawData;Thumbprint\r\n\"{base64}\";\"{thumbprint}\"\r\n"), None),
    ] {
        let found = facts(read("x", text.as_bytes()));
        let [Fact::Certificate(certificate)] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert_eq!((&certificate.der, &certificate.thumbprint), (&issued.der, &thumbprint));
        assert_eq!(certificate.server.as_deref(), server);
    }
}

/// Connectors of which each kind has the same properties, as an export with `Select-Object` has them.
fn connectors() -> impl Strategy<Value = Vec<Connector>> {
    use ConnectorKind::{Inbound, Outbound, Receive, Send};
    let text =
        || "[A-Z][a-z0-9]{2,8}( [A-Z][a-z'&<>é]{2,8})?".prop_filter("a flag", |text| text != "True" && text != "False");
    let properties = (
        text(),
        any::<bool>(),
        prop::option::of("(\\*\\.)?[a-z]{1,9}\\.example"),
        prop::collection::vec("192\\.0\\.2\\.[0-9]{1,2}", 1..5),
        prop::collection::vec("smtp:[a-z]{1,5}\\.example;[0-9]{1,2}", 1..5),
    );
    let connector = properties.prop_map(|(name, enabled, sender, addresses, domains)| {
        let text = |text: String| Value::Text(text);
        let list = |items| Value::List { items, cut: false };
        let property = |name: &str, value| Property { name: name.to_owned(), value };
        let properties = vec![
            property("Name", text(name.clone())),
            property("Enabled", Value::Flag(enabled)),
            property("TlsDomain", sender.map_or(Value::Empty, text)),
            property("SmartHosts", list(addresses)),
            property("SenderDomains", list(domains)),
        ];
        Connector { kind: Inbound, name, server: None, properties }
    });
    let kinds = prop::sample::select(vec![Inbound, Outbound, Send, Receive]);
    (kinds, prop::collection::vec(connector, 1..4)).prop_map(|(kind, connectors)| {
        connectors.into_iter().map(|connector| Connector { kind, ..connector }).collect()
    })
}

fn type_name(kind: ConnectorKind) -> String {
    format!("Deserialized.Microsoft.Exchange.Data.Directory.SystemConfiguration.{kind:?}Connector")
}

fn clixml(connectors: &[Connector]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = "<Objs Version=\"1.1.0.1\">\r\n".to_owned();
    for (at, connector) in connectors.iter().enumerate() {
        _ = match at {
            0 => write!(text, "  <Obj RefId=\"0\">\r\n<TN RefId=\"0\"><T>{}</T></TN>", type_name(connector.kind)),
            _ => write!(text, "  <Obj RefId=\"{at}\">\r\n<TNRef RefId=\"0\" />"),
        };
        text += "<Props>\r\n";
        for Property { name, value } in &connector.properties {
            text += &match value {
                Value::Empty => format!("<Nil N=\"{name}\" />\r\n"),
                Value::Flag(flag) => format!("<B N=\"{name}\">{flag}</B>\r\n"),
                Value::Text(text) => format!("<S N=\"{name}\">{}</S>\r\n", escaped(text)),
                Value::List { items, .. } => {
                    let items: String = items.iter().map(|item| format!("<S>{}</S>", escaped(item))).collect();
                    format!("<Obj N=\"{name}\" RefId=\"1{at}\"><LST>{items}</LST></Obj>\r\n")
                }
            };
        }
        text += "</Props>\r\n  </Obj>\r\n";
    }
    text + "</Objs>\r\n"
}

fn json(connectors: &[Connector]) -> String {
    let object = |connector: &Connector| {
        let mut map = serde_json::Map::new();
        map.insert("@odata.type".to_owned(), type_name(connector.kind).into());
        for Property { name, value } in &connector.properties {
            let json = match value {
                Value::Empty => serde_json::Value::Null,
                Value::Flag(flag) => (*flag).into(),
                Value::Text(text) => text.clone().into(),
                Value::List { items, .. } => items.clone().into(),
            };
            map.insert(format!("{name}@data.type"), "System.String".into());
            map.insert(name.clone(), json);
        }
        serde_json::Value::Object(map)
    };
    match connectors {
        [one] => serde_json::to_string_pretty(&object(one)).unwrap(),
        several => serde_json::to_string(&several.iter().map(object).collect::<Vec<_>>()).unwrap(),
    }
}

fn flat(value: &Value, begin: &str, between: &str, end: &str) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Flag(true) => "True".to_owned(),
        Value::Flag(false) => "False".to_owned(),
        Value::Text(text) => text.clone(),
        Value::List { items, .. } => format!("{begin}{}{end}", items.join(between)),
    }
}

fn csv(connectors: &[Connector]) -> String {
    let row = |cells: Vec<String>| {
        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        quoted.join(",") + "\r\n"
    };
    let header = connectors[0].properties.iter().map(|property| property.name.clone()).collect();
    let rows = connectors
        .iter()
        .map(|connector| row(connector.properties.iter().map(|property| flat(&property.value, "", ";", "")).collect()));
    format!("#TYPE {}\r\n{}{}", type_name(connectors[0].kind), row(header), rows.collect::<String>())
}

fn list(connectors: &[Connector]) -> String {
    let mut text = format!("[PS] C:\\>Get-{:?}Connector | Format-List\r\n\r\n\r\n", connectors[0].kind);
    for connector in connectors {
        for Property { name, value } in &connector.properties {
            text += format!("{name:<14} : {}", flat(value, "{", ", ", "}")).trim_end();
            text += "\r\n";
        }
        text += "\r\n";
    }
    text
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[track_caller]
fn check(text: &str, connectors: &[Connector]) -> Result<(), TestCaseError> {
    let expected: Vec<Fact> = connectors.iter().cloned().map(Fact::Connector).collect();
    for bytes in [text.as_bytes().to_vec(), utf16(text)] {
        prop_assert!(kind().recognise(&Document { name: "x", bytes: &bytes }), "{}", text);
        let reading = read("x", &bytes);
        prop_assert_eq!((&reading.passed, &reading.rejections), (&BTreeMap::new(), &Vec::new()), "{}", text);
        prop_assert_eq!(facts(reading), expected.clone(), "{}", text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_same_connectors_in_all_shapes_are_the_same(connectors in connectors()) {
        check(&clixml(&connectors), &connectors)?;
        check(&json(&connectors), &connectors)?;
        check(&csv(&connectors), &connectors)?;
        check(&list(&connectors), &connectors)?;
    }

    #[test]
    fn a_cut_export_keeps_what_stands_before_the_cut(connectors in connectors(), cut in 0.0..1.0) {
        for text in [clixml(&connectors), json(&connectors)] {
            let mut end = (text.len() as f64 * cut) as usize;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let (whole, part) = (read("x", text.as_bytes()), read("x", &text.as_bytes()[..end]));
            let kept = part.found.len();
            prop_assert_eq!(&part.found[..], &whole.found[..kept], "what is kept is what was there");
            // An object's end is the beginning of the next, or the text's.
            let begun = whole.found.iter().filter(|found| found.offset < end as u64).count();
            prop_assert!(kept + 1 >= begun, "at most the last is lost: {} of {} at {}\n{}", kept, begun, end, text);
            if kept < begun {
                prop_assert_eq!(part.rejected, 1, "{:?} at {}\n{}", &part.rejections, end, text);
            }
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read("Get-SendConnector", &bytes);
    }

    #[test]
    fn any_pieces_of_exports_are_read(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        for bytes in [text.as_bytes().to_vec(), utf16(&text)] {
            let is_claimed = kind().recognise(&Document { name: "Get-SendConnector.csv", bytes: &bytes });
            let reading = read("Get-SendConnector.csv", &bytes);
            prop_assert_eq!(is_claimed, reading.rejections != [(0, "no object of a known type".to_owned())]);
            prop_assert!(reading.found.iter().all(|found| found.offset <= bytes.len() as u64));
        }
    }
}

/// What exports of all shapes are made of.
const PIECES: &[&str] = &[
    "<Objs>",
    "</Objs>",
    "<Obj RefId=\"1\">",
    "</Obj>",
    "<Obj N=\"Value\">",
    "<TN RefId=\"0\"><T>X.SendConnector</T></TN>",
    "<TNRef RefId=\"0\" />",
    "<Props>",
    "</Props>",
    "<MS>",
    "</MS>",
    "<S N=\"Name\">a</S>",
    "<LST>",
    "</LST>",
    "<DCT>",
    "</DCT>",
    "<En>",
    "</En>",
    "<S N=\"Key\">",
    "</S>",
    "<Ref N=\"Id\" RefId=\"1\" />",
    "<Nil N=\"x\" />",
    "<ToString>",
    "</ToString>",
    "_x00",
    "_x000D_",
    "&lt;",
    "&#x110000;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<!DOCTYPE",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    ";",
    "\t",
    "\"",
    "\\",
    "\"Name\":\"a\"",
    "\"value\":[",
    "{\"TlsSenderCertificateName\":\"b\"}",
    "null",
    "1e999",
    "\"RawData\":[48,130]",
    "#TYPE X",
    "Name,TlsSenderCertificateName",
    "Name : a",
    "TlsSenderCertificateName : {a, b...}",
    "Thumbprint : ?",
    "...",
    "…",
    "  ",
    " : ",
    "\n",
    "\r\n",
    "PS C:\\>",
    "[PS] C:\\>Get-SendConnector -Server x",
    "é",
    "\u{200E}",
    "\0",
    "\u{FEFF}",
];
