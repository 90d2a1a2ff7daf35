//! Binary XML: how a record of an `.evtx` file says what an event says (MS-EVEN6, section 2.2.12).
//!
//! A record is an instance of a template with its values. Names and templates are kept once a chunk, and everything
//! refers to them by their place in it:
//!
//! ```text
//! 0F 01 01 00                      a fragment
//! 0C 01 id at                      an instance of the template at `at`, which may stand right here
//!   count (size type 00)* values   its values
//! 01 size at 0 .. 02 .. 04         an element: its name at `at`, attributes, content, end
//! 06 at 05 01 length text          an attribute with a text
//! 0D index type                    a value of the instance, which may be a fragment again
//! ```
//!
//! Every place comes from the file, so every one is held against the chunk's end, and what a chunk may make the reader
//! do and keep is limited by [`WORK_MAX`]: templates within values of templates could ask for any amount of both.
//! Names are compared once a chunk and their places remembered; values are decoded only where `event.rs` wants them.

use std::{borrow::Cow, ops::Range};

use super::{event::Event, tag::Tag, value::Value};

/// Bytes of a chunk. Places in it are told by 16 bits.
pub(super) const CHUNK_BYTES: usize = 1 << 16;

/// Tokens that are read of one chunk, and bytes of the names and values that they ask for. Templates repeat some, but
/// chunks of real events ask for little more than their size.
const WORK_MAX: usize = 8 * CHUNK_BYTES;

/// Fragments and instances within one another. Real records have three.
const NESTING_MAX: usize = 16;

/// What is wrong with a record.
type Problem = &'static str;

const CUT: Problem = "a record that refers to what lies outside of its chunk";

/// Names of a chunk by their places.
pub(super) struct Names {
    /// Index into `known` of each place, valid if the entry there names the place: so nothing is cleared between chunks.
    places: Vec<u16>,
    known: Vec<Name>,
}

struct Name {
    place: u16,
    text: String,
    tag: Tag,
}

impl Default for Names {
    fn default() -> Names {
        Names { places: vec![0; CHUNK_BYTES], known: Vec::new() }
    }
}

impl Names {
    /// Forgets the names of the last chunk.
    fn begin(&mut self) {
        self.known.clear();
    }

    /// The index of the name at a place: a link (4 bytes), a hash (2), the count of its characters (2) and they.
    fn index(&mut self, chunk: &[u8], place: u32) -> Result<usize, Problem> {
        let place = u16::try_from(place).map_err(|_| CUT)?;
        let at = usize::from(place);
        let index = usize::from(self.places[at]);
        if self.known.get(index).is_some_and(|name| name.place == place) {
            return Ok(index);
        }
        let mut cursor = Cursor { bytes: chunk, at: at + 6, end: chunk.len() };
        let length = usize::from(cursor.u16()?);
        let text = Value::Utf16(cursor.take(2 * length)?).text().into_owned();
        let index = self.known.len();
        // There are no more names than places, so the index fits.
        self.places[at] = index as u16;
        self.known.push(Name { place, tag: Tag::of(&text), text });
        Ok(index)
    }
}

/// A chunk whose records are read.
pub(super) struct Chunk<'c> {
    bytes: &'c [u8],
    names: &'c mut Names,
    work_left: usize,
}

impl<'c> Chunk<'c> {
    /// Begins a chunk of at most [`CHUNK_BYTES`].
    pub(super) fn new(bytes: &'c [u8], names: &'c mut Names) -> Chunk<'c> {
        names.begin();
        Chunk { bytes: &bytes[..bytes.len().min(CHUNK_BYTES)], names, work_left: WORK_MAX }
    }

    /// Hands what the record between two places of the chunk says to `event`.
    pub(super) fn read(&mut self, record: Range<usize>, event: &mut Event) -> Result<(), Problem> {
        Walk { chunk: self, event }.fragment(record, None, 0)
    }
}

/// A value of a template's instance.
#[derive(Clone)]
struct Slot {
    kind: u8,
    range: Range<usize>,
}

/// Types of values (MS-EVEN6 section 2.2.12.3).
mod kind {
    pub(super) const STRING: u8 = 0x01;
    pub(super) const ANSI_STRING: u8 = 0x02;
    pub(super) const UINT8: u8 = 0x04;
    pub(super) const UINT16: u8 = 0x06;
    pub(super) const UINT32: u8 = 0x08;
    pub(super) const UINT64: u8 = 0x0A;
    pub(super) const FILETIME: u8 = 0x11;
    pub(super) const HEX32: u8 = 0x14;
    pub(super) const HEX64: u8 = 0x15;
    pub(super) const FRAGMENT: u8 = 0x21;
}

