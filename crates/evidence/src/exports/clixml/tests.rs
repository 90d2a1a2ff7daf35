//! Small exports, and what is found in them.

use super::*;

const TYPES: &str = "<TN RefId=\"0\"><T>Microsoft.Exchange.Data.X.TenantInboundConnector</T><T>System.Object</T></TN>";

fn export(inner: &str) -> String {
    format!("<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">{inner}</Objs>")
}

/// One line a part: `Type(source) Name=value ...`.
fn shown(text: &str, source: Option<&str>) -> Vec<String> {
    let shown = |part: Part| match part {
        Part::Object(object) => {
            let mut line = object.type_name.as_deref().map_or("-", types::short).to_owned();
            line += &object.source.map(|source| format!("({source})")).unwrap_or_default();
            line += &object.text.map(|text| format!(" [{text}]")).unwrap_or_default();
            for property in object.properties {
                line += &format!(" {}={:?}", property.name, property.value);
            }
            line.replace("Text(", "(")
        }
        Part::Rejected { at, why } => format!("{at}: {why}"),
        Part::Passed(what) => format!("passed {what}"),
    };
    parts(text, source).take(1_000).map(shown).collect()
}

#[track_caller]
fn check(inner: &str, expected: &[&str]) {
    assert_eq!(shown(&export(inner), None), expected, "{inner}");
}

#[test]
fn scalars() {
    let properties = "<B N=\"Enabled\">true</B><B N=\"X\">false</B><Nil N=\"TlsDomain\" /><S N=\"Name\">a &lt;b&gt; &amp; &#x63;</S>\
                      <I32 N=\"Port\">25</I32><DT N=\"When\">2022-03-23T18:00:30+01:00</DT><S N=\"Comment\"></S>\
                      <S N=\"Two\">a_x000D__x000A_b</S><SS N=\"Key\">0123</SS><G N=\"Guid\">0292c782</G>";
    let expected = "TenantInboundConnector [x] Enabled=Flag(true) X=Flag(false) TlsDomain=Empty Name=(\"a <b> & c\") \
                    Port=(\"25\") When=(\"2022-03-23T18:00:30+01:00\") Comment=Empty Two=(\"a\\r\\nb\") Guid=(\"0292c782\")";
    let object = format!("<Obj RefId=\"0\">{TYPES}<ToString>x</ToString><Props>{properties}</Props></Obj>");
    check(&object, &[expected]);
}

#[test]
fn nested_objects_are_one_value() {
    let properties = "<Obj N=\"TlsAuthLevel\" RefId=\"1\"><TN RefId=\"1\"><T>Microsoft.Exchange.Data.TlsAuthLevel</T></TN>\
                      <ToString>CertificateValidation</ToString><I32>2</I32></Obj>\
                      <Obj N=\"TlsCertificateName\" RefId=\"2\"><ToString>&lt;I&gt;CN=a&lt;S&gt;CN=b</ToString>\
                      <Props><S N=\"CertificateSubject\">CN=b</S><S N=\"Name\">inner</S></Props>\
                      <MS><BA N=\"SerializationData\">AAEAAAD</BA></MS></Obj>\
                      <Obj N=\"TlsName\" RefId=\"9\"><Props><S N=\"CertificateIssuer\">a</S><S N=\"CertificateSubject\">b</S></Props></Obj>\
                      <Obj N=\"SmartHosts\" RefId=\"3\"><TNRef RefId=\"1\" /><LST><Obj RefId=\"4\"><ToString>mail.example</ToString>\
                      <Props><S N=\"Name\">inner</S></Props></Obj><S>b.example</S></LST></Obj>\
                      <Obj N=\"ConnectedDomains\" RefId=\"5\"><LST /></Obj><Ref N=\"Id\" RefId=\"4\" /><Ref N=\"Lost\" RefId=\"77\" />\
                      <Obj N=\"OrganizationId\" RefId=\"6\"><ToString /><Props><Nil N=\"Unit\" /></Props></Obj>";
    let expected = "TenantInboundConnector TlsAuthLevel=(\"CertificateValidation\") TlsCertificateName=(\"<I>CN=a<S>CN=b\") \
                    TlsName=(\"<I>a<S>b\") SmartHosts=List { items: [\"mail.example\", \"b.example\"], cut: false } \
                    ConnectedDomains=List { items: [], cut: false } Id=(\"mail.example\") Lost=List { items: [], cut: true } \
                    OrganizationId=Empty";
    check(
        &format!("<Obj RefId=\"0\">{TYPES}<Props>{properties}</Props><MS><S N=\"PSComputerName\">ex1</S></MS></Obj>"),
        &[expected],
    );
}

#[test]
fn types_are_referred_to() {
    let first = format!("<Obj RefId=\"0\">{TYPES}<Props><S N=\"Name\">a</S></Props></Obj>");
    let second = "<Obj RefId=\"1\"><TNRef RefId=\"0\" /><Props><S N=\"Name\">b</S></Props></Obj>";
    let third = "<Obj RefId=\"2\"><TNRef RefId=\"8\" /><Props><S N=\"Name\">c</S></Props></Obj>";
    let expected = ["TenantInboundConnector Name=(\"a\")", "TenantInboundConnector Name=(\"b\")", "- Name=(\"c\")"];
    check(&format!("{first}{second}{third}"), &expected);
    // Numbers begin anew in the next export of the file.
    let both = format!("{}\r\n\u{FEFF}{}", export(&first), export(second));
    assert_eq!(shown(&both, None), ["TenantInboundConnector Name=(\"a\")", "- Name=(\"b\")"]);
}

#[test]
fn what_an_array_at_the_top_holds_stands_at_the_top() {
    let member = |name: &str| format!("<Obj RefId=\"1\">{TYPES}<Props><S N=\"Name\">{name}</S></Props></Obj>");
    let array = format!("<Obj RefId=\"0\"><LST>{}{}</LST></Obj>", member("a"), member("b"));
    check(&array, &["TenantInboundConnector Name=(\"a\")", "TenantInboundConnector Name=(\"b\")"]);
    check("<Obj RefId=\"0\"><LST><S>a</S></LST></Obj><S>b</S>", &["passed list of values", "passed value"]);
}

#[test]
fn what_someone_put_together_is_taken_apart() {
    let connector = "<TN><T>Deserialized.X.TenantInboundConnector</T></TN><Props><S N=\"Name\">a</S></Props>";
    let custom = "<TN><T>System.Management.Automation.PSCustomObject</T></TN>";
    let list = format!("<Obj N=\"Connectors\"><LST><Obj>{connector}</Obj></LST></Obj>");
    let expected = "TenantInboundConnector(Connectors) Name=(\"a\")";
    check(&format!("<Obj>{custom}<MS><S N=\"Date\">x</S>{list}</MS></Obj>"), &[expected]);
    let entry = format!("<En><S N=\"Key\">Inbound</S><Obj N=\"Value\">{connector}</Obj></En>");
    check(&format!("<Obj><DCT>{entry}</DCT></Obj>"), &["TenantInboundConnector(Inbound) Name=(\"a\")"]);
    // The objects within a connector are its values, even if it lost its type.
    let sender = "<S N=\"TlsSenderCertificateName\">x</S>";
    let inner = "<Obj N=\"AcceptedDomain\"><ToString>d</ToString><Props><S N=\"Name\">d</S></Props></Obj>";
    let expected = "PSCustomObject TlsSenderCertificateName=(\"x\") AcceptedDomain=(\"d\")";
    check(&format!("<Obj>{custom}<MS>{sender}{inner}</MS></Obj>"), &[expected]);
}

#[test]
fn a_files_name_is_a_hint() {
    let text = export("<Obj RefId=\"0\"><MS><S N=\"Name\">a</S></MS></Obj>");
    assert_eq!(shown(&text, Some("Get-SendConnector.xml")), ["-(Get-SendConnector.xml) Name=(\"a\")"]);
}

#[test]
fn escaped_units() {
    for (escaped, expected) in [
        ("a_x000D__x000A_b", "a\r\nb"),
        ("_xD83D__xDE00_", "\u{1F600}"),
        ("_xD83D_x", "\u{FFFD}x"),
        ("_x005F_x000D_", "_x000D_"),
        ("_xZZZZ_ _x00", "_xZZZZ_ _x00"),
        ("_x_x000D_", "_x\r"),
        ("_x+123_", "_x+123_"),
        ("_xé", "_xé"),
        ("plain", "plain"),
    ] {
        assert_eq!(unescaped(escaped), expected, "{escaped}");
    }
}

#[test]
fn a_cut_export_keeps_what_stands_before_the_cut() {
    let object = |name: &str| format!("<Obj RefId=\"0\">{TYPES}<Props><S N=\"Name\">{name}</S></Props></Obj>");
    let whole = export(&format!("{}{}", object("a"), object("b")));
    let (second, end) = (whole.rfind("<Obj ").unwrap(), whole.rfind("</Objs>").unwrap());
    for cut in second + 5..end {
        let found = shown(&whole[..cut], None);
        assert_eq!(found[0], "TenantInboundConnector Name=(\"a\")", "cut at {cut}");
        assert!(found[1].starts_with(&format!("{second}: ")), "cut at {cut}: {found:?}");
        assert_eq!(found.len(), 2);
    }
    assert_eq!(shown(&whole[..end], None).len(), 3, "both objects, and that the export is cut");
    assert_eq!(shown(&whole, None).len(), 2);
}

#[track_caller]
fn check_rejected(text: &str, place: usize, why: &str) {
    let found = shown(text, None);
    let last = found.last().expect("something is rejected");
    assert!(last.starts_with(&format!("{place}: {why}")), "{text}: {last}");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn what_no_export_has_ends_the_reading() {
    let bomb = "<!DOCTYPE Objs [<!ENTITY a \"aaaa\">]><Objs><Obj><S N=\"Name\">&a;</S></Obj></Objs>";
    check_rejected(bomb, 0, "a document type declaration");
    check_rejected("<Objs><Obj><ToString>&a;</ToString></Obj></Objs>", 6, "an entity that XML does not define");
    check_rejected("<Objs><Obj></Props></Objs>", 6, "not well-formed");
    check_rejected("<Objs><Obj ", 6, "not well-formed");
    check_rejected(&format!("<Objs>{}", "<Obj><LST>".repeat(DEPTH_MAX)), 316, "elements more than 64 deep");
    check_rejected("<Objs>", 6, "the export is cut");
}

#[test]
fn the_root_tells() {
    for (text, expected) in [
        ("<Objs Version=\"1.1.0.1\">", true),
        ("\r\n<?xml version=\"1.0\"?>\r\n<Objs>", true),
        ("<!-- kept --><Objs/>", true),
        ("#< CLIXML\r\n<Objs Version=\"1.1.0.1\">", true),
        ("<Objsx>", false),
        ("<Events><Objs>", false),
        ("Objs", false),
        ("<?", false),
        ("", false),
    ] {
        assert_eq!(is_clixml(text), expected, "{text:?}");
    }
    assert_eq!(shown("#< CLIXML\r\n<Objs><S>a</S></Objs>", None), ["passed value"]);
}
