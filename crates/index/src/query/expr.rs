//! The syntax tree of a query.

use std::ops::Range;

use super::{Field, Matcher, Phrase, QueryError, Window, parser};

/// What is asked: an expression over sessions, and the time in which they lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// What has to hold.
    pub expr: Expr,
    /// `--since` and `--until`; not part of the text.
    pub window: Window,
}

/// An expression; what it means for a session is written in [`Query::matches`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// Every session: `*`.
    All,
    /// Words without a field.
    Words(Words),
    /// A field and its value.
    Term(Term),
    /// By session: the expression holds for none of its replies.
    Not(Box<Expr>),
    /// All of them, for the same reply where replies are meant. At least two, none of them an `And`.
    And(Vec<Expr>),
    /// At least one of them. At least two, none of them an `Or`.
    Or(Vec<Expr>),
}

/// A field and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// The field.
    pub field: Field,
    /// What its value has to be; of a variant that fits the field's [`Kind`](super::Kind).
    pub matcher: Matcher,
    /// Where it stands in the query.
    pub at: Place,
}

/// A bare word or a quoted phrase. The full text has to have it, or one of the meanings has to hold, each as if it
/// stood there instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// The words.
    pub phrase: Phrase,
    /// What they look like (an address, a thumbprint, ...), and once resolved the certificates of that name.
    pub meanings: Vec<Expr>,
    /// Where they stand in the query.
    pub at: Place,
}

/// Byte range in the query's text. It is no part of a term's meaning, so all places are equal: two queries are equal
/// that ask the same in the same order, however they were typed.
#[derive(Clone, Debug, Default)]
pub struct Place(pub Range<usize>);

impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

impl Eq for Place {}

impl Query {
    /// Parses the text of a query; at any time.
    pub fn parse(text: &str) -> Result<Query, QueryError> {
        parser::parse(text).map(|expr| Query { expr, window: Window::default() })
    }

    /// The same query in a window of time.
    pub fn within(self, window: Window) -> Query {
        Query { window, ..self }
    }

    /// Whether a term on code, status, attr or text stands outside of every NOT. Then [`Query::matching_replies`] are
    /// what is counted, and their time decides; otherwise it is the session and its time.
    pub fn has_reply_term(&self) -> bool {
        self.expr.has_reply_term()
    }
}

impl Expr {
    /// All of `exprs`, nested conjunctions taken apart; one alone is itself.
    pub fn all_of(exprs: Vec<Expr>) -> Expr {
        let parts = exprs.into_iter().flat_map(|expr| match expr {
            Expr::And(parts) => parts,
            other => vec![other],
        });
        one_or(parts.collect(), Expr::And)
    }

    /// One of `exprs`, nested disjunctions taken apart; one alone is itself.
    pub fn any_of(exprs: Vec<Expr>) -> Expr {
        let parts = exprs.into_iter().flat_map(|expr| match expr {
            Expr::Or(parts) => parts,
            other => vec![other],
        });
        one_or(parts.collect(), Expr::Or)
    }

    /// The opposite; of an opposite the expression itself, so that its replies are found as well.
    pub fn negated(self) -> Expr {
        match self {
            Expr::Not(expr) => *expr,
            other => Expr::Not(Box::new(other)),
        }
    }

    /// See [`Query::has_reply_term`].
    pub fn has_reply_term(&self) -> bool {
        match self {
            Expr::Not(expr) => matches!(&**expr, Expr::Not(expr) if expr.has_reply_term()),
            Expr::All | Expr::Words(_) => false,
            Expr::Term(term) => term.field.is_of_reply(),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(Expr::has_reply_term),
        }
    }
}

fn one_or(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => join(parts),
    }
}

impl Term {
    /// A term that stands for something at `at`.
    pub fn new(field: Field, matcher: Matcher, at: &Place) -> Term {
        Term { field, matcher, at: at.clone() }
    }
}

impl From<Term> for Expr {
    fn from(term: Term) -> Expr {
        Expr::Term(term)
    }
}
