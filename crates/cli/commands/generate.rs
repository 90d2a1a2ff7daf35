//! `generate`: a fleet of logs whose contents are known, for trials, tests and benchmarks.

mod fleet;
mod scenario;
mod truth;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use smtplog::Timestamp;
use testlog::{FilesPerDay, Plan, Planted, Refusals, Totals};

use self::{fleet::Fleet, scenario::ScenarioName};
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
///
/// With --scenario one cause of refusal is planted in the fleet: the logs have its refusals among innocent ones, the
/// evidence lies in OUT/evidence as administrators collect it, and cases.ndjson of the truth says which refusals are
/// due to the cause and what an explanation has to name.
#[derive(Args)]
pub(crate) struct GenerateArgs {
    /// Folder for the logs; it must be empty or not exist yet. Several scenarios get a folder each in it
    #[arg(required_unless_present = "list_scenarios")]
    out: Option<PathBuf>,
    /// Plant a cause of refusal, or each of them with `all`; can be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "refusals")]
    scenario: Vec<ScenarioName>,
    /// Print the scenarios, and do nothing else
    #[arg(long)]
    list_scenarios: bool,
    /// How much evidence lies beside the logs of a scenario
    #[arg(long, value_name = "HOW", default_value = "full")]
    evidence: EvidenceLevel,
    /// Everything random follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Servers of the fleet [default: 10, of a scenario 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    servers: Option<u32>,
    /// UTC days [default: 30, of a scenario 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_660))]
    days: Option<u32>,
    /// The first day
    #[arg(long, value_name = "DATE", default_value = "2024-03-01", value_parser = date)]
    start: (i32, u32, u32),
    /// MiB of logs a server, before compression [default: 100, of a scenario 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    mib_per_server: Option<u64>,
    /// How log files are named and rolled
    #[arg(long, value_name = "HOW", default_value = "daily")]
    files_per_day: Rolling,
    /// How log files are compressed
    #[arg(long, value_name = "CODEC", default_value = "zst")]
    codec: CodecChoice,
    /// The version of the servers [default: mixed, of a scenario its own]
    #[arg(long, value_name = "VERSION")]
    generation: Option<Generation>,
    /// When the certificate is renewed, or what was planted changes, as a fraction of the days [default: 0.4, of a
    /// scenario 0.55]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    renewal: Option<f64>,
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

/// How much evidence lies beside the logs of a scenario.
#[derive(Clone, Copy, ValueEnum)]
enum EvidenceLevel {
    /// All of it
    Full,
    /// All but the file that tells most
    Partial,
    /// Logs alone
    None,
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

/// Writes the fleet, or one for each scenario.
pub(crate) fn run(args: &GenerateArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    if args.list_scenarios {
        return list_scenarios(settings);
    }
    let Some(out) = &args.out else {
        bail!("say where the logs shall lie");
    };
    let truth = match &args.truth {
        Some(truth) => truth.clone(),
        None => truth_beside(out)?,
    };
    match &scenario::chosen(&args.scenario)[..] {
        [] => args.write(None, out, &truth, settings)?,
        [planted] => args.write(Some(planted), out, &truth, settings)?,
        several => {
            create_empty(out)?;
            create_empty(&truth)?;
            for planted in several {
                args.write(Some(planted), &out.join(planted.name), &truth.join(planted.name), settings)?;
            }
        }
    }
    Ok(Outcome::Done)
}

fn list_scenarios(settings: &Settings) -> anyhow::Result<Outcome> {
    let mut out = settings.console.results();
    let width = testlog::PLANTED.iter().map(|planted| planted.name.len()).max().unwrap_or_default();
    for planted in testlog::PLANTED {
        writeln!(out, "{:width$}  {}", planted.name, planted.about)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

impl GenerateArgs {
    /// Writes one fleet.
    fn write(&self, planted: Option<&Planted>, out: &Path, truth: &Path, settings: &Settings) -> anyhow::Result<()> {
        create_empty(out)?;
        create_empty(truth)?;
        let plan = self.plan(planted);
        let fleet = Fleet::new(out, truth, self.codec);
        let total = plan.bytes_per_server * plan.servers as u64;
        let begin = Instant::now();
        let totals = progress::shown(
            &settings.console,
            || Done { bytes: fleet.raw_bytes(), total },
            || -> anyhow::Result<Totals> {
                let (threads, deliver) = (settings.threads, |part| fleet.deliver(part));
                let summary = match planted {
                    Some(planted) => testlog::generate_planted(planted, &plan, self.evidence.into(), threads, deliver)?,
                    None => testlog::generate(&plan, threads, deliver)?,
                };
                fleet.finish(&plan, summary, planted.is_some())
            },
        )?;
        let time = begin.elapsed();
        settings.console.note(&format!(
            "{} in {}, {} raw, {} stored, {} rows, {} sessions, in {}; the truth about them is in {}",
            amount::counted(totals.files, "file"),
            out.display(),
            amount::bytes(totals.bytes),
            amount::bytes(fleet.stored_bytes()),
            amount::count(totals.rows),
            amount::count(totals.sessions),
            amount::seconds(time),
            truth.display(),
        ));
        Ok(())
    }

    /// What to write; a scenario has a smaller fleet unless something else is said.
    fn plan(&self, planted: Option<&Planted>) -> Plan {
        let usual = Plan::default();
        let small = Plan { servers: 3, days: 6, bytes_per_server: 2 << 20, renewal: 0.55, ..usual.clone() };
        let (preset, generation) = match planted {
            Some(planted) => (small, planted.generation),
            None => (usual.clone(), usual.generation),
        };
        Plan {
            seed: self.seed,
            servers: self.servers.map_or(preset.servers, |servers| servers as usize),
            days: self.days.unwrap_or(preset.days),
            start: self.start,
            bytes_per_server: self.mib_per_server.map_or(preset.bytes_per_server, |mib| mib << 20),
            files_per_day: match self.files_per_day {
                Rolling::Daily => FilesPerDay::Daily,
                Rolling::Hourly => FilesPerDay::Hourly,
                Rolling::ByGeneration => FilesPerDay::ByGeneration,
            },
            generation: self.generation.map_or(generation, Into::into),
            renewal: self.renewal.unwrap_or(preset.renewal),
            refusals: self.refusals,
            damage: self.damage,
            proxied: self.proxied,
        }
    }
}

impl From<EvidenceLevel> for testlog::EvidenceLevel {
    fn from(level: EvidenceLevel) -> testlog::EvidenceLevel {
        match level {
            EvidenceLevel::Full => testlog::EvidenceLevel::Full,
            EvidenceLevel::Partial => testlog::EvidenceLevel::Partial,
            EvidenceLevel::None => testlog::EvidenceLevel::None,
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
