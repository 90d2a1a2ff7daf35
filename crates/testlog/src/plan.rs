//! What to generate: size, time, topology and how badly it is damaged.

/// A fleet to be written. Equal plans give equal bytes, whatever the thread count.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Servers of the fleet: `EX001`, `EX002` ...
    pub servers: usize,
    /// UTC days; the logs end at the last midnight, in the middle of whatever was going on.
    pub days: u32,
    /// The first day: year, month, day.
    pub start: (i32, u32, u32),
    /// Raw bytes a server, all directions and roles together; met within a few per cent.
    pub bytes_per_server: u64,
    /// How log files are named and rolled.
    pub files_per_day: FilesPerDay,
    /// The version of the servers.
    pub generation: Generation,
    /// When the certificate is renewed, as a fraction of the span. Servers follow with different delays.
    pub renewal: f64,
    /// Share of the sessions to Microsoft 365 that are refused.
    pub refusals: Refusals,
    /// Damage per row, roughly: 0.001 damages about one row in a thousand, and some files. 0 writes flawless logs.
    pub damage: f64,
    /// Share of mail in and out that goes through the front end of servers that have one, and is logged on both sides.
    pub proxied: f64,
}

/// Share of the sessions to Microsoft 365 that are refused, by the certificate the server presents.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Refusals {
    /// While the server presents the old certificate.
    pub before: f64,
    /// From when it presents the new one.
    pub after: f64,
}

/// How log files are named and rolled. Either way a file is closed when it passes 10 MB and the next number begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilesPerDay {
    /// `SEND20240301-1.LOG`.
    Daily,
    /// `SEND2024030106-1.LOG`.
    Hourly,
    /// Daily up to Exchange 2013, hourly from 2016 on, as found on disk.
    ByGeneration,
}

/// The version of a server: it decides folders, header, certificate layout and the form of EHLO answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Generation {
    /// Layout A, no role folders, header version 8.
    Exchange2007,
    /// Layout A, no role folders, header version 14.
    Exchange2010,
    /// Layout A, role folders.
    Exchange2013,
    /// Layout B: one record a certificate, without dates.
    Exchange2016Cu2,
    /// Layout C: one record a certificate, with dates.
    Exchange2016,
    /// Layout C.
    Exchange2019,
    /// Layout C, TLS 1.3.
    ExchangeSe,
    /// Every server another one, and an Edge server among them.
    Mixed,
}

impl Default for Plan {
    /// The reference set: 10 servers, 30 days, 100 MiB a server.
    fn default() -> Plan {
        Plan {
            seed: 1,
            servers: 10,
            days: 30,
            start: (2024, 3, 1),
            bytes_per_server: 100 << 20,
            files_per_day: FilesPerDay::Daily,
            generation: Generation::Mixed,
            renewal: 0.4,
            refusals: Refusals { before: 0.01, after: 0.06 },
            damage: 0.0,
            proxied: 0.3,
        }
    }
}

impl Generation {
    /// The generation of one server of a fleet: itself, or its turn in a mixed fleet.
    pub(crate) fn of_server(self, server: usize) -> Generation {
        use Generation::*;
        const TURNS: [Generation; 8] = [
            Exchange2016,
            Exchange2019,
            Exchange2010,
            Exchange2013,
            ExchangeSe,
            Exchange2019,
            Exchange2016Cu2,
            Exchange2007,
        ];
        if self == Mixed { TURNS[server % TURNS.len()] } else { self }
    }

    /// Before 2013 a server had one transport service and no role folders.
    pub(crate) fn has_roles(self) -> bool {
        self >= Generation::Exchange2013
    }

    /// Up to 2013 an EHLO answer is one row a line; later it is one row.
    pub(crate) fn joins_ehlo_rows(self) -> bool {
        self > Generation::Exchange2013
    }

    /// The assembly version in the header; it stayed at 15.0 for good.
    pub(crate) fn header_version(self) -> &'static str {
        match self {
            Generation::Exchange2007 => "8.0.0.0",
            Generation::Exchange2010 => "14.0.0.0",
            _ => "15.0.0.0",
        }
    }
}

impl FilesPerDay {
    /// Whether a server of that generation names its files by the hour.
    pub(crate) fn hourly(self, generation: Generation) -> bool {
        match self {
            FilesPerDay::Daily => false,
            FilesPerDay::Hourly => true,
            FilesPerDay::ByGeneration => generation > Generation::Exchange2013,
        }
    }
}
