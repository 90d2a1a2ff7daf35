//! TLS rows: what the context column says of a negotiation (FORMATS 1.6).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::{Text, Tls, TlsOutcome};

/// What a row says of the TLS negotiation it lies in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TlsRow<'r> {
    /// `TLS protocol ... negotiation succeeded using ...`.
    Succeeded,
    /// `TLS negotiation failed ...`, with the reason.
    Failed(&'r [u8]),
    /// The other side's chain, as the logging server judged it.
    ChainStatus(&'r [u8]),
    /// `TlsDomainCapabilities='...'; Status='...'`.
    DomainCapabilities { capabilities: &'r [u8], status: &'r [u8] },
}

static SUCCEEDED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("negotiation succeeded"));

static CAPABILITIES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("TlsDomainCapabilities='"));
static STATUS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Status='"));

/// Reads a row's data and context; `None` if it is not about TLS.
pub(super) fn row<'r>(data: &'r [u8], context: &'r [u8]) -> Option<TlsRow<'r>> {
    if let Some(protocol) = context.strip_prefix(b"TLS protocol ") {
        let behind_name = memchr::memchr(b' ', protocol).map_or(protocol, |blank| &protocol[blank + 1..]);
        let succeeded = behind_name.starts_with(SUCCEEDED.needle()) || SUCCEEDED.find(protocol).is_some();
        return succeeded.then_some(TlsRow::Succeeded);
    }
    if let Some(reason) = context.strip_prefix(b"TLS negotiation failed") {
        let reason = reason.strip_prefix(b" with error ").or(reason.strip_prefix(b", ")).unwrap_or(reason);
        return Some(TlsRow::Failed(reason.trim_ascii()));
    }
    if context == b"Tls cipher strength is too weak" {
        return Some(TlsRow::Failed(context));
    }
    if let Some(rest) = context.strip_prefix(b"Client certificate chain validation status: ") {
        return Some(TlsRow::ChainStatus(rest.trim_ascii().trim_quotes()));
    }
    if context == b"Chain validation status" {
        return Some(TlsRow::ChainStatus(data));
    }
    if context.starts_with(b"TlsDomainCapabilities=") {
        let value = |key: &Finder<'_>| quoted_value(context, key).unwrap_or(b"");
        let (capabilities, status) = (value(&CAPABILITIES), value(&STATUS));
        return Some(TlsRow::DomainCapabilities { capabilities, status });
    }
    None
}

trait TrimQuotes {
    fn trim_quotes(&self) -> &[u8];
}

impl TrimQuotes for [u8] {
    fn trim_quotes(&self) -> &[u8] {
        let inner = self.strip_prefix(b"'").unwrap_or(self);
        inner.strip_suffix(b"'").unwrap_or(inner)
    }
}

fn quoted_value<'r>(context: &'r [u8], key: &Finder<'_>) -> Option<&'r [u8]> {
    let start = key.find(context)? + key.needle().len();
    let end = memchr::memchr(b'\'', &context[start..])?;
    Some(&context[start..start + end])
}

/// The parameters of a succeeded row:
/// `TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength
/// 256 bits, MAC hash algorithm CALG_SHA_384 with strength 384 bits and key exchange algorithm CALG_ECDHE with ...`.
pub(super) fn parameters(context: &[u8]) -> Tls {
    let words: Vec<&[u8]> = context.split(|&byte| byte == b' ').collect();
    let after = |key: &[&[u8]]| {
        let at = words.windows(key.len()).position(|window| window == key)? + key.len();
        words.get(at).map(|word| word.strip_suffix(b",").unwrap_or(word))
    };
    let bits = after(&[b"encryption", b"algorithm"])
        .and_then(|cipher| words.iter().position(|word| word == &cipher))
        .and_then(|at| words.get(at + 3));
    Tls {
        outcome: TlsOutcome::Ok,
        version: words.get(2).map(|word| version(word)),
        cipher: after(&[b"encryption", b"algorithm"]).map(text),
        cipher_bits: bits.and_then(|bits| std::str::from_utf8(bits).ok()?.parse().ok()),
        mac: after(&[b"hash", b"algorithm"]).map(text),
        key_exchange: after(&[b"exchange", b"algorithm"]).map(text),
        ..Tls::default()
    }
}

