//! The `_bulk` endpoint of Elasticsearch and OpenSearch.
//!
//! Every record says `create` with the event's id, so what is there already is a conflict, which is as good as success.

use anyhow::anyhow;
use base64::Engine;
use serde_json::Value;

use super::{
    Batch, Destination, Receiver, Taken,
    dead_letters::DeadLetters,
    http::{Client, with_path},
    retry::{Failure, Patience},
};

/// The data stream that the index template is for.
const DATA_STREAM: &str = "/logs-smtptrail.smtp-default";

/// An index or data stream.
pub(crate) struct Elasticsearch {
    client: Client,
    url: String,
    patience: Patience,
    dead: DeadLetters,
}

/// What came of one try.
#[derive(Debug, Default)]
struct Tried {
    /// The places of records that may be taken the next time.
    again: Vec<usize>,
    known: u64,
    refused: Vec<(usize, String)>,
    /// There were too many at once.
    too_large: bool,
}

impl Elasticsearch {
    /// An index or data stream at an address; without a path the one that the template is for. A token with a colon is
    /// a user and a password, any other an API key.
    pub(crate) fn new(destination: Destination<'_>) -> anyhow::Result<Elasticsearch> {
        let Destination { address, token, trust, patience, dead } = destination;
        let stream = with_path(address, DATA_STREAM)?;
        let stream = stream.strip_suffix("/_bulk").unwrap_or(&stream);
        let url = format!("{stream}/_bulk?filter_path=errors,items.*.status,items.*.error");
        let authorization = token.map(|token| match token.contains(':') {
            true => format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(token)),
            false => format!("ApiKey {token}"),
        });
        let headers = authorization.map(|value| ("Authorization", value)).into_iter().collect();
        Ok(Elasticsearch { client: Client::new(trust, headers), url, patience, dead })
    }

    fn try_once(&self, records: &[&[u8]]) -> Result<Tried, Failure> {
        let mut body = records.join(&b'\n');
        body.push(b'\n');
        let answer = self.client.post(&self.url, "application/x-ndjson", &body)?;
        match answer.status {
            200 => {}
            413 if records.len() > 1 => return Ok(Tried { too_large: true, ..Tried::default() }),
            413 => return Ok(Tried { refused: vec![(0, "413 too large".to_owned())], ..Tried::default() }),
            _ => return Err(answer.failure(&self.url)),
        }
        let said = answer.json(&self.url)?;
        if said["errors"] == Value::Bool(false) {
            return Ok(Tried::default());
        }
        let items = said["items"].as_array().filter(|items| items.len() == records.len());
        let Some(items) = items else {
            let error = anyhow!("{} answered for another number of records than it got", self.url);
            return Err(Failure::Passing(error, None));
        };
        let mut tried = Tried::default();
        for (at, item) in items.iter().enumerate() {
            let result = item.as_object().and_then(|item| item.values().next()).unwrap_or(&Value::Null);
            match result["status"].as_u64().unwrap_or(0) {
                200..=299 => {}
                409 => tried.known += 1,
                429 | 500..=599 => tried.again.push(at),
                status => tried.refused.push((at, format!("{status} {}", reason(&result["error"])))),
            }
        }
        Ok(tried)
    }

    fn send_some(&mut self, records: &[&[u8]], taken: &mut Taken) -> anyhow::Result<()> {
        let mut left: Vec<&[u8]> = records.to_vec();
        let mut waited = 0;
        while !left.is_empty() {
            let (tried, failed) = self.patience.until_done(|| match self.try_once(&left) {
                // Nothing of it was taken: that is worth a pause.
                Ok(tried) if tried.again.len() == left.len() => {
                    Err(Failure::Passing(anyhow!("{} is busy", self.url), None))
                }
                tried => tried,
            })?;
            taken.retries += failed;
            if tried.too_large {
                self.patience.go_on()?;
                let (first, second) = left.split_at(left.len() / 2);
                self.send_some(first, taken)?;
                return self.send_some(second, taken);
            }
            taken.known += tried.known;
            for (at, reason) in &tried.refused {
                self.dead.keep(left[*at], reason)?;
                taken.refused += 1;
            }
            if !tried.again.is_empty() {
                taken.retries += 1;
                waited += 1;
                self.patience.pause(std::time::Duration::from_millis(100 * waited.min(20)))?;
            }
            left = tried.again.iter().map(|&at| left[at]).collect();
        }
        Ok(())
    }
}

fn reason(error: &Value) -> String {
    match error {
        Value::Object(error) => {
            let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("{}: {}", text("type"), text("reason"))
        }
        other => other.to_string(),
    }
}

impl Receiver for Elasticsearch {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let records: Vec<&[u8]> = batch.records().collect();
        let mut taken = Taken::default();
        self.send_some(&records, &mut taken)?;
        Ok(taken)
    }
}
