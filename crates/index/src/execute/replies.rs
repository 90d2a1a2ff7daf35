//! What has to hold for one reply: terms on certificates, codes, statuses and texts that stand together (CONTRACT 5).
//!
//! A class decides nearly all of it: it *is* the pairing of certificate, code and status. Two things it leaves open,
//! the text and a certificate that stands in a front end's session; these are decided refusal by refusal, from columns.

use rustc_hash::FxHashMap;
use smtplog::{Direction, Reply, ReplySide, SessionId, Text, Thumbprint, Timestamp};

use super::{Execution, Scope, Verdict};
use crate::{
    StoreError,
    partners::asking,
    profile::ReplyClass,
    query::{
        Asking, Expr, Field, Link, Phrase, Term, Window,
        matches::{Side, is_code, is_text, is_thumbprint, side},
    },
    sessions::Documents,
    split::columns::{column, followed, list, pair, time_of_column},
};

/// Phrases that match.
pub(super) struct Phrases {
    /// By their text and the host that ends it.
    pub(super) sure: Documents,
    /// Whether time and session id of a trailing bracket, which are not indexed, could make another match.
    pub(super) in_bracket: bool,
}

/// Sessions with a refusal that has one of these phrases.
pub(super) fn with_phrases(execution: &Execution<'_>, phrases: &Phrases) -> Verdict {
    let Execution { split, .. } = execution;
    let (mut sure, mut maybe) = (execution.none(), execution.none());
    let of_row = split.column(column::REPLY_DOCUMENT);
    split.column(column::REPLY_PHRASE).for_each(|row, phrase| {
        if phrases.sure.contains(phrase as u32)
            && let Some(document) = of_row.get(row)
        {
            sure.insert(document as u32);
        }
    });
    if phrases.in_bracket {
        split.pairs(pair::PEER).for_each_key(|row| {
            if let Some(document) = of_row.get(row) {
                maybe.insert(document as u32);
            }
        });
    }
    Verdict { maybe: maybe.or(&sure), sure }
}

/// Sessions with a refusal, inside the window, for which all the parts hold by an alternative that has a term on
/// replies.
pub(super) fn at_replies(execution: &Execution<'_>, parts: &[&Expr]) -> Result<Verdict, StoreError> {
    let rows = rows_at(execution, parts)?;
    let of_row = execution.split.column(column::REPLY_DOCUMENT);
    let sessions = |rows: &[u32]| {
        let mut documents = execution.none();
        rows.iter().filter_map(|&row| of_row.get(row)).for_each(|document| documents.insert(document as u32));
        documents
    };
    let sure = sessions(&rows.sure);
    if rows.maybe.is_empty() {
        return Ok(Verdict::exact(sure));
    }
    Ok(Verdict { maybe: sessions(&rows.maybe).or(&sure), sure })
}

/// The refusals themselves.
pub(super) fn rows_at(execution: &Execution<'_>, parts: &[&Expr]) -> Result<Rows, StoreError> {
    rows_of_classes(execution, parts, |_| true)
}

/// Of the refusals whose certificate stands in another session, those that may match.
pub(super) fn proxied_rows_at(execution: &Execution<'_>, parts: &[&Expr]) -> Result<Rows, StoreError> {
    rows_of_classes(execution, parts, |class| class.via)
}

fn rows_of_classes(
    execution: &Execution<'_>,
    parts: &[&Expr],
    is_asked: impl Fn(&ReplyClass<'_>) -> bool,
) -> Result<Rows, StoreError> {
    let mut texts = Vec::new();
    for term in parts.iter().flat_map(|part| text_terms(part)) {
        texts.push((term, execution.phrases(&term.matcher)?));
    }
    let asked = Asked { execution, parts, texts: &texts };
    let mut rows = Rows::default();
    let mut open = Vec::new();
    for (number, class) in execution.split.reply_classes().filter(|(_, class)| is_asked(class)) {
        let known = Facts { class: &class, presented: Presented::AsInClass, phrase: None };
        match asked.holds(&known) {
            Tri { sure: true, .. } => rows.sure.extend(execution.split.lists(list::CLASSES).of(number)),
            Tri { maybe: true, .. } => open.push(number),
            _ => {}
        }
    }
    asked.decide_rows(&open, &mut rows);
    if execution.query.window != Window::default() {
        let mut is_inside = inside_window(execution);
        rows.sure.retain(|&row| is_inside(row));
        rows.maybe.retain(|&row| is_inside(row));
    }
    Ok(rows)
}

/// Refusals that match, in no order.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) sure: Vec<u32>,
    /// Those of which only their session's record can tell.
    pub(super) maybe: Vec<u32>,
}

