//! The knowledge base articles about 5.7.64, worked through from files shaped as they show them: a certificate renewed
//! under another name, an address that changed, a chain that is not sent.

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;

use crate::program::{done, run};

const OLD: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";
const NEW: &str = "5B1E7A60C9D24F8E93A7B0D1C2E3F40516273849";
const CONNECTOR: &str = "Outbound to office 365";

/// A session of the send connector as the articles show one: the certificate's rows end with its thumbprint.
struct Session<'a> {
    number: u32,
    time: &'a str,
    subject: &'a str,
    thumbprint: &'a str,
    egress: &'a str,
    reply: &'a str,
}

fn log(sessions: &[Session<'_>]) -> String {
    let mut log = String::from(
        "\u{feff}#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Send Protocol Log\r\n\
         #Date: 2024-03-11T00:00:00.000Z\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,\
         remote-endpoint,event,data,context\r\n",
    );
    for session in sessions {
        for (sequence, row) in rows(session).iter().enumerate() {
            let Session { number, time, .. } = session;
            let ends = "10.0.0.10:22289,104.47.88.42:25";
            let second = sequence / 4;
            write!(log, "{time}:{second:02}.000Z,{CONNECTOR},08DC3990008{number:05},{sequence},{ends},{row}\r\n")
                .unwrap();
        }
    }
    log
}

fn rows(session: &Session<'_>) -> Vec<String> {
    let Session { subject, thumbprint, egress, reply, .. } = session;
    let issuer = "\"CN=CommonName, OU=OrganizationalUnit, O=OrganizationName, L=Location, S=State, C=Country\"";
    let host = "AM1EUR08FT047.mail.protection.outlook.com";
    let data: &[&str] = match *reply == ACCEPTED {
        true => {
            &[">,DATA,", "<,354 Start mail input; end with <CRLF>.<CRLF>,", "<,250 2.6.0 Queued mail for delivery,"]
        }
        false => &[],
    };
    let begin = [
        "*,None,Set Session Permissions".to_owned(),
        "*,,attempting to connect".into(),
        "+,,".into(),
        format!("<,220 {host} Microsoft ESMTP MAIL Service ready,"),
        ">,EHLO mail.contoso.com,".into(),
        format!("<,250  {host} Hello [{egress}] SIZE 157286400 PIPELINING STARTTLS,"),
        ">,STARTTLS,".into(),
        "<,220 2.0.0 SMTP server ready,".into(),
        "*,,Sending certificate".into(),
        format!("*,{subject},Certificate subject"),
        format!("*,{issuer},Certificate issuer name"),
        "*,0D5A1BC2,Certificate serial number".into(),
        format!("*,{thumbprint},Certificate thumbprint"),
        ">,EHLO mail.contoso.com,".into(),
        format!("<,250  {host} Hello [{egress}] SIZE 157286400 PIPELINING,"),
        ">,MAIL FROM:<user1@contoso.com> SIZE=1024,".into(),
        "<,250 2.1.0 Sender OK,".into(),
        ">,RCPT TO:<p@fabrikam.example>,".into(),
        format!("<,{reply},"),
    ];
    let end = [">,QUIT,", "<,221 2.0.0 Service closing transmission channel,", "-,,Local"];
    begin.into_iter().chain(data.iter().chain(&end).map(|&row| row.to_owned())).collect()
}

const REFUSED: &str = "550 5.7.64 TenantAttribution; Relay Access Denied SMTP";
const ACCEPTED: &str = "250 2.1.5 Recipient OK";

/// The one case of this status.
#[track_caller]
fn explained(folder: &Path, status: &str) -> Value {
    done(folder, &["index", "input", "-q"]);
    let ran = run(folder, &["explain", &format!("status:{status}"), "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut cases = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let case = cases.next().expect("a case");
    assert!(cases.next().is_none(), "{}", ran.out);
    case
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join("input").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[track_caller]
fn check_first(case: &Value, id: &str, mend: &str) {
    let first = &case["causes"][0];
    assert_eq!(first["id"], id, "{case:#}");
    assert_eq!(first["confidence"], "high", "{case:#}");
    let mends: Vec<&str> = first["mend"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(mends.iter().any(|step| step.contains(mend)), "{mends:#?}");
}

/// Seeds 000 to 003: an on-premises certificate that no longer matches the one named in Office 365.
#[test]
fn certificate_renewed_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let subject = |name: &'static str| {
        move |number, time, thumbprint, reply| Session {
            number,
            time,
            subject: name,
            thumbprint,
            egress: "203.0.113.7",
            reply,
        }
    };
    let (before, after) = (subject("CN=mail.contoso.com"), subject("CN=*.contoso.com"));
    let sessions = [
        before(1, "2024-03-11T06:00", OLD, ACCEPTED),
        before(2, "2024-03-11T07:00", OLD, ACCEPTED),
        after(3, "2024-03-11T09:00", NEW, REFUSED),
        after(4, "2024-03-11T10:00", NEW, REFUSED),
    ];
    write(folder.path(), "EX01/SmtpSend/SEND2024031106-1.LOG", log(&sessions));
    let connector = "\r\n\r\nName                          : Inbound from contoso\r\nEnabled                       : True\r\n\
        ConnectorType                 : OnPremises\r\nSenderDomains                 : {smtp:*;1}\r\n\
        SenderIPAddresses             : {}\r\nTlsSenderCertificateName      : smtp.old.contoso.com\r\n\
        RequireTls                    : True\r\n\r\n";
    write(folder.path(), "connector.txt", connector);
    // The send connector could have named the old certificate; this one names none.
    let send = format!(
        "\r\n\r\nName                  : {CONNECTOR}\r\nAddressSpaces         : {{SMTP:*;1}}\r\n\
        SourceTransportServers : {{EX01}}\r\nTlsCertificateName    : \r\n\r\n"
    );
    write(folder.path(), "send.txt", send);
    let case = explained(folder.path(), "5.7.64");
    assert_eq!(case["presented"], NEW);
    assert_eq!(case["sessions"], 2);
    let command = "Set-InboundConnector -Identity 'Inbound from contoso' -TlsSenderCertificateName '*.contoso.com'";
    check_first(&case, "certificate-name-mismatch", command);
    let wizard = case["causes"][0]["mend"].to_string();
    assert!(wizard.contains("Hybrid Configuration Wizard") && wizard.contains("Transport Certificate"), "{wizard}");
}

/// The other cause of seeds 000 to 003: the address is no longer the one that the connector names.
#[test]
fn address_changed() {
    let folder = tempfile::tempdir().unwrap();
    let session = |number, time, egress, reply| Session {
        number,
        time,
        subject: "CN=mail.contoso.com",
        thumbprint: OLD,
        egress,
        reply,
    };
    let sessions = [
        session(1, "2024-03-11T06:00", "203.0.113.7", ACCEPTED),
        session(2, "2024-03-11T07:00", "203.0.113.7", ACCEPTED),
        session(3, "2024-03-11T09:00", "198.51.100.20", REFUSED),
        session(4, "2024-03-11T10:00", "198.51.100.20", REFUSED),
    ];
    write(folder.path(), "EX01/SmtpSend/SEND2024031106-1.LOG", log(&sessions));
    let connector = r#"{"Name": "From office", "Enabled": true, "ConnectorType": "OnPremises", "SenderDomains": ["smtp:*;1"],
        "SenderIPAddresses": ["203.0.113.0/28"], "TlsSenderCertificateName": null, "RequireTls": false}"#;
    // As Windows PowerShell redirects it.
    let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(connector.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    write(folder.path(), "exports/Get-InboundConnector.json", utf16);
    let case = explained(folder.path(), "5.7.64");
    let command = "Set-InboundConnector -Identity 'From office' -SenderIPAddresses @{Add='198.51.100.20'}";
    check_first(&case, "ip-address-mismatch", command);
}

/// A connector that matches and is switched off, beside one that does not match.
#[test]
fn the_connector_is_disabled() {
    let folder = tempfile::tempdir().unwrap();
    let session = |number, time, reply| Session {
        number,
        time,
        subject: "CN=mail.contoso.com",
        thumbprint: OLD,
        egress: "203.0.113.7",
        reply,
    };
    let sessions = [
        session(1, "2024-03-11T06:00", ACCEPTED),
        session(2, "2024-03-11T09:00", REFUSED),
        session(3, "2024-03-11T10:00", REFUSED),
    ];
    write(folder.path(), "EX01/SmtpSend/SEND2024031106-1.LOG", log(&sessions));
    let connectors = r#"[{"Name": "From office", "Enabled": false, "ConnectorType": "OnPremises", "SenderDomains": ["smtp:*;1"],
        "SenderIPAddresses": [], "TlsSenderCertificateName": "*.contoso.com", "RequireTls": true},
        {"Name": "From bank", "Enabled": true, "ConnectorType": "Partner", "SenderDomains": ["smtp:bank.example;1"],
        "SenderIPAddresses": [], "TlsSenderCertificateName": "mail.bank.example", "RequireTls": true}]"#;
    write(folder.path(), "exports/Get-InboundConnector.json", connectors);
    let case = explained(folder.path(), "5.7.64");
    check_first(&case, "no-inbound-connector", "Set-InboundConnector -Identity 'From office' -Enabled $true");
}

/// A certificate that was accepted for two days before the refusals is not their reason, whatever time is asked about.
#[test]
fn a_certificate_that_was_accepted_before_is_not_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let session = |number, time, subject, thumbprint, reply| Session {
        number,
        time,
        subject,
        thumbprint,
        egress: "203.0.113.7",
        reply,
    };
    let new = |number, time, reply| session(number, time, "CN=smtp.contoso.com", NEW, reply);
    let sessions = [
        session(1, "2024-03-09T06:00", "CN=mail.contoso.com", OLD, ACCEPTED),
        new(2, "2024-03-09T10:00", ACCEPTED),
        new(3, "2024-03-10T10:00", ACCEPTED),
        new(4, "2024-03-11T09:00", REFUSED),
        new(5, "2024-03-11T10:00", REFUSED),
    ];
    write(folder.path(), "EX01/SmtpSend/SEND2024030906-1.LOG", log(&sessions));
    done(folder.path(), &["index", "input", "-q"]);
    for since in ["2024-03-11T08:00", "2024-01-01"] {
        let ran = done(folder.path(), &["explain", "status:5.7.64", "--since", since, "--json"]);
        let case: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
        assert_eq!(case["causes"], serde_json::json!([]), "{since}: {case:#}");
        let ruled_out = case["ruled_out"].to_string();
        assert!(ruled_out.contains("2 sessions were accepted with the new certificate"), "{since}: {ruled_out}");
    }
}

