//! Why was it refused? Refusals become cases, and each case is judged by every rule.
//!
//! ```text
//! refused sessions -> cases (same status, connector, certificate, time) -> rules -> causes, best first
//!                                         what else is known ---------------^
//! ```
//!
//! A rule claims only what was seen: the certificate that a session presented, never the one that a setting names.
//! Each observation adds or takes weight and says so, so that the order of the causes can be explained.
//! Nothing here touches a file, a clock or the network: the caller gathers what is known into a [`Background`].

mod background;
mod case;
mod cause;
mod certificate;
mod family;
mod mend;
mod next_hop;
pub mod rules;
#[cfg(test)]
mod testing;
mod wizard;

pub use background::{Background, EgressUse, Exhibit, Exhibited, Onset, Origin, Route, Shown, Use};
pub use case::{Case, Refused, cases};
pub use cause::{Cause, Confidence, Item, ItemKind, Missing, Observation, Step};
pub use certificate::CertificateView;
pub use family::{Family, family};
pub use rules::{Documentation, RULES, Rule, Verdict, argument, judge, open_questions, verdict};
