//! Certificates as text: PEM blocks (RFC 7468), and Base64 without armour.
//!
//! ```text
//! -----BEGIN CERTIFICATE-----
//! MIIDETCCAfmgAwIBAgIQaCaDZNC6fqFDv1CGpan7ODANBgkqhkiG9w0BAQUFADAR
//! -----END CERTIFICATE-----
//! ```
//! Text may stand before, between and behind the blocks, lines may have any length and end, and a block whose last
//! line is lost is read if its certificate is whole.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::container::{self, Place, Shape, shape};
use crate::{kinds::Reading, text::Decoded};

/// Characters between the dashes of `-----BEGIN ...-----`; the longest in use has 23.
const LABEL_BYTES_MAX: usize = 64;

/// Text of one block. All roots of Windows in one container are some 700 KiB.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// Characters that say what Base64 is: enough for the headers of a certificate or a container.
const SHAPE_CHARS: usize = 128;

const DASHES: &str = "-----";
const BEGIN: &str = "-----BEGIN ";

/// Tools differ in whether they pad, and in the bits that the padding leaves over.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Whether a block that holds certificates begins in the text.
pub(super) fn has_block(text: &str) -> bool {
    Blocks { text, at: 0 }.any(|block| !matches!(Content::of(block.label), Content::Other(_)))
}

/// Whether the text is Base64 and nothing else, and begins as a certificate or a container does.
pub(super) fn is_base64(text: &str) -> bool {
    let mut digits = Vec::new();
    for char in text.chars().filter(|&char| !is_blank(char)) {
        match digit(char) {
            Some(digit) if digits.len() < SHAPE_CHARS => digits.push(digit),
            Some(_) => {}
            None if char == '=' => {}
            None => return false,
        }
    }
    digits.truncate(digits.len() / 4 * 4);
    let begin = BASE64.decode(&digits).unwrap_or_default();
    shape(&begin).is_some_and(|shape| shape != Shape::Other)
}

/// Reads every block of the text.
pub(super) fn read_blocks(decoded: &Decoded<'_>, reading: &mut Reading) {
    let mut places = decoded.places();
    for block in (Blocks { text: &decoded.text, at: 0 }) {
        let offset = places.offset(block.at);
        let content = Content::of(block.label);
        if let Content::Other(what) = content {
            reading.pass(what);
            continue;
        }
        match bytes(block.body) {
            Ok(bytes) if content == Content::Trusted => {
                container::read_first(&bytes, Place::Whole(offset), reading);
                reading.pass("trust settings");
            }
            Ok(bytes) => container::read(&bytes, Place::Whole(offset), reading),
            Err(damage) => reading.reject(places.offset(block.body_at + damage.at), damage.what),
        }
    }
}

/// Reads a text that is Base64 and nothing else.
pub(super) fn read_base64(decoded: &Decoded<'_>, reading: &mut Reading) {
    match bytes(&decoded.text) {
        Ok(bytes) => container::read(&bytes, Place::Whole(decoded.offset(0)), reading),
        Err(damage) => reading.reject(decoded.offset(damage.at), damage.what),
    }
}

/// What a block holds, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Certificates,
    /// A certificate, and behind it what `openssl` trusts it for.
    Trusted,
    /// Of no use here.
    Other(&'static str),
}

impl Content {
    fn of(label: &str) -> Content {
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "CERTIFICATE CHAIN" => Content::Certificates,
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => Content::Certificates,
            "TRUSTED CERTIFICATE" => Content::Trusted,
            "X509 CRL" => Content::Other("revocation list"),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Content::Other("certificate request"),
            _ if label.ends_with("PRIVATE KEY") => Content::Other("private key"),
            _ => Content::Other("other block"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    label: &'a str,
    /// Byte of the text at which its first line begins.
    at: usize,
    body: &'a str,
    body_at: usize,
}

/// The blocks of a text, in order. What ends a body is the next dashes, be they of its own last line or not.
struct Blocks<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        loop {
            let at = self.at + self.text[self.at..].find(BEGIN)?;
            let label_at = at + BEGIN.len();
            self.at = label_at;
            let label_end = self.text.floor_char_boundary(label_at + LABEL_BYTES_MAX + DASHES.len());
            let Some((label, _)) = self.text[label_at..label_end].split_once(DASHES) else {
                continue;
            };
            let body_at = label_at + label.len() + DASHES.len();
            let rest = &self.text[body_at..];
            let body = rest.find(DASHES).map_or(rest, |end| &rest[..end]);
            self.at = body_at + body.len();
            return Some(Block { label, at, body, body_at });
        }
    }
}

/// What is wrong with Base64, and at which of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Damage {
    at: usize,
    what: &'static str,
}

/// The bytes that Base64 stands for. Several that are padded may follow each other.
fn bytes(body: &str) -> Result<Vec<u8>, Damage> {
    if body.len() > BLOCK_BYTES_MAX {
        return Err(Damage { at: 0, what: "more Base64 than any container of certificates has" });
    }
    let mut bytes = Vec::with_capacity(body.len() / 4 * 3);
    let mut digits = Vec::with_capacity(body.len());
    let mut padded = false;
    for (at, char) in body.char_indices().filter(|&(_, char)| !is_blank(char)) {
        match digit(char) {
            Some(digit) => {
                if padded {
                    append(&mut bytes, &mut digits, at)?;
                    padded = false;
                }
                digits.push(digit);
            }
            None if char == '=' => padded = true,
            None => return Err(Damage { at, what: "a character that Base64 does not have" }),
        }
    }
    append(&mut bytes, &mut digits, body.trim_end().len())?;
    match bytes.is_empty() {
        true => Err(Damage { at: 0, what: "no Base64" }),
        false => Ok(bytes),
    }
}

/// Decodes the digits, which end at `at`, and clears them.
fn append(bytes: &mut Vec<u8>, digits: &mut Vec<u8>, at: usize) -> Result<(), Damage> {
    // The characters are right, so all that can be wrong is their number: one is too few for a byte.
    BASE64.decode_vec(&*digits, bytes).map_err(|_| Damage { at, what: "the Base64 is cut" })?;
    digits.clear();
    Ok(())
}

fn digit(char: char) -> Option<u8> {
    let byte = u8::try_from(char).ok()?;
    (byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).then_some(byte)
}

/// Blanks, line ends, and marks that nobody sees but that copying brings along.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\0' | '\u{200B}' | '\u{200E}' | '\u{FEFF}')
}
