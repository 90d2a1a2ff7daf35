//! Files of certificates: DER, PEM, Base64 without armour, and PKCS #7 containers in any of these.
//!
//! Names lie (`.cer` and `.crt` are DER or PEM, Windows writes `BEGIN CERTIFICATE` round a PKCS #7), so what a file is
//! shows in its bytes, and what a block is in the block's. Private keys are passed over: nothing of them is kept.

use crate::{
    kinds::{Document, Kind, Reading},
    text::decode,
};

mod armour;
mod container;

use container::{Place, Shape, shape};

/// Bytes at the beginning of a file in which its first certificate has to begin if it is one of text. `openssl` writes
/// some hundred lines before it.
const HEAD_BYTES: usize = 64 << 10;

/// The kind "certificates".
pub(crate) struct CertificateFiles;

impl Kind for CertificateFiles {
    fn name(&self) -> &'static str {
        "certificates"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        Form::of(document.bytes).is_some()
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        match Form::of(document.bytes) {
            Some(Form::Der) => container::read(document.bytes, Place::Start(0), reading),
            Some(Form::Pem) => armour::read_blocks(&decode(document.bytes), reading),
            Some(Form::Base64) => armour::read_base64(&decode(document.bytes), reading),
            None => reading.reject(0, "no certificate"),
        }
    }
}

/// How a file holds its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Der,
    Pem,
    Base64,
}

impl Form {
    fn of(bytes: &[u8]) -> Option<Form> {
        if shape(bytes).is_some_and(|shape| shape != Shape::Other) {
            return Some(Form::Der);
        }
        let head = decode(&bytes[..bytes.len().min(HEAD_BYTES)]);
        if armour::has_block(&head.text) {
            return Some(Form::Pem);
        }
        armour::is_base64(&head.text).then_some(Form::Base64)
    }
}
