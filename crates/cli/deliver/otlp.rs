//! OpenTelemetry collectors: OTLP over HTTP, as JSON.
//!
//! 429, 502, 503, 504 and a connection without an answer are tried again, and nothing else is. Of a request that is
//! refused in part nobody hears which records those are, so the dead letter is the request.

use export::Framing;

use super::{
    Batch, Destination, Receiver, Taken,
    dead_letters::DeadLetters,
    http::{Client, with_path},
    retry::{Failure, Patience},
};

/// A collector.
pub(crate) struct Otlp {
    client: Client,
    url: String,
    frame: (&'static str, &'static str),
    patience: Patience,
    dead: DeadLetters,
}

/// What came of one try.
enum Tried {
    Done,
    /// So many records are refused for good, for this reason.
    Refused(u64, String),
    /// There were too many at once.
    TooLarge,
}

impl Otlp {
    /// A collector at an address. The path may be left out.
    pub(crate) fn new(destination: Destination<'_>, framing: Framing) -> anyhow::Result<Otlp> {
        let Destination { address, token, trust, patience, dead } = destination;
        let url = with_path(address, "/v1/logs")?;
        let headers = token.map(|token| ("Authorization", format!("Bearer {token}"))).into_iter().collect();
        let frame = match framing {
            Framing::List(begin, end) => (begin, end),
            _ => ("", ""),
        };
        Ok(Otlp { client: Client::new(trust, headers), url, frame, patience, dead })
    }

    fn try_once(&self, body: &[u8], records: u64) -> Result<Tried, Failure> {
        let answer = self.client.post(&self.url, "application/json", body)?;
        let said = match answer.status {
            // An answer without a body is one without a partial success.
            200..=299 if answer.body.is_empty() => return Ok(Tried::Done),
            200..=299 => answer.json(&self.url)?,
            // What it cannot read now it never can.
            400 => return Ok(Tried::Refused(records, answer.shown())),
            413 => return Ok(Tried::TooLarge),
            429 | 502 | 503 | 504 => return Err(answer.passing(&self.url)),
            _ => return Err(answer.lasting(&self.url)),
        };
        let partial = &said["partialSuccess"];
        let rejected = &partial["rejectedLogRecords"];
        let refused = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0).min(records);
        Ok(match refused {
            0 => Tried::Done,
            _ => Tried::Refused(refused, partial["errorMessage"].as_str().unwrap_or("refused in part").to_owned()),
        })
    }

    fn send_some(&mut self, records: &[&[u8]], taken: &mut Taken) -> anyhow::Result<()> {
        let body = [self.frame.0.as_bytes(), &records.join(&b','), self.frame.1.as_bytes()].concat();
        let count = records.len() as u64;
        let (tried, failed) = self.patience.until_done(|| self.try_once(&body, count))?;
        taken.retries += failed;
        let (refused, reason) = match tried {
            Tried::Done => return Ok(()),
            Tried::Refused(refused, reason) => (refused, reason),
            Tried::TooLarge if records.len() > 1 => {
                // The same request must not come again; its halves are other ones.
                let (first, second) = records.split_at(records.len() / 2);
                self.send_some(first, taken)?;
                return self.send_some(second, taken);
            }
            Tried::TooLarge => (1, "413 too large".to_owned()),
        };
        self.dead.keep(&body, &format!("{refused} of {count}: {reason}"))?;
        taken.refused += refused;
        Ok(())
    }
}

impl Receiver for Otlp {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let records: Vec<&[u8]> = batch.records().collect();
        let mut taken = Taken::default();
        self.send_some(&records, &mut taken)?;
        Ok(taken)
    }
}
