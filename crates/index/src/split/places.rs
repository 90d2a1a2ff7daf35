//! Where the rows of a session's events lie, at the end of its record.
//!
//! Each place is how far its row is behind the one before, so most take a byte or two; the first counts from where its
//! source begins to have the session. A session in several sources has the number of the source beside each.

use smtplog::{NegotiationRows, RowPlace, Session, SourceSpan};

use crate::codec::{Decoder, put_number, put_signed};

/// Whether the places of all these rows are known. A session has all of them or none but where rows from before they
/// were kept were joined by others, and then those few are not worth a mark for each.
pub(super) fn are_known(session: &Session) -> bool {
    let is_known = |place: Option<RowPlace>| {
        let begin = |place: RowPlace| Some(source(&session.sources, place)?.offset <= place.offset);
        place.and_then(begin) == Some(true)
    };
    of_negotiations(session).all(is_known) && session.replies.iter().all(|reply| is_known(reply.row_place))
}

/// Writes the places.
pub(super) fn put(out: &mut Vec<u8>, session: &Session) {
    let mut before = 0;
    let replies = session.replies.iter().map(|reply| reply.row_place);
    for place in of_negotiations(session).chain(replies).flatten() {
        if session.sources.len() > 1 {
            put_number(out, place.source.into());
        }
        let begin = source(&session.sources, place).map_or(0, |source| source.offset);
        let behind = place.offset.wrapping_sub(begin);
        put_signed(out, behind.wrapping_sub(before) as i64);
        before = behind;
    }
}

/// Reads them, once the rest of the session is known.
pub(super) fn read(from: &mut Decoder<'_>, session: &mut Session) -> Option<()> {
    let Session { negotiations, replies, sources, .. } = session;
    let mut before = 0u64;
    let mut next = || {
        let number = if sources.len() > 1 { from.small()? } else { 0 };
        before = before.wrapping_add(from.signed()? as u64);
        let place = RowPlace { source: number, offset: before };
        Some(RowPlace { offset: source(sources, place)?.offset.checked_add(before)?, ..place })
    };
    for negotiation in negotiations {
        let NegotiationRows { presented, received, outcome } = &mut negotiation.rows;
        for mark in [presented, received, outcome].into_iter().flatten() {
            mark.place = Some(next()?);
        }
    }
    for reply in replies {
        reply.row_place = Some(next()?);
    }
    Some(())
}

fn of_negotiations(session: &Session) -> impl Iterator<Item = Option<RowPlace>> {
    let rows = |rows: NegotiationRows| [rows.presented, rows.received, rows.outcome].into_iter().flatten();
    session.negotiations.iter().flat_map(move |negotiation| rows(negotiation.rows)).map(|mark| mark.place)
}

fn source(sources: &[SourceSpan], place: RowPlace) -> Option<&SourceSpan> {
    sources.get(usize::try_from(place.source).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::samples;

    /// A session whose rows lie in two sources.
    fn session() -> Session {
        let mut session = samples::session();
        for (number, offset) in [(1, 700), (2, 5_000_000_000)] {
            let identity = [number; 32];
            session.sources.push(SourceSpan { file: "a.LOG".into(), identity, offset, length: 4_000 });
        }
        session.replies.push(session.replies[0].clone());
        let rows = &mut session.negotiations[0].rows;
        let marks = [rows.presented.as_mut().unwrap(), rows.outcome.as_mut().unwrap()];
        let place = |source, offset| Some(RowPlace { source, offset });
        (marks.into_iter().zip([800, 700])).for_each(|(mark, offset)| mark.place = place(0, offset));
        session.replies[0].row_place = place(1, 5_000_000_000);
        session.replies[1].row_place = place(1, 5_000_003_000);
        session
    }

    fn forgotten(mut session: Session) -> Session {
        let rows = &mut session.negotiations[0].rows;
        [&mut rows.presented, &mut rows.outcome].into_iter().flatten().for_each(|mark| mark.place = None);
        session.replies.iter_mut().for_each(|reply| reply.row_place = None);
        session
    }

    #[test]
    fn places_are_read_back() {
        let session = session();
        assert!(are_known(&session));
        let mut bytes = Vec::new();
        put(&mut bytes, &session);
        let mut found = forgotten(session.clone());
        assert_eq!(read(&mut Decoder::new(&bytes), &mut found), Some(()));
        assert_eq!(found, session);
        for cut in 0..bytes.len() {
            assert_eq!(read(&mut Decoder::new(&bytes[..cut]), &mut forgotten(session.clone())), None);
        }
    }

    #[test]
    fn one_that_is_not_known_leaves_the_others_out() {
        let check = |change: fn(&mut Session)| {
            let mut session = session();
            change(&mut session);
            assert!(!are_known(&session));
        };
        check(|session| session.replies[1].row_place = None);
        check(|session| session.negotiations[0].rows.outcome.as_mut().unwrap().place = None);
        check(|session| session.replies[0].row_place = Some(RowPlace { source: 2, offset: 9_000_000_000 }));
        check(|session| session.replies[0].row_place = Some(RowPlace { source: 1, offset: 9_000 }));
        let mut silent = session();
        (silent.negotiations, silent.replies) = (Vec::new(), Vec::new());
        assert!(are_known(&silent));
    }
}
