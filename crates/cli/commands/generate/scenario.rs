//! Names of scenarios on the command line.

use clap::{ValueEnum, builder::PossibleValue};
use testlog::{PLANTED, Planted};

/// A scenario, or all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScenarioName {
    /// One, by its place in [`PLANTED`].
    One(usize),
    /// Each of them.
    All,
}

/// The scenarios that were named, each once, in the order in which they were named.
pub(super) fn chosen(names: &[ScenarioName]) -> Vec<Planted> {
    let mut places: Vec<usize> = Vec::new();
    for name in names {
        let named = match name {
            ScenarioName::One(place) => vec![*place],
            ScenarioName::All => (0..PLANTED.len()).collect(),
        };
        places.extend(named.into_iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
    }
    places.into_iter().map(|place| PLANTED[place]).collect()
}

impl ValueEnum for ScenarioName {
    fn value_variants<'a>() -> &'a [ScenarioName] {
        &VARIANTS
    }

    /// Without their lines of explanation, which `--list-scenarios` prints.
    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            ScenarioName::One(place) => PLANTED[*place].name,
            ScenarioName::All => "all",
        }))
    }
}

/// `all` first, then each.
const VARIANTS: [ScenarioName; PLANTED.len() + 1] = {
    let mut variants = [ScenarioName::All; PLANTED.len() + 1];
    let mut place = 0;
    while place < PLANTED.len() {
        variants[place + 1] = ScenarioName::One(place);
        place += 1;
    }
    variants
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[ScenarioName], expected: &[&str]) {
        let chosen: Vec<&str> = chosen(names).iter().map(|planted| planted.name).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn each_is_chosen_once() {
        let all: Vec<&str> = PLANTED.iter().map(|planted| planted.name).collect();
        check(&[], &[]);
        check(&[ScenarioName::One(2), ScenarioName::One(0), ScenarioName::One(2)], &[all[2], all[0]]);
        check(&[ScenarioName::All, ScenarioName::One(1)], &all);
    }
}
