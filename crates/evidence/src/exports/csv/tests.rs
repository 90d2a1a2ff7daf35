//! Small texts, and what is found in them.

use super::*;

/// The delimiter, then one line a part: place, type, and the properties.
fn shown(text: &str, source: Option<&str>) -> Vec<String> {
    let Some(delimiter) = delimiter(text, source) else {
        return Vec::new();
    };
    let shown = |part: Part| match part {
        Part::Object(object) => {
            let mut line = format!("{}", object.at);
            line += &object.type_name.map(|name| format!(" <{name}>")).unwrap_or_default();
            for property in object.properties {
                line += &format!(" {}={:?}", property.name, property.value);
            }
            line.replace("Text(", "(")
        }
        Part::Rejected { at, why } => format!("{at}: {why}"),
        Part::Passed(what) => format!("passed {what}"),
    };
    let found = parts(text, delimiter, source).map(shown);
    [format!("{:?}", char::from(delimiter))].into_iter().chain(found).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text, None), expected, "{text}");
}

#[test]
fn delimiters_and_quotes() {
    let found = "31 Name=(\"a\") TlsSenderCertificateName=(\"x\")";
    check("Name,TlsSenderCertificateName\r\na,x\r\n", &["','", found]);
    check("Name;TlsSenderCertificateName\r\na;x", &["';'", found]);
    check("Name\tTlsSenderCertificateName\r\na\tx\r\n", &["'\\t'", found]);
    let quoted = "\"Name\",\"TlsSenderCertificateName\"\n\"a \"\"b\"\", c\",\"x\ny\"\n\n\"d\",\"\"\n";
    let first = "34 Name=(\"a \\\"b\\\", c\") TlsSenderCertificateName=(\"x\\ny\")";
    check(quoted, &["','", first, "54 Name=(\"d\") TlsSenderCertificateName=Empty"]);
}

#[test]
fn values_of_all_kinds() {
    let text = "\"TlsSenderCertificateName\",\"Enabled\",\"SenderIPAddresses\",\"SenderDomains\",\"SmartHosts\"\n\
                \"\",\"True\",\"192.0.2.1 192.0.2.2\",\"System.Collections.ArrayList\",\"{a, b...}\"\n";
    let found = "86 TlsSenderCertificateName=Empty Enabled=Flag(true) \
                 SenderIPAddresses=List { items: [\"192.0.2.1\", \"192.0.2.2\"], cut: false } \
                 SenderDomains=List { items: [], cut: true } SmartHosts=List { items: [\"a\", \"b\"], cut: true }";
    check(text, &["','", found]);
}

#[test]
fn type_lines() {
    let text = "#TYPE Selected.X.TenantInboundConnector\r\n\"Name\",\"Enabled\"\r\n\"a\",\"True\"\r\n";
    check(text, &["','", "59 <Selected.X.TenantInboundConnector> Name=(\"a\") Enabled=Flag(true)"]);
    check("#TYPE X.Mailbox\r\n\"Name\",\"Enabled\"\r\n\"a\",\"True\"\r\n", &[]);
    check("#TYPE X.TenantInboundConnector\r\n", &[]);
}

#[test]
fn several_exports_in_one_file() {
    let text = "Name,TlsSenderCertificateName\na,x\n#TYPE X.AcceptedDomain\nName,DomainName\nb,b.example\n\
                Name,AddressSpaces,SmartHosts\nc,SMTP:*;1,d\n";
    let expected = [
        "','",
        "30 Name=(\"a\") TlsSenderCertificateName=(\"x\")",
        "73 <X.AcceptedDomain> Name=(\"b\") DomainName=(\"b.example\")",
        "115 Name=(\"c\") AddressSpaces=List { items: [\"SMTP:*;1\"], cut: false } \
         SmartHosts=List { items: [\"d\"], cut: false }",
    ];
    check(text, &expected);
}

#[test]
fn rows_that_do_not_fit_are_rejected() {
    let text = "Name,TlsSenderCertificateName\na\nb,x,y\nc,x,,\nd,x\n";
    let expected = [
        "','",
        "30: 1 cells under 2 columns",
        "32: 3 cells under 2 columns",
        "38 Name=(\"c\") TlsSenderCertificateName=(\"x\")",
        "44 Name=(\"d\") TlsSenderCertificateName=(\"x\")",
    ];
    check(text, &expected);
    let cut = "\"Name\",\"TlsSenderCertificateName\"\n\"a\",\"x\"\n\"b\",\"mail.con";
    let found = "34 Name=(\"a\") TlsSenderCertificateName=(\"x\")";
    check(cut, &["','", found, "42: the row is cut within a cell"]);
}

#[test]
fn a_files_name_is_a_hint() {
    let text = "Name,Enabled\na,True\n";
    assert_eq!(shown(text, None), [] as [&str; 0]);
    assert_eq!(shown(text, Some("Get-SendConnector.csv")), ["','", "13 Name=(\"a\") Enabled=Flag(true)"]);
}

#[test]
fn other_tables_are_not_claimed() {
    check("date-time,connector-id,session-id,sequence-number,local-endpoint\n2023-01-11T16:00:04.113Z,a,b,0,c\n", &[]);
    check("#Software: Microsoft Exchange Server\n#Version: 15.0.0.0\n", &[]);
    check("Subject,Issuer\na,b\n", &[]);
    check("", &[]);
    check("\n\n", &[]);
}
