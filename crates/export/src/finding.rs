//! Findings: why mail was refused, as the rules see it, one for each case of a day.

use diagnose::{Case, Cause};
use smtplog::{Thumbprint, Timestamp};

use crate::{CertificateFacts, Certificates};

/// Steps of a mend that a finding carries.
const STEPS_MAX: usize = 20;

/// The likeliest cause of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What tells it from every other: the day, and what its refusals have in common.
    pub id: [u8; 16],
    /// The rule that found the cause.
    pub rule: &'static str,
    /// `high`, `medium` or `low`.
    pub confidence: &'static str,
    /// The cause in plain words.
    pub says: String,
    /// What to do.
    pub mend: Vec<String>,
    /// Other causes that are possible, the likelier ones first.
    pub others: Vec<&'static str>,
    /// Reply code of the refusals.
    pub code: Option<u16>,
    /// Their status.
    pub status: Option<String>,
    /// Their attribution token.
    pub attr: Option<String>,
    /// Their most frequent text.
    pub text: String,
    /// `send` or `receive`.
    pub direction: &'static str,
    /// The connector.
    pub connector: String,
    /// The certificate that the other side saw.
    pub presented: Option<Thumbprint>,
    /// What is known of it.
    pub certificate: Option<CertificateFacts>,
    /// Servers that logged the refusals.
    pub servers: Vec<String>,
    /// The first refusal.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// Refused sessions.
    pub sessions: u64,
}

impl Finding {
    /// What the rules say of a case of one UTC day; `None` if they say nothing.
    pub fn of_case(
        day: i64,
        case: &Case<'_>,
        causes: &[Cause],
        certificates: &Certificates,
        secret: Option<&[u8; 32]>,
    ) -> Option<Finding> {
        let (first, others) = causes.split_first()?;
        let step = |step: &diagnose::Step| match &step.command {
            Some(command) => format!("{} {command}", step.says),
            None => step.says.clone(),
        };
        Some(Finding {
            id: id(day, case, secret),
            rule: first.id,
            confidence: first.confidence().as_str(),
            says: first.says.clone(),
            mend: first.mend.iter().take(STEPS_MAX).map(step).collect(),
            others: others.iter().map(|cause| cause.id).collect(),
            code: case.code,
            status: case.status.map(str::to_owned),
            attr: case.attr.map(str::to_owned),
            text: case.text(),
            direction: case.direction.as_str(),
            connector: case.connector.to_owned(),
            presented: case.presented,
            certificate: case.presented.and_then(|presented| certificates.get(presented)).cloned(),
            servers: case.servers.iter().map(|server| (*server).to_owned()).collect(),
            from: case.from,
            to: case.to,
            sessions: case.sessions(),
        })
    }

    /// What makes it another finding: that another cause is likelier, or surer, or that other words are due. That more
    /// refusals of the same came is no news.
    pub(crate) fn put_content(&self, put: &mut impl FnMut(&[u8])) {
        put(self.rule.as_bytes());
        put(self.confidence.as_bytes());
        self.others.iter().for_each(|other| put(other.as_bytes()));
        self.mend.iter().for_each(|step| put(step.as_bytes()));
    }
}

fn id(day: i64, case: &Case<'_>, secret: Option<&[u8; 32]>) -> [u8; 16] {
    let mut hash = secret.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
    hash.update(b"smtptrail finding 1\0");
    hash.update(&day.to_be_bytes());
    hash.update(&case.code.unwrap_or(0).to_be_bytes());
    let connector = case.connector.to_lowercase();
    let texts = [case.family.as_str(), case.status.unwrap_or(""), case.attr.unwrap_or(""), case.direction.as_str()];
    for text in texts.into_iter().chain([&*connector]) {
        hash.update(text.as_bytes());
        hash.update(&[0]);
    }
    hash.update(&case.presented.map_or([0; 20], |presented| presented.0));
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    id
}
