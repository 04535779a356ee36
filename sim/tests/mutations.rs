//! The mistakes that are found soon must be found here, at every check; `--mutations` looks for all of them.
//! One that is not found any more means that the simulator has become blind to its kind.
#![cfg(feature = "planted-bugs")]

use nokv_sim::mutations::{MUTATIONS, find};

/// Seeds that a test may take for one mistake.
const SOON: u64 = 40;
/// Virtual seconds under faults of each seed, as on the command line by default.
const SECONDS: u64 = 20;

#[test]
fn planted_mistakes_are_found() {
    let soon = MUTATIONS.iter().filter(|mutation| mutation.within_seeds <= SOON);
    for mutation in soon {
        assert!(
            find(mutation, SECONDS).is_some(),
            "not found within {} seeds: {}",
            mutation.within_seeds,
            mutation.name
        );
    }
}

#[test]
fn there_are_mistakes_enough() {
    assert!(MUTATIONS.len() >= 15);
}
