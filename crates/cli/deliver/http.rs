//! HTTP: one POST, and what its answer means for trying again.

use std::{io, time::Duration};

use anyhow::anyhow;
use ureq::{Agent, http::Uri};

use super::{retry::Failure, trust::Trust};

/// Bytes of an answer that are read; that to a batch of five thousand records has some hundred kilobytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Letters of an answer that an error shows.
const SHOWN_MAX: usize = 300;

/// Somebody who takes POSTs.
pub(crate) struct Client {
    agent: Agent,
    headers: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// How long to wait before the next try, if it says so.
    pub(crate) retry_after: Option<Duration>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A client that sends these headers each time.
    pub(crate) fn new(trust: Option<&Trust>, headers: Vec<(&'static str, String)>) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_send_body(Some(Duration::from_secs(120)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .timeout_recv_body(Some(Duration::from_secs(60)))
            .user_agent(concat!("smtptrail/", env!("CARGO_PKG_VERSION")));
        let config = match trust {
            Some(trust) => config.tls_config(trust.http()),
            None => config,
        };
        Client { agent: config.build().into(), headers }
    }

    /// Posts a body. What never came to an answer may work the next time.
    pub(crate) fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Answer, Failure> {
        let mut request = self.agent.post(url).header("Content-Type", content_type);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let passing = |error: ureq::Error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::Rustls(_) => {
                Failure::Lasting(anyhow!("{url}: {error}"))
            }
            // A certificate that is not trusted now is not trusted later.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Failure::Lasting(anyhow!("{url}: {error}"))
            }
            error => Failure::Passing(anyhow!("{url}: {error}"), None),
        };
        let mut answer = request.send(body).map_err(passing)?;
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(passing)?;
        Ok(Answer {
            status: answer.status().as_u16(),
            retry_after: retry_after.map(Duration::from_secs).map(|pause| pause.min(Duration::from_secs(300))),
            body,
        })
    }
}

impl Answer {
    /// What the answer means if it is not the one hoped for: a receiver that is busy or broken may get well, one that
    /// does not want us never does.
    pub(crate) fn failure(&self, url: &str) -> Failure {
        match self.status {
            408 | 425 | 429 | 500..=599 => self.passing(url),
            _ => self.lasting(url),
        }
    }

    /// A failure that may pass.
    pub(crate) fn passing(&self, url: &str) -> Failure {
        Failure::Passing(anyhow!("{url} answered {}", self.shown()), self.retry_after)
    }

    /// A failure that never does.
    pub(crate) fn lasting(&self, url: &str) -> Failure {
        Failure::Lasting(anyhow!("{url} answered {}", self.shown()))
    }

    /// Its status, and the beginning of what it says.
    pub(crate) fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let shown: String = body.chars().take(SHOWN_MAX).collect();
        format!("{}: {}", self.status, shown.trim())
    }

    /// Its body as JSON. An answer that was cut off may be whole the next time.
    pub(crate) fn json(&self, url: &str) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::Passing(anyhow!("{url} answered no JSON: {error}"), None))
    }
}

/// A receiver's address with a path, if it has none.
pub(crate) fn with_path(address: &str, path: &str) -> anyhow::Result<String> {
    let uri: Uri = address.parse().map_err(|error| anyhow!("{address} is no address: {error}"))?;
    let has_path = !uri.path().trim_matches('/').is_empty();
    let base = address.trim_end_matches('/');
    Ok(if has_path { base.to_owned() } else { format!("{base}{path}") })
}
