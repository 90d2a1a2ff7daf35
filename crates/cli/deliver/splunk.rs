//! Splunk's HTTP Event Collector.
//!
//! With acknowledgement a batch is confirmed once the indexer has it, which is asked for on the channel that sent it. A
//! token without acknowledgement confirms that the collector has it in memory.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    Batch, Destination, Receiver, Taken,
    dead_letters::DeadLetters,
    http::{Client, with_path},
    retry::{Failure, Patience, random},
};

/// How long an acknowledgement is waited for. Then the batch is sent again.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(120);

/// The longest pause between two questions for it.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// "Invalid data format" and the like: the event that is named is refused, and the rest not.
const CODES_OF_ONE_EVENT: [i64; 4] = [6, 12, 13, 15];

/// An HTTP Event Collector.
pub(crate) struct Splunk {
    client: Client,
    url: String,
    ack_url: String,
    patience: Patience,
    dead: DeadLetters,
}

/// What came of one try.
enum Tried {
    Done,
    /// The event of this number is refused, for this reason.
    Refused(usize, String),
}

impl Splunk {
    /// A collector at an address. A path may be left out.
    pub(crate) fn new(destination: Destination<'_>) -> anyhow::Result<Splunk> {
        let Destination { address, token, trust, patience, dead } = destination;
        let token = token.ok_or_else(|| anyhow!("Splunk wants a token; name its file with --token-file"))?;
        let url = with_path(address, "/services/collector/event")?;
        let channel = channel(random(), random());
        let headers = vec![("Authorization", format!("Splunk {token}")), ("X-Splunk-Request-Channel", channel.clone())];
        let collector = url.strip_suffix("/event").unwrap_or(&url);
        let ack_url = format!("{collector}/ack?channel={channel}");
        Ok(Splunk { client: Client::new(trust, headers), url, ack_url, patience, dead })
    }

    fn try_once(&self, records: &[&[u8]]) -> Result<Tried, Failure> {
        let answer = self.client.post(&self.url, "application/json", &records.join(&b'\n'))?;
        if answer.status == 400 {
            let said = answer.json(&self.url)?;
            let number = said["invalid-event-number"].as_u64().and_then(|number| usize::try_from(number).ok());
            let is_of_one = said["code"].as_i64().is_some_and(|code| CODES_OF_ONE_EVENT.contains(&code));
            if let Some(number) = number.filter(|number| is_of_one && *number < records.len()) {
                let reason = format!("400 {}", said["text"].as_str().unwrap_or("refused"));
                return Ok(Tried::Refused(number, reason));
            }
        }
        if answer.status != 200 {
            return Err(answer.failure(&self.url));
        }
        match answer.json(&self.url)?["ackId"].as_u64() {
            Some(ack) => self.acknowledged(ack).map(|()| Tried::Done),
            None => Ok(Tried::Done),
        }
    }

    fn acknowledged(&self, ack: u64) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(50);
        let question = format!("{{\"acks\":[{ack}]}}");
        loop {
            let answer = self.client.post(&self.ack_url, "application/json", question.as_bytes())?;
            if answer.status != 200 {
                return Err(answer.failure(&self.ack_url));
            }
            if answer.json(&self.ack_url)?["acks"][ack.to_string()].as_bool() == Some(true) {
                return Ok(());
            }
            if begin.elapsed() >= ACKNOWLEDGED_WITHIN {
                return Err(Failure::Passing(anyhow!("{} did not acknowledge the batch {ack}", self.url), None));
            }
            self.patience.pause(pause).map_err(Failure::Lasting)?;
            pause = (pause * 2).min(ASKED_EVERY);
        }
    }
}

impl Receiver for Splunk {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        let mut records: Vec<&[u8]> = batch.records().collect();
        let mut taken = Taken::default();
        while !records.is_empty() {
            let (tried, failed) = self.patience.until_done(|| self.try_once(&records))?;
            taken.retries += failed;
            match tried {
                Tried::Done => break,
                Tried::Refused(number, reason) => {
                    self.dead.keep(records.remove(number), &reason)?;
                    taken.refused += 1;
                    self.patience.go_on()?;
                }
            }
        }
        Ok(taken)
    }
}

/// A channel: a random UUID (RFC 9562 section 5.4).
fn channel(high: u64, low: u64) -> String {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels() {
        assert_eq!(channel(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(channel(0, 0), "00000000-0000-4000-8000-000000000000");
    }
}
