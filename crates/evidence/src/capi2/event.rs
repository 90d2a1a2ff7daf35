//! One event: what its elements say, whether they come from XML or from a binary log.
//!
//! ```xml
//! <Event>
//!   <System><EventID>30</EventID> ... </System>
//!   <UserData><CertVerifyCertificateChainPolicy>
//!     <Policy type="CERT_CHAIN_POLICY_SSL" constant="4"/>
//!     <Certificate fileRef="EC53...94C.cer" subjectName="*.ServerName.com"/>
//!     <Result value="800B0109">A certificate chain processed, but ...</Result>
//! ```
//!
//! A place is told by an element and the one or two around it, never by the whole path: pages that show an event leave
//! `System` and `UserData` out.
//! Many elements have a certificate, a value or a name; which of them it is matters more than what it says.

use super::{codes, distinguished_name::DistinguishedName, tag::Tag, value::Value};
use crate::fact::{CertificateNames, ChainCheck, CheckedAs};

/// Elements within one another. Real events have eight.
pub(super) const DEPTH_MAX: usize = 64;

/// Certificates that one event shows (event 90). A chain has a handful, and an event 64 KiB, some 70 of them.
pub(super) const CERTIFICATES_MAX: usize = 256;

/// What an event is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A check of one certificate (events 11, 30, 41).
    Check(Box<ChainCheck>),
    /// Certificates by name (event 90).
    Certificates {
        /// Those that say which certificate they are.
        named: Vec<CertificateNames>,
        /// How many do not.
        unnamed: usize,
        /// How many stand behind the first [`CERTIFICATES_MAX`].
        past: usize,
    },
    /// Nothing of use; the text says what it is.
    Passed(String),
    /// Not to be read; the text says why.
    Rejected(&'static str),
}

/// An event being read. The same one serves all events of a file.
#[derive(Debug, Default)]
pub(super) struct Event {
    open: Vec<Tag>,
    /// What the text of the innermost element is, if it is wanted.
    field: Option<Field>,
    text: String,
    said: Said,
}

/// What an event has said so far.
#[derive(Debug, Default)]
struct Said {
    provider: Option<String>,
    guid: Option<String>,
    channel: Option<String>,
    computer: Option<String>,
    /// The number, or that what stands there is none.
    event: Option<Result<u16, ()>>,
    time_ms: Option<i64>,
    call: Option<Tag>,
    process: Option<String>,
    leaf: Option<String>,
    subject_name: Option<String>,
    policy: Option<String>,
    checked_as: Option<CheckedAs>,
    server_name: Option<String>,
    chains: usize,
    chain: Vec<String>,
    trust_mask: Option<u32>,
    trust_names: Vec<String>,
    has_result: bool,
    result: Option<u32>,
    result_text: String,
    certificates: Vec<Shown>,
    /// Certificates past [`CERTIFICATES_MAX`].
    certificates_past: usize,
}

/// A certificate of event 90.
#[derive(Debug, Default)]
struct Shown {
    thumbprint: Option<String>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    serial: Option<String>,
    names: Vec<String>,
    not_before_ms: Option<i64>,
    not_after_ms: Option<i64>,
}

/// A text that is wanted.
#[derive(Clone, Copy, Debug)]
enum Field {
    EventId,
    Channel,
    Computer,
    ResultText,
    SubjectPart,
    IssuerPart,
    SerialNumber,
    NotBefore,
    NotAfter,
    DnsName,
}

impl Event {
    /// Begins an event, whatever became of the last one.
    pub(super) fn begin(&mut self) {
        self.open.clear();
        self.field = None;
        self.text.clear();
        self.said = Said::default();
    }

