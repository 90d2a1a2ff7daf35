//! `--since` and `--until`: the time that a question is about.

use std::time::{SystemTime, UNIX_EPOCH};

use ::index::query::{Window, parse_since, parse_until};
use anyhow::bail;
use clap::Args;
use smtplog::Timestamp;

/// The time that a question is about.
#[derive(Args)]
pub(crate) struct WindowArgs {
    /// From when on, UTC: 2024-03-01, 2024-03-01T06:00, -24h, -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Until when, UTC; a date includes its day
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

impl WindowArgs {
    /// The window; without flags it is open on both sides.
    pub(crate) fn window(&self) -> anyhow::Result<Window> {
        let now = now();
        let since = self.since.as_deref().map(|text| parse_since(text, now)).transpose()?;
        let until = self.until.as_deref().map(|text| parse_until(text, now)).transpose()?;
        if let (Some(from), Some(to)) = (since, until)
            && from >= to
        {
            bail!("--since {from} is not before --until {to}");
        }
        Ok(Window { since, until })
    }

    /// The flags as they were given.
    pub(crate) fn as_text(&self) -> String {
        let flag =
            |name, value: &Option<String>| value.as_ref().map_or(String::new(), |text| format!(" {name} {text}"));
        flag("--since", &self.since) + &flag("--until", &self.until)
    }

    /// Up to when the question goes by its own words, but not after now: `-3d` goes to now.
    pub(crate) fn asked_until(&self, window: &Window) -> Option<Timestamp> {
        let counts_back = self.since.as_deref().is_some_and(|text| text.trim_start().starts_with('-'));
        window.until.or(counts_back.then(now)).map(|until| until.min(now()))
    }
}

/// The moment at which the program is asked.
pub(crate) fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}
