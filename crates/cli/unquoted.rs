//! Queries that nobody quoted: in `search status:5.7.64 -connector:Internet` a term looks like flags.
//!
//! What the parser says of `-c` then helps nobody; the tip shows the query in quotes.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Verbs that take a query.
const VERBS: [&str; 3] = ["search", "certs", "explain"];

/// The error, with a tip if a negated term was taken for flags.
pub(crate) fn with_tip(mut error: Error, args: impl Iterator<Item = String>) -> Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(tip) = tip(args)
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn tip(args: impl Iterator<Item = String>) -> Option<String> {
    let mut args = args.skip_while(|arg| !VERBS.contains(&&**arg));
    let verb = args.next()?;
    // Only terms are shown: which of the others are values of flags is not known here.
    let terms: Vec<String> = args.filter(|arg| is_term(arg)).collect();
    let is_negated = |term: &String| term.starts_with('-');
    let query = terms.join(" ").replace('\'', "");
    terms.iter().any(is_negated).then(|| format!("quote the query, as in: smtptrail {verb} '{query}'"))
}

/// Whether a word is a term as in `status:5.7.64` or `-connector:Internet`, or a negated word.
fn is_term(arg: &str) -> bool {
    match arg.strip_prefix('-') {
        // -24h is a time.
        Some(term) => term.chars().count() > 1 && !term.starts_with(|c: char| c == '-' || c.is_ascii_digit()),
        None => arg.contains(':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &str, expected: Option<&str>) {
        let found = tip(format!("smtptrail {args}").split(' ').map(str::to_owned));
        assert_eq!(found.as_deref(), expected, "{args}");
    }

    #[test]
    fn negated_terms_are_told_from_flags() {
        let quoted = "quote the query, as in: smtptrail search 'status:5.7.64 -connector:Internet'";
        check("search status:5.7.64 -connector:Internet", Some(quoted));
        check("-q search status:5.7.64 -connector:Internet --json", Some(quoted));
        check("certs -internet", Some("quote the query, as in: smtptrail certs '-internet'"));
        check("search status:5.7.64 --jsno", None);
        check("search status:5.7.64 -x --since -24h", None);
        check("index logs -connector:Internet", None);
        check("", None);
    }
}