    /// An element begins. `Err` if it lies too deep.
    pub(super) fn open(&mut self, name: &str, tag: Tag) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH_MAX {
            return Err("elements are nested too deeply");
        }
        let [around, parent] = [self.above(1), self.above(0)];
        self.open.push(tag);
        self.field = None;
        self.text.clear();
        self.field = match (around, parent, tag) {
            (_, _, Tag::EventId) => Some(Field::EventId),
            (_, _, Tag::Channel) => Some(Field::Channel),
            (_, _, Tag::Computer) => Some(Field::Computer),
            (_, call, Tag::Result) if call.is_check() => {
                self.said.has_result = true;
                Some(Field::ResultText)
            }
            (_, call, Tag::CertificateChain) if call.is_check() => {
                self.said.chains += 1;
                None
            }
            (_, Tag::X509Objects, Tag::Certificate) => {
                self.said.begin_certificate();
                None
            }
            _ => self.certificate_field(around, parent, name, tag),
        };
        if tag.is_check() || tag == Tag::X509Objects {
            self.said.call.get_or_insert(tag);
        }
        Ok(())
    }

    /// The innermost element has an attribute.
    pub(super) fn attribute(&mut self, name: &str, tag: Tag, value: &Value<'_>) {
        let [outer, around, parent, element] = [self.above(3), self.above(2), self.above(1), self.above(0)];
        let is_of_chain = outer.is_check() && around == Tag::CertificateChain;
        let said = &mut self.said;
        match (element, tag) {
            (Tag::Provider, Tag::Name) => said.provider = value.filled(),
            (Tag::Provider, Tag::Guid) => said.guid = value.filled(),
            (Tag::TimeCreated, Tag::Time) => said.time_ms = value.time_ms(),
            (Tag::Certificate, _) => said.certificate_attribute(is_of_chain, parent, tag, value),
            (Tag::ErrorStatus, _) if parent == Tag::TrustStatus && is_of_chain => {
                said.trust_attribute(name, tag, value)
            }
            _ if parent.is_check() => said.call_attribute(element, tag, value),
            _ => {}
        }
    }

    /// Text within the innermost element.
    pub(super) fn text(&mut self, value: &Value<'_>) {
        if self.field.is_some() {
            self.text += &value.text();
        }
    }

    /// The innermost element ends.
    pub(super) fn close(&mut self) {
        self.open.pop();
        if let Some(field) = self.field.take() {
            self.said.field(field, self.text.trim());
        }
    }

    /// Whether it is known that the rest of the event is of no use.
    pub(super) fn is_settled(&self) -> bool {
        !self.said.is_capi2() || self.said.event.is_some_and(|event| !matches!(event, Ok(11 | 30 | 41 | 90)))
    }

    /// What the event is worth; an event without a time has `time_ms`, that of its record.
    pub(super) fn end(&mut self, time_ms: Option<i64>) -> Outcome {
        let mut said = std::mem::take(&mut self.said);
        said.time_ms = said.time_ms.or(time_ms);
        said.outcome()
    }

    /// The tag of an open element, counted from the innermost one.
    fn above(&self, steps: usize) -> Tag {
        self.open.len().checked_sub(steps + 1).map_or(Tag::Other, |at| self.open[at])
    }

    /// What the text of an element below a certificate of event 90 is.
    fn certificate_field(&mut self, around: Tag, parent: Tag, name: &str, tag: Tag) -> Option<Field> {
        if self.said.call != Some(Tag::X509Objects) || self.said.certificates_past > 0 {
            return None;
        }
        let certificate = self.said.certificates.last_mut()?;
        match (around, parent, tag) {
            (Tag::Certificate, Tag::Subject, _) => {
                certificate.subject.begin_part(name);
                Some(Field::SubjectPart)
            }
            (Tag::Certificate, Tag::Issuer, _) => {
                certificate.issuer.begin_part(name);
                Some(Field::IssuerPart)
            }
            (_, Tag::Certificate, Tag::SerialNumber) => Some(Field::SerialNumber),
            (_, Tag::Certificate, Tag::NotBefore) => Some(Field::NotBefore),
            (_, Tag::Certificate, Tag::NotAfter) => Some(Field::NotAfter),
            (_, Tag::SubjectAltName, Tag::DnsName) => Some(Field::DnsName),
            _ => None,
        }
    }
}

