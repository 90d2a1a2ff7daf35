//! Information rows: what the server says in its own words (FORMATS 1.5 to 1.8).

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{
    State, tarpit_ms,
    tls::{self, TlsRow},
};
use crate::{
    Auth, AuthOutcome, NegotiationVerb, ProxyKind, ProxyRole, RowMark, SessionId, Text, Thumbprint, TlsOutcome,
    certificate::{self, CertificateRow, CertificateSide, PartialCertificate},
    fragment::Row,
};

/// Failure texts kept per session; a session that fails more often repeats itself.
const ERRORS_MAX: usize = 16;

/// Contexts that say nothing of a session. Every third information row has one of them, and need not be held against
/// all that might be said.
const SILENT: &[&[u8]] = &[b"", b"attempting to connect", b"Set Session Permissions"];

/// Beginnings of contexts that tell a failure which is no reply.
const FAILURES: &[&str] = &[
    "Failed to connect",
    "Outbound TLS authentication failed",
    "outbound TLS authentication failed",
    "DirectTrust certificate failed to authenticate",
    "Connector is configured to send mail only over TLS",
    "Drop connection because TLS configuration requires TLS",
    "Setting up ",
    "Server shutdown",
];

// Built once: a searcher costs more to build than a context costs to search.
static OUTBOUND_PROXY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Outbound proxy from "));
static CLIENT_PROXY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Client proxy session for "));
static WITH_SESSION_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" with session id "));
static PROXIED_SESSION_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("roxied session id "));
static MESSAGE_ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("InternetMessageId "));

