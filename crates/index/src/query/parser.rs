//! From the words of a query to its syntax tree, by recursive descent.

use std::ops::Range;

use super::{
    Expr, Field, Matcher, Problem, QueryError, Term, Words,
    lexer::{Token, TokenKind, Word, lex},
};

/// Bytes of a query's text (CONTRACT 5). A paste of a whole reply fits; what is longer is no question.
pub(super) const QUERY_BYTES_MAX: usize = 4 * 1024;

/// Parentheses and negations inside each other (CONTRACT 5): bounds the stack of everything that walks the tree.
pub(super) const DEPTH_MAX: usize = 20;

/// Terms of a query (CONTRACT 5): bounds what the index has to open for one question.
pub(super) const CLAUSES_MAX: usize = 256;

/// The expression that a text asks.
pub(super) fn parse(query: &str) -> Result<Expr, QueryError> {
    if query.len() > QUERY_BYTES_MAX {
        let limit = query.floor_char_boundary(QUERY_BYTES_MAX);
        return Err(QueryError { query: query.to_owned(), at: limit..query.len(), problem: Problem::TooLong });
    }
    let tokens = lex(query)?;
    if tokens.is_empty() {
        return Ok(Expr::All);
    }
    let mut parser = Parser { query, tokens: &tokens, next: 0, depth: 0, clauses: 0, field: None };
    let expr = parser.or()?;
    match parser.peek() {
        Some(token) => Err(parser.error(token.at.clone(), Problem::UnopenedGroup)),
        None => Ok(expr),
    }
}

struct Parser<'q> {
    query: &'q str,
    tokens: &'q [Token],
    next: usize,
    depth: usize,
    clauses: usize,
    /// The field in whose parentheses this is: `status:(5.7.64 OR 5.7.1)`.
    field: Option<Field>,
}

impl<'q> Parser<'q> {
    fn or(&mut self) -> Result<Expr, QueryError> {
        let mut alternatives = vec![self.and()?];
        while self.take(&TokenKind::Or) {
            alternatives.push(self.and()?);
        }
        Ok(Expr::any_of(alternatives))
    }

    /// Terms side by side, with or without AND. Words of punctuation only are passed over, so that a pasted sentence
    /// can be searched; where nothing is left, there is nothing to find.
    fn and(&mut self) -> Result<Expr, QueryError> {
        let start = self.next;
        let mut parts = Vec::new();
        loop {
            match self.peek().map(|token| &token.kind) {
                None | Some(TokenKind::Or | TokenKind::Close) => break,
                Some(TokenKind::And) if self.next == start => break,
                Some(TokenKind::And) => {
                    self.next += 1;
                    parts.push(self.operand()?);
                }
                Some(_) => parts.extend(self.not()?),
            }
        }
        if parts.is_empty() { Err(self.nothing_to_find(start)) } else { Ok(Expr::all_of(parts)) }
    }

    /// A term that has to be there, because a sign stands before it.
    fn operand(&mut self) -> Result<Expr, QueryError> {
        let start = self.next;
        self.not()?.ok_or_else(|| self.nothing_to_find(start))
    }

    fn not(&mut self) -> Result<Option<Expr>, QueryError> {
        if !self.take(&TokenKind::Not) {
            return self.primary();
        }
        self.deeper()?;
        let expr = self.operand()?.negated();
        self.depth -= 1;
        Ok(Some(expr))
    }

    /// `None` for a word of punctuation only.
    fn primary(&mut self) -> Result<Option<Expr>, QueryError> {
        let start = self.next;
        let Some(token) = self.peek() else {
            return Err(self.nothing_to_find(start));
        };
        self.next += 1;
        match &token.kind {
            TokenKind::Open => self.group(token).map(Some),
            TokenKind::Field(name) => self.fielded(token, name).map(Some),
            TokenKind::Word(word) => match self.field {
                Some(field) => self.term(field, word).map(Some),
                None => self.words(word),
            },
            TokenKind::Range(low, high) => match self.field {
                Some(field) => self.range(field, low, high, token).map(Some),
                None => Err(self.error(token.at.clone(), Problem::NoRange)),
            },
            TokenKind::Close | TokenKind::And | TokenKind::Or | TokenKind::Not => Err(self.nothing_to_find(start)),
        }
    }

