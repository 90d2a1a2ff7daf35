//! The query language (CONTRACT 5): from text to a syntax tree, and what the tree means.
//!
//! `presented:97355AF6* status:5.7.64 server:EX0* "relay access denied" -connector:Internet remote:104.47.0.0/16`
//!
//! ```text
//! query   = [ or ]                                 empty, or `*`: everything
//! or      = and { ("OR" | "||") and }              binds looser than AND
//! and     = not { [ "AND" | "&&" ] not }           terms side by side are joined by AND
//! not     = ( "NOT" | "-" | "!" | "+" ) not | primary        `+` changes nothing
//! primary = "(" or ")" | field ":" value | field ":(" or ")" | value
//! value   = word | word "*" | quoted | quoted "*" | "[" low " TO " high "]"
//! ```
//!
//! What CONTRACT 5 leaves open goes by what users of Lucene and Kibana expect:
//! * Operators are upper case; `and`, `or` and `not` are words. A dash negates only in front of something, so that a
//!   pasted ` - ` does not; a bare word without letters or digits is passed over.
//! * `*` stands at the end of a word only, or behind a closing quote (`connector:"Outbound to"*`). Elsewhere it is
//!   an error, except in `*@domain` and in certificate names (`san:*.contoso.com` is the name itself). In quotes it is
//!   an asterisk. `?` is a question mark.
//! * A backslash takes the meaning from ``" \ * ( ) [ ] : - + !`` and blanks; before anything else it is itself, because
//!   connectors are called `EX1\Default`.
//! * What stands before `:` is a field only if it begins with a letter: `10.0.0.1:25`, `2001:db8::5`, `fe80::1`, times
//!   and thumbprints with colons are words. A thumbprint in groups with blanks is one word without quotes, too.
//! * `field:*` holds where the field has a value that is not empty; `from:""` finds the null sender.
//! * `code:>=500`, `started:<2024-03-01` are ranges with one end; `code:5xx` is `code:5*`.
//!
//! * A bare word searches refusal texts, failures, HELO names and connectors, and is looked up as what it looks like
//!   (`meaning.rs`). Words, phrases and their beginnings are cut into tokens by [`Tokens`], in the index as well.
//! * `connector:Default` finds `EX1\Default`, `server:EX1.contoso.com` finds `EX1`, `remote:` finds the other side's name
//!   as well as its address, `to:contoso.com` the domain like `to:@contoso.com`.
//! * `code` has refusals only, 400 to 599: `code:250` is an error instead of never an answer. So is `status:5.7`.
//!
//! A [`Query`] is parsed, then [resolved](Query::resolve) against the names of the known certificates, then answered:
//! by the index, or session by session by its slow twin in [`matches`](Query::matches).

mod display;
mod error;
mod expr;
mod field;
mod lexer;
mod matcher;
pub(crate) mod matches;
mod meaning;
mod moment;
mod network;
mod parser;
mod resolve;
mod text;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod samples;

pub use error::{Problem, QueryError};
pub use expr::{Expr, Place, Query, Term, Words};
pub use field::{FIELDS, Field, FieldInfo, Kind};
pub use matcher::{Matcher, connector_names, message_id_key, serial_key};
pub use matches::{Asking, Link, NoVia, Via, error_texts, full_texts};
pub use moment::{TimeError, Window, parse_since, parse_until};
pub use network::{Endpoint, Network, address_of_endpoint, split_endpoint};
pub use resolve::{CertificateName, CertificateNames};
pub use text::{Phrase, TOKEN_BYTES_MAX, Tokens, fold, fold_token, tokens};