/// Seed 004: the chain is not sent, and CAPI2 says so on the sending server.
#[test]
fn chain_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = [Session {
        number: 1,
        time: "2024-03-11T09:00",
        subject: "CN=*.contoso.com",
        thumbprint: NEW,
        egress: "203.0.113.7",
        reply: REFUSED,
    }];
    write(folder.path(), "CORP-SMTP1/SmtpSend/SEND2024031109-1.LOG", log(&sessions));
    write(folder.path(), "event.xml", event("CORP-SMTP1.contoso.com", NEW, "*.contoso.com"));
    let case = explained(folder.path(), "5.7.64");
    check_first(&case, "chain-incomplete", "Import-Certificate -CertStoreLocation Cert:\\LocalMachine\\CA");
    let evidence = case["causes"][0]["evidence"].to_string();
    assert!(evidence.contains("800B0109") && evidence.contains("event.xml"), "{evidence}");
}

/// The event can be about the other side's certificate: it counts only if the computer's sessions presented that one.
#[test]
fn an_event_about_another_certificate_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = [Session {
        number: 1,
        time: "2024-03-11T09:00",
        subject: "CN=*.contoso.com",
        thumbprint: NEW,
        egress: "203.0.113.7",
        reply: REFUSED,
    }];
    write(folder.path(), "CORP-SMTP1/SmtpSend/SEND2024031109-1.LOG", log(&sessions));
    write(folder.path(), "event.xml", event("CORP-SMTP1.contoso.com", OLD, "mail.protection.outlook.com"));
    write(folder.path(), "other.xml", event("CORP-SMTP2.contoso.com", NEW, "*.contoso.com"));
    let case = explained(folder.path(), "5.7.64");
    assert_eq!(case["causes"].as_array().unwrap().len(), 0, "{case:#}");
    assert!(case["missing"].to_string().contains("wevtutil epl"), "{case:#}");
}

