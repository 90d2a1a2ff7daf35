//! Distinguished names as .NET prints them, because the logs have them so: `CN=mail.contoso.com, O="thawte, Inc."`.
//!
//! The most specific part comes first, the reverse of the encoding. Keys are those of Windows (`S` for the state, `E`
//! for the address); an attribute without one is `OID.2.5.4.97`. A value that is no text is `#` and its encoding.

use x509_parser::{
    asn1_rs::{Any, Oid, Tag, ToDer},
    x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name},
};

use super::hex;
use crate::names::quoted;

/// What Windows calls the attributes of names (the `CERT_X500_NAME_STR` form of `CertNameToStr`).
const KEYS: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "S"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "T"),
    ("2.5.4.13", "Description"),
    ("2.5.4.17", "PostalCode"),
    ("2.5.4.18", "POBox"),
    ("2.5.4.20", "Phone"),
    ("2.5.4.24", "X21Address"),
    ("2.5.4.42", "G"),
    ("2.5.4.43", "I"),
    ("2.5.4.46", "dnQualifier"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "E"),
];

/// The name as .NET prints it.
pub(crate) fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name.iter().map(relative_name).collect();
    parts.reverse();
    parts.join(", ")
}

/// An attribute's value as text, without quotes.
pub(crate) fn attribute_text(value: &Any<'_>) -> String {
    text(value).unwrap_or_else(|| encoding(value))
}

fn relative_name(name: &RelativeDistinguishedName<'_>) -> String {
    name.iter().map(attribute).collect::<Vec<_>>().join(" + ")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let key = attribute_key(attribute.attr_type());
    match text(attribute.attr_value()) {
        Some(text) => format!("{key}={}", quoted(&text)),
        None => format!("{key}={}", encoding(attribute.attr_value())),
    }
}

fn attribute_key(oid: &Oid<'_>) -> String {
    let id = oid.to_id_string();
    match KEYS.iter().find(|(known, _)| *known == id) {
        Some((_, key)) => (*key).to_owned(),
        None => format!("OID.{id}"),
    }
}

/// The value, if it is of a type that is text.
fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        // Meant for T.61, used for Latin 1 and for UTF-8.
        Tag::T61String => Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
        }),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|unit| unit.iter().fold(0, |unit, &byte| unit << 8 | u16::from(byte)));
            Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        Tag::UniversalString => {
            let chars = bytes.chunks(4).map(|char| char.iter().fold(0, |char, &byte| char << 8 | u32::from(byte)));
            Some(chars.map(|char| char::from_u32(char).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        _ => None,
    }
}

fn encoding(value: &Any<'_>) -> String {
    let bytes = value.to_der_vec().unwrap_or_else(|_| value.data.to_vec());
    format!("#{}", hex(&bytes))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer;

    use super::*;

    /// A name of one attribute after the other; each is its identifier's last bytes, the value's tag and the value.
    #[track_caller]
    fn check(attributes: &[(&[u8], u8, &[u8])], expected: &str) {
        let sets = attributes.iter().map(|(oid, tag, value)| {
            let pair = [element(0x06, oid), element(*tag, value)].concat();
            element(0x31, &element(0x30, &pair))
        });
        let der = element(0x30, &sets.collect::<Vec<_>>().concat());
        let (_, name) = X509Name::from_der(&der).unwrap();
        assert_eq!(distinguished_name(&name), expected);
    }

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const S: &[u8] = &[0x55, 4, 8];
    const O: &[u8] = &[0x55, 4, 10];
    const C: &[u8] = &[0x55, 4, 6];
    const CATEGORY: &[u8] = &[0x55, 4, 15];
    const E: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1];

    #[test]
    fn the_specific_comes_first() {
        check(&[(C, 0x13, b"US"), (O, 0x0C, b"Contoso"), (CN, 0x0C, b"a.b")], "CN=a.b, O=Contoso, C=US");
        check(&[(CN, 0x0C, b"a.b"), (C, 0x13, b"US")], "C=US, CN=a.b");
        check(&[], "");
    }

    #[test]
    fn keys_are_those_of_windows() {
        check(&[(S, 0x0C, b"Utah"), (E, 0x16, b"x@y.z")], "E=x@y.z, S=Utah");
        check(&[(CATEGORY, 0x0C, b"Private Organization")], "OID.2.5.4.15=Private Organization");
    }

    #[test]
    fn values_of_all_types_of_text() {
        check(&[(O, 0x1E, b"\0K\0\xF6")], "O=Kö");
        check(&[(O, 0x1E, b"\xD8\x3D\xDE\0\0")], "O=\u{1F600}\0"); // an odd byte at the end
        check(&[(O, 0x1C, b"\0\x01\xF6\0\xFF\xFF\xFF\xFF")], "O=\u{1F600}\u{FFFD}");
        check(&[(O, 0x14, b"K\xF6ln")], "O=Köln");
        check(&[(O, 0x14, "Köln".as_bytes())], "O=Köln");
        check(&[(O, 0x0C, b"K\xF6ln")], "O=K\u{FFFD}ln");
        check(&[(CN, 0x13, b"*.contoso.com")], "CN=*.contoso.com");
        check(&[(CN, 0x04, b"\x01\xFF")], "CN=#040201FF");
    }

    #[test]
    fn values_that_need_quotes() {
        check(&[(O, 0x13, b"thawte, Inc.")], "O=\"thawte, Inc.\"");
        check(&[(O, 0x0C, b"a\"b")], "O=\"a\"\"b\"");
        check(&[(O, 0x0C, b"")], "O=\"\"");
    }

    #[test]
    fn several_values_of_one_part() {
        let pair = |oid, value| element(0x30, &[element(0x06, oid), element(0x0C, value)].concat());
        let set = element(0x31, &[pair(CN, b"a"), pair(O, b"b")].concat());
        let der = element(0x30, &[set, element(0x31, &pair(C, b"US"))].concat());
        assert_eq!(distinguished_name(&X509Name::from_der(&der).unwrap().1), "C=US, CN=a + O=b");
    }
}