struct Walk<'w, 'c> {
    chunk: &'w mut Chunk<'c>,
    event: &'w mut Event,
}

/// An attribute whose value is not complete yet.
struct Attribute<'c> {
    name: usize,
    value: Option<Value<'c>>,
}

impl<'c> Walk<'_, 'c> {
    /// Reads a fragment. `values` are those of a template's instance; only in templates an element says which value it
    /// depends on.
    fn fragment(&mut self, range: Range<usize>, values: Option<&[Slot]>, depth: usize) -> Result<(), Problem> {
        if depth > NESTING_MAX {
            return Err("fragments are nested too deeply");
        }
        let mut cursor = Cursor { bytes: self.chunk.bytes, at: range.start, end: range.end };
        let mut attribute: Option<Attribute<'c>> = None;
        while cursor.at < cursor.end {
            self.spend(1)?;
            match cursor.u8()? {
                0x00 => break,
                token @ (0x01 | 0x41) => self.open(&mut cursor, token, values.is_some())?,
                0x02 => self.end_attribute(&mut attribute),
                0x03 => {
                    self.end_attribute(&mut attribute);
                    self.event.close();
                }
                0x04 => self.event.close(),
                0x05 | 0x45 => {
                    let begin = cursor.at;
                    let value = literal(&mut cursor)?;
                    self.spend(cursor.at - begin)?;
                    self.value(value, &mut attribute);
                }
                0x06 | 0x46 => {
                    self.end_attribute(&mut attribute);
                    attribute = Some(Attribute { name: self.name(&mut cursor)?, value: None });
                }
                0x07 | 0x47 => {
                    let length = usize::from(cursor.u16()?);
                    self.spend(2 * length)?;
                    self.event.text(&Value::Utf16(cursor.take(2 * length)?));
                }
                0x08 | 0x48 => {
                    let character = char::from_u32(u32::from(cursor.u16()?)).unwrap_or(char::REPLACEMENT_CHARACTER);
                    self.value(Value::Text(character.to_string().into()), &mut attribute);
                }
                0x09 | 0x49 => {
                    let name = self.name(&mut cursor)?;
                    let reference = format!("&{};", self.chunk.names.known[name].text);
                    let text = Value::Escaped(&reference).text().into_owned();
                    self.value(Value::Text(text.into()), &mut attribute);
                }
                0x0A => _ = self.name(&mut cursor)?,
                0x0B => {
                    let length = usize::from(cursor.u16()?);
                    cursor.take(2 * length)?;
                }
                0x0C => self.instance(&mut cursor, depth)?,
                0x0D | 0x0E => {
                    let index = usize::from(cursor.u16()?);
                    cursor.u8()?;
                    let slot = values.and_then(|values| values.get(index)).cloned();
                    self.substitute(slot, &mut attribute, depth)?;
                }
                0x0F => _ = cursor.take(3)?,
                _ => return Err("a record with a token that does not exist"),
            }
        }
        Ok(())
    }

    fn spend(&mut self, work: usize) -> Result<(), Problem> {
        let left = self.chunk.work_left.checked_sub(work);
        self.chunk.work_left = left.ok_or("a record that asks for more than a chunk is worth")?;
        Ok(())
    }

    fn open(&mut self, cursor: &mut Cursor<'c>, token: u8, is_template: bool) -> Result<(), Problem> {
        // An element that depends on a missing value would be left out; with empty content it says as little.
        if is_template {
            cursor.u16()?;
        }
        cursor.u32()?;
        let name = self.name(cursor)?;
        if token & 0x40 != 0 {
            cursor.u32()?;
        }
        let name = &self.chunk.names.known[name];
        self.event.open(&name.text, name.tag)
    }

    /// Reads a name's place; if that is here, the name follows.
    fn name(&mut self, cursor: &mut Cursor<'c>) -> Result<usize, Problem> {
        let place = cursor.u32()?;
        let index = self.chunk.names.index(self.chunk.bytes, place)?;
        self.spend(self.chunk.names.known[index].text.len())?;
        if place as usize == cursor.at {
            cursor.take(6)?;
            let length = usize::from(cursor.u16()?);
            cursor.take(2 * length + 2)?;
        }
        Ok(index)
    }

    /// A value belongs to the attribute that has begun, or is text.
    fn value(&mut self, value: Value<'c>, attribute: &mut Option<Attribute<'c>>) {
        let Some(attribute) = attribute else { return self.event.text(&value) };
        attribute.value = Some(match attribute.value.take() {
            // Grown in place: an attribute may have any number of parts.
            Some(Value::Text(Cow::Owned(mut text))) => {
                text += &value.text();
                Value::Text(Cow::Owned(text))
            }
            Some(begin) => Value::Text(Cow::Owned(begin.text().into_owned() + &value.text())),
            None => value,
        });
    }

    fn end_attribute(&mut self, attribute: &mut Option<Attribute<'c>>) {
        let Some(Attribute { name, value: Some(value) }) = attribute.take() else { return };
        let name = &self.chunk.names.known[name];
        self.event.attribute(&name.text, name.tag, &value);
    }

    fn substitute(
        &mut self,
        slot: Option<Slot>,
        attribute: &mut Option<Attribute<'c>>,
        depth: usize,
    ) -> Result<(), Problem> {
        let Some(slot) = slot else { return Err("a template that asks for more values than there are") };
        if slot.kind != kind::FRAGMENT {
            self.spend(slot.range.len())?;
            self.value(decoded(slot.kind, &self.chunk.bytes[slot.range]), attribute);
            return Ok(());
        }
        // What an event says beyond its number is most of it, and most events are of no use.
        match self.event.is_settled() {
            true => Ok(()),
            false => self.fragment(slot.range, None, depth + 1),
        }
    }

    /// Reads an instance: which template, its definition if it stands here, and the values.
    fn instance(&mut self, cursor: &mut Cursor<'c>, depth: usize) -> Result<(), Problem> {
        cursor.take(5)?;
        let definition = cursor.u32()? as usize;
        if definition == cursor.at {
            let (_, end) = self.template(definition)?;
            cursor.take(end - definition)?;
        }
        let count = cursor.u32()? as usize;
        self.spend(count)?;
        let descriptors = cursor.take(count.checked_mul(4).ok_or(CUT)?)?;
        let mut values = Vec::with_capacity(count);
        for descriptor in descriptors.chunks_exact(4) {
            let begin = cursor.at;
            cursor.take(usize::from(u16::from_le_bytes([descriptor[0], descriptor[1]])))?;
            values.push(Slot { kind: descriptor[2], range: begin..cursor.at });
        }
        let (begin, end) = self.template(definition)?;
        self.fragment(begin..end, Some(&values), depth + 1)
    }

    /// Where the body of the template at a place begins and ends: a link (4 bytes), an id (16) and a size (4) precede it.
    fn template(&self, place: usize) -> Result<(usize, usize), Problem> {
        let begin = place.checked_add(24).ok_or(CUT)?;
        let size_at = Range { start: begin - 4, end: begin };
        let size = self.chunk.bytes.get(size_at).ok_or(CUT)?;
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let end = begin.checked_add(size).filter(|end| *end <= self.chunk.bytes.len());
        Ok((begin, end.ok_or(CUT)?))
    }
}

