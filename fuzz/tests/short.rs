//! Each target for some thousand inputs, always the same ones: no panic, and no memory out of proportion.
//! One test for all of them, since the allocations of the whole process are counted.

use std::alloc::System;

use nokv_fuzz::mutate::mutate;
use nokv_fuzz::targets::{TARGETS, Target};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Inputs for each target.
const INPUTS: u64 = 4_000;

/// Bytes that an input of no length may cost: a store is opened for some of them.
const BYTES_MAX: usize = 2 << 20;
/// Bytes that each byte of input may cost on top.
const BYTES_MAX_FOR_EACH: usize = 512;

#[test]
fn no_input_brings_a_decoder_down() {
    for target in TARGETS {
        let examples = (target.examples)();
        assert!(!examples.is_empty(), "{}", target.name);
        examples.iter().for_each(|example| feed(&target, example));
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..INPUTS {
            feed(&target, &mutate(&examples, &mut random));
        }
    }
}

fn feed(target: &Target, input: &[u8]) {
    let region = Region::new(ALLOCATOR);
    (target.run)(input);
    let bytes = region.change().bytes_allocated;
    let bound = BYTES_MAX + input.len() * BYTES_MAX_FOR_EACH;
    assert!(bytes <= bound, "{} took {bytes} bytes for {}", target.name, input.escape_ascii());
}
