//! What the properties read their bytes with: one source, in memory, by one format.

use std::sync::Arc;

use smtplog::{
    Direction, Role, Session, Stream,
    assemble::Assembler,
    formats::{Columns, LogFormat},
    fragment::Fragment,
    reader::{Counts, Fragments},
};

/// Reads the blocks one after the other, as one source. Logs of IIS name their columns, or have none.
pub(crate) fn read(format: &dyn LogFormat, blocks: &[&[u8]]) -> (Vec<Fragment>, Counts) {
    let mut columns = if format.has_both_directions() { Columns::NONE } else { Columns::STANDARD };
    let mut fragments = Fragments::default();
    let mut finished = Vec::new();
    let mut offset = 0;
    fragments.begin(7);
    for block in blocks {
        format.read(&mut columns, block, offset, &mut fragments);
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
    assembler.session(&stream, fragment.session, &fragment.span, &[fragment.stretch(0)])
}
