//! Elements of BER and DER (X.690, section 8.1): where each begins and ends, and nothing of what it means.
//!
//! A certificate's thumbprint is that of its very bytes, so it is cut out of its container, never decoded and
//! encoded again. Containers may be BER: `30 80 ... 00 00` is a sequence that ends where its marker stands.

/// An element: `30 03 02 01 05` is a sequence that holds the integer 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The identifier: `30` a sequence, `A0` a constructed `[0]`.
    pub(crate) tag: u8,
    /// Where it begins, in the bytes that were read first.
    pub(crate) at: usize,
    /// Where its content begins, likewise.
    pub(crate) content_at: usize,
    /// What is inside.
    pub(crate) content: &'a [u8],
    /// All of it.
    pub(crate) bytes: &'a [u8],
}

/// An element's identifier and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) tag: u8,
    /// Bytes of identifier and length.
    pub(crate) bytes: usize,
    /// Bytes of content; `None` if a marker ends it.
    pub(crate) length: Option<usize>,
}

/// The header of the element that begins here. An identifier of several bytes is none of ours.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag & 0x1F == 0x1F {
        return None;
    }
    match first {
        0..=0x7F => Some(Header { tag, bytes: 2, length: Some(first.into()) }),
        0x80 if tag & 0x20 != 0 => Some(Header { tag, bytes: 2, length: None }),
        0x81..=0x84 => {
            let digits = usize::from(first - 0x80);
            let length = rest.get(..digits)?.iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
            Some(Header { tag, bytes: 2 + digits, length: Some(usize::try_from(length).ok()?) })
        }
        _ => None,
    }
}

/// The element that begins here, if it is complete; `at` is the place of these bytes.
pub(crate) fn element(bytes: &[u8], at: usize) -> Option<Element<'_>> {
    let header = header(bytes)?;
    let rest = bytes.get(header.bytes..)?;
    let (content, end) = match header.length {
        Some(length) => (rest.get(..length)?, header.bytes + length),
        None => {
            let length = length_to_marker(rest)?;
            (rest.get(..length)?, header.bytes + length + 2)
        }
    };
    Some(Element { tag: header.tag, at, content_at: at + header.bytes, content, bytes: bytes.get(..end)? })
}

/// The elements that follow each other here, up to what is none.
pub(crate) fn elements(bytes: &[u8], at: usize) -> impl Iterator<Item = Element<'_>> {
    let mut passed = 0;
    std::iter::from_fn(move || {
        let element = element(bytes.get(passed..)?, at + passed)?;
        passed += element.bytes.len();
        Some(element)
    })
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(crate) fn inside(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        elements(self.content, self.content_at)
    }
}

/// Bytes before the marker that ends a content of indefinite length. Such contents may lie in each other as deep as
/// the input likes: they are counted, not recursed into.
fn length_to_marker(content: &[u8]) -> Option<usize> {
    let mut open = 1_usize;
    let mut at = 0;
    loop {
        let rest = content.get(at..)?;
        if rest.starts_with(&[0, 0]) {
            open -= 1;
            if open == 0 {
                return Some(at);
            }
            at += 2;
            continue;
        }
        let header = header(rest)?;
        match header.length {
            Some(length) => at = at.checked_add(header.bytes)?.checked_add(length)?,
            None => {
                open += 1;
                at += header.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The element as tag, content and bytes in all.
    #[track_caller]
    fn check(bytes: &[u8], expected: Option<(u8, &[u8], usize)>) {
        let found = element(bytes, 0).map(|element| (element.tag, element.content, element.bytes.len()));
        assert_eq!(found, expected, "{bytes:02X?}");
    }

    #[test]
    fn lengths() {
        check(&[0x02, 1, 5], Some((0x02, &[5], 3)));
        check(&[0x02, 1, 5, 9, 9], Some((0x02, &[5], 3)));
        check(&[0x04, 0x81, 2, 7, 8], Some((0x04, &[7, 8], 5)));
        check(&[0x04, 0x84, 0, 0, 0, 1, 7], Some((0x04, &[7], 7)));
        check(&[0x05, 0], Some((0x05, &[], 2)));
    }

    #[test]
    fn contents_that_a_marker_ends() {
        check(&[0x30, 0x80, 0x02, 1, 5, 0, 0], Some((0x30, &[0x02, 1, 5], 7)));
        check(&[0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0, 9], Some((0x30, &[0x30, 0x80, 0, 0], 8)));
        check(&[0x30, 0x80, 0x04, 2, 0, 0, 0, 0], Some((0x30, &[0x04, 2, 0, 0], 8)));
        check(&[0x30, 0x80, 0x30, 0x80, 0, 0], None);
        check(&[0x04, 0x80, 0, 0], None); // only what is constructed may have a marker
    }

    #[test]
    fn what_is_cut_or_no_element() {
        check(&[], None);
        check(&[0x30], None);
        check(&[0x30, 0x82, 1], None);
        check(&[0x30, 2, 0], None);
        check(&[0x30, 0x85, 0, 0, 0, 0, 0], None);
        check(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], None);
        check(&[0x1F, 0x81, 1, 0], None);
    }

    #[test]
    fn depth_costs_no_stack() {
        let depth = 1 << 20;
        let mut nested = [0x30, 0x80].repeat(depth);
        nested.extend([0, 0].repeat(depth));
        assert_eq!(element(&nested, 0).map(|element| element.bytes.len()), Some(nested.len()));
    }

    #[test]
    fn places_count_from_the_first_bytes() {
        let outer = element(&[0x30, 6, 0x02, 1, 5, 0x02, 1, 6], 100).unwrap();
        let places: Vec<_> = outer.inside().map(|inner| (inner.at, inner.content_at, inner.content[0])).collect();
        assert_eq!(places, [(102, 104, 5), (105, 107, 6)]);
    }

    proptest! {
        #[test]
        fn elements_follow_each_other(bytes: Vec<u8>) {
            let mut end = 0;
            for element in elements(&bytes, 0) {
                prop_assert_eq!(element.at, end);
                prop_assert_eq!(&bytes[end..end + element.bytes.len()], element.bytes);
                end += element.bytes.len();
            }
        }
    }
}
