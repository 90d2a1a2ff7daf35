//! `old-tls-version`: TLS 1.0 or 1.1, which Exchange Online does not take any more.

use super::{Documentation, Rule, mend::then, named_servers};
use crate::{
    background::Background,
    case::{Case, Refused},
    cause::{Cause, Step},
    family::Family,
};

/// The rule.
pub(super) struct OldTlsVersion;

impl Rule for OldTlsVersion {
    fn id(&self) -> &'static str {
        "old-tls-version"
    }

    fn documentation(&self) -> Documentation {
        Documentation {
            finds: "The session used TLS 1.0 or 1.1, or its negotiation failed over the version.",
            matters: "Exchange Online has switched these versions off; what is negotiated with one is refused.",
            mend: "Enable TLS 1.2 for client and server in Schannel and .NET on the sending servers, and update what \
                cannot do it.",
            evidence: "Versions of the refused sessions; replies that ask for a newer one.",
        }
    }

    fn judge(&self, case: &Case<'_>, _: &Background) -> Option<Cause> {
        if !matches!(case.family, Family::Attribution | Family::Tls) || !case.is_outbound() {
            return None;
        }
        let mut cause = Cause::new(self.id());
        let share = case.share(is_old);
        let versions = case.values(|one| one.session.tls.version.as_deref());
        if share > 0.5 {
            let version = versions.first().map_or("1.0", |(version, _)| version);
            cause.weigh(62, format!("{:.0} % of the refused sessions used TLS {version}", share * 100.0));
        }
        let asks = ["tls 1.2", "tls1_2", "tls 1.0 and 1.1", "tls version", "unsupported protocol"];
        if let Some(one) = asks.iter().find_map(|words| case.saying(words)) {
            cause.weigh(25, "the reply speaks of the version of TLS");
            cause.evidence.push(one.item());
        }
        let refused_versions = ["AlgorithmMismatch", "UnsupportedProtocol", "ProtocolVersion", "IllegalMessage"];
        let error = |one: &Refused| {
            one.session
                .tls
                .error
                .as_deref()
                .is_some_and(|error| refused_versions.iter().any(|name| error.contains(name)))
        };
        if case.share(error) > 0.5 {
            cause.weigh(45, "the negotiation failed as it does when both sides have no version in common");
        }
        if cause.why.is_empty() {
            let (version, _) = versions.first()?;
            cause.weigh(-30, format!("the refused sessions used TLS {version}"));
            return Some(cause);
        }
        cause.evidence.push(case.first().item());
        let servers = named_servers(case);
        let version =
            versions.first().map_or("an old version of TLS".to_owned(), |(version, _)| format!("TLS {version}"));
        cause.says = format!("{servers} used {version}, which Exchange Online does not take any more.");
        cause.mend = vec![
            Step::say(format!(
                "On {servers}, enable TLS 1.2 in Schannel: under HKLM\\SYSTEM\\CurrentControlSet\\Control\\SecurityProviders\\\
                 SCHANNEL\\Protocols\\TLS 1.2\\Client and \\Server set Enabled=1 and DisabledByDefault=0."
            )),
            Step::say(
                "Let .NET use it: SchUseStrongCrypto=1 and SystemDefaultTlsVersions=1 under \
                 HKLM\\SOFTWARE\\Microsoft\\.NETFramework\\v4.0.30319 (and under Wow6432Node), then restart the server.",
            ),
            then(),
        ];
        Some(cause)
    }
}

fn is_old(one: &Refused) -> bool {
    one.session.tls.version.as_deref().is_some_and(|version| ["1.0", "1.1", "SSL3", "3.0"].contains(&version))
}
