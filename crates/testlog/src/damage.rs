//! Damage: lines that cannot be read, rows that are lost or repeated, files that end in the middle or hold nothing.
//!
//! Every kind is chosen so that the truth stays certain: unreadable lines are extra lines, or replace rows that say
//! nothing which the truth knows; repeated rows say nothing twice.

use crate::rng::Rng;

/// Where damage strikes, and how often.
pub(crate) struct Damage {
    rng: Rng,
    /// Probability per row; 0 for none at all.
    rate: f64,
}

/// What becomes of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Keep,
    /// Never written.
    Lose,
    /// Written so that nobody can read it.
    Corrupt,
    /// Written twice.
    Repeat,
}

impl Damage {
    /// Damage at a rate a row.
    pub(crate) fn new(rng: Rng, rate: f64) -> Damage {
        Damage { rng, rate }
    }

    /// What becomes of a row that says nothing: one in four such rows is struck at four times the rate, since only
    /// these can be struck.
    pub(crate) fn fate(&mut self) -> Fate {
        if self.rate == 0.0 || !self.rng.chance((self.rate * 2.0).min(0.5)) {
            return Fate::Keep;
        }
        *self.rng.pick(&[Fate::Lose, Fate::Corrupt, Fate::Repeat])
    }

    /// Whether a session's first row is lost.
    pub(crate) fn loses_first_row(&mut self) -> bool {
        self.rate > 0.0 && self.rng.chance((self.rate * 2.0).min(0.5))
    }

    /// An unreadable line to stand before a row, made from that row or from nothing.
    pub(crate) fn extra_line(&mut self, row: &[u8]) -> Option<Vec<u8>> {
        if self.rate == 0.0 || !self.rng.chance(self.rate / 2.0) {
            return None;
        }
        Some(self.unreadable(row))
    }

    /// Whether a header stands in the middle of a file.
    pub(crate) fn repeats_header(&mut self) -> bool {
        self.rate > 0.0 && self.rng.chance(self.rate / 20.0)
    }

    /// Whether something strikes a file as a whole.
    pub(crate) fn strikes_file(&mut self) -> bool {
        self.rate > 0.0 && self.rng.chance((self.rate * 40.0).clamp(0.02, 0.25))
    }

    /// A line that no reader can take for a row of a session; line end included.
    pub(crate) fn unreadable(&mut self, row: &[u8]) -> Vec<u8> {
        const TIME_BYTES: usize = 24;
        let mut line = row.strip_suffix(b"\r\n").unwrap_or(row).to_vec();
        match self.rng.below(8) {
            0 => line.truncate(TIME_BYTES + self.rng.below(12) as usize),
            1 => line[5..7].copy_from_slice(b"13"),
            2 => line[..10].copy_from_slice(b"01/03/2024"),
            3 => spoil_id(&mut line),
            4 => line = self.junk(),
            5 => line = vec![0; 16 + self.rng.below(600) as usize],
            6 if self.rng.chance(0.2) => {
                // A line far longer than any field should be.
                let bytes = if self.rng.chance(0.02) { 3 << 20 } else { 40 << 10 };
                line = vec![b'A'; bytes];
            }
            _ => line = b"The log file was truncated by the operating system".to_vec(),
        }
        line.extend_from_slice(b"\r\n");
        line
    }

    /// The first bytes of a row: not even its time is complete, or nothing follows it.
    pub(crate) fn tail(&mut self, time: &[u8; 24]) -> Vec<u8> {
        let mut tail = time.to_vec();
        tail.push(b',');
        tail.truncate(6 + self.rng.below(20) as usize);
        tail
    }

    /// Random bytes that end no line and begin no comment.
    fn junk(&mut self) -> Vec<u8> {
        let count = 20 + self.rng.below(200);
        let mut junk = vec![0xFE];
        junk.extend((0..count).map(|_| self.rng.bits() as u8).filter(|byte| !matches!(byte, b'\n' | b'\r')));
        junk
    }
}

/// Puts letters that are no hex digits into the session id: the 16 digits between the second and third comma of a
/// row whose connector needs no quotes; in others it spoils the time instead.
fn spoil_id(line: &mut [u8]) {
    let mut commas = line.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let id = commas.nth(1).map_or(0, |at| at + 1);
    let has_id = line[id..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count() == 16;
    let place = if has_id { id + 12 } else { 0 };
    line[place..place + 4].copy_from_slice(b"ZZZZ");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &[u8] = b"2024-03-01T06:00:06.307Z,Out,08DC399000800000,1,,192.0.2.1:25,*,a b,\r\n";

    #[test]
    fn unreadable_lines_are_unreadable() {
        let mut damage = Damage::new(Rng::new(1, 1), 1.0);
        for _ in 0..500 {
            let line = damage.unreadable(ROW);
            assert!(line.ends_with(b"\r\n") && !line[..line.len() - 2].contains(&b'\n'));
            assert!(!line.starts_with(b"#"));
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
            let has_time = fields[0].len() == 24 && fields[0].starts_with(b"2024-03");
            let has_id = fields.get(2).is_some_and(|id| id.len() == 16 && id.iter().all(u8::is_ascii_hexdigit));
            assert!(!(has_time && has_id), "{}", String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn no_damage_without_a_rate() {
        let mut damage = Damage::new(Rng::new(1, 1), 0.0);
        assert!((0..1_000).all(|_| damage.fate() == Fate::Keep && damage.extra_line(ROW).is_none()));
        assert!(!damage.strikes_file() && !damage.loses_first_row() && !damage.repeats_header());
    }
}
