//! DER: certificates one after the other, and PKCS #7 containers of them (RFC 2315, RFC 5652).

use std::error::Error;

use crate::{
    ber::{Element, element, elements, header},
    fact::Fact,
    kinds::Reading,
    x509::{CertificateError, certificate},
};

/// `06 09` and `signedData`, 1.2.840.113549.1.7.2.
const SIGNED_DATA: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];

/// `INTEGER 3` and a sequence: a PKCS #12 file (RFC 7292, section 4).
const KEY_CONTAINER: &[u8] = &[0x02, 0x01, 0x03, 0x30];

/// `[0] { INTEGER ..1` to `..3`, the version of a certificate that is not of version 1.
const VERSION: &[u8] = &[0xA0, 0x03, 0x02, 0x01];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const IDENTIFIER: u8 = 0x06;

/// `[0]` and `[1]` of signed data: certificates and revocation lists.
const CERTIFICATES: u8 = 0xA0;
const REVOCATIONS: u8 = 0xA1;

/// What begins here, told from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Certificate,
    SignedData,
    /// PKCS #12: its certificates lie in it encrypted.
    KeyContainer,
    /// Another sequence.
    Other,
}

/// Where found things are said to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Each at its own byte, counted from here.
    Start(u64),
    /// All at this byte, where their armour begins.
    Whole(u64),
}

impl Place {
    fn of(self, at: usize) -> u64 {
        match self {
            Place::Start(offset) => offset + at as u64,
            Place::Whole(offset) => offset,
        }
    }
}

/// What begins here; `None` if it is no sequence. Of what is cut, the beginning is enough.
pub(super) fn shape(bytes: &[u8]) -> Option<Shape> {
    let outer = header(bytes).filter(|header| header.tag == SEQUENCE)?;
    let inside = bytes.get(outer.bytes..)?;
    if inside.starts_with(SIGNED_DATA) {
        return Some(Shape::SignedData);
    }
    if inside.starts_with(KEY_CONTAINER) {
        return Some(Shape::KeyContainer);
    }
    let to_be_signed = header(inside).filter(|header| header.tag == SEQUENCE);
    let is_certificate = to_be_signed.is_some_and(|header| {
        let fits = header.length.zip(outer.length).is_some_and(|(inner, outer)| inner < outer);
        fits && begins_as_certificate(&inside[header.bytes..])
    });
    Some(if is_certificate { Shape::Certificate } else { Shape::Other })
}

/// Reads all that follows each other here.
pub(super) fn read(bytes: &[u8], place: Place, reading: &mut Reading) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !is_padding(rest)) {
        let Some(element) = element(rest, at) else {
            return reading.reject(place.of(at), "cut, or neither a certificate nor a container of them");
        };
        read_element(&element, place, reading);
        at += element.bytes.len();
    }
    if at == 0 {
        reading.reject(place.of(0), "nothing but padding");
    }
}

/// Reads what begins here, and no more.
pub(super) fn read_first(bytes: &[u8], place: Place, reading: &mut Reading) {
    match element(bytes, 0) {
        Some(element) => read_element(&element, place, reading),
        None => reading.reject(place.of(0), "the certificate is cut"),
    }
}

fn read_element(element: &Element<'_>, place: Place, reading: &mut Reading) {
    match shape(element.bytes) {
        Some(Shape::Certificate) => read_certificate(element, place, reading),
        Some(Shape::SignedData) => read_signed_data(element, place, reading),
        Some(Shape::KeyContainer) => reading.pass("key container"),
        Some(Shape::Other) | None => {
            reading.reject(place.of(element.at), "neither a certificate nor a container of them");
        }
    }
}

fn read_certificate(element: &Element<'_>, place: Place, reading: &mut Reading) {
    match certificate(element.bytes) {
        Ok(certificate) => reading.keep(place.of(element.at), Fact::Certificate(Box::new(certificate))),
        Err(error) => reading.reject(place.of(element.at), reason(&error)),
    }
}

/// `ContentInfo { signedData, [0] { SignedData { version, digests, content, [0] certificates, [1] lists, signers }}}`.
fn read_signed_data(container: &Element<'_>, place: Place, reading: &mut Reading) {
    let signed_data = container.inside().nth(1).and_then(|content| content.inside().next());
    let Some(signed_data) = signed_data.filter(|data| data.tag == SEQUENCE) else {
        return reading.reject(place.of(container.at), "a PKCS #7 container without content");
    };
    let mut is_empty = true;
    for field in signed_data.inside() {
        match field.tag {
            CERTIFICATES => is_empty &= !read_choices(&field, place, reading),
            REVOCATIONS => field.inside().for_each(|_| reading.pass("revocation list")),
            _ => {}
        }
    }
    if is_empty {
        reading.pass("PKCS #7 container without certificates");
    }
}

/// Reads the certificates of signed data, and says whether there were any. The set may also hold attribute certificates.
fn read_choices(certificates: &Element<'_>, place: Place, reading: &mut Reading) -> bool {
    let mut end = 0;
    for choice in certificates.inside() {
        end += choice.bytes.len();
        match choice.tag {
            SEQUENCE => read_certificate(&choice, place, reading),
            _ => reading.pass("attribute certificate"),
        }
    }
    if end < certificates.content.len() {
        reading.reject(place.of(certificates.content_at + end), "no certificate in a PKCS #7 container");
    }
    !certificates.content.is_empty()
}

/// Whether the inside of a `TBSCertificate` begins here. A request and a revocation list differ from a certificate of
/// version 1 in what follows: a certificate has a number, an algorithm, a name, and two times in a sequence.
fn begins_as_certificate(bytes: &[u8]) -> bool {
    if let Some([0..=2, INTEGER, ..]) = bytes.strip_prefix(VERSION) {
        return true;
    }
    let mut fields = elements(bytes, 0);
    let mut next = |tag| fields.next().filter(|field| field.tag == tag);
    let first_tag = |field: &Element<'_>| field.content.first().copied();
    next(INTEGER).is_some()
        && next(SEQUENCE).is_some_and(|algorithm| first_tag(&algorithm) == Some(IDENTIFIER))
        && next(SEQUENCE).is_some()
        && next(SEQUENCE).is_some_and(|validity| matches!(first_tag(&validity), Some(0x17 | 0x18)))
}

/// Zeros, line ends and an end-of-file mark that tools leave behind the last element.
fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n' | 0x1A))
}

fn reason(error: &CertificateError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