impl Rows {
    fn add(&mut self, row: u32, tri: Tri) {
        match tri {
            Tri { sure: true, .. } => self.sure.push(row),
            Tri { maybe: true, .. } => self.maybe.push(row),
            _ => {}
        }
    }
}

/// Whether a refusal came inside the query's window. Refusals of a class follow one another in time.
fn inside_window<'a>(execution: &'a Execution<'_>) -> impl FnMut(u32) -> bool + use<'a> {
    let Execution { split, query, times, .. } = execution;
    let mut document_of = split.column(column::REPLY_DOCUMENT).cursor();
    let mut after_of = split.column(column::REPLY_TIME).cursor();
    let mut started_of = times.started_in_order();
    move |row| {
        let mut time = || {
            let document = u32::try_from(document_of.get(row)?).ok()?;
            Some(Timestamp(started_of(document)?.0.wrapping_add(time_of_column(after_of.get(row)?))))
        };
        time().is_some_and(|time| query.window.contains(time))
    }
}

/// The parts that have to hold, and the phrases that their terms on texts mean.
struct Asked<'a> {
    execution: &'a Execution<'a>,
    parts: &'a [&'a Expr],
    texts: &'a [(&'a Term, Phrases)],
}

/// What is known of a refusal.
struct Facts<'a> {
    class: &'a ReplyClass<'a>,
    presented: Presented,
    /// Its phrase, and whether a bracket with a time follows.
    phrase: Option<(u32, bool)>,
}

/// What is known of the certificate that was presented.
#[derive(Clone, Copy)]
enum Presented {
    /// That of the class; open where the class says that it stands elsewhere.
    AsInClass,
    /// It was looked up.
    Known(Option<Thumbprint>),
}

