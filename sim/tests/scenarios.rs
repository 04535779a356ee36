//! A few seeds of every scenario, and every seed that once found something.
//! Many more are for the command line: `cargo run -p nokv-sim -- --seeds 0..1000`.

use nokv_sim::run::{RunOptions, run};
use nokv_sim::scenario::{SCENARIOS, Scenario};
use nokv_sim::trace::Sink;

fn passes(seed: u64, scenario: Scenario, seconds: u64) {
    let report = run(&RunOptions { seed, scenario, seconds, sink: Sink::Hash });
    assert_eq!(report.violation, None, "{report}");
}

fn scenario(name: &str) -> Scenario {
    Scenario::named(name).expect("a scenario of the table")
}

#[test]
fn every_scenario_holds_for_a_few_seeds() {
    for scenario in SCENARIOS {
        for seed in 0..3 {
            passes(seed, scenario, 10);
        }
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    for scenario in SCENARIOS {
        assert_eq!(Scenario::named(scenario.name), Some(scenario));
    }
}

/// A leader whose follower rejected an empty append put entries into that append (raft-rs with `batch_append`): the
/// follower acknowledged an entry that it did not have, which then counted as committed on one disk.
#[test]
fn nobody_acknowledges_entries_that_it_does_not_have() {
    passes(201, scenario("many_clients_unreliable"), 20);
    passes(205, scenario("many_clients_unreliable_crashes"), 20);
}