    fn group(&mut self, open: &Token) -> Result<Expr, QueryError> {
        self.deeper()?;
        let expr = self.or()?;
        if !self.take(&TokenKind::Close) {
            return Err(self.error(open.at.clone(), Problem::UnclosedGroup));
        }
        self.depth -= 1;
        Ok(expr)
    }

    fn fielded(&mut self, name_token: &Token, name: &str) -> Result<Expr, QueryError> {
        let name_at = name_token.at.start..name_token.at.end - 1;
        if let Some(outer) = self.field {
            return Err(self.error(name_at, Problem::NestedField(outer)));
        }
        let Some(field) = Field::named(name) else {
            return Err(self.error(name_at, Problem::UnknownField(name.to_owned())));
        };
        let value = self.peek();
        self.next += 1;
        match value.map(|token| (&token.kind, token)) {
            Some((TokenKind::Word(word), _)) => self.term(field, word),
            Some((TokenKind::Range(low, high), token)) => self.range(field, low, high, token),
            Some((TokenKind::Open, token)) => {
                self.field = Some(field);
                let group = self.group(token)?;
                self.field = None;
                Ok(group)
            }
            _ => Err(self.error(name_token.at.clone(), Problem::MissingValue(field))),
        }
    }

    fn term(&mut self, field: Field, word: &Word) -> Result<Expr, QueryError> {
        self.clause(word.at.0.clone())?;
        let matcher = Matcher::of_word(field, word).map_err(|problem| self.value_error(word, problem))?;
        Ok(Term::new(field, matcher, &word.at).into())
    }

    fn range(&mut self, field: Field, low: &Word, high: &Word, token: &Token) -> Result<Expr, QueryError> {
        self.clause(token.at.clone())?;
        let matcher = Matcher::of_range(field, low, high).map_err(|problem| self.error(token.at.clone(), problem))?;
        Ok(Term { field, matcher, at: super::Place(token.at.clone()) }.into())
    }

    fn words(&mut self, word: &Word) -> Result<Option<Expr>, QueryError> {
        self.clause(word.at.0.clone())?;
        if word.is_anything() {
            return Ok(Some(Expr::All));
        }
        let phrase = word.phrase().map_err(|problem| self.value_error(word, problem))?;
        Ok(phrase.map(|phrase| Expr::Words(Words::new(phrase, word.at.clone()))))
    }

    fn clause(&mut self, at: Range<usize>) -> Result<(), QueryError> {
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX { Err(self.error(at, Problem::TooManyClauses)) } else { Ok(()) }
    }

    fn deeper(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        let at = self.tokens[self.next - 1].at.clone();
        if self.depth > DEPTH_MAX { Err(self.error(at, Problem::TooDeep)) } else { Ok(()) }
    }