impl<'r> State<'_, 'r> {
    pub(super) fn information(&mut self, row: &Row<'r>) {
        let context = row.context.trim_ascii_end();
        if SILENT.contains(&context) {
            self.tarpit(row.data);
            return;
        }
        if let Some(certificate) = CertificateRow::of_context(context) {
            return self.certificate_row(certificate, row);
        }
        if let Some(tls) = tls::row(row.data, context) {
            return self.tls_row(tls, row, context);
        }
        if self.message_row(context) || self.auth_row(row.data, context) || self.proxy_row(row.sequence, context) {
            return;
        }
        if self.tarpit(row.data) {
            return;
        }
        if FAILURES.iter().any(|failure| context.starts_with(failure.as_bytes())) {
            self.error(context);
        }
    }

    /// Whether the row tells of a delay that the server imposed.
    fn tarpit(&mut self, data: &[u8]) -> bool {
        let ms = tarpit_ms(data);
        self.session.tarpit_ms = self.session.tarpit_ms.saturating_add(ms.unwrap_or(0));
        ms.is_some()
    }

    fn error(&mut self, context: &[u8]) {
        let text = Text::from_utf8_lossy(context);
        if self.session.errors.len() < ERRORS_MAX && !self.session.errors.contains(&text) {
            self.session.errors.push(text);
        }
    }

    fn certificate_row(&mut self, kind: CertificateRow, row: &Row<'r>) {
        match kind {
            CertificateRow::Header(side) => {
                self.finish_certificate();
                self.certificate_side = side;
                self.partial = Some(PartialCertificate::default());
                self.certificate_begins(row);
            }
            CertificateRow::Single(side) => {
                self.finish_certificate();
                self.certificate_begins(row);
                if let Some(thumbprint) = self.single_row(row.data) {
                    self.show(side, thumbprint, row.mark(&self.stretch));
                }
            }
            CertificateRow::Subject => {
                // A second subject without a header between begins another certificate.
                if self.partial.as_ref().is_some_and(|partial| !partial.subject.is_empty()) {
                    self.finish_certificate();
                }
                self.certificate_begins(row);
                self.partial().subject = row.data;
            }
            CertificateRow::Issuer => self.partial().issuer = row.data,
            CertificateRow::Serial => self.partial().serial = row.data,
            CertificateRow::Thumbprint => {
                self.certificate_begins(row);
                self.partial().thumbprint = Thumbprint::from_hex(row.data.trim_ascii());
                self.thumbprint_row = Some(row.mark(&self.stretch));
            }
            CertificateRow::Names => self.partial().names = row.data,
        }
    }

    fn partial(&mut self) -> &mut PartialCertificate<'r> {
        self.partial.get_or_insert_default()
    }

    /// A certificate was shown; without STARTTLS in the log this begins a negotiation (CONTRACT 3).
    fn certificate_begins(&mut self, row: &Row<'r>) {
        if self.session.negotiations.is_empty() {
            self.begin_negotiation_keeping_certificate(row);
        }
        self.certificate_seen = true;
    }

    fn begin_negotiation_keeping_certificate(&mut self, row: &Row<'r>) {
        let partial = self.partial.take();
        self.begin_negotiation(row, NegotiationVerb::Unknown);
        self.partial = partial;
    }

    fn single_row(&mut self, text: &[u8]) -> Option<Thumbprint> {
        let mut found = None;
        let thumbprint = self.assembler.single_rows.parse(text, |text| {
            found = certificate::single_row(text);
            found.as_ref().map(|certificate| certificate.thumbprint)
        });
        if let Some(certificate) = found {
            self.assembler.remember(certificate);
        }
        thumbprint
    }

    /// The rows of a certificate in layout A have ended: whatever came is what is known of it.
    pub(super) fn finish_certificate(&mut self) {
        let Some(partial) = self.partial.take() else { return };
        let (Some(thumbprint), Some(row)) = (partial.thumbprint, self.thumbprint_row.take()) else { return };
        let known = self.assembler.certificates.get(&thumbprint);
        if known.is_none_or(|known| partial.may_be_better_than(known))
            && let Some(certificate) = partial.finish()
        {
            self.assembler.remember(certificate);
        }
        self.show(self.certificate_side, thumbprint, row);
    }

    fn show(&mut self, side: CertificateSide, thumbprint: Thumbprint, row: RowMark) {
        let Some(negotiation) = self.session.negotiations.last_mut() else { return };
        match side {
            CertificateSide::Presented => {
                (negotiation.presented, negotiation.rows.presented) = (Some(thumbprint), Some(row));
            }
            CertificateSide::Received => {
                (negotiation.received, negotiation.rows.received) = (Some(thumbprint), Some(row));
            }
        }
    }

    fn tls_row(&mut self, tls: TlsRow<'r>, row: &Row<'r>, context: &[u8]) {
        if self.session.negotiations.is_empty() {
            self.begin_negotiation_keeping_certificate(row);
        }
        let Some(negotiation) = self.session.negotiations.last_mut() else { return };
        let known = &mut negotiation.tls;
        let last = &mut self.assembler.last;
        match tls {
            TlsRow::Succeeded => {
                // That it failed is the outcome, whatever another row says.
                if known.outcome != TlsOutcome::Failed {
                    negotiation.rows.outcome = Some(row.mark(&self.stretch));
                }
                let parameters = self.assembler.tls_rows.parse(context, tls::parameters);
                let outcome = if known.outcome == TlsOutcome::Failed { TlsOutcome::Failed } else { TlsOutcome::Ok };
                let before = std::mem::replace(known, parameters);
                known.outcome = outcome;
                known.error = before.error;
                known.chain_status = before.chain_status;
                known.domain_capabilities = before.domain_capabilities;
                known.domain_status = before.domain_status;
            }
            TlsRow::Failed(reason) => {
                negotiation.rows.outcome = Some(row.mark(&self.stretch));
                known.outcome = TlsOutcome::Failed;
                known.error = Some(Text::from_utf8_lossy(reason));
            }
            TlsRow::ChainStatus(status) => known.chain_status = Some(last.chain_status.decode(status)),
            TlsRow::DomainCapabilities { capabilities, status } => {
                known.domain_capabilities = Some(last.domain_capabilities.decode(capabilities));
                known.domain_status = Some(last.domain_status.decode(status));
            }
        }
    }

    /// `sending message with RecordId 5 and InternetMessageId <a@b>`, `receiving message with InternetMessageId <a@b>`.
    fn message_row(&mut self, context: &[u8]) -> bool {
        let sending = context.starts_with(b"sending message");
        if !sending && !context.starts_with(b"receiving message") {
            return false;
        }
        let Some(at) = MESSAGE_ID.find(context) else { return true };
        let id = Text::from_utf8_lossy(context[at + MESSAGE_ID.needle().len()..].trim_ascii());
        match self.session.messages.last_mut() {
            Some(message) if !sending && message.message_id.is_none() => message.message_id = Some(id),
            _ => self.message_id = Some(id),
        }
        true
    }

    fn auth_row(&mut self, data: &'r [u8], context: &[u8]) -> bool {
        if context == b"authenticated" {
            let auth = self.auth();
            auth.outcome = AuthOutcome::Ok;
            auth.user = (!data.is_empty()).then(|| Text::from_utf8_lossy(data));
            return true;
        }
        if let Some(user) = context.strip_prefix(b"User Name: ") {
            self.auth().user = Some(Text::from_utf8_lossy(user));
            return true;
        }
        let Some((mechanism, error)) = auth_failure(context) else { return false };
        let auth = self.auth();
        auth.outcome = AuthOutcome::Failed;
        auth.error = Some(Text::from_utf8_lossy(error));
        if let Some(mechanism) = mechanism {
            auth.mechanism = Some(Text::from_utf8_lossy(mechanism));
        }
        true
    }

    fn auth(&mut self) -> &mut Auth {
        let unknown = Auth { outcome: AuthOutcome::Failed, mechanism: None, user: None, error: None };
        self.session.auth.get_or_insert(unknown)
    }

    fn proxy_row(&mut self, sequence: u32, context: &[u8]) -> bool {
        if let Some(id) = context.strip_prefix(b"Proxying inbound session with session id ") {
            if let Some(session) = leading_session_id(id) {
                self.link(ProxyKind::Inbound, ProxyRole::Relay, session, sequence);
            }
            return true;
        }
        let outbound = OUTBOUND_PROXY.find(context).is_some();
        let client = !outbound && CLIENT_PROXY.find(context).is_some();
        if !outbound && !client {
            return false;
        }
        let kind = if outbound { ProxyKind::Outbound } else { ProxyKind::Client };
        for session in [&WITH_SESSION_ID, &PROXIED_SESSION_ID].into_iter().filter_map(|key| {
            let at = key.find(context)? + key.needle().len();
            leading_session_id(&context[at..])
        }) {
            self.link(kind, ProxyRole::Relay, session, sequence);
        }
        true
    }
}

fn leading_session_id(text: &[u8]) -> Option<SessionId> {
    SessionId::from_hex(text.get(..16)?)
}

/// `Inbound AUTH LOGIN failed because of LogonDenied`, `Outbound Authentication failed with LogonDenied`.
fn auth_failure(context: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if let Some(error) = context.strip_prefix(b"Outbound Authentication failed with ") {
        return Some((None, error));
    }
    let rest = context.strip_prefix(b"Inbound AUTH ")?;
    let at = memchr::memmem::find(rest, b" failed because of ")?;
    Some((Some(&rest[..at]), &rest[at + b" failed because of ".len()..]))
}