/// A value that stands in a fragment itself: its type, and for a text its length.
fn literal<'c>(cursor: &mut Cursor<'c>) -> Result<Value<'c>, Problem> {
    let size = |kind| match kind {
        0x03 | kind::UINT8 => Some(1),
        0x05 | kind::UINT16 => Some(2),
        0x07 | kind::UINT32 | 0x0B | 0x0D | kind::HEX32 => Some(4),
        0x09 | kind::UINT64 | 0x0C | kind::FILETIME | kind::HEX64 => Some(8),
        0x0F | 0x12 => Some(16),
        _ => None,
    };
    match cursor.u8()? {
        0x00 => Ok(Value::Other),
        kind::STRING => {
            let length = usize::from(cursor.u16()?);
            Ok(Value::Utf16(cursor.take(2 * length)?))
        }
        kind => {
            let size = size(kind).ok_or("a value of a type that has no length")?;
            Ok(decoded(kind, cursor.take(size)?))
        }
    }
}

fn decoded(kind: u8, bytes: &[u8]) -> Value<'_> {
    match kind {
        kind::STRING => Value::Utf16(bytes),
        // The code page is the server's; names of computers and processes are ASCII nearly always.
        kind::ANSI_STRING => {
            Value::Text(String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()))
        }
        kind::UINT8 | kind::UINT16 | kind::UINT32 | kind::UINT64 | kind::HEX32 | kind::HEX64 => {
            number(bytes).map_or(Value::Other, Value::Number)
        }
        kind::FILETIME => number(bytes).map_or(Value::Other, Value::FileTime),
        _ => Value::Other,
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let is_number = (1..=8).contains(&bytes.len());
    is_number.then(|| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Bytes of a chunk up to the end of what is being read.
struct Cursor<'c> {
    bytes: &'c [u8],
    at: usize,
    end: usize,
}

impl<'c> Cursor<'c> {
    fn take(&mut self, count: usize) -> Result<&'c [u8], Problem> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.end).ok_or(CUT)?;
        let taken = self.bytes.get(self.at..end).ok_or(CUT)?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Problem> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}
