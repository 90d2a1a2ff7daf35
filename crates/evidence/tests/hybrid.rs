//! Logs of the Hybrid Configuration Wizard, as people have published them, and a whole run as the wizard writes it.
//!
//! The excerpts lie beside the repository, in `../shared/samples/hcw` or where `SMTPTRAIL_SAMPLES` says.

mod samples;

use evidence::{Document, read};
use serde_json::{Value, json};

/// What a file says, and how much of it was kept, passed over and rejected.
fn shown(name: &str, bytes: &[u8]) -> Value {
    let Some((kind, reading)) = read(&Document { name, bytes }) else {
        return json!({ "kind": null });
    };
    json!({
        "kind": kind.name(),
        "kept": reading.found.len(),
        "passed": reading.passed,
        "rejected": reading.rejected,
        "rejections": reading.rejections,
        "found": reading.found,
    })
}

fn pretty(shown: Value) -> String {
    serde_json::to_string_pretty(&shown).unwrap()
}

#[test]
fn every_sample_is_read() {
    let Some(files) = samples::files("hcw") else { return };
    for (name, bytes) in files {
        insta::assert_snapshot!(format!("sample_{name}"), pretty(samples::shortened(shown(&name, &bytes))));
    }
}

const LOG: &str = "\
2022.02.19 03:24:02.871               Current Time Zone: Coordinated Universal Time (3:24:02 AM)
2022.02.19 03:24:05.001         10023 [Client=UX, Page=Certificate, Thread=9] 
                                      Certificates on EX01: 1
                                      Name  | NotBefore                       | NotAfter                        | Issuer            | Subject                | Thumbprint
                                      ==========================================================================================================================================
                                      mail  | 7/23/2021 12:00:00 AM +00:00    | 7/23/2022 11:59:59 PM +00:00    | CN=GeoTrust, C=US | CN=mail.contoso.com    | 97355AF6DC2629ECCB2289C931D706332F3CF022
2022.02.19 03:24:06.001 WARNING 10026 [Client=UX, Page=Certificate, Thread=9] HCW8103 The certificate provided (mail.contoso.com) does not match a verified domain.
2022.02.19 03:26:09.172         10276 [Client=UX, Session=Tenant, Cmdlet=Get-InboundConnector, Thread=9] START Get-InboundConnector
2022.02.19 03:26:09.886         10277 [Client=UX, Session=Tenant, Cmdlet=Get-InboundConnector, Thread=9] FINISH Time=714.0ms Results=1
                                      Microsoft.Exchange.Data.InboundConnector {Name='Inbound from 1' RequireTls=1 TlsSenderCertificateName='old.contoso.com' SenderDomains=['smtp:*;1']}
2022.02.19 03:26:10.000         10081 [Client=UX, Workflow=Hybrid, Task=Mail, Phase=CheckConfiguration, Thread=9] 
                                      Standard Inbound Connector
                                      Name                     | Equals | Actual          | Expected
                                      ================================================================
                                      TLSSenderCertificateName | False  | old.contoso.com | mail.contoso.com
                                      SenderIPAddresses        | True   | (empty)         | (empty)
2022.02.19 03:26:11.000         10276 [Client=UX, Session=Tenant, Cmdlet=Set-InboundConnector, Thread=9] START Set-InboundConnector -Identity 'Inbound from 1' -TLSSenderCertificateName 'mail.contoso.com' -RequireTLS: $true -SenderIPAddresses $null
2022.02.19 03:26:12.000         10277 [Client=UX, Session=Tenant, Cmdlet=Set-InboundConnector, Thread=9] FINISH Time=1000.0ms Results=0
2022.02.19 03:26:13.000         10044 [Client=UX, Thread=1] Opening a log
";

const XHCW: &str = r#"<information start="02/19/2022 03:24:02.871" text="Current Time Zone: Coordinated Universal Time (3:24:02 AM)" />
<invoke start="02/19/2022 03:26:09.61" duration="714" type="Tenant" cmdlet="Get-AcceptedDomain"><results>
<object type="Deserialized.AcceptedDomain"><property name="DomainName" type="System.String" value="contoso.com" /><property name="DomainType" type="System.String" value="Authoritative" /></object>
</results></invoke>
<invoke start="02/19/2022 03:26:11.0" duration="714" type="OnPremises" cmdlet="Set-SendConnector"><!--Set-SendConnector -Identity 'Outbound to Office 365' -TLSCertificateName '<I>CN=GeoTrust, C=US<S>CN=mail.contoso.com'-->
<parameters><parameter name="Identity" type="System.String" value="Outbound to Office 365" /></parameters><results /></invoke>
<invoke start="02/19/2022 03:26:11.0" duration="7" type="OnPremises" cmdlet="Get-ExchangeServer"><results /></invoke>
"#;

#[test]
fn a_run_as_the_wizard_writes_it() {
    insta::assert_snapshot!("run_log", pretty(shown("20220219_032402.log", LOG.replace('\n', "\r\n").as_bytes())));
    let xhcw = format!("\u{feff}{}", XHCW.replace('\n', "\r\n"));
    insta::assert_snapshot!("run_xhcw", pretty(shown("20220219_032402.xhcw", xhcw.as_bytes())));
}
