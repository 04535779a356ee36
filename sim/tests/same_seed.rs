//! One seed decides everything: the same trace, byte for byte, again and again, in this process and in another.
//! If this fails, something in the code under test asks the machine instead of the seed: a clock, a random source, the
//! order of a hash map.

use std::process::Command;

use nokv_sim::run::{Report, RunOptions, run};
use nokv_sim::scenario::Scenario;
use nokv_sim::trace::Sink;

fn options(seed: u64, sink: Sink) -> RunOptions {
    RunOptions { seed, scenario: Scenario::of_seed(seed), seconds: 8, sink }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..48 {
        let (first, second) = (run(&options(seed, Sink::Hash)), run(&options(seed, Sink::Hash)));
        assert_eq!(first, second, "replay: {}", first.replay());
    }
}

#[test]
fn the_text_of_the_trace_is_the_same_too() {
    for seed in [15, 21] {
        let kept = || run(&options(seed, Sink::Keep(Vec::new())));
        let (first, second) = (kept(), kept());
        assert!(first.trace.len() > 100, "a trace of {} lines says little", first.trace.len());
        assert_eq!(first.trace, second.trace);
        let hashed: Report = run(&options(seed, Sink::Hash));
        assert_eq!(hashed.trace_hash, first.trace_hash, "reading along changes nothing");
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let of_seed = |seed| run(&RunOptions { scenario: Scenario::of_seed(15), ..options(seed, Sink::Hash) }).trace_hash;
    assert_ne!(of_seed(1), of_seed(2));
}

#[test]
fn another_process_gives_the_same_trace() {
    let output = Command::new(env!("CARGO_BIN_EXE_nokv-sim"))
        .args(["--seeds", "0..48", "--seconds", "8", "--jobs", "1", "--verbose"])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for seed in 0..48 {
        let here = run(&options(seed, Sink::Hash)).to_string();
        assert!(text.lines().any(|line| line == here), "here: {here}\nthere: {text}");
    }
}