fn text(bytes: &[u8]) -> Text {
    Text::from_utf8_lossy(bytes)
}

/// The protocol's version: Schannel's names or, where the server has no name for it, Schannel's numbers. The vendor's
/// documentation also prints `SP_PROT-TLS1_0_CLIENT`.
fn version(word: &[u8]) -> Text {
    let contains = |name: &[u8]| memchr::memmem::find(word, name).is_some();
    let known = match word {
        b"8192" | b"4096" => "1.3",
        b"2048" | b"1024" => "1.2",
        b"512" | b"256" => "1.1",
        b"128" | b"64" => "1.0",
        _ if contains(b"TLS1_3") => "1.3",
        _ if contains(b"TLS1_2") => "1.2",
        _ if contains(b"TLS1_1") => "1.1",
        _ if contains(b"TLS1_0") => "1.0",
        _ => return text(word),
    };
    Text::const_new(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(context: &str, expected: (&str, &str, Option<u32>, &str, &str)) {
        let tls = parameters(context.as_bytes());
        let text = |value: &Option<Text>| value.as_deref().unwrap_or("").to_owned();
        let found = (text(&tls.version), text(&tls.cipher), tls.cipher_bits, text(&tls.mac), text(&tls.key_exchange));
        let found = (found.0.as_str(), found.1.as_str(), found.2, found.3.as_str(), found.4.as_str());
        assert_eq!(found, expected, "{context:?}");
    }

    #[test]
    fn succeeded_rows() {
        let tail = "MAC hash algorithm CALG_SHA_384 with strength 384 bits and key exchange algorithm CALG_ECDHE with strength 384 bits";
        let row = |protocol: &str| {
            format!(
                "TLS protocol {protocol} negotiation succeeded using bulk encryption algorithm CALG_AES_256 with strength 256 bits, {tail}"
            )
        };
        let rest = ("CALG_AES_256", Some(256), "CALG_SHA_384", "CALG_ECDHE");
        let expected = |version| (version, rest.0, rest.1, rest.2, rest.3);
        check(&row("SP_PROT_TLS1_2_CLIENT"), expected("1.2"));
        check(&row("SP_PROT-TLS1_0_CLIENT"), expected("1.0"));
        check(&row("SP_PROT_SSL3_SERVER"), expected("SP_PROT_SSL3_SERVER"));
        check(&row("8192"), expected("1.3"));
        check(&row("12288"), expected("12288"));
        check("TLS protocol", ("", "", None, "", ""));
    }

    #[test]
    fn rows() {
        let of = |data: &'static str, context: &'static str| row(data.as_bytes(), context.as_bytes());
        assert_eq!(of("", "TLS negotiation failed with error NoCredentials"), Some(TlsRow::Failed(b"NoCredentials")));
        assert_eq!(of("", "TLS negotiation failed, fatal exception"), Some(TlsRow::Failed(b"fatal exception")));
        assert_eq!(
            of("", "Client certificate chain validation status: 'EmptyCertificate'"),
            Some(TlsRow::ChainStatus(b"EmptyCertificate"))
        );
        assert_eq!(of("UntrustedRoot", "Chain validation status"), Some(TlsRow::ChainStatus(b"UntrustedRoot")));
        assert_eq!(
            of("", "TlsDomainCapabilities='None'; Status='NoRemoteCertificate'"),
            Some(TlsRow::DomainCapabilities { capabilities: b"None", status: b"NoRemoteCertificate" })
        );
        assert_eq!(of("", "attempting to connect"), None);
    }
}
