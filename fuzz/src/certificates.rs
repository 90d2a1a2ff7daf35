//! Any names in a certificate row: what stands behind them is found, and no character of them is lost.

use smtplog::{assemble::Assembler, certificate::Certificate, formats::exchange::Exchange};

use super::logs::{read, session};

const THUMBPRINT: &str = "97355AF6DC2629ECCB2289C931D706332F3CF022";
const SERIAL: &str = "0D92CFF6070B73AD5722EC8B4DA3389B97355AF6"; // As long as a thumbprint, as some are.
const DATES: &str = "2023-01-17T15:15:33.000Z 2025-01-17T15:15:33.000Z";
const NAMES: &str = "mail.contoso.com;autodiscover.contoso.com";

/// The bytes are a subject and, behind a zero, an issuer.
pub fn hold(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ");
    let (subject, issuer) = text.split_once('\0').unwrap_or((&text, ""));

    let rows = [
        row("", "Sending certificate"),
        row(subject, "Certificate subject"),
        row(issuer, "Certificate issuer name"),
        row(SERIAL, "Certificate serial number"),
        row(THUMBPRINT, "Certificate thumbprint"),
        row(NAMES, "Certificate alternate names"),
    ];
    let many_rows = certificate(&rows);
    assert_eq!((many_rows.subject.as_str(), many_rows.issuer.as_str()), (subject, issuer));
    assert_eq!((many_rows.serial.as_str(), many_rows.names.as_str()), (SERIAL, NAMES));

    let single = format!(" {subject} {issuer} {SERIAL} {THUMBPRINT} {NAMES}");
    let context = "Sending certificate Certificate subject Certificate issuer name Certificate serial number";
    check_single(&certificate(&[row(&single, context)]), subject, issuer, None);

    let dated = format!(" {subject} {issuer} {SERIAL} {THUMBPRINT} {DATES} {NAMES}");
    let context = "Sending certificate Subject Issuer name Serial number Thumbprint Not before Not after";
    check_single(&certificate(&[row(&dated, context)]), subject, issuer, Some(DATES));
}

fn check_single(found: &Certificate, subject: &str, issuer: &str, dates: Option<&str>) {
    let names = match found.split_certain {
        true => format!("{} {}", found.subject, found.issuer),
        false => found.subject.clone(),
    };
    assert_eq!(names, format!("{subject} {issuer}"), "names are parted, never changed");
    assert_eq!((found.serial.as_str(), found.names.as_str()), (SERIAL, NAMES));
    let validity = found.not_before.zip(found.not_after).map(|(before, after)| format!("{before} {after}"));
    assert_eq!(validity.as_deref(), dates);
}

fn row(data: &str, context: &str) -> String {
    format!("*,\"{}\",{context}\r\n", data.replace('"', "\"\""))
}

/// The one certificate that a session of these rows shows.
fn certificate(rows: &[String]) -> Certificate {
    let mut log = String::new();
    for (sequence, row) in rows.iter().enumerate() {
        log += &format!("2024-03-01T06:00:06.307Z,Outbound,08DC399000800000,{sequence},,,{row}");
    }
    let (fragments, counts) = read(&Exchange, &[log.as_bytes()]);
    assert_eq!(counts.kept, rows.len() as u64);

    let mut assembler = Assembler::default();
    for fragment in fragments {
        let presented = session(&mut assembler, &fragment).presented();
        assert_eq!(presented.map(|thumbprint| thumbprint.to_string()).as_deref(), Some(THUMBPRINT));
    }
    let mut certificates = assembler.into_certificates();
    assert_eq!(certificates.len(), 1);
    certificates.remove(0)
}
