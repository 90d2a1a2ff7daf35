//! What lies beside the logs, and says why mail was refused: certificate files, exports of connectors, events of
//! Windows' certificate checks (CAPI2), logs of the Hybrid Configuration Wizard, and delivery reports.
//!
//! Bytes in, facts out. Nothing here touches a file, a clock or the network, and nothing panics on any bytes.
//! [`read`] tells by content what a file is and gives its [`Fact`]s, each with the place where it was found.

mod ber;
mod capi2;
mod certificates;
pub mod chain;
mod exports;
pub mod fact;
mod hcw;
pub mod kinds;
pub mod names;
pub mod report;
pub mod text;
pub mod x509;

pub use exports::{Flaw, flaw};
pub use fact::{Fact, Found};
pub use kinds::{Document, KINDS, Kind, Reading, read};
pub use report::{Attempt, Peer, Report, report};