/// The IIS sender of seed 004: its log has no thumbprint, so the same evidence is not as sure.
#[test]
fn chain_is_not_sent_by_iis() {
    let folder = tempfile::tempdir().unwrap();
    let row = |time: &str, kind: &str, method: &str, query: &str| {
        format!(
            "2024-03-11 {time} 104.47.88.42 OutboundConnection{kind} SMTPSVC1 CORP-SMTP1 - 25 {method} - {query} 0 0 60 0 16 SMTP - - - -\r\n"
        )
    };
    let log = [
        "#Software: Microsoft Internet Information Services 7.0\r\n#Version: 1.0\r\n#Date: 2024-03-11 09:00:00\r\n\
         #Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query \
         sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) \r\n"
            .to_owned(),
        row("09:00:00", "Response", "-", "220+AM1EUR08FT047.mail.protection.outlook.com+Microsoft+ESMTP"),
        row("09:00:00", "Command", "EHLO", "CORP-SMTP1.contoso.com"),
        row("09:00:00", "Response", "-", "250-AM1EUR08FT047.mail.protection.outlook.com+Hello+[203.0.113.7]"),
        row("09:00:00", "Command", "STARTTLS", "-"),
        row("09:00:01", "Response", "-", "220+2.0.0+SMTP+server+ready"),
        row("09:00:01", "Command", "EHLO", "CORP-SMTP1.contoso.com"),
        row("09:00:01", "Response", "-", "250-AM1EUR08FT047.mail.protection.outlook.com+Hello+[203.0.113.7]"),
        row("09:00:01", "Command", "MAIL", "FROM:<user1@contoso.com>"),
        row("09:00:01", "Response", "-", "250+2.1.0+Sender+OK"),
        row("09:00:01", "Command", "RCPT", "TO:<p@fabrikam.example>"),
        row("09:00:02", "Response", "-", "550+5.7.64+TenantAttribution;+Relay+Access+Denied"),
        row("09:00:02", "Command", "QUIT", "-"),
        row("09:00:02", "Response", "-", "221+2.0.0+Service+closing+transmission+channel"),
    ]
    .concat();
    write(folder.path(), "CORP-SMTP1/LogFiles/SMTPSVC1/ex240311.log", log);
    write(folder.path(), "event.xml", event("CORP-SMTP1.contoso.com", NEW, "*.contoso.com"));
    let case = explained(folder.path(), "5.7.64");
    let first = &case["causes"][0];
    assert_eq!((&first["id"], &first["confidence"]), (&"chain-incomplete".into(), &"medium".into()), "{case:#}");
}