impl Asked<'_> {
    fn holds(&self, facts: &Facts<'_>) -> Tri {
        all_of(self.parts.iter().map(|part| self.at_reply(part, facts))).with
    }

    /// Decides the refusals of classes that leave something open.
    fn decide_rows(&self, classes: &[u32], found: &mut Rows) {
        let Execution { split, .. } = self.execution;
        let asks_for_certificate = self.parts.iter().any(|part| Scope::of(part).certificate);
        let is_via = |class: u32| split.reply_class(class).is_some_and(|class| class.via);
        let is_proxied = |class: &&u32| asks_for_certificate && is_via(**class);
        let (proxied, direct): (Vec<u32>, Vec<u32>) = classes.iter().partition(is_proxied);
        let has_bracket = self.rows_with_bracket();
        self.decide_direct(&direct, &has_bracket, found);
        self.decide_proxied(&proxied, &has_bracket, found);
    }

    /// Decides those of which only the text is open. Many refusals have one text: each is decided once for its class.
    fn decide_direct(&self, classes: &[u32], has_bracket: &Documents, found: &mut Rows) {
        if classes.is_empty() {
            return;
        }
        let Execution { split, .. } = self.execution;
        let known = self.classes(classes);
        let mut asked = Documents::none(classes.iter().max().map_or(0, |&greatest| greatest + 1));
        known.keys().for_each(|&class| asked.insert(class));
        let phrases = split.column(column::REPLY_PHRASE).to_vec();
        let mut decided: FxHashMap<(u32, u32, bool), Tri> = FxHashMap::default();
        // In order of row, which reads a block of numbers at a time.
        split.column(column::REPLY_CLASS).for_each(|row, class| {
            let (class, phrase) = (class as u32, phrases.get(row as usize).map(|&phrase| phrase as u32));
            let Some(phrase) = phrase.filter(|_| asked.contains(class)) else { return };
            let key = (class, phrase, has_bracket.contains(row));
            let tri = *decided.entry(key).or_insert_with(|| {
                let presented = Presented::AsInClass;
                self.holds(&Facts { class: &known[&class], presented, phrase: Some((phrase, key.2)) })
            });
            found.add(row, tri);
        });
    }

    /// Decides those whose certificate stands in another session, all of them together.
    fn decide_proxied(&self, classes: &[u32], has_bracket: &Documents, found: &mut Rows) {
        if classes.is_empty() {
            return;
        }
        let Execution { split, via, .. } = self.execution;
        let known = self.classes(classes);
        let mut places: Vec<(u32, &ReplyClass<'_>)> = Vec::new();
        split.column(column::VIA_CLASS).for_each(|at, class| {
            places.extend(known.get(&(class as u32)).map(|class| (at, class)));
        });
        let asking: Vec<Option<(Asking, SessionId)>> = places.iter().map(|(at, _)| asking(split, *at)).collect();
        let wanted: Vec<Link> = asking.iter().flatten().map(|(asking, link)| asking.link(*link)).collect();
        via.prepare(&wanted);
        let (rows, phrases) = (split.column(followed::VIA.pairs.0), split.column(column::REPLY_PHRASE));
        for (&(at, class), asking) in places.iter().zip(&asking) {
            let Some(row) = rows.get(at).map(|row| row as u32) else { continue };
            let presented = || asking.as_ref().and_then(|(asking, link)| via.presented(asking, *link));
            let presented = Presented::Known(class.presented.or_else(presented));
            // Only terms on texts look at the phrase.
            let phrase = if self.texts.is_empty() { None } else { phrases.get(row) };
            let phrase = phrase.map(|phrase| (phrase as u32, has_bracket.contains(row)));
            found.add(row, self.holds(&Facts { class, presented, phrase }));
        }
    }

    fn classes(&self, numbers: &[u32]) -> FxHashMap<u32, ReplyClass<'_>> {
        let split = self.execution.split;
        numbers.iter().filter_map(|&number| Some((number, split.reply_class(number)?))).collect()
    }

    /// Refusals whose text ends with a bracket, if it matters.
    fn rows_with_bracket(&self) -> Documents {
        let Execution { split, .. } = self.execution;
        let mut rows = Documents::none(split.column(column::REPLY_DOCUMENT).len());
        if self.texts.iter().any(|(_, phrases)| phrases.in_bracket) {
            split.pairs(pair::PEER).for_each_key(|row| rows.insert(row));
        }
        rows
    }

    fn at_reply(&self, expr: &Expr, facts: &Facts<'_>) -> AtReply {
        match expr {
            Expr::Term(term) if term.field == Field::Text => AtReply { without: NO, with: self.text(term, facts) },
            Expr::Term(term) if term.field.is_of_reply() => {
                AtReply { without: NO, with: known(class_has(facts.class, term)) }
            }
            Expr::Term(term) => AtReply { without: certificate(term, facts), with: NO },
            Expr::And(parts) => all_of(parts.iter().map(|part| self.at_reply(part, facts))),
            Expr::Or(parts) => any_of(parts.iter().map(|part| self.at_reply(part, facts))),
            _ => AtReply { without: OPEN, with: OPEN },
        }
    }

    fn text(&self, term: &Term, facts: &Facts<'_>) -> Tri {
        let phrases = self.texts.iter().find(|(known, _)| std::ptr::eq(*known, term)).map(|(_, phrases)| phrases);
        match (phrases, facts.phrase) {
            (Some(phrases), Some((phrase, _))) if phrases.sure.contains(phrase) => known(true),
            (Some(phrases), Some((_, has_bracket))) => Tri { sure: false, maybe: phrases.in_bracket && has_bracket },
            _ => OPEN,
        }
    }
}

/// The terms on texts in an expression that [`Asked::at_reply`] looks into.
fn text_terms(expr: &Expr) -> Vec<&Term> {
    match expr {
        Expr::Term(term) if term.field == Field::Text => vec![term],
        Expr::And(parts) | Expr::Or(parts) => parts.iter().flat_map(text_terms).collect(),
        _ => Vec::new(),
    }
}

/// Whether something holds, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tri {
    sure: bool,
    maybe: bool,
}

/// As in the query's definition: alternatives without and with a term on replies.
#[derive(Clone, Copy)]
struct AtReply {
    without: Tri,
    with: Tri,
}

const NO: Tri = Tri { sure: false, maybe: false };
const OPEN: Tri = Tri { sure: false, maybe: true };

fn known(holds: bool) -> Tri {
    Tri { sure: holds, maybe: holds }
}

/// Asked for every class of a split, of which there are thousands: it stops at the first part that cannot hold.
fn all_of(parts: impl Iterator<Item = AtReply>) -> AtReply {
    let (mut without, mut each, mut any) = (known(true), known(true), NO);
    for part in parts {
        let either = or(part.without, part.with);
        if !either.maybe {
            return AtReply { without: NO, with: NO };
        }
        without = and(without, part.without);
        each = and(each, either);
        any = or(any, part.with);
    }
    AtReply { without, with: and(each, any) }
}

fn any_of(parts: impl Iterator<Item = AtReply>) -> AtReply {
    let none = AtReply { without: NO, with: NO };
    parts.fold(none, |any, part| AtReply { without: or(any.without, part.without), with: or(any.with, part.with) })
}

