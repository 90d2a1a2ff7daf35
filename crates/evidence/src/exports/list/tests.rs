//! Small texts as consoles show them, and what is found in them.

use super::*;

/// One line a part: place, source, server, and the properties. Lines of other text are left out.
fn shown(text: &str) -> Vec<String> {
    let shown = |part: Part| match part {
        Part::Object(object) => {
            let mut line = format!("{}", object.at);
            line += &object.source.map(|source| format!(" ({source})")).unwrap_or_default();
            line += &object.server.map(|server| format!(" @{server}")).unwrap_or_default();
            for property in object.properties {
                line += &format!(" {}={:?}", property.name, property.value);
            }
            Some(line.replace("Text(", "("))
        }
        Part::Rejected { at, why } => Some(format!("{at}: {why}")),
        Part::Passed(_) => None,
    };
    parts(text).filter_map(shown).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected, "{text}");
}

#[test]
fn objects_are_parted_by_blank_lines() {
    check(
        "\r\nName    : a\r\nEnabled : True\r\n\r\n\r\nName    : b\r\n",
        &["2 Name=(\"a\") Enabled=Flag(true)", "35 Name=(\"b\")"],
    );
    check(
        "Name: a\nTlsSenderCertificateName : *.contoso.com",
        &["0 Name=(\"a\") TlsSenderCertificateName=(\"*.contoso.com\")"],
    );
    check("Name : a\nName : b\n", &["0 Name=(\"a\")", "9 Name=(\"b\")"]);
    check("  Name    : a\n  Enabled : False\n", &["2 Name=(\"a\") Enabled=Flag(false)"]);
    check("", &[]);
}

#[test]
fn values_of_all_kinds() {
    let text = "A :\nB : $null\nC : {}\nD : {a, b, c, d...}\nE : {a, b…}\nF : <I>CN=a: b<S>CN=c\nNotAfter : 02.02.2028 4:22:23\n\
                SenderDomains : {smtp:*;1}\nSenderIPAddresses : 192.0.2.1;192.0.2.2\n";
    let expected = "0 A=Empty B=Empty C=List { items: [], cut: false } \
                    D=List { items: [\"a\", \"b\", \"c\", \"d\"], cut: true } E=List { items: [\"a\", \"b\"], cut: true } \
                    F=(\"<I>CN=a: b<S>CN=c\") NotAfter=(\"02.02.2028 4:22:23\") \
                    SenderDomains=List { items: [\"smtp:*;1\"], cut: false } \
                    SenderIPAddresses=List { items: [\"192.0.2.1\", \"192.0.2.2\"], cut: false }";
    check(text, &[expected]);
}

#[test]
fn lines_that_are_indented_go_on() {
    check(
        "Domains : {a.example,\n          b.example}\nName    : x\n",
        &["0 Domains=List { items: [\"a.example\", \"b.example\"], cut: false } Name=(\"x\")"],
    );
    check(
        "Subject : CN=a, O=Contoso\n          Ltd, C=US\nX : y\n",
        &["0 Subject=(\"CN=a, O=Contoso Ltd, C=US\") X=(\"y\")"],
    );
    check("Comment : see\n          Note : b\n", &["0 Comment=(\"see Note : b\")"]);
    check("Comment :\n          a\n", &["0 Comment=(\"a\")"]);
}

#[test]
fn a_word_that_was_broken_is_whole_again() {
    let value = "x".repeat(69);
    let text = format!("Name    : {value}\n          yyy\n"); // 79 columns
    check(&text, &[&format!("0 Name=(\"{value}yyy\")")]);
    let two = "Name    : abcdef\n          ghijkl\n          mn\n"; // The console had 16 columns.
    check(two, &["0 Name=(\"abcdefghijklmn\")"]);
    let list = "Name    : {abcd,\n          ghijkl\n          mn}\n";
    check(list, &["0 Name=List { items: [\"abcd\", \"ghijklmn\"], cut: false }"]);
}

#[test]
fn prompts_tell_the_type_and_the_server() {
    let text = "[PS] C:\\>Get-ExchangeCertificate -Server 'ex1' | fl\n\nThumbprint : a\n[PS] C:\\>Get-SendConnector|fl\n\nName : b\n\
                PS C:\\Users\\a> $x = Get-InboundConnector\nName : c\nPS C:\\> dir\nName : d\nGet-AcceptedDomain | fl\nName : e\n";
    check(
        text,
        &[
            "53 (Get-ExchangeCertificate) @ex1 Thumbprint=(\"a\")",
            "99 (Get-SendConnector) Name=(\"b\")",
            "149 (Get-InboundConnector) Name=(\"c\")",
            "170 Name=(\"d\")",
            "203 (Get-AcceptedDomain) Name=(\"e\")",
        ],
    );
    check("PS> Get-ReceiveConnector -Server $server\nName : a\n", &["41 (Get-ReceiveConnector) Name=(\"a\")"]);
    check("PS> Get-ReceiveConnector -Server\nName : a\n", &["33 (Get-ReceiveConnector) Name=(\"a\")"]);
}

#[test]
fn other_text_has_no_objects() {
    check("2023-01-11T16:00:04.113Z,EX1\\Default,08D,0,192.0.2.1:25,192.0.2.2:1,+,,\n", &[]);
    check("250 2.1.0 Sender OK\nhttps://contoso.com/a\nC:\\Windows\n12:30 : noon\n", &[]);
    let passed = parts("a line\nanother\n").filter(|part| matches!(part, Part::Passed(_))).count();
    assert_eq!(passed, 2);
    check("Name : a\nsome text\nEnabled : True\n", &["0 Name=(\"a\") Enabled=Flag(true)"]);
}
