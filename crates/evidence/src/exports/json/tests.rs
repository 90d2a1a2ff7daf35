//! Small texts, and what is found in them.

use super::*;

/// One line a part: place, source, and the properties.
fn shown(text: &str) -> Vec<String> {
    let shown = |part: Part| match part {
        Part::Object(object) => {
            let mut line = format!("{}", object.at);
            line += &object.type_name.map(|name| format!(" <{name}>")).unwrap_or_default();
            line += &object.source.map(|source| format!(" ({source})")).unwrap_or_default();
            for property in object.properties {
                line += &format!(" {}={:?}", property.name, property.value);
            }
            line.replace("Text(", "(")
        }
        Part::Rejected { at, why } => format!("{at}: {why}"),
        Part::Passed(what) => format!("passed {what}"),
    };
    parts(text, None).map(shown).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected, "{text}");
}

#[test]
fn one_object_several_and_one_behind_the_other() {
    check(r#"{"Name":"a"}"#, &[r#"0 Name=("a")"#]);
    check(r#"[{"Name":"a"}, {"Name":"b"}]"#, &[r#"1 Name=("a")"#, r#"15 Name=("b")"#]);
    check("{\"Name\":\"a\"}\r\n{\"Name\":\"b\"}\n", &[r#"0 Name=("a")"#, r#"14 Name=("b")"#]);
    check(r#"{"Name":"a"}{"Name":"b"}"#, &[r#"0 Name=("a")"#, r#"12 Name=("b")"#]);
    check("[]", &[]);
    check("[1, \"a\", null]", &["passed value", "passed value", "passed value"]);
}

#[test]
fn wrappers_are_opened() {
    let object = r#"{"TlsSenderCertificateName":"a"}"#;
    let found = |at: usize| format!(r#"{at} TlsSenderCertificateName=("a")"#);
    check(&format!(r#"{{"value":[{object}],"Count":1}}"#), &[&found(10)]);
    let rest = format!(r#"{{"@odata.context":"https://x/$metadata","value":[{object},{object}]}}"#);
    check(&rest, &[&found(49), &found(49 + object.len() + 1)]);
    let keyed = r#"{"Date":"x","SendConnectors":[{"Name":"a"}],"Other":{"Name":"b"}}"#;
    check(keyed, &[r#"30 (SendConnectors) Name=("a")"#, r#"52 (Other) Name=("b")"#]);
    let both = r#"{"SendConnectors":{"value":[{"Name":"a"}],"Count":1}}"#;
    check(both, &[r#"28 (SendConnectors) Name=("a")"#]);
    let deep = r#"{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}"#;
    check(deep, &[r#"20 (d) e=List { items: [], cut: true }"#]);
}

#[test]
fn values_of_all_kinds() {
    let text = r#"{"A":null,"B":true,"C":"True","D":"","TlsAuthLevel":2,"Port":25,"SenderDomains":"smtp:*;1",
        "SenderIPAddresses":["192.0.2.1","192.0.2.2"],"Empty":[],"SmartHosts":"System.Collections.ArrayList",
        "F":{"value":["x"],"Count":1},"When":{"value":"\/Date(1675301001000)\/","DisplayHint":2}}"#;
    let expected = "0 A=Empty B=Flag(true) C=Flag(true) D=Empty TlsAuthLevel=(\"CertificateValidation\") Port=(\"25\") \
                    SenderDomains=List { items: [\"smtp:*;1\"], cut: false } \
                    SenderIPAddresses=List { items: [\"192.0.2.1\", \"192.0.2.2\"], cut: false } \
                    Empty=List { items: [], cut: false } SmartHosts=List { items: [], cut: true } \
                    F=List { items: [\"x\"], cut: false } When=(\"/Date(1675301001000)/\")";
    // Only the whole object is of a known type, so that it is not opened.
    let found = shown(&text.replace("\"A\":null", "\"TlsSenderCertificateName\":null"));
    assert_eq!(found, [expected.replace("A=Empty", "TlsSenderCertificateName=Empty")]);
}

#[test]
fn types_and_sidecars() {
    let text = r##"{"@odata.type":"#Exchange.InboundConnector","Name@data.type":"System.String","Name":"a"}"##;
    check(text, &[r##"0 <#Exchange.InboundConnector> Name=("a")"##]);
    check(r#"{"PSTypeName":"X.ReceiveConnector","Name":"a"}"#, &[r#"0 <X.ReceiveConnector> Name=("a")"#]);
    check(r#"{"Name":"a","SerializationData":"AAEA"}"#, &[r#"0 Name=("a")"#]);
}

#[test]
fn what_is_cut_or_wrong_costs_one_object() {
    let text = r#"[{"Name":"a"}, {"Name":"b"#;
    check(text, &[r#"1 Name=("a")"#, "15: the object is cut"]);
    let wrapped = r#"{"@odata.context":"x, y","value":[{"Name":"a"}, {"Name":"b"#;
    check(wrapped, &[r#"34 Name=("a")"#, "48: the object is cut"]);
    check(r#"{"Name":"a","List":[{"Name":"b"},"#, &["0: the object is cut"]);
    check(r#"{"Count":1,"value":[{"Name":"a"}],"#, &[r#"20 Name=("a")"#]);
    let wrong = shown(r#"[{"Name" "a"}, {"Name":"b"}]"#);
    assert!(wrong[0].starts_with("1: not JSON: "), "{wrong:?}");
    assert_eq!(wrong[1], r#"15 Name=("b")"#);
    check(r#"{"a":"\"#, &["0: the object is cut"]);
    check("{", &["0: the object is cut"]);
    check("]}", &[]);
}

#[test]
fn depth_is_bounded() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let found = shown(&deep);
    assert!(found.len() == 1 && found[0].starts_with("0: not JSON: recursion limit"), "{found:?}");
    check(&"[".repeat(100_000), &[]);
    assert_eq!(shown(&"{\"a\":".repeat(10_000)), ["0: the object is cut"]);
    assert_eq!(shown(&"{\"value\":[".repeat(10_000)), ["40: the object is cut"]);
}

#[test]
fn the_beginning_tells() {
    for (text, expected) in [
        ("{\"Name\"", true),
        ("\r\n [ {", true),
        ("[]", true),
        ("[PS] C:\\>Get-InboundConnector", false),
        ("Name : a", false),
        ("]", false),
        ("", false),
    ] {
        assert_eq!(is_json(text), expected, "{text:?}");
    }
}
