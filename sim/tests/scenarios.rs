//! A few seeds of every scenario, and every seed that once found something.
//! Many more are for the command line: `cargo run -p nokv-sim -- --seeds 0..1000`.

use nokv_sim::run::{RunOptions, run};
use nokv_sim::scenario::{PLACED, SCENARIOS, Scenario};
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
        for seed in 0..2 {
            passes(seed, scenario, 10);
        }
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    for scenario in SCENARIOS.into_iter().chain(PLACED) {
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

/// After a crash that kept more of the raft logs than of the data, a split was applied again while the new region's log
/// had gone on: its entries came to the apply loop before the region did, and the node could not go on.
#[test]
fn a_region_born_again_is_known_before_its_entries() {
    passes(185, scenario("splits_crashes"), 20);
    passes(44, scenario("splits_members_images_unreliable_crashes"), 20);
}

/// The store of a removed peer took a member that lagged for removed as well, and told it so.
#[test]
fn nobody_buries_a_member_that_lags() {
    passes(226, scenario("members_unreliable_crashes"), 20);
}

/// A replica that had applied more than its leader served a read of now from that, and the leader the next one without.
#[test]
fn a_replica_ahead_of_its_leader_shows_nothing_that_the_leader_does_not() {
    passes(929, scenario("disks_crashes"), 20);
}

/// A reader took "nothing at the primary" for a broken answer, when the collector had ended the lock that it had met.
#[test]
fn a_lock_that_the_collector_has_ended_is_rolled_back() {
    passes(129, scenario("members_unreliable"), 20);
}

/// A learner that restarted while its region slept had nobody to tell it what was committed.
#[test]
fn a_learner_that_restarts_is_told_what_is_committed() {
    passes(380, scenario("splits_members_images_unreliable_crashes"), 20);
}

/// A learner that was removed while nobody could tell it so stayed for ever.
#[test]
fn a_removed_learner_goes_in_the_end() {
    passes(274, scenario("members_unreliable_crashes"), 20);
}

/// After a crash that kept the log of a region that was born by a split, and lost that it was born: its parent, which
/// was merged into it elsewhere, went for that before it had applied the split once more.
#[test]
fn a_region_is_born_again_before_its_parent_goes() {
    passes(230, scenario("merges_crashes"), 20);
}

/// A client asked for a region that was merged into one that did not hold its keys any more, again and again.
#[test]
fn a_client_finds_the_keys_of_a_region_that_was_merged_and_split() {
    passes(108, scenario("merges_one_client"), 20);
    passes(51, scenario("merges_unreliable"), 20);
}

/// A request that came late left a lock when everything had been read: that is for the next reader, not a defect.
#[test]
fn late_requests_of_the_dead_are_waited_for() {
    passes(673, scenario("many_clients_unreliable_crashes"), 20);
}

/// A node whose disk failed while it took up where it had stopped never came back: the simulator's own fault.
#[test]
fn a_node_that_fails_at_its_start_comes_back() {
    passes(1_499, scenario("everything_merges"), 20);
}

/// A node that lost what it had applied counted votes by a membership from before several changes that it had in its
/// log: it did not remember that these were committed.
#[test]
fn nobody_counts_by_a_membership_of_long_ago() {
    passes(1_375, scenario("members_one_client_crashes"), 20);
}

/// One of two members was removed and went at once; the leader crashed, had forgotten that this was committed, and
/// asked for the vote of the other for ever.
#[test]
fn who_stays_needs_no_vote_of_who_was_removed() {
    passes(11_699, scenario("everything_merges"), 20);
}

/// A raw write that every leader had refused was done by a copy of the request that came seconds late: nothing guards
/// raw writes against copies, and no connection makes any.
#[test]
fn what_was_refused_does_not_come_by_a_copy_of_the_request() {
    passes(25152, scenario("many_clients_unreliable_partitions"), 20);
}

/// A member was removed, and had helped to commit the entry behind its removal: it went with it, as it may.
#[test]
fn who_is_removed_may_go_with_what_it_helped_to_commit() {
    passes(32194, scenario("members_unreliable_crashes"), 20);
}

/// The simulator's own faults: a leader that has not applied a change of members counts by the members before, though
/// the region was split since, and though one of them has gone by that change when it is looked.
#[test]
fn a_leader_counts_by_the_members_that_it_has_applied() {
    passes(19_139, scenario("everything_merges"), 20);
    passes(22_415, scenario("members_images_unreliable_crashes"), 20);
    passes(23_625, scenario("splits_members_images_unreliable_crashes_partitions"), 20);
}

/// Placement in all its scenarios.
#[test]
fn placement_holds_for_a_few_seeds() {
    for scenario in PLACED {
        let mut moved = 0;
        for seed in 0..3 {
            let report = run(&RunOptions { seed, scenario, seconds: 15, sink: Sink::Hash });
            assert_eq!(report.violation, None, "{report}");
            let [.., orders] = report.changes;
            moved += orders;
        }
        assert!(moved > 0, "placement moved nothing in {}", scenario.name);
    }
}

/// A peer came to lead while it took an image in, and looked for changes of members in a log that began behind that.
#[test]
fn who_comes_to_lead_while_it_takes_an_image_in_goes_on() {
    passes(101_927, scenario("everything_changes"), 20);
}

/// The leader's machine was lost when it alone had on its disk that a member was removed; a follower that had applied
/// it crashed. And the simulator lost machines that, by what the disks of the others said, were not to spare.
#[test]
fn who_follows_knows_the_members_when_its_leader_is_gone() {
    passes(7, scenario("placement_losses_crashes"), 20);
    passes(101_253, scenario("placement_losses_crashes"), 20);
}

/// A store crashed and lost that its log was cut; then the region slept, and nobody cut it again.
#[test]
fn what_was_cut_before_a_crash_goes_at_the_start() {
    passes(226_394, scenario("many_clients_partitions_crashes"), 20);
}

/// A frozen source went back only when a store had seen its target go by since its last start; both that were left had
/// restarted, and the third machine was gone.
#[test]
fn a_restart_does_not_forget_that_the_target_went_by() {
    passes(236_699, scenario("everything_merges"), 20);
}

/// An answer to a pre-vote of long ago came from a later term: a follower forgot its leader, and voted for another
/// while the lease of the first still stood.
#[test]
fn an_answer_from_a_later_term_does_not_end_a_promise() {
    passes(264_686, scenario("images_unreliable"), 20);
}
