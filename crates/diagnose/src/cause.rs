//! Causes: what a rule says of a case, and how sure it is.

use std::fmt;

/// How sure a cause is. It follows from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// Possible; other evidence would have to prove it.
    Low,
    /// What was seen fits, and something that would prove it is missing.
    Medium,
    /// What was seen proves it, as far as logs and exports can.
    High,
}

impl Confidence {
    /// `high`, `medium`, `low`.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Weight from which on a cause is called certain.
const HIGH: i32 = 70;

/// Weight from which on it is more than possible.
const MEDIUM: i32 = 40;

/// Weight below which nothing is claimed.
const CLAIMED: i32 = 20;

/// A cause of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The rule's stable id: `certificate-name-mismatch`.
    pub id: &'static str,
    /// One sentence in plain words, with the real names.
    pub says: String,
    /// What was seen, and what it weighs.
    pub why: Vec<Observation>,
    /// Where it was seen.
    pub evidence: Vec<Item>,
    /// What would prove or disprove it.
    pub missing: Vec<Missing>,
    /// What to do, step by step.
    pub mend: Vec<Step>,
}

/// A step of a mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub says: String,
    /// The command that does it, to be copied as it is.
    pub command: Option<String>,
}

impl Step {
    /// A step without a command.
    pub(crate) fn say(says: impl Into<String>) -> Step {
        Step { says: says.into(), command: None }
    }

    /// A step that a command does.
    pub(crate) fn run(says: impl Into<String>, command: impl Into<String>) -> Step {
        Step { says: says.into(), command: Some(command.into()) }
    }
}

/// Something that was seen, and what it weighs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Positive if it speaks for the cause.
    pub weight: i32,
    /// What was seen.
    pub seen: String,
}

/// What kind of thing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// A row of a protocol log.
    Log,
    /// Sessions of the store; the source is the query that finds them.
    Sessions,
    /// A connector's setting.
    Connector,
    /// An accepted domain.
    Domain,
    /// A certificate's field.
    Certificate,
    /// An event of CAPI2.
    Capi2,
    /// An entry of a log of the Hybrid Configuration Wizard.
    Hybrid,
    /// A bounce or another report that somebody got.
    Report,
}

impl ItemKind {
    /// The kind's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ItemKind::Log => "log",
            ItemKind::Sessions => "sessions",
            ItemKind::Connector => "connector",
            ItemKind::Domain => "domain",
            ItemKind::Certificate => "certificate",
            ItemKind::Capi2 => "capi2",
            ItemKind::Hybrid => "hcw",
            ItemKind::Report => "report",
        }
    }
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The file, or the query that finds it.
    pub source: String,
    /// Decompressed byte in the file.
    pub offset: Option<u64>,
    /// What stands there.
    pub text: String,
    /// For a row of a log: its session's id and its sequence number.
    pub row: Option<(String, u32)>,
}

/// Evidence that is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// What it is, and what it would show.
    pub what: String,
    /// The command that exports it.
    pub command: String,
}

impl Cause {
    /// A cause that nothing speaks for yet.
    pub(crate) fn new(id: &'static str) -> Cause {
        Cause { id, says: String::new(), why: Vec::new(), evidence: Vec::new(), missing: Vec::new(), mend: Vec::new() }
    }

    /// Weighs something that was seen.
    pub(crate) fn weigh(&mut self, weight: i32, seen: impl Into<String>) -> &mut Cause {
        self.why.push(Observation { weight, seen: seen.into() });
        self
    }

    /// Sums of all that was seen.
    pub fn weight(&self) -> i32 {
        self.why.iter().map(|observation| observation.weight).sum()
    }

    /// How sure it is.
    pub fn confidence(&self) -> Confidence {
        match self.weight() {
            HIGH.. => Confidence::High,
            MEDIUM.. => Confidence::Medium,
            _ => Confidence::Low,
        }
    }

    /// Whether enough speaks for it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.weight() >= CLAIMED
    }

    /// Keeps the cause from being called certain.
    pub(crate) fn at_most_medium(&mut self, because: impl Into<String>) {
        let over = self.weight() - (HIGH - 1);
        if over > 0 {
            self.weigh(-over, because);
        }
    }
}
