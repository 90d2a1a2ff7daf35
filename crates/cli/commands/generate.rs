//! `generate`: a fleet of logs whose contents are known, for trials, tests and benchmarks.

mod fleet;
mod truth;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use smtplog::Timestamp;
use testlog::{FilesPerDay, Plan, Refusals, Totals};

use self::fleet::Fleet;
use crate::{
    Outcome,
    config::Settings,
    progress::{self, Done},
    render::amount,
};

/// Write the logs of a fleet that does not exist, and the truth about them
///
/// Equal arguments give equal logs. The truth lies beside them: every session as `search --json` has to print it, every
/// certificate, every file with the lines that cannot be read, and the totals.
#[derive(Args)]
pub(crate) struct GenerateArgs {
    /// Folder for the logs; it must be empty or not exist yet
    out: PathBuf,
    /// Everything random follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Servers of the fleet
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    servers: u32,
    /// UTC days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_660))]
    days: u32,
    /// The first day
    #[arg(long, value_name = "DATE", default_value = "2024-03-01", value_parser = date)]
    start: (i32, u32, u32),
    /// MiB of logs a server, before compression
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    mib_per_server: u64,
    /// How log files are named and rolled
    #[arg(long, value_name = "HOW", default_value = "daily")]
    files_per_day: Rolling,
    /// How log files are compressed
    #[arg(long, value_name = "CODEC", default_value = "zst")]
    codec: CodecChoice,
    /// The version of the servers
    #[arg(long, value_name = "VERSION", default_value = "mixed")]
    generation: Generation,
    /// When the certificate is renewed, as a fraction of the days
    #[arg(long, value_name = "FRACTION", default_value_t = 0.4, value_parser = fraction)]
    renewal: f64,
    /// Share of the sessions to Microsoft 365 that are refused before and after the renewal
    #[arg(long, value_name = "BEFORE,AFTER", default_value = "0.01,0.06", value_parser = refusals)]
    refusals: Refusals,
    /// Damage a row: 0.001 damages about one row in a thousand, and some files
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    damage: f64,
    /// Share of the mail that goes through the front end of servers that have one
    #[arg(long, value_name = "FRACTION", default_value_t = 0.3, value_parser = fraction)]
    proxied: f64,
    /// Folder for the truth [default: OUT.truth]
    #[arg(long, value_name = "DIR")]
    truth: Option<PathBuf>,
}

/// How log files are named and rolled.
#[derive(Clone, Copy, ValueEnum)]
enum Rolling {
    /// SEND20240301-1.LOG
    Daily,
    /// SEND2024030106-1.LOG
    Hourly,
    /// Daily up to Exchange 2013, hourly from 2016 on
    ByGeneration,
}

/// How log files are compressed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodecChoice {
    /// Not at all
    Plain,
    /// Zstandard
    Zst,
    /// gzip
    Gz,
    /// One zip archive for each day of a server
    Zip,
    /// Each file in another way
    Mix,
}

/// The version of the servers.
#[derive(Clone, Copy, ValueEnum)]
enum Generation {
    #[value(name = "2007")]
    Exchange2007,
    #[value(name = "2010")]
    Exchange2010,
    #[value(name = "2013")]
    Exchange2013,
    #[value(name = "2016-cu2")]
    Exchange2016Cu2,
    #[value(name = "2016")]
    Exchange2016,
    #[value(name = "2019")]
    Exchange2019,
    #[value(name = "se")]
    ExchangeSe,
    /// Every server another one, and an Edge server among them
    Mixed,
}