impl Said {
    fn begin_certificate(&mut self) {
        match self.certificates.len() < CERTIFICATES_MAX {
            true => self.certificates.push(Shown::default()),
            false => self.certificates_past += 1,
        }
    }

    /// An attribute of a certificate: the checked one, one of its chain, or one that event 90 shows. Others lie in stores
    /// that were searched.
    fn certificate_attribute(&mut self, is_of_chain: bool, parent: Tag, tag: Tag, value: &Value<'_>) {
        match (parent, tag) {
            (call, Tag::FileRef) if call.is_check() && self.leaf.is_none() => self.leaf = thumbprint(&value.text()),
            (call, Tag::SubjectName) if call.is_check() && self.subject_name.is_none() => {
                self.subject_name = value.filled();
            }
            // The chains after the first are of lower quality.
            (Tag::ChainElement, Tag::FileRef) if is_of_chain && self.chains <= 1 => {
                self.chain.extend(thumbprint(&value.text()));
            }
            (Tag::X509Objects, Tag::FileRef) if self.certificates_past == 0 => {
                if let Some(certificate) = self.certificates.last_mut() {
                    certificate.thumbprint = thumbprint(&value.text());
                }
            }
            _ => {}
        }
    }

    /// An attribute of the whole chain's `ErrorStatus`: `value="20"` and `CERT_TRUST_IS_UNTRUSTED_ROOT="true"`.
    fn trust_attribute(&mut self, name: &str, tag: Tag, value: &Value<'_>) {
        if self.chains > 1 {
            return;
        }
        match tag {
            Tag::Value => self.trust_mask = value.hex(),
            _ if name.starts_with("CERT_TRUST_") && value.text() == "true" => self.trust_names.push(name.to_owned()),
            _ => {}
        }
    }

    fn call_attribute(&mut self, element: Tag, tag: Tag, value: &Value<'_>) {
        match (element, tag) {
            (Tag::Policy, Tag::Type) => self.policy = value.filled(),
            (Tag::SslAdditionalPolicyInfo, Tag::AuthType) => {
                self.checked_as = match &*value.text() {
                    "server" => Some(CheckedAs::Server),
                    "client" => Some(CheckedAs::Client),
                    _ => None,
                };
            }
            (Tag::SslAdditionalPolicyInfo, Tag::ServerName) => self.server_name = value.filled(),
            (Tag::EventAuxInfo, Tag::ProcessName) => self.process = value.filled(),
            (Tag::Result, Tag::Value) => self.result = value.hex(),
            _ => {}
        }
    }

    fn field(&mut self, field: Field, text: &str) {
        let filled = || (!text.is_empty()).then(|| text.to_owned());
        match field {
            Field::EventId => self.event = Some(text.parse().map_err(|_| ())),
            Field::Channel => self.channel = filled(),
            Field::Computer => self.computer = filled(),
            Field::ResultText => text.clone_into(&mut self.result_text),
            _ => {
                if let Some(certificate) = self.certificates.last_mut() {
                    certificate.field(field, text);
                }
            }
        }
    }

