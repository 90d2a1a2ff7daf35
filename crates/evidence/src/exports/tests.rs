//! Whole files of all shapes: which are claimed, and what is counted.

use super::*;
use crate::fact::Fact;

fn document<'a>(name: &'a str, bytes: &'a [u8]) -> Document<'a> {
    Document { name, bytes }
}

/// What a file says: names of connectors, domains, and thumbprints, with their places.
#[track_caller]
fn check(name: &str, bytes: &[u8], expected: &[(u64, &str)]) -> Reading {
    let mut reading = Reading::default();
    assert_eq!(Exports.recognise(&document(name, bytes)), !expected.is_empty(), "{name}");
    Exports.read(&document(name, bytes), &mut reading);
    let named = |fact: &Fact| match fact {
        Fact::Connector(connector) => connector.name.clone(),
        Fact::AcceptedDomain(domain) => domain.domain.clone(),
        Fact::CertificateNames(names) => names.thumbprint.clone(),
        other => format!("{other:?}"),
    };
    let found: Vec<(u64, String)> = reading.found.iter().map(|found| (found.offset, named(&found.fact))).collect();
    let expected: Vec<(u64, String)> = expected.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
    assert_eq!(found, expected, "{name}: {reading:?}");
    reading
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[test]
fn all_shapes_in_all_encodings() {
    let clixml = "<Objs><Obj><MS><S N=\"Name\">Köln</S><S N=\"TlsSenderCertificateName\">b</S></MS></Obj></Objs>";
    let json = "[{\"Name\":\"Köln\",\"TlsSenderCertificateName\":\"b\"}]";
    let csv = "Name,TlsSenderCertificateName\r\nKöln,b\r\n";
    let list = "Name                     : Köln\r\nTlsSenderCertificateName : b\r\n";
    for (text, at) in [(clixml, 6), (json, 1), (csv, 31), (list, 0)] {
        check("x", text.as_bytes(), &[(at, "Köln")]);
        check("x", format!("\u{FEFF}{text}").as_bytes(), &[(at + 3, "Köln")]);
        check("x", format!("\u{FEFF}\u{FEFF}{text}").as_bytes(), &[(at + 6, "Köln")]);
        check("x", &utf16(text), &[(at * 2 + 2, "Köln")]);
        check("x", &utf16(text)[2..], &[(at * 2, "Köln")]);
    }
}

#[test]
fn several_cmdlets_in_one_file() {
    let text = "PS C:\\> Get-InboundConnector | fl\n\nName : a\n\nPS C:\\> Get-AcceptedDomain | fl\n\nDomainName : B.example\n\
                DomainType : Authoritative\n\nPS C:\\> Get-Mailbox | fl\n\nName : c\n";
    let reading = check("x.txt", text.as_bytes(), &[(35, "a"), (78, "b.example")]);
    assert_eq!(reading.passed.into_iter().collect::<Vec<_>>(), [("object of another type".to_owned(), 1)]);
    let text = "{\"Inbound\":[{\"Name\":\"a\",\"SenderIPAddresses\":[],\"SenderDomains\":[\"smtp:*;1\"]}],\
                \"AcceptedDomains\":{\"value\":[{\"Name\":\"b.example\",\"Default\":true}],\"Count\":1},\"Mailboxes\":[{\"Name\":\"c\"}]}";
    let reading = check("x.json", text.as_bytes(), &[(12, "a"), (106, "b.example")]);
    assert_eq!(reading.passed["object of another type"], 1);
}

#[test]
fn a_files_name_helps_where_properties_say_too_little() {
    let json = b"[{\"Name\":\"a\",\"Enabled\":true,\"Identity\":{\"Name\":\"x\"}}]";
    check("connectors.json", json, &[]);
    check("EX1-Get-SendConnector.json", json, &[(1, "a")]);
    check("SendConnectors.csv", b"Name,Enabled\na,True\n", &[(13, "a")]);
    // Any text may have a line like this.
    check("SendConnector.txt", b"Name : a\n", &[]);
}

#[test]
fn other_files_are_not_claimed() {
    for text in [
        "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n",
        "2023-01-11T16:00:04.113Z,EX1\\Default,08D50D0000000001,0,192.0.2.1:25,192.0.2.2:1234,+,,\r\n",
        "{\"Name\":\"a\",\"DomainName\":\"b.example\"}",
        "[]",
        "{",
        "<html><body>TlsSenderCertificateName : a</body></html>",
        "Subject: mail\r\nFrom: a@b.example\r\nMessage-ID: <a@b.example>\r\n\r\n550 5.7.64 TenantAttribution; Relay Access Denied\r\n",
        "Name,Value\r\nTlsSenderCertificateName,x\r\n",
        "PS C:\\> Get-InboundConnector\r\n",
        "Thumbprint : none\r\nSubject : a\r\n",
        "",
        "\0\0\0\0",
    ] {
        let reading = check("x.log", text.as_bytes(), &[]);
        assert_eq!(reading.rejections, [(0, "no object of a known type".to_owned())], "{text:?}");
    }
}

#[test]
fn a_known_object_far_from_the_beginning_claims_nothing() {
    let other = "{\"Name\":\"other\",\"Size\":1},".repeat(HEAD_BYTES / 20);
    let text = format!("[{other}{{\"TlsSenderCertificateName\":\"a\"}}]");
    check("x.json", text.as_bytes(), &[]);
}

#[test]
fn every_object_is_counted() {
    let types = |name: &str| format!("<TN><T>Microsoft.Exchange.Data.{name}</T></TN>");
    let object = |name: &str, property: &str| format!("<Obj>{}<Props>{property}</Props></Obj>", types(name));
    let text = format!(
        "<Objs>{}{}{}{}{}{}</Objs>",
        object("TenantInboundConnector", "<S N=\"Name\">a</S>"),
        object("HybridConfiguration", "<S N=\"Name\">h</S>"),
        object("Mailbox", "<S N=\"Name\">m</S>"),
        object("Mailbox", "<S N=\"Name\">n</S>"),
        object("AcceptedDomain", "<S N=\"Name\">no domain</S>"),
        object("ExchangeCertificate", "<S N=\"Subject\">CN=a</S>"),
    );
    let reading = check("x.xml", text.as_bytes(), &[(6, "a")]);
    let passed: Vec<(&str, u64)> = reading.passed.iter().map(|(what, count)| (what.as_str(), *count)).collect();
    assert_eq!(passed, [("HybridConfiguration", 1), ("Mailbox", 2), ("certificate without thumbprint", 1)]);
    assert_eq!((reading.rejected, reading.rejections[0].1.as_str()), (1, "an accepted domain without a domain"));
}

#[test]
fn clixml_of_other_things_is_claimed_and_passed() {
    let text = b"<Objs><Obj><TN><T>Mailbox</T></TN></Obj><S>a</S></Objs>";
    assert!(Exports.recognise(&document("x", text)));
    let mut reading = Reading::default();
    Exports.read(&document("x", text), &mut reading);
    assert_eq!((reading.found.len(), reading.passed["Mailbox"], reading.passed["value"]), (0, 1, 1));
}

#[test]
fn limits_are_counted() {
    let long = "x".repeat(objects::TEXT_BYTES_MAX + 1);
    let text = format!("[{{\"Name\":\"a\",\"TlsSenderCertificateName\":\"b\",\"Comment\":\"{long}\"}}]");
    let reading = check("x.json", text.as_bytes(), &[(1, "a")]);
    assert_eq!(reading.passed[CUT], 1);

    let others: String = (0..OTHER_TYPES_MAX + 5).map(|at| format!("<Obj><TN><T>X.T{at}</T></TN></Obj>")).collect();
    let mut reading = Reading::default();
    Exports.read(&document("x", format!("<Objs>{others}</Objs>").as_bytes()), &mut reading);
    assert_eq!((reading.passed.len(), reading.passed["object of another type"]), (OTHER_TYPES_MAX + 1, 5));

    let parts = format!("Name : a\nTlsSenderCertificateName : b\n{}", "x\n".repeat(PARTS_MAX));
    let mut reading = Reading::default();
    Exports.read(&document("x", parts.as_bytes()), &mut reading);
    assert_eq!((reading.passed.values().sum::<u64>(), reading.rejected), (PARTS_MAX as u64, 1));
    assert_eq!(reading.rejections[0].0, 0, "no object was found behind the first line");
}