fn and(a: Tri, b: Tri) -> Tri {
    Tri { sure: a.sure && b.sure, maybe: a.maybe && b.maybe }
}

fn or(a: Tri, b: Tri) -> Tri {
    Tri { sure: a.sure || b.sure, maybe: a.maybe || b.maybe }
}

fn certificate(term: &Term, facts: &Facts<'_>) -> Tri {
    let class = facts.class;
    let presented = match facts.presented {
        Presented::AsInClass if class.presented.is_none() && class.via => OPEN,
        Presented::AsInClass => known(is_thumbprint(&term.matcher, class.presented)),
        Presented::Known(presented) => known(is_thumbprint(&term.matcher, presented)),
    };
    let received = known(is_thumbprint(&term.matcher, class.received));
    let named = known(is_thumbprint(&term.matcher, class.thumbprint));
    match side(term.field, direction(class)) {
        Side::Presented => presented,
        Side::Received => received,
        Side::Any => Tri {
            sure: presented.sure || received.sure || named.sure,
            maybe: presented.maybe || received.maybe || named.maybe,
        },
    }
}

/// As the query's own definition has it for a reply.
fn class_has(class: &ReplyClass<'_>, term: &Term) -> bool {
    match term.field {
        Field::Code => is_code(&term.matcher, class.code),
        Field::Status => is_text(&term.matcher, class.status),
        Field::Attr => is_text(&term.matcher, class.attr),
        _ => false,
    }
}

/// The remote refuses what this server sends, and this server what it receives.
fn direction(class: &ReplyClass<'_>) -> Direction {
    match class.side {
        ReplySide::Remote => Direction::Send,
        ReplySide::Local => Direction::Receive,
    }
}

/// A class as a reply, for what is told of one.
pub(crate) fn reply_of(class: &ReplyClass<'_>) -> Reply {
    Reply {
        time: Timestamp(0),
        sequence: 0,
        row_hash: 0,
        row_place: None,
        side: class.side,
        code: class.code,
        status: class.status.map(Text::from),
        text: Text::default(),
        attr: class.attr.map(Text::from),
        peer: None,
        thumbprint: class.thumbprint,
        to: None,
        presented: class.presented,
        received: class.received,
        presented_via: None,
    }
}

/// The words of `2026-07-07T15:48:53.514Z 08DED27250BC5691]`, a letter for each kind of character: digit, hex digit or
/// the letter itself.
const BRACKET: [&str; 7] = ["dddd", "dd", "ddtdd", "dd", "dd", "dddz", "xxxxxxxxxxxxxxxx"];

/// Whether a phrase could be in a text only together with the time and session id of its trailing bracket: some of its
/// words, up to its last, look like the beginning of these, or all of it like a part of them.
pub(super) fn may_be_in_bracket(phrase: &Phrase) -> bool {
    let words = phrase.tokens();
    let fits = |words: &[String], shapes: &[&str]| {
        words.len() <= shapes.len()
            && words.iter().zip(shapes).enumerate().all(|(at, (word, shape))| {
                let is_beginning = phrase.prefix && at + 1 == words.len();
                has_shape(word, shape, is_beginning)
            })
    };
    let inside = (0..BRACKET.len()).any(|start| fits(words, &BRACKET[start..]));
    inside || (1..words.len()).any(|start| fits(&words[start..], &BRACKET))
}

fn has_shape(word: &str, shape: &str, is_beginning: bool) -> bool {
    let has_length = word.len() == shape.len() || (is_beginning && word.len() < shape.len());
    has_length
        && word.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            letter => byte == letter,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, prefix: bool, expected: bool) {
        let phrase = if prefix { Phrase::beginning(text) } else { Phrase::new(text) };
        assert_eq!(may_be_in_bracket(&phrase.unwrap()), expected, "{text:?}");
    }

    #[test]
    fn phrases_that_reach_into_the_bracket() {
        for text in [
            "2026-07-07T15:48:53.514Z 08DED27250BC5691",
            "outlook.com 2026-07",
            "48:53",
            "08ded27250bc5691",
            "514Z 08DED27250BC5691",
            "07T15",
        ] {
            check(text, false, true);
        }
        for text in ["relay access denied", "10.0.0.1", "5.7.64", "outlook.com 07-07T15", "514Z x", "2026-07-07T15 now"]
        {
            check(text, false, false);
        }
        check("outlook.com 20", true, true);
        check("access den", true, false);
        check("2026-07-07T15:48:53.514Z 08DE", true, true);
    }
}
