//! What an SMTP protocol log says: bytes in, sessions out.
//!
//! The crate does no I/O, knows no clock and holds no unsafe code. Data flows one way:
//! a [`LogFormat`](formats::LogFormat) cuts blocks of bytes into [`Record`](record::Record)s that
//! borrow from them, [`Fragments`](reader::Fragments) copies what belongs to a session into a
//! [`Fragment`](fragment::Fragment), and an [`Assembler`](assemble::Assembler) turns the joined fragments of one key
//! into an owned [`Session`].

pub mod assemble;
pub mod certificate;
pub mod formats;
pub mod fragment;
pub mod hours;
pub mod json;
mod memo;
pub mod naive;
pub mod reader;
pub mod record;
mod reply_certificate;
mod session;
mod stream;
mod thumbprint;
mod time;

pub use reply_certificate::reply_certificate_name;
pub use session::{
    Auth, AuthOutcome, Confidence, Message, MessageOutcome, Negotiation, NegotiationRows, NegotiationVerb, Peer,
    ProxyKind, ProxyLink, ProxyRole, Reply, ReplySide, RowMark, RowPlace, Session, SessionId, SourceSpan, Text, Tls,
    TlsOutcome,
};
pub use stream::{Direction, Role, Stream};
pub use thumbprint::{Thumbprint, hex_digits_of_paste};
pub use time::Timestamp;

pub mod civil {
    //! Calendar arithmetic, for dates that people type.
    pub use crate::time::{DAY_MS, civil_from_days, days_from_civil, days_of_month};
}
