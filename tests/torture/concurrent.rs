//! Searching while a run publishes.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    fleet::Fleet,
    incoming::Incoming,
    program::{Program, Sessions},
};

/// Says that all is over, however that comes about.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs that publish something.
const PUBLICATIONS: usize = 100;

#[test]
fn an_answer_is_what_stood_between_two_publications() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut fleet = Fleet::tiny(2);
    let whole: Vec<Vec<u8>> = fleet.logs.iter().map(|log| log.bytes.clone()).collect();
    let program = Program::with_store(&folder.path().join("store"));
    let is_over = AtomicBool::new(false);
    let (states, answers) = thread::scope(|scope| {
        let searching = scope.spawn(|| {
            let mut answers: Vec<Sessions> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let answer = program.sessions().unwrap_or_else(|error| panic!("{error}")).unwrap_or_default();
                answers.push(answer);
            }
            answers
        });
        // A publication that fails must not leave the search going on for ever.
        let ends = Ends(&is_over);
        let mut states = vec![Sessions::new()];
        for publication in 1..=PUBLICATIONS {
            for (log, whole) in fleet.logs.iter_mut().zip(&whole) {
                log.bytes = whole[..whole.len() * publication / PUBLICATIONS].to_vec();
            }
            Incoming::write_originals(&logs, &fleet);
            program.index(&logs);
            states.push(program.sessions().unwrap().unwrap());
        }
        drop(ends);
        (states, searching.join().unwrap())
    });
    let _ = fs::remove_dir_all(&logs);

    assert!(answers.len() >= PUBLICATIONS / 4, "{} answers", answers.len());
    let mut state = 0;
    for answer in &answers {
        assert!(answer.len() >= states[state].len(), "{} sessions after {}", answer.len(), states[state].len());
        let later = states[state..].iter().position(|known| known == answer);
        state += later.unwrap_or_else(|| panic!("an answer of {} sessions that no run published", answer.len()));
    }
    assert!(state > PUBLICATIONS / 2, "the answers stop at publication {state}");
}