    /// The channel decides if there is one: the provider writes to the Application log as well.
    fn is_capi2(&self) -> bool {
        if let Some(channel) = &self.channel {
            return starts_with(channel, "Microsoft-Windows-CAPI2/");
        }
        let guid = self.guid.as_deref().map(|guid| guid.trim_matches(['{', '}']));
        match (&self.provider, guid) {
            (None, None) => true,
            (provider, guid) => {
                provider.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("Microsoft-Windows-CAPI2"))
                    || guid.is_some_and(|guid| guid.eq_ignore_ascii_case("5bbca4a8-b209-48dc-a8c7-b23d3e5216fb"))
            }
        }
    }

    fn outcome(self) -> Outcome {
        let is_named = self.channel.is_some() || self.provider.is_some() || self.guid.is_some();
        if !self.is_capi2() || !(is_named || self.call.is_some()) {
            return Outcome::Passed("event of another channel".to_owned());
        }
        // A page that leaves `System` out still names the call.
        let event = self.event.or(match self.call {
            Some(Tag::CertGetCertificateChain) => Some(Ok(11)),
            Some(Tag::CertVerifyCertificateChainPolicy) => Some(Ok(30)),
            Some(Tag::CertVerifyRevocation) => Some(Ok(41)),
            Some(Tag::X509Objects) => Some(Ok(90)),
            _ => None,
        });
        match event {
            Some(Ok(event @ (11 | 30 | 41))) => self.check(event),
            Some(Ok(90)) => self.certificates(),
            Some(Ok(event)) => Outcome::Passed(format!("event {event}")),
            Some(Err(())) | None => Outcome::Rejected("an event without a number"),
        }
    }

    fn certificates(self) -> Outcome {
        let count = self.certificates.len();
        if count == 0 {
            return Outcome::Passed(without_certificate(90));
        }
        let named: Vec<CertificateNames> = self.certificates.into_iter().filter_map(Shown::named).collect();
        Outcome::Certificates { unnamed: count - named.len(), named, past: self.certificates_past }
    }

    fn check(self, event: u16) -> Outcome {
        let Some(thumbprint) = self.leaf else {
            return Outcome::Passed(without_certificate(event));
        };
        let Some(time_ms) = self.time_ms else {
            return Outcome::Rejected("an event without a time");
        };
        let result = match (self.result, self.has_result) {
            (Some(result), _) => result,
            (None, true) => return Outcome::Rejected("a result that is no hexadecimal number"),
            (None, false) => return Outcome::Rejected("a check without a result"),
        };
        // What the mask says is said in one way by all who wrote the event; the names are its second copy.
        let trust_status = match self.trust_mask {
            Some(mask) => codes::trust_status(mask).collect(),
            None => self.trust_names,
        };
        Outcome::Check(Box::new(ChainCheck {
            event,
            computer: self.computer.unwrap_or_default(),
            process: self.process,
            thumbprint,
            subject_name: self.subject_name,
            policy: self.policy,
            checked_as: self.checked_as,
            server_name: self.server_name,
            result,
            result_name: codes::result_name(result).map(str::to_owned),
            result_text: (!self.result_text.is_empty()).then_some(self.result_text),
            trust_status,
            chain: self.chain,
            count: 1,
            first_ms: time_ms,
            last_ms: time_ms,
        }))
    }
}

impl Shown {
    fn field(&mut self, field: Field, text: &str) {
        match field {
            Field::SubjectPart => self.subject.end_part(text),
            Field::IssuerPart => self.issuer.end_part(text),
            Field::SerialNumber => self.serial = (!text.is_empty()).then(|| text.to_ascii_uppercase()),
            Field::NotBefore => self.not_before_ms = super::time::of_text(text),
            Field::NotAfter => self.not_after_ms = super::time::of_text(text),
            Field::DnsName if !text.is_empty() => self.names.push(text.to_owned()),
            _ => {}
        }
    }

    /// The certificate, if the event says which one it is.
    fn named(self) -> Option<CertificateNames> {
        Some(CertificateNames {
            thumbprint: self.thumbprint?,
            subject: self.subject.into_text(),
            issuer: self.issuer.into_text(),
            serial: self.serial,
            names: self.names,
            not_before_ms: self.not_before_ms,
            not_after_ms: self.not_after_ms,
            server: None,
            services: None,
        })
    }
}

fn without_certificate(event: u16) -> String {
    format!("event {event} without a certificate")
}

/// The thumbprint in `9617...508F.cer`; other endings are lists of revoked certificates and answers about them.
fn thumbprint(file_ref: &str) -> Option<String> {
    let (name, ending) = file_ref.trim().split_at_checked(40)?;
    let is_thumbprint = name.bytes().all(|byte| byte.is_ascii_hexdigit()) && ending.eq_ignore_ascii_case(".cer");
    is_thumbprint.then(|| name.to_ascii_uppercase())
}

fn starts_with(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|text| text.eq_ignore_ascii_case(beginning))
}
