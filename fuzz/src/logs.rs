//! What the properties read their bytes with: one source, in memory, by the only format there is.

use std::sync::Arc;

use smtplog::{
    Direction, Role, Session, Stream,
    assemble::Assembler,
    formats::{Columns, FORMATS},
    fragment::Fragment,
    reader::{Counts, Fragments},
};

/// Reads the blocks one after the other, as one source.
pub(crate) fn read(blocks: &[&[u8]]) -> (Vec<Fragment>, Counts) {
    let mut columns = Columns::STANDARD;
    let mut fragments = Fragments::default();
    let mut finished = Vec::new();
    let mut offset = 0;
    fragments.begin(7);
    for block in blocks {
        FORMATS[0].read(&mut columns, block, offset, &mut fragments);
        finished.extend(fragments.drain_finished());
        offset += block.len() as u64;
    }
    let counts = fragments.end();
    finished.extend(fragments.drain_finished());
    (finished, counts)
}

/// A fragment as a session of its own.
pub(crate) fn session(assembler: &mut Assembler, fragment: &Fragment) -> Session {
    let stream = Arc::new(Stream { server: "EX1".into(), role: Role::Hub, direction: Direction::Send });
    assembler.session(&stream, fragment.session, &fragment.span, &[&fragment.rows])
}
