//! OpenTelemetry collectors: OTLP over HTTP, as JSON.
//!
//! 429, 502, 503, 504 and a connection without an answer are tried again, and nothing else is. A request that is refused
//! as a whole comes again in halves, which are other requests, until the record is found that is at fault. Of one that is
//! taken in part nobody hears which records are not, so the dead letter is the request.

use anyhow::bail;
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
    /// Whether it has taken anything.
    has_taken: bool,
    /// Dead letters that are written once it has: one that takes nothing at all is the wrong address.
    held: Vec<(Vec<u8>, String)>,
}

/// Records that are refused one after the other, and nothing taken, until nobody believes that it is for them.
const HELD_MAX: usize = 8;

/// What came of one try.
enum Tried {
    Done,
    /// So many records are refused for good, for this reason.
    InPart(u64, String),
    /// None is taken, for this reason.
    Refused(String),
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
        let client = Client::new(trust, headers);
        Ok(Otlp { client, url, frame, patience, dead, has_taken: false, held: Vec::new() })
    }

    fn try_once(&self, body: &[u8], records: u64) -> Result<Tried, Failure> {
        let answer = self.client.post(&self.url, "application/json", body)?;
        let said = match answer.status {
            // An answer without a body is one without a partial success.
            200..=299 if answer.body.is_empty() => return Ok(Tried::Done),
            200..=299 => answer.json(&self.url)?,
            // What it cannot read now it never can.
            400 => return Ok(Tried::Refused(answer.shown())),
            413 => return Ok(Tried::Refused("413 too large".to_owned())),
            429 | 502 | 503 | 504 => return Err(answer.passing(&self.url)),
            _ => return Err(answer.lasting(&self.url)),
        };
        let partial = &said["partialSuccess"];
        let rejected = &partial["rejectedLogRecords"];
        let refused = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0).min(records);
        Ok(match refused {
            0 => Tried::Done,
            _ => Tried::InPart(refused, partial["errorMessage"].as_str().unwrap_or("refused in part").to_owned()),
        })
    }

    fn send_some(&mut self, records: &[&[u8]], taken: &mut Taken) -> anyhow::Result<()> {
        let body = [self.frame.0.as_bytes(), &records.join(&b','), self.frame.1.as_bytes()].concat();
        let count = records.len() as u64;
        let (tried, failed) = self.patience.until_done(|| self.try_once(&body, count))?;
        taken.retries += failed;
        match tried {
            Tried::Done => return self.takes(),
            Tried::InPart(refused, reason) => {
                self.takes()?;
                self.dead.keep(&body, &format!("{refused} of {count}: {reason}"))?;
                taken.refused += refused;
            }
            Tried::Refused(_) if records.len() > 1 => {
                self.patience.go_on()?;
                let (first, second) = records.split_at(records.len() / 2);
                self.send_some(first, taken)?;
                self.send_some(second, taken)?;
            }
            Tried::Refused(reason) => {
                if !self.has_taken && self.held.len() + 1 >= HELD_MAX {
                    bail!("{} takes nothing: {reason}", self.url);
                }
                self.held.push((body, format!("1 of 1: {reason}")));
                taken.refused += 1;
                if self.has_taken {
                    self.takes()?;
                }
            }
        }
        Ok(())
    }

    /// It takes something, so what it does not take is at fault itself.
    fn takes(&mut self) -> anyhow::Result<()> {
        self.has_taken = true;
        self.held.drain(..).try_for_each(|(body, reason)| self.dead.keep(&body, &reason))
    }
}

impl Receiver for Otlp {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let records: Vec<&[u8]> = batch.records().collect();
        let mut taken = Taken::default();
        self.send_some(&records, &mut taken)?;
        if !self.held.is_empty() {
            self.takes()?; // The batch is over, and nobody asks again.
        }
        Ok(taken)
    }
}