    fn peek(&self) -> Option<&'q Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let taken = self.peek().is_some_and(|token| token.kind == *kind);
        self.next += usize::from(taken);
        taken
    }

    /// Marks the tokens from `start` on that held nothing, or the sign or the end that stands there instead.
    fn nothing_to_find(&self, start: usize) -> QueryError {
        let first = self.tokens.get(start).map_or(self.query.len(), |token| token.at.start);
        let last = self.tokens.get(self.next.saturating_sub(1).max(start));
        let end = last.map_or(self.query.len(), |token| token.at.end);
        self.error(first..end, Problem::NothingToFind)
    }

    /// A problem with a value: the misplaced `*` itself is marked, otherwise the whole value.
    fn value_error(&self, word: &Word, problem: Problem) -> QueryError {
        let star = word.misplaced_star().filter(|_| problem == Problem::Wildcard);
        self.error(star.map_or(word.at.0.clone(), |star| star..star + 1), problem)
    }

    fn error(&self, at: Range<usize>, problem: Problem) -> QueryError {
        QueryError { query: self.query.to_owned(), at, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query, and how it is written back: what was understood.
    #[track_caller]
    fn check(query: &str, expected: &str) {
        let written = parse(query).map_or_else(|error| error.rendered(), |expr| expr.to_string());
        assert_eq!(written, expected, "{query}");
    }

    #[test]
    fn and_binds_closer_than_or() {
        check("a b OR c d", "a b OR c d");
        check("(a b) OR (c AND d)", "a b OR c d");
        check("a (b OR c) d", "a (b OR c) d");
        check("a OR (b OR (c))", "a OR b OR c");
        check("a && b || c", "a b OR c");
        check("NOT a b", "-a b");
        check("-(a OR b) -(c d)", "-(a OR b) -(c d)");
        check("NOT NOT a", "a");
        check("a AND NOT b", "a -b");
        check("", "*");
        check("* status:*", "* status:*");
    }

    #[test]
    fn contract_example() {
        check(
            r#"presented:97355AF6* status:5.7.64 server:EX0* "relay access denied" -connector:Internet remote:104.47.0.0/16"#,
            r#"presented:97355AF6* status:5.7.64 server:ex0* "relay access denied" -connector:internet remote:104.47.0.0/16"#,
        );
    }

    #[test]
    fn fields_have_groups() {
        check("status:(5.7.64 OR 5.7.1)", "status:5.7.64 OR status:5.7.1");
        check("server:(EX1* -EX10) tls:ok", "server:ex1* -server:ex10 tls:ok");
        check("code:([500 TO 559] OR 451) x", "(code:[500 TO 559] OR code:451) x");
        check("STATUS:5.7.64 Tls:OK", "status:5.7.64 tls:ok");
    }

    #[test]
    fn beginnings_and_comparisons_are_ranges() {
        check("code:5*", "code:[500 TO 599]");
        check("code:5xx", "code:[500 TO 599]");
        check("code:[200 TO 450]", "code:[400 TO 450]");
        check("code:>550", "code:[551 TO 599]");
        check("code:<=550", "code:[400 TO 550]");
        check("session:08dc*", "session:[08DC000000000000 TO 08DCFFFFFFFFFFFF]");
        check("started:>=2024-03-01", "started:[2024-03-01T00:00:00.000Z TO *]");
        check("started:>2024-03-01", "started:[2024-03-02T00:00:00.000Z TO *]");
        check("started:[2024-03-01 TO 2024-03-07]", "started:[2024-03-01T00:00:00.000Z TO 2024-03-07T23:59:59.999Z]");
        check("ended:<2024", "ended:[* TO 2023-12-31T23:59:59.999Z]");
    }

    #[test]
    fn values_are_brought_into_one_form() {
        check("server:EX001.contoso.com", "server:ex001");
        check("attr:36", "attr:attr36");
        check("from:<User1@Contoso.com>", "from:user1@contoso.com");
        check("to:*@Contoso.com", "to:@contoso.com");
        check("to:contoso.com", "to:@contoso.com");
        check("to:\"contoso.com\"", "to:\"contoso.com\"");
        check("message_id:<A@b>", "message_id:a@b");
        check("serial:00:0d:5a", "serial:D5A");
        check("remote:104.47.1.2/16", "remote:104.47.0.0/16");
        check("remote:[::ffff:10.0.0.1]:25", "remote:10.0.0.1:25");
        check("thumbprint:\u{200e}97:35*", "thumbprint:9735*");
        check("san:*.contoso.com", "san:\"*.contoso.com\"");
        check(r#"connector:"EX1\Default "*"#, r#"connector:"ex1\\default "*"#);
    }

    #[test]
    fn punctuation_alone_is_passed_over() {
        check("relay - denied ;", "relay denied");
        check("[AM1 08DC2F52AD76DC43]", r#""[AM1" "08DC2F52AD76DC43]""#);
    }
}
