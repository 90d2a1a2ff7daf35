//! The CAPI2 operational log (FORMATS 3), as Event Viewer saves it as XML: one line, attributes in single quotes.

use crate::{
    certificate::Certificate,
    clock::{SECOND_MS, Time},
    rng::Rng,
};

/// What Windows found, `Result`: number and text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    UntrustedRoot,
    WrongUsage,
}

/// A check of a certificate's chain.
pub(crate) struct Check<'a> {
    pub(crate) at: i64,
    pub(crate) certificate: &'a Certificate,
    /// Thumbprints of the authorities above it, as far as Windows knows them.
    pub(crate) authorities: &'a [&'a Certificate],
    pub(crate) process: &'static str,
    pub(crate) verdict: Verdict,
}

/// The events of a server.
pub(crate) struct Events {
    computer: String,
    record: u64,
    xml: Vec<String>,
}

impl Events {
    /// No events yet.
    pub(crate) fn new(rng: &mut Rng, computer: &str) -> Events {
        Events { computer: computer.into(), record: 2_000 + rng.below(9_000), xml: Vec::new() }
    }

    /// The events of one check: the chain is built (11), then held against the policy (30).
    pub(crate) fn check(&mut self, rng: &mut Rng, check: &Check<'_>) {
        let task = guid(rng);
        let chain = guid(rng);
        self.built(check, &task, &chain);
        let leaf = reference(check.certificate);
        let (result, text) = check.verdict.result();
        let (side, ignored) = match check.verdict {
            Verdict::WrongUsage => ("client", "80' SECURITY_FLAG_IGNORE_REVOCATION='true"),
            _ => ("server", "280' SECURITY_FLAG_IGNORE_REVOCATION='true' SECURITY_FLAG_IGNORE_WRONG_USAGE='true"),
        };
        let body = format!(
            "<CertVerifyCertificateChainPolicy><Policy type='CERT_CHAIN_POLICY_SSL' constant='4'/>{leaf}\
             <CertificateChain chainRef='{chain}'/><Flags value='0'/><SSLAdditionalPolicyInfo authType='{side}'>\
             <IgnoreFlags value='{ignored}'/>\
             </SSLAdditionalPolicyInfo><Status chainIndex='0' elementIndex='-1'/>\
             <EventAuxInfo ProcessName='{}' impersonateToken='S-1-5-18'/><CorrelationAuxInfo TaskId='{task}' \
             SeqNumber='2'/><Result value='{result}'>{text}</Result></CertVerifyCertificateChainPolicy>",
            check.process
        );
        self.event(check.at + 3, 30, 0, check.verdict, &body);
    }

    fn built(&mut self, check: &Check<'_>, task: &str, chain: &str) {
        let is_partial = check.verdict == Verdict::UntrustedRoot;
        let status = match is_partial {
            true => "<ErrorStatus value='10000' CERT_TRUST_IS_PARTIAL_CHAIN='true'/>",
            false => "<ErrorStatus value='0'/>",
        };
        let elements: String = std::iter::once(&check.certificate)
            .chain(check.authorities)
            .map(|certificate| {
                format!(
                    "<ChainElement>{}<TrustStatus><ErrorStatus value='0'/><InfoStatus value='102' \
                     CERT_TRUST_HAS_KEY_MATCH_ISSUER='true' CERT_TRUST_HAS_PREFERRED_ISSUER='true'/></TrustStatus>\
                     <ApplicationUsage any='true'/><IssuanceUsage any='true'/></ChainElement>",
                    reference(certificate)
                )
            })
            .collect();
        let (verdict, result) = match is_partial {
            true => (Verdict::UntrustedRoot, PARTIAL_CHAIN),
            false => (Verdict::Good, Verdict::Good.result()),
        };
        let leaf = reference(check.certificate);
        let body = format!(
            "<CertGetCertificateChain>{leaf}<ValidationTime>{}</ValidationTime><AdditionalStore>{leaf}\
             </AdditionalStore><ExtendedKeyUsage/><Flags value='0'/><ChainEngineInfo context='machine'/>\
             <CertificateChain chainRef='{chain}'><TrustStatus>{status}<InfoStatus value='100' \
             CERT_TRUST_HAS_PREFERRED_ISSUER='true'/></TrustStatus>{elements}</CertificateChain>\
             <EventAuxInfo ProcessName='{}' impersonateToken='S-1-5-18'/><CorrelationAuxInfo TaskId='{task}' \
             SeqNumber='1'/><Result value='{}'>{}</Result></CertGetCertificateChain>",
            Time(check.at - check.at % SECOND_MS).to_string().replace(".000Z", "Z"),
            check.process,
            result.0,
            result.1
        );
        self.event(check.at, 11, 2, verdict, &body);
    }

    fn event(&mut self, at: i64, id: u16, opcode: u8, verdict: Verdict, body: &str) {
        self.record += 1;
        let level = if verdict == Verdict::Good { 4 } else { 2 };
        // Event Viewer prints nine digits of which the last two are always 0.
        let time = Time(at).to_string().replace('Z', &format!("{:04}00Z", self.record * 7 % 10_000));
        let keywords = if id == 11 { "0x4000000000000003" } else { "0x4000000000000001" };
        self.xml.push(format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider \
             Name='Microsoft-Windows-CAPI2' Guid='{{5bbca4a8-b209-48dc-a8c7-b23d3e5216fb}}'/><EventID>{id}</EventID>\
             <Version>0</Version><Level>{level}</Level><Task>{id}</Task><Opcode>{opcode}</Opcode>\
             <Keywords>{keywords}</Keywords><TimeCreated SystemTime='{time}'/><EventRecordID>{}</EventRecordID>\
             <Correlation/><Execution ProcessID='692' ThreadID='{}'/><Channel>Microsoft-Windows-CAPI2/Operational\
             </Channel><Computer>{}</Computer><Security UserID='S-1-5-18'/></System><UserData>{body}</UserData></Event>",
            self.record,
            1_200 + self.record * 4 % 900,
            self.computer
        ));
    }

    /// The file; newest events first, as Event Viewer lists them.
    pub(crate) fn saved(&self) -> Vec<u8> {
        let events: String = self.xml.iter().rev().map(String::as_str).collect();
        let head = "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n";
        super::utf8_with_mark(&format!("{head}<Events>{events}</Events>"))
    }
}

/// Result of event 11 where an authority is missing.
const PARTIAL_CHAIN: (&str, &str) = ("800B010A", "A certificate chain could not be built to a trusted root authority.");

impl Verdict {
    fn result(self) -> (&'static str, &'static str) {
        match self {
            Verdict::Good => ("0", ""),
            Verdict::UntrustedRoot => (
                "800B0109",
                "A certificate chain processed, but terminated in a root certificate which is not trusted by the \
                 trust provider.",
            ),
            Verdict::WrongUsage => ("800B0110", "The certificate is not valid for the requested usage."),
        }
    }
}

fn reference(certificate: &Certificate) -> String {
    let name = certificate.names.first().map_or(certificate.subject.as_str(), String::as_str);
    let name = name.strip_prefix("CN=").unwrap_or(name).split(',').next().unwrap_or_default();
    format!("<Certificate fileRef='{}.cer' subjectName='{name}'/>", certificate.thumbprint)
}

fn guid(rng: &mut Rng) -> String {
    let digits = rng.hex(32);
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{{{a}-{b}-{c}-{d}-{e}}}")
}