/// Event 30 of CAPI2 with the result that a chain which is not trusted gives.
fn event(computer: &str, thumbprint: &str, subject: &str) -> String {
    format!(
        r#"<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">
 <System>
 <Provider Name="Microsoft-Windows-CAPI2" Guid="{{5bbca4a8-b209-48dc-a8c7-b23d3e5216fb}}" />
 <EventID>30</EventID><Version>0</Version><Level>2</Level><Task>30</Task><Opcode>0</Opcode>
 <TimeCreated SystemTime="2024-03-11T09:00:01.456180600Z" />
 <EventRecordID>41</EventRecordID><Channel>Microsoft-Windows-CAPI2/Operational</Channel>
 <Computer>{computer}</Computer>
 </System>
 <UserData>
 <CertVerifyCertificateChainPolicy>
 <Policy type="CERT_CHAIN_POLICY_SSL" constant="4" />
 <Certificate fileRef="{thumbprint}.cer" subjectName="{subject}" />
 <CertificateChain chainRef="{{00000000-0000-0000-0000-000000000001}}" />
 <Flags value="0" />
 <SSLAdditionalPolicyInfo authType="server"><IgnoreFlags value="280" /></SSLAdditionalPolicyInfo>
 <Status chainIndex="0" elementIndex="-1" />
 <EventAuxInfo ProcessName="lsass.exe" impersonateToken="S-1-5-18" />
 <CorrelationAuxInfo TaskId="{{00000000-0000-0000-0000-000000000002}}" SeqNumber="1" />
 <Result value="800B0109">A chain ended at a root that is not trusted.</Result>
 </CertVerifyCertificateChainPolicy>
 </UserData>
</Event>"#
    )
}
