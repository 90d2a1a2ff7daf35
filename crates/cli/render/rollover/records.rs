//! Renewals of certificates as JSON and CSV, for other programs: nothing is left out.

use std::{collections::BTreeMap, io::Write};

use index::{CertificateUse, Connector, Expiring, Met, Renewal, UseState};
use serde_json::{Value, json};
use smtplog::{Thumbprint, certificate::Certificate};

use super::Report;
use crate::render::{csv::CsvRows, json::write_line};

const CSV_COLUMNS: [&str; 14] = [
    "connector",
    "direction",
    "internal",
    "server",
    "thumbprint",
    "subject",
    "not_after",
    "first",
    "last",
    "sessions",
    "refusals",
    "statuses",
    "state",
    "renewed_by",
];

impl Report<'_> {
    /// One object a line, told apart by `kind`: uses, renewals, certificates that expire.
    pub(super) fn json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let renewed = self.renewed();
        for one in &self.rollover.uses {
            let renewed_by = renewed.get(&(&one.connector, one.thumbprint));
            write_line(out, &use_object(one, renewed_by.copied()))?;
        }
        self.rollover.renewals.iter().try_for_each(|renewal| write_line(out, &renewal_object(renewal)))?;
        self.expiring.iter().try_for_each(|one| write_line(out, &self.expiring_object(one)))
    }

    /// The uses; rows of one shape are all that CSV can have.
    pub(super) fn csv(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let renewed = self.renewed();
        let mut csv = CsvRows::new(out, &CSV_COLUMNS)?;
        for one in &self.rollover.uses {
            let certificate = self.certificate(one.thumbprint);
            let renewed_by = renewed.get(&(&one.connector, one.thumbprint));
            let statuses: Vec<String> =
                one.refusals.iter().map(|(status, count)| format!("{status}={count}")).collect();
            csv.row([
                one.connector.name.clone(),
                one.connector.direction.to_string(),
                one.connector.is_internal.to_string(),
                one.server.clone(),
                one.thumbprint.to_string(),
                certificate.map(|known| known.subject.clone()).unwrap_or_default(),
                certificate.and_then(|known| known.not_after).map(|end| end.to_string()).unwrap_or_default(),
                one.first.to_string(),
                one.last.to_string(),
                one.sessions.to_string(),
                one.refusals.values().sum::<u64>().to_string(),
                statuses.join(" "),
                one.state.as_str().to_owned(),
                renewed_by.map(ToString::to_string).unwrap_or_default(),
            ])?;
        }
        csv.finish()
    }

    /// What took the place of a certificate on a connector.
    fn renewed(&self) -> BTreeMap<(&Connector, Thumbprint), Thumbprint> {
        let renewals = &self.rollover.renewals;
        renewals.iter().map(|renewal| ((&renewal.connector, renewal.old), renewal.new)).collect()
    }

    fn certificate(&self, thumbprint: Thumbprint) -> Option<&Certificate> {
        let known = &self.rollover.certificates;
        known.binary_search_by_key(&thumbprint, |certificate| certificate.thumbprint).ok().map(|at| &known[at])
    }

    fn expiring_object(&self, one: &Expiring) -> Value {
        let connector = |connector: &Connector| {
            let Connector { name, direction, is_internal } = connector;
            json!({ "connector": name, "direction": direction.to_string(), "internal": is_internal })
        };
        json!({
            "v": 1, "kind": "expiring",
            "thumbprint": one.certificate.thumbprint, "subject": text(&one.certificate.subject),
            "not_after": one.not_after, "expired": one.not_after < self.now, "last": one.last,
            "connectors": one.connectors.iter().map(connector).collect::<Vec<_>>(), "servers": one.servers,
        })
    }
}

fn use_object(one: &CertificateUse, renewed_by: Option<Thumbprint>) -> Value {
    json!({
        "v": 1, "kind": "use",
        "connector": one.connector.name, "direction": one.connector.direction.to_string(),
        "internal": one.connector.is_internal, "server": one.server, "thumbprint": one.thumbprint,
        "first": one.first, "last": one.last, "sessions": one.sessions,
        "refusals": one.refusals.values().sum::<u64>(), "statuses": one.refusals,
        "state": one.state.as_str(), "renewed_by": renewed_by,
    })
}

fn renewal_object(renewal: &Renewal) -> Value {
    let servers = |state: UseState| {
        let with = renewal.servers.iter().filter(move |server| server.state == state);
        with.map(|server| server.server.as_str()).collect::<Vec<_>>()
    };
    let met = |met: &Met| {
        let Met { sessions, refusals } = met;
        json!({ "sessions": sessions, "refusals": met.refused(), "statuses": refusals })
    };
    json!({
        "v": 1, "kind": "renewal",
        "connector": renewal.connector.name, "direction": renewal.connector.direction.to_string(),
        "internal": renewal.connector.is_internal, "old": renewal.old, "new": renewal.new, "began": renewal.began,
        "servers": renewal.servers.len(), "moved": servers(UseState::Past), "lagging": servers(UseState::Lagging),
        "mixed": servers(UseState::Mixed), "idle": servers(UseState::Idle),
        "before": met(&renewal.before), "after": met(&renewal.after),
    })
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
