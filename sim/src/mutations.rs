//! The mutation check: mistakes that are planted in the code under test, one at a time, and how many seeds it takes
//! until the simulator finds each. A simulator that does not find them would not find real ones either.
//!
//! The mistakes themselves are lines in the crates under test, at `is_planted("…")`, compiled in by the feature
//! `planted-bugs` only. Some are seen by scripts of `raftstore` and `percolator` instead; the list stands there.

use std::process::ExitCode;

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// How the code asks for it.
    pub name: &'static str,
    /// Where it is.
    pub place: &'static str,
    /// Seeds, of all scenarios in turn (of those with placement, if it is there), within which it must be found.
    pub within_seeds: u64,
}

const fn mutation(name: &'static str, place: &'static str, within_seeds: u64) -> Mutation {
    Mutation { name, place, within_seeds }
}

/// All of them.
pub const MUTATIONS: [Mutation; 40] = [
    mutation("send before sync", "raftstore: ready", 40),
    mutation("do not sync", "raftstore: ready", 10),
    mutation("forget the vote", "raftstore: ready", 60),
    mutation("vote right after a restart", "raftstore: peer", 500),
    mutation("lease too long", "raftstore: config", 30),
    mutation("keep the lease at a transfer", "raftstore: transfer", 200),
    mutation("read before the own term is applied", "raftstore: observe", 1_500),
    mutation("reuse a read context", "raftstore: read", 3_000),
    mutation("answer before commit", "raftstore: propose", 10),
    mutation("cut the log before its data is synced", "engine: apart raft log", 2_000),
    mutation("applied index in a later batch", "raftstore: apply", 30),
    mutation("apply writes of an older epoch", "raftstore: apply", 600),
    mutation("forget what is committed behind a split", "raftstore: ready", 5_000),
    mutation("go before all is applied", "raftstore: leave", 5_000),
    mutation("use the parent's peer ids again", "raftstore: split", 2_000),
    mutation("count by a change before it is applied", "raftstore: members", 2_000),
    mutation("forget what is committed behind a change of members", "raftstore: ready", 3_000),
    mutation("a removed leader goes on", "raftstore: members", 2_000),
    mutation("forget the dead", "raftstore: admission", 2_000),
    mutation("merge without waiting for the source", "raftstore: merge", 1_000),
    mutation("merge in any epoch of the target", "raftstore: merge", 1_000),
    mutation("forget the rollback mark", "percolator: effects", 600),
    mutation("overlook newer commits", "percolator: prewrite", 40),
    mutation("read through locks", "percolator: read point", 10),
    mutation("overlook the primary's commit", "percolator: status", 60),
    mutation("commit whatever is locked", "percolator: commit", 80),
    mutation("collect what the safe point sees", "percolator: garbage", 2_000),
    mutation("read below the safe point", "server: executor", 2_000),
    mutation("release latches before the write is applied", "server: executor", 40),
    mutation("read from a replica as it is", "server: executor", 200),
    mutation("reads do not raise max_ts", "percolator: announcements", 2_000),
    mutation("hide announced locks", "percolator: announcements", 2_000),
    mutation("settle before the announced is applied", "server: settled", 3_000),
    mutation("read what is settled before it is applied", "server: settled", 400),
    mutation("forget the bound of timestamps", "placement: clock", 200),
    mutation("begin at the new leader's clock", "server: placement", 200),
    mutation("raise the bound before it is durable", "server: placement", 400),
    mutation("hand timestamps out unasked", "server: placement", 400),
    mutation("commit timestamp before prewrite", "client: two_phase", 40),
    mutation("call unknown commits failed", "client: commit", 200),
];

/// Without the feature there is nothing to plant.
#[cfg(not(feature = "planted-bugs"))]
pub fn print_table(_only: Option<&str>, _seconds: u64) -> ExitCode {
    eprintln!("the mistakes are not compiled in: cargo run -p nokv-sim --features planted-bugs -- --mutations");
    ExitCode::from(2)
}

/// Plants each mistake (or the one whose name contains `only`), looks for it, and prints what it took.
#[cfg(feature = "planted-bugs")]
pub fn print_table(only: Option<&str>, seconds: u64) -> ExitCode {
    println!("{:<46} {:<24} {:>6} {:>7}  found by", "mistake", "place", "seeds", "within");
    let mut missed = 0;
    for mutation in MUTATIONS.iter().filter(|mutation| only.is_none_or(|only| mutation.name.contains(only))) {
        let Mutation { name, place, within_seeds } = mutation;
        match find(mutation, seconds) {
            Some((seeds, by)) => println!("{name:<46} {place:<24} {seeds:>6} {within_seeds:>7}  {by}"),
            None => {
                missed += 1;
                println!("{name:<46} {place:<24} {:>6} {within_seeds:>7}  NOT FOUND", "-");
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs seeds with the mistake until one of them fails: how many it took, and what was broken.
#[cfg(feature = "planted-bugs")]
pub fn find(mutation: &Mutation, seconds: u64) -> Option<(u64, String)> {
    use crate::run::{RunOptions, run};
    use crate::scenario::{PLACED, Scenario};
    use crate::trace::Sink;

    nokv_engine::plant(Some(mutation.name));
    let found = (0..mutation.within_seeds).find_map(|seed| {
        let is_placed = mutation.place == "server: placement";
        let scenario = if is_placed { Scenario::of(&PLACED, seed) } else { Scenario::of_seed(seed) };
        let report = run(&RunOptions { seed, scenario, seconds, sink: Sink::Hash });
        let violation = report.violation?;
        let text: String = violation.lines().next().unwrap_or_default().chars().take(110).collect();
        Some((seed + 1, format!("{}: {text}", report.scenario)))
    });
    nokv_engine::plant(None);
    found
}