/// Writes the fleet.
pub(crate) fn run(args: &GenerateArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let plan = args.plan();
    let truth = match &args.truth {
        Some(truth) => truth.clone(),
        None => truth_beside(&args.out)?,
    };
    create_empty(&args.out)?;
    create_empty(&truth)?;
    let fleet = Fleet::new(&args.out, &truth, args.codec);
    let total = plan.bytes_per_server * plan.servers as u64;
    let begin = Instant::now();
    let totals = progress::shown(
        &settings.console,
        || Done { bytes: fleet.raw_bytes(), total },
        || -> anyhow::Result<Totals> {
            let summary = testlog::generate(&plan, settings.threads, |part| fleet.deliver(part))?;
            fleet.finish(&plan, summary)
        },
    )?;
    let time = begin.elapsed();
    settings.console.note(&format!(
        "{} in {}, {} raw, {} stored, {} rows, {} sessions, in {}; the truth about them is in {}",
        amount::counted(totals.files, "file"),
        args.out.display(),
        amount::bytes(totals.bytes),
        amount::bytes(fleet.stored_bytes()),
        amount::count(totals.rows),
        amount::count(totals.sessions),
        amount::seconds(time),
        truth.display(),
    ));
    Ok(Outcome::Done)
}

impl GenerateArgs {
    fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            servers: self.servers as usize,
            days: self.days,
            start: self.start,
            bytes_per_server: self.mib_per_server << 20,
            files_per_day: match self.files_per_day {
                Rolling::Daily => FilesPerDay::Daily,
                Rolling::Hourly => FilesPerDay::Hourly,
                Rolling::ByGeneration => FilesPerDay::ByGeneration,
            },
            generation: self.generation.into(),
            renewal: self.renewal,
            refusals: self.refusals,
            damage: self.damage,
            proxied: self.proxied,
        }
    }
}

impl From<Generation> for testlog::Generation {
    fn from(generation: Generation) -> testlog::Generation {
        match generation {
            Generation::Exchange2007 => testlog::Generation::Exchange2007,
            Generation::Exchange2010 => testlog::Generation::Exchange2010,
            Generation::Exchange2013 => testlog::Generation::Exchange2013,
            Generation::Exchange2016Cu2 => testlog::Generation::Exchange2016Cu2,
            Generation::Exchange2016 => testlog::Generation::Exchange2016,
            Generation::Exchange2019 => testlog::Generation::Exchange2019,
            Generation::ExchangeSe => testlog::Generation::ExchangeSe,
            Generation::Mixed => testlog::Generation::Mixed,
        }
    }
}

fn truth_beside(out: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = out.file_name() else {
        bail!("{} has no name to put .truth behind; say with --truth where the truth shall lie", out.display());
    };
    let mut name = name.to_owned();
    name.push(".truth");
    Ok(out.with_file_name(name))
}

/// Logs among others would make the truth a lie.
fn create_empty(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty; name another folder, or remove it first", folder.display());
    }
    Ok(())
}

fn date(text: &str) -> Result<(i32, u32, u32), String> {
    let midnight = Timestamp::from_log(format!("{text}T00:00:00.000Z").as_bytes());
    let (year, month, day) = midnight.ok_or("write a date as 2024-03-01")?.date();
    // A year of four digits, a month and a day fit.
    Ok((year as i32, month as u32, day as u32))
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = text.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

fn refusals(text: &str) -> Result<Refusals, String> {
    let (before, after) = text.split_once(',').unwrap_or((text, text));
    Ok(Refusals { before: fraction(before)?, after: fraction(after)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_exist() {
        assert_eq!(date("2024-02-29"), Ok((2024, 2, 29)));
        assert!(date("2023-02-29").is_err() && date("2024-3-1").is_err() && date("").is_err());
    }

    #[test]
    fn shares_lie_between_0_and_1() {
        assert_eq!(refusals("0.01,0.06"), Ok(Refusals { before: 0.01, after: 0.06 }));
        assert_eq!(refusals("1"), Ok(Refusals { before: 1.0, after: 1.0 }));
        assert!(refusals("0.1,2").is_err() && refusals("NaN").is_err());
    }

    #[test]
    fn truth_lies_beside_the_logs() {
        assert_eq!(truth_beside(Path::new("a/logs/")).unwrap(), Path::new("a/logs.truth"));
        assert!(truth_beside(Path::new("..")).is_err());
    }
}
