//! OpenTelemetry collectors: OTLP over HTTP, as JSON.

use anyhow::anyhow;
use export::Framing;

use super::{
    Batch, Receiver, Taken,
    dead_letters::DeadLetters,
    http::{Client, with_path},
    retry::{Failure, Patience},
    trust::Trust,
};

/// A collector.
pub(crate) struct Otlp {
    client: Client,
    url: String,
    frame: (&'static str, &'static str),
    patience: Patience,
    dead: DeadLetters,
}

impl Otlp {
    /// A collector at an address. The path may be left out.
    pub(crate) fn new(
        address: &str,
        token: Option<&str>,
        trust: Option<&Trust>,
        framing: Framing,
        patience: Patience,
        dead: DeadLetters,
    ) -> anyhow::Result<Otlp> {
        let url = with_path(address, "/v1/logs")?;
        let headers = token.map(|token| ("Authorization", format!("Bearer {token}"))).into_iter().collect();
        let frame = match framing {
            Framing::List(begin, end) => (begin, end),
            _ => ("", ""),
        };
        Ok(Otlp { client: Client::new(trust, headers), url, frame, patience, dead })
    }
}

impl Receiver for Otlp {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let records: Vec<&[u8]> = batch.records().collect();
        let body = [self.frame.0.as_bytes(), &records.join(&b','), self.frame.1.as_bytes()].concat();
        let (said, retries) = self.patience.until_done(|| {
            let answer = self.client.post(&self.url, "application/json", &body)?;
            match answer.status {
                // An answer without a body is one without a partial success.
                200..=299 if answer.body.is_empty() => Ok(serde_json::Value::Null),
                200..=299 => answer.json(&self.url),
                // What it cannot read now it never can.
                400 => Ok(serde_json::json!({ "partialSuccess": {
                    "rejectedLogRecords": records.len().to_string(),
                    "errorMessage": String::from_utf8_lossy(&answer.body),
                } })),
                // The protocol names these as the only ones to be tried again.
                429 | 502 | 503 | 504 => Err(answer.failure(&self.url)),
                status => Err(Failure::Lasting(anyhow!("{} answered {status}", self.url))),
            }
        })?;
        let partial = &said["partialSuccess"];
        let rejected = &partial["rejectedLogRecords"];
        let refused = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
        if refused > 0 {
            // It does not say which.
            let reason = partial["errorMessage"].as_str().unwrap_or("refused in part");
            self.dead.keep(&body, &format!("{refused} of {}: {reason}", records.len()))?;
        }
        Ok(Taken { retries, refused, ..Taken::default() })
    }
}
